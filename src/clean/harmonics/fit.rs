//! The fit: stimulation, frequencies, coefficients; windows where the amplitude drifts.

use super::Harmonics;
use super::frequency::{self, TELLING};
use super::model::{Blend, Learnt, Part, Piece, Window};
use super::overtones::Overtones;
use super::pass::{self, Extremes, Job};
use super::ramp::{Ramp, edges};
use crate::Result;
use crate::clean::stimulation;
use crate::dsp::harmonics::wrap;
use crate::dsp::normal::{LineOf, Normal, Solver};
use crate::flow::{Model, Replay, StreamFit};
use crate::signal::{Block, ChannelKind, Episode, LANES};
use std::collections::BTreeMap;
use std::ops::Range;

/// A phase at an episode's ends that no further step is worth, radians; steps at most.
const SETTLED: f64 = 1e-3;
const ROUNDS: usize = 8;
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
        let pool = pass::pool(self.threads)?;
        let rate = info.rate_hz();
        let groups = info.channels.len().div_ceil(LANES);
        let mut refused = BTreeMap::new();
        let mut extremes = Extremes::new(&info.channels);
        let cleaned = |c: &usize| !matches!(info.channels[*c].kind, ChannelKind::Stim | ChannelKind::Trigger);
        let mut channels: Vec<usize> = (0..info.channels.len()).filter(cleaned).collect();
        let mut wanted: Vec<Overtones> = found.episodes.iter().map(|e| Overtones::new(&self.config, e, rate)).collect();
        let mut lines: Vec<Vec<LineOf>> = wanted.iter_mut().map(Overtones::telling).collect();
        let mut sds: Vec<Vec<f64>> = vec![Vec::new(); lines.len()];
        for round in 0..ROUNDS {
            let mut jobs: Vec<Job> = found
                .episodes
                .iter()
                .zip(&lines)
                .map(|(e, lines)| Job::new(self.middle(e, rate, round), &telling(lines), 2, groups))
                .collect();
            let episodes = &found.episodes;
            let mut look = |block: &Block| {
                if round == 0 {
                    let from = episodes.partition_point(|e| e.on.end <= block.first());
                    let mine = episodes[from..].iter().take_while(|e| e.on.start < block.end());
                    mine.for_each(|e| extremes.add(block, &e.on));
                }
            };
            pass::run(stream, &mut jobs, &pool, &mut look)?;
            if round == 0 {
                let held = (HELD_S * rate).ceil() as u64;
                for &c in &channels {
                    let (share, longest, flat) = extremes.of(c);
                    let finite = jobs.iter().all(|j| j.normal.squares(c).is_finite());
                    let why = match () {
                        () if !finite => "not_finite",
                        () if flat => "flat",
                        () if share > SHARE || longest > held.max(2) => "saturated",
                        () => continue,
                    };
                    refused.insert(info.channels[c].name.clone(), why.to_owned());
                }
                channels.retain(|&c| !refused.contains_key(&info.channels[c].name));
            }
            let mut turn = 0.0_f64;
            for (i, job) in jobs.iter().enumerate() {
                let whole = job.range == found.episodes[i].plateau;
                if let Some(step) = frequency::step(job, &telling(&lines[i]), &channels, whole) {
                    for (line, moved) in lines[i].iter_mut().zip(step.lines) {
                        *line = LineOf { harmonics: std::mem::take(&mut line.harmonics), ..moved };
                    }
                    sds[i] = step.sd;
                    turn = turn.max(if whole { step.turn } else { 1.0 });
                }
            }
            if turn <= SETTLED {
                break;
            }
        }
        share_frequency(&mut lines, &sds);
        let lefts: Vec<Vec<String>> = wanted.iter().zip(&mut lines).map(|(w, lines)| w.all(lines)).collect();
        let mut plans: Vec<Plan> = Vec::new();
        for (e, lines) in found.episodes.iter().zip(&lines) {
            plans.push(Plan::new(e, lines, self.stretch(e, rate), groups, rate));
        }
        let mut jobs: Vec<Job> = plans.iter_mut().flat_map(|p| std::mem::take(&mut p.jobs)).collect();
        pass::run(stream, &mut jobs, &pool, &mut |_| {})?;
        let mut jobs = jobs.into_iter();
        let mut squares = vec![[0.0; 2]; info.channels.len()];
        let mut parts = Vec::new();
        for (i, plan) in plans.into_iter().enumerate() {
            let own: Vec<Job> = jobs.by_ref().take(plan.count).collect();
            let episode = &mut found.episodes[i];
            let followed = info.channels.iter().position(|c| c.name == episode.channel).unwrap_or(0);
            let mut solved = plan.solve(&own, &channels, followed, &self.config, rate, &mut squares);
            settle(episode, &lines[i], solved.knots.get(&followed).and_then(|k| k.first()));
            solved.part.lines.clone_from(&lines[i]);
            solved.part.sd_cycles.clone_from(&sds[i]);
            solved.part.left_out.splice(0..0, lefts[i].iter().cloned());
            let name = |(c, knots): (usize, Vec<Vec<f64>>)| (info.channels[c].name.clone(), knots);
            solved.part.knots = solved.knots.into_iter().map(name).collect();
            parts.push(solved.part);
        }
        let named = |c: &usize| info.channels[*c].name.clone();
        let sd = |c: &usize| (squares[*c][0] / squares[*c][1].max(1.0)).sqrt();
        let learnt = Learnt {
            stimulation: found,
            episodes: parts,
            refused,
            residual_sd: channels.iter().filter(|c| squares[**c][1] > 0.0).map(|c| (named(c), sd(c))).collect(),
            at_extremes: (0..info.channels.len())
                .filter(|c| extremes.of(*c).0 > 0.0)
                .map(|c| (named(&c), extremes.of(c).0))
                .collect(),
        };
        Ok(Model {
            name: "harmonics".to_owned(),
            channels: info.channels.iter().map(|c| c.name.clone()).collect(),
            values: serde_json::to_value(&learnt).map_err(|e| crate::Error::data(format!("the model: {e}")))?,
        })
    }
}

