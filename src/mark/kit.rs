//! What the markers' tests share: a small engine, and 1/f noise.

use crate::flow::{BuildContext, ConditionFacts, EpochInfo, Marker, MarkerConfig, Problems, Report};
use crate::signal::{Averages, Channel, ChannelKind, Epoch, PsdPlan, PsdSum};
use crate::table::Table;
use crate::unit::{Clock, Rate, Unit};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// An engine for one marker: averages, flags and facts.
pub struct Kit {
    pub info: EpochInfo,
    pub enters: Vec<bool>,
    pub bad: Vec<bool>,
    pub facts: Vec<ConditionFacts>,
    pub conditions: Vec<String>,
    averages: Vec<Averages>,
    spectra: Vec<Vec<PsdSum>>,
    filled: Vec<bool>,
}

impl Kit {
    /// EEG channels of these names, one condition `pulse`, epochs over a window in ms.
    pub fn new(names: &[&str], rate_hz: f64, window_ms: [f64; 2]) -> Self {
        let clock = Clock::stored(Rate::from_hz(rate_hz).unwrap());
        let channels = names.iter().map(|n| Channel::new(*n, ChannelKind::Eeg, Unit::Microvolt)).collect();
        let (first, last) = crate::unit::window_offsets(window_ms, rate_hz).unwrap();
        let len = (last - first + 1) as usize;
        Self {
            info: EpochInfo { clock, channels, first, len, conditions: 1 },
            enters: vec![true; names.len()],
            bad: vec![false; names.len()],
            facts: Vec::new(),
            conditions: vec!["pulse".to_owned()],
            averages: vec![Averages::new(clock, first, names.len(), len)],
            spectra: Vec::new(),
            filled: vec![false; len],
        }
    }

    pub fn bridge(&mut self, window_ms: [f64; 2]) {
        self.filled[self.info.window(window_ms).unwrap()].fill(true);
    }

    pub fn build(&self, config: &dyn MarkerConfig) -> Box<dyn Marker> {
        self.planned(config).0
    }

    /// For a marker that reads power spectral densities: keeps those it asked for.
    pub fn build_with_spectra(&mut self, config: &dyn MarkerConfig) -> Box<dyn Marker> {
        let (marker, context) = self.planned(config);
        let sums = |plan: &PsdPlan| (0..self.info.conditions).map(|_| plan.sum(self.enters.len())).collect();
        self.spectra = context.spectra.iter().map(|(_, plan)| sums(plan)).collect();
        marker
    }

    fn planned(&self, config: &dyn MarkerConfig) -> (Box<dyn Marker>, BuildContext) {
        let (mut problems, mut context) = (Problems::default(), BuildContext::default());
        let marker = config.build(&self.info, &mut context, &mut problems);
        (marker.unwrap_or_else(|| panic!("{:?}", problems.list())), context)
    }

    pub fn problems(&self, config: &dyn MarkerConfig) -> Vec<String> {
        let mut problems = Problems::default();
        assert!(config.build(&self.info, &mut BuildContext::default(), &mut problems).is_none());
        problems.list().iter().map(ToString::to_string).collect()
    }

    /// A kept trial with `value(channel, sample, ms)`.
    pub fn feed(
        &mut self,
        marker: &mut dyn Marker,
        trial: u64,
        condition: u16,
        value: impl Fn(usize, usize, f64) -> f64,
    ) {
        let mut epoch = Epoch::new(self.info.clock, self.info.first, self.enters.len(), self.info.len);
        (epoch.trial, epoch.condition, epoch.onset_s) = (trial, condition, 4.0 * trial as f64);
        epoch.filled.clone_from(&self.filled);
        epoch.enters.clone_from(&self.enters);
        epoch.bad.clone_from(&self.bad);
        for c in 0..self.enters.len() {
            for i in 0..self.info.len {
                let t = epoch.time_ms(i);
                epoch.channel_mut(c)[i] = value(c, i, t);
            }
        }
        self.averages[usize::from(condition)].add(&epoch);
        self.spectra.iter_mut().for_each(|s| s[usize::from(condition)].add(&epoch));
        marker.observe(&epoch);
    }

    pub fn report(&self, marker: &dyn Marker) -> Vec<Table> {
        marker.report(&Report {
            input: &self.info,
            enters: &self.enters,
            bad: &self.bad,
            conditions: &self.conditions,
            averages: &self.averages,
            spectra: &self.spectra,
            events: &self.facts,
        })
    }
}

/// A number that must be there.
pub fn number(table: &Table, row: usize, column: &str) -> f64 {
    table.number(row, column).unwrap_or_else(|| panic!("{column} of row {row}: {:?}", table.cell(row, column)))
}

/// Gaussian 1/f noise that runs on between trials: AR(1) processes an octave and a half apart, of equal variance.
pub struct Noise {
    random: ChaCha8Rng,
    keep: Vec<f64>,
    state: Vec<Vec<f64>>,
}

impl Noise {
    pub fn new(seed: u64, channels: usize, rate_hz: f64) -> Self {
        let keep: Vec<f64> = (0..6).map(|k| (-1.0 / (0.002 * 2.83_f64.powi(k) * rate_hz)).exp()).collect();
        let state = vec![vec![0.0; keep.len()]; channels];
        let mut noise = Self { random: ChaCha8Rng::seed_from_u64(seed), keep, state };
        noise.skip(1_000_000);
        noise
    }

    /// Sum of four uniform numbers, variance 1.
    fn gauss(&mut self) -> f64 {
        let bits = self.random.next_u64();
        let sum: f64 = (0..4).map(|k| f64::from((bits >> (16 * k)) as u16)).sum();
        (sum / 65535.0 - 2.0) * 3_f64.sqrt()
    }

    /// Lets samples pass, exactly.
    pub fn skip(&mut self, samples: i32) {
        for c in 0..self.state.len() {
            for k in 0..self.keep.len() {
                let keep = self.keep[k].powi(samples);
                self.state[c][k] = keep * self.state[c][k] + (1.0 - keep * keep).sqrt() * self.gauss();
            }
        }
    }

    /// One trial, average reference and mean of the first 40 % removed, µV.
    pub fn trial(&mut self, len: usize) -> Vec<Vec<f64>> {
        let mut data = vec![vec![0.0; len]; self.state.len()];
        for i in 0..len {
            for (c, row) in data.iter_mut().enumerate() {
                for k in 0..self.keep.len() {
                    let keep = self.keep[k];
                    self.state[c][k] = keep * self.state[c][k] + (1.0 - keep * keep).sqrt() * self.gauss();
                }
                row[i] = 5.0 * self.state[c].iter().sum::<f64>();
            }
            // neighbours share a part, as scalp channels do
            let common: f64 = data[..4].iter().map(|row| row[i]).sum::<f64>() / 4.0;
            data[..4].iter_mut().for_each(|row| row[i] += common);
            let mean = data.iter().map(|row| row[i]).sum::<f64>() / data.len() as f64;
            data.iter_mut().for_each(|row| row[i] -= mean);
        }
        for row in &mut data {
            let base = row[..len * 2 / 5].iter().sum::<f64>() / (len * 2 / 5) as f64;
            row.iter_mut().for_each(|v| *v -= base);
        }
        data
    }
}
