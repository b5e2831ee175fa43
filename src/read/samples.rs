//! The engine below every file format: finds the bytes of the next samples, reads them once, decodes them into tiles.

use super::bytes::{ByteStore, read_exact_at, read_vec, zeroed};
use super::decode::{Number, Scale, decode};
use crate::signal::{Block, LANES, Recording, Segment};
use crate::{Error, Result, Warning, flow::Source};
use std::ops::Range;

/// Most bytes that are read at once, unless a single record is larger.
const WINDOW: u64 = 1 << 20;
/// Records up to this size are read whole; of larger ones only the samples that are needed.
const WHOLE_RECORD: u64 = 4 << 20;

/// Where a channel's samples lie in a record, and what they mean: `value = (stored − zero) · gain + bias`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) offset: u64,
    pub(super) zero: f64,
    pub(super) gain: f64,
    pub(super) bias: f64,
}

/// How one stream is stored: equal records, in each `per_record` samples of each channel, `stride` bytes apart.
/// A BrainVision file is one record; EDF has many. Records whose samples lie further apart than `record_bytes` interleave
/// (epochs of an array in Fortran order).
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) number: Number,
    pub(super) data_start: u64,
    pub(super) record_bytes: u64,
    pub(super) records: u64,
    pub(super) per_record: u64,
    pub(super) stride: u64,
    pub(super) columns: Vec<Column>,
}

impl Layout {
    /// Bytes from the first to one past the last of `samples` samples of one channel.
    fn reach(&self, samples: u64) -> u64 {
        samples.saturating_sub(1) * self.stride + self.number.width() as u64
    }
}

/// Eight selected channels: where they lie in the window, and their scale.
#[derive(Debug, Clone)]
struct Group {
    at: [usize; LANES],
    scale: Scale,
}

/// The bytes in the buffer: samples `first..end` of the stream; from record to record `record_stride` bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    first: u64,
    end: u64,
    record_stride: usize,
}

/// How windows are cut out of the file; settled by `select`.
#[derive(Debug, Clone, Copy)]
enum Plan {
    /// Whole records, as many as fit.
    Records { count: u64 },
    /// Of one record after the other the bytes `from..to`, where the selected channels lie.
    Spans { count: u64, from: u64, to: u64 },
    /// `samples` samples of each selected channel, row by row.
    Rows { samples: u64 },
    /// `samples` frames.
    Frames { samples: u64 },
}

/// An open recording whose samples lie in one [`ByteStore`]: the [`Source`] of every file format.
pub struct FileSource {
    recording: Recording,
    store: Box<dyn ByteStore>,
    layouts: Vec<Layout>,
    stream: usize,
    selected: Vec<usize>,
    groups: Vec<Group>,
    plan: Plan,
    position: u64,
    window: Window,
    buffer: Vec<u8>,
    not_finite: u64,
}

impl FileSource {
    /// The main stream of `recording`, all channels.
    pub(super) fn new(recording: Recording, store: Box<dyn ByteStore>, layouts: Vec<Layout>) -> Result<Self> {
        let main = recording.main;
        let all: Vec<usize> = (0..recording.streams.get(main).map_or(0, |s| s.channels.len())).collect();
        let mut source = Self {
            recording,
            store,
            layouts,
            stream: main,
            selected: Vec::new(),
            groups: Vec::new(),
            plan: Plan::Frames { samples: 1 },
            position: 0,
            window: Window::default(),
            buffer: Vec::new(),
            not_finite: 0,
        };
        source.select(main, &all)?;
        Ok(source)
    }

    /// Adds a warning that only the caller could know, a misleading file name say.
    pub(crate) fn warn(&mut self, warning: Warning) {
        self.recording.warnings.push(warning);
    }

    fn layout(&self) -> &Layout {
        &self.layouts[self.stream]
    }

