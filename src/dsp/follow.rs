//! Follow the envelope of a carrier: complex demodulation by whole cycles, and the stretches in which the carrier is on.

use super::fft::Complex;
use super::harmonics::{Oscillator, phase_slope, wrap};
use super::lsq::Line;
use nalgebra::{Matrix3, Vector3};
use std::ops::Range;

/// A cell of the envelope lasts at least this long, s, a whole number of cycles, and so long that no recording has more than this
/// many: memory does not grow with its length.
const CELL_S: f64 = 0.01;
const MOST_CELLS: f64 = 1e5;
/// Fewest samples of a cell.
const CELL_SAMPLES: f64 = 16.0;
/// A step of the phase from cell to cell that no clock makes, radians.
const JUMP: f64 = 20.0 / 180.0 * std::f64::consts::PI;
/// A ramp is this straight, beside what noise makes of it; one that is bent (an exponential) this much at least.
const STRAIGHT: f64 = 0.97;
const BENT: f64 = 0.9;
/// A ramp comes down to this share of its level.
const ZERO: f64 = 0.3;
/// A flank of fewer cells is none: the stimulation was switched.
const SUDDEN: usize = 3;
/// Below this share of the level no other level is looked for in a flank.
const LEAST: f64 = 0.1;

/// Samples of a cell that is to have `wish` of them, in a recording of `samples`: enough to be measured, and not more cells than are
/// to be held.
pub fn least_cell(wish: f64, samples: f64) -> f64 {
    wish.max(CELL_SAMPLES).max(samples / MOST_CELLS)
}

/// Samples of a cell for `cycles` per sample at `rate` Hz in a recording of `samples`. A carrier near the Nyquist frequency needs
/// as long as it takes to tell its cosine from its sine. Where the carrier has an envelope of its own (`beat`, cycles per sample), a
/// cell spans whole periods of that: it must not look like a carrier that goes on and off.
pub fn cell_len(cycles: f64, beat: Option<f64>, rate: f64, samples: f64) -> usize {
    let least = least_cell(CELL_S * rate, samples);
    let least = least.max(0.5 / (0.5 - cycles).max(1e-9)).min(samples.max(1.0));
    let unit = beat.unwrap_or(cycles);
    let whole = (least * unit - 1e-9).ceil().max(1.0);
    (whole / unit).round() as usize
}

/// Fits c₀ + p cos θ + q sin θ to one stretch of samples after the other.
#[derive(Debug, Clone)]
pub struct Follower {
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

    /// Samples of a cell.
    pub fn cell(&self) -> usize {
        self.len
    }

    /// Cycles per sample that it demodulates at.
    pub fn cycles(&self) -> f64 {
        self.oscillator.cycles()
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

/// A flank of the envelope, between 10 and 90 % of the plateau.
#[derive(Debug, Clone)]
pub struct Flank {
    /// Its samples.
    pub range: Range<i64>,
    /// The straight line through the envelope, over samples.
    pub line: Line,
    /// The level of the plateau beside it.
    pub level: f64,
    /// How straight it is: R².
    pub r2: f64,
}

/// A stretch in which the carrier is on: what the envelope shows. Ranges in samples.
#[derive(Debug, Clone)]
pub struct Stretch {
    /// Samples of a cell.
    pub cell: usize,
    /// Where the envelope is above the threshold.
    pub on: Range<i64>,
    /// Samples between the ramps.
    pub plateau: Range<i64>,
    /// Where it rises.
    pub ramp_up: Option<Flank>,
    /// Where it falls.
    pub ramp_down: Option<Flank>,
    /// Median envelope of the plateau.
    pub level: f64,
    /// Cycles per sample by the slope of the phase.
    pub cycles: f64,
    /// Where the envelope is above half the level.
    pub strong: Vec<Range<i64>>,
    /// Times at which the envelope fell below half the level and came back.
    pub dropouts: u32,
    /// Steps of the phase by more than 20 degrees from cell to cell.
    pub jumps: u32,
    /// Whether there is no cell of plateau between the ramps.
    pub short: bool,
    /// Whether the recording begins, and whether it ends, within a ramp.
    pub cut: [bool; 2],
}

/// One end of a stretch: the plateau's outermost cell, and the ramp with the sample where it comes to the plateau.
struct Edge {
    cell: usize,
    ramp: Option<(Flank, f64)>,
    cut: bool,
}

/// The envelope of a recording without a gap.
#[derive(Debug, Clone, Copy)]
pub struct Grid<'a> {
    /// First sample of the first cell.
    pub start: i64,
    /// Samples of a cell.
    pub cell: usize,
    /// p − iq of every cell.
    pub cells: &'a [Complex],
    /// Cycles per sample that they were demodulated at.
    pub cycles: f64,
}

impl Grid<'_> {
    /// First sample of a cell.
    pub fn sample(&self, cell: usize) -> i64 {
        self.start + (cell * self.cell) as i64
    }

