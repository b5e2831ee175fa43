//! The epoch side of a pipeline: Steps, Fits with their spool, averages, markers, and a row for every trial.

use super::holes::spoiled;
use super::spool::Spool;
use crate::flow::{EpochInfo, Fit, Marker, Model, Reason, Rewind, Step, Verdict};
use crate::signal::{Averages, ChannelKind, Epoch, PsdPlan, PsdSum};
use crate::{Error, Result};
use multiversion::multiversion;
use std::collections::VecDeque;

/// What became of one event that was asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrialRow {
    /// 0-based number among the events asked for.
    pub trial: u64,
    /// Index of the condition.
    pub condition: u16,
    /// Seconds from the start of the recording, gaps counted.
    pub onset_s: f64,
    /// Stored sample of the event.
    pub sample: i64,
    /// Stated onset minus the epoch's sample 0, µs.
    pub residual_us: f64,
    /// Why it was dropped; `None`: kept.
    pub reason: Option<Reason>,
    /// The entering channel with the largest peak-to-peak.
    pub worst_channel: Option<u32>,
    /// Its peak-to-peak over measured samples, µV.
    pub max_ptp_uv: f64,
}

/// Trial rows that may wait for the caller to drain them.
const ROWS: usize = 4096;

/// A part of the epoch list.
pub(super) enum Part {
    Step(Box<dyn Step>),
    Fit(Box<dyn Fit>),
}

/// Everything behind the cutter.
pub(super) struct Epochs {
    pub info: EpochInfo,
    pub epoch: Epoch,
    enters: Vec<bool>,
    bad: Vec<bool>,
    parts: Vec<Part>,
    spool: Option<Spool>,
    spool_error: Option<Error>,
    pub models: Vec<Model>,
    pub averages: Vec<Averages>,
    pub markers: Vec<Box<dyn Marker>>,
    /// Power spectral densities that markers asked for, each per condition.
    pub spectra: Vec<Vec<PsdSum>>,
    rows: VecDeque<TrialRow>,
    /// Rows that found the queue full.
    pub rows_lost: u64,
    /// Dropped trials per condition and deciding channel.
    pub rejected: Vec<Vec<u64>>,
    /// Channel masks as the last kept epoch left them.
    pub last_enters: Vec<bool>,
    pub last_bad: Vec<bool>,
    pub last_interpolated: Vec<bool>,
}

impl Epochs {
    pub fn new(
        info: EpochInfo,
        named_bad: &[bool],
        parts: Vec<Part>,
        markers: Vec<Box<dyn Marker>>,
        plans: &[PsdPlan],
    ) -> Self {
        let epoch = Epoch::new(info.clock, info.first, info.channels.len(), info.len);
        let bad = named_bad.to_vec();
        let enters: Vec<bool> =
            info.channels.iter().zip(&bad).map(|(c, bad)| c.kind == ChannelKind::Eeg && c.calibrated && !bad).collect();
        let averages = (0..info.conditions)
            .map(|_| Averages::new(info.clock, info.first, info.channels.len(), info.len))
            .collect();
        Self {
            epoch,
            parts,
            spool: None,
            spool_error: None,
            models: Vec::new(),
            averages,
            markers,
            spectra: plans.iter().map(|p| (0..info.conditions).map(|_| p.sum(info.channels.len())).collect()).collect(),
            rows: VecDeque::with_capacity(ROWS),
            rows_lost: 0,
            rejected: vec![vec![0; info.channels.len()]; info.conditions],
            last_enters: enters.clone(),
            last_bad: bad.clone(),
            last_interpolated: vec![false; info.channels.len()],
            enters,
            bad,
            info,
        }
    }

    /// The epoch that has just been cut (or could not be: `reason`).
    pub fn take(&mut self, reason: Option<Reason>) {
        self.epoch.enters.copy_from_slice(&self.enters);
        self.epoch.bad.copy_from_slice(&self.bad);
        match reason {
            Some(reason) => self.row(Some(reason)),
            None => self.through(0),
        }
    }

    /// Runs the epoch through the parts from `from` on, up to a Fit that is not solved yet.
    fn through(&mut self, from: usize) {
        for part in &mut self.parts[from..] {
            match part {
                Part::Step(step) => {
                    if let Verdict::Drop(reason) = step.apply(&mut self.epoch) {
                        return self.row(Some(reason));
                    }
                }
                Part::Fit(_) => {
                    let spool = self.spool.get_or_insert_with(Spool::new);
                    if let Err(error) = spool.push(&self.epoch) {
                        self.spool_error.get_or_insert(error);
                    }
                    return;
                }
            }
        }
        if let Some(channel) = spoiled(&self.epoch) {
            return self.row(Some(Reason { channel: Some(channel), ..Reason::new("non_finite") }));
        }
        self.averages[usize::from(self.epoch.condition)].add(&self.epoch);
        for spectra in &mut self.spectra {
            spectra[usize::from(self.epoch.condition)].add(&self.epoch);
        }
        for marker in &mut self.markers {
            marker.observe(&self.epoch);
        }
        self.last_enters.copy_from_slice(&self.epoch.enters);
        self.last_bad.copy_from_slice(&self.epoch.bad);
        self.last_interpolated.copy_from_slice(&self.epoch.interpolated);
        self.row(None);
    }

