//! NPY: one array as NumPy saves it (`numpy.lib.format`, versions 1.0 to 3.0). It says nothing of rate, unit and channels.
//!
//! | shape | read as |
//! |---|---|
//! | (n) | one channel |
//! | (a, b) | the longer axis is time |
//! | (epochs, channels, samples) | epochs: nothing is cut again, the first sample is time 0 |
//!
//! Channels are called `ch1`, `ch2`, …; nothing says that they are EEG. Samples are read block by block.

use super::bytes::{ByteStore, read_exact_at, read_vec};
use super::decode::Number;
use super::samples::{Column, FileSource, Layout, look_for_nan};
use super::text::{Defects, visible};
use super::{OpenOptions, channel, recording};
use crate::signal::{Epoching, Event, EventName, Segment, Stream};
use crate::unit::{Rate, Tick, Unit};
use crate::{Error, Result};

/// The longest header that is read. NumPy's own are below 1 kB; only structured types, which are not read, have long ones.
const LONGEST_HEADER: u64 = 64 << 10;
/// More channels than any recording has: the array is something else.
const MOST_CHANNELS: u64 = 1 << 16;
/// More epochs than any recording has.
const MOST_EPOCHS: u64 = 1 << 20;

/// Opens an array whose rate and unit `options` tell.
///
/// # Errors
/// When rate or unit is not told; when the header is not an NPY header, the type is not a real number of 2 to 8 bytes, the
/// shape is none of those above, or the data are shorter than the shape.
pub fn open(mut store: Box<dyn ByteStore>, name: &str, options: &OpenOptions) -> Result<FileSource> {
    let header = Header::read(&mut *store)?;
    let array = Array::of(&header)?;
    let (rate, factor) = (options.told_rate()?, options.microvolts()?);
    let mut defects = Defects::new(&options.lenient);
    let (have, want) = (store.len() - header.data_start, array.bytes);
    if have < want {
        return Err(Error::format(format!("the array has {want} bytes, but only {have} are there"))
            .at_offset(store.len())
            .with_hint("the file was cut short; save or copy it again"));
    }
    if have > want {
        defects.warn("W_NPY_TRAILING", format!("{} byte(s) behind the array are left alone", have - want));
    }
    if array.axes_unclear {
        let message =
            format!("{} channels of {} samples: the longer axis is taken as time", array.channels, array.samples);
        defects.warn("W_NPY_AXES", message);
    }
    look_for_nan(&mut *store, header.number, header.data_start..header.data_start + want, &mut defects.warnings)?;
    let range = header.number.range().map(|[lo, hi]| [lo * factor, hi * factor]);
    let channels = (1..=array.channels)
        .map(|i| {
            let mut channel = channel(format!("ch{i}"), Unit::Microvolt, true);
            channel.range = range;
            channel
        })
        .collect();
    let segments: Vec<Segment> = (0..array.epochs)
        .map(|e| {
            let first = e * array.samples;
            Segment { first: Tick(first as i64), length: array.samples, start_s: rate.seconds(first as f64) }
        })
        .collect();
    let stream = Stream { rate, channels, file_index: (0..array.channels as usize).collect(), segments };
    let order = if header.fortran { ", Fortran order" } else { "" };
    let shape: Vec<String> = header.shape.iter().map(u64::to_string).collect();
    let format = format!("NPY {}.0, {} {}{order}", header.version, shape.join(" × "), header.descr);
    let mut recording = recording(name, format, vec![stream]);
    if header.shape.len() == 3 {
        note_epochs(&mut recording, rate, array.samples);
    }
    recording.warnings = defects.warnings;
    let columns = (0..array.channels)
        .map(|c| Column { offset: c * array.channel_stride, zero: 0.0, gain: factor, bias: 0.0 })
        .collect();
    let layout = Layout {
        number: header.number,
        data_start: header.data_start,
        record_bytes: array.epoch_stride,
        records: array.epochs,
        per_record: array.samples,
        stride: array.sample_stride,
        columns,
    };
    FileSource::new(recording, store, vec![layout])
}

