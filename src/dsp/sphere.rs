//! The potential of current dipoles in a sphere of concentric shells: a closed form for the head's lead field.
//!
//! Lengths are in units of the outermost radius, which keeps r^(2n+1) in range. With dipoles y (moment q) and a point x̂
//! on the surface (de Munck & Peters 1993, IEEE Trans Biomed Eng 40:1166–1174;
//! Zhang 1995, 10.1088/0031-9155/40/3/001):
//!
//! V = 1/(4πσ) Σₙ γₙ |y|ⁿ⁻¹ [ n α Pₙ(c) + (β − α c) Pₙ′(c) ],  α = q·ŷ, β = q·x̂, c = x̂·ŷ, σ of the outermost shell.
//!
//! For moments in A·m and a sphere of radius R (m), V/R² is in volts.

use crate::{Error, Result};
use nalgebra::DMatrix;
use std::f64::consts::PI;

/// One shell: everything inside `radius` and outside the previous shell has this conductivity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shell {
    /// Outer radius, any unit of length.
    pub radius: f64,
    /// Conductivity, S/m.
    pub conductivity: f64,
}

/// A conducting sphere of concentric shells.
#[derive(Debug, Clone)]
pub struct Sphere {
    gamma: Vec<f64>,
    /// Conductivity of the outermost shell, S/m.
    conductivity: f64,
}

impl Sphere {
    /// A sphere of `shells` from the inside out, its series cut after `terms` terms.
    ///
    /// # Errors
    /// When there is no shell or no term, when radii do not grow, or a value is not positive and finite.
    pub fn new(shells: &[Shell], terms: usize) -> Result<Self> {
        let positive = |v: f64| v.is_finite() && v > 0.0;
        let sound = shells.iter().all(|s| positive(s.radius) && positive(s.conductivity))
            && shells.windows(2).all(|w| w[0].radius < w[1].radius);
        let Some(outermost) = shells.last().filter(|_| sound && terms > 0) else {
            return Err(Error::usage("a sphere needs shells of growing radius, positive conductivity and a term"));
        };
        Ok(Self { gamma: gamma(shells, outermost.radius, terms), conductivity: outermost.conductivity })
    }

    /// Brain, skull and scalp as SOUND takes them: radii 81, 85 and 88 mm, 0.33 S/m with a skull of 0.33 · `skull`
    /// S/m, 30 terms (SOUND, Mutanen et al. 2018, 10.1016/j.neuroimage.2017.10.021: `skull` 1/100; SSP-SIR, Mutanen et
    /// al. 2016, NeuroImage 139:157–166: 1/50). For dipoles at 76/88 of the radius 30 terms leave 0.4 %.
    ///
    /// # Errors
    /// When `skull` is not positive and finite.
    pub fn head(skull: f64) -> Result<Self> {
        let shell = |radius, conductivity| Shell { radius, conductivity };
        Self::new(&[shell(81.0, 0.33), shell(85.0, 0.33 * skull), shell(88.0, 0.33)], 30)
    }

    /// γₙ for n = 1, 2, …
    pub fn gamma(&self) -> &[f64] {
        &self.gamma
    }

    /// The potential at the surface point in direction `electrode` of a dipole at `place` (inside the innermost shell,
    /// in units of the outermost radius) with moment `moment`, in 1/(S/m) per squared radius.
    pub fn potential(&self, electrode: [f64; 3], place: [f64; 3], moment: [f64; 3]) -> f64 {
        let x = unit(electrode);
        let depth = dot(place, place).sqrt();
        // in the centre only n = 1 remains, and any direction will do
        let y = if depth > 0.0 { place.map(|v| v / depth) } else { x };
        let (alpha, beta, c) = (dot(moment, y), dot(moment, x), dot(x, y).clamp(-1.0, 1.0));
        let (mut p0, mut p1, mut d0, mut d1) = (1.0, c, 0.0, 1.0);
        let (mut sum, mut power) = (0.0, 1.0);
        for (n, gamma) in (1_u32..).zip(&self.gamma) {
            let n = f64::from(n);
            sum += gamma * power * (n * alpha * p1 + (beta - alpha * c) * d1);
            power *= depth;
            (p0, p1, d0, d1) = (p1, ((2.0 * n + 1.0) * c * p1 - n * p0) / (n + 1.0), d1, d0 + (2.0 * n + 1.0) * p1);
        }
        sum / (4.0 * PI * self.conductivity)
    }

