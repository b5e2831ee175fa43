//! Power spectral density of epochs: how it is estimated, its running sums, and the result.

use super::Epoch;
use crate::dsp::multitaper::Tapers;
use crate::dsp::periodogram::Periodogram;
use crate::dsp::stats::median;
use crate::dsp::window::Window;
use crate::unit::{Clock, window_offsets};
use rayon::iter::{IntoParallelRefMutIterator, ParallelIterator};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// How a power spectral density is estimated. Each segment's own mean is removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PsdConfig {
    /// `welch` (default) or `multitaper`.
    pub method: PsdMethod,
    /// The stretch of the epoch that is looked at; by default all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_ms: Option<[f64; 2]>,
    /// Length of a segment; by default the whole stretch is one segment (cut by the clock with overlap, epochs *are*
    /// Welch's segments).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment_ms: Option<f64>,
    /// Share of a segment that it has in common with the next, 0…0.95. Default 0.5.
    pub overlap: f64,
    /// Welch's window: `hamming` (default), `hann`, `blackman`, `boxcar`, `{ kaiser = 14 }`, `{ gaussian = 250 }`.
    pub taper: Window,
    /// Mean (default) or median over segments.
    pub average: PsdAverage,
    /// Segments that the median remembers per condition; when there are more, it keeps every second, then every fourth,
    /// … so that they still span the whole recording. Default 512.
    pub median_segments: usize,
    /// Multitaper: time–half-bandwidth product; the tapers number ⌊2 nw⌋ at most. Default 4.
    pub nw: f64,
    /// Multitaper: only tapers that keep more than 90 % of their energy within the band. Default true.
    pub low_bias: bool,
    /// Multitaper: adaptive weights. Default false.
    pub adaptive: bool,
}

impl Default for PsdConfig {
    /// Welch's method: Hamming, one segment per epoch, mean.
    fn default() -> Self {
        Self {
            method: PsdMethod::Welch,
            window_ms: None,
            segment_ms: None,
            overlap: 0.5,
            taper: Window::Hamming,
            average: PsdAverage::Mean,
            median_segments: 512,
            nw: 4.0,
            low_bias: true,
            adaptive: false,
        }
    }
}

/// The estimator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PsdMethod {
    /// Welch (1967, doi:10.1109/TAU.1967.1161901).
    Welch,
    /// Thomson (1982, doi:10.1109/PROC.1982.12433).
    Multitaper,
}

/// How segments are averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PsdAverage {
    /// Arithmetic mean: constant memory.
    Mean,
    /// Median over Welch's segments, divided by its bias (Allen et al. 2012, doi:10.1103/PhysRevD.85.122006, appendix B):
    /// remembers `median_segments` of them, and claims that memory at once.
    Median,
}

/// Everything that is the same for all channels and conditions.
#[derive(Clone)]
pub struct PsdPlan {
    /// Samples of the epoch that are looked at.
    range: Range<usize>,
    /// Samples in a segment, and from one segment to the next.
    segment: usize,
    step: usize,
    rate_hz: f64,
    periodogram: Periodogram,
    /// Segments to remember, an even number; `None`: the mean.
    remember: Option<usize>,
    threads: usize,
}

impl std::fmt::Debug for PsdPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { range, segment, step, rate_hz, .. } = self;
        write!(f, "PsdPlan {{ range: {range:?}, segment: {segment}, step: {step}, rate_hz: {rate_hz}, .. }}")
    }
}

impl PsdPlan {
    /// For epochs of `len` samples whose first lies `first` samples from the event.
    ///
    /// # Errors
    /// The key that cannot be met, and why.
    pub fn new(config: &PsdConfig, clock: Clock, first: i64, len: usize) -> Result<Self, (&'static str, String)> {
        let rate_hz = clock.rate_hz();
        let range = match config.window_ms {
            None => 0..len,
            Some(window) => match window_offsets(window, rate_hz) {
                Some((lo, hi)) if lo >= first && hi < first + len as i64 => {
                    (lo - first) as usize..(hi - first + 1) as usize
                }
                _ => return Err(("window_ms", format!("{}…{} ms leaves the epoch", window[0], window[1]))),
            },
        };
        let segment = config.segment_ms.map_or(range.len(), |ms| (ms * rate_hz / 1e3).round() as usize);
        if segment < 2 || segment > range.len() {
            let have = range.len() as f64 * 1e3 / rate_hz;
            return Err(("segment_ms", format!("a segment of {segment} samples does not fit in {have} ms")));
        }
        if !(0.0..=0.95).contains(&config.overlap) {
            return Err(("overlap", format!("{} is not between 0 and 0.95", config.overlap)));
        }
        let step = segment - (segment as f64 * config.overlap).floor() as usize;
        let tapers = tapers(config, segment)?;
        let remember = match config.average {
            PsdAverage::Mean => None,
            PsdAverage::Median if config.method == PsdMethod::Multitaper => {
                return Err(("average", "the median's bias is known for Welch's method only".to_owned()));
            }
            PsdAverage::Median if !(2..=1 << 20).contains(&config.median_segments) => {
                return Err(("median_segments", format!("{} is not between 2 and 1048576", config.median_segments)));
            }
            PsdAverage::Median => Some(config.median_segments.next_multiple_of(2)),
        };
        let periodogram = Periodogram::new(Arc::new(tapers), rate_hz, config.adaptive);
        Ok(Self { range, segment, step, rate_hz, periodogram, remember, threads: 1 })
    }

