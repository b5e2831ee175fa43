//! State-space phase: rhythms as damped rotations driven by noise, followed by a Kalman filter that knows how sure it is.
//!
//! J oscillators and white noise make up the signal (Matsuda & Komaki 2017, 10.1162/NECO_a_00916; for phase in real time Wodeyara
//! et al. 2021, 10.7554/eLife.68803):
//!
//! ```text
//! x_j[n] = ρ_j R(2π f_j/fs) x_j[n−1] + w_j[n],   w_j ~ N(0, σ_j² I₂)        R: rotation of the plane
//! y[n]   = Σ_j (first component of x_j[n]) + e[n],   e ~ N(0, σ²)
//! ```
//!
//! The phase of oscillator j is the angle of x_j (cosine convention). What is no rhythm must have an oscillator of its own, at a low
//! frequency, or the rhythm's is widened until it takes the background in.
//!
//! [`fit`] finds the parameters by expectation–maximisation. With the smoothed second moments of one block
//! `A = Σ E[x[n−1] x[n−1]ᵀ]`, `B = Σ E[x[n] x[n−1]ᵀ]`, `C = Σ E[x[n] x[n]ᵀ]` the maximum is closed:
//!
//! ```text
//! 2π f/fs = atan2(B₂₁ − B₁₂, tr B),   ρ = √((B₂₁ − B₁₂)² + tr² B) / tr A,   σ_j² = (tr C − ρ² tr A) / 2(N−1)
//! ```
//!
//! The gains do not depend on the data and converge; from then on they are taken as they are (1e-13 relative).

use super::fft::Complex;
use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};
use std::f64::consts::{PI, TAU};

/// Most oscillators of a model.
pub const MOST: usize = 4;
const D: usize = 2 * MOST;
/// Gains that change less than this have converged.
const CONVERGED: f64 = 1e-13;

/// One oscillator.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Oscillator {
    /// Frequency, Hz.
    pub frequency_hz: f64,
    /// ρ: what is left of it after a sample.
    pub damping: f64,
    /// σ_j², variance of what drives each component, per sample.
    pub variance: f64,
}

/// Oscillators and noise; the first is the rhythm whose phase is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The rate it is for, Hz.
    pub rate_hz: f64,
    /// 1 to [`MOST`] oscillators.
    pub oscillators: Vec<Oscillator>,
    /// σ², variance of the white noise.
    pub noise: f64,
}

impl Model {
    /// Where EM starts: every oscillator with ρ = 0.99 and the same share of the variance of `x`, a tenth of it for the noise.
    pub fn start(x: &[f64], rate_hz: f64, frequencies_hz: &[f64]) -> Self {
        let variance = super::stats::sd(x, 0).powi(2);
        let damping: f64 = 0.99;
        let share = variance * (1.0 - damping * damping) / frequencies_hz.len().max(1) as f64;
        let oscillator = |&frequency_hz: &f64| Oscillator { frequency_hz, damping, variance: share };
        Self { rate_hz, oscillators: frequencies_hz.iter().map(oscillator).collect(), noise: 0.1 * variance }
    }

    /// Whether a filter can run on it.
    pub fn is_sound(&self) -> bool {
        let fine = |o: &Oscillator| o.frequency_hz.is_finite() && (0.0..1.0).contains(&o.damping) && o.variance >= 0.0;
        (1..=MOST).contains(&self.oscillators.len())
            && self.oscillators.iter().all(|o| fine(o) && o.variance.is_finite())
            && self.noise.is_finite()
            && self.noise > 0.0
    }

    fn transition(&self) -> DMatrix<f64> {
        let d = 2 * self.oscillators.len();
        let mut f = DMatrix::zeros(d, d);
        for (j, [c, s]) in self.rotations().into_iter().enumerate() {
            (f[(2 * j, 2 * j)], f[(2 * j, 2 * j + 1)]) = (c, -s);
            (f[(2 * j + 1, 2 * j)], f[(2 * j + 1, 2 * j + 1)]) = (s, c);
        }
        f
    }

