//! What `parrm` and `comb` share: from each sample of stimulation, subtract what other samples of the same phase say it holds.
//!
//! A *tooth* is a value of the signal some way before or after: a short kernel over neighbouring samples. The estimate is the teeth's
//! weighted mean, or the value at phase 0 of the straight line through them over their phases. Sums are direct: nothing leaks from
//! far away, and a sample's output depends on its episode alone.

use crate::flow::Stage;
use crate::signal::{Block, Episode, LANES, Lanes, StreamInfo};
use std::ops::Range;

/// Outputs that are worked on at once.
const CHUNK: usize = 64;

/// A value of the signal near sample n + `at`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tooth {
    /// Offset of the kernel's first sample.
    pub at: i64,
    /// What it is made of: weights of consecutive samples.
    pub kernel: Vec<f64>,
    /// How much it counts.
    pub weight: f64,
    /// How far its phase is from that of n, in any unit.
    pub phase: f64,
}

impl Tooth {
    fn end(&self) -> i64 {
        self.at + self.kernel.len() as i64
    }

    fn value(&self, samples: &[Lanes], here: usize, lane: usize) -> f64 {
        let first = (here as i64 + self.at) as usize;
        self.kernel.iter().zip(&samples[first..]).map(|(k, x)| k * x[lane]).sum()
    }
}

/// The teeth of one period.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    teeth: Vec<Tooth>,
    line: bool,
    /// Offsets and coefficients where every tooth is there.
    whole: Vec<(i64, f64)>,
    back: i64,
    ahead: i64,
}

/// Sums over teeth: Σ w, Σ wp, Σ wp².
#[derive(Debug, Clone, Copy, Default)]
struct Moments([f64; 3]);

impl Moments {
    fn add(&mut self, tooth: &Tooth) {
        let (w, p) = (tooth.weight, tooth.phase);
        self.0.iter_mut().zip([w, w * p, w * p * p]).for_each(|(s, v)| *s += v);
    }

    /// Coefficients a, b: the estimate is Σ w (a + b p) x. A line that would be noisier than a single tooth gives way to the mean.
    fn solve(&self, line: bool) -> Option<(f64, f64)> {
        let [s0, s1, s2] = self.0;
        let det = s0 * s2 - s1 * s1;
        match line && det > 1e-12 * s0 * s2 && s2 <= det {
            true => Some((s2 / det, -s1 / det)),
            false => (s0 > 0.0).then(|| (1.0 / s0, 0.0)),
        }
    }
}

impl Plan {
    pub(super) fn new(teeth: Vec<Tooth>, line: bool) -> Self {
        let mut moments = Moments::default();
        teeth.iter().for_each(|t| moments.add(t));
        let (a, b) = moments.solve(line).unwrap_or_default();
        let taps = |t: &Tooth| {
            let (at, c) = (t.at, t.weight * (a + b * t.phase));
            t.kernel.iter().enumerate().map(move |(l, k)| (at + l as i64, c * k)).collect::<Vec<_>>()
        };
        let whole = teeth.iter().flat_map(taps).collect();
        let back = teeth.iter().map(|t| -t.at).max().unwrap_or(0).max(0);
        let ahead = teeth.iter().map(|t| t.end() - 1).max().unwrap_or(0).max(0);
        Self { teeth, line, whole, back, ahead }
    }

    /// The factor by which white noise of a sample grows: √(1 + Σ c²).
    pub(super) fn noise_gain(&self) -> f64 {
        (1.0 + self.whole.iter().map(|(_, c)| c * c).sum::<f64>()).sqrt()
    }

    pub(super) fn len(&self) -> usize {
        self.teeth.len()
    }

    fn there(&self, here: usize, inside: &Range<i64>) -> impl Iterator<Item = &Tooth> {
        let (from, to) = (inside.start - here as i64, inside.end - here as i64);
        self.teeth.iter().filter(move |t| t.at >= from && t.end() <= to)
    }

