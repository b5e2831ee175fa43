//! Tapers with their weights, and Thomson's adaptive combination of the spectra they give.

use super::dpss::dpss;
use super::window::{Symmetry, Window};
use multiversion::multiversion;

/// Tapers of one length, and what each counts for in a density.
#[derive(Debug, Clone, PartialEq)]
pub struct Tapers {
    /// Samples per taper.
    pub len: usize,
    /// (taper × sample).
    pub samples: Vec<f64>,
    /// One per taper: the density is `2 / rate · Σ weight |X|²`, one-sided.
    pub weights: Vec<f64>,
    /// Share of each taper's energy within its band, 0…1.
    pub ratios: Vec<f64>,
}

impl Tapers {
    /// One periodic window of `n` samples; weight 1 / Σ w².
    pub fn window(window: Window, n: usize) -> Self {
        let samples = window.samples(n, Symmetry::Periodic);
        let weights = vec![1.0 / samples.iter().map(|w| w * w).sum::<f64>()];
        Self { len: n, samples, weights, ratios: vec![1.0] }
    }

    /// The first ⌊2 nw⌋ prolate spheroidal sequences of `n` samples, nw below n / 2; with `low_bias` only those that keep
    /// more than 90 % of their energy within the band. Weights are their ratios over the ratios' sum (MNE-Python's choice).
    pub fn slepian(n: usize, nw: f64, low_bias: bool) -> Self {
        let all = dpss(n, nw, (2.0 * nw).floor() as usize);
        let kept = if low_bias { all.low_bias() } else { all };
        let sum: f64 = kept.ratios.iter().sum();
        Self {
            len: n,
            samples: kept.tapers.concat(),
            weights: kept.ratios.iter().map(|ratio| ratio / sum).collect(),
            ratios: kept.ratios,
        }
    }

    /// Number of tapers.
    pub fn count(&self) -> usize {
        self.weights.len()
    }
}

/// Adaptive weights: where the spectrum is low, tapers that leak count less (Thomson 1982, doi:10.1109/PROC.1982.12433,
/// §V). Solves, by turns, `d = √λ S / (λ S + (1 − λ) σ²)` and `S = Σ d² Sₖ / Σ d²`, from the first two tapers on, until the
/// weights' mean square changes by less than 1e-10 at every frequency: MNE-Python's rule, start and variance.
#[derive(Debug, Clone)]
pub struct Adaptive {
    ratios: Vec<f64>,
    bins: usize,
    /// This round's weights and the last round's, (taper × bin).
    weights: [Vec<f64>; 2],
    sum: Vec<f64>,
    change: Vec<f64>,
}

/// Rounds after which the weights are taken as they are.
const ROUNDS: usize = 150;

impl Adaptive {
    /// For tapers of these ratios, three at least, and spectra of so many bins.
    pub fn new(ratios: &[f64], bins: usize) -> Self {
        let weights = vec![0.0; ratios.len() * bins];
        let weights = [weights.clone(), weights];
        Self { ratios: ratios.to_vec(), bins, weights, sum: vec![0.0; bins], change: vec![0.0; bins] }
    }

    /// The combination of (taper × bin) one-sided `densities` into `out`. Allocates nothing.
    pub fn combine(&mut self, densities: &[f64], out: &mut [f64]) {
        let (bins, tapers) = (self.bins, self.ratios.len());
        let total: f64 = self.ratios.iter().sum();
        let mixed = |bin: usize| (0..tapers).map(|k| self.ratios[k] * densities[k * bins + bin]).sum::<f64>() / total;
        // the trapezoid rule over 0…π with MNE's spacing, π / bins
        let inner: f64 = (0..bins).map(mixed).sum();
        let variance = (inner - (mixed(0) + mixed(bins - 1)) / 2.0) / (2 * bins) as f64;
        let first = self.ratios.iter().zip(densities.chunks_exact(bins)).take(2);
        let pair: f64 = self.ratios.iter().take(2).sum();
        out.fill(0.0);
        first.for_each(|(ratio, row)| out.iter_mut().zip(row).for_each(|(s, p)| *s += ratio / pair * p));
        self.weights[1].fill(0.0);
        for _ in 0..ROUNDS {
            self.change.fill(0.0);
            let (now, before) = self.weights.split_at_mut(1);
            let rows = now[0].chunks_exact_mut(bins).zip(before[0].chunks_exact(bins));
            for (&ratio, (now, before)) in self.ratios.iter().zip(rows) {
                weigh(now, before, out, (ratio, variance), &mut self.change);
            }
            if self.change.iter().all(|change| change / (tapers as f64) < 1e-10) {
                break;
            }
            out.fill(0.0);
            self.sum.fill(0.0);
            for (d, row) in self.weights[0].chunks_exact(bins).zip(densities.chunks_exact(bins)) {
                mix(out, &mut self.sum, d, row);
            }
            out.iter_mut().zip(&self.sum).for_each(|(s, sum)| *s = if *sum > 0.0 { *s / sum } else { 0.0 });
            self.weights.swap(0, 1);
        }
    }

    /// Bytes of its buffers.
    pub fn memory_bytes(&self) -> u64 {
        8 * (2 * self.weights[0].len() + 2 * self.bins) as u64
    }
}

/// One taper's weights `d` for the densities `s`, and the squares of their change.
#[multiversion(targets("x86_64+avx+avx2"))]
fn weigh(d: &mut [f64], before: &[f64], s: &[f64], (ratio, variance): (f64, f64), change: &mut [f64]) {
    let (root, leak) = (ratio.sqrt(), (1.0 - ratio) * variance);
    for ((d, before), (s, change)) in d.iter_mut().zip(before).zip(s.iter().zip(change)) {
        *d = if *s > 0.0 { root * s / (ratio * s + leak) } else { 0.0 };
        *change += (*d - before) * (*d - before);
    }
}

/// Adds one taper's densities and what they are weighted by.
#[multiversion(targets("x86_64+avx+avx2"))]
fn mix(out: &mut [f64], sum: &mut [f64], d: &[f64], densities: &[f64]) {
    for ((out, sum), (d, p)) in out.iter_mut().zip(sum).zip(d.iter().zip(densities)) {
        *out += d * d * p;
        *sum += d * d;
    }
}
