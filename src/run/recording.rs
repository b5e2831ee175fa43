//! One recording: opened, pushed through a pipeline, read off.

use super::cleaned::{self, Cleaned};
use super::pipeline::Feed;
use super::{Input, Models, Pipeline, TrialRow, tables};
use super::{calibrate, epoched, events};
use crate::clean::detect::Detector;
use crate::flow::{EpochInfo, Marker, Problems, Source};
use crate::read::probe::{self, OpenOptions};
use crate::recipe::{EpochPart, Line, MarkerPart, Names, Recipe, StagePart};
use crate::signal::{Block, Channel, ChannelKind, Event, EventName, Recording, montage};
use crate::table::Table;
use crate::unit::{Clock, Rate, Tick, Unit};
use crate::{Error, ErrorKind, Result, Warning};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Makes a marker for epochs of this shape; `None` where they do not suit it.
pub type MakeMarker<'a> = dyn Fn(&EpochInfo) -> Option<Box<dyn Marker>> + Sync + 'a;

/// Seconds behind the first pulse in which markers and pulses are compared.
const LOOK_S: f64 = 20.0;

/// How a recording is run, beyond its recipe.
#[derive(Clone, Default)]
pub struct Options<'a> {
    /// Threads for one recording; results do not depend on it.
    pub threads: usize,
    /// How files are opened: defects that may pass, and what a matrix does not say of itself.
    pub open: OpenOptions,
    /// Saved models of Fits.
    pub models: Models,
    /// Markers of the caller's own, made for the epochs that the recipe cuts.
    pub markers: Vec<&'a MakeMarker<'a>>,
    /// A recording of the same channels without stimulation, for Stages that compare with it.
    pub quiet: Option<PathBuf>,
    /// Where to write the cleaned recording (NAME.vhdr), where the recipe cleans one.
    pub cleaned: Option<PathBuf>,
    /// Set from outside to stop at the next round.
    pub stop: Option<&'a AtomicBool>,
    /// Told how many bytes of samples have been read since the last call.
    pub progress: Option<&'a (dyn Fn(u64) + Sync)>,
}

