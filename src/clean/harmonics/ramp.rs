//! A ramp: the plateau's coefficients times a shape that all channels share, or coefficients that go their own way.

use super::fit::Solved;
use super::model::{Blend, Piece};
use super::pass::Job;
use crate::dsp::normal::{Normal, Solver};
use nalgebra::{DMatrix, DVector, Matrix2, SMatrix};
use std::ops::Range;

/// Letting every coefficient go its own way must gain so many times more than white noise; so must another number of the shape, and
/// more: a shape that bends quickly follows the brain's rhythm next to f, which is much louder than white.
const OWN_WAY: f64 = 30.0;
const BENDS: f64 = 100.0;
/// Degrees of the polynomials that are tried.
const DEGREES: [usize; 5] = [3, 5, 7, 9, 11];
/// Pieces at most (a power of two); each at least this long, s and cycles.
const PIECES: usize = 64;
const PIECE_S: f64 = 0.125;
const PIECE_CYCLES: f64 = 1.0;

/// Where the pieces of a ramp meet: a power of two of them, or none where there is no ramp.
pub(super) fn edges(ramp: Range<i64>, cycles: f64, rate: f64) -> Vec<i64> {
    let length = ramp.end - ramp.start;
    if length <= 0 {
        return vec![ramp.start];
    }
    let least = (PIECE_S * rate).max(PIECE_CYCLES / cycles.max(f64::MIN_POSITIVE));
    let fit = (length as f64 / least).clamp(1.0, PIECES as f64) as u32;
    let n = 1_i64 << fit.ilog2();
    (0..=n).map(|j| ramp.start + length * j / n).collect()
}

/// A ramp next to a knot.
pub(super) struct Ramp<'a> {
    pub jobs: &'a [Job],
    pub knot: usize,
    pub rises: bool,
    pub plateau: &'a Normal,
}

/// What a channel brings.
struct Own {
    channel: usize,
    variance: f64,
    /// What its level and slope alone explain.
    level: f64,
}

