//! The EDF and BDF header: 256 bytes, then 256 per signal, in fixed columns of ASCII.
//!
//! Kemp et al. 1992, doi:10.1016/0013-4694(92)90009-7; EDF+: Kemp & Olivan 2003, doi:10.1016/S1388-2457(03)00123-8;
//! BDF: BioSemi's file format page.

use crate::read::bytes::{ByteStore, read_vec};
use crate::read::text::{Decimal, Defects, Encoding, decimal, decode_text, visible};
use crate::signal::date::DateTime;
use crate::{Error, Result};

/// Which promise about time the file makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plus {
    /// Plain EDF or BDF: contiguous.
    Not,
    /// EDF+C: contiguous, with annotations.
    Continuous,
    /// EDF+D: each record states its time.
    Discontinuous,
}

/// One signal's columns.
#[derive(Debug, Clone)]
pub(super) struct Signal {
    pub(super) label: String,
    pub(super) unit: String,
    pub(super) per_record: u64,
    /// Byte offset of its samples in a record.
    pub(super) offset: u64,
    pub(super) annotations: bool,
    /// Gain and the two minima; `None` where the limits make no scale.
    pub(super) scale: Option<Limits>,
}

/// Physical and digital limits that make a scale: `physical = (digital − dmin) · gain + pmin`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) physical: [f64; 2],
    pub(super) digital: [f64; 2],
}

/// The header, read and judged.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) bdf: bool,
    pub(super) plus: Plus,
    pub(super) start: Option<DateTime>,
    pub(super) bytes: u64,
    /// The stated number of records; `None` where it states none that can be.
    pub(super) records: Option<u64>,
    pub(super) duration: Decimal,
    pub(super) record_bytes: u64,
    pub(super) signals: Vec<Signal>,
}

/// Reads and judges the header.
pub(super) fn read(store: &mut dyn ByteStore, defects: &mut Defects) -> Result<Header> {
    if store.len() < 256 {
        return Err(Error::format(format!("an EDF header has 256 bytes; this file has {}", store.len())));
    }
    let main = read_vec(store, 0, 256)?;
    let bdf = version(&main, defects)?;
    let count = signal_count(&main)?;
    let length = 256 + 256 * count;
    if store.len() < length {
        return Err(Error::format(format!(
            "the header of {count} signals has {length} bytes, but the file ends after {}",
            store.len()
        ))
        .at_offset(252)
        .with_hint("the file was cut short; copy it again from its source"));
    }
    let columns = read_vec(store, 256, 256 * count)?;
    judge_characters(&main[8..], &columns, defects);
    let stated = field(&main[184..192]);
    if stated.parse() != Ok(length) {
        let message = format!("the header says that it has '{}' bytes; {count} signals make {length}", safe(&stated));
        defects.refuse("E_EDF_HEADER_LENGTH", message, 184)?;
    }
    let reserved = field(&main[192..236]);
    let plus = plus(&reserved, bdf, defects);
    let width = if bdf { 3 } else { 2 };
    let signals = signals(&columns, count as usize, width, defects)?;
    let record_bytes = signals.iter().try_fold(0_u64, |sum, s| sum.checked_add(s.per_record.checked_mul(width)?));
    let record_bytes = record_bytes.filter(|&b| b <= 1 << 40).ok_or_else(|| {
        Error::format("the samples per record add up to more than any file can hold").at_offset(256 + 216 * count)
    })?;
    if record_bytes == 0 {
        return Err(Error::format("no signal has a sample: every record would be empty").at_offset(256 + 216 * count));
    }
    let ordinary = signals.iter().any(|s| !s.annotations && s.per_record > 0);
    let duration = duration(&main, ordinary, defects)?;
    let records = records(&main, defects)?;
    let start = start(&main, plus, defects);
    Ok(Header { bdf, plus, start, bytes: length, records, duration, record_bytes, signals })
}

