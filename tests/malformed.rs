//! Hostile and odd files: each is read right, read right with a warning, or refused; never anything else.
//!
//! The corpus lies beside the repository (`../shared/malformed`, or below `STIMKIT_SHARED`); without it this test says
//! so and ends. Nothing here knows a case by name: classes, facts and limits come from the manifest.
#![allow(unsafe_code)] // the counting allocator

#[path = "support/counting.rs"]
mod counting;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Instant;
use stimkit::flow::read_all;
use stimkit::read::{OpenOptions, open};
use stimkit::signal::{Channel, Recording};
use stimkit::unit::Unit;

#[global_allocator]
static COUNTING: counting::Counting = counting::Counting;

fn shared() -> PathBuf {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared");
    std::env::var_os("STIMKIT_SHARED").map_or_else(|| PathBuf::from(beside), PathBuf::from)
}

/// A file, read whole: per stream its samples.
struct Outcome {
    recording: Recording,
    rows: Vec<Vec<Vec<f64>>>,
}

fn read(path: &Path) -> stimkit::Result<Outcome> {
    let mut source = open(path, &OpenOptions::default())?;
    let sizes: Vec<usize> = source.recording().streams.iter().map(|s| s.channels.len()).collect();
    let mut rows = Vec::new();
    for (stream, channels) in sizes.into_iter().enumerate() {
        source.select(stream, &(0..channels).collect::<Vec<_>>())?;
        rows.push(read_all(&mut *source, channels, 500)?);
    }
    Ok(Outcome { recording: source.recording().clone(), rows })
}

impl Outcome {
    /// Row, rate and description of the channel at `place` in the file.
    fn at(&self, place: usize) -> Option<(&[f64], f64, &Channel)> {
        self.rows.iter().zip(&self.recording.streams).find_map(|(rows, stream)| {
            let at = stream.file_index.iter().position(|&i| i == place)?;
            Some((&*rows[at], stream.rate.hz(), &stream.channels[at]))
        })
    }

    fn places(&self) -> Vec<usize> {
        let mut places: Vec<usize> = self.recording.streams.iter().flat_map(|s| s.file_index.clone()).collect();
        places.sort_unstable();
        places
    }
}

fn near(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance
}