    fn samples(&self, cells: &Range<usize>) -> Range<i64> {
        self.sample(cells.start)..self.sample(cells.end)
    }

    /// Middle of a cell, in samples.
    pub fn centre(&self, cell: usize) -> f64 {
        self.sample(cell) as f64 + (self.cell as f64 - 1.0) / 2.0
    }

    /// Where the envelope is above `threshold`; pauses of up to `pause` samples do not end a stretch.
    pub fn stretches(&self, threshold: f64, pause: f64) -> Vec<Stretch> {
        self.runs(threshold, pause).into_iter().map(|run| self.shape(run, false)).collect()
    }

    /// As [`Grid::stretches`], where a ramp must reach zero: a plateau may have steps and sags.
    pub fn stretches_between_ramps(&self, threshold: f64, pause: f64) -> Vec<Stretch> {
        self.runs(threshold, pause).into_iter().map(|run| self.shape(run, true)).collect()
    }

    fn runs(&self, threshold: f64, pause: f64) -> Vec<Range<usize>> {
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
        runs.retain(|run| run.len() >= 2);
        runs
    }

    /// The stretch of the cells `run`, which must not be empty.
    pub fn stretch(&self, run: Range<usize>) -> Stretch {
        self.shape(run, false)
    }

    fn shape(&self, run: Range<usize>, to_zero: bool) -> Stretch {
        let size = |i: usize| self.cells[i].norm();
        let top = run.clone().map(size).fold(0.0, f64::max);
        let mut high: Vec<f64> = run.clone().map(size).filter(|a| *a >= 0.9 * top).collect();
        high.sort_by(f64::total_cmp);
        let level = high[high.len() / 2];
        let [first, last] = [false, true].map(|falling| self.edge(&run, level, falling, to_zero));
        let (up, down) = (first.cell, last.cell);
        let (ramp_up, ramp_down) = (first.ramp, last.ramp);
        // a cell at an edge is only partly on the plateau, and where a ramp ends is not known to the sample
        let spare = usize::from(down > up + 3);
        let margin = (spare * self.cell) as i64;
        let from = ramp_up.as_ref().map_or(self.sample(up + spare), |(_, full)| full.ceil() as i64 + margin);
        let to = ramp_down.as_ref().map_or(self.sample(down + 1 - spare), |(_, full)| full.floor() as i64 - margin);
        let short = to - from < self.cell as i64;
        let plateau = if short { self.sample(up)..self.sample(down + 1) } else { from..to };
        let inside: Vec<usize> =
            run.clone().filter(|&i| self.sample(i) >= plateau.start && self.sample(i + 1) <= plateau.end).collect();
        let points: Vec<(f64, Complex)> = inside.iter().map(|&i| (self.centre(i), self.cells[i])).collect();
        let drift = phase_slope(&points).unwrap_or(0.0);
        let weak = |i: &usize| size(*i) < 0.5 * level;
        let dropouts = inside.iter().zip(inside.iter().skip(1)).filter(|(a, b)| !weak(a) && weak(b)).count();
        let mut strong: Vec<Range<i64>> = Vec::new();
        for cell in run.clone().filter(|i| !weak(i)).map(|i| self.samples(&(i..i + 1))) {
            match strong.last_mut() {
                Some(last) if last.end == cell.start => last.end = cell.end,
                _ => strong.push(cell),
            }
        }
        let turn = std::f64::consts::TAU * drift * self.cell as f64;
        let steps = inside.iter().filter(|i| !weak(i)).zip(inside.iter().filter(|i| !weak(i)).skip(1));
        let jumps = steps
            .filter(|(a, b)| {
                let step = (self.cells[**b] * self.cells[**a].conj()).arg() - turn * (**b - **a) as f64;
                wrap(step).abs() > JUMP
            })
            .count();
        Stretch {
            cell: self.cell,
            on: self.samples(&run),
            plateau,
            ramp_up: ramp_up.map(|(flank, _)| flank),
            ramp_down: ramp_down.map(|(flank, _)| flank),
            level,
            cycles: self.cycles + drift,
            strong,
            dropouts: dropouts as u32,
            jumps: jumps as u32,
            short,
            cut: [first.cut, last.cut],
        }
    }

