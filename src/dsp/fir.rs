//! Linear-phase FIR filters by the window method: SciPy's `firwin` and MNE-Python's default design from transition bands.

use super::window::{Symmetry, Window};
use crate::{Error, Result};
use std::f64::consts::PI;

/// What passes; frequencies as fractions of the Nyquist frequency, 0 < f < 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Band {
    /// Up to this frequency.
    LowPass(f64),
    /// From this frequency.
    HighPass(f64),
    /// Between the two.
    BandPass(f64, f64),
    /// Below the first and above the second.
    BandStop(f64, f64),
}

/// `taps` coefficients of a linear-phase filter, symmetric to the bit, −6 dB at the band's edges: the ideal response's
/// sincs times a symmetric window, scaled to exactly 1 at 0 Hz, at Nyquist or at the pass band's centre
/// (Oppenheim & Schafer, *Discrete-Time Signal Processing*, 7.5; the same numbers as `scipy.signal.firwin`).
///
/// # Errors
/// When an edge is not inside 0…1, edges are not in order, there is no tap, or the number of taps is even although
/// Nyquist should pass (such a filter is zero there).
pub fn firwin(taps: usize, band: Band, window: Window) -> Result<Vec<f64>> {
    let (edges, pass): (&[f64], &[[f64; 2]]) = match &band {
        Band::LowPass(f) => (&[*f], &[[0.0, *f]]),
        Band::HighPass(f) => (&[*f], &[[*f, 1.0]]),
        Band::BandPass(lo, hi) => (&[*lo, *hi], &[[*lo, *hi]]),
        Band::BandStop(lo, hi) => (&[*lo, *hi], &[[0.0, *lo], [*hi, 1.0]]),
    };
    if edges.iter().any(|f| !(*f > 0.0 && *f < 1.0)) || edges.windows(2).any(|w| w[0] >= w[1]) {
        return Err(Error::usage(format!("filter edges {edges:?} are not in order between 0 and Nyquist (1)")));
    }
    let passes_nyquist = matches!(band, Band::HighPass(_) | Band::BandStop(..));
    if taps == 0 || taps.is_multiple_of(2) && passes_nyquist {
        return Err(Error::usage(format!("{taps} taps cannot make a filter that passes the Nyquist frequency")));
    }
    let centre = (taps - 1) as f64 / 2.0;
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) };
    let ideal = |m: f64| pass.iter().map(|[lo, hi]| hi * sinc(hi * m) - lo * sinc(lo * m)).sum::<f64>();
    let shape = window.samples(taps, Symmetry::Symmetric);
    let mut h: Vec<f64> = shape.iter().enumerate().map(|(i, w)| ideal(i as f64 - centre) * w).collect();
    let [lo, hi] = pass[0];
    let unity = if lo == 0.0 {
        0.0
    } else if hi == 1.0 {
        1.0
    } else {
        (lo + hi) / 2.0
    };
    let gain: f64 = h.iter().enumerate().map(|(i, v)| v * (PI * (i as f64 - centre) * unity).cos()).sum();
    h.iter_mut().for_each(|v| *v /= gain);
    Ok(h)
}

/// Amplitude (with its sign) of a filter with symmetric taps at `f`, a fraction of Nyquist: `Σ h[m] cos(π f m)`.
pub fn amplitude(taps: &[f64], f: f64) -> f64 {
    let centre = (taps.len() as f64 - 1.0) / 2.0;
    taps.iter().enumerate().map(|(i, h)| h * (PI * f * (i as f64 - centre)).cos()).sum()
}

/// Where a frequency band passes or stops, and how wide its flanks may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flanks {
    /// Edges in Hz. The lower may be 0, the upper may be infinite: no edge there.
    pub band_hz: [f64; 2],
    /// Whether the band stops (then both edges are edges of what passes; the flanks lie inside).
    pub stop: bool,
    /// Width of the lower and upper flank in Hz; `None` where [`Flanks::automatic`] decides.
    pub transition_hz: [Option<f64>; 2],
    /// Hann, Hamming or Blackman.
    pub window: Window,
}

/// A designed filter and what there is to say about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    /// Odd number of symmetric coefficients.
    pub taps: Vec<f64>,
    /// Control points in Hz, ascending from 0 to Nyquist, each with whether it passes.
    pub points: Vec<(f64, bool)>,
}

impl Flanks {
    /// MNE-Python's automatic flank widths: `min(max(f/4, 2), f)` Hz for the lower edge, `min(max(f/4, 2), Nyquist − f)`
    /// for the upper. The flanks of a stop band lie inside it and are at most a quarter of it each (with MNE's widths
    /// a narrow stop band would have none left).
    pub fn automatic(&self, rate_hz: f64) -> [f64; 2] {
        let [lo, hi] = self.band_hz;
        let room = if self.stop { (hi - lo) / 4.0 } else { f64::INFINITY };
        [(0.25 * lo).max(2.0).min(lo).min(room), (0.25 * hi).max(2.0).min(rate_hz / 2.0 - hi).min(room)]
    }

