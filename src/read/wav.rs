//! WAV: what a stimulator was told to play, or what was recorded of it (RIFF WAVE, RF64 and BW64).
//!
//! A chunk walk of our own comes first: it knows pad bytes, 64-bit sizes (`ds64`, EBU Tech 3306, ITU-R BS.2088) and sizes that lie.
//! Of a file that is as plain as `hound` expects, `hound` then reads the header; others are read by the walk, or refused. Samples
//! are read block by block.
//!
//! | stored | value as a share of full scale |
//! |---|---|
//! | 8-bit PCM | (x − 128) / 2⁷ |
//! | 9 to 16, 17 to 24, 25 to 32 bits in 2, 3, 4 bytes | x / 2¹⁵, 2²³, 2³¹: valid bits lie at the top of their container |
//! | up to 24 bits in 4 bytes | as the bytes show: at the top (x / 2³¹), or at the bottom (x / 2²³) as many writers do |
//! | 32- and 64-bit float | x |
//!
//! What full scale means in mA is never in the file: [`OpenOptions::full_scale`] tells it; without it the unit is `fs`. Cue points
//! are events, named by their labels.

use super::bytes::{ByteStore, read_exact_at, read_vec};
use super::decode::Number;
use super::events::EventBook;
use super::samples::{Column, FileSource, Layout, look_for_nan};
use super::text::{Defects, decode_text, visible};
use super::{OpenOptions, channel, recording};
use crate::signal::{ChannelKind, Segment, Stream};
use crate::unit::{Rate, Tick, Unit};
use crate::{Error, Result};
use std::collections::HashMap;
use std::io;

/// A size that means "unknown" (streams) or "see `ds64`" (RF64).
const UNKNOWN: u32 = u32::MAX;
/// More chunks than any writer makes.
const MOST_CHUNKS: usize = 4096;
/// The longest run of chunks in front of the samples that `hound` is sent through: it reads what it skips.
const HOUND_REACH: u64 = 1 << 20;
/// The longest text chunk that is looked at for cue points and labels.
const LONGEST_TEXT: u64 = 4 << 20;
/// How much is looked at to see where 24 bits lie in 4 bytes.
const LOOK: u64 = 1 << 20;
const CONVERT: &str = "convert it, for example: ffmpeg -i in.wav -c:a pcm_s24le out.wav";

/// Opens a WAV file; `options.full_scale` says what full scale means.
///
/// # Errors
/// When it is no WAV file, has no usable `fmt ` or `data` chunk, holds no sample, or stores them in a way that is not read
/// (compressed, companded, big-endian).
pub fn open(mut store: Box<dyn ByteStore>, name: &str, options: &OpenOptions) -> Result<FileSource> {
    let (unit, full) = options.full_scale()?.unwrap_or((Unit::Other("fs".to_owned()), 1.0));
    let mut defects = Defects::new(&options.lenient);
    let walk = Walk::of(&mut *store, &mut defects)?;
    let format = walk.format.note(&mut defects)?;
    let (frames, spare) = (walk.data_bytes / format.align(), walk.data_bytes % format.align());
    if frames == 0 {
        return Err(Error::format("the file holds no sample").at_offset(walk.data_start));
    }
    if spare > 0 {
        let message = format!("{spare} byte(s) behind the last whole frame are left alone");
        defects.warn("W_WAV_PARTIAL_FRAME", message);
    }
    let mut shape = Shape { format, frames, start: walk.data_start };
    let mut how = "";
    if let Some(by_hound) = walk.plain.then(|| Shape::by_hound(&mut *store, format)).flatten() {
        if by_hound != shape {
            return Err(Error::format("two readings of the header differ")
                .at_offset(walk.data_start)
                .with_hint(CONVERT));
        }
        (shape, how) = (by_hound, ", header by hound");
    }
    let coding = Coding::of(&shape, &mut *store, &mut defects)?;
    let rate = Rate::new(u64::from(shape.format.rate), 1)?;
    let bytes = shape.start..shape.start + shape.frames * shape.format.align();
    look_for_nan(&mut *store, coding.number, bytes.clone(), &mut defects.warnings)?;
    let gain = full / coding.one;
    let range = coding.number.range().map(|ends| ends.map(|x| (x - coding.zero) * gain));
    let count = usize::from(shape.format.channels);
    let channels = (1..=count)
        .map(|i| {
            let mut channel = channel(format!("ch{i}"), unit.clone(), true);
            (channel.kind, channel.range) = (ChannelKind::Stim, range);
            channel
        })
        .collect();
    let segments = vec![Segment { first: Tick(0), length: shape.frames, start_s: 0.0 }];
    let stream = Stream { rate, channels, file_index: (0..count).collect(), segments };
    let kind = if shape.format.float { "float" } else { "PCM" };
    let label = format!("{}, {}-bit {kind}{how}", walk.family, shape.format.bits);
    let mut recording = recording(name, label, vec![stream]);
    walk.cues(&mut *store, rate)?.write_into(&mut recording, &mut defects);
    recording.warnings = defects.warnings;
    let width = u64::from(shape.format.container);
    let columns = (0..count as u64).map(|c| Column { offset: c * width, zero: coding.zero, gain, bias: 0.0 }).collect();
    let layout = Layout {
        number: coding.number,
        data_start: shape.start,
        record_bytes: bytes.end - bytes.start,
        records: 1,
        per_record: shape.frames,
        stride: shape.format.align(),
        columns,
    };
    FileSource::new(recording, store, vec![layout])
}

