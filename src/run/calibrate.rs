//! Before the main pass: Stages that must see the whole stream first are fitted, each behind the Stages before it.

use super::front::Watched;
use super::input::Input;
use super::pipeline::{Models, Pipeline, model_of, stages};
use super::recording::{Options, Session, interrupted};
use super::slots::Slots;
use crate::flow::{BuildContext, Model, Problems, Replay, Source};
use crate::recipe::Recipe;
use crate::signal::{Block, ChannelKind, Event, EventName, Free, Segment, Stimulation, StreamInfo};
use crate::unit::Tick;
use crate::{Error, ErrorKind, Result, Warning};

/// The condition of windows during stimulation.
const DURING: &str = "stim";

/// Whether a Stage of the recipe says where stimulation is: then windows may be cut within `pre`, `stim`, `gap` and `post`.
pub(super) fn finds_stimulation(recipe: &Recipe) -> bool {
    super::cleaned::cleans(&recipe.stream)
}

/// What a Stage is built in.
fn context(recipe: &Recipe, input: &Input, threads: usize) -> BuildContext {
    BuildContext {
        line_hz: input.line_hz,
        bad: recipe.input.bad.clone(),
        seed: recipe.input.seed,
        segments: input.segments.clone().into(),
        threads,
        ..BuildContext::default()
    }
}

/// Fits every Stage that asks for it and has no model yet; a model per Stage that needs one, in the order of the Stages. The
/// source stands at its beginning before and after.
pub(super) fn learn(
    source: &mut dyn Source,
    mut quiet: Option<&mut dyn Source>,
    session: &Session,
    options: &Options<'_>,
) -> Result<Models> {
    let (parts, input) = (&session.recipe.stream, &session.input);
    let mut models = options.models.clone();
    let end = input.segments.last().map_or(0, |s| s.end().0);
    for place in 0..parts.len() {
        if let Some(model) = model_of(parts, place, &models) {
            of_this_recording(model, end)?;
            continue;
        }
        let mut problems = Problems::default();
        let mut own = context(&session.recipe, input, options.threads);
        let before = stages(&parts[..place], &models, &input.info, &mut own, &mut problems);
        if before.len() < place {
            // what is wrong there is told by `Pipeline::build`, with everything else
            break;
        }
        let info = before.last().map_or(&input.info, |(stage, _)| stage.output()).clone();
        problems.enter(format!("stream[{place}]"));
        let Some(mut fit) = parts[place].config().fit(&info, &mut own, &mut problems) else {
            problems.into_result()?;
            continue;
        };
        source.rewind()?;
        let own = (session.stream, session.channels.as_slice());
        let mut stream = Chain::new(source, own, before, info.clone(), session, options);
        if let Some(quiet) = quiet.as_deref_mut() {
            quiet.rewind()?;
            let mut other = context(&session.recipe, input, options.threads);
            let before = stages(&parts[..place], &models, &input.info, &mut other, &mut problems);
            let own = (session.quiet_stream, session.quiet_channels.as_slice());
            stream.quiet = Some(Box::new(Chain::new(quiet, own, before, info, session, options)));
        }
        models.push(fit.fit(&mut stream).map_err(|e| placed(e, place, parts[place].name()))?);
    }
    source.rewind()?;
    Ok(models)
}

