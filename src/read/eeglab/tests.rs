//! Datasets built element by element: what the fixtures of `fixtures/eeglab` do not show.

use super::*;
use crate::flow::{Source, read_all};
use crate::read::bytes::{MemoryFolder, MemoryStore};
use crate::signal::ChannelKind;
use std::io::Write;

/// An element: its tag, its bytes, padding; small where it fits and `small` says so.
fn element(kind: u32, bytes: &[u8]) -> Vec<u8> {
    if kind != 14 && (1..=4).contains(&bytes.len()) {
        let mut small = (kind | (bytes.len() as u32) << 16).to_le_bytes().to_vec();
        small.extend(bytes);
        small.resize(8, 0);
        return small;
    }
    let mut all = [kind.to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat();
    all.extend(bytes);
    all.resize(all.len().next_multiple_of(8), 0);
    all
}

fn array(class: u32, dims: &[u32], name: &str, content: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|d| d.to_le_bytes()).collect();
    let flags = [class.to_le_bytes(), [0; 4]].concat();
    let head = [element(6, &flags), element(5, &dims), element(1, name.as_bytes())].concat();
    element(14, &[&head, content].concat())
}

fn number(x: f64) -> Vec<u8> {
    array(6, &[1, 1], "", &element(9, &x.to_le_bytes()))
}

fn text(text: &str) -> Vec<u8> {
    let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    array(4, &[1, units.len() as u32 / 2], "", &element(4, &units))
}

fn structure(name: &str, fields: &[&str], records: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let mut names = Vec::new();
    for field in fields {
        names.extend(field.as_bytes());
        names.resize(names.len().next_multiple_of(32), 0);
    }
    let members: Vec<u8> = records.iter().flatten().flatten().copied().collect();
    let content = [element(5, &32_u32.to_le_bytes()), element(1, &names), members].concat();
    array(2, &[1, records.len() as u32], name, &content)
}

fn file(variables: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"MATLAB 5.0 MAT-file".to_vec();
    bytes.resize(124, b' ');
    bytes.extend([0, 1, b'I', b'M']);
    bytes.extend(variables.concat());
    bytes
}

