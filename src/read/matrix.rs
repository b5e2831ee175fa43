//! CSV and TSV matrices: a header row of channel names, a row of numbers per sample.
//!
//! Text has no fixed width, and an analysis reads more than once. So the numbers are read once, line by line, into a nameless
//! temporary file of doubles, which then is read like any other recording.
//!
//! Fields are separated by tabs, semicolons or commas, whichever stands in the header (in this order). Next to semicolons a
//! comma may be the decimal mark. Empty cells, `NaN`, `NA` and `n/a` are NaN. A column called `time`, `time_s`, `timestamp`
//! (seconds) or `time_ms` holds no channel, but tells the rate, where it is not told otherwise, and the gaps.

use super::bytes::{ByteStore, FileStore};
use super::decode::Number;
use super::samples::{Column, FileSource, Layout, note_not_finite};
use super::text::{Defects, decode_text, visible};
use super::{OpenOptions, channel, note_duplicate_labels, recording, settle_kinds};
use crate::signal::{Segment, Stream};
use crate::unit::{Rate, Tick, Unit};
use crate::{Error, ErrorKind, Result};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, Write};

/// No row of numbers is longer: what is has no line ends.
const LONGEST_LINE: u64 = 4 << 20;
/// A time that is further off its place than this share of a sample is not of a uniform rate.
const JITTER: f64 = 0.5;
/// No EEG is sampled more slowly: a column called `time` that says so does not hold seconds.
const SLOWEST_HZ: f64 = 5.0;

/// Opens a table of numbers.
///
/// # Errors
/// When the unit is not told, or the rate neither told nor in a time column; at the first cell that is no number, with its
/// line and column; when the times are not those of a uniform rate with gaps.
pub fn open(store: FileStore, name: &str, options: &OpenOptions) -> Result<FileSource> {
    let mut lines = Lines::new(store);
    let header = Header::read(&mut lines)?;
    let factor = options.microvolts()?;
    if options.rate.is_none() && header.time.is_none() {
        options.told_rate()?;
    }
    let mut defects = Defects::new(&options.lenient);
    let numbers = Numbers::read(&mut lines, &header)?;
    if numbers.not_finite > 0 {
        note_not_finite(&mut defects.warnings, numbers.not_finite);
    }
    let (rate, segments) = match numbers.times {
        Some(times) => times.rate_and_segments(numbers.rows, options.rate, &mut defects)?,
        None => (options.told_rate()?, whole(numbers.rows)),
    };
    let channels: Vec<_> = header.names.iter().map(|n| channel(n.clone(), Unit::Microvolt, true)).collect();
    note_duplicate_labels(header.names.iter().map(String::as_str), &mut defects, "W_CSV_DUPLICATE_LABEL");
    let file_index = header.columns.clone();
    let n = channels.len() as u64;
    let mut streams = vec![Stream { rate, channels, file_index, segments }];
    settle_kinds(&mut streams);
    let format = if header.separator == b'\t' { "TSV" } else { "CSV" };
    let mut recording = recording(name, format.to_owned(), streams);
    recording.warnings = defects.warnings;
    let columns = (0..n).map(|c| Column { offset: 8 * c, zero: 0.0, gain: factor, bias: 0.0 }).collect();
    let layout = Layout {
        number: Number::F64,
        data_start: 0,
        record_bytes: 8 * n * numbers.rows,
        records: 1,
        per_record: numbers.rows,
        stride: 8 * n,
        columns,
    };
    let store = FileStore::of(numbers.file).map_err(|e| spool_error(&e))?;
    FileSource::new(recording, Box::new(store), vec![layout])
}

fn whole(rows: u64) -> Vec<Segment> {
    vec![Segment { first: Tick(0), length: rows, start_s: 0.0 }]
}

fn spool_error(cause: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("the temporary file for samples failed: {cause}"))
        .with_hint("free some space, or point TMPDIR to a larger disk")
}

/// Lines of a file, numbered from 1, without their ends.
struct Lines {
    reader: BufReader<Bytes>,
    line: Vec<u8>,
    number: u64,
}

/// Row and time at which a segment begins.
type Start = (u64, f64);

impl Lines {
    fn new(store: FileStore) -> Self {
        Self { reader: BufReader::with_capacity(1 << 17, Bytes { store, at: 0 }), line: Vec::new(), number: 0 }
    }

