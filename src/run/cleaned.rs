//! The cleaned recording: what leaves the last cleaning Stage, beside the channels that were not cleaned, with what was found in
//! its markers.

use super::batch::file_name;
use super::pipeline::Pipeline;
use super::recording::Session;
use super::tap::Tap;
use crate::flow::Source;
use crate::recipe::{EpochPart, Recipe, StagePart};
use crate::signal::{Block, Stream};
use crate::table::Table;
use crate::unit::Tick;
use crate::write::brainvision::BrainVisionWriter;
use crate::{Error, Result, Warning};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// `NAME.vhdr` and what belongs to it (float32), being written while the pipeline runs: the analysed channels as they leave the last
/// Stage that is watched, then the stream's other channels as they are, with the recording's events and a comment at each stretch of
/// stimulation that tells its verdicts. The samples are those that the tables speak of.
pub(super) struct Cleaned {
    writer: BrainVisionWriter,
    rest: Option<Rest>,
    stream: Stream,
}

impl Cleaned {
    /// Taps the pipeline. `source` is one of its own.
    ///
    /// # Errors
    /// When no Stage cleans, one before the last cleaning one changes the sampling rate or the channels, or the folder cannot be
    /// written.
    pub fn new(pipeline: &mut Pipeline, mut source: Box<dyn Source>, session: &Session, header: &Path) -> Result<Self> {
        let parts = &session.recipe.stream;
        let Some(last) = parts.iter().rposition(|part| !part.config().tables().is_empty()) else {
            return Err(Error::usage("there is no cleaning Stage whose output could be written"));
        };
        let given = &session.input.info;
        let tapped = pipeline.tap(last);
        if tapped.iter().any(|info| info.clock != given.clock) {
            return Err(Error::usage("the cleaned recording: a Stage before the cleaning changes the sampling rate"));
        }
        if tapped.iter().map(|info| info.channels.len()).sum::<usize>() != given.channels.len() {
            return Err(Error::usage("the cleaned recording: a Stage gives other channels than it takes"));
        }
        let all = source.recording().main_stream().channels.len();
        let rest: Vec<usize> = (0..all).filter(|c| !session.channels.contains(c)).collect();
        let order: Vec<usize> = session.channels.iter().chain(&rest).copied().collect();
        let mut recording = source.recording().clone();
        recording.event_is_stimulus.resize(recording.event_names.len(), true);
        let stream = recording.main_stream().clone();
        let writer = BrainVisionWriter::create(header, &recording, session.stream, &order)?;
        let rest = if rest.is_empty() {
            None
        } else {
            source.select(session.stream, &rest)?;
            Some(Rest { block: Block::new(rest.len(), given.max_block), tap: Tap::default(), source })
        };
        Ok(Self { writer, rest, stream })
    }

    /// Writes what has left the Stage, in runs that no front's blocks end within.
    pub fn take(&mut self, pipeline: &mut Pipeline) -> Result<()> {
        if let (Some(rest), Some(end)) = (&mut self.rest, pipeline.taps().filter_map(|t| t.end()).max()) {
            rest.draw(end)?;
        }
        let mut taps: Vec<&mut Tap> = pipeline.taps().collect();
        taps.extend(self.rest.as_mut().map(|rest| &mut rest.tap));
        for tap in (0..taps.len()).cycle() {
            let Some(spare) = self.writer.spare() else { break };
            taps[tap].give(spare);
        }
        loop {
            let heads: Option<Vec<(u32, i64, usize)>> = taps.iter().map(|tap| tap.head()).collect();
            let Some(heads) = heads.filter(|h| !h.is_empty()) else { return Ok(()) };
            let (segment, first, _) = heads[0];
            if heads.iter().any(|(s, f, _)| (*s, *f) != (segment, first)) {
                return Err(Error::usage("the cleaned recording: a Stage gives other samples than it takes"));
            }
            let len = heads.iter().map(|h| h.2).min().unwrap_or(0);
            self.writer.push_encoded(first, len, taps.iter_mut().map(|tap| tap.take(len)).collect())?;
        }
    }

    /// Gives the files their names.
    pub fn finish(mut self, tables: &[Table], header: &Path) -> Result<Option<Warning>> {
        for (at, seconds, text) in verdicts(&self.stream, tables) {
            self.writer.comment(at, seconds, text);
        }
        let left_out = self.writer.finish()?.events_left_out;
        Ok((left_out > 0).then(|| {
            let message = format!("{} has no place for {left_out} events before its first sample", file_name(header));
            Warning::new("W_EVENTS_LEFT_OUT", message)
        }))
    }
}

