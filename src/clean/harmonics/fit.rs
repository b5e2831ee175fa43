//! The fit: stimulation, frequencies, coefficients; windows where the amplitude drifts.

use super::Harmonics;
use super::frequency::{self, TELLING};
use super::model::{Blend, Learnt, Part, Piece, Window};
use super::overtones::Overtones;
use super::pass::{self, Design, Extremes, Job};
use super::ramp::{Ramp, edges};
use crate::Result;
use crate::clean::stimulation;
use crate::dsp::harmonics::wrap;
use crate::dsp::normal::{LineOf, Normal, Solver};
use crate::flow::{Model, Replay, StreamFit};
use crate::signal::{Block, ChannelKind, Episode, LANES};
use std::collections::BTreeMap;
use std::ops::Range;

/// A phase at an episode's ends that no further step is worth, radians: of a pass, and of sums that are turned; steps at most.
const SETTLED: f64 = 1e-3;
const TURNED: f64 = 1e-6;
const ROUNDS: usize = 8;
/// Cells must not have turned by more at their ends, radians of the highest harmonic, since the pass: it would lose a sixth of the square.
const ASTRAY: f64 = 1e-3;
/// Cells of an episode from which its frequency is fitted; of a short one fewer, each this long, s.
const CELLS: [i64; 2] = [4, 32];
const CELL_S: f64 = 0.5;
/// With several lines the first step takes this much of the middle of an episode, s, or two beats; each further one four times that.
const MIDDLE_S: f64 = 20.0;
/// Saturated: share of the samples at an extreme, and time without a break, s.
const SHARE: f64 = 1e-3;
const HELD_S: f64 = 0.010;
/// Window where the amplitude drifts, s; the ratio from which it does; fewest stretches to tell from; most of them.
const WINDOW_S: f64 = 10.0;
const DRIFTS: f64 = 3.0;
const FEWEST: usize = 6;
const STRETCHES: i64 = 256;
/// Episodes share a frequency within so many of their standard deviations (of white noise).
const SAME: f64 = 30.0;

/// Looks at the stream and learns.
pub(super) struct Fitter {
    pub config: Harmonics,
    pub threads: usize,
}