/// Whether it is BDF; EDF otherwise.
fn version(main: &[u8], defects: &mut Defects) -> Result<bool> {
    if main[0] == 0xFF && &main[1..8] == b"BIOSEMI" {
        return Ok(true);
    }
    let version = field(&main[..8]);
    if version != "0" || main[0] != b'0' {
        if main.iter().all(|&b| b == 0) {
            return Err(Error::format("the file holds only zeros").with_hint("copy it again from its source"));
        }
        if !version.starts_with(|c: char| c.is_ascii_digit()) || !main[8..].iter().any(u8::is_ascii_digit) {
            return Err(Error::format("the first bytes are neither EDF's '0' nor BDF's 0xFF 'BIOSEMI'")
                .at_offset(0)
                .with_hint("whatever its name, this is another kind of file, or it was not copied whole"));
        }
        let message = format!("the version field is '{}', not '0' and seven spaces", safe(&text_of(&main[..8])));
        defects.refuse("E_EDF_VERSION", message, 0)?;
    }
    Ok(false)
}

fn signal_count(main: &[u8]) -> Result<u64> {
    let text = field(&main[252..256]);
    match text.parse::<u64>() {
        Ok(count @ 1..=9999) => Ok(count),
        _ => Err(Error::format(format!("the number of signals is '{}', not a whole number from 1 on", safe(&text)))
            .at_offset(252)),
    }
}

fn judge_characters(main: &[u8], columns: &[u8], defects: &mut Defects) {
    let bytes = || main.iter().chain(columns);
    if bytes().any(|&b| b == 0) {
        defects.warn("W_EDF_NUL_PADDING", "header fields are filled with NUL instead of spaces");
    }
    if bytes().any(|&b| b != 0 && (b < 0x20 || b == 0x7F)) {
        defects.warn("W_EDF_CONTROL_CHARACTER", "the header holds control characters; they are shown, never executed");
    }
    if bytes().any(|&b| b >= 0x80) {
        defects.warn("W_EDF_NOT_ASCII", "the header holds characters beyond ASCII; read as UTF-8, else as Latin-1");
    }
}

fn plus(reserved: &str, bdf: bool, defects: &mut Defects) -> Plus {
    let upper = reserved.to_ascii_uppercase();
    let Some(rest) = upper.strip_prefix("EDF+").or_else(|| upper.strip_prefix("BDF+")) else { return Plus::Not };
    let (own, kind) = (if bdf { "BDF+" } else { "EDF+" }, rest.chars().next());
    if !reserved.starts_with(own) || !matches!(kind, Some('C' | 'D')) {
        defects.warn("W_EDF_RESERVED", format!("the reserved field does not begin with {own}C or {own}D, but nearly"));
    }
    if kind == Some('D') { Plus::Discontinuous } else { Plus::Continuous }
}

