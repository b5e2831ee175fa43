//! A channel: its name, kind, unit and place are settled once, by the reader.

use crate::unit::Unit;
use serde::Serialize;

/// What a channel measures. Only [`ChannelKind::Eeg`] enters a reference, a rejection or a GMFA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelKind {
    /// Scalp EEG.
    Eeg,
    /// Eye movements.
    Eog,
    /// Heart.
    Ecg,
    /// Muscle.
    Emg,
    /// A copy of the stimulation (current, voltage).
    Stim,
    /// Digital triggers, status words, counters.
    Trigger,
    /// Anything else, respiration or an unknown label say.
    Misc,
}

impl ChannelKind {
    /// Lower-case name, as in the `channels` table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eeg => "eeg",
            Self::Eog => "eog",
            Self::Ecg => "ecg",
            Self::Emg => "emg",
            Self::Stim => "stim",
            Self::Trigger => "trigger",
            Self::Misc => "misc",
        }
    }
}

/// One channel of a stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Channel {
    /// As the file spells it.
    pub name: String,
    /// What it measures.
    pub kind: ChannelKind,
    /// What its samples count after the reader's scaling.
    pub unit: Unit,
    /// Unit vector from the head's centre (x right, y nasion, z up), where the label is in the 10-05 system
    /// or the file gives it.
    pub position: Option<[f64; 3]>,
    /// Lowest and highest value the file's number type can hold, in `unit`: at them the amplifier was saturated.
    pub range: Option<[f64; 2]>,
    /// `false` where a defect of the file leaves the scale unknown: samples are raw numbers, unit [`Unit::None`].
    pub calibrated: bool,
}

impl Channel {
    /// A channel with nothing but a name, a kind and a unit.
    pub fn new(name: impl Into<String>, kind: ChannelKind, unit: Unit) -> Self {
        Self { name: name.into(), kind, unit, position: None, range: None, calibrated: true }
    }
}
