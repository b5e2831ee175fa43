//! What every reader promises, for every format: how samples are asked for never changes them, and no bytes make a
//! reader panic.
#![allow(unsafe_code)] // the counting allocator

#[path = "support/counting.rs"]
mod counting;
#[path = "support/files.rs"]
mod files;

use counting::measure;
use files::{Signal, brainvision, digital, edf, tal};
use stimkit::flow::{Source, read_all};
use stimkit::read::bytes::{FileStore, MemoryFolder, MemoryStore};
use stimkit::read::{FileSource, MemorySource, OpenOptions};
use stimkit::signal::Block;
use stimkit::unit::{Rate, Unit};
use stimkit::{ErrorKind, Result};

#[global_allocator]
static COUNTING: counting::Counting = counting::Counting;

fn open_edf(bytes: &[u8]) -> Result<FileSource> {
    stimkit::read::edf::open(Box::new(MemoryStore::new(bytes)), "fixture", &OpenOptions::default())
}

fn open_bv(header: &[u8], folder: &MemoryFolder) -> Result<FileSource> {
    stimkit::read::brainvision::open(header, folder, "a", &OpenOptions::default())
}

/// What matrices do not say of themselves.
fn told() -> OpenOptions {
    let rate = Some(Rate::new(250, 1).unwrap());
    OpenOptions { rate, unit: Some("uV".to_owned()), ..OpenOptions::default() }
}

fn open_npy(bytes: &[u8]) -> Result<FileSource> {
    stimkit::read::npy::open(Box::new(MemoryStore::new(bytes)), "x", &told())
}

fn open_csv(bytes: &[u8]) -> Result<FileSource> {
    stimkit::read::matrix::open(FileStore::spool(bytes)?, "x", &told())
}

