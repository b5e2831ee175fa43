//! What a power spectrum is made of: an aperiodic part, 1/f^χ with or without a knee, and peaks upon it.
//!
//! Donoghue et al. 2020, doi:10.1038/s41593-020-00744-x, on P = log10 of the power density:
//!
//! 1. a first fit of the aperiodic part L(f) = b − log10(k + f^χ), then again on the points that lie on or below it;
//! 2. what is left, P − L, is searched for Gaussian peaks from the highest down; edge and overlapping ones are dropped;
//! 3. all peaks are fitted at once within bounds, taken off, and L is fitted to the rest.
//!
//! Where the reference implementations differ among themselves we follow fooof 1.1: a guess that is too wide is cut to the
//! upper limit (specparam 2.0.0rc7 sets it to the lower one). As in both, "on or below" is the 0.025 % quantile of
//! what the first fit leaves, negative values counted as 0, not the 2.5 % that the name of their setting suggests.
//! Their minimisers stop at a tolerance of 1e-5, ours at the minimum: exponents agree to some 1e-3.
//!
//! [`irasa`] separates the two parts without a model of the peaks.

pub mod irasa;
mod peaks;

use super::levmar::{self, Model};
use super::lsq::Line;
use super::stats::{mean, quantile};
use std::f64::consts::LN_10;

/// Shape of the aperiodic part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A straight line in log–log: b − χ log10 f.
    Fixed,
    /// With a knee: b − log10(k + f^χ).
    Knee,
}

/// How peaks are looked for. The defaults are those of fooof and specparam.
#[derive(Debug, Clone, PartialEq)]
pub struct PeakRule {
    /// Narrowest and widest bandwidth (two standard deviations), Hz.
    pub width_hz: [f64; 2],
    /// Most peaks.
    pub most: usize,
    /// A peak is higher than this above the aperiodic part, log10 units.
    pub min_height: f64,
    /// … and higher than this many standard deviations of what the aperiodic part leaves.
    pub threshold_sd: f64,
}

impl Default for PeakRule {
    fn default() -> Self {
        Self { width_hz: [0.5, 12.0], most: usize::MAX, min_height: 0.0, threshold_sd: 2.0 }
    }
}

/// A peak upon the aperiodic part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peak {
    /// Centre, Hz.
    pub center_hz: f64,
    /// Height of all peaks together above the aperiodic part at the centre's bin, log10 units.
    pub height: f64,
    /// Two standard deviations, Hz.
    pub bandwidth_hz: f64,
}

/// The fitted spectrum.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// b: log10 of the power density at 1 Hz (without a knee).
    pub offset: f64,
    /// χ: power falls as 1/f^χ.
    pub exponent: f64,
    /// k, where there is a knee; it lies at k^(1/χ) Hz where k is positive.
    pub knee: Option<f64>,
    /// Peaks by frequency.
    pub peaks: Vec<Peak>,
    /// Squared correlation of model and log10 power.
    pub r_squared: f64,
    /// Mean absolute difference of model and log10 power.
    pub error: f64,
}

/// Why there is no fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Fewer bins than a fit needs.
    FewBins,
    /// A power that is zero, negative or not a number has no logarithm.
    NonPositive,
    /// The minimiser found nothing finite.
    NoFit,
}

impl Trouble {
    /// A stable word.
    pub fn code(self) -> &'static str {
        match self {
            Self::FewBins => "few_bins",
            Self::NonPositive => "non_positive_power",
            Self::NoFit => "no_fit",
        }
    }
}

/// The aperiodic part alone.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Aperiodic {
    offset: f64,
    knee: f64,
    exponent: f64,
}

impl Aperiodic {
    fn value(&self, hz: f64) -> f64 {
        self.offset - (self.knee + hz.powf(self.exponent)).log10()
    }
}

