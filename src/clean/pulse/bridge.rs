//! Values for one gap of one channel, from the measured samples on both sides of it.

use super::Fill;
use crate::dsp::burg::{Burg, extrapolate};
use crate::dsp::interpolate::{Knot, hermite, line, pchip_slopes};
use crate::dsp::lsq::Polynomial;
use crate::dsp::stats::median;

/// Fewest samples on a side that an autoregressive model is fitted to.
const AR_SAMPLES: usize = 4;

/// What became of a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As asked.
    AsAsked,
    /// Too few samples for the method: a straight line.
    Line,
    /// Samples on one side only: their level is held.
    Held,
    /// No sample on either side: zeros.
    Zeros,
}

/// Bridges gaps without allocating.
pub(super) struct Bridge {
    fill: Fill,
    max_order: usize,
    burg: Burg,
    anchors: Vec<f64>,
    reversed: Vec<f64>,
    back: Vec<f64>,
}

impl Bridge {
    /// For gaps of up to `gap` samples and up to `fit` samples on either side.
    pub(super) fn new(fill: Fill, anchor_samples: usize, fit: usize, max_order: usize, gap: usize) -> Self {
        let ar = fill == Fill::Ar;
        let (fit_ar, gap_ar) = if ar { (fit, gap) } else { (0, 0) };
        Self {
            fill,
            max_order,
            burg: Burg::new(fit_ar, max_order.min(fit_ar)),
            anchors: vec![0.0; anchor_samples],
            reversed: vec![0.0; fit_ar],
            back: vec![0.0; gap_ar],
        }
    }

    /// Writes the gap's values. `pre` ends at the last sample before it, `post` begins at the first one after it, both in
    /// order of time; samples that are not finite count as missing. `baseline` is the level of [`Fill::Constant`].
    pub(super) fn fill(&mut self, pre: &[f64], post: &[f64], baseline: Option<f64>, gap: &mut [f64]) -> Outcome {
        if self.fill == Fill::Nan {
            gap.fill(f64::NAN);
            return Outcome::AsAsked;
        }
        if let (Fill::Constant, Some(level)) = (self.fill, baseline) {
            gap.fill(level);
            return Outcome::AsAsked;
        }
        let (left, right) = (self.anchor(pre.iter().rev()), self.anchor(post.iter()));
        let (Some(left), Some(right)) = (left, right) else {
            gap.fill(left.or(right).unwrap_or(0.0));
            return if left.or(right).is_some() { Outcome::Held } else { Outcome::Zeros };
        };
        let done = match self.fill {
            Fill::Linear => {
                straight(left, right, gap);
                true
            }
            Fill::Pchip => monotone(pre, post, gap),
            Fill::Cubic => cubic(pre, post, gap),
            Fill::Ar => self.ar(pre, post, gap),
            Fill::Constant | Fill::Nan => false,
        };
        if done {
            return Outcome::AsAsked;
        }
        straight(left, right, gap);
        Outcome::Line
    }

    /// Median of the samples nearest to the gap that are finite.
    fn anchor<'a>(&mut self, nearest_first: impl Iterator<Item = &'a f64>) -> Option<f64> {
        let mut n = 0;
        for (slot, value) in self.anchors.iter_mut().zip(nearest_first.filter(|v| v.is_finite())) {
            *slot = *value;
            n += 1;
        }
        (n > 0).then(|| median(&mut self.anchors[..n]))
    }

    /// Continues both sides into the gap and passes smoothly from the one to the other.
    ///
    /// Cline et al. (2021), 10.1109/NER49283.2021.9441147: w·f + (1−w)·g with w = u²/(u² + (1−u)²), u falling from 1 to 0.
    fn ar(&mut self, pre: &[f64], post: &[f64], gap: &mut [f64]) -> bool {
        let pre = &pre[pre.iter().rposition(|v| !v.is_finite()).map_or(0, |i| i + 1)..];
        let post = &post[..post.iter().position(|v| !v.is_finite()).unwrap_or(post.len())];
        if pre.len() < AR_SAMPLES || post.len() < AR_SAMPLES {
            return false;
        }
        let order = pre.len().div_ceil(3).min(self.max_order);
        extrapolate(self.burg.fit(pre, order), pre, gap);
        let reversed = &mut self.reversed[..post.len()];
        reversed.iter_mut().zip(post.iter().rev()).for_each(|(r, v)| *r = *v);
        let back = &mut self.back[..gap.len()];
        let order = post.len().div_ceil(3).min(self.max_order);
        extrapolate(self.burg.fit(reversed, order), reversed, back);
        let last = (gap.len() - 1).max(1) as f64;
        for (i, (forward, backward)) in gap.iter_mut().zip(back.iter().rev()).enumerate() {
            let u = 1.0 - i as f64 / last;
            let w = u * u / (u * u + (1.0 - u) * (1.0 - u));
            *forward = w * *forward + (1.0 - w) * backward;
        }
        true
    }

    /// The model's order on `fit` samples, where there is one.
    pub(super) fn ar_order(&self, fit: usize) -> Option<usize> {
        (self.fill == Fill::Ar).then(|| fit.div_ceil(3).min(self.max_order))
    }

    /// Bytes of the buffers.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.burg.memory_bytes() + 8 * (self.anchors.len() + self.reversed.len() + self.back.len()) as u64
    }
}

/// The straight line from the last sample before the gap to the first one after it.
fn straight(left: f64, right: f64, gap: &mut [f64]) {
    let end = gap.len() as f64;
    for (i, v) in gap.iter_mut().enumerate() {
        *v = line((-1.0, left), (end, right), i as f64);
    }
}

