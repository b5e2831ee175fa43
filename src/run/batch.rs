//! Many recordings: one per core, failures told and left behind, tables in input order whatever finished first.

use super::output::{create_folder, write_file, write_table};
use super::recording::{Analysis, Options, analyse};
use crate::recipe::Recipe;
use crate::table::{Identity, Table};
use crate::{Error, ErrorKind, Result, Warning};
use rayon::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;
use xxhash_rust::xxh3::Xxh3;

/// One input: where it is, and what its identity columns hold.
#[derive(Debug, Clone)]
pub struct Input {
    /// Path as the user gave it.
    pub path: PathBuf,
    /// Identity; `identity.recording` is the name of its folder.
    pub identity: Identity,
    /// What is known to be amiss before the file is opened: a sheet that does not hold it, say.
    pub warnings: Vec<Warning>,
}

/// How a batch is run.
pub struct Batch<'a> {
    /// Output folder; `None`: nothing is written, the tables are returned.
    pub out: Option<&'a Path>,
    /// Recordings and threads at once.
    pub jobs: usize,
    /// Also write the cleaned recording, `cleaned.vhdr`, into each recording's folder, where the recipe cleans.
    pub cleaned: bool,
    /// Leave text that looks like a formula alone.
    pub csv_raw: bool,
    /// Overwrite an earlier run's output.
    pub force: bool,
    /// Per recording.
    pub options: Options<'a>,
    /// Told of every recording as it ends.
    pub ended: Option<&'a (dyn Fn(&Outcome) + Sync)>,
    /// The command line, for `run.json`.
    pub command: Vec<String>,
}

/// Name of the cleaned recording's header.
pub const CLEANED: &str = "cleaned.vhdr";

/// What is done with one file.
pub type Work<'w> = dyn Fn(&Path, &Options<'_>) -> Result<Analysis> + Sync + 'w;

