//! Spherical splines: a smooth surface through values at points of a sphere (Perrin et al. 1989,
//! 10.1016/0013-4694(89)90180-6; corrigendum 1990, Electroenceph Clin Neurophysiol 76:565).

use std::f64::consts::PI;

/// What shapes a spline. The default is MNE-Python's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Added to the diagonal: above 0 the surface passes near the values, not through them.
    pub ridge: f64,
    /// Perrin's m: the higher, the smoother.
    pub stiffness: u32,
    /// Terms of the Legendre series.
    pub terms: u32,
}

impl Default for Shape {
    fn default() -> Self {
        Self { ridge: 1e-5, stiffness: 4, terms: 50 }
    }
}

/// Perrin's g for all terms at once: g(x) = 1/(4π) Σ (2n + 1) / (n (n + 1))^m Pₙ(x), n = 1….
#[derive(Debug, Clone)]
pub struct Kernel {
    factors: Vec<f64>,
}

impl Kernel {
    /// The kernel of a shape.
    pub fn new(shape: Shape) -> Self {
        let factor = |n: u32| {
            let n = f64::from(n);
            (2.0 * n + 1.0) / ((n * (n + 1.0)).powi(shape.stiffness as i32) * 4.0 * PI)
        };
        Self { factors: (1..=shape.terms).map(factor).collect() }
    }

    /// g of the cosine of the angle between two points.
    pub fn at(&self, cosine: f64) -> f64 {
        let (mut p0, mut p1, mut sum) = (1.0, cosine, 0.0);
        for (n, factor) in (1_u32..).zip(&self.factors) {
            let n = f64::from(n);
            sum += factor * p1;
            (p0, p1) = (p1, ((2.0 * n + 1.0) * cosine * p1 - n * p0) / (n + 1.0));
        }
        sum
    }
}

/// Weights that carry values from some of a fixed set of points to others of them. All storage is allocated once, so
/// that a new choice of points can be solved for where allocating is not allowed.
#[derive(Debug, Clone)]
pub struct SphericalSpline {
    points: usize,
    ridge: f64,
    /// g between all points, points × points.
    gram: Vec<f64>,
    /// Cholesky factor of the chosen part, lower, row by row.
    factor: Vec<f64>,
    /// Solution for the constant: G⁻¹ 1.
    ones: Vec<f64>,
}

impl SphericalSpline {
    /// A spline over points given by vectors of any length but 0.
    pub fn new(points: &[[f64; 3]], shape: Shape) -> Self {
        let n = points.len();
        let unit = |p: &[f64; 3]| {
            let length = (p[0] * p[0] + p[1] * p[1] + p[2] * p[2]).sqrt();
            p.map(|v| v / length)
        };
        let units: Vec<_> = points.iter().map(unit).collect();
        let kernel = Kernel::new(shape);
        let mut gram = Vec::with_capacity(n * n);
        for a in &units {
            gram.extend(units.iter().map(|b| kernel.at(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])));
        }
        Self { points: n, ridge: shape.ridge, gram, factor: vec![0.0; n * (n + 1) / 2], ones: vec![0.0; n] }
    }

    /// Number of points.
    pub fn points(&self) -> usize {
        self.points
    }

    /// Weights (`to` rows × `from` columns, row by row, into the front of `weights`) so that the spline through the
    /// values at points `from` takes value Σ weights · values at points `to`. Every row sums to 1.
    ///
    /// `false`, with `weights` undefined, when there is no such spline: no points to go from, an index or the room
    /// in `weights` out of bounds, or equations that rounding has made singular. Allocates nothing.
    pub fn weights(&mut self, from: &[usize], to: &[usize], weights: &mut [f64]) -> bool {
        let (n, points) = (from.len(), self.points);
        let inside = from.iter().chain(to).all(|&p| p < points);
        if n == 0 || n > points || !inside || weights.len() < n * to.len() || !self.factorise(from) {
            return false;
        }
        // [G + ridge, 1; 1ᵀ, 0] [w; μ] = [g; 1]  ⇒  w = G⁻¹g − μ G⁻¹1,  μ = (1ᵀG⁻¹g − 1) / 1ᵀG⁻¹1
        let Self { gram, factor, ones, .. } = self;
        let ones = &mut ones[..n];
        ones.fill(1.0);
        solve(factor, ones);
        let total: f64 = ones.iter().sum();
        for (&target, row) in to.iter().zip(weights.chunks_exact_mut(n)) {
            for (w, &source) in row.iter_mut().zip(from) {
                *w = gram[target * points + source];
            }
            solve(factor, row);
            let mu = (row.iter().sum::<f64>() - 1.0) / total;
            row.iter_mut().zip(&*ones).for_each(|(w, one)| *w -= mu * one);
        }
        total.is_finite() && total > 0.0
    }

    /// Cholesky factor of G + ridge over the chosen points.
    fn factorise(&mut self, from: &[usize]) -> bool {
        let Self { points, ridge, gram, factor, .. } = self;
        for (i, &a) in from.iter().enumerate() {
            let at_i = i * (i + 1) / 2;
            for (j, &b) in from[..=i].iter().enumerate() {
                let at_j = j * (j + 1) / 2;
                let dot: f64 = factor[at_i..at_i + j].iter().zip(&factor[at_j..at_j + j]).map(|(x, y)| x * y).sum();
                let value = gram[a * *points + b] - dot;
                if i != j {
                    factor[at_i + j] = value / factor[at_j + j];
                } else {
                    let pivot = value + *ridge;
                    if !(pivot.is_finite() && pivot > 0.0) {
                        return false;
                    }
                    factor[at_i + i] = pivot.sqrt();
                }
            }
        }
        true
    }
}