/// The channels that are not analysed.
struct Rest {
    source: Box<dyn Source>,
    block: Block,
    tap: Tap,
}

impl Rest {
    /// Reads on as far as sample `end`.
    fn draw(&mut self, end: i64) -> Result<()> {
        while self.block.end() < end && self.source.read(&mut self.block)? {
            self.tap.keep(&self.block);
        }
        Ok(())
    }
}

/// A comment per stretch of stimulation: sample, seconds, how many channels have which verdict and which are not clean.
fn verdicts(stream: &Stream, tables: &[Table]) -> Vec<(Tick, f64, String)> {
    let Some(table) = tables.iter().find(|t| t.name() == "tacs") else { return Vec::new() };
    // start, end, channels with their verdicts
    type Told = (f64, f64, Vec<(String, String)>);
    let mut episodes: BTreeMap<i64, Told> = BTreeMap::new();
    for row in 0..table.len() {
        let number = |column| table.number(row, column);
        let (Some(segment), Some(start), Some(end)) = (number("segment"), number("start_s"), number("end_s")) else {
            continue;
        };
        let text = |column| table.text(row, column).unwrap_or_default().to_owned();
        let episode = episodes.entry(segment as i64).or_insert((start, end, Vec::new()));
        episode.2.push((text("channel"), text("verdict")));
    }
    let told = |(segment, (start, end, channels)): (i64, Told)| {
        let text = format!("stimulation {segment}: {} (plateau)", summary(&channels));
        (stream.place(start).0, (end - start).max(stream.rate.seconds(1.0)), text)
    };
    episodes.into_iter().map(told).collect()
}

/// Tells that an average reference carries what is left in some channels into all the others, whose own verdicts say nothing of it.
pub(super) fn shared_residue(recipe: &Recipe, tables: &[Table]) -> Option<Warning> {
    let averaged = recipe.epoch.iter().any(EpochPart::is_average_reference);
    let table = tables.iter().find(|t| t.name() == "tacs").filter(|_| averaged)?;
    let of = |verdict: &str| -> BTreeSet<String> {
        let rows = (0..table.len()).filter(|&row| table.text(row, "verdict").is_some_and(|v| v == verdict));
        rows.filter_map(|row| Some(table.text(row, "channel")?.to_owned())).collect()
    };
    let (clean, doubtful) = (of("no_residue_found"), of("doubtful"));
    if clean.is_empty() || doubtful.is_empty() {
        return None;
    }
    let names: Vec<&str> = doubtful.iter().map(String::as_str).collect();
    Some(Warning::new(
        "W_SHARED_RESIDUE",
        format!(
            "the average reference carries what is left in doubtful channels into all others during stimulation; --bad {} leaves them out",
            names.join(",")
        ),
    ))
}

/// `30 no_residue_found; doubtful: Fz Cz`.
fn summary(channels: &[(String, String)]) -> String {
    const NAMED: usize = 8;
    let verdicts = ["no_residue_found", "doubtful", "unusable"];
    let told = verdicts.iter().filter_map(|verdict| {
        let mine: Vec<&str> = channels.iter().filter(|(_, v)| v == verdict).map(|(c, _)| c.as_str()).collect();
        match mine.len() {
            0 => None,
            n if n == channels.len() => Some(format!("{verdict} (all {n} channels)")),
            n if *verdict == "no_residue_found" || n > NAMED => Some(format!("{n} {verdict}")),
            _ => Some(format!("{verdict}: {}", mine.join(" "))),
        }
    });
    told.collect::<Vec<_>>().join("; ")
}

/// Whether the recipe has a Stage whose output is a cleaned recording.
pub(super) fn cleans(parts: &[StagePart]) -> bool {
    parts.iter().any(|part| !part.config().tables().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_what_is_not_clean() {
        let rows =
            |all: &[(&str, &str)]| all.iter().map(|(c, v)| ((*c).to_owned(), (*v).to_owned())).collect::<Vec<_>>();
        let clean = "no_residue_found";
        assert_eq!(summary(&rows(&[("Fz", clean), ("Cz", clean)])), "no_residue_found (all 2 channels)");
        let mixed = rows(&[("Fz", clean), ("Cz", "doubtful"), ("Pz", "unusable")]);
        assert_eq!(summary(&mixed), "1 no_residue_found; doubtful: Cz; unusable: Pz");
    }
}
