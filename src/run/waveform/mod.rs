//! `waveform`: what a stimulator delivered, from a WAV file or a copy of the stimulation in a recording.
//!
//! Three passes over the file, each in constant memory: `survey` finds the carrier and what rounding looks like, `episodes`
//! follows its envelope and cuts the recording into episodes with ramps and a plateau, `measure` fits each plateau and ramp
//! ([`crate::dsp::harmonics`]) and counts what is flat. [`expect`] compares with a protocol.

mod episodes;
pub mod expect;
mod measure;
mod survey;
#[cfg(test)]
mod tests;

use super::recording::{Analysis, Options};
use crate::flow::Source;
use crate::read::probe;
use crate::signal::{Block, Channel, ChannelKind, Segment, Stream};
use crate::table::{Cell, Column, Table, TableSpec};
use crate::{Error, ErrorKind, Result};
use expect::Expectation;
use measure::Measured;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Samples per block: enough that a pass is one of arithmetic, not of calls.
const BLOCK: usize = 4096;
/// Passes over the file.
const PASSES: u64 = 3;

/// A row per episode of stimulation and channel.
pub static WAVEFORM: TableSpec = TableSpec {
    name: "waveform",
    about: "A row per episode of stimulation and channel: what the waveform was",
    series: false,
    columns: &[
        Column::new(
            "segment",
            "",
            "Number of the episode in its channel, from 0; a gap in the recording or in the stimulation ends one",
        ),
        Column::new(
            "start_s",
            "s",
            "Start from the beginning of the recording: where the ramp leaves zero, else the first sample above 5 %",
        ),
        Column::new("end_s", "s", "End: where the ramp comes to zero, else behind the last sample above 5 %"),
        Column::new("channel", "", "Name as in the file"),
        Column::new("unit", "", "Unit of amplitude, rms, dc: fs are shares of full scale"),
        Column::new("frequency_hz", "Hz", "Fundamental by harmonic least squares over the plateau"),
        Column::new(
            "frequency_sd_hz",
            "Hz",
            "Its standard deviation under white noise of the residual's size (Cramér–Rao)",
        ),
        Column::new(
            "offset_ppm",
            "ppm",
            "Distance from the frequency that --expect or --frequency tells; empty where none was told",
        ),
        Column::new("amplitude", "", "Peak amplitude of the fundamental, in `unit`"),
        Column::new("rms", "", "Root mean square over the plateau, in `unit`"),
        Column::new("crest_factor", "", "Largest absolute value over rms"),
        Column::new("dc", "", "Constant part, in `unit`"),
        Column::new("thd", "", "Harmonics 2 to 10 (below 0.45 of the rate) over the fundamental, amplitudes"),
        Column::new("thd_n", "", "Everything but constant and fundamental over the fundamental, RMS"),
        Column::new(
            "phase_deg",
            "deg",
            "Phase of the fundamental against the first channel's; 0 for the first channel",
        ),
        Column::new("phase_jitter_deg", "deg", "SD of the phase of blocks of about 1 s about a straight line"),
        Column::new(
            "ramp_up_s",
            "s",
            "Time from zero to the plateau along the line through 10 to 90 %; 0 where it is shorter than can be seen",
        ),
        Column::new("plateau_s", "s", "Time between the ramps"),
        Column::new("ramp_down_s", "s", "Time from the plateau to zero"),
        Column::new("ripple", "", "(max − min) / (max + min) of the amplitude of blocks of about 1 s"),
        Column::new(
            "clipped_fraction",
            "",
            "Share of the plateau's samples in flat tops: runs at the extreme that are longer than rounding explains",
        ),
        Column::new("verdict", "", "ok; deviates: an expectation was missed; doubtful: see reason"),
        Column::new(
            "reason",
            "",
            "no_carrier, clipped, dropouts, phase_jumps, short, and the expectations that were missed",
        ),
        Column::new("peak", "", "Largest absolute value, in `unit`"),
        Column::new("charge_balance", "", "(Q+ − Q−) / (Q+ + Q−) over the plateau's whole cycles: 0 is balanced"),
        Column::new("net_charge", "", "Integral over the plateau's whole cycles, in `unit` times seconds (mA: mC)"),
        Column::new(
            "phase_drift_deg",
            "deg",
            "Largest distance of a block's phase from a straight line: a clock that changes",
        ),
        Column::new("ramp_up_r2", "", "How straight the ramp is: R² of its envelope between 10 and 90 %"),
        Column::new("ramp_down_r2", "", "The same of the ramp down"),
        Column::new(
            "dropouts",
            "",
            "Times at which the envelope fell below half the plateau and came back within the episode",
        ),
        Column::new(
            "phase_jumps",
            "",
            "Steps of the phase by more than 20 degrees from one stretch of the envelope to the next",
        ),
    ],
};

/// A row per expectation, episode and channel.
pub static EXPECTATIONS: TableSpec = TableSpec {
    name: "expectations",
    about: "A row per line of the protocol, episode and channel: expected and measured",
    series: false,
    columns: &[
        Column::new("channel", "", "Name as in the file"),
        Column::new("expected", "", "What --expect tells, in `unit`"),
        Column::new("measured", "", "What was measured, in `unit`"),
        Column::new("tolerance", "", "Largest difference that is let pass, in `unit`"),
        Column::new("verdict", "", "met, missed, or not_comparable (no full scale was told, or nothing was measured)"),
        Column::new("segment", "", "Number of the episode"),
        Column::new("item", "", "frequency, amplitude, ramp_up, ramp_down, duration"),
        Column::new("unit", "", "Unit of the three numbers"),
    ],
};

