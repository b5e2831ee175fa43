//! Stimulation artefact source separation: which directions in channel space hold far more power with stimulation than without.
//!
//! Haslacher, Nasr, Robinson, Braun & Soekadar 2021 (10.1016/j.neuroimage.2020.117571). With covariances A (stimulation) and
//! B (none) of the same band, A v = λ B v, Vᵀ B V = I, λ descending and U = B V, the projection `P_k = I − U_k V_kᵀ` takes the k
//! largest out. Two things are done otherwise than published:
//!
//! * **Rank.** B is diagonalised and only its eigenvalues above 1e-10 of the largest are kept; the symmetric problem
//!   Wᵀ A W, W = E d^(−1/2), is solved there. After an average reference, with interpolated or doubled channels, B has no inverse and the
//!   published route gives noise.
//! * **Cancellation.** The cost that chooses k compares diag(B) with diag(P A Pᵀ), which lie up to 1e10 apart before the projection. In the
//!   eigenbasis the difference is Σ_{j<k} u²ᵢⱼ + Σ_{j≥k} (1 − λⱼ) u²ᵢⱼ: no large numbers cancel.
//!
//! [`chance_edge`] says which λ sampling alone gives: two covariances of the same process, estimated from finite data, differ
//! most along directions that one searches for.

use nalgebra::{DMatrix, SymmetricEigen};

/// Eigenvalues of B below this share of the largest are no signal.
pub const RANK: f64 = 1e-10;

/// Covariance in constant memory, sample by sample: the bits do not depend on how samples were grouped.
#[derive(Debug, Clone)]
pub struct Covariance {
    channels: usize,
    n: u64,
    sum: Vec<f64>,
    /// Lower triangle of Σ x xᵀ, row by row.
    cross: Vec<f64>,
}

impl Covariance {
    /// Nothing seen yet.
    pub fn new(channels: usize) -> Self {
        Self { channels, n: 0, sum: vec![0.0; channels], cross: vec![0.0; channels * (channels + 1) / 2] }
    }

    /// Samples seen.
    pub fn len(&self) -> u64 {
        self.n
    }

    /// Whether none was seen.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Adds one sample of all channels. Meant for signals without a level (band-passed): plain sums are exact enough there. A NaN
    /// spoils its own row and column.
    pub fn push(&mut self, x: &[f64]) {
        self.n += 1;
        self.sum.iter_mut().zip(x).for_each(|(s, v)| *s += v);
        let mut at = 0;
        for (i, a) in x.iter().enumerate().take(self.channels) {
            self.cross[at..=at + i].iter_mut().zip(x).for_each(|(s, b)| *s += a * b);
            at += i + 1;
        }
    }

    /// The covariance (n − 1 below) of the channels in `chosen`; NaN with fewer than two samples.
    pub fn matrix(&self, chosen: &[usize]) -> DMatrix<f64> {
        let n = self.n as f64;
        let entry = |i: usize, j: usize| {
            let (i, j) = (i.max(j), i.min(j));
            (self.cross[i * (i + 1) / 2 + j] - self.sum[i] / n * self.sum[j]) / (n - 1.0)
        };
        DMatrix::from_fn(chosen.len(), chosen.len(), |i, j| entry(chosen[i], chosen[j]))
    }
}

/// The solved eigenproblem.
#[derive(Debug, Clone)]
pub struct Separation {
    /// λ, descending: power with stimulation over power without, along each direction.
    pub ratios: Vec<f64>,
    /// U = B V: column j is the topography of direction j.
    pub patterns: DMatrix<f64>,
    /// V: column j is the spatial filter of direction j; Vᵀ U = I.
    pub filters: DMatrix<f64>,
}