    /// Lets sums work on so many threads; they are the same to the bit. With 1, [`PsdSum::add`] does not allocate.
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// The plan, where the median's memory of so many channels (times conditions) stays below 4 GiB.
    ///
    /// # Errors
    /// `median_segments`, with what it would take.
    pub fn affordable(self, channels: usize) -> Result<Self, (&'static str, String)> {
        let (rows, width) = (self.remember.unwrap_or(0), channels * self.bins());
        let gib = rows as f64 * width as f64 * 8.0 / f64::from(1 << 30);
        if gib <= 4.0 {
            return Ok(self);
        }
        Err(("median_segments", format!("{rows} segments of {width} densities take {gib:.1} GiB; at most 4 GiB")))
    }

    /// Bins of the half-open band lo ≤ f < hi, as [`Spectrum::band`] has them.
    pub fn band(&self, low_hz: f64, high_hz: f64) -> Range<usize> {
        band_bins(self.resolution_hz(), self.bins(), low_hz, high_hz)
    }

    /// Number of frequencies, 0 Hz to Nyquist.
    pub fn bins(&self) -> usize {
        self.segment / 2 + 1
    }

    /// Hz from one frequency to the next.
    pub fn resolution_hz(&self) -> f64 {
        self.rate_hz / self.segment as f64
    }

    /// Running sums for `channels` channels.
    pub fn sum(&self, channels: usize) -> PsdSum {
        let lanes = self.threads.min(channels).max(1);
        let lane = |i: usize| {
            let (from, to) = (channels * i / lanes, channels * (i + 1) / lanes);
            Lane {
                channels: from..to,
                periodogram: self.periodogram.clone(),
                store: Store::new(to - from, self.bins(), self.remember),
            }
        };
        PsdSum { lanes: (0..lanes).map(lane).collect(), n_epochs: 0, channels, plan: self.clone() }
    }
}

/// The tapers asked for, or what is wrong with them.
fn tapers(config: &PsdConfig, segment: usize) -> Result<Tapers, (&'static str, String)> {
    if config.method == PsdMethod::Welch {
        let tapers = Tapers::window(config.taper, segment);
        let usable = tapers.weights.iter().chain(&tapers.samples).all(|v| v.is_finite());
        return if usable { Ok(tapers) } else { Err(("taper", format!("{:?} is no window", config.taper))) };
    }
    if !(0.5..segment as f64 / 2.0).contains(&config.nw) {
        let message = format!("{} is not between 0.5 and half of a segment's {segment} samples", config.nw);
        return Err(("nw", message));
    }
    let tapers = Tapers::slepian(segment, config.nw, config.low_bias);
    if config.adaptive && tapers.count() < 3 {
        let message = format!("needs 3 tapers; nw = {} gives {}", config.nw, tapers.count());
        return Err(("adaptive", message));
    }
    Ok(tapers)
}

/// Running sums of one condition.
pub struct PsdSum {
    plan: PsdPlan,
    channels: usize,
    /// Some channels each; they share nothing.
    lanes: Vec<Lane>,
    n_epochs: u64,
}

impl std::fmt::Debug for PsdSum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PsdSum").field("plan", &self.plan).field("n_epochs", &self.n_epochs).finish_non_exhaustive()
    }
}

