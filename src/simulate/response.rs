//! What follows a pulse: the brain's response and the artefacts, each a course over time and a map over electrodes.

use super::config::{Component, TmsSimulation};
use super::random::Random;
use super::scalp::Scalp;
use super::trials::Pulse;
use crate::signal::{Block, LANES, Lanes, montage};
use std::f64::consts::TAU;

/// Purpose of the random numbers.
const ELECTRODES: u64 = 11;

/// A component as it was simulated.
#[derive(Debug, Clone, PartialEq)]
pub struct TrueComponent {
    /// What was asked for.
    pub component: Component,
    /// For each channel its size at the component's peak, µV.
    pub map_uv: Vec<f64>,
    /// Channel where it is largest.
    pub peak: usize,
}

/// What follows each pulse: courses by sample since the pulse, maps by group of eight channels.
#[derive(Debug, Clone)]
pub(super) struct Response {
    /// Samples from a pulse to the end of everything it caused.
    pub len: usize,
    /// For each group the evoked response at gain 1, µV.
    evoked: Vec<Vec<Lanes>>,
    decay: Vec<f64>,
    decay_map: Vec<Lanes>,
    muscle: Vec<f64>,
    muscle_map: Vec<Lanes>,
    /// Pulse and recharge: both come through the cables near the coil.
    cable: Vec<f64>,
    cable_map: Vec<Lanes>,
    rate_hz: f64,
}

/// The components that are simulated, with their maps.
pub(super) fn true_components(config: &TmsSimulation, scalp: &Scalp) -> Vec<TrueComponent> {
    let asked = match (config.sham, config.components.is_empty()) {
        (true, _) => Vec::new(),
        (false, true) => config.site.components(),
        (false, false) => config.components.clone(),
    };
    let one = |component: Component| {
        let direction = montage::position_of(&component.under).unwrap_or([0.0, 0.0, 1.0]);
        let (map, peak) = scalp.dipole(direction, component.depth);
        let map_uv = map.into_iter().map(|v| v * component.amplitude_uv).collect();
        TrueComponent { component, map_uv, peak }
    };
    asked.into_iter().map(one).collect()
}

impl Response {
    /// Plans it.
    pub fn new(config: &TmsSimulation, scalp: &Scalp, components: &[TrueComponent]) -> Self {
        let rate_hz = config.rate_hz;
        let samples = |ms: f64| (ms * rate_hz / 1e3).ceil() as usize;
        let time_ms = |i: usize| i as f64 * 1e3 / rate_hz;
        // each part until 1e-13 of it is left
        let evoked_len =
            components.iter().map(|c| c.component.latency_ms + 8.0 * c.component.width_ms).fold(0.0, f64::max);
        let mut evoked = vec![vec![[0.0; LANES]; samples(evoked_len)]; config.channels.div_ceil(LANES)];
        let mut row = vec![0.0; config.channels];
        for i in 0..samples(evoked_len) {
            row.fill(0.0);
            evoked_at(components, time_ms(i), &mut row);
            evoked.iter_mut().zip(lanes(&row)).for_each(|(group, lanes)| group[i] = lanes);
        }
        let course = |amplitude: f64, ms: f64, at: &dyn Fn(f64) -> f64| -> Vec<f64> {
            if amplitude == 0.0 { Vec::new() } else { (0..samples(ms)).map(|i| amplitude * at(time_ms(i))).collect() }
        };
        let decay = course(config.decay_uv, 30.0 * config.decay_ms, &|t| (-t / config.decay_ms).exp());
        let muscle = course(config.muscle_uv, 180.0, &|t| (-t / 6.0).exp());
        // the coil's field is the current's derivative: a cosine
        let mut cable = course(config.pulse_uv, 24.0, &|t| (TAU * t / 0.6).cos() * (-t / 0.8).exp());
        if config.recharge_uv > 0.0 {
            let (start, len) = (samples(config.recharge_ms), samples(2.0).max(1));
            cable.resize(cable.len().max(start + len), 0.0);
            for (i, value) in cable[start..start + len].iter_mut().enumerate() {
                *value += config.recharge_uv * (1.0 - i as f64 / len as f64);
            }
        }
        // near the coil things are worse; how badly, and with which sign, is up to each electrode
        let coil = montage::position_of(config.site.coil()).unwrap_or([0.0, 0.0, 1.0]);
        let near = scalp.nearness(coil, 0.8);
        let mut random = Random::new(config.seed, ELECTRODES);
        let to_one = |map: Vec<f64>| {
            let largest = map.iter().fold(f64::MIN_POSITIVE, |a, v| a.max(v.abs()));
            lanes(&map.into_iter().map(|v| v / largest).collect::<Vec<_>>())
        };
        let decay_map = to_one(near.iter().map(|n| (0.1 + n) * random.normal()).collect());
        // the temporal muscle on the coil's side
        let temple = scalp.nearness([-0.92, 0.38, -0.1], 0.6);
        let muscle_map = to_one(temple.iter().map(|n| n * random.between(0.5, 1.0)).collect());
        let cable_map = to_one(near.iter().map(|n| (0.3 + n) * random.between(0.8, 1.0)).collect());
        let len = samples(evoked_len).max(decay.len()).max(muscle.len()).max(cable.len());
        Self { len, evoked, decay, decay_map, muscle, muscle_map, cable, cable_map, rate_hz }
    }

