//! What has no carrier: noise (tRNS) and direct current (tDCS). Two passes: the size of short cells, and the episodes in it as for a
//! carrier; then what belongs to each kind, over the plateaus.

use super::Reader;
use super::episodes::{self, Envelope, Episode, ON};
use super::kind::Kind;
use super::level::Level;
use super::measure::{Ramp, cut, in_order, is_unsteady};
use super::noise::Noise;
use super::survey::{self, Survey};
use crate::Result;
use crate::dsp::fft::Complex;
use crate::dsp::follow::{Flank, least_cell};
use std::ops::Range;

/// Cells of noise last this long, s: their size must be known to a few per cent.
const NOISE_S: f64 = 0.25;
/// Of direct current this long, s: whole cycles of the mains.
const LEVEL_S: f64 = 0.1;
/// A short recording has at least this many of them.
const CELLS: f64 = 40.0;
/// Blocks whose sizes are compared, s; a short plateau has this many.
const BLOCK_S: f64 = 1.0;
const BLOCKS: f64 = 8.0;

/// What was measured of an episode without a carrier. Times in samples.
pub(super) struct Steady {
    pub channel: usize,
    pub number: usize,
    pub kind: Kind,
    pub segment: usize,
    pub start: f64,
    pub end: f64,
    pub plateau: f64,
    pub ramp_up: Ramp,
    pub ramp_down: Ramp,
    pub dropouts: u32,
    /// Changes of sign.
    pub reversals: u32,
    pub rms: f64,
    pub mean: f64,
    pub peak: f64,
    pub ripple: f64,
    pub noise: Option<Noise>,
    pub level: Option<Level>,
    unsteady: bool,
    short: bool,
}

impl Steady {
    /// Why it is to be doubted.
    pub fn reasons(&self) -> Vec<&'static str> {
        let mut all = Vec::new();
        let mut note = |is: bool, why| is.then(|| all.push(why));
        note(self.noise.as_ref().is_some_and(|n| n.clipped > 0.0), "clipped");
        note(self.dropouts > 0, "dropouts");
        note(self.kind == Kind::Dc && self.reversals > 0, "reversals");
        note(self.unsteady && self.dropouts + self.reversals == 0, "unsteady");
        note(self.short, "short");
        note(self.noise.as_ref().is_some_and(|n| n.repeat.0 > 0.5), "repeats");
        note(self.noise.as_ref().is_some_and(Noise::changes), "not_stationary");
        note(self.level.as_ref().is_some_and(Level::is_rippled), "ripple");
        all
    }
}

/// Means, or root mean squares, of successive cells.
struct Cells {
    noise: bool,
    length: usize,
    filled: usize,
    n: f64,
    sum: f64,
    cells: Vec<Complex>,
}

impl Cells {
    fn push(&mut self, x: &[f64]) {
        for x in x {
            self.filled += 1;
            if x.is_finite() {
                self.n += 1.0;
                self.sum += if self.noise { x * x } else { *x };
            }
            if self.filled == self.length {
                let mean = if self.n > 0.0 { self.sum / self.n } else { 0.0 };
                self.cells.push(Complex::new(if self.noise { mean.sqrt() } else { mean }, 0.0));
                (self.filled, self.n, self.sum) = (0, 0.0, 0.0);
            }
        }
    }

    fn take(&mut self) -> Vec<Complex> {
        (self.filled, self.n, self.sum) = (0, 0.0, 0.0);
        std::mem::take(&mut self.cells)
    }
}

/// Measures all channels of noise and direct current.
pub(super) fn all(reader: &mut Reader<'_>, surveys: &[Survey]) -> Result<Vec<Steady>> {
    let kinds: Vec<Option<Kind>> =
        surveys.iter().map(|s| s.kind.filter(|k| matches!(k, Kind::Noise | Kind::Dc))).collect();
    if kinds.iter().all(Option::is_none) {
        return Ok(Vec::new());
    }
    let n = survey::window(reader);
    let mut works: Vec<Vec<Work>> = Vec::new();
    for (channel, episodes) in find(reader, &kinds)?.into_iter().enumerate() {
        let rate = reader.rate();
        let work =
            |(number, episode)| Work::new([channel, number], kinds[channel], episode, &surveys[channel], rate, n);
        works.push(episodes.into_iter().enumerate().map(work).collect());
    }
    reader.pass(&mut |segment, first, rows| {
        for (works, row) in works.iter_mut().zip(rows) {
            let from = works.partition_point(|w| w.reach().end <= first);
            let touched = works.iter_mut().skip(from).take_while(|w| w.reach().start < first + row.len() as i64);
            touched.filter(|w| w.episode.segment == segment).for_each(|w| w.push(first, row));
        }
    })?;
    let rate = reader.rate();
    Ok(works.into_iter().flatten().map(|w| w.finish(rate)).collect())
}