fn matrix(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/fixtures/matrix/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A dataset of `fixtures/eeglab` and the files beside it.
fn eeglab(name: &str) -> (Vec<u8>, MemoryFolder) {
    let at = |file: &str| std::fs::read(format!("{}/fixtures/eeglab/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let mut folder = MemoryFolder::default();
    for beside in ["beside.fdt", "rows.dat"] {
        folder.0.insert(beside.to_owned(), MemoryStore::new(at(beside)));
    }
    (at(&format!("{name}.set")), folder)
}

fn open_set(bytes: &[u8], folder: &MemoryFolder) -> Result<FileSource> {
    stimkit::read::eeglab::open(Box::new(MemoryStore::new(bytes)), folder, "fixture", &OpenOptions::default())
}

fn wav(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/fixtures/wav/{name}.wav", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn open_wav(bytes: &[u8]) -> Result<FileSource> {
    stimkit::read::wav::open(Box::new(MemoryStore::new(bytes)), "fixture", &OpenOptions::default())
}

const WAVES: [&str; 6] = ["pcm16_cues", "pcm24_odd_list", "pcm8", "pcm24_in_32", "f32", "f64_rf64"];

const DATASETS: [&str; 6] = ["inline", "single", "fields", "beside", "rows", "epochs"];

fn small_edf() -> Vec<u8> {
    edf(2, "", "1", &[Signal::eeg("Fz", 16), Signal::eeg("Cz", 16), Signal::eeg("EMG", 16)], 4, &[])
}

fn gappy_edf() -> Vec<u8> {
    let note: &[&str] = &["+1.3\u{15}0.5\u{14}S255"];
    let tals = [tal("+0.25", note), tal("+1.25", &[]), tal("+7.25", &[]), tal("+8.2512", &[])];
    edf(2, "EDF+D", "1", &[Signal::eeg("Fz", 16), Signal::eeg("Cz", 16), Signal::eeg("x", 4)], 4, &tals)
}

fn bdf() -> Vec<u8> {
    let status = Signal { label: "Status", unit: "Boolean", physical: ["-8388608", "8388607"], per_record: 32 };
    edf(3, "24BIT", "1", &[Signal::eeg("A1", 32), Signal::eeg("A2", 32), status], 3, &[])
}

/// One of each kind of file, and one of each way in which windows are cut out of it.
fn sources() -> Vec<(&'static str, Box<dyn Source>)> {
    let many: Vec<Signal> = (0..19).map(|_| Signal::eeg("C", 1000)).collect();
    let huge: Vec<Signal> = (0..3).map(|_| Signal::eeg("C", 800_000)).collect();
    let mut all: Vec<(&'static str, Box<dyn Source>)> = vec![
        ("EDF", Box::new(open_edf(&small_edf()).unwrap())),
        ("EDF+D, two rates", Box::new(open_edf(&gappy_edf()).unwrap())),
        ("BDF", Box::new(open_edf(&bdf()).unwrap())),
        ("EDF, 19 channels", Box::new(open_edf(&edf(2, "", "1", &many, 30, &[])).unwrap())),
        ("EDF, one huge record", Box::new(open_edf(&edf(2, "", "1000", &huge, 2, &[])).unwrap())),
    ];
    for (name, format, orientation, channels, samples, extra) in [
        ("INT_16", "INT_16", "MULTIPLEXED", 3, 100, ""),
        ("INT_16 vectorised", "INT_16", "VECTORIZED", 11, 100, ""),
        ("UINT_16 big-endian", "UINT_16", "MULTIPLEXED", 2, 100, "UseBigEndianOrder=YES\r\n"),
        ("INT_32", "INT_32", "MULTIPLEXED", 8, 100, ""),
        ("float32", "IEEE_FLOAT_32", "MULTIPLEXED", 17, 100_000, ""),
        ("float32 vectorised", "IEEE_FLOAT_32", "VECTORIZED", 9, 200_000, ""),
    ] {
        let (header, folder) = brainvision(format, orientation, channels, samples, extra);
        all.push((name, Box::new(open_bv(&header, &folder).unwrap())));
    }
    for name in ["i2.npy", "f4_big_fortran.npy", "epochs_f8.npy", "epochs_f8_fortran.npy", "one_channel_i4.npy"] {
        all.push((name, Box::new(open_npy(&matrix(name)).unwrap())));
    }
    for name in ["comma.csv", "tab.tsv", "semicolon.csv"] {
        all.push((name, Box::new(open_csv(&matrix(name)).unwrap())));
    }
    for name in DATASETS {
        let (bytes, folder) = eeglab(name);
        all.push((name, Box::new(open_set(&bytes, &folder).unwrap())));
    }
    for name in WAVES {
        all.push((name, Box::new(open_wav(&wav(name)).unwrap())));
    }
    let mut edf = open_edf(&gappy_edf()).unwrap();
    let mut rows = Vec::new();
    for stream in 0..2 {
        let n = edf.recording().streams[stream].channels.len();
        edf.select(stream, &(0..n).collect::<Vec<_>>()).unwrap();
        rows.push(read_all(&mut edf, n, 9).unwrap());
    }
    all.push(("memory", Box::new(MemorySource::new(edf.recording().clone(), rows).unwrap())));
    all
}

fn same(a: &[Vec<f64>], b: &[Vec<f64>]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()))
}

#[test]
fn how_samples_are_asked_for_never_changes_them() {
    for (name, mut source) in sources() {
        let shapes: Vec<(usize, usize)> =
            source.recording().streams.iter().map(|s| (s.channels.len(), s.len() as usize)).collect();
        for (stream, &(n, len)) in shapes.iter().enumerate() {
            let all: Vec<usize> = (0..n).collect();
            source.select(stream, &all).unwrap();
            let whole = read_all(&mut *source, n, len).unwrap();
            assert!(whole.iter().all(|row| row.len() == len), "{name}: all samples");
            assert!(whole.iter().flatten().any(|&x| x != 0.0), "{name}: not all zero");
            for block in [1, 7, 512, 100_000] {
                if len / block < 20_000 {
                    source.rewind().unwrap();
                    assert!(same(&whole, &read_all(&mut *source, n, block).unwrap()), "{name}: blocks of {block}");
                }
            }
            let reversed: Vec<usize> = (0..n).rev().collect();
            let subsets: [&[usize]; 4] = [&reversed, &[n - 1], &[0], &[n / 2, 0, n / 2]];
            for chosen in subsets {
                source.select(stream, chosen).unwrap();
                let some = read_all(&mut *source, chosen.len(), 333).unwrap();
                let want: Vec<Vec<f64>> = chosen.iter().map(|&c| whole[c].clone()).collect();
                assert!(same(&want, &some), "{name}: channels {chosen:?}");
            }
            source.select(stream, &all).unwrap();
            let mut block = Block::new(n, 5);
            for _ in 0..3 {
                assert!(source.read(&mut block).unwrap());
            }
            source.rewind().unwrap();
            assert!(same(&whole, &read_all(&mut *source, n, 512).unwrap()), "{name}: rewound in the middle");
            assert!(!source.read(&mut block).unwrap(), "{name}: the end is the end");
            assert_eq!(source.progress().0, source.progress().1, "{name}");
            assert_eq!(source.select(stream, &[n]).unwrap_err().kind(), ErrorKind::Usage);
        }
        assert_eq!(source.select(shapes.len(), &[]).unwrap_err().kind(), ErrorKind::Usage);
    }
}

#[test]
fn blocks_keep_to_segments_and_go_on_counting() {
    for (name, mut source) in sources() {
        let stream = source.recording().main_stream().clone();
        let mut block = Block::new(stream.channels.len(), 11);
        let mut next = 0;
        while source.read(&mut block).unwrap() {
            let segment = stream.segments[block.segment() as usize];
            assert_eq!(block.first(), next, "{name}");
            assert!(!block.is_empty() && block.first() >= segment.first.0 && block.end() <= segment.end().0, "{name}");
            next = block.end();
            if next > 3000 {
                break;
            }
        }
        assert!(next > 3000 || next == stream.len() as i64, "{name}");
    }
}

#[test]
fn samples_times_and_events_are_what_was_written() {
    let mut source = open_edf(&gappy_edf()).unwrap();
    let recording = source.recording().clone();
    assert_eq!(recording.format, "EDF+D");
    assert_eq!(recording.start.as_deref(), Some("2020-03-02T10:11:12.25"));
    let main = recording.main_stream();
    assert_eq!(main.channels.iter().map(|c| &*c.name).collect::<Vec<_>>(), ["Fz", "Cz"]);
    let segments: Vec<(i64, u64)> = main.segments.iter().map(|s| (s.first.0, s.length)).collect();
    assert_eq!(segments, [(0, 32), (32, 16), (48, 16)]);
    let starts: Vec<f64> = main.segments.iter().map(|s| s.start_s).collect();
    assert!(starts.iter().zip([0.0, 7.0, 8.0012]).all(|(a, b)| (a - b).abs() < 1e-12), "{starts:?}");
    // +1.3 s on the file's clock, 1.05 s after the first sample: sample 16.8 at 16 Hz.
    assert_eq!(recording.events.len(), 1);
    assert!(recording.events.iter().all(|e| e.tick.0 == 17 && (e.fraction + 0.2).abs() < 1e-9 && e.duration_s == 0.5));
    assert_eq!(recording.event_names, ["S255"]);
    for (c, row) in read_all(&mut source, 2, 50).unwrap().iter().enumerate() {
        for (i, x) in row.iter().enumerate() {
            let want = (f64::from(digital(c, i)) + 32768.0) * (6553.5 / 65535.0) - 3276.8;
            assert!((x - want).abs() < 1e-9, "channel {c}, sample {i}: {x}, not {want}");
        }
    }
    source.select(1, &[0]).unwrap();
    assert_eq!(read_all(&mut source, 1, 50).unwrap()[0].len(), 16);

    let (header, folder) = brainvision("UINT_16", "MULTIPLEXED", 2, 100, "UseBigEndianOrder=YES\r\n");
    let mut source = open_bv(&header, &folder).unwrap();
    let recording = source.recording().clone();
    assert_eq!(
        (recording.format.as_str(), &recording.main_stream().channels[0].unit),
        ("BrainVision 1.0", &Unit::Microvolt)
    );
    let segments: Vec<(i64, u64, f64)> =
        recording.main_stream().segments.iter().map(|s| (s.first.0, s.length, s.start_s)).collect();
    assert_eq!(segments, [(0, 20, 0.0), (20, 80, 10.5)]);
    let events: Vec<(i64, f64, &str)> =
        recording.events.iter().map(|e| (e.tick.0, e.duration_s, recording.event_name(e.name))).collect();
    assert_eq!(events, [(10, 0.0, "S  1"), (30, 0.005, "a,b")]);
    let rows = read_all(&mut source, 2, 50).unwrap();
    assert!((0..100).all(|i| (rows[1][i] - 0.1 * f64::from(digital(1, i) + 1000)).abs() < 1e-9));
}

/// `tests/reference/wav.py` wrote (37 i + 1009 c) mod 20001 − 10000 in 16 bits, 8 for `pcm8`, at the top of wider numbers.
#[test]
fn wav_files_hold_what_was_written() {
    let mut hound = 0;
    for name in WAVES {
        let mut source = open_wav(&wav(name)).unwrap();
        let recording = source.recording().clone();
        let channels = recording.main_stream().channels.len();
        for (c, row) in read_all(&mut source, channels, 64).unwrap().iter().enumerate() {
            for (i, x) in row.iter().enumerate() {
                let digital = ((i * 37 + c * 1009) % 20_001) as i32 - 10_000;
                let want = if name == "pcm8" {
                    f64::from(digital >> 8) / 128.0
                } else if name == "f32" {
                    f64::from((f64::from(digital) / 32_768.0) as f32)
                } else {
                    f64::from(digital) / 32_768.0
                };
                assert_eq!(*x, want, "{name}, channel {c}, sample {i}");
            }
        }
        hound += usize::from(recording.format.contains("hound"));
    }
    assert_eq!(hound, 4, "all but the odd LIST and RF64");
    let source = open_wav(&wav("pcm16_cues")).unwrap();
    let recording = source.recording();
    let events: Vec<_> = recording.events.iter().map(|e| (e.tick.0, recording.event_name(e.name))).collect();
    assert_eq!(events, [(30, "ramp"), (120, "on")]);
}

/// Four epochs of 0.5 s: their samples follow each other, each is a segment, and each knows what it was cut around.
#[test]
fn an_epoched_dataset_says_what_its_epochs_were_cut_around() {
    let (bytes, folder) = eeglab("epochs");
    let mut source = open_set(&bytes, &folder).unwrap();
    let recording = source.recording().clone();
    let cut = recording.epoched.clone().unwrap();
    let around: Vec<&str> = cut.around.iter().map(|&name| recording.event_name(name)).collect();
    assert_eq!((cut.first, cut.len, &around[..]), (-10, 50, &["S1", "S2", "S1", "epoch"][..]));
    let segments: Vec<(i64, u64, f64)> =
        recording.main_stream().segments.iter().map(|s| (s.first.0, s.length, s.start_s)).collect();
    assert_eq!(segments, [(0, 50, 0.0), (50, 50, 0.5), (100, 50, 1.0), (150, 50, 1.5)]);
    let events: Vec<(i64, &str)> = recording.events.iter().map(|e| (e.tick.0, recording.event_name(e.name))).collect();
    assert_eq!(events, [(10, "S1"), (41, "response"), (60, "S2"), (94, "response"), (110, "S1")]);
    let rows = read_all(&mut source, 3, 64).unwrap();
    let want = |c: usize, i: usize| f64::from(digital(c, i)) / 10.0;
    assert!(rows.iter().enumerate().all(|(c, row)| row.iter().enumerate().all(|(i, x)| *x == want(c, i))));
}

#[test]
fn one_dataset_saved_in_five_ways_is_one_recording() {
    for name in ["inline", "single", "fields", "beside", "rows"] {
        let (bytes, folder) = eeglab(name);
        let mut source = open_set(&bytes, &folder).unwrap();
        let recording = source.recording().clone();
        assert_eq!(
            (recording.format.as_str(), recording.epoched.is_none(), &recording.warnings[..]),
            ("EEGLAB", true, &[][..])
        );
        let segments: Vec<(i64, u64, f64)> =
            recording.main_stream().segments.iter().map(|s| (s.first.0, s.length, s.start_s)).collect();
        assert_eq!(segments, [(0, 80, 0.0), (80, 70, 1.3), (150, 50, 2.0)], "{name}");
        let events: Vec<(i64, f64, f64, &str)> = recording
            .events
            .iter()
            .map(|e| (e.tick.0, e.fraction, e.duration_s, recording.event_name(e.name)))
            .collect();
        assert_eq!(events, [(10, 0.0, 0.0, "S255"), (30, 0.25, 0.05, "7"), (110, 0.0, 0.0, "S255")], "{name}");
        let channels = &recording.main_stream().channels;
        let told: Vec<(&str, &str)> = channels.iter().map(|c| (&*c.name, c.kind.name())).collect();
        assert_eq!(told, [("Fz", "eeg"), ("E7", "eeg"), ("EOGv", "eog")], "{name}");
        assert!(channels[1].position.is_some_and(|p| (p[0] - 1.0).abs() < 1e-12), "E7 sits over the right ear");
        assert!(channels.iter().all(|c| c.unit == Unit::Microvolt), "{name}");
        let scale = if name == "fields" { 1.0 } else { 0.1 };
        for (c, row) in read_all(&mut source, 3, 64).unwrap().iter().enumerate() {
            assert!(row.iter().enumerate().all(|(i, x)| (x - scale * f64::from(digital(c, i))).abs() < 1e-5), "{name}");
        }
    }
}

#[test]
fn matrices_hold_what_numpy_and_pandas_wrote() {
    for (name, channels, factor) in [
        ("i2.npy", 3, 1.0),
        ("f4_big_fortran.npy", 3, 1.0),
        ("epochs_f8.npy", 3, 1.0),
        ("epochs_f8_fortran.npy", 3, 1.0),
        ("one_channel_i4.npy", 1, 1.0),
        ("comma.csv", 3, 1.0),
        ("tab.tsv", 3, 1.0),
        ("semicolon.csv", 3, 0.1),
    ] {
        let bytes = matrix(name);
        let mut source = if name.ends_with("npy") { open_npy(&bytes) } else { open_csv(&bytes) }.unwrap();
        let recording = source.recording().clone();
        let rows = read_all(&mut source, channels, 64).unwrap();
        for (c, row) in rows.iter().enumerate() {
            for (i, x) in row.iter().enumerate() {
                let want = f64::from(digital(c, i)) * factor;
                let hole = name.ends_with("sv") && c == 0 && i == 10;
                assert!(if hole { x.is_nan() } else { (x - want).abs() < 1e-12 * want.abs() }, "{name} {c} {i}: {x}");
            }
        }
        let segments = recording.main_stream().segments.len();
        match name {
            "comma.csv" => {
                assert_eq!((segments, recording.main_stream().segments[1].start_s), (2, 2.48));
                assert_eq!(recording.main_stream().channels[0].name, "Fz");
            }
            name if name.starts_with("epochs") => {
                assert_eq!((segments, recording.epoched.unwrap().len), (5, 40));
            }
            _ => assert_eq!((segments, recording.epoched), (1, None), "{name}"),
        }
    }
    for (name, why) in [("objects.npy", "pickled"), ("records.npy", "structured")] {
        assert!(open_npy(&matrix(name)).err().unwrap().message().contains(why));
    }
    let archive = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/matrix/archive.npz");
    let refused = stimkit::read::open(archive.as_ref(), &told()).err().unwrap();
    assert!(refused.to_string().contains("np.save"), "{refused}");
}

#[test]
fn biosemi_triggers_are_the_low_sixteen_bits() {
    let mut bytes = bdf();
    // The Status row of record 1: rest at 0x01FF00, 255 from its sample 5 on for 3 samples.
    let header = 256 * 4;
    for record in 0..3 {
        for i in 0..32 {
            let word: u32 = if record == 1 && (5..8).contains(&i) { 0x01_FF_FF } else { 0x01_FF_00 };
            let at = header + record * 3 * 3 * 32 + 2 * 3 * 32 + 3 * i;
            bytes[at..at + 3].copy_from_slice(&word.to_le_bytes()[..3]);
        }
    }
    let source = open_edf(&bytes).unwrap();
    let events: Vec<(i64, &str)> =
        source.recording().events.iter().map(|e| (e.tick.0, source.recording().event_name(e.name))).collect();
    assert_eq!(events, [(37, "65535")]);
}

/// Reads everything; the rows of the main stream and whether there were warnings.
fn outcome(source: Result<FileSource>) -> Result<(Vec<Vec<f64>>, bool)> {
    let mut source = source?;
    let mut main = Vec::new();
    for stream in 0..source.recording().streams.len() {
        let n = source.recording().streams[stream].channels.len();
        source.select(stream, &(0..n).collect::<Vec<_>>())?;
        let rows = read_all(&mut source, n, 64)?;
        if stream == source.recording().main {
            main = rows;
        }
    }
    Ok((main, !source.recording().warnings.is_empty()))
}

#[test]
fn a_file_cut_anywhere_is_refused_or_read_up_to_the_cut_with_a_warning() {
    for bytes in [small_edf(), gappy_edf(), bdf()] {
        let (whole, _) = outcome(open_edf(&bytes)).unwrap();
        let mut partly = 0;
        for end in 0..bytes.len() {
            if let Ok((rows, warned)) = outcome(open_edf(&bytes[..end])) {
                assert!(warned, "cut at {end}: read without a word");
                assert!(
                    rows.iter().zip(&whole).all(|(some, all)| all.starts_with(some)),
                    "cut at {end}: other samples"
                );
                partly += 1;
            }
        }
        assert!(partly > 100, "{partly}");
    }
    for name in ["i2.npy", "epochs_f8.npy", "f4_big_fortran.npy"] {
        let bytes = matrix(name);
        assert!((0..bytes.len()).all(|end| open_npy(&bytes[..end]).is_err()), "{name}: a cut array was read");
    }
    for orientation in ["MULTIPLEXED", "VECTORIZED"] {
        let (header, mut folder) = brainvision("INT_16", orientation, 2, 40, "");
        let (whole, _) = outcome(open_bv(&header, &folder)).unwrap();
        let data = edf_data(&folder);
        let mut partly = 0;
        for end in 0..data.len() {
            folder.0.insert("a.eeg".to_owned(), MemoryStore::new(&data[..end]));
            if let Ok((rows, warned)) = outcome(open_bv(&header, &folder)) {
                // Whole frames without DataPoints= look like a shorter recording; only odd ends can be seen, and for
                // rows none is safe.
                assert!(warned || end % 4 == 0, "cut at {end}: read without a word");
                let same = rows.iter().zip(&whole).all(|(some, all)| all.starts_with(some));
                assert!(same || orientation == "VECTORIZED" && end % 4 == 0, "cut at {end}: other samples");
                partly += 1;
            }
        }
        assert!(partly > 15);
        for end in 0..header.len() {
            let _ = outcome(open_bv(&header[..end], &folder));
        }
    }
}

#[test]
fn a_dataset_cut_anywhere_is_refused_or_read_up_to_the_cut_with_a_warning() {
    for name in DATASETS {
        let (bytes, folder) = eeglab(name);
        let (whole, _) = outcome(open_set(&bytes, &folder)).unwrap();
        for end in 0..bytes.len() {
            if let Ok((rows, warned)) = outcome(open_set(&bytes[..end], &folder)) {
                // Where the fields are variables of their own, the last ones are none that a recording needs.
                assert!(warned || name == "fields" && end > bytes.len() - 500, "{name} cut at {end}: without a word");
                assert!(same(&rows, &whole), "{name} cut at {end}: other samples");
            }
        }
    }
    let (bytes, mut folder) = eeglab("beside");
    let (whole, _) = outcome(open_set(&bytes, &folder)).unwrap();
    let mut partly = 0;
    for end in 0..2400 {
        let (_, all) = eeglab("beside");
        let data = stimkit::read::bytes::read_vec(&mut all.0["beside.fdt"].clone(), 0, end).unwrap();
        folder.0.insert("beside.fdt".to_owned(), MemoryStore::new(data));
        if let Ok((rows, warned)) = outcome(open_set(&bytes, &folder)) {
            assert!(warned && rows.iter().zip(&whole).all(|(some, all)| all.starts_with(some)), "cut at {end}");
            partly += 1;
        }
    }
    assert_eq!(partly, 2400 - 12);
}

fn edf_data(folder: &MemoryFolder) -> Vec<u8> {
    let mut store = folder.0["a.eeg"].clone();
    let length = stimkit::read::bytes::ByteStore::len(&store);
    stimkit::read::bytes::read_vec(&mut store, 0, length).unwrap()
}

#[test]
fn what_is_not_a_number_stays_so_and_is_counted() {
    let (header, mut folder) = brainvision("IEEE_FLOAT_32", "MULTIPLEXED", 9, 50, "");
    let mut data = edf_data(&folder);
    for (place, value) in [(9 * 7 + 2, f32::NAN), (9 * 8 + 8, f32::INFINITY), (9 * 49 + 8, f32::NAN)] {
        data[4 * place..4 * place + 4].copy_from_slice(&value.to_le_bytes());
    }
    folder.0.insert("a.eeg".to_owned(), MemoryStore::new(data));
    let mut source = open_bv(&header, &folder).unwrap();
    assert!(source.recording().warnings.iter().any(|w| w.code == "W_NOT_FINITE"), "told before anything is read");
    let rows = read_all(&mut source, 9, 20).unwrap();
    assert!(rows[2][7].is_nan() && rows[8][8] == f64::INFINITY && rows[8][49].is_nan());
    let warning = source.recording().warnings.iter().find(|w| w.code == "W_NOT_FINITE").unwrap();
    assert!(warning.message.starts_with("3 sample(s)"), "{warning}");
    source.select(0, &[0]).unwrap();
    assert!(read_all(&mut source, 1, 20).unwrap()[0].iter().all(|x| x.is_finite()));
}

#[test]
fn what_is_refused_by_default_can_be_let_pass_by_name() {
    let lenient = |code: &str| OpenOptions { lenient: vec![code.to_owned()], ..OpenOptions::default() };
    let (header, mut folder) = brainvision("INT_16", "VECTORIZED", 3, 40, "");
    let data = edf_data(&folder);
    let header = String::from_utf8(header)
        .unwrap()
        .replace("[Binary", "DataPoints=40\r\n[Binary")
        .replace("\r\n\r\nDataP", "\r\nDataP");
    folder.0.insert("a.eeg".to_owned(), MemoryStore::new(&data[..data.len() - 21]));
    let refused = open_bv(header.as_bytes(), &folder).err().unwrap();
    assert_eq!(refused.code(), Some("E_BV_VECTORIZED_LENGTH"));
    let code = lenient("E_BV_VECTORIZED_LENGTH");
    let mut source = stimkit::read::brainvision::open(header.as_bytes(), &folder, "a", &code).unwrap();
    assert!(source.recording().warnings.iter().any(|w| w.code == "E_BV_VECTORIZED_LENGTH"));
    for (c, row) in read_all(&mut source, 3, 64).unwrap().iter().enumerate() {
        assert_eq!(row.len(), 29);
        assert!(row.iter().enumerate().all(|(i, x)| (x - 0.1 * f64::from(digital(c, i))).abs() < 1e-9));
    }

    let mut bytes = small_edf();
    bytes[244..252].copy_from_slice(b"0       ");
    assert_eq!(open_edf(&bytes).err().unwrap().code(), Some("E_EDF_DURATION_ZERO"));
    let store = || Box::new(MemoryStore::new(&bytes[..]));
    let source = stimkit::read::edf::open(store(), "x", &lenient("E_EDF_DURATION_ZERO")).unwrap();
    assert_eq!(source.recording().main_stream().rate.hz(), 16.0);
    assert!(stimkit::read::edf::open(store(), "x", &lenient("E_EDF_NREC")).is_err(), "another code lets nothing pass");
}

/// SplitMix64 (Steele, Lea & Flood 2014): the same mutations every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 16) as usize
    }

    /// Flips, overwrites, copies or cuts a few bytes, mostly in the first `head`.
    fn mutate(&mut self, bytes: &mut Vec<u8>, head: usize) {
        const LIKED: &[u8] = b"0123456789 -+.,\0\x14\x15\x1b\xff\xb5EDFB[]=\\/\r\nabc";
        for _ in 0..1 + self.next() % 6 {
            if bytes.is_empty() {
                return;
            }
            let reach = if self.next().is_multiple_of(4) { bytes.len() } else { head.min(bytes.len()) };
            let at = self.next() % reach;
            match self.next() % 8 {
                0 => bytes[at] ^= 1 << (self.next() % 8),
                1 => bytes.truncate(at),
                2 => {
                    let from = self.next() % bytes.len();
                    let n = (self.next() % 16).min(bytes.len() - from.max(at));
                    bytes.copy_within(from..from + n, at);
                }
                3 => {
                    let n = (self.next() % 8).min(bytes.len() - at);
                    bytes[at..at + n].fill(b'9');
                }
                _ => bytes[at] = LIKED[self.next() % LIKED.len()],
            }
        }
    }
}

