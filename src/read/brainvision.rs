//! BrainVision Core Data Format 1.0 and 2.0: a `.vhdr` header, a `.vmrk` marker file and the samples in an `.eeg` or
//! `.dat` file.
//!
//! Brain Products, "BrainVision Core Data Format 1.0" (2019). Read are INT_16, UINT_16, INT_32 and IEEE_FLOAT_32,
//! little- and big-endian, multiplexed and vectorised. A `New Segment` marker begins a segment; its date says how long
//! the pause before it was.

mod channels;
mod files;
mod ini;
mod markers;

use super::bytes::Folder;
use super::decode::Number;
use super::events::EventBook;
use super::samples::{FileSource, Layout, look_for_nan};
use super::text::{Defects, decimal, visible};
use super::{OpenOptions, note_odd_units, recording, settle_kinds};
use crate::signal::date::DateTime;
use crate::signal::{Segment, Stream};
use crate::unit::{Rate, Tick};
use crate::{Error, Result};
use files::{data_file, marker_file};
use ini::{Ini, Section};
use markers::Markers;

/// A header or marker file longer than this is none.
pub(super) const LONGEST_TEXT: u64 = 64 << 20;

/// Opens a BrainVision recording. `header` is the text of the `.vhdr` file, `folder` the folder it lies in, `name` its
/// stem.
///
/// # Errors
/// When the header does not say how to read the samples, or the data file is missing, outside the folder, or of a
/// length that makes samples ambiguous; the code of the error, if it has one, may be let pass by
/// [`OpenOptions::lenient`].
pub fn open(header: &[u8], folder: &dyn Folder, name: &str, options: &OpenOptions) -> Result<FileSource> {
    let mut defects = Defects::new(&options.lenient);
    let defects = &mut defects;
    let ini = ini::parse(header, "header", defects)?;
    let version = identify(&ini, defects)?;
    let common = needed(&ini, "Common Infos", defects)?;
    let binary = needed(&ini, "Binary Infos", defects)?;
    let infos = needed(&ini, "Channel Infos", defects)?;
    judge_common(common, defects)?;

    let rate = sampling_rate(common, defects)?;
    let number = number_type(binary)?;
    let (channels, mut columns) = channels::channels(common, infos, number, defects)?;
    let data = data_file(common, folder, name, defects)?;
    let shape = Shape { number, channels: columns.len() as u64, vectorized: orientation(common, defects)? };
    let (samples, row) = shape.samples(common, data.len(), defects)?;
    let width = number.width() as u64;
    for (c, column) in columns.iter_mut().enumerate() {
        column.offset = c as u64 * width * if shape.vectorized { row } else { 1 };
    }
    let markers = marker_file(common, folder, name, defects)?;
    let segments = segments(common, &markers, samples, rate, defects);

    let file_index = (0..channels.len()).collect();
    let mut streams = vec![Stream { rate, channels, file_index, segments }];
    settle_kinds(&mut streams);
    note_odd_units(&streams[0].channels, defects);
    let mut recording = recording(name, format!("BrainVision {version}"), streams);
    recording.start = markers.segments.iter().find(|s| s.0 == 0).and_then(|s| s.1).map(|t| t.iso());
    let beyond = markers.events.iter().filter(|m| m.sample >= samples).count();
    if beyond > 0 {
        defects
            .warn("W_BV_MARKER_BEYOND", format!("{beyond} marker(s) lie after the last sample; they keep their place"));
    }
    let mut book = EventBook::default();
    for marker in &markers.events {
        let duration_s = if marker.length > 1 { rate.seconds(marker.length as f64) } else { 0.0 };
        book.add(
            recording.streams[0].seconds_at(Tick(marker.sample as i64)),
            duration_s,
            &marker.name,
            marker.stimulus,
        );
    }
    book.write_into(&mut recording, defects);
    let layout = Layout {
        number,
        data_start: 0,
        record_bytes: width * ((shape.channels - 1) * row + samples),
        records: 1,
        per_record: samples,
        stride: if shape.vectorized { width } else { width * shape.channels },
        columns,
    };
    let mut data = data;
    look_for_nan(&mut *data, number, 0..layout.record_bytes, &mut defects.warnings)?;
    recording.warnings = std::mem::take(&mut defects.warnings);
    FileSource::new(recording, data, vec![layout])
}

/// The version in the identification line: `Brain Vision Data Exchange Header File Version 1.0`, with or without the
/// space.
fn identify(ini: &Ini, defects: &mut Defects) -> Result<String> {
    let line = ini.first.to_ascii_lowercase();
    let Some((_, rest)) = line.split_once("data exchange header file") else {
        if ini.sections.is_empty() {
            return Err(Error::format("this is not a BrainVision header").at_offset(0));
        }
        let message = "the first line is not 'Brain Vision Data Exchange Header File Version 1.0'";
        defects.refuse("E_BV_IDENTIFICATION", message, None)?;
        return Ok("1.0".to_owned());
    };
    let version = rest.trim_start_matches([',', ' ']).trim_start_matches("version").trim();
    let version = if version.len() <= 8 { visible(version, &[]).0 } else { "?".to_owned() };
    if !version.starts_with("1.") && !version.starts_with("2.") {
        defects
            .warn("W_BV_VERSION", format!("header version '{version}' is not known; read as version 1.0 and 2.0 are"));
    }
    Ok(version)
}

