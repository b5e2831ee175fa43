//! Least squares with few unknowns: straight lines and low polynomials, without a matrix and without allocation.

/// Highest order of a [`Polynomial`].
pub const MAX_ORDER: usize = 9;

/// A straight line `y = slope · x + intercept`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// dy/dx.
    pub slope: f64,
    /// Value at x = 0.
    pub intercept: f64,
}

impl Line {
    /// The least-squares line through points (x, y), in two passes: the mean first, then the slope about it.
    ///
    /// Points that share one x give slope 0 and their mean. `None` without points. A NaN makes the line NaN.
    pub fn fit(points: impl Iterator<Item = (f64, f64)> + Clone) -> Option<Self> {
        let (mut n, mut x_mean, mut y_mean) = (0.0, 0.0, 0.0);
        for (x, y) in points.clone() {
            n += 1.0;
            x_mean += x;
            y_mean += y;
        }
        if n == 0.0 {
            return None;
        }
        x_mean /= n;
        y_mean /= n;
        let (mut xx, mut xy) = (0.0, 0.0);
        for (x, y) in points {
            let dx = x - x_mean;
            xx += dx * dx;
            xy += dx * (y - y_mean);
        }
        let slope = if xx == 0.0 { 0.0 } else { xy / xx };
        Some(Self { slope, intercept: y_mean - slope * x_mean })
    }

    /// The line's value at `x`.
    pub fn value(&self, x: f64) -> f64 {
        self.slope * x + self.intercept
    }
}

/// A least-squares polynomial, held as a sum of polynomials that are orthogonal on its points.
///
/// With t the x shifted to their mean and scaled to about ±1: P₀ = 1, P_{k+1} = (t − α_k) P_k − β_k P_{k−1},
/// y = Σ c_k P_k. No normal equations: the condition of the powers of x does not enter.
///
/// Forsythe GE (1957), J SIAM 5:74–88, 10.1137/0105007.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Polynomial {
    order: usize,
    centre: f64,
    scale: f64,
    alpha: [f64; MAX_ORDER + 1],
    beta: [f64; MAX_ORDER + 1],
    weight: [f64; MAX_ORDER + 1],
}

impl Polynomial {
    /// Fits a polynomial of at most `order` to points (x, y).
    ///
    /// The order shrinks to the number of different x minus 1. `None` without points. A NaN makes every value NaN.
    ///
    /// # Panics
    /// When `order` exceeds [`MAX_ORDER`].
    pub fn fit(points: impl Iterator<Item = (f64, f64)> + Clone, order: usize) -> Option<Self> {
        assert!(order <= MAX_ORDER, "a polynomial of order {order}; the highest is {MAX_ORDER}");
        let (mut n, mut sum, mut lo, mut hi) = (0_usize, 0.0, f64::INFINITY, f64::NEG_INFINITY);
        for (x, _) in points.clone() {
            n += 1;
            sum += x;
            (lo, hi) = (lo.min(x), hi.max(x));
        }
        if n == 0 {
            return None;
        }
        let centre = sum / n as f64;
        let scale = if hi > lo { 2.0 / (hi - lo) } else { 1.0 };
        let zero = [0.0; MAX_ORDER + 1];
        let mut fit = Self { order: 0, centre, scale, alpha: zero, beta: zero, weight: zero };
        let mut norm_before = 1.0;
        for k in 0..=order.min(n - 1) {
            // projections of what the lower orders leave over, the norm of P_k and the next recurrence's α
            let (mut norm, mut shift, mut projection) = (0.0, 0.0, 0.0);
            for (x, y) in points.clone() {
                let t = fit.reduced(x);
                let (lower, p) = fit.lower_and_top(t, k);
                norm += p * p;
                shift += t * p * p;
                projection += (y - lower) * p;
            }
            // only rounding is left of P_k: the points have no more than k different x
            if k > 0 && norm <= 1e-24 * n as f64 {
                break;
            }
            fit.order = k;
            fit.weight[k] = projection / norm;
            fit.alpha[k] = shift / norm;
            fit.beta[k] = if k == 0 { 0.0 } else { norm / norm_before };
            norm_before = norm;
        }
        Some(fit)
    }