impl Separation {
    /// Solves A v = λ B v within the range of B. `None` where the matrices are empty, of different size or not finite, or B is 0.
    pub fn new(a: &DMatrix<f64>, b: &DMatrix<f64>) -> Option<Self> {
        let finite = |m: &DMatrix<f64>| m.is_square() && m.iter().all(|v| v.is_finite());
        if b.is_empty() || a.shape() != b.shape() || !finite(a) || !finite(b) {
            return None;
        }
        let whole = SymmetricEigen::new(b.clone());
        let largest = whole.eigenvalues.max();
        let kept: Vec<usize> = (0..b.nrows()).filter(|&j| whole.eigenvalues[j] > RANK * largest).collect();
        if kept.is_empty() || largest <= 0.0 {
            return None;
        }
        let column = |power: f64| {
            DMatrix::from_fn(b.nrows(), kept.len(), |i, j| {
                whole.eigenvectors[(i, kept[j])] * whole.eigenvalues[kept[j]].powf(power)
            })
        };
        let (whiten, colour) = (column(-0.5), column(0.5));
        let mut white = whiten.transpose() * a * &whiten;
        white = (&white + white.transpose()) * 0.5;
        let inner = SymmetricEigen::new(white);
        let mut order: Vec<usize> = (0..kept.len()).collect();
        order.sort_by(|&i, &j| inner.eigenvalues[j].total_cmp(&inner.eigenvalues[i]));
        let turn = DMatrix::from_fn(kept.len(), kept.len(), |i, j| inner.eigenvectors[(i, order[j])]);
        Some(Self {
            ratios: order.iter().map(|&j| inner.eigenvalues[j]).collect(),
            patterns: colour * &turn,
            filters: whiten * &turn,
        })
    }

    /// Independent directions.
    pub fn rank(&self) -> usize {
        self.ratios.len()
    }

    /// Mean over the channels of diag(B − P_k A P_kᵀ)²: how far from the variances without stimulation k nulls leave them.
    pub fn cost(&self, k: usize) -> f64 {
        let left = |j: usize| if j < k { 1.0 } else { 1.0 - self.ratios[j] };
        let channels = self.patterns.nrows();
        let difference = |i: usize| (0..self.rank()).map(|j| left(j) * self.patterns[(i, j)].powi(2)).sum::<f64>();
        (0..channels).map(|i| difference(i).powi(2)).sum::<f64>() / channels as f64
    }

    /// The number of nulls, at most `most`, with the least [`cost`](Self::cost).
    pub fn cheapest(&self, most: usize) -> usize {
        // at least one direction stays, or nothing would
        let most = most.min(self.rank().saturating_sub(1));
        (0..=most).min_by(|&a, &b| self.cost(a).total_cmp(&self.cost(b))).unwrap_or(0)
    }

    /// `P_k = I − U_k V_kᵀ`.
    pub fn projection(&self, k: usize) -> DMatrix<f64> {
        let k = k.min(self.rank());
        let c = self.patterns.nrows();
        DMatrix::identity(c, c) - self.patterns.columns(0, k) * self.filters.columns(0, k).transpose()
    }
}

/// The largest λ of two sample covariances of one process in `rank` dimensions with `with` (A) and `without` (B) independent samples each:
/// ((1 + √(a + b − ab)) / (1 − b))², a = rank/with, b = rank/without (Wachter 1980, 10.1214/aos/1176345134). Infinite where `without` does
/// not exceed `rank`.
pub fn chance_edge(rank: f64, with: f64, without: f64) -> f64 {
    let (a, b) = (rank / with, rank / without);
    if b >= 1.0 { f64::INFINITY } else { ((1.0 + (a + b - a * b).max(0.0).sqrt()) / (1.0 - b)).powi(2) }
}