/// What `fmt ` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Format {
    channels: u16,
    rate: u32,
    /// Bytes per sample.
    container: u16,
    /// Bits of a sample that count.
    bits: u16,
    float: bool,
    /// Whether the byte rate, which follows from the rest, is wrong.
    byte_rate_lies: bool,
    /// Valid bits that WAVE_FORMAT_EXTENSIBLE states and that cannot be.
    odd_valid_bits: Option<u16>,
}

impl Format {
    fn parse(bytes: &[u8], offset: u64) -> Result<Self> {
        let at = |i: usize| bytes.get(i).copied().unwrap_or(0);
        let word = |i: usize| u16::from_le_bytes([at(i), at(i + 1)]);
        let long = |i: usize| u32::from_le_bytes([at(i), at(i + 1), at(i + 2), at(i + 3)]);
        let bad = |what: String| Err(Error::format(what).at_offset(offset));
        if bytes.len() < 16 {
            return bad(format!("a fmt chunk of {} bytes is too short", bytes.len()));
        }
        let (mut tag, channels, rate, byte_rate, align, mut bits) =
            (word(0), word(2), long(4), long(8), word(12), word(14));
        let mut odd_valid_bits = None;
        if tag == 0xFFFE {
            // the media subtype's GUID {0000xxxx-0000-0010-8000-00AA00389B71} carries the plain tag
            const REST: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];
            if bytes.len() < 40 {
                return bad(format!("an extensible fmt chunk has 40 bytes; here {}", bytes.len()));
            }
            if bytes.get(26..40) != Some(&REST[..]) {
                return Err(Error::unsupported("a coding of samples that is not known here").at_offset(offset + 24));
            }
            tag = word(24);
            match word(18) {
                // of a float all bits count
                valid if valid == 0 || valid > bits || (tag == 3 && valid < bits) => odd_valid_bits = Some(valid),
                valid => bits = valid,
            }
        }
        if tag != 1 && tag != 3 {
            let what = match tag {
                0x0006 => "A-law samples are not read".to_owned(),
                0x0007 => "mu-law samples are not read".to_owned(),
                0x0002 | 0x0011 => "ADPCM samples are not read".to_owned(),
                0x0050 | 0x0055 => "MPEG audio, which loses samples' exact values, is not read".to_owned(),
                tag => format!("samples of format tag 0x{tag:04X} are not read"),
            };
            return Err(Error::unsupported(what).at_offset(offset).with_hint(CONVERT));
        }
        if channels == 0 || rate == 0 || bits == 0 {
            return bad(format!("{channels} channels at {rate} Hz with {bits} bits cannot be"));
        }
        let container = align / channels;
        let (float, held) = (tag == 3, u32::from(container) * 8);
        let fits = if float {
            matches!(container, 4 | 8) && u32::from(bits) == held
        } else {
            matches!(container, 1..=4) && u32::from(bits) <= held && (u32::from(bits) + 8 > held || container == 4)
        };
        if align % channels != 0 || !fits {
            let what = if float { "floats" } else { "integers" };
            return bad(format!("{channels} channels of {bits}-bit {what} in frames of {align} bytes cannot be"));
        }
        let byte_rate_lies = u64::from(byte_rate) != u64::from(align) * u64::from(rate);
        Ok(Self { channels, rate, container, bits, float, byte_rate_lies, odd_valid_bits })
    }

    /// Bytes per frame.
    fn align(&self) -> u64 {
        u64::from(self.channels) * u64::from(self.container)
    }

    /// Tells what was odd, once it is known that this chunk counts.
    fn note(self, defects: &mut Defects) -> Result<Self> {
        if self.byte_rate_lies {
            defects.warn("W_WAV_BYTE_RATE", "the byte rate does not follow from rate and frame; left alone");
        }
        if let Some(valid) = self.odd_valid_bits {
            let message = format!("{valid} valid bits in {}-bit samples cannot be; all bits are taken", self.bits);
            defects.warn("W_WAV_VALID_BITS", message);
        }
        Ok(Self { byte_rate_lies: false, odd_valid_bits: None, ..self })
    }
}

