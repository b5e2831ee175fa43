//! Detrend: fits a polynomial to stretches of each epoch that hold no response, and subtracts it everywhere.

use super::baseline::has_baseline;
use super::windows::Windows;
use crate::flow::{BuildContext, EpochInfo, Problems, Reason, Step, StepConfig, Verdict};
use crate::signal::Epoch;
use serde::{Deserialize, Serialize};

/// Subtracts from each channel the least-squares polynomial of its samples in `fit_ms`.
///
/// A drift is removed without a high-pass, which would smear what is left of the pulse's decay over baseline and
/// response. The fit is `numpy.polyfit`'s (least squares, equal weights), evaluated over the whole epoch.
/// Bridged samples ([`Epoch::filled`]: also those of a neighbouring pulse, which fall elsewhere in every epoch) were
/// not measured and do not enter the fit; an epoch with no more than `order` samples left is dropped with the reason
/// `detrend_filled`. A non-finite sample in `fit_ms` makes its channel non-finite: `reject` then drops the epoch.
/// Applies to every channel in µV that is not a trigger or a copy of the stimulation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Detrend {
    /// Windows in ms (both ends included) that the polynomial is fitted to; they must lie inside the epoch.
    pub fit_ms: Windows,
    /// Degree of the polynomial, 0…3.
    pub order: usize,
}

impl Default for Detrend {
    /// A straight line through −1000…−10 and 500…1000 ms: before the pulse, and after the response has ended.
    fn default() -> Self {
        Self { fit_ms: [[-1000.0, -10.0], [500.0, 1000.0]].into(), order: 1 }
    }
}

const MAX_ORDER: usize = 3;

impl StepConfig for Detrend {
    fn build(&self, input: &EpochInfo, _: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Step>> {
        let before = problems.list().len();
        let ranges = self.fit_ms.ranges("fit_ms", input, problems);
        if self.order > MAX_ORDER {
            problems.add("order", format!("{} is not one of 0…{MAX_ORDER}", self.order));
        }
        let ranges = ranges?;
        let samples: usize = ranges.iter().map(|r| r.len()).sum();
        if samples <= self.order {
            problems.add("fit_ms", format!("holds {samples} samples; order {} needs {}", self.order, self.order + 1));
        }
        if problems.list().len() > before {
            return None;
        }
        let mut wanted = vec![false; input.len];
        ranges.into_iter().for_each(|r| wanted[r].fill(true));
        let channels = (0..input.channels.len()).filter(|&c| has_baseline(&input.channels[c])).collect();
        let mut basis = Basis::new(self.order, input.len);
        basis.fit_to(&wanted);
        Some(Box::new(Subtract { current: wanted.clone(), wanted, basis, channels }))
    }
}

struct Subtract {
    /// Samples that the windows ask for.
    wanted: Vec<bool>,
    /// Samples that the basis is orthonormal over: those wanted and not bridged.
    current: Vec<bool>,
    basis: Basis,
    channels: Vec<usize>,
}

impl Step for Subtract {
    fn apply(&mut self, epoch: &mut Epoch) -> Verdict {
        // The pulse lies outside the windows, so usually nothing changes from one epoch to the next.
        let used = self.wanted.iter().zip(&epoch.filled).map(|(&wanted, &filled)| wanted && !filled);
        if !used.clone().eq(self.current.iter().copied()) {
            self.current.iter_mut().zip(used).for_each(|(current, used)| *current = used);
            self.basis.fit_to(&self.current);
        }
        if self.current.iter().filter(|&&u| u).count() < self.basis.columns.len() {
            return Verdict::Drop(Reason::new("detrend_filled"));
        }
        for &c in &self.channels {
            self.basis.subtract_fit(epoch.channel_mut(c));
        }
        Verdict::Keep
    }
}

/// Polynomials that are orthonormal over the samples of a fit, known over the whole epoch: then the coefficients are
/// plain inner products. This is the QR decomposition of the Vandermonde matrix, with R⁻¹ applied to all its rows.
struct Basis {
    /// Column `j` is a polynomial of degree `j` over all samples.
    columns: Vec<Vec<f64>>,
    /// The same where a sample enters the fit, 0 elsewhere.
    weights: Vec<Vec<f64>>,
}

impl Basis {
    fn new(order: usize, len: usize) -> Self {
        let columns = vec![vec![0.0; len]; order + 1];
        Self { weights: columns.clone(), columns }
    }

    /// Orthonormalises 1, t, t², … over the samples `used` by modified Gram–Schmidt, done twice (Giraud, Langou &
    /// Rozložník 2005, doi:10.1016/j.camwa.2005.08.009: "twice is enough"). Does not allocate.
    fn fit_to(&mut self, used: &[bool]) {
        let half = (used.len().max(2) - 1) as f64 / 2.0;
        for j in 0..self.columns.len() {
            let (done, rest) = self.columns.split_at_mut(j);
            let column = &mut rest[0];
            // The centre and the span of the epoch scale time to −1…1, so that powers stay comparable.
            column.iter_mut().enumerate().for_each(|(i, v)| *v = ((i as f64 - half) / half).powi(j as i32));
            for _ in 0..2 {
                for (earlier, weight) in done.iter().zip(&self.weights) {
                    let shared = dot(column, weight);
                    column.iter_mut().zip(earlier).for_each(|(v, e)| *v -= shared * e);
                }
            }
            let weight = &mut self.weights[j];
            let mask = |(v, &used): (&f64, &bool)| if used { *v } else { 0.0 };
            weight.iter_mut().zip(column.iter().zip(used).map(mask)).for_each(|(w, v)| *w = v);
            let norm = dot(weight, weight).sqrt();
            column.iter_mut().chain(weight.iter_mut()).for_each(|v| *v /= norm);
        }
    }

