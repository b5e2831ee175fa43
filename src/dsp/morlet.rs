//! Wavelets, and banks of them applied to a signal at every `decim`-th sample.
//!
//! A bank takes one forward transform of the signal, filled up with zeros to `N = decim · M` samples. For each wavelet the
//! product of the two spectra is *folded*: taking every `decim`-th sample of a periodic sequence adds up the bins that lie
//! `M` apart, `Y[r] = Σ_q X[qM + r] W[qM + r] / decim`, so that an inverse transform of `M` points yields the decimated
//! convolution: exactly, aliases and all, not an approximation of it. A wavelet that is its own mirrored conjugate (Morlet)
//! has a real spectrum, which halves the product's cost.

use super::fft::{Complex, ComplexFft, RealFft, fast_len};
use multiversion::multiversion;
use std::f64::consts::{PI, TAU};

const ZERO: Complex = Complex::new(0.0, 0.0);

/// Bins that the inner loops take at once; `M` is a multiple of it.
const AT_ONCE: usize = 8;

/// A complex wavelet and which of its samples is its time 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Wavelet {
    /// Samples; their norm is √2, so that the real part alone has norm 1.
    pub values: Vec<Complex>,
    /// Index of the sample at time 0.
    pub centre: usize,
}

/// Standard deviation in time of a Morlet wavelet's envelope, s: `cycles / (2π f)`.
pub fn sigma_s(frequency_hz: f64, cycles: f64) -> f64 {
    cycles / (TAU * frequency_hz)
}

/// A Morlet wavelet, `(e^(2πift) − κ) e^(−t²/2σ²)` with `σ = cycles / (2πf)`, on the samples within ±5σ, of norm √2
/// (Tallon-Baudry et al. 1997, doi:10.1523/JNEUROSCI.17-02-00722.1997; the same as `mne.time_frequency.morlet`).
/// `zero_mean`: κ = e^(−2(πfσ)²), without which few cycles let a constant through; else κ = 0.
///
/// # Panics
/// When a number is not positive.
pub fn morlet(rate_hz: f64, frequency_hz: f64, cycles: f64, zero_mean: bool) -> Wavelet {
    assert!(rate_hz > 0.0 && frequency_hz > 0.0 && cycles > 0.0);
    let sigma = sigma_s(frequency_hz, cycles);
    // the samples of NumPy's arange(0, 5σ, 1/rate)
    let half = ((5.0 * sigma * rate_hz).ceil() as usize).max(1) - 1;
    let kappa = if zero_mean { (-2.0 * (PI * frequency_hz * sigma).powi(2)).exp() } else { 0.0 };
    let value = |i: usize| {
        let t = (i as f64 - half as f64) / rate_hz;
        (Complex::from_polar(1.0, TAU * frequency_hz * t) - kappa) * (-t * t / (2.0 * sigma * sigma)).exp()
    };
    normalised((0..=2 * half).map(value).collect())
}

/// An oscillation under a taper whose middle is its time 0, of norm √2: one of a multitaper transform's
/// (the same as `mne.time_frequency.tfr_array_multitaper`). `length_s` is the window that the taper's samples stand for;
/// `zero_mean` subtracts the mean.
pub fn tapered(rate_hz: f64, frequency_hz: f64, length_s: f64, taper: &[f64], zero_mean: bool) -> Wavelet {
    let value = |(i, w): (usize, &f64)| {
        Complex::from_polar(1.0, TAU * frequency_hz * (i as f64 / rate_hz - length_s / 2.0)) * w
    };
    let mut values: Vec<Complex> = taper.iter().enumerate().map(value).collect();
    if zero_mean {
        let mean = values.iter().sum::<Complex>() / values.len().max(1) as f64;
        values.iter_mut().for_each(|v| *v -= mean);
    }
    normalised(values)
}

fn normalised(mut values: Vec<Complex>) -> Wavelet {
    let norm = (0.5 * values.iter().map(Complex::norm_sqr).sum::<f64>()).sqrt();
    values.iter_mut().for_each(|v| *v /= norm);
    let centre = values.len().saturating_sub(1) / 2;
    Wavelet { values, centre }
}

