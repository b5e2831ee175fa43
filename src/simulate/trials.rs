//! When things happen: pulses and their markers.

use super::config::TmsSimulation;
use super::random::Random;
use crate::{Error, Result};
use std::f64::consts::TAU;

/// Purpose of the random numbers.
const TRIALS: u64 = 10;

/// A pulse, and what was drawn for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Pulse {
    /// Its first sample.
    pub tick: i64,
    /// Sample of its marker, where it has one.
    pub marker: Option<i64>,
    /// Gain of the brain's response; 0 under sham.
    pub gain: f64,
    /// Gain of the decay.
    pub(super) decay: f64,
    /// Frequency of the muscle burst, Hz.
    pub(super) muscle_hz: f64,
    /// Its phase at the pulse, radians.
    pub(super) muscle_phase: f64,
}

/// Pulses and markers of a recording of `length` samples.
pub(super) struct Trials {
    /// In order of time.
    pub pulses: Vec<Pulse>,
    /// Samples of markers without a pulse, in order.
    pub extra: Vec<i64>,
}

impl Trials {
    /// Draws them.
    pub fn draw(config: &TmsSimulation, length: i64) -> Result<Self> {
        let mut random = Random::new(config.seed, TRIALS);
        let mut pulses = Vec::new();
        let mut at_s = config.lead_s;
        while at_s < config.seconds - config.lead_s {
            pulses.push(Pulse::draw(config, at_s, length, &mut random));
            at_s += config.interval_s + random.between(-config.jitter_s, config.jitter_s);
        }
        let n = pulses.len();
        if config.missing_triggers > n {
            return Err(Error::usage(format!("missing_triggers: {} of {n} pulses", config.missing_triggers)));
        }
        let mut marked: Vec<usize> = (0..n).collect();
        for _ in 0..config.missing_triggers {
            let at = (random.uniform() * marked.len() as f64) as usize;
            pulses[marked.swap_remove(at)].marker = None;
        }
        let mut extra: Vec<i64> =
            (0..config.extra_triggers).map(|_| (random.uniform() * length as f64) as i64).collect();
        extra.sort_unstable();
        Ok(Self { pulses, extra })
    }
}

impl Pulse {
    fn draw(config: &TmsSimulation, at_s: f64, length: i64, random: &mut Random) -> Self {
        let tick = (at_s * config.rate_hz).round() as i64;
        let late = random.between(-config.trigger_jitter_ms, config.trigger_jitter_ms) * config.rate_hz / 1e3;
        let gain = 1.0 + config.gain_sd * random.normal();
        Self {
            tick,
            marker: Some((tick + late.round() as i64).clamp(0, length - 1)),
            gain: if config.sham { 0.0 } else { gain },
            decay: random.between(0.8, 1.2),
            muscle_hz: random.between(80.0, 150.0),
            muscle_phase: random.between(0.0, TAU),
        }
    }
}
