//! Stimulation found in a stream: when it was on, how fast it swung, and where it started, stopped and jumped, to the sample.
//!
//! Three passes. `survey` looks at 32 windows spread over the recording for a line that many channels share. Then one channel is
//! followed: the stimulator's copy where there is one, else the channel with the largest line that is not clipped
//! ([`crate::dsp::follow`]: complex demodulation by whole cycles). `edges` reads the samples around every sudden start, end and
//! jump of the phase once more.
//!
//! **What counts as stimulation.** The envelope is on above 5 % of its largest value and above four times the background (the median
//! step from one cell to the next). A stretch is stimulation when its level is at least eight times the background and four times the
//! median envelope where nothing is on, and its phase keeps time: the coherence |Σ z(t+τ) z*(t)| / Σ |z(t+τ)| |z(t)| at τ = 1 s (half
//! the stretch, where that is shorter) is at least 0.97. Alpha of the brain loses its phase within a second. Lines within 0.7 Hz of 50 or 60 Hz and their multiples are taken for the
//! mains unless `frequency_hz` names them.
//!
//! **Ramps.** A straight line through the envelope between 10 and 90 % of the plateau tells where a ramp begins and is full. Where the
//! envelope is seen before that foot for more than 3 % of the ramp (sin² and the like), the ramp is stretched to where it leaves the
//! background, and by as much at its full end. Where an overtone aliases next to the carrier the envelope swings all the time: a flank that
//! does not fall clearly below what the plateau itself comes down to is no ramp.
//!
//! A step of the phase that stands eight times above its own scatter, while the envelope stays, is a lost or doubled sample, or a
//! stimulator that restarted: the episode is split there. So it is where the envelope steps from one steady level to another by at least
//! 3 %: the current was turned up or down, and each level is an episode of its own. Two stimulators beat; their frequencies must be told
//! (`also_hz`) where they are about equally strong: then neither the beat's nodes nor its phase split an episode.

mod edges;
mod survey;
#[cfg(test)]
pub(crate) mod tests;

use crate::dsp::fft::Complex;
use crate::dsp::follow::{Flank, Follower, Grid, Stretch, cell_len};
use crate::dsp::harmonics::{phase_slope, wrap};
use crate::flow::Replay;
use crate::signal::{Episode, Stimulation};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use std::ops::Range;
use survey::Carrier;

/// On above this share of the largest envelope, and this many times the background.
const ON: f64 = 0.05;
const ON_BACKGROUND: f64 = 4.0;
/// A stretch's level is at least this many times the background.
const CLEAR: f64 = 8.0;
/// And at least this many times the median envelope of all that is not on.
const ABOVE_REST: f64 = 4.0;
/// Coherence over a second that no rhythm of the brain has.
const COHERENT: f64 = 0.97;
/// A ramp is bent when it is seen beyond the foot of its straight line for this share of its length; a gentle foot goes on this much
/// further under the background; it is looked for down to this share of the level; the plateau gives away at most this share of itself.
const BENT: f64 = 0.03;
const HIDDEN: f64 = 1.2;
const LEAST_FOOT: f64 = 3e-4;
const ROUNDED: f64 = 0.2;
/// A plateau whose envelope swings by itself (an overtone that aliases next to the carrier beats with it) comes down to this quantile of
/// its cells; a flank that stays above this share of it is no ramp.
const SWINGS: f64 = 0.05;
const FALLS: f64 = 0.9;
/// A ramp's foot lies at most this share of its length outside of what is seen.
const AFAR: f64 = 0.25;
/// Shortest pause that ends an episode, s.
const PAUSE_S: f64 = 0.25;
/// A step of the phase: times its scatter, and at least this, radians.
const STEP: f64 = 8.0;
const LEAST_STEP: f64 = 2e-3;
/// Cells on either side of a step.
const SIDE: usize = 4;
/// A step of the envelope: at least this share of the larger level; the levels beside it move by at most this share of it.
const LEAST_CHANGE: f64 = 0.03;
const STEADY: f64 = 0.2;

/// How stimulation is looked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Find {
    /// Nominal frequency, Hz; without it the strongest line that many channels share. Above half the rate its alias is looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_hz: Option<f64>,
    /// Further stimulators that were on at the same time, Hz.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also_hz: Vec<f64>,
    /// The channel to follow; without it a copy of the stimulation, else the channel where the artefact is largest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
}