/// What became of one input.
#[derive(Debug)]
pub struct Outcome {
    /// Name of the recording.
    pub recording: String,
    /// Path as given.
    pub path: PathBuf,
    /// Kept and asked-for trials, or why it failed.
    pub result: Result<(u64, u64)>,
    /// Warnings.
    pub warnings: Vec<Warning>,
    /// Bytes of the input, all its files together.
    pub bytes: Option<u64>,
    /// XXH3 hash (128 bit, hexadecimal) of the input: of its files one after the other, the named one first.
    pub hash: Option<String>,
    /// Seconds per stretch of work.
    pub seconds: Vec<(&'static str, f64)>,
    /// Rows of summary tables: name, header, rows.
    summary: Vec<Summary>,
    /// Recipe as it ran.
    recipe: Option<String>,
    /// All tables with their conditions, where nothing is written.
    pub tables: Vec<(Table, Vec<String>)>,
    /// Identity columns.
    pub identity: Identity,
}

#[derive(Debug)]
struct Summary {
    name: &'static str,
    header: Vec<u8>,
    rows: Vec<u8>,
}

impl Outcome {
    /// Exit code of this recording alone.
    pub fn exit_code(&self) -> u8 {
        self.result.as_ref().err().map_or(0, |e| e.kind().exit_code())
    }
}

/// Exit code of a run: 0 all done, 1 some failed, else the code of the only input's failure.
pub fn exit_code(outcomes: &[Outcome]) -> u8 {
    match outcomes {
        [only] => only.exit_code(),
        several => {
            let interrupted = several.iter().any(|o| matches!(&o.result, Err(e) if e.kind() == ErrorKind::Interrupted));
            match several.iter().filter(|o| o.result.is_err()).count() {
                0 => 0,
                _ if interrupted => ErrorKind::Interrupted.exit_code(),
                _ => 1,
            }
        }
    }
}

/// Runs a recipe over all inputs. A recording that fails never stops the others.
///
/// # Errors
/// Only when the output folder itself cannot be used; what happens to a recording is in its [`Outcome`].
pub fn run(recipe: &Recipe, inputs: &[Input], batch: &Batch<'_>) -> Result<Vec<Outcome>> {
    run_by(&|path, options| analyse(path, recipe, options), &recipe.to_toml(), inputs, batch)
}

/// As [`run`], for an analysis that is no recipe; `recipe` describes it (TOML) in `run.json`.
///
/// # Errors
/// As [`run`].
pub fn run_by(work: &Work<'_>, recipe: &str, inputs: &[Input], batch: &Batch<'_>) -> Result<Vec<Outcome>> {
    let started = Instant::now();
    if let Some(out) = batch.out {
        if !batch.force && holds_results(out) {
            return Err(Error::new(ErrorKind::Output, "holds the results of an earlier run")
                .at_path(out)
                .with_hint("choose another folder, or overwrite with --force"));
        }
        if let Some(path) = in_the_way(out, inputs).filter(|_| !batch.force) {
            return Err(Error::new(ErrorKind::Output, "stands where results would go")
                .at_path(path)
                .with_hint("choose another folder, or overwrite with --force"));
        }
        create_folder(out)?;
    }
    let jobs = batch.jobs.max(1);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(jobs)
        .build()
        .map_err(|e| Error::new(ErrorKind::Io, format!("no threads to work with: {e}")))?;
    // several recordings: one per thread; fewer recordings than threads: the threads share a recording's channels
    let threads = if inputs.len() >= jobs { 1 } else { jobs / inputs.len().max(1) };
    let outcomes: Vec<Outcome> = pool.install(|| {
        inputs
            .par_iter()
            .with_max_len(1)
            .map(|input| {
                let outcome = one(work, input, batch, threads);
                if let Some(ended) = batch.ended {
                    ended(&outcome);
                }
                outcome
            })
            .collect()
    });
    // a run that has nothing to show leaves what still stands of an earlier one
    let nothing = outcomes.iter().all(|o| o.result.is_err());
    if let Some(out) = batch.out.filter(|out| !(nothing && holds_results(out))) {
        write_summary(out, recipe, &outcomes, batch, started)?;
    }
    Ok(outcomes)
}

fn one(work: &Work<'_>, input: &Input, batch: &Batch<'_>, threads: usize) -> Outcome {
    let mut outcome = Outcome {
        recording: input.identity.recording.clone(),
        path: input.path.clone(),
        result: Ok((0, 0)),
        warnings: input.warnings.clone(),
        bytes: None,
        hash: None,
        seconds: Vec::new(),
        summary: Vec::new(),
        recipe: None,
        tables: Vec::new(),
        identity: input.identity.clone(),
    };
    let cleaned = batch.out.filter(|_| batch.cleaned).map(|out| out.join(&input.identity.recording).join(CLEANED));
    let options = Options { threads, cleaned, ..batch.options.clone() };
    // whatever a bug in one recording does, the others go on
    let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        // the input is hashed meanwhile; where nothing is written nobody asks for it
        let (analysis, hashed) = match batch.out {
            Some(out) => {
                let folder = out.join(&input.identity.recording);
                if options.cleaned.is_some() {
                    create_folder(&folder)?;
                }
                rayon::join(|| work(&input.path, &options), || hash_input(&input.path).map(Some))
            }
            None => (work(&input.path, &options), Ok(None)),
        };
        if let Ok(Some((bytes, hash))) = &hashed {
            (outcome.bytes, outcome.hash) = (Some(*bytes), Some(hash.clone()));
        }
        let mut analysis = analysis?;
        hashed?;
        analysis.warnings.splice(0..0, input.warnings.iter().cloned());
        outcome.warnings.clone_from(&analysis.warnings);
        outcome.seconds.clone_from(&analysis.seconds);
        outcome.recipe = Some(analysis.recipe.clone());
        let trials = analysis.trials;
        match batch.out {
            Some(out) => write_recording(out, input, analysis, batch, &mut outcome)?,
            None => {
                let conditions = analysis.conditions;
                outcome.tables = analysis.tables.into_iter().map(|t| (t, conditions.clone())).collect();
            }
        }
        Ok(trials)
    }));
    outcome.result = worked.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Io, "stopped by a defect of stimkit itself")
            .at_path(&input.path)
            .with_hint("please report it with the file's `stimkit info`"))
    });
    if outcome.result.is_err() {
        outcome.summary.clear();
    }
    outcome
}

