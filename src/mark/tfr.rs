//! Tables `tfr`, `tfr_bands` and `natural_frequency`: power and phase locking over time and frequency.
//!
//! Of each trial's transform z only sums are kept: Σ|z|² and Σ z/|z| per cell, and Σx per sample. The evoked power is that
//! of the mean trial's transform, because the transform is linear, and the induced power (each trial's after the evoked
//! response has been subtracted from it) follows without a second pass: Σ|z − z̄|² = Σ|z|² − n|z̄|².

mod report;
mod sums;
mod transform;

use super::bands::{self, Bands};
use super::site::{LocatedRoi, SiteChoice};
use crate::dsp::dpss::dpss;
use crate::dsp::iir::{Band, butterworth};
use crate::dsp::morlet::{Bank, Wavelet, morlet, sigma_s, tapered};
use crate::flow::{BuildContext, EpochInfo, Marker, MarkerConfig, Problems, Report};
use crate::names::glob;
use crate::signal::Epoch;
use crate::table::{Table, TableSpec};
pub use report::{NATURAL_FREQUENCY, TFR, TFR_BANDS};
use serde::{Deserialize, Serialize};
use sums::{Axis, Pending, Piece, Plan};
use transform::Transform;

/// How a trial is taken apart into frequencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Morlet wavelets.
    Morlet,
    /// Oscillations under several orthogonal tapers (Thomson 1982, doi:10.1109/PROC.1982.12433).
    Multitaper,
    /// Butterworth band-passes (zero phase), then the analytic signal.
    Hilbert,
}

/// Which power is averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// Mean over trials of their power.
    Total,
    /// The same after the evoked response has been subtracted from each trial.
    Induced,
    /// Power of the mean trial.
    Evoked,
}

/// What power P is compared with: its mean B (and standard deviation) over the baseline's cells at the same frequency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Baseline {
    /// 10 log10(P / B).
    Db,
    /// 100 (P − B) / B.
    Percent,
    /// (P − B) / SD over the baseline's cells (divisor N).
    Z,
    /// log10(P / B).
    Logratio,
    /// P − B.
    Mean,
    /// No comparison.
    None,
}

impl Baseline {
    fn apply(self, power: f64, (mean, sd): (f64, f64)) -> f64 {
        match self {
            Self::Db => 10.0 * (power / mean).log10(),
            Self::Percent => 100.0 * (power - mean) / mean,
            Self::Z => (power - mean) / sd,
            Self::Logratio => (power / mean).log10(),
            Self::Mean => power - mean,
            Self::None => f64::NAN,
        }
    }
}

/// `use = "tfr"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TfrConfig {
    /// `morlet` (default), `multitaper` or `hilbert`.
    pub mode: Mode,
    /// Lowest and highest frequency; for `hilbert` the bands count instead.
    pub range_hz: [f64; 2],
    /// From one frequency to the next.
    pub step_hz: f64,
    /// Length of the wavelets: σ_t = n_cycles / (2πf) for Morlet, a window of n_cycles / f for multitaper.
    pub n_cycles: f64,
    /// Whether wavelets have no mean, so that a constant does not leak into low frequencies.
    pub zero_mean: bool,
    /// Multitaper: time × (full) bandwidth; floor(this − 1) tapers.
    pub time_bandwidth: f64,
    /// Hilbert: order of the band-pass (applied forward and backward).
    pub order: usize,
    /// `total` (default), `induced` or `evoked`.
    pub power: Power,
    /// Both ends included.
    pub baseline_ms: [f64; 2],
    /// `db` (default), `percent`, `z`, `logratio`, `mean` or `none`.
    pub baseline: Baseline,
    /// Compare each trial with its own baseline and average the result, instead of comparing the average.
    pub baseline_per_trial: bool,
    /// Time from one cell to the next, to the nearest whole number of samples; t = 0 is a cell.
    pub step_ms: f64,
    /// Names or globs of the EEG channels to transform.
    pub channels: Vec<String>,
    /// Whether table `tfr`, which has a row per cell, is written. Default: yes.
    pub series: bool,
    /// Windows of `tfr_bands`; none: no such table.
    pub windows_ms: Vec<[f64; 2]>,
    /// Window of `natural_frequency`, a table that needs a baseline, and frequencies rather than bands.
    pub natural_ms: [f64; 2],
    /// Regions whose natural frequency is wanted beside the channels'.
    pub site: SiteChoice,
    /// Bands of `tfr_bands` (and of mode `hilbert`), low ≤ f < high. Default theta 4–8, alpha 8–13, beta 13–30, gamma
    /// 30–45 Hz.
    pub bands_hz: Bands,
}

