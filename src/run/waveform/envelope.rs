//! What has an envelope: a carrier with sidebands (AM-tACS), or two carriers that beat (temporal interference).
//!
//! With x = Re(E e^{iθ}) the envelope is |E|. AM: E = Σ Cₖ e^{ikφ}, φ at the envelope's frequency; two carriers:
//! |E|² = E₁² + E₂² + 2 E₁E₂ cos 2πΔf t, whose largest less smallest value is 2 min(E₁, E₂) (Grossman et al. 2017,
//! 10.1016/j.cell.2017.05.024). A nonlinear output makes a line at Δf itself, which stimulates as a slow current does
//! (von Conta et al. 2022, Neuroimage: Reports 2, 100113): the intermodulation test.

use super::Reader;
use super::episodes::Episode;
use super::kind::Kind;
use super::measure::{Measured, Ramp, cut, in_order};
use super::survey::Survey;
use crate::Result;
use crate::dsp::fft::Complex;
use crate::dsp::follow::Follower;
use crate::dsp::harmonics::{phase_slope, turn};
use crate::dsp::lines::{Lines, LinesFit, LinesRefined, Order};
use std::f64::consts::TAU;
use std::ops::Range;

/// Sidebands of AM on either side, harmonics of its carrier, and products at multiples of the envelope's frequency.
const SIDEBANDS: i32 = 4;
const OVERTONES: i32 = 5;
const PRODUCTS: i32 = 3;
/// Points of a period of the envelope.
const POINTS: usize = 4096;
/// Intermodulation above this, dB, is told; noise that hides it as well.
const INTERMODULATION: f64 = -60.0;

/// A measured envelope. Times in samples, frequencies in cycles per sample.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Channel, and number of the episode in it.
    pub channel: usize,
    pub number: usize,
    /// The second carrier's channel.
    pub other: Option<usize>,
    pub kind: Kind,
    pub start: f64,
    pub end: f64,
    pub segment: usize,
    pub carrier: [f64; 2],
    pub beat: [f64; 2],
    pub amplitudes: [f64; 2],
    pub max: f64,
    pub min: f64,
    pub modulation: f64,
    pub thd: f64,
    pub intermodulation_db: f64,
    pub floor_db: f64,
    pub third_db: f64,
    pub crosstalk_db: f64,
    found: bool,
}

impl Envelope {
    /// (max − min) / (max + min).
    pub fn depth(&self) -> f64 {
        (self.max - self.min) / (self.max + self.min)
    }

    /// Why it is to be doubted.
    pub fn reasons(&self) -> Vec<&'static str> {
        let loud = self.intermodulation_db > INTERMODULATION;
        // ten times the power that noise alone would show there
        let real = self.intermodulation_db > self.floor_db + 10.0;
        let all = [
            (!self.found, "no_envelope"),
            (self.found && loud && real, "intermodulation"),
            (self.found && !(loud && real) && self.floor_db > INTERMODULATION, "noise_hides_intermodulation"),
        ];
        all.iter().filter(|(is, _)| *is).map(|(_, why)| *why).collect()
    }
}

/// A stretch of a channel and its sums.
struct Part {
    channel: usize,
    range: Range<i64>,
    lines: Lines,
}

impl Part {
    fn new(channel: usize, range: Range<i64>, bases: [f64; 2], kind: Kind) -> Self {
        let lines = Lines::new(bases, &orders(kind), middle(&range), (range.end - range.start).max(0) as u64);
        Self { channel, range, lines }
    }
}

fn middle(range: &Range<i64>) -> i64 {
    range.start + (range.end - range.start) / 2
}

/// The lines of the model, the more important first.
fn orders(kind: Kind) -> Vec<Order> {
    let near = match kind {
        Kind::Am => (1..=SIDEBANDS).flat_map(|k| [[1, k], [1, -k]]).collect::<Vec<_>>(),
        _ => vec![[1, 1], [1, -1], [1, 2], [1, -2], [1, 3]],
    };
    let sums: &[Order] = if kind == Kind::Am { &[] } else { &[[2, 1], [2, 2], [3, 3]] };
    let overtones = (2..=OVERTONES).map(|k| [k, 0]);
    let slow = (1..=PRODUCTS).map(|k| [0, k]);
    std::iter::once([1, 0]).chain(near).chain(slow).chain(overtones).chain(sums.iter().copied()).collect()
}

