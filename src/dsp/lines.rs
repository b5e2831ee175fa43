//! Lines at whole-number combinations of two frequencies by least squares: amplitude modulation, beats and what a nonlinear
//! amplifier makes of them.
//!
//! The model is x\[n\] = c₀ + Σ pₗ cos θₗ + qₗ sin θₗ with θₗ = 2π (aₗ f₁ + bₗ f₂)(n − origin), and with a trend every coefficient is a
//! straight line in time. As in [`super::harmonics`] the normal matrix follows from M(a, b) = Σ uᵈ e^{iθ}, d = 0…2; here these are
//! not added up sample by sample but known in closed form for a stretch without a hole, by doubling: twice the stretch is
//! the stretch and itself, turned and moved. So what a sample costs is its products with the lines themselves.
//!
//! Both frequencies are fitted together with the coefficients in one Gauss–Newton step (variable projection; Golub & Pereyra 1973,
//! 10.1137/0710036). Frequencies are in cycles per sample.

use super::fft::Complex;
use super::harmonics::{Oscillator, products, solve, turn};
use nalgebra::{DMatrix, DVector};
use std::collections::BTreeMap;
use std::f64::consts::TAU;

/// Samples that are worked on at once: they stay in the first-level cache.
const TILE: usize = 256;
/// Lines nearer than this over the stretch's length, in cycles, cannot be told apart.
const APART: f64 = 2.0;
/// Lines stay below this share of the rate.
const HIGHEST: f64 = 0.49;

/// a f₁ + b f₂.
pub type Order = [i32; 2];

/// Sums over the samples, from which the normal equations follow. Memory does not grow with their number.
#[derive(Debug, Clone)]
pub struct Lines {
    bases: [f64; 2],
    orders: Vec<Order>,
    oscillators: Vec<Oscillator>,
    origin: i64,
    scale: f64,
    n: u64,
    /// Samples from the origin on that were pushed and whose moments are not yet added.
    run: Option<(i64, i64)>,
    /// M by canonical order.
    moments: BTreeMap<Order, [Complex; 3]>,
    /// Σ x uᵈ e^{iθₗ}, the constant first.
    data: Vec<[Complex; 2]>,
    squares: f64,
}

/// The coefficients.
#[derive(Debug, Clone)]
pub struct LinesFit {
    /// Samples.
    pub n: u64,
    /// c₀.
    pub level: f64,
    /// pₗ − i qₗ of every order that was fitted: x = Re(C e^{iθ}), θ = 0 at the origin.
    pub lines: BTreeMap<Order, Complex>,
    /// Sum of the squared residuals.
    pub rss: f64,
    unknowns: usize,
}

impl LinesFit {
    /// The line of that order; 0 where it is not in the model.
    pub fn line(&self, order: Order) -> Complex {
        self.lines.get(&order).copied().unwrap_or_default()
    }

    /// Standard deviation of the residual.
    pub fn sigma(&self) -> f64 {
        (self.rss / (self.n as f64 - self.unknowns as f64).max(1.0)).sqrt()
    }
}

/// Fitted frequencies and what belongs to them.
#[derive(Debug, Clone)]
pub struct LinesRefined {
    /// f₁ and f₂, cycles per sample.
    pub bases: [f64; 2],
    /// Their standard deviations under white noise of the residual's size.
    pub sd: [f64; 2],
    /// The coefficients.
    pub fit: LinesFit,
}

impl Lines {
    /// For the orders that are `wanted`, the more important first: one that lies beyond the Nyquist frequency, or within two cycles
    /// over `length` samples of the constant or of one before it, is left out. Times count from `origin`, trends in units of half
    /// the length.
    pub fn new(bases: [f64; 2], wanted: &[Order], origin: i64, length: u64) -> Self {
        let apart = APART / length.max(1) as f64;
        let mut orders: Vec<Order> = Vec::new();
        for order in wanted {
            let f = frequency(bases, *order);
            let known = orders.iter().any(|o| (frequency(bases, *o) - f).abs() < apart);
            if f > apart && f < HIGHEST && !known {
                orders.push(*order);
            }
        }
        Self {
            oscillators: orders.iter().map(|o| Oscillator::new(frequency(bases, *o))).collect(),
            data: vec![[Complex::default(); 2]; orders.len() + 1],
            bases,
            orders,
            origin,
            scale: (length as f64 / 2.0).max(1.0),
            n: 0,
            run: None,
            moments: BTreeMap::new(),
            squares: 0.0,
        }
    }

