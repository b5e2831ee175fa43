//! BrainVision Core Data Format 1.0: float32, multiplexed, UTF-8, values in the channels' own unit (µV, mA, …).
//!
//! Samples stream through; memory does not grow with the recording. The three files are written beside their place and
//! renamed into it when all is on the disk, the header last: nothing ever stands under the final names but a whole
//! recording.

use super::behind::Behind;
use crate::flow::Source;
use crate::signal::date::DateTime;
use crate::signal::{Block, Channel, Event, EventName, LANES, Place, Recording, Segment};
use crate::unit::{Rate, Tick, Unit};
use crate::{Error, Result};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A recording being written. Dropping it before [`BrainVisionWriter::finish`] leaves nothing behind.
#[derive(Debug)]
pub struct BrainVisionWriter {
    header: PathBuf,
    stem: String,
    channels: Vec<Channel>,
    encoding: Encoding,
    rate: Rate,
    segments: Vec<Segment>,
    /// Event, marker type, name.
    events: Vec<(Event, &'static str, String)>,
    start: Option<DateTime>,
    data: NamedTempFile,
    behind: Behind,
    written: i64,
    left_out: u64,
}

/// Writes one stream of `source`, all channels, as `<stem>.vhdr`, `.vmrk` and `.eeg`; says how many samples per
/// channel there are.
///
/// # Errors
/// As [`Source::read`] and [`BrainVisionWriter`].
pub fn write(source: &mut dyn Source, stream: usize, header: &Path) -> Result<u64> {
    const BLOCK: usize = 512;
    let channels: Vec<usize> = (0..source.recording().streams.get(stream).map_or(0, |s| s.channels.len())).collect();
    let mut writer = BrainVisionWriter::create(header, source.recording(), stream, &channels)?;
    source.select(stream, &channels)?;
    let mut block = Block::new(channels.len(), BLOCK);
    while source.read(&mut block)? {
        writer.push(&block)?;
    }
    Ok(writer.finish()?.samples)
}

/// How samples are stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Encoding {
    /// IEEE float, 32 bit: no scale, hardly any rounding.
    Float32,
    /// Integers of 16 bit in steps of this size (in the channel's unit), clipped at their limits as an amplifier would.
    Int16 {
        /// Size of a step.
        step: f64,
    },
}

impl Encoding {
    fn bytes(self) -> usize {
        match self {
            Self::Float32 => 4,
            Self::Int16 { .. } => 2,
        }
    }

    /// A block as it is stored, sample by sample.
    pub fn encode(self, block: &Block, bytes: &mut Vec<u8>) {
        let width = self.bytes();
        let frame = width * block.channels();
        bytes.resize(frame * block.len(), 0);
        for g in 0..block.groups() {
            let lanes = LANES.min(block.channels() - g * LANES);
            for (values, out) in block.group(g).iter().zip(bytes.chunks_exact_mut(frame)) {
                let out = &mut out[width * g * LANES..][..width * lanes];
                match self {
                    Self::Float32 => {
                        for (value, out) in values.iter().zip(out.as_chunks_mut::<4>().0) {
                            *out = (*value as f32).to_le_bytes();
                        }
                    }
                    Self::Int16 { step } => {
                        for (value, out) in values.iter().zip(out.as_chunks_mut::<2>().0) {
                            // the cast saturates, and sends NaN to 0
                            *out = ((value / step).round() as i16).to_le_bytes();
                        }
                    }
                }
            }
        }
    }
}

/// What a finished file could not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Samples per channel.
    pub samples: u64,
    /// Events before the first sample: the format has no place for them.
    pub events_left_out: u64,
}