/// What came out of one recording.
#[derive(Debug)]
pub struct Analysis {
    /// Tables, `trials` and `channels` first.
    pub tables: Vec<Table>,
    /// Condition names.
    pub conditions: Vec<String>,
    /// The recipe as it ran, `auto` settled, as TOML.
    pub recipe: String,
    /// Defects of the file, and what else should be known.
    pub warnings: Vec<Warning>,
    /// What Fits have learnt.
    pub models: Models,
    /// Seconds per stretch of work, in order.
    pub seconds: Vec<(&'static str, f64)>,
    /// Kept and asked-for trials.
    pub trials: (u64, u64),
}

/// Runs a recipe on a file.
///
/// # Errors
/// When the file cannot be read or cannot support what the recipe asks.
pub fn analyse(path: &Path, recipe: &Recipe, options: &Options<'_>) -> Result<Analysis> {
    let open = || probe::open(path, &options.open);
    analyse_source(&open, recipe, options).map_err(|e| e.at_path(path))
}

/// Runs a recipe on whatever `open` yields; it is called once per thread.
///
/// # Errors
/// As [`analyse`].
pub fn analyse_source(
    open: &dyn Fn() -> Result<Box<dyn Source>>,
    recipe: &Recipe,
    options: &Options<'_>,
) -> Result<Analysis> {
    let mut clock = Stopwatch::new();
    let mut source = open()?;
    clock.lap("open");
    let mut session = settle(&mut *source, recipe)?;
    clock.lap("settle");

    let mut quiet = options.quiet.as_deref().map(|path| open_quiet(path, &mut session, options)).transpose()?;
    let learnt = calibrate::learn(&mut *source, borrowed(&mut quiet), &session, options)?;
    session.announce(&learnt);
    clock.lap("fit");

    let mut pipeline = build(&mut session, options, &learnt, options.threads.max(1))?;
    if let Some(quiet) = borrowed(&mut quiet) {
        calibrate::show_quiet(&mut pipeline, quiet, &session)?;
    }
    for make in &options.markers {
        let marker = make(pipeline.epoch_info());
        marker.into_iter().for_each(|m| pipeline.add_marker(m));
    }
    clock.lap("build");
    let mut sources = vec![source];
    let ranges = pipeline.front_channels();
    for _ in 1..ranges.len() {
        sources.push(open()?);
    }
    let max_block = session.input.info.max_block;
    let mut feeds: Vec<Feed<'_>> = Vec::new();
    for (source, range) in sources.iter_mut().zip(&ranges) {
        source.select(session.stream, &session.channels[range.clone()])?;
        feeds.push(Feed::new(&mut **source, range.len(), max_block));
    }

    let header = options.cleaned.as_deref().filter(|_| cleaned::cleans(&session.recipe.stream));
    let mut written = header.map(|header| Cleaned::new(&mut pipeline, open()?, &session, header)).transpose()?;
    let mut rows = Vec::new();
    let mut drained = Vec::new();
    let mut events = session.events.iter().peekable();
    let early = if session.input.epoched.is_some() { 0.0 } else { 2.0 };
    let ahead = Pipeline::samples_per_round(max_block) + session.input.info.clock.input.ticks(early) as i64;
    let mut seen_bytes = 0;
    loop {
        interrupted(options)?;
        let reached = feeds.iter().map(|f| f.block.end()).max().unwrap_or(0);
        while let Some(event) = events.next_if(|e| e.tick <= Tick(reached + ahead)) {
            pipeline.cue(event);
        }
        let more = pipeline.round(&mut feeds)?;
        if let Some(written) = &mut written {
            written.take(&mut pipeline)?;
        }
        pipeline.drain(&mut rows, &mut drained);
        if let Some(progress) = options.progress {
            let bytes: u64 = feeds.iter().map(|f| f.source.progress().0).sum::<u64>() / feeds.len().max(1) as u64;
            progress(bytes.saturating_sub(seen_bytes));
            seen_bytes = bytes;
        }
        if !more {
            break;
        }
    }
    events.for_each(|event| pipeline.cue(event));
    clock.lap("stream");
    pipeline.finish(&mut rows)?;
    pipeline.drain(&mut rows, &mut drained);
    if let Some(written) = &mut written {
        written.take(&mut pipeline)?;
    }
    clock.lap("finish");

    let asked = rows.len() as u64;
    let kept = rows.iter().filter(|r| r.reason.is_none()).count() as u64;
    if asked == 0 && session.recipe.cut.every_ms.is_some() {
        return Err(no_window(&session));
    }
    if kept == 0 && session.recipe.cuts() {
        session.warnings.push(Warning::new("W_NO_TRIALS", format!("nothing to average: {}", why_none(&rows))));
    }
    let out = all_results(&pipeline, rows, drained);
    session.warnings.extend(cleaned::shared_residue(&session.recipe, &out));
    let conditions = pipeline.conditions();
    clock.lap("report");
    if let (Some(written), Some(header)) = (written, header) {
        session.warnings.extend(written.finish(&out, header)?);
        clock.lap("cleaned");
    }
    Ok(Analysis {
        tables: out,
        conditions,
        recipe: session.recipe.to_toml(),
        warnings: session.warnings,
        models: learnt.into_iter().chain(pipeline.models().iter().cloned()).collect(),
        seconds: clock.laps,
        trials: (kept, asked),
    })
}

/// Why no trial was kept: the reasons, the most frequent first.
fn why_none(rows: &[TrialRow]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for code in rows.iter().filter_map(|r| r.reason.map(|r| r.code)) {
        match counts.iter_mut().find(|(c, _)| *c == code) {
            Some((_, n)) => *n += 1,
            None => counts.push((code, 1)),
        }
    }
    counts.sort_by_key(|&(_, n)| std::cmp::Reverse(n));
    match counts.iter().map(|(code, n)| format!("{n} by `{code}`")).collect::<Vec<_>>() {
        none if none.is_empty() => "no event was found".to_owned(),
        reasons => format!("every trial was dropped, {} (see `trials`)", reasons.join(", ")),
    }
}

/// Whether the user has had enough.
pub(super) fn interrupted(options: &Options<'_>) -> Result<()> {
    if options.stop.is_some_and(|s| s.load(Ordering::Relaxed)) {
        return Err(Error::new(ErrorKind::Interrupted, "interrupted")
            .with_hint("run the same command again, with --force where results stand already"));
    }
    Ok(())
}

fn borrowed(source: &mut Option<Box<dyn Source>>) -> Option<&mut dyn Source> {
    source.as_mut().map(|source| -> &mut dyn Source { &mut **source })
}

/// Opens the recording without stimulation and finds the session's channels in it.
fn open_quiet(path: &Path, session: &mut Session, options: &Options<'_>) -> Result<Box<dyn Source>> {
    let find = || {
        let mut source = probe::open(path, &options.open)?;
        let stream = source.recording().main_stream();
        if stream.rate != session.input.info.clock.input {
            let (its, ours) = (stream.rate, session.input.info.clock.input);
            return Err(Error::data(format!("is sampled at {its}, the recording with stimulation at {ours}")));
        }
        let place = |wanted: &Channel| {
            let found = stream.channels.iter().position(|c| c.name == wanted.name);
            found.ok_or_else(|| Error::data(format!("has no channel {}", wanted.name)))
        };
        let channels: Vec<usize> = session.input.info.channels.iter().map(place).collect::<Result<_>>()?;
        let main = source.recording().main;
        source.select(main, &channels)?;
        Ok((source, main, channels))
    };
    let (source, stream, channels) = find().map_err(|e: Error| e.at_path(path))?;
    (session.quiet_stream, session.quiet_channels) = (stream, channels);
    Ok(source)
}

/// Windows by the clock were asked for, and there is no stretch as long as one.
fn no_window(session: &Session) -> Error {
    let (cut, rate) = (&session.recipe.cut, session.input.info.clock.input);
    let longest = session.input.segments.iter().map(|s| s.length).max().unwrap_or(0);
    let inside = if cut.within.is_some() { " inside the events" } else { "" };
    let message = format!(
        "no window of {} ms fits{inside}; the longest stretch without a gap is {:.3} s",
        cut.every_ms.unwrap_or(f64::NAN),
        rate.seconds(longest as f64)
    );
    Error::data(message).with_hint("shorter windows: --every MS, or --set cut.every_ms=MS")
}

/// All tables of a finished pipeline: `trials` and `channels` first, then the markers'. `rows` and `drained` are what
/// [`Pipeline::drain`] and [`Pipeline::finish`] gave.
pub fn all_results(pipeline: &Pipeline, rows: Vec<TrialRow>, drained: Vec<Table>) -> Vec<Table> {
    let mut out = vec![tables::trials(rows, &pipeline.epoch_info().channels)];
    out.extend(pipeline.report());
    for table in drained {
        match out.iter_mut().find(|t| t.name() == table.name()) {
            Some(whole) => whole.append(table),
            None => out.push(table),
        }
    }
    out
}

/// The pipeline for a session. What is wrong now is wrong for this recording, unless it is wrong for any.
fn build(session: &mut Session, options: &Options<'_>, models: &Models, threads: usize) -> Result<Pipeline> {
    let pipeline = Pipeline::build(&session.recipe, &session.input, models, threads)
        .map_err(|e| if wrong_everywhere(session, options) { e } else { e.of_kind(ErrorKind::Data) })
        .map_err(|e| epoched::advise(e, &session.input))?;
    for (part, stage) in session.recipe.stream.iter().zip(pipeline.stages()) {
        let (wanted, how) = match part {
            StagePart::Decimate(wanted) => (wanted.to_hz, "the nearest possible to"),
            StagePart::Resample(wanted) => (wanted.to_hz, "which is not brought up to"),
            _ => continue,
        };
        if (stage.rate_hz - wanted).abs() > 1e-9 {
            let message = format!("the analysis runs at {} Hz, {how} {wanted} Hz", stage.rate_hz);
            session.warnings.push(Warning::new("W_RATE", message));
        }
    }
    Ok(pipeline)
}

/// Whether the recipe cannot be built at any usual rate either, on a full cap: then it is the recipe that is wrong.
fn wrong_everywhere(session: &Session, options: &Options<'_>) -> bool {
    if calibrate::finds_stimulation(&session.recipe) {
        return false;
    }
    let (mut input, mut recipe) = (session.input.clone(), session.recipe.clone());
    recipe.input.bad.clear();
    let cap = montage::labels().into_iter().filter(|l| !input.info.channels.iter().any(|c| c.name == *l));
    let cap = cap
        .map(|l| Channel { position: montage::position_of(&l), ..Channel::new(l, ChannelKind::Eeg, Unit::Microvolt) });
    input.info.channels = input.info.channels.iter().cloned().chain(cap.take(64)).collect();
    input.file_index = (0..input.info.channels.len()).collect();
    let mut rates = vec![500, 1000, 5000, 25_000, 100_000];
    if let Some(epochs) = &mut input.epoched {
        // epochs of any length that is usual
        (epochs.first, epochs.len, rates) = (-5_000, 10_001, vec![1000]);
    }
    rates.into_iter().all(|hz| {
        let Ok(rate) = Rate::new(hz, 1) else { return true };
        input.info.clock = Clock::stored(rate);
        Pipeline::build(&recipe, &input, &options.models, 1).is_err()
    })
}

/// A recipe whose open questions have been settled for one recording.
pub(super) struct Session {
    pub recipe: Recipe,
    pub input: Input,
    pub stream: usize,
    pub channels: Vec<usize>,
    pub events: Vec<Event>,
    pub warnings: Vec<Warning>,
    /// Stream and channels of the recording without stimulation, where one was given.
    pub quiet_stream: usize,
    pub quiet_channels: Vec<usize>,
}

impl Session {
    /// Adds what fits have found to events and warnings.
    fn announce(&mut self, learnt: &Models) {
        self.events.extend(calibrate::found_events(&self.recipe, learnt, &mut self.input));
        self.events.sort_by_key(|e| e.tick);
        self.warnings.extend(calibrate::other_lines(&self.recipe, learnt));
        let out = calibrate::left_out(learnt, &self.input);
        let refused = calibrate::refused(learnt).into_iter().filter(|(name, _)| out.contains(name));
        let told: Vec<String> = refused.map(|(name, why)| format!("{name} ({why})")).collect();
        if !told.is_empty() {
            let message = format!("not cleaned, and left out of reference and rejection: {}", told.join(", "));
            self.warnings.push(Warning::new("W_REFUSED", message));
        }
    }
}

/// Chooses channels and events, and finds the line frequency.
pub(super) fn settle(source: &mut dyn Source, recipe: &Recipe) -> Result<Session> {
    let mut recipe = recipe.clone();
    let recording: Recording = source.recording().clone();
    let (mut input, channels) = Input::of(&recording, &recipe).map_err(|e| also_undecided(e, &recording, &recipe))?;
    source.select(recording.main, &channels)?;
    let mut warnings = recording.warnings.clone();
    leave_out_what_needs_eeg(&mut recipe, &input, &mut warnings);
    let mut events = events::deduplicated(&recording);
    if let Some(epochs) = &recording.epoched {
        events = epoched::settle(&mut recipe, &recording, epochs, &mut warnings)?;
    } else if !recipe.cuts() {
        // Stages alone need no event
    } else if recipe.cut.every_ms.is_none() {
        let wanted = recipe.cut.event.clone().unwrap_or_else(|| Names::one("auto"));
        let choice = events::choose(&wanted, &recording, source, &channels, &recipe.input.detect)?;
        if let Some(found) = choice.detected {
            input.event_names.push(events::DETECTED.to_owned());
            events.extend(found);
            events.sort_by_key(|e| e.tick);
        }
        warnings.extend(choice.warnings);
        if let Some(trains) = events::in_trains(&recording, &choice.names) {
            warnings.push(Warning::new(
                "W_TRAINS",
                format!("{trains}; every pulse of a train counts as a trial of its own"),
            ));
        }
        recipe.cut.event = Some(Names::Many(choice.names.iter().map(|n| literal(n)).collect()));
    } else if let Some(within) = &recipe.cut.within
        && !calibrate::finds_stimulation(&recipe)
    {
        warnings.extend(events::unmet(&recording, within)?);
    }
    if recording.epoched.is_none() {
        settle_pulses(&mut recipe, &recording, source, &channels, &mut warnings)?;
    }
    note_pulses_elsewhere(&recipe, &input, &events, source, &mut warnings)?;
    note_missing_roi_channels(&recipe, &input, &mut warnings);
    input.line_hz = match &recipe.input.line {
        Line::Hz(hz) => Some(*hz),
        Line::Named(name) if name == "off" => None,
        Line::Named(name) if name == "auto" => match recording.line_hz {
            Some(hz) => Some(hz),
            None => super::line::from_spectrum(source, channels.len(), input.info.rate_hz())?,
        },
        Line::Named(other) => {
            return Err(Error::usage(format!("input.line: expected Hz, \"auto\" or \"off\", not {other}")));
        }
    };
    source.rewind()?;
    recipe.input.line = input.line_hz.map_or_else(|| Line::Named("off".to_owned()), Line::Hz);
    let stream = recording.main;
    Ok(Session { recipe, input, stream, channels, events, warnings, quiet_stream: 0, quiet_channels: Vec::new() })
}

/// Which events carry a pulse, where the recipe leaves it open: those that are cut around, and other kinds that sit at pulses in
/// the signal (a conditioning pulse has an artefact too). Windows by the clock bridge what looks like pulses.
fn settle_pulses(
    recipe: &mut Recipe,
    recording: &Recording,
    source: &mut dyn Source,
    channels: &[usize],
    warnings: &mut Vec<Warning>,
) -> Result<()> {
    let wanted = recipe.input.pulses.clone();
    if !wanted.is("cut") {
        let unknown = wanted.list().iter().find(|p| !recording.event_names.iter().any(|n| crate::names::glob(p, n)));
        return match unknown {
            Some(name) => Err(events::undecided(recording, &format!("input.pulses: no event is called {name}"))),
            None => Ok(()),
        };
    }
    if !recipe.stream.iter().any(|part| matches!(part, StagePart::Pulse(_))) {
        return Ok(());
    }
    let cut = recipe.cut.event.clone().filter(|_| recipe.cut.every_ms.is_none());
    let also = events::at_pulses_beside(cut.as_ref(), recording, source, channels, &recipe.input.detect)?;
    if also.is_empty() {
        return Ok(());
    }
    warnings.push(Warning::new("W_OTHER_PULSES", format!("pulses marked {} are bridged too", also.join(", "))));
    let mut names: Vec<String> = cut.iter().flat_map(|c| c.list().to_vec()).collect();
    names.extend(also.iter().map(|n| literal(n)));
    recipe.input.pulses = Names::Many(names);
    Ok(())
}

/// Looks at the first seconds: do the pulses in the signal lie where they will be bridged? A marker that comes at another moment
/// leaves the artefact in the average.
fn note_pulses_elsewhere(
    recipe: &Recipe,
    input: &Input,
    events: &[Event],
    source: &mut dyn Source,
    warnings: &mut Vec<Warning>,
) -> Result<()> {
    let bridged = recipe.stream.iter().find_map(|part| match part {
        StagePart::Pulse(pulse) => Some(pulse.cut_ms.list().to_vec()),
        _ => None,
    });
    let eeg: Vec<usize> =
        (0..input.info.channels.len()).filter(|&c| input.info.channels[c].kind == ChannelKind::Eeg).collect();
    let (Some(bridged), false) = (bridged, eeg.is_empty()) else { return Ok(()) };
    let rate = input.info.clock.input;
    let pulses: Vec<i64> = events
        .iter()
        .filter(|e| input.event_names.get(e.name.0 as usize).is_some_and(|n| is_pulse(recipe, n)))
        .map(|e| e.tick.0)
        .collect();
    let Some(until) = pulses.iter().find(|t| **t >= 0).map(|first| first + rate.ticks(LOOK_S) as i64) else {
        return Ok(());
    };
    let Ok(mut detector) = Detector::new(&input.info, &eeg, &recipe.input.detect) else { return Ok(()) };
    if until as f64 > rate.ticks(3.0 * LOOK_S) {
        return Ok(());
    }
    source.rewind()?;
    let mut block = Block::for_stream(&input.info);
    while source.read(&mut block)? && block.first() < until {
        detector.push(&block);
    }
    source.rewind()?;
    let Ok(found) = detector.finish() else { return Ok(()) };
    let mut lags = Vec::new();
    for pulse in &found.pulses {
        let at = pulses.partition_point(|t| *t <= pulse.tick.0);
        let near = [at.checked_sub(1), Some(at)].into_iter().flatten().filter_map(|i| pulses.get(i));
        let lag = |t: &i64| 1e3 * rate.seconds((pulse.tick.0 - t) as f64);
        lags.extend(near.map(lag).min_by(|a, b| a.abs().total_cmp(&b.abs())));
    }
    let outside = lags.iter().filter(|lag| !bridged.iter().any(|w| (w[0]..=w[1]).contains(lag))).count();
    if lags.len() >= 3 && outside * 2 > lags.len() {
        let lag = crate::dsp::stats::median(&mut lags);
        let message = format!(
            "{outside} of the first {} pulses in the signal are not bridged: they come {lag:.1} ms from the markers (median); \
             name other events, cut around the pulses themselves with --detect, or move cut_ms",
            lags.len()
        );
        warnings.push(Warning::new("W_PULSE_ELSEWHERE", message));
    }
    Ok(())
}

fn is_pulse(recipe: &Recipe, name: &str) -> bool {
    let cut = recipe.cut.event.as_ref().is_some_and(|c| c.matches(name));
    if recipe.input.pulses.is("cut") { cut } else { recipe.input.pulses.matches(name) }
}

/// Tells which channels of a region are not there: the mean is over the others.
fn note_missing_roi_channels(recipe: &Recipe, input: &Input, warnings: &mut Vec<Warning>) {
    let Some(site) = recipe.marker.iter().find_map(MarkerPart::site) else { return };
    let Some(site) = site.resolve(&mut Problems::default()) else { return };
    for (roi, missing) in site.missing(&input.info.channels) {
        let list = missing.join(", ");
        warnings.push(Warning::new(
            "W_ROI",
            format!("ROI {roi}: {list} not among the channels; its mean is over the others"),
        ));
    }
}

/// Where the channels are in question and the events are too, both are told at once.
fn also_undecided(error: Error, recording: &Recording, recipe: &Recipe) -> Error {
    let auto = recording.epoched.is_none()
        && recipe.cut.every_ms.is_none()
        && recipe.cut.event.as_ref().is_none_or(|e| e.is("auto"));
    if !auto || events::stimuli(recording).len() < 2 {
        return error;
    }
    let why = "several kinds of markers, and no channel to look for pulses in";
    let events = events::undecided(recording, why);
    let hint = [error.hint(), events.hint()].map(Option::unwrap_or_default).join(", and ");
    Error::data(format!("{}\n{}", error.message(), events.message())).with_hint(hint)
}

/// EOG, EMG and the like never enter a reference or a judgement of channels; where only such channels were named, these
/// parts have nothing to work on.
fn leave_out_what_needs_eeg(recipe: &mut Recipe, input: &Input, warnings: &mut Vec<Warning>) {
    let eeg = input.info.channels.iter().filter(|c| c.kind == ChannelKind::Eeg).count();
    if eeg == 1 && recipe.epoch.iter().any(EpochPart::is_average_reference) {
        recipe.epoch.retain(|part| !part.is_average_reference());
        let message = "one EEG channel has no average reference (it would be 0 throughout): it is left as recorded";
        warnings.push(Warning::new("W_ONE_CHANNEL", message));
    }
    if eeg > 0 {
        return;
    }
    let needs_eeg = |name: &str| matches!(name, "reference" | "bad-channels" | "interpolate");
    recipe.epoch.retain(|part| !needs_eeg(part.name()));
    recipe.stream.retain(|part| !needs_eeg(part.name()));
    warnings.push(Warning::new(
        "W_NO_EEG",
        "none of the channels is EEG: no reference, no rejection and no GMFA; the tables hold the channels as they are",
    ));
}

/// A name as a glob that matches only itself, where that can be said.
fn literal(name: &str) -> String {
    name.replace('*', "?")
}

/// Names of events, for callers that cue by name.
pub fn event_name(names: &[String], name: &str) -> Option<EventName> {
    names.iter().position(|n| n == name).map(|i| EventName(i as u32))
}

struct Stopwatch {
    at: Instant,
    laps: Vec<(&'static str, f64)>,
}

impl Stopwatch {
    fn new() -> Self {
        Self { at: Instant::now(), laps: Vec::new() }
    }

