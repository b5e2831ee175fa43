//! Period-based artefact reconstruction (PARRM): the period of a stimulation artefact, and which samples share a phase with which.
//!
//! Dastin-van Rijn EM, Provenza NR, Calvert JS, Gilron R, Allawala AB, Darie R, Syed S, Matteson E, Vogt GS, Avendano-Ortega M,
//! Vasquez AC, Ramakrishnan N, Oswalt DN, Bijanki KR, Wilt R, Starr PA, Sheth SA, Goodman WK, Harrison MT, Borton DA (2021),
//! *Cell Reports Methods* 1:100010, 10.1016/j.crmeth.2021.100010.
//!
//! **Period.** With d\[n\] the first difference, divided by its mean magnitude and clipped, the cost of a period τ (in samples) is
//!
//! mean (d − fit)² + λ Σⱼ wⱼ βⱼ², wⱼ = j / Σ j,
//!
//! of the least-squares fit β of the columns 1, sin θ, cos θ, sin 2θ, … cos Bθ, θ = 2πn/τ; n counts samples of the stretch from 0.
//! Differences flatten the brain's spectrum; the penalty keeps short stretches from explaining noise. The cost has many narrow
//! minima, so it is searched in three rounds, each with more samples and harmonics, each by a grid and then by Nelder and Mead's
//! simplex from the grid's five best. Equal costs: the shorter period stands first, and the start that was tried first.
//!
//! **Phase.** Sample n + m shares the phase of sample n when m lies within w of a multiple of τ: [`taps`].

use super::fft::Complex;
use super::harmonics::turn;
use nalgebra::{DMatrix, DVector};

/// Samples, harmonics and divisor of the grid of each round.
const ROUNDS: [(usize, usize, f64); 3] = [(5_000, 5, 1.0), (10_000, 10, 2.0), (25_000, 20, 3.0)];
/// λ while searching.
const PENALTY: f64 = 1.0;
/// Starts of the simplex per round.
const STARTS: usize = 5;
/// Share of a long record, in its middle, from which the last round draws.
const MIDDLE: f64 = 0.95;
/// Samples worked on at once.
const TILE: usize = 256;
/// Added to the diagonal of the normal matrix (columns of mean square ½): harmonics that share an alias cannot be told apart.
const RIDGE: f64 = 1e-13;

/// How to search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Search {
    /// Differences are clipped at so many times their mean magnitude: 3.
    pub outliers: f64,
    /// Where the last round draws from a long record: the seed of the draw.
    pub seed: u64,
    /// The published search stops its simplex at 10⁻⁴, in the period and in the cost, which is within some 10⁻⁸ on short
    /// records and up to 10⁻⁶ on long ones. With this it goes on to the minimum.
    pub polish: bool,
}

impl Default for Search {
    fn default() -> Self {
        Self { outliers: 3.0, seed: 0, polish: true }
    }
}

/// What a search found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// Samples per cycle.
    pub period: f64,
    /// Share of the differences' power that the fit leaves, 0…1.
    pub unexplained: f64,
}

/// The differences that a round looks at: their indices, and by channel their values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Picked {
    /// Difference i is x\[i + 1\] − x\[i\], its time i + 1.
    pub index: Vec<usize>,
    /// Values, divided and clipped: by channel, as many as indices.
    pub rows: Vec<Vec<f64>>,
}

impl Search {
    /// Which of `len` differences each round needs, in order: 5001 and 10001 about the middle; 25000 drawn without replacement from
    /// the middle 95 %, or all where there are no more.
    pub fn indices(&self, len: usize) -> [Vec<usize>; 3] {
        let centre = len / 2;
        let about = |n: usize| (centre.saturating_sub(n / 2)..(centre + n / 2 + 1).min(len)).collect();
        let last = match len <= ROUNDS[2].0 {
            true => (0..len).collect(),
            false => {
                let margin = (0.5 * (1.0 - MIDDLE) * len as f64) as usize;
                draw(margin..len - margin, ROUNDS[2].0, self.seed)
            }
        };
        [about(ROUNDS[0].0), about(ROUNDS[1].0), last]
    }

