//! Channels from `EEG.chanlocs`: labels, types, places.

use super::dataset::Dataset;
use crate::Result;
use crate::read::mat::{Mat, Node};
use crate::read::text::{Defects, visible};
use crate::read::{channel, note_duplicate_labels, note_odd_units, settle_kinds};
use crate::signal::montage::kind_of;
use crate::signal::{Channel, ChannelKind, Stream};
use crate::unit::Unit;

/// The channels, and for each what the file says of it beyond its label.
pub(super) struct Channels {
    pub(super) list: Vec<Channel>,
    pub(super) hints: Vec<Hint>,
}

/// What the file says of a channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hint {
    kind: Option<ChannelKind>,
    position: Option<[f64; 3]>,
    /// From stored numbers to the channel's unit.
    pub(super) gain: f64,
}

/// Reads `EEG.chanlocs`. Where it does not have one entry per channel, EEGLAB drops it, and so does this: then the
/// channels are called `EEG 1`, `EEG 2`, ….
pub(super) fn read(set: &mut Dataset, count: u64, range: Option<[f64; 2]>, defects: &mut Defects) -> Result<Channels> {
    let nose = nose(set)?;
    let mut found = Channels { list: Vec::new(), hints: Vec::new() };
    let records = match set.array("chanlocs")? {
        Some(array) => set.mat.records(&array)?.filter(|r| r.left > 0 && r.field("labels").is_some()),
        None => None,
    };
    let entries = records.as_ref().map_or(0, |r| r.left);
    // One more than there are channels: a reference electrode stands at the end.
    let records = records.filter(|r| r.left >= count);
    if entries != count {
        let what = match (entries, &records) {
            (0, _) => "EEG.chanlocs is empty: channels have no labels".to_owned(),
            (_, None) => {
                format!("EEG.chanlocs describes {entries} of {count} channels, nobody knows which: it is dropped")
            }
            (_, Some(_)) => {
                format!("EEG.chanlocs describes {entries} channels, the data have {count}: the first count")
            }
        };
        defects.warn("W_SET_CHANLOCS", what);
    }
    let (mut controls, mut unlabelled, mut nodes) = (0_u64, 0_u64, Vec::new());
    let mut records = records;
    for k in 0..count {
        let (mut label, mut unit) = (String::new(), String::new());
        let mut hint = Hint { kind: None, position: None, gain: 1.0 };
        if let Some(records) = &mut records
            && records.next(&mut set.mat, &mut nodes)?
        {
            let at = |name: &str| records.field(name).and_then(|i| nodes.get(i)).copied();
            label = name_of(&mut set.mat, at("labels"))?;
            let kind = text(&mut set.mat, at("type"))?;
            unit = text(&mut set.mat, at("unit"))?;
            (hint.kind, hint.position) = (kind_named(&kind), place(&mut set.mat, &at, nose)?);
        }
        let (mut label, changed) = visible(label.trim(), &[]);
        controls += u64::from(changed);
        if label.is_empty() {
            unlabelled += u64::from(records.is_some());
            label = format!("EEG {}", k + 1);
        }
        // EEGLAB counts in microvolts; few files say otherwise for a channel.
        let (unit, gain) = if unit.is_empty() { (Unit::Microvolt, 1.0) } else { Unit::parse(&unit) };
        hint.gain = gain;
        let mut channel = channel(label, unit, true);
        channel.range = range.map(|r| r.map(|x| x * gain));
        found.list.push(channel);
        found.hints.push(hint);
    }
    if controls > 0 {
        defects.warn("W_SET_CONTROL_CHARACTER", "labels hold control characters; they are shown, never executed");
    }
    if unlabelled > 0 {
        defects.warn("W_SET_LABEL", format!("{unlabelled} channel(s) have no label; called by their number"));
    }
    note_duplicate_labels(found.list.iter().map(|c| &*c.name), defects, "W_SET_DUPLICATE_LABEL");
    Ok(found)
}

