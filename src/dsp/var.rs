//! Vector autoregressive models in one pass: y(t) = c + Σₖ A(k) y(t − k) + u(t), cov u = Σ.
//!
//! [`LagSums`] adds up, epoch after epoch, everything that least squares needs for *any* subset of the channels, any
//! order up to the highest, and time run backwards; memory depends on neither the number nor the length of epochs.
//! No lag crosses from one epoch into the next, and each epoch has its own constant c: with one epoch the result is
//! ordinary least squares (Lütkepohl 2005, 10.1007/978-3-540-27752-1, §3.2), not a Yule–Walker approximation of it.
//!
//! The Gram matrix of y(t), y(t − 1), …, y(t − P) over t = P … N − 1 is nearly block Toeplitz: a block differs from its
//! upper left neighbour by the epoch's edges only. So its first block row and these differences are summed.

use nalgebra::DMatrix;
use rayon::prelude::*;
use rustfft::num_complex::Complex;
use std::f64::consts::TAU;

/// A pivot of the scaled instantaneous covariance below this: a channel is a combination of the others.
const DEPENDENT: f64 = 1e-10;
/// A pivot of the scaled Gram matrix below this: the past predicts itself down to rounding.
const PREDICTABLE: f64 = 1e-13;

/// Sums over epochs, for channels 0 … C − 1 and lags 0 … P.
#[derive(Debug, Clone)]
pub struct LagSums {
    channels: usize,
    order: usize,
    epochs: u64,
    samples: u64,
    /// First block row: `[a][k][b]` is Σ y_a(t) y_b(t − k), about the means.
    first: Vec<f64>,
    /// What blocks differ by from their upper left neighbours, `[(i, a)][(j, b)]`, where (j, b) ≥ (i, a).
    step: Vec<f64>,
    /// The epoch about its channels' means, `[channel][sample]`.
    centred: Vec<f64>,
    /// Edges and means of the lagged series: heads, tails, means one lag on, means.
    edges: [Vec<f64>; 4],
}

impl LagSums {
    /// Empty sums for epochs of at most `len` samples.
    pub fn new(channels: usize, order: usize, len: usize) -> Self {
        let lagged = channels * order;
        Self {
            channels,
            order,
            epochs: 0,
            samples: 0,
            first: vec![0.0; channels * (order + 1) * channels],
            step: vec![0.0; lagged * lagged],
            centred: vec![0.0; channels * len],
            edges: std::array::from_fn(|_| vec![0.0; lagged + channels]),
        }
    }

    /// Bytes that [`LagSums::new`] takes.
    pub fn bytes(channels: usize, order: usize, len: usize) -> u64 {
        let lagged = (channels * order) as u64;
        8 * (lagged * lagged + (channels * channels * (order + 1) + channels * len) as u64 + 4 * lagged)
    }

