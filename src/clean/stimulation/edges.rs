//! Third pass: sudden starts, ends and jumps of the phase, to the sample.
//!
//! Next to an edge the waveform is fitted where it is surely there (harmonic least squares over some cells) and carried on across
//! the edge. A start is where "nothing before, the waveform from here on" leaves the least squares, or where a straight ramp does
//! so clearly better; an end is a start read backward; a jump is where the waveform from before hands over to that from behind.

use super::{Draft, Edge, episodes};
use crate::Result;
use crate::dsp::fft::Complex;
use crate::dsp::harmonics::{Fit, Sums, harmonics_below_nyquist, turn};
use crate::flow::Replay;
use crate::signal::Episode;
use std::f64::consts::TAU;
use std::ops::Range;

/// Cells that are read on either side, and harmonics at most.
const CELLS: i64 = 8;
const HARMONICS: usize = 8;
/// A ramp must leave less than this share of what a step leaves.
const RAMP: f64 = 0.8;
/// First steps of the search for a ramp, along each axis.
const GRID: usize = 24;

/// Samples of the followed channel around one edge.
struct Stretch {
    range: Range<i64>,
    row: Vec<f64>,
}

impl Stretch {
    fn part(&self, range: &Range<i64>) -> &[f64] {
        let at = |s: i64| (s.clamp(self.range.start, self.range.end) - self.range.start) as usize;
        self.row.get(at(range.start)..at(range.end).min(self.row.len())).unwrap_or(&[])
    }

    /// The waveform over `over`; with fewer harmonics where there is too little.
    fn fit(&self, cycles: f64, over: &Range<i64>) -> Option<Fit> {
        let over = over.start.max(self.range.start)..over.end.min(self.range.end);
        let row = self.part(&over);
        let most = harmonics_below_nyquist(cycles, HARMONICS);
        [most, most.min(3), 1].into_iter().filter(|k| row.len() > 4 * k + 4).find_map(|k| {
            let mut sums = Sums::new(cycles, k, 1, over.start as f64, row.len() as f64);
            sums.push(over.start, &[row]);
            sums.fit(0)
        })
    }
}

/// What the waveform is over `range`, its level left out.
fn carried(fit: &Fit, cycles: f64, range: &Range<i64>) -> Vec<f64> {
    let value = |n: i64| {
        let one = turn(cycles, n);
        let mut many = Complex::new(1.0, 0.0);
        fit.harmonics.iter().fold(0.0, |sum, [p, q]| {
            many *= one;
            sum + p * many.re + q * many.im
        })
    };
    range.clone().map(value).collect()
}

/// Reads around what is not yet known to the sample, and makes episodes of the drafts.
pub(super) fn settle(stream: &mut dyn Replay, channel: usize, drafts: Vec<Draft>) -> Result<Vec<Episode>> {
    let mut wanted: Vec<Stretch> = Vec::new();
    let reach = |draft: &Draft, range: &Range<i64>| {
        let more = CELLS * draft.cell as i64;
        (range.start - more).max(draft.bounds.start)..(range.end + more).min(draft.bounds.end)
    };
    for draft in &drafts {
        let sudden = [&draft.start, &draft.end].into_iter().filter_map(|e| match e {
            Edge::Sudden(range) => Some(range),
            Edge::Known(..) => None,
        });
        wanted.extend(sudden.chain(&draft.jumps).map(|r| Stretch { range: reach(draft, r), row: Vec::new() }));
    }
    if !wanted.is_empty() {
        let near = merged(wanted.iter().map(|s| s.range.clone()).collect());
        stream.each_row(channel, &near, &mut |_, first, row| {
            for stretch in &mut wanted {
                let end = first + row.len() as i64;
                let part = stretch.range.start.max(first)..stretch.range.end.min(end);
                if part.start < part.end {
                    stretch.row.extend_from_slice(&row[(part.start - first) as usize..(part.end - first) as usize]);
                }
            }
        })?;
    }
    let read = |draft: &Draft, range: &Range<i64>| wanted.iter().find(|w| w.range == reach(draft, range));
    let mut all = Vec::new();
    for draft in &drafts {
        let cycles = draft.basis + turning(draft);
        let start = match &draft.start {
            Edge::Known(foot, full) => (*foot, *full),
            Edge::Sudden(range) => read(draft, range).map_or((range.start as f64, range.end as f64), |stretch| {
                let over = range.end..end_of(draft).min(range.end + CELLS * draft.cell as i64);
                start(stretch, cycles, range, &over, false)
            }),
        };
        let end = match &draft.end {
            Edge::Known(foot, full) => (*foot, *full),
            Edge::Sudden(range) => read(draft, range).map_or((range.end as f64, range.start as f64), |stretch| {
                let over = start_of(draft).max(range.start - CELLS * draft.cell as i64)..range.start;
                self::start(stretch, cycles, range, &over, true)
            }),
        };
        let jumps: Vec<i64> = draft
            .jumps
            .iter()
            .filter_map(|range| read(draft, range).map(|stretch| jump(stretch, cycles, range)))
            .collect();
        all.extend(episodes(draft, start, end, &jumps));
    }
    Ok(all)
}

