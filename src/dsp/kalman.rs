//! The harmonic Kalman filter: a periodic artefact of known frequency whose waveform may wander, estimated from the past alone.
//!
//! Model of one channel: x\[n\] = c + Σₖ pₖ cos kθ + qₖ sin kθ + e, θ = 2π f n, k = 1…K, Var e = R; c and every pₖ, qₖ do a random walk
//! with variance q per sample (West & Harrison 1997, *Bayesian Forecasting and Dynamic Models*, ch. 8; Kalman 1960, 10.1115/1.3662552). In the
//! frame that turns with each harmonic the state is zₖ = (pₖ − i qₖ) e^{ikθ} and nothing depends on n but the turn itself:
//!
//! ```text
//! e = x − c − Σ Re zₖ      c += g₀ e      zₖ += gₖ e      ŷ = x − Σ Re zₖ      zₖ ← zₖ e^{2πi k f}
//! ```
//!
//! So the phase of the stimulator need not be known, the gains g are those of a time-invariant system, and a sample costs O(K). With R = 1 they
//! depend on q/R and on the samples since the start alone: all channels share them. From the start on they follow the exact covariance
//! ([`Gains::next`], O(K²) per sample once for all channels) until they are the steady ones (the discrete algebraic Riccati equation, by
//! structure-preserving doubling: Chu, Fan & Lin 2004, 10.1016/j.laa.2004.05.014).
//!
//! In steady state each harmonic is a notch |Δ|/√(Δ² + α²), α = √(q/2R) rad per sample: [`ratio_of`] and [`half_width`].

use super::fft::Complex;
use super::harmonics::turn;
use super::tile::Lanes;
use multiversion::multiversion;
use nalgebra::DMatrix;
use std::f64::consts::TAU;

/// Gains nearer than this share of the largest to the steady ones are taken for them.
const STEADY: f64 = 1e-12;
/// Doublings of the Riccati iteration: 2^60 samples.
const DOUBLINGS: usize = 60;

/// q/R of a notch whose gain is −3 dB at `half_width` (cycles per sample) from each harmonic: 2 (2π·half_width)².
pub fn ratio_of(half_width: f64) -> f64 {
    2.0 * (TAU * half_width).powi(2)
}

/// The half-width (−3 dB, cycles per sample) that belongs to q/R: √(q/2R)/2π.
pub fn half_width(ratio: f64) -> f64 {
    (0.5 * ratio).sqrt() / TAU
}

/// The gains of every sample since the start, the same for all channels. Entries are level, Re z₁, Im z₁, Re z₂, …
#[derive(Debug, Clone)]
pub struct Gains {
    turns: Vec<Complex>,
    ratio: f64,
    prior: f64,
    /// Covariance of the state before the next sample, over R.
    covariance: Vec<f64>,
    gain: Vec<f64>,
    steady: Vec<f64>,
    steady_innovation: f64,
    seen: Vec<f64>,
    settled: bool,
}

impl Gains {
    /// For K `harmonics` of `cycles` per sample, `ratio` = q/R, and a state of variance `prior`·R before the first sample. `None` where there
    /// is no steady state: a harmonic at 0 or half the rate, or two that fold onto each other.
    pub fn new(cycles: f64, harmonics: usize, ratio: f64, prior: f64) -> Option<Self> {
        let turns: Vec<Complex> = (1..=harmonics as i64).map(|k| turn(cycles, k)).collect();
        let width = 2 * harmonics + 1;
        let real = |z: &Complex| z.im.abs() < 1e-6;
        let same = |i: usize, j: usize| {
            let (a, b) = (turns[i], turns[j]);
            (a - b).norm() < 1e-6 || (a - b.conj()).norm() < 1e-6
        };
        let positive = ratio > 0.0 && prior > 0.0 && ratio.is_finite() && prior.is_finite();
        if harmonics == 0 || !positive || turns.iter().any(real) {
            return None;
        }
        if (0..harmonics).any(|i| (0..i).any(|j| same(i, j))) {
            return None;
        }
        let steady_covariance = riccati(&turns, ratio)?;
        let mut gains = Self {
            turns,
            ratio,
            prior,
            covariance: vec![0.0; width * width],
            gain: vec![0.0; width],
            steady: vec![0.0; width],
            steady_innovation: 1.0,
            seen: vec![0.0; width],
            settled: false,
        };
        gains.covariance.copy_from_slice(steady_covariance.as_slice());
        gains.steady_innovation = gains.weigh();
        gains.steady.copy_from_slice(&gains.gain);
        gains.restart();
        Some(gains)
    }

