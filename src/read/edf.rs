//! EDF, EDF+C, EDF+D, BDF and BDF+.
//!
//! Opening reads the header and, where there are any, the annotation signals and BioSemi's Status channel: those bytes
//! only, so that a large file opens at once. Samples are scaled as the header says, `(digital − dmin) · gain + pmin`,
//! then to µV. Mixed sampling rates become streams. EDF+D's gaps, and those that the time-keeping annotations of an
//! EDF+C contradict its header with, become segments; time 0 is the first sample.

mod annotations;
mod header;

use super::bytes::{ByteStore, read_exact_at, zeroed};
use super::decode::Number;
use super::events::EventBook;
use super::samples::{Column, FileSource, Layout};
use super::text::{Decimal, Defects, rate_of};
use super::{OpenOptions, channel, note_duplicate_labels, note_odd_units, recording, settle_kinds};
use crate::signal::{Channel, Segment, Stream};
use crate::unit::{Rate, Tick, Unit};
use crate::{Error, Result};
use annotations::{Faults, walk};
use header::{Header, Plus, Signal};

/// Opens an EDF or BDF file. `name` is what the recording is called, its file's stem say.
///
/// # Errors
/// When the header or the record times cannot be trusted; the code of the error, if it has one, may be let pass by
/// [`OpenOptions::lenient`]. When the store fails.
pub fn open(mut store: Box<dyn ByteStore>, name: &str, options: &OpenOptions) -> Result<FileSource> {
    let mut defects = Defects::new(&options.lenient);
    let header = header::read(&mut *store, &mut defects)?;
    let records = count_records(&header, store.len(), &mut defects)?;
    let annotation_signals: Vec<&Signal> = header.signals.iter().filter(|s| s.annotations).collect();
    if header.plus != Plus::Not && annotation_signals.is_empty() {
        defects
            .warn("W_EDF_NO_ANNOTATIONS", "an EDF+ file without an annotation signal; its records count as contiguous");
    }
    if header.plus == Plus::Not && !annotation_signals.is_empty() {
        defects.warn(
            "W_EDF_ANNOTATIONS_IN_PLAIN",
            "a file not marked as EDF+ has an annotation signal; read as annotations",
        );
    }
    let Notes { times, book } = read_annotations(&mut *store, &header, &annotation_signals, records, &mut defects)?;
    let times = if header.plus == Plus::Not { Vec::new() } else { times };
    let runs = runs(&times, records, &header, &mut defects)?;
    let origin = times.first().copied().flatten().map_or(0.0, |t| t.value);

    let (mut streams, layouts) = streams(&header, records, &runs, &mut defects)?;
    settle_kinds(&mut streams);
    let channels: Vec<Channel> = streams.iter().flat_map(|s| s.channels.iter().cloned()).collect();
    note_duplicate_labels(channels.iter().map(|c| &*c.name), &mut defects, "W_EDF_DUPLICATE_LABEL");
    note_odd_units(&channels, &mut defects);
    let mut recording = recording(name, format_name(&header), streams);
    recording.start = header.start.and_then(|t| t.plus_micros((origin * 1e6).round() as i64)).map(|t| t.iso());
    let book = read_status(&mut *store, &header, &recording.streams, &layouts, book)?;
    book.write_into(&mut recording, &mut defects);
    recording.warnings = defects.warnings;
    FileSource::new(recording, store, layouts)
}

fn format_name(header: &Header) -> String {
    let family = if header.bdf { "BDF" } else { "EDF" };
    let plus = match header.plus {
        Plus::Not => "",
        Plus::Continuous => "+C",
        Plus::Discontinuous => "+D",
    };
    format!("{family}{plus}")
}