/// The spectrum of a wavelet at all `N` bins.
#[derive(Debug, Clone)]
enum Weights {
    /// Of a wavelet with `w(−t) = w(t)*`.
    Real(Vec<f64>),
    Complex(Vec<Complex>),
}

/// Wavelets for signals of one length, evaluated at samples `offset`, `offset + decim`, …
#[derive(Debug, Clone)]
pub struct Bank {
    len: usize,
    decim: usize,
    offset: usize,
    outputs: usize,
    /// Points of the inverse transform.
    short: usize,
    weights: Vec<Weights>,
}

/// Working space of a [`Bank`]: plans and buffers, one per thread.
#[derive(Clone)]
pub struct Work {
    real: RealFft,
    short: ComplexFft,
    rotated: Vec<f64>,
    half: Vec<Complex>,
    out: Vec<Complex>,
}

impl Bank {
    /// Plans for signals of `len` samples. Outside them the signal counts as zero.
    ///
    /// # Panics
    /// When `decim` is 0 or `offset` is not below `len`.
    pub fn new(len: usize, decim: usize, offset: usize, wavelets: &[Wavelet]) -> Self {
        assert!(decim > 0 && offset < len);
        let reach = wavelets.iter().map(|w| w.centre.max(w.values.len().saturating_sub(1 + w.centre))).max();
        let groups = (len + reach.unwrap_or(0)).div_ceil(decim).div_ceil(AT_ONCE);
        let short = AT_ONCE * fast_len(groups);
        let mut plan = ComplexFft::new(short * decim);
        let weights = wavelets.iter().map(|w| weights(w, decim, &mut plan)).collect();
        Self { len, decim, offset, outputs: (len - offset).div_ceil(decim), short, weights }
    }

    /// Samples per result.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Number of wavelets.
    pub fn wavelets(&self) -> usize {
        self.weights.len()
    }

    /// Numbers in a signal's spectrum, see [`Bank::spectrum`].
    pub fn spectrum_len(&self) -> usize {
        2 * self.short * self.decim
    }

    /// Bytes of its tables.
    pub fn memory_bytes(&self) -> u64 {
        let bytes = |w: &Weights| match w {
            Weights::Real(w) => 8 * w.len(),
            Weights::Complex(w) => 16 * w.len(),
        };
        self.weights.iter().map(bytes).sum::<usize>() as u64
    }

    /// Working space.
    pub fn work(&self) -> Work {
        let n = self.short * self.decim;
        let real = RealFft::new(n);
        let half = vec![ZERO; real.bins()];
        let short = ComplexFft::new(self.short);
        Work { real, short, rotated: vec![0.0; n], half, out: vec![ZERO; self.short] }
    }

    /// The spectrum of `x` (positive and negative frequencies, real and imaginary parts in turn), its time 0 at the first
    /// output. Allocates nothing.
    ///
    /// # Panics
    /// When `x` has not the planned length or `spectrum` not [`Bank::spectrum_len`].
    pub fn spectrum(&self, x: &[f64], work: &mut Work, spectrum: &mut [f64]) {
        assert_eq!((x.len(), spectrum.len()), (self.len, self.spectrum_len()));
        let n = work.rotated.len();
        work.rotated.fill(0.0);
        work.rotated[n - self.offset..].copy_from_slice(&x[..self.offset]);
        work.rotated[..self.len - self.offset].copy_from_slice(&x[self.offset..]);
        work.real.forward(&work.rotated, &mut work.half);
        for (to, from) in spectrum.chunks_exact_mut(2).zip(&work.half) {
            (to[0], to[1]) = (from.re, from.im);
        }
        // a real signal: X[N − k] = X[k]*
        for (to, from) in spectrum.chunks_exact_mut(2).rev().zip(&work.half[1..]).take(n - work.half.len()) {
            (to[0], to[1]) = (from.re, -from.im);
        }
    }