    fn plan(&self, columns: &[Column]) -> Plan {
        let layout = self.layout();
        let row = layout.reach(layout.per_record);
        let interleaved = layout.records > 1 && layout.stride > layout.record_bytes;
        if layout.record_bytes <= WHOLE_RECORD && !interleaved {
            let from = columns.iter().map(|c| c.offset).min().unwrap_or(0);
            let to = columns.iter().map(|c| c.offset + row).max().unwrap_or(0);
            let sparse = layout.record_bytes > 32 << 10 && (to - from) * 2 < layout.record_bytes;
            let span = if sparse { to - from } else { layout.record_bytes };
            let count = (WINDOW / span.max(1)).clamp(1, layout.records.max(1));
            if sparse { Plan::Spans { count, from, to } } else { Plan::Records { count } }
        } else if layout.stride == layout.number.width() as u64 {
            let frame = (columns.len() * layout.number.width()) as u64;
            Plan::Rows { samples: (WINDOW / frame.max(1)).clamp(1, layout.per_record.max(1)) }
        } else {
            Plan::Frames { samples: (WINDOW / layout.stride.max(1)).clamp(1, layout.per_record.max(1)) }
        }
    }

    /// Reads the window that holds sample `position` and places the groups in it.
    fn load(&mut self, position: u64) -> Result<()> {
        let layout = self.layouts[self.stream].clone_shape();
        let width = layout.number.width() as u64;
        let (record, within) = (position / layout.per_record, position % layout.per_record);
        let record_at = layout.data_start + record * layout.record_bytes;
        self.window = Window::default();
        let window = match self.plan {
            Plan::Records { count } => {
                let count = count.min(layout.records - record);
                self.resize(count * layout.record_bytes)?;
                read_exact_at(&mut *self.store, record_at, &mut self.buffer)?;
                Window {
                    first: record * layout.per_record,
                    end: (record + count) * layout.per_record,
                    record_stride: layout.record_bytes as usize,
                }
            }
            Plan::Spans { count, from, to } => {
                let count = count.min(layout.records - record);
                self.resize(count * (to - from))?;
                for (k, bytes) in self.buffer.chunks_exact_mut((to - from) as usize).enumerate() {
                    read_exact_at(&mut *self.store, record_at + k as u64 * layout.record_bytes + from, bytes)?;
                }
                Window {
                    first: record * layout.per_record,
                    end: (record + count) * layout.per_record,
                    record_stride: (to - from) as usize,
                }
            }
            Plan::Rows { samples } => {
                let n = samples.min(layout.per_record - within);
                self.resize(n * width * self.selected.len() as u64)?;
                let columns = &self.layouts[self.stream].columns;
                for (bytes, &c) in self.buffer.chunks_exact_mut((n * width) as usize).zip(&self.selected) {
                    read_exact_at(&mut *self.store, record_at + columns[c].offset + within * width, bytes)?;
                }
                Window { first: position, end: position + n, record_stride: 0 }
            }
            Plan::Frames { samples } => {
                let n = samples.min(layout.per_record - within);
                // up to the last byte that is needed: behind interleaved records there may be no whole frame
                let last = self.layouts[self.stream].columns.iter().map(|c| c.offset).max().unwrap_or(0);
                self.resize((n - 1) * layout.stride + last + width)?;
                read_exact_at(&mut *self.store, record_at + within * layout.stride, &mut self.buffer)?;
                Window { first: position, end: position + n, record_stride: 0 }
            }
        };
        self.window = window;
        self.place_groups();
        Ok(())
    }

    fn resize(&mut self, bytes: u64) -> Result<()> {
        if self.buffer.len() as u64 != bytes {
            if self.buffer.capacity() as u64 >= bytes {
                self.buffer.resize(bytes as usize, 0);
            } else {
                self.buffer = zeroed(bytes)?;
            }
        }
        Ok(())
    }

