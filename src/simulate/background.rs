//! What an electrode picks up when nothing is asked of the brain: 1/f activity that neighbours share, an alpha rhythm,
//! the line, and the electrode's own noise. Made sample by sample in constant memory.

use super::check::Checks;
use super::oscillator::Oscillator;
use super::random::Random;
use super::scalp::Scalp;
use crate::signal::{Block, LANES, Lanes, montage};
use multiversion::multiversion;
use nalgebra::{DMatrix, DVector};
use std::f64::consts::TAU;

/// Where the 1/f law begins; below it the spectrum is flat.
const LOWEST_HZ: f64 = 0.1;
/// First-order sections of the 1/f filter.
const POLES: usize = 8;
/// Places of the two alpha generators, and the width of their spectral peak at half power.
const ALPHA_AT: [&str; 2] = ["PO3", "PO4"];
const ALPHA_WIDTH_HZ: f64 = 1.5;
/// Purposes of the random numbers.
const ACTIVITY: u64 = 1;
const WIRING: u64 = 2;

/// How strong each part is. Amplitudes are root mean squares, except the line's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Levels {
    /// 1/f activity, mean over channels, µV.
    pub pink_uv: f64,
    /// Its exponent: power falls as f^−exponent from 0.1 Hz up, 0 < exponent ≤ 2.
    pub exponent: f64,
    /// Alpha rhythm of each of its two generators where it is strongest, µV.
    pub alpha_uv: f64,
    /// Frequency of the alpha rhythm, Hz.
    pub alpha_hz: f64,
    /// White noise of each electrode, µV.
    pub sensor_uv: f64,
    /// Line frequency, Hz.
    pub line_hz: f64,
    /// Amplitude of the line's sine, mean over channels, µV.
    pub line_uv: f64,
}

impl Levels {
    /// Adds what is wrong with the values.
    pub(super) fn check(&self, checks: &mut Checks, rate_hz: f64) {
        checks.within("background_exponent", self.exponent, 0.01, 2.0);
        checks.within("alpha_hz", self.alpha_hz, 0.1, 0.5 * rate_hz);
        checks.within("line_hz", self.line_hz, 0.1, 0.5 * rate_hz);
        checks.amplitudes(&[
            ("background_uv", self.pink_uv),
            ("alpha_uv", self.alpha_uv),
            ("sensor_uv", self.sensor_uv),
            ("line_uv", self.line_uv),
        ]);
    }
}

/// The generator. Sample after sample, so its bits do not depend on how many are asked for at once.
#[derive(Debug, Clone)]
pub(super) struct Background {
    levels: Levels,
    rate_hz: f64,
    channels: usize,
    /// For each group of eight channels the weights of all latents: pink ones, two alphas, sine and cosine of the line.
    weights: Vec<Vec<Lanes>>,
    pink: Pink,
    alpha: [Oscillator; 2],
    random: Random,
    seed: u64,
    /// Latents of a block, sample after sample.
    latents: Vec<f64>,
    sensors: Vec<f64>,
}

impl Background {
    /// A generator for the electrodes of `scalp`.
    pub fn new(scalp: &Scalp, rate_hz: f64, levels: Levels, seed: u64) -> Self {
        let channels = scalp.names.len();
        let mixing = scalp.cortical_mixing();
        let mut weights: Vec<Vec<f64>> =
            (0..channels).map(|source| mixing.column(source).iter().map(|w| w * levels.pink_uv).collect()).collect();
        for label in ALPHA_AT {
            let direction = montage::position_of(label).unwrap_or([0.0, -1.0, 0.0]);
            weights.push(scalp.dipole(direction, 0.7).0.iter().map(|w| w * levels.alpha_uv).collect());
        }
        // each cable loop picks up the line in its own strength and phase
        let mut wiring = Random::new(seed, WIRING);
        let pickup = |_| {
            let (amplitude, phase) = (levels.line_uv * wiring.between(0.7, 1.3), wiring.between(-0.5, 0.5));
            (amplitude * phase.cos(), amplitude * phase.sin())
        };
        let (sine, cosine) = (0..channels).map(pickup).unzip();
        weights.extend([sine, cosine]);
        let lane = |w: &Vec<f64>, first: usize| std::array::from_fn(|l| w.get(first + l).copied().unwrap_or(0.0));
        let group = |g| weights.iter().map(|w| lane(w, g * LANES)).collect();
        let alpha = Oscillator::new(levels.alpha_hz, ALPHA_WIDTH_HZ, rate_hz);
        let mut background = Self {
            levels,
            rate_hz,
            channels,
            weights: (0..channels.div_ceil(LANES)).map(group).collect(),
            pink: Pink::new(rate_hz, levels.exponent, channels),
            alpha: [alpha.clone(), alpha],
            random: Random::new(seed, ACTIVITY),
            seed,
            latents: Vec::new(),
            sensors: Vec::new(),
        };
        background.reset();
        background
    }

