//! Discrete prolate spheroidal sequences: the tapers of a given length that keep most of their energy within ±W
//! (Slepian 1978, doi:10.1002/j.1538-7305.1978.tb02104.x), as `scipy.signal.windows.dpss(n, nw, k_max, sym=False, norm=2,
//! return_ratios=True)` gives them.
//!
//! The sequences of length m are eigenvectors of the symmetric tridiagonal matrix with the diagonal
//! `((m − 1 − 2i)/2)² cos 2πW` and `i (m − i)/2` beside it (Slepian's eq. 14; Percival & Walden 1993, §8.3). The largest
//! eigenvalues are found by bisection with Sturm counts, the vectors by inverse iteration.

use super::fft::{Complex, RealFft, fast_len};
use std::f64::consts::{PI, TAU};

/// Tapers and how well each keeps its energy in the band.
#[derive(Debug, Clone, PartialEq)]
pub struct Dpss {
    /// One taper of `n` samples each, the most concentrated first. They are the first `n` samples of orthonormal
    /// sequences of `n + 1` samples (SciPy's periodic form, MNE-Python's too), so that their norm is 1 but for the last.
    pub tapers: Vec<Vec<f64>>,
    /// Share of each sequence's energy within ±nw / (n + 1) cycles per sample, 0…1.
    pub ratios: Vec<f64>,
}

impl Dpss {
    /// Keeps the tapers whose ratio is above 0.9, and always the first: MNE-Python's `low_bias`.
    pub fn low_bias(mut self) -> Self {
        let keep = self.ratios.iter().take_while(|&&ratio| ratio > 0.9).count().max(1);
        self.tapers.truncate(keep);
        self.ratios.truncate(keep);
        self
    }
}

/// The first `k_max` (at most `n`) tapers of `n` samples with the time–half-bandwidth product `nw`, below n / 2.
///
/// Symmetric tapers (the first, third, …) have a positive mean, the others begin with a positive lobe.
pub fn dpss(n: usize, nw: f64, k_max: usize) -> Dpss {
    let m = n + 1;
    let w = nw / m as f64;
    let matrix = Tridiagonal::slepian(m, w);
    let (mut tapers, mut ratios) = (Vec::new(), Vec::new());
    let mut concentration = Concentration::new(m, w);
    for k in 0..k_max.min(n) {
        let mut taper = matrix.vector(matrix.eigenvalue(k), k % 2 == 1);
        if points_down(&taper, k % 2 == 1) {
            taper.iter_mut().for_each(|v| *v = -*v);
        }
        ratios.push(concentration.of(&taper));
        taper.truncate(n);
        tapers.push(taper);
    }
    Dpss { tapers, ratios }
}

/// Whether a taper must change its sign (Percival & Walden 1993, p. 379).
fn points_down(taper: &[f64], odd: bool) -> bool {
    if !odd {
        return taper.iter().sum::<f64>() < 0.0;
    }
    // the first value that is no rounding noise
    let floor = (1.0 / taper.len() as f64).max(1e-7);
    taper.iter().find(|&v| v * v > floor).is_some_and(|&v| v < 0.0)
}

/// A symmetric tridiagonal matrix.
struct Tridiagonal {
    diagonal: Vec<f64>,
    /// `beside[i]` couples `i` and `i + 1`.
    beside: Vec<f64>,
    /// A bound on all eigenvalues' sizes.
    norm: f64,
}

impl Tridiagonal {
    fn slepian(m: usize, w: f64) -> Self {
        let cos = (TAU * w).cos();
        let diagonal: Vec<f64> = (0..m).map(|i| ((m as f64 - 1.0 - 2.0 * i as f64) / 2.0).powi(2) * cos).collect();
        let beside: Vec<f64> = (1..m).map(|i| i as f64 * (m - i) as f64 / 2.0).collect();
        let row = |i: usize| {
            let before = i.checked_sub(1).map_or(0.0, |j| beside[j]);
            diagonal[i].abs() + before + beside.get(i).copied().unwrap_or(0.0)
        };
        let norm = (0..m).map(row).fold(0.0, f64::max);
        Self { diagonal, beside, norm }
    }