/// Whole records in the file; what the header says about them is only believed where the bytes agree.
fn count_records(header: &Header, length: u64, defects: &mut Defects) -> Result<u64> {
    let bytes = length.saturating_sub(header.bytes);
    let (held, rest) = (bytes / header.record_bytes, bytes % header.record_bytes);
    if held == 0 {
        return Err(Error::format(format!(
            "the file holds no whole record: one has {} bytes, {bytes} follow the header",
            header.record_bytes
        ))
        .at_offset(header.bytes)
        .with_hint("the recording was cut short or never written; copy it again from its source"));
    }
    let tail = |records: u64| header.bytes + records * header.record_bytes;
    match header.records {
        Some(stated) if stated > held => {
            let cut = if rest > 0 { ", the last one cut short" } else { "" };
            defects.warn(
                "W_EDF_TRUNCATED",
                format!("the header states {stated} records, the file holds {held} whole ones{cut}; those are read"),
            );
            Ok(held)
        }
        Some(stated) if stated < held && rest == 0 => {
            defects.warn(
                "W_EDF_NREC_WRONG",
                format!("the header states {stated} records, the file holds {held}; all are read"),
            );
            Ok(held)
        }
        Some(stated) => {
            if tail(stated) < length {
                let extra = length - tail(stated);
                defects.warn("W_EDF_TRAILING_BYTES", format!("{extra} byte(s) after the last record are ignored"));
            }
            Ok(stated)
        }
        None => {
            if rest > 0 {
                defects.warn("W_EDF_TRAILING_BYTES", format!("{rest} byte(s) after the last whole record are ignored"));
            }
            Ok(held)
        }
    }
}

/// What the annotation signals hold: each record's time, and the events, still on the file's clock.
struct Notes {
    times: Vec<Option<Decimal>>,
    book: EventBook,
}

/// Reads the annotation bytes of all records, and nothing else of them.
fn read_annotations(
    store: &mut dyn ByteStore,
    header: &Header,
    signals: &[&Signal],
    records: u64,
    defects: &mut Defects,
) -> Result<Notes> {
    let mut book = EventBook::default();
    let width = if header.bdf { 3 } else { 2 };
    let (Some(from), Some(to)) =
        (signals.iter().map(|s| s.offset).min(), signals.iter().map(|s| s.offset + s.per_record * width).max())
    else {
        return Ok(Notes { times: Vec::new(), book });
    };
    let mut times: Vec<Option<Decimal>> = Vec::new();
    let count = usize::try_from(records).unwrap_or(usize::MAX);
    times.try_reserve(count).map_err(|_| Error::format("more records than memory can hold"))?;
    let mut faults = Faults::default();
    // Onsets count from the file's start time; time 0 of a recording is its first sample.
    let mut origin = 0.0;
    each_span(store, header, from, to, records, |record, span| {
        let mut time = None;
        for (k, signal) in signals.iter().enumerate() {
            let at = (signal.offset - from) as usize;
            let bytes = &span[at..at + (signal.per_record * width) as usize];
            walk(bytes, &mut faults, |stamp, first, text| {
                if first && k == 0 && text.is_empty() {
                    time = Some(stamp.onset);
                    if record == 0 && header.plus != Plus::Not {
                        origin = stamp.onset.value;
                    }
                } else if !text.is_empty() {
                    book.add(stamp.onset.value - origin, stamp.duration_s, text, true);
                }
            });
        }
        times.push(time);
    })?;
    faults.tell(defects);
    Ok(Notes { times, book })
}

/// Hands over bytes `from..to` of each record; small records are read many at a time.
fn each_span(
    store: &mut dyn ByteStore,
    header: &Header,
    from: u64,
    to: u64,
    records: u64,
    mut hand: impl FnMut(u64, &[u8]),
) -> Result<()> {
    const CHUNK: u64 = 256 << 10;
    let (whole, span) = (header.record_bytes, to - from);
    // A positioned read costs about as much as copying 8 KiB.
    let together = if whole <= 8 << 10 || span * 2 > whole { (CHUNK / whole).clamp(1, records) } else { 1 };
    let mut buffer = Vec::new();
    let mut record = 0;
    while record < records {
        let count = together.min(records - record);
        let bytes = (count - 1) * whole + span;
        if buffer.len() as u64 != bytes {
            buffer = zeroed(bytes)?;
        }
        read_exact_at(store, header.bytes + record * whole + from, &mut buffer)?;
        for k in 0..count {
            hand(record + k, &buffer[(k * whole) as usize..][..span as usize]);
        }
        record += count;
    }
    Ok(())
}

/// A run of records without a gap: its first record, and its time in seconds from the first sample.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: u64,
    start_s: f64,
}

