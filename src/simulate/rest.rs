//! A resting recording with a known truth: 1/f activity, an alpha rhythm that follows the eyes, two coupled sources of
//! which one leads, two that are independent, blinks, line noise and poor electrodes.
//!
//! All brain activity is in average reference over the simulated electrodes: each rhythm is a radial dipole in a
//! spherical head.

mod config;
mod rhythms;
#[cfg(test)]
mod tests;
mod truth;

pub use config::RestSimulation;
pub use truth::{TRUTH_COUPLING, TRUTH_SPECTRUM};

use super::background::Background;
use super::blinks::Blinks;
use super::electrodes::Amplifier;
use super::scalp::Scalp;
use super::simulator::{CHUNK, Play, Simulator, describe, length};
use crate::Result;
use crate::signal::{Block, Event, EventName, Recording};
use crate::table::Table;
use crate::unit::Tick;
use rhythms::Rhythms;

/// Event names, which are conditions too: eyes closed, eyes open.
pub(super) const CLOSED: u16 = 0;
pub(super) const OPEN: u16 = 1;

/// A simulated resting recording.
pub type RestSimulator = Simulator<Rest>;

/// What a resting recording is made of.
#[derive(Debug, Clone)]
pub struct Rest {
    config: RestSimulation,
    background: Background,
    rhythms: Rhythms,
    blinks: Blinks,
    pub(super) amplifier: Amplifier,
}

impl RestSimulation {
    /// Plans the recording.
    ///
    /// # Errors
    /// When values contradict each other or the room they need: all of them, one per line, each with its name.
    pub fn build(&self) -> Result<RestSimulator> {
        self.check()?;
        let (rest, recording) = self.plan(&Scalp::new(self.channels)?)?;
        Ok(Simulator::new(rest, recording))
    }

    /// The parts and their description; the values have been checked.
    pub(super) fn plan(&self, scalp: &Scalp) -> Result<(Rest, Recording)> {
        let length = length(self.seconds, self.rate_hz);
        let mut background = Background::new(scalp, self.rate_hz, self.levels(), self.seed);
        background.reserve(CHUNK);
        let amplifier = Amplifier::new(&self.contacts(), scalp, self.seed)?;
        let rhythms = Rhythms::new(self, scalp)?;
        let mut blinks = Blinks::draw(self.blinking(), scalp, self.rate_hz, length, self.seed);
        let eyes = rhythms.eyes;
        if eyes.block > 0 {
            blinks.starts.retain(|&start| eyes.open(start));
        }
        let block = |first: i64| {
            let name = EventName(u32::from(if eyes.open(first) { OPEN } else { CLOSED }));
            let duration_s = eyes.block.min(length - first) as f64 / self.rate_hz;
            Event { duration_s, ..Event::new(Tick(first), name) }
        };
        let blocks = (0..length).step_by(eyes.block.max(1) as usize);
        let recording = Recording {
            events: if eyes.block > 0 { blocks.map(block).collect() } else { Vec::new() },
            event_names: if eyes.block > 0 { vec!["EC".into(), "EO".into()] } else { Vec::new() },
            line_hz: (self.line_uv > 0.0).then_some(self.line_hz),
            ..describe("simulated-rest", scalp, &amplifier.limits, self.rate_hz, length)?
        };
        Ok((Rest { config: self.clone(), background, rhythms, blinks, amplifier }, recording))
    }
}

impl Rest {
    /// What reaches the electrodes: overwrites the samples of `chunk`'s EEG channels.
    pub(super) fn feel(&mut self, chunk: &mut Block) {
        self.background.fill(chunk);
        self.rhythms.add(chunk);
        self.blinks.add(chunk);
    }
}

impl Play for Rest {
    fn make(&mut self, chunk: &mut Block) {
        self.feel(chunk);
        self.amplifier.apply(chunk);
    }

    fn restart(&mut self) {
        self.background.reset();
        self.rhythms.restart();
        self.amplifier.restart();
    }

    /// `truth_spectrum` and `truth_coupling`.
    fn truth(&self, recording: &Recording) -> Vec<Table> {
        self.truth_tables(recording)
    }
}
