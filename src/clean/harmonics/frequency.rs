//! The frequencies of an episode, and the drift of its clock, from all channels at once.
//!
//! One pass over the stream is mostly enough: it adds up short cells at the frequency that was seen first, with slopes in time. What
//! comes after turns the cells' sums to a better frequency instead of reading again.

use super::pass::Job;
use crate::dsp::normal::{LineOf, Solver};
use nalgebra::{DMatrix, DVector};
use std::collections::BTreeMap;
use std::f64::consts::{PI, TAU};

/// Harmonics that tell the frequency.
pub(super) const TELLING: usize = 3;
/// A drift of the clock counts when it is this many standard deviations (of white noise) from 0: EEG at f is louder than white.
const DRIFT: f64 = 12.0;

/// A step of the frequencies.
pub(super) struct Step {
    /// The lines after it.
    pub lines: Vec<LineOf>,
    /// Standard deviation of each frequency under white noise, cycles per sample.
    pub sd: Vec<f64>,
    /// Largest change of the phase at the episode's ends, radians.
    pub turn: f64,
}

/// The sums of an episode for columns of degree 0, 1 and 2 in time: level and a few harmonics.
pub(super) struct Sums {
    /// Columns of degree 0.
    width: usize,
    gram: DMatrix<f64>,
    /// Cᵀx and xᵀx, by channel.
    right: BTreeMap<usize, (DVector<f64>, f64)>,
    samples: u64,
    /// Time is (n − origin) / scale.
    origin: f64,
    scale: f64,
}

impl Sums {
    /// Of one stretch with all columns of degree 2.
    pub fn of(job: &Job, channels: &[usize]) -> Self {
        let normal = &job.normal;
        Self {
            width: job.width(),
            gram: normal.gram(),
            right: channels.iter().map(|&c| (c, (normal.right(c), normal.squares(c)))).collect(),
            samples: normal.len(),
            origin: job.origin,
            scale: job.scale,
        }
    }

    /// Of neighbouring cells, whose columns `telling` have slopes: within a cell u² is its tangent.
    pub fn of_cells(cells: &[Job], telling: &[usize], channels: &[usize]) -> Self {
        let (from, to) = (cells[0].range.start, cells[cells.len() - 1].range.end);
        let (origin, scale) = (0.5 * (from + to - 1) as f64, (0.5 * (to - from) as f64).max(1.0));
        let w = telling.len();
        let none = || (DVector::zeros(3 * w), 0.0);
        let mut right: BTreeMap<usize, (DVector<f64>, f64)> = channels.iter().map(|&c| (c, none())).collect();
        let (mut gram, mut samples) = (DMatrix::zeros(3 * w, 3 * w), 0);
        for cell in cells {
            let (middle, half) = ((cell.origin - origin) / scale, cell.scale / scale);
            // a column of degree d is this much of the cell's own and that much of its slope
            let parts = [(1.0, 0.0), (middle, half), (middle * middle, 2.0 * middle * half)];
            let place = |i: usize| (telling[i], cell.width() + i);
            let own = cell.normal.gram();
            for (a, (own_a, slope_a)) in parts.into_iter().enumerate() {
                for (b, (own_b, slope_b)) in parts.into_iter().enumerate() {
                    for i in 0..w {
                        for j in 0..w {
                            let ((i0, i1), (j0, j1)) = (place(i), place(j));
                            gram[(a * w + i, b * w + j)] += own_a * (own_b * own[(i0, j0)] + slope_b * own[(i0, j1)])
                                + slope_a * (own_b * own[(i1, j0)] + slope_b * own[(i1, j1)]);
                        }
                    }
                }
            }
            for (&c, (right, squares)) in &mut right {
                let own = cell.normal.right(c);
                for (a, (own_a, slope_a)) in parts.into_iter().enumerate() {
                    for i in 0..w {
                        let (at, slope) = place(i);
                        right[a * w + i] += own_a * own[at] + slope_a * own[slope];
                    }
                }
                *squares += cell.normal.squares(c);
            }
            samples += cell.normal.len();
        }
        Self { width: w, gram, right, samples, origin, scale }
    }
}

