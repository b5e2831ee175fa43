//! Surrogates: every channel's spectrum of every epoch is turned by a random phase, the same at all frequencies, which
//! destroys what holds between channels over epochs and keeps the rest: powers, and leakage between frequencies.
//!
//! The spectra of all epochs lie in a temporary file (8 bytes × channels × (2 tapers + 1) × bins an epoch); in memory is one
//! pair at a time with the sums of its surrogates. Cost: surrogates × pairs × epochs × bins updates, about 2 ns each.

use crate::dsp::cross::{Sums, cross};
use std::f64::consts::TAU;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Mutex;

/// A pair by slots of the channels that are transformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    pub a: usize,
    pub b: usize,
    /// Whether it has rows of its own; else it serves the sets.
    pub listed: bool,
}

/// Phases are drawn from as many equal steps.
const STEPS: u64 = 4096;

/// How many, and what they are made from.
pub(super) struct Surrogates {
    pub count: usize,
    pub seed: u64,
    pub spool: Spool,
}

impl Surrogates {
    /// A pair's sums over the epochs of a condition, surrogate after surrogate; `None` when the file failed.
    pub fn sums(
        &self,
        condition: usize,
        pair: Pair,
        (kept, tapers, bins): (Sums, usize, usize),
        channels: usize,
        stride: usize,
    ) -> Option<Vec<f64>> {
        let len = kept.rows() * bins;
        let mut sums = vec![0.0; self.count * len];
        let phases: Vec<(f64, f64)> = (0..STEPS).map(|i| (TAU * i as f64 / STEPS as f64).sin_cos()).collect();
        let (mut a, mut b) = (vec![0.0; stride], vec![0.0; stride]);
        let (mut plain, mut turned) = (vec![0.0; 2 * bins], vec![0.0; 2 * bins]);
        for (epoch, (of, used)) in self.spool.heads.iter().enumerate() {
            if *of != condition || !used[pair.a] || !used[pair.b] {
                continue;
            }
            self.spool.read(epoch, pair.a * stride, &mut a).ok()?;
            self.spool.read(epoch, pair.b * stride, &mut b).ok()?;
            cross(tapers, bins, &a, &b, &mut plain);
            let (re, im) = plain.split_at(bins);
            for (k, row) in sums.chunks_exact_mut(len).enumerate() {
                let phase = |slot: usize| draw(self.seed, [epoch, slot, k], channels) % STEPS;
                let step = (phase(pair.a) + STEPS - phase(pair.b)) % STEPS;
                let (sin, cos) = phases[step as usize];
                let (turned_re, turned_im) = turned.split_at_mut(bins);
                for (((x, y), re), im) in turned_re.iter_mut().zip(turned_im).zip(re).zip(im) {
                    (*x, *y) = (re * cos - im * sin, re * sin + im * cos);
                }
                kept.add(&turned, &a[stride - bins..], &b[stride - bins..], row);
            }
        }
        (!self.spool.failed).then_some(sums)
    }
}

/// 64 random bits for an epoch, a channel and a surrogate: a counter through SplitMix64 (Steele et al. 2014,
/// doi:10.1145/2660193.2660195), so that every pair sees the same draws in whatever order.
pub(super) fn draw(seed: u64, [epoch, slot, surrogate]: [usize; 3], channels: usize) -> u64 {
    let mix = |x: u64| {
        let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    mix(mix(mix(seed) ^ surrogate as u64) ^ (epoch * channels + slot) as u64)
}

/// z and p of a value among those of surrogates; `distance` counts how far a value has come.
pub(super) fn score(distance: impl Fn(f64) -> f64, value: f64, drawn: &[f64]) -> (f64, f64) {
    let k = drawn.len() as f64;
    let mean = drawn.iter().sum::<f64>() / k;
    let variance = drawn.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (k - 1.0);
    let as_far = drawn.iter().filter(|v| distance(**v) >= distance(value)).count() as f64;
    let p = (1.0 + as_far) / (1.0 + k);
    if value.is_finite() && mean.is_finite() { ((value - mean) / variance.sqrt(), p) } else { (f64::NAN, f64::NAN) }
}

/// The spectra of all epochs in a temporary file.
pub(super) struct Spool {
    file: Mutex<File>,
    bytes: Vec<u8>,
    /// Condition of each epoch and which channels count.
    heads: Vec<(usize, Vec<bool>)>,
    failed: bool,
}

impl Spool {
    /// For `len` values an epoch.
    pub fn new(len: usize) -> io::Result<Self> {
        let file = Mutex::new(tempfile::tempfile()?);
        Ok(Self { file, bytes: Vec::with_capacity(8 * len), heads: Vec::new(), failed: false })
    }

    /// Appends an epoch.
    pub fn push(&mut self, condition: usize, used: Vec<bool>, values: &[f64]) {
        self.bytes.clear();
        self.bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        let at = (self.heads.len() * self.bytes.len()) as u64;
        let written = match self.file.get_mut() {
            Ok(file) => file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(&self.bytes)).is_ok(),
            Err(_) => false,
        };
        self.failed |= !written;
        self.heads.push((condition, used));
    }

    /// Values of an epoch from `from` on.
    fn read(&self, epoch: usize, from: usize, out: &mut [f64]) -> io::Result<()> {
        let mut bytes = vec![0; 8 * out.len()];
        let mut file = self.file.lock().map_err(|_| io::Error::other("poisoned"))?;
        file.seek(SeekFrom::Start((epoch * self.bytes.len() + 8 * from) as u64))?;
        file.read_exact(&mut bytes)?;
        drop(file);
        for (value, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
            *value = f64::from_le_bytes(*bytes);
        }
        Ok(())
    }

    /// Forgets all epochs.
    pub fn reset(&mut self) {
        self.heads.clear();
        self.failed = false;
    }
}
