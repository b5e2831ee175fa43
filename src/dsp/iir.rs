//! Butterworth filters as second-order sections: design, steady state, forward and zero-phase filtering, ring length.
//!
//! The numbers are SciPy's: `butter(order, band, fs=rate, output="sos")` with its pairing and order of sections,
//! `sosfilt`, and `sosfiltfilt` with odd padding. Coefficients of the expanded polynomial (`ba`) are never formed:
//! at 0.1 Hz and 50 kHz they are wrong by 6e-3 of the signal.
//!
//! Sources: Butterworth (1930), *On the theory of filter amplifiers*; Oppenheim & Schafer (2010), *Discrete-Time Signal
//! Processing*, §6.3 (transposed direct form II), §7.2 (bilinear transform); Gustafsson (1996), doi:10.1109/78.492552
//! (what forward–backward filtering does at the edges).

use crate::{Error, Result};
use rustfft::num_complex::Complex64;

/// Cut-off below this fraction of the rate: the sections' coefficients keep fewer than four digits of the band.
const LOWEST: f64 = 1e-6;

/// Orders above this are refused: no EEG filter needs them.
const HIGHEST_ORDER: usize = 32;

/// Which frequencies pass, in Hz. At the cut-offs the gain is −3 dB per pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Band {
    /// Below the cut-off.
    Low(f64),
    /// Above the cut-off.
    High(f64),
    /// Between the two.
    Band(f64, f64),
    /// Outside the two.
    Stop(f64, f64),
}

/// One second-order section, `H(z) = (1 + b1/z + b2/z²) / (1 + a1/z + a2/z²)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Section {
    /// Numerator, powers −1 and −2 of z.
    pub b: [f64; 2],
    /// Denominator, powers −1 and −2 of z.
    pub a: [f64; 2],
}

/// State of one section, in units of its input.
pub type State = [f64; 2];

impl Section {
    /// `1 + a1 + a2`, the denominator at 0 Hz, without the cancellation that low cut-offs suffer from (Knuth's two-sum).
    fn denominator_at_zero(&self) -> f64 {
        let sum = 1.0 + self.a[1];
        let part = sum - 1.0;
        let lost = (1.0 - (sum - part)) + (self.a[1] - part);
        (sum + self.a[0]) + lost
    }

    /// Gain at 0 Hz.
    fn gain_at_zero(&self) -> f64 {
        ((1.0 + self.b[1]) + self.b[0]) / self.denominator_at_zero()
    }

    /// The response less the direct path, `(b1 − a1, b2 − a2)`: what a sample leaves behind in the state.
    #[inline(always)]
    pub(super) fn excess(&self) -> [f64; 2] {
        [self.b[0] - self.a[0], self.b[1] - self.a[1]]
    }
}

/// A filter as a gain and a cascade of second-order sections.
///
/// Sections run as transposed direct form II with the output eliminated from the state,
/// `y = x + s₁`, `s₁' = (b1 − a1)·x + s₂ − a1·s₁`, `s₂' = (b2 − a2)·x − a2·s₁`: the next state waits for one product and
/// one sum of the last one instead of two and a half, at the same rounding error.
#[derive(Debug, Clone, PartialEq)]
pub struct Sos {
    gain: f64,
    sections: Vec<Section>,
    rate_hz: f64,
}

impl Sos {
    /// The factor in front of the first section.
    pub fn gain(&self) -> f64 {
        self.gain
    }

    /// The sections, in the order in which a sample passes them.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The rate it was designed for, Hz.
    pub fn rate_hz(&self) -> f64 {
        self.rate_hz
    }

    /// Rows `b0, b1, b2, 1, a1, a2` as SciPy writes them, the gain in the first.
    pub fn rows(&self) -> Vec<[f64; 6]> {
        let gain = |i| if i == 0 { self.gain } else { 1.0 };
        let row = |(i, s): (usize, &Section)| [gain(i), gain(i) * s.b[0], gain(i) * s.b[1], 1.0, s.a[0], s.a[1]];
        self.sections.iter().enumerate().map(row).collect()
    }