fn signals(columns: &[u8], count: usize, width: u64, defects: &mut Defects) -> Result<Vec<Signal>> {
    // Widths of the columns: label, transducer, unit, physical and digital limits, prefilter, samples, reserved.
    let column = |before: usize, width: usize, i: usize| &columns[count * before + i * width..][..width];
    let mut signals = Vec::with_capacity(count);
    let (mut offset, mut uncalibrated, mut loose, mut commas) = (0_u64, Vec::new(), 0_u64, 0_u64);
    for i in 0..count {
        let raw_label = label(column(0, 16, i));
        let annotations = is_annotation_label(&raw_label);
        if annotations && !matches!(&*raw_label, "EDF Annotations" | "BDF Annotations") {
            defects.warn("W_EDF_ANNOTATION_LABEL", "an annotation signal's label is not spelt as the format has it");
        }
        let samples_at = 256 + (216 * count + 8 * i) as u64;
        let text = field(column(216, 8, i));
        let per_record: u64 = text.parse().map_err(|_| {
            Error::format(format!("signal {} has '{}' samples per record, not a whole number", i + 1, safe(&text)))
                .at_offset(samples_at)
        })?;
        let mut number = |before: usize| {
            let number = decimal(&field(column(before, 8, i)));
            commas += u64::from(number.is_some_and(|n| n.comma) && !annotations);
            number.map(|n| n.value)
        };
        let limits = [number(104), number(112), number(120), number(128)];
        let scale = match limits {
            [Some(pmin), Some(pmax), Some(dmin), Some(dmax)] if pmin != pmax && dmin < dmax => {
                Some(Limits { physical: [pmin, pmax], digital: [dmin, dmax] })
            }
            _ => None,
        };
        if !annotations {
            match &scale {
                None => uncalibrated.push(i + 1),
                Some(limits) => {
                    let half = (1_i64 << (8 * width - 1)) as f64;
                    let within = |d: f64| d.fract() == 0.0 && (-half..half).contains(&d);
                    loose += u64::from(!limits.digital.into_iter().all(within));
                }
            }
        }
        let (unit, _) = decode_text(column(96, 8, i));
        signals.push(Signal {
            label: raw_label,
            unit: unit.trim_matches([' ', '\0']).to_owned(),
            per_record,
            offset,
            annotations,
            scale,
        });
        let bytes = per_record.checked_mul(width).and_then(|b| offset.checked_add(b));
        offset = bytes.ok_or_else(|| Error::format("the samples per record overflow").at_offset(samples_at))?;
    }
    if commas > 0 {
        defects.warn("W_EDF_DECIMAL_COMMA", format!("{commas} limit(s) have a decimal comma; read as a point"));
    }
    if let Some(first) = uncalibrated.first() {
        let n = uncalibrated.len();
        defects.warn(
            "W_EDF_UNCALIBRATED",
            format!(
                "the limits of {n} signal(s) make no scale (first: signal {first}); kept as raw numbers, without a unit"
            ),
        );
    }
    if loose > 0 {
        defects.warn(
            "W_EDF_DIGITAL_RANGE",
            format!("{loose} signal(s) state digital limits that their samples cannot hold; scaled as stated"),
        );
    }
    Ok(signals)
}

fn duration(main: &[u8], ordinary: bool, defects: &mut Defects) -> Result<Decimal> {
    let text = field(&main[244..252]);
    let Some(duration) = decimal(&text) else {
        return Err(
            Error::format(format!("the record duration is '{}', not a number of seconds", safe(&text))).at_offset(244)
        );
    };
    if duration.value < 0.0 {
        return Err(Error::format(format!("the record duration is {} s", duration.value)).at_offset(244));
    }
    if duration.comma {
        defects.warn("W_EDF_DECIMAL_COMMA", "the record duration has a decimal comma; read as a point");
    }
    if duration.value == 0.0 && ordinary {
        let message = "the record duration is 0 s, so the sampling rates are unknown (let pass, it counts as 1 s)";
        defects.refuse("E_EDF_DURATION_ZERO", message, 244)?;
        return Ok(Decimal { value: 1.0, ratio: Some((1, 1)), comma: false });
    }
    Ok(duration)
}

fn records(main: &[u8], defects: &mut Defects) -> Result<Option<u64>> {
    let text = field(&main[236..244]);
    match text.parse::<i64>() {
        Ok(count) if count > 0 => Ok(Some(count.unsigned_abs())),
        Ok(-1) => {
            defects.warn(
                "W_EDF_NREC_UNKNOWN",
                "the number of records is -1 (the recorder was not stopped); counted from the file",
            );
            Ok(None)
        }
        Ok(count) => {
            defects.warn("W_EDF_NREC_WRONG", format!("the number of records is {count}; counted from the file"));
            Ok(None)
        }
        Err(_) => {
            let message = format!(
                "the number of records is '{}', not a whole number (let pass, it is counted from the file)",
                safe(&text)
            );
            defects.refuse("E_EDF_NREC", message, 236)?;
            Ok(None)
        }
    }
}

