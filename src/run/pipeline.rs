//! The pipeline: built from a recipe, fed by `cue` and `push`, read by `report` at any moment.

use super::epochs::{Epochs, Part, TrialRow};
use super::front::{Front, Watched};
use super::tap::Tap;
use super::{Input, tables};
use crate::flow::{BuildContext, EpochInfo, Marker, Model, Problems, Report, Ring, Schedule, Source, Trigger, Watch};
use crate::recipe::{EpochPart, Recipe, StagePart};
use crate::signal::{Block, Event, EventName, LANES, PsdPlan, PsdSum, StreamInfo};
use crate::table::Table;
use crate::unit::{Clock, Tick, window_offsets};
use crate::{Error, Result};
use std::time::Duration;

/// Saved models of Fits, used instead of fitting: the only way Fits run live.
pub type Models = Vec<Model>;

/// Longest time after its sample that an event may be waited for.
const MOST_LATE_MS: f64 = 60_000.0;

/// Input blocks per round, after which the fronts meet at the cutter. A constant: results and memory do not depend on it
/// beyond the rings' size.
const ROUND: usize = 16;

/// A recipe at work on one recording or session.
///
/// ```text
/// build → ( cue* push* (report | drain)* )* → finish → report
/// ```
/// `cue` and `push` allocate nothing, take no lock, write no log and cannot fail; a recipe with a Fit that has no model
/// spools its epochs to a temporary file instead and is meant for batch.
pub struct Pipeline {
    input: Input,
    conditions: Vec<(EventName, String)>,
    pulses: Vec<EventName>,
    bridged_ticks: Vec<(i64, i64)>,
    fronts: Vec<Front>,
    schedule: Schedule,
    epochs: Epochs,
    stage_reports: Vec<StageReport>,
    finished: bool,
    /// Whether windows are cut by the clock: then each of them is an event.
    by_clock: bool,
    seen_events: Vec<(u16, f64)>,
    /// Channels that a Fit could not clean, and why.
    refused: Vec<(String, String)>,
}

/// What `check` says about one Stage.
#[derive(Debug, Clone, serde::Serialize)]
pub struct StageReport {
    /// Name in the recipe.
    pub name: &'static str,
    /// Rate that leaves it, Hz.
    pub rate_hz: f64,
    /// How far it looks ahead, ms.
    pub lookahead_ms: f64,
    /// Bytes of its buffers.
    pub memory_bytes: u64,
    /// Bounds, taps, …
    pub notes: String,
}

