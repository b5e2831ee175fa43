//! Second pass: the envelope, stretch by stretch, and the episodes in it.

use super::Reader;
use super::survey::Survey;
use crate::Result;
use crate::dsp::fft::Complex;
use crate::dsp::harmonics::{Oscillator, phase_slope, wrap};
use crate::dsp::lsq::Line;
use nalgebra::{Matrix3, Vector3};
use std::ops::Range;

/// A cell of the envelope lasts at least this long, s, a whole number of cycles, and so long that no recording has more than this
/// many: memory does not grow with its length.
const CELL_S: f64 = 0.01;
pub(super) const MOST_CELLS: f64 = 1e5;
/// Fewest samples of a cell.
pub(super) const CELL_SAMPLES: f64 = 16.0;
/// Stimulation is on above this share of the largest envelope.
pub(super) const ON: f64 = 0.05;
/// An episode goes on where stimulation comes back within this time, s: the pause is a dropout.
pub(super) const PAUSE_S: f64 = 0.5;
/// A step of the phase from cell to cell that no clock makes, radians.
const JUMP: f64 = 20.0 / 180.0 * std::f64::consts::PI;

/// Fits c₀ + p cos θ + q sin θ to one stretch of samples after the other.
pub(super) struct Follower {
    oscillator: Oscillator,
    len: usize,
    filled: usize,
    gram: Matrix3<f64>,
    right: Vector3<f64>,
    re: Vec<f64>,
    im: Vec<f64>,
    /// p − iq of every stretch: x = Re(P e^{iθ}).
    pub cells: Vec<Complex>,
}

impl Follower {
    /// For stretches of `len` samples.
    pub fn new(cycles: f64, len: usize) -> Self {
        Self {
            oscillator: Oscillator::new(cycles),
            len: len.max(3),
            filled: 0,
            gram: Matrix3::zeros(),
            right: Vector3::zeros(),
            re: Vec::new(),
            im: Vec::new(),
            cells: Vec::new(),
        }
    }

    /// Samples of a stretch.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Takes the samples from index `first` on; they follow those taken before. What is not finite is left out.
    pub fn push(&mut self, first: i64, x: &[f64]) {
        self.re.resize(x.len(), 0.0);
        self.im.resize(x.len(), 0.0);
        self.oscillator.fill(first, &mut self.re, &mut self.im);
        let mut done = 0;
        while done < x.len() {
            let n = (self.len - self.filled).min(x.len() - done);
            let mut s = [0.0; 9];
            for ((x, c), q) in x[done..done + n].iter().zip(&self.re[done..]).zip(&self.im[done..]) {
                if x.is_finite() {
                    let add = [1.0, *c, *q, c * c, c * q, q * q, *x, x * c, x * q];
                    s.iter_mut().zip(add).for_each(|(s, a)| *s += a);
                }
            }
            self.gram += Matrix3::new(s[0], s[1], s[2], s[1], s[3], s[4], s[2], s[4], s[5]);
            self.right += Vector3::new(s[6], s[7], s[8]);
            self.filled += n;
            done += n;
            if self.filled == self.len {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        let solved = self.gram.cholesky().map(|g| g.solve(&self.right));
        self.cells.push(solved.map_or(Complex::default(), |s| Complex::new(s[1], -s[2])));
        (self.gram, self.right, self.filled) = (Matrix3::zeros(), Vector3::zeros(), 0);
    }

    /// The cells so far; what was begun is dropped.
    pub fn take(&mut self) -> Vec<Complex> {
        (self.gram, self.right, self.filled) = (Matrix3::zeros(), Vector3::zeros(), 0);
        std::mem::take(&mut self.cells)
    }
}

/// A stretch of stimulation: what the envelope shows. Ranges in samples.
#[derive(Debug, Clone)]
pub(super) struct Episode {
    pub segment: usize,
    /// Samples of a cell.
    pub cell: usize,
    /// Where the envelope is above the threshold.
    pub on: Range<i64>,
    pub plateau: Range<i64>,
    /// Where the envelope lies between 10 and 90 % of the plateau, and how straight it is there.
    pub ramp_up: Option<(Range<i64>, f64)>,
    pub ramp_down: Option<(Range<i64>, f64)>,
    /// Median envelope of the plateau.
    pub level: f64,
    /// Cycles per sample by the slope of the phase.
    pub cycles: f64,
    pub dropouts: u32,
    /// Bursts within the episode, where its pauses are so regular that they are meant.
    pub bursts: Vec<Range<i64>>,
    pub jumps: u32,
    /// Whether there is no cell of plateau between the ramps.
    pub short: bool,
}

/// The episodes of every channel, in order.
pub(super) fn find(reader: &mut Reader<'_>, surveys: &[Survey]) -> Result<Vec<Vec<Episode>>> {
    let (rate, segments) = (reader.rate(), reader.segments().to_vec());
    let samples: u64 = segments.iter().map(|s| s.length).sum();
    let mut followers: Vec<Option<Follower>> = surveys
        .iter()
        .map(|survey| {
            let cycles = survey.cycles?;
            let least = (CELL_S * rate).max(CELL_SAMPLES).max(samples as f64 / MOST_CELLS);
            // whole cycles of the envelope where there is one: it must not look like dropouts
            let unit = survey.beat.unwrap_or(cycles);
            let whole = (least * unit - 1e-9).ceil().max(1.0);
            Some(Follower::new(cycles, (whole / unit).round() as usize))
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
            let grid =
                Grid { segment: *segment, start, cell: follower.len(), cells, cycles: follower.oscillator.cycles() };
            found[c].extend(grid.episodes(ON * largest, PAUSE_S * rate));
        }
    }
    Ok(found)
}

/// The envelope of one segment.
pub(super) struct Grid<'a> {
    pub segment: usize,
    pub start: i64,
    pub cell: usize,
    pub cells: &'a [Complex],
    pub cycles: f64,
}

impl Grid<'_> {
    fn sample(&self, cell: usize) -> i64 {
        self.start + (cell * self.cell) as i64
    }