    fn subtract_fit(&self, x: &mut [f64]) {
        let mut coefficients = [0.0; MAX_ORDER + 1];
        for (coefficient, weight) in coefficients.iter_mut().zip(&self.weights) {
            *coefficient = dot(x, weight);
        }
        for (coefficient, column) in coefficients.iter().zip(&self.columns) {
            x.iter_mut().zip(column).for_each(|(x, q)| *x -= coefficient * q);
        }
    }
}

/// Inner product in eight strands: in a fixed order, and as fast as the vector unit allows.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut strands = [0.0; 8];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a.iter().zip(b) {
        for ((s, a), b) in strands.iter_mut().zip(a).zip(b) {
            *s += a * b;
        }
    }
    strands.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{epoch, golden, info, listed, numbers};
    use super::*;

    fn build(config: &Detrend, info: &EpochInfo) -> Box<dyn Step> {
        let mut problems = Problems::default();
        let step = config.build(info, &mut BuildContext::default(), &mut problems);
        step.unwrap_or_else(|| panic!("{:?}", listed(problems)))
    }

    #[test]
    fn agrees_with_polyfit() {
        let golden = golden();
        let x = numbers(&golden, "/signal");
        let info = info(&["Cz", "Pz"], 250.0, -250, x.len());
        for order in 0..=3 {
            let y = numbers(&golden, &format!("/detrend/{order}"));
            let mut e = epoch(&info, |_, i| x[i]);
            assert_eq!(build(&Detrend { order, ..Detrend::default() }, &info).apply(&mut e), Verdict::Keep);
            let scale = x.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
            let worst = e.channel(1).iter().zip(&y).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-12 * scale, "order {order}: {worst:e} of {scale}");
        }
    }

    #[test]
    fn bridged_samples_do_not_enter_the_fit() {
        let golden = golden();
        let (x, y) = (numbers(&golden, "/signal"), numbers(&golden, "/detrend_filled"));
        let info = info(&["Cz"], 250.0, -250, x.len());
        let mut step = build(&Detrend::default(), &info);
        let bridged = 25..35;
        let run = |step: &mut dyn Step, fill: bool| {
            let mut e = epoch(&info, |_, i| if fill && bridged.contains(&i) { 1e5 } else { x[i] });
            e.filled[bridged.clone()].fill(fill);
            assert_eq!(step.apply(&mut e), Verdict::Keep);
            e.channel(0).to_vec()
        };
        let plain = run(&mut *step, false);
        let filled = run(&mut *step, true);
        let measured = (0..x.len()).filter(|i| !bridged.contains(i));
        let worst = measured.map(|i| (filled[i] - y[i]).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-8, "{worst:e} µV");
        // and the step has not become another one
        assert!(plain.iter().zip(run(&mut *step, false)).all(|(a, b)| a.to_bits() == b.to_bits()));
    }

    #[test]
    fn a_polynomial_vanishes_and_too_little_to_fit_drops() {
        let info = info(&["Cz"], 500.0, -600, 1200);
        let mut step = build(&Detrend { order: 3, ..Detrend::default() }, &info);
        let cubic = |i: usize| {
            let t = (i as f64 - 600.0) / 500.0;
            4e3 + 70.0 * t - 30.0 * t * t + 9.0 * t * t * t
        };
        let mut e = epoch(&info, |_, i| cubic(i));
        step.apply(&mut e);
        assert!(e.data().iter().all(|v| v.abs() < 1e-9));
        e.filled.fill(true);
        e.filled[200..203].fill(false);
        assert!(matches!(step.apply(&mut e), Verdict::Drop(Reason { code: "detrend_filled", .. })));
    }

    #[test]
    fn every_problem_is_told() {
        let mut problems = Problems::default();
        let short = info(&["Cz"], 1000.0, -20, 41);
        let build = |config: Detrend, problems: &mut Problems| {
            assert!(config.build(&short, &mut BuildContext::default(), problems).is_none());
        };
        build(Detrend { fit_ms: [[-20.0, 0.0], [0.0, 30.0]].into(), order: 4 }, &mut problems);
        build(Detrend { fit_ms: [-2.0, 0.0].into(), order: 3 }, &mut problems);
        assert_eq!(
            listed(problems),
            [
                "fit_ms: 0…30 ms leaves the epoch, which is -20…20 ms",
                "order: 4 is not one of 0…3",
                "fit_ms: holds 3 samples; order 3 needs 4"
            ]
        );
    }
}