    /// The lead field (electrodes × dipoles) of radial unit dipoles in `directions`, all at distance `depth` (in units
    /// of the outermost radius) from the centre.
    pub fn radial_lead_field(&self, electrodes: &[[f64; 3]], directions: &[[f64; 3]], depth: f64) -> DMatrix<f64> {
        let scale = 1.0 / (4.0 * PI * self.conductivity);
        let mut weights = Vec::with_capacity(self.gamma.len());
        let mut power = scale;
        for (n, gamma) in (1_u32..).zip(&self.gamma) {
            weights.push(gamma * power * f64::from(n));
            power *= depth;
        }
        let (electrodes, directions): (Vec<_>, Vec<_>) =
            (electrodes.iter().map(|&e| unit(e)).collect(), directions.iter().map(|&d| unit(d)).collect());
        DMatrix::from_fn(electrodes.len(), directions.len(), |e, d| {
            let c = dot(electrodes[e], directions[d]).clamp(-1.0, 1.0);
            let (mut p0, mut p1, mut sum) = (1.0, c, 0.0);
            for (n, weight) in (1_u32..).zip(&weights) {
                let n = f64::from(n);
                sum += weight * p1;
                (p0, p1) = (p1, ((2.0 * n + 1.0) * c * p1 - n * p0) / (n + 1.0));
            }
            sum
        })
    }
}

/// γₙ, n = 1…`terms`: the field of degree n is carried from shell to shell by a 2 × 2 matrix (potential and normal
/// current are continuous), and no current leaves the outermost one.
fn gamma(shells: &[Shell], outer: f64, terms: usize) -> Vec<f64> {
    let degree = |n: usize| {
        let power = 2 * n as i32 + 1;
        let n = n as f64;
        let (mut c11, mut c21) = (1.0, 0.0);
        for pair in shells.windows(2) {
            let (inner, next) = (pair[0].conductivity, pair[1].conductivity);
            let r = (pair[0].radius / outer).powi(power);
            let scale = 1.0 / ((2.0 * n + 1.0) * next);
            let (a, b) = (n * inner + (n + 1.0) * next, (n + 1.0) * (next - inner) / r);
            let (c, d) = (n * r * (next - inner), (n + 1.0) * inner + n * next);
            (c11, c21) = (scale * (a * c11 + b * c21), scale * (c * c11 + d * c21));
        }
        (2.0 * n + 1.0) / (n + 1.0) / (n / (n + 1.0) * c11 - c21)
    };
    (1..=terms).map(degree).collect()
}

