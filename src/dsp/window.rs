//! Taper windows, with SciPy's definitions (`scipy.signal.windows`).

use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// A taper of unit peak.
///
/// The cosine windows are `Σ aₖ cos(kφ)` with φ from −π to π (Harris 1978, 10.1109/PROC.1978.10837); Kaiser's is
/// `I₀(β √(1 − x²)) / I₀(β)` with x from −1 to 1 (Kaiser & Schafer 1980, 10.1109/TASSP.1980.1163349).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// All ones.
    Boxcar,
    /// `0.5 + 0.5 cos φ`.
    Hann,
    /// `0.54 + 0.46 cos φ`.
    Hamming,
    /// `0.42 + 0.5 cos φ + 0.08 cos 2φ`.
    Blackman,
    /// Kaiser's window with this β (≥ 0).
    Kaiser(f64),
    /// `exp(−n² / 2σ²)`, σ in samples (> 0).
    Gaussian(f64),
}

/// Where a window's period ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symmetry {
    /// First and last sample are equal: for filter design.
    Symmetric,
    /// One sample of a symmetric window of `n + 1` left out: for spectra.
    Periodic,
}

impl Window {
    /// The window's `n` samples.
    pub fn samples(self, n: usize, symmetry: Symmetry) -> Vec<f64> {
        if n <= 1 {
            return vec![1.0; n];
        }
        let m = match symmetry {
            Symmetry::Symmetric => n,
            Symmetry::Periodic => n + 1,
        };
        let half = (m - 1) as f64 / 2.0;
        // from −1 to 1, exactly mirrored so that the taps of a filter are exactly symmetric
        let at = |i: usize| (i as f64 - half) / half;
        (0..n)
            .map(|i| {
                let x = at(i);
                match self {
                    Self::Boxcar => 1.0,
                    Self::Hann => 0.5 + 0.5 * (PI * x).cos(),
                    Self::Hamming => 0.54 + (1.0 - 0.54) * (PI * x).cos(),
                    Self::Blackman => 0.42 + 0.5 * (PI * x).cos() + 0.08 * (2.0 * PI * x).cos(),
                    Self::Kaiser(beta) => bessel_i0(beta * (1.0 - x * x).max(0.0).sqrt()) / bessel_i0(beta),
                    Self::Gaussian(sd) => (-(x * half / sd).powi(2) / 2.0).exp(),
                }
            })
            .collect()
    }
}

/// Modified Bessel function of the first kind, order 0: `Σ ((x/2)ᵏ / k!)²` (Abramowitz & Stegun 9.6.12).
///
/// All terms are positive, so that the sum is exact to a few ulp; it overflows above |x| ≈ 713.
pub fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-17 && k < 2000.0 {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden() -> serde_json::Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/fir.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn windows_are_scipys() {
        for case in golden()["windows"].as_array().unwrap() {
            let parameter = case["parameter"].as_f64().unwrap_or(f64::NAN);
            let window = match case["name"].as_str().unwrap() {
                "boxcar" => Window::Boxcar,
                "hann" => Window::Hann,
                "hamming" => Window::Hamming,
                "blackman" => Window::Blackman,
                "kaiser" => Window::Kaiser(parameter),
                "gaussian" => Window::Gaussian(parameter),
                other => panic!("{other}"),
            };
            let symmetry = if case["periodic"].as_bool().unwrap() { Symmetry::Periodic } else { Symmetry::Symmetric };
            let want: Vec<f64> = serde_json::from_value(case["samples"].clone()).unwrap();
            let got = window.samples(want.len(), symmetry);
            for (i, (g, w)) in got.iter().zip(&want).enumerate() {
                assert!((g - w).abs() < 1e-14, "{window:?} {symmetry:?} n {} at {i}: {g} {w}", want.len());
            }
        }
    }

    #[test]
    fn symmetric_windows_mirror_to_the_bit() {
        for window in [Window::Hann, Window::Hamming, Window::Blackman, Window::Kaiser(5.0), Window::Gaussian(7.0)] {
            let w = window.samples(102, Symmetry::Symmetric);
            assert!((0..102).all(|i| w[i].to_bits() == w[101 - i].to_bits()), "{window:?}");
        }
        assert_eq!(Window::Hann.samples(1, Symmetry::Symmetric), [1.0]);
        assert!(Window::Hann.samples(0, Symmetry::Periodic).is_empty());
    }

    #[test]
    fn bessel_at_known_points() {
        // Abramowitz & Stegun, table 9.8: e^-x I0(x) at 1 and 10
        assert!((bessel_i0(1.0) * (-1.0f64).exp() - 0.465_759_607_6).abs() < 1e-10);
        assert!((bessel_i0(10.0) * (-10.0f64).exp() - 0.127_833_337_2).abs() < 1e-10);
        assert_eq!(bessel_i0(0.0), 1.0);
    }
}