impl PsdSum {
    /// A kept epoch. A segment with a non-finite sample does not count for its channel; one with bridged samples counts
    /// and is counted. Does not allocate on one thread.
    pub fn add(&mut self, epoch: &Epoch) {
        let plan = &self.plan;
        match self.lanes.as_mut_slice() {
            [lane] => lane.add(plan, epoch),
            lanes => lanes.par_iter_mut().for_each(|lane| lane.add(plan, epoch)),
        }
        self.n_epochs += 1;
    }

    /// The density as of now.
    pub fn spectrum(&self) -> Spectrum {
        let bins = self.plan.bins();
        let mut spectrum = Spectrum {
            resolution_hz: self.plan.resolution_hz(),
            bins,
            psd: vec![f64::NAN; self.channels * bins],
            n_windows: vec![0; self.channels],
            n_epochs: self.n_epochs,
            n_filled: vec![0; self.channels],
        };
        for lane in &self.lanes {
            for (local, c) in lane.channels.clone().enumerate() {
                let psd = &mut spectrum.psd[c * bins..(c + 1) * bins];
                (spectrum.n_windows[c], spectrum.n_filled[c]) = lane.store.read(local, psd);
            }
        }
        spectrum
    }

    /// Forgets all epochs.
    pub fn reset(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.store.reset());
        self.n_epochs = 0;
    }

    /// Bytes of its buffers, those kept for the median included.
    pub fn memory_bytes(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.store.memory_bytes() + lane.periodogram.memory_bytes()).sum()
    }
}

/// Neighbouring channels, worked on by one thread at a time.
struct Lane {
    channels: Range<usize>,
    periodogram: Periodogram,
    store: Store,
}

impl Lane {
    fn add(&mut self, plan: &PsdPlan, epoch: &Epoch) {
        let bins = plan.bins();
        let starts = (plan.range.start..=plan.range.end - plan.segment).step_by(plan.step);
        for segment in starts.map(|start| start..start + plan.segment) {
            let filled = epoch.filled[segment.clone()].iter().any(|&filled| filled);
            match &mut self.store {
                Store::Mean { sums, n, n_filled } => {
                    for ((c, sums), counts) in
                        self.channels.clone().zip(sums.chunks_exact_mut(bins)).zip(n.iter_mut().zip(n_filled))
                    {
                        let counted = self.periodogram.add(&epoch.channel(c)[segment.clone()], sums);
                        *counts.0 += u64::from(counted);
                        *counts.1 += u64::from(counted && filled);
                    }
                }
                Store::Median(memory) => {
                    let Some(row) = memory.next_row(filled) else { continue };
                    for (c, psd) in self.channels.clone().zip(row.chunks_exact_mut(bins)) {
                        psd.fill(0.0);
                        if !self.periodogram.add(&epoch.channel(c)[segment.clone()], psd) {
                            psd.fill(f64::NAN);
                        }
                    }
                }
            }
        }
    }
}

/// What is kept of the segments.
enum Store {
    /// (channel × bin), and per channel the segments and those of them with bridged samples.
    Mean {
        sums: Vec<f64>,
        n: Vec<u64>,
        n_filled: Vec<u64>,
    },
    Median(Memory),
}

impl Store {
    fn new(channels: usize, bins: usize, remember: Option<usize>) -> Self {
        match remember {
            None => Self::Mean { sums: vec![0.0; channels * bins], n: vec![0; channels], n_filled: vec![0; channels] },
            Some(rows) => Self::Median(Memory {
                width: channels * bins,
                rows: vec![0.0; rows * channels * bins],
                filled: vec![false; rows],
                used: 0,
                stride: 1,
                seen: 0,
            }),
        }
    }

    /// Writes a channel's density, NaN without segments; says how many there are, and how many of them hold
    /// bridged samples.
    fn read(&self, channel: usize, psd: &mut [f64]) -> (u64, u64) {
        let bins = psd.len();
        match self {
            Self::Mean { sums, n, n_filled } => {
                let sums = &sums[channel * bins..(channel + 1) * bins];
                if n[channel] > 0 {
                    psd.iter_mut().zip(sums).for_each(|(psd, sum)| *psd = sum / n[channel] as f64);
                }
                (n[channel], n_filled[channel])
            }
            Self::Median(memory) => memory.read(channel * bins, psd),
        }
    }

    fn reset(&mut self) {
        match self {
            Self::Mean { sums, n, n_filled } => {
                sums.fill(0.0);
                n.fill(0);
                n_filled.fill(0);
            }
            Self::Median(memory) => (memory.used, memory.stride, memory.seen) = (0, 1, 0),
        }
    }