fn write_recording(
    out: &Path,
    input: &Input,
    analysis: Analysis,
    batch: &Batch<'_>,
    outcome: &mut Outcome,
) -> Result<()> {
    let started = Instant::now();
    let folder = out.join(&input.identity.recording);
    create_folder(&folder)?;
    // from here on neither the recording nor the run is done, whatever an earlier one has left
    forget(out, "run.json")?;
    forget(&folder, "recording.json")?;
    forget_other_tables(&folder, &analysis.tables.iter().map(Table::name).collect::<Vec<_>>())?;
    if !batch.cleaned {
        cleaned_files().try_for_each(|name| forget(&folder, &name))?;
    }
    let (identity, conditions, raw) = (&input.identity, &analysis.conditions, batch.csv_raw);
    // a table that goes into the summary too is formatted once
    let written: Vec<Result<(String, String, Option<Summary>)>> = analysis
        .tables
        .par_iter()
        .map(|table| {
            let file = format!("{}.csv", table.name());
            let path = folder.join(&file);
            if table.spec().series {
                return Ok((file, write_table(&path, table, identity, conditions, raw)?, None));
            }
            let (mut header, mut rows) = (Vec::new(), Vec::new());
            let failed = |e: std::io::Error| Error::output(&folder, &e);
            table.write_header(&mut header, raw).map_err(failed)?;
            table.write_rows(&mut rows, identity, conditions, raw).map_err(failed)?;
            let hash = write_file(&path, |w| w.write_all(&header).and_then(|()| w.write_all(&rows)))?;
            Ok((file, hash, Some(Summary { name: table.name(), header, rows })))
        })
        .collect();
    let mut files = BTreeMap::new();
    for written in written {
        let (file, hash, summary) = written?;
        files.insert(file, hash);
        outcome.summary.extend(summary);
    }
    let columns: serde_json::Map<String, serde_json::Value> = analysis
        .tables
        .iter()
        .map(|t| {
            let columns: Vec<_> = crate::table::IDENTITY.iter().chain(t.columns()).collect();
            (t.name().to_owned(), json!({ "about": t.spec().about, "columns": columns }))
        })
        .collect();
    write_json(&folder.join("columns.json"), &serde_json::Value::Object(columns))?;
    outcome.seconds.push(("write", started.elapsed().as_secs_f64()));
    let record = json!({
        "stimkit": env!("CARGO_PKG_VERSION"),
        "recording": identity.recording,
        "input": { "name": file_name(&input.path), "bytes": outcome.bytes, "xxh3_128": outcome.hash },
        "recipe": analysis.recipe,
        "conditions": analysis.conditions,
        "trials_kept": analysis.trials.0,
        "trials_asked": analysis.trials.1,
        "warnings": analysis.warnings,
        "models": analysis.models,
        "seconds": outcome.seconds.iter().map(|(k, v)| (k.to_string(), json!(v))).collect::<serde_json::Map<_, _>>(),
        "files_xxh3_128": files,
    });
    // written last: it marks the recording as done
    write_json(&folder.join("recording.json"), &record)
}

/// Whether an earlier run has left a result in `out`. A folder that only tells of failures holds none.
fn holds_results(out: &Path) -> bool {
    let Ok(text) = std::fs::read(out.join("run.json")) else { return false };
    let told: Option<serde_json::Value> = serde_json::from_slice(&text).ok();
    let recordings = told.as_ref().and_then(|t| t.get("recordings")?.as_array());
    recordings.is_none_or(|all| all.iter().any(|r| r.get("outcome").is_none_or(|o| o != "failed")))
}