    /// Where each lane's first sample of a record lies in the buffer. Lanes past the last channel repeat lane 0.
    fn place_groups(&mut self) {
        let columns = &self.layouts[self.stream].columns;
        let width = self.layouts[self.stream].number.width();
        let row = (self.window.end - self.window.first) as usize * width;
        for (g, group) in self.groups.iter_mut().enumerate() {
            for (l, at) in group.at.iter_mut().enumerate() {
                let k = if g * LANES + l < self.selected.len() { g * LANES + l } else { g * LANES };
                let offset = columns[self.selected[k]].offset;
                *at = match self.plan {
                    Plan::Records { .. } | Plan::Frames { .. } => offset as usize,
                    Plan::Spans { from, .. } => (offset - from) as usize,
                    Plan::Rows { .. } => k * row,
                };
            }
        }
    }

    /// Decodes `out[done..]` as far as the window and its current record reach; says how many samples came.
    fn decode_run(&self, position: u64, out: &mut Block, done: usize) -> usize {
        let layout = self.layout();
        let (window, stride) = (self.window, layout.stride as usize);
        let whole_records = window.record_stride > 0;
        let (record, within, left) = if whole_records {
            let from = position - window.first;
            let within = from % layout.per_record;
            ((from / layout.per_record) as usize, within as usize, layout.per_record - within)
        } else {
            (0, (position - window.first) as usize, window.end - position)
        };
        let n = ((out.len() - done) as u64).min(left) as usize;
        let skip = record * window.record_stride + within * stride;
        for (g, group) in self.groups.iter().enumerate() {
            let at = group.at.map(|at| at + skip);
            let out = &mut out.group_mut(g)[done..done + n];
            decode(layout.number, &self.buffer, &at, stride, &group.scale, out);
        }
        n
    }

    /// Counts NaN and infinities of float files: they stay in the data, and they do not stay silent.
    fn count_not_finite(&mut self, block: &Block) {
        for g in 0..block.groups() {
            // 0 · x is 0 for every number and NaN for anything else: one pass tells whether there is something to count.
            let mut marks = [0.0; LANES];
            for x in block.group(g) {
                for l in 0..LANES {
                    marks[l] += 0.0 * x[l];
                }
            }
            for l in 0..LANES.min(block.channels() - g * LANES) {
                if marks[l].is_nan() {
                    self.not_finite += block.group(g).iter().filter(|x| !x[l].is_finite()).count() as u64;
                }
            }
        }
        if self.not_finite > 0 {
            note_not_finite(&mut self.recording.warnings, self.not_finite);
        }
    }
}

/// Floats may be NaN. The first few MB of the samples, which lie in `bytes`, are looked at when a file is opened, so that
/// `info` can say so; reading counts them all.
pub(super) fn look_for_nan(
    store: &mut dyn ByteStore,
    number: Number,
    bytes: Range<u64>,
    warnings: &mut Vec<Warning>,
) -> Result<()> {
    let not_finite: fn(&[u8]) -> bool = match number {
        Number::F32 => |b| !f32::from_le_bytes(b.try_into().unwrap_or_default()).is_finite(),
        Number::F32Be => |b| !f32::from_be_bytes(b.try_into().unwrap_or_default()).is_finite(),
        Number::F64 => |b| !f64::from_le_bytes(b.try_into().unwrap_or_default()).is_finite(),
        Number::F64Be => |b| !f64::from_be_bytes(b.try_into().unwrap_or_default()).is_finite(),
        _ => return Ok(()),
    };
    let head = read_vec(store, bytes.start, (bytes.end - bytes.start).min(4 << 20))?;
    let count = head.chunks_exact(number.width()).filter(|b| not_finite(b)).count();
    if count > 0 {
        note_not_finite(warnings, count as u64);
    }
    Ok(())
}