    /// Adds an epoch: one series per channel, all of one length, in the order of the channels. Without effect when there
    /// are fewer than P + 2 samples, more than `len`, or one is not finite. Allocates nothing where `threads` is 1;
    /// the bits do not depend on `threads`.
    pub fn add<'a>(&mut self, series: impl Iterator<Item = &'a [f64]>, threads: usize) -> bool {
        let (channels, order) = (self.channels, self.order);
        let mut len = 0;
        for (c, values) in series.take(channels).enumerate() {
            len = values.len();
            let mean = values.iter().sum::<f64>() / len as f64;
            let fits = len > order + 1 && len * channels <= self.centred.len() && mean.is_finite();
            let Some(row) = self.centred.get_mut(c * len..(c + 1) * len).filter(|_| fits) else { return false };
            row.iter_mut().zip(values).for_each(|(to, v)| *to = v - mean);
        }
        if len == 0 {
            return false;
        }
        let n = len - order;
        let centred = &self.centred[..channels * len];
        let [heads, tails, next, means] = &mut self.edges;
        for (c, y) in centred.chunks_exact(len).enumerate() {
            // the sum of y(t − k) over t, from lag to lag
            let mut sum: f64 = y[order..].iter().sum();
            for k in 0..=order {
                means[k * channels + c] = sum / (n as f64).sqrt();
                if k < order {
                    let (head, tail) = (y[order - 1 - k], y[len - 1 - k]);
                    (heads[k * channels + c], tails[k * channels + c]) = (head, tail);
                    sum += head - tail;
                    next[k * channels + c] = sum / (n as f64).sqrt();
                }
            }
        }
        let (heads, tails, next, means) = (&*heads, &*tails, &*next, &*means);
        let first_row = |(a, row): (usize, &mut [f64])| {
            let target = &centred[a * len + order..(a + 1) * len];
            for (k, sums) in row.chunks_exact_mut(channels).enumerate() {
                for (b, sum) in sums.iter_mut().enumerate() {
                    let source = &centred[b * len + order - k..][..n];
                    *sum += dot(target, source) - means[a] * means[k * channels + b];
                }
            }
        };
        let step_row = |(r, row): (usize, &mut [f64])| {
            let factors = [heads[r], tails[r], next[r], means[r]];
            rank_four(&mut row[r..], factors, [&heads[r..], &tails[r..], &next[r..], &means[r..]]);
        };
        let (width, lagged) = ((order + 1) * channels, order * channels);
        if threads > 1 {
            self.first.par_chunks_exact_mut(width).enumerate().for_each(first_row);
            self.step.par_chunks_exact_mut(lagged.max(1)).enumerate().for_each(step_row);
        } else {
            self.first.chunks_exact_mut(width).enumerate().for_each(first_row);
            self.step.chunks_exact_mut(lagged.max(1)).enumerate().for_each(step_row);
        }
        self.epochs += 1;
        self.samples += n as u64;
        true
    }

    /// Forgets all epochs.
    pub fn reset(&mut self) {
        (self.epochs, self.samples) = (0, 0);
        self.first.fill(0.0);
        self.step.fill(0.0);
    }

    /// Epochs in the sums.
    pub fn epochs(&self) -> u64 {
        self.epochs
    }

    /// Samples that are predicted: N − P of each epoch.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Highest order P.
    pub fn order(&self) -> usize {
        self.order
    }

    /// Variance of a channel; 0 where it is flat.
    pub fn variance(&self, channel: usize) -> f64 {
        let sum = self.first.get(channel * (self.order + 1) * self.channels + channel).copied().unwrap_or(0.0);
        sum / (self.samples as f64).max(1.0)
    }

    /// Prepares the fits of all orders for some channels, forwards or with time reversed.
    ///
    /// # Errors
    /// [`Refusal`] when there is too little data or a channel depends on the others.
    pub fn normal_equations(&self, channels: &[usize], reversed: bool) -> Result<NormalEquations, Refusal> {
        let (c, order) = (channels.len(), self.order);
        let constants = self.epochs as f64;
        if self.samples as f64 <= (c * order) as f64 + constants {
            return Err(Refusal::TooShort);
        }
        let gram = self.gram(channels);
        let scale: Vec<f64> = (0..c).map(|a| gram[(a, a)].sqrt()).collect();
        if let Some(flat) = scale.iter().position(|s| !(s.is_normal())) {
            return Err(Refusal::Flat(channels[flat]));
        }
        // regressors first (lag 1, 2, …), then what they predict; run backwards, the last lag is predicted by those before
        let block = |i: usize| match (reversed, i < order) {
            (false, true) => i + 1,
            (false, false) => 0,
            (true, true) => order - 1 - i,
            (true, false) => order,
        };
        let at = |i: usize| block(i / c) * c + i % c;
        let size = c * (order + 1);
        let mut lower = DMatrix::from_fn(size, size, |i, j| gram[(at(i), at(j))] / (scale[i % c] * scale[j % c]));
        let instant = lower.view((c * order, c * order), (c, c)).into_owned();
        if let Some(at) = cholesky(&mut instant.clone(), c, DEPENDENT) {
            return Err(Refusal::Dependent(channels[at]));
        }
        if let Some(at) = cholesky(&mut lower, c * order, PREDICTABLE) {
            return Err(Refusal::Predictable(at / c + 1));
        }
        Ok(NormalEquations { order, scale, constants, samples: self.samples as f64, lower, instant })
    }

    /// Gram matrix of the lagged channels, `(lag, channel)` squared.
    fn gram(&self, channels: &[usize]) -> DMatrix<f64> {
        let (c, size) = (channels.len(), channels.len() * (self.order + 1));
        let mut gram = DMatrix::zeros(size, size);
        for (a, &from) in channels.iter().enumerate() {
            for j in 0..size {
                let (k, b) = (j / c, channels[j % c]);
                let value = self.first[(from * (self.order + 1) + k) * self.channels + b];
                (gram[(a, j)], gram[(j, a)]) = (value, value);
            }
        }
        let lagged = self.channels * self.order;
        for i in 0..size - c {
            for j in 0..size - c {
                let (r, s) = (i / c * self.channels + channels[i % c], j / c * self.channels + channels[j % c]);
                gram[(i + c, j + c)] = gram[(i, j)] + self.step[r.min(s) * lagged + r.max(s)];
            }
        }
        gram
    }
}