    /// Where the plateau of `level` begins or, `falling`, ends. With `to_zero` a ramp must be one: what falls from the level and stays
    /// (a step, a sag) is still plateau, and the ramp is looked for beyond, at the level that is left.
    fn edge(&self, run: &Range<usize>, level: f64, falling: bool, to_zero: bool) -> Edge {
        let size = |i: usize| self.cells[i].norm();
        let outermost = |level: f64| {
            let high = |i: &usize| size(*i) >= 0.95 * level;
            let found = if falling { run.clone().rev().find(high) } else { run.clone().find(high) };
            found.unwrap_or(run.start)
        };
        let flank = |cell: usize| if falling { cell + 1..run.end } else { run.start..cell };
        let cell = outermost(level);
        if !to_zero {
            return Edge { cell, ramp: self.ramp(flank(cell), level, falling), cut: false };
        }
        let (mut cell, mut own) = (cell, level);
        let mut bent: Option<Edge> = None;
        loop {
            let cells = flank(cell);
            if let Some((ramp, full)) = self.ramp(cells.clone(), own, falling) {
                let straight = self.straightness(&ramp);
                let is_ramp = self.reaches_zero(&ramp, own);
                let at_edge = if falling { run.end == self.cells.len() } else { run.start == 0 };
                let edge = Edge { cell, ramp: is_ramp.then_some((ramp, full)), cut: !is_ramp };
                if straight >= STRAIGHT && (is_ramp || (at_edge && self.falls_well(&cells, own))) {
                    return edge;
                }
                if straight >= BENT && is_ramp {
                    bent = bent.or(Some(edge));
                }
            }
            let sizes: Vec<f64> = cells.clone().map(size).collect();
            let top = sizes.iter().copied().fold(0.0, f64::max);
            if cells.len() < SUDDEN || top < LEAST * level {
                return bent.unwrap_or(Edge { cell, ramp: None, cut: false });
            }
            let mut high: Vec<f64> = sizes.into_iter().filter(|a| *a >= 0.9 * top).collect();
            high.sort_by(f64::total_cmp);
            own = high[high.len() / 2];
            cell = outermost(own);
        }
    }

    /// Whether the envelope is near zero where a ramp's line is, and that within the recording.
    fn reaches_zero(&self, ramp: &Flank, level: f64) -> bool {
        let zero = (-ramp.line.intercept / ramp.line.slope - self.start as f64) / self.cell as f64;
        // in cells; a ramp from the first sample on is known to a few hundredths of its length
        let slack = 1.0 + 0.05 * (level / ramp.line.slope).abs() / self.cell as f64;
        let last = self.cells.len() as f64;
        if !(zero >= -slack && zero <= last + slack) {
            return false;
        }
        let at = zero.clamp(0.0, (last - 1.0).max(0.0)) as usize;
        self.cells.get(at).is_some_and(|z| z.norm() <= ZERO * level)
    }

    /// Whether a flank that runs out of the recording falls to half the level at least: less may be a sag as well as a ramp.
    fn falls_well(&self, flank: &Range<usize>, level: f64) -> bool {
        flank.clone().any(|i| self.cells[i].norm() < 0.5 * level)
    }

    /// R² of a flank, without what differs from cell to cell by chance.
    fn straightness(&self, flank: &Flank) -> f64 {
        let cell = self.cell as i64;
        let from = ((flank.range.start - self.start) / cell).max(0) as usize;
        let to = ((flank.range.end - self.start) / cell).max(0) as usize;
        let Some(cells) = self.cells.get(from..to) else { return flank.r2 };
        let sizes: Vec<f64> = cells.iter().map(|z| z.norm()).collect();
        let mean = sizes.iter().sum::<f64>() / sizes.len() as f64;
        let all: f64 = sizes.iter().map(|a| (a - mean).powi(2)).sum();
        let step = flank.line.slope * self.cell as f64;
        let chance: f64 = sizes.windows(2).map(|p| (p[1] - p[0] - step).powi(2) / 2.0).sum();
        1.0 - ((1.0 - flank.r2) * all - chance).max(0.0) / all
    }

    /// The cells between 10 and 90 % of the level in a flank, and where the line through them comes to the level. `None` where there
    /// are too few to see a ramp.
    fn ramp(&self, flank: Range<usize>, level: f64, falling: bool) -> Option<(Flank, f64)> {
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
        let flank = Flank { range: self.samples(&range), line, level, r2: 1.0 - rest / all };
        (full.is_finite() && (line.slope < 0.0) == falling).then_some((flank, full))
    }
}
