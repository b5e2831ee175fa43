//! Power over time and frequency from short overlapping frames.

use super::fft::{Complex, RealFft};
use super::window::{Symmetry, Window};
use std::ops::Range;

/// One-sided power spectral density of one frame: `P[k] = 2 |Σ w[n] x[n] e^(−2πikn/N)|² / (rate · Σ w²)`, without the 2
/// at 0 Hz and at Nyquist, so that the sum over all bins times `rate / N` is the windowed frame's mean power.
///
/// The unit is the input's squared per Hz (Welch 1967, 10.1109/TAU.1967.1161901; the same as SciPy's `spectrogram` and
/// `ShortTimeFFT(scale_to="psd", fft_mode="onesided2X")`).
#[derive(Clone)]
pub struct FramePower {
    fft: RealFft,
    rate_hz: f64,
    window: Vec<f64>,
    scale: f64,
    bins: Range<usize>,
    remove_mean: bool,
    samples: Vec<f64>,
    spectrum: Vec<Complex>,
}

impl FramePower {
    /// Plans frames of `len` samples under a periodic window, transformed with `fft_len` points (zeros behind), at the
    /// frequencies `band_hz`, both ends included. With `remove_mean` each frame's mean is taken away first.
    ///
    /// # Panics
    /// When `len` is 0 or above `fft_len`.
    pub fn new(len: usize, fft_len: usize, rate_hz: f64, window: Window, remove_mean: bool, band_hz: [f64; 2]) -> Self {
        assert!((1..=fft_len).contains(&len), "a frame of {len} samples in a transform of {fft_len}");
        let fft = RealFft::new(fft_len);
        let window = window.samples(len, Symmetry::Periodic);
        let scale = 1.0 / (rate_hz * window.iter().map(|w| w * w).sum::<f64>());
        let hz = |k: usize| k as f64 * rate_hz / fft_len as f64;
        let first = (0..fft.bins()).find(|&k| hz(k) >= band_hz[0] - 1e-9).unwrap_or(fft.bins());
        let end = (first..fft.bins()).find(|&k| hz(k) > band_hz[1] + 1e-9).unwrap_or(fft.bins());
        let spectrum = vec![Complex::default(); fft.bins()];
        Self { rate_hz, scale, bins: first..end, remove_mean, samples: vec![0.0; len], spectrum, window, fft }
    }

    /// Samples per frame.
    pub fn len(&self) -> usize {
        self.window.len()
    }

    /// Never: a frame has at least one sample.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Number of frequencies within the band.
    pub fn bins(&self) -> usize {
        self.bins.len()
    }

    /// Frequency of value `bin` in Hz.
    pub fn hz(&self, bin: usize) -> f64 {
        (self.bins.start + bin) as f64 * self.rate_hz / self.fft.len() as f64
    }

    /// Width of a bin in Hz.
    pub fn step_hz(&self) -> f64 {
        self.rate_hz / self.fft.len() as f64
    }

    /// Bytes of its buffers.
    pub fn memory_bytes(&self) -> u64 {
        self.fft.memory_bytes() + (16 * self.window.len() + 16 * self.spectrum.len()) as u64
    }

    /// The frame to be filled before [`FramePower::power`].
    pub fn frame(&mut self) -> &mut [f64] {
        &mut self.samples
    }

    /// Power of the frame, `bin` by `bin`. Uses the frame up. Allocates nothing.
    pub fn power(&mut self) -> impl Iterator<Item = f64> + '_ {
        let n = self.samples.len();
        let mean = if self.remove_mean { self.samples.iter().sum::<f64>() / n as f64 } else { 0.0 };
        for (x, w) in self.samples.iter_mut().zip(&self.window) {
            *x = (*x - mean) * w;
        }
        self.fft.forward(&self.samples, &mut self.spectrum);
        let (fft_len, scale) = (self.fft.len(), self.scale);
        self.bins.clone().zip(&self.spectrum[self.bins.clone()]).map(move |(k, v)| {
            let sides = if k == 0 || 2 * k == fft_len { 1.0 } else { 2.0 };
            v.norm_sqr() * scale * sides
        })
    }
}