/// `count` nearly evenly spread directions (x, y, z): a golden-angle spiral from pole to pole.
pub fn fibonacci(count: usize) -> Vec<[f64; 3]> {
    let golden = PI * (1.0 + 5_f64.sqrt());
    let point = |i: usize| {
        let i = i as f64 + 0.5;
        let z = 1.0 - 2.0 * i / count as f64;
        let (sin, cos) = (golden * i).sin_cos();
        let r = ((1.0 - z) * (1.0 + z)).sqrt();
        [cos * r, sin * r, z]
    };
    (0..count).map(point).collect()
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn unit(v: [f64; 3]) -> [f64; 3] {
    let length = dot(v, v).sqrt();
    if length > 0.0 { v.map(|x| x / length) } else { [0.0, 0.0, 1.0] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn golden() -> Value {
        let text =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/sphere.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    }

    fn triples(value: &Value) -> Vec<[f64; 3]> {
        value.as_array().unwrap().iter().map(|v| numbers(v).try_into().unwrap()).collect()
    }

    #[track_caller]
    fn close(a: f64, b: f64, relative: f64) {
        assert!((a - b).abs() <= relative * b.abs(), "{a} against {b}");
    }

    /// Against the boundary conditions solved as one linear system per degree (NumPy); the single values come from a
    /// separate program for the recursion.
    #[test]
    fn gamma_solves_the_boundary_conditions() {
        let golden = golden();
        for (key, skull) in [("gamma_skull_1_100", 0.01), ("gamma_skull_1_50", 0.02)] {
            let sphere = Sphere::head(skull).unwrap();
            let want = numbers(&golden[key]);
            assert_eq!(want.len(), 30);
            sphere.gamma().iter().zip(&want).for_each(|(a, b)| close(*a, *b, 1e-11));
        }
        close(Sphere::head(0.01).unwrap().gamma()[0], 2.4799178012958434, 1e-12);
        close(Sphere::head(0.02).unwrap().gamma()[29], 0.18585436925339385, 1e-12);
        // any number of shells of one conductivity is one shell, and for that γₙ = (2n + 1)/n
        let alike = Sphere::head(1.0).unwrap();
        let one = Sphere::new(&[Shell { radius: 0.088, conductivity: 0.33 }], 30).unwrap();
        for (n, (a, b)) in (1_u32..).zip(alike.gamma().iter().zip(one.gamma())) {
            close(*a, f64::from(2 * n + 1) / f64::from(n), 1e-13);
            close(*a, *b, 1e-13);
        }
    }

    /// For one shell the series has the sum q · [2(x − y)/d³ + (x + (x − y)/d)/(1 − x·y + d)]/(4πσ), d = |x − y|.
    #[test]
    fn one_shell_agrees_with_its_closed_form() {
        let sphere = Sphere::new(&[Shell { radius: 1.0, conductivity: 0.33 }], 120).unwrap();
        let places = fibonacci(17);
        for (i, &x) in fibonacci(23).iter().enumerate() {
            let y = places[i % 17].map(|v| v * 0.65 * i as f64 / 23.0);
            let q = places[(5 * i + 3) % 17];
            let apart = [x[0] - y[0], x[1] - y[1], x[2] - y[2]];
            let d = dot(apart, apart).sqrt();
            let (a, b) = (dot(q, apart), 1.0 - dot(x, y) + d);
            let want = (2.0 * a / d.powi(3) + (dot(q, x) + a / d) / b) / (4.0 * PI * 0.33);
            let got = sphere.potential(x, y, q);
            assert!((got - want).abs() < 1e-12 * (1.0 + want.abs()), "{got} against {want}");
        }
    }

    #[test]
    fn radial_lead_field_matches_the_reference() {
        let electrodes = [
            [0.0, 0.0, 1.0],
            [1.0, 0.0, 0.2],
            [-1.0, 0.0, 0.2],
            [0.0, 1.0, 0.2],
            [0.0, -1.0, 0.2],
            [0.7, 0.7, 0.6],
            [-0.7, 0.7, 0.6],
            [0.1, -0.7, 0.7],
        ];
        let sphere = Sphere::head(0.01).unwrap();
        let dipoles = fibonacci(2000);
        let field = sphere.radial_lead_field(&electrodes, &dipoles, 76.0 / 88.0);
        close(field[(0, 0)], 4.48478223761339, 1e-12);
        close(field[(1, 999)], -0.16774344475892358, 1e-11);
        let gram = &field * field.transpose();
        close(gram.trace(), 4623.400110922228, 1e-12);
        close(gram[(0, 0)], 577.8591579402705, 1e-12);
        close(gram[(0, 1)], -27.739242552790255, 1e-11);
        // the general dipole, pointed outwards, is the radial one
        for (e, d) in [(0, 0), (3, 700), (7, 1999)] {
            let place = dipoles[d].map(|v| v * 76.0 / 88.0);
            close(sphere.potential(electrodes[e], place, dipoles[d]), field[(e, d)], 1e-11);
        }
    }

    /// MNE-Python puts three equivalent dipoles into one shell (Berg & Scherg 1994); both approximate the same sphere.
    #[test]
    fn general_dipoles_agree_with_mne() {
        let golden = &golden()["mne"];
        let shells: Vec<_> =
            triples(&golden["shells"]).iter().map(|s| Shell { radius: s[0], conductivity: s[1] }).collect();
        let sphere = Sphere::new(&shells, 80).unwrap();
        let (electrodes, places) = (triples(&golden["electrodes"]), triples(&golden["places"]));
        let want = numbers(&golden["potential"]);
        let (mut error, mut size) = (0.0, 0.0);
        for (e, &x) in electrodes.iter().enumerate() {
            for (d, &y) in places.iter().enumerate() {
                for axis in 0..3 {
                    let mut q = [0.0; 3];
                    q[axis] = 1.0;
                    let want = want[(e * places.len() + d) * 3 + axis];
                    error += (sphere.potential(x, y, q) - want).powi(2);
                    size += want * want;
                }
            }
        }
        let off = (error / size).sqrt();
        assert!(off < 0.005, "{off}");
    }

    #[test]
    fn thirty_terms_suffice_for_cortical_dipoles() {
        let shell = |radius, conductivity| Shell { radius, conductivity };
        let shells = [shell(81.0, 0.33), shell(85.0, 0.0033), shell(88.0, 0.33)];
        let (electrodes, dipoles) = (fibonacci(60), fibonacci(500));
        let field = |terms| Sphere::new(&shells, terms).unwrap().radial_lead_field(&electrodes, &dipoles, 76.0 / 88.0);
        let (short, long) = (field(30), field(200));
        let off = (short - &long).norm() / long.norm();
        assert!(off > 1e-6 && off < 0.005, "{off}");
    }

    #[test]
    fn a_dipole_in_the_centre_has_one_term() {
        let sphere = Sphere::new(&[Shell { radius: 1.0, conductivity: 1.0 }], 10).unwrap();
        close(sphere.potential([0.0, 0.0, 1.0], [0.0; 3], [0.0, 0.0, 1.0]), 3.0 / (4.0 * PI), 1e-14);
        assert!(sphere.potential([1.0, 0.0, 0.0], [0.0; 3], [0.0, 0.0, 1.0]).abs() < 1e-15);
    }

    #[test]
    fn impossible_spheres_are_refused() {
        let shell = |radius, conductivity| Shell { radius, conductivity };
        assert!(Sphere::new(&[], 10).is_err());
        assert!(Sphere::new(&[shell(1.0, 0.3)], 0).is_err());
        assert!(Sphere::new(&[shell(1.0, 0.3), shell(0.9, 0.3)], 10).is_err());
        assert!(Sphere::head(f64::NAN).is_err() && Sphere::head(0.0).is_err());
    }
}
