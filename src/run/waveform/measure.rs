//! Third pass: every plateau and ramp by harmonic least squares, and what is counted sample by sample.

use super::Reader;
use super::episodes::Episode;
use super::survey::Survey;
use crate::Result;
use crate::dsp::fft::Complex;
use crate::dsp::follow::{Flank, Follower};
use crate::dsp::harmonics::{Sums, harmonics_below_nyquist, unwrap, wrap};
use crate::dsp::lsq::Line;
use std::f64::consts::TAU;
use std::ops::Range;

/// Highest harmonic of THD.
const HARMONICS: usize = 10;
/// Length of the blocks whose phases and amplitudes are compared, s; a short plateau has this many.
const BLOCK_S: f64 = 1.0;
const BLOCKS: f64 = 8.0;
/// Shortest run of equal samples that can be a flat top.
const FLAT: f64 = 3.0;
/// Ripple above this, an amplitude that changes by 5 % of its mean, is told; noise makes blocks differ by this many standard
/// deviations to either side.
const UNSTEADY: f64 = 0.025;
const CHANCE: f64 = 4.0;

/// Whether blocks of `n` samples whose ripple is this differ by more than noise explains; `sd`: of a block over its size.
pub(super) fn is_unsteady(ripple: f64, sd: f64) -> bool {
    ripple > UNSTEADY + if sd.is_finite() { CHANCE * sd } else { 0.0 }
}

/// Edges of an episode: start, end of the ramp up, start of the ramp down, end; within its segment and in order.
pub(super) fn in_order(edges: [f64; 4], bounds: &Range<i64>) -> [f64; 4] {
    let mut least = bounds.start as f64;
    edges.map(|edge| {
        least = edge.min(bounds.end as f64).max(least);
        least
    })
}

/// A ramp: its length in samples (0 where there is none to be seen), and how straight it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ramp {
    /// From zero to the plateau along the line.
    pub samples: f64,
    /// R² of the envelope; NaN where there is no ramp.
    pub r2: f64,
}

/// What was measured in an episode. Times in samples, from the recording's first.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Segment of the recording.
    pub segment: usize,
    /// Where it starts.
    pub start: f64,
    /// Where it ends.
    pub end: f64,
    /// Length of the plateau.
    pub plateau: f64,
    /// Up.
    pub ramp_up: Ramp,
    /// Down.
    pub ramp_down: Ramp,
    /// Cycles per sample.
    pub cycles: f64,
    /// Its standard deviation.
    pub sd_cycles: f64,
    /// Of the fundamental, peak.
    pub amplitude: f64,
    /// Root mean square.
    pub rms: f64,
    /// Largest absolute value.
    pub peak: f64,
    /// Constant part.
    pub dc: f64,
    /// Distortion.
    pub thd: f64,
    /// Distortion and noise.
    pub thd_n: f64,
    /// Phase of the fundamental at `middle`, radians.
    pub(super) phase: f64,
    pub(super) middle: f64,
    /// SD of the blocks' phases about a line.
    pub jitter_deg: f64,
    /// Largest distance from it.
    pub drift_deg: f64,
    /// Of the blocks' amplitudes.
    pub ripple: f64,
    /// Share of samples in flat tops.
    pub clipped: f64,
    /// (Q+ − Q−) / (Q+ + Q−).
    pub charge_balance: f64,
    /// Sum of the samples.
    pub net: f64,
    /// Pauses.
    pub dropouts: u32,
    /// Steps of the phase.
    pub jumps: u32,
    /// Starts and ends of the bursts within the episode, where it is a train.
    pub bursts: Vec<[f64; 2]>,
    /// Whether the envelope changes within the plateau, or the recording begins or ends within a ramp.
    pub unsteady: bool,
    pub(super) bounds: Range<i64>,
    short: bool,
}

impl Measured {
    /// Why the numbers are to be doubted.
    pub fn reasons(&self) -> Vec<String> {
        let all = [
            (self.clipped > 0.0, "clipped"),
            (self.dropouts > 0, "dropouts"),
            (self.jumps > 0, "phase_jumps"),
            (self.unsteady && self.dropouts + self.jumps == 0, "unsteady"),
            (self.short || !self.amplitude.is_finite(), "short"),
        ];
        all.iter().filter(|(is, _)| *is).map(|(_, why)| (*why).to_owned()).collect()
    }
}