/// How many independent samples a filtered one counts for: (mean g)² / mean g², g the gain |H|² over all frequencies (Bendat & Piersol 2010,
/// *Random Data*, §8.5). `gain(x)` is g at x cycles per sample, 0…½.
pub fn independence(gain: impl Fn(f64) -> f64) -> f64 {
    const POINTS: usize = 1 << 15;
    let (mut sum, mut squares) = (0.0, 0.0);
    for i in 0..POINTS {
        let g = gain((i as f64 + 0.5) / (2 * POINTS) as f64);
        (sum, squares) = (sum + g, squares + g * g);
    }
    sum * sum / squares / POINTS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden() -> serde_json::Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/sass.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    fn matrix(rows: &serde_json::Value) -> DMatrix<f64> {
        let rows: Vec<Vec<f64>> = serde_json::from_value(rows.clone()).unwrap();
        DMatrix::from_fn(rows.len(), rows[0].len(), |i, j| rows[i][j])
    }

    /// The largest difference over the largest entry.
    fn apart(a: &DMatrix<f64>, b: &DMatrix<f64>) -> f64 {
        (a - b).abs().max() / b.abs().max()
    }

    #[test]
    fn projection_cost_and_ratios_are_those_of_sixty_digits_and_of_scipy() {
        let golden = golden();
        for case in golden["cases"].as_array().unwrap() {
            let (a, b) = (matrix(&case["a"]), matrix(&case["b"]));
            let ours = Separation::new(&a, &b).unwrap();
            let condition = case["condition"].as_f64().unwrap();
            assert_eq!(ours.rank() as u64, case["rank"].as_u64().unwrap());
            let k = case["k"].as_u64().unwrap() as usize;
            let off = apart(&ours.projection(k), &matrix(&case["projection"]));
            assert!(off < 1e-11, "condition {condition:.1e}: P off by {off:.1e}");
            let ratio = case["ratios"][0].as_f64().unwrap();
            assert!((ours.ratios[0] / ratio - 1.0).abs() < 1e-9);
            for (k, cost) in case["costs"].as_array().unwrap().iter().enumerate() {
                let cost = cost.as_f64().unwrap();
                // the eigenvalues near 1 stand beside the largest, and know no more than ε of that
                let allowed = 1e-4_f64.max(f64::EPSILON * ratio);
                assert!((ours.cost(k) / cost - 1.0).abs() < allowed, "cost of {k}: {} for {cost}", ours.cost(k));
            }
            assert_eq!(ours.cheapest(usize::MAX) as u64, case["cheapest"].as_u64().unwrap());
        }
    }

    #[test]
    fn a_projection_annihilates_its_patterns_and_repeats_itself() {
        let case = &golden()["cases"][0];
        let ours = Separation::new(&matrix(&case["a"]), &matrix(&case["b"])).unwrap();
        let p = ours.projection(2);
        assert!((&p * &p - &p).abs().max() < 1e-11);
        assert!((&p * ours.patterns.columns(0, 2)).abs().max() < 1e-9 * ours.patterns.abs().max());
        assert!(
            (ours.filters.transpose() * &ours.patterns - DMatrix::identity(ours.rank(), ours.rank())).abs().max()
                < 1e-10
        );
        assert_eq!(ours.projection(0), DMatrix::identity(p.nrows(), p.nrows()));
    }

    #[test]
    fn a_rank_one_artefact_has_a_closed_form() {
        // A = B + s a aᵀ: v ∝ B⁻¹ a, λ = 1 + s aᵀ B⁻¹ a
        let b = DMatrix::from_fn(4, 4, |i, j| if i == j { 2.0 + i as f64 } else { 0.3 });
        let a = DMatrix::from_column_slice(4, 1, &[1.0, -0.5, 0.25, 2.0]);
        let inverse = b.clone().try_inverse().unwrap();
        let gain = (a.transpose() * &inverse * &a)[(0, 0)];
        let ours = Separation::new(&(&b + &a * a.transpose() * 1e6), &b).unwrap();
        assert!((ours.ratios[0] / (1.0 + 1e6 * gain) - 1.0).abs() < 1e-12);
        let want = DMatrix::identity(4, 4) - &a * (a.transpose() * &inverse) / gain;
        assert!(apart(&ours.projection(1), &want) < 1e-12);
        assert_eq!(ours.cheapest(3), 1);
        assert!(Separation::new(&b, &DMatrix::zeros(4, 4)).is_none());
        assert!(Separation::new(&b, &DMatrix::from_element(4, 4, f64::NAN)).is_none());
        assert!(Separation::new(&b, &DMatrix::identity(3, 3)).is_none());
    }

    #[test]
    fn covariance_is_the_two_pass_formula() {
        let x = |c: usize, i: usize| ((i * (7 * c + 13)) % 101) as f64 / 10.0 + c as f64;
        let mut sums = Covariance::new(3);
        (0..500).for_each(|i| sums.push(&[x(0, i), x(1, i), x(2, i)]));
        let mean = |c: usize| (0..500).map(|i| x(c, i)).sum::<f64>() / 500.0;
        let m = sums.matrix(&[2, 0]);
        for (i, a) in [2, 0].into_iter().enumerate() {
            for (j, b) in [2, 0].into_iter().enumerate() {
                let want = (0..500).map(|t| (x(a, t) - mean(a)) * (x(b, t) - mean(b))).sum::<f64>() / 499.0;
                assert!((m[(i, j)] / want - 1.0).abs() < 1e-11);
            }
        }
    }

    #[test]
    fn chance_and_independence_have_their_limits() {
        assert!((chance_edge(32.0, 1e12, 1e12) - 1.0).abs() < 1e-4);
        assert_eq!(chance_edge(32.0, 100.0, 32.0), f64::INFINITY);
        // one covariance known: the Marchenko–Pastur edge (1 + √a)²
        assert!((chance_edge(10.0, 40.0, 1e15) - 2.25).abs() < 1e-6);
        assert!((independence(|_| 3.0) - 1.0).abs() < 1e-12);
        assert!((independence(|x| f64::from(u8::from(x < 0.05))) - 0.1).abs() < 1e-4);
    }
}
