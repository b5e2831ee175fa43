//! What all analysis commands share: which files, which recipe, where the results go.

use super::talk::Talk;
use crate::clean::detect::Detect;
use crate::clean::match_trials::MatchTrials;
use crate::mark::Site;
use crate::read::OpenOptions;
use crate::recipe::{EpochPart, FitPart, Line, Names, Recipe};
use crate::run::batch::{self, Batch, Input, Outcome};
use crate::run::{self, Options, identity, output};
use crate::table::Identity;
use crate::unit::Rate;
use crate::{Error, Result, Warning};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, clap::Args)]
pub(super) struct Common {
    #[command(flatten)]
    place: Place,
    /// Cut around events of this name, or by the clock while they last (repeatable; * and ? stand for any text, any character)
    #[arg(long, value_name = "NAME")]
    event: Vec<String>,
    /// Cut around pulses found in the signal
    #[arg(long, conflicts_with = "event")]
    detect: bool,
    /// Channels to analyse (names or globs, comma-separated); default: all EEG channels
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    channels: Vec<String>,
    /// Channels to leave out
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    exclude: Vec<String>,
    /// Channels known to be bad: kept in tables, left out of reference, rejection and GMFA
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    bad: Vec<String>,
    /// As many trials in every condition: surplus ones are dropped, evenly spread
    #[arg(long)]
    match_trials: bool,
    /// Stimulated site: m1, dlpfc, parietal, or a TOML file with ROIs and components
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// Line frequency: auto, 50, 60 or off
    #[arg(long, value_name = "HZ")]
    line: Option<String>,
    /// Change one key of the recipe: stream[1].band_hz=[1,45], stream.butterworth.order=4, cut.window_ms=[-500,500]
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Models of an earlier run (its recording.json) in place of new fits
    #[arg(long, value_name = "FILE")]
    models: Option<PathBuf>,
    /// A recording of the same channels without stimulation, to compare with and to calibrate on
    #[arg(long, value_name = "FILE")]
    quiet_recording: Option<PathBuf>,
    /// Also write the cleaned recording: DIR/<recording>/cleaned.vhdr (BrainVision, float32), the verdicts in its markers
    #[arg(long)]
    cleaned: bool,
    /// Print the recipe that would run, and stop
    #[arg(long)]
    print_recipe: bool,
    /// The tep table in long form: a row per channel and time
    #[arg(long)]
    long: bool,
    #[command(flatten)]
    detection: DetectArgs,
}

/// Which files, whose they are, and where the results go.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// Recordings: BrainVision .vhdr, EDF, BDF, EEGLAB .set, WAV, and with --rate and --unit matrices: NPY, CSV, TSV
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Folder for the results
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print one table as CSV on stdout instead; no folder is written
    #[arg(long, value_name = "NAME", conflicts_with = "out")]
    table: Option<String>,
    /// Recordings and threads at once (default: SLURM_CPUS_PER_TASK, else all cores)
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Identity columns from the file's path: a regular expression with groups named subject, session, task, run
    #[arg(long = "match", value_name = "REGEX")]
    pattern: Option<String>,
    /// Identity columns from a sheet with a column `recording` and any of subject, session, task, run
    #[arg(long, value_name = "SHEET.csv")]
    join: Option<PathBuf>,
    /// Write text that a spreadsheet would run as a formula as it is
    #[arg(long)]
    csv_raw: bool,
    /// Overwrite the results of an earlier run
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    open: OpenArgs,
}

/// How files are opened.
#[derive(Debug, clap::Args)]
pub(super) struct OpenArgs {
    /// Let a named defect pass; its code then stands in every output it touched
    #[arg(long, value_name = "CODE")]
    lenient: Vec<String>,
    /// Sampling rate of a matrix (NPY, CSV) that does not state it
    #[arg(long, value_name = "HZ", value_parser = rate)]
    rate: Option<Rate>,
    /// Unit of the samples of a matrix (NPY, CSV)
    #[arg(long, value_parser = ["uV", "mV", "V", "nV"])]
    unit: Option<String>,
    /// What full scale means in a WAV file; without it samples are shares of full scale
    #[arg(long, value_name = "2mA", value_parser = full_scale)]
    full_scale: Option<String>,
}

impl OpenArgs {
    pub fn options(&self) -> OpenOptions {
        OpenOptions {
            lenient: self.lenient.clone(),
            rate: self.rate,
            unit: self.unit.clone(),
            full_scale: self.full_scale.clone(),
        }
    }
}

fn rate(text: &str) -> std::result::Result<Rate, String> {
    let hz: f64 = text.parse().map_err(|_| "expected a number of Hz".to_owned())?;
    Rate::from_hz(hz).map_err(|e| e.message().to_owned())
}

