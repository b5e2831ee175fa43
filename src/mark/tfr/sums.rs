//! Running sums over trials, channel by channel.

use super::Baseline;
use super::transform::{Space, Transform};
use crate::dsp::morlet::accumulate;
use crate::signal::{Epoch, window_range};
use rayon::prelude::*;
use std::ops::Range;

/// Where the cells lie in the epoch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    pub rate_hz: f64,
    pub first: i64,
    pub len: usize,
    pub decim: usize,
    /// Sample of the first cell.
    pub offset: usize,
    pub outputs: usize,
}

impl Axis {
    fn sample(&self, cell: usize) -> usize {
        self.offset + cell * self.decim
    }

    pub fn time_ms(&self, cell: usize) -> f64 {
        (self.first + self.sample(cell) as i64) as f64 * 1e3 / self.rate_hz
    }

    /// Cells in a window, both ends included.
    pub fn cells(&self, window_ms: [f64; 2]) -> Range<usize> {
        let Some(samples) = window_range(window_ms, self.rate_hz, self.first, self.len) else { return 0..0 };
        let first_from = |sample: usize| sample.saturating_sub(self.offset).div_ceil(self.decim).min(self.outputs);
        first_from(samples.start)..first_from(samples.end)
    }

    /// Whether ±2σ about a cell leave the epoch.
    pub fn touches_edge(&self, cell: usize, sigma_s: f64) -> bool {
        let (at, reach) = (self.sample(cell) as f64, 2.0 * sigma_s * self.rate_hz);
        at - reach < 0.0 || at + reach > (self.len - 1) as f64
    }

    /// Whether ±2σ about a cell hold a bridged sample; `before[i]` counts those before sample `i`.
    pub fn touches_gap(&self, cell: usize, sigma_s: f64, before: &[u32]) -> bool {
        let (at, reach) = (self.sample(cell), (2.0 * sigma_s * self.rate_hz).floor() as usize);
        before[at.saturating_sub(reach)] < before[(at + reach + 1).min(self.len)]
    }
}

/// How many samples before each are bridged; one more number than samples.
pub(super) fn count_before(filled: &[bool], before: &mut [u32]) {
    let mut n = 0;
    for (before, &filled) in before[1..].iter_mut().zip(filled) {
        n += u32::from(filled);
        *before = n;
    }
}

/// What is the same for all channels.
pub(super) struct Plan {
    pub transform: Transform,
    pub axis: Axis,
    /// Frequency and σ in time (s) of each row.
    pub rows: Vec<(f64, f64)>,
    /// Power to density, by row.
    pub scales: Vec<f64>,
    /// Cells of the baseline, affected ones included.
    pub baseline: Range<usize>,
    /// The comparison, where it is made trial by trial.
    pub per_trial: Option<Baseline>,
}

impl Plan {
    /// Cells per channel.
    pub fn cells(&self) -> usize {
        self.rows.len() * self.axis.outputs
    }

    /// Mean and standard deviation (divisor N) of a row's power over the baseline's cells that are not affected.
    pub fn level(&self, power: &[f64], affected: impl Fn(usize) -> bool) -> (f64, f64) {
        let good = || self.baseline.clone().filter(|&cell| !affected(cell)).map(|cell| power[cell]);
        let n = good().count() as f64;
        let mean = good().sum::<f64>() / n;
        (mean, (good().map(|p| (p - mean) * (p - mean)).sum::<f64>() / n).sqrt())
    }
}

/// A trial that waits.
pub(super) struct Pending {
    pub condition: usize,
    /// Channel after channel.
    pub data: Vec<f64>,
    before: Vec<u32>,
}

impl Pending {
    pub fn new(channels: usize, len: usize) -> Self {
        Self { condition: 0, data: vec![0.0; channels * len], before: vec![0; len + 1] }
    }

    pub fn take(&mut self, epoch: &Epoch, channels: &[usize]) {
        self.condition = usize::from(epoch.condition);
        for (to, &c) in self.data.chunks_exact_mut(epoch.len()).zip(channels) {
            to.copy_from_slice(epoch.channel(c));
        }
        count_before(&epoch.filled, &mut self.before);
    }
}

/// One channel's sums in one condition.
#[derive(Clone)]
pub(super) struct Sums {
    /// Trials without a value that is not finite.
    pub n: u64,
    /// Σx, by sample.
    pub time: Vec<f64>,
    /// Σ|z|² (over tapers weighted), row after row.
    pub power: Vec<f64>,
    /// Σ z/|z|, taper after taper, row after row.
    pub re: Vec<f64>,
    pub im: Vec<f64>,
    /// Σ of what the comparison trial by trial gives, and of how many trials, by row.
    pub change: Vec<f64>,
    pub n_change: Vec<u64>,
}

impl Sums {
    fn new(plan: &Plan) -> Self {
        let phases = plan.cells() * plan.transform.tapers;
        let (change, rows) = if plan.per_trial.is_some() { (plan.cells(), plan.rows.len()) } else { (0, 0) };
        Self {
            n: 0,
            time: vec![0.0; plan.axis.len],
            power: vec![0.0; plan.cells()],
            re: vec![0.0; phases],
            im: vec![0.0; phases],
            change: vec![0.0; change],
            n_change: vec![0; rows],
        }
    }