impl Pipeline {
    /// Plans and allocates everything. `threads` fronts share the channels where no Stage joins them.
    ///
    /// # Errors
    /// Every problem of the recipe at once, each with its path; or what the recording cannot support.
    pub fn build(recipe: &Recipe, input: &Input, models: &Models, threads: usize) -> Result<Self> {
        let mut problems = Problems::default();
        let conditions = conditions(recipe, input)?;
        let pulses = pulses(recipe, input, &conditions);
        let late_ticks = input.info.clock.input.ticks(recipe.input.late_ms.max(0.0) / 1e3).ceil() as u64;
        // what could not be cleaned must not reach the others through an average reference
        let bad: Vec<String> =
            recipe.input.bad.iter().cloned().chain(super::calibrate::left_out(models, input)).collect();
        let context = || BuildContext {
            pulses: pulses.clone(),
            late_ticks,
            line_hz: input.line_hz,
            bad: bad.clone(),
            seed: recipe.input.seed,
            segments: input.segments.clone().into(),
            threads,
            ..BuildContext::default()
        };
        problems.enter("stream");
        if input.epoched.is_some() && !recipe.stream.is_empty() {
            problems.add("", "the input comes in epochs: Stages would run across their edges");
        }
        problems.enter("input");
        if !(0.0..=MOST_LATE_MS).contains(&recipe.input.late_ms) {
            problems.add("late_ms", format!("{} is not between 0 and {MOST_LATE_MS}", recipe.input.late_ms));
        }
        for name in &recipe.input.bad {
            if !input.info.channels.iter().any(|c| c.name == *name) {
                problems.add("bad", format!("no channel that is analysed is called {name}"));
            }
        }

        // one front per thread, whole tiles each, unless a Stage joins channels
        let joins = recipe.stream.iter().any(|part| part.config().joins_channels());
        let groups = input.info.channels.len().div_ceil(LANES);
        let n = if joins { 1 } else { threads.clamp(1, groups.max(1)) };
        let mut chains = Vec::new();
        let mut shared = context();
        for i in 0..n {
            let (from, to) = (groups * i / n * LANES, (groups * (i + 1) / n * LANES).min(input.info.channels.len()));
            let info = StreamInfo { channels: input.info.channels[from..to].into(), ..input.info.clone() };
            let mut own = context();
            let mut own_problems = Problems::default();
            let built = stages(&recipe.stream, models, &info, &mut own, &mut own_problems);
            if i == 0 {
                own_problems.list().iter().for_each(|p| {
                    problems.enter("");
                    problems.add(&p.path, p.message.clone());
                });
                shared = own;
            }
            chains.push((from..to, info, built));
        }
        // where a Stage cannot be built, the rest is still checked, against what came before it
        let Some(out) = chains.first().map(|(_, info, built)| built.last().map_or(info, |(s, _)| s.output()).clone())
        else {
            return Err(Error::usage("the recipe's stream could not be built"));
        };

        // epochs from elsewhere are cut where they begin, whatever lies at their time 0
        let (trigger, offset, first, len) = match &input.epoched {
            Some(epochs) => (Trigger::Event, 0, epochs.first, epochs.len),
            None => {
                let (trigger, first, len) = cut(recipe, &out, late_ticks, &mut problems);
                (trigger, first, first, len)
            }
        };
        // a Stage that joins channels may add some behind them
        let channels = if n == 1 { out.channels.clone() } else { input.info.channels.clone() };
        let info = EpochInfo { clock: out.clock, channels: channels.clone(), first, len, conditions: conditions.len() };
        let (parts, markers) = behind(recipe, &info, models, &mut shared, &mut problems);
        let plans: Vec<PsdPlan> = shared.spectra.iter().map(|(_, plan)| plan.clone()).collect();
        problems.into_result()?;
        if chains.iter().any(|(_, _, built)| built.len() != recipe.stream.len()) {
            return Err(Error::usage("the recipe's stream could not be built"));
        }

        let named: Vec<bool> = channels.iter().map(|c| bad.contains(&c.name)).collect();
        let epochs = Epochs::new(info, &named, parts, markers, &plans);
        let round = (ROUND * input.info.max_block) as f64 * out.clock.up as f64 / out.clock.down as f64;
        let late = late_ticks as f64 * out.clock.up as f64 / out.clock.down as f64;
        let room = len + out.max_block + round.ceil() as usize + late.ceil() as usize + 2;
        let capacity = if recipe.cuts() { room } else { 0 };
        let monitored = usize::from(matches!(recipe.stream.first(), Some(StagePart::Pulse(_))));
        let mut notes = Vec::new();
        let fronts: Vec<Front> = chains
            .into_iter()
            .map(|(channels, info, built)| {
                let leaving = built.last().map_or(&info, |(stage, _)| stage.output()).channels.len();
                if notes.is_empty() {
                    notes = describe(&recipe.stream, &info.clock, &built);
                }
                let ring = Ring::new(leaving, capacity);
                Front::new(channels, &info, built, ring, monitored)
            })
            .collect();
        let rate = input.info.clock.input.hz();
        let bridged_ticks = shared.bridged_ms.iter().filter_map(|w| window_offsets(*w, rate)).collect();
        Ok(Self {
            input: input.clone(),
            conditions,
            pulses,
            bridged_ticks,
            fronts,
            schedule: Schedule::new(out.clock, trigger, offset, len),
            epochs,
            stage_reports: notes,
            finished: false,
            by_clock: trigger != Trigger::Event,
            refused: super::calibrate::refused(models),
            seen_events: Vec::with_capacity(crate::flow::MAX_PENDING),
        })
    }

    /// Adds a marker of the caller's own; it sees every kept epoch from now on and reports beside the recipe's.
    pub fn add_marker(&mut self, marker: Box<dyn Marker>) {
        self.epochs.markers.push(marker);
    }

    /// How long after its own sample a result can be known: look-ahead of all Stages plus the window's end.
    pub fn latency(&self) -> Duration {
        let ahead: f64 = self.stage_reports.iter().map(|s| s.lookahead_ms / 1e3).sum();
        let rate = self.epochs.info.rate_hz();
        let window = (self.epochs.info.first + self.epochs.info.len as i64).max(0) as f64 / rate;
        Duration::from_secs_f64(ahead + window)
    }

