//! `waveform`: what a stimulator delivered, from a WAV file or a copy of the stimulation in a recording.
//!
//! Passes over the file, each in constant memory: `survey` finds the carrier and what rounding looks like, and [`kind`] what sort of
//! stimulation each channel holds; `episodes` follows its envelope and cuts the recording into episodes with ramps and a plateau,
//! `measure` fits each plateau and ramp ([`crate::dsp::harmonics`]) and counts what is flat. What has an envelope (AM, temporal
//! interference) goes through two more (`envelope`), what has no carrier (`steady`: `noise`, `level`) too; `bursts` looks at what went
//! on and off. [`expect`] compares with a protocol, `report` writes the tables.

mod bursts;
mod columns;
mod envelope;
mod episodes;
pub mod expect;
pub mod kind;
mod level;
mod measure;
mod noise;
mod report;
mod steady;
mod survey;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_files;
#[cfg(test)]
mod tests_kinds;

pub use columns::{BURSTS, ENVELOPE, EXPECTATIONS, LEVEL, NOISE, TABLES, WAVEFORM};

use super::recording::{Analysis, Options, interrupted};
use crate::flow::Source;
use crate::read::probe;
use crate::signal::{Block, Channel, ChannelKind, Segment, Stream};
use crate::{Error, Result};
use expect::Expectation;
use kind::{Kind, Told};
use std::path::Path;
use std::time::Instant;

/// Samples per block: enough that a pass is one of arithmetic, not of calls.
const BLOCK: usize = 4096;
/// Passes over the file: all channels, and those that have an envelope or no carrier.
const PASSES: u64 = 3;
const MORE: u64 = 2;

/// What is looked for.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Channels (names or globs) in place of all copies of the stimulation.
    pub channels: Vec<String>,
    /// Where the fundamental is looked for, Hz; else it is the strongest line.
    pub frequency_hz: Option<f64>,
    /// What the channels hold; else the data tell.
    pub kind: Option<Kind>,
    /// The protocol.
    pub expect: Expectation,
}

impl Settings {
    /// The settings as TOML, for `run.json`.
    pub fn to_toml(&self) -> String {
        let mut all = toml::Table::new();
        all.insert(
            "channels".into(),
            self.channels.iter().map(|c| c.as_str().into()).collect::<Vec<toml::Value>>().into(),
        );
        self.frequency_hz.map(|hz| all.insert("frequency_hz".into(), hz.into()));
        self.kind.map(|kind| all.insert("kind".into(), kind.name().into()));
        (!self.expect.text.is_empty()).then(|| all.insert("expect".into(), self.expect.text.clone().into()));
        toml::Table::from_iter([("waveform".to_owned(), toml::Value::Table(all))]).to_string()
    }

    /// The frequency that was told.
    fn nominal_hz(&self) -> Option<f64> {
        self.expect.frequency_hz.or(self.frequency_hz)
    }

    /// The kind that was told, in words or by what is expected.
    fn kind(&self) -> Option<Kind> {
        self.kind.or(self.expect.kind())
    }

    fn told(&self, rate: f64) -> Told {
        let kind = self.kind();
        // one of two carriers cannot be looked for in every channel
        let cycles = self.nominal_hz().filter(|_| kind != Some(Kind::Ti)).map(|hz| hz / rate);
        Told { kind, cycles, beat: self.expect.envelope_hz.or(self.expect.beat_hz).map(|hz| hz / rate) }
    }
}

/// Measures the waveforms of a file.
///
/// # Errors
/// When the file cannot be read, or no channel is a copy of the stimulation.
pub fn watch(path: &Path, settings: &Settings, options: &Options<'_>) -> Result<Analysis> {
    let opened = Instant::now();
    let mut source = probe::open(path, &options.open)?;
    let opened = opened.elapsed().as_secs_f64();
    let mut analysis = watch_source(&mut *source, settings, options).map_err(|e| e.at_path(path))?;
    analysis.seconds.insert(0, ("open", opened));
    Ok(analysis)
}

