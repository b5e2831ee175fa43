//! Harmonic least squares with a fitted frequency: the waveform of a stimulator, or its artefact, to the last digit.
//!
//! With θ = 2π f n / fs the model of one channel is x\[n\] = c₀ + Σₖ pₖ cos kθ + qₖ sin kθ, k = 1…K, and with a trend every
//! coefficient is a straight line in time (a ramp). Four pieces, each usable alone:
//!
//! 1. [`Oscillator`]: e^{iθ} for a block of sample indices, from the index itself, never accumulated;
//! 2. [`Sums`]: what the normal equations need, in constant memory: since products of cosines are cosines of sums, the
//!    whole matrix follows from Σ uᵈ e^{imθ}, m = 0…2K, and is shared by all channels;
//! 3. [`Sums::fit`] and [`Sums::refine`]: the solution, and one Gauss–Newton step of the frequency by variable projection (Golub &
//!    Pereyra 1973, 10.1137/0710036);
//! 4. [`phase_slope`]: the frequency to start from, out of complex demodulates of short blocks (Tretter 1985,
//!    10.1109/TIT.1985.1057115).
//!
//! Frequencies are in cycles per sample.

use super::fft::Complex;
use multiversion::multiversion;
use nalgebra::{DMatrix, DVector};
use std::f64::consts::{PI, TAU};

/// Samples between two phases that are computed from scratch.
const ANCHOR: usize = 64;
/// Samples that are worked on at once: they stay in the first-level cache.
const TILE: usize = 256;
/// Pivots below this share of their column's length mean that columns cannot be told apart.
const SINGULAR: f64 = 1e-9;

/// e^{2πi f n} for integer n. A value depends on f and n alone: not on where a block begins.
#[derive(Debug, Clone)]
pub struct Oscillator {
    cycles: f64,
    rotations: [Complex; ANCHOR],
}

impl Oscillator {
    /// An oscillator of `cycles` per sample.
    pub fn new(cycles: f64) -> Self {
        Self { cycles, rotations: std::array::from_fn(|j| turn(cycles, j as i64)) }
    }

    /// Cycles per sample.
    pub fn cycles(&self) -> f64 {
        self.cycles
    }

    /// e^{2πi f n} for the samples from `first` on.
    pub fn fill(&self, first: i64, re: &mut [f64], im: &mut [f64]) {
        let mut at = first;
        let mut done = 0;
        while done < re.len() {
            let within = at.rem_euclid(ANCHOR as i64) as usize;
            let anchor = turn(self.cycles, at - within as i64);
            let n = (ANCHOR - within).min(re.len() - done);
            for j in 0..n {
                let z = anchor * self.rotations[within + j];
                (re[done + j], im[done + j]) = (z.re, z.im);
            }
            (at, done) = (at + n as i64, done + n);
        }
    }
}

/// e^{2πi f n}, with the fraction of f·n taken from the exact product.
pub fn turn(cycles: f64, n: i64) -> Complex {
    let n = n as f64;
    let product = cycles * n;
    // the product's rounding error, exact on every machine
    let lost = cycles.mul_add(n, -product);
    let (sin, cos) = (TAU * ((product - product.round()) + lost)).sin_cos();
    Complex::new(cos, sin)
}

/// How many harmonics of `cycles` per sample stay clear of the Nyquist frequency (below 0.45 of the rate), at most `most`.
pub fn harmonics_below_nyquist(cycles: f64, most: usize) -> usize {
    ((0.45 / cycles).floor().max(1.0) as usize).min(most.max(1))
}

/// The Cramér–Rao bound of a sinusoid's frequency, cycles per sample: √(24 σ²/A² / (N (N² − 1))) / 2π.
pub fn frequency_bound(amplitude: f64, sigma: f64, n: f64) -> f64 {
    (24.0 / (n * (n * n - 1.0))).sqrt() * sigma / amplitude / TAU
}