fn find(reader: &mut Reader<'_>, kinds: &[Option<Kind>]) -> Result<Vec<Vec<Episode>>> {
    let (rate, segments) = (reader.rate(), reader.segments().to_vec());
    let samples: u64 = segments.iter().map(|s| s.length).sum();
    let new = |kind: &Option<Kind>| {
        let noise = (*kind)? == Kind::Noise;
        let least = (if noise { NOISE_S } else { LEVEL_S } * rate).min(samples as f64 / CELLS);
        let length = least_cell(least, samples as f64).ceil() as usize;
        Some(Cells { noise, length, filled: 0, n: 0.0, sum: 0.0, cells: Vec::new() })
    };
    let mut cells: Vec<Option<Cells>> = kinds.iter().map(new).collect();
    let mut sizes: Vec<Envelope> = vec![Vec::new(); kinds.len()];
    let mut current = 0;
    reader.pass(&mut |segment, _, rows| {
        for (c, cells) in cells.iter_mut().enumerate() {
            let Some(cells) = cells else { continue };
            if segment != current {
                sizes[c].push((current, cells.take()));
            }
            cells.push(&rows[c]);
        }
        current = segment;
    })?;
    let mut found = vec![Vec::new(); kinds.len()];
    for (c, cells) in cells.iter_mut().enumerate() {
        let Some(cells) = cells else { continue };
        sizes[c].push((current, cells.take()));
        found[c] = episodes::within(&sizes[c], &segments, cells.length, 0.0, rate);
    }
    Ok(found)
}

/// An episode while it is measured.
struct Work {
    place: [usize; 2],
    kind: Kind,
    episode: Episode,
    noise: Option<Noise>,
    level: Option<Level>,
    n: f64,
    sum: f64,
    squares: f64,
    peak: f64,
    block: usize,
    /// Samples, sum and sum of squares of the block that is being filled.
    filling: [f64; 3],
    /// Sizes of the blocks: means of a level, root mean squares of noise.
    blocks: Vec<f64>,
    edges: Option<[i64; 2]>,
    /// The samples that it looks at: where the ramps leave zero, and a cell more.
    reach: Range<i64>,
}

impl Work {
    fn new(place: [usize; 2], kind: Option<Kind>, episode: Episode, survey: &Survey, rate: f64, n: usize) -> Self {
        let length = (episode.plateau.end - episode.plateau.start) as f64;
        let kind = kind.unwrap_or(Kind::Dc);
        // a ramp's foot lies below the threshold, and has its charge
        let (on, slack) = (&episode.on, episode.cell as i64);
        let foot = |ramp: &Option<Flank>, edge: i64| match ramp.as_ref().map(|r| -r.line.intercept / r.line.slope) {
            Some(zero) if (zero - edge as f64).abs() < (on.end - on.start) as f64 / 4.0 => zero.round() as i64,
            _ => edge,
        };
        let reach = foot(&episode.ramp_up, on.start).min(on.start) - slack
            ..foot(&episode.ramp_down, on.end).max(on.end) + slack;
        let middle = (episode.plateau.start + episode.plateau.end) as f64 / 2.0;
        Self {
            noise: (kind == Kind::Noise).then(|| Noise::new(n, survey.mean(), survey.quantum)),
            level: (kind == Kind::Dc).then(|| Level::new(survey.mean(), middle)),
            n: 0.0,
            sum: 0.0,
            squares: 0.0,
            peak: 0.0,
            block: (BLOCK_S * rate).min(length / BLOCKS).ceil().max(1.0) as usize,
            filling: [0.0; 3],
            blocks: Vec::new(),
            edges: None,
            reach,
            place,
            kind,
            episode,
        }
    }