/// Phase of `m` against the reference channel's episode at the same time, degrees in (−180, 180]; NaN where there is none of the
/// same frequency.
pub(super) fn phase_between(reference: &[Measured], m: &Measured) -> f64 {
    let together = |r: &&Measured| r.segment == m.segment && (r.start..r.end).contains(&m.middle);
    let Some(r) = reference.iter().find(together) else { return f64::NAN };
    // what may slip within the plateau must be small against a turn
    if ((r.cycles - m.cycles) * m.plateau).abs() > 0.05 {
        return f64::NAN;
    }
    let turns = r.cycles * (m.middle - r.middle);
    wrap(m.phase - r.phase - TAU * (turns - turns.round())).to_degrees()
}

/// Measures all episodes of all channels.
pub(super) fn all(reader: &mut Reader<'_>, surveys: &[Survey], found: &[Vec<Episode>]) -> Result<Vec<Vec<Measured>>> {
    let rate = reader.rate();
    let mut works: Vec<Vec<Work>> = found
        .iter()
        .zip(surveys)
        .map(|(episodes, survey)| episodes.iter().map(|e| Work::new(e.clone(), survey, rate)).collect())
        .collect();
    reader.pass(&mut |segment, first, rows| {
        for (works, row) in works.iter_mut().zip(rows) {
            // episodes follow each other in time: those that touch this block
            let from = works.partition_point(|w| w.reach().end <= first);
            let touched = works.iter_mut().skip(from).take_while(|w| w.reach().start < first + row.len() as i64);
            touched.filter(|w| w.episode.segment == segment).for_each(|w| w.push(first, row));
        }
    })?;
    Ok(works.into_iter().map(|works| works.into_iter().map(Work::finish).collect()).collect())
}

/// The part of a row that begins at `first` which lies in `range`, with its own first sample.
pub(super) fn cut<'x>(range: &Range<i64>, first: i64, row: &'x [f64]) -> (i64, &'x [f64]) {
    let from = (range.start - first).clamp(0, row.len() as i64);
    let to = (range.end - first).clamp(from, row.len() as i64);
    (first + from, &row[from as usize..to as usize])
}

/// A stretch and its sums.
struct Part {
    range: Range<i64>,
    sums: Sums,
}

impl Part {
    fn new(range: Range<i64>, cycles: f64) -> Self {
        let half = (range.end - range.start) / 2;
        let harmonics = harmonics_below_nyquist(cycles, HARMONICS);
        let sums = Sums::new(cycles, harmonics, 1, (range.start + half) as f64, half as f64);
        Self { range, sums }
    }

    fn push(&mut self, first: i64, row: &[f64]) {
        let (mut at, part) = cut(&self.range, first, row);
        for run in part.split_inclusive(|x| !x.is_finite()) {
            let finite = match run.split_last() {
                Some((last, rest)) if !last.is_finite() => rest,
                _ => run,
            };
            self.sums.push(at, &[finite]);
            at += run.len() as i64;
        }
    }

    fn origin(&self) -> f64 {
        (self.range.start + (self.range.end - self.range.start) / 2) as f64
    }

    fn scale(&self) -> f64 {
        (((self.range.end - self.range.start) / 2) as f64).max(1.0)
    }

    /// The line of the fundamental's envelope, projected on a phase: value at the origin, slope per sample.
    fn envelope(&self, phase: f64) -> Option<(f64, f64)> {
        let (fit, slope) = self.sums.fit_trend(0)?;
        let along = |[p, q]: [f64; 2]| p * phase.cos() - q * phase.sin();
        let (value, slope) = (along(*fit.harmonics.first()?), along(*slope.harmonics.first()?) / self.scale());
        (slope != 0.0).then_some((value, slope))
    }
}

/// An episode while it is measured.
struct Work {
    episode: Episode,
    plateau: Part,
    ramp_up: Option<Part>,
    ramp_down: Option<Part>,
    blocks: Follower,
    flat: Flat,
    peak: f64,
    /// Charge of either sign, up to the end of the last whole cycle.
    charge: [f64; 2],
    whole: i64,
    squares: f64,
    n: f64,
    /// First and last sample that is on.
    edges: Option<[i64; 2]>,
    /// The plateau, or of a train what lies within its bursts.
    inside: Vec<Range<i64>>,
    bursts: Vec<Option<[i64; 2]>>,
}

/// Runs of equal samples at either extreme that are longer than a rounded sine stays there.
struct Flat {
    shortest: f64,
    value: f64,
    run: f64,
    /// For maximum and minimum: the extreme, and the samples of its long runs.
    ends: [(f64, f64); 2],
}

impl Flat {
    fn new(shortest: f64) -> Self {
        Self { shortest, value: f64::NAN, run: 0.0, ends: [(f64::NEG_INFINITY, 0.0), (f64::INFINITY, 0.0)] }
    }