/// Sums over the samples, from which the normal equations follow. Memory does not grow with their number.
#[derive(Debug, Clone)]
pub struct Sums {
    oscillator: Oscillator,
    harmonics: usize,
    origin: f64,
    scale: f64,
    n: u64,
    /// Σ uᵈ e^{imθ}: m = 0…2K, d = 0…2.
    carrier: Vec<[Complex; 3]>,
    /// Σ x uᵈ e^{ikθ}: channel by channel, k = 0…K, d = 0, 1.
    data: Vec<[Complex; 2]>,
    /// Σ x² by channel.
    squares: Vec<f64>,
}

impl Sums {
    /// For `harmonics` of `cycles` per sample in `channels` channels. Times of trends and of frequency steps count from sample
    /// `origin` in units of `scale` samples (the middle and half the length of the stretch: then everything is near 1).
    pub fn new(cycles: f64, harmonics: usize, channels: usize, origin: f64, scale: f64) -> Self {
        Self {
            oscillator: Oscillator::new(cycles),
            harmonics,
            origin,
            scale: scale.max(1.0),
            n: 0,
            carrier: vec![[Complex::default(); 3]; 2 * harmonics + 1],
            data: vec![[Complex::default(); 2]; channels * (harmonics + 1)],
            squares: vec![0.0; channels],
        }
    }

    /// Samples seen.
    pub fn len(&self) -> u64 {
        self.n
    }

    /// Whether none was seen.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Adds the samples from index `first` on: one row per channel, all of one length. Allocates nothing. A NaN spoils its
    /// channel; gaps are left out by not pushing them. The last bits depend on where `push` cuts: anchor tiles to the index.
    ///
    /// # Panics
    /// When there are not as many rows as channels, or rows of different length.
    pub fn push(&mut self, first: i64, rows: &[&[f64]]) {
        assert_eq!(rows.len(), self.squares.len(), "rows");
        let len = rows.first().map_or(0, |r| r.len());
        let mut tile = Tile::default();
        for from in (0..len).step_by(TILE) {
            let n = TILE.min(len - from);
            let at = first + from as i64;
            let [re, im] = &mut tile.one;
            self.oscillator.fill(at, &mut re[..n], &mut im[..n]);
            for (j, u) in tile.u[..n].iter_mut().enumerate() {
                *u = ((at + j as i64) as f64 - self.origin) / self.scale;
            }
            tile.many[0][..n].fill(1.0);
            tile.many[1][..n].fill(0.0);
            for m in 0..self.carrier.len() {
                if m > 0 {
                    tile.next(n);
                }
                tile.add_carrier(n, &mut self.carrier[m]);
                if m <= self.harmonics {
                    for (c, row) in rows.iter().enumerate() {
                        tile.add_data(&row[from..from + n], &mut self.data[c * (self.harmonics + 1) + m]);
                    }
                }
            }
            for (c, row) in rows.iter().enumerate() {
                let x = &row[from..from + n];
                self.squares[c] += dot(x, x);
            }
            self.n += n as u64;
        }
    }