    /// The signal of this spectrum convolved with a wavelet, at the outputs. Allocates nothing.
    ///
    /// # Panics
    /// When there is no such wavelet or `spectrum` has not [`Bank::spectrum_len`] numbers.
    pub fn transform<'w>(&self, wavelet: usize, spectrum: &[f64], work: &'w mut Work) -> &'w [Complex] {
        match &self.weights[wavelet] {
            Weights::Real(w) => fold_real(spectrum, w, &mut work.out),
            Weights::Complex(w) => fold_complex(spectrum, w, &mut work.out),
        }
        work.short.inverse(&mut work.out);
        &work.out[..self.outputs]
    }
}

fn weights(wavelet: &Wavelet, decim: usize, plan: &mut ComplexFft) -> Weights {
    let (n, w) = (plan.len(), &wavelet.values);
    let mut spectrum = vec![ZERO; n];
    for (k, v) in w.iter().enumerate() {
        spectrum[(n + k - wavelet.centre) % n] += v / decim as f64;
    }
    plan.forward(&mut spectrum);
    let mirrored = w.iter().zip(w.iter().rev()).all(|(a, b)| *a == b.conj());
    if mirrored && w.len() == 2 * wavelet.centre + 1 {
        Weights::Real(spectrum.iter().map(|v| v.re).collect())
    } else {
        Weights::Complex(spectrum)
    }
}

#[multiversion(targets("x86_64+avx+avx2+avx512f+avx512vl", "x86_64+avx+avx2"))]
fn fold_real(x: &[f64], w: &[f64], out: &mut [Complex]) {
    let short = out.len();
    for (i, out) in out.chunks_exact_mut(AT_ONCE).enumerate() {
        let mut sum = [0.0; 2 * AT_ONCE];
        let mut at = i * AT_ONCE;
        while let (Some(x), Some(w)) = (x.get(2 * at..2 * (at + AT_ONCE)), w.get(at..at + AT_ONCE)) {
            for j in 0..AT_ONCE {
                sum[2 * j] += x[2 * j] * w[j];
                sum[2 * j + 1] += x[2 * j + 1] * w[j];
            }
            at += short;
        }
        for (j, out) in out.iter_mut().enumerate() {
            *out = Complex::new(sum[2 * j], sum[2 * j + 1]);
        }
    }
}

#[multiversion(targets("x86_64+avx+avx2+avx512f+avx512vl", "x86_64+avx+avx2"))]
fn fold_complex(x: &[f64], w: &[Complex], out: &mut [Complex]) {
    let short = out.len();
    for (i, out) in out.chunks_exact_mut(AT_ONCE).enumerate() {
        let mut sum = [0.0; 2 * AT_ONCE];
        let mut at = i * AT_ONCE;
        while let (Some(x), Some(w)) = (x.get(2 * at..2 * (at + AT_ONCE)), w.get(at..at + AT_ONCE)) {
            for j in 0..AT_ONCE {
                sum[2 * j] += x[2 * j] * w[j].re - x[2 * j + 1] * w[j].im;
                sum[2 * j + 1] += x[2 * j] * w[j].im + x[2 * j + 1] * w[j].re;
            }
            at += short;
        }
        for (j, out) in out.iter_mut().enumerate() {
            *out = Complex::new(sum[2 * j], sum[2 * j + 1]);
        }
    }
}

/// Adds `weight · |z|²` to `power`, and `z / |z|` (0 where z is 0, which has no phase) to `re` and `im`.
/// The shortest slice decides.
pub fn accumulate(z: &[Complex], weight: f64, power: &mut [f64], re: &mut [f64], im: &mut [f64]) {
    accumulate_any(z, weight, power, re, im);
}

#[multiversion(targets("x86_64+avx+avx2+avx512f+avx512vl", "x86_64+avx+avx2"))]
fn accumulate_any(z: &[Complex], weight: f64, power: &mut [f64], re: &mut [f64], im: &mut [f64]) {
    for (((z, power), re), im) in z.iter().zip(power).zip(re).zip(im) {
        let square = z.re * z.re + z.im * z.im;
        let inverse = if square > 0.0 { 1.0 / square.sqrt() } else { 0.0 };
        *power += weight * square;
        *re += z.re * inverse;
        *im += z.im * inverse;
    }
}

#[cfg(test)]
mod tests;