/// Something with an envelope while it is measured: one channel, or two.
struct Job {
    kind: Kind,
    number: usize,
    plateaus: Vec<Part>,
    ramps: [Option<Part>; 2],
    origin: i64,
    bases: [f64; 2],
    /// Of two channels each knows its own carrier, and only that: frequencies and their standard deviations.
    known: Option<[[f64; 2]; 2]>,
}

impl Job {
    fn parts(&mut self) -> impl Iterator<Item = &mut Part> {
        self.plateaus.iter_mut().chain(self.ramps.iter_mut().flatten())
    }
}

/// Measures all envelopes, and writes what the lines tell better than harmonics alone into `measured`.
pub(super) fn all(
    reader: &mut Reader<'_>,
    surveys: &[Survey],
    pairs: &[[usize; 2]],
    found: &[Vec<Episode>],
    measured: &mut [Vec<Measured>],
) -> Result<Vec<Envelope>> {
    let mut jobs = singles(reader, surveys, found)?;
    for [a, b] in pairs {
        for (number, (x, m)) in found[*a].iter().zip(&measured[*a]).enumerate() {
            for (y, o) in found[*b].iter().zip(&measured[*b]).filter(|(y, _)| y.segment == x.segment) {
                let range = x.plateau.start.max(y.plateau.start)..x.plateau.end.min(y.plateau.end);
                // the lower carrier is the first
                let (low, high) = if x.cycles < y.cycles { ((*a, m), (*b, o)) } else { ((*b, o), (*a, m)) };
                if range.end - range.start > 4 * x.cell.max(y.cell) as i64 {
                    let bases = [low.1.cycles, high.1.cycles - low.1.cycles];
                    let part = |channel| Part::new(channel, range.clone(), bases, Kind::Ti);
                    let (plateaus, origin) = (vec![part(low.0), part(high.0)], middle(&range));
                    let known = Some([low.1, high.1].map(|m| [m.cycles, m.sd_cycles]));
                    jobs.push(Job { kind: Kind::Ti, number, plateaus, ramps: [None, None], origin, bases, known });
                }
            }
        }
    }
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    reader.pass(&mut |_, first, rows| {
        for part in jobs.iter_mut().flat_map(Job::parts) {
            let (at, inside) = cut(&part.range, first, &rows[part.channel]);
            if !inside.is_empty() {
                part.lines.push(at, inside);
            }
        }
    })?;
    Ok(jobs.into_iter().map(|job| finish(job, measured)).collect())
}

/// The channels that hold an envelope of their own; a pass finds its frequency by the slope of a sideband's phase.
fn singles(reader: &mut Reader<'_>, surveys: &[Survey], found: &[Vec<Episode>]) -> Result<Vec<Job>> {
    struct Side<'e> {
        channel: usize,
        number: usize,
        episode: &'e Episode,
        follower: Follower,
        cycles: f64,
    }
    let mut sides: Vec<Side<'_>> = Vec::new();
    for (channel, survey) in surveys.iter().enumerate() {
        let Some(beat) = survey.beat else { continue };
        for (number, episode) in found[channel].iter().enumerate() {
            let cycles = episode.cycles + beat;
            sides.push(Side { channel, number, episode, follower: Follower::new(cycles, episode.cell), cycles });
        }
    }
    if sides.is_empty() {
        return Ok(Vec::new());
    }
    reader.pass(&mut |_, first, rows| {
        for side in &mut sides {
            let (at, inside) = cut(&side.episode.plateau, first, &rows[side.channel]);
            if !inside.is_empty() {
                side.follower.push(at, inside);
            }
        }
    })?;
    let job = |mut side: Side<'_>| {
        let length = side.follower.cell() as f64;
        let cells = side.follower.take();
        let points: Vec<(f64, Complex)> = cells.iter().enumerate().map(|(i, z)| (i as f64 * length, *z)).collect();
        let beat = side.cycles + phase_slope(&points).unwrap_or(0.0) - side.episode.cycles;
        let kind = surveys[side.channel].kind.unwrap_or(Kind::Am);
        let part = |range: &Range<i64>| Part::new(side.channel, range.clone(), [side.episode.cycles, beat], kind);
        let ramps = [&side.episode.ramp_up, &side.episode.ramp_down];
        Job {
            kind,
            number: side.number,
            plateaus: vec![part(&side.episode.plateau)],
            ramps: ramps.map(|ramp| ramp.as_ref().map(|flank| part(&flank.range))),
            origin: middle(&side.episode.plateau),
            bases: [side.episode.cycles, beat],
            known: None,
        }
    };
    Ok(sides.into_iter().map(job).collect())
}

