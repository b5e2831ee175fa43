//! The watch itself: follows the stretches through what goes in and what comes out.

use super::Method;
use super::bands::Bands;
use super::boxes::Boxes;
use super::clip::{self, Clip};
use super::demodulate::{Demodulator, Hops, Spectra};
use super::judge::{RUN_S, Tally, judge};
use super::plan::{Group, HARMONICS, Plan, Stretch};
use super::table::{Row, TACS};
use crate::flow::Watch;
use crate::signal::{Block, LANES, Segment, Stimulation, StreamInfo};
use crate::table::Table;
use std::sync::Arc;

/// Where in the list of stretches a stream stands.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    at: usize,
    open: bool,
}

/// What a block does to the stretch at its place.
enum Step {
    Begin(usize),
    Take(usize, usize, usize),
    End(usize),
}

impl Place {
    /// Walks a block through the stretches.
    fn walk(&mut self, stretches: &[Stretch], block: &Block, mut step: impl FnMut(Step)) {
        while let Some(stretch) = stretches.get(self.at) {
            let (start, end) = (stretch.samples.start, stretch.samples.end);
            if block.end() <= start {
                break;
            }
            let (from, to) = (block.first().max(start), block.end().min(end));
            if from < to {
                if !self.open {
                    self.open = true;
                    step(Step::Begin(self.at));
                }
                step(Step::Take(self.at, (from - block.first()) as usize, (to - block.first()) as usize));
            }
            if block.end() < end {
                break;
            }
            self.close(&mut step);
        }
    }

    fn close(&mut self, step: &mut impl FnMut(Step)) {
        if self.open {
            step(Step::End(self.at));
        }
        *self = Self { at: self.at + 1, open: false };
    }
}

/// What the raw samples of an episode tell about a channel.
#[derive(Debug, Clone, Copy)]
struct Raw {
    before: [f64; HARMONICS],
    phase: f64,
    clip: Clip,
}

/// What the cleaned ones tell.
#[derive(Debug, Clone, Copy)]
struct Cleaned {
    after: [f64; HARMONICS],
    bands: Bands,
}

/// See [`super::watch`].
pub(super) struct Quality {
    method: Method,
    names: Vec<String>,
    rate: f64,
    stimulation: Arc<Stimulation>,
    segments: Vec<(i64, f64)>,
    plan: Plan,
    before: Before,
    after: After,
    given: Given,
}

struct Before {
    place: Place,
    /// By frequency.
    hops: Vec<Hops>,
    boxes: Vec<Boxes>,
    clips: Vec<Clip>,
    /// `[episode][channel]`.
    found: Vec<Option<Raw>>,
}

struct After {
    place: Place,
    demodulators: Vec<Demodulator>,
    boxes: Vec<Boxes>,
    /// Of the episode that is open.
    spectra: Vec<Spectra>,
    /// Of all stretches without stimulation.
    free: Vec<Spectra>,
    found: Vec<Option<Cleaned>>,
}

/// The recording without stimulation, where one was given.
struct Given {
    demodulators: Vec<Demodulator>,
    spectra: Vec<Spectra>,
    /// Segment and sample that come next.
    next: Option<(u32, i64)>,
}

impl Quality {
    pub fn new(info: &StreamInfo, stimulation: Arc<Stimulation>, segments: &[Segment], method: Method) -> Self {
        let (rate, channels) = (info.rate_hz(), info.channels.len());
        let own: Vec<Segment> = segments
            .iter()
            .map(|s| {
                let (first, end) = (info.clock.first_sample_from(s.first), info.clock.first_sample_from(s.end()));
                Segment { first: crate::unit::Tick(first), length: (end - first).max(0) as u64, start_s: s.start_s }
            })
            .collect();
        let plan = Plan::new(&stimulation, &own, rate);
        let episodes = stimulation.episodes.len();
        let long = (RUN_S * rate).floor() as u64 + 1;
        let groups = &plan.groups;
        let demodulators: Vec<_> = groups.iter().map(|g| Demodulator::new(channels, g)).collect();
        let boxes: Vec<_> = groups.iter().map(|g| Boxes::new(channels, g)).collect();
        let spectra: Vec<_> = groups.iter().map(|g| Spectra::new(channels, g)).collect();
        Self {
            names: info.channels.iter().map(|c| c.name.clone()).collect(),
            rate,
            segments: own.iter().map(|s| (s.first.0, s.start_s)).collect(),
            before: Before {
                place: Place::default(),
                hops: groups.iter().map(|g| Hops::new(channels, g.oscillators.len(), false)).collect(),
                boxes: boxes.clone(),
                clips: info.channels.iter().map(|c| Clip::new(c.range, long)).collect(),
                found: vec![None; episodes * channels],
            },
            after: After {
                place: Place::default(),
                demodulators: demodulators.clone(),
                boxes,
                spectra: spectra.clone(),
                free: spectra.clone(),
                found: vec![None; episodes * channels],
            },
            given: Given { demodulators, spectra, next: None },
            method,
            stimulation,
            plan,
        }
    }
}

