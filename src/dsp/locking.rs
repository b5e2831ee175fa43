//! How far directions agree: phase-locking value, pairwise phase consistency, and what chance gives.

use std::f64::consts::PI;

/// A running sum of unit vectors `e^{iθ}`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Locking {
    /// Vectors.
    pub n: u64,
    /// `Σ cos θ`.
    pub cos: f64,
    /// `Σ sin θ`.
    pub sin: f64,
}

impl Locking {
    /// Adds the direction of `re + i im`; nothing where that is zero or not finite. Whether it was added.
    pub fn add(&mut self, re: f64, im: f64) -> bool {
        let size = re.hypot(im);
        let there = size > 0.0 && size.is_finite();
        if there {
            self.n += 1;
            self.cos += re / size;
            self.sin += im / size;
        }
        there
    }

    /// Phase-locking value `R = |Σ e^{iθ}| / n` (Lachaux et al. 1999, 10.1002/(SICI)1097-0193(1999)8:4<194::AID-HBM4>3.0.CO;2-C).
    pub fn plv(&self) -> Option<f64> {
        (self.n > 0).then(|| self.cos.hypot(self.sin) / self.n as f64)
    }

    /// The mean direction, radians.
    pub fn angle(&self) -> Option<f64> {
        (self.n > 0).then(|| self.sin.atan2(self.cos))
    }
}

/// Pairwise phase consistency of a phase-locking value of `n` independent directions, `(n R² − 1) / (n − 1)`: 0 on average
/// where there is no locking, however many they are (Vinck et al. 2010, 10.1016/j.neuroimage.2010.01.073).
pub fn consistency(plv: f64, n: f64) -> Option<f64> {
    (n > 1.0).then(|| (n * plv * plv - 1.0) / (n - 1.0))
}

/// The mean of the phase-locking value of `n` independent directions without locking, `√(π / 4n)`.
pub fn chance(n: f64) -> Option<f64> {
    (n > 0.0).then(|| (PI / (4.0 * n)).sqrt())
}

/// Rayleigh's test: how often `n` independent directions without locking agree as well. With the correction of Zar (1999,
/// Biostatistical Analysis, eq. 27.4), right to three digits from n = 5 on.
pub fn rayleigh(plv: f64, n: f64) -> Option<f64> {
    let sum = n * plv;
    (n > 1.0).then(|| ((1.0 + 4.0 * n + 4.0 * (n * n - sum * sum).max(0.0)).sqrt() - (1.0 + 2.0 * n)).exp().min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_forms() {
        let mut same = Locking::default();
        (0..8).for_each(|_| assert!(same.add(-3.0, 4.0)));
        assert!(!same.add(0.0, 0.0) && !same.add(f64::NAN, 1.0));
        assert!((same.plv().unwrap() - 1.0).abs() < 1e-15 && same.n == 8);
        assert!((same.angle().unwrap() - 4.0_f64.atan2(-3.0)).abs() < 1e-15);
        assert!((consistency(1.0, 8.0).unwrap() - 1.0).abs() < 1e-15);
        // three to one: |3 − 1| / 4
        let mut most = Locking::default();
        [1.0, 1.0, -2.0, 5.0].iter().for_each(|x| assert!(most.add(*x, 0.0)));
        assert_eq!((most.plv(), consistency(0.5, 4.0)), (Some(0.5), Some(0.0)));
        // (1/6) Σ over pairs of cos of their difference: 3 pairs agree, 3 oppose
        assert!((chance(30.0).unwrap() - 0.1618).abs() < 1e-4);
        assert_eq!((consistency(0.3, 1.0), Locking::default().plv(), chance(0.0)), (None, None, None));
        // Rayleigh for n = 20: z = 2.96 is the 5 % point in Zar's table B.34
        assert!((rayleigh((2.958_f64 / 20.0).sqrt(), 20.0).unwrap() - 0.05).abs() < 1e-3);
    }
}
