//! Real recordings, as other readers see them: names, rates, units, every annotation, and samples to 10⁻⁹ of full
//! scale.
//!
//! The recordings lie beside the repository (`../shared/data`, or below `STIMKIT_SHARED`); without them this test says
//! so and ends. The values come from `tests/reference/readers.py` (edfio, cross-checked against pyedflib; BrainVision
//! and EEGLAB from MNE-Python).

use serde_json::Value;
use std::path::PathBuf;
use stimkit::flow::read_all;
use stimkit::read::{OpenOptions, open};
use stimkit::signal::{Event, Recording};

fn shared() -> PathBuf {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared");
    std::env::var_os("STIMKIT_SHARED").map_or_else(|| PathBuf::from(beside), PathBuf::from)
}

fn golden() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/readers.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

/// The sum without the rounding of a running sum (Neumaier 1974).
fn sum(row: &[f64]) -> f64 {
    let (mut sum, mut lost) = (0.0_f64, 0.0);
    for &x in row {
        let next = sum + x;
        lost += if sum.abs() >= x.abs() { (sum - next) + x } else { (x - next) + sum };
        sum = next;
    }
    sum + lost
}

/// Everything in which the file as read here is not as the peer has it.
fn differences(recording: &Recording, rows: &[Vec<Vec<f64>>], want: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    let found: usize = recording.streams.iter().map(|s| s.channels.len()).sum();
    check(found == list(&want["channels"]).len(), format!("{found} channels"));
    for (rows, stream) in rows.iter().zip(&recording.streams) {
        for ((row, channel), &place) in rows.iter().zip(&stream.channels).zip(&stream.file_index) {
            let want = &want["channels"][place];
            let name = &channel.name;
            check(want["name"] == name.as_str(), format!("{name:?} is called {}", want["name"]));
            check((number(&want["hz"]) / stream.rate.hz() - 1.0).abs() < 1e-12, format!("{name}: {}", stream.rate));
            // An electrode's place is that of its label, the file's coordinates are another model of the head: alike.
            if let (Some(place), [x, y, z]) = (channel.position, list(&want["toward"])) {
                let along = place[0] * number(x) + place[1] * number(y) + place[2] * number(z);
                check(along > 15_f64.to_radians().cos(), format!("{name} at {place:?}, not {}", want["toward"]));
            }
            let volts = want["unit"] == "uV";
            check(
                !volts || channel.unit.to_string() == "uV",
                format!("{name}: {}, not {}", channel.unit, want["unit"]),
            );
            check(want["n"] == row.len(), format!("{name}: {} samples", row.len()));
            if want["unit"] == "n/a" {
                // A unit that MNE-Python does not know: it scales "BS" by 1 and "uS" by 10⁻⁶. Here both stay as they
                // are.
                check(
                    !matches!(channel.unit.to_string().as_str(), "" | "uV" | "mA"),
                    format!("{name}: {}", channel.unit),
                );
                continue;
            }
            let largest = row.iter().fold(0.0_f64, |a, x| a.max(x.abs()));
            let full = channel.range.map_or(largest, |r| r[1] - r[0]);
            let near = |a: f64, b: f64, n: f64| (a - b).abs() <= 1e-9 * full * n;
            for (at, value) in list(&want["at"]).iter().zip(list(&want["values"])) {
                let x = row.get(at.as_u64().unwrap() as usize).copied().unwrap_or(f64::NAN);
                check(near(x, number(value), 1.0), format!("{name}[{at}] = {x}, not {value}"));
            }
            let (low, high) = row.iter().fold((f64::MAX, f64::MIN), |(a, b), &x| (a.min(x), b.max(x)));
            check(
                near(low, number(&want["min"]), 1.0) && near(high, number(&want["max"]), 1.0),
                format!("{name}: extremes"),
            );
            check(near(sum(row), number(&want["sum"]), 1e-2 * row.len() as f64), format!("{name}: sum"));
            let weighted: Vec<f64> = row.iter().enumerate().map(|(i, x)| x * (i % 997) as f64).collect();
            check(near(sum(&weighted), number(&want["ramp"]), row.len() as f64), format!("{name}: order"));
        }
    }
    let main = recording.main_stream();
    if let Some(cut) = &recording.epoched {
        let around: Vec<&str> = cut.around.iter().map(|&name| recording.event_name(name)).collect();
        let want = &want["epochs"];
        check(want["first"] == cut.first && want["len"] == cut.len, format!("epochs {} {}", cut.first, cut.len));
        check(list(&want["around"]).iter().eq(around.iter()), format!("epochs around {around:?}"));
        check(main.segments.iter().all(|s| s.length == cut.len as u64), "epochs of other lengths".to_owned());
    } else {
        check(want["epochs"].is_null(), "not epoched".to_owned());
    }
    // BioSemi's triggers stand in the events too, by number.
    let triggers = list(&want["triggers"]);
    let is_trigger = |e: &&Event| !triggers.is_empty() && recording.event_name(e.name).parse::<u32>().is_ok();
    let found: Vec<String> = recording
        .events
        .iter()
        .filter(is_trigger)
        .map(|e| format!("[{},{}]", e.tick, recording.event_name(e.name)))
        .collect();
    check(
        found.iter().eq(triggers.iter().map(Value::to_string).collect::<Vec<_>>().iter()),
        format!("triggers {found:?}"),
    );
    let events: Vec<&Event> = recording.events.iter().filter(|e| !is_trigger(e)).collect();
    // MNE-Python puts the marker's type in front of its name and lists `New Segment`, which begins a segment here.
    let mne = want["reader"] == "mne";
    let notes: Vec<(f64, f64, &str)> = list(&want["annotations"])
        .iter()
        .map(|n| (number(&n[0]), number(&n[1]), n[2].as_str().unwrap()))
        .filter(|n| !n.2.starts_with("New Segment/"))
        .map(|(t, d, text)| (t, d, if mne { text.split_once('/').map_or(text, |x| x.1) } else { text }))
        .collect();
    // MNE-Python drops markers after the last sample; "nothing disappears" here.
    let events: Vec<&Event> = events.into_iter().filter(|e| !mne || main.segment_of(e.tick).is_some()).collect();
    check(notes.len() == events.len(), format!("{} events, not {}", events.len(), notes.len()));
    let sample = main.rate.seconds(1.0);
    for (event, note) in events.iter().zip(&notes) {
        let onset = main.seconds_at(event.tick) + main.rate.seconds(event.fraction);
        let name = recording.event_name(event.name);
        check((onset - note.0).abs() <= sample && name == note.2, format!("event {name:?} at {onset} s, not {note:?}"));
        check(
            (event.duration_s - note.1).abs() <= 1.001 * sample,
            format!("event {name:?} lasts {} s", event.duration_s),
        );
    }
    wrong
}

