//! Clipping: samples at the limits of the file's numbers, flat tops, and runs of equal samples.
//!
//! A clipped wave reaches the same extreme over and over, a free one hardly ever: the two highest and the two lowest values are
//! counted exactly. Most chunks touch neither, nor hold equal neighbours, and are passed in a few vector operations.

use crate::signal::{LANES, Lanes};
use multiversion::multiversion;

/// Samples that are looked over at once.
const CHUNK: usize = 64;
/// A flat top holds so many times the samples of the next level, and so many more.
const TOP: u64 = 4;

/// What has been counted in one channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Clip {
    limits: [f64; 2],
    /// A run of equal samples counts as flat from this length on.
    long: u64,
    pub samples: u64,
    pub not_finite: u64,
    at_limit: u64,
    limit_run: u64,
    longest_limit_run: u64,
    /// Highest and second highest value (of −x for the lowest), with how often they came.
    highest: [(f64, u64); 2],
    lowest: [(f64, u64); 2],
    last: f64,
    run: u64,
    pub longest_run: u64,
    in_runs: u64,
    /// The smallest step from one sample to the next.
    step: f64,
}

impl Clip {
    /// For a channel whose numbers reach from `range[0]` to `range[1]`; runs of `long` equal samples are flat.
    pub fn new(range: Option<[f64; 2]>, long: u64) -> Self {
        let [low, high] = range.unwrap_or([f64::NEG_INFINITY, f64::INFINITY]);
        // what a reader's scaling may lose
        let slack = if (high - low).is_finite() { 1e-9 * (high - low) } else { 0.0 };
        Self {
            limits: [low + slack, high - slack],
            long: long.max(2),
            samples: 0,
            not_finite: 0,
            at_limit: 0,
            limit_run: 0,
            longest_limit_run: 0,
            highest: [(f64::NEG_INFINITY, 0); 2],
            lowest: [(f64::NEG_INFINITY, 0); 2],
            last: f64::NAN,
            run: 0,
            longest_run: 0,
            in_runs: 0,
            step: f64::INFINITY,
        }
    }

    /// Forgets the samples.
    pub fn clear(&mut self) {
        let (limits, long) = (self.limits, self.long);
        *self = Self { limits, ..Self::new(None, long) };
    }

    fn take(&mut self, x: f64) {
        self.samples += 1;
        if !x.is_finite() {
            self.not_finite += 1;
            (self.last, self.run, self.limit_run) = (f64::NAN, 0, 0);
            return;
        }
        if x <= self.limits[0] || x >= self.limits[1] {
            self.at_limit += 1;
            self.limit_run += 1;
            self.longest_limit_run = self.longest_limit_run.max(self.limit_run);
        } else {
            self.limit_run = 0;
        }
        extreme(&mut self.highest, x);
        extreme(&mut self.lowest, -x);
        let step = (x - self.last).abs();
        if step == 0.0 {
            self.run += 1;
        } else {
            self.run = 1;
            if step < self.step {
                self.step = step;
            }
        }
        self.longest_run = self.longest_run.max(self.run);
        if self.run == self.long {
            self.in_runs += self.run;
        } else if self.run > self.long {
            self.in_runs += 1;
        }
        self.last = x;
    }

    /// Samples that are clipped.
    pub fn clipped(&self) -> u64 {
        let top = |t: &[(f64, u64); 2]| if t[0].1 > TOP * t[1].1 + TOP { t[0].1 } else { 0 };
        let tops = (top(&self.highest) + top(&self.lowest)).min(self.samples - self.not_finite);
        self.at_limit.max(tops).max(self.in_runs)
    }