impl StreamFit for Fitter {
    fn fit(&mut self, stream: &mut dyn Replay) -> Result<Model> {
        let mut found = stimulation::find(stream, &self.config.stimulation)?;
        let info = stream.info().clone();
        let rate = info.rate_hz();
        let mut pass = Pass::new(stream, &found.episodes, self.threads);
        let several = !self.config.stimulation.also_hz.is_empty();
        let mut wanted: Vec<Overtones> = found.episodes.iter().map(|e| Overtones::new(&self.config, e, rate)).collect();
        let mut lines: Vec<Vec<LineOf>> = wanted.iter_mut().map(Overtones::telling).collect();
        let mut sds: Vec<Vec<f64>> = vec![Vec::new(); lines.len()];
        if several {
            self.outward(&mut pass, &found.episodes, &mut lines, &mut sds)?;
        }
        let mut round = 0;
        let (full, lefts, plans, jobs) = loop {
            let (full, lefts) = all(&wanted, &lines);
            let mut plans: Vec<Plan> = Vec::new();
            for ((e, full), lines) in found.episodes.iter().zip(&full).zip(&lines) {
                let telling = if several { Vec::new() } else { places(full, &telling(lines)) };
                plans.push(Plan::new(e, full, telling, self.stretch(e, rate), pass.groups, rate));
            }
            let mut jobs: Vec<Vec<Job>> = plans.iter_mut().map(|p| std::mem::take(&mut p.jobs)).collect();
            pass.run(&mut jobs)?;
            let mut astray = 0.0_f64;
            if !several {
                for (i, (jobs, plan)) in jobs.iter_mut().zip(&plans).enumerate() {
                    let before = lines[i].clone();
                    if let Some(sd) = plan.refine(jobs, &mut lines[i], &pass.channels) {
                        sds[i] = sd;
                    }
                    astray = astray.max(plan.astray(jobs, &before, &lines[i]));
                }
                share_frequency(&mut lines, &sds);
            }
            round += 1;
            let (now, lefts_now) = all(&wanted, &lines);
            let same = now.iter().flatten().map(|l| &l.harmonics).eq(full.iter().flatten().map(|l| &l.harmonics));
            if same && astray <= ASTRAY || round >= ROUNDS {
                let full = if same { now } else { full };
                jobs.iter_mut().zip(&full).for_each(|(jobs, full)| jobs.iter_mut().for_each(|j| j.turn(full)));
                break (full, if same { lefts_now } else { lefts }, plans, jobs);
            }
        };
        let channels = &pass.channels;
        let mut squares = vec![[0.0; 2]; info.channels.len()];
        let mut parts = Vec::new();
        for (i, (plan, own)) in plans.into_iter().zip(&jobs).enumerate() {
            let episode = &mut found.episodes[i];
            let followed = info.channels.iter().position(|c| c.name == episode.channel).unwrap_or(0);
            let mut solved = plan.solve(own, channels, followed, &self.config, rate, &mut squares);
            settle(episode, &full[i], solved.knots.get(&followed).and_then(|k| k.first()));
            solved.part.lines.clone_from(&full[i]);
            solved.part.sd_cycles.clone_from(&sds[i]);
            solved.part.left_out.splice(0..0, lefts[i].iter().cloned());
            let name = |(c, knots): (usize, Vec<Vec<f64>>)| (info.channels[c].name.clone(), knots);
            solved.part.knots = solved.knots.into_iter().map(name).collect();
            parts.push(solved.part);
        }
        let named = |c: &usize| info.channels[*c].name.clone();
        let sd = |c: &usize| (squares[*c][0] / squares[*c][1].max(1.0)).sqrt();
        let extremes = &pass.extremes;
        let learnt = Learnt {
            stimulation: found,
            episodes: parts,
            residual_sd: channels.iter().filter(|c| squares[**c][1] > 0.0).map(|c| (named(c), sd(c))).collect(),
            at_extremes: (0..info.channels.len())
                .filter(|c| extremes.of(*c).0 > 0.0)
                .map(|c| (named(&c), extremes.of(c).0))
                .collect(),
            refused: pass.refused,
        };
        Ok(Model {
            name: "harmonics".to_owned(),
            channels: info.channels.iter().map(|c| c.name.clone()).collect(),
            values: serde_json::to_value(&learnt).map_err(|e| crate::Error::data(format!("the model: {e}")))?,
        })
    }
}

/// Passes over the stream; the first of them tells which channels can be cleaned.
struct Pass<'a> {
    stream: &'a mut dyn Replay,
    threads: usize,
    on: Vec<Range<i64>>,
    groups: usize,
    first: bool,
    /// Those that are cleaned.
    channels: Vec<usize>,
    refused: BTreeMap<String, String>,
    extremes: Extremes,
}

impl<'a> Pass<'a> {
    fn new(stream: &'a mut dyn Replay, episodes: &[Episode], threads: usize) -> Self {
        let all = &stream.info().channels;
        let cleaned = |c: &usize| !matches!(all[*c].kind, ChannelKind::Stim | ChannelKind::Trigger);
        Self {
            threads,
            on: episodes.iter().map(|e| e.on.clone()).collect(),
            groups: all.len().div_ceil(LANES),
            first: true,
            channels: (0..all.len()).filter(cleaned).collect(),
            refused: BTreeMap::new(),
            extremes: Extremes::new(all),
            stream,
        }
    }