    /// Adds samples, the first of index `first`. What is not finite is left out. The last bits depend on where `push` cuts.
    pub fn push(&mut self, first: i64, x: &[f64]) {
        let mut at = first - self.origin;
        for part in x.split_inclusive(|x| !x.is_finite()) {
            let finite = match part.split_last() {
                Some((last, rest)) if !last.is_finite() => rest,
                _ => part,
            };
            self.add(at, finite);
            at += part.len() as i64;
        }
    }

    fn add(&mut self, first: i64, x: &[f64]) {
        if x.is_empty() {
            return;
        }
        let end = first + x.len() as i64;
        match &mut self.run {
            Some((_, to)) if *to == first => *to = end,
            _ => {
                self.close();
                self.run = Some((first, end));
            }
        }
        self.n += x.len() as u64;
        let (mut re, mut im, mut u) = ([0.0; TILE], [0.0; TILE], [0.0; TILE]);
        for (tile, x) in x.chunks(TILE).enumerate() {
            let at = first + (tile * TILE) as i64;
            let n = x.len();
            u.iter_mut().enumerate().for_each(|(j, u)| *u = (at + j as i64) as f64 / self.scale);
            re[..n].fill(1.0);
            let [sum, moved] = products(&re[..n], &u[..n], x);
            self.data[0][0].re += sum;
            self.data[0][1].re += moved;
            self.squares += products(x, x, x)[0];
            for (oscillator, data) in self.oscillators.iter().zip(&mut self.data[1..]) {
                oscillator.fill(at, &mut re[..n], &mut im[..n]);
                let (a, b) = (products(&re[..n], &u[..n], x), products(&im[..n], &u[..n], x));
                (0..2).for_each(|d| data[d] += Complex::new(a[d], b[d]));
            }
        }
    }

    /// Adds the moments of the samples since the last hole.
    fn close(&mut self) {
        let Some((from, to)) = self.run.take() else { return };
        let all: Vec<Order> = std::iter::once([0, 0]).chain(self.orders.iter().copied()).collect();
        for (i, a) in all.iter().enumerate() {
            for b in &all[..=i] {
                for order in [[a[0] + b[0], a[1] + b[1]], [a[0] - b[0], a[1] - b[1]]] {
                    let (order, _) = canonical(order);
                    self.moments.entry(order).or_insert([Complex::new(f64::NAN, 0.0); 3]);
                }
            }
        }
        for (order, sums) in &mut self.moments {
            let new = moments(frequency(self.bases, *order), from, (to - from) as u64, self.scale);
            if sums[0].re.is_nan() {
                *sums = [Complex::default(); 3];
            }
            (0..3).for_each(|d| sums[d] += new[d]);
        }
    }

    fn moment(&self, order: Order, d: usize) -> Complex {
        let (order, turned) = canonical(order);
        let m = self.moments.get(&order).map_or(Complex::default(), |m| m[d]);
        if turned { m.conj() } else { m }
    }

    fn width(&self) -> usize {
        2 * self.orders.len() + 1
    }

    fn order(&self, column: usize) -> Order {
        if column == 0 { [0, 0] } else { self.orders[(column - 1) / 2] }
    }

    /// Inner product of columns i and j (constant, cos 1, sin 1, cos 2, …) times uᵈ.
    fn inner(&self, i: usize, j: usize, d: usize) -> f64 {
        let (a, b) = (self.order(i), self.order(j));
        let sum = self.moment([a[0] + b[0], a[1] + b[1]], d);
        let difference = self.moment([a[0] - b[0], a[1] - b[1]], d);
        let sine = |column: usize| column > 0 && column.is_multiple_of(2);
        0.5 * match (sine(i), sine(j)) {
            (false, false) => sum.re + difference.re,
            (true, true) => difference.re - sum.re,
            // cos a sin b = (sin(a + b) − sin(a − b)) / 2
            (false, true) => sum.im - difference.im,
            (true, false) => sum.im + difference.im,
        }
    }

    fn gram(&self, degree: usize) -> DMatrix<f64> {
        let w = self.width();
        DMatrix::from_fn(w * (degree + 1), w * (degree + 1), |i, j| self.inner(i % w, j % w, i / w + j / w))
    }