/// The monotone cubic: its slopes depend on the two nearest samples of each side alone.
fn monotone(pre: &[f64], post: &[f64], gap: &mut [f64]) -> bool {
    let (mut x, mut y, mut slopes) = ([0.0; 4], [0.0; 4], [0.0; 4]);
    let mut left = 0;
    for (x_, y_) in finite(pre, -(pre.len() as f64)).rev().take(2) {
        left += 1;
        (x[2 - left], y[2 - left]) = (x_, y_);
    }
    let mut end = 2;
    for (x_, y_) in finite(post, gap.len() as f64).take(2) {
        (x[end], y[end]) = (x_, y_);
        end += 1;
    }
    let used = 2 - left..end;
    pchip_slopes(&x[used.clone()], &y[used.clone()], &mut slopes[used]);
    let knot = |i: usize| Knot { x: x[i], y: y[i], slope: slopes[i] };
    for (i, v) in gap.iter_mut().enumerate() {
        *v = hermite(knot(1), knot(2), i as f64);
    }
    true
}

/// The least-squares cubic through all samples of both sides; it does not meet the nearest ones.
fn cubic(pre: &[f64], post: &[f64], gap: &mut [f64]) -> bool {
    let points = finite(pre, -(pre.len() as f64)).chain(finite(post, gap.len() as f64));
    match Polynomial::fit(points, 3) {
        Some(fit) if fit.order() == 3 => {
            gap.iter_mut().enumerate().for_each(|(i, v)| *v = fit.value(i as f64));
            true
        }
        _ => false,
    }
}

/// The finite samples as points (x, y), the first of all at `from`.
fn finite(samples: &[f64], from: f64) -> impl DoubleEndedIterator<Item = (f64, f64)> + Clone {
    let points = samples.iter().enumerate().filter(|(_, y)| y.is_finite());
    points.map(move |(i, &y)| (from + i as f64, y))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::stats::tests::{golden, numbers};

    fn bridge(fill: Fill, k: usize, pre: &[f64], post: &[f64], gap: usize) -> (Vec<f64>, Outcome) {
        let mut out = vec![0.0; gap];
        let fit = pre.len().max(post.len());
        let outcome = Bridge::new(fill, k, fit, 40, gap).fill(pre, post, None, &mut out);
        (out, outcome)
    }

    #[test]
    fn every_fill_gives_the_reference_numbers() {
        let golden = golden();
        let x = numbers(&golden["signal"]);
        let (a, b) = (200, 213);
        for (key, fill, k, w, tolerance) in [
            ("linear_1", Fill::Linear, 1, 1, 1e-12),
            ("linear_3", Fill::Linear, 3, 3, 1e-12),
            ("linear_4", Fill::Linear, 4, 4, 1e-12),
            ("pchip_10", Fill::Pchip, 1, 10, 1e-12),
            ("pchip_10", Fill::Pchip, 1, 2, 1e-12),
            ("pchip_1", Fill::Pchip, 1, 1, 1e-12),
            ("cubic_20", Fill::Cubic, 1, 20, 1e-9),
            ("cubic_5", Fill::Cubic, 1, 5, 1e-9),
            ("cubic_2", Fill::Cubic, 1, 2, 1e-9),
            ("ar_20", Fill::Ar, 1, 20, 1e-8),
            ("ar_7", Fill::Ar, 1, 7, 1e-8),
        ] {
            let (got, outcome) = bridge(fill, k, &x[a - w..a], &x[b + 1..b + 1 + w], b - a + 1);
            assert_eq!(outcome, Outcome::AsAsked, "{key}");
            for (g, w) in got.iter().zip(numbers(&golden[key])) {
                assert!((g - w).abs() <= tolerance * w.abs().max(1.0), "{key}: {g} against {w}");
            }
        }
    }

    #[test]
    fn too_little_to_stand_on() {
        let nan = f64::NAN;
        assert_eq!(bridge(Fill::Cubic, 1, &[1.0], &[4.0, 4.0], 2), (vec![2.0, 3.0], Outcome::Line));
        assert_eq!(bridge(Fill::Ar, 1, &[1.0; 3], &[4.0; 30], 2), (vec![2.0, 3.0], Outcome::Line));
        assert_eq!(bridge(Fill::Ar, 1, &[9.0, 9.0, 9.0, nan, 1.0], &[4.0; 30], 2), (vec![2.0, 3.0], Outcome::Line));
        assert_eq!(bridge(Fill::Constant, 1, &[1.0], &[4.0], 2), (vec![2.0, 3.0], Outcome::Line));
        for fill in [Fill::Linear, Fill::Pchip, Fill::Cubic, Fill::Ar] {
            assert_eq!(bridge(fill, 1, &[], &[7.0; 9], 2), (vec![7.0; 2], Outcome::Held));
            assert_eq!(bridge(fill, 1, &[7.0; 9], &[nan; 9], 2), (vec![7.0; 2], Outcome::Held));
            assert_eq!(bridge(fill, 1, &[f64::INFINITY], &[], 2), (vec![0.0; 2], Outcome::Zeros));
            assert_eq!(bridge(fill, 1, &[3.5; 9], &[3.5; 9], 1), (vec![3.5], Outcome::AsAsked));
            let (held, _) = bridge(fill, 1, &[-5000.0; 30], &[-5000.0; 30], 70);
            assert!(held.iter().all(|v| (v + 5000.0).abs() < 1e-9), "{fill:?}");
        }
        // a missing nearest sample moves a knot outwards
        let (pchip, outcome) = bridge(Fill::Pchip, 1, &[-3.0, -2.0, nan], &[nan, 3.0, 4.0], 2);
        assert_eq!(outcome, Outcome::AsAsked);
        assert!(pchip[0].abs() < 1e-12 && (pchip[1] - 1.0).abs() < 1e-12, "{pchip:?}");
    }
}
