//! Power spectral density of epochs: how it is estimated, its running sums, and the result.

use super::Epoch;
use crate::dsp::fft::{Complex, RealFft};
use crate::dsp::window::{Symmetry, Window};
use crate::unit::{Clock, window_offsets};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// How a power spectral density is estimated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PsdConfig {
    /// `welch` or `multitaper`.
    pub method: PsdMethod,
    /// The stretch of the epoch that is looked at; by default all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_ms: Option<[f64; 2]>,
    /// Length of a Welch segment; by default the whole stretch is one segment (cut by the clock with overlap, epochs *are*
    /// Welch's segments).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment_ms: Option<f64>,
    /// Share of a segment that it has in common with the next, 0…0.95.
    pub overlap: f64,
    /// Mean or median over segments.
    pub average: PsdAverage,
}

impl Default for PsdConfig {
    /// Welch's method: Hamming, one segment per epoch, mean.
    fn default() -> Self {
        Self { method: PsdMethod::Welch, window_ms: None, segment_ms: None, overlap: 0.5, average: PsdAverage::Mean }
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
    /// Median with its bias factor: remembers every segment.
    Median,
}

/// Everything that is the same for all channels and conditions.
#[derive(Debug, Clone)]
pub struct PsdPlan {
    /// Samples of the epoch that are looked at.
    range: Range<usize>,
    /// Samples in a segment, and from one segment to the next.
    segment: usize,
    step: usize,
    rate_hz: f64,
    taper: Arc<[f64]>,
    /// One-sided density per |X|²: 2 / (rate Σ w²).
    scale: f64,
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
        let taper: Arc<[f64]> = Window::Hamming.samples(segment, Symmetry::Periodic).into();
        let scale = 2.0 / (rate_hz * taper.iter().map(|w| w * w).sum::<f64>());
        Ok(Self { range, segment, step, rate_hz, taper, scale })
    }

    /// Frequencies of the bins, Hz.
    pub fn bins(&self) -> usize {
        self.segment / 2 + 1
    }

    /// Running sums for `channels` channels.
    pub fn sum(&self, channels: usize) -> PsdSum {
        PsdSum {
            fft: RealFft::new(self.segment),
            buffer: vec![0.0; self.segment],
            bins: vec![Complex::new(0.0, 0.0); self.bins()],
            sums: vec![0.0; channels * self.bins()],
            n: vec![0; channels],
            n_epochs: 0,
            plan: self.clone(),
        }
    }
}

/// Running sums of one condition.
pub struct PsdSum {
    plan: PsdPlan,
    fft: RealFft,
    buffer: Vec<f64>,
    bins: Vec<Complex>,
    sums: Vec<f64>,
    n: Vec<u64>,
    n_epochs: u64,
}

impl std::fmt::Debug for PsdSum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PsdSum").field("plan", &self.plan).field("n_epochs", &self.n_epochs).finish_non_exhaustive()
    }
}

impl PsdSum {
    /// A kept epoch. A segment with a non-finite sample does not count for its channel. Does not allocate.
    pub fn add(&mut self, epoch: &Epoch) {
        let plan = &self.plan;
        let bins = plan.bins();
        for c in 0..epoch.channels() {
            let samples = &epoch.channel(c)[plan.range.clone()];
            for segment in samples.windows(plan.segment).step_by(plan.step) {
                let mean = segment.iter().sum::<f64>() / segment.len() as f64;
                if !mean.is_finite() {
                    continue;
                }
                for ((out, x), w) in self.buffer.iter_mut().zip(segment).zip(plan.taper.iter()) {
                    *out = (x - mean) * w;
                }
                self.fft.forward(&self.buffer, &mut self.bins);
                let sums = &mut self.sums[c * bins..(c + 1) * bins];
                sums.iter_mut().zip(&self.bins).for_each(|(sum, x)| *sum += x.norm_sqr());
                self.n[c] += 1;
            }
        }
        self.n_epochs += 1;
    }

    /// The density as of now.
    pub fn spectrum(&self) -> Spectrum {
        let (plan, bins) = (&self.plan, self.plan.bins());
        let nyquist = plan.segment.is_multiple_of(2).then(|| bins - 1);
        let value = |i: usize| {
            let (c, bin) = (i / bins, i % bins);
            let once = if bin == 0 || Some(bin) == nyquist { 0.5 } else { 1.0 };
            if self.n[c] == 0 { f64::NAN } else { self.sums[i] * plan.scale * once / self.n[c] as f64 }
        };
        Spectrum {
            resolution_hz: plan.rate_hz / plan.segment as f64,
            bins,
            psd: (0..self.sums.len()).map(value).collect(),
            n_windows: self.n.clone(),
            n_epochs: self.n_epochs,
        }
    }

    /// Forgets all epochs.
    pub fn reset(&mut self) {
        self.sums.fill(0.0);
        self.n.fill(0);
        self.n_epochs = 0;
    }

    /// Bytes of its buffers.
    pub fn memory_bytes(&self) -> u64 {
        8 * (self.sums.len() + self.buffer.len() + 2 * self.bins.len()) as u64 + self.fft.memory_bytes()
    }
}

/// A power spectral density: µV²/Hz, one-sided.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrum {
    /// Hz from one bin to the next; the first is at 0 Hz.
    pub resolution_hz: f64,
    /// Bins per channel.
    pub bins: usize,
    /// (channel × bin), µV²/Hz; the bins add up to the variance times `1 / resolution_hz`.
    pub psd: Vec<f64>,
    /// Segments (Welch) or epochs (multitaper) behind each channel's values.
    pub n_windows: Vec<u64>,
    /// Epochs.
    pub n_epochs: u64,
}

impl Spectrum {
    /// One channel's density.
    pub fn channel(&self, channel: usize) -> &[f64] {
        &self.psd[channel * self.bins..(channel + 1) * self.bins]
    }

    /// Bins of the half-open band lo ≤ f < hi (within 1e-9 of a bin), so that neighbouring bands share none.
    pub fn band(&self, low_hz: f64, high_hz: f64) -> Range<usize> {
        let first = |hz: f64| ((hz / self.resolution_hz - 1e-9).ceil().max(0.0) as usize).min(self.bins);
        first(low_hz)..first(high_hz).max(first(low_hz))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unit::Rate;

    #[test]
    fn a_sine_has_its_power_and_white_noise_is_flat() {
        let clock = Clock::stored(Rate::new(500, 1).unwrap());
        let plan = PsdPlan::new(&PsdConfig::default(), clock, 0, 2000).unwrap();
        let mut sum = plan.sum(2);
        let mut epoch = Epoch::new(clock, 0, 2, 2000);
        for i in 0..2000 {
            epoch.channel_mut(0)[i] = 5.0 + 3.0 * (std::f64::consts::TAU * 10.0 * i as f64 / 500.0).sin();
            epoch.channel_mut(1)[i] = f64::NAN;
        }
        sum.add(&epoch);
        let spectrum = sum.spectrum();
        let power: f64 = spectrum.channel(0)[spectrum.band(8.0, 13.0)].iter().sum::<f64>() * spectrum.resolution_hz;
        assert!((power - 4.5).abs() < 1e-9, "{power}");
        assert!(spectrum.channel(1)[40].is_nan());
        assert_eq!(spectrum.n_windows, [1, 0]);
        assert_eq!((spectrum.band(8.0, 13.0), spectrum.band(13.0, 30.0)), (32..52, 52..120));
    }
}
