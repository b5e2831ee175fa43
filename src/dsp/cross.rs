//! Cross-spectra of two signals, summed over epochs: the hot loop of spectral connectivity.
//!
//! A signal's spectra of one epoch lie as `[taper][re | im][bin]`, the tapers' weights multiplied in, and behind them its
//! power `[bin]`; [`spectra_len`] in all. A pair's running sums are rows of `bins` values, see [`Sums`].
//!
//! Compiled for several instruction sets and chosen at run time. There are no fused multiply–adds and bins never mix: the
//! bits do not depend on the CPU.

use multiversion::multiversion;

/// Bins are padded to a multiple of this, so that no loop has a tail.
pub const LANES: usize = 8;

/// An imaginary part of at most this share of the modulus is rounding, and counts as zero.
pub const ZERO_LAG: f64 = 64.0 * f64::EPSILON;

/// Values of a signal's spectra in one epoch: `tapers` complex rows and the power.
pub fn spectra_len(tapers: usize, bins: usize) -> usize {
    (2 * tapers + 1) * bins
}

/// Fills the power row behind the complex rows: Σ over tapers of |X|².
pub fn fill_power(tapers: usize, bins: usize, spectra: &mut [f64]) {
    let (rows, power) = spectra.split_at_mut(2 * tapers * bins);
    power.fill(0.0);
    for row in rows.chunks_exact(bins) {
        power.iter_mut().zip(row).for_each(|(p, x)| *p += x * x);
    }
}

/// Which sums over epochs of a pair's cross-spectrum S = Σ over tapers of X_a X_b* are kept. Rows of `bins` values each, in
/// this order: Re S, Im S; with `power` |X_a|², |X_b|²; with `phase` Re and Im of S/|S|; with `lag` sign Im S, |Im S|,
/// (Im S)². Imaginary parts within [`ZERO_LAG`] are zero in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// Powers of both signals over the pair's own epochs.
    pub power: bool,
    /// Phase differences as unit vectors; a cross-spectrum of 0 has none and adds 0.
    pub phase: bool,
    /// Signs and sizes of the imaginary part.
    pub lag: bool,
}

/// One bin of a pair's sums; those that are not kept are NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Σ Re S.
    pub re: f64,
    /// Σ Im S.
    pub im: f64,
    /// Σ |X_a|².
    pub power_a: f64,
    /// Σ |X_b|².
    pub power_b: f64,
    /// Σ Re S/|S|.
    pub unit_re: f64,
    /// Σ Im S/|S|.
    pub unit_im: f64,
    /// Σ sign Im S.
    pub sign: f64,
    /// Σ |Im S|.
    pub size: f64,
    /// Σ (Im S)².
    pub square: f64,
}

impl Sums {
    /// Number of rows.
    pub fn rows(self) -> usize {
        2 + 2 * usize::from(self.power) + 2 * usize::from(self.phase) + 3 * usize::from(self.lag)
    }

    /// The sums of bin `k`.
    pub fn bin(self, sums: &[f64], bins: usize, k: usize) -> Bin {
        let mut next = 0;
        let mut take = |kept: bool| {
            if !kept {
                return f64::NAN;
            }
            next += 1;
            sums[(next - 1) * bins + k]
        };
        let (power, phase, lag) = (self.power, self.phase, self.lag);
        Bin {
            re: take(true),
            im: take(true),
            power_a: take(power),
            power_b: take(power),
            unit_re: take(phase),
            unit_im: take(phase),
            sign: take(lag),
            size: take(lag),
            square: take(lag),
        }
    }

    /// Adds one epoch's cross-spectrum `[re | im][bin]`, as [`cross`] gives it, and the powers of both signals.
    pub fn add(self, cross: &[f64], power_a: &[f64], power_b: &[f64], sums: &mut [f64]) {
        add_any(self, cross, power_a, power_b, sums);
    }
}

impl Sums {
    /// Adds the cross-spectra of some epochs, each given by the spectra of both signals: [`cross`] and [`Sums::add`] one
    /// after the other, bit for bit, with the sums in registers.
    ///
    /// # Panics
    /// When `sums` has not [`Sums::rows`] rows, or a signal fewer values than [`spectra_len`].
    pub fn add_epochs(self, tapers: usize, bins: usize, epochs: &[(&[f64], &[f64])], sums: &mut [f64]) {
        add_epochs_any(self, tapers, bins, epochs, sums);
    }
}