fn full_scale(text: &str) -> std::result::Result<String, String> {
    let told = OpenOptions { full_scale: Some(text.to_owned()), ..OpenOptions::default() };
    told.full_scale().map(|_| text.to_owned()).map_err(|e| e.to_string())
}

/// How pulses are looked for in the signal.
#[derive(Debug, clap::Args)]
pub(super) struct DetectArgs {
    /// Pulses exceed this, µV (default: a tenth of each channel's largest deflection, 1000 to 10000)
    #[arg(long, value_name = "UV", help_heading = "Pulse detection")]
    threshold: Option<f64>,
    /// Share of the channels that must exceed the threshold
    #[arg(long, value_name = "SHARE", help_heading = "Pulse detection")]
    min_channels: Option<f64>,
    /// Shortest time between two pulses, ms
    #[arg(long, value_name = "MS", help_heading = "Pulse detection")]
    refractory: Option<f64>,
    /// Number of pulses: the threshold is lowered until as many are found
    #[arg(long, value_name = "N", help_heading = "Pulse detection")]
    expected: Option<usize>,
}

impl DetectArgs {
    /// What was asked for, on top of `config`.
    pub fn patch(&self, mut config: Detect) -> Detect {
        if self.threshold.is_some() {
            config.threshold_uv = self.threshold;
        }
        config.min_channels = self.min_channels.unwrap_or(config.min_channels);
        config.refractory_ms = self.refractory.unwrap_or(config.refractory_ms);
        if self.expected.is_some() {
            config.expected = self.expected;
        }
        config
    }
}

impl Common {
    /// The recipe's text, patched by the flags; those of the command itself are in `patch`.
    fn recipe(&self, text: &str, patch: impl FnOnce(&mut Recipe) -> Result<()>) -> Result<Recipe> {
        let mut recipe = Recipe::patched(text, &self.set)?;
        patch(&mut recipe)?;
        if !self.event.is_empty() {
            // by the clock, but only where these events last
            let by_clock = recipe.cut.every_ms.is_some();
            let names = if by_clock { &mut recipe.cut.within } else { &mut recipe.cut.event };
            *names = Some(Names::Many(self.event.clone()));
        }
        if self.detect && recipe.cut.every_ms.is_some() {
            return Err(Error::usage("--detect: this recipe cuts by the clock, not around pulses"));
        }
        if self.detect {
            recipe.cut.event = Some(Names::one("detect"));
        }
        recipe.input.detect = self.detection.patch(recipe.input.detect);
        if !self.channels.is_empty() {
            recipe.input.channels = Names::Many(self.channels.clone());
        }
        recipe.input.exclude.extend(self.exclude.iter().cloned());
        recipe.input.bad.extend(self.bad.iter().cloned());
        if let Some(line) = &self.line {
            recipe.input.line = match (line.as_str(), line.parse::<f64>()) {
                ("auto" | "off", _) => Line::Named(line.clone()),
                (_, Ok(hz)) if hz.is_finite() && hz > 0.0 => Line::Hz(hz),
                _ => return Err(Error::usage(format!("--line {line}: expected auto, off or a frequency in Hz"))),
            };
        }
        if let Some(site) = &self.site {
            set_on_markers(&mut recipe, "site", &site_value(site)?)?;
        }
        if self.long {
            set_on_markers(&mut recipe, "long", &toml::Value::Boolean(true))?;
        }
        let matched = |part: &EpochPart| matches!(part, EpochPart::Fit(FitPart::MatchTrials(_)));
        if self.match_trials && !recipe.epoch.iter().any(matched) {
            recipe.epoch.push(EpochPart::Fit(FitPart::MatchTrials(MatchTrials::default())));
        }
        Ok(recipe)
    }

    /// Runs the recipe, changed by the flags and by `patch`, over the files.
    pub fn run(
        &self,
        text: &str,
        patch: impl FnOnce(&mut Recipe) -> Result<()>,
        talk: &Talk,
        command: Vec<String>,
    ) -> Result<u8> {
        self.run_cleaning(text, patch, self.cleaned, talk, command)
    }