    fn right(&self, degree: usize) -> DVector<f64> {
        let w = self.width();
        DVector::from_fn(w * (degree + 1), |i, _| {
            let z = self.data[(i % w).div_ceil(2)][i / w];
            if i % w > 0 && (i % w).is_multiple_of(2) { z.im } else { z.re }
        })
    }

    /// The least-squares solution. `None` where the lines cannot be told apart.
    pub fn fit(&mut self) -> Option<LinesFit> {
        self.close();
        let right = self.right(0);
        let (solution, _) = solve(self.gram(0), &right)?;
        self.finish(&solution, &right)
    }

    /// As [`Lines::fit`], every coefficient a straight line in time: the fit at the origin, and the change per sample.
    pub fn fit_trend(&mut self) -> Option<(LinesFit, LinesFit)> {
        self.close();
        let right = self.right(1);
        let (solution, _) = solve(self.gram(1), &right)?;
        let fit = self.finish(&solution, &right)?;
        let slopes = solution.rows(self.width(), self.width()) / self.scale;
        let slope = LinesFit { level: slopes[0], lines: self.pairs(slopes.as_slice()), ..fit.clone() };
        Some((fit, slope))
    }

    /// A Gauss–Newton step of both frequencies together with the coefficients. To first order a step δ of base β adds
    /// 2πδ (n − origin) Σ orderₗ(β) (qₗ cos θₗ − pₗ sin θₗ); terms of second order are of size (2πδ·half the length)².
    pub fn refine(&mut self) -> Option<LinesRefined> {
        let start = self.fit()?;
        let w = self.width();
        let mut derivative = [vec![0.0; w], vec![0.0; w]];
        for (l, order) in self.orders.iter().enumerate() {
            let c = start.line(*order);
            for (base, column) in derivative.iter_mut().enumerate() {
                let factor = TAU * self.scale * f64::from(order[base]);
                (column[2 * l + 1], column[2 * l + 2]) = (-factor * c.im, -factor * c.re);
            }
        }
        let all = DMatrix::from_fn(2 * w, w + 2, |i, j| match (i < w, j < w) {
            (true, true) => f64::from(u8::from(i == j)),
            (false, false) => derivative[j - w][i - w],
            _ => 0.0,
        });
        let right = all.transpose() * self.right(1);
        let (solution, inverse) = solve(all.transpose() * self.gram(1) * &all, &right)?;
        let fit = self.finish(&solution, &right)?;
        let sigma = fit.sigma();
        Some(LinesRefined {
            bases: std::array::from_fn(|b| self.bases[b] + solution[w + b]),
            sd: std::array::from_fn(|b| sigma * inverse[(w + b, w + b)].max(0.0).sqrt()),
            fit,
        })
    }

    fn pairs(&self, solution: &[f64]) -> BTreeMap<Order, Complex> {
        let (pairs, _) = solution[1..self.width()].as_chunks::<2>();
        self.orders.iter().zip(pairs).map(|(order, [p, q])| (*order, Complex::new(*p, -*q))).collect()
    }

    fn finish(&self, solution: &DVector<f64>, right: &DVector<f64>) -> Option<LinesFit> {
        let fit = LinesFit {
            n: self.n,
            level: solution[0],
            lines: self.pairs(solution.as_slice()),
            rss: (self.squares - solution.dot(right)).max(0.0),
            unknowns: solution.len(),
        };
        (fit.level.is_finite() && fit.lines.values().all(|z| z.re.is_finite() && z.im.is_finite())).then_some(fit)
    }
}

fn frequency(bases: [f64; 2], order: Order) -> f64 {
    f64::from(order[0]) * bases[0] + f64::from(order[1]) * bases[1]
}

/// An order or its negative, the one that comes later; whether it was turned about.
fn canonical(order: Order) -> (Order, bool) {
    let other = order.map(|o| -o);
    if order < other { (other, true) } else { (order, false) }
}

/// Σ (n/scale)ᵈ e^{2πifn}, d = 0…2, over `count` samples from `first` on.
fn moments(cycles: f64, first: i64, count: u64, scale: f64) -> [Complex; 3] {
    // from the top bit down: `sums` is over the samples 0…len − 1
    let (mut sums, mut len) = ([Complex::default(); 3], 0_u64);
    for bit in (0..64 - count.leading_zeros()).rev() {
        let copy = moved(&sums, cycles, len as i64, scale);
        (0..3).for_each(|d| sums[d] += copy[d]);
        len *= 2;
        if (count >> bit) & 1 == 1 {
            let (z, u) = (turn(cycles, len as i64), len as f64 / scale);
            (0..3).for_each(|d| sums[d] += z * u.powi(d as i32));
            len += 1;
        }
    }
    moved(&sums, cycles, first, scale)
}