impl BrainVisionWriter {
    /// Begins `<stem>.vhdr`, `.vmrk` and `.eeg`: these channels of this stream, with all events of the recording.
    ///
    /// # Errors
    /// When `header` does not end in `.vhdr`, stream or channel does not exist, or the folder cannot be written.
    pub fn create(header: &Path, recording: &Recording, stream: usize, channels: &[usize]) -> Result<Self> {
        let stem = header.file_stem().and_then(|s| s.to_str()).filter(|s| !s.chars().any(char::is_control));
        let Some(stem) = stem.filter(|_| header.extension().is_some_and(|e| e == "vhdr")) else {
            return Err(Error::usage("a BrainVision recording is named by its header, NAME.vhdr").at_path(header));
        };
        let source =
            recording.streams.get(stream).ok_or_else(|| Error::usage(format!("stream {stream} does not exist")))?;
        let pick = |&c: &usize| source.channels.get(c).cloned();
        let picked: Option<Vec<Channel>> = channels.iter().map(pick).collect();
        let picked = picked.filter(|c| !c.is_empty()).ok_or_else(|| {
            Error::usage(format!("channels to write must exist; stream {stream} has {}", source.channels.len()))
        })?;
        let main = recording.main_stream();
        let (mut events, mut left_out) = (Vec::with_capacity(recording.events.len()), 0);
        for event in &recording.events {
            let mut event = *event;
            if stream != recording.main {
                let seconds = main.seconds_at(event.tick) + main.rate.seconds(event.fraction);
                let (tick, fraction, place) = source.place(seconds);
                (event.tick, event.fraction) = (tick, if place == Place::Gap { 0.0 } else { fraction });
            }
            let name = recording.event_name(event.name);
            if event.tick.0 < 0 {
                left_out += 1;
            } else {
                events.push((event, kind(name, recording.is_stimulus(name)), name.to_owned()));
            }
        }
        let data = beside(header)?;
        let behind = Behind::new(&data).map_err(|cause| Error::output(header, &cause))?;
        Ok(Self {
            header: header.to_owned(),
            stem: stem.to_owned(),
            channels: picked,
            encoding: Encoding::Float32,
            rate: source.rate,
            segments: source.segments.clone(),
            events,
            start: recording.start.as_deref().and_then(DateTime::from_iso),
            data,
            behind,
            written: 0,
            left_out,
        })
    }

    /// Adds a comment at a sample, this many seconds long.
    pub fn comment(&mut self, at: Tick, duration_s: f64, text: String) {
        let event = Event { duration_s, ..Event::new(at.max(Tick(0)), EventName(0)) };
        self.events.push((event, "Comment", text));
    }