    /// The next line into `line`; `false` at the end.
    fn next(&mut self) -> Result<bool> {
        self.line.clear();
        let read = (&mut self.reader).take(LONGEST_LINE).read_until(b'\n', &mut self.line);
        let read = read.map_err(|e| Error::new(ErrorKind::Io, e.to_string()))?;
        self.number += 1;
        if read as u64 == LONGEST_LINE {
            return Err(self.wrong(&format!("is longer than {} MB", LONGEST_LINE >> 20)));
        }
        while self.line.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
            self.line.pop();
        }
        Ok(read > 0)
    }

    fn wrong(&self, what: &str) -> Error {
        Error::format(format!("line {} {what}", self.number))
    }
}

/// A store as a stream.
struct Bytes {
    store: FileStore,
    at: u64,
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.store.read_at(self.at, buffer)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// What the first line says.
struct Header {
    separator: u8,
    /// Channel names, and the columns in which they stand.
    names: Vec<String>,
    columns: Vec<usize>,
    /// The column of times, and seconds per unit of it.
    time: Option<(usize, f64)>,
    width: usize,
}

impl Header {
    fn read(lines: &mut Lines) -> Result<Self> {
        lines.next()?;
        let bytes = lines.line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&lines.line);
        if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") || bytes.contains(&0) {
            return Err(
                Error::unsupported("the file is not UTF-8 text (UTF-16, or binary)").with_hint("save it as CSV UTF-8")
            );
        }
        let separator = [b'\t', b';', b','].into_iter().find(|s| bytes.contains(s)).unwrap_or(b',');
        let fields: Vec<String> = split(bytes, separator).map(|f| visible(decode_text(f).0.trim(), &[]).0).collect();
        let numeric = fields.iter().filter(|f| f.parse::<f64>().is_ok()).count();
        if numeric > 0 && 2 * numeric >= fields.len() {
            return Err(Error::format("line 1 holds numbers, not the names of the channels")
                .with_hint("put a line with a name for each column first"));
        }
        let mut header = Self { separator, names: vec![], columns: vec![], time: None, width: fields.len() };
        for (at, name) in fields.into_iter().enumerate() {
            let seconds = match name.to_ascii_lowercase().as_str() {
                "time" | "time_s" | "timestamp" => Some(1.0),
                "time_ms" => Some(1e-3),
                _ => None,
            };
            match seconds {
                Some(_) if header.time.is_some() => {
                    return Err(Error::format(format!("column {} ({name}) is a second column of times", at + 1))
                        .with_hint("leave one of them out"));
                }
                Some(seconds) => header.time = Some((at, seconds)),
                None if name.is_empty() => {
                    return Err(Error::format(format!("column {} has no name in line 1", at + 1))
                        .with_hint("name every column, or leave it out (pandas: index=False)"));
                }
                None => {
                    header.names.push(name);
                    header.columns.push(at);
                }
            }
        }
        if header.names.is_empty() {
            return Err(Error::format("line 1 names no channel"));
        }
        Ok(header)
    }
}

/// The fields of a line, quotes around them taken off.
fn split(line: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    line.split(move |b| {
        quoted ^= *b == b'"';
        *b == separator && !quoted
    })
    .map(|field| {
        let field = field.trim_ascii();
        field.strip_prefix(b"\"").and_then(|f| f.strip_suffix(b"\"")).unwrap_or(field).trim_ascii()
    })
}

/// All numbers, in a file of doubles, row by row; times apart.
struct Numbers {
    file: File,
    rows: u64,
    not_finite: u64,
    times: Option<Times>,
}

impl Numbers {
    fn read(lines: &mut Lines, header: &Header) -> Result<Self> {
        let temporary = || tempfile::tempfile().map_err(|e| spool_error(&e));
        let mut samples = BufWriter::with_capacity(1 << 17, temporary()?);
        let mut times = header.time.map(|_| temporary().map(BufWriter::new)).transpose()?;
        let (mut rows, mut not_finite) = (0_u64, 0_u64);
        let (mut row, mut mark, mut blank) = (Vec::with_capacity(8 * header.names.len()), None, false);
        while lines.next()? {
            if lines.line.trim_ascii().is_empty() {
                blank = true;
                continue;
            }
            if blank {
                return Err(Error::format(format!("line {} is empty", lines.number - 1)));
            }
            row.clear();
            let mut count = 0;
            for (at, field) in split(&lines.line, header.separator).enumerate() {
                count += 1;
                let value =
                    number(field, header.separator, &mut mark).ok_or_else(|| no_number(lines, at, field, header))?;
                match header.time {
                    Some((column, seconds)) if column == at => {
                        if !value.is_finite() {
                            return Err(no_number(lines, at, field, header));
                        }
                        if let Some(times) = &mut times {
                            times.write_all(&(value * seconds).to_le_bytes()).map_err(|e| spool_error(&e))?;
                        }
                    }
                    _ => {
                        not_finite += u64::from(!value.is_finite());
                        row.extend(value.to_le_bytes());
                    }
                }
            }
            if count != header.width {
                return Err(lines.wrong(&format!("has {count} cells, the header {}", header.width)));
            }
            samples.write_all(&row).map_err(|e| spool_error(&e))?;
            rows += 1;
        }
        if rows == 0 {
            return Err(Error::format("the file holds no sample: there is no line of numbers behind the header"));
        }
        let done = |writer: BufWriter<File>| writer.into_inner().map_err(|e| spool_error(e.error()));
        let times = times.map(done).transpose()?.map(Times);
        Ok(Self { file: done(samples)?, rows, not_finite, times })
    }
}