/// Every segment is an epoch, cut around something that has no name.
fn note_epochs(recording: &mut crate::signal::Recording, rate: Rate, samples: u64) {
    let around = EventName(0);
    let stream = &recording.streams[0];
    recording.events = stream
        .segments
        .iter()
        .map(|s| Event { duration_s: rate.seconds(samples as f64), ..Event::new(s.first, around) })
        .collect();
    recording.event_names = vec!["epoch".to_owned()];
    let around = vec![around; stream.segments.len()];
    recording.epoched = Some(Epoching { first: 0, len: samples as usize, around });
}

/// How the array lies in the file, in the terms of a recording. Strides in bytes.
struct Array {
    epochs: u64,
    channels: u64,
    samples: u64,
    epoch_stride: u64,
    channel_stride: u64,
    sample_stride: u64,
    bytes: u64,
    /// Whether the two axes are of about the same length.
    axes_unclear: bool,
}

impl Array {
    fn of(header: &Header) -> Result<Self> {
        let width = header.number.width() as u64;
        let bytes = header.shape.iter().try_fold(width, |n, d| n.checked_mul(*d)).filter(|n| *n <= i64::MAX as u64);
        let shape = || header.shape.iter().map(u64::to_string).collect::<Vec<_>>().join(" × ");
        let bytes = bytes.ok_or_else(|| Error::format(format!("an array of {} cannot exist", shape())))?;
        if bytes == 0 {
            return Err(Error::format(format!("the array holds no sample: its shape is {}", shape())));
        }
        // strides of the axes as they stand in the shape: the last one (in Fortran order the first one) runs fastest
        let mut strides = vec![width; header.shape.len()];
        let mut axes: Vec<usize> = (0..header.shape.len()).collect();
        if !header.fortran {
            axes.reverse();
        }
        for pair in axes.windows(2) {
            strides[pair[1]] = strides[pair[0]] * header.shape[pair[0]];
        }
        let array = match (header.shape.as_slice(), strides.as_slice()) {
            (&[n], &[stride]) => Self::flat([1, n], [width, stride], bytes),
            (&[a, b], &[da, db]) if a > b => Self::flat([b, a], [db, da], bytes),
            (&[a, b], &[da, db]) => Self::flat([a, b], [da, db], bytes),
            (&[epochs, channels, samples], &[epoch_stride, channel_stride, sample_stride]) => Self {
                epochs,
                channels,
                samples,
                epoch_stride,
                channel_stride,
                sample_stride,
                bytes,
                axes_unclear: false,
            },
            _ => {
                let message = format!("an array of {} axes is not read", header.shape.len());
                return Err(
                    Error::unsupported(message).with_hint("save (channels, samples), or (epochs, channels, samples)")
                );
            }
        };
        if array.channels > MOST_CHANNELS || array.epochs > MOST_EPOCHS {
            let message =
                format!("{} epochs of {} channels are more than any recording has", array.epochs, array.channels);
            return Err(
                Error::unsupported(message).with_hint("save (channels, samples), or (epochs, channels, samples)")
            );
        }
        Ok(array)
    }

    fn flat([channels, samples]: [u64; 2], [channel_stride, sample_stride]: [u64; 2], bytes: u64) -> Self {
        let axes_unclear = channels > 1 && samples < 4 * channels;
        Self { epochs: 1, channels, samples, epoch_stride: bytes, channel_stride, sample_stride, bytes, axes_unclear }
    }
}

/// What the header says.
#[derive(Debug)]
struct Header {
    version: u8,
    number: Number,
    descr: String,
    fortran: bool,
    shape: Vec<u64>,
    data_start: u64,
}