    /// Adds up the jobs of every episode.
    fn run(&mut self, jobs: &mut [Vec<Job>]) -> Result<()> {
        let (extremes, on, first) = (&mut self.extremes, &self.on, self.first);
        let mut look = |block: &Block| {
            if first {
                let from = on.partition_point(|on| on.end <= block.first());
                let mine = on[from..].iter().take_while(|on| on.start < block.end());
                mine.for_each(|on| extremes.add(block, on));
            }
        };
        let mut all: Vec<&mut Job> = jobs.iter_mut().flatten().collect();
        pass::run(self.stream, &mut all, self.threads, &mut look)?;
        if std::mem::replace(&mut self.first, false) {
            self.refuse(&all);
        }
        Ok(())
    }

    /// Channels that cannot be cleaned, and why.
    fn refuse(&mut self, jobs: &[&mut Job]) {
        let info = self.stream.info();
        let held = (HELD_S * info.rate_hz()).ceil() as u64;
        for &c in &self.channels {
            let (share, longest, flat) = self.extremes.of(c);
            let why = match () {
                () if !jobs.iter().all(|j| j.normal.squares(c).is_finite()) => "not_finite",
                () if flat => "flat",
                () if share > SHARE || longest > held.max(2) => "saturated",
                () => continue,
            };
            self.refused.insert(info.channels[c].name.clone(), why.to_owned());
        }
        self.channels.retain(|&c| !self.refused.contains_key(&info.channels[c].name));
    }
}

impl Fitter {
    /// Fits the frequencies of several lines that beat, from the middle of each episode outward: a pass for every step.
    fn outward(
        &self,
        pass: &mut Pass<'_>,
        episodes: &[Episode],
        lines: &mut [Vec<LineOf>],
        sds: &mut [Vec<f64>],
    ) -> Result<()> {
        let rate = pass.stream.info().rate_hz();
        for round in 0..ROUNDS {
            let job = |(e, lines): (&Episode, &Vec<LineOf>)| {
                vec![Job::new(self.middle(e, rate, round), &Design::polynomial(&telling(lines), 2), pass.groups)]
            };
            let mut jobs: Vec<Vec<Job>> = episodes.iter().zip(&*lines).map(job).collect();
            pass.run(&mut jobs)?;
            let mut turn = 0.0_f64;
            for (i, job) in jobs.iter().flatten().enumerate() {
                let whole = job.range == episodes[i].plateau;
                let sums = frequency::Sums::of(job, &pass.channels);
                if let Some(step) = frequency::step(&sums, &telling(&lines[i]), whole) {
                    moved(&mut lines[i], &step.lines);
                    sds[i] = step.sd;
                    turn = turn.max(if whole { step.turn } else { 1.0 });
                }
            }
            if turn <= SETTLED {
                break;
            }
        }
        Ok(())
    }

    /// The samples from which the frequencies are fitted in a round.
    fn middle(&self, episode: &Episode, rate: f64, round: usize) -> Range<i64> {
        let find = &self.config.stimulation;
        let plateau = episode.plateau.clone();
        let told = find.frequency_hz.unwrap_or(0.0);
        let beat = find.also_hz.iter().map(|hz| 2.0 / (hz - told).abs().max(1e-3)).fold(MIDDLE_S, f64::max);
        let half = (0.5 * beat * rate * 4_f64.powi(round as i32)) as i64;
        let middle = (plateau.start + plateau.end) / 2;
        (middle - half).max(plateau.start)..(middle + half).min(plateau.end)
    }

    /// Samples of a stretch: half a window.
    fn stretch(&self, episode: &Episode, rate: f64) -> i64 {
        let length = episode.plateau.end - episode.plateau.start;
        match self.config.window_s {
            Some(window) => (0.5 * window * rate).round() as i64,
            None if self.config.whole => length,
            None => ((0.5 * WINDOW_S * rate).round() as i64).max(length / STRETCHES),
        }
        .max(1)
    }
}

