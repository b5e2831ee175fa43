//! Electrodes of a simulated cap, and what a dipole in a spherical head looks like at them.

use crate::dsp::sphere::{Sphere, fibonacci};
use crate::signal::montage;
use crate::{Error, Result};
use nalgebra::DMatrix;
use std::collections::HashMap;

/// Where the background's dipoles lie, in units of the head's radius. Cortex (76 of 88 mm) is active in patches, and a
/// patch looks like a dipole below it.
const PATCH_DEPTH: f64 = 0.75;

/// Caps of growing density, each with all electrodes of the ones before: 10-20, 32 and 64 channels.
const CAPS: &str = "Cz C3 C4 Fz Pz F3 F4 P3 P4 O1 O2 Fp1 Fp2 F7 F8 T7 T8 P7 P8 \
    FC1 FC2 CP1 CP2 FC5 FC6 CP5 CP6 Oz FCz POz AF3 AF4 \
    C1 C2 CP3 CP4 FC3 FC4 CPz C5 C6 F1 F2 P1 P2 F5 F6 P5 P6 PO3 PO4 AFz AF7 AF8 Fpz FT7 FT8 TP7 TP8 PO7 PO8 Iz PO9 PO10";

/// The electrodes of a cap and the head under them.
#[derive(Debug, Clone)]
pub(super) struct Scalp {
    pub names: Vec<String>,
    pub places: Vec<[f64; 3]>,
    head: Sphere,
}

impl Scalp {
    /// A cap of `count` electrodes, 2 to 345, from front to back: the 10-20 system, then 10-10, then 10-05.
    pub fn new(count: usize) -> Result<Self> {
        let all = montage::labels();
        if !(2..=all.len()).contains(&count) {
            return Err(Error::usage(format!("channels: a cap has 2 to {} electrodes, not {count}", all.len())));
        }
        let denser = |label: &str| label.contains('h') as u32;
        let mut chosen: Vec<&str> = CAPS.split_whitespace().collect();
        let rank: HashMap<&str, usize> = all.iter().enumerate().map(|(i, l)| (l.as_str(), i)).collect();
        let mut rest: Vec<&str> = all.iter().map(String::as_str).filter(|l| !chosen.contains(l)).collect();
        rest.sort_by_key(|l| denser(l));
        chosen.extend(rest);
        chosen.truncate(count);
        chosen.sort_by_key(|l| rank.get(l));
        let names: Vec<String> = chosen.into_iter().map(str::to_owned).collect();
        let places = names.iter().filter_map(|n| montage::position_of(n)).collect();
        Ok(Self { names, places, head: Sphere::head(1.0 / 50.0)? })
    }

    /// The map of a radial dipole under `direction` at `depth` (in units of the head's radius), in average reference,
    /// scaled to 1 where it is largest; and that electrode.
    pub fn dipole(&self, direction: [f64; 3], depth: f64) -> (Vec<f64>, usize) {
        let field = self.head.radial_lead_field(&self.places, &[direction], depth);
        let mean = field.mean();
        let map: Vec<f64> = field.iter().map(|v| v - mean).collect();
        let peak = (0..map.len()).max_by(|&a, &b| map[a].abs().total_cmp(&map[b].abs())).unwrap_or(0);
        let largest = if map[peak] == 0.0 { 1.0 } else { map[peak] };
        (map.into_iter().map(|v| v / largest).collect(), peak)
    }

    /// How near each electrode is to a place: 1 at it, falling with the angle as a Gaussian of `width` radians.
    pub fn nearness(&self, place: [f64; 3], width: f64) -> Vec<f64> {
        let angle = |p: &[f64; 3]| (p[0] * place[0] + p[1] * place[1] + p[2] * place[2]).clamp(-1.0, 1.0).acos();
        self.places.iter().map(|p| (-0.5 * (angle(p) / width).powi(2)).exp()).collect()
    }

    /// A matrix (channels × channels) that turns independent unit normals into what 2000 independent radial dipoles all
    /// around the head give, in average reference, with a mean variance of 1.
    pub fn cortical_mixing(&self) -> DMatrix<f64> {
        let n = self.places.len();
        let field = self.head.radial_lead_field(&self.places, &fibonacci(2000), PATCH_DEPTH);
        let mut covariance = &field * field.transpose();
        let ridge = covariance.trace() * 1e-9;
        (0..n).for_each(|i| covariance[(i, i)] += ridge);
        // positive definite by the ridge
        let mut mixing = covariance.cholesky().map_or_else(|| DMatrix::identity(n, n), |c| c.unpack());
        for mut column in mixing.column_iter_mut() {
            let mean = column.mean();
            column.add_scalar_mut(-mean);
        }
        let power = mixing.norm_squared() / n as f64;
        mixing / power.sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_grow_and_stay_distinct() {
        for count in [2, 8, 19, 32, 64, 65, 128, 345] {
            let scalp = Scalp::new(count).unwrap();
            assert_eq!((scalp.names.len(), scalp.places.len()), (count, count));
            let distinct: std::collections::HashSet<_> = scalp.names.iter().collect();
            assert_eq!(distinct.len(), count);
        }
        assert!(
            Scalp::new(19)
                .unwrap()
                .names
                .iter()
                .all(|n| "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2".contains(n.as_str()))
        );
        assert!(Scalp::new(1).is_err() && Scalp::new(346).is_err());
    }

    #[test]
    fn a_radial_dipole_peaks_above_itself() {
        let scalp = Scalp::new(64).unwrap();
        for label in ["C3", "F4", "Pz", "O2"] {
            let (map, peak) = scalp.dipole(montage::position_of(label).unwrap(), 0.75);
            assert_eq!((scalp.names[peak].as_str(), map[peak]), (label, 1.0));
            assert!(map.iter().sum::<f64>().abs() < 1e-12);
        }
    }

    #[test]
    fn the_background_is_smooth_over_the_scalp() {
        let scalp = Scalp::new(64).unwrap();
        let mixing = scalp.cortical_mixing();
        let covariance = &mixing * mixing.transpose();
        let at = |n: &str| scalp.names.iter().position(|x| x == n).unwrap();
        let r = |a, b| covariance[(at(a), at(b))] / (covariance[(at(a), at(a))] * covariance[(at(b), at(b))]).sqrt();
        assert!(r("C3", "C1") > 0.6, "{}", r("C3", "C1"));
        assert!(r("C3", "C1") > r("C3", "Cz") && r("C3", "Cz") > r("C3", "C4"));
        assert!((covariance.trace() / 64.0 - 1.0).abs() < 1e-12);
    }
}
