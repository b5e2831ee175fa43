//! `events`: what happened when, and whether pulses in the signal agree.

use super::common::{DetectArgs, OpenArgs};
use super::talk::Talk;
use crate::clean::detect;
use crate::read::probe;
use crate::run::events::{self, EVENT_LIST, EVENTS};
use crate::run::{identity, output};
use crate::signal::ChannelKind;
use crate::table::Table;
use crate::unit::Unit;
use crate::{Error, Result, names};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Recordings
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Look for pulses in the signal too
    #[arg(long)]
    detect: bool,
    /// One row per event instead of one per kind
    #[arg(long)]
    list: bool,
    /// Channels to look for pulses in (names or globs); default: all EEG channels, else all voltages
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    channels: Vec<String>,
    #[command(flatten)]
    open: OpenArgs,
    #[command(flatten)]
    detection: DetectArgs,
}

pub(super) fn run(args: &Args, talk: &Talk) -> Result<u8> {
    let spec = if args.list { &EVENT_LIST } else { &EVENTS };
    let mut header = Some(Table::new(spec));
    let mut failures = Vec::new();
    for (path, name) in args.files.iter().zip(output::recording_names(&args.files)) {
        let written = of_file(path, args, talk).and_then(|table| {
            let identity = identity::from_bids(&name, &path.file_stem().unwrap_or_default().to_string_lossy());
            super::print(|out| {
                header.take().map_or(Ok(()), |t| t.write_header(&mut *out, false))?;
                table.write_rows(out, &identity, &[], false)
            })
        });
        if let Err(error) = written {
            talk.error(&error);
            failures.push(error.kind().exit_code());
        }
    }
    Ok(super::exit_code(&failures, args.files.len()))
}

fn of_file(path: &Path, args: &Args, talk: &Talk) -> Result<Table> {
    let located = |e: Error| e.at_path(path);
    let mut source = probe::open(path, &args.open.options()).map_err(located)?;
    let recording = source.recording().clone();
    for warning in &recording.warnings {
        talk.warning(&recording.name, warning);
    }
    let mut found = None;
    if args.detect {
        let channels = &recording.main_stream().channels;
        let pick = |wanted: &dyn Fn(usize) -> bool| (0..channels.len()).filter(|&i| wanted(i)).collect::<Vec<_>>();
        let mut chosen = if args.channels.is_empty() {
            pick(&|i| channels[i].kind == ChannelKind::Eeg)
        } else {
            pick(&|i| args.channels.iter().any(|p| names::glob(p, &channels[i].name)))
        };
        if chosen.is_empty() && args.channels.is_empty() {
            chosen = pick(&|i| channels[i].unit == Unit::Microvolt);
        }
        if chosen.is_empty() {
            return Err(Error::data("no channel to look for pulses in")
                .at_path(path)
                .with_hint("name some with --channels"));
        }
        let detection =
            detect::detect(&mut *source, &chosen, &args.detection.patch(detect::Detect::default())).map_err(located)?;
        talk.note(&format!("{}: {}", recording.name, events::told(&detection)));
        found = Some(detection);
    }
    let pulses = found.as_ref().map(detect::Detection::ticks);
    Ok(if args.list {
        events::list(&recording, pulses.as_deref())
    } else {
        events::summary(&recording, pulses.as_deref())
    })
}