    fn row(&mut self, reason: Option<Reason>) {
        let epoch = &self.epoch;
        let cut = reason.is_none_or(|r| !matches!(r.code, "start" | "end" | "gap" | "late"));
        let (worst_channel, max_ptp_uv) = if cut { worst(epoch) } else { (None, f64::NAN) };
        // where it decided, the value that did; the whole epoch holds the pulse's surroundings too
        let max_ptp_uv = reason.filter(|r| r.code == "max_ptp_uv").map_or(max_ptp_uv, |r| r.value);
        if let Some(channel) = reason.and_then(|r| r.channel) {
            self.rejected[usize::from(epoch.condition)][channel as usize] += 1;
        }
        let row = TrialRow {
            trial: epoch.trial,
            condition: epoch.condition,
            onset_s: epoch.onset_s,
            sample: epoch.event.tick.0,
            residual_us: epoch.residual_us,
            reason,
            worst_channel: reason.and_then(|r| r.channel).or(worst_channel),
            max_ptp_uv,
        };
        if self.rows.len() == ROWS {
            self.rows.pop_front();
            self.rows_lost += 1;
        }
        self.rows.push_back(row);
    }

    /// Moves the waiting rows out.
    pub fn drain(&mut self, out: &mut Vec<TrialRow>) {
        out.extend(self.rows.drain(..));
    }

    /// No more epochs will come: solves the Fits one after another, each on what the parts before it let pass.
    pub fn solve(&mut self, mut drained: impl FnMut(&mut Self)) -> Result<()> {
        while let Some(at) = self.parts.iter().position(|p| matches!(p, Part::Fit(_))) {
            if let Some(error) = self.spool_error.take() {
                return Err(error);
            }
            let mut spool = self.spool.take().unwrap_or_else(Spool::new);
            if spool.len() == 0 {
                // every trial was dropped before: nothing to learn from, and nothing to apply it to
                self.parts.remove(at);
                continue;
            }
            let Part::Fit(fit) = &mut self.parts[at] else { break };
            spool.rewind()?;
            let model = fit.fit(&mut spool)?;
            let step = fit.freeze(&model)?;
            self.models.push(model);
            self.parts[at] = Part::Step(step);
            spool.rewind()?;
            for i in 0..spool.len() {
                spool.next(&mut self.epoch)?;
                self.through(at);
                if i % (ROWS as u64 / 2) == 0 {
                    drained(self);
                }
            }
        }
        Ok(())
    }

    /// Whether a Fit waits for its model.
    pub fn has_open_fit(&self) -> bool {
        self.parts.iter().any(|p| matches!(p, Part::Fit(_)))
    }

    /// Forgets all epochs; keeps solved Fits.
    pub fn reset(&mut self) {
        self.averages.iter_mut().for_each(Averages::reset);
        self.spectra.iter_mut().flatten().for_each(PsdSum::reset);
        self.markers.iter_mut().for_each(|m| m.reset());
        self.rows.clear();
        self.rejected.iter_mut().flatten().for_each(|n| *n = 0);
        (self.spool, self.spool_error, self.rows_lost) = (None, None, 0);
    }
}

/// The entering channel with the largest peak-to-peak over measured samples.
fn worst(epoch: &Epoch) -> (Option<u32>, f64) {
    let mut worst = (None, f64::NAN);
    for c in (0..epoch.channels()).filter(|&c| epoch.enters[c]) {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut from = 0;
        for run in epoch.filled.chunk_by(|a, b| a == b) {
            if !run[0] {
                let (l, h) = extremes(&epoch.channel(c)[from..from + run.len()]);
                (low, high) = (low.min(l), high.max(h));
            }
            from += run.len();
        }
        let ptp = high - low;
        if ptp >= 0.0 && (worst.0.is_none() || ptp > worst.1) {
            worst = (Some(c as u32), ptp);
        }
    }
    worst
}

/// Lowest and highest value; NaN is passed over. Eight at a time, so that it vectorises.
#[multiversion(targets("x86_64+avx+avx2"))]
fn extremes(x: &[f64]) -> (f64, f64) {
    let (mut low, mut high) = ([f64::INFINITY; 8], [f64::NEG_INFINITY; 8]);
    let (chunks, rest) = x.as_chunks::<8>();
    for chunk in chunks {
        for lane in 0..8 {
            low[lane] = if chunk[lane] < low[lane] { chunk[lane] } else { low[lane] };
            high[lane] = if chunk[lane] > high[lane] { chunk[lane] } else { high[lane] };
        }
    }
    let all =
        |ends: [f64; 8], pick: fn(f64, f64) -> f64, start: f64| ends.iter().chain(rest).copied().fold(start, pick);
    (all(low, f64::min, f64::INFINITY), all(high, f64::max, f64::NEG_INFINITY))
}