    /// What each Stage does to rate, delay and memory.
    pub fn stages(&self) -> &[StageReport] {
        &self.stage_reports
    }

    /// Bytes of all buffers.
    pub fn memory_bytes(&self) -> u64 {
        let averages = self.epochs.averages.len() * self.epochs.info.channels.len() * self.epochs.info.len * 16;
        let markers: u64 = self.epochs.markers.iter().map(|m| m.memory_bytes()).sum();
        let spectra: u64 = self.epochs.spectra.iter().flatten().map(PsdSum::memory_bytes).sum();
        self.fronts.iter().map(Front::memory_bytes).sum::<u64>() + averages as u64 + markers + spectra
    }

    /// Shape of the epochs.
    pub fn epoch_info(&self) -> &EpochInfo {
        &self.epochs.info
    }

    /// Condition names, in order of first appearance.
    pub fn conditions(&self) -> Vec<String> {
        self.conditions.iter().map(|(_, name)| name.clone()).collect()
    }

    /// Whether a Fit waits for its model, so that results come only after `finish`.
    pub fn waits_for_fit(&self) -> bool {
        self.epochs.has_open_fit()
    }

    /// Most samples that one round of a batch draws.
    pub(super) fn samples_per_round(max_block: usize) -> i64 {
        (ROUND * max_block) as i64
    }

    /// Channels of each front, in order: a batch may feed every front from a source of its own.
    pub(super) fn front_channels(&self) -> Vec<std::ops::Range<usize>> {
        self.fronts.iter().map(|f| f.channels.clone()).collect()
    }

    /// An event: at best before its sample is pushed, at worst `late_ms` after.
    pub fn cue(&mut self, event: &Event) {
        if self.pulses.contains(&event.name) {
            self.fronts.iter_mut().for_each(|f| f.cue(event));
            for &(lo, hi) in &self.bridged_ticks {
                self.schedule.bridge(event.tick.plus(lo), event.tick.plus(hi));
            }
        }
        if let Some(condition) = self.conditions.iter().position(|(name, _)| *name == event.name) {
            let before = (self.schedule.first() - self.epochs.info.first) as f64 / self.epochs.info.rate_hz();
            let onset_s = self.input.seconds_at(event.tick.0 as f64 + event.fraction) + before;
            if !self.by_clock && self.seen_events.len() < self.seen_events.capacity() {
                self.seen_events.push((condition as u16, onset_s));
            }
            self.schedule.cue(event, condition as u16, onset_s);
        }
    }

    /// A block of samples, all channels, of any length within one segment. Results become ready inside.
    pub fn push(&mut self, block: &Block) {
        if block.is_empty() {
            return;
        }
        if self.fronts.first().and_then(|f| f.segment).is_some_and(|s| s != block.segment()) {
            self.end_segment(Some(Tick(block.first())));
        }
        // no more at once than the rings are sized for
        let most = ROUND * self.input.info.max_block;
        for from in (0..block.len()).step_by(most) {
            let len = most.min(block.len() - from);
            self.fronts.iter_mut().for_each(|f| f.push_range(block, from, len));
            self.cut_ready();
        }
    }

    /// A gap: what follows is a new segment that starts with tick `next`. Filters finish and start anew.
    pub fn gap(&mut self, next: Tick) {
        self.end_segment(Some(next));
    }

