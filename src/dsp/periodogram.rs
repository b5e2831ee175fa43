//! The density of one stretch of signal: what Welch's and the multitaper method average.

use super::fft::{Complex, RealFft};
use super::multitaper::{Adaptive, Tapers};
use multiversion::multiversion;
use std::f64::consts::FRAC_1_SQRT_2;
use std::sync::Arc;

/// One-sided power spectral density of a stretch without its mean: `2 / rate · Σₖ weightₖ |Σₙ taperₖ[n] x[n] e^(−2πikn/N)|²`,
/// without the 2 at 0 Hz and at Nyquist, so that the bins times `rate / N` add up to the tapered stretch's variance.
#[derive(Clone)]
pub struct Periodogram {
    fft: RealFft,
    tapers: Arc<Tapers>,
    scale: f64,
    tapered: Vec<f64>,
    bins: Vec<Complex>,
    /// Density by taper, and their adaptive combination.
    adaptive: Option<(Vec<f64>, Adaptive, Vec<f64>)>,
}

impl Periodogram {
    /// Plans for stretches as long as the tapers, at a rate in Hz; `adaptive` weighting needs three tapers.
    ///
    /// # Panics
    /// When the tapers hold no sample.
    pub fn new(tapers: Arc<Tapers>, rate_hz: f64, adaptive: bool) -> Self {
        let fft = RealFft::new(tapers.len);
        let bins = fft.bins();
        let adaptive = (adaptive && tapers.count() > 2)
            .then(|| (vec![0.0; bins * tapers.count()], Adaptive::new(&tapers.ratios, bins), vec![0.0; bins]));
        let (tapered, scale) = (vec![0.0; tapers.len], 2.0 / rate_hz);
        Self { fft, tapers, scale, tapered, bins: vec![Complex::default(); bins], adaptive }
    }

    /// Frequencies from 0 to Nyquist.
    pub fn bins(&self) -> usize {
        self.bins.len()
    }

    /// Adds the density of `x` to `out`, one value per bin; `false`, and nothing is added, where a sample is not finite.
    /// Allocates nothing.
    ///
    /// # Panics
    /// When `x` or `out` has another length than planned.
    pub fn add(&mut self, x: &[f64], out: &mut [f64]) -> bool {
        assert_eq!((x.len(), out.len()), (self.tapers.len, self.bins.len()));
        let mean = sum(x) / x.len() as f64;
        if !mean.is_finite() {
            return false;
        }
        let tapers = Arc::clone(&self.tapers);
        for (k, taper) in tapers.samples.chunks_exact(x.len()).enumerate() {
            taper_into(&mut self.tapered, x, mean, taper);
            self.fft.forward(&self.tapered, &mut self.bins);
            self.bins[0] *= FRAC_1_SQRT_2;
            if x.len().is_multiple_of(2) {
                self.bins[x.len() / 2] *= FRAC_1_SQRT_2;
            }
            match &mut self.adaptive {
                None => add_power(out, &self.bins, tapers.weights[k] * self.scale),
                Some((by_taper, ..)) => {
                    let row = &mut by_taper[k * out.len()..(k + 1) * out.len()];
                    row.fill(0.0);
                    add_power(row, &self.bins, self.scale);
                }
            }
        }
        if let Some((by_taper, adaptive, whole)) = &mut self.adaptive {
            adaptive.combine(by_taper, whole);
            out.iter_mut().zip(whole).for_each(|(out, v)| *out += *v);
        }
        true
    }

    /// Bytes of its buffers.
    pub fn memory_bytes(&self) -> u64 {
        let adaptive = self
            .adaptive
            .as_ref()
            .map_or(0, |(rows, a, whole)| 8 * (rows.len() + whole.len()) as u64 + a.memory_bytes());
        self.fft.memory_bytes() + 8 * (self.tapered.len() + 2 * self.bins.len()) as u64 + adaptive
    }
}

/// Eight strands, so that the vector unit takes them.
#[multiversion(targets("x86_64+avx+avx2"))]
fn sum(x: &[f64]) -> f64 {
    let (chunks, rest) = x.as_chunks::<8>();
    let mut strands = [0.0; 8];
    for chunk in chunks {
        strands.iter_mut().zip(chunk).for_each(|(sum, v)| *sum += v);
    }
    strands.iter().chain(rest).sum()
}

#[multiversion(targets("x86_64+avx+avx2"))]
fn taper_into(out: &mut [f64], x: &[f64], mean: f64, taper: &[f64]) {
    for ((out, x), w) in out.iter_mut().zip(x).zip(taper) {
        *out = (x - mean) * w;
    }
}

#[multiversion(targets("x86_64+avx+avx2"))]
fn add_power(out: &mut [f64], bins: &[Complex], weight: f64) {
    for (out, x) in out.iter_mut().zip(bins) {
        *out += (x.re * x.re + x.im * x.im) * weight;
    }
}