/// Why no model is fitted. Channels are numbered as in [`LagSums`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No more samples than coefficients per channel.
    TooShort,
    /// This channel does not vary.
    Flat(usize),
    /// This channel is a linear combination of those named before it, sample by sample.
    Dependent(usize),
    /// From this lag on the past predicts itself: the signals fill only a part of the band up to half the rate.
    Predictable(usize),
}

/// The factored normal equations of one set of channels: every order from 1 up costs one substitution.
#[derive(Debug, Clone)]
pub struct NormalEquations {
    order: usize,
    scale: Vec<f64>,
    constants: f64,
    samples: f64,
    /// Cholesky factor of the regressors; below it the projections of what they predict.
    lower: DMatrix<f64>,
    /// Covariance of what is predicted, times samples; scaled like `lower`.
    instant: DMatrix<f64>,
}

/// What tells orders apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Criterion {
    /// Akaike (1974, 10.1109/TAC.1974.1100705): ln|Σ| + 2 m / n, m coefficients.
    Aic,
    /// Schwarz (1978, 10.1214/aos/1176344136): ln|Σ| + ln(n) m / n.
    Bic,
}

impl NormalEquations {
    /// Highest order.
    pub fn order(&self) -> usize {
        self.order
    }

    /// Sum of squared residuals at an order, scaled.
    fn residual(&self, order: usize) -> DMatrix<f64> {
        let c = self.scale.len();
        let projection = self.lower.view((c * self.order, 0), (c, c * order));
        &self.instant - projection * projection.transpose()
    }

    /// The criterion at an order, with the maximum-likelihood Σ. All orders predict the same samples t ≥ P, so their
    /// values are comparable. NaN where the residuals' covariance is singular.
    pub fn criterion(&self, criterion: Criterion, order: usize) -> f64 {
        let (c, n) = (self.scale.len(), self.samples);
        let mut residual = self.residual(order);
        if cholesky(&mut residual, c, 0.0).is_some() {
            return f64::NAN;
        }
        let log_det = (0..c).map(|i| 2.0 * (residual[(i, i)] * self.scale[i]).ln() - n.ln()).sum::<f64>();
        let coefficients = (order * c * c) as f64 + c as f64 * self.constants;
        let price = match criterion {
            Criterion::Aic => 2.0,
            Criterion::Bic => n.ln(),
        };
        log_det + price * coefficients / n
    }

    /// The order 1 … P with the smallest criterion; the smaller of equals.
    pub fn best(&self, criterion: Criterion) -> usize {
        let mut best = (1, f64::INFINITY);
        for order in 1..=self.order {
            let value = self.criterion(criterion, order);
            if value < best.1 {
                best = (order, value);
            }
        }
        best.0
    }