/// The first harmonics of each line.
fn telling(lines: &[LineOf]) -> Vec<LineOf> {
    let few = |l: &LineOf| LineOf { harmonics: l.harmonics.iter().copied().take(TELLING).collect(), ..l.clone() };
    lines.iter().map(few).collect()
}

/// The lines with the frequencies of `others`.
fn moved(lines: &mut [LineOf], others: &[LineOf]) {
    for (line, other) in lines.iter_mut().zip(others) {
        *line = LineOf { harmonics: std::mem::take(&mut line.harmonics), ..other.clone() };
    }
}

/// All harmonics of every episode that can be told apart at these frequencies, and what is left out.
fn all(wanted: &[Overtones], lines: &[Vec<LineOf>]) -> (Vec<Vec<LineOf>>, Vec<Vec<String>>) {
    let mut full = lines.to_vec();
    let lefts = wanted.iter().zip(&mut full).map(|(w, lines)| w.all(lines)).collect();
    (full, lefts)
}

/// Where the level and the harmonics of `few` stand among the columns of `full`.
fn places(full: &[LineOf], few: &[LineOf]) -> Vec<usize> {
    let (mut at, mut found) = (1, vec![0]);
    for (i, line) in full.iter().enumerate() {
        for k in &line.harmonics {
            if !line.is_nyquist() && few.get(i).is_some_and(|l| l.harmonics.contains(k)) {
                found.extend([at, at + 1]);
            }
            at += if line.is_nyquist() { 1 } else { 2 };
        }
    }
    found
}

/// Episodes of one clock share its frequency.
fn share_frequency(lines: &mut [Vec<LineOf>], sds: &[Vec<f64>]) {
    let single = |l: &&Vec<LineOf>| l.len() == 1 && l[0].chirp == 0.0;
    if lines.len() < 2 || !lines.iter().all(|l| single(&l)) || !sds.iter().all(|s| s.len() == 1 && s[0] > 0.0) {
        return;
    }
    let all: f64 = sds.iter().map(|s| s[0].powi(-2)).sum();
    let mean = lines.iter().zip(sds).map(|(l, s)| l[0].cycles * s[0].powi(-2)).sum::<f64>() / all;
    for (line, sd) in lines.iter_mut().zip(sds) {
        if (line[0].cycles - mean).abs() < SAME * sd[0] {
            line[0].cycles = mean;
        }
    }
}

/// The episode with the fitted frequency, phase and amplitude.
fn settle(episode: &mut Episode, lines: &[LineOf], knot: Option<&Vec<f64>>) {
    if let (Some(line), Some(&[p, q])) = (lines.first(), knot.and_then(|k| k.first_chunk::<2>()))
        && line.harmonics.first() == Some(&1)
    {
        // the drift of the clock moves the phase of the line at sample 0; its frequency is that of the middle
        episode.cycles = line.cycles;
        let middle = 0.5 * (episode.plateau.start + episode.plateau.end) as f64 - line.origin;
        let late = std::f64::consts::PI * line.chirp * middle * middle;
        episode.phase = wrap((-q).atan2(p) + late);
        episode.amplitude = p.hypot(q);
    }
}

/// The stretches of an episode, each in cells.
struct Plan {
    jobs: Vec<Job>,
    /// Pieces of the ramps.
    up: usize,
    down: usize,
    /// Cells of a stretch.
    cells: usize,
    /// Columns that tell the frequency: they have slopes.
    telling: Vec<usize>,
    on: Range<i64>,
    plateau: Range<i64>,
}

/// A stretch of a plateau, and its sums.
struct Stretch {
    range: Range<i64>,
    normal: Normal,
}

/// What came out of it: knots by channel.
pub(super) struct Solved {
    pub part: Part,
    pub knots: BTreeMap<usize, Vec<Vec<f64>>>,
}