    /// Adds the sums of another stretch with the same frequency, harmonics, channels, origin and scale.
    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        for (a, b) in self.carrier.iter_mut().zip(&other.carrier) {
            (0..3).for_each(|d| a[d] += b[d]);
        }
        for (a, b) in self.data.iter_mut().zip(&other.data) {
            (0..2).for_each(|d| a[d] += b[d]);
        }
        self.squares.iter_mut().zip(&other.squares).for_each(|(a, b)| *a += b);
    }

    fn width(&self) -> usize {
        2 * self.harmonics + 1
    }

    /// Inner product of columns `i` and `j` (constant, cos 1, sin 1, cos 2, …) times uᵈ.
    fn inner(&self, i: usize, j: usize, d: usize) -> f64 {
        let (j_order, k_order) = (i.div_ceil(2), j.div_ceil(2));
        let (sum, difference) = (self.carrier[j_order + k_order][d], self.carrier[j_order.abs_diff(k_order)][d]);
        let sine = |i: usize| i > 0 && i.is_multiple_of(2);
        match (sine(i), sine(j)) {
            (false, false) => 0.5 * (sum.re + difference.re),
            (true, true) => 0.5 * (difference.re - sum.re),
            // cos a sin b = (sin(a + b) + sin(b − a)) / 2
            (false, true) if k_order >= j_order => 0.5 * (sum.im + difference.im),
            (false, true) => 0.5 * (sum.im - difference.im),
            (true, false) if j_order >= k_order => 0.5 * (sum.im + difference.im),
            (true, false) => 0.5 * (sum.im - difference.im),
        }
    }

    /// The normal matrix of the model without (`degree` 0) or with (1) a trend.
    fn gram(&self, degree: usize) -> DMatrix<f64> {
        let w = self.width();
        DMatrix::from_fn(w * (degree + 1), w * (degree + 1), |i, j| self.inner(i % w, j % w, i / w + j / w))
    }

    fn right(&self, channel: usize, degree: usize) -> DVector<f64> {
        let w = self.width();
        let data = &self.data[channel * (self.harmonics + 1)..];
        DVector::from_fn(w * (degree + 1), |i, _| {
            let z = data[(i % w).div_ceil(2)][i / w];
            let sine = i % w > 0 && (i % w).is_multiple_of(2);
            if sine { z.im } else { z.re }
        })
    }

    /// The least-squares solution of a channel. `None` where the columns cannot be told apart (too few cycles, a harmonic at the
    /// Nyquist frequency), or a sample was not finite.
    pub fn fit(&self, channel: usize) -> Option<Fit> {
        let right = self.right(channel, 0);
        let (solution, _) = solve(self.gram(0), &right)?;
        self.finish(channel, &solution, &right)
    }

    /// As [`Sums::fit`], every coefficient a straight line in time: the fit at `origin`, and the change per `scale` samples.
    pub fn fit_trend(&self, channel: usize) -> Option<(Fit, Fit)> {
        let right = self.right(channel, 1);
        let (solution, _) = solve(self.gram(1), &right)?;
        let fit = self.finish(channel, &solution, &right)?;
        let w = self.width();
        let slope = Fit { level: solution[w], harmonics: pairs(&solution.as_slice()[w + 1..]), ..fit.clone() };
        Some((fit, slope))
    }

    /// A Gauss–Newton step of the frequency from where the sums were taken, together with the coefficients that belong to it.
    /// `None` as for [`Sums::fit`].
    ///
    /// The model is linear in the coefficients; to first order a step δ (cycles per sample) adds
    /// 2πδ (n − origin) Σₖ k (qₖ cos kθ − pₖ sin kθ). Second-order terms are of size (2πδ·scale)².
    pub fn refine(&self, channel: usize) -> Option<Refined> {
        let start = self.fit(channel)?;
        let w = self.width();
        // the derivative in terms of the trend's columns
        let mut derivative = vec![0.0; w];
        for (k, [p, q]) in start.harmonics.iter().enumerate() {
            let factor = TAU * self.scale * (k + 1) as f64;
            (derivative[2 * k + 1], derivative[2 * k + 2]) = (factor * q, -factor * p);
        }
        let (gram, right) = (self.gram(1), self.right(channel, 1));
        let all = DMatrix::from_fn(2 * w, w + 1, |i, j| match (i < w, j < w) {
            (true, true) => f64::from(u8::from(i == j)),
            (false, false) => derivative[i - w],
            _ => 0.0,
        });
        let right = all.transpose() * right;
        let (solution, inverse) = solve(all.transpose() * gram * &all, &right)?;
        let fit = self.finish(channel, &solution, &right)?;
        let information = 1.0 / inverse[(w, w)];
        let sd_cycles = fit.sigma() / information.sqrt();
        Some(Refined { cycles: self.oscillator.cycles + solution[w], step: solution[w], sd_cycles, information, fit })
    }

    fn finish(&self, channel: usize, solution: &DVector<f64>, right: &DVector<f64>) -> Option<Fit> {
        let squares = self.squares[channel];
        let rss = (squares - solution.dot(right)).max(0.0);
        let fit = Fit {
            n: self.n,
            unknowns: solution.len(),
            level: solution[0],
            harmonics: pairs(&solution.as_slice()[1..self.width()]),
            rss,
            squares,
        };
        (squares.is_finite() && fit.level.is_finite() && fit.harmonics.iter().flatten().all(|v| v.is_finite()))
            .then_some(fit)
    }
}

