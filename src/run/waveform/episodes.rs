//! Second pass: the envelope, stretch by stretch, and the episodes in it.

use super::survey::Survey;
use super::{Reader, bursts};
use crate::Result;
use crate::dsp::fft::Complex;
use crate::dsp::follow::{Follower, Grid, Stretch, cell_len};
use crate::dsp::harmonics::turn;
use crate::signal::Segment;
use std::ops::{Deref, Range};

/// Stimulation is on above this share of the largest envelope.
pub(super) const ON: f64 = 0.05;
/// An episode goes on where stimulation comes back within this time, s: the pause is a dropout.
const PAUSE_S: f64 = 0.5;
/// A cell at the recording's edge is wholly on where it lies as near to the plateau's line as its cells do, times this (in normal noise
/// one of 8000 lies farther away), or within this share of the level; so many cells must tell how near that is.
const LIKE: f64 = 3.0;
const EXACT: f64 = 1e-9;
const FEWEST: usize = 8;

/// A stretch of stimulation.
#[derive(Debug, Clone)]
pub(super) struct Episode {
    pub segment: usize,
    pub stretch: Stretch,
    /// Bursts within the episode, where its pauses are so regular that they are meant and no dropouts.
    pub bursts: Vec<Range<i64>>,
    /// The samples of its segment: no edge lies outside.
    pub bounds: Range<i64>,
}

impl Episode {
    fn new(segment: usize, mut stretch: Stretch, bounds: Range<i64>) -> Self {
        let bursts = bursts::train(&stretch.strong, stretch.cell);
        if !bursts.is_empty() {
            stretch.dropouts = 0;
        }
        Self { segment, stretch, bursts, bounds }
    }

    /// A recording that begins, or ends, within stimulation has no edge there to keep away from: the plateau goes on to its first, or
    /// last, cell. A plateau shorter by a twentieth knows its frequency worse by 8 %.
    fn widen(&mut self, grid: &Grid<'_>) {
        let s = &mut self.stretch;
        if s.short || !self.bursts.is_empty() || s.dropouts + s.jumps > 0 {
            return;
        }
        let last = grid.sample(grid.cells.len());
        let cell = |sample: i64| ((sample - grid.start).max(0) / grid.cell as i64) as usize;
        // wholly inside
        let inside = cell(s.plateau.start + grid.cell as i64 - 1)..cell(s.plateau.end);
        if inside.len() < FEWEST {
            return;
        }
        let drift = s.cycles - grid.cycles;
        let still = |i: usize| grid.cells[i] * turn(-drift * (grid.centre(i) - grid.centre(0)), 1);
        let mean = inside.clone().map(still).sum::<Complex>() / inside.len() as f64;
        let spread = inside.clone().map(|i| (still(i) - mean).norm_sqr()).sum::<f64>() / inside.len() as f64;
        let near = (LIKE * spread.sqrt()).max(EXACT * mean.norm());
        let like = |mut cells: Range<usize>| cells.all(|i| (still(i) - mean).norm() <= near);
        if s.ramp_up.is_none() && !s.cut[0] && s.on.start == grid.start && like(0..inside.start) {
            s.plateau.start = grid.start;
        }
        if s.ramp_down.is_none() && !s.cut[1] && s.on.end == last && like(inside.end..grid.cells.len()) {
            s.plateau.end = last;
        }
    }
}

impl Deref for Episode {
    type Target = Stretch;

    fn deref(&self) -> &Stretch {
        &self.stretch
    }
}

/// The envelope of a channel: segment, and its cells.
pub(super) type Envelope = Vec<(usize, Vec<Complex>)>;

/// The episodes of every channel, in order.
pub(super) fn find(reader: &mut Reader<'_>, surveys: &[Survey]) -> Result<Vec<Vec<Episode>>> {
    let (rate, segments) = (reader.rate(), reader.segments().to_vec());
    let samples: u64 = segments.iter().map(|s| s.length).sum();
    let mut followers: Vec<Option<Follower>> = surveys
        .iter()
        .map(|survey| {
            let cycles = survey.cycles?;
            Some(Follower::new(cycles, cell_len(cycles, survey.beat, rate, samples as f64)))
        })
        .collect();
    let mut envelopes: Vec<Envelope> = vec![Vec::new(); surveys.len()];
    let mut current = 0;
    reader.pass(&mut |segment, first, rows| {
        for (c, follower) in followers.iter_mut().enumerate() {
            let Some(follower) = follower else { continue };
            if segment != current {
                envelopes[c].push((current, follower.take()));
            }
            follower.push(first, &rows[c]);
        }
        current = segment;
    })?;
    let mut found = vec![Vec::new(); surveys.len()];
    for (c, follower) in followers.iter_mut().enumerate() {
        let Some(follower) = follower else { continue };
        envelopes[c].push((current, follower.take()));
        found[c] = within(&envelopes[c], &segments, follower.cell(), follower.cycles(), rate);
    }
    Ok(found)
}

/// The episodes in an envelope of cells of `cell` samples, demodulated at `cycles` per sample.
pub(super) fn within(envelope: &Envelope, segments: &[Segment], cell: usize, cycles: f64, rate: f64) -> Vec<Episode> {
    let mut sizes: Vec<f64> = envelope.iter().flat_map(|(_, cells)| cells).map(|z| z.norm()).collect();
    sizes.sort_by(f64::total_cmp);
    let largest = sizes.get((sizes.len() * 98 / 100).min(sizes.len().saturating_sub(1))).copied().unwrap_or(0.0);
    let mut found = Vec::new();
    for (segment, cells) in envelope {
        let Some(whole) = segments.get(*segment) else { continue };
        let start = whole.first.0;
        let bounds = start..start + whole.length as i64;
        let grid = Grid { start, cell, cells, cycles };
        found.extend(grid.stretches_between_ramps(ON * largest, PAUSE_S * rate).into_iter().map(|stretch| {
            let mut episode = Episode::new(*segment, stretch, bounds.clone());
            // without a carrier there is no phase to compare
            if cycles > 0.0 {
                episode.widen(&grid);
            }
            episode
        }));
    }
    found
}