impl Default for TfrConfig {
    fn default() -> Self {
        // delta's wavelets are longer than the default recipe's epochs
        let bands = Bands::default().0.into_iter().filter(|(name, _)| name != "delta");
        Self {
            mode: Mode::Morlet,
            range_hz: [4.0, 45.0],
            step_hz: 1.0,
            n_cycles: 3.5,
            zero_mean: true,
            time_bandwidth: 4.0,
            order: 4,
            power: Power::Total,
            baseline_ms: [-700.0, -300.0],
            baseline: Baseline::Db,
            baseline_per_trial: false,
            step_ms: 10.0,
            channels: vec!["*".to_owned()],
            series: true,
            windows_ms: vec![[20.0, 300.0], [300.0, 700.0]],
            natural_ms: [20.0, 300.0],
            site: SiteChoice::default(),
            bands_hz: Bands(bands.collect()),
        }
    }
}

impl TfrConfig {
    fn frequencies(&self) -> Vec<f64> {
        let n = ((self.range_hz[1] - self.range_hz[0]) / self.step_hz + 1e-9).floor() as usize;
        (0..=n).map(|i| self.range_hz[0] + i as f64 * self.step_hz).collect()
    }

    /// Everything that is wrong whatever the recording.
    fn check(&self, rate_hz: f64, problems: &mut Problems) {
        let [low, high] = self.range_hz;
        if !(low > 0.0 && high >= low && high.is_finite()) {
            problems.add("range_hz", format!("{low}…{high} Hz is not a range of frequencies above 0"));
        } else if self.mode != Mode::Hilbert && high >= rate_hz / 2.0 {
            problems.add("range_hz", format!("{high} Hz needs a rate above {} Hz; here {rate_hz} Hz", 2.0 * high));
        } else if self.step_hz > 0.0 && (high - low) / self.step_hz > 1000.0 {
            problems.add("step_hz", format!("{} Hz gives more than a thousand frequencies", self.step_hz));
        }
        for (key, value) in [("step_hz", self.step_hz), ("n_cycles", self.n_cycles), ("step_ms", self.step_ms)] {
            if !(value > 0.0 && value.is_finite()) {
                problems.add(key, format!("{value} is not above 0"));
            }
        }
        if self.mode == Mode::Multitaper && !(2.0..=40.0).contains(&self.time_bandwidth) {
            problems.add("time_bandwidth", format!("{} is not between 2 (one taper) and 40", self.time_bandwidth));
        }
        for (name, band) in &self.bands_hz.0 {
            bands::check(&format!("bands_hz.{name}"), *band, rate_hz, problems);
        }
        if self.baseline_per_trial && (self.power != Power::Total || self.baseline == Baseline::None) {
            problems.add("baseline_per_trial", "needs power = \"total\" and a baseline");
        }
    }

    /// Samples from one cell to the next.
    fn decim(&self, rate_hz: f64) -> usize {
        (self.step_ms * rate_hz / 1e3).round().max(1.0) as usize
    }

    /// Whether every wavelet fits in an epoch of `len` samples; the lowest frequency's is the longest.
    fn fits(&self, len: usize, rate_hz: f64, problems: &mut Problems) -> bool {
        let low = self.range_hz[0];
        let seconds = match self.mode {
            Mode::Morlet => 10.0 * sigma_s(low, self.n_cycles),
            Mode::Multitaper => self.n_cycles / low,
            Mode::Hilbert => 0.0,
        };
        let fits = seconds * rate_hz <= len as f64;
        if !fits {
            let (wavelet, epoch) = (1e3 * seconds, len as f64 * 1e3 / rate_hz);
            problems.add("n_cycles", format!("at {low} Hz a wavelet lasts {wavelet:.0} ms; the epoch {epoch:.0} ms"));
        }
        fits
    }