/// The alias of `hz` that stands in samples at `rate`, cycles per sample, 0…0.5.
pub fn fold(hz: f64, rate: f64) -> f64 {
    let cycles = hz / rate;
    (cycles - cycles.round()).abs()
}

/// Finds the stimulation in a stream, which it reads two to four times.
///
/// # Errors
/// When there is none, or the frequency that was told cannot be seen at this rate; when the stream fails.
pub fn find(stream: &mut dyn Replay, wanted: &Find) -> Result<Stimulation> {
    let look = survey::look(stream, wanted)?;
    let rate = stream.info().rate_hz();
    let mut looked = Vec::new();
    for carrier in &look.carriers {
        let found = follow(stream, carrier, wanted)?;
        if !found.is_empty() {
            let known: Vec<f64> =
                [carrier.cycles].into_iter().chain(wanted.also_hz.iter().map(|hz| fold(*hz, rate))).collect();
            let others_hz: Vec<f64> = look.others(&known).into_iter().map(|cycles| cycles * rate).collect();
            let episodes = edges::settle(stream, carrier.channel, found)?;
            if let Some(wrong) = disordered(&episodes) {
                return Err(swinging(wrong, carrier.cycles * rate, rate, &others_hz));
            }
            return Ok(Stimulation { episodes, others_hz });
        }
        let hz = wanted.frequency_hz.unwrap_or(carrier.cycles * rate);
        looked.push(format!("{} Hz in {}", (hz * 1e3).round() / 1e3, stream.info().channels[carrier.channel].name));
    }
    let tried = match looked.as_slice() {
        [] => "no line stands out of the spectrum of any channel".to_owned(),
        all => format!("what there is at {} does not stand clear of the background or keeps no time", all.join(", ")),
    };
    Err(Error::data(format!("no stimulation was found: {tried}")).with_hint(
        "where you know the frequency tell it: --frequency, or stimulation.frequency_hz (and also_hz, for two stimulators); a line at the mains' frequency is taken for stimulation only where it is told",
    ))
}

/// The first episode that has no plateau between its ramps, or runs into the one before.
fn disordered(episodes: &[Episode]) -> Option<&Episode> {
    let whole =
        |e: &Episode| e.on.start <= e.plateau.start && e.plateau.start <= e.plateau.end && e.plateau.end <= e.on.end;
    let into = episodes.windows(2).find(|e| e[1].on.start < e[0].on.end).map(|e| &e[1]);
    episodes.iter().find(|e| !whole(e)).or(into)
}

fn swinging(episode: &Episode, hz: f64, rate: f64, others_hz: &[f64]) -> Error {
    let others: Vec<String> = others_hz.iter().map(|hz| format!("{hz:.2}")).collect();
    let beside =
        if others.is_empty() { String::new() } else { format!("; lines stand at {} Hz too", others.join(", ")) };
    Error::data(format!(
        "the envelope of {hz:.3} Hz in {} has no plateau: it rises and falls all the time around {:.1} s{beside}",
        episode.channel,
        episode.on.start as f64 / rate
    ))
    .with_hint(
        "two stimulators that beat must both be told (stimulation.frequency_hz and stimulation.also_hz); a current that was \
         changed all the time has no steady artefact to fit: try --method sass with data without stimulation",
    )
}

/// The segments in the stream's own samples.
fn segments(stream: &dyn Replay) -> Vec<Range<i64>> {
    let clock = stream.info().clock;
    let own = |s: &crate::signal::Segment| clock.first_sample_from(s.first)..clock.first_sample_from(s.end());
    stream.segments().iter().map(own).collect()
}

/// A start or an end of stimulation.
#[derive(Debug, Clone, PartialEq)]
enum Edge {
    /// Where the envelope leaves zero and where it is full, samples with a fraction.
    Known(f64, f64),
    /// Somewhere in these samples; to be found.
    Sudden(Range<i64>),
}

/// An episode before its edges are known to the sample.
#[derive(Debug, Clone)]
struct Draft {
    segment: usize,
    bounds: Range<i64>,
    cell: usize,
    start: Edge,
    end: Edge,
    /// Samples that hold a jump of the phase each.
    jumps: Vec<Range<i64>>,
    /// The envelope: centre in samples, phasor against `basis` cycles per sample.
    cells: Vec<(f64, Complex)>,
    basis: f64,
    channel: String,
}