    /// The estimates from the teeth that lie within `inside` (indices of `samples`).
    fn edge(&self, samples: &[Lanes], here: usize, inside: &Range<i64>) -> Lanes {
        let mut moments = Moments::default();
        self.there(here, inside).for_each(|t| moments.add(t));
        let mut sum = [0.0; LANES];
        let Some((a, b)) = moments.solve(self.line) else { return sum };
        for tooth in self.there(here, inside) {
            let c = tooth.weight * (a + b * tooth.phase);
            let first = (here as i64 + tooth.at) as usize;
            for (k, x) in tooth.kernel.iter().zip(&samples[first..]) {
                (0..LANES).for_each(|l| sum[l] += c * k * x[l]);
            }
        }
        sum
    }

    /// The estimate of one lane from the teeth that lie within `inside` and are finite.
    fn slow(&self, samples: &[Lanes], here: usize, inside: &Range<i64>, lane: usize) -> Option<f64> {
        let (mut moments, mut plain, mut tilted) = (Moments::default(), 0.0, 0.0);
        for tooth in self.there(here, inside) {
            let value = tooth.value(samples, here, lane);
            if value.is_finite() {
                moments.add(tooth);
                plain += tooth.weight * value;
                tilted += tooth.weight * tooth.phase * value;
            }
        }
        moments.solve(self.line).map(|(a, b)| a * plain + b * tilted)
    }
}

/// A stretch of stimulation with its plan.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stretch {
    on: Range<i64>,
    plateau: Range<i64>,
    plan: usize,
}

impl Stretch {
    pub(super) fn new(episode: &Episode, plan: usize) -> Self {
        Self { on: episode.on.clone(), plateau: episode.plateau.clone(), plan }
    }
}

/// The Stage: samples of an episode's plateau are compared with its plateau, those of its ramps with all of it, all others pass.
pub(super) struct Subtract {
    output: StreamInfo,
    plans: Vec<Plan>,
    stretches: Vec<Stretch>,
    notes: String,
    back: usize,
    ahead: usize,
    /// `[group][capacity]`: samples `first..first + filled`.
    ring: Vec<Lanes>,
    capacity: usize,
    first: i64,
    filled: usize,
    begin: Option<i64>,
    next: i64,
    segment: u32,
}

impl Subtract {
    pub(super) fn new(input: &StreamInfo, plans: Vec<Plan>, stretches: Vec<Stretch>, notes: String) -> Self {
        let back = plans.iter().map(|p| p.back).max().unwrap_or(0) as usize;
        let ahead = plans.iter().map(|p| p.ahead).max().unwrap_or(0) as usize;
        let capacity = back + ahead + 1 + (back / 2).max(2048);
        let groups = input.channels.len().div_ceil(LANES);
        Self {
            output: StreamInfo { max_block: input.max_block.max(ahead), ..input.clone() },
            plans,
            stretches,
            notes,
            back,
            ahead,
            ring: vec![[0.0; LANES]; groups * capacity],
            capacity,
            first: 0,
            filled: 0,
            begin: None,
            next: 0,
            segment: 0,
        }
    }

    /// Writes outputs up to `until`; no sample from `end` on exists (or will be waited for).
    fn emit(&mut self, until: i64, begin: i64, end: i64, out: &mut Block) {
        while self.next < until {
            let n = self.next;
            let after = self.stretches.partition_point(|s| s.on.end <= n);
            let stretch = self.stretches.get(after);
            let (to, inside) = match stretch {
                Some(s) if s.plateau.contains(&n) => (s.plateau.end, Some(s.plateau.clone())),
                Some(s) if s.on.contains(&n) && n < s.plateau.start => (s.plateau.start, Some(s.on.clone())),
                Some(s) if s.on.contains(&n) => (s.on.end, Some(s.on.clone())),
                Some(s) => (s.on.start, None),
                None => (until, None),
            };
            let (to, at) = (to.min(until), (n - out.first()) as usize);
            let (here, len) = ((n - self.first) as usize, (to - n) as usize);
            for g in 0..out.groups() {
                let ring = &self.ring[g * self.capacity..][..self.filled];
                let out = &mut out.group_mut(g)[at..at + len];
                out.copy_from_slice(&ring[here..here + len]);
                if let (Some(inside), Some(s)) = (&inside, stretch) {
                    let inside = inside.start.max(begin) - self.first..inside.end.min(end) - self.first;
                    if let Some(plan) = self.plans.get(s.plan) {
                        subtract(plan, ring, here, &inside, out);
                    }
                }
            }
            self.next = to;
        }
    }