impl Plan {
    fn new(episode: &Episode, lines: &[LineOf], telling: Vec<usize>, stretch: i64, groups: usize, rate: f64) -> Self {
        let (on, plateau) = (episode.on.clone(), episode.plateau.clone());
        let length = plateau.end - plateau.start;
        let stretches = (length / stretch).max(1);
        let [fewest, most] = CELLS;
        let enough = ((length as f64 / (CELL_S * rate)) as i64).clamp(fewest, most).min(length.max(1));
        let cells = if telling.is_empty() { 1 } else { (enough + stretches - 1) / stretches };
        let n = stretches * cells;
        let edge = |j: i64| plateau.start + (i128::from(length) * i128::from(j) / i128::from(n)) as i64;
        let rises = edges(on.start..plateau.start, episode.cycles, rate);
        let falls = edges(plateau.end..on.end, episode.cycles, rate);
        let (up, down) = (rises.len() - 1, falls.len() - 1);
        let (on_ramps, on_cells) = (Design::polynomial(lines, 1), Design::sloped(lines, telling.clone()));
        let ramp = |e: Vec<i64>| e.windows(2).map(|e| Job::new(e[0]..e[1], &on_ramps, groups)).collect::<Vec<Job>>();
        let mut jobs = ramp(rises);
        jobs.extend((0..n).map(|j| Job::new(edge(j)..edge(j + 1), &on_cells, groups)));
        jobs.extend(ramp(falls));
        Self { jobs, up, down, cells: cells as usize, telling, on, plateau }
    }

    /// The cells of the plateau.
    fn flat<'a>(&self, jobs: &'a [Job]) -> &'a [Job] {
        &jobs[self.up..jobs.len() - self.down]
    }

    /// Fits the frequency from the cells' sums, and turns them to it; its standard deviation.
    fn refine(&self, jobs: &mut [Job], lines: &mut [LineOf], channels: &[usize]) -> Option<Vec<f64>> {
        let mut sd = None;
        for _ in 0..ROUNDS {
            let sums = frequency::Sums::of_cells(self.flat(jobs), &self.telling, channels);
            let few: Vec<LineOf> = telling(lines);
            let Some(step) = frequency::step(&sums, &few, true) else { break };
            moved(lines, &step.lines);
            jobs.iter_mut().for_each(|j| j.turn(&step.lines));
            sd = Some(step.sd);
            if step.turn <= TURNED {
                break;
            }
        }
        sd
    }

    /// How far the highest harmonic has turned at the ends of cells and pieces of ramps, against their middle, radians.
    fn astray(&self, jobs: &[Job], before: &[LineOf], after: &[LineOf]) -> f64 {
        let turned = |job: &Job| {
            let ends = [job.range.start as f64, job.origin, job.range.end as f64];
            let most = |(before, after): (&LineOf, &LineOf)| {
                let [from, middle, to] = ends.map(|n| after.ahead_of(before, n));
                job.highest() as f64 * (from - middle).abs().max((to - middle).abs())
            };
            before.iter().zip(after).map(most).fold(0.0, f64::max)
        };
        jobs.iter().map(turned).fold(0.0, f64::max)
    }

    fn solve(
        &self,
        jobs: &[Job],
        channels: &[usize],
        followed: usize,
        config: &Harmonics,
        rate: f64,
        squares: &mut [[f64; 2]],
    ) -> Solved {
        let (from, to) = (self.up, jobs.len() - self.down);
        let flat: Vec<Stretch> = self.flat(jobs).chunks(self.cells).map(Stretch::of).collect();
        let drift = drift(&flat, followed);
        let windows = match (config.window_s, drift) {
            (Some(_), _) => flat.len() >= 2,
            (None, Some(drift)) => drift > DRIFTS,
            (None, None) => false,
        };
        let window_s = windows.then(|| 2.0 * (flat[0].range.end - flat[0].range.start) as f64 / rate);
        let window = Window { window_s, automatic: config.window_s.is_none(), drift };
        let mut solved = Solved { part: Part { window, ..Part::default() }, knots: BTreeMap::new() };
        // the sums of each knot
        let sums: Vec<Normal> = if windows { flat.windows(2).map(merged).collect() } else { vec![merged(&flat)] };
        for normal in &sums {
            let Some(solver) = Solver::new(normal.gram()) else {
                solved.part.left_out.push("an episode: too short to tell its harmonics apart".to_owned());
                solved.knots.clear();
                return solved;
            };
            for &c in channels {
                let right = normal.right(c);
                let found = solver.solve(&right);
                let rss = (normal.squares(c) - found.dot(&right)).max(0.0);
                squares[c][0] += rss;
                squares[c][1] += (normal.len() as f64 - found.len() as f64).max(0.0);
                solved.knots.entry(c).or_default().push(found.as_slice()[1..].to_vec());
            }
        }
        let last = sums.len() - 1;
        let ramp = |jobs: &[Job], knot: usize, rises: bool, solved: &mut Solved| {
            if !jobs.is_empty() {
                let pieces = Ramp { jobs, knot, rises, plateau: &sums[knot] }.solve(channels, solved);
                solved.part.pieces.extend(pieces);
            }
        };
        ramp(&jobs[..from], 0, true, &mut solved);
        let piece = |from: i64, to: i64, before, after, blend| Piece { from, to, before, after, blend };
        if windows {
            let at = |j: usize| flat[j].range.clone();
            solved.part.pieces.push(piece(at(0).start, at(0).end, None, 0, Blend::Flat));
            for j in 1..flat.len() - 1 {
                solved.part.pieces.push(piece(at(j).start, at(j).end, Some(j - 1), j, Blend::Hann));
            }
            let end = at(flat.len() - 1);
            if flat.len() > 1 {
                solved.part.pieces.push(piece(end.start, end.end, None, last, Blend::Flat));
            }
        } else {
            solved.part.pieces.push(piece(self.plateau.start, self.plateau.end, None, 0, Blend::Flat));
        }
        ramp(&jobs[to..], last, false, &mut solved);
        debug_assert!(solved.part.pieces.iter().all(|p| p.from >= self.on.start && p.to <= self.on.end));
        solved
    }
}