    /// States in which a constant 1 leaves as a constant from the first sample on (SciPy's `sosfilt_zi`, apart from
    /// where the gain sits). Multiply by the constant.
    pub fn steady_state(&self) -> Vec<State> {
        let mut level = self.gain;
        let settled = |section: &Section| {
            let gain = section.gain_at_zero();
            let state = [level * (gain - 1.0), level * (section.b[1] - section.a[1] * gain)];
            level *= gain;
            state
        };
        self.sections.iter().map(settled).collect()
    }

    /// Samples by which [`sosfiltfilt`] extends each end: SciPy's default, three times the number of coefficients
    /// of the expanded polynomial.
    pub fn padding(&self) -> usize {
        let without = |zero: fn(&Section) -> bool| self.sections.iter().filter(|s| zero(s)).count();
        let first_order = without(|s| s.b[1] == 0.0).min(without(|s| s.a[1] == 0.0));
        3 * (2 * self.sections.len() + 1 - first_order)
    }

    /// Complex gain at `f_hz` of one forward pass; zero-phase filtering has the gain `|H|²`.
    ///
    /// Polynomials are taken in `1 − 1/z`, which keeps all digits near 0 Hz.
    pub fn response(&self, f_hz: f64) -> Complex64 {
        let (sin, cos) = (std::f64::consts::PI * f_hz / self.rate_hz).sin_cos();
        let d = Complex64::new(2.0 * sin * sin, 2.0 * sin * cos);
        let gain = |s: &Section| {
            let above = ((1.0 + s.b[1]) + s.b[0]) - d * (s.b[0] + 2.0 * s.b[1]) + d * d * s.b[1];
            let below = s.denominator_at_zero() - d * (s.a[0] + 2.0 * s.a[1]) + d * d * s.a[1];
            above / below
        };
        self.sections.iter().map(gain).product::<Complex64>() * self.gain
    }

    /// Radius of the pole nearest to the unit circle.
    pub fn pole_radius(&self) -> f64 {
        let radius = |s: &Section| {
            let half = -0.5 * s.a[0];
            let discriminant = half * half - s.a[1];
            if discriminant < 0.0 { s.a[1].sqrt() } else { half.abs() + discriminant.sqrt() }
        };
        self.sections.iter().map(radius).fold(0.0, f64::max)
    }
}

/// Designs a Butterworth filter of `order` for a sampling rate of `rate_hz` by the bilinear transform, cut-offs prewarped.
///
/// A band-pass or band-stop of order n has 2n poles, as everywhere in the field's tools.
///
/// # Errors
/// [`ErrorKind::Usage`](crate::ErrorKind::Usage) when the order is 0 or above 32, when a cut-off is not between 0 and half
/// the rate, when two are not in order, or when cut-off or bandwidth lies under a millionth of the rate.
pub fn butterworth(order: usize, band: Band, rate_hz: f64) -> Result<Sos> {
    check(order, band, rate_hz)?;
    // As in the textbooks: everything on the s-plane of a rate of 2, where half the rate is 1.
    let warp = |f: f64| 4.0 * (std::f64::consts::PI * (f / (rate_hz / 2.0)) / 2.0).tan();
    let prototype = prototype(order);
    let analog = match band {
        Band::Low(f) => low(&prototype, warp(f)),
        Band::High(f) => high(&prototype, warp(f)),
        Band::Band(lo, hi) => band_pass(&prototype, (warp(lo) * warp(hi)).sqrt(), warp(hi) - warp(lo)),
        Band::Stop(lo, hi) => band_stop(&prototype, (warp(lo) * warp(hi)).sqrt(), warp(hi) - warp(lo)),
    };
    let digital = bilinear(analog);
    Ok(Sos { gain: digital.gain, sections: pair(digital), rate_hz })
}