/// The sums of the same stretch `by` samples later.
fn moved(sums: &[Complex; 3], cycles: f64, by: i64, scale: f64) -> [Complex; 3] {
    let (z, u) = (turn(cycles, by), by as f64 / scale);
    [z * sums[0], z * (sums[1] + sums[0] * u), z * (sums[2] + sums[1] * (2.0 * u) + sums[0] * (u * u))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_the_sums() {
        for (cycles, first, count) in
            [(0.0, -5, 10), (0.0123, -700, 1401), (0.4999, 3, 1000), (1e-9, -9, 64), (0.2, 0, 0)]
        {
            let found = moments(cycles, first, count, 700.0);
            for (d, found) in found.iter().enumerate() {
                let want = (first..first + count as i64)
                    .fold(Complex::default(), |sum, n| sum + turn(cycles, n) * (n as f64 / 700.0).powi(d as i32));
                assert!((found - want).norm() < 1e-12 * (count as f64 + 1.0), "{cycles} {d}: {found}, not {want}");
            }
        }
    }

    /// A carrier of 1003.3 Hz with two sidebands, a line at the beat and a constant, at 8 kHz.
    fn modulated(n: i64, bases: [f64; 2]) -> Vec<f64> {
        (0..n)
            .map(|i| {
                let (c, b) = (turn(bases[0], i), turn(bases[1], i));
                0.02 + (c * (1.0 + b.re * 0.6) * Complex::new(0.6, 0.8)).re + 1e-3 * b.im
            })
            .collect()
    }

    #[test]
    fn both_frequencies_and_all_lines_are_found() {
        let bases = [1003.3 / 8000.0, 9.7 / 8000.0];
        let n = 40_000;
        let mut x = modulated(n, bases);
        // holes are no samples
        (x[77], x[20_000], x[20_001]) = (f64::NAN, f64::INFINITY, f64::NAN);
        let orders = [[1, 0], [1, 1], [1, -1], [0, 1], [2, 0]];
        for cut in [n as usize, 1000, 77] {
            let mut lines = Lines::new([bases[0] + 3e-10, bases[1] - 2e-10], &orders, n / 2, n as u64);
            x.chunks(cut).enumerate().for_each(|(j, part)| lines.push((j * cut) as i64, part));
            let refined = lines.refine().unwrap();
            assert_eq!(refined.fit.n, n as u64 - 3);
            assert!(
                (refined.bases[0] / bases[0] - 1.0).abs() < 1e-11 && (refined.bases[1] / bases[1] - 1.0).abs() < 1e-10
            );
            for (order, want) in [([1, 0], 1.0), ([1, 1], 0.3), ([1, -1], 0.3), ([0, 1], 1e-3), ([2, 0], 0.0)] {
                assert!((refined.fit.line(order).norm() - want).abs() < 1e-8, "{order:?}");
            }
            assert!((refined.fit.level - 0.02).abs() < 1e-8);
        }
    }

    #[test]
    fn ramps_of_modulated_carriers_are_lines() {
        let bases = [0.12, 0.001];
        let x: Vec<f64> = modulated(5000, bases).iter().enumerate().map(|(i, x)| x * i as f64 / 5000.0).collect();
        let mut lines = Lines::new(bases, &[[1, 0], [1, 1], [1, -1], [0, 1]], 2500, 5000);
        lines.push(0, &x);
        let (fit, slope) = lines.fit_trend().unwrap();
        for order in [[1, 0], [1, 1], [1, -1]] {
            let zero = 2500.0 - fit.line(order).norm() / slope.line(order).norm();
            assert!(zero.abs() < 1e-6, "{zero}");
        }
    }

    #[test]
    fn lines_that_cannot_be_told_apart_are_left_out() {
        // 4 times the beat is the carrier, 5 times is its upper neighbour
        let orders = [[1, 0], [1, 1], [0, 4], [0, 5], [0, 1], [30, 0], [1, -4]];
        let lines = Lines::new([0.04, 0.01], &orders, 0, 10_000);
        assert_eq!(lines.orders, [[1, 0], [1, 1], [0, 1]]);
        let mut empty = Lines::new([0.04, 0.01], &orders, 0, 10_000);
        assert!(empty.fit().is_none() && empty.refine().is_none());
    }
}