impl Fitter {
    /// The samples from which the frequencies are fitted in a round: with several lines from the middle outward.
    fn middle(&self, episode: &Episode, rate: f64, round: usize) -> Range<i64> {
        let find = &self.config.stimulation;
        let plateau = episode.plateau.clone();
        if find.also_hz.is_empty() {
            return plateau;
        }
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

/// The stretches of an episode.
struct Plan {
    jobs: Vec<Job>,
    count: usize,
    /// Pieces of the ramps.
    up: usize,
    down: usize,
    on: Range<i64>,
    plateau: Range<i64>,
}

/// What came out of it: knots by channel.
pub(super) struct Solved {
    pub part: Part,
    pub knots: BTreeMap<usize, Vec<Vec<f64>>>,
}

impl Plan {
    fn new(episode: &Episode, lines: &[LineOf], stretch: i64, groups: usize, rate: f64) -> Self {
        let (on, plateau) = (episode.on.clone(), episode.plateau.clone());
        let length = plateau.end - plateau.start;
        let n = (length / stretch).max(1);
        let edge = |j: i64| plateau.start + (i128::from(length) * i128::from(j) / i128::from(n)) as i64;
        let rises = edges(on.start..plateau.start, episode.cycles, rate);
        let falls = edges(plateau.end..on.end, episode.cycles, rate);
        let (up, down) = (rises.len() - 1, falls.len() - 1);
        let ramp = |e: Vec<i64>| e.windows(2).map(|e| Job::new(e[0]..e[1], lines, 1, groups)).collect::<Vec<Job>>();
        let mut jobs = ramp(rises);
        jobs.extend((0..n).map(|j| Job::new(edge(j)..edge(j + 1), lines, 0, groups)));
        jobs.extend(ramp(falls));
        Self { count: jobs.len(), jobs, up, down, on, plateau }
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
        let flat = &jobs[from..to];
        let drift = drift(flat, followed);
        let windows = match (config.window_s, drift) {
            (Some(_), _) => flat.len() >= 2,
            (None, Some(drift)) => drift > DRIFTS,
            (None, None) => false,
        };
        let window_s = windows.then(|| 2.0 * (flat[0].range.end - flat[0].range.start) as f64 / rate);
        let window = Window { window_s, automatic: config.window_s.is_none(), drift };
        let mut solved = Solved { part: Part { window, ..Part::default() }, knots: BTreeMap::new() };
        // the sums of each knot
        let sums: Vec<Normal> = if windows { flat.windows(2).map(merged).collect() } else { vec![merged(flat)] };
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

fn merged(jobs: &[Job]) -> Normal {
    let mut all = jobs[0].normal.clone();
    jobs[1..].iter().for_each(|j| all.merge(&j.normal));
    all
}

/// How far the fundamental of the stretches spreads, over how far it steps: von Neumann's ratio, 1 for noise.
fn drift(jobs: &[Job], channel: usize) -> Option<f64> {
    if jobs.len() < FEWEST {
        return None;
    }
    let places: Option<Vec<[f64; 2]>> = jobs
        .iter()
        .map(|j| {
            let found = Solver::new(j.normal.gram())?.solve(&j.normal.right(channel));
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
