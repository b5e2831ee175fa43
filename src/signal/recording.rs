//! The description of a recording; its samples stay behind the [`crate::flow::Source`].

use super::{Channel, Event, EventName, Segment};
use crate::Warning;
use crate::unit::{Clock, Rate, Tick};
use std::sync::Arc;

/// Where a moment fell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Nearest to a stored sample.
    Inside,
    /// Between two segments, where nothing was recorded.
    Gap,
    /// Before the first or after the last sample.
    Outside,
}

/// Channels that share one sampling rate, and their segments.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Sampling rate.
    pub rate: Rate,
    /// Channels in file order.
    pub channels: Vec<Channel>,
    /// For each channel its 0-based place in the file, across all streams.
    pub file_index: Vec<usize>,
    /// Stretches without a gap, in order; they cover all stored samples.
    pub segments: Vec<Segment>,
}

impl Stream {
    /// Number of stored samples per channel.
    pub fn len(&self) -> u64 {
        self.segments.iter().map(|s| s.length).sum()
    }

    /// Whether it holds no sample at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The segment that holds `tick`.
    pub fn segment_of(&self, tick: Tick) -> Option<usize> {
        let after = self.segments.partition_point(|s| s.first <= tick);
        (after > 0 && tick < self.segments[after - 1].end()).then(|| after - 1)
    }

    /// Seconds from the start of the recording to `tick` (gaps counted), extrapolated outside the segments.
    pub fn seconds_at(&self, tick: Tick) -> f64 {
        let at = self.segments.partition_point(|s| s.first <= tick).max(1) - 1;
        match self.segments.get(at) {
            Some(s) => s.start_s + self.rate.seconds((tick.0 - s.first.0) as f64),
            None => self.rate.seconds(tick.0 as f64),
        }
    }

    /// The stored sample nearest to a moment (a tie goes to the later one), the rest in samples (−0.5…0.5), and where
    /// it fell. Before the first and after the last sample the grid goes on; in a gap the nearer edge is taken.
    pub fn place(&self, seconds: f64) -> (Tick, f64, Place) {
        let nearest = |first: i64, start_s: f64| {
            // to a millionth of a sample: decimal seconds are not exact in binary, and a tie must be seen as one
            let exact = (self.rate.ticks(seconds - start_s) * 1e6).round() / 1e6;
            let whole = (exact + 0.5).floor();
            (first.saturating_add(whole as i64), (exact - whole).clamp(-0.5, 0.5))
        };
        // Half a sample before a segment's first sample already belongs to it.
        let slack = self.rate.seconds(0.5);
        let at = self.segments.partition_point(|s| s.start_s - slack <= seconds).max(1) - 1;
        let Some(segment) = self.segments.get(at) else {
            let (tick, rest) = nearest(0, 0.0);
            return (Tick(tick), rest, Place::Outside);
        };
        let (tick, rest) = nearest(segment.first.0, segment.start_s);
        if (segment.first.0..segment.end().0).contains(&tick) {
            return (Tick(tick), rest, Place::Inside);
        }
        match self.segments.get(at + 1) {
            Some(next) if tick >= segment.end().0 => {
                let last = segment.end().plus(-1);
                let past = seconds - self.seconds_at(last);
                if past < next.start_s - seconds { (last, 0.5, Place::Gap) } else { (next.first, -0.5, Place::Gap) }
            }
            _ => (Tick(tick), rest, Place::Outside),
        }
    }
}

/// What a file or a session holds: streams (one per sampling rate), events and names.
///
/// Events and their ticks belong to the *main* stream: the one the analysis takes.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The file's stem, or what the session is called.
    pub name: String,
    /// Format as `info` shows it: `EDF+C`, `BrainVision 1.0`, …
    pub format: String,
    /// One per sampling rate, in order of first appearance.
    pub streams: Vec<Stream>,
    /// The stream that analyses take: most EEG channels, then most channels.
    pub main: usize,
    /// In order of time; ticks of the main stream. Markers outside the stored samples keep their place and are counted.
    pub events: Vec<Event>,
    /// Names that [`EventName`] points to, in order of first appearance.
    pub event_names: Vec<String>,
    /// For each name whether such events may be stimuli: `false` for comments, status messages and responses, where the
    /// format tells them apart. May be shorter than `event_names`: the rest may be stimuli.
    pub event_is_stimulus: Vec<bool>,
    /// Start of the recording as the file states it (ISO 8601, no zone), without any patient data.
    pub start: Option<String>,
    /// Line frequency the metadata state (BIDS), in Hz.
    pub line_hz: Option<f64>,
    /// Where the recording comes already cut into epochs.
    pub epoched: Option<Epoching>,
    /// Defects that were read around.
    pub warnings: Vec<Warning>,
}

/// A recording that comes already cut: every segment of the main stream is one epoch, all of one length.
#[derive(Debug, Clone, PartialEq)]
pub struct Epoching {
    /// Offset of an epoch's first sample from what it was cut around, in samples.
    pub first: i64,
    /// Samples in an epoch.
    pub len: usize,
    /// What each epoch was cut around, one name per segment: its condition.
    pub around: Vec<EventName>,
}

impl Recording {
    /// The stream that analyses take.
    pub fn main_stream(&self) -> &Stream {
        &self.streams[self.main]
    }

    /// An event's name.
    pub fn event_name(&self, name: EventName) -> &str {
        self.event_names.get(name.0 as usize).map_or("", String::as_str)
    }

    /// Whether events of this name may be stimuli.
    pub fn is_stimulus(&self, name: &str) -> bool {
        let at = self.event_names.iter().position(|n| n == name);
        at.and_then(|i| self.event_is_stimulus.get(i)).copied().unwrap_or(true)
    }

    /// Index of the stream with most EEG channels (then most channels, then the first).
    pub fn choose_main(streams: &[Stream]) -> usize {
        let key =
            |s: &Stream| (s.channels.iter().filter(|c| c.kind == super::ChannelKind::Eeg).count(), s.channels.len());
        (0..streams.len()).rev().max_by_key(|&i| key(&streams[i])).unwrap_or(0)
    }
}

/// What flows between two Stages: constant for a stream's life, everything that `build` needs.
#[derive(Debug, Clone)]
pub struct StreamInfo {
    /// Where samples lie in time.
    pub clock: Clock,
    /// Channels in order.
    pub channels: Arc<[Channel]>,
    /// No block is longer, not even the tail that `finish` yields.
    pub max_block: usize,
}

impl StreamInfo {
    /// Rate in Hz.
    pub fn rate_hz(&self) -> f64 {
        self.clock.rate_hz()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
            let (tick, rest, place) = stream.place(s);
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
