//! A tACS recording with a known truth: a resting brain under the artefact of an alternating current, with ramps,
//! pauses, harmonics, a clock of its own, drift, modulation by breathing and heart, and an amplifier that clips.
//!
//! x_c(t) = clip[ brain_c(t) + a_c · gain(t) · wave(t) ]. The brain is that of a
//! [`RestSimulation`](super::RestSimulation) of the same seed; a_c is the potential of two electrodes on a sphere; the
//! wave is what the stimulator sends and what its copy, the last channel, shows; the gain (drift, breathing, heart) is
//! what the body makes of it. All from the sample's index.

mod config;
mod current;
#[cfg(test)]
mod tests;
mod truth;

pub use config::TacsSimulation;
pub use current::Stretch;
pub use truth::{TRUTH_FIELD, TRUTH_STIMULATION};

use super::electrodes::Amplifier;
use super::response::lanes;
use super::rest::Rest;
use super::scalp::Scalp;
use super::simulator::{CHUNK, Play, Simulator};
use crate::Result;
use crate::signal::{Block, Channel, ChannelKind, Event, EventName, Lanes, Recording, montage};
use crate::table::Table;
use crate::unit::{Tick, Unit};
use current::{Current, field};

/// A simulated tACS recording.
pub type TacsSimulator = Simulator<Tacs>;

/// What a tACS recording is made of.
#[derive(Debug, Clone)]
pub struct Tacs {
    config: TacsSimulation,
    rest: Rest,
    current: Current,
    /// The artefact's amplitude at every channel, µV, and where it is largest.
    field: Vec<f64>,
    field_lanes: Vec<Lanes>,
    peak: usize,
    amplifier: Amplifier,
    /// The current of a chunk's samples over its peak, and what the body makes of it.
    waves: Vec<[f64; 2]>,
}

impl TacsSimulation {
    /// Plans the recording: the EEG channels, then the copy of the current, `STIM` in mA.
    ///
    /// # Errors
    /// When values contradict each other or the room they need: all of them, one per line, each with its name.
    pub fn build(&self) -> Result<TacsSimulator> {
        self.check()?;
        let scalp = Scalp::new(self.brain.channels)?;
        let (rest, mut recording) = self.brain.plan(&scalp)?;
        let mut amplifier = rest.amplifier.clone();
        amplifier.saturate(&self.brain.contacts(), &scalp, &self.saturated, self.saturated_uv)?;
        let current = Current::new(self);
        let places = [0, 1].map(|e: usize| montage::position_of(&self.electrodes[e]).unwrap_or([0.0, 0.0, 1.0]));
        let (map, peak) = field(&scalp, places);
        let field: Vec<f64> = map.into_iter().map(|v| 1e3 * self.artefact_mv * v).collect();
        self.describe(&mut recording, &current, &amplifier);
        let play = Tacs {
            config: self.clone(),
            rest,
            current,
            field_lanes: lanes(&field),
            field,
            peak,
            amplifier,
            waves: vec![[0.0; 2]; CHUNK],
        };
        Ok(Simulator::new(play, recording))
    }

    /// Adds to the brain's recording what stimulation brings: its channel, its events, the channels that saturate.
    fn describe(&self, recording: &mut Recording, current: &Current, amplifier: &Amplifier) {
        recording.name = "simulated-tacs".into();
        let on = recording.event_names.len() as u32;
        recording.event_names.extend([self.event_on.clone(), self.event_off.clone()]);
        for stream in &mut recording.streams {
            for (channel, limit) in stream.channels.iter_mut().zip(&amplifier.limits) {
                channel.range = limit.is_finite().then_some([-limit, *limit]);
            }
            stream.file_index.push(stream.channels.len());
            stream.channels.push(Channel::new("STIM", ChannelKind::Stim, Unit::Milliampere));
        }
        let last = recording.main_stream().len() as i64 - 1;
        for stretch in &current.stretches {
            let duration_s = (stretch.end - stretch.first) as f64 / self.brain.rate_hz;
            let start = Event { duration_s, ..Event::new(Tick(stretch.first), EventName(on)) };
            recording.events.extend([start, Event::new(Tick(stretch.end.min(last)), EventName(on + 1))]);
        }
        recording.events.sort_by_key(|event| event.tick);
    }
}

impl Simulator<Tacs> {
    /// When the current flows.
    pub fn stretches(&self) -> &[Stretch] {
        &self.play.current.stretches
    }
}

impl Play for Tacs {
    fn make(&mut self, chunk: &mut Block) {
        self.rest.feel(chunk);
        for (tick, wave) in (chunk.first()..chunk.end()).zip(&mut self.waves) {
            *wave = self.current.wave(tick).map_or([0.0; 2], |wave| [wave, self.current.gain(tick)]);
        }
        for (group, field) in self.field_lanes.iter().enumerate() {
            for (lanes, [wave, gain]) in chunk.group_mut(group).iter_mut().zip(&self.waves) {
                lanes.iter_mut().zip(field).for_each(|(v, a)| *v += a * (gain * wave));
            }
        }
        self.amplifier.apply(chunk);
        for sample in 0..chunk.len() {
            chunk.set(self.field.len(), sample, self.config.current_ma * self.waves[sample][0]);
        }
    }

    fn restart(&mut self) {
        self.rest.restart();
        self.amplifier.restart();
    }

    /// `truth_stimulation`, `truth_field`, `truth_spectrum` and `truth_coupling`.
    fn truth(&self, recording: &Recording) -> Vec<Table> {
        self.truth_tables(recording)
    }
}