/// As many bins as a step of the hot loop takes.
type Lanes = [f64; LANES];

#[multiversion(targets("x86_64+avx+avx2+avx512f+avx512vl", "x86_64+avx+avx2"))]
fn add_epochs_any(kept: Sums, tapers: usize, bins: usize, epochs: &[(&[f64], &[f64])], sums: &mut [f64]) {
    assert!(sums.len() == kept.rows() * bins && bins.is_multiple_of(LANES));
    let steps = bins / LANES;
    let sums = sums.as_chunks_mut::<LANES>().0;
    for k in 0..steps {
        // every possible row; `row` says where it lies
        let (powers, phases) = (2 * usize::from(kept.power), 2 * usize::from(kept.phase));
        let row = |r: usize| match r {
            0..4 => r,
            4..6 => r - 2 + powers,
            _ => r - 4 + powers + phases,
        };
        let mut acc = [[0.0; LANES]; 9];
        let is_kept = [true, true, kept.power, kept.power, kept.phase, kept.phase, kept.lag, kept.lag, kept.lag];
        for r in 0..9 {
            if is_kept[r] {
                acc[r] = sums[row(r) * steps + k];
            }
        }
        for (a, b) in epochs {
            let (a, b) = (a.as_chunks::<LANES>().0, b.as_chunks::<LANES>().0);
            let (mut re, mut im): (Lanes, Lanes) = ([0.0; LANES], [0.0; LANES]);
            for t in 0..tapers {
                let at = 2 * t * steps + k;
                let (a_re, a_im, b_re, b_im) = (&a[at], &a[at + steps], &b[at], &b[at + steps]);
                re = std::array::from_fn(|l| re[l] + (a_re[l] * b_re[l] + a_im[l] * b_im[l]));
                im = std::array::from_fn(|l| im[l] + (a_im[l] * b_re[l] - a_re[l] * b_im[l]));
            }
            im = std::array::from_fn(|l| {
                let square = im[l] * im[l];
                if square <= ZERO_LAG * ZERO_LAG * (re[l] * re[l] + square) { 0.0 } else { im[l] }
            });
            acc[0] = std::array::from_fn(|l| acc[0][l] + re[l]);
            acc[1] = std::array::from_fn(|l| acc[1][l] + im[l]);
            if kept.power {
                let (a, b) = (&a[2 * tapers * steps + k], &b[2 * tapers * steps + k]);
                acc[2] = std::array::from_fn(|l| acc[2][l] + a[l]);
                acc[3] = std::array::from_fn(|l| acc[3][l] + b[l]);
            }
            if kept.phase {
                let modulus: Lanes = std::array::from_fn(|l| (re[l] * re[l] + im[l] * im[l]).sqrt());
                let scale: Lanes = std::array::from_fn(|l| if modulus[l] > 0.0 { 1.0 / modulus[l] } else { 0.0 });
                acc[4] = std::array::from_fn(|l| acc[4][l] + re[l] * scale[l]);
                acc[5] = std::array::from_fn(|l| acc[5][l] + im[l] * scale[l]);
            }
            if kept.lag {
                let ahead: Lanes = std::array::from_fn(|l| if im[l] > 0.0 { 1.0 } else { 0.0 });
                let behind: Lanes = std::array::from_fn(|l| if im[l] < 0.0 { 1.0 } else { 0.0 });
                acc[6] = std::array::from_fn(|l| acc[6][l] + (ahead[l] - behind[l]));
                acc[7] = std::array::from_fn(|l| acc[7][l] + im[l].abs());
                acc[8] = std::array::from_fn(|l| acc[8][l] + im[l] * im[l]);
            }
        }
        for r in 0..9 {
            if is_kept[r] {
                sums[row(r) * steps + k] = acc[r];
            }
        }
    }
}

/// S = Σ over tapers of X_a X_b* into `out` = `[re | im][bin]`, imaginary parts within [`ZERO_LAG`] set to zero.
///
/// # Panics
/// When `out` has not `2 · bins` values, or a signal fewer than its tapers need.
pub fn cross(tapers: usize, bins: usize, a: &[f64], b: &[f64], out: &mut [f64]) {
    cross_any(tapers, bins, a, b, out);
}

