//! The cleaned recording: what leaves the last cleaning Stage, beside the channels that were not cleaned, with what was found in
//! its markers.

use super::batch::file_name;
use super::front::Watched;
use super::pipeline::{Models, stages};
use super::recording::{Options, Session, interrupted};
use super::slots::Slots;
use crate::flow::{BuildContext, Problems, Source};
use crate::recipe::StagePart;
use crate::signal::{Block, Event, EventName, LANES, Recording, StreamInfo};
use crate::table::Table;
use crate::unit::Tick;
use crate::write::brainvision::BrainVisionWriter;
use crate::{Error, Result, Warning};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// Blocks that each lane draws before the lanes meet.
const ROUND: usize = 16;

/// Writes `NAME.vhdr` and what belongs to it (float32): the analysed channels as they leave the last Stage that is watched, then
/// the stream's other channels as they are, with the recording's events and a comment at each stretch of stimulation that tells
/// its verdicts. The samples are those that the tables speak of: the same Stages with the same models.
///
/// # Errors
/// When a Stage before the last cleaning one changes the sampling rate, or the files cannot be read or written.
pub(super) fn write(
    open: &dyn Fn() -> Result<Box<dyn Source>>,
    session: &Session,
    learnt: &Models,
    tables: &[Table],
    options: &Options<'_>,
    header: &Path,
) -> Result<Option<Warning>> {
    let parts = &session.recipe.stream;
    let Some(last) = parts.iter().rposition(|part| !part.config().tables().is_empty()) else {
        return Err(Error::usage("there is no cleaning Stage whose output could be written"));
    };
    let parts = &parts[..=last];
    let all = &session.input.info.channels;
    let joins = parts.iter().any(|part| part.config().joins_channels());
    let groups = all.len().div_ceil(LANES);
    let n = if joins { 1 } else { options.threads.clamp(1, groups.max(1)) };
    let mut lanes = Vec::new();
    for i in 0..n {
        let channels = groups * i / n * LANES..(groups * (i + 1) / n * LANES).min(all.len());
        let info = StreamInfo { channels: all[channels.clone()].into(), ..session.input.info.clone() };
        let mut problems = Problems::default();
        let mut context = BuildContext {
            line_hz: session.input.line_hz,
            bad: session.recipe.input.bad.clone(),
            seed: session.recipe.input.seed,
            segments: session.input.segments.clone().into(),
            threads: 1,
            ..BuildContext::default()
        };
        let built = stages(parts, learnt, &info, &mut context, &mut problems);
        problems.into_result()?;
        if built.iter().any(|(stage, _)| stage.output().clock != info.clock) {
            return Err(Error::usage("the cleaned recording: a Stage before the cleaning changes the sampling rate"));
        }
        if built.iter().any(|(stage, _)| stage.output().channels.len() != info.channels.len()) {
            return Err(Error::usage("the cleaned recording: a Stage gives other channels than it takes"));
        }
        lanes.push(Lane::new(open()?, session.stream, &session.channels[channels], &info, built)?);
    }
    let source = open()?;
    let recording = source.recording();
    let rest: Vec<usize> =
        (0..recording.main_stream().channels.len()).filter(|c| !session.channels.contains(c)).collect();
    let described = with_verdicts(recording, session, tables);
    let order: Vec<usize> = session.channels.iter().chain(&rest).copied().collect();
    let mut writer = BrainVisionWriter::create(header, &described, session.stream, &order)?;
    if !rest.is_empty() {
        let channels = rest.iter().map(|&c| recording.main_stream().channels[c].clone()).collect();
        let info = StreamInfo { channels, ..session.input.info.clone() };
        lanes.push(Lane::new(open()?, session.stream, &rest, &info, Vec::new())?);
    }
    drop(source);

    let most = session.input.info.max_block.max(lanes.iter().map(Lane::longest).max().unwrap_or(1));
    let mut whole = Block::new(order.len(), most);
    loop {
        interrupted(options)?;
        let more: Vec<bool> = lanes.par_iter_mut().map(Lane::draw).collect::<Result<_>>()?;
        join(&mut lanes, &mut whole, &mut writer)?;
        if more.iter().all(|more| !more) {
            break;
        }
    }
    let left_out = writer.finish()?.events_left_out;
    Ok((left_out > 0).then(|| {
        let message = format!("{} has no place for {left_out} events before its first sample", file_name(header));
        Warning::new("W_EVENTS_LEFT_OUT", message)
    }))
}