/// A Gauss–Newton step of all channels together, from sums with coefficients of degree 2 in time.
///
/// Every channel has its own coefficients and its own parabola as level; frequencies and drifts are shared. Eliminating what is a
/// channel's own (Schur's complement) leaves its information about what is shared; channels add up with weight 1/σ².
pub(super) fn step(sums: &Sums, lines: &[LineOf], drifts: bool) -> Option<Step> {
    let (w, shared) = (sums.width, 2 * lines.len());
    let gram = &sums.gram;
    let base = gram.view((0, 0), (w, w)).into_owned();
    let solver = Solver::new(base)?;
    let own = w + 2;
    let mut information = DMatrix::<f64>::zeros(shared, shared);
    let mut score = DVector::<f64>::zeros(shared);
    for (right, squares) in sums.right.values() {
        let start = solver.solve(&right.rows(0, w).into_owned());
        let rss = squares - start.dot(&right.rows(0, w));
        let variance = rss / (sums.samples as f64 - w as f64).max(1.0);
        if !(variance > 0.0 && variance.is_finite()) {
            continue;
        }
        // columns: own coefficients, two more for the level, then what is shared in radians at the ends
        let mut all = DMatrix::<f64>::zeros(3 * w, own + shared);
        (0..w).for_each(|i| all[(i, i)] = 1.0);
        (all[(w, w)], all[(2 * w, w + 1)]) = (1.0, 1.0);
        let mut at = 1;
        for (l, line) in lines.iter().enumerate() {
            for &k in &line.harmonics {
                let (p, q) = (start[at], start[at + 1]);
                for (d, column) in [(1, own + l), (2, own + lines.len() + l)] {
                    all[(d * w + at, column)] = k as f64 * q;
                    all[(d * w + at + 1, column)] = -(k as f64) * p;
                }
                at += 2;
            }
        }
        let (g, r) = (all.transpose() * gram * &all, all.transpose() * right);
        let Some(inner) = Solver::new(g.view((0, 0), (own, own)).into_owned()) else { continue };
        let cross = g.view((0, own), (own, shared)).into_owned();
        let first = inner.solve(&r.rows(0, own).into_owned());
        for i in 0..shared {
            score[i] += (r[own + i] - cross.column(i).dot(&first)) / variance;
            let taken = inner.solve(&cross.column(i).into_owned());
            for j in 0..shared {
                information[(j, i)] += (g[(own + j, own + i)] - cross.column(j).dot(&taken)) / variance;
            }
        }
    }
    let f = lines.len();
    let solve = |n: usize| {
        let part = information.view((0, 0), (n, n)).into_owned();
        let found = Solver::new(part.clone())?.solve(&score.rows(0, n).into_owned());
        let sd = part.try_inverse()?.diagonal().map(|v| v.max(0.0).sqrt());
        found.iter().chain(&sd).all(|v| v.is_finite()).then_some((found, sd))
    };
    let both = if drifts { solve(shared) } else { None };
    let drifting = lines.iter().any(|l| l.chirp != 0.0);
    let counts = |b: &(DVector<f64>, DVector<f64>)| drifting || (f..shared).any(|i| b.0[i].abs() > DRIFT * b.1[i]);
    let (found, sd) = match both.filter(counts) {
        Some(found) => found,
        None => solve(f)?,
    };
    let turn = found.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    let scale = sums.scale;
    let moved = lines.iter().enumerate().map(|(l, line)| {
        let drift = found.get(f + l).map_or(0.0, |v| v / (PI * scale * scale));
        // the drift counts from the middle: so does the line's from now on
        let shift = line.chirp * (sums.origin - line.origin);
        let cycles = line.cycles + found[l] / (TAU * scale);
        let chirp = line.chirp + drift;
        if line.chirp == 0.0 || shift == 0.0 {
            LineOf { cycles, chirp, origin: sums.origin, harmonics: line.harmonics.clone() }
        } else {
            LineOf { cycles: cycles + shift, chirp, origin: sums.origin, harmonics: line.harmonics.clone() }
        }
    });
    Some(Step { lines: moved.collect(), sd: sd.iter().take(f).map(|s| s / (TAU * scale)).collect(), turn })
}
