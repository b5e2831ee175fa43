//! Instantaneous phase without looking ahead: the calibrated endpoint-corrected Hilbert transform, as one complex FIR filter.
//!
//! The Hilbert transform of the last N samples is worst where it is needed, at the last sample. The endpoint-corrected transform
//! (ecHT; Schreglmann et al. 2021, 10.1038/s41467-020-20581-7) multiplies the window's spectrum by a *causal* band-pass, whose
//! response pulls the discontinuity between last and first sample to the window's beginning. All of it is linear, and only the
//! last sample is wanted, so it is one dot product:
//!
//! ```text
//! z[n] = Σ_m w[m] x[n − (N−1) + m],   w[m] = g[(N−1−m) mod N],   g = IDFT(mask · H)
//! ```
//!
//! mask = 1 at 0 Hz and Nyquist, 2 at positive frequencies, 0 at negative ones; H the Butterworth response at the frequencies of
//! the DFT, j fs/N (not at whole Hz: the window may have any length, and need not hold whole cycles).
//!
//! A tone cos θ comes out as e^{iθ} G₊ + e^{−iθ} G₋. Left alone that is some −10° of bias; multiplied by
//! `C = conj(G₊) / (|G₊|² + |G₋|²)`, the least-squares factor over all phases, the bias at the assumed frequency is 0 and the
//! amplitude right (c-ecHT; Osmers & Kolossa 2026, arXiv:2601.13962).
//!
//! The convention of phase is that of cosine: 0° is the peak, 90° the falling zero crossing, ±180° the trough.

use super::fft::{Complex, ComplexFft};
use super::fused::fused;
use super::iir::{self, Band};
use crate::{Error, Result};
use multiversion::multiversion;
use multiversion::target::target_cfg_f;
use std::f64::consts::TAU;
use std::sync::Arc;

/// What the filter is made for.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Rate of the samples, Hz.
    pub rate_hz: f64,
    /// The rhythm's frequency, at which the bias is 0, Hz.
    pub frequency_hz: f64,
    /// Cut-offs of the causal band-pass, Hz.
    pub band_hz: [f64; 2],
    /// Its order, 2 by default elsewhere.
    pub order: usize,
    /// The window, s.
    pub window_s: f64,
    /// Samples per tap: 1 takes every sample. With k > 1 the taps lie k samples apart and see means of k samples, so that an
    /// estimate still comes with every sample but costs a k-th; what the mean does at the frequency is calibrated too.
    pub stride: usize,
}

impl Plan {
    /// The usual: order 2, a band of half the frequency around it, one second, [`stride`].
    pub fn around(rate_hz: f64, frequency_hz: f64) -> Self {
        let band_hz = [0.75 * frequency_hz, 1.25 * frequency_hz];
        Self { rate_hz, frequency_hz, band_hz, order: 2, window_s: 1.0, stride: stride(rate_hz, frequency_hz) }
    }
}

/// 1 up to 1 kHz; above, as many samples per tap as leave at least 250 taps per second and 25 per cycle.
pub fn stride(rate_hz: f64, frequency_hz: f64) -> usize {
    if rate_hz <= 1000.0 {
        return 1;
    }
    // a shade above a whole number is that number
    (rate_hz / (25.0 * frequency_hz).max(250.0) * (1.0 + 1e-12)).floor().max(1.0) as usize
}

/// The filter: see the module.
#[derive(Debug, Clone)]
pub struct Echt {
    /// Weights, of the oldest tap first.
    weights: Vec<[f64; 2]>,
    stride: usize,
    rate_hz: f64,
}

impl Echt {
    /// Designs and calibrates.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) when the band cannot be designed at this rate, the frequency lies outside it,
    /// or the window holds less than a cycle, fewer than 8 taps, or more than 2^20.
    pub fn new(plan: &Plan) -> Result<Self> {
        let Plan { rate_hz, frequency_hz, band_hz: [low, high], .. } = *plan;
        let stride = plan.stride.max(1);
        let tap_hz = rate_hz / stride as f64;
        let sos = iir::butterworth(plan.order, Band::Band(low, high), tap_hz)?;
        if !(frequency_hz > low && frequency_hz < high) {
            return Err(Error::usage(format!("{frequency_hz} Hz does not lie within the band, {low}…{high} Hz")));
        }
        let taps = (plan.window_s * tap_hz).round();
        if !(8.0..=1_048_576.0).contains(&taps) || plan.window_s * frequency_hz < 1.0 {
            return Err(Error::usage(format!(
                "a window of {} s is {taps} taps and {:.2} cycles of {frequency_hz} Hz: 8 to 1048576 taps and a cycle are needed",
                plan.window_s,
                plan.window_s * frequency_hz
            )));
        }
        let n = taps as usize;
        let mut g = vec![Complex::ZERO; n];
        for (j, g) in g.iter_mut().enumerate().take(n / 2 + 1) {
            let twice = if j == 0 || 2 * j == n { 1.0 } else { 2.0 };
            *g = sos.response(j as f64 * tap_hz / n as f64) * twice;
        }
        ComplexFft::new(n).inverse(&mut g);
        let mut echt = Self { weights: g.iter().rev().map(|g| [g.re, g.im]).collect(), stride, rate_hz };
        let [plus, minus] = echt.response(frequency_hz);
        let factor = plus.conj() / (plus.norm_sqr() + minus.norm_sqr());
        for w in &mut echt.weights {
            let z = Complex::new(w[0], w[1]) * factor;
            *w = [z.re, z.im];
        }
        Ok(echt)
    }