/// How the samples lie in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    format: Format,
    frames: u64,
    start: u64,
}

impl Shape {
    /// What `hound` reads of a plain file; `None` where it reads nothing. The bytes per sample, which it does not tell, are ours.
    fn by_hound(store: &mut dyn ByteStore, ours: Format) -> Option<Self> {
        let reader = hound::WavReader::new(Reading { store, at: 0 }).ok()?;
        let (spec, frames) = (reader.spec(), u64::from(reader.duration()));
        let format = Format {
            channels: spec.channels,
            rate: spec.sample_rate,
            bits: spec.bits_per_sample,
            float: spec.sample_format == hound::SampleFormat::Float,
            ..ours
        };
        Some(Self { format, frames, start: reader.into_inner().at })
    }
}

/// A store, read from its start on.
struct Reading<'a> {
    store: &'a mut dyn ByteStore,
    at: u64,
}

impl io::Read for Reading<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.store.read_at(self.at, buffer)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// A stored number and what full scale is in it.
#[derive(Debug, Clone, Copy)]
struct Coding {
    number: Number,
    zero: f64,
    one: f64,
}

impl Coding {
    fn of(shape: &Shape, store: &mut dyn ByteStore, defects: &mut Defects) -> Result<Self> {
        let coding = |number, one| Ok(Self { number, zero: 0.0, one });
        match (shape.format.float, shape.format.container) {
            (true, 4) => coding(Number::F32, 1.0),
            (true, _) => coding(Number::F64, 1.0),
            (_, 1) => Ok(Self { number: Number::U8, zero: 128.0, one: 128.0 }),
            (_, 2) => coding(Number::I16, 32_768.0),
            (_, 3) => coding(Number::I24, 8_388_608.0),
            _ if shape.format.bits > 24 => coding(Number::I32, 2_147_483_648.0),
            _ => {
                let length = (shape.frames * shape.format.align()).min(LOOK);
                let (mut at_top, mut at_bottom) = (true, true);
                for [low, .., third, high] in read_vec(store, shape.start, length)?.as_chunks::<4>().0 {
                    at_top &= *low == 0;
                    at_bottom &= *high == 0 || (*high == 0xFF && *third >= 0x80);
                }
                match (at_top, at_bottom) {
                    (true, _) => coding(Number::I32, 2_147_483_648.0),
                    (false, true) => {
                        let message = "24 bits lie at the bottom of 4 bytes; the standard puts them at the top";
                        defects.warn("W_WAV_JUSTIFIED", message);
                        coding(Number::I24, 8_388_608.0)
                    }
                    (false, false) => {
                        let message = format!("where {} bits lie in 4 bytes cannot be told", shape.format.bits);
                        defects.refuse("E_WAV_JUSTIFIED", message, shape.start)?;
                        coding(Number::I32, 2_147_483_648.0)
                    }
                }
            }
        }
    }
}

/// What the chunks tell.
struct Walk {
    family: &'static str,
    format: Format,
    data_start: u64,
    data_bytes: u64,
    /// Whether the file is of the kind that `hound` reads right.
    plain: bool,
    /// Cue points and lists of labels: where they begin and how long they are.
    cue: Vec<(u64, u64)>,
    lists: Vec<(u64, u64)>,
}