/// The start, from the date and time fields; years from EDF+'s recording field where those have none.
fn start(main: &[u8], plus: Plus, defects: &mut Defects) -> Option<DateTime> {
    let (date, time) = (field(&main[168..176]), field(&main[176..184]));
    let stated = startdate(&field(&main[88..168]));
    if plus != Plus::Not && stated.is_none() && !field(&main[88..168]).starts_with("Startdate X") {
        defects.warn("W_EDF_RECORDING_FIELD", "the recording field does not begin with 'Startdate dd-MMM-yyyy'");
    }
    if !is_dotted(&date) || !is_dotted(&time) {
        defects.warn("W_EDF_DATE_FORMAT", "the start date or time is not written as dd.mm.yy hh.mm.ss");
    }
    let century_over = date.to_ascii_lowercase().ends_with("yy");
    let [hour, minute, second] = three(&time)?;
    let moment = |(year, month, day): (i64, u32, u32)| DateTime::new(year, month, day, hour, minute, second, 0);
    let own =
        three(&date).map(|[day, month, yy]| (i64::from(if yy >= 85 { 1900 + yy } else { 2000 + yy }), month, day));
    let chosen = match (own, stated) {
        (Some(own), Some(stated)) => {
            // The two-digit year ends with 2084; the recording field has all four digits.
            let same = (own.0 - stated.0).rem_euclid(100) == 0 && (own.1, own.2) == (stated.1, stated.2);
            if !same {
                defects.warn("W_EDF_DATE_CONFLICT", "the start date differs from the one in the recording field");
            }
            Some(if same { stated } else { own })
        }
        (None, Some(stated)) => Some(stated),
        (own, None) => own,
    };
    let start = chosen.and_then(moment);
    if start.is_none() && !(century_over && stated.is_some()) {
        defects.warn("W_EDF_DATE", "the start date or time cannot be read; the recording has no start");
    }
    start
}

/// Whether a field is written `nn.nn.nn` (or `nn.nn.yy`, as EDF+ allows).
fn is_dotted(text: &str) -> bool {
    let b = text.as_bytes();
    let two = |i: usize| b[i].is_ascii_digit() && b[i + 1].is_ascii_digit();
    b.len() == 8 && b[2] == b'.' && b[5] == b'.' && two(0) && two(3) && (two(6) || b[6..].eq_ignore_ascii_case(b"yy"))
}

/// Three numbers, whatever stands between them.
fn three(text: &str) -> Option<[u32; 3]> {
    let mut parts = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|p| !p.is_empty());
    let mut next = || parts.next().filter(|p| p.len() <= 2)?.parse::<u32>().ok();
    let found = [next()?, next()?, next()?];
    parts.next().is_none().then_some(found)
}

/// `Startdate 02-MAR-2002 …` as (year, month, day). Nothing else of the field is looked at.
fn startdate(text: &str) -> Option<(i64, u32, u32)> {
    const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
    let mut parts = text.strip_prefix("Startdate ")?.split_whitespace().next()?.split('-');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.iter().position(|m| m.eq_ignore_ascii_case(month))? as u32 + 1;
    Some((year.parse().ok()?, month, day.parse().ok()?))
}

/// A header field without its padding.
fn field(bytes: &[u8]) -> String {
    let (text, _) = decode_text(bytes);
    text.trim_matches([' ', '\0']).to_owned()
}

/// A label: padding off, control characters made visible.
fn label(bytes: &[u8]) -> String {
    let (text, encoding) = decode_text(bytes);
    let text = text.trim_matches([' ', '\0']);
    if encoding == Encoding::Ascii && !text.contains(|c: char| c.is_control()) {
        return text.to_owned();
    }
    visible(text, &[]).0
}

/// A field with its padding.
fn text_of(bytes: &[u8]) -> String {
    decode_text(bytes).0
}

fn is_annotation_label(label: &str) -> bool {
    label.eq_ignore_ascii_case("EDF Annotations") || label.eq_ignore_ascii_case("BDF Annotations")
}

/// A number field as an error may show it: short, without controls. Never used for fields that can hold a person's
/// data.
fn safe(text: &str) -> String {
    visible(text, &[]).0
}