    /// Forgets all that was learnt: the next sample is the first.
    pub fn restart(&mut self) {
        let width = self.gain.len();
        self.covariance.fill(0.0);
        (0..width).for_each(|i| self.covariance[i * width + i] = self.prior);
        self.settled = false;
    }

    /// Whether the gains are the steady ones.
    pub fn settled(&self) -> bool {
        self.settled
    }

    /// e^{2πi k f}, k = 1…K.
    pub fn turns(&self) -> &[Complex] {
        &self.turns
    }

    /// Variance of the artefact's estimate Σ Re zₖ in steady state, over R, after its own sample (to a percent: what it shares with the level
    /// is left out).
    pub fn steady_variance(&self) -> f64 {
        // P Hᵀ after a sample is the gain times R
        self.steady.iter().skip(1).step_by(2).sum()
    }

    /// The gain of the next sample, and the variance of its innovation over R. Allocates nothing.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> (&[f64], f64) {
        if self.settled {
            return (&self.steady, self.steady_innovation);
        }
        let innovation = self.weigh();
        let largest = self.steady.iter().fold(0.0_f64, |m, g| m.max(g.abs()));
        let off = self.gain.iter().zip(&self.steady).fold(0.0_f64, |m, (a, b)| m.max((a - b).abs()));
        self.settled = off <= STEADY * largest;
        self.advance();
        (&self.gain, innovation)
    }

    /// The gain P Hᵀ / (H P Hᵀ + 1) of the present covariance, H = 1 at the level and at every Re z.
    fn weigh(&mut self) -> f64 {
        let width = self.gain.len();
        for (g, row) in self.gain.iter_mut().zip(self.covariance.chunks_exact(width)) {
            *g = row[0] + row[1..].iter().step_by(2).sum::<f64>();
        }
        let innovation = 1.0 + self.gain[0] + self.gain[1..].iter().step_by(2).sum::<f64>();
        self.gain.iter_mut().for_each(|g| *g /= innovation);
        innovation
    }

    /// The covariance after a sample with the present gain (Joseph's form), and before the next one.
    fn advance(&mut self) {
        let width = self.gain.len();
        let (gain, seen) = (&self.gain, &mut self.seen);
        // H P, by columns
        seen.copy_from_slice(&self.covariance[..width]);
        for row in self.covariance.chunks_exact(width).skip(1).step_by(2) {
            seen.iter_mut().zip(row).for_each(|(s, p)| *s += p);
        }
        for (row, g) in self.covariance.chunks_exact_mut(width).zip(gain) {
            row.iter_mut().zip(&*seen).for_each(|(p, s)| *p -= g * s);
        }
        for (row, g) in self.covariance.chunks_exact_mut(width).zip(gain) {
            let right = row[0] + row[1..].iter().step_by(2).sum::<f64>();
            row.iter_mut().zip(gain).for_each(|(p, h)| *p += (g - right) * h);
            for (pair, z) in row[1..].as_chunks_mut::<2>().0.iter_mut().zip(&self.turns) {
                *pair = [z.re * pair[0] - z.im * pair[1], z.im * pair[0] + z.re * pair[1]];
            }
        }
        let rows = &mut self.covariance[width..];
        for (two, z) in rows.chunks_exact_mut(2 * width).zip(&self.turns) {
            let (first, second) = two.split_at_mut(width);
            for (a, b) in first.iter_mut().zip(second) {
                (*a, *b) = (z.re * *a - z.im * *b, z.im * *a + z.re * *b);
            }
        }
        (0..width).for_each(|i| self.covariance[i * width + i] += self.ratio);
        // rounding must not make it lopsided
        for i in 0..width {
            for j in 0..i {
                let mean = 0.5 * (self.covariance[i * width + j] + self.covariance[j * width + i]);
                self.covariance[i * width + j] = mean;
                self.covariance[j * width + i] = mean;
            }
        }
    }
}