impl Walk {
    fn of(store: &mut dyn ByteStore, defects: &mut Defects) -> Result<Self> {
        let length = store.len().min(12);
        let head = read_vec(store, 0, length)?;
        let wide = head.starts_with(b"RF64") || head.starts_with(b"BW64");
        if head.starts_with(b"RIFX") {
            return Err(Error::unsupported("a big-endian RIFX file is not read").at_offset(0).with_hint(CONVERT));
        }
        if !(wide || head.starts_with(b"RIFF")) || head.get(8..12) != Some(b"WAVE") {
            return Err(Error::format("this is no WAV file: it does not begin with RIFF … WAVE").at_offset(0));
        }
        let family = if head.starts_with(b"BW64") {
            "BW64"
        } else if wide {
            "RF64"
        } else {
            "WAV"
        };
        let mut formats: Vec<(Format, Vec<u8>)> = Vec::new();
        let mut data: Option<(u64, u64)> = None;
        let (mut more_data, mut late_format) = (0, false);
        let (mut cue, mut lists) = (Vec::new(), Vec::new());
        let (mut ds64, mut plain) = (None, !wide);
        let mut at = 12;
        for _ in 0..MOST_CHUNKS {
            let Some(chunk) = Chunk::at(store, at)? else { break };
            let (body, stated) = (at + 8, chunk.size);
            let room = store.len() - body;
            let mut size = u64::from(stated);
            match &chunk.id {
                b"ds64" if wide && size >= 24 && size <= room => {
                    let mut sizes = [0; 16];
                    read_exact_at(store, body, &mut sizes)?;
                    let [_, _, _, _, _, _, _, _, a, b, c, d, e, f, g, h] = sizes;
                    ds64 = Some(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
                }
                b"fmt " => {
                    if size > room {
                        return Err(Error::format("the fmt chunk reaches past the end of the file").at_offset(at));
                    }
                    let bytes = read_vec(store, body, size.min(40))?;
                    let format = Format::parse(&bytes, body)?;
                    late_format |= data.is_some() && formats.is_empty();
                    plain &=
                        data.is_none() && formats.is_empty() && format.odd_valid_bits.is_none_or(|valid| valid == 0);
                    formats.push((format, bytes));
                }
                b"data" if data.is_some() => more_data += 1,
                b"data" => {
                    size = data_size(store, body, stated, ds64.filter(|_| wide), &mut plain, defects)?;
                    data = Some((body, size));
                }
                b"cue " => cue.push((body, size.min(room))),
                b"LIST" => lists.push((body, size.min(room))),
                _ => {}
            }
            if data.is_none() {
                // hound knows no pad byte, and takes `fact` to be of four bytes
                plain &= size.is_multiple_of(2) && (chunk.id != *b"fact" || size == 4);
            }
            if size >= room {
                break;
            }
            at = body + size;
            if !size.is_multiple_of(2) && !unpadded(store, at)? {
                at += 1;
            }
        }
        let Some((first, bytes)) = formats.first() else {
            return Err(Error::format("the file has no fmt chunk, which would say how samples are stored"));
        };
        if let Some((other, _)) = formats.iter().skip(1).find(|(_, b)| b != bytes) {
            let message = format!("two fmt chunks that differ: {first:?} and {other:?}");
            defects.refuse("E_WAV_TWO_FMT", message, 12)?;
        }
        let Some((data_start, data_bytes)) = data else {
            return Err(Error::format("the file has no data chunk: it holds no sample"));
        };
        if late_format {
            defects.warn("W_WAV_ORDER", "the fmt chunk stands behind the samples");
        }
        if more_data > 0 {
            defects.warn("W_WAV_TWO_DATA", format!("{more_data} further data chunk(s) are left alone"));
        }
        plain &= data_start <= HOUND_REACH && data_bytes % first.align() == 0;
        Ok(Self { family, format: *first, data_start, data_bytes, plain, cue, lists })
    }

    /// Cue points as events, with the labels that belong to them.
    fn cues(&self, store: &mut dyn ByteStore, rate: Rate) -> Result<EventBook> {
        let mut book = EventBook::default();
        if self.cue.is_empty() {
            return Ok(book);
        }
        let mut labels = HashMap::new();
        for &(start, size) in &self.lists {
            let bytes = read_vec(store, start, size.min(LONGEST_TEXT))?;
            if bytes.starts_with(b"adtl") {
                collect_labels(bytes.get(4..).unwrap_or_default(), &mut labels);
            }
        }
        for &(start, size) in &self.cue {
            let bytes = read_vec(store, start, size.min(LONGEST_TEXT))?;
            for point in bytes.get(4..).unwrap_or_default().as_chunks::<24>().0 {
                let [a, b, c, d, .., w, x, y, z] = *point;
                let (id, sample) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([w, x, y, z]));
                let unnamed = || format!("cue {id}");
                let name = labels.get(&id).filter(|l: &&String| !l.is_empty()).cloned().unwrap_or_else(unnamed);
                book.add(rate.seconds(f64::from(sample)), 0.0, &name, true);
            }
        }
        Ok(book)
    }
}