    /// One round of a batch: every front draws [`ROUND`] blocks from its own source, in parallel where there are several.
    /// All sources hold the same recording; each is set to the front's channels. Returns `false` at the end.
    pub(super) fn round(&mut self, feeds: &mut [Feed<'_>]) -> Result<bool> {
        use rayon::prelude::*;
        let draw = |(front, feed): (&mut Front, &mut Feed<'_>)| feed.draw(front);
        let states: Vec<Result<Drawn>> = match self.fronts.len() {
            1 => self.fronts.iter_mut().zip(feeds).map(draw).collect(),
            _ => self.fronts.par_iter_mut().zip(feeds).map(draw).collect(),
        };
        let mut state = Drawn::More;
        for s in states {
            state = s?;
        }
        self.cut_ready();
        match state {
            Drawn::More => Ok(true),
            Drawn::SegmentEnd(next) => {
                self.end_segment(Some(next));
                Ok(true)
            }
            Drawn::End => Ok(false),
        }
    }

    fn cut_ready(&mut self) {
        while let Some(reason) = self.schedule.next(self.fronts.iter().map(|f| &f.ring), &mut self.epochs.epoch) {
            if self.epochs.epoch.onset_s.is_nan() {
                self.epochs.epoch.onset_s = self.input.seconds_at(self.epochs.epoch.event.tick.0 as f64);
                if self.seen_events.len() < self.seen_events.capacity() {
                    self.seen_events.push((self.epochs.epoch.condition, self.epochs.epoch.onset_s));
                }
            }
            if reason.is_none() {
                let epoch = &mut self.epochs.epoch;
                let from = epoch.clock.nearest_sample(epoch.event.tick) + self.schedule.first();
                self.fronts.iter().for_each(|f| f.holes.put_back(epoch, from, f.channels.start));
            }
            self.epochs.take(reason);
        }
    }

    fn end_segment(&mut self, next: Option<Tick>) {
        self.fronts.iter_mut().for_each(Front::finish);
        self.schedule.segment_ends();
        self.cut_ready();
        let rings = || self.fronts.iter().map(|f| &f.ring);
        while let Some(reason) = self.schedule.next_cut_off(rings(), next, &mut self.epochs.epoch) {
            self.epochs.take(Some(reason));
        }
        self.fronts.iter_mut().for_each(|f| {
            f.ring.clear();
            f.holes.forget_past();
            f.segment = None;
        });
        if let Some(next) = next {
            self.schedule.next_segment(next);
        }
    }

    /// Nothing more will come: gives the tails, drops what reaches beyond the end, solves the Fits.
    ///
    /// # Errors
    /// When a Fit fails, or its spool did.
    pub fn finish(&mut self, rows: &mut Vec<TrialRow>) -> Result<()> {
        if !self.finished {
            self.finished = true;
            self.end_segment(None);
        }
        self.epochs.drain(rows);
        self.epochs.solve(|epochs| epochs.drain(rows))?;
        self.epochs.drain(rows);
        Ok(())
    }

    /// Moves what grows with time (a row per trial) out of the bounded queues: rows of `trials`, and the series tables of
    /// markers that have them. Call it between pushes.
    pub fn drain(&mut self, rows: &mut Vec<TrialRow>, tables: &mut Vec<Table>) {
        self.epochs.drain(rows);
        self.epochs.markers.iter_mut().for_each(|m| m.drain(tables));
        self.fronts.iter_mut().flat_map(Front::watches).for_each(|w| w.drain(tables));
    }

    /// All tables as of now, except `trials`, whose rows were drained. Beside the markers' tables: `channels`.
    pub fn report(&self) -> Vec<Table> {
        let names = self.conditions();
        let facts = tables::facts(self.conditions.len(), &self.seen_events, self.saturation());
        let report = Report {
            input: &self.epochs.info,
            enters: &self.epochs.last_enters,
            bad: &self.epochs.last_bad,
            conditions: &names,
            averages: &self.epochs.averages,
            spectra: &self.epochs.spectra,
            events: &facts,
        };
        let notes: Vec<_> = self.epochs.markers.iter().flat_map(|m| m.channel_notes(&report)).collect();
        let mut out = vec![tables::channels(
            &report,
            &self.input,
            &self.epochs.rejected,
            &self.epochs.models,
            &self.refused,
            &self.epochs.last_interpolated,
            &notes,
        )];
        for marker in &self.epochs.markers {
            out.extend(marker.report(&report));
        }
        // those who watch Stages see some channels each: their rows are joined in channel order
        for table in self.fronts.iter().flat_map(Front::report) {
            match out.iter_mut().find(|t| t.name() == table.name()) {
                Some(whole) => whole.append(table),
                None => out.push(table),
            }
        }
        out
    }

    /// Who watches the Stages, front by front: with the front's channels.
    pub(super) fn watches(&mut self) -> impl Iterator<Item = (std::ops::Range<usize>, &mut Box<dyn Watch>)> {
        self.fronts.iter_mut().flat_map(|front| {
            let channels = front.channels.clone();
            front.watches().map(move |watch| (channels.clone(), watch))
        })
    }

    /// From now on what leaves the Stage at `place` is kept, front by front; clock and channels of each.
    pub(super) fn tap(&mut self, place: usize) -> Vec<StreamInfo> {
        self.fronts.iter_mut().filter_map(|front| front.tap(place).cloned()).collect()
    }

    /// What is kept, front by front.
    pub(super) fn taps(&mut self) -> impl Iterator<Item = &mut Tap> {
        self.fronts.iter_mut().filter_map(Front::tapped)
    }

    /// Models that Fits have learnt, to be saved and used live.
    pub fn models(&self) -> &[Model] {
        &self.epochs.models
    }

    /// Trial rows that were lost because nobody drained them, and events that found the queue full.
    pub fn lost(&self) -> (u64, u64) {
        (self.epochs.rows_lost, self.schedule.overflow())
    }

    /// Share of samples at the limits of the number type, outside bridged pulses.
    fn saturation(&self) -> f64 {
        let (hits, all) = self.fronts.iter().map(Front::saturation).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        if all == 0 { f64::NAN } else { hits as f64 / all as f64 }
    }

    /// Forgets the recording, keeps plans, buffers and solved Fits: ready for the next one of the same shape.
    pub fn reset(&mut self) {
        self.fronts.iter_mut().for_each(Front::reset);
        self.schedule.reset();
        self.epochs.reset();
        self.seen_events.clear();
        self.finished = false;
    }
}

/// How far a front got in a round.
pub(super) enum Drawn {
    More,
    SegmentEnd(Tick),
    End,
}

/// A source behind a front, with the block that may already belong to the next segment.
pub(super) struct Feed<'s> {
    pub source: &'s mut dyn Source,
    pub block: Block,
    pub held: bool,
}

impl<'s> Feed<'s> {
    pub fn new(source: &'s mut dyn Source, channels: usize, max_block: usize) -> Self {
        Self { source, block: Block::new(channels, max_block), held: false }
    }