/// Two channels, six samples, and what `change` makes of the fields.
fn fields(change: &[(&'static str, Vec<u8>)]) -> Vec<u8> {
    let samples: Vec<u8> = (0..12_i16).flat_map(|x| x.to_le_bytes()).collect();
    let mut fields = vec![
        ("nbchan", number(2.0)),
        ("pnts", number(6.0)),
        ("trials", number(1.0)),
        ("srate", number(100.0)),
        ("xmin", number(0.0)),
        // a double that MATLAB stores as 16-bit integers
        ("data", array(6, &[2, 6], "", &element(3, &samples))),
        ("chanlocs", structure("", &["labels"], &[vec![text("Fz")], vec![text("Cz")]])),
        ("event", array(6, &[0, 0], "", &element(9, &[]))),
    ];
    for (name, value) in change {
        match fields.iter_mut().find(|f| f.0 == *name) {
            Some(field) => field.1 = value.clone(),
            None => fields.push((name, value.clone())),
        }
    }
    let (names, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    structure("EEG", &names, &[values])
}

fn read(bytes: &[u8], folder: &MemoryFolder, lenient: &[&str]) -> Result<FileSource> {
    let options = OpenOptions { lenient: lenient.iter().map(|s| (*s).to_owned()).collect(), ..OpenOptions::default() };
    open(Box::new(MemoryStore::new(bytes)), folder, "stem", &options)
}

fn with(change: &[(&'static str, Vec<u8>)]) -> Result<FileSource> {
    read(&file(&[fields(change)]), &MemoryFolder::default(), &[])
}

fn codes(source: &FileSource) -> Vec<&'static str> {
    source.recording().warnings.iter().map(|w| w.code).collect()
}

#[test]
fn samples_stored_smaller_than_their_class_are_read() {
    let mut source = with(&[]).unwrap();
    assert_eq!(codes(&source), [""; 0]);
    let rows = read_all(&mut source, 2, 4).unwrap();
    assert_eq!(rows, [[0.0, 2.0, 4.0, 6.0, 8.0, 10.0], [1.0, 3.0, 5.0, 7.0, 9.0, 11.0]]);
}

#[test]
fn a_channel_in_millivolts_is_scaled_and_an_odd_unit_told() {
    let locs =
        |unit: &str| structure("", &["labels", "unit"], &[vec![text("Fz"), text(unit)], vec![text("Cz"), text("uV")]]);
    let mut source = with(&[("chanlocs", locs("mV"))]).unwrap();
    assert_eq!(read_all(&mut source, 2, 4).unwrap()[0][2], 4000.0);
    assert_eq!(codes(&with(&[("chanlocs", locs("furlong"))]).unwrap()), ["W_UNIT_UNKNOWN"]);
}

#[test]
fn labels_may_be_numbers_cells_or_foreign_and_places_come_from_the_file_where_a_label_has_none() {
    let cell = array(1, &[1, 1], "", &text("刺😀"));
    let locs = structure(
        "",
        &["labels", "type", "X", "Y", "Z", "theta", "radius"],
        &[
            vec![number(7.0), text("EEG"), number(0.0), number(-85.0), number(0.0), number(0.0), number(0.0)],
            vec![cell, text(""), number(f64::NAN), number(0.0), number(0.0), number(90.0), number(0.5)],
        ],
    );
    let source = with(&[("chanlocs", locs)]).unwrap();
    let channels = &source.recording().streams[0].channels;
    assert_eq!((&*channels[0].name, &*channels[1].name), ("7", "刺😀"));
    for channel in channels {
        assert_eq!(channel.kind, ChannelKind::Eeg, "{channel:?}");
        let place = channel.position.unwrap();
        assert!((place[0] - 1.0).abs() < 1e-9, "the right ear, not {place:?}");
    }
}

#[test]
fn cuts_are_segments_with_what_was_lost_between_them() {
    let event = |kind: Vec<u8>, latency: f64, duration: f64| vec![kind, number(latency), number(duration)];
    let events = structure(
        "",
        &["type", "latency", "duration"],
        &[
            event(text("boundary"), 0.5, 900.0),
            event(text("a"), 5.0, f64::NAN),
            event(number(-99.0), 2.5, 100.0),
            event(text("boundary"), 4.5, f64::NAN),
            event(text("boundary"), 6.5, 3.0),
            event(number(2.5), f64::NAN, 0.0),
            event(array(1, &[1, 1], "", &number(12.0)), 2.25, 3.0),
        ],
    );
    let source = with(&[("event", events)]).unwrap();
    assert_eq!(codes(&source), ["W_SET_EVENT_LATENCY"]);
    let recording = source.recording();
    let segments: Vec<(i64, u64, f64)> =
        recording.streams[0].segments.iter().map(|s| (s.first.0, s.length, (s.start_s * 100.0).round())).collect();
    assert_eq!(segments, [(0, 2, 0.0), (2, 2, 102.0), (4, 2, 104.0)]);
    let events: Vec<(i64, f64, f64, &str)> = recording
        .events
        .iter()
        .map(|e| (e.tick.0, (e.fraction * 100.0).round(), e.duration_s, recording.event_name(e.name)))
        .collect();
    assert_eq!(events, [(1, 25.0, 0.03, "12"), (4, 0.0, 0.0, "a")]);
}

#[test]
fn an_epoch_without_a_time_zero_is_refused_and_may_pass() {
    let change = [("trials", number(3.0)), ("pnts", number(2.0)), ("xmin", number(f64::NAN))];
    let samples: Vec<u8> = (0..12_u8).collect();
    let data = ("data", array(7, &[2, 2, 3], "", &element(2, &samples)));
    let bytes = file(&[fields(&[&change[..], &[data]].concat())]);
    assert_eq!(read(&bytes, &MemoryFolder::default(), &[]).err().unwrap().code(), Some("E_SET_XMIN"));
    let source = read(&bytes, &MemoryFolder::default(), &["E_SET_XMIN"]).unwrap();
    let epochs = source.recording().epoched.clone().unwrap();
    assert_eq!((epochs.first, epochs.len, epochs.around.len()), (0, 2, 3));
    assert_eq!(source.recording().event_names, ["epoch"]);
    assert!(codes(&source).contains(&"W_SET_EPOCH_EVENT"));
}

#[test]
fn epochs_may_stand_side_by_side_in_a_matrix() {
    let source = with(&[("trials", number(3.0)), ("pnts", number(2.0))]).unwrap();
    let lengths: Vec<u64> = source.recording().streams[0].segments.iter().map(|s| s.length).collect();
    assert_eq!(lengths, [2, 2, 2]);
}

#[test]
fn sizes_that_disagree_are_refused() {
    for (field, value) in [("pnts", 5.0), ("nbchan", 3.0), ("trials", 2.0), ("trials", 4.0)] {
        assert_eq!(with(&[(field, number(value))]).err().unwrap().code(), Some("E_SET_SIZE"), "{field}");
    }
    for value in [0.0, -1.0, 2.5, f64::NAN, 1e300] {
        assert!(with(&[("pnts", number(value))]).is_err() && with(&[("srate", number(value.min(0.0)))]).is_err());
    }
}

#[test]
fn a_data_file_is_looked_for_beside_the_dataset_and_nowhere_else() {
    let named = |name: &str| file(&[fields(&[("data", text(name))])]);
    let folder = |name: &str, bytes: usize| {
        let mut folder = MemoryFolder::default();
        folder.0.insert(name.to_owned(), MemoryStore::new(vec![0_u8; bytes]));
        folder
    };
    let there = |name: &str, file: &str, bytes: usize| read(&named(name), &folder(file, bytes), &[]);
    assert_eq!(codes(&there("a.fdt", "a.fdt", 48).unwrap()), [""; 0]);
    for renamed in ["gone.fdt", "/data/gone.fdt", "C:\\data\\gone.fdt", "../gone.fdt"] {
        assert_eq!(codes(&there(renamed, "stem.fdt", 48).unwrap()), ["W_SET_DATA_FILE"], "{renamed}");
        assert!(there(renamed, "other.fdt", 48).is_err(), "{renamed}");
    }
    assert!(there("/etc/hostname", "hostname", 48).is_err());
    assert_eq!(codes(&there("a.fdt", "a.fdt", 33).unwrap()), ["W_SET_TRUNCATED"]);
    assert_eq!(there("a.fdt", "a.fdt", 56).err().unwrap().code(), Some("E_SET_DATA_LENGTH"));
    assert!(there("a.fdt", "a.fdt", 7).is_err());
}

#[test]
fn damage_behind_the_dataset_is_told() {
    let mut bytes = file(&[fields(&[])]);
    bytes.extend([0xAB; 21]);
    assert_eq!(codes(&read(&bytes, &MemoryFolder::default(), &[]).unwrap()), ["W_SET_DAMAGE_BEHIND"]);
}

#[test]
fn nothing_follows_cells_into_the_deep() {
    let mut cell = number(1.0);
    for _ in 0..2_000 {
        cell = array(1, &[1, 1], "", &cell);
    }
    assert!(with(&[("srate", cell.clone())]).is_err());
    let locs = structure("", &["labels"], &[vec![cell.clone()], vec![text("Cz")]]);
    assert_eq!(codes(&with(&[("chanlocs", locs), ("etc", cell)]).unwrap()), ["W_SET_LABEL"]);
}

#[test]
fn what_unpacks_a_hundredfold_is_no_recording() {
    let mut bomb = fields(&[("etc", array(9, &[1, 8 << 20], "", &element(2, &vec![0; 8 << 20])))]);
    let pack = |bytes: &[u8]| {
        let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        packed.write_all(bytes).unwrap();
        let packed = packed.finish().unwrap();
        // compressed elements are not padded
        [15_u32.to_le_bytes(), (packed.len() as u32).to_le_bytes()]
            .concat()
            .into_iter()
            .chain(packed)
            .collect::<Vec<u8>>()
    };
    let refused = read(&file(&[pack(&bomb)]), &MemoryFolder::default(), &[]).err().unwrap();
    assert!(refused.message().contains("claims to unpack"), "{refused}");
    bomb = fields(&[]);
    assert!(read(&file(&[pack(&bomb)]), &MemoryFolder::default(), &[]).is_ok());
    // a checksum that does not hold
    let mut wrong = file(&[pack(&bomb)]);
    *wrong.last_mut().unwrap() ^= 1;
    assert!(read(&wrong, &MemoryFolder::default(), &[]).is_err());
}