/// What is looked for.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Channels (names or globs) in place of all copies of the stimulation.
    pub channels: Vec<String>,
    /// Where the fundamental is looked for, Hz; else it is the strongest line.
    pub frequency_hz: Option<f64>,
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
        (!self.expect.text.is_empty()).then(|| all.insert("expect".into(), self.expect.text.clone().into()));
        toml::Table::from_iter([("waveform".to_owned(), toml::Value::Table(all))]).to_string()
    }

    /// The frequency that was told.
    fn nominal_hz(&self) -> Option<f64> {
        self.expect.frequency_hz.or(self.frequency_hz)
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
    let mut reader =
        Reader { source, stream: &stream, options, pass: 0, told: 0, block: Block::new(chosen.len(), BLOCK) };
    let mut seconds = Vec::new();
    let mut lap = Instant::now();
    let mut note = |what: &'static str, lap: &mut Instant| {
        seconds.push((what, lap.elapsed().as_secs_f64()));
        *lap = Instant::now();
    };
    let surveys = survey::look(&mut reader, settings.nominal_hz())?;
    note("survey", &mut lap);
    let found = episodes::find(&mut reader, &surveys)?;
    note("episodes", &mut lap);
    let measured = measure::all(&mut reader, &surveys, &found)?;
    note("measure", &mut lap);
    let (tables, ok, all) = tables(&stream, &channels, &surveys, &measured, settings);
    // what reading found out comes last
    let warnings = reader.source.recording().warnings.clone();
    Ok(Analysis {
        tables,
        conditions: Vec::new(),
        recipe: settings.to_toml(),
        warnings,
        models: Default::default(),
        seconds,
        trials: (ok, all),
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
            if self.options.stop.is_some_and(|s| s.load(Ordering::Relaxed)) {
                return Err(Error::new(ErrorKind::Interrupted, "interrupted").with_hint("run the same command again"));
            }
            for (c, row) in rows.iter_mut().enumerate() {
                row.clear();
                row.extend((0..self.block.len()).map(|s| self.block.get(c, s)));
            }
            take(self.block.segment() as usize, self.block.first(), &rows);
            if let Some(progress) = self.options.progress {
                let (done, all) = self.source.progress();
                let now = (self.pass * all + done) / PASSES;
                progress(now.saturating_sub(self.told));
                self.told = now.max(self.told);
            }
        }
        self.pass += 1;
        Ok(())
    }
}

/// Both tables, and how many episodes are as they should be, of how many.
fn tables(
    stream: &Stream,
    channels: &[Channel],
    surveys: &[survey::Survey],
    measured: &[Vec<Measured>],
    settings: &Settings,
) -> (Vec<Table>, u64, u64) {
    let (mut waveform, mut expectations) = (Table::new(&WAVEFORM), Table::new(&EXPECTATIONS));
    let (mut ok, mut all) = (0, 0);
    let rate = stream.rate.hz();
    for (c, channel) in channels.iter().enumerate() {
        for (number, m) in measured[c].iter().enumerate() {
            let mut reasons = m.reasons();
            let lines = settings.expect.compare(m, channel, rate);
            for line in &lines {
                let cells: [Cell; 8] = [
                    channel.name.clone().into(),
                    line.expected.into(),
                    line.measured.into(),
                    line.tolerance.into(),
                    line.verdict.into(),
                    number.into(),
                    line.item.into(),
                    line.unit.clone().into(),
                ];
                expectations.push(None, cells);
            }
            let doubtful = !reasons.is_empty();
            let missed = lines.iter().filter(|l| l.verdict == "missed");
            reasons.extend(
                missed.map(|l| {
                    format!("{} {} {u}, not {} {u}", l.item, short(l.measured), short(l.expected), u = l.unit)
                }),
            );
            let verdict = match (doubtful, reasons.is_empty()) {
                (true, _) => "doubtful",
                (false, true) => "ok",
                (false, false) => "deviates",
            };
            all += 1;
            ok += u64::from(verdict == "ok");
            let hz = m.cycles * rate;
            let offset = settings.nominal_hz().map(|nominal| (hz / nominal - 1.0) * 1e6);
            let phase = measure::phase_between(&measured[0], m);
            let seconds = |samples: f64| samples / rate;
            let at = |sample: f64| {
                let segment = stream.segments[m.segment];
                segment.start_s + (sample - segment.first.0 as f64) / rate
            };
            let cells: Vec<Cell> = vec![
                number.into(),
                at(m.start).into(),
                at(m.end).into(),
                channel.name.clone().into(),
                channel.unit.to_string().into(),
                hz.into(),
                (m.sd_cycles * rate).into(),
                offset.into(),
                m.amplitude.into(),
                m.rms.into(),
                (m.peak / m.rms).into(),
                m.dc.into(),
                m.thd.into(),
                m.thd_n.into(),
                phase.into(),
                m.jitter_deg.into(),
                seconds(m.ramp_up.samples).into(),
                seconds(m.plateau).into(),
                seconds(m.ramp_down.samples).into(),
                m.ripple.into(),
                m.clipped.into(),
                verdict.into(),
                Some(reasons.join("; ")).filter(|r| !r.is_empty()).into(),
                m.peak.into(),
                m.charge_balance.into(),
                (m.net / rate).into(),
                m.drift_deg.into(),
                m.ramp_up.r2.into(),
                m.ramp_down.r2.into(),
                m.dropouts.into(),
                m.jumps.into(),
            ];
            waveform.push(None, cells);
        }
        if measured[c].is_empty() {
            all += 1;
            waveform.push(None, surveys[c].row(channel, stream));
        }
    }
    let mut tables = vec![waveform];
    if !settings.expect.is_empty() {
        tables.push(expectations);
    }
    (tables, ok, all)
}

/// A number for people: six digits.
fn short(x: f64) -> String {
    format!("{}", format!("{x:.5e}").parse::<f64>().unwrap_or(x))
}