fn check(order: usize, band: Band, rate_hz: f64) -> Result<()> {
    if order == 0 || order > HIGHEST_ORDER {
        return Err(Error::usage(format!("a filter order of {order} is not between 1 and {HIGHEST_ORDER}")));
    }
    if !(rate_hz.is_finite() && rate_hz > 0.0) {
        return Err(Error::usage(format!("a filter cannot be designed for a rate of {rate_hz} Hz")));
    }
    let (lo, hi) = match band {
        Band::Low(f) | Band::High(f) => (f, f),
        Band::Band(lo, hi) | Band::Stop(lo, hi) => (lo, hi),
    };
    for f in [lo, hi] {
        if f.is_nan() || f <= 0.0 {
            return Err(Error::usage(format!("a cut-off of {f} Hz is not above 0 Hz")));
        }
        if f >= rate_hz / 2.0 {
            return Err(Error::usage(format!("{f} Hz needs a rate above {} Hz; here {rate_hz} Hz", 2.0 * f)));
        }
    }
    let two_edges = matches!(band, Band::Band(..) | Band::Stop(..));
    if two_edges && lo >= hi {
        return Err(Error::usage(format!("the lower cut-off, {lo} Hz, is not below the upper, {hi} Hz")));
    }
    let narrowest = if two_edges { lo.min(hi - lo) } else { lo };
    if narrowest / rate_hz < LOWEST {
        return Err(Error::usage(format!("{narrowest} Hz is less than a millionth of the rate, {rate_hz} Hz"))
            .with_hint("decimate first"));
    }
    Ok(())
}

/// Zeros, poles and gain.
struct Zpk {
    zeros: Vec<Complex64>,
    poles: Vec<Complex64>,
    gain: f64,
}

/// Poles of the analogue low-pass with cut-off 1 rad/s; the middle one of an odd order is exactly real.
fn prototype(order: usize) -> Vec<Complex64> {
    let n = order as i64;
    let pole = |m: i64| -Complex64::new(0.0, std::f64::consts::PI * m as f64 / (2 * n) as f64).exp();
    (0..n).map(|i| pole(2 * i + 1 - n)).collect()
}

/// Product of `1 / −p`, which is the gain that turning poles inside out takes away; 1 for a Butterworth filter.
fn inversion_gain(poles: &[Complex64]) -> f64 {
    (Complex64::from(1.0) / poles.iter().map(|p| -p).product::<Complex64>()).re
}

fn low(prototype: &[Complex64], cutoff: f64) -> Zpk {
    let poles = prototype.iter().map(|p| p * cutoff).collect();
    Zpk { zeros: Vec::new(), poles, gain: cutoff.powi(prototype.len() as i32) }
}

fn high(prototype: &[Complex64], cutoff: f64) -> Zpk {
    let poles = prototype.iter().map(|p| cutoff / p).collect();
    Zpk { zeros: vec![Complex64::ZERO; prototype.len()], poles, gain: inversion_gain(prototype) }
}

/// Each pole `p` of a low-pass becomes the two roots `s` of `s² − 2ps + centre² = 0`.
fn split(poles: impl Iterator<Item = Complex64> + Clone, centre: f64) -> Vec<Complex64> {
    let root = move |p: Complex64| (p * p - centre * centre).sqrt();
    poles.clone().map(|p| p + root(p)).chain(poles.map(|p| p - root(p))).collect()
}

fn band_pass(prototype: &[Complex64], centre: f64, width: f64) -> Zpk {
    let poles = split(prototype.iter().map(|p| p * width / 2.0), centre);
    Zpk { zeros: vec![Complex64::ZERO; prototype.len()], poles, gain: width.powi(prototype.len() as i32) }
}

fn band_stop(prototype: &[Complex64], centre: f64, width: f64) -> Zpk {
    let poles = split(prototype.iter().map(|p| (width / 2.0) / p), centre);
    let zero = |sign: f64| std::iter::repeat_n(Complex64::new(0.0, sign * centre), prototype.len());
    Zpk { zeros: zero(1.0).chain(zero(-1.0)).collect(), poles, gain: inversion_gain(prototype) }
}