#[test]
fn no_bytes_make_a_reader_panic_or_take_memory() {
    // STIMKIT_FUZZ=100 runs a hundred times as many.
    let times: usize = std::env::var("STIMKIT_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let mut random = Random(20_261_123);
    let (mut read, mut refused) = (0, 0);
    let mut note = |peak: usize, ok: bool| {
        // Input, its tiles, rows of the test itself; nothing that a header can blow up.
        assert!(peak < 2 << 20, "{peak} bytes");
        if ok { read += 1 } else { refused += 1 }
    };
    for whole in [small_edf(), gappy_edf(), bdf()] {
        let head = if whole[0] == 0xFF { 1024 } else { 1300 };
        for _ in 0..1500 * times {
            let mut bytes = whole.clone();
            random.mutate(&mut bytes, head);
            let (result, peak) = measure(|| outcome(open_edf(&bytes)));
            note(peak, result.is_ok());
        }
    }
    let (header, folder) = brainvision("IEEE_FLOAT_32", "MULTIPLEXED", 3, 40, "");
    let mut store = folder.0["a.vmrk"].clone();
    let length = stimkit::read::bytes::ByteStore::len(&store);
    let markers = stimkit::read::bytes::read_vec(&mut store, 0, length).unwrap();
    for k in 0..3000 * times {
        let (mut header, mut markers) = (header.clone(), markers.clone());
        if k % 2 == 0 {
            random.mutate(&mut header, usize::MAX);
        } else {
            random.mutate(&mut markers, usize::MAX);
        }
        let mut folder = folder.clone();
        folder.0.insert("a.vmrk".to_owned(), MemoryStore::new(markers));
        let (result, peak) = measure(|| outcome(open_bv(&header, &folder)));
        note(peak, result.is_ok());
    }
    for name in ["i2.npy", "epochs_f8.npy", "comma.csv", "semicolon.csv"] {
        let whole = matrix(name);
        for _ in 0..1000 * times {
            let mut bytes = whole.clone();
            random.mutate(&mut bytes, 160);
            let open = if name.ends_with("npy") { open_npy } else { open_csv };
            let (result, peak) = measure(|| outcome(open(&bytes)));
            note(peak, result.is_ok());
        }
    }
    for name in ["inline", "fields", "beside", "epochs"] {
        let (whole, folder) = eeglab(name);
        for _ in 0..1000 * times {
            let mut bytes = whole.clone();
            random.mutate(&mut bytes, usize::MAX);
            let (result, peak) = measure(|| outcome(open_set(&bytes, &folder)));
            note(peak, result.is_ok());
        }
    }
    for name in WAVES {
        let whole = wav(name);
        for _ in 0..1000 * times {
            let mut bytes = whole.clone();
            random.mutate(&mut bytes, 110);
            let (result, peak) = measure(|| outcome(open_wav(&bytes)));
            note(peak, result.is_ok());
        }
    }
    assert!(read > 1000 && refused > 1000, "{read} read, {refused} refused: the mutations are too tame or too wild");
}

#[test]
fn a_writer_and_its_reader_agree() {
    let folder = tempfile::tempdir().unwrap();
    for (path, bytes) in [("gaps.vhdr", gappy_edf()), ("bdf.vhdr", bdf())] {
        let path = folder.path().join(path);
        let mut source = open_edf(&bytes).unwrap();
        let before = source.recording().clone();
        let n = before.main_stream().channels.len();
        let all: Vec<usize> = (0..n).collect();
        let mut writer = stimkit::write::BrainVisionWriter::create(&path, &before, before.main, &all).unwrap();
        let mut block = Block::new(n, 13);
        while source.read(&mut block).unwrap() {
            writer.push(&block).unwrap();
        }
        assert!(!path.exists(), "nothing stands under the final name before the end");
        writer.finish().unwrap();
        source.rewind().unwrap();
        let rows = read_all(&mut source, n, 64).unwrap();

        let mut again = stimkit::read::open(&path, &OpenOptions::default()).unwrap();
        let after = again.recording().clone();
        assert_eq!(after.warnings, []);
        let shape = |r: &stimkit::signal::Recording| {
            let s = r.main_stream();
            (s.rate, s.segments.iter().map(|s| (s.first, s.length)).collect::<Vec<_>>(), r.start.clone())
        };
        assert_eq!(shape(&before), shape(&after));
        for (a, b) in before.main_stream().segments.iter().zip(&after.main_stream().segments) {
            assert!((a.start_s - b.start_s).abs() < 1e-6);
        }
        for (a, b) in before.main_stream().channels.iter().zip(&after.main_stream().channels) {
            assert_eq!((&a.name, a.kind, &a.unit), (&b.name, b.kind, &b.unit));
        }
        let events = |r: &stimkit::signal::Recording| -> Vec<(i64, f64, String)> {
            r.events.iter().map(|e| (e.tick.0, e.duration_s, r.event_name(e.name).to_owned())).collect()
        };
        assert_eq!(events(&before), events(&after));
        for (a, b) in rows.iter().flatten().zip(read_all(&mut *again, n, 64).unwrap().iter().flatten()) {
            assert_eq!(f64::from(*a as f32), *b);
        }
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(left.len(), 6, "{left:?}");
}

#[test]
fn an_unfinished_recording_leaves_nothing_behind() {
    use stimkit::write::BrainVisionWriter;
    let folder = tempfile::tempdir().unwrap();
    let mut source = open_edf(&small_edf()).unwrap();
    let recording = source.recording().clone();
    let mut block = Block::new(3, 10);
    source.read(&mut block).unwrap();
    let mut writer = BrainVisionWriter::create(&folder.path().join("out.vhdr"), &recording, 0, &[0, 1, 2]).unwrap();
    writer.push(&block).unwrap();
    assert_eq!(writer.push(&block).unwrap_err().kind(), ErrorKind::Usage, "a block twice");
    drop(writer);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    // A folder stands where the data file should go: all or nothing.
    std::fs::create_dir_all(folder.path().join("out.vmrk/x")).unwrap();
    let mut writer = BrainVisionWriter::create(&folder.path().join("out.vhdr"), &recording, 0, &[0, 1, 2]).unwrap();
    writer.push(&block).unwrap();
    assert!(writer.finish().is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let nowhere = folder.path().join("missing/out.vhdr");
    let refused = BrainVisionWriter::create(&nowhere, &recording, 0, &[0]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Output);
    let wrong = BrainVisionWriter::create(&folder.path().join("out.edf"), &recording, 0, &[0]).unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Usage);
}

/// The reference job: 64 channels, 5 kHz, 600 s. `cargo test --release --test reader_contract -- --ignored
/// --nocapture`.
#[test]
#[ignore = "writes 384 MB; a measurement, not a check"]
fn speed_of_the_reference_job() {
    use std::io::Write;
    let names = ["C"; 64];
    let signals: Vec<Signal> = names.iter().map(|n| Signal::eeg(n, 5000)).collect();
    let head = edf(2, "", "1", &signals, 1, &[]);
    let mut file = tempfile::Builder::new().suffix(".edf").tempfile().unwrap();
    let mut header = head[..256 * 65].to_vec();
    header[236..244].copy_from_slice(b"600     ");
    file.write_all(&header).unwrap();
    for _ in 0..600 {
        file.write_all(&head[256 * 65..]).unwrap();
    }
    for block_len in [256, 1000, 5000, 20_000] {
        let mut best = f64::INFINITY;
        for _ in 0..5 {
            let started = std::time::Instant::now();
            let mut source = stimkit::read::open(file.path(), &OpenOptions::default()).unwrap();
            let mut block = Block::new(64, block_len);
            let mut sum = 0.0;
            while source.read(&mut block).unwrap() {
                sum += block.get(63, 0);
            }
            assert!(sum != 0.0);
            best = best.min(started.elapsed().as_secs_f64());
        }
        eprintln!("blocks of {block_len}: {best:.3} s, {:.2} ns per sample", best / 192e6 * 1e9);
    }
}