    /// As [`Common::run`]; whether the cleaned recording is written is said by the caller.
    pub fn run_cleaning(
        &self,
        text: &str,
        patch: impl FnOnce(&mut Recipe) -> Result<()>,
        cleaned: bool,
        talk: &Talk,
        command: Vec<String>,
    ) -> Result<u8> {
        let recipe = self.recipe(text, patch)?;
        if self.print_recipe {
            return super::print(|out| out.write_all(recipe.to_toml().as_bytes()));
        }
        let mut tables = vec!["trials", "channels"];
        tables.extend(recipe.marker.iter().flat_map(|m| m.config().tables()).map(|t| t.name));
        tables.extend(recipe.stream.iter().flat_map(|s| s.config().tables()).map(|t| t.name));
        let saved = self.models.as_deref().map(run::read_models).transpose()?.unwrap_or_default();
        let work = |path: &Path, options: &Options<'_>| {
            saved.check(path)?;
            let (models, quiet) = (saved.models.clone(), self.quiet_recording.clone());
            run::analyse(path, &recipe, &Options { models, quiet, ..options.clone() })
        };
        self.place.run(&work, &recipe.to_toml(), &tables, cleaned, talk, command)
    }
}

impl Place {
    /// Does `work` on the files and writes what comes of it, which are `tables`; `recipe` describes the work in `run.json`.
    pub fn run(
        &self,
        work: &batch::Work<'_>,
        recipe: &str,
        tables: &[&str],
        cleaned: bool,
        talk: &Talk,
        command: Vec<String>,
    ) -> Result<u8> {
        if self.files.is_empty() {
            return Err(Error::usage("which recordings? name at least one FILE"));
        }
        if self.out.is_none() && self.table.is_none() {
            return Err(Error::usage("where to? give -o DIR for a folder, or --table NAME for one table on stdout"));
        }
        if let Some(name) = &self.table {
            check_table(name, tables)?;
        }
        let inputs = self.inputs()?;
        let total: u64 = inputs
            .iter()
            .flat_map(|i| batch::input_files(&i.path))
            .filter_map(|f| Some(f.metadata().ok()?.len()))
            .sum();
        let bar = talk.bar(total);
        let progress = |bytes: u64| bar.inc(bytes);
        // without a table of trials it is the episodes of a waveform
        let counted = if tables.contains(&"trials") { "trials kept" } else { "episodes ok" };
        let ended = |outcome: &Outcome| bar.suspend(|| talk.ended(outcome, counted));
        let batch = Batch {
            out: self.out.as_deref(),
            cleaned,
            jobs: jobs(self.jobs)?,
            csv_raw: self.csv_raw,
            force: self.force,
            options: Options {
                threads: 1,
                open: self.open.options(),
                stop: Some(stop_flag()),
                progress: Some(&progress),
                ..Options::default()
            },
            ended: Some(&ended),
            command,
        };
        let outcomes = batch::run_by(work, recipe, &inputs, &batch)?;
        bar.finish_and_clear();
        if let Some(name) = &self.table {
            print_table(name, &outcomes, self.csv_raw)?;
        }
        let failed = outcomes.iter().filter(|o| o.result.is_err()).count();
        if outcomes.len() > 1 {
            talk.note(&format!("{} recordings done, {failed} failed", outcomes.len() - failed));
        }
        Ok(batch::exit_code(&outcomes))
    }

    fn inputs(&self) -> Result<Vec<Input>> {
        let names = output::recording_names(&self.files);
        let pattern = self.pattern.as_deref().map(regex_lite::Regex::new).transpose();
        let pattern = pattern.map_err(|e| Error::usage(format!("--match: {e}")))?;
        if pattern.as_ref().is_some_and(|p| !p.capture_names().flatten().any(|name| ENTITIES.contains(&name))) {
            return Err(Error::usage("--match: no group is named subject, session, task or run")
                .with_hint("write (?<subject>…) around the part of the path that tells the subject"));
        }
        let sheet = self.join.as_deref().map(Sheet::read).transpose()?;
        Ok(self
            .files
            .iter()
            .zip(names)
            .map(|(path, name)| {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                let mut identity = identity::from_bids(&name, &stem);
                let mut warnings = Vec::new();
                if let Some(pattern) = &pattern {
                    match pattern.captures(&path.to_string_lossy()) {
                        Some(found) => Groups::of(&found).fill(&mut identity),
                        None => warnings.push(Warning::new("W_NO_MATCH", "--match does not fit the path")),
                    }
                }
                if let Some(sheet) = &sheet
                    && !sheet.fill(&name, &mut identity)
                {
                    warnings.push(Warning::new("W_NOT_IN_SHEET", "the sheet of --join does not hold the recording"));
                }
                Input { path: path.clone(), identity, warnings }
            })
            .collect())
    }
}

