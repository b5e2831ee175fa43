//! Planned Fourier transforms: all that can fail or allocate happens in `new`.
//!
//! Forward `X[k] = Σ x[n] e^(−2πikn/N)`, inverse with the factor `1/N`: NumPy's conventions. Plans are by `rustfft` and
//! `realfft`, any length is fast enough (mixed radix, Rader, Bluestein); see [`fast_len`] for the fastest.

use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::{Fft, FftPlanner};
use std::sync::Arc;

/// A complex number of two f64.
pub type Complex = rustfft::num_complex::Complex64;

const ZERO: Complex = Complex::new(0.0, 0.0);

/// Transforms of real signals of one length, and back.
#[derive(Clone)]
pub struct RealFft {
    n: usize,
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
    real: Vec<f64>,
    half: Vec<Complex>,
    scratch: Vec<Complex>,
}

impl RealFft {
    /// Plans transforms of `n` samples.
    ///
    /// # Panics
    /// When `n` is 0.
    pub fn new(n: usize) -> Self {
        assert!(n > 0, "a transform needs a sample");
        let mut planner = RealFftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(n), planner.plan_fft_inverse(n));
        let scratch = vec![ZERO; forward.get_scratch_len().max(inverse.get_scratch_len())];
        Self { n, forward, inverse, real: vec![0.0; n], half: vec![ZERO; n / 2 + 1], scratch }
    }

    /// Samples per signal.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Never: a plan has at least one sample.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Frequencies from 0 to Nyquist: `n / 2 + 1`.
    pub fn bins(&self) -> usize {
        self.half.len()
    }

    /// Bytes of its buffers, twiddle factors left out.
    pub fn memory_bytes(&self) -> u64 {
        (8 * self.n + 16 * (self.half.len() + self.scratch.len())) as u64
    }

    /// The spectrum of `x`, which is filled up with zeros to the plan's length. Allocates nothing.
    ///
    /// # Panics
    /// When `x` is longer than the plan, or `spectrum` has not [`RealFft::bins`] values.
    pub fn forward(&mut self, x: &[f64], spectrum: &mut [Complex]) {
        self.real[..x.len()].copy_from_slice(x);
        self.real[x.len()..].fill(0.0);
        let done = self.forward.process_with_scratch(&mut self.real, spectrum, &mut self.scratch);
        assert!(done.is_ok(), "{} bins wanted, {} given", self.half.len(), spectrum.len());
    }

    /// The signal with this spectrum; imaginary parts at 0 Hz (and at Nyquist, for even lengths) count as zero.
    /// Allocates nothing.
    ///
    /// # Panics
    /// When `spectrum` has not [`RealFft::bins`] values or `x` not the plan's length.
    pub fn inverse(&mut self, spectrum: &[Complex], x: &mut [f64]) {
        self.half.copy_from_slice(spectrum);
        self.half[0].im = 0.0;
        if self.n.is_multiple_of(2) {
            self.half[self.n / 2].im = 0.0;
        }
        let done = self.inverse.process_with_scratch(&mut self.half, x, &mut self.scratch);
        assert!(done.is_ok(), "{} samples wanted, {} given", self.n, x.len());
        let scale = 1.0 / self.n as f64;
        x.iter_mut().for_each(|v| *v *= scale);
    }
}

/// Transforms of complex signals of one length, in place, and back.
#[derive(Clone)]
pub struct ComplexFft {
    n: usize,
    forward: Arc<dyn Fft<f64>>,
    inverse: Arc<dyn Fft<f64>>,
    scratch: Vec<Complex>,
}

impl ComplexFft {
    /// Plans transforms of `n` samples.
    ///
    /// # Panics
    /// When `n` is 0.
    pub fn new(n: usize) -> Self {
        assert!(n > 0, "a transform needs a sample");
        let mut planner = FftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(n), planner.plan_fft_inverse(n));
        let scratch = vec![ZERO; forward.get_inplace_scratch_len().max(inverse.get_inplace_scratch_len())];
        Self { n, forward, inverse, scratch }
    }

    /// Samples per signal.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Never: a plan has at least one sample.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The spectrum, in place. Allocates nothing.
    ///
    /// # Panics
    /// When `data` has not the plan's length.
    pub fn forward(&mut self, data: &mut [Complex]) {
        assert_eq!(data.len(), self.n);
        self.forward.process_with_scratch(data, &mut self.scratch);
    }

    /// The signal, in place. Allocates nothing.
    ///
    /// # Panics
    /// When `data` has not the plan's length.
    pub fn inverse(&mut self, data: &mut [Complex]) {
        assert_eq!(data.len(), self.n);
        self.inverse.process_with_scratch(data, &mut self.scratch);
        let scale = 1.0 / self.n as f64;
        data.iter_mut().for_each(|v| *v *= scale);
    }
}

/// The analytic signal of real signals of one length: `x + i·H(x)`, negative frequencies removed and positive ones
/// doubled (Marple 1999, 10.1109/78.782222; the same as `scipy.signal.hilbert`).
#[derive(Clone)]
pub struct Analytic {
    real: RealFft,
    complex: ComplexFft,
}

impl Analytic {
    /// Plans for `n` samples.
    ///
    /// # Panics
    /// When `n` is 0.
    pub fn new(n: usize) -> Self {
        Self { real: RealFft::new(n), complex: ComplexFft::new(n) }
    }

