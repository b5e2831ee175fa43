//! Rational resampling with one linear-phase filter: the polyphase design of SciPy's `resample_poly`.
//!
//! Output sample `k` lies exactly at input sample `k · down / up`, so nothing is delayed. The low-pass is a
//! Kaiser-windowed sinc on the grid of `up` points per input sample, −6 dB at the lower of the two Nyquist frequencies,
//! 10 zero crossings to either side. It is a Nyquist filter: its taps at whole multiples of `max(up, down)` are zero
//! but for the centre. (Crochiere & Rabiner, *Multirate Digital Signal Processing*, 1983, ch. 2–4; Kaiser & Schafer 1980,
//! 10.1109/TASSP.1980.1163349.)

use super::fir::{Band, amplitude, firwin};
use super::window::Window;
use crate::{Error, Result};
use multiversion::multiversion;

/// β of the Kaiser window in SciPy and MNE-Python.
pub const BETA: f64 = 5.0;

/// Zero crossings to either side in SciPy and MNE-Python.
pub const CROSSINGS: u32 = 10;

/// Largest `up` or `down`: beyond it the filter would fill the cache of any machine.
pub const LARGEST_FACTOR: u64 = 100_000;

/// A planned resampler by `up / down`: plain data, shared by all channels.
#[derive(Debug, Clone)]
pub struct Polyphase {
    up: usize,
    down: usize,
    before: usize,
    after: usize,
    prototype: Vec<f64>,
    /// `up` branches of `before + 1 + after` taps. Branch `p` serves outputs that lie `p / up` after an input sample.
    bank: Vec<f64>,
}

impl Polyphase {
    /// Plans resampling by `up / down` with `crossings` zero crossings to either side and a Kaiser window of `beta`.
    ///
    /// With `exact_dc` each branch is scaled to unit sum, so that an offset passes unchanged and leaves no images;
    /// without it an offset comes with images some 10^-4 of it (SciPy's taps as they are). The same when `up` is 1.
    ///
    /// # Errors
    /// When the reduced `up` or `down` is zero or above [`LARGEST_FACTOR`], or there are no or over 1000 crossings,
    /// or β is not within 0…50.
    pub fn new(up: u64, down: u64, crossings: u32, beta: f64, exact_dc: bool) -> Result<Self> {
        let g = crate::unit::gcd(up, down).max(1);
        let (up, down) = (up / g, down / g);
        if up == 0 || down == 0 || up.max(down) > LARGEST_FACTOR {
            return Err(Error::usage(format!("resampling by {up}/{down} is not supported (at most {LARGEST_FACTOR})")));
        }
        if !(1..=1000).contains(&crossings) || !(0.0..=50.0).contains(&beta) {
            return Err(Error::usage(format!("{crossings} zero crossings with a Kaiser β of {beta} make no filter")));
        }
        let (up, down) = (up as usize, down as usize);
        let rate = up.max(down);
        let half = crossings as usize * rate;
        let mut prototype = match rate {
            1 => vec![1.0],
            _ => firwin(2 * half + 1, Band::LowPass(1.0 / rate as f64), Window::Kaiser(beta))?,
        };
        let half = prototype.len() / 2;
        for (i, h) in prototype.iter_mut().enumerate() {
            let m = i.abs_diff(half);
            *h = if m != 0 && m.is_multiple_of(rate) { 0.0 } else { *h * up as f64 };
        }
        // input sample `c + m` of an output that lies `p / up` after input sample `c` has tap `p − m·up` from the centre
        let before = half / up;
        let after = if up == 1 { before } else { before + 1 };
        let width = before + 1 + after;
        let mut bank = vec![0.0; up * width];
        for (p, branch) in bank.chunks_exact_mut(width).enumerate() {
            for (j, tap) in branch.iter_mut().enumerate() {
                let i = (p + half + before * up) as i64 - (j * up) as i64;
                *tap = usize::try_from(i).ok().and_then(|i| prototype.get(i)).copied().unwrap_or(0.0);
            }
            if exact_dc {
                let sum: f64 = branch.iter().sum();
                branch.iter_mut().for_each(|h| *h /= sum);
            }
        }
        Ok(Self { up, down, before, after, prototype, bank })
    }