/// Follows one channel and tells what is stimulation in it.
fn follow(stream: &mut dyn Replay, carrier: &Carrier, wanted: &Find) -> Result<Vec<Draft>> {
    let (rate, segments) = (stream.info().rate_hz(), segments(stream));
    let samples: i64 = segments.iter().map(|s| s.end - s.start).sum();
    let mut follower = Follower::new(carrier.cycles, cell_len(carrier.cycles, None, rate, samples as f64));
    let mut envelopes: Vec<Vec<Complex>> = vec![Vec::new(); segments.len()];
    stream.each_row(carrier.channel, &segments, &mut |segment, first, row| {
        let Some(envelope) = envelopes.get_mut(segment) else { return };
        if first == segments[segment].start {
            follower.take();
        }
        follower.push(first, row);
        envelope.append(&mut follower.cells);
    })?;
    let cell = follower.cell();
    let single = wanted.also_hz.is_empty();
    // a beat is not background: it steps from cell to cell
    let background = if single { background(&envelopes) } else { 0.0 };
    let mut sizes: Vec<f64> = envelopes.iter().flatten().map(|z| z.norm()).collect();
    sizes.sort_by(f64::total_cmp);
    let Some(&largest) = sizes.get(sizes.len().saturating_sub(1 + (sizes.len() / 50).min(4))) else {
        return Ok(Vec::new());
    };
    let threshold = (ON * largest).max(ON_BACKGROUND * background);
    let beat = wanted.also_hz.iter().map(|hz| (fold(*hz, rate) - carrier.cycles).abs() * rate);
    let pause = beat.clone().fold(PAUSE_S, |p, b| p.max(1.0 / b.max(1e-3)));
    let grid = |segment: usize| Grid {
        start: segments[segment].start,
        cell,
        cells: &envelopes[segment],
        cycles: carrier.cycles,
    };
    let runs: Vec<(usize, Stretch, Range<usize>)> = (0..envelopes.len())
        .flat_map(|segment| grid(segment).stretches(threshold, pause * rate).into_iter().map(move |s| (segment, s)))
        .map(|(segment, stretch)| {
            let index = |s: i64| ((s - segments[segment].start).max(0) as usize / cell).min(envelopes[segment].len());
            let run = index(stretch.on.start)..index(stretch.on.end);
            (segment, stretch, run)
        })
        .collect();
    let on = &|segment: usize, i: usize| runs.iter().any(|(s, _, run)| *s == segment && run.contains(&i));
    let mut rest: Vec<f64> = (0..envelopes.len())
        .flat_map(|s| envelopes[s].iter().enumerate().filter(move |(i, _)| !on(s, *i)).map(|(_, z)| z.norm()))
        .collect();
    let rest = if rest.is_empty() { 0.0 } else { crate::dsp::stats::median(&mut rest) };
    let least = (CLEAR * background).max(ABOVE_REST * rest);
    let lag = (rate / cell as f64).round().max(1.0) as usize;
    let keeps = |(segment, stretch, run): &&(usize, Stretch, Range<usize>)| {
        let steady = || coherence(&envelopes[*segment][run.clone()], lag) >= COHERENT;
        stretch.level > 0.0 && stretch.level >= least && (!single || steady())
    };
    let channel = &stream.info().channels[carrier.channel].name;
    let found = runs.iter().filter(keeps).map(|(segment, stretch, run)| {
        let (grid, bounds) = (grid(*segment), &segments[*segment]);
        let steps = if single { steps(grid.cells, run, CLEAR * background) } else { Vec::new() };
        let whole = if steps.is_empty() {
            draft(&grid, stretch, bounds, single.then_some(background))
        } else {
            stepped(&grid, run, bounds, background, &steps)
        };
        Draft { segment: *segment, channel: channel.clone(), ..whole }
    });
    Ok(found.collect())
}

