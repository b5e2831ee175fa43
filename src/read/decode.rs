//! From stored numbers to tiles of eight channels: `value = (stored − zero) · gain + bias`, lane by lane.
//!
//! Two shapes exist. In *rows* a channel's samples follow each other (EDF records, BrainVision VECTORIZED); in
//! *frames* the channels of one instant do (BrainVision MULTIPLEXED, EEGLAB). Both are one formula, lane `l` of sample `t`
//! lies at `at[l] + t · stride`; rows are the case stride = width. Multiply and add stay apart (no FMA), so bits do
//! not depend on the CPU.

use crate::signal::{LANES, Lanes};
use multiversion::multiversion;

/// How a sample is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    I8,
    U8,
    I16,
    U16,
    I24,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
    I16Be,
    U16Be,
    I32Be,
    U32Be,
    I64Be,
    U64Be,
    F32Be,
    F64Be,
}

impl Number {
    /// Bytes per sample.
    pub(super) fn width(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 | Self::I16Be | Self::U16Be => 2,
            Self::I24 => 3,
            Self::I32 | Self::U32 | Self::F32 | Self::I32Be | Self::U32Be | Self::F32Be => 4,
            Self::I64 | Self::U64 | Self::F64 | Self::I64Be | Self::U64Be | Self::F64Be => 8,
        }
    }

    /// Whether a stored sample can be NaN or infinite.
    pub(super) fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F32Be | Self::F64 | Self::F64Be)
    }

    /// The lowest and highest value it can hold; `None` for floats, which do not saturate, and for what no converter
    /// gives.
    pub(super) fn range(self) -> Option<[f64; 2]> {
        match self {
            Self::I8 => Some([-128.0, 127.0]),
            Self::U8 => Some([0.0, 255.0]),
            Self::I16 | Self::I16Be => Some([-32_768.0, 32_767.0]),
            Self::U16 | Self::U16Be => Some([0.0, 65_535.0]),
            Self::I24 => Some([-8_388_608.0, 8_388_607.0]),
            Self::I32 | Self::I32Be => Some([-2_147_483_648.0, 2_147_483_647.0]),
            Self::U32 | Self::U32Be => Some([0.0, 4_294_967_295.0]),
            Self::I64 | Self::I64Be | Self::U64 | Self::U64Be => None,
            Self::F32 | Self::F32Be | Self::F64 | Self::F64Be => None,
        }
    }
}

/// The scale of eight lanes.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    pub(super) zero: Lanes,
    pub(super) gain: Lanes,
    pub(super) bias: Lanes,
}

/// Fills `out` from `bytes`: lane `l` of sample `t` is stored at `at[l] + t · stride`.
///
/// # Panics
/// When `bytes` is shorter than that (a reader that miscounted).
pub(super) fn decode(
    number: Number,
    bytes: &[u8],
    at: &[usize; LANES],
    stride: usize,
    scale: &Scale,
    out: &mut [Lanes],
) {
    if out.is_empty() {
        return;
    }
    match number {
        Number::I8 => i8_le(bytes, at, stride, scale, out),
        Number::U8 => u8_le(bytes, at, stride, scale, out),
        Number::I16 if stride == 2 => rows_i16(bytes, at, scale, out),
        Number::I16 => i16_le(bytes, at, stride, scale, out),
        Number::U16 => u16_le(bytes, at, stride, scale, out),
        Number::I24 => i24_le(bytes, at, stride, scale, out),
        Number::I32 => i32_le(bytes, at, stride, scale, out),
        Number::U32 => u32_le(bytes, at, stride, scale, out),
        Number::I64 => i64_le(bytes, at, stride, scale, out),
        Number::U64 => u64_le(bytes, at, stride, scale, out),
        Number::F32 => f32_le(bytes, at, stride, scale, out),
        Number::F64 => f64_le(bytes, at, stride, scale, out),
        Number::I16Be => i16_be(bytes, at, stride, scale, out),
        Number::U16Be => u16_be(bytes, at, stride, scale, out),
        Number::I32Be => i32_be(bytes, at, stride, scale, out),
        Number::U32Be => u32_be(bytes, at, stride, scale, out),
        Number::I64Be => i64_be(bytes, at, stride, scale, out),
        Number::U64Be => u64_be(bytes, at, stride, scale, out),
        Number::F32Be => f32_be(bytes, at, stride, scale, out),
        Number::F64Be => f64_be(bytes, at, stride, scale, out),
    }
}