fn needed<'a>(ini: &'a Ini, name: &str, defects: &mut Defects) -> Result<&'a Section> {
    ini.section(name, defects)?.ok_or_else(|| {
        Error::format(format!("the header has no [{name}]"))
            .with_hint("the file was cut short or is not a BrainVision header")
    })
}

fn missing(key: &str) -> Error {
    Error::format(format!("the header has no {key}=")).with_hint("add the line, or export the recording again")
}

fn odd(key: &str, value: &str, wanted: &str) -> Error {
    let value: String = visible(value, &[]).0.chars().take(40).collect();
    Error::format(format!("{key}={value} in the header; expected is {wanted}"))
}

/// What must hold before a sample can be trusted.
fn judge_common(common: &Section, defects: &mut Defects) -> Result<()> {
    for key in ["DataFile", "NumberOfChannels", "SamplingInterval", "DataOrientation", "DataFormat", "DataType"] {
        if common.count(key) > 1 {
            let message = format!("{key}= stands there more than once (let pass, the first counts)");
            defects.refuse("E_BV_DUPLICATE_KEY", message, None)?;
        }
    }
    match common.get("DataFormat") {
        Some(format) if format.eq_ignore_ascii_case("BINARY") => {}
        Some(format) if format.eq_ignore_ascii_case("ASCII") => {
            return Err(Error::unsupported("the samples are ASCII text (DataFormat=ASCII)")
                .with_hint("export the recording as BINARY"));
        }
        Some(format) => return Err(odd("DataFormat", format, "BINARY")),
        None => defects.warn("W_BV_DATA_FORMAT", "the header has no DataFormat=; taken as BINARY"),
    }
    match common.get("DataType") {
        Some(kind) if !kind.eq_ignore_ascii_case("TIMEDOMAIN") => {
            Err(Error::unsupported("the file holds spectra, not samples in time (DataType)")
                .with_hint("export the recording in the time domain"))
        }
        _ => Ok(()),
    }
}

fn orientation(common: &Section, defects: &mut Defects) -> Result<bool> {
    match common.get("DataOrientation") {
        Some(text) if text.eq_ignore_ascii_case("MULTIPLEXED") => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("VECTORIZED") => Ok(true),
        Some(text) => Err(odd("DataOrientation", text, "MULTIPLEXED or VECTORIZED")),
        None => {
            defects.warn("W_BV_ORIENTATION", "the header has no DataOrientation=; taken as MULTIPLEXED");
            Ok(false)
        }
    }
}

fn sampling_rate(common: &Section, defects: &mut Defects) -> Result<Rate> {
    let text = common.get("SamplingInterval").ok_or_else(|| missing("SamplingInterval"))?;
    let wanted = "the microseconds between two samples";
    let interval = decimal(text).filter(|d| d.value > 0.0).ok_or_else(|| odd("SamplingInterval", text, wanted))?;
    if interval.comma {
        let message = "the sampling interval has a decimal comma (let pass, it is read as a point)";
        defects.refuse("E_BV_DECIMAL_COMMA", message, None)?;
    }
    let nearest = Rate::from_hz(1e6 / interval.value).map_err(|_| odd("SamplingInterval", text, wanted))?;
    let exact =
        interval.ratio.and_then(|(num, den)| Rate::new(den.checked_mul(1_000_000)?, u64::try_from(num).ok()?).ok());
    Ok(exact.unwrap_or(nearest))
}

fn number_type(binary: &Section) -> Result<Number> {
    let format = binary.get("BinaryFormat").ok_or_else(|| missing("BinaryFormat"))?;
    let big = binary.get("UseBigEndianOrder").is_some_and(|v| v.eq_ignore_ascii_case("YES"));
    Ok(match (&*format.to_ascii_uppercase(), big) {
        ("INT_16", false) => Number::I16,
        ("INT_16", true) => Number::I16Be,
        ("UINT_16", false) => Number::U16,
        ("UINT_16", true) => Number::U16Be,
        ("INT_32", false) => Number::I32,
        ("INT_32", true) => Number::I32Be,
        ("IEEE_FLOAT_32", false) => Number::F32,
        ("IEEE_FLOAT_32", true) => Number::F32Be,
        _ => return Err(odd("BinaryFormat", format, "INT_16, UINT_16, INT_32 or IEEE_FLOAT_32")),
    })
}

/// How the samples lie in the data file.
#[derive(Debug, Clone, Copy)]
struct Shape {
    number: Number,
    channels: u64,
    vectorized: bool,
}