fn pairs(coefficients: &[f64]) -> Vec<[f64; 2]> {
    coefficients.as_chunks().0.to_vec()
}

/// Solves a symmetric positive definite system, columns scaled to length 1; also the inverse. `None` where it is singular.
pub(super) fn solve(mut matrix: DMatrix<f64>, right: &DVector<f64>) -> Option<(DVector<f64>, DMatrix<f64>)> {
    let scale = matrix.diagonal().map(f64::sqrt);
    if !scale.iter().all(|s| *s > 0.0 && s.is_finite()) {
        return None;
    }
    let n = scale.len();
    for i in 0..n {
        for j in 0..n {
            matrix[(i, j)] /= scale[i] * scale[j];
        }
    }
    let factor = matrix.cholesky()?;
    if (0..n).any(|i| factor.l_dirty()[(i, i)].abs() < SINGULAR) {
        return None;
    }
    let solution = factor.solve(&right.component_div(&scale)).component_div(&scale);
    let inverse = factor.inverse();
    Some((solution, DMatrix::from_fn(n, n, |i, j| inverse[(i, j)] / (scale[i] * scale[j]))))
}

/// A channel's coefficients.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// Samples.
    pub n: u64,
    /// Coefficients that were fitted.
    pub unknowns: usize,
    /// c₀.
    pub level: f64,
    /// \[pₖ, qₖ\] of cos kθ and sin kθ, k = 1…K.
    pub harmonics: Vec<[f64; 2]>,
    /// Sum of the squared residuals.
    pub rss: f64,
    /// Sum of the squared samples.
    pub squares: f64,
}

impl Fit {
    /// Amplitude (peak) of harmonic `k` ≥ 1; 0 beyond the model.
    pub fn amplitude(&self, k: usize) -> f64 {
        self.harmonics.get(k.wrapping_sub(1)).map_or(0.0, |[p, q]| p.hypot(*q))
    }

    /// A cos(θ + φ): the phase φ of the fundamental at sample 0, radians.
    pub fn phase(&self) -> f64 {
        self.harmonics.first().map_or(f64::NAN, |[p, q]| (-q).atan2(*p))
    }

    /// Standard deviation of the residual.
    pub fn sigma(&self) -> f64 {
        (self.rss / (self.n as f64 - self.unknowns as f64).max(1.0)).sqrt()
    }

    /// Total harmonic distortion √(Σ_{k≥2} A²ₖ) / A₁.
    pub fn thd(&self) -> f64 {
        self.overtones().sqrt() / self.amplitude(1)
    }

    /// Distortion and noise: the RMS of all but level and fundamental, over the fundamental's.
    pub fn thd_n(&self) -> f64 {
        (self.overtones() + 2.0 * self.rss / self.n as f64).sqrt() / self.amplitude(1)
    }

    fn overtones(&self) -> f64 {
        (2..=self.harmonics.len()).map(|k| self.amplitude(k).powi(2)).sum()
    }
}

/// A fitted frequency and what belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Refined {
    /// Cycles per sample.
    pub cycles: f64,
    /// Change from where the sums were taken.
    pub step: f64,
    /// Standard deviation of `cycles` under white noise of the residual's size.
    pub sd_cycles: f64,
    /// 1 / variance of `cycles` for noise of variance 1: weight it by 1/σ² to share a frequency between channels.
    pub information: f64,
    /// The coefficients.
    pub fit: Fit,
}

/// The frequency that all channels share, cycles per sample: each channel's own, weighted by what it knows. `None` without one.
pub fn shared_frequency(channels: &[Refined]) -> Option<f64> {
    let weight = |r: &Refined| r.information / r.fit.sigma().powi(2).max(f64::MIN_POSITIVE.sqrt());
    let all: f64 = channels.iter().map(weight).sum();
    (all > 0.0 && all.is_finite()).then(|| channels.iter().map(|r| weight(r) / all * r.cycles).sum())
}

