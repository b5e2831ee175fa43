//! Sums of trials under random sign flips: what the average would look like if there were no response.
//!
//! Under the null hypothesis each trial is as likely as its negative, so the average of randomly sign-flipped trials is
//! drawn from the same distribution as the average itself (Fisher's randomisation; Winkler et al. 2014,
//! doi:10.1016/j.neuroimage.2014.01.060). All flips are accumulated while trials arrive: memory does not grow with time.
//!
//! Cost: a trial touches every flip's sum once, hundreds of sums of many thousand values. So trials wait in a batch, and
//! within it in groups of four, whose sixteen signed sums are computed once and then picked by each flip's four signs:
//! one addition per four trials, one pass over the sums per batch. Tiles keep both in cache. The order of additions
//! depends on the trial's place among the kept ones only, so the bits do not depend on how the data arrive.

use multiversion::multiversion;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::ops::Range;

/// Values per tile.
const TILE: usize = 16;
/// Trials whose signed sums are tabulated together.
const GROUP: usize = 4;
/// Groups per batch.
const GROUPS: usize = 8;
/// Trials per batch.
const BATCH: usize = GROUP * GROUPS;

type Tile = [f64; TILE];
/// For each group of a batch the signs of its trials as bits; 1 is minus.
type Signs = [u8; GROUPS];

/// Sign-flipped sums of one condition's trials, over some channels and one range of samples.
#[derive(Debug, Clone)]
pub(super) struct FlipSums {
    flips: usize,
    seed: u64,
    range: Range<usize>,
    tiles_per_channel: usize,
    /// `[channel][tile][flip]`
    sums: Vec<Tile>,
    /// `[channel][tile][trial of the batch]`
    batch: Vec<Tile>,
    /// `[flip]`
    signs: Vec<Signs>,
    waiting: usize,
}

impl FlipSums {
    /// Empty sums of `flips` flips, for `channels` channels over the samples in `range`.
    pub fn new(flips: usize, seed: u64, channels: usize, range: Range<usize>) -> Self {
        let tiles_per_channel = range.len().div_ceil(TILE);
        let tiles = channels * tiles_per_channel;
        Self {
            flips,
            seed,
            range,
            tiles_per_channel,
            sums: vec![[0.0; TILE]; tiles * flips],
            batch: vec![[0.0; TILE]; tiles * BATCH],
            signs: vec![[0; GROUPS]; flips],
            waiting: 0,
        }
    }

    /// Adds a trial, whose signs are drawn from the seed and its number. `channels` yields each channel's whole series.
    pub fn add<'a>(&mut self, trial: u64, channels: impl Iterator<Item = &'a [f64]>) {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(trial);
        let (group, bit) = (self.waiting / GROUP, self.waiting % GROUP);
        for signs in self.signs.chunks_mut(64) {
            let mut bits = random.next_u64();
            for sign in signs {
                sign[group] |= ((bits & 1) as u8) << bit;
                bits >>= 1;
            }
        }
        for (tiles, series) in self.batch.chunks_exact_mut(self.tiles_per_channel * BATCH).zip(channels) {
            let values = series.get(self.range.clone()).unwrap_or_default();
            for (tile, part) in tiles.iter_mut().skip(self.waiting).step_by(BATCH).zip(values.chunks(TILE)) {
                tile[..part.len()].copy_from_slice(part);
            }
        }
        self.waiting += 1;
        if self.waiting == BATCH {
            add_batch(&mut self.sums, &self.batch, &self.signs);
            self.clear_batch();
        }
    }

    /// The sums of channel `channel` as of now, `[flip][sample]`, into `out`. What waits is added to a copy, so that
    /// looking changes nothing.
    pub fn channel(&self, channel: usize, out: &mut Vec<f64>) {
        let tiles = channel * self.tiles_per_channel..(channel + 1) * self.tiles_per_channel;
        let mut sums = self.sums[tiles.start * self.flips..tiles.end * self.flips].to_vec();
        if self.waiting > 0 {
            add_batch(&mut sums, &self.batch[tiles.start * BATCH..tiles.end * BATCH], &self.signs);
        }
        let samples = self.range.len();
        out.clear();
        out.resize(self.flips * samples, 0.0);
        for (t, tile) in sums.chunks_exact(self.flips).enumerate() {
            let width = TILE.min(samples - t * TILE);
            for (f, values) in tile.iter().enumerate() {
                out[f * samples + t * TILE..][..width].copy_from_slice(&values[..width]);
            }
        }
    }

    /// Forgets all trials.
    pub fn reset(&mut self) {
        self.sums.fill([0.0; TILE]);
        self.clear_batch();
    }

    fn clear_batch(&mut self) {
        self.batch.fill([0.0; TILE]);
        self.signs.fill([0; GROUPS]);
        self.waiting = 0;
    }

    /// Bytes of its buffers.
    pub fn memory_bytes(&self) -> u64 {
        ((self.sums.len() + self.batch.len()) * size_of::<Tile>() + self.signs.len() * size_of::<Signs>()) as u64
    }
}