fn db(power: f64) -> f64 {
    10.0 * power.log10()
}

fn finish(mut job: Job, measured: &mut [Vec<Measured>]) -> Envelope {
    let length = job.plateaus[0].range.end - job.plateaus[0].range.start;
    let bases = job.bases;
    // a step of a turn within the plateau is none that a line made
    let near = |r: &LinesRefined| (0..2).all(|b| ((r.bases[b] - bases[b]) * length as f64).abs() < 0.5);
    let fits: Vec<Option<LinesRefined>> = match job.known {
        None => job.plateaus.iter_mut().map(|p| p.lines.refine().filter(near)).collect(),
        Some(_) => {
            let plain = |p: &mut Part| p.lines.fit().map(|fit| LinesRefined { bases, sd: [f64::NAN; 2], fit });
            job.plateaus.iter_mut().map(plain).collect()
        }
    };
    let channels: Vec<usize> = job.plateaus.iter().map(|p| p.channel).collect();
    let nan = f64::NAN;
    let owner = if channels.len() == 2 { channels[0].min(channels[1]) } else { channels[0] };
    let (start, end, segment) = measured[owner].get(job.number).map_or((nan, nan, 0), |m| (m.start, m.end, m.segment));
    let mut all = Envelope {
        channel: channels[0],
        number: job.number,
        other: channels.get(1).copied(),
        kind: job.kind,
        start,
        end,
        segment,
        carrier: [nan; 2],
        beat: [nan; 2],
        amplitudes: [nan; 2],
        max: nan,
        min: nan,
        modulation: nan,
        thd: nan,
        intermodulation_db: nan,
        floor_db: nan,
        third_db: nan,
        crosstalk_db: nan,
        found: false,
    };
    let Some(fits) = fits.into_iter().collect::<Option<Vec<_>>>() else { return all };
    let cluster: Vec<Order> = orders(job.kind).into_iter().filter(|o| o[0] == 1).collect();
    let power = |f: &LinesFit, orders: &[Order]| orders.iter().map(|o| f.line(*o).norm_sqr()).sum::<f64>();
    let carriers: f64 = fits.iter().map(|f| power(&f.fit, &cluster)).sum();
    let largest = |order: Order| fits.iter().map(|f| f.fit.line(order).norm_sqr()).fold(0.0, f64::max);
    all.intermodulation_db = db(largest([0, 1]) / carriers);
    // the power of a line in noise: mean of p² + q² is 4 σ² / N
    all.floor_db = db(fits.iter().map(|f| 4.0 * f.fit.sigma().powi(2) / f.fit.n as f64).fold(0.0, f64::max) / carriers);
    let one = &fits[0];
    let two = fits.get(1).unwrap_or(one);
    (all.carrier, all.beat) = ([one.bases[0], one.sd[0]], [one.bases[1], one.sd[1]]);
    if let Some([low, high]) = job.known {
        (all.carrier, all.beat) = (low, [high[0] - low[0], low[1].hypot(high[1])]);
    }
    let sides = cluster.iter().skip(1).map(|o| largest(*o)).fold(0.0, f64::max);
    all.found = sides > 1e-16 * carriers && db(sides / carriers) > all.floor_db + 10.0;
    if job.kind == Kind::Am {
        all.amplitudes[0] = one.fit.line([1, 0]).norm();
        shape(&one.fit, &mut all);
    } else {
        if channels.len() == 2 {
            let leak = |f: &LinesFit, own: Order, others: Order| f.line(others).norm_sqr() / f.line(own).norm_sqr();
            all.crosstalk_db = db(leak(&one.fit, [1, 0], [1, 1]).max(leak(&two.fit, [1, 1], [1, 0])));
        }
        let sum = |order| fits.iter().map(|f| f.fit.line(order)).sum::<Complex>().norm();
        let [a, b] = [sum([1, 0]), sum([1, 1])];
        (all.amplitudes, all.max, all.min) = ([a, b], a + b, (a - b).abs());
        all.modulation = 2.0 * a.min(b);
        all.third_db = db(largest([1, -1]).max(largest([1, 2])) / carriers);
    }
    if let [_] = channels[..]
        && let Some(m) = measured[owner].get_mut(job.number)
    {
        patch(m, one, &mut job.ramps, job.origin);
        (all.start, all.end) = (m.start, m.end);
    }
    all
}