/// Sets (or renews) the warning that counts the samples that are not numbers.
pub(super) fn note_not_finite(warnings: &mut Vec<Warning>, count: u64) {
    const CODE: &str = "W_NOT_FINITE";
    let message = format!("{count} sample(s) read so far are NaN or infinite and stay so");
    match warnings.iter_mut().find(|w| w.code == CODE) {
        Some(warning) => warning.message = message,
        None => warnings.push(Warning::new(CODE, message)),
    }
}

impl Layout {
    /// The layout without its columns, so that the source can be changed while it is looked at.
    fn clone_shape(&self) -> Self {
        Self { columns: Vec::new(), ..*self }
    }
}

impl Source for FileSource {
    fn recording(&self) -> &Recording {
        &self.recording
    }

    fn select(&mut self, stream: usize, channels: &[usize]) -> Result<()> {
        let Some(layout) = self.layouts.get(stream) else {
            return Err(Error::usage(format!("stream {stream} does not exist; there are {}", self.layouts.len())));
        };
        if let Some(c) = channels.iter().find(|&&c| c >= layout.columns.len()) {
            return Err(Error::usage(format!(
                "channel {c} does not exist; stream {stream} has {}",
                layout.columns.len()
            )));
        }
        let columns: Vec<Column> = channels.iter().map(|&c| layout.columns[c]).collect();
        self.groups = columns
            .chunks(LANES)
            .map(|group| {
                let lane = |pick: fn(&Column) -> f64| std::array::from_fn(|l| group.get(l).map_or(0.0, pick));
                Group {
                    at: [0; LANES],
                    scale: Scale { zero: lane(|c| c.zero), gain: lane(|c| c.gain), bias: lane(|c| c.bias) },
                }
            })
            .collect();
        self.stream = stream;
        self.selected = channels.to_vec();
        self.plan = self.plan(&columns);
        self.window = Window::default();
        self.rewind()
    }

    fn read(&mut self, out: &mut Block) -> Result<bool> {
        if out.channels() != self.selected.len() || out.capacity() == 0 {
            return Err(Error::usage(format!(
                "the block has {} channels and room for {} samples; {} channels are selected",
                out.channels(),
                out.capacity(),
                self.selected.len()
            )));
        }
        let Some((index, segment)) = self.segment() else { return Ok(false) };
        let left = segment.length - (self.position - segment.first.0 as u64);
        let len = left.min(out.capacity() as u64) as usize;
        out.start(index, self.position as i64, len);
        let mut done = 0;
        while done < len {
            let position = self.position + done as u64;
            if !(self.window.first..self.window.end).contains(&position) {
                self.load(position)?;
            }
            done += self.decode_run(position, out, done);
        }
        self.position += len as u64;
        if self.layout().number.is_float() {
            self.count_not_finite(out);
        }
        Ok(true)
    }

    fn rewind(&mut self) -> Result<()> {
        self.position = 0;
        self.not_finite = 0;
        Ok(())
    }

    fn skip_to(&mut self, first: i64) -> Result<()> {
        let end = self.recording.streams.get(self.stream).and_then(|s| s.segments.last()).map_or(0, |s| s.end().0);
        self.position = self.position.max(first.clamp(0, end.max(0)).unsigned_abs());
        Ok(())
    }

    fn progress(&self) -> (u64, u64) {
        let Some(layout) = self.layouts.get(self.stream) else { return (0, 0) };
        let all = layout.records * layout.record_bytes;
        let done = u128::from(self.position) * u128::from(layout.record_bytes);
        ((done / u128::from(layout.per_record.max(1))).min(u128::from(all)) as u64, all)
    }
}

impl FileSource {
    /// The segment that holds the next sample; `None` at the end, or when nothing is selected.
    fn segment(&self) -> Option<(u32, Segment)> {
        let stream = self.recording.streams.get(self.stream)?;
        let tick = crate::unit::Tick(i64::try_from(self.position).ok()?);
        let index = stream.segment_of(tick).filter(|_| !self.selected.is_empty())?;
        Some((u32::try_from(index).ok()?, stream.segments[index]))
    }
}
