//! What the tests of the epoch steps share.

use crate::flow::{EpochInfo, Problems};
use crate::signal::{Channel, ChannelKind, Epoch};
use crate::unit::{Clock, Rate, Unit};

/// Epochs of EEG channels called `names`.
pub fn info(names: &[&str], rate_hz: f64, first: i64, len: usize) -> EpochInfo {
    let channels = names.iter().map(|&name| Channel::new(name, ChannelKind::Eeg, Unit::Microvolt)).collect();
    EpochInfo { clock: Clock::stored(Rate::from_hz(rate_hz).unwrap()), channels, first, len, conditions: 1 }
}

/// An epoch of that shape, as the cutter hands it out, filled by `value(channel, sample)`.
pub fn epoch(info: &EpochInfo, value: impl Fn(usize, usize) -> f64) -> Epoch {
    let mut epoch = Epoch::new(info.clock, info.first, info.channels.len(), info.len);
    for c in 0..info.channels.len() {
        epoch.enters[c] = info.is_eeg(c);
        epoch.channel_mut(c).iter_mut().enumerate().for_each(|(i, v)| *v = value(c, i));
    }
    epoch
}

/// The problems as a reader of `check` sees them.
pub fn listed(problems: Problems) -> Vec<String> {
    problems.list().iter().map(ToString::to_string).collect()
}

/// The golden values of these steps.
pub fn golden() -> serde_json::Value {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/steps.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// An array of numbers at a JSON pointer of the golden values; `null` is NaN.
pub fn numbers(value: &serde_json::Value, pointer: &str) -> Vec<f64> {
    value.pointer(pointer).unwrap().as_array().unwrap().iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()
}