#[multiversion(targets("x86_64+avx+avx2+avx512f+avx512vl", "x86_64+avx+avx2"))]
fn cross_any(tapers: usize, bins: usize, a: &[f64], b: &[f64], out: &mut [f64]) {
    assert!(out.len() == 2 * bins && bins.is_multiple_of(LANES));
    let (re, im) = out.split_at_mut(bins);
    match tapers {
        1 => cross_of::<1>(bins, a, b, re, im),
        2 => cross_of::<2>(bins, a, b, re, im),
        3 => cross_of::<3>(bins, a, b, re, im),
        4 => cross_of::<4>(bins, a, b, re, im),
        5 => cross_of::<5>(bins, a, b, re, im),
        6 => cross_of::<6>(bins, a, b, re, im),
        7 => cross_of::<7>(bins, a, b, re, im),
        _ => {
            re.fill(0.0);
            im.fill(0.0);
            for t in 0..tapers {
                let ((a_re, a_im), (b_re, b_im)) = (taper(a, t, bins), taper(b, t, bins));
                for k in 0..bins {
                    re[k] += a_re[k] * b_re[k] + a_im[k] * b_im[k];
                    im[k] += a_im[k] * b_re[k] - a_re[k] * b_im[k];
                }
            }
        }
    }
    for (re, im) in re.iter().zip(im) {
        let square = *im * *im;
        *im = if square <= ZERO_LAG * ZERO_LAG * (re * re + square) { 0.0 } else { *im };
    }
}

/// Real and imaginary row of taper `t`.
#[inline(always)]
fn taper(x: &[f64], t: usize, bins: usize) -> (&[f64], &[f64]) {
    x[2 * t * bins..2 * (t + 1) * bins].split_at(bins)
}

/// The same sums for a number of tapers that the compiler knows.
#[inline(always)]
fn cross_of<const T: usize>(bins: usize, a: &[f64], b: &[f64], re: &mut [f64], im: &mut [f64]) {
    let a: [(&[f64], &[f64]); T] = std::array::from_fn(|t| taper(a, t, bins));
    let b: [(&[f64], &[f64]); T] = std::array::from_fn(|t| taper(b, t, bins));
    let (re, im) = (&mut re[..bins], &mut im[..bins]);
    for t in 0..T {
        assert!(a[t].0.len() == bins && a[t].1.len() == bins && b[t].0.len() == bins && b[t].1.len() == bins);
    }
    for k in 0..bins {
        let (mut sum_re, mut sum_im) = (0.0, 0.0);
        for t in 0..T {
            let (a_re, a_im, b_re, b_im) = (a[t].0[k], a[t].1[k], b[t].0[k], b[t].1[k]);
            sum_re += a_re * b_re + a_im * b_im;
            sum_im += a_im * b_re - a_re * b_im;
        }
        (re[k], im[k]) = (sum_re, sum_im);
    }
}

#[multiversion(targets("x86_64+avx+avx2+avx512f+avx512vl", "x86_64+avx+avx2"))]
fn add_any(kept: Sums, cross: &[f64], power_a: &[f64], power_b: &[f64], sums: &mut [f64]) {
    let bins = cross.len() / 2;
    assert!(sums.len() == kept.rows() * bins && bins.is_multiple_of(LANES));
    let (re, im) = cross.split_at(bins);
    let mut rows = sums.chunks_exact_mut(bins.max(1));
    let mut next = || rows.next().unwrap_or_default();
    add_row(next(), re);
    add_row(next(), im);
    if kept.power {
        add_row(next(), power_a);
        add_row(next(), power_b);
    }
    if kept.phase {
        let (unit_re, unit_im) = (next(), next());
        for (((u, v), re), im) in unit_re.iter_mut().zip(unit_im).zip(re).zip(im) {
            let modulus = (re * re + im * im).sqrt();
            let scale = if modulus > 0.0 { 1.0 / modulus } else { 0.0 };
            *u += re * scale;
            *v += im * scale;
        }
    }
    if kept.lag {
        let (sign, size, square) = (next(), next(), next());
        for (((sign, size), square), im) in sign.iter_mut().zip(size).zip(square).zip(im) {
            *sign += f64::from(u8::from(*im > 0.0)) - f64::from(u8::from(*im < 0.0));
            *size += im.abs();
            *square += im * im;
        }
    }
}

