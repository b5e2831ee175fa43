//! From onsets in seconds to ticks of the main stream.

use super::text::Defects;
use crate::signal::{Event, EventName, Recording, Stream};
use crate::unit::Tick;
use std::collections::HashMap;

/// More events than this are not kept: a file that has them is noise.
const MOST_EVENTS: usize = 4_000_000;

/// Events as they are found, names interned.
#[derive(Debug, Default)]
pub(super) struct EventBook {
    names: Vec<String>,
    index: HashMap<String, u32>,
    /// Onset (s from the first sample), duration (s), name.
    found: Vec<(f64, f64, u32)>,
    overflow: u64,
}

impl EventBook {
    /// Adds an event at `onset_s` seconds after the first sample (gaps counted).
    pub(super) fn add(&mut self, onset_s: f64, duration_s: f64, name: &str) {
        if self.found.len() >= MOST_EVENTS {
            self.overflow += 1;
            return;
        }
        let name = match self.index.get(name) {
            Some(&name) => name,
            None => {
                let next = self.names.len() as u32;
                self.names.push(name.to_owned());
                self.index.insert(name.to_owned(), next);
                next
            }
        };
        self.found.push((onset_s, duration_s, name));
    }

    /// Sorts the events by time and places them on the main stream; names follow in order of first appearance.
    /// Events before the first or after the last sample, which EDF+ allows, keep their place.
    pub(super) fn write_into(mut self, recording: &mut Recording, defects: &mut Defects) {
        if self.overflow > 0 {
            defects.warn("W_TOO_MANY_EVENTS", format!("{} events beyond the first {MOST_EVENTS} are left out", self.overflow));
        }
        self.found.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut renamed = vec![u32::MAX; self.names.len()];
        let mut names = Vec::with_capacity(self.names.len());
        let mut in_gaps = 0_u64;
        let main = &recording.streams[recording.main];
        recording.events.reserve(self.found.len());
        for (onset_s, duration_s, name) in self.found {
            let new = &mut renamed[name as usize];
            if *new == u32::MAX {
                *new = names.len() as u32;
                names.push(std::mem::take(&mut self.names[name as usize]));
            }
            let (tick, fraction, place) = place(main, onset_s);
            in_gaps += u64::from(place == Place::Gap);
            recording.events.push(Event { tick, fraction, duration_s, name: EventName(*new) });
        }
        recording.event_names = names;
        if in_gaps > 0 {
            defects.warn(
                "W_EVENT_IN_GAP",
                format!("{in_gaps} event(s) lie where nothing was recorded; moved to the nearest sample"),
            );
        }
    }
}

/// Where an onset fell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Inside,
    Gap,
    Outside,
}

/// The nearest stored sample (a tie to the later one), the rest in samples, and where the onset fell.
/// Before the first and after the last sample the grid goes on; in a gap the nearer edge is taken.
fn place(stream: &Stream, seconds: f64) -> (Tick, f64, Place) {
    let rate = stream.rate;
    let nearest = |first: i64, start_s: f64| {
        let exact = rate.ticks(seconds - start_s);
        let whole = (exact + 0.5).floor();
        (first.saturating_add(whole as i64), (exact - whole).clamp(-0.5, 0.5))
    };
    let Some(start) = stream.segments.first() else {
        let (tick, rest) = nearest(0, 0.0);
        return (Tick(tick), rest, Place::Outside);
    };
    // Half a sample before a segment's first sample already belongs to it.
    let slack = 0.5 * rate.seconds(1.0);
    let after = stream.segments.partition_point(|s| s.start_s - slack <= seconds);
    let at = after.max(1) - 1;
    let segment = stream.segments.get(at).unwrap_or(start);
    let (tick, rest) = nearest(segment.first.0, segment.start_s);
    if (segment.first.0..segment.end().0).contains(&tick) {
        return (Tick(tick), rest, Place::Inside);
    }
    match stream.segments.get(at + 1) {
        Some(next) if tick >= segment.end().0 => {
            let last = segment.end().0 - 1;
            let past = seconds - (segment.start_s + rate.seconds((last - segment.first.0) as f64));
            if past < next.start_s - seconds { (Tick(last), 0.5, Place::Gap) } else { (next.first, -0.5, Place::Gap) }
        }
        _ => (Tick(tick), rest, Place::Outside),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Segment;
    use crate::unit::Rate;

    #[test]
    fn onsets_fall_on_the_nearest_sample_and_respect_gaps() {
        let segment = |first, length, start_s| Segment { first: Tick(first), length, start_s };
        let stream = Stream {
            rate: Rate::new(100, 1).unwrap(),
            channels: vec![],
            file_index: vec![],
            segments: vec![segment(0, 100, 0.0), segment(100, 100, 7.0015)],
        };
        let at = |s| {
            let (tick, rest, place) = place(&stream, s);
            (tick.0, (rest * 1000.0).round() / 1000.0, place)
        };
        assert_eq!(at(0.5), (50, 0.0, Place::Inside));
        assert_eq!(at(0.503), (50, 0.3, Place::Inside));
        assert_eq!(at(7.0015), (100, 0.0, Place::Inside));
        assert_eq!(at(7.0), (100, -0.15, Place::Inside));
        assert_eq!(at(8.5), (250, -0.15, Place::Outside));
        assert_eq!(at(2.0), (99, 0.5, Place::Gap));
        assert_eq!(at(6.0), (100, -0.5, Place::Gap));
        assert_eq!(at(-0.5), (-50, 0.0, Place::Outside));
    }
}