    fn transform(&self, len: usize, decim: usize, offset: usize, rate_hz: f64, problems: &mut Problems) -> Transform {
        let mut wavelets = Vec::new();
        let (mut weights, mut tapers) = (Vec::new(), 1);
        match self.mode {
            Mode::Morlet => {
                wavelets.extend(self.frequencies().iter().map(|&f| morlet(rate_hz, f, self.n_cycles, self.zero_mean)));
            }
            Mode::Multitaper => {
                tapers = (self.time_bandwidth - 1.0).floor() as usize;
                (weights, wavelets) = self.tapered(tapers, rate_hz, problems);
            }
            Mode::Hilbert => {
                let mut filters = Vec::new();
                for (name, [low, high]) in &self.bands_hz.0 {
                    let key = format!("bands_hz.{name}");
                    match butterworth(self.order, Band::Band(*low, *high), rate_hz) {
                        Ok(sos) if sos.padding() >= len => {
                            let needs = sos.padding() + 1;
                            problems.add(&key, format!("its filter needs {needs} samples; the epoch has {len}"));
                        }
                        Ok(sos) => filters.push(sos),
                        Err(e) => problems.add(&key, e.to_string()),
                    }
                }
                return Transform::hilbert(filters, len, decim, offset);
            }
        }
        Transform::bank(Bank::new(len, decim, offset, &wavelets), tapers, weights)
    }

    /// For each frequency and taper its weight (the weights of a frequency add up to 1) and wavelet.
    fn tapered(&self, tapers: usize, rate_hz: f64, problems: &mut Problems) -> (Vec<f64>, Vec<Wavelet>) {
        let (mut weights, mut wavelets) = (Vec::new(), Vec::new());
        for f in self.frequencies() {
            let seconds = self.n_cycles / f;
            let n = (seconds * rate_hz).ceil() as usize;
            if n as f64 <= self.time_bandwidth {
                problems.add("n_cycles", format!("at {f} Hz a window has {n} samples: too few for the tapers"));
                continue;
            }
            let found = dpss(n, self.time_bandwidth / 2.0, tapers);
            let sum: f64 = found.ratios.iter().sum();
            weights.extend(found.ratios.iter().map(|r| r / sum));
            wavelets.extend(found.tapers.iter().map(|t| tapered(rate_hz, f, seconds, t, self.zero_mean)));
        }
        (weights, wavelets)
    }

    /// Of each row: frequency and σ in time, s.
    fn rows(&self) -> Vec<(f64, f64)> {
        match self.mode {
            Mode::Morlet => self.frequencies().iter().map(|&f| (f, sigma_s(f, self.n_cycles))).collect(),
            // ±2σ is the whole window
            Mode::Multitaper => self.frequencies().iter().map(|&f| (f, self.n_cycles / f / 4.0)).collect(),
            // a Gaussian as wide at half its amplitude as the band
            Mode::Hilbert => {
                let sigma = |low: f64, high: f64| (8.0 * 2_f64.ln()).sqrt() / (std::f64::consts::TAU * (high - low));
                self.bands_hz.0.iter().map(|&(_, [low, high])| ((low + high) / 2.0, sigma(low, high))).collect()
            }
        }
    }
}