/// Adds a batch to the sums, tile by tile. Additions only, in one order: the bits do not depend on the CPU.
/// (AVX-512 code from the same source measured four times slower than AVX2: 16 against 4 ms per batch.)
#[multiversion(targets("x86_64+avx2"))]
fn add_batch(sums: &mut [Tile], batch: &[Tile], signs: &[Signs]) {
    for (sums, trials) in sums.chunks_exact_mut(signs.len()).zip(batch.chunks_exact(BATCH)) {
        let mut signed = [[[0.0; TILE]; 1 << GROUP]; GROUPS];
        for (table, four) in signed.iter_mut().zip(trials.chunks_exact(GROUP)) {
            for (code, row) in table.iter_mut().enumerate() {
                let [a, b, c, d] = [0, 1, 2, 3].map(|bit| if code >> bit & 1 == 1 { -1.0 } else { 1.0 });
                for i in 0..TILE {
                    row[i] = (a * four[0][i] + b * four[1][i]) + (c * four[2][i] + d * four[3][i]);
                }
            }
        }
        for (sum, signs) in sums.iter_mut().zip(signs) {
            let mut total = *sum;
            for (table, &code) in signed.iter().zip(signs) {
                let row = &table[usize::from(code & 15)];
                for i in 0..TILE {
                    total[i] += row[i];
                }
            }
            *sum = total;
        }
    }
}