/// The frequency that is missing, cycles per sample: slope of the unwrapped phases of demodulates (centre in samples, phasor),
/// weighted by their power, over 2π. Neighbours must differ by less than half a turn. `None` with fewer than two.
pub fn phase_slope(demodulates: &[(f64, Complex)]) -> Option<f64> {
    let unwrapped = unwrap(demodulates.iter().map(|(_, z)| z.arg()));
    let points = || demodulates.iter().zip(&unwrapped).map(|((t, z), phase)| (*t, *phase, z.norm_sqr()));
    let weight: f64 = points().map(|(.., w)| w).sum();
    let mean = points().fold([0.0; 2], |m, (t, phase, w)| [m[0] + w * t / weight, m[1] + w * phase / weight]);
    let (mut tt, mut tp) = (0.0, 0.0);
    for (t, phase, w) in points() {
        tt += w * (t - mean[0]).powi(2);
        tp += w * (t - mean[0]) * (phase - mean[1]);
    }
    (tt > 0.0 && tp.is_finite()).then(|| tp / tt / TAU)
}

/// Phases without jumps of whole turns between neighbours, radians.
pub fn unwrap(phases: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut before: Option<f64> = None;
    phases
        .map(|phase| {
            let next = before.map_or(phase, |b| b + wrap(phase - b));
            before = Some(next);
            next
        })
        .collect()
}

/// An angle brought to −π…π.
pub fn wrap(angle: f64) -> f64 {
    let turns = angle / TAU;
    let rest = (turns - turns.round()) * TAU;
    if rest <= -PI { rest + TAU } else { rest }
}

/// Working space of one tile: e^{iθ}, e^{imθ} (real and imaginary parts), and time.
struct Tile {
    one: [[f64; TILE]; 2],
    many: [[f64; TILE]; 2],
    u: [f64; TILE],
}

impl Default for Tile {
    fn default() -> Self {
        Self { one: [[0.0; TILE]; 2], many: [[0.0; TILE]; 2], u: [0.0; TILE] }
    }
}

impl Tile {
    /// From e^{imθ} to e^{i(m+1)θ}.
    fn next(&mut self, n: usize) {
        let ([a, b], [c, d]) = (&mut self.many, &self.one);
        rotate(&mut a[..n], &mut b[..n], &c[..n], &d[..n]);
    }

    fn add_carrier(&self, n: usize, sums: &mut [Complex; 3]) {
        let [re, im] = self.many.each_ref().map(|part| moments(&part[..n], &self.u[..n]));
        for d in 0..3 {
            sums[d] += Complex::new(re[d], im[d]);
        }
    }

    fn add_data(&self, x: &[f64], sums: &mut [Complex; 2]) {
        let n = x.len();
        let [re, im] = self.many.each_ref().map(|part| products(&part[..n], &self.u[..n], x));
        for d in 0..2 {
            sums[d] += Complex::new(re[d], im[d]);
        }
    }
}

#[multiversion(targets("x86_64+avx+avx2"))]
fn rotate(a: &mut [f64], b: &mut [f64], c: &[f64], d: &[f64]) {
    for ((a, b), (c, d)) in a.iter_mut().zip(b).zip(c.iter().zip(d)) {
        (*a, *b) = (*a * c - *b * d, *a * d + *b * c);
    }
}

/// Σ v, Σ u v, Σ u² v, eight lanes at a time.
#[multiversion(targets("x86_64+avx+avx2"))]
fn moments(v: &[f64], u: &[f64]) -> [f64; 3] {
    let mut lanes = [[0.0; 8]; 3];
    let (head, tail) = v.as_chunks::<8>();
    let (u_head, u_tail) = u.as_chunks::<8>();
    for (v, u) in head.iter().zip(u_head) {
        for l in 0..8 {
            let w = u[l] * v[l];
            lanes[0][l] += v[l];
            lanes[1][l] += w;
            lanes[2][l] += u[l] * w;
        }
    }
    let mut sums = lanes.map(|lane| lane.iter().sum::<f64>());
    for (v, u) in tail.iter().zip(u_tail) {
        sums[0] += v;
        sums[1] += u * v;
        sums[2] += u * u * v;
    }
    sums
}