    fn rotations(&self) -> Vec<[f64; 2]> {
        let turn = |o: &Oscillator| {
            let (s, c) = (TAU * o.frequency_hz / self.rate_hz).sin_cos();
            [o.damping * c, o.damping * s]
        };
        self.oscillators.iter().map(turn).collect()
    }

    /// Variance of each component of oscillator j, nothing being known.
    fn stationary(&self, j: usize) -> f64 {
        let o = self.oscillators[j];
        o.variance / (1.0 - o.damping * o.damping)
    }
}

/// Improves a model by at most `steps` of expectation–maximisation, until no parameter changes by more than `tolerance` of itself.
/// `None` where the data do not determine it: a sample that is not finite, fewer than 100 samples, no variance.
pub fn fit(x: &[f64], start: &Model, steps: usize, tolerance: f64) -> Option<Model> {
    let variance = super::stats::sd(x, 0).powi(2);
    if x.len() < 100 || !(variance.is_finite() && variance > 0.0) || !start.is_sound() {
        return None;
    }
    let mut model = start.clone();
    for _ in 0..steps {
        let next = step(x, &model, variance)?;
        let close = |a: f64, b: f64| (a - b).abs() <= tolerance * a.abs().max(1e-9);
        let done = close(next.noise, model.noise)
            && next.oscillators.iter().zip(&model.oscillators).all(|(a, b)| {
                close(a.frequency_hz, b.frequency_hz)
                    && close(1.0 - a.damping, 1.0 - b.damping)
                    && close(a.variance, b.variance)
            });
        model = next;
        if done {
            break;
        }
    }
    Some(model)
}

/// Covariances and gain at one sample.
struct Gain {
    predicted: DMatrix<f64>,
    filtered: DMatrix<f64>,
    gain: DVector<f64>,
}

/// One step of EM: Kalman filter, Rauch–Tung–Striebel smoother, maximum.
fn step(x: &[f64], model: &Model, variance: f64) -> Option<Model> {
    let (n, j) = (x.len(), model.oscillators.len());
    let d = 2 * j;
    let f = model.transition();
    let drive = DMatrix::from_diagonal(&DVector::from_fn(d, |i, _| model.oscillators[i / 2].variance));
    let gains = gains(model, &f, &drive, n);
    let at = |t: usize| &gains[t.min(gains.len() - 1)];

    let mut means = DMatrix::zeros(d, n);
    let mut m = DVector::zeros(d);
    for t in 0..n {
        if t > 0 {
            m = &f * m;
        }
        let error = x[t] - observed(&m);
        m.axpy(error, &at(t).gain, 1.0);
        means.set_column(t, &m);
    }

    let (mut a, mut b, mut c) = (DMatrix::zeros(d, d), DMatrix::zeros(d, d), DMatrix::zeros(d, d));
    let mut smooth = m;
    let mut covariance = at(n - 1).filtered.clone();
    let mut noise = (x[n - 1] - observed(&smooth)).powi(2) + observed_variance(&covariance);
    let mut steady: Option<(DMatrix<f64>, bool)> = None;
    for t in (0..n - 1).rev() {
        let constant = t + 1 >= gains.len();
        let (back, settled) = match steady.take() {
            Some(known) if constant => known,
            _ => (at(t + 1).predicted.clone().cholesky()?.solve(&(&f * &at(t).filtered)).transpose(), false),
        };
        let filtered = means.column(t).into_owned();
        let earlier = &filtered + &back * (&smooth - &f * &filtered);
        let (mut settled, later) = (settled && constant, covariance.clone());
        if !settled {
            covariance = &at(t).filtered + &back * (&later - &at(t + 1).predicted) * back.transpose();
            settled = constant && (&covariance - &later).amax() <= CONVERGED * covariance.amax();
        }
        a += &covariance + &earlier * earlier.transpose();
        b += &later * back.transpose() + &smooth * earlier.transpose();
        c += &later + &smooth * smooth.transpose();
        noise += (x[t] - observed(&earlier)).powi(2) + observed_variance(&covariance);
        smooth = earlier;
        steady = Some((back, settled));
    }

    let oscillators = (0..j).map(|j| {
        let (p, q) = (2 * j, 2 * j + 1);
        let trace = |m: &DMatrix<f64>| m[(p, p)] + m[(q, q)];
        let (turn, along, before) = (b[(q, p)] - b[(p, q)], trace(&b), trace(&a));
        let damping = (turn.hypot(along) / before).min(1.0 - 1e-7);
        Oscillator {
            frequency_hz: turn.atan2(along) * model.rate_hz / TAU,
            damping,
            variance: ((trace(&c) - damping * damping * before) / (2 * (n - 1)) as f64).max(1e-12 * variance),
        }
    });
    let next = Model {
        rate_hz: model.rate_hz,
        oscillators: oscillators.collect(),
        noise: (noise / n as f64).max(1e-9 * variance),
    };
    next.is_sound().then_some(next)
}