    /// A difference as the cost takes it, given its channel's mean magnitude.
    pub fn normalised(&self, difference: f64, mean_magnitude: f64) -> f64 {
        if mean_magnitude > 0.0 { (difference / mean_magnitude).clamp(-self.outliers, self.outliers) } else { 0.0 }
    }

    /// The period near `assumed` (within 1 %). `None` without finite samples, or without two of them per unknown.
    pub fn find(&self, assumed: f64, rounds: &[Picked; 3]) -> Option<Found> {
        let mut period = assumed;
        for (picked, (_, harmonics, divisor)) in rounds.iter().zip(ROUNDS) {
            let cost = Cost { picked, harmonics: fitting(picked, harmonics)?, penalty: PENALTY };
            let mut grid: Vec<(f64, f64)> =
                relative_grid().into_iter().map(|r| period * (1.0 + r / divisor)).map(|p| (cost.at(p), p)).collect();
            grid.sort_by(|a, b| a.0.total_cmp(&b.0));
            let ends = grid.iter().take(STARTS).map(|(_, start)| simplex(&cost, *start, 0.05 * start, 1e-4, 1e-4));
            // the first of equals stays
            let best = ends.reduce(|a, b| if b.1 < a.1 { b } else { a })?;
            period = best.0;
        }
        let cost = Cost { picked: &rounds[2], harmonics: fitting(&rounds[2], ROUNDS[2].1)?, penalty: 0.0 };
        let mut best = simplex(&cost, period, 0.05 * period, 1e-4, 1e-4);
        if self.polish {
            best = simplex(&cost, best.0, 1e-7 * best.0, 1e-13 * best.0, f64::EPSILON);
        }
        let power: f64 = rounds[2].rows.iter().map(|row| dot(row, row) / row.len() as f64).sum();
        let unexplained = best.1 * rounds[2].rows.len() as f64 / power;
        (best.0 > 0.0 && unexplained.is_finite()).then_some(Found { period: best.0, unexplained })
    }

    /// As [`Search::find`], in whole rows of samples. Rows that do not change are left out.
    pub fn find_in(&self, rows: &[&[f64]], assumed: f64) -> Option<Found> {
        let len = rows.iter().map(|r| r.len()).min()?.checked_sub(1)?;
        let differences = |row: &[f64]| -> Vec<f64> { row.windows(2).take(len).map(|w| w[1] - w[0]).collect() };
        let rows: Vec<Vec<f64>> = rows
            .iter()
            .map(|row| differences(row))
            .filter_map(|d| {
                let mean = d.iter().map(|v| v.abs()).sum::<f64>() / len as f64;
                (mean > 0.0).then(|| d.iter().map(|v| self.normalised(*v, mean)).collect())
            })
            .collect();
        let pick = |index: Vec<usize>| {
            let rows = rows.iter().map(|row| index.iter().map(|&i| row[i]).collect()).collect();
            Picked { index, rows }
        };
        self.find(assumed, &self.indices(len).map(pick))
    }
}

/// As many harmonics as the samples can carry, at most `most`.
fn fitting(picked: &Picked, most: usize) -> Option<usize> {
    let n = picked.index.len().min(picked.rows.iter().map(Vec::len).min()?);
    (n >= 6).then(|| most.min((n / 2 - 1) / 2))
}

/// Relative offsets of a first round: ±1 % in steps of 10⁻⁴ and ±0.1 % in steps of 10⁻⁵, in order.
fn relative_grid() -> Vec<f64> {
    let fine = (-100..=100).map(|i| f64::from(i) * 1e-5);
    let coarse = (-100..=100).filter(|i: &i32| i.abs() > 10).map(|i| f64::from(i) * 1e-4);
    let mut all: Vec<f64> = fine.chain(coarse).collect();
    all.sort_by(f64::total_cmp);
    all
}