    fn draw(&mut self, front: &mut Front) -> Result<Drawn> {
        for _ in 0..ROUND {
            if !self.held && !self.source.read(&mut self.block)? {
                return Ok(Drawn::End);
            }
            self.held = false;
            if front.segment.is_some_and(|s| s != self.block.segment()) {
                self.held = true;
                return Ok(Drawn::SegmentEnd(Tick(self.block.first())));
            }
            front.push(&self.block);
        }
        Ok(Drawn::More)
    }
}

/// The Stages of a recipe and who watches them. Those that must be fitted find their models by name, the second of a name the
/// second model.
pub(super) fn stages(
    parts: &[StagePart],
    models: &Models,
    input: &StreamInfo,
    context: &mut BuildContext,
    problems: &mut Problems,
) -> Vec<Watched> {
    let mut built: Vec<Watched> = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        problems.enter(format!("stream[{i}]"));
        let info = built.last().map_or(input, |(s, _)| s.output()).clone();
        context.model = model_of(parts, i, models).cloned();
        // one that cannot be built has told why; the next parts are still checked, against what came before
        if let Some(stage) = part.config().build(&info, context, problems) {
            let watch = part.config().watch(&info, stage.output(), context);
            built.push((stage, watch));
        }
        context.model = None;
    }
    built
}

/// The model of the Stage at `place`.
pub(super) fn model_of<'m>(parts: &[StagePart], place: usize, models: &'m Models) -> Option<&'m Model> {
    let name = parts[place].name();
    let before = parts[..place].iter().filter(|p| p.name() == name).count();
    models.iter().filter(|m| m.name == name).nth(before)
}

fn describe(parts: &[StagePart], input: &Clock, built: &[Watched]) -> Vec<StageReport> {
    let mut rate = input.rate_hz();
    let mut out = Vec::new();
    for (part, (stage, _)) in parts.iter().zip(built) {
        let lookahead_ms = stage.lookahead() as f64 * 1e3 / rate;
        rate = stage.output().rate_hz();
        let (memory_bytes, notes) = (stage.memory_bytes(), stage.notes());
        out.push(StageReport { name: part.name(), rate_hz: rate, lookahead_ms, memory_bytes, notes });
    }
    out
}