fn no_number(lines: &Lines, at: usize, field: &[u8], header: &Header) -> Error {
    let name = match header.columns.iter().position(|c| *c == at) {
        Some(channel) => format!(" ({})", header.names[channel]),
        None => String::new(),
    };
    let text: String = visible(&decode_text(field).0, &[]).0.chars().take(30).collect();
    Error::format(format!("line {}, column {}{name}: '{text}' is not a number", lines.number, at + 1))
        .with_hint("every column holds numbers; leave columns of text out")
}

/// One cell. `mark`: the decimal mark that the file has used so far; it uses one.
fn number(field: &[u8], separator: u8, mark: &mut Option<u8>) -> Option<f64> {
    let text = std::str::from_utf8(field).ok()?;
    if matches!(text, "" | "NaN" | "nan" | "NA" | "n/a" | "N/A") {
        return Some(f64::NAN);
    }
    let used = field.iter().copied().find(|b| matches!(b, b'.' | b','));
    if let Some(used) = used
        && used != *mark.get_or_insert(used)
    {
        return None;
    }
    match used {
        Some(b',') if separator != b';' => None,
        Some(b',') => text.replace(',', ".").parse().ok(),
        _ => text.parse().ok(),
    }
}

/// The times of all rows, in seconds, in a file.
struct Times(File);

impl Times {
    /// Calls `see` with every row and its time.
    fn each(&mut self, mut see: impl FnMut(u64, f64)) -> Result<()> {
        self.0.rewind().map_err(|e| spool_error(&e))?;
        let mut reader = BufReader::new(&mut self.0);
        let mut bytes = [0; 8];
        let mut row = 0;
        loop {
            match reader.read_exact(&mut bytes) {
                Ok(()) => see(row, f64::from_le_bytes(bytes)),
                Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(e) => return Err(spool_error(&e)),
            }
            row += 1;
        }
    }

    /// The rate, told or found, and the stretches without a gap.
    fn rate_and_segments(
        mut self,
        rows: u64,
        told: Option<Rate>,
        defects: &mut Defects,
    ) -> Result<(Rate, Vec<Segment>)> {
        let refused = |message: String, defects: &mut Defects| -> Result<(Rate, Vec<Segment>)> {
            let Some(rate) = told else {
                return Err(Error::format(message).with_hint("say the rate with --rate HZ"));
            };
            let error = defects.refuse("E_CSV_TIME", message, None);
            error.map(|()| (rate, whole(rows)))
        };
        let step = match self.usual_step()? {
            Some(step) if step > 0.0 => step,
            _ => return refused("the times do not increase".to_owned(), defects),
        };
        let (starts, mean, backwards) = self.gaps(step)?;
        if let Some(row) = backwards {
            return refused(format!("line {}: the time is not after that of the line before", row + 2), defects);
        }
        let (fitted, _) = self.largest_offset(&starts, mean)?;
        let mut rate = Rate::from_hz(1.0 / mean).map_err(|e| e.with_hint("say the rate with --rate HZ"))?;
        // times are rounded where they are written: a round rate that fits as well is the one that was meant
        for round in [mean.recip().round(), (mean.recip() * 10.0).round() / 10.0] {
            if round > 0.0 && self.largest_offset(&starts, round.recip())?.0 <= 2.0 * fitted + 1e-6 {
                rate = Rate::from_hz(round)?;
                break;
            }
        }
        if told.is_none() && rate.hz() < SLOWEST_HZ {
            return Err(Error::format(format!("the times are those of {rate}: are they milliseconds?"))
                .with_hint("call the column time_ms, or say the rate with --rate HZ and leave the column out"));
        }
        if let Some(told) = told {
            if (told.hz() / rate.hz() - 1.0).abs() > 0.01 {
                let message = format!("the times are those of {rate}, but --rate says {told}");
                return refused(message, defects);
            }
            rate = told;
        }
        let (offset, row) = self.largest_offset(&starts, rate.seconds(1.0))?;
        if offset > JITTER {
            let message = format!("line {}: the time is {offset:.2} samples off a uniform rate of {rate}", row + 2);
            return refused(message, defects);
        }
        let origin = starts[0].1;
        let ends = starts.iter().skip(1).map(|s| s.0).chain([rows]);
        let segments: Vec<Segment> = starts
            .iter()
            .zip(ends)
            .map(|(&(row, at), end)| Segment { first: Tick(row as i64), length: end - row, start_s: at - origin })
            .collect();
        if segments.len() > 1 {
            defects
                .warn("W_CSV_GAPS", format!("the times jump {} time(s): a segment begins there", segments.len() - 1));
        }
        Ok((rate, segments))
    }