/// From the s-plane to the z-plane; zeros at infinity come to half the rate, and zeros fill up to the number of poles.
fn bilinear(analog: Zpk) -> Zpk {
    let to_z = |s: &Complex64| (4.0 + s) / (4.0 - s);
    let gain = analog.zeros.iter().map(|z| 4.0 - z).product::<Complex64>()
        / analog.poles.iter().map(|p| 4.0 - p).product::<Complex64>();
    let mut zeros: Vec<_> = analog.zeros.iter().map(to_z).collect();
    zeros.resize(analog.poles.len(), Complex64::from(-1.0));
    Zpk { zeros, poles: analog.poles.iter().map(to_z).collect(), gain: analog.gain * gain.re }
}

/// One of each conjugate pair (imaginary part above 0), by real part; then the reals in ascending order.
fn representatives(mut roots: Vec<Complex64>) -> Vec<Complex64> {
    let is_real = |r: &Complex64| r.im.abs() <= 100.0 * f64::EPSILON * r.norm();
    roots.sort_by(|a, b| a.re.total_cmp(&b.re).then(a.im.abs().total_cmp(&b.im.abs())));
    let complex = roots.iter().filter(|r| !is_real(r) && r.im > 0.0).copied();
    let real = roots.iter().filter(|r| is_real(r)).map(|r| Complex64::from(r.re));
    complex.chain(real).collect()
}

/// Index of the smallest key among those for which `key` gives one; the first of equals.
fn smallest(list: &[Complex64], key: impl Fn(&Complex64) -> Option<f64>) -> Option<usize> {
    let keys = list.iter().enumerate().filter_map(|(i, r)| key(r).map(|k| (i, k)));
    keys.fold(
        None,
        |best: Option<(usize, f64)>, (i, k)| if best.is_none_or(|(_, b)| k < b) { Some((i, k)) } else { best },
    )
    .map(|(i, _)| i)
}

/// Pairs poles with the zeros nearest to them, SciPy's `zpk2sos(pairing="nearest")`: the pole nearest to the unit circle
/// takes its zeros first and comes last in the cascade, so that its gain meets a signal that is already small.
fn pair(mut zpk: Zpk) -> Vec<Section> {
    if zpk.poles.len() % 2 == 1 {
        zpk.poles.push(Complex64::ZERO);
        zpk.zeros.push(Complex64::ZERO);
    }
    let count = zpk.poles.len() / 2;
    let (mut poles, mut zeros) = (representatives(zpk.poles), representatives(zpk.zeros));
    let rim = |p: &Complex64| (1.0 - p.norm()).abs();
    // Takes one root from the list, and its partner: the conjugate, or another real root.
    let take = |list: &mut Vec<Complex64>, first: &dyn Fn(&Complex64) -> f64| {
        let one = list.remove(smallest(list, |r| Some(first(r)))?);
        if one.im != 0.0 {
            return Some((one, one.conj()));
        }
        let two = list.remove(smallest(list, |r| (r.im == 0.0).then(|| first(r)))?);
        Some((one, two))
    };
    let polynomial = |(r, s): (Complex64, Complex64)| [-(r + s).re, (r * s).re];
    let mut sections = Vec::with_capacity(count);
    while let Some(p) = take(&mut poles, &rim) {
        let Some(z) = take(&mut zeros, &|z| (z - p.0).norm()) else { break };
        sections.push(Section { b: polynomial(z), a: polynomial(p) });
    }
    sections.reverse();
    sections
}

/// One sample through the cascade.
#[inline(always)]
fn step(sos: &Sos, state: &mut [State], x: f64) -> f64 {
    let mut x = x * sos.gain;
    for (section, s) in sos.sections.iter().zip(state) {
        let (c, a) = (section.excess(), section.a);
        let y = x + s[0];
        *s = [(c[0] * x + s[1]) - a[0] * s[0], c[1] * x - a[1] * s[0]];
        x = y;
    }
    x
}

/// Filters `data` in place, one channel, one pass forward; `state` has one entry per section and is carried on.
/// Many channels go eight at a time through [`tile`](super::tile), with the same bits.
pub fn sosfilt(sos: &Sos, data: &mut [f64], state: &mut [State]) {
    for x in data {
        *x = step(sos, state, *x);
    }
}