/// What the filter does at samples 0, 1, …, until it has converged: the last entry holds from there on.
fn gains(model: &Model, f: &DMatrix<f64>, drive: &DMatrix<f64>, n: usize) -> Vec<Gain> {
    let d = f.nrows();
    let mut predicted = DMatrix::from_diagonal(&DVector::from_fn(d, |i, _| model.stationary(i / 2)));
    let mut gains = Vec::new();
    for _ in 0..n {
        let seen = DVector::from_fn(d, |i, _| (0..d).step_by(2).map(|k| predicted[(i, k)]).sum::<f64>());
        let gain = &seen / (observed(&seen) + model.noise);
        let filtered = &predicted - &gain * seen.transpose();
        let next = f * &filtered * f.transpose() + drive;
        let next = (&next + next.transpose()) * 0.5;
        let done = (&next - &predicted).amax() <= CONVERGED * next.amax();
        gains.push(Gain { predicted, filtered, gain });
        predicted = next;
        if done {
            break;
        }
    }
    gains
}

/// The sum of the first components.
fn observed(m: &DVector<f64>) -> f64 {
    m.iter().step_by(2).sum()
}

fn observed_variance(p: &DMatrix<f64>) -> f64 {
    let d = p.nrows();
    (0..d).step_by(2).map(|i| (0..d).step_by(2).map(|k| p[(i, k)]).sum::<f64>()).sum()
}

/// What is known of the rhythm after a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Its analytic signal: the posterior mean of both components.
    pub mean: Complex,
    /// Posterior circular standard deviation of the phase, rad: see [`circular_sd`].
    pub phase_sd: f64,
}

/// The filter; [`Filter::push`] allocates nothing.
#[derive(Debug, Clone)]
pub struct Filter {
    rotations: Vec<[f64; 2]>,
    drive: Vec<f64>,
    stationary: Vec<f64>,
    noise: f64,
    mean: [f64; D],
    covariance: [[f64; D]; D],
    started: bool,
}

impl Filter {
    /// A filter that knows nothing but the model; `None` when the model is not sound.
    pub fn new(model: &Model) -> Option<Self> {
        let j = model.oscillators.len();
        model.is_sound().then(|| Self {
            rotations: model.rotations(),
            drive: model.oscillators.iter().map(|o| o.variance).collect(),
            stationary: (0..j).map(|j| model.stationary(j)).collect(),
            noise: model.noise,
            mean: [0.0; D],
            covariance: [[0.0; D]; D],
            started: false,
        })
    }

