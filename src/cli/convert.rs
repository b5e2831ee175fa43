//! `convert`: a recording as BrainVision float32.

use super::common::OpenArgs;
use super::talk::Talk;
use crate::flow::Source;
use crate::read::probe;
use crate::signal::Block;
use crate::write::brainvision::{BrainVisionWriter, Encoding};
use crate::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Recording to read
    file: PathBuf,
    /// File to write: NAME.vhdr (NAME.eeg and NAME.vmrk stand beside it)
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Number of the stream to write, where a file holds several sampling rates (see `info`)
    #[arg(long)]
    stream: Option<usize>,
    /// Overwrite
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    open: OpenArgs,
}

pub(super) fn run(args: &Args, talk: &Talk) -> Result<u8> {
    check_target(&args.out, args.force)?;
    let same = |a: &Path| matches!((a.canonicalize(), args.file.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if targets(&args.out).iter().any(|t| same(t)) {
        return Err(Error::usage("would overwrite the recording that is read").at_path(&args.out));
    }
    let mut source = probe::open(&args.file, &args.open.options()).map_err(|e| e.at_path(&args.file))?;
    for warning in &source.recording().warnings {
        talk.warning(&args.file.to_string_lossy(), warning);
    }
    let main = source.recording().main;
    let stream = args.stream.unwrap_or(main);
    let Some(chosen) = source.recording().streams.get(stream) else {
        let n = source.recording().streams.len();
        return Err(Error::usage(format!("there is no stream {stream}; the file holds {n}, numbered from 0"))
            .at_path(&args.file));
    };
    let channels: Vec<usize> = (0..chosen.channels.len()).collect();
    if source.recording().streams.len() > 1 && args.stream.is_none() {
        talk.note(&format!("stream {stream} of {} is written; choose with --stream", source.recording().streams.len()));
    }
    if source.recording().epoched.is_some() {
        talk.note("the epochs are written as segments of a continuous recording");
    }
    source.select(stream, &channels)?;
    write(&mut *source, stream, &args.out, Encoding::Float32, talk)?;
    Ok(0)
}

/// The three files of a BrainVision recording.
fn targets(out: &Path) -> [PathBuf; 3] {
    ["vhdr", "vmrk", "eeg"].map(|extension| out.with_extension(extension))
}

/// Whether a recording of this name can be written without overwriting anything, or may be with `--force`.
pub(super) fn check_target(out: &Path, force: bool) -> Result<()> {
    if out.extension().is_none_or(|e| e != "vhdr") {
        return Err(Error::usage("only BrainVision is written")
            .at_path(out)
            .with_hint("give a name that ends in .vhdr"));
    }
    match targets(out).into_iter().find(|t| !force && t.exists()) {
        Some(there) => {
            Err(Error::new(ErrorKind::Output, "exists already").at_path(there).with_hint("overwrite with --force"))
        }
        None => Ok(()),
    }
}

/// Streams what is selected (all channels of `stream`) into a BrainVision recording.
pub(super) fn write(source: &mut dyn Source, stream: usize, out: &Path, encoding: Encoding, talk: &Talk) -> Result<()> {
    let channels = source.recording().streams[stream].channels.len();
    let all: Vec<usize> = (0..channels).collect();
    let mut writer = BrainVisionWriter::create(out, source.recording(), stream, &all)?.encoded(encoding);
    let bar = talk.bar(source.progress().1);
    let mut block = Block::new(channels, 4096);
    while source.read(&mut block)? {
        writer.push(&block)?;
        bar.set_position(source.progress().0);
    }
    let written = writer.finish()?;
    bar.finish_and_clear();
    talk.note(&format!("{}: {channels} channels, {} samples each", out.display(), written.samples));
    if written.events_left_out > 0 {
        talk.note(&format!(
            "{} events lie before the first sample; BrainVision has no place for them",
            written.events_left_out
        ));
    }
    Ok(())
}