impl Header {
    fn read(store: &mut dyn ByteStore) -> Result<Self> {
        let mut head = [0; 12];
        if store.len() < head.len() as u64 {
            return Err(Error::format("the file is too short for an NPY header").at_offset(store.len()));
        }
        read_exact_at(store, 0, &mut head)?;
        let [.., version, _, a, b, c, d] = head;
        if !head.starts_with(b"\x93NUMPY") {
            return Err(Error::format("this is not an NPY file").at_offset(0).with_hint("save it with np.save"));
        }
        let (start, length) = match version {
            1 => (10, u64::from(u16::from_le_bytes([a, b]))),
            2 | 3 => (12, u64::from(u32::from_le_bytes([a, b, c, d]))),
            _ => return Err(Error::unsupported(format!("NPY version {version} is not read")).at_offset(6)),
        };
        if length > LONGEST_HEADER {
            return Err(Error::format(format!("a header of {length} bytes is longer than that of any plain array"))
                .at_offset(8));
        }
        let text = read_vec(store, start, length)?;
        let text = std::str::from_utf8(&text).map_err(|_| Error::format("the header is not text").at_offset(start))?;
        let (descr, fortran, shape) = dictionary(text).map_err(|e| e.at_offset(start))?;
        Ok(Self { version, number: number(&descr)?, descr, fortran, shape, data_start: start + length })
    }
}

/// The number behind a NumPy type string.
fn number(descr: &str) -> Result<Number> {
    Ok(match descr {
        "<f4" => Number::F32,
        ">f4" => Number::F32Be,
        "<f8" => Number::F64,
        ">f8" => Number::F64Be,
        "<i2" => Number::I16,
        ">i2" => Number::I16Be,
        "<u2" => Number::U16,
        ">u2" => Number::U16Be,
        "<i4" => Number::I32,
        ">i4" => Number::I32Be,
        _ => {
            let what = match descr.trim_start_matches(['<', '>', '|', '=']).chars().next() {
                Some('O') => "pickled Python objects are never read",
                Some('V') => "a structured or raw type is not read",
                Some('c') => "complex numbers are no samples",
                Some('S' | 'U' | 'a') => "text is no sample",
                _ => "this type of number is not read",
            };
            let descr: String = visible(descr, &[]).0.chars().take(20).collect();
            return Err(Error::unsupported(format!("{what} (dtype '{descr}')"))
                .with_hint("save plain numbers: np.save('out.npy', x.astype('f4'))"));
        }
    })
}

/// `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }`: the three keys, in any order, and nothing else.
fn dictionary(text: &str) -> Result<(String, bool, Vec<u64>)> {
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    let mut cursor = Cursor(text.trim_matches([' ', '\n', '\0']));
    cursor.expect('{')?;
    while !cursor.take('}') {
        let key = cursor.string()?;
        cursor.expect(':')?;
        match key {
            "descr" if cursor.next_is('[') => {
                return Err(Error::unsupported("an array of records (structured dtype) is not read")
                    .with_hint("save plain numbers: np.save('out.npy', x['field'].astype('f4'))"));
            }
            "descr" => descr = Some(cursor.string()?.to_owned()),
            "fortran_order" => fortran = Some(cursor.boolean()?),
            "shape" => shape = Some(cursor.tuple()?),
            _ => return Err(odd()),
        }
        if !cursor.take(',') {
            cursor.expect('}')?;
            break;
        }
    }
    match (descr, fortran, shape) {
        (Some(descr), Some(fortran), Some(shape)) if cursor.0.is_empty() => Ok((descr, fortran, shape)),
        _ => Err(odd()),
    }
}

fn odd() -> Error {
    Error::format("the header is not {'descr': …, 'fortran_order': …, 'shape': …}")
}