impl MarkerConfig for TfrConfig {
    fn tables(&self) -> &'static [&'static TableSpec] {
        static TABLES: [&TableSpec; 3] = [&TFR, &TFR_BANDS, &NATURAL_FREQUENCY];
        static NO_BANDS: [&TableSpec; 2] = [&TFR, &NATURAL_FREQUENCY];
        let natural = self.baseline != Baseline::None && self.mode != Mode::Hilbert;
        match (self.series, !self.windows_ms.is_empty(), natural) {
            (true, true, true) => &TABLES,
            (true, true, false) => &TABLES[..2],
            (true, false, true) => &NO_BANDS,
            (true, false, false) => &TABLES[..1],
            (false, true, true) => &TABLES[1..],
            (false, true, false) => &TABLES[1..2],
            (false, false, true) => &TABLES[2..],
            (false, false, false) => &[],
        }
    }

    fn build(&self, input: &EpochInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Marker>> {
        let before = problems.list().len();
        let rate_hz = input.rate_hz();
        self.check(rate_hz, problems);
        let channels: Vec<usize> = (0..input.channels.len())
            .filter(|&c| input.is_eeg(c) && self.channels.iter().any(|p| glob(p, &input.channels[c].name)))
            .collect();
        if channels.is_empty() {
            problems.add("channels", "fits no EEG channel");
        }
        if self.tables().is_empty() {
            problems
                .add("series", "false, without windows_ms and without a natural frequency there is nothing to tell");
        }
        let rois = self.site.resolve(problems).map(|site| site.locate(input, problems))?;
        let natural = [("natural_ms", self.natural_ms)];
        let natural = natural.iter().filter(|_| self.tables().contains(&&NATURAL_FREQUENCY)).copied();
        for (key, window) in self.windows_ms.iter().map(|w| ("windows_ms", *w)).chain(natural) {
            input.window_inside(key, window, problems);
        }
        if self.baseline != Baseline::None {
            input.window_inside("baseline_ms", self.baseline_ms, problems);
        }
        let decim = (problems.list().len() == before).then(|| self.decim(rate_hz))?;
        let offset = (-input.first).rem_euclid(decim as i64) as usize;
        if offset >= input.len {
            problems.add("step_ms", format!("no cell falls into the epoch, {} samples long", input.len));
            return None;
        }
        if !self.fits(input.len, rate_hz, problems) {
            return None;
        }
        let transform = self.transform(input.len, decim, offset, rate_hz, problems);
        let axis = Axis { rate_hz, first: input.first, len: input.len, decim, offset, outputs: transform.outputs() };
        let rows = self.rows();
        let baseline = match self.baseline {
            Baseline::None => 0..0,
            _ => axis.cells(self.baseline_ms),
        };
        for &(frequency, sigma) in rows.iter().filter(|_| self.baseline != Baseline::None) {
            if baseline.clone().all(|cell| axis.touches_edge(cell, sigma)) {
                let [a, b] = self.baseline_ms;
                let two = 2e3 * sigma;
                let say = format!("at {frequency} Hz no cell of {a}…{b} ms is {two:.0} ms (2σ) from the epoch's edge");
                problems.add("baseline_ms", say);
                break;
            }
        }
        if problems.list().len() > before {
            return None;
        }
        // power as a density: E|z|² of white noise is its density times the rate; of a band its variance is E|z|²/2
        let scales = match self.mode {
            Mode::Hilbert => self.bands_hz.0.iter().map(|(_, [low, high])| 0.5 / (high - low)).collect(),
            _ => vec![1.0 / rate_hz; rows.len()],
        };
        let per_trial = self.baseline_per_trial.then_some(self.baseline);
        let plan = Plan { transform, axis, rows, scales, baseline, per_trial };
        let pieces = if context.threads > 1 { (4 * context.threads).min(channels.len()) } else { 1 };
        let conditions = input.conditions;
        let pieces = (0..pieces)
            .map(|i| Piece::new(&plan, i * channels.len() / pieces..(i + 1) * channels.len() / pieces, conditions))
            .collect();
        Some(Box::new(Tfr {
            config: self.clone(),
            pieces,
            queue: (0..AT_ONCE).map(|_| Pending::new(channels.len(), input.len)).collect(),
            waiting: 0,
            filled: vec![vec![false; input.len]; conditions],
            parallel: context.threads > 1,
            plan,
            channels,
            rois,
        }))
    }
}

/// Trials that wait for each other: the sums pass through memory once for all of them, which costs as much as the
/// transforms.
const AT_ONCE: usize = 4;

struct Tfr {
    config: TfrConfig,
    plan: Plan,
    channels: Vec<usize>,
    rois: Vec<LocatedRoi>,
    pieces: Vec<Piece>,
    queue: Vec<Pending>,
    waiting: usize,
    /// For each condition the samples that were bridged in any trial.
    filled: Vec<Vec<bool>>,
    parallel: bool,
}

impl Marker for Tfr {
    fn observe(&mut self, epoch: &Epoch) {
        self.queue[self.waiting].take(epoch, &self.channels);
        let filled = &mut self.filled[usize::from(epoch.condition)];
        filled.iter_mut().zip(&epoch.filled).for_each(|(any, f)| *any |= f);
        self.waiting += 1;
        if self.waiting == self.queue.len() {
            sums::add(&self.plan, &mut self.pieces, &self.queue, self.parallel);
            self.waiting = 0;
        }
    }

    fn report(&self, report: &Report<'_>) -> Vec<Table> {
        report::tables(self, report)
    }

    fn reset(&mut self) {
        self.pieces.iter_mut().for_each(Piece::reset);
        self.waiting = 0;
        self.filled.iter_mut().for_each(|f| f.fill(false));
    }

    fn memory_bytes(&self) -> u64 {
        let queue: usize = self.queue.iter().map(|p| 8 * p.data.len()).sum();
        let report = 24 * self.plan.cells() * self.channels.len() * self.filled.len();
        self.pieces.iter().map(Piece::memory_bytes).sum::<u64>()
            + self.plan.transform.memory_bytes()
            + (queue + report) as u64
    }
}

#[cfg(test)]
mod tests;
