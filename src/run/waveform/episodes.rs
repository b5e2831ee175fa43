//! Second pass: the envelope, stretch by stretch, and the episodes in it.

use super::Reader;
use super::survey::Survey;
use crate::Result;
use crate::dsp::fft::Complex;
use crate::dsp::follow::{Follower, Grid, Stretch, cell_len};
use std::ops::Deref;

/// Stimulation is on above this share of the largest envelope.
const ON: f64 = 0.05;
/// An episode goes on where stimulation comes back within this time, s: the pause is a dropout.
const PAUSE_S: f64 = 0.5;

/// A stretch of stimulation.
#[derive(Debug, Clone)]
pub(super) struct Episode {
    pub segment: usize,
    pub stretch: Stretch,
}

impl Deref for Episode {
    type Target = Stretch;

    fn deref(&self) -> &Stretch {
        &self.stretch
    }
}

/// The episodes of every channel, in order.
pub(super) fn find(reader: &mut Reader<'_>, surveys: &[Survey]) -> Result<Vec<Vec<Episode>>> {
    let (rate, segments) = (reader.rate(), reader.segments().to_vec());
    let samples: u64 = segments.iter().map(|s| s.length).sum();
    let mut followers: Vec<Option<Follower>> = surveys
        .iter()
        .map(|survey| {
            let cycles = survey.cycles?;
            Some(Follower::new(cycles, cell_len(cycles, rate, samples as f64)))
        })
        .collect();
    let mut envelopes: Vec<Vec<(usize, Vec<Complex>)>> = vec![Vec::new(); surveys.len()];
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
        let mut sizes: Vec<f64> = envelopes[c].iter().flat_map(|(_, cells)| cells).map(|z| z.norm()).collect();
        sizes.sort_by(f64::total_cmp);
        let Some(&largest) = sizes.get((sizes.len() * 98 / 100).min(sizes.len().saturating_sub(1))) else { continue };
        for (segment, cells) in &envelopes[c] {
            let Some(start) = segments.get(*segment).map(|s| s.first.0) else { continue };
            let grid = Grid { start, cell: follower.cell(), cells, cycles: follower.cycles() };
            let stretches = grid.stretches(ON * largest, PAUSE_S * rate);
            found[c].extend(stretches.into_iter().map(|stretch| Episode { segment: *segment, stretch }));
        }
    }
    Ok(found)
}