    fn push(&mut self, x: f64) {
        if x == self.value {
            self.run += 1.0;
            return;
        }
        self.close();
        (self.value, self.run) = (x, 1.0);
    }

    fn close(&mut self) {
        let long = if self.run >= self.shortest { self.run } else { 0.0 };
        let value = self.value;
        for (end, sign) in self.ends.iter_mut().zip([1.0, -1.0]) {
            if sign * value > sign * end.0 {
                *end = (value, long);
            } else if value == end.0 {
                end.1 += long;
            }
        }
        self.run = 0.0;
    }

    /// Samples in flat tops; a constant counts once.
    fn samples(mut self) -> f64 {
        self.close();
        let [top, bottom] = self.ends;
        if top.0 == bottom.0 { top.1 } else { top.1 + bottom.1 }
    }
}

impl Work {
    fn new(episode: Episode, survey: &Survey, rate: f64) -> Self {
        let (cycles, quantum) = (episode.cycles, survey.quantum);
        let length = (episode.plateau.end - episode.plateau.start) as f64;
        let target = (BLOCK_S * rate).min(length / BLOCKS);
        let unit = survey.beat.unwrap_or(cycles);
        let block = ((target * unit).round().max(1.0) / unit).round();
        // a cell at an edge of a burst is only partly on
        let cell = episode.cell as i64;
        let inside = match episode.bursts.as_slice() {
            [] => vec![episode.plateau.clone()],
            bursts => bursts.iter().map(|b| b.start + cell..b.end - cell).filter(|b| b.start < b.end).collect(),
        };
        // how long a sine stays within a step of its top
        let stays = 2.0 * (2.0 * quantum / episode.level).min(1.0).sqrt() / (TAU * cycles);
        let part = |ramp: &Option<Flank>| ramp.as_ref().map(|flank| Part::new(flank.range.clone(), cycles));
        Self {
            plateau: Part::new(episode.plateau.clone(), cycles),
            ramp_up: part(&episode.ramp_up),
            ramp_down: part(&episode.ramp_down),
            blocks: Follower::new(cycles, block as usize),
            flat: Flat::new((1.5 * stays + 2.0).max(FLAT)),
            peak: 0.0,
            charge: [0.0; 2],
            whole: episode.plateau.start + ((length * cycles).floor() / cycles).round() as i64,
            squares: 0.0,
            n: 0.0,
            edges: None,
            inside,
            bursts: vec![None; episode.bursts.len()],
            episode,
        }
    }

    /// The samples that it looks at: a cell more at either end than the envelope shows.
    fn reach(&self) -> Range<i64> {
        let slack = self.episode.cell as i64;
        self.episode.on.start - slack..self.episode.on.end + slack
    }

    fn push(&mut self, first: i64, row: &[f64]) {
        for part in [self.ramp_up.as_mut(), self.ramp_down.as_mut()].into_iter().flatten() {
            part.push(first, row);
        }
        let from = self.inside.partition_point(|r| r.end <= first);
        for i in from..self.inside.len() {
            let range = self.inside[i].clone();
            if range.start >= first + row.len() as i64 {
                break;
            }
            let (at, inside) = cut(&range, first, row);
            self.plateau.push(at, inside);
            for (i, x) in inside.iter().enumerate().filter(|(_, x)| x.is_finite()) {
                self.count(*x, at + (i as i64) < self.whole);
            }
        }
        let (at, inside) = cut(&self.episode.plateau, first, row);
        if !inside.is_empty() && self.bursts.is_empty() {
            self.blocks.push(at, inside);
        }
        let level = self.episode.level;
        let widen = |edges: &mut Option<[i64; 2]>, range: &Range<i64>| {
            let (at, inside) = cut(range, first, row);
            let on = |x: &f64| x.abs() > 0.05 * level;
            if let (Some(a), Some(b)) = (inside.iter().position(on), inside.iter().rposition(on)) {
                let (a, b) = (at + a as i64, at + b as i64);
                *edges = Some([edges.map_or(a, |e| e[0]), b]);
            }
        };
        let cell = self.episode.cell as i64;
        let last = first + row.len() as i64;
        let from = self.episode.bursts.partition_point(|r| r.end + cell <= first);
        let touched = self.episode.bursts.iter().zip(&mut self.bursts).skip(from);
        for (burst, edges) in touched.take_while(|(burst, _)| burst.start - cell < last) {
            widen(edges, &(burst.start - cell..burst.end + cell));
        }
        let reach = self.reach();
        widen(&mut self.edges, &reach);
    }

    fn count(&mut self, x: f64, in_whole_cycles: bool) {
        self.n += 1.0;
        self.squares += x * x;
        self.peak = self.peak.max(x.abs());
        if in_whole_cycles {
            self.charge[usize::from(x < 0.0)] += x.abs();
        }
        self.flat.push(x);
    }