    /// Output samples per `down` input samples, reduced.
    pub fn up(&self) -> usize {
        self.up
    }

    /// Input samples per `up` output samples, reduced.
    pub fn down(&self) -> usize {
        self.down
    }

    /// Input samples needed before the one at or before an output.
    pub fn before(&self) -> usize {
        self.before
    }

    /// Input samples needed after the one at or before an output.
    pub fn after(&self) -> usize {
        self.after
    }

    /// Input samples that enter one output.
    pub fn width(&self) -> usize {
        self.before + 1 + self.after
    }

    /// Taps of the filter on the grid of `up` points per input sample.
    pub fn taps(&self) -> &[f64] {
        &self.prototype
    }

    /// Bytes of the planned taps.
    pub fn memory_bytes(&self) -> u64 {
        8 * (self.prototype.len() + self.bank.len()) as u64
    }

    /// Amplitude at `hz`, for an input at `input_hz`.
    pub fn amplitude(&self, hz: f64, input_hz: f64) -> f64 {
        amplitude(&self.prototype, 2.0 * hz / (input_hz * self.up as f64)) / self.up as f64
    }

    /// First output at or after input sample `sample`.
    pub fn first_from(&self, sample: i64) -> i64 {
        -((-i128::from(sample) * self.up as i128).div_euclid(self.down as i128)) as i64
    }

    /// One past the last output that can be computed from the input samples before `end`.
    pub fn ready(&self, end: i64) -> i64 {
        self.first_from(end.saturating_sub(self.after as i64))
    }

    /// The input sample at or before output `k`.
    pub fn sample_before(&self, k: i64) -> i64 {
        (i128::from(k) * self.down as i128).div_euclid(self.up as i128) as i64
    }

    /// Computes outputs `k..k + out.len()` of eight channels. `input` starts at sample `first` and must hold
    /// all samples from [`Polyphase::before`] the first output's to [`Polyphase::after`] the last one's.
    ///
    /// Every output is a function of its own `width` samples alone: a non-finite sample reaches no further.
    ///
    /// # Panics
    /// When `input` does not hold the samples.
    pub fn filter(&self, input: &[[f64; 8]], first: i64, k: i64, out: &mut [[f64; 8]]) {
        if out.is_empty() {
            return;
        }
        let start = (self.sample_before(k) - self.before as i64 - first) as usize;
        if self.up == 1 {
            decimate(&self.bank, self.down, &input[start..], out);
        } else {
            let phase = (i128::from(k) * self.down as i128).rem_euclid(self.up as i128) as usize;
            interpolate(&self.bank, self.up, self.down, phase, &input[start..], out);
        }
    }
}

/// Keeps every `down`-th sample. A known `down` lets the compiler unroll; the sums are the same.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2", "x86_64+avx"))]
fn decimate(taps: &[f64], down: usize, input: &[[f64; 8]], out: &mut [[f64; 8]]) {
    match down {
        2 => decimate_by(taps, 2, input, out),
        4 => decimate_by(taps, 4, input, out),
        5 => decimate_by(taps, 5, input, out),
        _ => decimate_by(taps, down, input, out),
    }
}