/// Kinds and places. The label comes first: it means the same electrode in every file. The stated type decides where
/// the label says nothing, and so do the file's own coordinates: a labelled net, a cap with numbers.
pub(super) fn settle(streams: &mut [Stream], hints: &[Hint], defects: &mut Defects) {
    settle_kinds(streams);
    for (channel, hint) in streams.iter_mut().flat_map(|s| &mut s.channels).zip(hints) {
        // whether the label's words (EOG, trigger, …) speak against an electrode on the scalp
        let may_be_eeg = kind_of(&format!("EEG {}", channel.name), &channel.unit) == ChannelKind::Eeg;
        match hint.kind {
            Some(ChannelKind::Eeg) | None => {
                let said = hint.kind.is_some() || hint.position.is_some();
                if channel.kind == ChannelKind::Misc && said && may_be_eeg {
                    channel.kind = ChannelKind::Eeg;
                }
            }
            Some(kind) => channel.kind = kind,
        }
        channel.position = if channel.kind == ChannelKind::Eeg { channel.position.or(hint.position) } else { None };
    }
    for stream in streams {
        note_odd_units(&stream.channels, defects);
    }
}

/// What EEGLAB and those who write for it call the kinds of channels.
fn kind_named(kind: &str) -> Option<ChannelKind> {
    let kind = kind.trim().to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| kind.contains(word));
    match () {
        () if kind.is_empty() => None,
        () if says(&["eog"]) => Some(ChannelKind::Eog),
        () if says(&["ecg", "ekg"]) => Some(ChannelKind::Ecg),
        () if says(&["emg"]) => Some(ChannelKind::Emg),
        () if says(&["eeg"]) => Some(ChannelKind::Eeg),
        () if says(&["trig", "stim", "event", "status", "marker"]) => Some(ChannelKind::Trigger),
        () if says(&["misc", "aux", "resp", "gsr", "eda", "acc", "gyro", "temp", "ppg", "bio", "other", "fid"]) => {
            Some(ChannelKind::Misc)
        }
        () => None,
    }
}

fn text(mat: &mut Mat, node: Option<Node>) -> Result<String> {
    node.map_or(Ok(String::new()), |node| Ok(mat.text(node)?.unwrap_or_default()))
}

fn number(mat: &mut Mat, node: Option<Node>) -> Result<Option<f64>> {
    Ok(match node {
        Some(node) => mat.scalar(node)?.filter(|x| x.is_finite()),
        None => None,
    })
}

/// A name that may be text, a number, or either in a cell; empty where it is neither.
pub(super) fn name_of(mat: &mut Mat, node: Option<Node>) -> Result<String> {
    let Some(mut node) = node else { return Ok(String::new()) };
    for _ in 0..3 {
        if let Some(text) = mat.text(node)? {
            return Ok(text);
        }
        if let Some(value) = mat.scalar(node)? {
            return Ok(if value.fract() == 0.0 && value.abs() < 1e15 {
                format!("{value:.0}")
            } else {
                value.to_string()
            });
        }
        let array = mat.array(node)?;
        let mut items = Vec::new();
        match mat.records(&array)? {
            Some(mut records) if records.names == [""] && records.left == 1 => {
                records.next(mat, &mut items)?;
            }
            _ => break,
        }
        let Some(&inner) = items.first() else { break };
        node = inner;
    }
    Ok(String::new())
}

/// Along which axis the nose lies: +X unless `EEG.chaninfo.nosedir` says otherwise.
fn nose(set: &mut Dataset) -> Result<Nose> {
    let mut nodes = Vec::new();
    let Some(array) = set.array("chaninfo")? else { return Ok(Nose::PlusX) };
    let Some(mut records) = set.mat.records(&array)? else { return Ok(Nose::PlusX) };
    let Some(at) = records.field("nosedir").filter(|_| records.left == 1) else { return Ok(Nose::PlusX) };
    records.next(&mut set.mat, &mut nodes)?;
    Ok(match &*text(&mut set.mat, nodes.get(at).copied())?.to_ascii_uppercase() {
        "+Y" => Nose::PlusY,
        "-X" => Nose::MinusX,
        "-Y" => Nose::MinusY,
        _ => Nose::PlusX,
    })
}