    fn finish(mut self) -> Measured {
        let e = &self.episode;
        let refined = self.plateau.sums.refine(0);
        let nan = f64::NAN;
        let fit = refined.as_ref().map(|r| &r.fit);
        let phase = fit.map_or(nan, |f| f.phase());
        let amplitude = fit.map_or(nan, |f| f.amplitude(1));
        let edges = self.edges.map_or([e.on.start as f64, e.on.end as f64], |[a, b]| [a as f64, b as f64 + 1.0]);
        let dc = fit.map_or(nan, |f| f.level);
        // a constant part hides where a sine begins
        let edges = if dc.abs() < 0.02 * amplitude { edges } else { [e.on.start as f64, e.on.end as f64] };
        let length = self.blocks.cell() as f64;
        let cells: Vec<Complex> = self.blocks.take();
        let sizes = || cells.iter().map(|z| z.norm());
        let (low, high) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max));
        let ripple = (high - low) / (high + low);
        let (thd, thd_n) = fit.map_or((nan, nan), |f| (f.thd(), f.thd_n()));
        // a residual of σ makes the amplitude of n samples uncertain by σ √(2/n); thd_n is σ √2 over the amplitude
        let block_sd = ((thd_n * thd_n - thd * thd).max(0.0) / length).sqrt();
        let changes = is_unsteady(ripple, block_sd);
        // a line through the ramp: where it leaves zero, and where it meets the plateau
        let meet = |part: &Option<Part>, flank: &Option<Flank>, edge: f64, full: f64| {
            let line = part.as_ref().and_then(|p| Some((p.envelope(phase)?, p.origin())));
            match line {
                Some(((value, slope), origin)) => {
                    // the mean of a plateau that changes is not what its ends have
                    let own = flank.as_ref().filter(|_| changes).map_or(amplitude, |f| f.level);
                    let (zero, full) = (origin - value / slope, origin + (own - value) / slope);
                    (zero, full, Ramp { samples: (full - zero).abs(), r2: flank.as_ref().map_or(nan, |f| f.r2) })
                }
                None => (edge, full, Ramp { samples: 0.0, r2: nan }),
            }
        };
        // what is left of a ramp that the recording cuts is no plateau
        let [from, to] = [e.plateau.start as f64, e.plateau.end as f64];
        let inner = [if e.cut[0] { from } else { edges[0] }, if e.cut[1] { to } else { edges[1] }];
        let (start, full, ramp_up) = meet(&self.ramp_up, &e.ramp_up, edges[0], inner[0]);
        let (end, last, ramp_down) = meet(&self.ramp_down, &e.ramp_down, edges[1], inner[1]);
        let [start, full, last, end] = in_order([start, full, last, end], &e.bounds);
        let phases = unwrap(cells.iter().map(|z| z.arg()));
        let points = || phases.iter().enumerate().map(|(i, p)| (i as f64 * length, *p));
        let line = Line::fit(points());
        let rests: Vec<f64> = line.iter().flat_map(|l| points().map(|(t, p)| p - l.value(t))).collect();
        let jitter = (rests.iter().map(|r| r * r).sum::<f64>() / (rests.len() as f64 - 2.0)).sqrt();
        let drift = rests.iter().fold(nan, |m, r| r.abs().max(m));
        let origin = self.plateau.origin();
        let basis = e.cycles * origin;
        Measured {
            segment: e.segment,
            start,
            end,
            plateau: last - full,
            ramp_up,
            ramp_down,
            cycles: refined.as_ref().map_or(nan, |r| r.cycles),
            sd_cycles: refined.as_ref().map_or(nan, |r| r.sd_cycles),
            amplitude,
            rms: (self.squares / self.n).sqrt(),
            peak: self.peak,
            dc,
            thd,
            thd_n,
            phase: phase + TAU * (basis - basis.round()),
            middle: origin,
            jitter_deg: if rests.len() > 2 { jitter.to_degrees() } else { nan },
            drift_deg: drift.to_degrees(),
            ripple,
            clipped: self.flat.samples() / self.n,
            charge_balance: (self.charge[0] - self.charge[1]) / (self.charge[0] + self.charge[1]),
            net: self.charge[0] - self.charge[1],
            dropouts: e.dropouts,
            jumps: e.jumps,
            bursts: self.bursts.iter().flatten().map(|[a, b]| [*a as f64, *b as f64 + 1.0]).collect(),
            unsteady: e.cut[0] || e.cut[1] || changes,
            bounds: e.bounds.clone(),
            short: e.short,
        }
    }
}