/// The cells of a run in which the envelope changes at once from one steady level to another: somebody turned the current up or down. A
/// ramp changes as much on either side as across, and a beat or a modulation too.
fn steps(cells: &[Complex], run: &Range<usize>, least: f64) -> Vec<usize> {
    let size = |i: usize| cells[i].norm();
    let span = |range: Range<usize>| {
        range.map(size).fold((f64::INFINITY, 0.0_f64), |(low, high), a| (low.min(a), high.max(a)))
    };
    let mut found: Vec<usize> = Vec::new();
    let mut i = run.start + SIDE;
    while i + SIDE < run.end {
        let ((low, high), (lower, higher)) = (span(i - SIDE..i), span(i + 1..i + 1 + SIDE));
        let (before, after) = ((low + high) / 2.0, (lower + higher) / 2.0);
        let change = (after - before).abs();
        let steady = (high - low).max(higher - lower) <= STEADY * change;
        if steady && change >= least.max(LEAST_CHANGE * before.max(after)) {
            found.push(i);
            i += 2 * SIDE;
        } else {
            i += 1;
        }
    }
    found
}

/// The draft of a run with steps: its edges are those of its first and its last level, and every step is a jump.
fn stepped(grid: &Grid<'_>, run: &Range<usize>, bounds: &Range<i64>, background: f64, steps: &[usize]) -> Draft {
    let ends = steps.iter().copied().chain([run.end]);
    let starts = [run.start].into_iter().chain(steps.iter().map(|step| step + 1));
    let mut levels = starts.zip(ends).map(|(a, b)| draft(grid, &grid.stretch(a..b), bounds, Some(background)));
    let mut all = levels.next().unwrap_or_else(|| draft(grid, &grid.stretch(run.clone()), bounds, Some(background)));
    for (level, &step) in levels.zip(steps) {
        all.jumps.push(around(grid, grid.centre(step), bounds));
        all.jumps.extend(level.jumps);
        all.cells.extend(level.cells);
        all.end = level.end;
    }
    all
}

/// The samples that hold a jump in the cell with this centre.
fn around(grid: &Grid<'_>, centre: f64, bounds: &Range<i64>) -> Range<i64> {
    let reach = 1.5 * grid.cell as f64;
    ((centre - reach).floor() as i64).max(bounds.start)..((centre + reach).ceil() as i64).min(bounds.end)
}

/// The median step of the envelope from cell to cell, a steady turn left out.
fn background(envelopes: &[Vec<Complex>]) -> f64 {
    let pairs = || envelopes.iter().flat_map(|cells| cells.windows(2));
    let turn: Complex = pairs().map(|p| p[1] * p[0].conj()).sum();
    let turn = if turn.norm() > 0.0 { turn / turn.norm() } else { Complex::new(1.0, 0.0) };
    let mut steps: Vec<f64> = pairs().map(|p| (p[1] - p[0] * turn).norm()).collect();
    if steps.is_empty() { 0.0 } else { crate::dsp::stats::median(&mut steps) }
}

/// How well the phase keeps time over `lag` cells (at most half of them), a steady turn left out.
fn coherence(cells: &[Complex], lag: usize) -> f64 {
    let lag = lag.min(cells.len() / 2).max(1);
    let (mut sum, mut all) = (Complex::default(), 0.0);
    for (a, b) in cells.iter().zip(cells.iter().skip(lag)) {
        sum += b * a.conj();
        all += b.norm() * a.norm();
    }
    if all > 0.0 { sum.norm() / all } else { 0.0 }
}