    fn samples(&self, cells: &Range<usize>) -> Range<i64> {
        self.sample(cells.start)..self.sample(cells.end)
    }

    fn centre(&self, cell: usize) -> f64 {
        self.sample(cell) as f64 + (self.cell as f64 - 1.0) / 2.0
    }

    pub fn episodes(&self, threshold: f64, pause: f64) -> Vec<Episode> {
        if threshold.is_nan() || threshold <= 0.0 {
            return Vec::new();
        }
        let pause = (pause / self.cell as f64).ceil().max(3.0) as usize;
        let mut runs: Vec<Range<usize>> = Vec::new();
        for i in (0..self.cells.len()).filter(|&i| self.cells[i].norm() > threshold) {
            match runs.last_mut() {
                Some(run) if i - run.end < pause => run.end = i + 1,
                _ => runs.push(i..i + 1),
            }
        }
        runs.into_iter().filter(|run| run.len() >= 2).map(|run| self.episode(run)).collect()
    }

    fn episode(&self, run: Range<usize>) -> Episode {
        let size = |i: usize| self.cells[i].norm();
        let top = run.clone().map(size).fold(0.0, f64::max);
        let mut high: Vec<f64> = run.clone().map(size).filter(|a| *a >= 0.9 * top).collect();
        high.sort_by(f64::total_cmp);
        let level = high[high.len() / 2];
        let up = run.clone().find(|&i| size(i) >= 0.95 * level).unwrap_or(run.start);
        let down = run.clone().rev().find(|&i| size(i) >= 0.95 * level).unwrap_or(run.start);
        let ramp_up = self.ramp(run.start..up, level, false);
        let ramp_down = self.ramp(down + 1..run.end, level, true);
        // a cell at an edge is only partly on the plateau, and where a ramp ends is not known to the sample
        let spare = usize::from(down > up + 3);
        let margin = (spare * self.cell) as i64;
        let from = ramp_up.as_ref().map_or(self.sample(up + spare), |(.., full)| full.ceil() as i64 + margin);
        let to = ramp_down.as_ref().map_or(self.sample(down + 1 - spare), |(.., full)| full.floor() as i64 - margin);
        let short = to - from < self.cell as i64;
        let plateau = if short { self.sample(up)..self.sample(down + 1) } else { from..to };
        let inside: Vec<usize> =
            run.clone().filter(|&i| self.sample(i) >= plateau.start && self.sample(i + 1) <= plateau.end).collect();
        let points: Vec<(f64, Complex)> = inside.iter().map(|&i| (self.centre(i), self.cells[i])).collect();
        let drift = phase_slope(&points).unwrap_or(0.0);
        let weak = |i: &usize| size(*i) < 0.5 * level;
        let dropouts = inside.iter().zip(inside.iter().skip(1)).filter(|(a, b)| !weak(a) && weak(b)).count();
        let bursts = super::bursts::train(run.clone().filter(|&i| !weak(&i)).map(|i| self.samples(&(i..i + 1))));
        let dropouts = if bursts.is_empty() { dropouts } else { 0 };
        let turn = std::f64::consts::TAU * drift * self.cell as f64;
        let steps = inside.iter().filter(|i| !weak(i)).zip(inside.iter().filter(|i| !weak(i)).skip(1));
        let jumps = steps
            .filter(|(a, b)| {
                let step = (self.cells[**b] * self.cells[**a].conj()).arg() - turn * (**b - **a) as f64;
                wrap(step).abs() > JUMP
            })
            .count();
        Episode {
            segment: self.segment,
            cell: self.cell,
            on: self.samples(&run),
            plateau,
            ramp_up: ramp_up.map(|(range, r2, _)| (range, r2)),
            ramp_down: ramp_down.map(|(range, r2, _)| (range, r2)),
            level,
            cycles: self.cycles + drift,
            dropouts: dropouts as u32,
            bursts,
            jumps: jumps as u32,
            short,
        }
    }

    /// The cells between 10 and 90 % of the level in a flank: their samples, R² of a line through them, and where the line
    /// comes to the level. `None` where there are too few to see a ramp.
    fn ramp(&self, flank: Range<usize>, level: f64, falling: bool) -> Option<(Range<i64>, f64, f64)> {
        let inside = |i: &usize| (0.1 * level..=0.9 * level).contains(&self.cells[*i].norm());
        let mut cells: Vec<usize> = flank.filter(inside).collect();
        // the longest run without a hole, next to the plateau
        if !falling {
            cells.reverse();
        }
        let run = cells.windows(2).take_while(|p| p[0].abs_diff(p[1]) == 1).count() + 1;
        cells.truncate(run);
        cells.sort_unstable();
        if cells.len() < 3 {
            return None;
        }
        let points = || cells.iter().map(|&i| (self.centre(i), self.cells[i].norm()));
        let line = Line::fit(points())?;
        let mean = points().map(|p| p.1).sum::<f64>() / cells.len() as f64;
        let rest: f64 = points().map(|(t, a)| (a - line.value(t)).powi(2)).sum();
        let all: f64 = points().map(|(_, a)| (a - mean).powi(2)).sum();
        let full = (level - line.intercept) / line.slope;
        let range = cells.first().copied()?..cells.last().copied()? + 1;
        (full.is_finite() && (line.slope < 0.0) == falling).then(|| (self.samples(&range), 1.0 - rest / all, full))
    }
}