/// The ranges in order, those that meet made one.
fn merged(mut ranges: Vec<Range<i64>>) -> Vec<Range<i64>> {
    ranges.sort_by_key(|r| r.start);
    let mut all: Vec<Range<i64>> = Vec::new();
    for range in ranges {
        match all.last_mut().filter(|last| last.end >= range.start) {
            Some(last) => last.end = last.end.max(range.end),
            None => all.push(range),
        }
    }
    all
}

/// Where the plateau surely still is, and where it surely is already.
fn end_of(draft: &Draft) -> i64 {
    match &draft.end {
        Edge::Known(_, full) => full.floor() as i64,
        Edge::Sudden(range) => range.start,
    }
}

fn start_of(draft: &Draft) -> i64 {
    match &draft.start {
        Edge::Known(_, full) => full.ceil() as i64,
        Edge::Sudden(range) => range.end,
    }
}

/// The median turn of the phase from cell to cell, cycles per sample: jumps do not enter.
fn turning(draft: &Draft) -> f64 {
    let mut turns: Vec<f64> = draft.cells.windows(2).map(|p| (p[1].1 * p[0].1.conj()).arg()).collect();
    if turns.is_empty() { 0.0 } else { crate::dsp::stats::median(&mut turns) / TAU / draft.cell as f64 }
}

/// Foot and full of a start within `range`, given the waveform over `over`; backward: of an end.
fn start(stretch: &Stretch, cycles: f64, range: &Range<i64>, over: &Range<i64>, backward: bool) -> (f64, f64) {
    let (low, high) = (range.start as f64 - 0.5, range.end as f64 - 0.5);
    let unknown = if backward { (high, low) } else { (low, high) };
    let Some(fit) = stretch.fit(cycles, over) else { return unknown };
    let quiet = if backward {
        stretch.part(&(range.end..stretch.range.end))
    } else {
        stretch.part(&(stretch.range.start..range.start))
    };
    let level = if quiet.is_empty() { fit.level } else { quiet.iter().sum::<f64>() / quiet.len() as f64 };
    let mut x: Vec<f64> = stretch.part(range).iter().map(|x| x - level).collect();
    let mut wave = carried(&fit, cycles, range);
    if x.len() != wave.len() || x.iter().any(|v| !v.is_finite()) {
        return unknown;
    }
    if backward {
        x.reverse();
        wave.reverse();
    }
    let (foot, full) = onset(&x, &wave);
    if backward {
        let last = range.end as f64 - 1.0;
        (last - foot, last - full)
    } else {
        (range.start as f64 + foot, range.start as f64 + full)
    }
}

/// Foot and full of the ramp with which `wave` sets in in `x`, in samples; half a sample before the first where it is a step.
fn onset(x: &[f64], wave: &[f64]) -> (f64, f64) {
    let left = |foot: f64, full: f64| -> f64 {
        let share = |n: usize| {
            let n = n as f64;
            if n >= full { 1.0 } else { ((n - foot) / (full - foot)).clamp(0.0, 1.0) }
        };
        x.iter().zip(wave).enumerate().map(|(n, (x, w))| (x - share(n) * w).powi(2)).sum()
    };
    // a step: one sum from the left, one from the right
    let mut cost: f64 = x.iter().zip(wave).map(|(x, w)| (x - w).powi(2)).sum();
    let (mut step, mut least) = (0, cost);
    for (n, (x, w)) in x.iter().zip(wave).enumerate() {
        cost += x * x - (x - w).powi(2);
        if cost < least {
            (step, least) = (n + 1, cost);
        }
    }
    let edge = step as f64 - 0.5;
    let least = left(edge, edge);
    let width = x.len() as f64 / GRID as f64;
    let (mut best, mut found) = ((edge, edge), least);
    for i in 0..GRID {
        for j in i + 1..=GRID {
            let (foot, full) = (i as f64 * width, j as f64 * width);
            let cost = left(foot, full);
            if cost < found {
                (best, found) = ((foot, full), cost);
            }
        }
    }
    if found >= RAMP * least {
        return (edge, edge);
    }
    let mut by = width / 2.0;
    while by > 0.05 {
        let (foot, full) = best;
        let near = [(foot - by, full), (foot + by, full), (foot, full - by), (foot, full + by), (foot - by, full + by)];
        let better = near
            .into_iter()
            .filter(|(a, b)| *b >= *a + 0.5 && *a >= -0.5 && *b <= x.len() as f64)
            .map(|(a, b)| ((a, b), left(a, b)))
            .min_by(|a, b| a.1.total_cmp(&b.1));
        match better {
            Some((place, cost)) if cost < found => (best, found) = (place, cost),
            _ => by /= 2.0,
        }
    }
    best
}

/// The first sample behind a jump within `range`.
fn jump(stretch: &Stretch, cycles: f64, range: &Range<i64>) -> i64 {
    let middle = (range.start + range.end) / 2;
    let before = stretch.fit(cycles, &(stretch.range.start..range.start));
    let after = stretch.fit(cycles, &(range.end..stretch.range.end));
    let (Some(before), Some(after)) = (before, after) else { return middle };
    let x = stretch.part(range);
    let (a, b) = (carried(&before, cycles, range), carried(&after, cycles, range));
    let (mut cost, mut least, mut at) = (0.0, 0.0, 0);
    for (n, x) in x.iter().enumerate() {
        cost += (x - before.level - a[n]).powi(2) - (x - after.level - b[n]).powi(2);
        if cost < least {
            (least, at) = (cost, n + 1);
        }
    }
    range.start + at as i64
}
