//! Doors in: one file per format.
//!
//! [`open`] looks at the first bytes and hands the file to its reader. Every reader follows one policy:
//!
//! * a defect that changes neither samples nor time is read around and becomes a [`crate::Warning`] with a stable code
//!   (`W_…`);
//! * a defect that makes samples or time ambiguous is an [`crate::Error`] with a stable code (`E_…`), and
//!   [`OpenOptions::lenient`] may let that one pass;
//! * a defect of one channel does not lose the others: that channel is `calibrated: false`, unit none;
//! * gaps are segments; text and names from a file are hostile; every size is checked against the bytes that are there
//!   before memory is taken.

pub mod brainvision;
pub mod bytes;
mod decode;
pub mod edf;
pub mod eeglab;
mod events;
mod mat;
pub mod matrix;
pub mod memory;
pub mod npy;
pub mod probe;
mod samples;
mod text;
#[cfg(feature = "verify-edfplus")]
pub mod verify;
pub mod wav;

pub use memory::MemorySource;
pub use probe::{OpenOptions, open};
pub use samples::FileSource;

use crate::signal::montage::{self, kind_of, position_of};
use crate::signal::{Channel, ChannelKind, Recording, Stream};
use crate::unit::Unit;
use text::Defects;

/// A channel whose kind and place are settled later, when all labels are known.
fn channel(name: String, unit: Unit, calibrated: bool) -> Channel {
    let mut channel = Channel::new(name, ChannelKind::Misc, unit);
    channel.calibrated = calibrated;
    channel
}

/// Kind and place of all channels, from their labels and units. An uncalibrated channel is never an EEG channel,
/// whatever its label.
fn settle_kinds(streams: &mut [Stream]) {
    let labels: Vec<(String, Unit)> =
        streams.iter().flat_map(|s| &s.channels).map(|c| (c.name.clone(), c.unit.clone())).collect();
    let channels = streams.iter_mut().flat_map(|s| &mut s.channels);
    for (channel, (kind, position)) in channels.zip(montage::settle(&labels)) {
        if channel.calibrated || kind == ChannelKind::Trigger {
            (channel.kind, channel.position) = (kind, position);
        }
    }
}

/// Warns where EEG channels carry a unit that is not volts: they will not be analysed as EEG.
fn note_odd_units(channels: &[Channel], defects: &mut Defects) {
    let odd = |c: &&Channel| {
        c.calibrated
            && !matches!(c.unit, Unit::Microvolt | Unit::Milliampere)
            && kind_of(&c.name, &Unit::Microvolt) == ChannelKind::Eeg
            && position_of(&c.name).is_some()
    };
    let count = channels.iter().filter(odd).count();
    if let Some(first) = channels.iter().find(odd) {
        let unit = if first.unit == Unit::None { "none".to_owned() } else { format!("'{}'", first.unit) };
        defects.warn(
            "W_UNIT_UNKNOWN",
            format!(
                "{count} channel(s) have a unit that is not volts (unit of '{}': {unit}); kept as they are",
                first.name
            ),
        );
    }
}

/// Warns where two channels share a label. Both are kept, told apart by their place.
fn note_duplicate_labels<'a>(labels: impl Iterator<Item = &'a str>, defects: &mut Defects, code: &'static str) {
    let mut labels: Vec<&str> = labels.filter(|l| !l.is_empty()).collect();
    labels.sort_unstable();
    let twins = labels.windows(2).filter(|pair| pair[0] == pair[1]).count();
    if twins > 0 {
        defects.warn(code, format!("{twins} channel(s) repeat the label of another; all are kept"));
    }
}

/// A recording that holds streams and nothing else yet.
fn recording(name: &str, format: String, streams: Vec<Stream>) -> Recording {
    Recording {
        name: name.to_owned(),
        format,
        main: Recording::choose_main(&streams),
        streams,
        events: Vec::new(),
        event_names: Vec::new(),
        event_is_stimulus: Vec::new(),
        start: None,
        line_hz: None,
        epoched: None,
        warnings: Vec::new(),
    }
}