    /// The model of an order (cut to 1 … P).
    pub fn fit(&self, order: usize) -> Var {
        let (c, order) = (self.scale.len(), order.clamp(1, self.order));
        let m = c * order;
        let mut beta = self.lower.view((c * self.order, 0), (c, m)).transpose();
        // Lᵀ β = w, from the last lag up
        for i in (0..m).rev() {
            for target in 0..c {
                let known: f64 = (i + 1..m).map(|j| self.lower[(j, i)] * beta[(j, target)]).sum();
                beta[(i, target)] = (beta[(i, target)] - known) / self.lower[(i, i)];
            }
        }
        let coefficients = (0..order)
            .map(|k| DMatrix::from_fn(c, c, |to, from| beta[(k * c + from, to)] * self.scale[to] / self.scale[from]))
            .collect();
        let freedom = self.samples - m as f64 - self.constants;
        let residual = self.residual(order);
        let sigma = DMatrix::from_fn(c, c, |i, j| residual[(i, j)] * self.scale[i] * self.scale[j] / freedom);
        Var { coefficients, sigma }
    }
}

/// A fitted (or given) model.
#[derive(Debug, Clone, PartialEq)]
pub struct Var {
    /// A(1), A(2), …: entry (to, from).
    pub coefficients: Vec<DMatrix<f64>>,
    /// Covariance of the innovations, per degree of freedom n − C p − (number of epochs).
    pub sigma: DMatrix<f64>,
}

impl Var {
    /// Order p.
    pub fn order(&self) -> usize {
        self.coefficients.len()
    }

    /// Ā(f) = I − Σₖ A(k) e^(−2πi f k), with f in cycles per sample.
    pub fn transfer_inverse(&self, cycles: f64) -> DMatrix<Complex<f64>> {
        let c = self.sigma.nrows();
        let mut sum = DMatrix::identity(c, c);
        for (k, a) in self.coefficients.iter().enumerate() {
            let turn = Complex::from_polar(1.0, -TAU * cycles * (k + 1) as f64);
            sum.iter_mut().zip(a.iter()).for_each(|(s, a)| *s -= turn * a);
        }
        sum
    }

    /// Partial directed coherence, entry (to, from): |Ā_to,from| / √Σ_k |Ā_k,from|² (Baccalá & Sameshima 2001,
    /// 10.1007/PL00007990). `generalised`: each row first divided by its innovation's standard deviation, which makes it
    /// independent of the channels' scales (Baccalá et al. 2007, 10.1109/ICDSP.2007.4288544).
    pub fn pdc(&self, cycles: f64, generalised: bool) -> DMatrix<f64> {
        let a = self.transfer_inverse(cycles);
        let weight = |to: usize| if generalised { 1.0 / self.sigma[(to, to)].sqrt() } else { 1.0 };
        let size = DMatrix::from_fn(a.nrows(), a.ncols(), |to, from| a[(to, from)].norm() * weight(to));
        DMatrix::from_fn(a.nrows(), a.ncols(), |to, from| size[(to, from)] / size.column(from).norm())
    }

    /// Directed transfer function, entry (to, from): |H_to,from| / √Σ_k |H_to,k|² with H = Ā⁻¹ (Kamiński & Blinowska
    /// 1991, 10.1007/BF00198091). NaN where Ā is singular.
    pub fn dtf(&self, cycles: f64) -> DMatrix<f64> {
        let a = self.transfer_inverse(cycles);
        let (rows, columns) = a.shape();
        let Some(h) = a.try_inverse() else { return DMatrix::from_element(rows, columns, f64::NAN) };
        let size = h.map(|v| v.norm());
        DMatrix::from_fn(rows, columns, |to, from| size[(to, from)] / size.row(to).norm())
    }

    /// Spectral Granger causality of a model of two channels, from `from` to the other, in nats: ln of the power of the
    /// other over what of it is not due to `from` (Geweke 1982, 10.1080/01621459.1982.10477803).
    ///
    /// Written with Ā instead of H and as ln(1 + x), so that nothing cancels where the influence is small:
    /// x = |Ā_to,from|² Σ_from|to / (Σ_to |Ā_from,from − Ā_to,from Σ_from,to / Σ_to|²).
    pub fn granger(&self, cycles: f64, from: usize) -> f64 {
        let (a, s, to) = (self.transfer_inverse(cycles), &self.sigma, 1 - from);
        let slope = s[(from, to)] / s[(to, to)];
        let partial = s[(from, from)] - slope * s[(from, to)];
        let own = a[(from, from)] - a[(to, from)] * slope;
        (a[(to, from)].norm_sqr() * partial / (s[(to, to)] * own.norm_sqr())).ln_1p()
    }
}