/// Fits log10 of `power` at equally spaced frequencies `hz` above 0.
///
/// # Errors
/// [`Trouble`].
pub fn fit(hz: &[f64], power: &[f64], shape: Shape, rule: &PeakRule) -> Result<Fit, Trouble> {
    let bins = hz.len().min(power.len());
    let (hz, power) = (&hz[..bins], &power[..bins]);
    if bins < 8 || hz[0] <= 0.0 {
        return Err(Trouble::FewBins);
    }
    if !power.iter().all(|p| *p > 0.0 && p.is_finite()) {
        return Err(Trouble::NonPositive);
    }
    let log: Vec<f64> = power.iter().map(|p| p.log10()).collect();
    let first = robust(hz, &log, shape)?;
    let flat: Vec<f64> = hz.iter().zip(&log).map(|(f, y)| y - first.value(*f)).collect();
    let bumps = peaks::find(hz, &flat, rule).ok_or(Trouble::NoFit)?;
    let bump_sum: Vec<f64> = hz.iter().map(|f| bumps.iter().map(|b| b.value(*f)).sum()).collect();
    let rest: Vec<f64> = log.iter().zip(&bump_sum).map(|(y, b)| y - b).collect();
    let last = aperiodic(hz, &rest, shape, None)?;
    let model: Vec<f64> = hz.iter().zip(&bump_sum).map(|(f, b)| last.value(*f) + b).collect();
    let step = hz[1] - hz[0];
    let peak = |b: &peaks::Bump| Peak {
        center_hz: b.center_hz,
        height: bump_sum[(((b.center_hz - hz[0]) / step).round().max(0.0) as usize).min(bins - 1)],
        bandwidth_hz: 2.0 * b.sd_hz,
    };
    Ok(Fit {
        offset: last.offset,
        exponent: last.exponent,
        knee: (shape == Shape::Knee).then_some(last.knee),
        peaks: bumps.iter().map(peak).collect(),
        r_squared: correlation(&log, &model).powi(2),
        error: log.iter().zip(&model).map(|(a, b)| (a - b).abs()).sum::<f64>() / bins as f64,
    })
}

/// A line in log–log and nothing else, for a spectrum whose peaks are gone ([`irasa`]).
///
/// # Errors
/// [`Trouble`].
pub fn line_fit(hz: &[f64], power: &[f64]) -> Result<Fit, Trouble> {
    fit(hz, power, Shape::Fixed, &PeakRule { most: 0, ..PeakRule::default() })
}

/// Two fits: of all points, then of those on or below the first.
fn robust(hz: &[f64], log: &[f64], shape: Shape) -> Result<Aperiodic, Trouble> {
    let first = aperiodic(hz, log, shape, None)?;
    let above: Vec<f64> = hz.iter().zip(log).map(|(f, y)| (y - first.value(*f)).max(0.0)).collect();
    let threshold = quantile(&mut above.clone(), 0.025 / 100.0);
    let (x, y): (Vec<f64>, Vec<f64>) =
        (0..hz.len()).filter(|&i| above[i] <= threshold).map(|i| (hz[i], log[i])).unzip();
    // a spectrum that is its own model leaves rounding alone, and hardly a point below
    if x.len() < 4 { Ok(first) } else { aperiodic(&x, &y, shape, Some(first)) }
}

/// The least-squares aperiodic part.
fn aperiodic(hz: &[f64], log: &[f64], shape: Shape, start: Option<Aperiodic>) -> Result<Aperiodic, Trouble> {
    if shape == Shape::Fixed {
        let points = hz.iter().map(|f| f.log10()).zip(log.iter().copied());
        let line = Line::fit(points).filter(|l| l.slope.is_finite()).ok_or(Trouble::NoFit)?;
        return Ok(Aperiodic { offset: line.intercept, knee: 0.0, exponent: -line.slope });
    }
    let n = hz.len() - 1;
    let start = start.unwrap_or_else(|| {
        let slope = (log[n] - log[0]) / (hz[n].log10() - hz[0].log10());
        Aperiodic { offset: log[0], knee: 0.0, exponent: slope.abs() }
    });
    let mut p = [start.offset, start.knee, start.exponent];
    let unbounded = [f64::INFINITY; 3];
    levmar::fit(&Knee(hz), log, &mut p, &unbounded.map(|v| -v), &unbounded).ok_or(Trouble::NoFit)?;
    Ok(Aperiodic { offset: p[0], knee: p[1], exponent: p[2] })
}

struct Knee<'a>(&'a [f64]);

impl Model for Knee<'_> {
    fn evaluate(&self, p: &[f64], values: &mut [f64], jacobian: &mut [Vec<f64>]) {
        for (i, &f) in self.0.iter().enumerate() {
            let power = f.powf(p[2]);
            let sum = p[1] + power;
            values[i] = p[0] - sum.log10();
            jacobian[0][i] = 1.0;
            jacobian[1][i] = -1.0 / (sum * LN_10);
            jacobian[2][i] = -power * f.ln() / (sum * LN_10);
        }
    }
}

/// Pearson's r; NaN where one of the two is constant.
pub(crate) fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let (ma, mb) = (mean(a), mean(b));
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        aa += (a - ma) * (a - ma);
        bb += (b - mb) * (b - mb);
        ab += (a - ma) * (b - mb);
    }
    ab / (aa * bb).sqrt()
}

#[cfg(test)]
mod tests;
