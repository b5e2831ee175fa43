//! EDF+ time-stamped annotation lists (TALs): `+onset [0x15 duration] 0x14 text 0x14 … 0x14 0`.
//!
//! Kemp & Olivan 2003, doi:10.1016/S1388-2457(03)00123-8, §2.2. One pass, no recursion, nothing is trusted.

use crate::read::text::{Decimal, Defects, Encoding, decimal, decode_text, visible};

/// No clock in a recording runs for longer than this, in seconds: thirty years.
const LONGEST: f64 = 1e9;

/// One TAL's onset and duration, in seconds from the file's start time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    pub(super) onset: Decimal,
    pub(super) duration_s: f64,
}

/// What was wrong in a file's TALs: counted, then told once.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    malformed: u64,
    unterminated: u64,
    commas: u64,
    durations: u64,
    not_utf8: u64,
    controls: u64,
}

impl Faults {
    pub(super) fn tell(&self, defects: &mut Defects) {
        let mut tell = |count: u64, code: &'static str, what: &str| {
            if count > 0 {
                defects.warn(code, format!("{count} annotation(s) {what}"));
            }
        };
        tell(self.malformed, "W_TAL_MALFORMED", "do not begin with an onset such as +1.5; left out");
        tell(
            self.unterminated,
            "W_TAL_UNTERMINATED",
            "end with the channel, not with 0x14 0x00; the unfinished text is left out",
        );
        tell(self.commas, "W_TAL_DECIMAL_COMMA", "have a decimal comma; read as a point");
        tell(self.durations, "W_TAL_DURATION", "have a duration that is not a positive number; set to 0");
        tell(self.not_utf8, "W_TAL_NOT_UTF8", "are not valid UTF-8; read as Latin-1");
        tell(self.controls, "W_TAL_CONTROL_CHARACTER", "hold control characters; they are shown, never executed");
    }
}

/// Walks through the TALs of one annotation signal in one record. `found(stamp, first, text)`: `first` marks the first
/// text of the record's first TAL, which is empty where that TAL keeps the record's time.
pub(super) fn walk(bytes: &[u8], faults: &mut Faults, mut found: impl FnMut(&Stamp, bool, &str)) {
    let mut first_tal = true;
    let mut rest = bytes;
    while !rest.is_empty() {
        let (tal, closed) = match rest.iter().position(|&b| b == 0) {
            Some(end) => {
                let tal = &rest[..end];
                rest = &rest[end + 1..];
                (tal, true)
            }
            None => (std::mem::take(&mut rest), false),
        };
        if tal.is_empty() {
            continue;
        }
        if !closed {
            faults.unterminated += 1;
        }
        let head = tal.iter().position(|&b| b == 0x14);
        match head.and_then(|end| stamp(&tal[..end], faults).map(|stamp| (stamp, &tal[end + 1..]))) {
            Some((stamp, texts)) => {
                for (k, text) in texts.split_inclusive(|&b| b == 0x14).enumerate() {
                    let Some((0x14, text)) = text.split_last() else {
                        faults.unterminated += u64::from(closed);
                        break;
                    };
                    found(&stamp, first_tal && k == 0, &readable(text, faults));
                }
            }
            None => faults.malformed += 1,
        }
        first_tal = false;
    }
}

/// A number without an exponent: EDF+ allows none in a TAL.
fn plain(text: &str) -> Option<Decimal> {
    if text.contains(['e', 'E']) { None } else { decimal(text) }
}

fn stamp(head: &[u8], faults: &mut Faults) -> Option<Stamp> {
    let mut parts = head.split(|&b| b == 0x15);
    let onset = std::str::from_utf8(parts.next()?).ok()?;
    let duration = parts.next();
    if !onset.starts_with(['+', '-']) || parts.next().is_some() {
        return None;
    }
    let onset = plain(onset).filter(|onset| onset.value.abs() <= LONGEST)?;
    let duration_s = match duration {
        None | Some([]) => 0.0,
        Some(text) => match std::str::from_utf8(text).ok().and_then(plain) {
            Some(duration) if (0.0..=LONGEST).contains(&duration.value) => {
                faults.commas += u64::from(duration.comma);
                duration.value
            }
            _ => {
                faults.durations += 1;
                0.0
            }
        },
    };
    faults.commas += u64::from(onset.comma);
    Some(Stamp { onset, duration_s })
}

/// The text as it may be shown: EDF+ allows tabs and line breaks in it, and no other control character.
fn readable(text: &[u8], faults: &mut Faults) -> String {
    let (text, encoding) = decode_text(text);
    let (text, changed) = visible(text.trim(), &['\t', '\n', '\r']);
    faults.not_utf8 += u64::from(encoding == Encoding::Windows1252);
    faults.controls += u64::from(changed);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> (Vec<(f64, f64, bool, String)>, Faults) {
        let (mut found, mut faults) = (Vec::new(), Faults::default());
        walk(bytes, &mut faults, |s, first, text| found.push((s.onset.value, s.duration_s, first, text.to_owned())));
        (found, faults)
    }

    #[test]
    fn tals_are_taken_apart() {
        let (found, faults) = all(b"+0.25\x14\x14Start\x14\0+1.5\x152.5\x14A\x14B\x14\0-0.5\x14\xC2\xB5\x14\0\0\0");
        let want = [
            (0.25, 0.0, true, ""),
            (0.25, 0.0, false, "Start"),
            (1.5, 2.5, false, "A"),
            (1.5, 2.5, false, "B"),
            (-0.5, 0.0, false, "µ"),
        ];
        assert_eq!(found, want.map(|(a, b, c, d)| (a, b, c, d.to_owned())));
        assert_eq!((faults.malformed, faults.unterminated), (0, 0));
    }

    #[test]
    fn what_is_not_a_tal_is_counted_not_believed() {
        let (found, faults) = all(b"+0\x14\x14\0+1e3\x14x\x14\0+1,5\x14y\x14\x00noise\0+2\x15-1\x14z\x14\0+3\x14cut");
        assert_eq!(found.iter().map(|f| &*f.3).collect::<Vec<_>>(), ["", "y", "z"]);
        assert_eq!((found[1].0, found[2].1), (1.5, 0.0));
        assert_eq!((faults.malformed, faults.commas, faults.durations, faults.unterminated), (2, 1, 1, 1));
    }
}
