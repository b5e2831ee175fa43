//! Doors in: one file per format.
//!
//! [`open`] looks at the first bytes and hands the file to its reader. Every reader follows one policy:
//!
//! * a defect that changes neither samples nor time is read around and becomes a [`crate::Warning`] with a stable code (`W_…`);
//! * a defect that makes samples or time ambiguous is an [`crate::Error`] with a stable code (`E_…`), and
//!   [`OpenOptions::lenient`] may let that one pass;
//! * a defect of one channel does not lose the others: that channel is `calibrated: false`, unit none;
//! * gaps are segments; text and names from a file are hostile; every size is checked against the bytes that are there
//!   before memory is taken.

pub mod brainvision;
pub mod bytes;
mod decode;
pub mod edf;
mod events;
pub mod memory;
pub mod probe;
mod samples;
mod text;
#[cfg(feature = "verify-edfplus")]
pub mod verify;

pub use memory::MemorySource;
pub use probe::{OpenOptions, open};
pub use samples::FileSource;

use crate::signal::{Channel, ChannelKind, Recording, Stream};
use crate::unit::Unit;
use text::Defects;

/// A channel as its label and unit suggest. An uncalibrated one is never an EEG channel, whatever its label.
fn channel(name: String, unit: Unit, calibrated: bool) -> Channel {
    if !calibrated {
        let kind = Some(kind_of(&name, &Unit::None)).filter(|k| *k == ChannelKind::Trigger);
        let mut channel = Channel::new(name, kind.unwrap_or(ChannelKind::Misc), Unit::None);
        channel.calibrated = false;
        return channel;
    }
    let position = position_of(&name);
    let mut channel = Channel::new(name, ChannelKind::Misc, unit);
    channel.kind = kind_of(&channel.name, &channel.unit);
    channel.position = position.filter(|_| channel.kind == ChannelKind::Eeg);
    channel
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
        warnings: Vec::new(),
    }
}

// Until the montage has them.
fn kind_of(label: &str, unit: &Unit) -> ChannelKind {
    let upper = label.to_ascii_uppercase();
    match unit {
        _ if upper == "STATUS" || upper.starts_with("STI") || upper.starts_with("TRIG") => ChannelKind::Trigger,
        Unit::Microvolt if upper.contains("EOG") => ChannelKind::Eog,
        Unit::Microvolt if upper.contains("ECG") || upper.contains("EKG") => ChannelKind::Ecg,
        Unit::Microvolt if upper.contains("EMG") => ChannelKind::Emg,
        Unit::Microvolt => ChannelKind::Eeg,
        Unit::Milliampere => ChannelKind::Stim,
        _ => ChannelKind::Misc,
    }
}

fn position_of(_label: &str) -> Option<[f64; 3]> {
    None
}
