//! Spectra of one channel in one epoch: tapered Fourier transforms, or wavelets at single moments.

use super::method::{Band, Plan};
use super::{ConnectivityConfig, Mode};
use crate::dsp::cross::{LANES, fill_power, spectra_len};
use crate::dsp::dpss::dpss;
use crate::dsp::fft::{Complex, RealFft};
use crate::dsp::stats::sum;
use crate::dsp::window::{Symmetry, Window};
use crate::flow::Problems;
use std::f64::consts::{PI, TAU};
use std::ops::Range;
use std::sync::Arc;

/// What became of a channel's stretch of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stretch {
    Used,
    /// All samples are equal: it has no phase.
    Flat,
    NotFinite,
}

/// The estimator; a copy for every thread.
#[derive(Clone)]
pub(super) struct Spectra {
    /// Frequency of each bin, Hz, ascending; with wavelets a bin is a frequency at a moment.
    pub hz: Vec<f64>,
    /// Bins with the padding that [`crate::dsp::cross`] wants; the padding holds zeros.
    pub bins: usize,
    /// Spectra per bin.
    pub tapers: usize,
    window: Range<usize>,
    centred: Vec<f64>,
    how: How,
}

#[derive(Clone)]
enum How {
    /// Windows with their weights √(2 λ / Σ λ), and the bins that are kept with their factor: 1/√2 at 0 Hz and at the
    /// Nyquist frequency, which have no negative twin.
    Tapered {
        fft: RealFft,
        windows: Arc<[Vec<f64>]>,
        kept: Vec<(usize, f64)>,
        tapered: Vec<f64>,
        spectrum: Vec<Complex>,
    },
    /// Wavelets, real and imaginary part reversed in time, and for each bin its wavelet and the first sample under it.
    Wavelets { wavelets: Arc<[[Vec<f64>; 2]]>, cells: Vec<(usize, usize)> },
}

impl Spectra {
    /// Plans for the plan's window and bands; reports every problem.
    pub fn new(config: &ConnectivityConfig, plan: &Plan, problems: &mut Problems) -> Option<Self> {
        let before = problems.list().len();
        let (how, hz, tapers) = match config.mode {
            Mode::Morlet => wavelets(config, plan, problems)?,
            Mode::Multitaper => {
                let half = plan.window.len() as f64 / 2.0;
                if !(config.nw >= 0.5 && config.nw < half) {
                    problems.add("nw", format!("{} is not between 0.5 and {half}, half the samples", config.nw));
                    return None;
                }
                let slepian = dpss(plan.window.len(), config.nw, (2.0 * config.nw) as usize);
                let slepian = if config.low_bias { slepian.low_bias() } else { slepian };
                tapered(slepian.tapers, &slepian.ratios, plan)
            }
            Mode::Fourier => tapered(vec![Window::Hann.samples(plan.window.len(), Symmetry::Symmetric)], &[1.0], plan),
        };
        for band in plan.bands.iter().filter(|b| bins_of(&hz, b).is_empty()) {
            let key = format!("bands_hz.{}", band.name);
            problems.add(&key, format!("holds no frequency of a stretch of {} s", plan.duration_s()));
        }
        let bins = hz.len().next_multiple_of(LANES);
        let centred = vec![0.0; plan.window.len()];
        (problems.list().len() == before).then_some(Self {
            hz,
            bins,
            tapers,
            window: plan.window.clone(),
            centred,
            how,
        })
    }

    /// Values that [`Spectra::fill`] writes.
    pub fn len(&self) -> usize {
        spectra_len(self.tapers, self.bins)
    }

    /// Writes the spectra of an epoch's channel, its mean removed. Allocates nothing.
    pub fn fill(&mut self, samples: &[f64], out: &mut [f64]) -> Stretch {
        let x = samples.get(self.window.clone()).unwrap_or_default();
        let first = x.first().copied().unwrap_or(0.0);
        if !sum(x).is_finite() {
            return Stretch::NotFinite;
        }
        if x.iter().all(|v| *v == first) {
            return Stretch::Flat;
        }
        // the mean twice: the first leaves its rounding, which is large beside a small signal on a large offset
        self.centred.iter_mut().zip(x).for_each(|(c, x)| *c = x - first);
        for _ in 0..2 {
            let mean = sum(&self.centred) / x.len() as f64;
            self.centred.iter_mut().for_each(|c| *c -= mean);
        }
        let bins = self.bins;
        out.fill(0.0);
        match &mut self.how {
            How::Tapered { fft, windows, kept, tapered, spectrum } => {
                for (window, rows) in windows.iter().zip(out.chunks_exact_mut(2 * bins)) {
                    tapered.iter_mut().zip(&self.centred).zip(window).for_each(|((t, x), w)| *t = x * w);
                    fft.forward(tapered, spectrum);
                    let (re, im) = rows.split_at_mut(bins);
                    for ((re, im), (bin, factor)) in re.iter_mut().zip(im).zip(kept.iter()) {
                        (*re, *im) = (spectrum[*bin].re * factor, spectrum[*bin].im * factor);
                    }
                }
            }
            How::Wavelets { wavelets, cells } => {
                let (re, im) = out.split_at_mut(bins);
                for ((re, im), (wavelet, from)) in re.iter_mut().zip(im).zip(cells.iter()) {
                    let [w_re, w_im] = &wavelets[*wavelet];
                    let under = &self.centred[*from..];
                    *re = under.iter().zip(w_re).map(|(x, w)| x * w).sum();
                    *im = under.iter().zip(w_im).map(|(x, w)| x * w).sum();
                }
            }
        }
        fill_power(self.tapers, bins, out);
        Stretch::Used
    }

    /// Bins of a half-open band.
    pub fn band(&self, band: &Band) -> Range<usize> {
        bins_of(&self.hz, band)
    }