/// The covariance before a sample that reproduces itself, over R.
fn riccati(turns: &[Complex], ratio: f64) -> Option<DMatrix<f64>> {
    let width = 2 * turns.len() + 1;
    let one = DMatrix::<f64>::identity(width, width);
    let mut rotation = one.clone();
    for (k, z) in turns.iter().enumerate() {
        let at = 2 * k + 1;
        (rotation[(at, at)], rotation[(at, at + 1)]) = (z.re, -z.im);
        (rotation[(at + 1, at)], rotation[(at + 1, at + 1)]) = (z.im, z.re);
    }
    let sees = |i: usize| f64::from(u8::from(i == 0 || i % 2 == 1));
    let mut a = rotation.transpose();
    let mut g = DMatrix::from_fn(width, width, |i, j| sees(i) * sees(j));
    let mut h = &one * ratio;
    for _ in 0..DOUBLINGS {
        let inverse = (&one + &g * &h).try_inverse()?;
        let step = a.transpose() * &h * &inverse * &a;
        let grown = &g + &a * &inverse * &g * a.transpose();
        a = &a * &inverse * &a;
        g = (&grown + grown.transpose()) * 0.5;
        let small = step.abs().max() <= 1e-17 * h.abs().max();
        h += (&step + step.transpose()) * 0.5;
        if small {
            return Some(h);
        }
    }
    None
}

/// One sample of eight channels: `state` is level, Re z₁, Im z₁, … before it, and before the next one afterwards. Gives what is left of the
/// sample and its innovation. A sample that is not finite teaches nothing, and is left as it is.
pub fn step(turns: &[Complex], gain: &[f64], state: &mut [Lanes], x: &Lanes) -> (Lanes, Lanes) {
    step_any(turns, gain, state, x)
}

