//! Autoregressive models by Burg's method, and the continuation of a signal by its model.
//!
//! An AR(p) model predicts `x[n] ≈ Σ_{j=1..p} a_j x[n−j]`. Burg (1975) finds it one order at a time: with the forward and
//! backward prediction errors f and b of order m, the reflection coefficient
//!
//! ```text
//! k_{m+1} = 2 Σ f_m[n] b_m[n−1] / Σ (f_m[n]² + b_m[n−1]²)
//! ```
//!
//! is at most 1 in size whatever the data, so a continuation cannot explode. The mean is *not* removed: a short stretch's
//! mean is no property of the signal, and taking it out pulls every continuation back to it.
//!
//! Burg JP (1975), *Maximum entropy spectral analysis*, PhD thesis, Stanford University; recursion as in Kay & Marple
//! (1981), Proc IEEE 69:1380–1419, 10.1109/PROC.1981.12184.

/// The recursion ends where the prediction error's energy has fallen to this part of the signal's: what is left is rounding.
const FLOOR: f64 = 1e-20;

/// Buffers for fits of up to `max_len` samples and `max_order` coefficients, so that a fit allocates nothing.
#[derive(Debug, Clone)]
pub struct Burg {
    forward: Vec<f64>,
    backward: Vec<f64>,
    coefficients: Vec<f64>,
    previous: Vec<f64>,
    order: usize,
    variance: f64,
}

impl Burg {
    /// Room for segments of `max_len` samples and models of `max_order` coefficients.
    pub fn new(max_len: usize, max_order: usize) -> Self {
        Self {
            forward: vec![0.0; max_len],
            backward: vec![0.0; max_len],
            coefficients: vec![0.0; max_order],
            previous: vec![0.0; max_order],
            order: 0,
            variance: 0.0,
        }
    }

    /// Fits an AR model of at most `order` coefficients to `x` and gives a_1…a_p.
    ///
    /// The order shrinks where the data carry no more: to below `x.len()`, to 1 (a_1 = 1: hold the value) for a constant
    /// segment, to 0 (predicts 0) for zeros, non-finite samples or fewer than two of them.
    ///
    /// # Panics
    /// When `x` or `order` exceeds what [`Burg::new`] was told.
    pub fn fit(&mut self, x: &[f64], order: usize) -> &[f64] {
        assert!(x.len() <= self.forward.len() && order <= self.coefficients.len(), "Burg: larger than planned");
        let n = x.len();
        let (f, b) = (&mut self.forward[..n], &mut self.backward[..n]);
        f.copy_from_slice(x);
        b.copy_from_slice(x);
        let energy = dot(x, x);
        self.variance = if n == 0 { 0.0 } else { energy / n as f64 };
        self.order = 0;
        while self.order < order && self.order + 1 < n {
            let m = self.order;
            // f_m[n] against b_m[n−1]; the latter is kept at slot n−1−m, where b_{m+1}[n] takes its place
            let (ahead, behind) = (&mut f[m + 1..], &mut b[..n - 1 - m]);
            let denominator = dot(ahead, ahead) + dot(behind, behind);
            // not `<=`: a NaN must end it too
            if !(denominator > FLOOR * energy && denominator.is_finite()) {
                break;
            }
            let k = (2.0 * dot(ahead, behind) / denominator).clamp(-1.0, 1.0);
            for (f, b) in ahead.iter_mut().zip(behind.iter_mut()) {
                (*f, *b) = (*f - k * *b, *b - k * *f);
            }
            self.previous[..m].copy_from_slice(&self.coefficients[..m]);
            for j in 0..m {
                self.coefficients[j] = self.previous[j] - k * self.previous[m - 1 - j];
            }
            self.coefficients[m] = k;
            self.variance = (1.0 - k * k) * denominator / (2 * (n - m - 1)) as f64;
            self.order += 1;
        }
        &self.coefficients[..self.order]
    }

    /// The coefficients a_1…a_p of the last fit.
    pub fn coefficients(&self) -> &[f64] {
        &self.coefficients[..self.order]
    }

    /// Variance of the last fit's prediction error, in the square of the signal's unit.
    pub fn variance(&self) -> f64 {
        self.variance
    }