    fn reset(&mut self) {
        for sums in [&mut self.time, &mut self.power, &mut self.re, &mut self.im, &mut self.change] {
            sums.fill(0.0);
        }
        self.n_change.fill(0);
        self.n = 0;
    }

    fn memory_bytes(&self) -> u64 {
        8 * (self.time.len() + self.power.len() + 2 * self.re.len() + self.change.len()) as u64
    }
}

/// Working space of a thread.
pub(super) struct Scratch {
    pub space: Space,
    power: Vec<f64>,
    /// Trials of the queue in which the channel is whole.
    whole: Vec<usize>,
}

impl Scratch {
    pub fn new(plan: &Plan) -> Self {
        Self {
            space: plan.transform.space(super::AT_ONCE),
            power: vec![0.0; plan.axis.outputs],
            whole: Vec::with_capacity(super::AT_ONCE),
        }
    }
}

/// Some channels, each with its sums by condition, and the space to work on them.
pub(super) struct Piece {
    channels: Range<usize>,
    sums: Vec<Vec<Sums>>,
    scratch: Scratch,
}

impl Piece {
    pub fn new(plan: &Plan, channels: Range<usize>, conditions: usize) -> Self {
        let sums = channels.clone().map(|_| (0..conditions).map(|_| Sums::new(plan)).collect()).collect();
        Self { channels, sums, scratch: Scratch::new(plan) }
    }

    /// Its channels (as the marker numbers them) and their sums by condition.
    pub fn channels(&self) -> impl Iterator<Item = (usize, &[Sums])> {
        self.channels.clone().zip(self.sums.iter().map(Vec::as_slice))
    }

    pub fn reset(&mut self) {
        self.sums.iter_mut().flatten().for_each(Sums::reset);
    }

    pub fn memory_bytes(&self) -> u64 {
        self.sums.iter().flatten().map(Sums::memory_bytes).sum()
    }

    fn add(&mut self, plan: &Plan, queue: &[Pending]) {
        for (channel, sums) in self.channels.clone().zip(&mut self.sums) {
            add_channel(plan, channel, sums, queue, &mut self.scratch);
        }
    }
}

/// Adds waiting trials to all channels' sums. The sums do not depend on how channels are split over threads, nor on how
/// trials are split over calls.
pub(super) fn add(plan: &Plan, pieces: &mut [Piece], queue: &[Pending], parallel: bool) {
    if parallel {
        pieces.par_iter_mut().for_each(|piece| piece.add(plan, queue));
    } else {
        pieces.iter_mut().for_each(|piece| piece.add(plan, queue));
    }
}

/// Adds waiting trials to one channel's sums, in their order.
pub(super) fn add_channel(plan: &Plan, channel: usize, sums: &mut [Sums], queue: &[Pending], scratch: &mut Scratch) {
    let Scratch { space, power, whole } = scratch;
    whole.clear();
    for (i, trial) in queue.iter().enumerate() {
        let x = &trial.data[channel * plan.axis.len..][..plan.axis.len];
        if x.iter().all(|v| v.is_finite()) {
            plan.transform.take(i, x, space);
            let sums = &mut sums[trial.condition];
            sums.time.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
            sums.n += 1;
            whole.push(i);
        }
    }
    let outputs = plan.axis.outputs;
    for (row, &(_, sigma)) in plan.rows.iter().enumerate() {
        let cells = row * outputs..(row + 1) * outputs;
        for &i in whole.iter() {
            let sums = &mut sums[queue[i].condition];
            if plan.transform.tapers == 1 && plan.per_trial.is_none() {
                let z = plan.transform.apply(row, 0, i, space);
                let (re, im) = (&mut sums.re[cells.clone()], &mut sums.im[cells.clone()]);
                accumulate(z, 1.0, &mut sums.power[cells.clone()], re, im);
                continue;
            }
            power.fill(0.0);
            for taper in 0..plan.transform.tapers {
                let z = plan.transform.apply(row, taper, i, space);
                let at = taper * plan.cells() + cells.start;
                let (re, im) = (&mut sums.re[at..at + outputs], &mut sums.im[at..at + outputs]);
                accumulate(z, plan.transform.weight(row, taper), power, re, im);
            }
            sums.power[cells.clone()].iter_mut().zip(&*power).for_each(|(sum, p)| *sum += p);
            if let Some(baseline) = plan.per_trial {
                let affected =
                    |cell| plan.axis.touches_edge(cell, sigma) || plan.axis.touches_gap(cell, sigma, &queue[i].before);
                let level = plan.level(power, affected);
                if level.0 > 0.0 && level.1 > 0.0 {
                    let change = &mut sums.change[cells.clone()];
                    change.iter_mut().zip(&*power).for_each(|(sum, p)| *sum += baseline.apply(*p, level));
                    sums.n_change[row] += 1;
                }
            }
        }
    }
}