impl Ramp<'_> {
    /// The pieces; where the channels share no shape, two knots are added to every channel.
    pub fn solve(&self, channels: &[usize], solved: &mut Solved) -> Vec<Piece> {
        let (from, to) = self.ends();
        let (owns, info, score) = self.sums(channels, solved);
        let shape = self.shape(&info, &score);
        // does it gain much to let every coefficient go its own way?
        let (gram, w) = (self.gram(), self.jobs[0].width());
        let free = Solver::new(gram);
        let shared = owns.iter().map(|o| o.level / o.variance).sum::<f64>() + shape.as_ref().map_or(0.0, |s| s.1);
        let gain = free.as_ref().map(|free| {
            let own = owns.iter().map(|o| {
                let right = self.right(o.channel);
                free.solve(&right).dot(&right) / o.variance
            });
            (own.sum::<f64>() - shared) / (owns.len() as f64 * (2.0 * w as f64 - 2.0)).max(1.0)
        });
        if let Some((e, ..)) = shape.filter(|_| gain.is_none_or(|g| g <= OWN_WAY)) {
            return self.pieces(&e);
        }
        let line = |zero, one| Blend::Line { zero, one };
        let Some(free) = free else {
            let why = "a ramp: too short to tell its harmonics apart; taken as a straight line";
            solved.part.left_out.push(why.to_owned());
            let (zero, one) = if self.rises { (from as f64, to as f64) } else { (to as f64, from as f64) };
            return vec![Piece { from, to, before: None, after: self.knot, blend: line(zero, one) }];
        };
        let mut place = 0;
        for &c in channels {
            let found = free.solve(&self.right(c));
            let end = |u: f64| (1..w).map(|j| found[j] + u * found[w + j]).collect::<Vec<f64>>();
            if let Some(knots) = solved.knots.get_mut(&c) {
                place = knots.len();
                knots.extend([end(-1.0), end(1.0)]);
            }
        }
        let blend = line(from as f64 - 0.5, to as f64 - 0.5);
        vec![Piece { from, to, before: Some(place), after: place + 1, blend }]
    }

    fn ends(&self) -> (i64, i64) {
        (self.jobs[0].range.start, self.jobs[self.jobs.len() - 1].range.end)
    }

    /// The time of a piece in that of the ramp, −1…1: u = α + β v.
    fn within(&self, job: &Job) -> (f64, f64) {
        let (from, to) = self.ends();
        let (origin, scale) = (0.5 * (from + to - 1) as f64, (0.5 * (to - from) as f64).max(1.0));
        ((job.origin - origin) / scale, job.scale / scale)
    }

    /// Information and score of the shape's values where pieces meet: every channel has its own level and slope.
    fn sums(&self, channels: &[usize], solved: &Solved) -> (Vec<Own>, DMatrix<f64>, DVector<f64>) {
        let n = self.jobs.len() + 1;
        let (mut info, mut score) = (DMatrix::<f64>::zeros(n, n), DVector::<f64>::zeros(n));
        let grams: Vec<DMatrix<f64>> = self.jobs.iter().map(|j| j.normal.gram()).collect();
        let mut owns = Vec::new();
        let solver = Solver::new(self.plateau.gram());
        for &c in channels {
            let Some(knot) = solved.knots.get(&c).and_then(|k| k.get(self.knot)) else { continue };
            // level, slope, then the shape
            let (mut g, mut r) = (DMatrix::<f64>::zeros(n + 2, n + 2), DVector::<f64>::zeros(n + 2));
            for (s, (job, gram)) in self.jobs.iter().zip(&grams).enumerate() {
                let w = job.width();
                let (alpha, beta) = self.within(job);
                let mut all = DMatrix::<f64>::zeros(2 * w, 4);
                (all[(0, 0)], all[(0, 1)], all[(w, 1)]) = (1.0, alpha, beta);
                for (j, v) in knot.iter().enumerate() {
                    (all[(1 + j, 2)], all[(w + 1 + j, 2)]) = (0.5 * v, -0.5 * v);
                    (all[(1 + j, 3)], all[(w + 1 + j, 3)]) = (0.5 * v, 0.5 * v);
                }
                let (part, right) = (all.transpose() * (gram * &all), all.transpose() * job.normal.right(c));
                let at = [0, 1, s + 2, s + 3];
                for i in 0..4 {
                    r[at[i]] += right[i];
                    (0..4).for_each(|j| g[(at[i], at[j])] += part[(i, j)]);
                }
            }
            let own: SMatrix<f64, 2, 2> = Matrix2::new(g[(0, 0)], g[(0, 1)], g[(1, 0)], g[(1, 1)]);
            let Some(inner) = own.try_inverse() else { continue };
            let cross = g.view((0, 2), (2, n)).into_owned();
            let first = inner * r.fixed_rows::<2>(0);
            let variance = self.variance(solver.as_ref(), c);
            info += (g.view((2, 2), (n, n)) - cross.transpose() * (inner * &cross)) / variance;
            score += (r.rows(2, n) - cross.transpose() * first) / variance;
            owns.push(Own { channel: c, variance, level: first.dot(&r.fixed_rows::<2>(0)) });
        }
        (owns, info, score)
    }

    /// The shape with as many numbers as are worth it, its values where pieces meet (of a straight line the two ends), and what it
    /// explains.
    fn shape(&self, info: &DMatrix<f64>, score: &DVector<f64>) -> Option<(Vec<f64>, f64)> {
        let n = self.jobs.len();
        let broken = (0..).map(|j| 1 << j).take_while(|m| *m <= n).map(|m| self.hats(m));
        let smooth = DEGREES.iter().filter(|d| **d < n).map(|d| self.polynomials(*d));
        let mut best: Option<(Vec<f64>, f64, f64)> = None;
        for basis in broken.chain(smooth) {
            let right = basis.transpose() * score;
            let Some(solver) = Solver::new(basis.transpose() * info * &basis) else { continue };
            let found = solver.solve(&right);
            let gain = found.dot(&right);
            let worth = gain - BENDS * basis.ncols() as f64;
            let e = &basis * found;
            let goes = if self.rises { e[n] > e[0] } else { e[0] > e[n] };
            if goes && worth.is_finite() && best.as_ref().is_none_or(|b| worth > b.2) {
                let all = if basis.ncols() == 2 { vec![e[0], e[n]] } else { e.iter().copied().collect() };
                best = Some((all, gain, worth));
            }
        }
        best.map(|(e, gain, _)| (e, gain))
    }

    /// Where piece `j` begins.
    fn edge(&self, j: usize) -> f64 {
        self.jobs.get(j).map_or(self.ends().1, |job| job.range.start) as f64
    }

    /// Lines broken at every n/m-th of the places where pieces meet.
    fn hats(&self, m: usize) -> DMatrix<f64> {
        let (n, step) = (self.jobs.len(), self.jobs.len() / m);
        DMatrix::from_fn(n + 1, m + 1, |i, j| {
            let (left, right) = (self.edge(j.saturating_sub(1) * step), self.edge((j + 1).min(m) * step));
            let (x, middle) = (self.edge(i), self.edge(j * step));
            if x == middle {
                1.0
            } else if x < middle {
                ((x - left) / (middle - left)).max(0.0)
            } else {
                ((right - x) / (right - middle)).max(0.0)
            }
        })
    }

    /// Chebyshev's polynomials up to a degree, where pieces meet.
    fn polynomials(&self, degree: usize) -> DMatrix<f64> {
        let (from, to) = self.ends();
        DMatrix::from_fn(self.jobs.len() + 1, degree + 1, |i, d| {
            let u = (2.0 * (self.edge(i) - from as f64) / (to - from) as f64 - 1.0).clamp(-1.0, 1.0);
            (d as f64 * u.acos()).cos()
        })
    }

    fn pieces(&self, e: &[f64]) -> Vec<Piece> {
        let (from, to) = self.ends();
        let piece = |from, to, blend| Piece { from, to, before: None, after: self.knot, blend };
        if let &[first, last] = e {
            let (length, slope) = ((to - from) as f64, last - first);
            // where the line is 0 and 1: before and after that it is held
            let at = |share: f64| from as f64 - 0.5 + length * (share - first) / slope;
            return vec![piece(from, to, Blend::Line { zero: at(0.0), one: at(1.0) })];
        }
        let pairs = self.jobs.iter().zip(e.windows(2));
        pairs
            .map(|(job, e)| piece(job.range.start, job.range.end, Blend::Between { first: e[0], last: e[1] }))
            .collect()
    }

    /// How the columns of a piece follow from those of the ramp.
    fn turned(&self, job: &Job) -> DMatrix<f64> {
        let (w, (alpha, beta)) = (job.width(), self.within(job));
        let mut turn = DMatrix::<f64>::identity(2 * w, 2 * w);
        (0..w).for_each(|i| (turn[(i, w + i)], turn[(w + i, w + i)]) = (alpha, beta));
        turn
    }

    fn gram(&self) -> DMatrix<f64> {
        let w = 2 * self.jobs[0].width();
        self.jobs.iter().fold(DMatrix::zeros(w, w), |sum, job| {
            let turn = self.turned(job);
            sum + turn.transpose() * (job.normal.gram() * &turn)
        })
    }

    fn right(&self, channel: usize) -> DVector<f64> {
        let w = self.jobs[0].width();
        self.jobs.iter().fold(DVector::zeros(2 * w), |mut sum, job| {
            let (own, (alpha, beta)) = (job.normal.right(channel), self.within(job));
            for i in 0..w {
                sum[i] += own[i];
                sum[w + i] += alpha * own[i] + beta * own[w + i];
            }
            sum
        })
    }

    /// Residual variance of a channel on the plateau.
    fn variance(&self, solver: Option<&Solver>, channel: usize) -> f64 {
        let right = self.plateau.right(channel);
        let rss = solver.map_or(1.0, |s| self.plateau.squares(channel) - s.solve(&right).dot(&right));
        (rss / self.plateau.len().max(1) as f64).max(f64::MIN_POSITIVE.sqrt())
    }
}