impl Shape {
    /// Samples per channel and per row, from the file's length; `DataPoints=` only where the length agrees.
    fn samples(&self, common: &Section, length: u64, defects: &mut Defects) -> Result<(u64, u64)> {
        let width = self.number.width() as u64;
        let frame = self.channels * width;
        let (samples, rest) = (length / frame, length % frame);
        if samples == 0 {
            return Err(Error::format(format!(
                "the data file holds no sample: one of {} channels has {frame} bytes, the file {length}",
                self.channels
            ))
            .with_hint("the recording was never written or not copied whole"));
        }
        let stated = match common.get("DataPoints") {
            None | Some("") => None,
            Some(text) => {
                let points = text.parse::<u64>().ok().filter(|&points| points > 0);
                if points.is_none() {
                    defects.warn("W_BV_DATA_POINTS", "DataPoints= is not a whole number; counted from the file");
                }
                points
            }
        };
        if self.vectorized && (rest > 0 || stated.is_some_and(|points| points != samples)) {
            return self.cut_rows(stated, length, defects);
        }
        if rest > 0 {
            let message = format!("{rest} byte(s) after the last whole sample are ignored; the file was cut short");
            defects.warn("W_BV_TRUNCATED", message);
        }
        if let Some(points) = stated.filter(|&points| points != samples) {
            let message = format!("DataPoints={points}, but the file holds {samples} samples; those are read");
            defects.warn("W_BV_DATA_POINTS", message);
        }
        Ok((samples, samples))
    }

    /// Where a channel's row begins depends on how many samples it has: a cut file leaves that open. Let pass, the
    /// stated length counts, and as much of it as the last row still holds.
    fn cut_rows(&self, stated: Option<u64>, length: u64, defects: &mut Defects) -> Result<(u64, u64)> {
        let width = self.number.width() as u64;
        let rows = stated.map_or("equal length".to_owned(), |points| format!("{points} samples"));
        let message =
            format!("the vectorised data file has {length} bytes, which is not {} rows of {rows}", self.channels);
        defects.refuse("E_BV_VECTORIZED_LENGTH", message, length)?;
        let row = stated.unwrap_or(length / (self.channels * width));
        let before_last = (self.channels - 1).checked_mul(row).and_then(|n| n.checked_mul(width));
        let last = before_last.and_then(|bytes| length.checked_sub(bytes)).map_or(0, |bytes| bytes / width);
        match last.min(row) {
            0 => Err(Error::format("the vectorised data file ends before its last channel begins").at_offset(length)),
            samples => Ok((samples, row)),
        }
    }
}

/// Segments begin at `New Segment` markers and, in segmented exports, every `SegmentDataPoints` samples. A date says
/// when; without one, or with one that lies before the end of the segment before, time goes on without a gap.
fn segments(common: &Section, markers: &Markers, samples: u64, rate: Rate, defects: &mut Defects) -> Vec<Segment> {
    let mut starts: Vec<(u64, Option<DateTime>)> = markers.segments.iter().copied().filter(|s| s.0 < samples).collect();
    let segmented =
        common.get("SegmentationType").is_some_and(|t| !t.is_empty() && !t.eq_ignore_ascii_case("NOTSEGMENTED"));
    if segmented {
        let points = common.get("SegmentDataPoints").and_then(|t| t.parse::<u64>().ok()).filter(|&n| n > 0);
        if let Some(points) = points {
            starts.extend((1..samples.div_ceil(points)).map(|k| (k * points, None)));
        }
        defects.warn(
            "W_BV_SEGMENTED",
            "the file holds cut segments, not one recording; what lay between them is not known",
        );
    }
    starts.push((0, None));
    // At one sample the dated marker comes first, and only the first counts.
    starts.sort_by_key(|&(sample, date)| (sample, date.is_none(), date));
    starts.dedup_by_key(|s| s.0);
    let mut segments: Vec<Segment> = Vec::with_capacity(starts.len());
    let origin = starts.first().and_then(|s| s.1);
    let (mut end_s, mut backwards) = (0.0, 0_u64);
    for (k, &(first, date)) in starts.iter().enumerate() {
        let length = starts.get(k + 1).map_or(samples, |next| next.0) - first;
        let dated = date.zip(origin).map(|(date, origin)| date.seconds_since(origin));
        // Dates are rounded to the microsecond, and clocks drift: less than a sample is no step back.
        let start_s = match dated {
            Some(at) if at >= end_s => at,
            Some(at) if at >= end_s - rate.seconds(1.0) => end_s,
            Some(_) => {
                backwards += 1;
                end_s
            }
            None => end_s,
        };
        segments.push(Segment { first: Tick(first as i64), length, start_s });
        end_s = start_s + rate.seconds(length as f64);
    }
    if backwards > 0 {
        defects.warn(
            "W_BV_SEGMENT_TIME",
            format!("{backwards} New Segment date(s) lie before the end of the segment before; taken as its end"),
        );
    }
    segments
}