    /// Bytes of its buffers.
    pub fn memory_bytes(&self) -> u64 {
        let how = match &self.how {
            How::Tapered { fft, windows, kept, tapered, spectrum } => {
                let values = windows.len() * self.window.len() + 2 * kept.len() + tapered.len() + 2 * spectrum.len();
                fft.memory_bytes() + 8 * values as u64
            }
            How::Wavelets { wavelets, cells } => {
                8 * (wavelets.iter().map(|[re, _]| 2 * re.len()).sum::<usize>() + 2 * cells.len()) as u64
            }
        };
        how + 8 * (self.hz.len() + self.centred.len()) as u64
    }
}

/// Bins with low ≤ f < high (within 1e-9 of either).
fn bins_of(hz: &[f64], band: &Band) -> Range<usize> {
    let below = |edge: f64| hz.partition_point(|f| *f < edge - 1e-9);
    below(band.low_hz)..below(band.high_hz)
}

fn inside(plan: &Plan, hz: f64) -> bool {
    plan.bands.iter().any(|band| !bins_of(&[hz], band).is_empty())
}

/// Windowed Fourier transforms of the whole stretch, with eigenvalue weights.
fn tapered(mut windows: Vec<Vec<f64>>, ratios: &[f64], plan: &Plan) -> (How, Vec<f64>, usize) {
    let n = plan.window.len();
    let total: f64 = ratios.iter().sum();
    for (window, ratio) in windows.iter_mut().zip(ratios) {
        let weight = (2.0 * ratio / total).sqrt();
        window.iter_mut().for_each(|w| *w *= weight);
    }
    let hz = |k: usize| k as f64 * plan.rate_hz / n as f64;
    let alone = |k: usize| k == 0 || 2 * k == n;
    let factor = |k: usize| if alone(k) { 0.5_f64.sqrt() } else { 1.0 };
    let kept: Vec<(usize, f64)> = (0..=n / 2).filter(|&k| inside(plan, hz(k))).map(|k| (k, factor(k))).collect();
    let frequencies = kept.iter().map(|(k, _)| hz(*k)).collect();
    let (fft, tapers) = (RealFft::new(n), windows.len());
    let spectrum = vec![Complex::new(0.0, 0.0); fft.bins()];
    (How::Tapered { fft, windows: windows.into(), kept, tapered: vec![0.0; n], spectrum }, frequencies, tapers)
}

/// Morlet wavelets as MNE-Python's `morlet(zero_mean=True)`, five standard deviations to either side, at the moments where
/// the longest lies wholly inside the stretch.
fn wavelets(config: &ConnectivityConfig, plan: &Plan, problems: &mut Problems) -> Option<(How, Vec<f64>, usize)> {
    let before = problems.list().len();
    let mut frequencies: Vec<f64> = match config.frequencies.as_slice() {
        [] => (1..=(plan.rate_hz / 2.0) as usize).map(|f| f as f64).collect(),
        listed => listed.to_vec(),
    };
    frequencies.retain(|f| inside(plan, *f) && *f > 0.0);
    frequencies.sort_by(f64::total_cmp);
    frequencies.dedup();
    let step = (config.step_ms * plan.rate_hz / 1e3).round() as usize;
    if step == 0 {
        problems.add("step_ms", format!("{} ms is less than a sample", config.step_ms));
    }
    if !(config.cycles >= 1.0 && config.cycles <= 100.0) {
        problems.add("cycles", format!("{} is not between 1 and 100", config.cycles));
    }
    let Some(&lowest) = frequencies.first() else {
        problems.add("frequencies", "none lies inside a band");
        return None;
    };
    if problems.list().len() > before {
        return None;
    }
    let built: Vec<[Vec<f64>; 2]> = frequencies.iter().map(|f| wavelet(*f, config.cycles, plan.rate_hz)).collect();
    let (n, reach) = (plan.window.len(), built.first().map_or(0, |[re, _]| re.len() / 2));
    let moments: Vec<usize> = (0..n).step_by(step).filter(|m| *m >= reach && m + reach < n).collect();
    if moments.is_empty() {
        let need = (2 * reach + 1) as f64 / plan.rate_hz;
        let have = plan.duration_s();
        problems.add("cycles", format!("a wavelet of {lowest} Hz takes {need} s, more than the {have} s looked at"));
        return None;
    }
    let mut cells = Vec::new();
    let mut hz = Vec::new();
    for (i, [re, _]) in built.iter().enumerate() {
        cells.extend(moments.iter().map(|m| (i, m - re.len() / 2)));
        hz.extend(moments.iter().map(|_| frequencies[i]));
    }
    Some((How::Wavelets { wavelets: built.into(), cells }, hz, 1))
}

/// Real and imaginary part, reversed in time so that a convolution is a dot product; norm √2, Tallon-Baudry et al. (1997).
fn wavelet(hz: f64, cycles: f64, rate_hz: f64) -> [Vec<f64>; 2] {
    let sigma = cycles / (TAU * hz);
    let reach = (5.0 * sigma * rate_hz).ceil() as i64 - 1;
    let offset = (-2.0 * (PI * hz * sigma).powi(2)).exp();
    let value = |i: i64| {
        let t = i as f64 / rate_hz;
        (Complex::from_polar(1.0, TAU * hz * t) - offset) * (-t * t / (2.0 * sigma * sigma)).exp()
    };
    let values: Vec<Complex> = (-reach..=reach).rev().map(value).collect();
    let norm = values.iter().map(Complex::norm_sqr).sum::<f64>().sqrt() * 0.5_f64.sqrt();
    [values.iter().map(|v| v.re / norm).collect(), values.iter().map(|v| v.im / norm).collect()]
}