/// One kernel per number type: contiguous lanes are loaded as one run of bytes, others are gathered.
macro_rules! kernel {
    ($name:ident, $width:literal, $value:expr) => {
        #[multiversion(targets("x86_64+avx2"))]
        fn $name(bytes: &[u8], at: &[usize; LANES], stride: usize, scale: &Scale, out: &mut [Lanes]) {
            let value = $value;
            let reach = (out.len() - 1) * stride + $width;
            let lanes: [&[u8]; LANES] = std::array::from_fn(|l| &bytes[at[l]..at[l] + reach]);
            if (1..LANES).all(|l| at[l] == at[0] + l * $width) {
                let run = &bytes[at[0]..at[7] + reach];
                for (t, y) in out.iter_mut().enumerate() {
                    let frame = &run[t * stride..t * stride + LANES * $width];
                    let mut v = [0.0; LANES];
                    for (v, b) in v.iter_mut().zip(frame.as_chunks::<$width>().0) {
                        *v = value(*b);
                    }
                    for l in 0..LANES {
                        y[l] = (v[l] - scale.zero[l]) * scale.gain[l] + scale.bias[l];
                    }
                }
            } else {
                for (t, y) in out.iter_mut().enumerate() {
                    for l in 0..LANES {
                        let mut b = [0; $width];
                        b.copy_from_slice(&lanes[l][t * stride..t * stride + $width]);
                        y[l] = (value(b) - scale.zero[l]) * scale.gain[l] + scale.bias[l];
                    }
                }
            }
        }
    };
}

kernel!(i8_le, 1, |b: [u8; 1]| f64::from(b[0] as i8));
kernel!(u8_le, 1, |b: [u8; 1]| f64::from(b[0]));
kernel!(i16_le, 2, |b: [u8; 2]| f64::from(i16::from_le_bytes(b)));
kernel!(u16_le, 2, |b: [u8; 2]| f64::from(u16::from_le_bytes(b)));
kernel!(i24_le, 3, |b: [u8; 3]| f64::from(i32::from_le_bytes([0, b[0], b[1], b[2]]) >> 8));
kernel!(i32_le, 4, |b: [u8; 4]| f64::from(i32::from_le_bytes(b)));
kernel!(u32_le, 4, |b: [u8; 4]| f64::from(u32::from_le_bytes(b)));
kernel!(i64_le, 8, |b: [u8; 8]| i64::from_le_bytes(b) as f64);
kernel!(u64_le, 8, |b: [u8; 8]| u64::from_le_bytes(b) as f64);
kernel!(f32_le, 4, |b: [u8; 4]| f64::from(f32::from_le_bytes(b)));
kernel!(f64_le, 8, f64::from_le_bytes);
kernel!(i16_be, 2, |b: [u8; 2]| f64::from(i16::from_be_bytes(b)));
kernel!(u16_be, 2, |b: [u8; 2]| f64::from(u16::from_be_bytes(b)));
kernel!(i32_be, 4, |b: [u8; 4]| f64::from(i32::from_be_bytes(b)));
kernel!(u32_be, 4, |b: [u8; 4]| f64::from(u32::from_be_bytes(b)));
kernel!(i64_be, 8, |b: [u8; 8]| i64::from_be_bytes(b) as f64);
kernel!(u64_be, 8, |b: [u8; 8]| u64::from_be_bytes(b) as f64);
kernel!(f32_be, 4, |b: [u8; 4]| f64::from(f32::from_be_bytes(b)));
kernel!(f64_be, 8, f64::from_be_bytes);

