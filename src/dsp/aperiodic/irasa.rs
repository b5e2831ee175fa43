//! IRASA: the aperiodic part of a spectrum without a model of the peaks.
//!
//! Wen & Liu 2016, doi:10.1007/s10548-015-0448-0: resampled by h and by 1/h a 1/f^χ signal keeps the shape of its
//! spectrum, while a peak at f moves to f/h and f·h. The geometric mean of the two spectra, and the median of that over
//! many h, leave the aperiodic part. What is seen at f comes from f/h … f·h: a fit over lo…hi depends on
//! lo/1.9 … hi·1.9.
//!
//! Spectra are Welch's with segments of one length in *samples*, whatever the rate, so that bin k of all of them
//! belongs together; resampling is that of SciPy's `resample_poly`. This is the layout of neurodsp and YASA. The window is
//! Hann's: the side lobes of Hamming's flatten 1/f³ to 1/f^2.92.
//!
//! A peak must be narrow against the shifts: one 2.4 Hz wide (FWHM) at 10 Hz and 13 times as strong as 1/f bends the exponent
//! to 1.19, here as in neurodsp; one of half that width and half that power to 1.02.

use crate::dsp::fft::{Complex, RealFft};
use crate::dsp::resample::{BETA, CROSSINGS, Padding, Polyphase};
use crate::dsp::stats::median;
use crate::dsp::window::{Symmetry, Window};

/// The factors h = 1.10, 1.15 … 1.90, as ratios to 20.
const FACTORS: std::ops::RangeInclusive<u64> = 22..=38;
/// The largest factor.
pub const LARGEST_FACTOR: f64 = 1.9;

/// Everything that is the same for all signals.
#[derive(Debug, Clone)]
pub struct Plan {
    /// By h, by 1/h, by the next h, …
    resamplers: Vec<Polyphase>,
    samples: usize,
    rate_hz: f64,
    segment: usize,
    step: usize,
    taper: Vec<f64>,
    padding: Padding,
    /// Samples that resampling needs beyond either end.
    margin: usize,
}

impl Plan {
    /// For signals of `samples` samples, taken to go on as `padding` says; Hann segments of `segment` samples, one
    /// every `step`. `None` where the signal at 1/1.9 of its rate is shorter than a segment of at least 16 samples.
    pub fn new(samples: usize, rate_hz: f64, segment: usize, step: usize, padding: Padding) -> Option<Self> {
        if segment < 16 || step == 0 || segment > Self::longest_segment(samples) {
            return None;
        }
        let pair = |h: u64| [(h, 20), (20, h)];
        let resamplers: Vec<Polyphase> = FACTORS
            .flat_map(pair)
            .filter_map(|(up, down)| Polyphase::new(up, down, CROSSINGS, BETA, false).ok())
            .collect();
        let margin = resamplers.iter().map(|r| r.before().max(r.after())).max().unwrap_or(0);
        let taper = Window::Hann.samples(segment, Symmetry::Periodic);
        Some(Self { resamplers, samples, rate_hz, segment, step, taper, padding, margin })
    }

    /// The longest segment that still fits at the lowest rate.
    pub fn longest_segment(samples: usize) -> usize {
        (samples as f64 / LARGEST_FACTOR).ceil() as usize
    }

    /// Bins of a spectrum; they lie [`Plan::resolution_hz`] apart, the first at 0 Hz.
    pub fn bins(&self) -> usize {
        self.segment / 2 + 1
    }

    /// Hz from one bin to the next.
    pub fn resolution_hz(&self) -> f64 {
        self.rate_hz / self.segment as f64
    }

    /// Length of one signal's sums: (resampler × bin).
    pub fn sums(&self) -> usize {
        self.resamplers.len() * self.bins()
    }

    fn outputs(&self, resampler: &Polyphase) -> usize {
        resampler.first_from(self.samples as i64) as usize
    }

    fn segments(&self, resampler: &Polyphase) -> usize {
        (self.outputs(resampler) - self.segment) / self.step + 1
    }

