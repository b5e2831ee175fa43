//! Electrodes with poor contact, and the amplifier's range and digits.

use super::check::Checks;
use super::random::Random;
use super::response::lanes;
use super::scalp::Scalp;
use crate::signal::{Block, LANES, Lanes};
use crate::{Error, Result};

/// Purpose of the random numbers.
const FAULTS: u64 = 13;

/// What is wrong with the electrodes, and what the amplifier can tell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contacts<'a> {
    /// Electrodes without contact.
    pub flat: &'a [String],
    /// Electrodes with white noise on top, and its root mean square, µV.
    pub noisy: &'a [String],
    pub noisy_uv: f64,
    /// The amplifier clips at ± this, µV; 0: never.
    pub range_uv: f64,
    /// Steps of its digits, µV; 0: none.
    pub resolution_uv: f64,
}

impl Contacts<'_> {
    /// Adds what is wrong with the values.
    pub fn check(&self, checks: &mut Checks) {
        checks.amplitudes(&[
            ("noisy_uv", self.noisy_uv),
            ("range_uv", self.range_uv),
            ("resolution_uv", self.resolution_uv),
        ]);
        if self.range_uv > 0.0 && self.range_uv < self.resolution_uv {
            checks.add("range_uv", format!("{} is less than one step of {}", self.range_uv, self.resolution_uv));
        }
    }

    /// The largest value that is told when the range is `range_uv`, µV; infinite where there is none.
    fn limit(&self, range_uv: f64) -> f64 {
        match (range_uv, self.resolution_uv) {
            (0.0, _) => f64::INFINITY,
            (range, 0.0) => range,
            (range, step) => (range / step + 1e-9).floor() * step,
        }
    }
}

/// The last link: adds contact noise, rounds and clips.
#[derive(Debug, Clone)]
pub(super) struct Amplifier {
    pub flat: Vec<usize>,
    pub noisy: Vec<usize>,
    noisy_uv: f64,
    step: f64,
    /// For each channel the largest value it tells, µV.
    pub limits: Vec<f64>,
    limit_lanes: Vec<Lanes>,
    noise: Random,
    seed: u64,
}

impl Amplifier {
    /// Plans it.
    ///
    /// # Errors
    /// When a named channel is not simulated.
    pub fn new(contacts: &Contacts, scalp: &Scalp, seed: u64) -> Result<Self> {
        let mut amplifier = Self {
            flat: find("flat", scalp, contacts.flat)?,
            noisy: find("noisy", scalp, contacts.noisy)?,
            noisy_uv: contacts.noisy_uv,
            step: contacts.resolution_uv,
            limits: vec![contacts.limit(contacts.range_uv); scalp.names.len()],
            limit_lanes: Vec::new(),
            noise: Random::new(seed, FAULTS),
            seed,
        };
        amplifier.limit_lanes = lanes(&amplifier.limits);
        Ok(amplifier)
    }

    /// From now on these channels clip at ± `range_uv`.
    ///
    /// # Errors
    /// When a named channel is not simulated.
    pub fn saturate(&mut self, contacts: &Contacts, scalp: &Scalp, names: &[String], range_uv: f64) -> Result<()> {
        for channel in find("saturated", scalp, names)? {
            self.limits[channel] = self.limits[channel].min(contacts.limit(range_uv));
        }
        self.limit_lanes = lanes(&self.limits);
        Ok(())
    }

    /// What comes out for what went in.
    pub fn apply(&mut self, chunk: &mut Block) {
        for sample in 0..chunk.len() {
            for &channel in &self.noisy {
                let value = chunk.get(channel, sample) + self.noisy_uv * self.noise.normal();
                chunk.set(channel, sample, value);
            }
        }
        for (group, limits) in self.limit_lanes.iter().enumerate() {
            digitise(chunk.group_mut(group), limits, self.step);
        }
        for &channel in &self.flat {
            (0..chunk.len()).for_each(|sample| chunk.set(channel, sample, 0.0));
        }
    }

    /// White noise of one electrode beyond its own, root mean square, µV.
    pub fn contact_noise_uv(&self, channel: usize) -> f64 {
        if self.noisy.contains(&channel) { self.noisy_uv } else { 0.0 }
    }

    /// Back to sample 0.
    pub fn restart(&mut self) {
        self.noise = Random::new(self.seed, FAULTS);
    }
}

/// Rounds to multiples of `step` (unless 0) and clips at ± `limits`.
fn digitise(samples: &mut [Lanes], limits: &Lanes, step: f64) {
    if step > 0.0 {
        samples.iter_mut().flatten().for_each(|v| *v = (*v / step).round() * step);
    }
    for lanes in samples {
        (0..LANES).for_each(|l| lanes[l] = lanes[l].clamp(-limits[l], limits[l]));
    }
}

fn find(key: &str, scalp: &Scalp, names: &[String]) -> Result<Vec<usize>> {
    let at = |n: &str| scalp.names.iter().position(|own| own.eq_ignore_ascii_case(n));
    let n = scalp.names.len();
    let one = |name: &String| {
        at(name).ok_or_else(|| Error::usage(format!("{key}: no channel `{name}` among the {n} simulated")))
    };
    names.iter().map(one).collect()
}