    /// How many eigenvalues are above `x`: the positive terms of the Sturm sequence.
    fn above(&self, x: f64) -> usize {
        let tiny = f64::EPSILON * self.norm.max(f64::MIN_POSITIVE);
        let (mut count, mut q) = (0, 1.0);
        for (i, d) in self.diagonal.iter().enumerate() {
            let coupling = i.checked_sub(1).map_or(0.0, |j| self.beside[j]);
            q = d - x - coupling * coupling / q;
            if q.abs() < tiny * 1e-16 {
                q = -tiny;
            }
            count += usize::from(q > 0.0);
        }
        count
    }

    /// The eigenvalue with `k` larger ones.
    fn eigenvalue(&self, k: usize) -> f64 {
        let (mut low, mut high) = (-self.norm, self.norm);
        loop {
            let middle = low + (high - low) / 2.0;
            if middle <= low || middle >= high {
                return high;
            }
            if self.above(middle) > k { low = middle } else { high = middle }
        }
    }

    /// The unit eigenvector of `eigenvalue`, mirrored (`odd`: with the other sign) about its middle.
    fn vector(&self, eigenvalue: f64, odd: bool) -> Vec<f64> {
        let m = self.diagonal.len();
        let factors = Factors::new(self, eigenvalue);
        let sign = if odd { -1.0 } else { 1.0 };
        // a start with a part along every vector of the right symmetry
        let mut x: Vec<f64> = (0..m).map(|i| 1.0 + 0.5 * (i as f64 * 0.7).sin() + i as f64 / m as f64).collect();
        for _ in 0..4 {
            factors.solve(&mut x);
            let scale = x.iter().fold(0.0_f64, |a, v| a.max(v.abs())).recip();
            for i in 0..m.div_ceil(2) {
                let half = (x[i] + sign * x[m - 1 - i]) * scale / 2.0;
                (x[i], x[m - 1 - i]) = (half, sign * half);
            }
            if odd && m % 2 == 1 {
                x[m / 2] = 0.0;
            }
        }
        let norm = x.iter().map(|v| v * v).sum::<f64>().sqrt();
        x.iter_mut().for_each(|v| *v /= norm);
        x
    }
}

/// `T − λ` as P·L·U, Gaussian elimination with partial pivoting.
struct Factors {
    /// Upper triangle: diagonal and the two beside it.
    upper: Vec<[f64; 3]>,
    /// Multiplier of each step, and whether rows were swapped before it.
    lower: Vec<(f64, bool)>,
}

impl Factors {
    fn new(matrix: &Tridiagonal, shift: f64) -> Self {
        let m = matrix.diagonal.len();
        let tiny = f64::EPSILON * matrix.norm.max(f64::MIN_POSITIVE);
        let beside = |i: usize| matrix.beside.get(i).copied().unwrap_or(0.0);
        let (mut upper, mut lower) = (Vec::with_capacity(m), Vec::with_capacity(m));
        let mut row = [matrix.diagonal[0] - shift, beside(0), 0.0];
        for i in 1..m {
            let mut next = [beside(i - 1), matrix.diagonal[i] - shift, beside(i)];
            let swap = next[0].abs() > row[0].abs();
            if swap {
                std::mem::swap(&mut row, &mut next);
            }
            if row[0].abs() < tiny {
                row[0] = tiny;
            }
            let factor = next[0] / row[0];
            upper.push(row);
            lower.push((factor, swap));
            row = [next[1] - factor * row[1], next[2] - factor * row[2], 0.0];
        }
        if row[0].abs() < tiny {
            row[0] = tiny;
        }
        upper.push(row);
        Self { upper, lower }
    }

    fn solve(&self, x: &mut [f64]) {
        for (i, &(factor, swap)) in self.lower.iter().enumerate() {
            if swap {
                x.swap(i, i + 1);
            }
            x[i + 1] -= factor * x[i];
        }
        for (i, [d, e, f]) in self.upper.iter().enumerate().rev() {
            let after = |j: usize, by: f64| x.get(j).map_or(0.0, |v| by * v);
            x[i] = (x[i] - after(i + 1, *e) - after(i + 2, *f)) / d;
        }
    }
}

