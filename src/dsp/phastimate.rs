//! Phase at the end of a window by prediction: band-pass, autoregression, Hilbert transform.
//!
//! A zero-phase filter spoils both ends of a window, so they are dropped; an autoregressive model then continues the rest beyond
//! the present, and the Hilbert transform of the continued signal is read at the present, where its own ends are far away
//! (Chen et al. 2013, 10.1109/TBME.2011.2109715; Zrenner et al. 2020, 10.1016/j.neuroimage.2020.116761):
//!
//! 1. x: the last `window` samples, filtered forward and backward by a linear-phase FIR filter; both ends extended by
//!    3 · (taps − 1) samples, mirrored in time and value (as SciPy's `filtfilt` with that `padlen`);
//! 2. `edge` samples dropped at both ends;
//! 3. Yule–Walker: a₁…a_p from the biased autocorrelation by Levinson's recursion, which stops where the prediction error has
//!    become rounding: narrow-band data make the system nearly singular;
//! 4. continued by `edge + ⌈hilbert/2⌉` samples, to `⌈hilbert/2⌉` beyond the present;
//! 5. the analytic signal of the last `hilbert` samples, read at the present.

use super::burg::extrapolate;
use super::fft::{Analytic, Complex};
use super::fir::{Band, firwin};
use super::window::Window;
use crate::{Error, Result};

/// The recursion ends where the prediction error has fallen to this part of the signal's power.
const FLOOR: f64 = 1e-12;

/// Its parameters, in samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Rate of the samples, Hz.
    pub rate_hz: f64,
    /// Pass band of the FIR filter, Hz.
    pub band_hz: [f64; 2],
    /// Samples that an estimate rests on.
    pub window: usize,
    /// Taps of the FIR filter (Hamming-windowed sinc), odd.
    pub taps: usize,
    /// Samples dropped at either end after filtering.
    pub edge: usize,
    /// Order of the autoregressive model.
    pub order: usize,
    /// Samples of the Hilbert transform.
    pub hilbert: usize,
}

impl Plan {
    /// The parameters of Zrenner and colleagues at 1 kHz (500 ms, order 128, edge 64, AR 30, Hilbert window 128), the same
    /// durations at other rates.
    pub fn usual(rate_hz: f64, band_hz: [f64; 2]) -> Self {
        let samples = |at_1khz: f64| (at_1khz * rate_hz / 1e3).round() as usize;
        let taps = 2 * samples(64.0) + 1;
        Self { rate_hz, band_hz, window: samples(500.0), taps, edge: samples(64.0), order: 30, hilbert: samples(128.0) }
    }
}

/// Filter, model and buffers; [`Phastimate::estimate`] allocates nothing.
#[derive(Clone)]
pub struct Phastimate {
    plan: Plan,
    taps: Vec<f64>,
    extended: Vec<f64>,
    forward: Vec<f64>,
    signal: Vec<f64>,
    correlation: Vec<f64>,
    coefficients: [Vec<f64>; 2],
    hilbert: Analytic,
    analytic: Vec<Complex>,
}

impl Phastimate {
    /// Designs the filter.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) when the band cannot be designed, or the lengths do not fit into each other.
    pub fn new(plan: Plan) -> Result<Self> {
        let Plan { rate_hz, band_hz: [low, high], window, taps, edge, order, hilbert } = plan;
        let nyquist = rate_hz / 2.0;
        if !(low > 0.0 && high > low && high < nyquist) {
            return Err(Error::usage(format!("{low}…{high} Hz is no band between 0 and {nyquist} Hz")));
        }
        let ahead = hilbert.div_ceil(2);
        if taps % 2 == 0 || taps < 3 || 3 * (taps - 1) >= window {
            return Err(Error::usage(format!(
                "{taps} taps: an odd number is needed, and a window longer than 3 (taps - 1) = {}; it has {window} samples",
                3 * taps.saturating_sub(1)
            )));
        }
        if 2 * edge + order + 1 > window || order == 0 || edge == 0 {
            return Err(Error::usage(format!(
                "an edge of {edge} and an AR order of {order} do not fit into {window} samples"
            )));
        }
        let kept = window - 2 * edge;
        if hilbert < 4 || hilbert > kept + edge + ahead {
            return Err(Error::usage(format!(
                "a Hilbert window of {hilbert} samples is not between 4 and the {} there are",
                kept + edge + ahead
            )));
        }
        let design = firwin(taps, Band::BandPass(low / nyquist, high / nyquist), Window::Hamming)?;
        Ok(Self {
            taps: design,
            extended: vec![0.0; window + 6 * (taps - 1)],
            forward: vec![0.0; window + 6 * (taps - 1)],
            signal: vec![0.0; kept + edge + ahead],
            correlation: vec![0.0; order + 1],
            coefficients: [vec![0.0; order], vec![0.0; order]],
            hilbert: Analytic::new(hilbert),
            analytic: vec![Complex::ZERO; hilbert],
            plan,
        })
    }

    /// Its parameters.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Bytes of its buffers.
    pub fn memory_bytes(&self) -> u64 {
        let reals = 2 * self.extended.len() + self.signal.len() + 3 * self.correlation.len() + self.taps.len();
        (8 * reals + 16 * self.analytic.len()) as u64
    }

    /// The analytic signal of the band at the last of the plan's `window` samples; NaN where one is not finite, or the window has
    /// another length.
    pub fn estimate(&mut self, window: &[f64]) -> Complex {
        let Plan { window: n, edge, hilbert, .. } = self.plan;
        if window.len() != n || !window.iter().all(|x| x.is_finite()) {
            return Complex::new(f64::NAN, f64::NAN);
        }
        let kept = n - 2 * edge;
        self.filter(window);
        let (history, ahead) = self.signal.split_at_mut(kept);
        let order = yule_walker(history, &mut self.correlation, &mut self.coefficients);
        extrapolate(&self.coefficients[0][..order], history, ahead);
        self.hilbert.apply(&self.signal[self.signal.len() - hilbert..], &mut self.analytic);
        self.analytic[hilbert - 1 - hilbert.div_ceil(2)]
    }

