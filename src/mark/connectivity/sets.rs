//! Measures between two sets of channels (Ewald et al. 2012, doi:10.1016/j.neuroimage.2011.11.084): with the real parts of
//! the sets' cross-spectra whitened, E = Re(C_aa)^−½ Im(C_ab) Re(C_bb)^−½, `mic` is E's largest singular value and `mim`
//! the sum of its squares. Both see lagged coupling only.
//!
//! Directions in which a set has less than [`RANK_CUT`] of its largest power are left out: an average reference or an
//! interpolated channel makes a set singular. The cut decides the answer where a set is nearly so.

use super::method::{Band, Plan, Row};
use crate::dsp::cross::Bin;
use crate::flow::Problems;
use nalgebra::{DMatrix, SymmetricEigen};
use std::collections::BTreeMap;
use std::ops::Range;

/// Share of the largest eigenvalue of Re(C) (a power: 1e-6 in amplitude) below which a direction counts as empty.
const RANK_CUT: f64 = 1e-12;

/// Two sets by number, and what is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Between {
    pub a: usize,
    pub b: usize,
    mic: bool,
    mim: bool,
}

/// All pairs of sets; a problem where there are fewer than two or where they share a channel.
pub(super) fn plan(plan: &Plan, mic: bool, mim: bool, problems: &mut Problems) -> Vec<Between> {
    let mut out = Vec::new();
    for (a, first) in plan.sets.iter().enumerate() {
        for (b, second) in plan.sets.iter().enumerate().skip(a + 1) {
            if first.channels.iter().any(|c| second.channels.contains(c)) {
                problems.add("sets", format!("{:?} and {:?} share a channel", first.name, second.name));
            }
            out.push(Between { a, b, mic, mim });
        }
    }
    if out.is_empty() {
        problems.add("sets", "mic and mim need two sets of channels");
    }
    out
}

/// The pairs of channels that they need: all within the union of two sets.
pub(super) fn pairs(plan: &Plan, between: &[Between]) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    for between in between {
        let mut all = [plan.sets[between.a].channels.as_slice(), &plan.sets[between.b].channels].concat();
        all.sort_unstable();
        out.extend(all.iter().enumerate().flat_map(|(i, &a)| all[i + 1..].iter().map(move |&b| (a, b))));
    }
    out
}

/// The mean cross-spectra within and between two sets, bin by bin.
pub(super) struct Cells {
    sizes: [usize; 2],
    /// Fewest epochs of a pair.
    n: u32,
    /// Mean cross-spectrum by positions in the union of the sets, first before second: (re, im, power, power) per bin.
    pairs: BTreeMap<(usize, usize), Vec<Bin>>,
}

impl Cells {
    /// `sums` gives a pair's epochs and bins, the earlier channel first.
    pub fn new(sets: [Vec<usize>; 2], mut sums: impl FnMut(usize, usize) -> Option<(u32, Vec<Bin>)>) -> Self {
        let union = sets.concat();
        let (mut pairs, mut fewest) = (BTreeMap::new(), u32::MAX);
        for (i, &a) in union.iter().enumerate() {
            for (j, &b) in union.iter().enumerate().skip(i + 1) {
                let (n, mut bins) = sums(a, b).unwrap_or_default();
                fewest = fewest.min(n);
                let scale = 1.0 / f64::from(n);
                for bin in &mut bins {
                    let (power_i, power_j) =
                        if a < b { (bin.power_a, bin.power_b) } else { (bin.power_b, bin.power_a) };
                    let im = if a < b { bin.im } else { -bin.im };
                    let re = bin.re * scale;
                    *bin = Bin { re, im: im * scale, power_a: power_i * scale, power_b: power_j * scale, ..*bin };
                }
                pairs.insert((i, j), bins);
            }
        }
        let n = if pairs.is_empty() { 0 } else { fewest };
        Self { sizes: sets.map(|s| s.len()), n, pairs }
    }

    /// Re and Im of the cross-spectrum of two positions in bin `k`.
    fn at(&self, i: usize, j: usize, k: usize) -> (f64, f64) {
        let bin = |i: usize, j: usize| self.pairs.get(&(i, j)).and_then(|bins| bins.get(k));
        let none = (f64::NAN, f64::NAN);
        if i == j {
            let other = if i == 0 { bin(0, 1).map(|b| b.power_a) } else { bin(0, i).map(|b| b.power_b) };
            return other.map_or(none, |power| (power, 0.0));
        }
        if i < j { bin(i, j).map_or(none, |b| (b.re, b.im)) } else { bin(j, i).map_or(none, |b| (b.re, -b.im)) }
    }

    /// `mic`, `mim`, and what `mim` is on average without coupling, in bin `k`.
    fn measures(&self, k: usize, tapers: usize) -> Option<[f64; 3]> {
        let [n, m] = self.sizes;
        let degrees = f64::from(self.n) * tapers as f64;
        if n == 0 || m == 0 || degrees < 2.0 {
            return None;
        }
        let left = whitening(&DMatrix::from_fn(n, n, |i, j| self.at(i, j, k).0))?;
        let right = whitening(&DMatrix::from_fn(m, m, |i, j| self.at(n + i, n + j, k).0))?;
        let e = left.transpose() * DMatrix::from_fn(n, m, |i, j| self.at(i, n + j, k).1) * &right;
        let total = e.iter().map(|v| v * v).sum::<f64>();
        // every entry of E has variance 1 / (2 degrees of freedom)
        let null = (left.ncols() * right.ncols()) as f64 / (2.0 * degrees);
        e.iter().all(|v| v.is_finite()).then(|| [e.singular_values().max(), total, null])
    }

    /// The rows of both measures: means over each group's bins.
    pub fn rows(
        &self,
        between: &Between,
        groups: &[(Band, Range<usize>)],
        tapers: usize,
        nodes: (usize, usize),
        out: &mut Vec<Row>,
    ) {
        for (band, range) in groups {
            let values: Vec<[f64; 3]> = range.clone().filter_map(|k| self.measures(k, tapers)).collect();
            let mean = |i: usize| values.iter().map(|v| v[i]).sum::<f64>() / values.len() as f64;
            let row = |measure: &'static str, value: f64, null_expectation: f64| {
                let row = Row::empty(measure, band, nodes);
                Row { value, n_epochs: self.n.into(), null_expectation, ..row }
            };
            out.extend(between.mic.then(|| row("mic", mean(0), f64::NAN)));
            out.extend(between.mim.then(|| row("mim", mean(1), mean(2))));
        }
    }
}

/// W with Wᵀ C W = 1 over the directions that hold power; `None` when there is none.
fn whitening(c: &DMatrix<f64>) -> Option<DMatrix<f64>> {
    if !c.iter().all(|v| v.is_finite()) {
        return None;
    }
    let eigen = SymmetricEigen::new(c.clone());
    let cut = RANK_CUT * eigen.eigenvalues.max();
    let kept: Vec<usize> = (0..c.nrows()).filter(|&i| eigen.eigenvalues[i] > cut.max(0.0)).collect();
    let column = |r: usize, i: usize| eigen.eigenvectors[(r, kept[i])] / eigen.eigenvalues[kept[i]].sqrt();
    (!kept.is_empty()).then(|| DMatrix::from_fn(c.nrows(), kept.len(), column))
}
