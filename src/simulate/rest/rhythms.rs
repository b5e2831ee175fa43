//! The rhythms of a resting brain: alpha that follows the eyes, a coupled pair of sources, and an independent pair.

use super::RestSimulation;
use crate::Result;
use crate::signal::{Block, Lanes, montage};
use crate::simulate::oscillator::Oscillator;
use crate::simulate::random::Random;
use crate::simulate::response::lanes;
use crate::simulate::scalp::Scalp;
use crate::{Error, simulate::simulator::CHUNK};

/// How deep they lie, in units of the head's radius: alpha spreads wide, the others are focal.
const WIDE: f64 = 0.7;
const FOCAL: f64 = 0.85;
/// Purpose of the random numbers.
const RHYTHMS: u64 = 20;
/// Alpha, the pair, the two beta sources.
const SOURCES: usize = 5;

/// A source's dipole as the electrodes see it.
#[derive(Debug, Clone)]
pub(super) struct Topography {
    /// For each channel what a source of unit size gives, µV.
    pub map_uv: Vec<f64>,
    /// Channel where it is largest.
    pub peak: usize,
    lanes: Vec<Lanes>,
}

impl Topography {
    fn new(scalp: &Scalp, under: &str, depth: f64, uv: f64) -> Self {
        let (map, peak) = scalp.dipole(montage::position_of(under).unwrap_or([0.0, 0.0, 1.0]), depth);
        let map_uv: Vec<f64> = map.into_iter().map(|v| v * uv).collect();
        Self { lanes: lanes(&map_uv), map_uv, peak }
    }
}

/// When eyes are closed and open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Eyes {
    /// Samples of a block; 0: closed throughout.
    pub block: i64,
    /// Gain of alpha while they are open.
    pub open_gain: f64,
}

impl Eyes {
    /// Whether they are open at `tick`.
    pub fn open(self, tick: i64) -> bool {
        self.block > 0 && (tick / self.block) % 2 == 1
    }
}

/// All rhythms, sample after sample.
#[derive(Debug, Clone)]
pub(super) struct Rhythms {
    /// In order: alpha, leader, follower, beta, beta.
    pub topographies: [Topography; SOURCES],
    pub eyes: Eyes,
    /// Delay of the follower, samples.
    pub lag: i64,
    /// Size of the pair's coherency.
    coherency: f64,
    oscillators: [Oscillator; SOURCES],
    /// The leader's last `lag` + 1 values: that of tick t at t mod (lag + 1).
    past: Vec<f64>,
    random: Random,
    seed: u64,
    values: Vec<[f64; SOURCES]>,
}

impl Rhythms {
    /// Plans them; the values have been checked.
    ///
    /// # Errors
    /// When the cap is so sparse that both sources of the pair are largest at the same electrode.
    pub fn new(config: &RestSimulation, scalp: &Scalp) -> Result<Self> {
        let [pair, beta] = [&config.pair_under, &config.beta_under];
        let topographies = [
            Topography::new(scalp, &config.alpha_under, WIDE, config.alpha_uv),
            Topography::new(scalp, &pair[0], FOCAL, config.pair_uv),
            Topography::new(scalp, &pair[1], FOCAL, config.pair_uv),
            Topography::new(scalp, &beta[0], FOCAL, config.beta_uv),
            Topography::new(scalp, &beta[1], FOCAL, config.beta_uv),
        ];
        let (leader, follower) = (topographies[1].peak, topographies[2].peak);
        if leader == follower && config.pair_uv > 0.0 {
            let at = &scalp.names[leader];
            return Err(Error::usage(format!("pair_under: both sources are largest at `{at}`, so none can lead")));
        }
        let band = |[lo, hi]: [f64; 2]| Oscillator::new(0.5 * (lo + hi), hi - lo, config.rate_hz);
        let alpha = Oscillator::new(config.alpha_hz, config.alpha_width_hz, config.rate_hz);
        let (coupled, free) = (band(config.pair_band_hz), band(config.beta_band_hz));
        let lag = (config.pair_lag_ms * config.rate_hz / 1e3).round() as i64;
        let block = (config.eyes_s * config.rate_hz).round() as i64;
        let mut rhythms = Self {
            topographies,
            eyes: Eyes { block, open_gain: config.eyes_open_gain },
            lag,
            coherency: config.pair_coherency,
            oscillators: [alpha, coupled.clone(), coupled, free.clone(), free],
            past: vec![0.0; lag.unsigned_abs() as usize + 1],
            random: Random::new(config.seed, RHYTHMS),
            seed: config.seed,
            values: vec![[0.0; SOURCES]; CHUNK],
        };
        rhythms.restart();
        Ok(rhythms)
    }

    /// Back to sample 0.
    pub fn restart(&mut self) {
        let Self { oscillators, random, past, .. } = self;
        *random = Random::new(self.seed, RHYTHMS);
        oscillators.iter_mut().for_each(|o| o.start(random));
        // what the leader did before the recording began
        past[0] = 0.0;
        past[1..].iter_mut().for_each(|v| *v = oscillators[1].next(random));
    }

    /// Adds the next samples to `chunk`.
    pub fn add(&mut self, chunk: &mut Block) {
        let own = (1.0 - self.coherency * self.coherency).sqrt();
        let ring = self.past.len();
        for (tick, values) in (chunk.first()..chunk.end()).zip(&mut self.values) {
            for (value, oscillator) in values.iter_mut().zip(&mut self.oscillators) {
                *value = oscillator.next(&mut self.random);
            }
            if self.eyes.open(tick) {
                values[0] *= self.eyes.open_gain;
            }
            let at = tick.unsigned_abs() as usize % ring;
            self.past[at] = values[1];
            values[2] = self.coherency * self.past[(at + 1) % ring] + own * values[2];
        }
        for (source, topography) in self.topographies.iter().enumerate() {
            for (group, map) in topography.lanes.iter().enumerate() {
                for (lanes, values) in chunk.group_mut(group).iter_mut().zip(&self.values) {
                    lanes.iter_mut().zip(map).for_each(|(v, m)| *v += m * values[source]);
                }
            }
        }
    }

    /// Root mean square of the pair at one channel, µV: what the two add up to.
    pub fn pair_uv(&self, channel: usize) -> f64 {
        let [a, b] = [1, 2].map(|s: usize| self.topographies[s].map_uv[channel]);
        let common = self.coherency * self.oscillators[1].autocorrelation(self.lag);
        (a * a + b * b + 2.0 * a * b * common).max(0.0).sqrt()
    }

    /// Root mean square of the two beta sources at one channel, µV.
    pub fn beta_uv(&self, channel: usize) -> f64 {
        self.topographies[3].map_uv[channel].hypot(self.topographies[4].map_uv[channel])
    }
}