/// Measures the waveforms of whatever `source` yields.
///
/// # Errors
/// As [`watch`].
pub fn watch_source(source: &mut dyn Source, settings: &Settings, options: &Options<'_>) -> Result<Analysis> {
    let stream = source.recording().main_stream().clone();
    let chosen = choose(&stream, settings)?;
    source.select(source.recording().main, &chosen)?;
    let channels: Vec<Channel> = chosen.iter().map(|&c| stream.channels[c].clone()).collect();
    let rate = stream.rate.hz();
    if let Some(hz) = settings.nominal_hz().filter(|hz| *hz >= 0.5 * rate) {
        return Err(Error::data(format!("{hz} Hz cannot be seen at a rate of {rate} Hz")));
    }
    let block = Block::new(chosen.len(), BLOCK);
    let mut reader = Reader { source, stream: &stream, options, pass: 0, passes: PASSES, told: 0, block };
    let mut seconds = Vec::new();
    let mut lap = Instant::now();
    let mut note = |what: &'static str| {
        seconds.push((what, lap.elapsed().as_secs_f64()));
        lap = Instant::now();
    };
    let told = settings.told(rate);
    let mut surveys = survey::look(&mut reader, told)?;
    let pairs = kind::pairs(&mut surveys, told, rate);
    let single = surveys.iter().any(|s| s.beat.is_some());
    let steady = surveys.iter().any(|s| matches!(s.kind, Some(Kind::Noise | Kind::Dc)));
    reader.passes += MORE * (u64::from(single || !pairs.is_empty()) + u64::from(steady));
    note("survey");
    let found = episodes::find(&mut reader, &surveys)?;
    note("episodes");
    let mut measured = measure::all(&mut reader, &surveys, &found)?;
    note("measure");
    let envelopes = envelope::all(&mut reader, &surveys, &pairs, &found, &mut measured)?;
    note("envelope");
    let steadies = steady::all(&mut reader, &surveys)?;
    note("steady");
    let report = report::Report { stream: &stream, channels: &channels, surveys: &surveys, settings };
    let report = report.tables(&measured, &envelopes, &steadies);
    // what reading found out comes last
    let mut warnings = reader.source.recording().warnings.clone();
    warnings.extend(report.warnings);
    Ok(Analysis {
        tables: report.tables,
        conditions: Vec::new(),
        recipe: settings.to_toml(),
        warnings,
        models: Default::default(),
        seconds,
        trials: (report.ok, report.all),
    })
}

fn choose(stream: &Stream, settings: &Settings) -> Result<Vec<usize>> {
    let listing = || {
        let names: Vec<String> =
            stream.channels.iter().take(40).map(|c| format!("{} ({})", c.name, c.kind.name())).collect();
        format!("it holds {}", names.join(", "))
    };
    for pattern in &settings.channels {
        if !stream.channels.iter().any(|c| crate::names::glob(pattern, &c.name)) {
            return Err(Error::data(format!("no channel is called {pattern}")).with_hint(listing()));
        }
    }
    let wanted = |c: &Channel| match settings.channels.as_slice() {
        [] => c.kind == ChannelKind::Stim,
        patterns => patterns.iter().any(|p| crate::names::glob(p, &c.name)),
    };
    let chosen: Vec<usize> = (0..stream.channels.len()).filter(|&c| wanted(&stream.channels[c])).collect();
    if chosen.is_empty() {
        return Err(Error::data(format!("no channel is a copy of the stimulation; {}", listing()))
            .with_hint("name the channels to look at with --channels A,B,…"));
    }
    Ok(chosen)
}

/// Takes samples: segment, first sample, a row per channel.
type Take<'t> = dyn FnMut(usize, i64, &[Vec<f64>]) + 't;

/// Reads the file as often as needed: planar rows of one segment at a time.
struct Reader<'a> {
    source: &'a mut dyn Source,
    stream: &'a Stream,
    options: &'a Options<'a>,
    pass: u64,
    passes: u64,
    told: u64,
    block: Block,
}

impl Reader<'_> {
    fn rate(&self) -> f64 {
        self.stream.rate.hz()
    }

    fn segments(&self) -> &[Segment] {
        &self.stream.segments
    }

    fn channels(&self) -> usize {
        self.block.channels()
    }

    /// One pass over all samples.
    fn pass(&mut self, take: &mut Take<'_>) -> Result<()> {
        self.source.rewind()?;
        let mut rows = vec![Vec::with_capacity(BLOCK); self.channels()];
        while self.source.read(&mut self.block)? {
            interrupted(self.options)?;
            for (c, row) in rows.iter_mut().enumerate() {
                row.clear();
                row.extend((0..self.block.len()).map(|s| self.block.get(c, s)));
            }
            take(self.block.segment() as usize, self.block.first(), &rows);
            if let Some(progress) = self.options.progress {
                let (done, all) = self.source.progress();
                let now = (self.pass * all + done) / self.passes;
                progress(now.saturating_sub(self.told));
                self.told = now.max(self.told);
            }
        }
        self.pass += 1;
        Ok(())
    }
}