/// Filters one channel forward and backward: no phase, gain `|H|²`. SciPy's `sosfiltfilt` with odd padding.
///
/// Both ends are extended by [`Sos::padding`] samples, mirrored in time and value about the end (`2·x₀ − xᵢ`), and each
/// pass starts in the steady state of its first value. Data that are not longer than the padding are extended by what
/// there is (one sample less than their length), where SciPy refuses them.
pub fn sosfiltfilt(sos: &Sos, data: &[f64]) -> Vec<f64> {
    let (&[first, ..], &[.., last]) = (data, data) else { return Vec::new() };
    let pad = sos.padding().min(data.len() - 1);
    let head = data[1..=pad].iter().rev().map(|x| 2.0 * first - x);
    let tail = data[data.len() - 1 - pad..data.len() - 1].iter().rev().map(|x| 2.0 * last - x);
    let mut y: Vec<f64> = head.chain(data.iter().copied()).chain(tail).collect();
    let steady = sos.steady_state();
    for _ in 0..2 {
        let mut state: Vec<State> = steady.iter().map(|s| s.map(|v| v * y[0])).collect();
        sosfilt(sos, &mut y, &mut state);
        y.reverse();
    }
    y[pad..pad + data.len()].to_vec()
}

/// Magnitudes of the impulse response, one after the other.
fn magnitudes(sos: &Sos) -> impl Iterator<Item = f64> {
    let mut state = vec![[0.0; 2]; sos.sections.len()];
    let mut input = 1.0;
    std::iter::from_fn(move || {
        let x = std::mem::take(&mut input);
        Some(step(sos, &mut state, x).abs())
    })
}