    /// Back to sample 0.
    pub fn reset(&mut self) {
        self.random = Random::new(self.seed, ACTIVITY);
        self.pink.start(&mut self.random);
        self.alpha.iter_mut().for_each(|alpha| alpha.start(&mut self.random));
    }

    /// Makes room for blocks of up to `samples`.
    pub fn reserve(&mut self, samples: usize) {
        self.latents.resize(samples * (self.channels + 4), 0.0);
        self.sensors.resize(samples * self.groups() * LANES, 0.0);
    }

    /// Root mean square of one channel's 1/f activity, µV.
    pub fn pink_uv(&self, channel: usize) -> f64 {
        let own = self.weights[channel / LANES][..self.channels].iter().map(|w| w[channel % LANES]);
        own.map(|w| w * w).sum::<f64>().sqrt()
    }

    fn groups(&self) -> usize {
        self.channels.div_ceil(LANES)
    }

    /// The next samples: overwrites those of `block`, which must not be longer than what was reserved.
    pub fn fill(&mut self, block: &mut Block) {
        let (n, width, padded) = (self.channels, self.channels + 4, self.groups() * LANES);
        let rows = self.latents.chunks_exact_mut(width).zip(self.sensors.chunks_exact_mut(padded));
        for (tick, (row, sensors)) in (block.first()..block.end()).zip(rows) {
            self.pink.next(&mut self.random, &mut row[..n]);
            for (alpha, out) in self.alpha.iter_mut().zip(&mut row[n..]) {
                *out = alpha.next(&mut self.random);
            }
            // from the index, never accumulated
            let cycles = tick as f64 * self.levels.line_hz / self.rate_hz;
            let (sin, cos) = (TAU * cycles.fract()).sin_cos();
            row[n + 2] = sin;
            row[n + 3] = cos;
            sensors[..n].iter_mut().for_each(|v| *v = self.levels.sensor_uv * self.random.normal());
        }
        for (group, weights) in self.weights.iter().enumerate() {
            let out = block.group_mut(group);
            mix(weights, &self.latents, out);
            for (lanes, sensors) in out.iter_mut().zip(self.sensors.chunks_exact(padded)) {
                lanes.iter_mut().zip(&sensors[group * LANES..]).for_each(|(v, noise)| *v += noise);
            }
        }
    }
}

/// Eight channels as weighted sums of the latents of each sample.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2", "aarch64+neon"))]
fn mix(weights: &[Lanes], latents: &[f64], out: &mut [Lanes]) {
    let width = weights.len();
    let (fours, rest) = out.as_chunks_mut::<4>();
    let (in_fours, in_rest) = latents.split_at((4 * width * fours.len()).min(latents.len()));
    // four samples at a time hide the latency of the sums; each is still added up in the same order
    for (rows, lanes) in in_fours.chunks_exact(4 * width).zip(fours) {
        let mut sums = [[0.0; LANES]; 4];
        for (k, weight) in weights.iter().enumerate() {
            for (sum, row) in sums.iter_mut().zip(rows.chunks_exact(width)) {
                (0..LANES).for_each(|l| sum[l] += weight[l] * row[k]);
            }
        }
        *lanes = sums;
    }
    for (row, lanes) in in_rest.chunks_exact(width).zip(rest) {
        let mut sum = [0.0; LANES];
        for (weight, latent) in weights.iter().zip(row) {
            (0..LANES).for_each(|l| sum[l] += weight[l] * latent);
        }
        *lanes = sum;
    }
}

/// 1/f noise of unit variance: white noise through poles and zeros that alternate evenly over the logarithm of frequency
/// (a pole lowers the slope by 2, a zero raises it again; their distance sets the mean), written as a sum of
/// first-order filters so that its stationary state can be drawn.
#[derive(Debug, Clone)]
struct Pink {
    poles: [f64; POLES],
    residues: [f64; POLES],
    /// Cholesky factor of the stationary covariance of the states, 1/(1 − aᵢ aⱼ).
    stationary: DMatrix<f64>,
    /// For each source the state of each section.
    states: Vec<[f64; POLES]>,
}