    /// Weights of the taps, real and imaginary part, the oldest first. With a stride a tap is the mean of that many samples.
    pub fn weights(&self) -> &[[f64; 2]] {
        &self.weights
    }

    /// Samples that an estimate rests on.
    pub fn samples(&self) -> usize {
        self.weights.len() * self.stride
    }

    /// \[G₊, G₋\] at `f_hz`: the tone cos θ comes out as e^{iθ} G₊ + e^{−iθ} G₋, θ being its phase at the last sample.
    pub fn response(&self, f_hz: f64) -> [Complex; 2] {
        let (n, k) = (self.weights.len(), self.stride);
        let cycles = f_hz / self.rate_hz;
        let turn = |samples: f64| Complex::from_polar(1.0, TAU * (cycles * samples).fract());
        let mean = (0..k).map(|j| turn(-(j as f64))).sum::<Complex>() / k as f64;
        let (mut plus, mut minus) = (Complex::ZERO, Complex::ZERO);
        for (m, w) in self.weights.iter().enumerate() {
            let (w, e) = (Complex::new(w[0], w[1]), turn(-((n - 1 - m) as f64 * k as f64)) * mean);
            plus += w * e * 0.5;
            minus += w * e.conj() * 0.5;
        }
        [plus, minus]
    }

    /// Phase error at `f_hz`, deg: the mean over all phases of a tone there. 0 at the plan's frequency.
    pub fn bias_deg(&self, f_hz: f64) -> f64 {
        self.response(f_hz)[0].arg().to_degrees()
    }

    /// Group delay at `f_hz`, s: how late a change of the rhythm's envelope or frequency shows. There is no look-ahead, but a
    /// band-pass needs time to notice.
    pub fn group_delay_s(&self, f_hz: f64) -> f64 {
        let step = 1e-3 * f_hz;
        let [a, b] = [f_hz - step, f_hz + step].map(|f| self.response(f)[0]);
        -(b * a.conj()).arg() / (TAU * 2.0 * step)
    }
}

/// The last samples of L channels (or of one), and their estimates. Allocates nothing after `new`.
///
/// An estimate is computed afresh from the window: nothing accumulates, and a sample that is not finite makes estimates NaN until
/// it has left the window.
#[derive(Debug, Clone)]
pub struct Window<const L: usize> {
    echt: Arc<Echt>,
    /// Means, one ring per sample modulo the stride. Each once: with a copy behind it a window would be one slice, but where it jumps back
    /// from the copy to the ring no cache knows it, and one block in 500 takes three times as long.
    rings: Vec<[f64; L]>,
    /// The last samples, twice in a row.
    recent: Vec<[f64; L]>,
    seen: u64,
}

impl<const L: usize> Window<L> {
    /// An empty window.
    pub fn new(echt: Arc<Echt>) -> Self {
        let (n, k) = (echt.weights.len(), echt.stride);
        Self { rings: vec![[0.0; L]; n * k], recent: vec![[0.0; L]; 2 * k], echt, seen: 0 }
    }

    /// Takes a sample and gives real and imaginary parts of the analytic signal at that sample; NaN until the window is full.
    pub fn push(&mut self, x: &[f64; L]) -> [[f64; L]; 2] {
        let (n, k) = (self.echt.weights.len(), self.echt.stride);
        let (class, at) = ((self.seen % k as u64) as usize, (self.seen / k as u64 % n as u64) as usize);
        let mean = if k == 1 {
            *x
        } else {
            (self.recent[class], self.recent[class + k]) = (*x, *x);
            let mut sum = [0.0; L];
            for row in &self.recent[class + 1..=class + k] {
                sum.iter_mut().zip(row).for_each(|(s, x)| *s += x);
            }
            sum.map(|s| s / k as f64)
        };
        let ring = &mut self.rings[n * class..n * (class + 1)];
        ring[at] = mean;
        self.seen += 1;
        if self.seen < (n * k) as u64 {
            return [[f64::NAN; L]; 2];
        }
        dot(&self.echt.weights, &ring[at + 1..], &ring[..=at])
    }