    /// The median step of the first rows.
    fn usual_step(&mut self) -> Result<Option<f64>> {
        let (mut steps, mut last) = (Vec::new(), None);
        self.each(|_, t| {
            if steps.len() < 4096 {
                steps.extend(last.map(|l| t - l));
                last = Some(t);
            }
        })?;
        Ok((!steps.is_empty()).then(|| crate::dsp::stats::median(&mut steps)))
    }

    /// Where segments begin (row and time), the mean step inside them, and the first row whose time does not increase.
    /// A gap is a step of more than 1.5 samples.
    fn gaps(&mut self, step: f64) -> Result<(Vec<Start>, f64, Option<u64>)> {
        let (mut starts, mut last, mut backwards) = (Vec::new(), None::<f64>, None);
        let (mut inside, mut n) = (0.0, 0_u64);
        self.each(|row, t| {
            match last {
                Some(l) if t <= l => {
                    backwards.get_or_insert(row);
                }
                Some(l) if t - l <= 1.5 * step => (inside, n) = (inside + (t - l), n + 1),
                _ => starts.push((row, t)),
            }
            last = Some(t);
        })?;
        Ok((starts, if n > 0 { inside / n as f64 } else { step }, backwards))
    }

    /// The largest distance of a time from its place at `step` seconds per sample, in samples, and its row.
    fn largest_offset(&mut self, starts: &[(u64, f64)], step: f64) -> Result<(f64, u64)> {
        let (mut worst, mut at) = ((0.0, 0), 0);
        self.each(|row, t| {
            while starts.get(at + 1).is_some_and(|s| s.0 <= row) {
                at += 1;
            }
            let (first, start) = starts[at];
            let off = ((t - start) / step - (row - first) as f64).abs();
            if off > worst.0 {
                worst = (off, row);
            }
        })?;
        Ok(worst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Source, read_all};
    use crate::signal::ChannelKind;

    fn told(hz: Option<u64>) -> OpenOptions {
        let rate = hz.map(|hz| Rate::new(hz, 1).unwrap());
        OpenOptions { rate, unit: Some("uV".to_owned()), ..OpenOptions::default() }
    }

    fn read(text: &str, options: &OpenOptions) -> Result<FileSource> {
        open(FileStore::spool(text.as_bytes())?, "x", options)
    }

    fn refused(text: &str, hz: Option<u64>) -> String {
        read(text, &told(hz)).err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn separators_marks_quotes_and_missing_cells() {
        for text in [
            "Fz,\"C,z\",resp\n1.5,-2,3e2\n,NaN,0.25\n",
            "Fz\tC,z\tresp\r\n1.5\t-2\t3e2\r\nNA\tn/a\t.25",
            "\u{feff}Fz;C,z;resp\n1,5; -2 ;3e2\n;nan;0,25\n\n\n",
        ] {
            let mut source = read(text, &told(Some(100))).unwrap();
            let stream = source.recording().main_stream().clone();
            assert_eq!(stream.channels.iter().map(|c| &*c.name).collect::<Vec<_>>(), ["Fz", "C,z", "resp"]);
            assert_eq!(stream.channels[0].kind, ChannelKind::Eeg);
            assert_eq!((stream.rate.hz(), stream.len()), (100.0, 2));
            let codes: Vec<_> = source.recording().warnings.iter().map(|w| w.code).collect();
            assert_eq!(codes, ["W_NOT_FINITE"]);
            let rows = read_all(&mut source, 3, 5).unwrap();
            assert_eq!([rows[0][0], rows[1][0], rows[2][0], rows[2][1]], [1.5, -2.0, 300.0, 0.25]);
            assert!(rows[0][1].is_nan() && rows[1][1].is_nan());
        }
    }

    #[test]
    fn errors_name_line_and_column() {
        for (text, want) in [
            ("Fz,Cz\n1,2\n3,x\n", "line 3, column 2 (Cz): 'x' is not a number"),
            ("Fz,Cz\n1,2\n3\n", "line 3 has 1 cells, the header 2"),
            ("Fz,Cz\n1,2\n\n3,4\n", "line 3 is empty"),
            ("Fz;Cz\n1,5;2.5\n", "line 2, column 2 (Cz): '2.5' is not a number"),
            ("1,2\n3,4\n", "line 1 holds numbers"),
            (",Cz\n1,2\n", "column 1 has no name"),
            ("Fz,Cz\n", "no sample"),
            ("time,Cz\n,2\n", "line 2, column 1: '' is not a number"),
            ("time,time_ms,Cz\n", "second column of times"),
        ] {
            assert!(refused(text, Some(100)).contains(want), "{text}: {}", refused(text, Some(100)));
        }
        assert!(refused("Fz\n1\n", None).contains("--rate"));
        let no_unit = read("Fz\n1\n", &OpenOptions { unit: None, ..told(Some(100)) }).err().unwrap();
        assert!(no_unit.to_string().contains("--unit"));
        assert!(read("\u{0}\u{1}x\n", &told(None)).is_err());
    }

    fn table(times: impl Iterator<Item = f64>, name: &str, digits: usize) -> String {
        let rows: Vec<String> = times.enumerate().map(|(i, t)| format!("{t:.digits$},{i}\n")).collect();
        format!("{name},Fz\n{}", rows.concat())
    }

    #[test]
    fn the_rate_comes_from_the_times_however_they_are_rounded() {
        for (hz, name, unit, digits) in [
            (250.0, "time", 1.0, 3),
            (512.0, "time_s", 1.0, 4),
            (512.0, "Time_ms", 1e3, 0),
            (1000.0, "timestamp", 1.0, 6),
            (1000.0 / 3.0, "time", 1.0, 9),
            (256.5, "time", 1.0, 6),
        ] {
            let source = read(&table((0..2000).map(|i| 12.0 + unit * f64::from(i) / hz), name, digits), &told(None));
            let rate = source.unwrap().recording().main_stream().rate.hz();
            assert!((rate / hz - 1.0).abs() < 1e-7, "{hz} {digits}: {rate}");
        }
    }

    #[test]
    fn jumps_are_segments_and_what_is_not_uniform_is_refused() {
        let jump = |i: i32| f64::from(i) / 100.0 + if i >= 30 { 5.0 } else { 0.0 };
        let source = read(&table((0..90).map(jump), "time", 3), &told(None)).unwrap();
        let segments = &source.recording().main_stream().segments;
        assert_eq!(segments.iter().map(|s| (s.first.0, s.length)).collect::<Vec<_>>(), [(0, 30), (30, 60)]);
        assert!((segments[1].start_s - 5.3).abs() < 1e-9);
        assert_eq!(source.recording().warnings[0].code, "W_CSV_GAPS");

        let drifting = table((0..400).map(|i| f64::from(i) * (1.0 + 1e-3 * f64::from(i)) / 100.0), "time", 6);
        assert!(refused(&drifting, None).contains("uniform rate") && refused(&drifting, None).contains("--rate"));
        let back = table([0.0, 0.01, 0.02, 0.02, 0.03].into_iter(), "time", 2);
        assert!(refused(&back, None).contains("line 5"), "{}", refused(&back, None));
        let ms = table((0..50).map(f64::from), "time", 0);
        assert!(refused(&ms, None).contains("milliseconds"), "1 kHz in ms is not 1 Hz");
        let right = table((0..50).map(|i| f64::from(i) / 100.0), "time", 3);
        assert!(refused(&right, Some(1000)).contains("--rate says 1000 Hz"), "seconds that are milliseconds");
        let lenient = OpenOptions { lenient: vec!["E_CSV_TIME".to_owned()], ..told(Some(1000)) };
        assert_eq!(read(&right, &lenient).unwrap().recording().main_stream().rate.hz(), 1000.0);
    }

    #[test]
    fn a_file_without_line_ends_takes_no_memory() {
        let text = format!("Fz\n{}", "1".repeat(9 << 20));
        assert!(refused(&text, Some(100)).contains("line 2 is longer than 4 MB"));
    }
}