impl Pink {
    fn new(rate_hz: f64, exponent: f64, sources: usize) -> Self {
        let highest = 0.4 * rate_hz;
        let ratio = (highest / LOWEST_HZ).max(2.0).powf(1.0 / POLES as f64);
        let at = |hz: f64| (-TAU * hz / rate_hz).exp();
        let poles: [f64; POLES] = std::array::from_fn(|k| at(LOWEST_HZ * ratio.powi(k as i32)));
        let zeros: [f64; POLES] = std::array::from_fn(|k| at(LOWEST_HZ * ratio.powf(k as f64 + 0.5 * exponent)));
        // all zeros but the last, so that the sum of sections needs no direct term: Π (1 − z_j/z) / Π (1 − p_k/z)
        let residue = |k: usize| {
            let up: f64 = zeros[..POLES - 1].iter().map(|z| 1.0 - z / poles[k]).product();
            let down: f64 = (0..POLES).filter(|&j| j != k).map(|j| 1.0 - poles[j] / poles[k]).product();
            up / down
        };
        let mut residues: [f64; POLES] = std::array::from_fn(residue);
        let covariance = DMatrix::from_fn(POLES, POLES, |i, j| 1.0 / (1.0 - poles[i] * poles[j]));
        let r = DVector::from_column_slice(&residues);
        let variance = (r.transpose() * &covariance * &r)[(0, 0)];
        residues.iter_mut().for_each(|v| *v /= variance.sqrt());
        let stationary = covariance.cholesky().map_or_else(|| DMatrix::zeros(POLES, POLES), |c| c.unpack());
        Self { poles, residues, stationary, states: vec![[0.0; POLES]; sources] }
    }

    /// Draws every source's state as if it had run for ever.
    fn start(&mut self, random: &mut Random) {
        for state in &mut self.states {
            let white: [f64; POLES] = std::array::from_fn(|_| random.normal());
            for (i, s) in state.iter_mut().enumerate() {
                *s = (0..=i).map(|j| self.stationary[(i, j)] * white[j]).sum();
            }
        }
    }

