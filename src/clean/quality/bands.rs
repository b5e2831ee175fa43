//! Sums over windows, boiled down to the bands that are compared.

use super::demodulate::Spectra;
use super::plan::{Group, HARMONICS, OTHERS};
use crate::dsp::fft::Complex;
use std::ops::Range;

/// Bins of a harmonic itself on either side: the main lobe of a Hann window.
const CORE: usize = 1;
/// Bands that are compared: the harmonics; then beside the fundamental breathing (both sides, above, below), heart, and the others.
pub(super) const BANDS: usize = HARMONICS + 4 + OTHERS;
pub(super) const BREATHING: Range<usize> = HARMONICS..HARMONICS + 3;
pub(super) const HEART: Range<usize> = HARMONICS + 3..HARMONICS + 4;
pub(super) const OTHER: Range<usize> = HARMONICS + 4..BANDS;

/// Squared correlation of Hann-windowed transforms 0, 1, 2 bins apart.
const NEIGHBOURS: [f64; 3] = [1.0, 4.0 / 9.0, 1.0 / 36.0];

/// Power in a band: the mean over windows of the sum over bins, and its variance over its square. NaN where there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Band {
    pub power: f64,
    pub spread: f64,
}

const NO_BAND: Band = Band { power: f64::NAN, spread: f64::NAN };

/// Independent windows among `n` that overlap by half: the squared correlation of two neighbours is 1/36 (Welch 1967,
/// 10.1109/TAU.1967.1161901).
fn independent(n: u32) -> f64 {
    let n = f64::from(n);
    n / (1.0 + 2.0 * (1.0 - 1.0 / n) / 36.0)
}

/// Σ_jk p_j p_k ρ_jk²: the square of a sum's standard deviation, for one window.
fn variance(p: &[f64]) -> f64 {
    let lagged = |d: usize| p.iter().zip(p.iter().skip(d)).map(|(a, b)| a * b).sum::<f64>();
    NEIGHBOURS.iter().enumerate().map(|(d, share)| share * lagged(d) * if d == 0 { 1.0 } else { 2.0 }).sum()
}

impl Band {
    /// Of the sums over `windows` windows in runs of neighbouring bins; runs are far from each other.
    fn of(runs: &[&[f64]], windows: u32) -> Self {
        let sum: f64 = runs.iter().map(|p| p.iter().sum::<f64>()).sum();
        let square: f64 = runs.iter().map(|p| variance(p)).sum();
        if sum > 0.0 && windows > 0 {
            Self { power: sum / f64::from(windows), spread: square / (sum * sum) / independent(windows) }
        } else {
            NO_BAND
        }
    }

    /// Degrees of freedom of a χ² with this relative variance.
    pub fn freedom(&self) -> f64 {
        2.0 / self.spread
    }
}

/// How much of the sidebands lies along the carrier. With z = I + iQ in the frame of the carrier, upper and lower sideband of the
/// same distance are U = Z\[b\] and L = Z\[−b\], and Σ U L over windows is the part of the power by which I exceeds Q: 0 for what
/// the brain adds by itself (circular), U L > 0 for amplitude modulation, < 0 for phase modulation (Schreier and Scharf 2010,
/// 10.1017/CBO9780511815911, ch. 2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Improper {
    /// Re Σ U L / √(Σ|U|² Σ|L|²), the mean over the bins: −1…1. Each bin by its own power, so that a peak of the brain's on one side
    /// does not outweigh the rest.
    pub r: f64,
    /// Under circular noise r is a correlation coefficient of that many degrees of freedom.
    pub freedom: f64,
}

impl Improper {
    fn of(power: &[f64], pairs: &[Complex], windows: u32, bins: Range<usize>, carrier: f64) -> Self {
        let middle = power.len() / 2;
        let n = bins.len() as f64;
        let turned = Complex::from_polar(1.0, -2.0 * carrier);
        let r =
            bins.clone().map(|b| (pairs[b] * turned).re / (power[middle + b] * power[middle - b]).sqrt()).sum::<f64>()
                / n;
        let ones = [1.0; 64];
        let spread = variance(&ones[..bins.len().min(64)]) / (n * n) / (2.0 * independent(windows));
        Self { r, freedom: (1.0 / spread - 1.0).max(1.0) }
    }
}

/// One channel in one stretch, or in all without stimulation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bands {
    pub windows: u32,
    pub spoilt: u32,
    pub bands: [Band; BANDS],
    /// Breathing, heart.
    pub improper: [Improper; 2],
}

impl Bands {
    /// Nothing has been seen.
    pub fn none() -> Self {
        let improper = Improper { r: f64::NAN, freedom: 1.0 };
        Self { windows: 0, spoilt: 0, bands: [NO_BAND; BANDS], improper: [improper; 2] }
    }

    /// `carrier`: the phase of the artefact in the frame of the demodulation.
    pub fn of(spectra: &Spectra, channel: usize, group: &Group, carrier: f64) -> Self {
        let windows = spectra.windows[channel];
        let mut bands = [NO_BAND; BANDS];
        for (k, band) in bands.iter_mut().enumerate().take(group.oscillators.len()) {
            let power = spectra.power(channel, k);
            let middle = power.len() / 2;
            *band = Band::of(&[&power[middle - CORE..=middle + CORE]], windows);
        }
        let power = spectra.power(channel, 0);
        let middle = power.len() / 2;
        let above = |bins: &Range<usize>| &power[middle + bins.start..middle + bins.end];
        let below = |bins: &Range<usize>| &power[middle + 1 - bins.end..middle + 1 - bins.start];
        let (breathing, heart) = (&group.breathing, &group.heart);
        let sides = [
            Band::of(&[above(breathing), below(breathing)], windows),
            Band::of(&[above(breathing)], windows),
            Band::of(&[below(breathing)], windows),
            Band::of(&[above(heart), below(heart)], windows),
        ];
        bands[HARMONICS..OTHER.start].copy_from_slice(&sides);
        for (band, bins) in bands[OTHER].iter_mut().zip(&group.others) {
            *band = Band::of(&[above(bins), below(bins)], windows);
        }
        let pairs = spectra.pairs(channel, 0);
        let improper = [breathing, heart].map(|bins| Improper::of(power, pairs, windows, bins.clone(), carrier));
        Self { windows, spoilt: spectra.spoilt[channel], bands, improper }
    }
}
