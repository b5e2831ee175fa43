//! EEGLAB datasets: a `.set` file (MATLAB level 5), its samples inside it or beside it in an `.fdt` or `.dat` file.
//!
//! EEGLAB, "Data structures" (eeglab.org/tutorials/ConceptsGuide/Data_Structures.html). Both forms are read: one
//! structure `EEG`, and its fields as variables of their own. Samples are µV; they are read block by block from where
//! they lie. ICA weights are left aside.
//!
//! A `boundary` event ends a segment; its duration says how many samples were cut out there. An epoched dataset
//! becomes one segment per epoch and an [`Epoching`]. What lay between epochs is not in the file, so on the
//! recording's clock they follow each other without a gap: epoch `i` begins at `i · pnts / srate` seconds.

mod channels;
mod dataset;
mod events;
mod samples;

use super::bytes::{ByteStore, Folder};
use super::samples::FileSource;
use super::text::Defects;
use super::{OpenOptions, recording};
use crate::signal::{Epoching, EventName, Recording, Segment, Stream};
use crate::unit::{Rate, Tick};
use crate::{Error, ErrorKind, Result};
use dataset::Dataset;

/// How a dataset that this version cannot read is saved so that it can.
pub(super) const RESAVE: &str = "in EEGLAB: File > Preferences, untick MATLAB v7.3 files (or type \
                                 pop_editoptions('option_saveversion6', 1)), then \
                                 pop_saveset(EEG, 'filename', 'out.set', 'savemode', 'onefile')";

/// More epochs than these are none.
const MOST_EPOCHS: u64 = 1_000_000;

/// Opens an EEGLAB dataset: `store` holds the `.set` file, `folder` is where it lies, `name` its stem.
///
/// # Errors
/// When the file is no level 5 MAT-file or damaged, holds no (or more than one) dataset, or its fields leave samples or
/// time open; the code of the error, if it has one, may be let pass by [`OpenOptions::lenient`].
pub fn open(store: Box<dyn ByteStore>, folder: &dyn Folder, name: &str, options: &OpenOptions) -> Result<FileSource> {
    let mut defects = Defects::new(&options.lenient);
    let defects = &mut defects;
    let mut set = Dataset::open(store, defects)?;
    let srate = set.number("srate")?;
    let rate = srate.and_then(|hz| Rate::from_hz(hz).ok()).ok_or_else(|| {
        let found = srate.map_or("is not there".to_owned(), |hz| format!("is {hz}"));
        set.refuse("srate", &format!("the sampling rate EEG.srate {found}; expected are samples per second"))
            .with_hint("set EEG.srate and save the dataset again")
    })?;
    let samples = samples::find(&mut set, folder, name, defects)?;
    let (points, epochs) = (samples.points, samples.epochs);
    if epochs > MOST_EPOCHS {
        return Err(Error::format(format!("{epochs} epochs are more than {MOST_EPOCHS}")));
    }
    let first = first_sample(&mut set, rate, points, epochs, defects)?;
    let mut events = events::read(&mut set, rate, defects)?;
    let segments = if epochs > 1 {
        let segment = |i: u64| Segment {
            first: Tick((i * points) as i64),
            length: points,
            start_s: rate.seconds((i * points) as f64),
        };
        events.note_boundaries_inside(points, points * epochs, defects);
        (0..epochs).map(segment).collect()
    } else {
        events.segments(points, rate)
    };
    let channels = channels::read(&mut set, samples.channels, samples.range, defects)?;
    let gains: Vec<f64> = channels.hints.iter().map(|h| h.gain).collect();
    let file_index = (0..channels.list.len()).collect();
    let mut streams = vec![Stream { rate, channels: channels.list, file_index, segments }];
    channels::settle(&mut streams, &channels.hints, defects);

    let mut recording = recording(name, "EEGLAB".to_owned(), streams);
    let conditions =
        if epochs > 1 { Some(events::conditions(&mut set, &events, first, points, epochs, defects)?) } else { None };
    events.write_into(&mut recording, points * epochs, defects);
    if let Some(conditions) = conditions {
        let around = intern(&mut recording, conditions);
        let len = usize::try_from(points).map_err(|_| Error::new(ErrorKind::Io, "an epoch is longer than memory"))?;
        recording.epoched = Some(Epoching { first, len, around });
    }
    samples.open(set, recording, &gains, defects)
}

/// Offset of an epoch's first sample from its time zero (`EEG.xmin`), in samples, and whether `EEG.xmax` agrees.
fn first_sample(set: &mut Dataset, rate: Rate, points: u64, epochs: u64, defects: &mut Defects) -> Result<i64> {
    let (xmin, xmax) = (set.number("xmin")?, set.number("xmax")?);
    let usable = xmin.filter(|x| rate.ticks(*x).abs() < (1_u64 << 50) as f64);
    let Some(xmin) = usable else {
        if epochs > 1 {
            let message = "EEG.xmin does not say when an epoch begins (let pass, it begins at its event)";
            defects.refuse("E_SET_XMIN", message, None)?;
        }
        return Ok(0);
    };
    let last = rate.seconds(points.saturating_sub(1) as f64) + xmin;
    if let Some(xmax) = xmax.filter(|xmax| (xmax - last).abs() > rate.seconds(1.5)) {
        defects.warn(
            "W_SET_TIMES",
            format!("EEG.xmin, srate and pnts end at {last} s, EEG.xmax says {xmax} s; counted from xmin"),
        );
    }
    Ok(rate.ticks(xmin).round() as i64)
}

/// Names as the recording's event names, added where no event bears them.
fn intern(recording: &mut Recording, names: Vec<String>) -> Vec<EventName> {
    let known = recording.event_names.iter().cloned().zip(0_u32..);
    let mut index: std::collections::HashMap<String, u32> = known.collect();
    let mut number = |name: String| {
        let next = index.len() as u32;
        *index.entry(name).or_insert_with_key(|name| {
            recording.event_names.push(name.clone());
            recording.event_is_stimulus.push(true);
            next
        })
    };
    names.into_iter().map(|name| EventName(number(name))).collect()
}

#[cfg(test)]
mod tests;