/// EDF's case, the hot one: eight rows of 16-bit samples, transposed eight by eight in registers.
#[multiversion(targets("x86_64+avx2"))]
fn rows_i16(bytes: &[u8], at: &[usize; LANES], scale: &Scale, out: &mut [Lanes]) {
    let rows: [&[[u8; 2]]; LANES] = std::array::from_fn(|l| bytes[at[l]..at[l] + 2 * out.len()].as_chunks().0);
    let (tiles, rest) = out.as_chunks_mut::<LANES>();
    let done = tiles.len() * LANES;
    for (k, tile) in tiles.iter_mut().enumerate() {
        let mut square = [[0_i16; LANES]; LANES];
        for (line, row) in square.iter_mut().zip(&rows) {
            for (x, b) in line.iter_mut().zip(&row[k * LANES..(k + 1) * LANES]) {
                *x = i16::from_le_bytes(*b);
            }
        }
        // Three perfect shuffles of the halves transpose an 8 × 8 square.
        for _ in 0..3 {
            let [a, b, c, d, e, f, g, h] = square;
            square = [low(a, e), high(a, e), low(b, f), high(b, f), low(c, g), high(c, g), low(d, h), high(d, h)];
        }
        for (y, x) in tile.iter_mut().zip(&square) {
            for l in 0..LANES {
                y[l] = (f64::from(x[l]) - scale.zero[l]) * scale.gain[l] + scale.bias[l];
            }
        }
    }
    for (t, y) in rest.iter_mut().enumerate() {
        for l in 0..LANES {
            let x = f64::from(i16::from_le_bytes(rows[l][done + t]));
            y[l] = (x - scale.zero[l]) * scale.gain[l] + scale.bias[l];
        }
    }
}

#[inline(always)]
fn low(a: [i16; 8], b: [i16; 8]) -> [i16; 8] {
    [a[0], b[0], a[1], b[1], a[2], b[2], a[3], b[3]]
}

#[inline(always)]
fn high(a: [i16; 8], b: [i16; 8]) -> [i16; 8] {
    [a[4], b[4], a[5], b[5], a[6], b[6], a[7], b[7]]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kernel, contiguous or not, against the formula written out for one sample.
    #[test]
    fn all_kernels_follow_the_formula() {
        let bytes: Vec<u8> = (0..4096_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let scale = Scale {
            zero: std::array::from_fn(|l| l as f64 - 3.0),
            gain: std::array::from_fn(|l| 0.1 * (l as f64 - 2.5)),
            bias: std::array::from_fn(|l| 7.0 * l as f64),
        };
        use Number::*;
        let little = [I8, U8, I16, U16, I24, I32, U32, I64, U64, F32, F64];
        let big = [I16Be, U16Be, I32Be, U32Be, I64Be, U64Be, F32Be, F64Be];
        for number in little.into_iter().chain(big) {
            let w = number.width();
            let n = 37;
            let rows: [usize; 8] = std::array::from_fn(|l| 3 + (7 - l) * 40 * w);
            let frames: [usize; 8] = std::array::from_fn(|l| 5 + l * w);
            for (at, stride) in [(rows, w), (frames, 9 * w), (rows, w + 1)] {
                let mut out = vec![[0.0; 8]; n];
                decode(number, &bytes, &at, stride, &scale, &mut out);
                for (t, y) in out.iter().enumerate() {
                    for l in 0..8 {
                        let p = at[l] + t * stride;
                        let mut b = bytes[p..p + w].to_vec();
                        if big.contains(&number) {
                            b.reverse();
                        }
                        let raw = b.iter().rev().fold(0_u64, |a, &b| a << 8 | u64::from(b));
                        let signed = ((raw << (64 - 8 * w)) as i64 >> (64 - 8 * w)) as f64;
                        let x = match number {
                            U8 | U16 | U16Be | U32 | U32Be | U64 | U64Be => raw as f64,
                            F64 | F64Be => f64::from_bits(raw),
                            F32 | F32Be => f64::from(f32::from_bits(raw as u32)),
                            _ => signed,
                        };
                        let want = (x - scale.zero[l]) * scale.gain[l] + scale.bias[l];
                        assert!(y[l] == want || (want.is_nan() && y[l].is_nan()), "{number:?} {stride} {t} {l}");
                    }
                }
            }
        }
    }
}