/// The p value of a statistic among those of the flips: (1 + #{flip ≥ observed}) / (1 + #flips), one-sided.
///
/// `null` holds the statistics of those flips where it is *defined* (the search found a peak). Given that the observed
/// search found one too, the observed value and these are exchangeable under the null hypothesis, so p is uniform among
/// the tests that are made; counting flips without a peak as "not exceeding" would favour small p values instead.
/// Ties count, within rounding: with few trials a flip may be the observed average itself.
pub(super) fn p_value(observed: f64, null: &[f64]) -> f64 {
    let limit = observed - 1e-9 * observed.abs();
    let exceeding = null.iter().filter(|&&v| v >= limit).count();
    (1 + exceeding) as f64 / (1 + null.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::super::series::tests::lcg;
    use super::*;

    fn trial(number: u64, channels: usize, len: usize) -> Vec<Vec<f64>> {
        (0..channels).map(|c| lcg((number * 977 + c as u64 * 31 + 1) as u32, len)).collect()
    }

    fn add(sums: &mut FlipSums, number: u64, channels: usize, len: usize) {
        let data = trial(number, channels, len);
        sums.add(number, data.iter().map(Vec::as_slice));
    }

    fn read(sums: &FlipSums, channels: usize) -> Vec<Vec<f64>> {
        let read = |c| {
            let mut out = Vec::new();
            sums.channel(c, &mut out);
            out
        };
        (0..channels).map(read).collect()
    }

    #[test]
    fn sums_are_those_of_the_signed_trials() {
        let (channels, len, range, flips) = (3, 50, 7..44, 70);
        for n in [1_u64, 3, 4, 31, 32, 33, 75] {
            let mut sums = FlipSums::new(flips, 9, channels, range.clone());
            let mut truth = vec![vec![0.0; flips * range.len()]; channels];
            for k in 0..n {
                add(&mut sums, k * 3, channels, len);
                // the signs once more, in the plainest way
                let mut random = ChaCha8Rng::seed_from_u64(9);
                random.set_stream(k * 3);
                let words = [random.next_u64(), random.next_u64()];
                for (truth, series) in truth.iter_mut().zip(trial(k * 3, channels, len)) {
                    for f in 0..flips {
                        let sign = if words[f / 64] >> (f % 64) & 1 == 1 { -1.0 } else { 1.0 };
                        for (i, t) in range.clone().enumerate() {
                            truth[f * range.len() + i] += sign * series[t];
                        }
                    }
                }
            }
            for (a, b) in read(&sums, channels).iter().flatten().zip(truth.iter().flatten()) {
                assert!((a - b).abs() < 1e-13, "{n} trials: {a} {b}");
            }
        }
    }

    #[test]
    fn looking_changes_nothing_and_reset_forgets() {
        let (channels, len, range) = (2, 40, 3..40);
        let mut quiet = FlipSums::new(20, 1, channels, range.clone());
        let mut watched = quiet.clone();
        let mut used = quiet.clone();
        (0..11).for_each(|k| add(&mut used, k, channels, len));
        used.reset();
        for k in 0..70 {
            add(&mut quiet, k, channels, len);
            add(&mut watched, k, channels, len);
            add(&mut used, k, channels, len);
            read(&watched, channels);
        }
        let bits = |s: &FlipSums| read(s, channels).concat().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&quiet), bits(&watched));
        assert_eq!(bits(&quiet), bits(&used));
    }

    #[test]
    fn signs_are_fair_and_independent_of_each_other() {
        // one channel, one sample, every trial 1: a flip's sum is its plus signs minus its minus signs
        let n = 400_u64;
        let mut sums = FlipSums::new(200, 5, 1, 0..1);
        (0..n).for_each(|k| sums.add(k, std::iter::once([1.0].as_slice())));
        let z: Vec<f64> = read(&sums, 1)[0].iter().map(|v| v / (n as f64).sqrt()).collect();
        let variance = z.iter().map(|v| v * v).sum::<f64>() / z.len() as f64;
        // standard errors of mean and variance over 200 flips: 0.07 and 0.1
        assert!(z.iter().sum::<f64>().abs() / 200.0 < 0.25 && (variance - 1.0).abs() < 0.35, "{variance}");
    }

    #[test]
    fn p_counts_ties_and_the_observed() {
        assert_eq!(p_value(1.0, &[]), 1.0);
        assert_eq!(p_value(1.0, &[0.5; 19]), 0.05);
        assert_eq!(p_value(1.0, &[1.0 - 1e-14, 2.0, 0.0]), 0.75);
        assert_eq!(p_value(-1.0, &[-1.0 - 1e-14, -2.0, 0.0]), 0.75);
    }

    /// Not a test of truth but of the budget: 300 trials of 64 channels × 231 samples, 200 flips.
    /// `cargo test --release --lib flips_within -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement, for release builds"]
    fn flips_within_budget() {
        let data = trial(1, 64, 231);
        let mut sums = FlipSums::new(200, 1, 64, 0..231);
        (0..32).for_each(|k| sums.add(k, data.iter().map(Vec::as_slice)));
        let mut worst = 0.0_f64;
        let start = std::time::Instant::now();
        for k in 0..300 {
            let one = std::time::Instant::now();
            sums.add(k, data.iter().map(Vec::as_slice));
            worst = worst.max(one.elapsed().as_secs_f64());
        }
        let observe = start.elapsed().as_secs_f64();
        let mut out = Vec::new();
        let start = std::time::Instant::now();
        (0..64).for_each(|c| sums.channel(c, &mut out));
        let read = start.elapsed().as_secs_f64();
        let bytes = sums.memory_bytes();
        println!("observe {observe:.3} s (worst {worst:.4}), read {read:.3} s, {bytes} bytes");
        assert!(observe < 0.15 && bytes < 30_000_000);
    }
}
