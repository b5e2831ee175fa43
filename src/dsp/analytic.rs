//! A frequency band's analytic signal on one epoch: a zero-phase FIR band-pass, then the Hilbert transform, both by FFT.

use super::fft::{Complex, RealFft, fast_len};
use super::stats::sum;

/// Band-pass and Hilbert transform of signals of one length, planned once.
///
/// 1. The mean is removed: a filter 53 dB down at 0 Hz would pass a thousandth of an electrode's offset.
/// 2. The signal goes on beyond its ends turned about its first and last sample, `2 x₀ − x₋ₖ`, for as long as it is
///    itself; zeros follow (MNE-Python's `reflect_limited`).
/// 3. Symmetric taps are applied without delay.
/// 4. `x + i·H(x)` (Marple 1999, 10.1109/78.782222) over the filtered signal filled up with zeros to [`fast_len`].
///    The filling changes the ends of the envelope; it is that of `mne_connectivity.envelope_correlation`.
#[derive(Clone)]
pub struct BandAnalytic {
    n: usize,
    half: usize,
    filter: RealFft,
    /// The taps' frequency response: real, because they are symmetric about time 0.
    response: Vec<f64>,
    hilbert: RealFft,
    time: Vec<f64>,
    spectrum: Vec<Complex>,
}

impl BandAnalytic {
    /// Plans for signals of `n` samples and an odd number of symmetric `taps`.
    ///
    /// # Panics
    /// When `n` is 0 or the number of taps is even.
    pub fn new(taps: &[f64], n: usize) -> Self {
        assert!(taps.len() % 2 == 1, "symmetric taps without delay are odd in number");
        let half = taps.len() / 2;
        let mut filter = RealFft::new(fast_len(n + 2 * half));
        let hilbert = RealFft::new(fast_len(n));
        let mut time = vec![0.0; filter.len().max(hilbert.len())];
        let mut spectrum = vec![Complex::new(0.0, 0.0); filter.bins().max(hilbert.bins())];
        for (k, tap) in taps.iter().enumerate() {
            time[(k + filter.len() - half) % filter.len()] += tap;
        }
        let (len, bins) = (filter.len(), filter.bins());
        filter.forward(&time[..len], &mut spectrum[..bins]);
        let response = spectrum[..bins].iter().map(|v| v.re).collect();
        Self { n, half, filter, response, hilbert, time, spectrum }
    }

    /// Samples per signal.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Never: a plan has at least one sample.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Samples at either end whose value depends on what was made up beyond it.
    pub fn reach(&self) -> usize {
        self.half
    }

    /// Bytes of its buffers.
    pub fn memory_bytes(&self) -> u64 {
        let own = 8 * (self.response.len() + self.time.len()) + 16 * self.spectrum.len();
        own as u64 + self.filter.memory_bytes() + self.hilbert.memory_bytes()
    }

    /// Writes the analytic signal of `x`: `re` is the band-passed signal, `im` its Hilbert transform. Allocates nothing.
    ///
    /// # Panics
    /// When a slice has not the plan's length.
    pub fn apply(&mut self, x: &[f64], re: &mut [f64], im: &mut [f64]) {
        let (n, half, len) = (self.n, self.half, self.filter.len());
        assert!(x.len() == n && re.len() == n && im.len() == n);
        let mean = sum(x) / n as f64;
        let time = &mut self.time[..len];
        time.fill(0.0);
        time[half..half + n].iter_mut().zip(x).for_each(|(t, v)| *t = v - mean);
        let (first, last) = (time[half], time[half + n - 1]);
        for k in 1..=half.min(n - 1) {
            time[half - k] = 2.0 * first - time[half + k];
            time[half + n - 1 + k] = 2.0 * last - time[half + n - 1 - k];
        }
        let spectrum = &mut self.spectrum[..self.filter.bins()];
        self.filter.forward(time, spectrum);
        spectrum.iter_mut().zip(&self.response).for_each(|(s, r)| *s *= *r);
        self.filter.inverse(spectrum, time);
        re.copy_from_slice(&time[half..half + n]);

        let spectrum = &mut self.spectrum[..self.hilbert.bins()];
        self.hilbert.forward(re, spectrum);
        let positive = self.hilbert.len().div_ceil(2);
        spectrum[0] = Complex::new(0.0, 0.0);
        spectrum[positive..].fill(Complex::new(0.0, 0.0));
        spectrum[..positive].iter_mut().for_each(|s| *s = Complex::new(s.im, -s.re));
        let time = &mut self.time[..self.hilbert.len()];
        self.hilbert.inverse(spectrum, time);
        im.copy_from_slice(&time[..n]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::fir::Flanks;
    use crate::dsp::window::Window;
    use serde_json::Value;

    #[test]
    fn filtered_epochs_and_their_hilbert_transforms_are_mnes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/envelope.json");
        let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let list = |v: &Value| serde_json::from_value::<Vec<f64>>(v.clone()).unwrap();
        for case in golden["analytic"].as_array().unwrap() {
            let (x, re, im) = (list(&case["x"]), list(&case["re"]), list(&case["im"]));
            let band = list(&case["band_hz"]);
            let flanks =
                Flanks { band_hz: [band[0], band[1]], stop: false, transition_hz: [None; 2], window: Window::Hamming };
            let taps = flanks.design(case["rate"].as_f64().unwrap()).unwrap().taps;
            let mut plan = BandAnalytic::new(&taps, x.len());
            let (mut a, mut b) = (vec![9.0; x.len()], vec![9.0; x.len()]);
            plan.apply(&x, &mut a, &mut b);
            let scale = re.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
            for i in 0..x.len() {
                assert!((a[i] - re[i]).abs() < 1e-12 * scale, "{} re {i}: {} {}", x.len(), a[i], re[i]);
                assert!((b[i] - im[i]).abs() < 1e-12 * scale, "{} im {i}: {} {}", x.len(), b[i], im[i]);
            }
        }
    }
}