impl Before {
    fn step(&mut self, plan: &Plan, block: &Block, step: Step) {
        let (Step::Begin(at) | Step::Take(at, ..) | Step::End(at)) = step;
        let Some(episode) = plan.stretches[at].episode else { return };
        let g = plan.group_of[episode];
        match step {
            Step::Begin(_) => {
                self.hops[g].start();
                self.boxes[g].clear();
                self.clips.iter_mut().for_each(Clip::clear);
            }
            Step::Take(_, from, to) => {
                let boxes = &mut self.boxes[g];
                self.hops[g].push(&plan.groups[g], block, from, to, |sums| boxes.add(&plan.groups[g], sums));
                for (t, clips) in self.clips.chunks_mut(LANES).enumerate() {
                    clip::count(clips, &block.group(t)[from..to]);
                }
            }
            Step::End(_) => {
                let n = self.clips.len();
                for c in 0..n {
                    self.found[episode * n + c] = Some(self.read(&plan.groups[g], g, c));
                }
            }
        }
    }

    fn read(&self, group: &Group, g: usize, channel: usize) -> Raw {
        let boxes = &self.boxes[g];
        Raw { before: amplitudes(boxes, group, channel), phase: boxes.read(channel, 0).1, clip: self.clips[channel] }
    }

    /// What is known of a channel in an episode, also while it lasts.
    fn known(&self, plan: &Plan, episode: usize, channel: usize) -> Option<Raw> {
        let g = plan.group_of[episode];
        let open = self.place.open && plan.stretches[self.place.at].episode == Some(episode);
        self.found[episode * self.clips.len() + channel]
            .or_else(|| open.then(|| self.read(&plan.groups[g], g, channel)))
    }
}

fn amplitudes(boxes: &Boxes, group: &Group, channel: usize) -> [f64; HARMONICS] {
    std::array::from_fn(|k| if k < group.oscillators.len() { boxes.read(channel, k).0 } else { f64::NAN })
}

impl After {
    fn step(&mut self, plan: &Plan, before: &Before, block: &Block, step: Step) {
        let (Step::Begin(at) | Step::Take(at, ..) | Step::End(at)) = step;
        match (step, plan.stretches[at].episode) {
            (Step::Begin(_), Some(episode)) => {
                let g = plan.group_of[episode];
                self.demodulators[g].start();
                self.boxes[g].clear();
                self.spectra[g].clear();
            }
            (Step::Begin(_), None) => self.demodulators.iter_mut().for_each(Demodulator::start),
            (Step::Take(_, from, to), Some(episode)) => {
                let g = plan.group_of[episode];
                let boxes = Some(&mut self.boxes[g]);
                self.demodulators[g].push(&plan.groups[g], block, from, to, &mut self.spectra[g], boxes);
            }
            (Step::Take(_, from, to), None) => {
                for (g, group) in plan.groups.iter().enumerate() {
                    self.demodulators[g].push(group, block, from, to, &mut self.free[g], None);
                }
            }
            (Step::End(_), Some(episode)) => {
                let n = before.clips.len();
                for c in 0..n {
                    self.found[episode * n + c] = Some(self.read(plan, before, episode, c));
                }
            }
            (Step::End(_), None) => {}
        }
    }

    fn read(&self, plan: &Plan, before: &Before, episode: usize, channel: usize) -> Cleaned {
        let g = plan.group_of[episode];
        let group = &plan.groups[g];
        let carrier = before.known(plan, episode, channel).map_or(f64::NAN, |raw| raw.phase);
        let bands = Bands::of(&self.spectra[g], channel, group, carrier);
        Cleaned { after: amplitudes(&self.boxes[g], group, channel), bands }
    }

    fn known(&self, plan: &Plan, before: &Before, episode: usize, channel: usize) -> Option<Cleaned> {
        let open = self.place.open && plan.stretches[self.place.at].episode == Some(episode);
        let n = before.clips.len();
        self.found[episode * n + channel].or_else(|| open.then(|| self.read(plan, before, episode, channel)))
    }
}

impl Watch for Quality {
    fn before(&mut self, input: &Block) {
        let mut place = self.before.place;
        let (plan, before) = (&self.plan, &mut self.before);
        place.walk(&plan.stretches, input, |step| before.step(plan, input, step));
        self.before.place = place;
    }

