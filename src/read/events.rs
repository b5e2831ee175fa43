//! From onsets in seconds to ticks of the main stream.

use super::text::Defects;
use crate::signal::{Event, EventName, Place, Recording};
use std::collections::HashMap;

/// More events than this are not kept: a file that has them is noise.
const MOST_EVENTS: usize = 4_000_000;

/// Events as they are found, names interned.
#[derive(Debug, Default)]
pub(super) struct EventBook {
    names: Vec<(String, bool)>,
    index: HashMap<String, u32>,
    /// Onset (s from the first sample), duration (s), name.
    found: Vec<(f64, f64, u32)>,
    overflow: u64,
}

impl EventBook {
    /// Adds an event at `onset_s` seconds after the first sample (gaps counted). `stimulus`: whether it may be one.
    pub(super) fn add(&mut self, onset_s: f64, duration_s: f64, name: &str, stimulus: bool) {
        if self.found.len() >= MOST_EVENTS {
            self.overflow += 1;
            return;
        }
        let name = match self.index.get(name) {
            Some(&name) => name,
            None => {
                let next = self.names.len() as u32;
                self.names.push((name.to_owned(), false));
                self.index.insert(name.to_owned(), next);
                next
            }
        };
        self.names[name as usize].1 |= stimulus;
        self.found.push((onset_s, duration_s, name));
    }

    /// Sorts the events by time and places them on the main stream; names follow in order of first appearance.
    /// Events before the first or after the last sample, which EDF+ allows, keep their place.
    pub(super) fn write_into(mut self, recording: &mut Recording, defects: &mut Defects) {
        if self.overflow > 0 {
            defects.warn(
                "W_TOO_MANY_EVENTS",
                format!("{} events beyond the first {MOST_EVENTS} are left out", self.overflow),
            );
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
            let (tick, fraction, place) = main.place(onset_s);
            in_gaps += u64::from(place == Place::Gap);
            recording.events.push(Event { tick, fraction, duration_s, name: EventName(*new) });
        }
        (recording.event_names, recording.event_is_stimulus) = names.into_iter().unzip();
        if in_gaps > 0 {
            defects.warn(
                "W_EVENT_IN_GAP",
                format!("{in_gaps} event(s) lie where nothing was recorded; moved to the nearest sample"),
            );
        }
    }
}