/// Cuts the records where their times jump.
fn runs(times: &[Option<Decimal>], records: u64, header: &Header, defects: &mut Defects) -> Result<Vec<Run>> {
    let mut runs = vec![Run { first: 0, start_s: 0.0 }];
    let missing = times.iter().filter(|t| t.is_none()).count();
    if missing > 0 && header.plus == Plus::Discontinuous {
        let message = format!(
            "{missing} of {records} records of an EDF+D do not state their time (let pass, they follow the one before)"
        );
        defects.refuse("E_EDF_RECORD_TIME", message, header.bytes)?;
    } else if missing > 0 {
        defects.warn(
            "W_EDF_RECORD_TIME",
            format!("{missing} of {records} records do not state their time; they follow the one before"),
        );
    }
    if times.is_empty() && header.plus == Plus::Discontinuous {
        let message =
            "an EDF+D without time-keeping annotations: its gaps are unknown (let pass, it counts as contiguous)";
        defects.refuse("E_EDF_RECORD_TIME", message, header.bytes)?;
    }
    let duration = header.duration.value;
    let tolerance = jitter(times, header);
    let Some(origin) = times.iter().enumerate().find_map(|(r, t)| t.map(|t| t.value - r as f64 * duration)) else {
        return Ok(runs);
    };
    let (mut gaps, mut backwards, mut expected) = (0_u64, 0_u64, origin);
    for (record, time) in times.iter().enumerate() {
        let stated = time.map_or(expected, |t| t.value);
        let jump = stated - expected;
        if record > 0 && jump.abs() > tolerance && duration > 0.0 {
            gaps += 1;
            backwards += u64::from(jump < 0.0);
            runs.push(Run { first: record as u64, start_s: stated - origin });
        }
        expected = stated + duration;
    }
    if backwards > 0 {
        let message = format!("{backwards} record(s) begin before the one before them ends");
        defects.refuse("E_EDF_TIME_BACKWARDS", message, header.bytes)?;
    }
    if gaps > 0 && header.plus == Plus::Continuous {
        defects.warn(
            "W_EDF_GAP_IN_CONTINUOUS",
            format!("marked as continuous, but its record times show {gaps} gap(s); they are kept as gaps"),
        );
    }
    Ok(runs)
}

/// How far a record's time may be off before it is a gap: a hundredth of the shortest sample interval, at least 1 µs,
/// and, where the record duration has more digits than the times, the digits that those lack.
fn jitter(times: &[Option<Decimal>], header: &Header) -> f64 {
    let fastest = header.signals.iter().filter(|s| !s.annotations).map(|s| s.per_record).max().unwrap_or(0);
    let sample = if fastest > 0 { header.duration.value / fastest as f64 } else { 0.0 };
    let finest = times.iter().flatten().filter_map(|t| t.ratio).map(|(_, den)| den).max().unwrap_or(1);
    let duration_den = header.duration.ratio.map_or(u64::MAX, |(_, den)| den);
    let lacking = if duration_den > finest { 1.0 / finest as f64 } else { 0.0 };
    (sample / 100.0).max(1e-6).max(lacking.min(sample))
}

/// One stream per sampling rate, in order of first appearance.
fn streams(header: &Header, records: u64, runs: &[Run], defects: &mut Defects) -> Result<(Vec<Stream>, Vec<Layout>)> {
    let (mut streams, mut layouts): (Vec<Stream>, Vec<Layout>) = (Vec::new(), Vec::new());
    let number = if header.bdf { Number::I24 } else { Number::I16 };
    let (mut place, mut empty) = (0, 0);
    for signal in header.signals.iter().filter(|s| !s.annotations) {
        place += 1;
        if signal.per_record == 0 {
            empty += 1;
            continue;
        }
        let rate = rate_of(signal.per_record, &header.duration).map_err(|e| e.at_offset(244))?;
        let at = match streams.iter().position(|s| s.rate == rate) {
            Some(at) => at,
            None => {
                streams.push(Stream {
                    rate,
                    channels: vec![],
                    file_index: vec![],
                    segments: segments(signal, records, runs),
                });
                layouts.push(Layout {
                    number,
                    data_start: header.bytes,
                    record_bytes: header.record_bytes,
                    records,
                    per_record: signal.per_record,
                    stride: number.width() as u64,
                    columns: vec![],
                });
                streams.len() - 1
            }
        };
        let (channel, column) = scaled(signal);
        streams[at].channels.push(channel);
        streams[at].file_index.push(place - 1);
        layouts[at].columns.push(column);
    }
    if empty > 0 {
        defects.warn("W_EDF_NO_SAMPLES", format!("{empty} signal(s) have no samples and are left out"));
    }
    if streams.is_empty() {
        // Annotations only: events on a clock of milliseconds, no channel, no sample.
        let rate = Rate::new(1000, 1)?;
        streams.push(Stream { rate, channels: vec![], file_index: vec![], segments: vec![] });
        layouts.push(Layout {
            number,
            data_start: header.bytes,
            record_bytes: 0,
            records: 0,
            per_record: 1,
            stride: 2,
            columns: vec![],
        });
    }
    Ok((streams, layouts))
}