    /// Designs the filter as MNE-Python's `create_filter(fir_design="firwin", phase="zero")` does: its length is the
    /// window's factor (Hann 3.1, Hamming 3.3, Blackman 5.0; Ifeachor & Jervis, *Digital Signal Processing*, table 7.3)
    /// over the narrowest flank; each flank is a windowed-sinc low-pass of the length its own width asks for
    /// (Widmann et al. 2015, 10.1016/j.jneumeth.2014.08.002).
    ///
    /// # Errors
    /// When an edge leaves 0…Nyquist, a flank has no width or no room, nothing is filtered at all, or the filter would
    /// need more than 2^22 taps.
    pub fn design(&self, rate_hz: f64) -> Result<Design> {
        let factor = length_factor(self.window)?;
        let nyquist = rate_hz / 2.0;
        let [lo, hi] = self.band_hz;
        let (has_lo, has_hi) = (lo > 0.0, hi.is_finite());
        if !(lo >= 0.0 && hi > lo) || !(has_lo || has_hi) || self.stop && !(has_lo && has_hi) {
            return Err(Error::usage(format!("{lo}…{hi} Hz is not a band with an edge")));
        }
        let highest = if has_hi { hi } else { lo };
        if highest >= nyquist {
            return Err(Error::usage(format!(
                "{highest} Hz needs a rate above {} Hz; here {rate_hz} Hz",
                2.0 * highest
            )));
        }
        let auto = self.automatic(rate_hz);
        let low = self.transition_hz[0].unwrap_or(auto[0]);
        let high = self.transition_hz[1].unwrap_or(auto[1]);
        for (width, used) in [(low, has_lo), (high, has_hi)] {
            if used && !(width > 0.0 && width.is_finite()) {
                return Err(Error::usage(format!("a flank {width} Hz wide cannot be built")));
            }
        }
        let points: Vec<(f64, bool)> = match (self.stop, has_lo, has_hi) {
            (true, ..) => vec![(lo, true), (lo + low, false), (hi - high, false), (hi, true)],
            (_, true, true) => vec![(lo - low, false), (lo, true), (hi, true), (hi + high, false)],
            (_, true, false) => vec![(lo - low, false), (lo, true)],
            (_, false, _) => vec![(hi, true), (hi + high, false)],
        };
        let first = (0.0, points[0].1);
        let last = (nyquist, points[points.len() - 1].1);
        if points[0].0 < 0.0 || points[points.len() - 1].0 > nyquist || points.windows(2).any(|w| w[0].0 > w[1].0) {
            let list: Vec<String> = points.iter().map(|(f, _)| f.to_string()).collect();
            return Err(Error::usage(format!(
                "the flanks have no room: {} Hz must ascend from 0 to {nyquist} Hz",
                list.join(", ")
            )));
        }
        let mut all = points;
        if all[0].0 != 0.0 {
            all.insert(0, first);
        }
        if all[all.len() - 1].0 != nyquist {
            all.push(last);
        }
        let narrowest = if has_lo { low } else { f64::INFINITY }.min(if has_hi { high } else { f64::INFINITY });
        let length = (factor / narrowest * rate_hz).ceil().max(1.0);
        if length > f64::from(1 << 22) {
            return Err(Error::usage(format!(
                "a flank of {narrowest} Hz at {rate_hz} Hz needs {length} taps, more than 4194304: decimate first"
            )));
        }
        let taps = piecewise(length as usize | 1, nyquist, &all, self.window, factor)?;
        Ok(Design { taps, points: all })
    }
}

impl Design {
    /// Least attenuation in dB over the stop bands, on a grid of at most 400 frequencies per band.
    pub fn attenuation_db(&self) -> f64 {
        let nyquist = self.points.last().map_or(1.0, |p| p.0);
        let mut worst = 0.0_f64;
        for pair in self.points.windows(2) {
            if let [(a, false), (b, false)] = *pair {
                // 4 points per lobe, few enough for very long filters
                let n = (2.0 * self.taps.len() as f64 * (b - a) / nyquist).ceil().clamp(1.0, 400.0);
                for i in 0..=n as usize {
                    worst = worst.max(amplitude(&self.taps, (a + (b - a) * i as f64 / n) / nyquist).abs());
                }
            }
        }
        -20.0 * worst.max(1e-20).log10()
    }
}

/// Transition width times length of a windowed-sinc filter, in units of the rate.
fn length_factor(window: Window) -> Result<f64> {
    match window {
        Window::Hann => Ok(3.1),
        Window::Hamming => Ok(3.3),
        Window::Blackman => Ok(5.0),
        other => Err(Error::usage(format!("{other:?} has no rule for the length: use hann, hamming or blackman"))),
    }
}