/// Writes what all lanes have ready, in runs that no lane's blocks end within.
fn join(lanes: &mut [Lane], whole: &mut Block, writer: &mut BrainVisionWriter) -> Result<()> {
    loop {
        let heads: Option<Vec<(u32, i64, usize)>> = lanes.iter().map(Lane::head).collect();
        let Some(heads) = heads.filter(|h| !h.is_empty()) else { return Ok(()) };
        let (segment, first, _) = heads[0];
        if heads.iter().any(|(s, f, _)| (*s, *f) != (segment, first)) {
            return Err(Error::usage("the cleaned recording: a Stage gives other samples than it takes"));
        }
        let len = heads.iter().map(|h| h.2).min().unwrap_or(0);
        whole.start(segment, first, len);
        let mut at = 0;
        for lane in lanes.iter_mut() {
            at = lane.take(len, at, whole);
        }
        writer.push(whole)?;
    }
}

/// Some channels on their way through the Stages, from a source of their own.
struct Lane {
    source: Box<dyn Source>,
    slots: Slots,
    block: Block,
    ended: bool,
    /// Samples of the first ready block that were taken.
    taken: usize,
}

impl Lane {
    fn new(
        mut source: Box<dyn Source>,
        stream: usize,
        channels: &[usize],
        info: &StreamInfo,
        stages: Vec<Watched>,
    ) -> Result<Self> {
        source.select(stream, channels)?;
        let block = Block::new(channels.len(), info.max_block);
        Ok(Self { source, slots: Slots::new(stages), block, ended: false, taken: 0 })
    }

    /// Most samples that a block of it holds.
    fn longest(&self) -> usize {
        self.slots.longest().unwrap_or(self.block.capacity())
    }

    /// Draws a round of blocks; `false` at the end.
    fn draw(&mut self) -> Result<bool> {
        for _ in 0..ROUND {
            if self.ended {
                return Ok(false);
            }
            if !self.source.read(&mut self.block)? {
                self.ended = true;
                self.slots.finish();
                return Ok(false);
            }
            self.slots.push(&self.block);
        }
        Ok(true)
    }

    /// Segment, first sample and length of what is ready without a break.
    fn head(&self) -> Option<(u32, i64, usize)> {
        self.slots.ready.front().map(|b| (b.segment(), b.first() + self.taken as i64, b.len() - self.taken))
    }

    /// Moves `len` samples to the channels of `whole` from `at` on; says where the next lane's begin.
    fn take(&mut self, len: usize, at: usize, whole: &mut Block) -> usize {
        let Some(block) = self.slots.ready.front() else { return at };
        let (from, channels) = (self.taken, block.channels());
        if at.is_multiple_of(LANES) {
            for g in 0..block.groups() {
                whole.group_mut(at / LANES + g).copy_from_slice(&block.group(g)[from..from + len]);
            }
        } else {
            for c in 0..channels {
                (0..len).for_each(|s| whole.set(at + c, s, block.get(c, from + s)));
            }
        }
        self.taken += len;
        if self.taken == block.len() {
            self.slots.ready.pop_front();
            self.taken = 0;
        }
        at + channels
    }
}

/// The recording's description with a comment per stretch of stimulation: how many channels have which verdict, and which are not
/// clean.
fn with_verdicts(recording: &Recording, session: &Session, tables: &[Table]) -> Recording {
    let mut described = recording.clone();
    described.event_is_stimulus.resize(described.event_names.len(), true);
    let Some(table) = tables.iter().find(|t| t.name() == "tacs") else { return described };
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
    let rate = session.input.info.clock.input;
    for (segment, (start, end, channels)) in episodes {
        let (tick, ..) = recording.main_stream().place(start);
        let id = EventName(described.event_names.len() as u32);
        described.event_names.push(format!("stimulation {segment}: {} (plateau)", summary(&channels)));
        described.event_is_stimulus.push(false);
        described
            .events
            .push(Event { duration_s: (end - start).max(rate.seconds(1.0)), ..Event::new(tick.max(Tick(0)), id) });
    }
    described.events.sort_by_key(|e| e.tick);
    described
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