    /// Takes a sample. One that is not finite is missing: the rhythm goes on by itself, and the phase grows less sure.
    pub fn push(&mut self, x: f64) -> Estimate {
        self.predict();
        let d = 2 * self.rotations.len();
        if x.is_finite() {
            let p = &mut self.covariance;
            let mut seen = [0.0; D];
            for (seen, row) in seen.iter_mut().zip(p.iter()).take(d) {
                *seen = row[..d].iter().step_by(2).sum();
            }
            let scale = seen[..d].iter().step_by(2).sum::<f64>() + self.noise;
            let error = (x - self.mean[..d].iter().step_by(2).sum::<f64>()) / scale;
            for i in 0..d {
                self.mean[i] += seen[i] * error;
                for k in 0..d {
                    p[i][k] -= seen[i] * seen[k] / scale;
                }
            }
        }
        let p = &self.covariance;
        let (re, im) = (self.mean[0], self.mean[1]);
        let size = re.hypot(im);
        // uncertainty across the direction of the mean is what turns the phase
        let across = if size > 0.0 {
            (im * im * p[0][0] - 2.0 * re * im * p[0][1] + re * re * p[1][1]) / (size * size)
        } else {
            0.5 * (p[0][0] + p[1][1])
        };
        Estimate { mean: Complex::new(re, im), phase_sd: circular_sd(size / across.max(0.0).sqrt()) }
    }

    fn predict(&mut self) {
        let p = &mut self.covariance;
        if !self.started {
            self.started = true;
            for (j, &v) in self.stationary.iter().enumerate() {
                (p[2 * j][2 * j], p[2 * j + 1][2 * j + 1]) = (v, v);
            }
            return;
        }
        let d = 2 * self.rotations.len();
        for (j, &[c, s]) in self.rotations.iter().enumerate() {
            let (a, b) = (2 * j, 2 * j + 1);
            (self.mean[a], self.mean[b]) = (c * self.mean[a] - s * self.mean[b], s * self.mean[a] + c * self.mean[b]);
            for k in 0..d {
                (p[a][k], p[b][k]) = (c * p[a][k] - s * p[b][k], s * p[a][k] + c * p[b][k]);
            }
        }
        for (j, &[c, s]) in self.rotations.iter().enumerate() {
            let (a, b) = (2 * j, 2 * j + 1);
            for row in p.iter_mut().take(d) {
                (row[a], row[b]) = (c * row[a] - s * row[b], s * row[a] + c * row[b]);
            }
            p[a][a] += self.drive[j];
            p[b][b] += self.drive[j];
        }
    }

    /// Forgets every sample.
    pub fn reset(&mut self) {
        self.mean = [0.0; D];
        self.covariance = [[0.0; D]; D];
        self.started = false;
    }
}

/// Circular standard deviation √(−2 ln R), rad, of the angle of a plane vector with mean length `ratio` and independent normal
/// errors of standard deviation 1: `R = √(π/8) r e^{−r²/4} (I₀(r²/4) + I₁(r²/4))` (Mardia & Jupp 2000, Directional Statistics,
/// 3.5.6), to 1e-6. Near 1/r where r is large; infinite at 0, where any phase is as likely.
pub fn circular_sd(ratio: f64) -> f64 {
    if !(ratio > 0.0) {
        return if ratio.is_nan() { f64::NAN } else { f64::INFINITY };
    }
    if ratio > 1e3 {
        return 1.0 / ratio;
    }
    let [i0, i1] = scaled_bessel(ratio * ratio / 4.0);
    let resultant = (PI / 8.0).sqrt() * ratio * (i0 + i1);
    (-2.0 * resultant.min(1.0).ln()).max(0.0).sqrt()
}

