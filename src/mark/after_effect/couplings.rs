//! Cross-spectra of pairs, summed over blocks of epochs, and the measures that are functions of them.

use super::blocks::{Blocks, Weights};
use super::{AfterEffectConfig, bin};
use crate::dsp::cross::{Bin, LANES, Sums, fill_power, spectra_len};
use crate::dsp::fft::Complex;
use crate::flow::{EpochInfo, Problems};
use crate::names::{glob, nearest};
use std::ops::Range;

/// The measures that can be compared.
const NAMES: [&str; 2] = ["wpli2_debiased", "imcoh"];
/// Most memory for all conditions' blocks, and what one condition's should take.
const MOST_BYTES: f64 = 4e9;
const WANTED_BYTES: f64 = 64e6;

/// A band of connectivity: its place in the config, and its bins among those kept.
pub(super) struct Group {
    pub band: usize,
    pub bins: Range<usize>,
}

pub(super) struct Couplings {
    /// 0: `wpli2_debiased`, 1: `imcoh`.
    pub measures: Vec<usize>,
    pub groups: Vec<Group>,
    /// Pairs of places in the list of channels, in file order.
    pub pairs: Vec<(usize, usize)>,
    /// Whether each pair is a row, or all of them are one.
    pub listed: bool,
    pub blocks: Vec<Blocks>,
    kept: Sums,
    /// Bins of the transform that are kept, and their number with padding.
    range: Range<usize>,
    bins: usize,
    /// This epoch's spectra, channel by channel, and which are there.
    spectra: Vec<f64>,
    used: Vec<bool>,
}

impl Couplings {
    /// `None` where none are asked for, or with a problem.
    pub fn new(
        config: &AfterEffectConfig,
        input: &EpochInfo,
        channels: &[usize],
        problems: &mut Problems,
    ) -> Option<Self> {
        let mut measures = Vec::new();
        for name in &config.connectivity {
            match NAMES.iter().position(|n| n == name) {
                Some(measure) => measures.push(measure),
                None => problems.add("connectivity", format!("{name:?} is not one of {}", NAMES.join(", "))),
            }
        }
        let (before, resolution) = (problems.list().len(), input.rate_hz() / input.len.max(1) as f64);
        let pairs = pairs(config, input, channels, problems);
        if measures.is_empty() || config.connectivity_hz.0.is_empty() || pairs.is_empty() {
            return None;
        }
        let ends =
            config.connectivity_hz.0.iter().map(|(_, [low, high])| (bin(*low, resolution), bin(*high, resolution)));
        let (low, high) = ends.clone().fold((usize::MAX, 0), |(l, h), (a, b)| (l.min(a), h.max(b)));
        let range = low..high.min(input.len / 2 + 1);
        if range.is_empty() || problems.list().len() > before {
            return None;
        }
        let groups = ends.enumerate().map(|(band, (a, b))| Group { band, bins: a - low..b.min(range.end) - low });
        let bins = range.len().next_multiple_of(LANES);
        let kept = Sums { power: measures.contains(&1), phase: false, lag: measures.contains(&0) };
        let width = kept.rows() * bins;
        let row = (pairs.len() * width * 8) as f64;
        // long blocks rather than much memory
        let most = ((WANTED_BYTES / row) as usize / 2 * 2).clamp(16, super::MOST_BLOCKS);
        let bytes = row * (most * input.conditions) as f64;
        if bytes > MOST_BYTES {
            let message = format!("{} pairs take {:.1} GB; at most 4 GB: list `pairs`", pairs.len(), bytes / 1e9);
            problems.add("connectivity", message);
            return None;
        }
        let blocks = Blocks::new(pairs.len(), width, most, config.block_epochs);
        Some(Self {
            groups: groups.collect(),
            listed: !config.pairs.is_empty(),
            blocks: vec![blocks; input.conditions],
            spectra: vec![0.0; channels.len() * spectra_len(1, bins)],
            used: vec![false; channels.len()],
            measures,
            pairs,
            kept,
            range,
            bins,
        })
    }