/// What is left of the header's text.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn next_is(&mut self, c: char) -> bool {
        self.0 = self.0.trim_start();
        self.0.starts_with(c)
    }

    fn take(&mut self, c: char) -> bool {
        let there = self.next_is(c);
        if there {
            self.0 = &self.0[c.len_utf8()..];
        }
        there
    }

    fn expect(&mut self, c: char) -> Result<()> {
        if self.take(c) { Ok(()) } else { Err(odd()) }
    }

    fn string(&mut self) -> Result<&'a str> {
        let quote = if self.take('"') { '"' } else { self.expect('\'').map(|()| '\'')? };
        let (text, rest) = self.0.split_once(quote).ok_or_else(odd)?;
        self.0 = rest;
        Ok(text)
    }

    fn boolean(&mut self) -> Result<bool> {
        self.0 = self.0.trim_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.0.strip_prefix(word) {
                self.0 = rest;
                return Ok(value);
            }
        }
        Err(odd())
    }

    fn tuple(&mut self) -> Result<Vec<u64>> {
        self.expect('(')?;
        let mut values = Vec::new();
        while !self.take(')') {
            self.0 = self.0.trim_start();
            let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
            values.push(self.0[..end].parse().map_err(|_| odd())?);
            self.0 = &self.0[end..];
            // Python 2 wrote long integers as 10L
            self.take('L');
            if !self.take(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Source, read_all};
    use crate::read::bytes::MemoryStore;

    fn npy(version: u8, dictionary: &str, data: &[u8]) -> Vec<u8> {
        let mut file = b"\x93NUMPY".to_vec();
        file.extend([version, 0]);
        let n = dictionary.len();
        if version == 1 {
            file.extend((n as u16).to_le_bytes())
        } else {
            file.extend((n as u32).to_le_bytes())
        }
        file.extend(dictionary.as_bytes());
        file.extend(data);
        file
    }

    fn told() -> OpenOptions {
        OpenOptions { rate: Some(Rate::new(250, 1).unwrap()), unit: Some("mV".to_owned()), ..OpenOptions::default() }
    }

    fn open_bytes(bytes: &[u8]) -> Result<FileSource> {
        open(Box::new(MemoryStore::new(bytes)), "x", &told())
    }

    fn floats(n: usize) -> Vec<u8> {
        (0..n).flat_map(|i| (i as f64).to_le_bytes()).collect()
    }

    fn dict(descr: &str, fortran: &str, shape: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}      \n")
    }

    #[test]
    fn every_order_of_axes_gives_the_same_samples() {
        // element (c, t) of 3 channels × 20 samples is 100 c + t
        let at = |c: usize, t: usize| (100 * c + t) as f64;
        let by_channel: Vec<u8> = (0..3).flat_map(|c| (0..20).flat_map(move |t| at(c, t).to_le_bytes())).collect();
        let by_time: Vec<u8> = (0..20).flat_map(|t| (0..3).flat_map(move |c| at(c, t).to_le_bytes())).collect();
        for (fortran, shape, data) in [
            ("False", "(3, 20)", &by_channel),
            ("False", "(20, 3)", &by_time),
            ("True", "(20, 3)", &by_channel),
            ("True", "(3, 20)", &by_time),
        ] {
            for version in [1, 2, 3] {
                let mut source = open_bytes(&npy(version, &dict("<f8", fortran, shape), data)).unwrap();
                assert_eq!(source.recording().warnings, []);
                let rows = read_all(&mut source, 3, 7).unwrap();
                for (c, row) in rows.iter().enumerate() {
                    let want: Vec<f64> = (0..20).map(|t| 1e3 * at(c, t)).collect();
                    assert_eq!(row, &want, "{fortran} {shape} {version}");
                }
            }
        }
    }

    #[test]
    fn three_axes_are_epochs_in_either_order() {
        let at = |e: usize, c: usize, t: usize| (1000 * e + 100 * c + t) as f64;
        let all = |outer: [usize; 3], value: &dyn Fn(usize, usize, usize) -> f64| -> Vec<u8> {
            let [a, b, c] = outer;
            let places = (0..a).flat_map(|i| (0..b).flat_map(move |j| (0..c).map(move |k| (i, j, k))));
            places.flat_map(|(i, j, k)| value(i, j, k).to_le_bytes()).collect()
        };
        let c_order = all([4, 3, 10], &at);
        let fortran = all([10, 3, 4], &|t, c, e| at(e, c, t));
        for (order, data) in [("False", c_order), ("True", fortran)] {
            let mut source = open_bytes(&npy(1, &dict("<f8", order, "(4, 3, 10)"), &data)).unwrap();
            let epoched = source.recording().epoched.clone().unwrap();
            assert_eq!((epoched.first, epoched.len, epoched.around.len()), (0, 10, 4));
            for block in [1, 3, 512] {
                source.rewind().unwrap();
                let rows = read_all(&mut source, 3, block).unwrap();
                for (c, row) in rows.iter().enumerate() {
                    let want: Vec<f64> = (0..40).map(|i| 1e3 * at(i / 10, c, i % 10)).collect();
                    assert_eq!(row, &want, "fortran {order}, blocks of {block}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_plain_array_is_refused_with_its_reason() {
        let cases = [
            ("[('a', '<f8'), ('b', '<i4')]", "structured"),
            ("'|O'", "pickled"),
            ("'<c16'", "complex"),
            ("'<U3'", "text"),
            ("'|V8'", "structured or raw"),
            ("'<i8'", "this type of number"),
        ];
        for (descr, why) in cases {
            let text = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (2, 3), }}\n");
            let error = open_bytes(&npy(1, &text, &floats(6))).err().unwrap();
            assert!(error.message().contains(why), "{descr}: {error}");
            assert!(error.hint().is_some_and(|h| h.contains("np.save")), "{error}");
        }
        for shape in
            ["()", "(0, 5)", "(2, 2, 2, 2)", "(99999999999, 99999999999)", "(2, -3)", "(2, 3", "(1e3,)", "(2,,3)"]
        {
            assert!(open_bytes(&npy(1, &dict("<f8", "False", shape), &floats(16))).is_err(), "{shape}");
        }
        let cut = open_bytes(&npy(1, &dict("<f8", "False", "(2, 30)"), &floats(59))).err().unwrap();
        assert!(cut.message().contains("480 bytes, but only 472"), "{cut}");
        let mut long = npy(2, &dict("<f8", "False", "(2, 3)"), &floats(6));
        long[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(open_bytes(&long).err().unwrap().message().contains("longer than"));
    }

    #[test]
    fn rate_and_unit_are_asked_for_and_never_guessed() {
        let file = npy(1, &dict("<f8", "False", "(40,)"), &floats(40));
        let open = |options: OpenOptions| open(Box::new(MemoryStore::new(&file[..])), "x", &options);
        let missing = |options| open(options).err().unwrap().to_string();
        assert!(missing(OpenOptions { rate: None, ..told() }).contains("--rate"));
        assert!(missing(OpenOptions { unit: None, ..told() }).contains("--unit"));
        assert!(missing(OpenOptions { unit: Some("mA".into()), ..told() }).contains("--unit"));
        for (unit, factor) in [("uV", 1.0), ("mV", 1e3), ("V", 1e6), ("nV", 1e-3)] {
            let mut source = open(OpenOptions { unit: Some(unit.into()), ..told() }).unwrap();
            assert_eq!(read_all(&mut source, 1, 9).unwrap()[0][7], 7.0 * factor);
        }
    }

    #[test]
    fn nearly_square_arrays_are_read_with_a_word() {
        for (shape, channels) in [("(6, 6)", 6), ("(9, 4)", 4), ("(4, 9)", 4)] {
            let source = open_bytes(&npy(1, &dict("<f8", "False", shape), &floats(36))).unwrap();
            assert_eq!(source.recording().main_stream().channels.len(), channels);
            assert_eq!(source.recording().warnings[0].code, "W_NPY_AXES");
        }
    }
}