/// What this run would replace or remove without being asked to: a finished recording, or what stimkit has not written.
/// What an interrupted run has left, a table here and there, is in nobody's way.
fn in_the_way(out: &Path, inputs: &[Input]) -> Option<PathBuf> {
    let tables = || super::all_tables().into_iter().map(|t| format!("{}.csv", t.name));
    let top = tables().chain(["failures.csv".to_owned()]).map(|name| out.join(name));
    let mut folders = inputs.iter().map(|input| out.join(&input.identity.recording));
    let inside = folders.clone().flat_map(|folder| tables().chain(cleaned_files()).map(move |name| folder.join(name)));
    let done = folders.find_map(|folder| Some(folder.join("recording.json")).filter(|path| path.exists()));
    done.or_else(|| top.chain(inside).find(|path| path.exists() && !is_ours(path)))
}

/// Whether a file begins as stimkit begins such files: tables with who was recorded, headers with who wrote them. Samples have
/// no beginning of their own: they are what the header beside them is.
fn is_ours(path: &Path) -> bool {
    let header = if path.extension().is_some_and(|e| e == "csv") { path } else { &path.with_file_name(CLEANED) };
    let mut start = Vec::new();
    let read = std::fs::File::open(header).and_then(|file| file.take(128).read_to_end(&mut start));
    let signs: [&[u8]; 2] = [b"recording,", b"; written by stimkit"];
    read.is_ok() && signs.iter().any(|sign| start.windows(sign.len()).any(|w| w == *sign))
}

/// The three files of a cleaned recording.
fn cleaned_files() -> impl Iterator<Item = String> {
    ["vhdr", "vmrk", "eeg"].into_iter().map(|e| Path::new(CLEANED).with_extension(e).to_string_lossy().into_owned())
}

/// Removes what an earlier run has left under this name.
fn forget(folder: &Path, name: &str) -> Result<()> {
    let path = folder.join(name);
    match std::fs::remove_file(&path) {
        Err(e) if !matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            Err(Error::output(&path, &e))
        }
        _ => Ok(()),
    }
}

/// Removes tables of an earlier run that this one does not write, so that all files of a folder belong together.
fn forget_other_tables(folder: &Path, written: &[&str]) -> Result<()> {
    let others = super::all_tables().into_iter().filter(|t| !written.contains(&t.name));
    others.into_iter().try_for_each(|t| forget(folder, &format!("{}.csv", t.name)))
}