impl Stretch {
    /// Of neighbouring cells; what tells their slopes is left out.
    fn of(cells: &[Job]) -> Self {
        let width = cells[0].width();
        let mut normal = cells[0].normal.leading(width);
        cells[1..].iter().for_each(|c| normal.merge(&c.normal.leading(width)));
        Self { range: cells[0].range.start..cells[cells.len() - 1].range.end, normal }
    }
}

fn merged(stretches: &[Stretch]) -> Normal {
    let mut all = stretches[0].normal.clone();
    stretches[1..].iter().for_each(|s| all.merge(&s.normal));
    all
}

/// How far the fundamental of the stretches spreads, over how far it steps: von Neumann's ratio, 1 for noise.
fn drift(stretches: &[Stretch], channel: usize) -> Option<f64> {
    if stretches.len() < FEWEST {
        return None;
    }
    let places: Option<Vec<[f64; 2]>> = stretches
        .iter()
        .map(|s| {
            let found = Solver::new(s.normal.gram())?.solve(&s.normal.right(channel));
            Some([*found.get(1)?, *found.get(2)?])
        })
        .collect();
    let places = places?;
    let n = places.len() as f64;
    let mean = places.iter().fold([0.0; 2], |m, p| [m[0] + p[0] / n, m[1] + p[1] / n]);
    let far = |a: &[f64; 2], b: &[f64; 2]| (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2);
    let spread = places.iter().map(|p| far(p, &mean)).sum::<f64>() / (n - 1.0);
    let steps = places.windows(2).map(|p| far(&p[0], &p[1])).sum::<f64>() / (2.0 * (n - 1.0));
    (steps > 0.0).then(|| (spread / steps).sqrt())
}