/// The taps at whole multiples of `down` are zero but for the centre and are skipped; the others come in runs of
/// `down − 1`, so that run `r` of one output meets the samples of run `r − 1` of the next. Four outputs at a time share
/// the loads of the samples. Each sum starts with the centre and goes on in the order of the samples, in fours or alone.
#[inline(always)]
fn decimate_by(taps: &[f64], down: usize, input: &[[f64; 8]], out: &mut [[f64; 8]]) {
    let half = taps.len() / 2;
    let (runs, run) = ((taps.len() - 1) / down, down - 1);
    let centre = taps[half];
    let tap = |r: usize| &taps[r * down + 1..][..run];
    let fours = if runs > 3 { out.len() / 4 * 4 } else { 0 };
    let (quads, rest) = out.split_at_mut(fours);
    let mut at = 0;
    for quad in quads.chunks_exact_mut(4) {
        let input = &input[at..][..3 * down + taps.len()];
        let x = |r: usize| &input[r * down + 1..][..run];
        let (first, last) = (tap(0), tap(runs - 1));
        let mut sums = std::array::from_fn(|n| input[half + n * down].map(|x| x * centre));
        accumulate::<0, 1, 4>(&mut sums, x(0), [first; 4]);
        accumulate::<0, 2, 4>(&mut sums, x(1), [tap(1), first, first, first]);
        accumulate::<0, 3, 4>(&mut sums, x(2), [tap(2), tap(1), first, first]);
        for r in 3..runs {
            accumulate::<0, 4, 4>(&mut sums, x(r), [tap(r), tap(r - 1), tap(r - 2), tap(r - 3)]);
        }
        accumulate::<1, 4, 4>(&mut sums, x(runs), [last, last, tap(runs - 2), tap(runs - 3)]);
        accumulate::<2, 4, 4>(&mut sums, x(runs + 1), [last, last, last, tap(runs - 2)]);
        accumulate::<3, 4, 4>(&mut sums, x(runs + 2), [last; 4]);
        quad.copy_from_slice(&sums);
        at += 4 * down;
    }
    for one in rest {
        let input = &input[at..][..taps.len()];
        let mut sums = [input[half].map(|x| x * centre)];
        for r in 0..runs {
            accumulate::<0, 1, 1>(&mut sums, &input[r * down + 1..][..run], [tap(r)]);
        }
        [*one] = sums;
        at += down;
    }
}

/// Each output has its own branch of taps; four outputs at a time share the loads of the samples that all of them need.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512vbmi2", "x86_64+avx2", "x86_64+avx"))]
fn interpolate(bank: &[f64], up: usize, down: usize, phase: usize, input: &[[f64; 8]], out: &mut [[f64; 8]]) {
    let width = bank.len() / up;
    let mut place = phase;
    let mut next = || {
        let (at, phase) = (place / up, place % up);
        place += down;
        (at, &bank[phase * width..][..width])
    };
    let fours = if 3 * (down / up + 1) < width { out.len() / 4 * 4 } else { 0 };
    let (quads, rest) = out.split_at_mut(fours);
    for quad in quads.chunks_exact_mut(4) {
        let branches: [(usize, &[f64]); 4] = std::array::from_fn(|_| next());
        let (from, to) = (branches[3].0, branches[0].0 + width);
        // the samples before and after those that all four need
        let early = branches.map(|(at, taps)| (&input[at..from], &taps[..from - at]));
        let late = branches.map(|(at, taps)| (&input[to..at + width], &taps[to - at..]));
        let mut sums = [[0.0; 8]; 4];
        accumulate::<0, 1, 4>(&mut sums, early[0].0, [early[0].1; 4]);
        accumulate::<1, 2, 4>(&mut sums, early[1].0, [early[1].1; 4]);
        accumulate::<2, 3, 4>(&mut sums, early[2].0, [early[2].1; 4]);
        accumulate::<0, 4, 4>(&mut sums, &input[from..to], branches.map(|(at, taps)| &taps[from - at..][..to - from]));
        accumulate::<1, 2, 4>(&mut sums, late[1].0, [late[1].1; 4]);
        accumulate::<2, 3, 4>(&mut sums, late[2].0, [late[2].1; 4]);
        accumulate::<3, 4, 4>(&mut sums, late[3].0, [late[3].1; 4]);
        quad.copy_from_slice(&sums);
    }
    for one in rest {
        let (at, taps) = next();
        let mut sums = [[0.0; 8]];
        accumulate::<0, 1, 1>(&mut sums, &input[at..][..width], [taps]);
        [*one] = sums;
    }
}