/// Σ v x, Σ u v x.
#[multiversion(targets("x86_64+avx+avx2"))]
pub(super) fn products(v: &[f64], u: &[f64], x: &[f64]) -> [f64; 2] {
    let mut lanes = [[0.0; 8]; 2];
    let ((v8, v1), (u8, u1), (x8, x1)) = (v.as_chunks::<8>(), u.as_chunks::<8>(), x.as_chunks::<8>());
    for ((v, u), x) in v8.iter().zip(u8).zip(x8) {
        for l in 0..8 {
            let w = v[l] * x[l];
            lanes[0][l] += w;
            lanes[1][l] += u[l] * w;
        }
    }
    let mut sums = lanes.map(|lane| lane.iter().sum::<f64>());
    for ((v, u), x) in v1.iter().zip(u1).zip(x1) {
        sums[0] += v * x;
        sums[1] += u * v * x;
    }
    sums
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    products(a, a, b)[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SplitMix64 and Box–Muller.
    struct Noise(u64);

    impl Noise {
        fn uniform(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        }

        fn normal(&mut self) -> f64 {
            let (a, b) = (1.0 - self.uniform(), self.uniform());
            (-2.0 * a.ln()).sqrt() * (TAU * b).cos()
        }
    }

    fn golden() -> serde_json::Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/harmonics.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    #[test]
    fn coefficients_are_those_of_numpys_lstsq() {
        let golden = golden();
        for case in golden["cases"].as_array().unwrap() {
            let number = |key: &str| case[key].as_f64().unwrap();
            let (n, first, k) = (number("n") as usize, number("first") as i64, number("harmonics") as usize);
            // the script's formula: a bent line, a sine and an LCG
            let mut state = 12_345_u64;
            let x: Vec<f64> = (0..n)
                .map(|i| {
                    state = (1_103_515_245 * state + 12_345) % (1 << 31);
                    let noise = state as f64 / (1_u64 << 31) as f64 - 0.5;
                    let t = i as f64 / n as f64;
                    3.0 + t + 5.0 * (0.3 * i as f64).sin() + noise
                })
                .collect();
            let (origin, scale) = (first as f64 + (n as f64 - 1.0) / 2.0, n as f64 / 2.0);
            for cuts in [n, 100, 7] {
                let mut sums = Sums::new(number("cycles"), k, 1, origin, scale);
                for (j, part) in x.chunks(cuts).enumerate() {
                    sums.push(first + (j * cuts) as i64, &[part]);
                }
                let (fit, slope) = sums.fit_trend(0).unwrap();
                for (found, key) in [(sums.fit(0).unwrap(), "plain"), (fit, "trend"), (slope, "slope")] {
                    let all: Vec<f64> =
                        std::iter::once(found.level).chain(found.harmonics.iter().flatten().copied()).collect();
                    let want: Vec<f64> = case[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
                    let size = want.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
                    assert_eq!(all.len(), want.len());
                    for (a, b) in all.iter().zip(&want) {
                        assert!((a - b).abs() <= 1e-10 * size, "{key}: {a}, not {b}");
                    }
                    if key == "plain" {
                        assert!((found.rss / number("rss") - 1.0).abs() < 1e-10);
                    }
                }
            }
        }
    }

    #[test]
    fn distortion_is_the_closed_form() {
        let (cycles, n) = (10.0003 / 1000.0, 60_000);
        let x: Vec<f64> = (0..n)
            .map(|i| {
                let z = turn(cycles, i);
                let (two, three) = (z * z, z * z * z);
                2e-3 + z.re + 0.01 * two.im + 0.005 * three.re
            })
            .collect();
        let mut sums = Sums::new(cycles * (1.0 + 2e-9), 6, 1, n as f64 / 2.0, n as f64 / 2.0);
        sums.push(0, &[&x]);
        let refined = sums.refine(0).unwrap();
        let want = 0.01_f64.hypot(0.005);
        assert!((refined.fit.thd() / want - 1.0).abs() < 1e-6, "{}", refined.fit.thd());
        assert!((refined.fit.thd_n() / want - 1.0).abs() < 1e-6);
        assert!((refined.fit.level - 2e-3).abs() < 1e-9 && (refined.fit.amplitude(1) - 1.0).abs() < 1e-9);
        assert!((refined.cycles / cycles - 1.0).abs() < 1e-11, "{}", refined.cycles / cycles - 1.0);
    }

    #[test]
    fn the_frequency_is_as_near_as_noise_lets_it() {
        let (n, sigma) = (5000, 0.5);
        let bound = frequency_bound(1.0, sigma, n as f64);
        let (mut square, mut outside, mut told) = (0.0, 0, 0.0);
        for seed in 0..200 {
            let mut noise = Noise(seed);
            let cycles = (10.0 + 1e-3 * noise.uniform()) / 1000.0;
            let phase = noise.uniform();
            let x: Vec<f64> = (0..n).map(|i| (turn(cycles, i) * turn(phase, 1)).re + sigma * noise.normal()).collect();
            // coarse: demodulates of 1 s blocks at 10 Hz
            let demodulates: Vec<(f64, Complex)> = x
                .chunks(500)
                .enumerate()
                .map(|(b, block)| {
                    let first = 500 * b as i64;
                    let sum = block.iter().enumerate().fold(Complex::default(), |sum, (j, x)| {
                        let hann = 1.0 - turn(1.0 / 500.0, j as i64).re;
                        sum + turn(0.01, first + j as i64).conj() * (x * hann)
                    });
                    (first as f64 + 250.0, sum)
                })
                .collect();
            let coarse = 0.01 + phase_slope(&demodulates).unwrap();
            let mut sums = Sums::new(coarse, 2, 1, n as f64 / 2.0, n as f64 / 2.0);
            sums.push(0, &[&x]);
            let refined = sums.refine(0).unwrap();
            let error = refined.cycles - cycles;
            square += error * error / 200.0;
            outside += usize::from(error.abs() > 3.0 * bound);
            told += refined.sd_cycles / 200.0;
        }
        assert!(square.sqrt() < 1.15 * bound, "{} of {bound}", square.sqrt());
        assert!(outside <= 2, "{outside} of 200 beyond three times the bound");
        assert!((told / bound - 1.0).abs() < 0.05, "the error that is told: {}", told / bound);
    }

    #[test]
    fn a_phase_belongs_to_its_sample_whatever_the_block() {
        let oscillator = Oscillator::new(0.123_456_789);
        let fill = |first: i64, n: usize| {
            let (mut re, mut im) = (vec![0.0; n], vec![0.0; n]);
            oscillator.fill(first, &mut re, &mut im);
            (re, im)
        };
        let (re, im) = fill(-100, 1000);
        for (from, n) in [(0, 1), (37, 200), (63, 3), (500, 500)] {
            assert_eq!(fill(from - 100, n), (re[from as usize..][..n].to_vec(), im[from as usize..][..n].to_vec()));
        }
        // hours at 100 kHz: cycles per sample 1/4 + 2⁻⁴⁰, where f·n needs more digits than a double has
        let n = (1_i64 << 34) + 1;
        let want = TAU * (0.25 + 2_f64.powi(-6) + 2_f64.powi(-40));
        let z = turn(0.25 + 2_f64.powi(-40), n);
        assert!((z.re - want.cos()).abs() < 1e-13 && (z.im - want.sin()).abs() < 1e-13);
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused() {
        let x = [1.0; 400];
        let fit = |cycles: f64, k: usize, x: &[f64]| {
            let mut sums = Sums::new(cycles, k, 1, 0.0, 100.0);
            sums.push(0, &[x]);
            sums.fit(0)
        };
        assert!(fit(0.25, 2, &x).is_none(), "the second harmonic's sine is 0 at the Nyquist frequency");
        assert!(fit(0.3, 4, &x).is_none() || fit(1.0 / 3.0, 3, &x).is_none(), "aliases meet");
        assert!(fit(1e-6, 3, &x).is_none(), "a small part of a cycle");
        assert!(fit(0.01, 0, &[f64::NAN; 4]).is_none());
        assert!(fit(0.01, 3, &x).is_some() && fit(0.01, 3, &x[..3]).is_none());
    }
}