    /// The next value of every source.
    fn next(&mut self, random: &mut Random, out: &mut [f64]) {
        for (state, out) in self.states.iter_mut().zip(out) {
            let white = random.normal();
            let mut part = [0.0; POLES];
            for k in 0..POLES {
                state[k] = self.poles[k] * state[k] + white;
                part[k] = self.residues[k] * state[k];
            }
            let four: [f64; 4] = std::array::from_fn(|k| part[k] + part[k + 4]);
            *out = (four[0] + four[1]) + (four[2] + four[3]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    const QUIET: Levels = Levels {
        pink_uv: 0.0,
        exponent: 1.0,
        alpha_uv: 0.0,
        alpha_hz: 10.0,
        sensor_uv: 0.0,
        line_hz: 50.0,
        line_uv: 0.0,
    };

    /// Planar rows of `seconds` at `rate_hz`.
    fn rows(levels: Levels, channels: usize, rate_hz: f64, seconds: f64) -> Vec<Vec<f64>> {
        let mut background = Background::new(&Scalp::new(channels).unwrap(), rate_hz, levels, 3);
        background.reserve(1000);
        let mut block = Block::new(channels, 1000);
        let mut rows = vec![Vec::new(); channels];
        for i in 0..(seconds * rate_hz / 1000.0) as i64 {
            block.start(0, i * 1000, 1000);
            background.fill(&mut block);
            for (c, row) in rows.iter_mut().enumerate() {
                row.extend((0..1000).map(|s| block.get(c, s)));
            }
        }
        rows
    }

    fn power(row: &[f64]) -> f64 {
        row.iter().map(|v| v * v).sum::<f64>() / row.len() as f64
    }

    /// Mean power per Hz of one-second stretches at `hz`, Hann-tapered.
    fn density(row: &[f64], rate_hz: f64, hz: f64) -> f64 {
        let n = rate_hz as usize;
        let one = |stretch: &[f64]| {
            let (mut re, mut im, mut norm) = (0.0, 0.0, 0.0);
            for (i, v) in stretch.iter().enumerate() {
                let w = (PI * i as f64 / n as f64).sin().powi(2);
                let (s, c) = (TAU * hz * i as f64 / rate_hz).sin_cos();
                (re, im, norm) = (re + w * v * c, im + w * v * s, norm + w * w);
            }
            2.0 * (re * re + im * im) / (norm * rate_hz)
        };
        let stretches: Vec<f64> = row.chunks_exact(n).map(one).collect();
        stretches.iter().sum::<f64>() / stretches.len() as f64
    }

    /// The filter's power in closed form follows the law within 0.7 dB, and its variance is 1 by the sum over lags.
    #[test]
    fn the_one_over_f_law_holds() {
        for exponent in [0.5, 1.0, 1.5, 2.0] {
            let pink = Pink::new(5000.0, exponent, 1);
            let level = |hz: f64| {
                let (sin, cos) = (TAU * hz / 5000.0).sin_cos();
                let section = |(p, r): (&f64, &f64)| {
                    let (re, im) = (1.0 - p * cos, p * sin);
                    let size = re * re + im * im;
                    [r * re / size, -r * im / size]
                };
                let parts = pink.poles.iter().zip(&pink.residues).map(section);
                let [re, im] = parts.fold([0.0; 2], |a, b| [a[0] + b[0], a[1] + b[1]]);
                10.0 * (re * re + im * im).log10()
            };
            let octaves = |i: i32| 0.5 * 2_f64.powf(f64::from(i) / 4.0);
            let law = |hz: f64| level(hz) + 10.0 * exponent * hz.log10();
            let mean = (0..=32).map(|i| law(octaves(i))).sum::<f64>() / 33.0;
            for i in 0..=32 {
                let off = law(octaves(i)) - mean;
                assert!(off.abs() < 0.7, "f^-{exponent} at {} Hz: {off} dB off", octaves(i));
            }
            let impulse = |n: i32| -> f64 { pink.poles.iter().zip(&pink.residues).map(|(p, r)| r * p.powi(n)).sum() };
            let variance: f64 = (0..200_000).map(|n| impulse(n).powi(2)).sum();
            assert!((variance - 1.0).abs() < 1e-6, "{variance}");
        }
    }

    #[test]
    fn noise_is_stationary_from_the_first_sample() {
        let (sources, mut random) = (20_000, Random::new(1, 1));
        let mut pink = Pink::new(1000.0, 1.0, sources);
        pink.start(&mut random);
        let mut out = vec![0.0; sources];
        for sample in 0..3 {
            pink.next(&mut random, &mut out);
            let error = 5.0 * (2.0 / sources as f64).sqrt();
            assert!((power(&out) - 1.0).abs() < error, "sample {sample}: {}", power(&out));
        }
    }

    #[test]
    fn each_part_has_its_stated_size() {
        let rate = 500.0;
        // 200 s: the slowest parts of 1/f noise leave some scatter
        let pink = rows(Levels { pink_uv: 10.0, ..QUIET }, 16, rate, 200.0);
        let mean = pink.iter().map(|r| power(r)).sum::<f64>() / 16.0;
        assert!((mean.sqrt() - 10.0).abs() < 1.0, "{}", mean.sqrt());
        let slope = (density(&pink[4], rate, 4.0) / density(&pink[4], rate, 32.0)).log2() / 3.0;
        assert!((slope - 1.0).abs() < 0.15, "{slope}");
        let sensor = rows(Levels { sensor_uv: 0.5, ..QUIET }, 3, rate, 20.0);
        assert!(sensor.iter().all(|r| (power(r).sqrt() - 0.5).abs() < 0.02));
        let line = rows(Levels { line_uv: 3.0, ..QUIET }, 16, rate, 10.0);
        let amplitude = line.iter().map(|r| (2.0 * power(r)).sqrt()).sum::<f64>() / 16.0;
        assert!((amplitude - 3.0).abs() < 0.4, "{amplitude}");
        assert!(density(&line[0], rate, 50.0) > 1e6 * density(&line[0], rate, 40.0));
    }

    #[test]
    fn alpha_is_a_peak_at_the_back() {
        let rows = rows(Levels { alpha_uv: 8.0, ..QUIET }, 64, 500.0, 100.0);
        let names = Scalp::new(64).unwrap().names;
        let at = |n: &str| &rows[names.iter().position(|x| x == n).unwrap()];
        assert!((power(at("PO3")).sqrt() / 8.0 - 1.0).abs() < 0.35, "{}", power(at("PO3")).sqrt());
        assert!(power(at("PO3")) > 4.0 * power(at("C3")));
        assert!(density(at("PO4"), 500.0, 10.0) > 20.0 * density(at("PO4"), 500.0, 16.0));
        assert!(density(at("PO4"), 500.0, 10.0) > 20.0 * density(at("PO4"), 500.0, 5.0));
    }
}