#[inline(always)]
fn add_row(sum: &mut [f64], row: &[f64]) {
    sum.iter_mut().zip(row).for_each(|(s, x)| *s += x);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::fft::Complex;

    fn noise(n: usize, seed: u32) -> Vec<f64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state) / 4_294_967_296.0 - 0.5
        };
        (0..n).map(|_| next()).collect()
    }

    #[test]
    fn every_number_of_tapers_is_the_definition() {
        let bins = 16;
        for tapers in 1..10 {
            let mut spectra = [1, 2].map(|seed| noise(spectra_len(tapers, bins), seed));
            spectra.iter_mut().for_each(|x| fill_power(tapers, bins, x));
            let [a, b] = &spectra;
            let value = |x: &[f64], t: usize, k: usize| Complex::new(x[2 * t * bins + k], x[(2 * t + 1) * bins + k]);
            let mut out = vec![0.0; 2 * bins];
            cross(tapers, bins, a, b, &mut out);
            let kept = Sums { power: true, phase: true, lag: true };
            let mut sums = vec![1.0; kept.rows() * bins];
            let powers = [a, b].map(|x| &x[2 * tapers * bins..]);
            kept.add(&out, powers[0], powers[1], &mut sums);
            for k in 0..bins {
                let s: Complex = (0..tapers).map(|t| value(a, t, k) * value(b, t, k).conj()).sum();
                let power = |x: &[f64]| (0..tapers).map(|t| value(x, t, k).norm_sqr()).sum::<f64>();
                let sign = if s.im > 0.0 { 1.0 } else { -1.0 };
                let bin = kept.bin(&sums, bins, k);
                let got = [
                    bin.re,
                    bin.im,
                    bin.power_a,
                    bin.power_b,
                    bin.unit_re,
                    bin.unit_im,
                    bin.sign,
                    bin.size,
                    bin.square,
                ];
                let unit = s / s.norm();
                let want = [s.re, s.im, power(a), power(b), unit.re, unit.im, sign, s.im.abs(), s.im * s.im];
                for (i, (got, want)) in got.iter().zip(want).enumerate() {
                    assert!((got - 1.0 - want).abs() < 1e-14, "{tapers} tapers, row {i}: {got} {want}");
                }
            }
        }
    }

    #[test]
    fn epochs_at_once_are_the_same_bits() {
        let bins = 24;
        for tapers in [1, 3, 9] {
            let spectra = |seed| {
                let mut x = noise(spectra_len(tapers, bins), seed);
                x[..7].fill(0.0);
                fill_power(tapers, bins, &mut x);
                x
            };
            let epochs: Vec<[Vec<f64>; 2]> = (0..5).map(|e| [spectra(2 * e), spectra(2 * e + 1 + e % 2)]).collect();
            for mask in 0..8 {
                let kept = Sums { power: mask & 1 > 0, phase: mask & 2 > 0, lag: mask & 4 > 0 };
                let mut want = noise(kept.rows() * bins, 77);
                let mut got = want.clone();
                let mut out = vec![0.0; 2 * bins];
                for [a, b] in &epochs {
                    cross(tapers, bins, a, b, &mut out);
                    kept.add(&out, &a[2 * tapers * bins..], &b[2 * tapers * bins..], &mut want);
                }
                let pairs: Vec<(&[f64], &[f64])> = epochs.iter().map(|[a, b]| (&a[..], &b[..])).collect();
                kept.add_epochs(tapers, bins, &pairs, &mut got);
                assert!(got.iter().zip(&want).all(|(g, w)| g.to_bits() == w.to_bits()), "{tapers} tapers, {kept:?}");
            }
        }
    }

    #[test]
    fn rounding_is_zero_lag_and_more_is_not() {
        let mut out = vec![0.0; 16];
        let mut a = vec![0.0; spectra_len(1, 8)];
        let mut b = a.clone();
        a[..8].fill(1.0);
        b[..8].fill(1.0);
        for (k, im) in [0.0, 0.5, 0.99, 1.01, -0.99, -1.01, 2.0, -2.0].into_iter().enumerate() {
            a[8 + k] = im * ZERO_LAG;
        }
        cross(1, 8, &a, &b, &mut out);
        let kept: Vec<bool> = out[8..].iter().map(|im| *im != 0.0).collect();
        assert_eq!(kept, [false, false, false, true, false, true, true, true]);
        // a cross-spectrum of nothing has no phase and no lag
        a.fill(0.0);
        cross(1, 8, &a, &b, &mut out);
        let sums = Sums { phase: true, lag: true, power: false };
        let mut row = vec![0.0; sums.rows() * 8];
        sums.add(&out, &[], &[], &mut row);
        assert!(row.iter().all(|v| *v == 0.0));
    }
}