    /// Forgets every sample.
    pub fn reset(&mut self) {
        self.seen = 0;
    }

    /// Bytes of its buffers.
    pub fn memory_bytes(&self) -> u64 {
        (size_of_val(&self.rings[..]) + size_of_val(&self.recent[..])) as u64
    }
}

/// Σ w x over the older and then the newer rows of a ring, the even and the odd taps apart: one order of addition, whatever the number
/// of channels and wherever the ring begins.
#[inline(always)]
fn sums<const L: usize, const FMA: bool>(
    weights: &[[f64; 2]],
    older: &[[f64; L]],
    newer: &[[f64; L]],
) -> [[f64; L]; 2] {
    let mut sum = [[[0.0; L]; 2]; 2];
    let mut add = |half: usize, w: &[f64; 2], x: &[f64; L]| {
        for l in 0..L {
            sum[half][0][l] = fused::<FMA>(w[0], x[l], sum[half][0][l]);
            sum[half][1][l] = fused::<FMA>(w[1], x[l], sum[half][1][l]);
        }
    };
    let (first, mut second) = weights.split_at(older.len() & !1);
    let (mut newer, (x_pairs, x_last)) = (newer, older.as_chunks::<2>());
    for (w, x) in first.as_chunks::<2>().0.iter().zip(x_pairs) {
        add(0, &w[0], &x[0]);
        add(1, &w[1], &x[1]);
    }
    if let ([x], [w, rest @ ..]) = (x_last, second) {
        add(0, w, x);
        second = rest;
        if let ([x, newest @ ..], [w, rest @ ..]) = (newer, second) {
            add(1, w, x);
            (newer, second) = (newest, rest);
        }
    }
    let ((pairs, last), (x_pairs, x_last)) = (second.as_chunks::<2>(), newer.as_chunks::<2>());
    for (w, x) in pairs.iter().zip(x_pairs) {
        add(0, &w[0], &x[0]);
        add(1, &w[1], &x[1]);
    }
    for (w, x) in last.iter().zip(x_last) {
        add(0, w, x);
    }
    let [even, odd] = sum;
    std::array::from_fn(|part| std::array::from_fn(|l| even[part][l] + odd[part][l]))
}