/// The value meant for channel `k`: one for all, or one each.
fn each(value: &Value, k: usize) -> Option<f64> {
    value.as_f64().or_else(|| value.get(k)?.as_f64())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn index(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

/// Everything in which `outcome` is not what the facts say.
fn disagreements(outcome: &Outcome, facts: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let places = outcome.places();
    let mut check = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    if let Some(n) = facts["n_channels"].as_u64() {
        check(places.len() as u64 == n, format!("{} channels, not {n}", places.len()));
    }
    if facts["labels"].is_array() {
        let names: Vec<&str> = places.iter().filter_map(|&p| Some(&*outcome.at(p)?.2.name)).collect();
        check(
            list(&facts["labels"]).map(|l| l.as_str().unwrap()).eq(names.iter().copied()),
            format!("labels {names:?}"),
        );
    }
    for (k, &place) in places.iter().enumerate() {
        let (row, hz, _) = outcome.at(place).unwrap();
        if let Some(want) = each(&facts["sfreq"], k) {
            check(near(hz, want, want * 1e-9), format!("channel {place}: {hz} Hz, not {want}"));
        }
        if let Some(want) = each(&facts["n_samples"], k) {
            check(row.len() as f64 == want, format!("channel {place}: {} samples, not {want}", row.len()));
        }
        if facts["n_samples_any"].is_array() {
            let known = list(&facts["n_samples_any"]).any(|n| index(n) == row.len());
            check(known, format!("channel {place}: {} samples", row.len()));
        }
    }
    for value in list(&facts["values"]) {
        let (place, sample, want) = (index(&value[0]), index(&value[1]), value[2].as_f64().unwrap());
        let Some((row, _, channel)) = outcome.at(place) else {
            check(false, format!("no channel {place}"));
            continue;
        };
        let volts = facts["unit_si"] == "V";
        check(!volts || channel.unit == Unit::Microvolt, format!("channel {place} in {}", channel.unit));
        let found = row.get(sample).map_or(f64::NAN, |x| if volts { x * 1e-6 } else { *x });
        let full = channel.range.map_or(0.0, |r| r[0].abs().max(r[1].abs())) * if volts { 1e-6 } else { 1.0 };
        // Where a case states its own tolerance, its samples are 32-bit floats of decimal numbers.
        let stated = facts["tol"].as_f64().unwrap_or(0.0);
        let tolerance = stated + 1e-9 * full.min(1e3 * want.abs()) + 1e-12 * want.abs();
        check(near(found, want, tolerance), format!("channel {place}, sample {sample}: {found}, not {want}"));
    }
    for at in list(&facts["nan_at"]) {
        let found = outcome.at(index(&at[0])).and_then(|(row, ..)| row.get(index(&at[1])).copied());
        check(found.is_some_and(|x| !x.is_finite()), format!("{at}: {found:?}, not NaN"));
    }
    for place in list(&facts["uncalibrated"]) {
        let channel = outcome.at(index(place)).map(|c| c.2);
        let raw = channel.is_some_and(|c| !c.calibrated && c.unit == Unit::None);
        check(raw, format!("channel {place} should be uncalibrated: {channel:?}"));
    }
    let main = outcome.recording.main_stream();
    if facts["segments"].is_array() {
        let found: Vec<(f64, u64)> = main.segments.iter().map(|s| (s.start_s, s.length)).collect();
        let same = list(&facts["segments"]).count() == found.len()
            && list(&facts["segments"]).zip(&found).all(|(want, found)| {
                near(want[0].as_f64().unwrap(), found.0, 1e-9) && want[1].as_u64() == Some(found.1)
            });
        check(same, format!("segments {found:?}"));
    } else if facts["n_samples"].is_number() {
        for pair in main.segments.windows(2) {
            let end = pair[0].start_s + main.rate.seconds(pair[0].length as f64);
            check(near(pair[1].start_s, end, 1e-9), format!("a gap where the facts have none: {pair:?}"));
        }
    }
    if facts["annotations"].is_array() {
        let events = &outcome.recording.events;
        check(list(&facts["annotations"]).count() == events.len(), format!("{} events", events.len()));
        for (want, event) in list(&facts["annotations"]).zip(events) {
            let onset = main.seconds_at(event.tick) + main.rate.seconds(event.fraction);
            let name = outcome.recording.event_name(event.name);
            let same = near(want[0].as_f64().unwrap(), onset, 1e-9)
                && near(want[1].as_f64().unwrap_or(0.0), event.duration_s, 1e-9)
                && want[2].as_str() == Some(name);
            check(same, format!("event {name:?} at {onset} s, not {want}"));
        }
    }
    for trigger in list(&facts["triggers"]) {
        let name = index(&trigger[1]).to_string();
        let found = outcome
            .recording
            .events
            .iter()
            .any(|e| Some(e.tick.0) == trigger[0].as_i64() && outcome.recording.event_name(e.name) == name);
        check(found, format!("no trigger {trigger}"));
    }
    let start = outcome.recording.start.as_deref().unwrap_or_default();
    if let Some(want) = facts["starttime"].as_str() {
        check(start == want, format!("start {start}"));
    }
    if let Some(want) = facts["start_subsecond"].as_f64() {
        let found: f64 = start.split_once('.').map_or(0.0, |(_, f)| format!("0.{f}").parse().unwrap());
        check(near(found, want, 1e-6), format!("start {start}"));
    }
    wrong
}

/// Which of the manifest's classes the file ended in, or what is wrong with how it was read.
fn class(result: &stimkit::Result<Outcome>, facts: &Value) -> Result<&'static str, Vec<String>> {
    let Ok(outcome) = result else { return Ok("must_error") };
    let wrong = disagreements(outcome, facts);
    match (wrong.is_empty(), outcome.recording.warnings.is_empty()) {
        (true, true) => Ok("must_read_ok"),
        (true, false) => Ok("must_read_with_warning"),
        (false, _) => Err(wrong),
    }
}

#[test]
fn every_case_ends_as_its_manifest_says() {
    let root = shared().join("malformed");
    let Ok(text) = std::fs::read(root.join("manifest.json")) else {
        eprintln!("\nSKIPPED: no corpus of malformed files at {}; set STIMKIT_SHARED\n", root.display());
        return;
    };
    let manifest: Value = serde_json::from_slice(&text).unwrap();
    let verbose = std::env::var_os("STIMKIT_VERBOSE").is_some();
    let mut failures = Vec::new();
    let mut passed = std::collections::BTreeMap::<String, u32>::new();
    for case in list(&manifest["cases"]) {
        if !matches!(case["format"].as_str(), Some("edf" | "bdf" | "brainvision" | "set" | "wav")) {
            continue;
        }
        let name = case["name"].as_str().unwrap();
        let path = root.join("cases").join(case["path"].as_str().unwrap());
        let started = Instant::now();
        let (result, peak) = counting::measure(|| std::panic::catch_unwind(|| read(&path)));
        let seconds = started.elapsed().as_secs_f64();
        let Ok(result) = result else {
            failures.push(format!("{name}: panicked"));
            continue;
        };
        if seconds > case["limits"]["seconds"].as_f64().unwrap_or(1.0) {
            failures.push(format!("{name}: took {seconds:.2} s"));
        }
        // The limit of the manifest is for a whole process; a reader needs the file's size and a few MB.
        if peak > 32 << 20 {
            failures.push(format!("{name}: took {peak} bytes of memory"));
        }
        let text = match &result {
            Err(error) => error.to_string(),
            Ok(outcome) => outcome.recording.warnings.iter().map(|w| format!("{w}; ")).collect(),
        };
        if verbose {
            eprintln!("{name}: {} {text}", if result.is_ok() { "read" } else { "ERROR" });
        }
        if text.chars().any(char::is_control) {
            failures.push(format!("{name}: control characters in {text:?}"));
        }
        let expected = case["expected"].as_str().unwrap();
        match class(&result, &case["facts"]) {
            Ok(class) if class == expected || list(&case["also_accept"]).any(|a| a == class) => {
                *passed.entry(format!("{} {expected}", case["format"].as_str().unwrap())).or_default() += 1;
            }
            Ok(class) => failures.push(format!("{name}: {class}, but {expected}: {text}")),
            Err(wrong) => failures.push(format!("{name}: {expected}, but {wrong:?}")),
        }
    }
    eprintln!("passed: {passed:#?}");
    assert!(failures.is_empty(), "{} cases:\n{}", failures.len(), failures.join("\n"));
}