    /// Forward and backward, into `signal`: only what is kept, and what that needs.
    fn filter(&mut self, x: &[f64]) {
        let (n, reach) = (x.len(), self.taps.len() - 1);
        let pad = 3 * reach;
        let (first, last) = (x[0], x[n - 1]);
        for i in 0..pad {
            self.extended[i] = 2.0 * first - x[pad - i];
            self.extended[pad + n + i] = 2.0 * last - x[n - 2 - i];
        }
        self.extended[pad..pad + n].copy_from_slice(x);
        // taps are symmetric: no need to turn anything round
        let (from, to) = (pad + self.plan.edge, pad + n - self.plan.edge);
        for i in from..to + reach {
            self.forward[i] = product(&self.taps, &self.extended[i - reach..=i]);
        }
        for (i, y) in (from..to).zip(&mut self.signal) {
            *y = product(&self.taps, &self.forward[i..=i + reach]);
        }
    }
}

/// AR coefficients of `x[n] ≈ Σ a_j x[n−j]` into `a[0]`; `a[1]` is scratch. Returns the order that was reached.
fn yule_walker(x: &[f64], r: &mut [f64], a: &mut [Vec<f64>; 2]) -> usize {
    for (lag, r) in r.iter_mut().enumerate() {
        *r = product(&x[lag..], &x[..x.len() - lag]);
    }
    let [a, previous] = a;
    let mut error = r[0];
    for m in 0..a.len() {
        if !(error > FLOOR * r[0]) {
            return m;
        }
        let predicted: f64 = (0..m).map(|j| a[j] * r[m - j]).sum();
        let k = (r[m + 1] - predicted) / error;
        previous[..m].copy_from_slice(&a[..m]);
        for j in 0..m {
            a[j] = previous[j] - k * previous[m - 1 - j];
        }
        a[m] = k;
        error *= 1.0 - k * k;
    }
    a.len()
}

/// Σ a b over the shorter, eight partial sums in a fixed order.
fn product(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len());
    let ((a8, a1), (b8, b1)) = (a[..n].as_chunks::<8>(), b[..n].as_chunks::<8>());
    let mut lanes = [0.0; 8];
    for (a, b) in a8.iter().zip(b8) {
        for l in 0..8 {
            lanes[l] += a[l] * b[l];
        }
    }
    lanes.iter().sum::<f64>() + a1.iter().zip(b1).map(|(a, b)| a * b).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::f64::consts::TAU;

    /// tests/reference/phase.py
    fn signal(seed: u32, n: usize, rate: f64, hz: f64) -> Vec<f64> {
        let noise = |seed: u32| {
            let mut s = seed;
            std::iter::repeat_with(move || {
                s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                f64::from(s) / 4_294_967_296.0 - 0.5
            })
        };
        let walk = noise(seed).scan(0.0, |at, v| {
            *at += v;
            Some(*at)
        });
        let tone = |i: usize| 10.0 * (TAU * hz * i as f64 / rate + 0.4).cos();
        walk.zip(noise(seed + 1)).take(n).enumerate().map(|(i, (w, v))| tone(i) + 12.0 * w + 8.0 * v).collect()
    }

    #[test]
    fn agrees_with_scipy() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/phase.json");
        let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let x = signal(11, 1500, 1000.0, 10.3);
        for case in golden["phastimate"].as_array().unwrap() {
            let count = |key: &str| case[key].as_u64().unwrap() as usize;
            let plan = Plan {
                rate_hz: 1000.0,
                band_hz: serde_json::from_value(case["band"].clone()).unwrap(),
                window: count("window"),
                taps: count("taps"),
                edge: count("edge"),
                order: count("order"),
                hilbert: count("hilbert"),
            };
            let end = count("end");
            let z = Phastimate::new(plan).unwrap().estimate(&x[end - plan.window..end]);
            let want = Complex::new(case["re"].as_f64().unwrap(), case["im"].as_f64().unwrap());
            // Yule-Walker on narrow-band data loses half of the digits
            assert!((z - want).norm() < 1e-6 * want.norm(), "{plan:?}: {z} {want}");
        }
    }

    #[test]
    fn degenerate_windows() {
        let mut p = Phastimate::new(Plan::usual(1000.0, [8.0, 13.0])).unwrap();
        assert!(p.estimate(&[0.0; 499]).re.is_nan());
        let mut x = [0.0; 500];
        assert_eq!(p.estimate(&x).norm(), 0.0);
        x[3] = f64::NAN;
        assert!(p.estimate(&x).re.is_nan());
        // a pure tone is predicted exactly, and its prediction error becomes rounding: no NaN
        let tone: Vec<f64> = (0..500).map(|i| (TAU * 0.01 * f64::from(i)).cos()).collect();
        let z = p.estimate(&tone);
        assert!((z.arg() - (TAU * 4.99).sin().atan2((TAU * 4.99).cos())).abs() < 0.1, "{z}");
        for (plan, told) in [
            (Plan { taps: 128, ..*p.plan() }, "an odd number"),
            (Plan { edge: 240, ..*p.plan() }, "do not fit"),
            (Plan { hilbert: 5000, ..*p.plan() }, "Hilbert"),
            (Plan { band_hz: [8.0, 500.0], ..*p.plan() }, "is no band"),
        ] {
            assert!(Phastimate::new(plan).err().unwrap().to_string().contains(told));
        }
    }
}