/// Largest and smallest value of the envelope, and its distortion.
fn shape(fit: &LinesFit, all: &mut Envelope) {
    let at = |i: usize| {
        let turned = |o: &Order| turn(f64::from(o[1]) / POINTS as f64, i as i64);
        fit.lines.iter().filter(|(o, _)| o[0] == 1).map(|(o, c)| turned(o) * c).sum::<Complex>().norm_sqr()
    };
    let squares: Vec<f64> = (0..POINTS).map(at).collect();
    // a parabola through the three points about an extreme
    let extreme = |sign: f64| {
        let best = (0..POINTS).max_by(|a, b| (sign * squares[*a]).total_cmp(&(sign * squares[*b]))).unwrap_or(0);
        let [a, b, c] = [POINTS - 1, 0, 1].map(|d| squares[(best + d) % POINTS]);
        let bend = a - 2.0 * b + c;
        let value = if bend == 0.0 { b } else { b - (a - c).powi(2) / (8.0 * bend) };
        value.max(0.0).sqrt()
    };
    (all.max, all.min) = (extreme(1.0), extreme(-1.0));
    all.modulation = all.max - all.min;
    let harmonic = |k: i64| {
        let z: Complex =
            squares.iter().enumerate().map(|(i, s)| turn(k as f64 / POINTS as f64, i as i64).conj() * s.sqrt()).sum();
        z.norm_sqr()
    };
    all.thd = ((2..=10).map(harmonic).sum::<f64>() / harmonic(1)).sqrt();
}

/// What the sidebands would spoil in a fit of harmonics alone.
fn patch(m: &mut Measured, refined: &LinesRefined, ramps: &mut [Option<Part>; 2], origin: i64) {
    let fit = &refined.fit;
    let carrier = fit.line([1, 0]);
    let amplitude = carrier.norm();
    let overtones: f64 = (2..=OVERTONES).map(|k| fit.line([k, 0]).norm_sqr()).sum();
    (m.cycles, m.sd_cycles, m.amplitude, m.dc) = (refined.bases[0], refined.sd[0], amplitude, fit.level);
    m.thd = overtones.sqrt() / amplitude;
    let others: f64 = fit.lines.iter().filter(|(o, _)| o[0] != 1).map(|(_, c)| c.norm_sqr()).sum();
    m.thd_n = (others + 2.0 * fit.rss / fit.n as f64).sqrt() / amplitude;
    // a turn of the unwrapped phase is none
    (m.phase, m.middle) = ((carrier.arg() + TAU) % TAU, origin as f64);
    let mut meet = |which: usize| -> Option<(f64, f64)> {
        let part = ramps[which].as_mut()?;
        let here = middle(&part.range);
        let (value, slope) = part.lines.fit_trend()?;
        let along = carrier * turn(refined.bases[0], here - origin) / amplitude;
        let project = |f: &LinesFit| (f.line([1, 0]) * along.conj()).re;
        let (value, slope) = (project(&value), project(&slope));
        let (zero, full) = (here as f64 - value / slope, here as f64 + (amplitude - value) / slope);
        (zero.is_finite() && full.is_finite()).then_some((zero, full))
    };
    // the mean of a plateau that changes is not what its ends have: there the envelope of the first fit is nearer
    if m.unsteady {
        return;
    }
    let (up, down) = (meet(0), meet(1));
    let before = m.start + m.ramp_up.samples;
    let (start, full) = up.unwrap_or((m.start, before));
    let (end, last) = down.unwrap_or((m.end, before + m.plateau));
    let [start, full, last, end] = in_order([start, full, last, end], &m.bounds);
    if up.is_some() {
        m.ramp_up = Ramp { samples: full - start, ..m.ramp_up };
    }
    if down.is_some() {
        m.ramp_down = Ramp { samples: end - last, ..m.ramp_down };
    }
    (m.start, m.end, m.plateau) = (start, end, last - full);
}