#[test]
fn real_recordings_read_as_by_their_peers() {
    let root = shared().join("data");
    let golden = golden();
    let files = golden["files"].as_object().unwrap();
    if !root.is_dir() {
        eprintln!("\nSKIPPED: no recordings at {}; set STIMKIT_SHARED\n", root.display());
        return;
    }
    let (mut failures, mut compared) = (Vec::new(), 0);
    for (file, want) in files {
        if !want["refused"].is_null() {
            continue;
        }
        let read = || -> stimkit::Result<_> {
            let mut source = open(&root.join(file), &OpenOptions::default())?;
            let sizes: Vec<usize> = source.recording().streams.iter().map(|s| s.channels.len()).collect();
            let mut rows = Vec::new();
            for (stream, channels) in sizes.into_iter().enumerate() {
                source.select(stream, &(0..channels).collect::<Vec<_>>())?;
                rows.push(read_all(&mut *source, channels, 1000)?);
            }
            Ok((source.recording().clone(), rows))
        };
        match read() {
            Err(error) => failures.push(format!("{file}: {error}")),
            Ok((recording, rows)) => {
                compared += 1;
                let wrong = differences(&recording, &rows, want);
                if !wrong.is_empty() {
                    let n = wrong.len();
                    failures.push(format!("{file}: {n}: {}", wrong[..n.min(6)].join("; ")));
                }
                if std::env::var_os("STIMKIT_VERBOSE").is_some() {
                    let segments = &recording.main_stream().segments;
                    eprintln!("{file}: {} {:?} {:?}", recording.format, recording.start, recording.warnings);
                    eprintln!("    {} segment(s), first {:?}", segments.len(), segments.first());
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} of {compared} files:\n{}", failures.len(), failures.join("\n"));
    assert!(compared >= 43, "{compared} files compared");
}

/// What no peer shows: MNE-Python and edfio join EDF+D's records, pyedflib refuses the file. The record times are the
/// file's own.
#[test]
fn gaps_are_where_the_record_times_say() {
    let path = shared().join("data/edf-edfReader/edfPlusD.edf");
    if !path.is_file() {
        eprintln!("\nSKIPPED: no recording at {}; set STIMKIT_SHARED\n", path.display());
        return;
    }
    let source = open(&path, &OpenOptions::default()).unwrap();
    let found: Vec<(f64, u64)> =
        source.recording().main_stream().segments.iter().map(|s| (s.start_s, s.length)).collect();
    // Records of 1 s at 0, 2, 4, 5, 6, 7, 8, 9, 12, 15 and 19 s.
    assert_eq!(found, [(0.0, 200), (2.0, 200), (4.0, 1200), (12.0, 200), (15.0, 200), (19.0, 200)]);
}

/// The stimulation recording: pulses by their names, in µV.
#[test]
fn pulses_of_a_stimulation_recording_are_listed_by_name() {
    let path = shared().join("data/mep-tmsemgkit/BrainVision/Example Data 1.vhdr");
    if !path.is_file() {
        eprintln!("\nSKIPPED: no recording at {}; set STIMKIT_SHARED\n", path.display());
        return;
    }
    let source = open(&path, &OpenOptions::default()).unwrap();
    let recording = source.recording();
    let of = |name: &str| -> Vec<i64> {
        recording.events.iter().filter(|e| recording.event_name(e.name) == name).map(|e| e.tick.0).collect()
    };
    let (pulses, after) = (of("S255"), of("S254"));
    assert_eq!((pulses.len(), after.len()), (20, 20));
    assert!(pulses.iter().zip(&after).all(|(a, b)| (51..=52).contains(&(b - a))));
    assert!(recording.is_stimulus("S255"));
    assert_eq!(recording.main_stream().rate.hz(), 5000.0);
}

/// hound's own test files and the findings of its fuzzer, against SciPy's values (`tests/reference/wav.py`) and hound's.
#[test]
fn hounds_files_hold_what_scipy_and_hound_read() {
    let folder = shared().join("data/wav-hound");
    if !folder.is_dir() {
        eprintln!("\nSKIPPED: no hound files at {}; set STIMKIT_SHARED\n", folder.display());
        return;
    }
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/wav.json");
    let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    let files = golden["hound_files"].as_object().unwrap();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), files.len());
    let mut read = 0;
    for (name, scipy) in files {
        let path = folder.join(name);
        let opened = stimkit::read::open(&path, &OpenOptions::default());
        let Some(want) = scipy["samples"].as_array() else {
            assert!(opened.is_err(), "{name}: SciPy says {}", scipy["error"]);
            continue;
        };
        let mut source = opened.unwrap_or_else(|e| panic!("{name}: {e}"));
        let stream = source.recording().main_stream().clone();
        assert_eq!(Some(stream.rate.hz()), scipy["rate"].as_f64(), "{name}");
        let rows = stimkit::flow::read_all(&mut *source, stream.channels.len(), 16).unwrap();
        let mut hound = hound::WavReader::open(&path).unwrap();
        let spec = hound.spec();
        let by_hound: Vec<f64> = match spec.sample_format {
            hound::SampleFormat::Float => hound.samples::<f32>().map(|x| f64::from(x.unwrap())).collect(),
            hound::SampleFormat::Int => {
                let one = f64::from(1_u32 << (spec.bits_per_sample - 1));
                hound.samples::<i32>().map(|x| f64::from(x.unwrap()) / one).collect()
            }
        };
        for (c, (row, want)) in rows.iter().zip(want).enumerate() {
            for (i, (x, want)) in row.iter().zip(want.as_array().unwrap()).enumerate() {
                assert_eq!(*x, by_hound[i * rows.len() + c], "{name}, channel {c}, sample {i}: hound");
                // SciPy takes 24 bits in 4 bytes to lie at the top, as the standard says; in these files they do not, and it gets
                // 1/256 of the value with a lost sign
                if !name.contains("24bit-4byte") {
                    assert_eq!(Some(*x), want.as_f64(), "{name}, channel {c}, sample {i}: SciPy");
                }
            }
            assert_eq!(row.len(), want.as_array().unwrap().len());
        }
        read += 1;
    }
    assert_eq!((read, files.len()), (16, 22));
}
