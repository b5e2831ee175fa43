//! The marker file: events, and where the recording was paused.

use super::ini::{Ini, fields, number};
use crate::Result;
use crate::read::text::{Defects, visible};
use crate::signal::date::DateTime;

/// A marker that is an event.
#[derive(Debug, Clone)]
pub(super) struct Marker {
    /// 0-based sample.
    pub(super) sample: u64,
    /// Length in samples.
    pub(super) length: u64,
    pub(super) name: String,
    /// Whether its type is one that a stimulus can have.
    pub(super) stimulus: bool,
}

/// What a marker file holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Markers {
    pub(super) events: Vec<Marker>,
    /// `New Segment` markers: 0-based sample, and when it was recorded.
    pub(super) segments: Vec<(u64, Option<DateTime>)>,
}

/// Marker types that Recorder and Analyzer give to anything but a stimulus.
const NO_STIMULI: [&str; 9] = [
    "Comment",
    "Response",
    "SyncStatus",
    "Bad Interval",
    "Time 0",
    "Peak",
    "Pulse Artifact",
    "DC Correction",
    "Threshold",
];

/// No recording has more samples.
const MOST: u64 = 1 << 50;

/// Reads `Mk<n>=<type>,<description>,<position>,<size>,<channel>[,<date>]`. An event is called by its description, or
/// by its type where it has none. What cannot be placed is counted and left out.
pub(super) fn read(ini: &Ini, defects: &mut Defects) -> Result<Markers> {
    let mut found = Markers::default();
    let Some(section) = ini.section("Marker Infos", defects)? else {
        defects.warn("W_BV_NO_MARKERS", "the marker file has no [Marker Infos]; there are no events");
        return Ok(found);
    };
    let (mut noise, mut misplaced, mut dates, mut controls) = (section.noise, 0_u64, 0_u64, false);
    for entry in &section.entries {
        let fields = fields(&entry.value);
        let (Some(_), [kind, description, position, ..]) = (number(&entry.key, "Mk"), &fields[..]) else {
            noise += 1;
            continue;
        };
        let Some(sample) = position.parse::<u64>().ok().and_then(|p| p.checked_sub(1)).filter(|&p| p < MOST) else {
            misplaced += 1;
            continue;
        };
        if kind.eq_ignore_ascii_case("New Segment") {
            let stated = fields.get(5).map(String::as_str).unwrap_or_default();
            let date = DateTime::from_compact(stated);
            dates += u64::from(date.is_none() && stated.bytes().any(|b| b != b'0'));
            found.segments.push((sample, date));
            continue;
        }
        let length = match fields.get(3).map(String::as_str).unwrap_or_default() {
            "" => 1,
            text => text.parse::<u64>().ok().filter(|&n| n < MOST).unwrap_or_else(|| {
                noise += 1;
                1
            }),
        };
        let (name, changed) = visible(if description.is_empty() { kind } else { description }, &[]);
        controls |= changed;
        let stimulus = !NO_STIMULI.iter().any(|no| kind.eq_ignore_ascii_case(no));
        found.events.push(Marker { sample, length, name, stimulus });
    }
    let mut tell = |count: u64, code: &'static str, what: &str| {
        if count > 0 {
            defects.warn(code, format!("{count} {what}"));
        }
    };
    tell(noise, "W_BV_MARKER_MALFORMED", "line(s) of the marker file are not markers as the format has them");
    tell(misplaced, "W_BV_MARKER_POSITION", "marker(s) have a position that is not a whole number from 1 on; left out");
    tell(dates, "W_BV_DATE", "New Segment marker(s) have a date that does not exist; taken as unknown");
    tell(
        u64::from(controls),
        "W_BV_CONTROL_CHARACTER",
        "or more marker names hold control characters; they are shown, never executed",
    );
    let mut seen = std::collections::HashSet::new();
    let twins = found.events.iter().filter(|m| !seen.insert((m.sample, &*m.name))).count() as u64;
    tell(twins, "W_BV_MARKER_DUPLICATE", "marker(s) repeat another of the same name and position; all are kept");
    Ok(found)
}
