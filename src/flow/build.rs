//! What `build` hands to every part, and how parts report all their problems at once.

use super::Model;
use crate::signal::{Channel, EventName, PsdConfig, PsdPlan, Segment, Stimulation};
use crate::unit::{Clock, window_offsets};
use std::fmt;
use std::sync::Arc;

/// Shape of the epochs that a Step or a Marker sees.
#[derive(Debug, Clone)]
pub struct EpochInfo {
    /// Clock of the samples.
    pub clock: Clock,
    /// Channels in order.
    pub channels: Arc<[Channel]>,
    /// Offset of the first sample from the event's sample.
    pub first: i64,
    /// Samples per channel.
    pub len: usize,
    /// Number of conditions.
    pub conditions: usize,
}

impl EpochInfo {
    /// Rate in Hz.
    pub fn rate_hz(&self) -> f64 {
        self.clock.rate_hz()
    }

    /// The index range of a window in ms, clipped to the epoch; `None` when nothing is left.
    pub fn window(&self, window_ms: [f64; 2]) -> Option<std::ops::Range<usize>> {
        crate::signal::window_range(window_ms, self.rate_hz(), self.first, self.len)
    }

    /// The index range of a window that must lie wholly inside the epoch and hold a sample; else a problem at `key`.
    pub fn window_inside(
        &self,
        key: &str,
        window_ms: [f64; 2],
        problems: &mut Problems,
    ) -> Option<std::ops::Range<usize>> {
        let span = |i: i64| i as f64 * 1e3 / self.rate_hz();
        match window_offsets(window_ms, self.rate_hz()) {
            Some((lo, hi)) if lo >= self.first && hi < self.first + self.len as i64 => {
                Some((lo - self.first) as usize..(hi - self.first + 1) as usize)
            }
            Some(_) => {
                let (a, b) = (span(self.first), span(self.first + self.len as i64 - 1));
                problems
                    .add(key, format!("{}…{} ms leaves the epoch, which is {a}…{b} ms", window_ms[0], window_ms[1]));
                None
            }
            None => {
                problems
                    .add(key, format!("{}…{} ms holds no sample at {} Hz", window_ms[0], window_ms[1], self.rate_hz()));
                None
            }
        }
    }

    /// Which channels are EEG.
    pub fn is_eeg(&self, channel: usize) -> bool {
        self.channels[channel].kind == crate::signal::ChannelKind::Eeg
    }
}

/// What parts may need to know beyond their input; earlier parts add what later ones must respect.
#[derive(Debug, Clone, Default)]
pub struct BuildContext {
    /// Events that carry a pulse: the pulse Stage bridges them.
    pub pulses: Vec<EventName>,
    /// An event may be cued this many ticks after its own sample was pushed.
    pub late_ticks: u64,
    /// Line frequency, where known.
    pub line_hz: Option<f64>,
    /// Windows in ms around each pulse that have been bridged (the pulse Stage adds its own).
    pub bridged_ms: Vec<[f64; 2]>,
    /// What the filters so far leave of the spectrum (each adds its own).
    pub passband: Passband,
    /// Names of the channels said to be bad on the command line.
    pub bad: Vec<String>,
    /// What the channels are referenced to, as Steps and Stages before have set it; empty: as recorded.
    pub reference: String,
    /// Seed of everything drawn at random.
    pub seed: u64,
    /// Threads that a Marker may use for one epoch: 1 (or 0) in a live pipeline, whose `push` is quiet. Results do not
    /// depend on it.
    pub threads: usize,
    /// Power spectral densities that Markers asked for: the engine keeps one for all who ask for the same.
    pub spectra: Vec<(PsdConfig, PsdPlan)>,
    /// The Model of the Stage that is being built, where it was fitted or one was given.
    pub model: Option<Model>,
    /// Segments of the recording, in ticks; empty where they are not known beforehand.
    pub segments: Arc<[Segment]>,
    /// Where stimulation was found, on the clock of the Stage that cleans it, which says so here.
    pub stimulation: Option<(Clock, Arc<Stimulation>)>,
}