/// Trigger, first offset and length of the windows.
fn cut(recipe: &Recipe, out: &StreamInfo, late_ticks: u64, problems: &mut Problems) -> (Trigger, i64, usize) {
    problems.enter("cut");
    let rate = out.rate_hz();
    let samples = |ms: f64| (ms * rate / 1e3).round();
    if let Some(every) = recipe.cut.every_ms {
        let (len, step) = (samples(every), samples(recipe.cut.step_ms.unwrap_or(every)));
        for (key, samples) in [("every_ms", len), ("step_ms", step)] {
            if !(1.0..1e9).contains(&samples) {
                problems.add(key, format!("{samples} samples at {rate} Hz: at least 1 and fewer than 10^9 are needed"));
            }
        }
        if !((1.0..1e9).contains(&len) && (1.0..1e9).contains(&step)) {
            return (Trigger::Event, 0, 1);
        }
        let step = step as u64;
        let late = (late_ticks as f64 * out.clock.up as f64 / out.clock.down as f64).ceil() as u64;
        let within = recipe.cut.within.is_some();
        let trigger = if within { Trigger::Within { step, late: late + 1 } } else { Trigger::Every { step } };
        return (trigger, 0, len as usize);
    }
    let Some(window) = recipe.cut.window_ms else { return (Trigger::Event, 0, 1) };
    match window_offsets(window, rate) {
        Some((lo, hi)) if hi - lo < 1 << 26 => (Trigger::Event, lo, (hi - lo + 1) as usize),
        _ => {
            problems.add("window_ms", format!("{}…{} ms is not a window at {rate} Hz", window[0], window[1]));
            (Trigger::Event, 0, 1)
        }
    }
}

fn behind(
    recipe: &Recipe,
    info: &EpochInfo,
    models: &Models,
    context: &mut BuildContext,
    problems: &mut Problems,
) -> (Vec<Part>, Vec<Box<dyn Marker>>) {
    let mut parts = Vec::new();
    for (i, part) in recipe.epoch.iter().enumerate() {
        problems.enter(format!("epoch[{i}]"));
        match part {
            EpochPart::Step(step) => parts.extend(step.config().build(info, context, problems).map(Part::Step)),
            EpochPart::Fit(fit) => {
                let Some(built) = fit.config().build(info, context, problems) else { continue };
                match models.iter().find(|m| m.name == fit.name()) {
                    Some(model) => match built.freeze(model) {
                        Ok(step) => parts.push(Part::Step(step)),
                        Err(error) => problems.add("", error.to_string()),
                    },
                    None => parts.push(Part::Fit(built)),
                }
            }
        }
    }
    let mut markers = Vec::new();
    for (i, part) in recipe.marker.iter().enumerate() {
        problems.enter(format!("marker[{i}]"));
        markers.extend(part.config().build(info, context, problems));
    }
    (parts, markers)
}

/// The events that are cut around: those of the input that `cut.event` names. `auto` must have been settled before,
/// unless there is just one.
fn conditions(recipe: &Recipe, input: &Input) -> Result<Vec<(EventName, String)>> {
    if !recipe.cuts() && input.epoched.is_none() {
        return Ok(Vec::new());
    }
    let clocked = recipe.cut.every_ms.is_some() && input.epoched.is_none();
    if clocked && recipe.cut.within.is_none() {
        return Ok(vec![(EventName(u32::MAX), String::new())]);
    }
    let Some(wanted) = recipe.cut.within.as_ref().filter(|_| clocked).or(recipe.cut.event.as_ref()) else {
        return Err(Error::usage("cut: needs `event`, or `every_ms` to cut by the clock"));
    };
    let any = wanted.is("auto") && input.event_names.len() == 1;
    let found: Vec<(EventName, String)> = (0..)
        .map(EventName)
        .zip(&input.event_names)
        .filter(|(_, name)| any || wanted.matches(name))
        .map(|(id, name)| (id, name.clone()))
        .collect();
    if found.is_empty() {
        let have = if input.event_names.is_empty() { "no event".to_owned() } else { input.event_names.join(", ") };
        return Err(Error::data(format!("no event is called {}; there is {have}", wanted.list().join(" or ")))
            .with_hint("name the events with --event, or cut by the clock with every_ms"));
    }
    Ok(found)
}

fn pulses(recipe: &Recipe, input: &Input, conditions: &[(EventName, String)]) -> Vec<EventName> {
    if recipe.input.pulses.is("cut") && recipe.cut.every_ms.is_some() {
        return Vec::new();
    }
    if recipe.input.pulses.is("cut") {
        return conditions.iter().map(|(id, _)| *id).collect();
    }
    (0..)
        .map(EventName)
        .zip(&input.event_names)
        .filter(|(_, n)| recipe.input.pulses.matches(n))
        .map(|(id, _)| id)
        .collect()
}