    fn lap(&mut self, name: &'static str) {
        self.laps.push((name, self.at.elapsed().as_secs_f64()));
        self.at = Instant::now();
    }
}

/// What a recipe would do to a file, without doing it.
#[derive(Debug)]
pub struct Plan {
    /// Stage by stage.
    pub stages: Vec<super::StageReport>,
    /// Channels that are analysed.
    pub channels: usize,
    /// Events that are cut around.
    pub conditions: Vec<String>,
    /// Samples in an epoch.
    pub epoch_samples: usize,
    /// Epochs of a recording that comes in epochs.
    pub epochs_given: Option<usize>,
    /// How long after its event a result can be known.
    pub latency_ms: f64,
    /// Bytes of all buffers.
    pub memory_bytes: u64,
    /// Whether a Fit must see everything first.
    pub waits_for_fit: bool,
    /// Defects of the file.
    pub warnings: Vec<Warning>,
}

/// Builds without running.
///
/// # Errors
/// As [`analyse`] would before its first sample.
pub fn plan(path: &Path, recipe: &Recipe, options: &Options<'_>) -> Result<Plan> {
    let plan = || {
        let mut source = probe::open(path, &options.open)?;
        let mut session = settle(&mut *source, recipe)?;
        let mut quiet = options.quiet.as_deref().map(|path| open_quiet(path, &mut session, options)).transpose()?;
        let learnt = calibrate::learn(&mut *source, borrowed(&mut quiet), &session, options)?;
        session.announce(&learnt);
        let pipeline = build(&mut session, options, &learnt, 1)?;
        Ok(Plan {
            stages: pipeline.stages().to_vec(),
            channels: session.channels.len(),
            conditions: pipeline.conditions(),
            epoch_samples: pipeline.epoch_info().len,
            epochs_given: session.input.epoched.as_ref().map(|e| e.around.len()),
            latency_ms: pipeline.latency().as_secs_f64() * 1e3,
            memory_bytes: pipeline.memory_bytes(),
            waits_for_fit: pipeline.waits_for_fit(),
            warnings: session.warnings,
        })
    };
    plan().map_err(|e: Error| e.at_path(path))
}