/// What `--site` names, as it stands in a recipe: a built-in site, or a file's content inline.
fn site_value(name: &str) -> Result<toml::Value> {
    let path = Path::new(name);
    if !path.is_file() && path.extension().is_none_or(|e| e != "toml") {
        return Site::builtin(name).map(|_| toml::Value::String(name.to_owned()));
    }
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::usage(format!("the site cannot be read: {e}")).at_path(path))?;
    let site = Site::from_toml(&text).map_err(|e| e.at_path(path))?;
    toml::Value::try_from(site).map_err(|e| Error::usage(e.to_string()).at_path(path))
}

/// Sets a key on all markers that have it, as the flag of that name asks.
pub(super) fn set_on_markers(recipe: &mut Recipe, key: &str, value: &toml::Value) -> Result<()> {
    match recipe.set_on_markers(key, value)? {
        0 => Err(Error::usage(format!("--{key}: no marker of this recipe has the key `{key}`"))),
        _ => Ok(()),
    }
}

/// Identity columns that a pattern or a sheet may fill.
const ENTITIES: [&str; 4] = ["subject", "session", "task", "run"];

struct Groups([Option<String>; 4]);

impl Groups {
    fn of(captures: &regex_lite::Captures<'_>) -> Self {
        Self(ENTITIES.map(|g| captures.name(g).map(|m| m.as_str().to_owned())))
    }

    fn fill(self, identity: &mut Identity) {
        let fields = [&mut identity.subject, &mut identity.session, &mut identity.task, &mut identity.run];
        for (field, value) in fields.into_iter().zip(self.0) {
            if let Some(value) = value {
                *field = value;
            }
        }
    }
}

/// A CSV sheet with identity columns.
struct Sheet(HashMap<String, [Option<String>; 4]>);

impl Sheet {
    fn read(path: &Path) -> Result<Self> {
        let bad = |e: csv::Error| Error::usage(format!("--join: {e}")).at_path(path);
        let mut reader = csv::Reader::from_path(path).map_err(bad)?;
        let headers = reader.headers().map_err(bad)?.clone();
        let column = |name: &str| headers.iter().position(|h| h.trim() == name);
        let Some(key) = column("recording") else {
            return Err(Error::usage("--join: the sheet has no column `recording`").at_path(path));
        };
        let columns = ENTITIES.map(column);
        let mut rows = HashMap::new();
        for record in reader.records() {
            let record = record.map_err(bad)?;
            let name = record.get(key).unwrap_or_default().to_owned();
            rows.insert(name, columns.map(|c| c.and_then(|c| record.get(c)).map(str::to_owned)));
        }
        Ok(Self(rows))
    }

    /// Returns `false` when the sheet does not hold the recording.
    fn fill(&self, recording: &str, identity: &mut Identity) -> bool {
        let found = self.0.get(recording);
        if let Some(values) = found {
            Groups(values.clone()).fill(identity);
        }
        found.is_some()
    }
}

fn check_table(name: &str, names: &[&str]) -> Result<()> {
    if names.contains(&name) {
        return Ok(());
    }
    let error = Error::usage(format!("--table {name}: there is no such table here"));
    Err(match crate::names::nearest(name, names.iter().copied()) {
        Some(near) => error.with_hint(format!("did you mean {near}?")),
        None => error.with_hint(format!("there are {}", names.join(", "))),
    })
}

fn print_table(name: &str, outcomes: &[Outcome], raw: bool) -> Result<u8> {
    super::print(|mut out| {
        let mut columns: Option<Vec<String>> = None;
        for outcome in outcomes {
            for (table, conditions) in outcome.tables.iter().filter(|(t, _)| t.name() == name) {
                let these: Vec<String> = table.columns().iter().map(|c| c.name.to_string()).collect();
                // a wide table of other channels needs a header of its own
                if columns.as_ref() != Some(&these) {
                    table.write_header(&mut out, raw)?;
                    columns = Some(these);
                }
                table.write_rows(&mut out, &outcome.identity, conditions, raw)?;
            }
        }
        Ok(())
    })
}

fn jobs(given: Option<usize>) -> Result<usize> {
    match given {
        Some(0) => Err(Error::usage("--jobs 0: at least one")),
        Some(n) => Ok(n.min(1024)),
        None => Ok(std::env::var("SLURM_CPUS_PER_TASK")
            .ok()
            .and_then(|v| v.parse().ok())
            .filter(|n| *n > 0)
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))),
    }
}

/// Set by the first Ctrl-C; the second one ends the process.
fn stop_flag() -> &'static AtomicBool {
    static STOP: AtomicBool = AtomicBool::new(false);
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // without a handler Ctrl-C simply ends the process; nothing half-written has a name
        let _ = ctrlc::set_handler(|| {
            if STOP.swap(true, Ordering::Relaxed) {
                std::process::exit(75);
            }
        });
    });
    &STOP
}
