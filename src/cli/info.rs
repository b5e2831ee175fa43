//! `info`: what a recording holds, without reading its samples.

use super::common::OpenArgs;
use super::talk::{Talk, harmless};
use crate::read::probe;
use crate::run::events;
use crate::signal::Recording;
use crate::{Error, Result};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Recordings
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Decode the file a second time with an independent decoder (edfplus; ordinary EDF+C files) and compare
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    open: OpenArgs,
}

pub(super) fn run(args: &Args, talk: &Talk) -> Result<u8> {
    let mut failures = Vec::new();
    for path in &args.files {
        match describe(path, args, talk) {
            Ok(code) if code != 0 => failures.push(code),
            Ok(_) => {}
            Err(error) => {
                talk.error(&error);
                failures.push(error.kind().exit_code());
            }
        }
    }
    Ok(super::exit_code(&failures, args.files.len()))
}

fn describe(path: &Path, args: &Args, talk: &Talk) -> Result<u8> {
    let source = probe::open(path, &args.open.options()).map_err(|e| e.at_path(path))?;
    let recording = source.recording();
    let verdict = if args.verify { Some(verify(path)?) } else { None };
    let code = u8::from(verdict.as_ref().is_some_and(|v| v.differs)) * 65;
    if talk.json {
        super::print(|out| writeln!(out, "{}", as_json(path, recording, verdict.as_ref())))?;
        return Ok(code);
    }
    super::print(|out| as_text(out, path, recording, verdict.as_ref()))?;
    for warning in &recording.warnings {
        talk.warning(&path.to_string_lossy(), warning);
    }
    Ok(code)
}

fn as_text(out: &mut dyn Write, path: &Path, recording: &Recording, verdict: Option<&Verdict>) -> std::io::Result<()> {
    writeln!(out, "{}", harmless(&path.to_string_lossy()))?;
    writeln!(out, "  format    {}", recording.format)?;
    if let Some(start) = &recording.start {
        writeln!(out, "  start     {start}")?;
    }
    for (i, stream) in recording.streams.iter().enumerate() {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        stream.channels.iter().for_each(|c| *kinds.entry(c.kind.name()).or_default() += 1);
        let kinds: Vec<String> = kinds.iter().map(|(k, n)| format!("{n} {k}")).collect();
        let seconds = stream.rate.seconds(stream.len() as f64);
        let main = if i == recording.main && recording.streams.len() > 1 { "  (analysed)" } else { "" };
        writeln!(
            out,
            "  stream {i}  {} at {}, {} samples, {seconds:.3} s in {} segment{}{main}",
            kinds.join(", "),
            stream.rate,
            stream.len(),
            stream.segments.len(),
            if stream.segments.len() == 1 { "" } else { "s" },
        )?;
        let names: Vec<String> = stream
            .channels
            .iter()
            .map(|c| format!("{} [{}]", harmless(&c.name), harmless(&c.unit.to_string())))
            .collect();
        writeln!(out, "            {}", names.join(", "))?;
        if let Some(cut) = recording.epoched.as_ref().filter(|_| i == recording.main) {
            let (from, to) = (stream.rate.seconds(cut.first as f64), cut.first as f64 + cut.len as f64 - 1.0);
            let mut conditions = BTreeMap::<&str, usize>::new();
            cut.around.iter().for_each(|&name| *conditions.entry(recording.event_name(name)).or_default() += 1);
            let conditions: Vec<String> =
                conditions.iter().map(|(name, n)| format!("{n} × {}", harmless(name))).collect();
            writeln!(
                out,
                "  epochs    {} of {} samples, {from} to {} s: {}",
                cut.around.len(),
                cut.len,
                stream.rate.seconds(to),
                conditions.join(", ")
            )?;
        } else if stream.segments.len() > 1 {
            for s in stream.segments.iter().take(20) {
                writeln!(out, "            segment from sample {} ({} samples) at {} s", s.first, s.length, s.start_s)?;
            }
        }
    }
    for kind in events::kinds(recording) {
        let every = kind.interval_median_s.map_or_else(String::new, |s| format!(", every {s:.3} s (median)"));
        writeln!(out, "  event     {} × {}{every}", kind.count, harmless(&kind.name))?;
    }
    if let Some(verdict) = verdict {
        writeln!(out, "  verify    {}", harmless(&verdict.text))?;
    }
    Ok(())
}

fn as_json(path: &Path, recording: &Recording, verdict: Option<&Verdict>) -> serde_json::Value {
    let streams: Vec<_> = recording
        .streams
        .iter()
        .map(|s| {
            json!({
                "rate_hz": s.rate.hz(),
                "samples": s.len(),
                "seconds": s.rate.seconds(s.len() as f64),
                "channels": s.channels,
                "segments": s.segments,
            })
        })
        .collect();
    json!({
        "file": path.to_string_lossy(),
        "recording": recording.name,
        "format": recording.format,
        "start": recording.start,
        "analysed_stream": recording.main,
        "streams": streams,
        "events": events::kinds(recording),
        "epochs": recording.epoched.as_ref().map(|cut| json!({
            "count": cut.around.len(),
            "first": cut.first,
            "samples": cut.len,
            "around": cut.around.iter().map(|&name| recording.event_name(name)).collect::<Vec<_>>(),
        })),
        "line_hz": recording.line_hz,
        "warnings": recording.warnings,
        "verify": verdict.map(|v| &v.text),
    })
}

struct Verdict {
    text: String,
    differs: bool,
}

#[cfg(feature = "verify-edfplus")]
fn verify(path: &Path) -> Result<Verdict> {
    use crate::read::verify::{Verification, verify};
    let found = verify(path).map_err(|e: Error| e.at_path(path))?;
    Ok(Verdict { differs: matches!(found, Verification::Differs { .. }), text: found.to_string() })
}

#[cfg(not(feature = "verify-edfplus"))]
fn verify(path: &Path) -> Result<Verdict> {
    Err(Error::usage("this build has no second decoder")
        .at_path(path)
        .with_hint("build with the feature verify-edfplus"))
}