fn write_summary(out: &Path, recipe: &str, outcomes: &[Outcome], batch: &Batch<'_>, started: Instant) -> Result<()> {
    let mut names: Vec<&'static str> = Vec::new();
    for summary in outcomes.iter().flat_map(|o| &o.summary) {
        if !names.contains(&summary.name) {
            names.push(summary.name);
        }
    }
    forget_other_tables(out, &names)?;
    for name in names {
        let parts: Vec<&Summary> = outcomes.iter().flat_map(|o| &o.summary).filter(|s| s.name == name).collect();
        write_file(&out.join(format!("{name}.csv")), |w| {
            w.write_all(&parts[0].header)?;
            parts.iter().try_for_each(|p| w.write_all(&p.rows))
        })?;
    }
    write_file(&out.join("failures.csv"), |w| {
        let mut csv = csv::Writer::from_writer(w);
        csv.write_record(["recording", "path", "stage", "kind", "message"])?;
        for outcome in outcomes {
            if let Err(error) = &outcome.result {
                let (path, message) = (outcome.path.to_string_lossy(), error.to_string());
                let fields = [&outcome.recording, &*path, stage(error.kind()), error.kind().name(), &message];
                csv.write_record(fields.map(|text| {
                    let mut guarded = String::new();
                    if batch.csv_raw {
                        guarded.push_str(text);
                    } else {
                        crate::table::guard_formula(text, &mut guarded);
                    }
                    guarded
                }))?;
            }
        }
        csv.flush()
    })?;
    let recordings: Vec<_> = outcomes
        .iter()
        .map(|o| {
            json!({
                "recording": o.recording,
                "path": o.path.to_string_lossy(),
                "bytes": o.bytes,
                "xxh3_128": o.hash,
                "outcome": if o.result.is_ok() { "done" } else { "failed" },
                "trials_kept": o.result.as_ref().ok().map(|t| t.0),
                "trials_asked": o.result.as_ref().ok().map(|t| t.1),
                "kind": o.result.as_ref().err().map(|e| e.kind().name()),
                "message": o.result.as_ref().err().map(ToString::to_string),
                "warnings": o.warnings,
                "recipe": o.recipe,
                "seconds": o.seconds.iter().map(|(k, v)| (k.to_string(), json!(v))).collect::<serde_json::Map<_, _>>(),
            })
        })
        .collect();
    write_json(
        &out.join("run.json"),
        &json!({
            "stimkit": env!("CARGO_PKG_VERSION"),
            "command": batch.command,
            "recipe": recipe,
            "exit_code": exit_code(outcomes),
            "recordings": recordings,
            "jobs": batch.jobs,
            "cpu_features": cpu_features(),
            "seconds": started.elapsed().as_secs_f64(),
        }),
    )
}

/// How far a recording came that failed in this way.
fn stage(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Input | ErrorKind::Format | ErrorKind::Unsupported => "read",
        ErrorKind::Usage | ErrorKind::Data => "build",
        ErrorKind::Output | ErrorKind::Io => "write",
        ErrorKind::Interrupted => "run",
    }
}

fn write_json(path: &Path, value: &serde_json::Value) -> Result<()> {
    write_file(path, |w| {
        serde_json::to_writer_pretty(&mut *w, value)?;
        w.write_all(b"\n")
    })
    .map(drop)
}

pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

pub(super) fn hash_input(path: &Path) -> Result<(u64, String)> {
    let (mut hasher, mut bytes) = (Xxh3::new(), 0);
    let mut buffer = vec![0; 1 << 18];
    for path in input_files(path) {
        let failed = |e: std::io::Error| Error::input(&path, &e);
        let mut file = std::fs::File::open(&path).map_err(failed)?;
        // what can be read only once is left to the reader
        let mut left = file.metadata().map_err(failed)?.is_file();
        while left {
            let n = std::io::Read::read(&mut file, &mut buffer).map_err(failed)?;
            hasher.update(&buffer[..n]);
            bytes += n as u64;
            left = n > 0;
        }
    }
    Ok((bytes, format!("{:032x}", hasher.digest128())))
}

/// The files of a recording: the one named, and what a BrainVision header points to, as far as they exist.
pub fn input_files(path: &Path) -> Vec<PathBuf> {
    let mut files = vec![path.to_owned()];
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("vhdr")) {
        let text = std::fs::read(path).unwrap_or_default();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        for key in ["DataFile=", "MarkerFile="] {
            let named = String::from_utf8_lossy(&text).lines().find_map(|l| l.strip_prefix(key).map(str::to_owned));
            let beside = named.map(|n| path.with_file_name(n.trim().replace("$b", &stem)));
            files.extend(beside.filter(|p| p.is_file() && p != path));
        }
    }
    files
}

/// What the processor can do, of what changes the last bits of results.
fn cpu_features() -> Vec<&'static str> {
    #[allow(unused_mut)]
    let mut out = vec![std::env::consts::ARCH];
    #[cfg(target_arch = "x86_64")]
    for (name, has) in [
        ("sse4.1", std::arch::is_x86_feature_detected!("sse4.1")),
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("fma", std::arch::is_x86_feature_detected!("fma")),
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
    ] {
        if has {
            out.push(name);
        }
    }
    out
}