/// Solves L Lᵀ x = b in place; L is packed row by row.
fn solve(factor: &[f64], b: &mut [f64]) {
    for i in 0..b.len() {
        let at = i * (i + 1) / 2;
        let dot: f64 = factor[at..at + i].iter().zip(&b[..i]).map(|(l, x)| l * x).sum();
        b[i] = (b[i] - dot) / factor[at + i];
    }
    for i in (0..b.len()).rev() {
        let at = i * (i + 1) / 2;
        b[i] /= factor[at + i];
        let x = b[i];
        b[..i].iter_mut().zip(&factor[at..at + i]).for_each(|(v, l)| *v -= l * x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn golden() -> Value {
        let text =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/spline.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    }

    #[test]
    fn g_is_that_of_mne() {
        let (golden, kernel) = (golden(), Kernel::new(Shape::default()));
        for (x, want) in numbers(&golden["cosine"]).into_iter().zip(numbers(&golden["g"])) {
            assert!((kernel.at(x) - want).abs() < 1e-16, "g({x}) = {}, want {want}", kernel.at(x));
        }
    }

    /// The system's condition is about 1e5, so two solvers agree to 1e-10.
    #[test]
    fn weights_are_those_of_mne() {
        for case in golden()["cases"].as_array().unwrap() {
            let places: Vec<[f64; 3]> =
                case["places"].as_array().unwrap().iter().map(|p| numbers(p).try_into().unwrap()).collect();
            let bad: Vec<usize> = numbers(&case["bad"]).into_iter().map(|b| b as usize).collect();
            let good: Vec<usize> = (0..places.len()).filter(|i| !bad.contains(i)).collect();
            let mut spline = SphericalSpline::new(&places, Shape::default());
            let mut weights = vec![f64::NAN; good.len() * bad.len()];
            assert!(spline.weights(&good, &bad, &mut weights));
            let want: Vec<f64> = case["weights"].as_array().unwrap().iter().flat_map(numbers).collect();
            assert_eq!(want.len(), weights.len());
            for (a, b) in weights.iter().zip(&want) {
                assert!((a - b).abs() < 1e-9, "{a} against {b} at {} points", places.len());
            }
        }
    }

    #[test]
    fn constants_and_known_points_come_back() {
        let places = crate::dsp::sphere::fibonacci(40);
        let mut spline = SphericalSpline::new(&places, Shape { ridge: 0.0, ..Shape::default() });
        let from: Vec<usize> = (0..30).collect();
        let mut weights = vec![0.0; 30 * 11];
        assert!(spline.weights(&from, &[4, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39], &mut weights));
        for row in weights.chunks_exact(30) {
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        }
        // without ridge the surface passes through its points
        for (i, w) in weights[..30].iter().enumerate() {
            assert!((w - f64::from(u8::from(i == 4))).abs() < 1e-8, "{i}: {w}");
        }
    }

    #[test]
    fn what_cannot_be_solved_is_said() {
        let mut spline = SphericalSpline::new(&crate::dsp::sphere::fibonacci(4), Shape::default());
        let mut weights = [0.0; 4];
        assert!(!spline.weights(&[], &[0], &mut weights));
        assert!(!spline.weights(&[0, 4], &[1], &mut weights));
        assert!(!spline.weights(&[0, 1, 2], &[3, 3], &mut weights));
        let mut twice = SphericalSpline::new(&[[0.0, 0.0, 1.0]; 2], Shape { ridge: 0.0, ..Shape::default() });
        assert!(!twice.weights(&[0, 1], &[0], &mut weights) || weights[0].is_finite());
        let mut nan = SphericalSpline::new(&[[0.0; 3], [0.0, 0.0, 1.0]], Shape::default());
        assert!(!nan.weights(&[0, 1], &[0], &mut weights));
    }
}