#[multiversion(targets("x86_64+avx+avx2+fma"))]
fn dot<const L: usize>(weights: &[[f64; 2]], older: &[[f64; L]], newer: &[[f64; L]]) -> [[f64; L]; 2] {
    const FMA: bool = target_cfg_f!(target_feature = "fma");
    sums::<L, FMA>(weights, older, newer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn golden() -> Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/phase.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    /// tests/reference/phase.py
    fn noise(seed: u32, n: usize) -> Vec<f64> {
        let mut s = seed;
        let next = |_| {
            s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(s) / 4_294_967_296.0 - 0.5
        };
        (0..n).map(next).collect()
    }

    fn signal(seed: u32, n: usize, rate: f64, hz: f64) -> Vec<f64> {
        let (walk, white) = (noise(seed, n), noise(seed + 1, n));
        let mut at = 0.0;
        (0..n)
            .map(|i| {
                at += walk[i];
                10.0 * (TAU * hz * i as f64 / rate + 0.4).cos() + 12.0 * at + 8.0 * white[i]
            })
            .collect()
    }

    fn last(echt: Echt, x: &[f64]) -> Complex {
        let mut window = Window::<1>::new(Arc::new(echt));
        let [[re], [im]] = x.iter().map(|x| window.push(&[*x])).last().unwrap();
        Complex::new(re, im)
    }

    #[test]
    fn one_dot_product_is_the_transform_of_numpy() {
        for case in golden()["echt"].as_array().unwrap() {
            let number = |key: &str| case[key].as_f64().unwrap();
            let band: [f64; 2] = serde_json::from_value(case["band"].clone()).unwrap();
            let plan = Plan {
                rate_hz: number("rate"),
                frequency_hz: number("hz"),
                band_hz: band,
                order: number("order") as usize,
                window_s: number("window"),
                stride: 1,
            };
            let n = (plan.window_s * plan.rate_hz).round() as usize;
            let z = last(Echt::new(&plan).unwrap(), &signal(3, n, plan.rate_hz, plan.frequency_hz));
            let want = Complex::new(number("re"), number("im"));
            assert!((z - want).norm() < 1e-10 * want.norm(), "{plan:?}: {z} {want}");
        }
    }

    /// Hard case 13: a window of no whole number of cycles, one of no second; and H7, frequencies rounded to whole Hz.
    #[test]
    fn the_bias_is_zero_whatever_the_window() {
        for (rate, hz, window_s, stride) in [
            (1000.0, 10.0, 1.0, 1),
            (1000.0, 10.37, 0.75, 1),
            (250.0, 9.1, 2.05, 1),
            (512.0, 21.3, 0.333, 1),
            (5000.0, 10.2, 1.0, 10),
            (5000.0, 6.1, 0.913, 7),
        ] {
            let plan = Plan { window_s, stride, ..Plan::around(rate, hz) };
            let echt = Echt::new(&plan).unwrap();
            let (mut error, turns) = (Complex::ZERO, 360);
            for turn in 0..turns {
                let phase = f64::from(turn) * TAU / f64::from(turns);
                let n = echt.samples() as i64;
                let x: Vec<f64> = (1 - n..=0).map(|i| (TAU * hz * i as f64 / rate + phase).cos()).collect();
                error += last(echt.clone(), &x) * Complex::from_polar(1.0, -phase) / f64::from(turns);
            }
            assert!(error.arg().to_degrees().abs() < 1e-9, "{plan:?}: bias {} deg", error.arg().to_degrees());
            assert!((error.norm() - 1.0).abs() < 0.02, "{plan:?}: amplitude {}", error.norm());
            assert!(echt.bias_deg(hz).abs() < 1e-9 && echt.bias_deg(hz - 1.0) > 10.0);
            assert!((0.03..0.3).contains(&echt.group_delay_s(hz)), "{}", echt.group_delay_s(hz));
        }
    }

    #[test]
    fn eight_channels_are_eight_times_one_and_a_stride_changes_little() {
        let x: Vec<Vec<f64>> = (0..8).map(|c| signal(40 + c, 9000, 5000.0, 10.0)).collect();
        let echt = Arc::new(Echt::new(&Plan::around(5000.0, 10.0)).unwrap());
        let every = Arc::new(Echt::new(&Plan { stride: 1, ..Plan::around(5000.0, 10.0) }).unwrap());
        assert_eq!((echt.weights().len(), echt.samples(), every.weights().len()), (250, 5000, 5000));
        let mut eight = Window::<8>::new(echt.clone());
        let mut one: Vec<_> = (0..8).map(|_| Window::<1>::new(echt.clone())).collect();
        let mut full = Window::<1>::new(every);
        #[allow(clippy::needless_range_loop)] // eight signals side by side
        for i in 0..9000 {
            let [re, im] = eight.push(&std::array::from_fn(|c| x[c][i]));
            for c in 0..8 {
                let [[r], [m]] = one[c].push(&[x[c][i]]);
                assert_eq!([re[c].to_bits(), im[c].to_bits()], [r.to_bits(), m.to_bits()]);
            }
            let [[r], [m]] = full.push(&[x[0][i]]);
            assert_eq!((i + 1 < 5000, i + 1 < 5000), (r.is_nan(), re[0].is_nan()));
            // the window's ends are met a little differently: a few percent in broadband noise
            assert!(i + 1 < 5000 || (r - re[0]).hypot(m - im[0]) < 3.0, "{i}: {r} {}, {m} {}", re[0], im[0]);
        }
    }

    #[test]
    fn a_sum_has_the_same_bits_wherever_the_ring_begins() {
        for n in [8, 9] {
            let x: Vec<[f64; 2]> = signal(7, n, 1000.0, 10.0).iter().map(|x| [*x, 1.0 / x]).collect();
            let w: Vec<[f64; 2]> = noise(8, n).iter().map(|w| [*w, w * w]).collect();
            // even and odd taps, each in order
            let want: [[f64; 2]; 2] = std::array::from_fn(|part| {
                std::array::from_fn(|l| {
                    let half = |h| (h..n).step_by(2).fold(0.0, |sum: f64, i| sum + w[i][part] * x[i][l]);
                    half(0) + half(1)
                })
            });
            let whole = dot(&w, &x, &[]);
            for (got, want) in whole.as_flattened().iter().zip(want.as_flattened()) {
                // a sum of terms that are rounded once or twice
                assert!((got - want).abs() <= 1e-14 * want.abs().max(1.0), "{got} {want}");
            }
            for cut in 0..=n {
                assert_eq!(
                    dot(&w, &x[..cut], &x[cut..]).map(|p| p.map(f64::to_bits)),
                    whole.map(|p| p.map(f64::to_bits))
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let plan = Plan::around(1000.0, 10.0);
        for (bad, told) in [
            (Plan { window_s: 0.05, ..plan.clone() }, "0.50 cycles"),
            (Plan { frequency_hz: 13.0, ..plan.clone() }, "does not lie within"),
            (Plan { band_hz: [7.0, 600.0], ..plan.clone() }, "600 Hz needs a rate"),
            (Plan { order: 0, ..plan }, "order"),
        ] {
            let error = Echt::new(&bad).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