/// Where the nose points in the file's coordinates; Z is up in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nose {
    PlusX,
    PlusY,
    MinusX,
    MinusY,
}

/// An electrode's direction from the origin of the file's coordinates, which is taken as the head's centre: from X, Y,
/// Z, else from the spherical, else from the polar ones (degrees; a radius of 0.5 is the equator).
fn place(mat: &mut Mat, at: &dyn Fn(&str) -> Option<Node>, nose: Nose) -> Result<Option<[f64; 3]>> {
    let mut three = |names: [&str; 3]| -> Result<[Option<f64>; 3]> {
        Ok([number(mat, at(names[0]))?, number(mat, at(names[1]))?, number(mat, at(names[2]))?])
    };
    if let [Some(x), Some(y), Some(z)] = three(["X", "Y", "Z"])?
        && let Some(place) = toward([x, y, z], nose)
    {
        return Ok(Some(place));
    }
    let on_sphere = |azimuth: f64, elevation: f64| {
        let (azimuth, elevation) = (azimuth.to_radians(), elevation.to_radians());
        [elevation.cos() * azimuth.cos(), elevation.cos() * azimuth.sin(), elevation.sin()]
    };
    if let [Some(theta), Some(phi), _] = three(["sph_theta", "sph_phi", "sph_phi"])? {
        return Ok(toward(on_sphere(theta, phi), nose));
    }
    Ok(match three(["theta", "radius", "radius"])? {
        [Some(theta), Some(radius), _] => toward(on_sphere(-theta, 90.0 - 180.0 * radius), nose),
        _ => None,
    })
}

/// EEGLAB's axes (X nose, Y left ear, Z up, or as the nose lies) turned into x right, y nasion, z up; length 1.
fn toward([x, y, z]: [f64; 3], nose: Nose) -> Option<[f64; 3]> {
    let (right, front) = match nose {
        Nose::PlusX => (-y, x),
        Nose::PlusY => (x, y),
        Nose::MinusX => (y, -x),
        Nose::MinusY => (-x, -y),
    };
    let length = right.hypot(front).hypot(z);
    (length.is_finite() && length > 1e-9).then(|| [right / length, front / length, z / length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_turn_as_the_nose_does() {
        // the right ear: −Y with the nose along +X
        assert_eq!(toward([0.0, -85.0, 0.0], Nose::PlusX), Some([1.0, 0.0, 0.0]));
        assert_eq!(toward([85.0, 0.0, 0.0], Nose::PlusY), Some([1.0, 0.0, 0.0]));
        assert_eq!(toward([0.0, 2.0, 0.0], Nose::MinusX), Some([1.0, 0.0, 0.0]));
        assert_eq!(toward([-2.0, 0.0, 0.0], Nose::MinusY), Some([1.0, 0.0, 0.0]));
        assert_eq!(toward([3.0, 0.0, 0.0], Nose::PlusX), Some([0.0, 1.0, 0.0]));
        assert_eq!(toward([0.0; 3], Nose::PlusX), None);
    }

    #[test]
    fn types_are_read_as_people_write_them() {
        for (text, kind) in [
            ("EEG", Some(ChannelKind::Eeg)),
            ("VEOG", Some(ChannelKind::Eog)),
            ("EKG", Some(ChannelKind::Ecg)),
            ("Trigger", Some(ChannelKind::Trigger)),
            ("aux", Some(ChannelKind::Misc)),
            ("", None),
            ("gold cup", None),
        ] {
            assert_eq!(kind_named(text), kind, "{text}");
        }
    }
}