fn draft(grid: &Grid<'_>, stretch: &Stretch, segment: &Range<i64>, background: Option<f64>) -> Draft {
    let width = grid.cell as i64;
    let index = |sample: i64| ((sample - grid.start) / width).max(0) as usize;
    let size = |i: usize| grid.cells.get(i).map_or(0.0, |z| z.norm());
    let run = index(stretch.on.start)..index(stretch.on.end);
    let whole = |i: usize| size(i) >= 0.97 * stretch.level;
    let low = if background.is_some() { swing(grid, stretch) } else { stretch.level };
    let on_to_the_end = |i: usize| size(i) >= 0.97 * low;
    let falls = |flank: &&Flank| {
        let lowest = (index(flank.range.start)..index(flank.range.end)).map(size).fold(f64::INFINITY, f64::min);
        background.is_none() || lowest < FALLS * low
    };
    let ramp = |Flank { line, .. }: &Flank| {
        let (foot, full) = (-line.intercept / line.slope, (stretch.level - line.intercept) / line.slope);
        if !(foot.is_finite() && full.is_finite()) {
            return None;
        }
        // the foot of a ramp lies where it is first seen, and as far beyond as it is already up there; that of a line through a staircase
        // lies far away
        let up = foot < full;
        let (seen, length) = if up { (run.start, full - foot) } else { (run.end.saturating_sub(1), foot - full) };
        let outside = if up { grid.sample(seen) as f64 - foot } else { foot - grid.sample(seen + 1) as f64 };
        if outside > (size(seen) / stretch.level + AFAR) * length {
            return None;
        }
        let bend =
            background.map_or(0.0, |b| bend(grid, foot, full, (ON_BACKGROUND * b).max(LEAST_FOOT * stretch.level)));
        let room = ROUNDED * (stretch.plateau.end - stretch.plateau.start) as f64;
        let sign = (full - foot).signum();
        Some((foot - sign * bend, full + sign * bend.min(room)))
    };
    let (first, beyond) = (segment.start as f64, segment.end as f64);
    let (up, down) = (
        stretch.ramp_up.as_ref().filter(falls).and_then(ramp),
        stretch.ramp_down.as_ref().filter(falls).and_then(ramp),
    );
    // straight lines that leave no plateau between them are no ramps
    let between = |up: Option<(f64, f64)>, down: Option<(f64, f64)>| {
        up.map_or(f64::NEG_INFINITY, |u| u.1) < down.map_or(f64::INFINITY, |d| d.1)
    };
    let (up, down) = if between(up, down) { (up, down) } else { (None, None) };
    let start = match up {
        Some((foot, full)) => Edge::Known(foot.max(first), full.max(first)),
        None if run.start == 0 && on_to_the_end(0) => Edge::Known(first - 0.5, first - 0.5),
        None => {
            let first = run.clone().find(|&i| whole(i)).unwrap_or(run.start);
            Edge::Sudden((grid.sample(run.start) - width).max(segment.start)..grid.sample(first + 1))
        }
    };
    let last = grid.cells.len() - 1;
    let end = match down {
        Some((foot, full)) => Edge::Known(foot.min(beyond), full.min(beyond)),
        None if run.end == grid.cells.len() && on_to_the_end(last) => Edge::Known(beyond - 0.5, beyond - 0.5),
        None => {
            let first = run.clone().rev().find(|&i| whole(i)).unwrap_or(run.end.saturating_sub(1));
            Edge::Sudden(grid.sample(first)..(grid.sample(run.end) + width).min(segment.end))
        }
    };
    let inside = |i: &usize| grid.sample(*i) >= stretch.plateau.start && grid.sample(i + 1) <= stretch.plateau.end;
    let cells: Vec<(f64, Complex)> = run.filter(inside).map(|i| (grid.centre(i), grid.cells[i])).collect();
    let jumps = if background.is_some() { jumps(&cells, stretch.level) } else { Vec::new() };
    Draft {
        segment: 0,
        bounds: segment.clone(),
        cell: grid.cell,
        start,
        end,
        jumps: jumps.into_iter().map(|i| around(grid, cells[i].0, segment)).collect(),
        cells,
        basis: grid.cycles,
        channel: String::new(),
    }
}

/// What the envelope of the plateau comes down to by itself, dropouts left out.
fn swing(grid: &Grid<'_>, stretch: &Stretch) -> f64 {
    let inside = |i: &usize| stretch.plateau.start <= grid.sample(*i) && grid.sample(i + 1) <= stretch.plateau.end;
    let sizes = (0..grid.cells.len()).filter(inside).map(|i| grid.cells[i].norm());
    let mut sizes: Vec<f64> = sizes.filter(|a| *a >= 0.5 * stretch.level).collect();
    if sizes.is_empty() { stretch.level } else { crate::dsp::stats::quantile(&mut sizes, SWINGS).min(stretch.level) }
}

/// How far a ramp reaches beyond the foot of its straight line, samples: sin² and the like begin and end gently, and are taken to be
/// alike at both ends. 0 where the line tells the foot.
fn bend(grid: &Grid<'_>, foot: f64, full: f64, least: f64) -> f64 {
    let (length, up) = ((full - foot).abs(), foot < full);
    let place = (foot - grid.start as f64) / grid.cell as f64;
    let mut cells = 0_usize;
    while (cells * grid.cell) as f64 <= 0.5 * length {
        // cells that lie wholly beyond the foot
        let at = if up { place.floor() - 1.0 - cells as f64 } else { place.ceil() + cells as f64 };
        if at < 0.0 || grid.cells.get(at as usize).is_none_or(|z| z.norm() <= least) {
            break;
        }
        cells += 1;
    }
    let far = (cells * grid.cell) as f64;
    if cells >= 2 && far > BENT * length { HIDDEN * far } else { 0.0 }
}