/// e^{−y} I₀(y) and e^{−y} I₁(y), y ≥ 0: the power series below 12, the asymptotic one above.
fn scaled_bessel(y: f64) -> [f64; 2] {
    if y < 12.0 {
        let (mut term, mut i0, mut i1) = (1.0, 0.0, 0.0);
        for k in 0..48 {
            i0 += term;
            i1 += term * (y / 2.0) / f64::from(k + 1);
            term *= (y / 2.0) * (y / 2.0) / f64::from((k + 1) * (k + 1));
        }
        return [i0, i1].map(|v| v * (-y).exp());
    }
    [0.0, 4.0].map(|mu| {
        let (mut term, mut sum) = (1.0, 1.0);
        for k in 1..14 {
            let odd = f64::from(2 * k - 1);
            term *= -(mu - odd * odd) / (f64::from(k) * 8.0 * y);
            sum += term;
        }
        sum / (TAU * y).sqrt()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn golden() -> Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/phase.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn rows(value: &Value) -> Vec<Vec<f64>> {
        serde_json::from_value(value.clone()).unwrap()
    }

    fn case() -> (Vec<f64>, Model, Value) {
        let golden = golden()["sspe"].clone();
        let oscillators = rows(&golden["oscillators"])
            .iter()
            .map(|o| Oscillator { frequency_hz: o[0], damping: o[1], variance: o[2] })
            .collect();
        let y: Vec<f64> = serde_json::from_value(golden["y"].clone()).unwrap();
        (y, Model { rate_hz: 100.0, oscillators, noise: 3.0 }, golden)
    }

    #[test]
    fn filter_and_one_step_of_em_are_those_of_the_dense_gaussian() {
        let (y, model, golden) = case();
        let mut filter = Filter::new(&model).unwrap();
        let wanted = rows(&golden["filtered"]);
        for (i, y) in y.iter().enumerate() {
            let mean = filter.push(*y).mean;
            if let Some(want) = wanted.iter().find(|w| w[0] as usize == i + 1) {
                let p = &filter.covariance;
                for (got, want) in [mean.re, mean.im, p[0][0], p[0][1], p[1][1]].iter().zip(&want[1..]) {
                    assert!((got - want).abs() < 1e-9, "sample {i}: {got} {want}");
                }
            }
        }
        let next = fit(&y, &model, 1, 0.0);
        assert!(next.is_none(), "fewer than 100 samples");
        let next = step(&y, &model, 1.0).unwrap();
        for (o, want) in next.oscillators.iter().zip(rows(&golden["em"])) {
            for (got, want) in [o.frequency_hz, o.damping, o.variance].iter().zip(want) {
                assert!((got - want).abs() < 1e-8 * want.abs().max(1.0), "{got} {want}");
            }
        }
        assert!((next.noise - golden["em_noise"].as_f64().unwrap()).abs() < 1e-8);
    }

    #[test]
    fn circular_sd_is_that_of_a_quadrature() {
        for row in rows(&golden()["circular_sd"]) {
            let got = circular_sd(row[0]);
            assert!((got - row[1]).abs() < 2e-4 * row[1], "{}: {got} {}", row[0], row[1]);
        }
        // both forms meet
        assert!((circular_sd(6.928) - circular_sd(6.9283)).abs() < 1e-4);
        assert_eq!((circular_sd(0.0), circular_sd(1e4)), (f64::INFINITY, 1e-4));
    }

    #[test]
    fn em_finds_an_oscillator_and_a_gap_makes_unsure() {
        let mut s = 7_u32;
        let mut normal = || {
            let mut sum = -6.0;
            for _ in 0..12 {
                s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                sum += f64::from(s) / 4_294_967_296.0;
            }
            sum
        };
        let turn = Complex::from_polar(0.99, TAU * 11.0 / 250.0);
        let mut z = Complex::ZERO;
        let mut x = Vec::new();
        for _ in 0..8000 {
            z = z * turn + Complex::new(normal(), normal());
            x.push(z.re + 2.0 * normal());
        }
        let model = fit(&x, &Model::start(&x, 250.0, &[9.0]), 200, 1e-5).unwrap();
        let o = model.oscillators[0];
        assert!((o.frequency_hz - 11.0).abs() < 0.15 && (o.damping - 0.99).abs() < 0.003, "{o:?}");
        assert!((o.variance - 1.0).abs() < 0.25 && (model.noise - 4.0).abs() < 0.5, "{model:?}");
        let mut filter = Filter::new(&model).unwrap();
        let known = x.iter().map(|x| filter.push(*x)).last().unwrap();
        let later = (0..50).map(|_| filter.push(f64::NAN)).last().unwrap();
        assert!(later.phase_sd > known.phase_sd && later.mean.re.is_finite());
        filter.reset();
        let again = x.iter().map(|x| filter.push(*x)).last().unwrap();
        assert_eq!(again, known);
    }
}