/// Where the models say that stimulation was, as events of the input: `pre`, `stim`, `gap` and `post`, each as long as it lasted, so
/// that windows can be cut within them. A batch cues them of its own accord; whoever pushes live cues them too.
///
/// A name that the input uses for something else gets ` (found)` behind it.
pub fn found_events(recipe: &Recipe, models: &Models, input: &mut Input) -> Vec<Event> {
    let mut found = Vec::new();
    for place in 0..recipe.stream.len() {
        let Some(stimulation) = model_of(&recipe.stream, place, models).and_then(stimulation) else { continue };
        let mut context = context(recipe, input, 1);
        let before = stages(&recipe.stream[..place], models, &input.info, &mut context, &mut Problems::default());
        let info = before.last().map_or(&input.info, |(stage, _)| stage.output());
        // the last Stage to speak of stimulation knows best
        found = stretches(&stimulation, info, &input.segments);
    }
    let rate = input.info.clock.input;
    let mut events = Vec::new();
    for name in [Free::Pre.name(), DURING, Free::Gap.name(), Free::Post.name()] {
        if !found.iter().any(|(which, ..)| *which == name) {
            continue;
        }
        let taken = input.event_names.iter().any(|n| n == name);
        let id = EventName(input.event_names.len() as u32);
        input.event_names.push(if taken { format!("{name} (found)") } else { name.to_owned() });
        let mine = found.iter().filter(|(which, ..)| *which == name);
        events.extend(mine.map(|&(_, first, length)| Event {
            duration_s: rate.seconds(length as f64),
            ..Event::new(Tick(first), id)
        }));
    }
    events.sort_by_key(|e| e.tick);
    events
}

/// Tells of lines that look like stimulators nobody spoke of: they are not cleaned.
pub(super) fn other_lines(recipe: &Recipe, models: &Models) -> Option<Warning> {
    let found =
        (0..recipe.stream.len()).find_map(|place| model_of(&recipe.stream, place, models).and_then(stimulation))?;
    let hz: Vec<String> = found.others_hz.iter().map(|hz| format!("{hz:.2}")).collect();
    let message = format!(
        "lines nearly as strong as the stimulation stand at {} Hz, and are not cleaned: if a second stimulator was on, tell both \
         frequencies (stimulation.frequency_hz and stimulation.also_hz)",
        hz.join(", ")
    );
    (!hz.is_empty()).then(|| Warning::new("W_OTHER_LINES", message))
}

/// Channels that a Fit refused to clean, and why.
pub(super) fn refused(models: &[Model]) -> Vec<(String, String)> {
    let all = models.iter().filter_map(|m| m.values.get("refused")?.as_object()).flatten();
    all.filter_map(|(name, why)| Some((name.clone(), why.as_str()?.to_owned()))).collect()
}

/// Those of the input's channels that a Fit refused, unless that is every EEG channel: then nothing would be left to be shown.
pub(super) fn left_out(models: &[Model], input: &Input) -> Vec<String> {
    let names: Vec<String> = refused(models).into_iter().map(|(name, _)| name).collect();
    let mut eeg = input.info.channels.iter().filter(|c| c.kind == ChannelKind::Eeg);
    if eeg.all(|c| names.contains(&c.name)) { Vec::new() } else { names }
}

/// Refuses a Model whose stimulation cannot be this recording's.
fn of_this_recording(model: &Model, end: i64) -> Result<()> {
    let last = stimulation(model).and_then(|s| s.episodes.last().map(|e| e.on.end));
    match last.filter(|last| *last > end) {
        Some(last) => Err(Error::data(format!(
            "the model of {} was fitted on another recording: its stimulation ends at sample {last}, this one at {end}",
            model.name
        ))
        .with_hint("give models of this recording, or none: then it is fitted anew")),
        None => Ok(()),
    }
}

/// Says at which Stage it went wrong.
fn placed(error: Error, place: usize, name: &str) -> Error {
    let kind = error.kind();
    if kind == ErrorKind::Interrupted || error.path().is_some() {
        return error;
    }
    let told = Error::new(kind, format!("stream[{place}] ({name}): {}", error.message()));
    match error.hint() {
        Some(hint) => told.with_hint(hint),
        None => told,
    }
}

/// The stimulation that a Model tells of.
fn stimulation(model: &Model) -> Option<Stimulation> {
    serde_json::from_value(model.values.get("stimulation")?.clone()).ok()
}