    /// Bytes of the buffers.
    pub fn memory_bytes(&self) -> u64 {
        8 * 2 * (self.forward.len() + self.coefficients.len()) as u64
    }
}

/// AR coefficients a_1…a_p of `x` by Burg's method; [`Burg::fit`] without keeping the buffers.
pub fn burg(x: &[f64], order: usize) -> Vec<f64> {
    Burg::new(x.len(), order).fit(x, order).to_vec()
}

/// Continues `history` (in order of time) by the model: `out[n] = Σ a_j y[n−j]`, y being the history followed by `out`.
/// Samples before the history count as 0.
///
/// To continue backwards in time, fit and continue the reversed samples.
pub fn extrapolate(coefficients: &[f64], history: &[f64], out: &mut [f64]) {
    for n in 0..out.len() {
        let (done, rest) = out.split_at_mut(n);
        let past = done.iter().rev().chain(history.iter().rev());
        rest[0] = coefficients.iter().zip(past).map(|(a, y)| a * y).sum();
    }
}

/// Σ a·b in four running sums: faster than one, and always in the same order.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let (a4, b4) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = a4.remainder().iter().zip(b4.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a4.zip(b4) {
        for i in 0..4 {
            sums[i] += a[i] * b[i];
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::stats::tests::{golden, numbers};

    fn near(got: &[f64], want: &[f64], tolerance: f64) {
        assert_eq!(got.len(), want.len());
        for (g, w) in got.iter().zip(want) {
            assert!((g - w).abs() <= tolerance * w.abs().max(1.0), "{g} against {w}");
        }
    }

    #[test]
    fn coefficients_and_continuation_are_those_of_statsmodels() {
        let golden = golden();
        let signal = numbers(&golden["signal"]);
        for case in golden["burg"].as_array().unwrap() {
            let range = case["from"].as_u64().unwrap() as usize..case["to"].as_u64().unwrap() as usize;
            let (x, order) = (&signal[range], case["order"].as_u64().unwrap() as usize);
            let mut fit = Burg::new(400, 60);
            near(fit.fit(x, order), &numbers(&case["ar"]), 1e-9);
            near(&[fit.variance()], &[case["sigma2"].as_f64().unwrap()], 1e-9);
            let want = numbers(&case["continuation"]);
            let mut out = vec![0.0; want.len()];
            extrapolate(fit.coefficients(), x, &mut out);
            near(&out, &want, 1e-8);
            assert_eq!(burg(x, order), fit.coefficients());
        }
    }

    #[test]
    fn a_constant_is_held_and_zeros_stay_zero() {
        for level in [5000.0, -0.1, 1e-9] {
            let x = [level; 50];
            assert_eq!(burg(&x, 17), [1.0]);
            let mut out = [0.0; 20];
            extrapolate(&[1.0], &x, &mut out);
            assert_eq!(out, [level; 20]);
        }
        assert!(burg(&[0.0; 50], 17).is_empty());
        assert!(burg(&[1.0, f64::NAN, 2.0], 2).is_empty());
        assert!(burg(&[], 3).is_empty() && burg(&[4.0], 3).is_empty());
        let mut out = [7.0; 3];
        extrapolate(&[], &[1.0], &mut out);
        assert_eq!(out, [0.0; 3]);
    }

    #[test]
    fn a_sine_is_continued_and_nothing_explodes() {
        let sine = |n: i64| 20.0 * (std::f64::consts::TAU * 10.0 * n as f64 / 1000.0).sin();
        let x: Vec<_> = (-200..0).map(sine).collect();
        let mut out = [0.0; 100];
        extrapolate(&burg(&x, 66), &x, &mut out);
        for (n, y) in out.iter().enumerate() {
            assert!((y - sine(n as i64)).abs() < 0.5, "{n}: {y}");
        }
        // a ramp is the hardest of simple signals: poles on the unit circle
        let ramp: Vec<_> = (0..60).map(f64::from).collect();
        let mut far = vec![0.0; 5000];
        extrapolate(&burg(&ramp, 20), &ramp, &mut far);
        assert!(far.iter().all(|v| v.abs() < 1e3));
    }
}