/// The frames centred at samples `k · hop` that lie wholly within `len` samples from sample `first`: those `k`.
/// The centre of a frame of `n` samples is its sample `n / 2` (rounded down), where a periodic window of even length peaks.
pub fn frames_within(first: i64, len: u64, n: usize, hop: usize) -> Range<i64> {
    let (hop, half) = (hop as i64, (n / 2) as i64);
    let end = first.saturating_add(i64::try_from(len).unwrap_or(i64::MAX));
    let from = -(-(first + half)).div_euclid(hop);
    let to = -(-(end - (n as i64 - half) + 1)).div_euclid(hop);
    from..to.max(from)
}

/// Power of all whole frames of `x` (its first sample at 0), as (`k` of the first frame, one row of bins per frame).
pub fn stft_power(x: &[f64], plan: &mut FramePower, hop: usize) -> (i64, Vec<Vec<f64>>) {
    let n = plan.len();
    let frames = frames_within(0, x.len() as u64, n, hop);
    let rows = frames.clone().map(|k| {
        let start = (k * hop as i64) as usize - n / 2;
        plan.frame().copy_from_slice(&x[start..start + n]);
        plan.power().collect()
    });
    (frames.start, rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn golden() -> serde_json::Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/stft.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn power_is_scipys() {
        let golden = golden();
        let x: Vec<f64> = serde_json::from_value(golden["x"].clone()).unwrap();
        let rate = golden["rate"].as_f64().unwrap();
        for case in golden["cases"].as_array().unwrap() {
            let number = |key: &str| case[key].as_u64().unwrap() as usize;
            let window: Window = serde_json::from_value(case["window"].clone()).unwrap();
            let mean = case["remove_mean"].as_bool().unwrap();
            let mut plan = FramePower::new(number("length"), number("fft"), rate, window, mean, [0.0, rate]);
            let (first, got) = stft_power(&x, &mut plan, number("hop"));
            assert_eq!((first, got.len()), (number("first") as i64, number("frames")), "{window:?}");
            let hz: Vec<f64> = serde_json::from_value(case["hz"].clone()).unwrap();
            assert!(hz.iter().enumerate().all(|(b, f)| (plan.hz(b) - f).abs() < 1e-12) && hz.len() == plan.bins());
            let want: Vec<Vec<f64>> = serde_json::from_value(case["power"].clone()).unwrap();
            for (got, want) in got.iter().step_by(number("every")).zip(&want) {
                for (g, w) in got.iter().zip(want) {
                    assert!((g - w).abs() < 1e-10 * w.abs().max(1e-3), "{window:?}: {g} {w}");
                }
            }
        }
    }

    #[test]
    fn the_sum_is_the_power() {
        // a sine of amplitude a on a bin has power a²/2, whatever the window
        for window in [Window::Hann, Window::Boxcar, Window::Blackman] {
            let mut plan = FramePower::new(200, 400, 100.0, window, false, [0.0, 50.0]);
            for (i, x) in plan.frame().iter_mut().enumerate() {
                *x = 6.0 * (TAU * 20.0 * i as f64 / 100.0).sin();
            }
            let total = plan.power().sum::<f64>() * 0.25;
            assert!((total - 18.0).abs() < 1e-10, "{window:?}: {total}");
        }
    }

    #[test]
    fn frames_by_hand() {
        // frames of 4 samples from k·3 − 2 to k·3 + 1
        assert_eq!(frames_within(0, 10, 4, 3), 1..3);
        assert_eq!(frames_within(0, 11, 4, 3), 1..4);
        assert_eq!(frames_within(-2, 4, 4, 3), 0..1);
        assert_eq!(frames_within(-1, 4, 4, 3), 1..1);
        assert!(frames_within(5, 3, 4, 3).is_empty());
        for (first, len, n, hop) in [(7, 100, 9, 4), (-50, 77, 16, 5), (3, 20, 6, 30)] {
            let want: Vec<i64> = (-200..200)
                .filter(|k| {
                    let start = k * hop as i64 - n as i64 / 2;
                    start >= first && start + n as i64 <= first + len as i64
                })
                .collect();
            assert_eq!(frames_within(first, len, n, hop).collect::<Vec<_>>(), want);
        }
    }

    #[test]
    fn bands_hold_both_ends() {
        let plan = FramePower::new(100, 100, 100.0, Window::Hann, true, [8.0, 13.0]);
        assert_eq!((plan.bins(), plan.hz(0), plan.hz(5)), (6, 8.0, 13.0));
        assert_eq!(FramePower::new(100, 100, 100.0, Window::Hann, true, [8.2, 8.4]).bins(), 0);
    }
}