/// Adds each sample, times each output's own tap, to the sums `FROM..TO`.
#[inline(always)]
fn accumulate<const FROM: usize, const TO: usize, const N: usize>(
    sums: &mut [[f64; 8]; N],
    samples: &[[f64; 8]],
    taps: [&[f64]; N],
) {
    let taps: [&[f64]; N] =
        std::array::from_fn(|n| if (FROM..TO).contains(&n) { &taps[n][..samples.len()] } else { &[] });
    for (i, x) in samples.iter().enumerate() {
        for n in FROM..TO {
            for lane in 0..8 {
                sums[n][lane] += x[lane] * taps[n][i];
            }
        }
    }
}

/// What a signal is taken to be beyond its ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Padding {
    /// This value.
    Constant(f64),
    /// Mirrored about its first and last sample, `c b | a b c d | c b`: a constant stays a constant (MNE-Python's rule).
    Reflect,
}

impl Padding {
    /// The sample at `i`, which may lie outside.
    pub fn at(self, x: &[f64], i: i64) -> f64 {
        match self {
            Self::Constant(value) => usize::try_from(i).ok().and_then(|i| x.get(i)).copied().unwrap_or(value),
            Self::Reflect => x.get(reflected(i, x.len())).copied().unwrap_or(f64::NAN),
        }
    }
}

/// The index within `0..n` that `i` mirrors to (period 2n − 2).
pub fn reflected(i: i64, n: usize) -> usize {
    let period = (2 * n as i64 - 2).max(1);
    let j = i.rem_euclid(period);
    j.min(period - j).min(n as i64 - 1).max(0) as usize
}