    fn memory_bytes(&self) -> u64 {
        match self {
            Self::Mean { sums, n, .. } => 8 * (sums.len() + 2 * n.len()) as u64,
            Self::Median(memory) => (8 * memory.rows.len() + memory.filled.len()) as u64,
        }
    }
}

/// The segments that a median is taken of: all, or when there is no room every second, every fourth, …
struct Memory {
    width: usize,
    /// (segment × (channel × bin)); a channel's NaN: the segment does not count for it.
    rows: Vec<f64>,
    filled: Vec<bool>,
    used: usize,
    stride: u64,
    seen: u64,
}

impl Memory {
    /// Where the next segment goes; `None` when it is passed over.
    fn next_row(&mut self, filled: bool) -> Option<&mut [f64]> {
        let capacity = self.filled.len();
        if self.used == capacity {
            for i in 1..capacity / 2 {
                self.rows.copy_within(2 * i * self.width..(2 * i + 1) * self.width, i * self.width);
                self.filled[i] = self.filled[2 * i];
            }
            self.used = capacity / 2;
            self.stride *= 2;
        }
        let turn = self.seen.is_multiple_of(self.stride);
        self.seen += 1;
        if !turn {
            return None;
        }
        let at = self.used;
        self.used += 1;
        self.filled[at] = filled;
        Some(&mut self.rows[at * self.width..(at + 1) * self.width])
    }

    fn read(&self, from: usize, psd: &mut [f64]) -> (u64, u64) {
        let counts = |i: &usize| !self.rows[i * self.width + from].is_nan();
        let rows: Vec<usize> = (0..self.used).filter(counts).collect();
        let bias = median_bias(rows.len());
        let mut values = vec![0.0; rows.len()];
        for (bin, psd) in psd.iter_mut().enumerate() {
            values.iter_mut().zip(&rows).for_each(|(v, i)| *v = self.rows[i * self.width + from + bin]);
            *psd = median(&mut values) / bias;
        }
        (rows.len() as u64, rows.iter().filter(|&&i| self.filled[i]).count() as u64)
    }
}

/// The median of `n` exponentially distributed values over their mean: `1 + Σ 1/(2i + 1) − 1/2i`, i up to (n − 1)/2.
fn median_bias(n: usize) -> f64 {
    (1..=n.saturating_sub(1) / 2).map(|i| 2.0 * i as f64).map(|i| 1.0 / (i + 1.0) - 1.0 / i).sum::<f64>() + 1.0
}

/// A power spectral density: µV²/Hz, one-sided.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrum {
    /// Hz from one bin to the next; the first is at 0 Hz.
    pub resolution_hz: f64,
    /// Bins per channel.
    pub bins: usize,
    /// (channel × bin), µV²/Hz; NaN for a channel without windows. The bins times `resolution_hz` add up to the variance.
    pub psd: Vec<f64>,
    /// Segments behind each channel's values.
    pub n_windows: Vec<u64>,
    /// Epochs.
    pub n_epochs: u64,
    /// Those segments of each channel that hold bridged samples.
    pub n_filled: Vec<u64>,
}

impl Spectrum {
    /// One channel's density.
    pub fn channel(&self, channel: usize) -> &[f64] {
        &self.psd[channel * self.bins..(channel + 1) * self.bins]
    }

    /// Frequency of a bin, Hz.
    pub fn frequency_hz(&self, bin: usize) -> f64 {
        bin as f64 * self.resolution_hz
    }

    /// Bins of the half-open band lo ≤ f < hi (within 1e-9 of a bin), so that neighbouring bands share none.
    pub fn band(&self, low_hz: f64, high_hz: f64) -> Range<usize> {
        band_bins(self.resolution_hz, self.bins, low_hz, high_hz)
    }

    /// One channel's power in the band, µV²: the bins' sum times their distance, so that neighbouring bands add up. NaN
    /// where no bin lies in the band.
    pub fn band_power(&self, channel: usize, low_hz: f64, high_hz: f64) -> f64 {
        match self.band(low_hz, high_hz) {
            band if band.is_empty() => f64::NAN,
            band => self.channel(channel)[band].iter().sum::<f64>() * self.resolution_hz,
        }
    }
}

/// Bins of a half-open band.
fn band_bins(resolution_hz: f64, bins: usize, low_hz: f64, high_hz: f64) -> Range<usize> {
    let first = |hz: f64| ((hz / resolution_hz - 1e-9).ceil().max(0.0) as usize).min(bins);
    first(low_hz)..first(high_hz).max(first(low_hz))
}

#[cfg(test)]
mod tests;