/// The stretches with and without stimulation, in ticks and in order.
fn stretches(found: &Stimulation, info: &StreamInfo, segments: &[Segment]) -> Vec<(&'static str, i64, i64)> {
    let ticks = |sample: i64| info.clock.tick_of(sample).round() as i64;
    let own = |s: &Segment| {
        let (first, end) = (info.clock.first_sample_from(s.first), info.clock.first_sample_from(s.end()));
        Segment { first: Tick(first), length: (end - first).max(0) as u64, start_s: s.start_s }
    };
    let segments: Vec<Segment> = segments.iter().map(own).collect();
    let free = found.free(&segments).into_iter().map(|(free, _, range)| (free.name(), range));
    let on = found.episodes.iter().map(|e| (DURING, e.plateau.clone()));
    let mut all: Vec<_> = free
        .chain(on)
        .map(|(name, range)| (name, ticks(range.start), ticks(range.end) - ticks(range.start)))
        .filter(|(.., length)| *length > 0)
        .collect();
    all.sort_by_key(|(_, first, _)| *first);
    all
}

/// Lets those who watch see a recording without stimulation first.
pub(super) fn show_quiet(pipeline: &mut Pipeline, quiet: &mut dyn Source, session: &Session) -> Result<()> {
    let watched: Vec<std::ops::Range<usize>> = pipeline.watches().map(|(channels, _)| channels).collect();
    for (k, channels) in watched.into_iter().enumerate() {
        quiet.select(session.quiet_stream, &session.quiet_channels[channels.clone()])?;
        let mut block = Block::new(channels.len(), session.input.info.max_block);
        while quiet.read(&mut block)? {
            if let Some((_, watch)) = pipeline.watches().nth(k) {
                watch.quiet(&block);
            }
        }
    }
    Ok(())
}

/// A source behind some Stages, as a [`Replay`].
struct Chain<'a> {
    source: &'a mut dyn Source,
    /// What is selected there: stream and channels.
    own: (usize, &'a [usize]),
    slots: Slots,
    info: StreamInfo,
    session: &'a Session,
    options: &'a Options<'a>,
    block: Block,
    ended: bool,
    quiet: Option<Box<Chain<'a>>>,
}

impl<'a> Chain<'a> {
    fn new(
        source: &'a mut dyn Source,
        own: (usize, &'a [usize]),
        before: Vec<Watched>,
        info: StreamInfo,
        session: &'a Session,
        options: &'a Options<'a>,
    ) -> Self {
        let input = &session.input.info;
        Self {
            source,
            own,
            slots: Slots::new(before),
            info,
            session,
            options,
            block: Block::new(input.channels.len(), input.max_block),
            ended: false,
            quiet: None,
        }
    }
}

impl Replay for Chain<'_> {
    fn info(&self) -> &StreamInfo {
        &self.info
    }

    fn segments(&self) -> &[Segment] {
        &self.session.input.segments
    }

    fn events(&self) -> &[Event] {
        &self.session.events
    }

    fn event_names(&self) -> &[String] {
        &self.session.input.event_names
    }

    fn rewind(&mut self) -> Result<()> {
        self.slots.reset();
        self.ended = false;
        self.source.rewind()
    }

    fn next(&mut self, out: &mut Block) -> Result<bool> {
        interrupted(self.options)?;
        if self.slots.is_empty() {
            return self.source.read(out);
        }
        while self.slots.ready.is_empty() {
            if self.ended {
                return Ok(false);
            }
            if self.source.read(&mut self.block)? {
                self.slots.push(&self.block);
            } else {
                self.ended = true;
                self.slots.finish();
            }
        }
        if let Some(block) = self.slots.ready.pop_front() {
            out.copy_from(&block, 0, block.len(), 0);
        }
        Ok(true)
    }

    fn skip_to(&mut self, first: i64) -> Result<()> {
        // Stages need to have seen everything
        if self.slots.is_empty() { self.source.skip_to(first) } else { Ok(()) }
    }

    fn alone(&mut self, channel: Option<usize>) -> Result<bool> {
        if !self.slots.is_empty() {
            return Ok(false);
        }
        let (stream, all) = self.own;
        match channel.map(|c| all.get(c..=c)) {
            Some(Some(one)) => self.source.select(stream, one)?,
            Some(None) => return Ok(false),
            None => self.source.select(stream, all)?,
        }
        Ok(true)
    }

    fn quiet(&mut self) -> Option<&mut dyn Replay> {
        self.quiet.as_deref_mut().map(|q| -> &mut dyn Replay { q })
    }
}
