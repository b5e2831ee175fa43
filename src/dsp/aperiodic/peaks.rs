//! Gaussian peaks of a flattened spectrum: one by one from the highest, then all at once.

use super::PeakRule;
use crate::dsp::levmar::{self, Model};
use crate::dsp::stats::{mean, sd};

/// Peaks nearer than this many standard deviations to either edge are dropped.
const EDGE_SD: f64 = 1.0;
/// Peaks that overlap within this many standard deviations: the lower is dropped.
const OVERLAP_SD: f64 = 0.75;
/// In the joint fit a centre may move by twice this many standard deviations of its guess.
const CENTER_SD: f64 = 1.5;

/// A Gaussian.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bump {
    pub center_hz: f64,
    pub height: f64,
    pub sd_hz: f64,
}

impl Bump {
    pub fn value(&self, hz: f64) -> f64 {
        let z = (hz - self.center_hz) / self.sd_hz;
        self.height * (-0.5 * z * z).exp()
    }

    fn overlaps(&self, higher_hz: &Self) -> bool {
        self.center_hz + OVERLAP_SD * self.sd_hz > higher_hz.center_hz - OVERLAP_SD * higher_hz.sd_hz
    }
}

/// The peaks of what the aperiodic part leaves, by frequency; `None` when the joint fit fails.
pub(super) fn find(hz: &[f64], flat: &[f64], rule: &PeakRule) -> Option<Vec<Bump>> {
    let edges = [hz[0], hz[hz.len() - 1]];
    let mut guesses = guess(hz, flat, rule);
    guesses.retain(|b| edges.iter().all(|e| (b.center_hz - e).abs() > EDGE_SD * b.sd_hz));
    guesses.sort_by(|a, b| a.center_hz.total_cmp(&b.center_hz));
    let mut keep = vec![true; guesses.len()];
    for (i, pair) in guesses.windows(2).enumerate().filter(|(_, pair)| pair[0].overlaps(&pair[1])) {
        keep[if pair[0].height <= pair[1].height { i } else { i + 1 }] = false;
    }
    let guesses: Vec<Bump> = guesses.into_iter().zip(keep).filter_map(|(b, keep)| keep.then_some(b)).collect();
    if guesses.is_empty() { Some(guesses) } else { joint(hz, flat, &guesses, rule) }
}

/// From the highest point down: half the height on the nearer side gives the width; the peak is taken off.
fn guess(hz: &[f64], flat: &[f64], rule: &PeakRule) -> Vec<Bump> {
    let step = hz[1] - hz[0];
    let limits = rule.width_hz.map(|w| w / 2.0);
    let mut rest = flat.to_vec();
    let mut found = Vec::new();
    while found.len() < rule.most.min(hz.len()) {
        let (mut at, mut height) = (0, f64::NEG_INFINITY);
        for (i, &v) in rest.iter().enumerate() {
            if v > height {
                (at, height) = (i, v);
            }
        }
        if height <= rule.threshold_sd * sd(&rest, 0) || height <= rule.min_height {
            break;
        }
        let low = |i: &usize| rest[*i] <= 0.5 * height;
        // the very first bin is never looked at, as in the reference implementation
        let left = (1..at).rev().find(low).map(|i| at - i);
        let right = (at + 1..rest.len()).find(low).map(|i| i - at);
        let half_width = [left, right].into_iter().flatten().min();
        let sd_hz = match half_width {
            // full width at half maximum to standard deviation
            Some(side) => 2.0 * side as f64 * step / (2.0 * (2.0 * 2_f64.ln()).sqrt()),
            None => mean(&rule.width_hz),
        };
        let bump = Bump { center_hz: hz[at], height, sd_hz: sd_hz.clamp(limits[0], limits[1]) };
        rest.iter_mut().zip(hz).for_each(|(v, f)| *v -= bump.value(*f));
        found.push(bump);
    }
    found
}

struct Sum<'a>(&'a [f64]);

impl Model for Sum<'_> {
    fn evaluate(&self, p: &[f64], values: &mut [f64], jacobian: &mut [Vec<f64>]) {
        values.fill(0.0);
        for (k, part) in p.chunks_exact(3).enumerate() {
            let (center, height, sd) = (part[0], part[1], part[2]);
            for (i, f) in self.0.iter().enumerate() {
                let z = (f - center) / sd;
                let e = (-0.5 * z * z).exp();
                values[i] += height * e;
                jacobian[3 * k][i] = height * e * z / sd;
                jacobian[3 * k + 1][i] = e;
                jacobian[3 * k + 2][i] = height * e * z * z / sd;
            }
        }
    }
}

/// All peaks at once, each within bounds about its guess.
fn joint(hz: &[f64], flat: &[f64], guesses: &[Bump], rule: &PeakRule) -> Option<Vec<Bump>> {
    let (mut p, mut low, mut high) = (Vec::new(), Vec::new(), Vec::new());
    for b in guesses {
        let reach = 2.0 * CENTER_SD * b.sd_hz;
        p.extend([b.center_hz, b.height, b.sd_hz]);
        low.extend([(b.center_hz - reach).max(hz[0]), 0.0, rule.width_hz[0] / 2.0]);
        high.extend([(b.center_hz + reach).min(hz[hz.len() - 1]), f64::INFINITY, rule.width_hz[1] / 2.0]);
    }
    levmar::fit(&Sum(hz), flat, &mut p, &low, &high)?;
    let mut bumps: Vec<Bump> = p.chunks_exact(3).map(|c| Bump { center_hz: c[0], height: c[1], sd_hz: c[2] }).collect();
    bumps.sort_by(|a, b| a.center_hz.total_cmp(&b.center_hz));
    Some(bumps)
}