    /// Writes the analytic signal of `x`. Allocates nothing.
    ///
    /// # Panics
    /// When `x` or `out` has not the plan's length.
    pub fn apply(&mut self, x: &[f64], out: &mut [Complex]) {
        let n = self.real.len();
        assert_eq!(x.len(), n);
        let (positive, negative) = out.split_at_mut(self.real.bins());
        self.real.forward(x, positive);
        negative.fill(ZERO);
        // 0 Hz and (for even lengths) Nyquist have no negative twin
        positive[1..n.div_ceil(2)].iter_mut().for_each(|v| *v *= 2.0);
        self.complex.inverse(out);
    }
}

/// The analytic signal of `x`; empty for an empty signal.
pub fn analytic(x: &[f64]) -> Vec<Complex> {
    let mut out = vec![ZERO; x.len()];
    if !x.is_empty() {
        Analytic::new(x.len()).apply(x, &mut out);
    }
    out
}

/// The smallest length of at least `n` whose only prime factors are 2, 3 and 5.
pub fn fast_len(n: usize) -> usize {
    let smooth = |mut m: usize| {
        for p in [2, 3, 5] {
            while m.is_multiple_of(p) {
                m /= p;
            }
        }
        m == 1
    };
    (n.max(1)..).find(|&m| smooth(m)).unwrap_or(n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    const LENGTHS: [usize; 22] =
        [1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 16, 17, 30, 31, 97, 100, 127, 128, 210, 251, 256, 509];

    fn signal(n: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * i * 7 + 3 * i) % 23) as f64 - 11.0 + 0.25 * i as f64).collect()
    }

    /// The definition; the angle comes from the exact index.
    fn naive(x: &[Complex], sign: f64) -> Vec<Complex> {
        let n = x.len();
        let term = |k: usize, i: usize| Complex::from_polar(1.0, sign * TAU * ((k * i) % n) as f64 / n as f64);
        (0..n).map(|k| x.iter().enumerate().map(|(i, v)| v * term(k, i)).sum()).collect()
    }

    fn close(a: &[Complex], b: &[Complex], tolerance: f64) {
        assert_eq!(a.len(), b.len());
        for (k, (a, b)) in a.iter().zip(b).enumerate() {
            assert!((a - b).norm() <= tolerance, "n {} bin {k}: {a} {b}", a.norm());
        }
    }

    #[test]
    fn real_transforms_are_the_definition() {
        for n in LENGTHS {
            let x = signal(n);
            let complex: Vec<Complex> = x.iter().map(|&v| v.into()).collect();
            let norm = x.iter().map(|v| v * v).sum::<f64>().sqrt() * (n as f64).sqrt();
            let mut plan = RealFft::new(n);
            let mut spectrum = vec![ZERO; plan.bins()];
            plan.forward(&x, &mut spectrum);
            close(&spectrum, &naive(&complex, -1.0)[..plan.bins()], 1e-14 * norm);
            let mut back = vec![0.0; n];
            plan.inverse(&spectrum, &mut back);
            assert!(x.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-14 * norm), "round trip {n}");
            // Parseval: every bin but 0 Hz and Nyquist stands for two
            let energy: f64 = spectrum
                .iter()
                .enumerate()
                .map(|(k, v)| v.norm_sqr() * if k == 0 || 2 * k == n { 1.0 } else { 2.0 })
                .sum();
            let want = x.iter().map(|v| v * v).sum::<f64>() * n as f64;
            assert!((energy - want).abs() <= 1e-13 * want, "Parseval {n}: {energy} {want}");
        }
    }

    #[test]
    fn complex_transforms_are_the_definition() {
        for n in LENGTHS {
            let x: Vec<Complex> = signal(2 * n).chunks(2).map(|v| Complex::new(v[0], v[1])).collect();
            let norm = x.iter().map(Complex::norm_sqr).sum::<f64>().sqrt() * (n as f64).sqrt();
            let mut plan = ComplexFft::new(n);
            let mut data = x.clone();
            plan.forward(&mut data);
            close(&data, &naive(&x, -1.0), 1e-14 * norm);
            plan.inverse(&mut data);
            close(&data, &x, 1e-14 * norm);
        }
    }

    #[test]
    fn short_signals_are_filled_up() {
        let mut plan = RealFft::new(16);
        let (mut a, mut b) = (vec![ZERO; 9], vec![ZERO; 9]);
        plan.forward(&[1.0; 16], &mut a);
        plan.forward(&[1.0, 2.0, 3.0], &mut a);
        let mut x = [0.0; 16];
        x[..3].copy_from_slice(&[1.0, 2.0, 3.0]);
        plan.forward(&x, &mut b);
        assert_eq!(a, b);
    }

    #[test]
    fn analytic_signals_are_scipys() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/stft.json");
        let golden: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        for case in golden["hilbert"].as_array().unwrap() {
            let list = |key: &str| serde_json::from_value::<Vec<f64>>(case[key].clone()).unwrap();
            let (x, re, im) = (list("x"), list("re"), list("im"));
            let want: Vec<Complex> = re.iter().zip(&im).map(|(&re, &im)| Complex::new(re, im)).collect();
            close(&analytic(&x), &want, 1e-12);
        }
        assert!(analytic(&[]).is_empty());
    }

    #[test]
    fn the_envelope_of_a_sine_is_flat() {
        let x: Vec<f64> = (0..200).map(|i| 3.0 * (TAU * 9.0 * f64::from(i) / 200.0).cos()).collect();
        assert!(analytic(&x).iter().all(|v| (v.norm() - 3.0).abs() < 1e-13));
    }

    #[test]
    fn fast_lengths() {
        assert_eq!([0, 1, 7, 11, 97, 1021, 4097].map(fast_len), [1, 1, 8, 12, 100, 1024, 4320]);
    }
}