/// The cells in which the phase jumps while the envelope stays.
fn jumps(cells: &[(f64, Complex)], level: f64) -> Vec<usize> {
    if cells.len() < 4 * SIDE {
        return Vec::new();
    }
    // the phase after a cell against the phase before it, both without the cell: a steady turn is taken out by its median
    let mean = |range: Range<usize>| cells[range].iter().map(|c| c.1).sum::<Complex>();
    let at = SIDE..cells.len() - SIDE;
    let raw: Vec<f64> = at.clone().map(|i| (mean(i + 1..i + 1 + SIDE) * mean(i - SIDE..i).conj()).arg()).collect();
    let middle = crate::dsp::stats::median(&mut raw.clone());
    let steps: Vec<f64> = raw.iter().map(|s| wrap(s - middle)).collect();
    let scatter = 1.4826 * crate::dsp::stats::median(&mut steps.iter().map(|s| s.abs()).collect::<Vec<f64>>());
    let bound = (STEP * scatter).max(LEAST_STEP);
    let mut found: Vec<usize> = Vec::new();
    let mut k = 0;
    while k < steps.len() {
        if steps[k].abs() <= bound {
            k += 1;
            continue;
        }
        let end = (k + 2 * SIDE).min(steps.len());
        let best = (k..end).max_by(|&a, &b| steps[a].abs().total_cmp(&steps[b].abs())).unwrap_or(k);
        let i = best + SIDE;
        let stays = |j: usize| (0.8..1.25).contains(&(cells[j].1.norm() / level));
        if (i - SIDE..i).chain(i + 1..=i + SIDE).all(stays) {
            found.push(i);
        }
        k = best + 2 * SIDE;
    }
    found
}

/// The episodes of a draft whose edges and jumps are known: start (foot, full), end (foot, full), first samples after the jumps.
fn episodes(draft: &Draft, start: (f64, f64), end: (f64, f64), jumps: &[i64]) -> Vec<Episode> {
    let sample = |x: f64| (x.ceil() as i64).clamp(draft.bounds.start, draft.bounds.end);
    let (on, plateau) = (sample(start.0)..sample(end.0 + 1e-6), sample(start.1)..sample(end.1 + 1e-6));
    let mut cuts = vec![on.start];
    cuts.extend(jumps.iter().filter(|j| plateau.contains(j) && **j > on.start));
    cuts.push(on.end);
    let whole = line(&draft.cells, draft.basis);
    cuts.windows(2)
        .filter(|c| c[1] > c[0])
        .map(|c| {
            let own = c[0]..c[1];
            let flat = plateau.start.clamp(own.start, own.end)..plateau.end.clamp(own.start, own.end);
            let half = draft.cell as f64 / 2.0;
            let mine = |t: f64| t - half >= flat.start as f64 - 0.6 && t + half <= flat.end as f64 + 0.6;
            let cells: Vec<(f64, Complex)> = draft.cells.iter().filter(|c| mine(c.0)).copied().collect();
            let (cycles, phase) = line(&cells, draft.basis).or(whole).unwrap_or((draft.basis, 0.0));
            let mut sizes: Vec<f64> = cells.iter().map(|c| c.1.norm()).collect();
            let all = || draft.cells.iter().map(|c| c.1.norm()).collect();
            let mut sizes: Vec<f64> = if sizes.is_empty() { all() } else { std::mem::take(&mut sizes) };
            Episode {
                segment: draft.segment,
                on: own,
                plateau: flat,
                cycles,
                phase: wrap(phase),
                amplitude: if sizes.is_empty() { 0.0 } else { crate::dsp::stats::median(&mut sizes) },
                channel: draft.channel.clone(),
            }
        })
        .collect()
}

/// Frequency, and phase at sample 0, of a straight line through the phases. `None` with fewer than two cells.
fn line(cells: &[(f64, Complex)], basis: f64) -> Option<(f64, f64)> {
    let drift = phase_slope(cells)?;
    let rest: Complex = cells.iter().map(|(t, z)| z * Complex::from_polar(1.0, -(TAU * (drift * t).fract()))).sum();
    Some((basis + drift, rest.arg()))
}