/// The share of energy within ±w: `Σ r(l) · 2 sin(2πwl) / πl` over the autocorrelation r (Percival & Walden 1993, p. 390).
struct Concentration {
    fft: RealFft,
    padded: Vec<f64>,
    bins: Vec<Complex>,
    kernel: Vec<f64>,
}

impl Concentration {
    fn new(m: usize, w: f64) -> Self {
        let len = fast_len(2 * m);
        let kernel = |l: usize| if l == 0 { 2.0 * w } else { 2.0 * (TAU * w * l as f64).sin() / (PI * l as f64) };
        let fft = RealFft::new(len);
        let bins = vec![Complex::new(0.0, 0.0); fft.bins()];
        Self { fft, padded: vec![0.0; len], bins, kernel: (0..m).map(kernel).collect() }
    }

    fn of(&mut self, taper: &[f64]) -> f64 {
        self.fft.forward(taper, &mut self.bins);
        self.bins.iter_mut().for_each(|v| *v = Complex::new(v.norm_sqr(), 0.0));
        self.fft.inverse(&self.bins, &mut self.padded);
        self.kernel.iter().zip(&self.padded).map(|(k, r)| k * r).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden() -> serde_json::Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/dpss.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn tapers_and_ratios_are_scipys() {
        for case in golden()["cases"].as_array().unwrap() {
            let (n, nw) = (case["n"].as_u64().unwrap() as usize, case["nw"].as_f64().unwrap());
            let every = case["every"].as_u64().unwrap() as usize;
            let ratios: Vec<f64> = serde_json::from_value(case["ratios"].clone()).unwrap();
            let tapers: Vec<Vec<f64>> = serde_json::from_value(case["tapers"].clone()).unwrap();
            let ours = dpss(n, nw, ratios.len());
            assert_eq!(ours.tapers.len(), ratios.len());
            for k in 0..ratios.len() {
                let worst = ours.tapers[k].iter().step_by(every).zip(&tapers[k]).map(|(a, b)| (a - b).abs());
                let worst = worst.fold(0.0, f64::max);
                assert_eq!(ours.tapers[k].len(), n);
                assert!(worst < 2e-12, "n {n} nw {nw} taper {k}: {worst:e}");
                assert!(
                    (ours.ratios[k] - ratios[k]).abs() < 1e-12,
                    "n {n} nw {nw} ratio {k}: {} {}",
                    ours.ratios[k],
                    ratios[k]
                );
            }
            assert_eq!(ours.low_bias().ratios.len() as u64, case["low_bias"].as_u64().unwrap(), "n {n} nw {nw}");
        }
    }

    #[test]
    fn sequences_are_orthogonal_and_concentrated() {
        let ours = dpss(400, 3.0, 6);
        for (a, x) in ours.tapers.iter().enumerate() {
            for (b, y) in ours.tapers.iter().enumerate() {
                let dot: f64 = x.iter().zip(y).map(|(x, y)| x * y).sum();
                // orthonormal over n + 1 samples
                let last = if (a + b) % 2 == 0 { x[0] * y[0] } else { -x[0] * y[0] };
                assert!((dot + last - f64::from(u8::from(a == b))).abs() < 1e-12, "{a} {b}: {dot}");
            }
        }
        assert!(ours.ratios.windows(2).all(|r| r[0] > r[1]));
        assert!((1.0 - ours.ratios[0]).abs() < 1e-5 && ours.ratios[5] < 0.8);
    }

    #[test]
    fn the_smallest_sizes() {
        assert!(dpss(0, 2.0, 3).tapers.is_empty() && dpss(9, 2.0, 0).tapers.is_empty());
        assert_eq!(dpss(2, 0.5, 9).tapers.len(), 2);
        assert_eq!(dpss(2, 0.5, 9).low_bias().tapers.len(), 1, "one taper always stays");
    }
}