    pub fn name(measure: usize) -> &'static str {
        NAMES[measure]
    }

    /// An epoch begins.
    pub fn begin(&mut self, condition: usize) {
        self.blocks[condition].begin();
        self.used.fill(false);
    }

    /// A channel's transform.
    pub fn take(&mut self, slot: usize, spectrum: &[Complex]) {
        let len = spectra_len(1, self.bins);
        let out = &mut self.spectra[slot * len..(slot + 1) * len];
        let (re, im) = out.split_at_mut(self.bins);
        for ((re, im), x) in re.iter_mut().zip(im).zip(&spectrum[self.range.clone()]) {
            (*re, *im) = (x.re, x.im);
        }
        fill_power(1, self.bins, out);
        self.used[slot] = true;
    }

    /// The epoch's pairs are added.
    pub fn finish(&mut self, condition: usize) {
        let len = spectra_len(1, self.bins);
        for (p, &(a, b)) in self.pairs.iter().enumerate().filter(|(_, (a, b))| self.used[*a] && self.used[*b]) {
            let of = |slot: usize| &self.spectra[slot * len..(slot + 1) * len];
            let (sums, n) = self.blocks[condition].slot(p);
            *n += 1;
            self.kept.add_epochs(1, self.bins, &[(of(a), of(b))], sums);
        }
    }

    /// Values of one side: measure by measure, band by band, pair by pair, or their mean over pairs.
    pub fn values(&self, pair: [&Blocks; 2], weights: &[f64]) -> Vec<f64> {
        let cells = self.measures.len() * self.groups.len();
        let per_cell = if self.listed { self.pairs.len() } else { 1 };
        let mut out = vec![0.0; cells * per_cell];
        let mut there = vec![0.0; cells];
        let (mut sums, mut squares) = (vec![0.0; self.kept.rows() * self.bins], vec![0.0; self.bins]);
        let last = sums.len() - self.bins;
        for p in 0..self.pairs.len() {
            sums.fill(0.0);
            squares.fill(0.0);
            let mut n = 0.0;
            let all = pair.into_iter().flat_map(|blocks| (0..blocks.len()).map(move |b| blocks.block(b, p)));
            for ((values, count), w) in all.zip(weights).filter(|(_, w)| **w != 0.0) {
                n += w * f64::from(count);
                sums.iter_mut().zip(values).for_each(|(s, v)| *s += w * v);
                // products of an epoch with its own copies are not evidence: w² of them are left out
                squares.iter_mut().zip(&values[last..]).for_each(|(s, v)| *s += w * w * v);
            }
            if self.kept.lag {
                sums[last..].copy_from_slice(&squares);
            }
            let all = self.measures.iter().flat_map(|m| self.groups.iter().map(move |g| (*m, g)));
            for (cell, (measure, group)) in all.enumerate() {
                let value = self.mean(measure, &group.bins, &sums, n);
                if self.listed {
                    out[cell * per_cell + p] = value;
                } else if value.is_finite() {
                    out[cell] += if measure == 1 { value.abs() } else { value };
                    there[cell] += 1.0;
                }
            }
        }
        if !self.listed {
            out.iter_mut().zip(&there).for_each(|(v, n)| *v /= n);
        }
        out
    }

    /// After less before.
    pub fn change(&self, pair: [&Blocks; 2], weights: &Weights) -> Vec<f64> {
        let (before, after) = (self.values(pair, &weights[0]), self.values(pair, &weights[1]));
        after.iter().zip(&before).map(|(a, b)| a - b).collect()
    }

    /// Mean over bins where it is defined.
    fn mean(&self, measure: usize, bins: &Range<usize>, sums: &[f64], n: f64) -> f64 {
        let values =
            bins.clone().map(|k| value(measure, &self.kept.bin(sums, self.bins, k), n)).filter(|v| v.is_finite());
        let (sum, count) = values.fold((0.0, 0.0), |(s, c), v| (s + v, c + 1.0));
        sum / count
    }

    pub fn reset(&mut self) {
        self.blocks.iter_mut().for_each(Blocks::reset);
    }

    pub fn memory_bytes(&self) -> u64 {
        self.blocks.iter().map(Blocks::memory_bytes).sum::<u64>() + 8 * self.spectra.len() as u64
    }
}

/// As in table `connectivity`; NaN where it is not defined.
fn value(measure: usize, bin: &Bin, n: f64) -> f64 {
    let ratio = |part: f64, of: f64| if part == 0.0 { 0.0 } else { part / of };
    match measure {
        _ if n < 2.0 => f64::NAN,
        0 => ratio(bin.im * bin.im - bin.square, bin.size * bin.size - bin.square),
        _ => bin.im / (bin.power_a * bin.power_b).sqrt(),
    }
}

/// The pairs asked for as places in the list of channels, in file order.
fn pairs(
    config: &AfterEffectConfig,
    input: &EpochInfo,
    channels: &[usize],
    problems: &mut Problems,
) -> Vec<(usize, usize)> {
    let slots = 0..channels.len();
    if config.pairs.is_empty() {
        return slots.flat_map(|a| (a + 1..channels.len()).map(move |b| (a, b))).collect();
    }
    let name = |slot: usize| input.channels[channels[slot]].name.as_str();
    let mut found = Vec::new();
    for [a, b] in &config.pairs {
        for pattern in [a, b].into_iter().filter(|p| !slots.clone().any(|s| glob(p, name(s)))) {
            let near = nearest(pattern, slots.clone().map(name));
            let hint = near.map(|n| format!("; nearest: {n:?}")).unwrap_or_default();
            problems.add("pairs", format!("there is no EEG channel {pattern:?}{hint}"));
        }
        let of = |pattern: &str| slots.clone().filter(|s| glob(pattern, name(*s))).collect::<Vec<_>>();
        for (a, b) in of(a).into_iter().flat_map(|x| of(b).into_iter().map(move |y| (x, y))).filter(|(x, y)| x != y) {
            found.push((a.min(b), a.max(b)));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}