    fn after(&mut self, output: &Block) {
        let mut place = self.after.place;
        let (plan, before, after) = (&self.plan, &self.before, &mut self.after);
        place.walk(&plan.stretches, output, |step| after.step(plan, before, output, step));
        self.after.place = place;
    }

    fn quiet(&mut self, block: &Block) {
        if block.is_empty() {
            return;
        }
        let given = &mut self.given;
        if given.next != Some((block.segment(), block.first())) {
            given.demodulators.iter_mut().for_each(Demodulator::start);
        }
        given.next = Some((block.segment(), block.end()));
        for (g, group) in self.plan.groups.iter().enumerate() {
            given.demodulators[g].push(group, block, 0, block.len(), &mut given.spectra[g], None);
        }
    }

    fn report(&self) -> Vec<Table> {
        let mut table = Table::new(&TACS);
        for (c, name) in self.names.iter().enumerate() {
            let refused = self.method.refused.iter().find(|(n, _)| n == name).map(|(_, why)| why.as_str());
            for episode in 0..self.stimulation.episodes.len() {
                self.row(&mut table, episode, c, name, refused);
            }
        }
        vec![table]
    }

    fn reset(&mut self) {
        (self.before.place, self.after.place) = (Place::default(), Place::default());
        self.before.found.fill(None);
        self.after.found.fill(None);
        self.after.free.iter_mut().chain(&mut self.given.spectra).for_each(Spectra::clear);
        self.given.next = None;
    }

    fn memory_bytes(&self) -> u64 {
        let boxes: u64 = self.before.boxes.iter().map(|b| 2 * b.memory_bytes()).sum();
        let demodulators: u64 = self.after.demodulators.iter().map(|d| 2 * d.memory_bytes()).sum();
        let hops: u64 = self.before.hops.iter().map(Hops::memory_bytes).sum();
        let spectra: u64 = self.after.spectra.iter().map(|s| 3 * s.memory_bytes()).sum();
        let found = self.before.found.len() * (size_of::<Option<Raw>>() + size_of::<Option<Cleaned>>());
        boxes + demodulators + hops + spectra + (found + self.before.clips.len() * size_of::<Clip>()) as u64
    }
}

impl Quality {
    fn row(&self, table: &mut Table, at: usize, channel: usize, name: &str, refused: Option<&str>) {
        let episode = &self.stimulation.episodes[at];
        let g = self.plan.group_of[at];
        let group = &self.plan.groups[g];
        let given = self.given.next.is_some();
        let free =
            Bands::of(if given { &self.given.spectra[g] } else { &self.after.free[g] }, channel, group, f64::NAN);
        let raw = self.before.known(&self.plan, at, channel);
        let cleaned = self.after.known(&self.plan, &self.before, at, channel);
        let nothing = [f64::NAN; HARMONICS];
        let tally = Tally {
            before: raw.map_or(nothing, |r| r.before),
            after: cleaned.map_or(nothing, |c| c.after),
            bands: cleaned.map_or_else(Bands::none, |c| c.bands),
            clip: raw.map_or_else(|| Clip::new(None, 2), |r| r.clip),
            cycles: episode.cycles,
            harmonics: group.oscillators.len(),
            rate: self.rate,
        };
        let judged = judge(&tally, Some(&free), refused);
        let frequency_hz = self.frequency_hz(episode.cycles);
        let seconds = |sample: i64| {
            let (first, start_s) = self.segments.get(episode.segment).copied().unwrap_or((0, 0.0));
            start_s + (sample - first) as f64 / self.rate
        };
        let row = Row {
            episode: at,
            start_s: seconds(episode.on.start),
            end_s: seconds(episode.on.end),
            channel: name,
            method: self.method.name,
            frequency_hz,
            offset_ppm: self.method.nominal_hz.map(|f| (frequency_hz / f - 1.0) * 1e6),
            notch_hz: self.method.notch_hz,
            window_s: group.seconds,
            windows: tally.bands.windows,
            free: free.windows,
            compared_with: match (free.windows > 0, given) {
                (false, _) => "",
                (true, false) => "recording",
                (true, true) => "given",
            },
        };
        table.push(None, row.cells(judged));
    }

    /// The frequency in Hz; of those that look alike in the samples, the one nearest to the nominal.
    fn frequency_hz(&self, cycles: f64) -> f64 {
        let Some(nominal) = self.method.nominal_hz else { return cycles * self.rate };
        let turns = nominal / self.rate;
        let (straight, folded) = ((turns - cycles).round() + cycles, (turns + cycles).round() - cycles);
        let best = if (straight - turns).abs() <= (folded - turns).abs() { straight } else { folded };
        best * self.rate
    }
}