    /// The longest run of samples at a limit, or of equal samples where it is longer than a sinusoid of `amplitude` with `cycles`
    /// per sample stays within one step of the file's numbers at its peak.
    pub fn longest(&self, amplitude: f64, cycles: f64) -> u64 {
        let step = self.step_size().unwrap_or(0.0);
        let flat =
            if amplitude > step { (1.0 - step / amplitude).acos() / (std::f64::consts::PI * cycles) } else { 0.0 };
        let run = if self.longest_run as f64 > 2.0 * flat { self.longest_run } else { 0 };
        run.max(self.longest_limit_run)
    }

    /// Whether nothing ever moved.
    pub fn flat(&self) -> bool {
        self.samples > self.not_finite && self.highest[0].0 == -self.lowest[0].0
    }

    /// The step of the file's numbers, where the samples lie on a grid.
    pub fn step_size(&self) -> Option<f64> {
        let step = self.step;
        if !step.is_finite() {
            return None;
        }
        let top = self.highest[0].0;
        let others = [self.highest[1].0, -self.lowest[0].0, -self.lowest[1].0, self.last];
        let on_grid = |v: f64| {
            let steps = (top - v) / step;
            // the grid's lines are too dense to be told from digits beyond 2²⁵ steps
            steps.abs() < 3.4e7 && (steps - steps.round()).abs() < 1e-3
        };
        others.iter().all(|&v| v.is_finite() && on_grid(v)).then_some(step)
    }
}

/// Counts `x` among the two highest distinct values. What lies below both can never come back, so the counts are exact.
fn extreme(top: &mut [(f64, u64); 2], x: f64) {
    if x == top[0].0 {
        top[0].1 += 1;
    } else if x > top[0].0 {
        *top = [(x, 1), top[0]];
    } else if x == top[1].0 {
        top[1].1 += 1;
    } else if x > top[1].0 {
        top[1] = (x, 1);
    }
}

/// Counts the samples of eight channels (of which the first `clips.len()` exist).
pub(super) fn count(clips: &mut [Clip], x: &[Lanes]) {
    for chunk in x.chunks(CHUNK) {
        let last: Lanes = std::array::from_fn(|l| clips.get(l).map_or(0.0, |c| c.last));
        let [highest, lowest, step] = survey(chunk, &last);
        for (l, clip) in clips.iter_mut().enumerate() {
            let quiet = highest[l] < clip.highest[1].0
                && -lowest[l] < clip.lowest[1].0
                && highest[l] < clip.limits[1]
                && lowest[l] > clip.limits[0]
                && step[l] > 0.0;
            if quiet {
                clip.samples += chunk.len() as u64;
                clip.step = clip.step.min(step[l]);
                (clip.last, clip.run, clip.limit_run) = (chunk[chunk.len() - 1][l], 1, 0);
            } else {
                chunk.iter().for_each(|x| clip.take(x[l]));
            }
        }
    }
}