    /// The order that the points allowed.
    pub fn order(&self) -> usize {
        self.order
    }

    /// The polynomial's value at `x`.
    pub fn value(&self, x: f64) -> f64 {
        let (lower, top) = self.lower_and_top(self.reduced(x), self.order);
        lower + self.weight[self.order] * top
    }

    fn reduced(&self, x: f64) -> f64 {
        (x - self.centre) * self.scale
    }

    /// Σ_{j<k} c_j P_j(t) and P_k(t).
    fn lower_and_top(&self, t: f64, k: usize) -> (f64, f64) {
        let (mut before, mut p, mut lower) = (0.0, 1.0, 0.0);
        for j in 0..k {
            lower += self.weight[j] * p;
            (before, p) = (p, (t - self.alpha[j]) * p - self.beta[j] * before);
        }
        (lower, p)
    }
}

/// The least-squares polynomial of at most `order` through (`xs`, `ys`), as [`Polynomial::fit`]; surplus values are left out.
pub fn polyfit(xs: &[f64], ys: &[f64], order: usize) -> Option<Polynomial> {
    Polynomial::fit(xs.iter().copied().zip(ys.iter().copied()), order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::stats::tests::{golden, numbers};

    #[test]
    fn polynomials_are_those_of_numpy() {
        let golden = golden();
        let signal = numbers(&golden["signal"]);
        for case in golden["polyfit"].as_array().unwrap() {
            let [from, to, order] = ["from", "to", "order"].map(|k| case[k].as_u64().unwrap() as usize);
            // far from 0, as ticks are: the shift must take care of it
            for offset in [0.0, 1e7] {
                let xs: Vec<_> = (from..to).map(|i| i as f64 + offset).collect();
                let fit = polyfit(&xs, &signal[from..to], order).unwrap();
                for (x, want) in xs.iter().zip(numbers(&case["polyval"])) {
                    assert!((fit.value(*x) - want).abs() < 1e-9 * want.abs().max(1.0));
                }
                if order == 1 {
                    let line = Line::fit(xs.iter().copied().zip(signal[from..to].iter().copied())).unwrap();
                    let (got, want) = (line.value(xs[7]), fit.value(xs[7]));
                    assert!((got - want).abs() < 1e-6 && (offset > 0.0 || (got - want).abs() < 1e-12));
                }
            }
        }
    }

    #[test]
    fn a_polynomial_is_found_again() {
        let truth = |x: f64| 3.0 - 2.0 * x + 0.5 * x * x - 0.01 * x * x * x;
        let xs: Vec<_> = (0..30).filter(|i| !(10..20).contains(i)).map(f64::from).collect();
        let ys: Vec<_> = xs.iter().map(|&x| truth(x)).collect();
        let fit = polyfit(&xs, &ys, 3).unwrap();
        for i in 0..30 {
            assert!((fit.value(f64::from(i)) - truth(f64::from(i))).abs() < 1e-12 * 100.0);
        }
    }

    #[test]
    fn few_points_lower_the_order() {
        assert!(polyfit(&[], &[], 3).is_none() && Line::fit([].into_iter()).is_none());
        let one = polyfit(&[5.0], &[2.0], 3).unwrap();
        assert_eq!((one.order(), one.value(9.0)), (0, 2.0));
        let same = polyfit(&[5.0, 5.0, 5.0], &[1.0, 2.0, 6.0], 2).unwrap();
        assert_eq!((same.order(), same.value(0.0)), (0, 3.0));
        let two = polyfit(&[0.0, 1.0, 0.0, 1.0], &[0.0, 2.0, 0.0, 2.0], 3).unwrap();
        assert_eq!(two.order(), 1);
        assert!((two.value(2.0) - 4.0).abs() < 1e-12);
        let line = Line::fit([(5.0, 1.0), (5.0, 3.0)].into_iter()).unwrap();
        assert_eq!(line, Line { slope: 0.0, intercept: 2.0 });
    }
}