    fn reach(&self) -> &Range<i64> {
        &self.reach
    }

    fn push(&mut self, first: i64, row: &[f64]) {
        let (at, inside) = cut(&self.episode.plateau, first, row);
        for (i, x) in inside.iter().enumerate().filter(|(_, x)| x.is_finite()) {
            self.count(*x);
            if let Some(level) = &mut self.level {
                level.push((at + i as i64) as f64, *x);
            }
        }
        if let Some(noise) = self.noise.as_mut().filter(|_| !inside.is_empty()) {
            noise.push(inside);
        }
        let (at, inside) = cut(&self.reach, first, row);
        let on = |x: &f64| x.abs() > ON * self.episode.level;
        if let (Some(a), Some(b)) = (inside.iter().position(on), inside.iter().rposition(on)) {
            let (a, b) = (at + a as i64, at + b as i64);
            self.edges = Some([self.edges.map_or(a, |e| e[0]), b]);
        }
        if let Some(level) = &mut self.level {
            level.charge += inside.iter().filter(|x| x.is_finite()).sum::<f64>();
        }
    }

    fn count(&mut self, x: f64) {
        self.n += 1.0;
        self.sum += x;
        self.squares += x * x;
        self.peak = self.peak.max(x.abs());
        let [n, sum, squares] = &mut self.filling;
        (*n, *sum, *squares) = (*n + 1.0, *sum + x, *squares + x * x);
        if *n >= self.block as f64 {
            self.blocks.push(if self.noise.is_some() { (*squares / *n).sqrt() } else { (*sum / *n).abs() });
            self.filling = [0.0; 3];
        }
    }

    fn finish(self, rate: f64) -> Steady {
        let e = &self.episode;
        let nan = f64::NAN;
        let (rms, mean) = ((self.squares / self.n).sqrt(), self.sum / self.n);
        let size = if self.noise.is_some() { rms } else { mean.abs() };
        let edges = self.edges.map_or([e.on.start as f64, e.on.end as f64], |[a, b]| [a as f64, b as f64 + 1.0]);
        let (low, high) =
            self.blocks.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), b| (low.min(*b), high.max(*b)));
        let mut noise = self.noise;
        if let Some(noise) = &mut noise {
            noise.finish(rate, &self.blocks, self.block as f64);
        }
        let mut level = self.level;
        if let Some(level) = &mut level {
            level.finish(rate);
        }
        let ripple = (high - low) / (high + low);
        let block_sd = |l: &Level| l.ripple / (self.block as f64).sqrt() / size;
        // the size of noise differs from block to block: whether by too much is its stationarity
        let changes = level.as_ref().is_some_and(|l| is_unsteady(ripple, block_sd(l)));
        let meet = |ramp: &Option<Flank>, edge: f64, full: f64| match ramp {
            Some(Flank { line, r2, level: own, .. }) if line.slope != 0.0 => {
                let size = if changes { *own } else { size };
                let (zero, full) = (-line.intercept / line.slope, (size - line.intercept) / line.slope);
                (zero, full, Ramp { samples: (full - zero).abs(), r2: *r2 })
            }
            _ => (edge, full, Ramp { samples: 0.0, r2: nan }),
        };
        // what is left of a ramp that the recording cuts is no plateau
        let [from, to] = [e.plateau.start as f64, e.plateau.end as f64];
        let inner = [if e.cut[0] { from } else { edges[0] }, if e.cut[1] { to } else { edges[1] }];
        let (start, full, ramp_up) = meet(&e.ramp_up, edges[0], inner[0]);
        let (end, last, ramp_down) = meet(&e.ramp_down, edges[1], inner[1]);
        let [start, full, last, end] = in_order([start, full, last, end], &e.bounds);
        Steady {
            channel: self.place[0],
            number: self.place[1],
            kind: self.kind,
            segment: e.segment,
            start,
            end,
            plateau: last - full,
            ramp_up,
            ramp_down,
            dropouts: e.dropouts,
            reversals: e.jumps,
            rms,
            mean,
            peak: self.peak,
            ripple,
            noise,
            level,
            unsteady: e.cut[0] || e.cut[1] || changes,
            short: e.short,
        }
    }
}