/// `n` different members of `range`, in order: each with the same chance (Knuth, *The Art of Computer Programming* 2, algorithm
/// 3.4.2 S), from the seed alone (SplitMix64: Steele, Lea & Flood 2014, 10.1145/2660193.2660195).
fn draw(range: std::ops::Range<usize>, n: usize, seed: u64) -> Vec<usize> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut chosen = Vec::with_capacity(n);
    for i in range.clone() {
        let (left, wanted) = (range.end - i, n - chosen.len());
        if wanted > 0 && next() * (left as f64) < wanted as f64 {
            chosen.push(i);
        }
    }
    chosen
}

struct Cost<'a> {
    picked: &'a Picked,
    harmonics: usize,
    penalty: f64,
}

impl Cost<'_> {
    /// The mean over channels; infinite where no fit is to be had.
    fn at(&self, period: f64) -> f64 {
        let (k, channels) = (self.harmonics, self.picked.rows.len());
        if period.is_nan() || period <= 0.0 {
            return f64::INFINITY;
        }
        // Σ e^{imθ} for m = 0…2B gives the whole normal matrix, Σ d e^{imθ} for m = 0…B the right sides
        let mut carrier = vec![Complex::default(); 2 * k + 1];
        let mut data = vec![Complex::default(); channels * (k + 1)];
        let (mut one, mut many) = ([[0.0; TILE]; 2], [[0.0; TILE]; 2]);
        for (t, index) in self.picked.index.chunks(TILE).enumerate() {
            let n = index.len();
            for (j, i) in index.iter().enumerate() {
                let z = turn(1.0 / period, *i as i64 + 1);
                (one[0][j], one[1][j]) = (z.re, z.im);
            }
            many[0][..n].fill(1.0);
            many[1][..n].fill(0.0);
            for (m, sum) in carrier.iter_mut().enumerate() {
                if m > 0 {
                    rotate(&mut many, &one, n);
                }
                *sum += Complex::new(total(&many[0][..n]), total(&many[1][..n]));
                for (c, row) in self.picked.rows.iter().enumerate().take(if m <= k { channels } else { 0 }) {
                    let x = &row[t * TILE..][..n];
                    data[c * (k + 1) + m] += Complex::new(dot(x, &many[0][..n]), dot(x, &many[1][..n]));
                }
            }
        }
        let n = self.picked.index.len() as f64;
        let width = 2 * k + 1;
        let gram = DMatrix::from_fn(width, width, |i, j| inner(&carrier, i, j) / n + if i == j { RIDGE } else { 0.0 });
        let Some(factor) = gram.cholesky() else { return f64::INFINITY };
        let weights = (width * (width + 1)) as f64 / 2.0;
        let cost: f64 = (0..channels)
            .map(|c| {
                let right = DVector::from_fn(width, |i, _| {
                    let z = data[c * (k + 1) + i.div_ceil(2)];
                    (if is_sine(i) { z.im } else { z.re }) / n
                });
                let beta = factor.solve(&right);
                let row = &self.picked.rows[c];
                let penalty: f64 = beta.iter().enumerate().map(|(j, b)| (j + 1) as f64 / weights * b * b).sum();
                (dot(row, row) / n - beta.dot(&right)).max(0.0) + self.penalty * penalty
            })
            .sum();
        let cost = cost / channels as f64;
        if cost.is_nan() { f64::INFINITY } else { cost }
    }
}

/// Columns are 1, sin θ, cos θ, sin 2θ, …
fn is_sine(column: usize) -> bool {
    column % 2 == 1
}

/// Inner product of two columns, from Σ e^{imθ}.
fn inner(carrier: &[Complex], i: usize, j: usize) -> f64 {
    let (a, b) = (i.div_ceil(2), j.div_ceil(2));
    let (sum, difference) = (carrier[a + b], carrier[a.abs_diff(b)]);
    match (is_sine(i), is_sine(j)) {
        (false, false) => 0.5 * (sum.re + difference.re),
        (true, true) => 0.5 * (difference.re - sum.re),
        // sin a cos b = (sin(a + b) + sin(a − b)) / 2
        (true, false) if a >= b => 0.5 * (sum.im + difference.im),
        (false, true) if b >= a => 0.5 * (sum.im + difference.im),
        _ => 0.5 * (sum.im - difference.im),
    }
}