/// `labl` sub-chunks of an associated data list: the id of a cue point and its text.
fn collect_labels(mut list: &[u8], labels: &mut HashMap<u32, String>) {
    while let Some((head, rest)) = list.split_first_chunk::<8>() {
        let [.., a, b, c, d] = *head;
        let size = (u32::from_le_bytes([a, b, c, d]) as usize).min(rest.len());
        let (body, next) = rest.split_at(size);
        if let (true, Some((id, text))) = (head.starts_with(b"labl"), body.split_first_chunk::<4>()) {
            let text = decode_text(text).0;
            let text = visible(text.trim_matches(['\0', ' ']), &[]).0;
            labels.insert(u32::from_le_bytes(*id), text);
        }
        list = next.get(size % 2..).unwrap_or_default();
    }
}

/// A chunk's head.
struct Chunk {
    id: [u8; 4],
    size: u32,
}

impl Chunk {
    /// The chunk at `at`; `None` where the file ends first.
    fn at(store: &mut dyn ByteStore, at: u64) -> Result<Option<Self>> {
        if at.checked_add(8).is_none_or(|end| end > store.len()) {
            return Ok(None);
        }
        let mut head = [0; 8];
        read_exact_at(store, at, &mut head)?;
        let [a, b, c, d, e, f, g, h] = head;
        Ok(Some(Self { id: [a, b, c, d], size: u32::from_le_bytes([e, f, g, h]) }))
    }

    fn has_a_name(&self) -> bool {
        self.id.iter().all(|b| (b' '..=b'~').contains(b))
    }
}

/// How many bytes of samples there are: what the chunk says, unless it cannot be.
fn data_size(
    store: &mut dyn ByteStore,
    body: u64,
    stated: u32,
    ds64: Option<u64>,
    plain: &mut bool,
    defects: &mut Defects,
) -> Result<u64> {
    let room = store.len() - body;
    let size = match ds64 {
        Some(size) if stated == UNKNOWN => size,
        _ => u64::from(stated),
    };
    if stated == UNKNOWN && ds64.is_none() && size > room {
        *plain = false;
        defects
            .warn("W_WAV_STREAMED", "the size of the data was never written; samples are read to the end of the file");
        return Ok(room);
    }
    if size > room {
        *plain = false;
        defects.warn("W_WAV_TRUNCATED", format!("{size} bytes of samples are promised, {room} are there"));
        return Ok(room);
    }
    if size == 0 && room > 0 {
        // a recorder that died never came back to write the size; but an empty chunk may be followed by others
        let next = Chunk::at(store, body)?;
        if !next.is_some_and(|c| c.has_a_name() && u64::from(c.size) <= room.saturating_sub(8)) {
            *plain = false;
            defects
                .warn("W_WAV_SIZE_ZERO", "the size of the data is 0, but samples follow; read to the end of the file");
            return Ok(room);
        }
    }
    Ok(size)
}

/// Whether a writer forgot the pad byte: what stands in its place begins a name.
fn unpadded(store: &mut dyn ByteStore, at: u64) -> Result<bool> {
    let named = |chunk: Option<Chunk>| chunk.is_some_and(|c| c.has_a_name());
    Ok(named(Chunk::at(store, at)?) && !named(Chunk::at(store, at + 1)?))
}

#[cfg(test)]
mod tests;
