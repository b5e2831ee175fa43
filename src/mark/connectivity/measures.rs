//! Measures that are functions of a pair's sums over epochs, bin by bin. S: cross-spectrum of an epoch, u = S/|S|, n: epochs,
//! bars: means over epochs.
//!
//! | name | is | source |
//! |---|---|---|
//! | `coh`, `msc` | \|ΣS\| / √(ΣS_aa ΣS_bb), and its square | |
//! | `cohy_re`, `cohy_im`, `imcoh` | parts of ΣS / √(ΣS_aa ΣS_bb); the last two are the same, signed | Nolte 2004, 10.1016/j.clinph.2004.04.029 |
//! | `plv` | \|ū\| | Lachaux 1999 |
//! | `ciplv` | \|Im ū\| / √(1 − Re² ū) | Bruña 2018, 10.1088/1741-2552/aacfe4 |
//! | `ppc` | (\|Σu\|² − n) / (n (n − 1)) | Vinck 2010, 10.1016/j.neuroimage.2010.01.073 |
//! | `pli`, `dpli` | \|mean sign Im S\|; share of epochs with Im S > 0, zeros half | Stam 2007; 2012, 10.1016/j.neuroimage.2012.05.050 |
//! | `pli2_unbiased` | (n PLI² − 1) / (n − 1) | Vinck 2011 |
//! | `wpli`, `wpli_signed` | \|ΣIm S\| / Σ\|Im S\|; with its sign | Vinck 2011, 10.1016/j.neuroimage.2011.01.055 |
//! | `wpli2_debiased` | ((ΣIm S)² − Σ(Im S)²) / ((Σ\|Im S\|)² − Σ(Im S)²) | Vinck 2011 |
//! | `psi` | Im Σ_f C*(f) C(f + δf) over the band, C the coherency | Nolte 2008, 10.1103/PhysRevLett.100.234101 |
//!
//! Nothing is clamped: the debiased ones may be negative. One epoch gives no measure over epochs: empty. A pair at zero lag
//! (copies) has `wpli`, `wpli2_debiased` and `ciplv` 0, not 0/0.

use crate::dsp::cross::{Bin, Sums};
use crate::dsp::fft::Complex;
use std::f64::consts::PI;

/// The measures, in the contract's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    Coh,
    Msc,
    CohyRe,
    CohyIm,
    Imcoh,
    Plv,
    Ciplv,
    Ppc,
    Pli,
    Pli2Unbiased,
    Dpli,
    Wpli,
    WpliSigned,
    Wpli2Debiased,
    Psi,
}

use Measure::*;

/// Names of the measures from cross-spectra; the last two are those between sets.
pub(super) const NAMES: [&str; 17] = [
    "coh",
    "msc",
    "cohy_re",
    "cohy_im",
    "imcoh",
    "plv",
    "ciplv",
    "ppc",
    "pli",
    "pli2_unbiased",
    "dpli",
    "wpli",
    "wpli_signed",
    "wpli2_debiased",
    "psi",
    "mic",
    "mim",
];
const MEASURES: [Measure; 15] =
    [Coh, Msc, CohyRe, CohyIm, Imcoh, Plv, Ciplv, Ppc, Pli, Pli2Unbiased, Dpli, Wpli, WpliSigned, Wpli2Debiased, Psi];

impl Measure {
    /// By name; `None` too for the measures between sets.
    pub fn named(name: &str) -> Option<Self> {
        MEASURES.get(NAMES.iter().position(|n| *n == name)?).copied()
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// Adds what it needs.
    pub fn needs(self, sums: &mut Sums) {
        match self {
            Coh | Msc | CohyRe | CohyIm | Imcoh | Psi => sums.power = true,
            Plv | Ciplv | Ppc => sums.phase = true,
            Pli | Pli2Unbiased | Dpli | Wpli | WpliSigned | Wpli2Debiased => sums.lag = true,
        }
    }

    /// What a value without direction or coupling is: how far a value has come is counted from here, on both sides where
    /// it can have either sign.
    pub fn distance(self, value: f64) -> f64 {
        match self {
            Dpli => (value - 0.5).abs(),
            CohyRe | CohyIm | Imcoh | WpliSigned | Psi => value.abs(),
            _ => value,
        }
    }

    /// The value in one bin after `n` epochs of `tapers` spectra each; NaN where it is not defined.
    pub fn value(self, bin: &Bin, n: f64, tapers: f64) -> f64 {
        let coherency = |part: f64| if n * tapers < 2.0 { f64::NAN } else { part / (bin.power_a * bin.power_b).sqrt() };
        let ratio = |part: f64, of: f64| if part == 0.0 { 0.0 } else { part / of };
        let modulus = (bin.re * bin.re + bin.im * bin.im).sqrt();
        match self {
            Coh => return coherency(modulus),
            Msc => return coherency(modulus).powi(2),
            CohyRe => return coherency(bin.re),
            CohyIm | Imcoh => return coherency(bin.im),
            _ if n < 2.0 => return f64::NAN,
            _ => {}
        }
        let unit = bin.unit_re * bin.unit_re + bin.unit_im * bin.unit_im;
        match self {
            Plv => unit.sqrt() / n,
            Ciplv => ratio((bin.unit_im / n).abs(), (1.0 - (bin.unit_re / n).powi(2)).sqrt()),
            Ppc => (unit - n) / (n * (n - 1.0)),
            Pli => bin.sign.abs() / n,
            Pli2Unbiased => (bin.sign * bin.sign / n - 1.0) / (n - 1.0),
            Dpli => (n + bin.sign) / (2.0 * n),
            Wpli => ratio(bin.im.abs(), bin.size),
            WpliSigned => ratio(bin.im, bin.size),
            Wpli2Debiased => ratio(bin.im * bin.im - bin.square, bin.size * bin.size - bin.square),
            _ => f64::NAN,
        }
    }

    /// Its mean over independent Gaussian signals, to leading order in 1/n; the real coherence and phase-locking values
    /// follow Rayleigh's distribution, those from signs a half-normal one. `wpli`: as many epochs whose imaginary parts
    /// have the same sizes but random signs.
    pub fn null(self, bin: &Bin, n: f64, tapers: f64) -> f64 {
        match self {
            Coh => (PI / (4.0 * n * tapers)).sqrt(),
            Msc => 1.0 / (n * tapers),
            Plv => (PI / (4.0 * n)).sqrt(),
            Ciplv => 1.0 / (PI * n).sqrt(),
            Pli => (2.0 / (PI * n)).sqrt(),
            Dpli => 0.5,
            Wpli => (2.0 / PI * bin.square).sqrt() / bin.size,
            CohyRe | CohyIm | Imcoh | Ppc | Pli2Unbiased | WpliSigned | Wpli2Debiased | Psi => 0.0,
        }
    }
}

/// The phase-slope index over successive bins.
pub(super) fn phase_slope(bins: impl Iterator<Item = Bin>, n: f64, tapers: f64) -> f64 {
    let mut last: Option<Complex> = None;
    let mut sum: Option<f64> = None;
    for bin in bins {
        let coherency = Complex::new(CohyRe.value(&bin, n, tapers), CohyIm.value(&bin, n, tapers));
        if let Some(last) = last {
            sum = Some(sum.unwrap_or(0.0) + (last.conj() * coherency).im);
        }
        last = Some(coherency);
    }
    sum.unwrap_or(f64::NAN)
}