/// Factors the first `columns` columns of a symmetric matrix in place (lower triangle; rows below are projected along).
/// The first pivot that is not above `least`: its index.
fn cholesky(a: &mut DMatrix<f64>, columns: usize, least: f64) -> Option<usize> {
    let rows = a.nrows();
    for j in 0..columns {
        let pivot = a[(j, j)];
        if pivot.is_nan() || pivot <= least {
            return Some(j);
        }
        let root = pivot.sqrt();
        a.view_mut((j, j), (rows - j, 1)).scale_mut(1.0 / root);
        a[(j, j)] = root;
        for k in j + 1..columns {
            let factor = a[(k, j)];
            let (left, mut right) = a.columns_range_pair_mut(j, k);
            for i in k..rows {
                right[i] -= factor * left[i];
            }
        }
    }
    None
}

/// Σ xᵢ yᵢ in eight partial sums: one order of additions on every CPU.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn dot(x: &[f64], y: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (xs, ys) = (x.chunks_exact(8), y.chunks_exact(8));
    let rest: f64 = xs.remainder().iter().zip(ys.remainder()).map(|(a, b)| a * b).sum();
    for (x, y) in xs.zip(ys) {
        for i in 0..8 {
            sums[i] += x[i] * y[i];
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// `row += h·heads − t·tails − n·next + m·means`.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn rank_four(row: &mut [f64], [h, t, n, m]: [f64; 4], [heads, tails, next, means]: [&[f64]; 4]) {
    for ((((value, head), tail), next), mean) in row.iter_mut().zip(heads).zip(tails).zip(next).zip(means) {
        *value += (h * head - t * tail) - (n * next - m * mean);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const SCALE: [f64; 3] = [1.0, 20.0, 0.3];
    const MEAN: [f64; 3] = [5.0, -300.0, 1.0];

    fn truth() -> Vec<DMatrix<f64>> {
        vec![
            DMatrix::from_row_slice(3, 3, &[0.9, 0.0, 0.0, 0.35, 0.5, 0.0, 0.0, 0.3, 0.4]),
            DMatrix::from_row_slice(3, 3, &[-0.6, 0.0, 0.0, 0.0, -0.3, 0.1, 0.0, -0.25, -0.2]),
        ]
    }

    /// As `simulate` of the reference script, but planar, and of any three-channel VAR(2).
    fn simulate_from(a: &[DMatrix<f64>], seed: u32, n: usize) -> Vec<Vec<f64>> {
        let mut s = seed;
        let mut uniform = || {
            s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(s) / 4_294_967_296.0 - 0.5
        };
        let mut y = vec![[0.0; 3]; n + 200];
        for t in 0..n + 200 {
            let mut e = [0.0; 3].map(|_: f64| uniform() + uniform());
            e[2] += 0.5 * e[1];
            if t >= 2 {
                for to in 0..3 {
                    y[t][to] = e[to]
                        + (0..2).map(|k| (0..3).map(|c| a[k][(to, c)] * y[t - 1 - k][c]).sum::<f64>()).sum::<f64>();
                }
            }
        }
        (0..3).map(|c| y[200..].iter().map(|v| MEAN[c] + SCALE[c] * v[c]).collect()).collect()
    }

    fn simulate(seed: u32, n: usize) -> Vec<Vec<f64>> {
        simulate_from(&truth(), seed, n)
    }

    fn golden() -> Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/var.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn sums(epochs: &[Vec<Vec<f64>>], order: usize, threads: usize) -> LagSums {
        let mut sums = LagSums::new(epochs[0].len(), order, epochs[0][0].len());
        for epoch in epochs {
            assert!(sums.add(epoch.iter().map(Vec::as_slice), threads));
        }
        sums
    }

    fn near(ours: &DMatrix<f64>, theirs: &Value, tolerance: f64) {
        let size = ours.amax();
        for to in 0..ours.nrows() {
            for from in 0..ours.ncols() {
                let (a, b) = (ours[(to, from)], theirs[to][from].as_f64().unwrap());
                assert!((a - b).abs() <= tolerance * b.abs().max(1e-6 * size), "({to}, {from}): {a} against {b}");
            }
        }
    }

    #[test]
    fn coefficients_covariance_and_criteria_are_those_of_statsmodels() {
        let (golden, x) = (golden(), simulate(7, 900));
        for c in 0..3 {
            assert!((x[c][899] - golden["tail"][c].as_f64().unwrap()).abs() < 1e-12 * x[c][899].abs());
        }
        for (key, order) in [("fit2", 2), ("fit6", 6)] {
            let equations = sums(std::slice::from_ref(&x), order, 1).normal_equations(&[0, 1, 2], false).unwrap();
            let (var, theirs) = (equations.fit(order), &golden[key]);
            for k in 0..order {
                near(&var.coefficients[k], &theirs["coefficients"][k], 1e-8);
            }
            near(&var.sigma, &theirs["sigma"], 1e-9);
            for (criterion, name) in [(Criterion::Aic, "aic"), (Criterion::Bic, "bic")] {
                let (a, b) = (equations.criterion(criterion, order), theirs[name].as_f64().unwrap());
                assert!((a - b).abs() < 1e-10, "{name} {a} {b}");
            }
            for (i, f) in golden["frequencies"].as_array().unwrap().iter().enumerate() {
                let f = f.as_f64().unwrap();
                near(&var.pdc(f, false), &theirs["pdc"][i], 1e-7);
                near(&var.pdc(f, true), &theirs["gpdc"][i], 1e-7);
                near(&var.dtf(f), &theirs["dtf"][i], 1e-7);
            }
        }
        let equations = sums(&[x], 10, 1).normal_equations(&[0, 1, 2], false).unwrap();
        for order in 1..=10 {
            for (criterion, name) in [(Criterion::Aic, "aic"), (Criterion::Bic, "bic")] {
                let b = golden["select"][name][order].as_f64().unwrap();
                assert!((equations.criterion(criterion, order) - b).abs() < 1e-10, "{name} at {order}");
            }
        }
        assert_eq!(equations.best(Criterion::Aic) as u64, golden["select"]["best_aic"].as_u64().unwrap());
        assert_eq!(equations.best(Criterion::Bic) as u64, golden["select"]["best_bic"].as_u64().unwrap());
    }

    #[test]
    fn granger_causality_is_that_of_the_state_space_form_both_ways_in_time() {
        let (golden, x) = (golden(), simulate(7, 900));
        let sums = sums(&[x], 4, 1);
        for (key, reversed) in [("forward", false), ("reversed", true)] {
            let var = sums.normal_equations(&[0, 1], reversed).unwrap().fit(4);
            for from in 0..2 {
                for bin in 0..=10 {
                    let (a, b) =
                        (var.granger(bin as f64 / 20.0, from), golden["pair"][key][from][bin].as_f64().unwrap());
                    assert!((a - b).abs() <= 1e-9 * b.max(1e-3), "{key} {from} {bin}: {a} {b}");
                }
            }
        }
    }

    #[test]
    fn several_epochs_have_a_constant_each_and_share_no_lag() {
        let golden = golden();
        let epochs: Vec<_> = (0..5).map(|e| simulate(100 + e, 150)).collect();
        let sums = sums(&epochs, 3, 1);
        assert_eq!((sums.epochs(), sums.samples()), (5, 735));
        let var = sums.normal_equations(&[0, 1, 2], false).unwrap().fit(3);
        for k in 0..3 {
            near(&var.coefficients[k], &golden["epochs"]["coefficients"][k], 1e-8);
        }
        near(&var.sigma, &golden["epochs"]["sigma"], 1e-9);
    }

    #[test]
    fn mne_connectivity_end_to_end_estimates_the_same() {
        // cross-spectra through tapers, inverse FFT and Whittle's recursion against least squares: 0.05 nats or 10 %
        let golden = &golden()["end_to_end"];
        let epochs: Vec<_> = (0..60).map(|e| simulate(1000 + e, 400)).collect();
        let sums = sums(&epochs, 8, 1);
        for (key, reversed) in [("gc", false), ("gc_tr", true)] {
            let var = sums.normal_equations(&[0, 1], reversed).unwrap().fit(8);
            for (i, f) in golden["frequency"].as_array().unwrap().iter().enumerate() {
                for from in 0..2 {
                    let (a, b) =
                        (var.granger(f.as_f64().unwrap() / 400.0, from), golden[key][from][i].as_f64().unwrap());
                    assert!((a - b).abs() <= 0.05_f64.max(0.1 * b), "{key} from {from} at {f}: {a} {b}");
                }
            }
        }
    }

    /// VAR(2) with known answers: from 0 to 1 to 2, and a little from 2 to 1.
    #[test]
    fn hard_case_16_known_pdc_dtf_and_granger_are_recovered() {
        let sums = super::tests::sums(&[simulate(5000, 200_000)], 5, 1);
        let equations = sums.normal_equations(&[0, 1, 2], false).unwrap();
        assert_eq!(equations.best(Criterion::Bic), 2);
        let var = equations.fit(2);
        let (a, scale) = (truth(), DMatrix::from_diagonal(&nalgebra::DVector::from_row_slice(&SCALE)));
        // what the generator says, with the channels' scales
        let mix = DMatrix::from_row_slice(3, 3, &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.5, 1.0]);
        let exact = Var {
            coefficients: a.iter().map(|a| &scale * a * scale.clone().try_inverse().unwrap()).collect(),
            sigma: &scale * &mix * mix.transpose() * &scale / 6.0,
        };
        for f in [0.01, 0.05, 0.12, 0.2, 0.4] {
            // 2·10⁵ samples, channels up to 66 times apart in scale: the way from 2 to 1 (0.1 in the model) is known to 3 %
            assert!((var.pdc(f, false) - exact.pdc(f, false)).amax() < 0.04);
            assert!((var.pdc(f, true) - exact.pdc(f, true)).amax() < 0.04);
            assert!((var.dtf(f) - exact.dtf(f)).amax() < 0.04);
            // absent influences are absent; DTF sees the way from 0 to 2 that leads through 1, PDC does not
            assert!(var.pdc(f, true)[(0, 1)] < 0.02 && var.pdc(f, true)[(2, 0)] < 0.02);
            assert!(exact.pdc(f, true)[(2, 0)] == 0.0 && (f != 0.12 || exact.dtf(f)[(2, 0)] > 0.08));
        }
        // 0 → 1 in closed form where nothing leads back: 1 is b(z) of 0's innovation plus its own (2 left out of it)
        let pair = vec![
            DMatrix::from_row_slice(3, 3, &[0.9, 0.0, 0.0, 0.35, 0.5, 0.0, 0.0, 0.3, 0.4]),
            DMatrix::from_row_slice(3, 3, &[-0.6, 0.0, 0.0, 0.0, -0.3, 0.0, 0.0, -0.25, -0.2]),
        ];
        let sums = super::tests::sums(&[simulate_from(&pair, 9000, 200_000)], 2, 1);
        let [ahead, back] = [false, true].map(|reversed| sums.normal_equations(&[0, 1], reversed).unwrap().fit(2));
        for f in [0.01, 0.05, 0.12, 0.2, 0.4] {
            let z = |k: i32| Complex::from_polar(1.0, -TAU * f * f64::from(k));
            let own = (Complex::from(1.0) - 0.9 * z(1) + 0.6 * z(2)).norm_sqr();
            let closed = (1.0 + 0.35 * 0.35 / own).ln();
            assert!(
                (ahead.granger(f, 0) - closed).abs() < 0.03 * closed + 0.003,
                "{f}: {} {closed}",
                ahead.granger(f, 0)
            );
            assert!(ahead.granger(f, 1) < 2e-4);
            // net causality: 0 leads forwards, and trails when time runs backwards
            assert!(ahead.granger(f, 0) - ahead.granger(f, 1) > 0.0);
            assert!(back.granger(f, 0) - back.granger(f, 1) < 0.0);
        }
    }

    /// Two observers of one source, one noisier: Granger causality alone is fooled, its difference to reversed time is not.
    #[test]
    fn hard_case_16_common_noise_is_told_by_time_reversal() {
        let mut x = simulate(31, 40_000);
        let silent = [DMatrix::zeros(3, 3), DMatrix::zeros(3, 3)];
        let noise = simulate_from(&silent, 77, 40_000);
        let source = x[0].clone();
        x[1] = source.iter().zip(&noise[1]).map(|(s, n)| s + 0.1 * n).collect();
        x[0].iter_mut().zip(&noise[0]).for_each(|(v, n)| *v += 0.2 * n);
        let sums = sums(&[x], 10, 1);
        let net = |reversed| {
            let var = sums.normal_equations(&[0, 1], reversed).unwrap().fit(10);
            (0..50).map(|i| var.granger(i as f64 / 100.0, 0) - var.granger(i as f64 / 100.0, 1)).sum::<f64>() / 50.0
        };
        let (ahead, back) = (net(false), net(true));
        assert!(ahead > 0.1, "the noisier copy looks driven: {ahead}");
        assert!(back > 0.1 && (ahead - back).abs() < 0.1 * ahead, "and no less so backwards: {ahead} {back}");
    }

    #[test]
    fn threads_and_order_of_looking_leave_the_bits() {
        let epochs: Vec<_> = (0..3).map(|e| simulate(9 + e, 333)).collect();
        let (one, two) = (sums(&epochs, 7, 1), sums(&epochs, 7, 2));
        assert_eq!((&one.first, &one.step), (&two.first, &two.step));
        // a subset's model is that of its channels alone
        let alone: Vec<_> = epochs.iter().map(|e| vec![e[2].clone(), e[0].clone()]).collect();
        let ours = one.normal_equations(&[2, 0], false).unwrap().fit(4);
        let theirs = sums(&alone, 7, 1).normal_equations(&[0, 1], false).unwrap().fit(4);
        assert!((&ours.coefficients[3] - &theirs.coefficients[3]).amax() < 1e-12);
        let mut fresh = two;
        fresh.reset();
        assert_eq!((fresh.epochs(), fresh.variance(1)), (0, 0.0));
        // threads, time reversal and scale: A reversed twice is A
        let mut turned = epochs.clone();
        turned.iter_mut().flatten().for_each(|x| x.reverse());
        let back = sums(&turned, 7, 1).normal_equations(&[0, 1, 2], true).unwrap().fit(5);
        let ahead = one.normal_equations(&[0, 1, 2], false).unwrap().fit(5);
        assert!((&ahead.coefficients[1] - &back.coefficients[1]).amax() < 1e-9);
    }

    #[test]
    fn what_cannot_be_fitted_is_refused_with_its_reason() {
        let refuse = |change: &dyn Fn(&mut Vec<Vec<f64>>), order: usize| {
            let mut x = simulate(3, 400);
            change(&mut x);
            let channels: Vec<usize> = (0..x.len()).collect();
            sums(&[x], order, 1).normal_equations(&channels, false).unwrap_err()
        };
        assert_eq!(refuse(&|x| x[1].fill(7.0), 3), Refusal::Flat(1));
        assert_eq!(refuse(&|x| x[2] = x[0].clone(), 3), Refusal::Dependent(2));
        let average_reference = |x: &mut Vec<Vec<f64>>| {
            for t in 0..400 {
                let mean = x.iter().map(|c| c[t]).sum::<f64>() / 3.0;
                x.iter_mut().for_each(|c| c[t] -= mean);
            }
        };
        assert_eq!(refuse(&average_reference, 3), Refusal::Dependent(2));
        let tone = |x: &mut Vec<Vec<f64>>| x[0] = (0..400).map(|t| (0.1 * f64::from(t)).sin()).collect();
        assert_eq!(refuse(&tone, 6), Refusal::Predictable(3));
        assert_eq!(refuse(&|x| x.iter_mut().for_each(|c| c.truncate(30)), 20), Refusal::TooShort);
        // one NaN: the epoch does not count
        let mut x = simulate(3, 400);
        x[1][17] = f64::NAN;
        let mut sums = LagSums::new(3, 3, 400);
        assert!(!sums.add(x.iter().map(Vec::as_slice), 1));
        assert_eq!((sums.epochs(), sums.first.iter().all(|v| *v == 0.0)), (0, true));
    }
}
