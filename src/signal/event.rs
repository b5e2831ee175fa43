//! Events and segments: what happened when, and where time jumps.

use crate::unit::Tick;
use serde::Serialize;

/// Index into [`crate::signal::Recording::event_names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct EventName(pub u32);

/// Something that happened at a stored sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Event {
    /// Nearest stored sample.
    pub tick: Tick,
    /// The stated onset minus `tick`, in samples, −0.5…0.5: an EDF+ onset need not fall on a sample.
    pub fraction: f64,
    /// Duration in seconds; 0 where the file gives none.
    pub duration_s: f64,
    /// Which kind of event.
    pub name: EventName,
}

impl Event {
    /// An event on a sample, without duration.
    pub fn new(tick: Tick, name: EventName) -> Self {
        Self { tick, fraction: 0.0, duration_s: 0.0, name }
    }
}

/// A stretch of samples without a gap. Stored samples go on counting across segments; time jumps between them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Segment {
    /// First stored sample.
    pub first: Tick,
    /// Number of stored samples.
    pub length: u64,
    /// Time of the first sample, seconds from the start of the recording.
    pub start_s: f64,
}

impl Segment {
    /// One past the last stored sample.
    pub fn end(&self) -> Tick {
        self.first.plus(i64::try_from(self.length).unwrap_or(i64::MAX))
    }
}