/// Highest and lowest sample and the smallest step; the step is NaN where a sample is.
#[multiversion(targets("x86_64+avx+avx2"))]
fn survey(x: &[Lanes], last: &Lanes) -> [Lanes; 3] {
    let (mut highest, mut lowest) = ([f64::NEG_INFINITY; LANES], [f64::INFINITY; LANES]);
    let (mut step, mut spoilt) = ([f64::INFINITY; LANES], [0.0_f64; LANES]);
    let mut before = *last;
    for x in x {
        for l in 0..LANES {
            let d = (x[l] - before[l]).abs();
            highest[l] = if x[l] > highest[l] { x[l] } else { highest[l] };
            lowest[l] = if x[l] < lowest[l] { x[l] } else { lowest[l] };
            step[l] = if d < step[l] { d } else { step[l] };
            // NaN and infinite samples leave a NaN
            spoilt[l] += d * 0.0;
        }
        before = *x;
    }
    for l in 0..LANES {
        step[l] += spoilt[l];
    }
    [highest, lowest, step]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counted(x: &[f64], cut: usize, range: Option<[f64; 2]>) -> Clip {
        let mut clips = vec![Clip::new(range, 10)];
        let lanes: Vec<Lanes> = x.iter().map(|&v| [v; LANES]).collect();
        lanes.chunks(cut.max(1)).for_each(|part| count(&mut clips, part));
        clips[0]
    }

    fn sine(n: usize, cycles: f64, limit: f64, quantum: f64) -> Vec<f64> {
        let mut state = 1_u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
        };
        let value = |i: usize, e: f64| {
            (1e4 * (std::f64::consts::TAU * cycles * i as f64).sin() + 30.0 * e).clamp(-limit, limit)
        };
        let round = |v: f64| if quantum > 0.0 { (v / quantum).round() * quantum } else { v };
        (0..n).map(|i| round(value(i, noise()))).collect()
    }

    #[test]
    fn a_free_sinusoid_is_not_clipped_however_coarse_the_numbers() {
        for quantum in [0.0, 0.03, 3.05, 100.0] {
            for cycles in [0.01, 0.0100001, 0.013] {
                let clip = counted(&sine(20_000, cycles, 1e9, quantum), 777, None);
                assert_eq!((clip.clipped(), clip.longest(1e4, cycles) > 10), (0, false), "{quantum} {cycles}");
                match clip.step_size() {
                    Some(step) => assert!((step - quantum).abs() < 1e-9, "{step} {quantum}"),
                    // a fine grid shows only where neighbours happen to differ by one step
                    None => assert!(quantum < 1.0),
                }
            }
        }
        // without any noise the same extreme comes every cycle, and so does the next level
        let exact: Vec<f64> = (0..5000).map(|i| (std::f64::consts::TAU * f64::from(i % 100) / 100.0).sin()).collect();
        assert_eq!(counted(&exact, 5000, None).clipped(), 0);
    }

    #[test]
    fn one_clipped_sample_per_cycle_is_enough() {
        let mut x = sine(20_000, 0.01, 1e9, 0.0);
        for cycle in x.chunks_mut(100) {
            let peak = (0..100).max_by(|&a, &b| cycle[a].total_cmp(&cycle[b])).unwrap();
            cycle.iter_mut().filter(|v| **v > 9499.0).for_each(|v| *v = 9499.0 - v.fract());
            cycle[peak] = 9500.0;
        }
        assert_eq!(counted(&x, 64, None).clipped(), 200);
        let hard = counted(&sine(20_000, 0.01, 9500.0, 0.0), 64, None);
        assert!(hard.clipped() > 3800, "{hard:?}");
    }

    #[test]
    fn runs_and_limits() {
        let mut x = sine(4000, 0.01, 1e9, 0.0);
        x[1000..1050].fill(123.0);
        let clip = counted(&x, 4000, None);
        assert_eq!((clip.clipped(), clip.longest(1e4, 0.01)), (50, 50));
        let clip = counted(&x, 4000, Some([-9000.0, 9000.0]));
        assert!(clip.clipped() > 1000 && clip.longest(1e4, 0.01) == 50);
        let flat = counted(&[5.0; 300], 7, None);
        assert!(flat.flat() && flat.clipped() == 300 && flat.longest(0.0, 0.01) == 300);
        let nothing = counted(&[f64::NAN; 300], 7, None);
        assert!(
            !nothing.flat() && nothing.not_finite == 300 && nothing.clipped() == 0 && nothing.step_size().is_none()
        );
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(values in prop::collection::vec(-3_i32..4, 1..400), cut in 1_usize..90, spoil in 0_usize..400) {
            let mut x: Vec<f64> = values.iter().map(|&v| f64::from(v) * 0.1).collect();
            if let Some(v) = x.get_mut(spoil) {
                *v = f64::NAN;
            }
            let slowly = {
                let mut clip = Clip::new(Some([-0.3, 0.3]), 10);
                x.iter().for_each(|&v| clip.take(v));
                clip
            };
            let fast = counted(&x, cut, Some([-0.3, 0.3]));
            let show = |c: Clip| format!("{c:?}");
            prop_assert_eq!(show(fast), show(slowly));
        }
    }
}