fn segments(signal: &Signal, records: u64, runs: &[Run]) -> Vec<Segment> {
    let tick = |record: u64| Tick((record * signal.per_record) as i64);
    let ends = runs.iter().skip(1).map(|run| run.first).chain([records]);
    let segment = |(run, end): (&Run, u64)| Segment {
        first: tick(run.first),
        length: (end - run.first) * signal.per_record,
        start_s: run.start_s,
    };
    runs.iter().zip(ends).map(segment).collect()
}

/// The channel and its scale, to µV where its unit is volts. Without a scale: raw numbers, no unit.
fn scaled(signal: &Signal) -> (Channel, Column) {
    let raw = Column { offset: signal.offset, zero: 0.0, gain: 1.0, bias: 0.0 };
    let Some(limits) = &signal.scale else {
        return (channel(signal.label.clone(), Unit::None, false), raw);
    };
    let (unit, factor) = Unit::parse(&signal.unit);
    let ([pmin, pmax], [dmin, dmax]) = (limits.physical, limits.digital);
    let gain = (pmax - pmin) / (dmax - dmin);
    let mut channel = channel(signal.label.clone(), unit, true);
    channel.range = Some([pmin.min(pmax) * factor, pmin.max(pmax) * factor]);
    (channel, Column { offset: signal.offset, zero: dmin, gain: gain * factor, bias: pmin * factor })
}

/// BioSemi's triggers: the low 16 bits of the 24-bit Status channel. An event, named by its number, is where they
/// change to anything but 0 or the word they rest at.
fn read_status(
    store: &mut dyn ByteStore,
    header: &Header,
    streams: &[Stream],
    layouts: &[Layout],
    mut book: EventBook,
) -> Result<EventBook> {
    let Some(signal) = header.signals.iter().find(|s| header.bdf && s.label == "Status" && s.per_record > 0) else {
        return Ok(book);
    };
    let Some(at) = layouts.iter().position(|l| l.columns.iter().any(|c| c.offset == signal.offset)) else {
        return Ok(book);
    };
    let Some(layout) = layouts.get(at) else { return Ok(book) };
    const MOST_CHANGES: usize = 1 << 20;
    let mut changes: Vec<(u64, u16)> = Vec::new();
    let mut held = vec![0_u64; 1 << 16];
    let (mut last, mut sample) = (None, 0_u64);
    each_span(store, header, signal.offset, signal.offset + 3 * signal.per_record, layout.records, |_, span| {
        for &[low, high, _] in span.as_chunks::<3>().0 {
            let word = u16::from_le_bytes([low, high]);
            held[usize::from(word)] += 1;
            if last.is_some_and(|last| last != word) && changes.len() < MOST_CHANGES {
                changes.push((sample, word));
            }
            last = Some(word);
            sample += 1;
        }
    })?;
    let rest =
        held.iter().enumerate().max_by_key(|&(word, n)| (*n, std::cmp::Reverse(word))).map_or(0, |(word, _)| word);
    for (sample, word) in changes {
        if word != 0 && usize::from(word) != rest {
            book.add(streams[at].seconds_at(Tick(sample as i64)), 0.0, &word.to_string(), true);
        }
    }
    Ok(book)
}
