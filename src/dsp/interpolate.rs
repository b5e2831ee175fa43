//! Curves through given points: straight lines and the monotone cubic of Fritsch and Carlson.

/// A point of a curve with its slope there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Knot {
    /// Where.
    pub x: f64,
    /// The value.
    pub y: f64,
    /// dy/dx.
    pub slope: f64,
}

/// The straight line through two points (x, y), at `at`.
pub fn line(from: (f64, f64), to: (f64, f64), at: f64) -> f64 {
    from.1 + (at - from.0) * ((to.1 - from.1) / (to.0 - from.0))
}

/// Piecewise linear interpolation of `y` over increasing `x`, held constant beyond the ends. NaN without points.
pub fn linear(x: &[f64], y: &[f64], at: f64) -> f64 {
    let n = x.len().min(y.len());
    let right = x[..n].partition_point(|&v| v <= at);
    match (n, right) {
        (0, _) => f64::NAN,
        (_, 0) => y[0],
        (n, right) if right == n => y[n - 1],
        (_, right) => line((x[right - 1], y[right - 1]), (x[right], y[right]), at),
    }
}

/// The cubic with the given values and slopes at both knots, at `at` (Hermite form).
pub fn hermite(left: Knot, right: Knot, at: f64) -> f64 {
    let h = right.x - left.x;
    let t = at - left.x;
    let chord = (right.y - left.y) / h;
    // powers of t as in a Newton form: exact at the left knot
    let bend = (left.slope + right.slope - 2.0 * chord) / h;
    let c2 = (chord - left.slope) / h - bend;
    left.y + t * (left.slope + t * (c2 + t * bend / h))
}

/// Slopes of the monotone piecewise cubic through (`x`, `y`), `x` increasing: inside, a weighted harmonic mean of the
/// neighbouring chords, 0 at extrema and beside flat stretches; at the ends a one-sided three-point formula that keeps the shape.
///
/// Two points give their chord, one gives 0. The slope at a point depends on its direct neighbours alone (at an end: on two).
///
/// Fritsch FN, Butland J (1984), SIAM J Sci Stat Comput 5:300–304, 10.1137/0905021; Moler, *Numerical computing with MATLAB*
/// (2004), for the ends. As SciPy's `PchipInterpolator`.
///
/// # Panics
/// When the three slices differ in length.
pub fn pchip_slopes(x: &[f64], y: &[f64], slopes: &mut [f64]) {
    assert!(x.len() == y.len() && x.len() == slopes.len(), "pchip: as many slopes as points");
    let n = x.len();
    let width = |i: usize| x[i + 1] - x[i];
    let chord = |i: usize| (y[i + 1] - y[i]) / width(i);
    match n {
        0 => {}
        1 => slopes[0] = 0.0,
        2 => slopes.fill(chord(0)),
        _ => {
            for (i, slope) in slopes.iter_mut().enumerate().take(n - 1).skip(1) {
                *slope = inner_slope(width(i - 1), width(i), chord(i - 1), chord(i));
            }
            slopes[0] = end_slope(width(0), width(1), chord(0), chord(1));
            slopes[n - 1] = end_slope(width(n - 2), width(n - 3), chord(n - 2), chord(n - 3));
        }
    }
}

/// Values at `at` of the monotone piecewise cubic through (`x`, `y`); NaN outside the points or with fewer than two.
pub fn pchip(x: &[f64], y: &[f64], at: &[f64]) -> Vec<f64> {
    let mut slopes = vec![0.0; x.len()];
    pchip_slopes(x, y, &mut slopes);
    let knot = |i: usize| Knot { x: x[i], y: y[i], slope: slopes[i] };
    let inside = |v: f64| x.len() > 1 && v >= x[0] && v <= x[x.len() - 1];
    at.iter()
        .map(|&v| {
            if !inside(v) {
                return f64::NAN;
            }
            let right = x.partition_point(|&p| p <= v).clamp(1, x.len() - 1);
            hermite(knot(right - 1), knot(right), v)
        })
        .collect()
}

fn inner_slope(h0: f64, h1: f64, m0: f64, m1: f64) -> f64 {
    // also catches a product that underflows to 0
    if m0 == 0.0 || m1 == 0.0 || (m0 > 0.0) != (m1 > 0.0) {
        return 0.0;
    }
    let (w0, w1) = (2.0 * h1 + h0, h1 + 2.0 * h0);
    (w0 + w1) / (w0 / m0 + w1 / m1)
}

fn end_slope(h0: f64, h1: f64, m0: f64, m1: f64) -> f64 {
    let d = ((2.0 * h0 + h1) * m0 - h0 * m1) / (h0 + h1);
    if sign(d) != sign(m0) {
        0.0
    } else if sign(m0) != sign(m1) && d.abs() > 3.0 * m0.abs() {
        3.0 * m0
    } else {
        d
    }
}

fn sign(v: f64) -> i8 {
    i8::from(v > 0.0) - i8::from(v < 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::stats::tests::{golden, numbers};

    #[test]
    fn pchip_is_scipys() {
        let golden = golden();
        let short = golden["pchip_short"].as_array().unwrap();
        for case in short.iter().chain([&golden["pchip"]]) {
            let [x, y, at, want] = ["x", "y", "at", "value"].map(|k| numbers(&case[k]));
            for (got, want) in pchip(&x, &y, &at).iter().zip(want) {
                assert!((got - want).abs() < 1e-12, "{got} against {want}");
            }
        }
    }

    #[test]
    fn pchip_meets_its_points_and_stays_between_them() {
        let (x, y) = ([0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 10.0, 10.5, 3.0]);
        assert_eq!(pchip(&x, &y, &x), y);
        let at: Vec<_> = (0..=400).map(|i| f64::from(i) / 100.0).collect();
        for (x, v) in at.iter().zip(pchip(&x, &y, &at)) {
            let cell = (x.floor() as usize).min(3);
            let (lo, hi) = (y[cell].min(y[cell + 1]), y[cell].max(y[cell + 1]));
            assert!(v >= lo - 1e-12 && v <= hi + 1e-12);
        }
        assert!(pchip(&x, &y, &[-0.1, 4.1]).iter().all(|v| v.is_nan()));
        assert!(pchip(&[1.0], &[1.0], &[1.0])[0].is_nan() && pchip(&[], &[], &[1.0])[0].is_nan());
    }

    #[test]
    fn lines() {
        assert_eq!(line((1.0, 2.0), (3.0, 6.0), 2.0), 4.0);
        let (x, y) = ([0.0, 1.0, 3.0], [5.0, 7.0, -1.0]);
        let got: Vec<_> = [-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 9.0].map(|v| linear(&x, &y, v)).into();
        assert_eq!(got, [5.0, 5.0, 6.0, 7.0, 3.0, -1.0, -1.0]);
        assert!(linear(&[], &[], 0.0).is_nan());
    }
}