/// How many samples the impulse response takes until the sum of magnitudes of all that follows is at most `bound`
/// (kept within 1e-15…1).
///
/// It bounds a cut: a pass that starts this many samples late, in the steady state of the first sample it sees, is
/// wrong by at most `bound` times the range of the samples it has not seen.
pub fn decay_samples(sos: &Sos, bound: f64) -> usize {
    let bound = bound.clamp(1e-15, 1.0);
    // Sums over chunks of one time constant of the slowest pole, until that pole has long passed the bound; the margin
    // of time constants covers the polynomial rise of many poles side by side.
    let chunk = (1.0 / (1.0 - sos.pole_radius()).max(1e-9)).ceil() as usize;
    let chunks = ((1.0 / bound).ln() + 12.0 + 4.0 * sos.sections.len() as f64).ceil() as usize;
    let mut response = magnitudes(sos);
    let sums: Vec<f64> = (0..chunks).map(|_| response.by_ref().take(chunk).sum()).collect();
    let (mut tail, mut passed) = (0.0, chunks);
    while passed > 0 && tail + sums[passed - 1] <= bound {
        passed -= 1;
        tail += sums[passed];
    }
    // The bound is reached inside the chunk before: once more, sample by sample from its end.
    let mut samples = passed * chunk;
    let inside: Vec<f64> = magnitudes(sos).take(samples).skip(passed.saturating_sub(1) * chunk).collect();
    for h in inside.iter().rev() {
        tail += h;
        if tail > bound {
            break;
        }
        samples -= 1;
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn golden() -> Value {
        let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/iir.json"));
        serde_json::from_str(text).unwrap()
    }

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    }

    fn rows(value: &Value) -> Vec<Vec<f64>> {
        value.as_array().unwrap().iter().map(numbers).collect()
    }

    fn lcg(seed: u64, n: usize) -> Vec<f64> {
        let mut s = seed;
        let mut next = || {
            s = (1_664_525 * s + 1_013_904_223) & 0xFFFF_FFFF;
            s as f64 / 4_294_967_296.0 - 0.5
        };
        (0..n).map(|_| next()).collect()
    }

    fn design(case: &Value) -> Sos {
        let cuts = numbers(&case["cuts"]);
        let band = match case["kind"].as_str().unwrap() {
            "lowpass" => Band::Low(cuts[0]),
            "highpass" => Band::High(cuts[0]),
            "bandpass" => Band::Band(cuts[0], cuts[1]),
            _ => Band::Stop(cuts[0], cuts[1]),
        };
        butterworth(case["order"].as_u64().unwrap() as usize, band, case["rate"].as_f64().unwrap()).unwrap()
    }

    /// How far one rounding of the coefficients moves `|H|` at `f`, relative.
    fn rounding(sos: &Sos, f: f64) -> f64 {
        let z = Complex64::from_polar(1.0, -2.0 * std::f64::consts::PI * f / sos.rate_hz);
        let moved = |s: &Section| f64::EPSILON * 4.0 / (1.0 + z * s.a[0] + z * z * s.a[1]).norm();
        sos.sections.iter().map(moved).sum()
    }

    #[test]
    fn designs_are_scipys_in_order_and_value() {
        for case in golden()["designs"].as_array().unwrap() {
            let sos = design(case);
            let (theirs, zi) = (rows(&case["sos"]), rows(&case["zi"]));
            assert_eq!(sos.sections.len(), theirs.len());
            for (ours, theirs) in sos.rows().iter().zip(&theirs) {
                for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
                    let scale = if i < 3 { theirs[0].abs() } else { 1.0 };
                    assert!((a - b).abs() <= 1e-13 * scale, "{case}: {a} {b}");
                }
            }
            for (f, h) in numbers(&case["f"]).iter().zip(rows(&case["h"])) {
                let off = (sos.response(*f) - Complex64::new(h[0], h[1])).norm();
                // 1e-11, unless the last bit of a coefficient alone moves the response further.
                let bound = 1e-11_f64.max(rounding(&sos, *f));
                assert!(off <= bound, "{f} Hz off by {off}, bound {bound}: {:?} {sos:?}", case["cuts"]);
            }
            for (ours, theirs) in sos.steady_state().iter().zip(&zi) {
                // Ours waits behind the gain, theirs stands in front of it: the same numbers.
                let bound = 1e-11_f64.max(rounding(&sos, 0.0)) * 4.0;
                assert!(
                    (ours[0] - theirs[0]).abs() <= bound && (ours[1] - theirs[1]).abs() <= bound,
                    "{ours:?} {theirs:?}"
                );
            }
        }
    }

    #[test]
    fn zero_phase_filtering_is_scipys() {
        for case in golden()["designs"].as_array().unwrap() {
            let sos = design(case);
            let noise = lcg(case["seed"].as_u64().unwrap(), 400);
            let x: Vec<_> = noise.iter().enumerate().map(|(i, v)| 20.0 * v + 3.0 + 0.02 * i as f64).collect();
            let y = sosfiltfilt(&sos, &x);
            let (y64, y80) = (numbers(&case["y"]), numbers(&case["y80"]));
            let peak = y80.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
            for ((ours, scipy), exact) in y.iter().step_by(7).zip(&y64).zip(&y80) {
                // SciPy's own rounding (1e-7 at 0.1 Hz and 25 kHz) bounds how near anyone can come to it.
                let lowest = numbers(&case["cuts"])[0] / sos.rate_hz();
                let bound = peak * 1e-10_f64.max(1e-15 / lowest.powi(2));
                assert!((ours - scipy).abs() <= bound, "{ours} {scipy} {:?}", case["cuts"]);
                assert!((ours - exact).abs() <= bound, "{ours} {exact} {:?}", case["cuts"]);
            }
        }
    }

    #[test]
    fn a_decay_leaks_into_the_baseline_as_in_scipy() {
        let sos = butterworth(2, Band::Band(1.0, 100.0), 1000.0).unwrap();
        let x: Vec<_> =
            (0..2000).map(|i| if i < 1000 { 0.0 } else { 50.0 * (-(i as f64 - 1000.0) / 20.0).exp() }).collect();
        let y = sosfiltfilt(&sos, &x);
        for (at, value) in golden()["decay"].as_object().unwrap() {
            let value = value.as_f64().unwrap();
            assert!((y[at.parse::<usize>().unwrap()] - value).abs() <= 1e-9, "{at}");
        }
    }

    #[test]
    fn a_constant_stays_constant_from_the_first_sample() {
        for (band, gain) in [(Band::Low(0.5), 1.0), (Band::High(0.1), 0.0), (Band::Stop(48.0, 52.0), 1.0)] {
            let sos = butterworth(3, band, 1000.0).unwrap();
            let mut state: Vec<_> = sos.steady_state().iter().map(|s| s.map(|v| v * 7.0)).collect();
            let mut data = vec![7.0; 500];
            sosfilt(&sos, &mut data, &mut state);
            assert!(data.iter().all(|y| (y - 7.0 * gain).abs() < 1e-6), "{band:?} {:?}", &data[..3]);
        }
    }

    #[test]
    fn ring_length_is_where_the_tail_falls_below_the_bound() {
        for (order, band) in
            [(2, Band::Band(1.0, 80.0)), (1, Band::Low(80.0)), (8, Band::Low(5.0)), (2, Band::Stop(48.0, 52.0))]
        {
            let sos = butterworth(order, band, 1000.0).unwrap();
            let h: Vec<_> = magnitudes(&sos).take(60_000).collect();
            for bound in [1e-3, 1e-6, 1e-10] {
                let n = decay_samples(&sos, bound);
                let tail = |from: usize| h[from..].iter().rev().sum::<f64>();
                assert!(tail(n) <= bound && tail(n - 1) > bound, "{band:?} {bound} {n}");
            }
        }
    }

    #[test]
    fn bounds_and_lengths_that_the_house_states() {
        // 1 to 80 Hz at 1 kHz rings about 6 s to 1e-10, and 0.1 Hz about ten times as long.
        let seconds =
            |lo: f64| decay_samples(&butterworth(2, Band::Band(lo, 80.0), 1000.0).unwrap(), 1e-10) as f64 / 1000.0;
        assert!((5.0..7.0).contains(&seconds(1.0)), "{}", seconds(1.0));
        assert!((50.0..70.0).contains(&seconds(0.1)), "{}", seconds(0.1));
    }

    #[test]
    fn short_data_shrink_the_padding() {
        let sos = butterworth(2, Band::Low(80.0), 1000.0).unwrap();
        assert_eq!(sosfiltfilt(&sos, &[]), Vec::<f64>::new());
        for n in 1..12 {
            let y = sosfiltfilt(&sos, &vec![5.0; n]);
            assert!(y.len() == n && y.iter().all(|v| (v - 5.0).abs() < 1e-12));
        }
    }

    #[test]
    fn what_cannot_be_designed_says_why() {
        let message = |order, band, rate| butterworth(order, band, rate).unwrap_err().to_string();
        assert_eq!(message(2, Band::Band(1.0, 80.0), 128.0), "80 Hz needs a rate above 160 Hz; here 128 Hz");
        assert_eq!(message(0, Band::Low(1.0), 100.0), "a filter order of 0 is not between 1 and 32");
        assert_eq!(message(2, Band::Band(8.0, 4.0), 100.0), "the lower cut-off, 8 Hz, is not below the upper, 4 Hz");
        assert!(message(2, Band::High(0.01), 25000.0).ends_with("decimate first"));
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(butterworth(2, Band::Low(bad), 100.0).is_err() && butterworth(2, Band::Low(1.0), bad).is_err());
            assert!(butterworth(2, Band::Band(1.0, bad), 100.0).is_err());
        }
    }

    #[test]
    fn high_orders_stay_stable() {
        for order in [16, 32] {
            let sos = butterworth(order, Band::Band(1.0, 80.0), 1000.0).unwrap();
            assert!(sos.sections.len() == order && sos.pole_radius() < 1.0);
            assert!(sosfiltfilt(&sos, &lcg(5, 3000)).iter().all(|y| y.abs() < 10.0));
        }
    }
}