#[multiversion(targets("x86_64+avx+avx2+avx512f+avx512vl", "x86_64+avx+avx2"))]
fn step_any(turns: &[Complex], gain: &[f64], state: &mut [Lanes], x: &Lanes) -> (Lanes, Lanes) {
    let mut innovation = *x;
    for (i, z) in state.iter().enumerate() {
        if i == 0 || i % 2 == 1 {
            innovation.iter_mut().zip(z).for_each(|(e, z)| *e -= z);
        }
    }
    let known: Lanes = innovation.map(|e| if e.is_finite() { e } else { 0.0 });
    let mut left = *x;
    if let Some((level, harmonics)) = state.split_first_mut() {
        level.iter_mut().zip(known).for_each(|(c, e)| *c += gain[0] * e);
        let pairs = harmonics.as_chunks_mut::<2>().0.iter_mut();
        for ((pair, z), g) in pairs.zip(turns).zip(gain[1..].as_chunks::<2>().0) {
            let [real, imaginary] = pair;
            let lanes = real.iter_mut().zip(imaginary).zip(known).zip(&mut left);
            for (((re, im), e), left) in lanes {
                let (a, b) = (*re + g[0] * e, *im + g[1] * e);
                *left -= a;
                (*re, *im) = (z.re * a - z.im * b, z.im * a + z.re * b);
            }
        }
    }
    (left, innovation)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One channel through the filter.
    fn run(gains: &mut Gains, x: &[f64]) -> Vec<f64> {
        let turns = gains.turns().to_vec();
        let mut state = vec![[0.0; 8]; 2 * turns.len() + 1];
        x.iter().map(|v| step(&turns, gains.next().0, &mut state, &[*v; 8]).0[3]).collect()
    }

    #[test]
    fn it_is_the_dense_kalman_filter() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/kalman.json");
        let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        for case in golden["cases"].as_array().unwrap() {
            let number = |key: &str| case[key].as_f64().unwrap();
            let list = |key: &str| -> Vec<f64> { serde_json::from_value(case[key].clone()).unwrap() };
            let (n, cycles) = (number("n") as usize, number("cycles"));
            // the script's formula: an artefact with two harmonics that grows, and an LCG
            let mut lcg = 12_345_u64;
            let x: Vec<f64> = (0..n)
                .map(|i| {
                    lcg = (1_103_515_245 * lcg + 12_345) % (1 << 31);
                    let noise = lcg as f64 / (1_u64 << 31) as f64 - 0.5;
                    let theta = TAU * (cycles * i as f64).fract();
                    let size = 1000.0 * (1.0 + i as f64 / n as f64);
                    30.0 + size * ((theta + 0.7).sin() + 0.1 * (2.0 * theta).cos()) + 10.0 * noise
                })
                .collect();
            let mut gains = Gains::new(cycles, number("harmonics") as usize, number("ratio"), number("prior")).unwrap();
            let steady = list("steady_gain");
            let off = gains.steady.iter().zip(&steady).fold(0.0_f64, |m, (a, b)| m.max((a - b).abs()));
            assert!(off < 1e-9 * steady.iter().fold(0.0, |m, g| g.abs().max(m)), "steady gain off by {off:.1e}");
            let cleaned = run(&mut gains, &x);
            // relative to the artefact, which is what is subtracted
            for (i, want) in list("cleaned").into_iter().enumerate() {
                let at = i * number("every") as usize;
                assert!((cleaned[at] - want).abs() < 1e-9 * 2000.0, "sample {at}: {} for {want}", cleaned[at]);
            }
            assert!((gains.steady_variance() / number("variance") - 1.0).abs() < 1e-2);
        }
    }

    #[test]
    fn the_steady_notch_has_the_width_it_says() {
        let (rate, width) = (1000.0, 0.2);
        let mut gains = Gains::new(10.0 / rate, 3, ratio_of(width / rate), 1e6).unwrap();
        assert!((half_width(ratio_of(width / rate)) * rate - width).abs() < 1e-12);
        gains.settled = true;
        for (k, offset, want) in
            [(1.0, 0.2, 0.5_f64.sqrt()), (1.0, -0.2, 0.5_f64.sqrt()), (2.0, 0.6, 0.9487), (1.0, 0.0, 0.0)]
        {
            let f = (10.0 * k + offset) / rate;
            let x: Vec<f64> = (0..30_000).map(|i| (TAU * f * f64::from(i)).cos()).collect();
            let y = run(&mut gains.clone(), &x);
            let rms = (y[20_000..].iter().map(|v| v * v).sum::<f64>() / 10_000.0).sqrt() * 2.0_f64.sqrt();
            assert!((rms - want).abs() < 0.01, "{k} x 10 {offset:+} Hz: {rms} for {want}");
        }
    }

    #[test]
    fn an_unknown_phase_is_learnt_within_cycles_and_a_missing_sample_teaches_nothing() {
        let mut gains = Gains::new(0.0101, 2, ratio_of(5e-5), 1e6).unwrap();
        let mut x: Vec<f64> = (0..5000)
            .map(|i| 1e4 * (TAU * 0.0101 * f64::from(i) + 2.1).cos() + f64::from(i * 7919 % 13) - 6.0)
            .collect();
        x[400] = f64::NAN;
        let y = run(&mut gains, &x);
        assert!(y[400].is_nan());
        assert!(y[401..].iter().all(|v| v.abs() < 12.0));
        assert!(!gains.settled());
        gains.restart();
        let again = run(&mut gains, &x);
        assert!(y.iter().zip(&again).all(|(a, b)| a.to_bits() == b.to_bits()));
        for (cycles, harmonics) in [(0.25, 2), (0.5, 1), (0.2, 4), (0.0, 1), (0.1, 0)] {
            assert!(Gains::new(cycles, harmonics, 1e-6, 1e6).is_none(), "{cycles} {harmonics}");
        }
        assert!(Gains::new(0.1, 2, 0.0, 1e6).is_none());
    }
}