impl BuildContext {
    /// Asks for a power spectral density of the kept epochs; [`Report::spectrum`](super::Report::spectrum) gives it back
    /// under the same number.
    pub fn spectrum(&mut self, config: &PsdConfig, input: &EpochInfo, problems: &mut Problems) -> Option<usize> {
        if let Some(known) = self.spectra.iter().position(|(c, _)| c == config) {
            return Some(known);
        }
        let plan = PsdPlan::new(config, input.clock, input.first, input.len);
        match plan.and_then(|plan| plan.affordable(input.channels.len() * input.conditions)) {
            Ok(plan) => {
                self.spectra.push((config.clone(), plan.with_threads(self.threads)));
                Some(self.spectra.len() - 1)
            }
            Err((key, message)) => {
                problems.add(&format!("psd.{key}"), message);
                None
            }
        }
    }
}

/// What a chain of filters leaves of the spectrum. An edge is where a filter takes [`EDGE_DB`]: what lies beyond looks
/// steeper or flatter than the brain made it.
#[derive(Debug, Clone, PartialEq)]
pub struct Passband {
    /// Lowest frequency that passes, Hz; 0 without a high-pass.
    pub low_hz: f64,
    /// Highest frequency that passes, Hz; infinite without a low-pass.
    pub high_hz: f64,
    /// Bands that are stopped within, Hz.
    pub stopped_hz: Vec<[f64; 2]>,
}

/// The loss of power, in dB, that counts as the edge of a [`Passband`].
pub const EDGE_DB: f64 = 1.0;

impl Default for Passband {
    fn default() -> Self {
        Self { low_hz: 0.0, high_hz: f64::INFINITY, stopped_hz: Vec::new() }
    }
}

impl Passband {
    /// A filter passes `low_hz`…`high_hz` only.
    pub fn narrow(&mut self, low_hz: f64, high_hz: f64) {
        self.low_hz = self.low_hz.max(low_hz);
        self.high_hz = self.high_hz.min(high_hz);
    }

    /// Why a measure over `low_hz`…`high_hz` is biased by a filter; `None` where it is not.
    pub fn touched(&self, low_hz: f64, high_hz: f64) -> Option<String> {
        if low_hz < self.low_hz {
            return Some(format!("high_pass: reaches down to {low_hz:.2} Hz, passes from {:.2} Hz", self.low_hz));
        }
        if high_hz > self.high_hz {
            return Some(format!("low_pass: reaches up to {high_hz:.2} Hz, passes to {:.2} Hz", self.high_hz));
        }
        let inside = |s: &&[f64; 2]| s[0] < high_hz && s[1] > low_hz;
        self.stopped_hz.iter().find(inside).map(|s| format!("band_stop: {:.2}-{:.2} Hz lies within", s[0], s[1]))
    }
}

/// Something wrong in a recipe, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `stream[1].band_hz`.
    pub path: String,
    /// What is wrong, with both numbers.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Collects every problem of a recipe.
#[derive(Debug, Default)]
pub struct Problems {
    place: String,
    list: Vec<Problem>,
}

impl Problems {
    /// From now on problems are reported under this part of the recipe, `stream[1]` say.
    pub fn enter(&mut self, place: impl Into<String>) {
        self.place = place.into();
    }

    /// A problem with key `key` (may be empty) of the current part.
    pub fn add(&mut self, key: &str, message: impl Into<String>) {
        let dot = if self.place.is_empty() || key.is_empty() { "" } else { "." };
        self.list.push(Problem { path: format!("{}{dot}{key}", self.place), message: message.into() });
    }

    /// All problems so far.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// `Err` with all problems, one per line, when there are any.
    ///
    /// # Errors
    /// As said.
    pub fn into_result(self) -> crate::Result<()> {
        if self.list.is_empty() {
            return Ok(());
        }
        let lines: Vec<_> = self.list.iter().map(ToString::to_string).collect();
        Err(crate::Error::usage(lines.join("\n")))
    }
}