/// From the highest frequency down: start with everything or nothing, and at each flank add or take away a low-pass.
fn piecewise(n: usize, nyquist: f64, points: &[(f64, bool)], window: Window, factor: f64) -> Result<Vec<f64>> {
    let mut h = vec![0.0; n];
    let Some(&(last, mut gain)) = points.last() else { return Ok(h) };
    let mut above = last / nyquist;
    if gain {
        h[n / 2] = 1.0;
    }
    for &(f, passes) in points.iter().rev().skip(1) {
        let f = f / nyquist;
        if passes != gain {
            let width = (above - f) / 2.0;
            let own = (factor / width).round_ties_even() as usize | 1;
            if own > n {
                return Err(Error::usage(format!("a flank needs {own} taps, the filter has {n}")));
            }
            let part = firwin(own, Band::LowPass((above + f) / 2.0), window)?;
            let sign = if passes { 1.0 } else { -1.0 };
            for (sum, v) in h[(n - own) / 2..].iter_mut().zip(&part) {
                *sum += sign * v;
            }
        }
        (gain, above) = (passes, f);
    }
    Ok(h)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn golden() -> Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/fir.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn list(value: &Value) -> Vec<f64> {
        serde_json::from_value(value.clone()).unwrap()
    }

    fn window(case: &Value) -> Window {
        match case["window"].as_str().unwrap() {
            "kaiser" => Window::Kaiser(case["beta"].as_f64().unwrap()),
            name => serde_json::from_str(&format!("\"{name}\"")).unwrap(),
        }
    }

    #[test]
    fn firwin_is_scipys() {
        for case in golden()["firwin"].as_array().unwrap() {
            let (edges, low) = (list(&case["cutoff"]), case["pass_zero"].as_bool().unwrap());
            let band = match (&edges[..], low) {
                ([f], true) => Band::LowPass(*f),
                ([f], false) => Band::HighPass(*f),
                ([a, b], false) => Band::BandPass(*a, *b),
                ([a, b], true) => Band::BandStop(*a, *b),
                _ => panic!(),
            };
            let want = list(&case["taps"]);
            let got = firwin(want.len(), band, window(case)).unwrap();
            for (g, w) in got.iter().zip(&want) {
                assert!((g - w).abs() < 1e-13, "{band:?}: {g} {w}");
            }
            assert!((0..got.len()).all(|i| got[i].to_bits() == got[got.len() - 1 - i].to_bits()));
        }
    }

    #[test]
    fn flanks_are_mnes() {
        for case in golden()["mne"].as_array().unwrap() {
            let stop = !case["stop"].is_null();
            let edges = case[if stop { "stop" } else { "band" }].as_array().unwrap();
            let flanks = Flanks {
                band_hz: [edges[0].as_f64().unwrap(), edges[1].as_f64().unwrap_or(f64::INFINITY)],
                stop,
                transition_hz: [case["low_transition"].as_f64(), case["high_transition"].as_f64()],
                window: window(case),
            };
            let design = flanks.design(case["rate"].as_f64().unwrap()).unwrap();
            assert_eq!(design.taps.len() as u64, case["taps"].as_u64().unwrap(), "{flanks:?}");
            for (g, w) in design.taps.iter().zip(&list(&case["half"])) {
                assert!((g - w).abs() < 1e-12, "{flanks:?}: {g} {w}");
            }
            assert!(design.attenuation_db() > 40.0, "{flanks:?}: {}", design.attenuation_db());
        }
    }

    #[test]
    fn what_cannot_be_built_says_why() {
        let flanks = |band_hz, stop| Flanks { band_hz, stop, transition_hz: [None; 2], window: Window::Hamming };
        for (band, stop, word) in [
            ([0.0, 80.0], false, "needs a rate above 160 Hz; here 128 Hz"),
            ([0.0, f64::INFINITY], false, "not a band"),
            ([30.0, 10.0], false, "not a band"),
            ([f64::NAN, 10.0], false, "not a band"),
        ] {
            let error = flanks(band, stop).design(128.0).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        let wide = Flanks { transition_hz: [Some(3.0), Some(3.0)], ..flanks([48.0, 52.0], true) };
        assert!(wide.design(500.0).unwrap_err().to_string().contains("no room"));
        assert!(flanks([1e-4, 80.0], false).design(25_000.0).unwrap_err().to_string().contains("decimate"));
        assert!(firwin(10, Band::HighPass(0.5), Window::Hann).is_err());
        assert!(firwin(11, Band::LowPass(1.0), Window::Hann).is_err());
    }

    #[test]
    fn amplitude_is_one_where_scaled() {
        let h = firwin(101, Band::BandPass(0.2, 0.4), Window::Hamming).unwrap();
        assert!((amplitude(&h, 0.3) - 1.0).abs() < 1e-14 && amplitude(&h, 0.7).abs() < 2e-3);
        assert!((amplitude(&h, 0.2) - 0.5).abs() < 5e-3, "-6 dB at the edge");
    }
}