fn rotate(many: &mut [[f64; TILE]; 2], one: &[[f64; TILE]; 2], n: usize) {
    let [re, im] = many;
    for (((a, b), c), d) in re[..n].iter_mut().zip(&mut im[..n]).zip(&one[0]).zip(&one[1]) {
        (*a, *b) = (*a * c - *b * d, *a * d + *b * c);
    }
}

/// Σ v, eight lanes at a time.
fn total(v: &[f64]) -> f64 {
    let (head, tail) = v.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    head.iter().for_each(|v| (0..8).for_each(|l| lanes[l] += v[l]));
    lanes.iter().chain(tail).sum()
}

/// Σ a b, eight lanes at a time.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((head, tail), (b_head, b_tail)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut lanes = [0.0; 8];
    head.iter().zip(b_head).for_each(|(a, b)| (0..8).for_each(|l| lanes[l] += a[l] * b[l]));
    lanes.iter().sum::<f64>() + tail.iter().zip(b_tail).map(|(a, b)| a * b).sum::<f64>()
}

/// Nelder and Mead's simplex (1965, 10.1093/comjnl/7.4.308) in one dimension, from `start` and `start + edge`; ends when both the
/// points and their costs are within the tolerances, or after 200 steps. The better point and its cost.
fn simplex(cost: &Cost, start: f64, edge: f64, x_tolerance: f64, f_tolerance: f64) -> (f64, f64) {
    let point = |x: f64| (x, cost.at(x));
    let (mut best, mut worst) = (point(start), point(start + edge));
    for _ in 0..200 {
        if worst.1 < best.1 {
            std::mem::swap(&mut best, &mut worst);
        }
        if (worst.0 - best.0).abs() <= x_tolerance && (worst.1 - best.1).abs() <= f_tolerance {
            break;
        }
        let at = |by: f64| point((1.0 + by) * best.0 - by * worst.0);
        let reflected = at(1.0);
        worst = if reflected.1 < best.1 {
            let expanded = at(2.0);
            if expanded.1 < reflected.1 { expanded } else { reflected }
        } else {
            let outside = reflected.1 < worst.1;
            let contracted = at(if outside { 0.5 } else { -0.5 });
            let enough = if outside { contracted.1 <= reflected.1 } else { contracted.1 < worst.1 };
            if enough { contracted } else { point(best.0 + 0.5 * (worst.0 - best.0)) }
        };
    }
    if worst.1 < best.1 { worst } else { best }
}

/// How far m lies from the nearest multiple of `period`, in samples: −τ/2…τ/2.
pub fn phase_offset(m: i64, period: f64) -> f64 {
    let m = m as f64;
    m - period * (m / period).round()
}

/// Offsets m with `skip` < |m| ≤ `half_width` whose phase lies within `phase_width` samples of that of m = 0, in order; of the past
/// (m < 0) alone, or of both sides.
pub fn taps(period: f64, half_width: i64, skip: i64, phase_width: f64, past_only: bool) -> Vec<i64> {
    let last = if past_only { 0 } else { half_width };
    (-half_width..=last).filter(|m| m.abs() > skip && phase_offset(*m, period).abs() <= phase_width).collect()
}

/// The smallest half width that holds at least `wanted` taps; `most` where there are not so many.
pub fn half_width_for(wanted: usize, period: f64, skip: i64, phase_width: f64, past_only: bool, most: i64) -> i64 {
    let per_offset = if past_only { 1 } else { 2 };
    let mut found = 0;
    for m in skip + 1..=most {
        if phase_offset(m, period).abs() <= phase_width {
            found += per_offset;
        }
        if found >= wanted {
            return m;
        }
    }
    most
}

/// What a mean over phases −w…w leaves of harmonic `h`, at most: 1 − sin(2πhw/τ) / (2πhw/τ) ≈ (2πhw/τ)² / 6.
pub fn residual(harmonic: usize, phase_width: f64, period: f64) -> f64 {
    let x = std::f64::consts::TAU * harmonic as f64 * phase_width / period;
    if x < 1e-3 { x * x / 6.0 } else { 1.0 - x.sin() / x }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::{correlation as tests_correlation, shared as tests_shared, signal as tests_signal};