/// The plain reference on one channel, as `scipy.signal.resample_poly`: `ceil(n · up / down)` samples, the first of them
/// at input sample 0.
///
/// # Errors
/// As [`Polyphase::new`].
pub fn resample_poly(x: &[f64], up: u64, down: u64, padding: Padding) -> Result<Vec<f64>> {
    let plan = Polyphase::new(up, down, CROSSINGS, BETA, false)?;
    let half = (plan.prototype.len() / 2) as i64;
    let (up, down) = (plan.up as i64, plan.down as i64);
    let outputs = (0..plan.first_from(x.len() as i64)).map(|k| {
        let centre = k * down;
        let inputs = (centre - half + up - 1).div_euclid(up)..=(centre + half).div_euclid(up);
        inputs.map(|i| padding.at(x, i) * plan.prototype[(centre - i * up + half) as usize]).sum()
    });
    Ok(outputs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden() -> serde_json::Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/resample.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn list(value: &serde_json::Value) -> Vec<f64> {
        serde_json::from_value(value.clone()).unwrap()
    }

    /// `x`, mirrored at both ends, as tiles whose lane `l` is `x · (l + 1)`.
    fn tiles(x: &[f64], before: usize, after: usize) -> Vec<[f64; 8]> {
        (-(before as i64)..(x.len() + after) as i64)
            .map(|i| std::array::from_fn(|l| Padding::Reflect.at(x, i) * (l + 1) as f64))
            .collect()
    }

    #[test]
    fn the_reference_is_scipys() {
        let golden = golden();
        let x = list(&golden["x"]);
        for case in golden["cases"].as_array().unwrap() {
            let n = case["n"].as_u64().unwrap() as usize;
            let padding = match case["padding"].as_str().unwrap() {
                "reflect" => Padding::Reflect,
                _ => Padding::Constant(case["value"].as_f64().unwrap()),
            };
            let [up, down] = ["up", "down"].map(|k| case[k].as_u64().unwrap());
            let want = list(&case["y"]);
            let got = resample_poly(&x[..n], up, down, padding).unwrap();
            assert_eq!(got.len(), want.len());
            for (k, (g, w)) in got.iter().zip(&want).enumerate() {
                assert!((g - w).abs() < 1e-12 * 50.0, "{up}/{down} {padding:?} at {k}: {g} {w}");
            }
        }
    }

    #[test]
    fn tiles_are_the_reference() {
        let x = list(&golden()["x"]);
        for (up, down) in [(1, 5), (1, 25), (2, 1), (125, 256), (29, 200), (3, 2), (1, 1), (1, 2), (1, 4)] {
            let plan = Polyphase::new(up, down, CROSSINGS, BETA, false).unwrap();
            let want = resample_poly(&x, up, down, Padding::Reflect).unwrap();
            let input = tiles(&x, plan.before(), plan.after());
            let mut out = vec![[0.0; 8]; want.len()];
            plan.filter(&input, -(plan.before() as i64), 0, &mut out);
            for (k, (tile, w)) in out.iter().zip(&want).enumerate() {
                for (l, g) in tile.iter().enumerate() {
                    let w = w * (l + 1) as f64;
                    assert!((g - w).abs() < 1e-12 * 50.0, "{up}/{down} at {k} lane {l}: {g} {w}");
                }
            }
        }
    }

    #[test]
    fn four_at_a_time_or_one_are_the_same_bits() {
        let x = list(&golden()["x"]);
        for (up, down, crossings) in [(1, 5, 10), (1, 3, 1), (1, 7, 2), (29, 200, 10), (3, 2, 10), (2, 9, 1)] {
            let plan = Polyphase::new(up, down, crossings, BETA, true).unwrap();
            let input = tiles(&x, plan.before(), plan.after());
            let mut all = vec![[0.0; 8]; plan.first_from(x.len() as i64) as usize];
            plan.filter(&input, -(plan.before() as i64), 0, &mut all);
            for (k, tile) in all.iter().enumerate() {
                let mut one = [[0.0; 8]];
                plan.filter(&input, -(plan.before() as i64), k as i64, &mut one);
                assert_eq!(one[0].map(f64::to_bits), tile.map(f64::to_bits), "{up}/{down} at {k}");
            }
        }
    }

    #[test]
    fn an_offset_leaves_no_images() {
        for (up, down) in [(125, 512), (29, 200), (2, 1)] {
            let ripple = |exact| {
                let plan = Polyphase::new(up, down, CROSSINGS, BETA, exact).unwrap();
                let mut out = vec![[0.0; 8]; 300];
                let length = plan.sample_before(299) as usize + plan.width();
                plan.filter(&vec![[1.0; 8]; length], -(plan.before() as i64), 0, &mut out);
                out.iter().map(|v| (v[3] - 1.0).abs()).fold(0.0, f64::max)
            };
            assert!(ripple(true) < 1e-14 && (1e-7..1e-2).contains(&ripple(false)), "{up}/{down}: {}", ripple(false));
        }
    }

    #[test]
    fn mirrors() {
        let x = [1.0, 2.0, 3.0];
        let got: Vec<f64> = (-5..8).map(|i| Padding::Reflect.at(&x, i)).collect();
        assert_eq!(got, [2.0, 1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0, 2.0]);
        assert_eq!(Padding::Reflect.at(&[4.0], -7), 4.0);
        assert!(Padding::Reflect.at(&[], 0).is_nan());
    }

    #[test]
    fn ratios_are_reduced_and_bounded() {
        let plan = Polyphase::new(1000, 5000, CROSSINGS, BETA, true).unwrap();
        assert_eq!((plan.up(), plan.down(), plan.width(), plan.taps().len()), (1, 5, 101, 101));
        assert!(Polyphase::new(0, 1, 10, 5.0, true).is_err());
        assert!(Polyphase::new(1, 100_001, 10, 5.0, true).is_err());
        assert!(Polyphase::new(1, 2, 0, 5.0, true).is_err() && Polyphase::new(1, 2, 10, f64::NAN, true).is_err());
        assert_eq!([-6, -5, -1, 0, 1, 5].map(|s| plan.first_from(s)), [-1, -1, 0, 0, 1, 1]);
    }
}