    /// Stores samples in this form instead of 32-bit floats. Before the first block.
    #[must_use]
    pub fn encoded(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// Appends a block: the channels as chosen, the samples that follow those before.
    ///
    /// # Errors
    /// When the block does not follow the last one, or the disk is full ([`crate::ErrorKind::Io`]).
    pub fn push(&mut self, block: &Block) -> Result<()> {
        if block.channels() != self.channels.len() || block.first() != self.written {
            return Err(Error::usage(format!(
                "a block of {} channels from sample {} does not continue {} channels at sample {}",
                block.channels(),
                block.first(),
                self.channels.len(),
                self.written
            )));
        }
        let mut bytes = self.spare().unwrap_or_default();
        self.encoding.encode(block, &mut bytes);
        self.write(block.len(), vec![bytes])
    }

    /// Appends `len` samples from `first` on, encoded before: the channels in parts, each sample by sample.
    ///
    /// # Errors
    /// As [`BrainVisionWriter::push`].
    pub fn push_encoded(&mut self, first: i64, len: usize, parts: Vec<Vec<u8>>) -> Result<()> {
        let frame = self.encoding.bytes() * self.channels.len();
        if first != self.written || parts.iter().map(Vec::len).sum::<usize>() != frame * len {
            return Err(Error::usage(format!(
                "samples from {first} on do not continue {} channels at sample {}",
                self.channels.len(),
                self.written
            )));
        }
        self.write(len, parts)
    }

    /// A buffer that was pushed and is free again.
    pub fn spare(&mut self) -> Option<Vec<u8>> {
        self.behind.spare()
    }

    fn write(&mut self, len: usize, parts: Vec<Vec<u8>>) -> Result<()> {
        self.behind.write(len, parts).map_err(|cause| self.failed("eeg", &cause))?;
        self.written += len as i64;
        Ok(())
    }

    /// Writes markers and header, makes sure that all is on the disk, and gives the files their names.
    ///
    /// # Errors
    /// When nothing was written, or the disk fails: then no file stands under its final name.
    pub fn finish(mut self) -> Result<Written> {
        self.behind.finish().map_err(|cause| self.failed("eeg", &cause))?;
        if self.written == 0 {
            return Err(Error::data("there is no sample to write").at_path(&self.header));
        }
        let text = |extension: &str, text: String| -> Result<NamedTempFile> {
            let mut file = beside(&self.header)?;
            file.write_all(text.as_bytes()).map_err(|cause| self.failed(extension, &cause))?;
            file.as_file().sync_all().map_err(|cause| self.failed(extension, &cause))?;
            Ok(file)
        };
        let markers = text("vmrk", self.markers())?;
        let header = text("vhdr", self.header_text())?;
        self.data.as_file().sync_all().map_err(|cause| self.failed("eeg", &cause))?;
        let written = Written { samples: self.written.unsigned_abs(), events_left_out: self.left_out };
        let mut named: Vec<PathBuf> = Vec::new();
        for (file, extension) in [(self.data, "eeg"), (markers, "vmrk"), (header, "vhdr")] {
            let path = self.header.with_extension(extension);
            if let Err(failed) = file.persist(&path) {
                // A header without its data would be worse than nothing.
                for path in named {
                    let _ = std::fs::remove_file(path);
                }
                return Err(Error::output(path, &failed.error));
            }
            named.push(path);
        }
        sync_folder(&self.header)?;
        Ok(written)
    }

    fn failed(&self, extension: &str, cause: &std::io::Error) -> Error {
        Error::output(self.header.with_extension(extension), cause)
    }

    fn header_text(&self) -> String {
        let (stem, channels, samples) = (&self.stem, self.channels.len(), self.written);
        let interval = 1e6 * self.rate.den() as f64 / self.rate.num() as f64;
        let (format, step) = match self.encoding {
            Encoding::Float32 => ("IEEE_FLOAT_32", 1.0),
            Encoding::Int16 { step } => ("INT_16", step),
        };
        let mut text = format!(
            "Brain Vision Data Exchange Header File Version 1.0
; written by stimkit {version}

[Common Infos]
Codepage=UTF-8
DataFile={stem}.eeg
MarkerFile={stem}.vmrk
DataFormat=BINARY
DataOrientation=MULTIPLEXED
DataType=TIMEDOMAIN
NumberOfChannels={channels}
DataPoints={samples}
; Sampling interval in microseconds
SamplingInterval={interval}

[Binary Infos]
BinaryFormat={format}

[Channel Infos]
; Each entry: Ch<number>=<name>,<reference>,<resolution in unit>,<unit>; \\1 stands for a comma
",
            version = env!("CARGO_PKG_VERSION"),
        );
        for (k, channel) in self.channels.iter().enumerate() {
            let unit = match &channel.unit {
                Unit::Microvolt => "µV".to_owned(),
                // Nothing at all would mean µV.
                Unit::None => "n/a".to_owned(),
                unit => field(&unit.to_string()),
            };
            let _ = writeln!(text, "Ch{}={},,{step},{unit}", k + 1, field(&channel.name));
        }
        text.replace('\n', "\r\n")
    }

    /// `New Segment` at each segment, then the events, by position.
    fn markers(&self) -> String {
        let mut lines: Vec<(i64, String)> = Vec::new();
        let paused = self.segments.windows(2).any(|pair| {
            pair[1].start_s - pair[0].start_s - self.rate.seconds(pair[0].length as f64) > self.rate.seconds(0.01)
        });
        // Pauses are told by dates. Where the start is not known they count from EDF+'s date for the unknown.
        let start = self.start.or_else(|| DateTime::new(1985, 1, 1, 0, 0, 0, 0).filter(|_| paused));
        let first = self.segments.first().map_or(0.0, |s| s.start_s);
        for segment in &self.segments {
            let moment = start.and_then(|t| t.plus_micros(((segment.start_s - first) * 1e6).round() as i64));
            let date = moment.map_or(String::new(), |t| format!(",{}", t.compact()));
            lines.push((segment.first.0, format!("New Segment,,{},1,0{date}", segment.first.0 + 1)));
        }
        for (event, kind, name) in &self.events {
            let points = self.rate.ticks(event.duration_s).round().max(1.0) as u64;
            lines.push((event.tick.0, format!("{kind},{},{},{points},0", field(name), event.tick.0 + 1)));
        }
        lines.sort_by_key(|line| line.0);
        let mut text = format!(
            "Brain Vision Data Exchange Marker File, Version 1.0

[Common Infos]
Codepage=UTF-8
DataFile={}.eeg

[Marker Infos]
; Each entry: Mk<number>=<type>,<description>,<position>,<size>,<channel>,<date>; \\1 stands for a comma
",
            self.stem
        );
        for (k, (_, line)) in lines.iter().enumerate() {
            let _ = writeln!(text, "Mk{}={line}", k + 1);
        }
        text.replace('\n', "\r\n")
    }
}

/// The marker type: Response for `R  1` and its like, else Stimulus or Comment.
fn kind(name: &str, stimulus: bool) -> &'static str {
    let digits = |text: &str| !text.trim().is_empty() && text.trim().bytes().all(|b| b.is_ascii_digit());
    match name.split_at_checked(1) {
        Some(("R", rest)) if !stimulus && digits(rest) => "Response",
        _ if stimulus => "Stimulus",
        _ => "Comment",
    }
}

/// A field of a list: commas coded, line breaks and other controls gone.
fn field(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.trim().replace(',', "\\1")
}

/// A temporary file in the folder of `header`, readable as the user's umask has it.
fn beside(header: &Path) -> Result<NamedTempFile> {
    let folder = header.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".stimkit.").suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder).map_err(|cause| Error::output(header, &cause))
}

/// Makes the new names last through a power cut, where folders can be synced.
fn sync_folder(header: &Path) -> Result<()> {
    let folder = header.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) {
        File::open(folder).and_then(|f| f.sync_all()).map_err(|cause| Error::output(folder, &cause))?;
    }
    Ok(())
}