    /// Room to work on eight signals.
    pub fn scratch(&self) -> Scratch {
        let longest = self.resamplers.iter().map(|r| self.outputs(r)).max().unwrap_or(0);
        Scratch {
            fft: RealFft::new(self.segment),
            padded: vec![[0.0; 8]; self.samples + 2 * self.margin],
            resampled: vec![[0.0; 8]; longest],
            buffer: vec![0.0; self.segment],
            bins: vec![Complex::new(0.0, 0.0); self.bins()],
        }
    }

    /// The aperiodic power density (µV²/Hz for a signal in µV, one-sided) per bin, from the sums of `n` signals.
    /// The bins at 0 Hz and at half the rate mean nothing.
    pub fn aperiodic(&self, sums: &[f64], n: u64) -> Vec<f64> {
        let scale = 2.0 / (self.rate_hz * self.taper.iter().map(|w| w * w).sum::<f64>() * n as f64);
        let counts: Vec<f64> = self.resamplers.iter().map(|r| self.segments(r) as f64).collect();
        let mut over_h = vec![0.0; self.resamplers.len() / 2];
        (0..self.bins())
            .map(|bin| {
                let density = |r: usize| sums[r * self.bins() + bin] / counts[r];
                over_h.iter_mut().enumerate().for_each(|(h, v)| *v = (density(2 * h) * density(2 * h + 1)).sqrt());
                scale * median(&mut over_h)
            })
            .collect()
    }
}

/// Room for eight signals at a time.
pub struct Scratch {
    fft: RealFft,
    padded: Vec<[f64; 8]>,
    resampled: Vec<[f64; 8]>,
    buffer: Vec<f64>,
    bins: Vec<Complex>,
}

impl Scratch {
    /// Adds up to eight signals to their sums (signal × resampler × bin). A signal that is `None` is left out; the
    /// others must be as long as planned and finite. Does not allocate.
    pub fn add(&mut self, plan: &Plan, signals: [Option<&[f64]>; 8], sums: &mut [f64]) {
        for (lane, signal) in signals.iter().enumerate() {
            let at = |i: i64| signal.map_or(0.0, |x| plan.padding.at(x, i));
            let (margin, n) = (plan.margin, plan.samples);
            self.padded[..margin].iter_mut().zip(-(margin as i64)..).for_each(|(t, i)| t[lane] = at(i));
            self.padded[margin + n..].iter_mut().zip(n as i64..).for_each(|(t, i)| t[lane] = at(i));
            let inside = &mut self.padded[margin..margin + n];
            match signal {
                Some(x) => inside.iter_mut().zip(*x).for_each(|(t, x)| t[lane] = *x),
                None => inside.iter_mut().for_each(|t| t[lane] = 0.0),
            }
        }
        for (r, resampler) in plan.resamplers.iter().enumerate() {
            let out = &mut self.resampled[..plan.outputs(resampler)];
            resampler.filter(&self.padded, -(plan.margin as i64), 0, out);
            for (lane, sums) in sums.chunks_exact_mut(plan.sums()).enumerate().take(8) {
                if signals[lane].is_none() {
                    continue;
                }
                let sums = &mut sums[r * plan.bins()..(r + 1) * plan.bins()];
                for segment in out.windows(plan.segment).step_by(plan.step) {
                    let mean = segment.iter().map(|t| t[lane]).sum::<f64>() / plan.segment as f64;
                    for ((v, tile), w) in self.buffer.iter_mut().zip(segment).zip(&plan.taper) {
                        *v = (tile[lane] - mean) * w;
                    }
                    self.fft.forward(&self.buffer, &mut self.bins);
                    sums.iter_mut().zip(&self.bins).for_each(|(sum, x)| *sum += x.norm_sqr());
                }
            }
        }
    }

    /// Bytes of its room.
    pub fn memory_bytes(&self) -> u64 {
        let tiles = self.padded.len() + self.resampled.len();
        (64 * tiles + 8 * self.buffer.len() + 16 * self.bins.len()) as u64 + self.fft.memory_bytes()
    }
}