    /// Forgets what no output will look at any more.
    fn shift(&mut self) {
        let keep_from = (self.next - self.back as i64 - self.first).clamp(0, self.filled as i64) as usize;
        for ring in self.ring.chunks_exact_mut(self.capacity) {
            ring.copy_within(keep_from..self.filled, 0);
        }
        self.filled -= keep_from;
        self.first += keep_from as i64;
    }
}

/// Subtracts the estimates of the samples from `here` on; `inside` bounds the teeth (indices of `samples`).
fn subtract(plan: &Plan, samples: &[Lanes], here: usize, inside: &Range<i64>, out: &mut [Lanes]) {
    let mut done = 0;
    while done < out.len() {
        let n = here + done;
        let whole = inside.start + plan.back..inside.end - plan.ahead;
        let at = n as i64;
        let mut sums = [[0.0; LANES]; CHUNK];
        let len = match whole.contains(&at) {
            true => CHUNK.min(out.len() - done).min((whole.end - at) as usize),
            false => 1,
        };
        if whole.contains(&at) {
            for (offset, c) in &plan.whole {
                let from = (at + offset) as usize;
                add(*c, &samples[from..from + len], &mut sums[..len]);
            }
        } else {
            sums[0] = plan.edge(samples, n, inside);
        }
        for (i, sum) in sums[..len].iter().enumerate() {
            for (lane, estimate) in sum.iter().enumerate() {
                // a missing sample among the teeth: the others still tell
                let estimate = match estimate.is_finite() {
                    true => Some(*estimate),
                    false => plan.slow(samples, n + i, inside, lane),
                };
                out[done + i][lane] -= estimate.unwrap_or(0.0);
            }
        }
        done += len;
    }
}

#[multiversion::multiversion(targets("x86_64+avx+avx2"))]
fn add(c: f64, samples: &[Lanes], sums: &mut [Lanes]) {
    for (sum, x) in sums.iter_mut().zip(samples) {
        for l in 0..LANES {
            sum[l] += c * x[l];
        }
    }
}

impl Stage for Subtract {
    fn output(&self) -> &StreamInfo {
        &self.output
    }

    fn lookahead(&self) -> u64 {
        self.ahead as u64
    }

    fn push(&mut self, input: &Block, out: &mut Block) {
        if input.is_empty() {
            out.start(self.segment, self.next, 0);
            return;
        }
        let begin = *self.begin.get_or_insert_with(|| {
            (self.first, self.next, self.filled) = (input.first(), input.first(), 0);
            self.segment = input.segment();
            input.first()
        });
        let until = (input.end() - self.ahead as i64).max(self.next);
        out.start(self.segment, self.next, (until - self.next) as usize);
        let mut used = 0;
        while used < input.len() {
            if self.filled == self.capacity {
                self.shift();
            }
            let take = (self.capacity - self.filled).min(input.len() - used);
            for (g, ring) in self.ring.chunks_exact_mut(self.capacity).enumerate() {
                ring[self.filled..self.filled + take].copy_from_slice(&input.group(g)[used..used + take]);
            }
            self.filled += take;
            used += take;
            let have = self.first + self.filled as i64;
            self.emit((have - self.ahead as i64).max(self.next), begin, i64::MAX, out);
        }
    }

    fn finish(&mut self, out: &mut Block) {
        let end = self.first + self.filled as i64;
        let Some(begin) = self.begin else {
            out.start(self.segment, self.next, 0);
            return;
        };
        out.start(self.segment, self.next, (end - self.next) as usize);
        self.emit(end, begin, end, out);
    }

    fn reset(&mut self) {
        (self.begin, self.filled) = (None, 0);
    }

    fn memory_bytes(&self) -> u64 {
        (self.ring.len() * size_of::<Lanes>()) as u64
    }

    fn notes(&self) -> String {
        self.notes.clone()
    }
}

#[cfg(test)]
mod tests;