    /// Adds everything that follows `pulse` to the chunk's samples.
    pub fn add(&self, chunk: &mut Block, pulse: &Pulse) {
        for (group, evoked) in self.evoked.iter().enumerate() {
            let (at, from, len) = overlap(chunk, pulse.tick, evoked.len());
            let out = &mut chunk.group_mut(group)[at..at + len];
            for (lanes, evoked) in out.iter_mut().zip(&evoked[from..from + len]) {
                lanes.iter_mut().zip(evoked).for_each(|(v, e)| *v += pulse.gain * e);
            }
        }
        add(chunk, pulse.tick, &self.decay, pulse.decay, &self.decay_map);
        add(chunk, pulse.tick, &self.cable, 1.0, &self.cable_map);
        let (at, from, len) = overlap(chunk, pulse.tick, self.muscle.len());
        for i in 0..len {
            let cycles = (from + i) as f64 * pulse.muscle_hz / self.rate_hz;
            let value = self.muscle[from + i] * (TAU * cycles + pulse.muscle_phase).sin();
            for (group, map) in self.muscle_map.iter().enumerate() {
                let lanes = &mut chunk.group_mut(group)[at + i];
                lanes.iter_mut().zip(map).for_each(|(v, m)| *v += value * m);
            }
        }
    }
}

/// Where a course of `len` samples from tick `start` meets the chunk: (place in the chunk, place in the course, length).
fn overlap(chunk: &Block, start: i64, len: usize) -> (usize, usize, usize) {
    let (lo, hi) = (start.max(chunk.first()), (start + len as i64).min(chunk.end()));
    if lo >= hi { (0, 0, 0) } else { ((lo - chunk.first()) as usize, (lo - start) as usize, (hi - lo) as usize) }
}

/// Adds gain · course · map from tick `start` on.
pub(super) fn add(chunk: &mut Block, start: i64, course: &[f64], gain: f64, map: &[Lanes]) {
    let (at, from, len) = overlap(chunk, start, course.len());
    for (group, map) in map.iter().enumerate() {
        let out = &mut chunk.group_mut(group)[at..at + len];
        for (lanes, value) in out.iter_mut().zip(&course[from..from + len]) {
            lanes.iter_mut().zip(map).for_each(|(v, m)| *v += gain * value * m);
        }
    }
}

/// Adds all components at `time_ms` to one value per channel.
pub(super) fn evoked_at(components: &[TrueComponent], time_ms: f64, out: &mut [f64]) {
    if time_ms < 0.0 {
        return;
    }
    for TrueComponent { component, map_uv, .. } in components {
        let course = (-0.5 * ((time_ms - component.latency_ms) / component.width_ms).powi(2)).exp();
        out.iter_mut().zip(map_uv).for_each(|(v, m)| *v += course * m);
    }
}

/// A map in groups of eight channels.
pub(super) fn lanes(map: &[f64]) -> Vec<Lanes> {
    map.chunks(LANES).map(|part| std::array::from_fn(|l| part.get(l).copied().unwrap_or(0.0))).collect()
}
