//! Hard case 12: WAV files as they are met, from the bytes to the table.

use super::*;
use crate::read::OpenOptions;
use std::f64::consts::TAU;

const RATE: u32 = 8000;
const N: usize = 40_000;
const HZ: f64 = 40.0;

fn chunk(id: &[u8; 4], size: u32, body: &[u8]) -> Vec<u8> {
    let mut all = [&id[..], &size.to_le_bytes(), body].concat();
    if body.len() % 2 == 1 {
        all.push(0);
    }
    all
}

/// `tag` 1: whole numbers, 3: floats; extensible with `valid` bits where they differ from the container's.
fn fmt(tag: u16, channels: u16, container: u16, valid: u16) -> Vec<u8> {
    let frame = channels * container / 8;
    let extensible = valid != container;
    let mut body = Vec::new();
    body.extend((if extensible { 0xFFFE } else { tag }).to_le_bytes());
    body.extend(channels.to_le_bytes());
    body.extend(RATE.to_le_bytes());
    body.extend((RATE * u32::from(frame)).to_le_bytes());
    body.extend(frame.to_le_bytes());
    body.extend(container.to_le_bytes());
    if extensible {
        body.extend(22_u16.to_le_bytes());
        body.extend(valid.to_le_bytes());
        body.extend(0_u32.to_le_bytes());
        body.extend(tag.to_le_bytes());
        body.extend(*b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xAA\x00\x38\x9B\x71");
    }
    chunk(b"fmt ", body.len() as u32, &body)
}

fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = chunks.concat();
    [&b"RIFF"[..], &(body.len() as u32 + 4).to_le_bytes(), b"WAVE", &body].concat()
}

fn rf64(chunks: &[Vec<u8>], data: u64) -> Vec<u8> {
    let body = chunks.concat();
    let mut ds64 = Vec::new();
    ds64.extend((body.len() as u64 + 40).to_le_bytes());
    ds64.extend(data.to_le_bytes());
    ds64.extend((data / 8).to_le_bytes());
    ds64.extend(0_u32.to_le_bytes());
    [&b"RF64"[..], &u32::MAX.to_le_bytes(), b"WAVE", &chunk(b"ds64", 28, &ds64), &body].concat()
}

fn sine(delay: f64) -> Vec<f64> {
    (0..N).map(|i| 0.5 * (TAU * HZ * (i as f64 - delay) / f64::from(RATE)).sin()).collect()
}

fn f64s(rows: &[Vec<f64>]) -> Vec<u8> {
    (0..rows[0].len()).flat_map(|i| rows.iter().flat_map(move |row| row[i].to_le_bytes())).collect()
}

fn i16s(rows: &[Vec<f64>]) -> Vec<u8> {
    let stored = |x: f64| ((x * 32_768.0).round() as i16).to_le_bytes();
    (0..rows[0].len()).flat_map(|i| rows.iter().flat_map(move |row| stored(row[i]))).collect()
}

fn data(body: &[u8]) -> Vec<u8> {
    chunk(b"data", body.len() as u32, body)
}

fn look(bytes: &[u8]) -> Result<Analysis> {
    let file = tempfile::Builder::new().suffix(".wav").tempfile().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    watch(file.path(), &Settings::default(), &Options::default())
}

/// The file's amplitude and frequency are those that were written, within the rounding of its numbers.
#[track_caller]
fn holds(bytes: &[u8], rounding: f64, warning: Option<&str>) -> Analysis {
    let analysis = look(bytes).unwrap();
    let table = &analysis.tables[0];
    let number = |column: &str| table.number(0, column).unwrap();
    assert!((number("amplitude") - 0.5).abs() < rounding, "{}", number("amplitude"));
    assert!((number("frequency_hz") / HZ - 1.0).abs() < 1e-6);
    assert_eq!(table.text(0, "kind"), Some("sine"));
    let codes: Vec<&str> = analysis.warnings.iter().map(|w| w.code).collect();
    assert_eq!(codes, warning.into_iter().collect::<Vec<_>>());
    analysis
}

#[test]
fn hard_case_12_wav_files_as_they_are_met() {
    let one = [sine(0.0)];
    let small = i16s(&one);
    let plain = fmt(1, 1, 16, 16);
    let step = 1.0 / 32_768.0;
    let odd = chunk(b"LIST", 5, b"INFOx");
    holds(&riff(&[plain.clone(), odd, data(&small)]), step, None);
    // 24 bits at the top of 32
    let wide: Vec<u8> = one[0].iter().flat_map(|x| (((x * 8_388_608.0).round() as i32) << 8).to_le_bytes()).collect();
    holds(&riff(&[fmt(1, 1, 32, 24), data(&wide)]), 1e-6, None);
    let large = f64s(&one);
    holds(&riff(&[fmt(3, 1, 64, 64), data(&large)]), 1e-9, None);
    let body = chunk(b"data", u32::MAX, &large);
    holds(&rf64(&[fmt(3, 1, 64, 64), body], large.len() as u64), 1e-9, None);
    holds(&riff(&[plain.clone(), chunk(b"data", u32::MAX, &small)]), step, Some("W_WAV_STREAMED"));
    let whole = riff(&[plain.clone(), data(&small)]);
    holds(&whole[..whole.len() - 4000], step, Some("W_WAV_TRUNCATED"));
    for (bytes, says) in [
        (riff(&[plain.clone(), data(&[])]), "no sample"),
        (riff(&[fmt(1, 0, 16, 16), data(&small)]), "channel"),
        (whole[..44].to_vec(), "no sample"),
        (whole[..30].to_vec(), "fmt"),
    ] {
        let error = look(&bytes).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn hard_case_12_offset_inverted_and_delayed_channels_in_a_file() {
    let left = sine(0.0);
    let inverted: Vec<f64> = left.iter().map(|x| -x).collect();
    let offset: Vec<f64> = left.iter().map(|x| x + 0.01).collect();
    let rows = [left, inverted, sine(0.3), offset];
    let analysis = holds(&riff(&[fmt(3, 4, 64, 64), data(&f64s(&rows))]), 1e-9, None);
    let phase = |row| analysis.tables[0].number(row, "phase_deg").unwrap();
    let cycle = 360.0 * 1e-6;
    assert!(phase(0) == 0.0 && (phase(1).abs() - 180.0).abs() < cycle);
    // and of the delay itself a millionth
    let delay = -360.0 * HZ * 0.3 / f64::from(RATE);
    assert!((phase(2) / delay - 1.0).abs() < 1e-6, "{}", phase(2));
    assert!((analysis.tables[0].number(3, "dc").unwrap() / 0.01 - 1.0).abs() < 1e-6);
    // in 16 bits with their rounding: a thousandth of a degree
    let analysis = look(&riff(&[fmt(1, 4, 16, 16), data(&i16s(&rows))])).unwrap();
    assert!((analysis.tables[0].number(2, "phase_deg").unwrap() - delay).abs() < 1e-3);
}

#[test]
fn an_amplitude_without_a_full_scale_asks_for_it() {
    let bytes = riff(&[fmt(3, 1, 64, 64), data(&f64s(&[sine(0.0)]))]);
    let file = tempfile::Builder::new().suffix(".wav").tempfile().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let settings = Settings { expect: Expectation::parse("40Hz,1mA").unwrap(), ..Settings::default() };
    let analysis = watch(file.path(), &settings, &Options::default()).unwrap();
    assert_eq!((analysis.tables[0].text(0, "verdict"), analysis.trials), (Some("doubtful"), (0, 1)));
    assert!(analysis.warnings.iter().any(|w| w.message.contains("--full-scale 2mA")), "{:?}", analysis.warnings);
    let open = OpenOptions { full_scale: Some("2mA".to_owned()), ..OpenOptions::default() };
    let analysis = watch(file.path(), &settings, &Options { open, ..Options::default() }).unwrap();
    assert_eq!((analysis.tables[0].text(0, "verdict"), analysis.warnings.len()), (Some("ok"), 0));
}

/// Every file of the shared corpora ends in a table or in an error: told kinds and protocols too.
#[test]
fn hard_case_12_no_file_panics() {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared");
    let shared = std::env::var_os("STIMKIT_SHARED").map_or_else(|| beside.into(), std::path::PathBuf::from);
    let folders = ["data/wav-hound", "malformed/cases/wav"].map(|f| shared.join(f));
    let mut seen = 0;
    for folder in folders {
        let Ok(files) = std::fs::read_dir(&folder) else {
            eprintln!("\nSKIPPED: no files at {}; set STIMKIT_SHARED\n", folder.display());
            continue;
        };
        for path in files.flatten().map(|f| f.path()).filter(|p| p.extension().is_some_and(|e| e == "wav")) {
            for kind in [None, Some(Kind::Am), Some(Kind::Ti), Some(Kind::Noise), Some(Kind::Dc)] {
                let open = OpenOptions { full_scale: Some("2mA".to_owned()), ..OpenOptions::default() };
                let options = Options { open, ..Options::default() };
                match watch(&path, &Settings { kind, ..Settings::default() }, &options) {
                    Ok(analysis) => assert!(!analysis.tables[0].is_empty(), "{}", path.display()),
                    Err(error) => assert!(!error.to_string().is_empty()),
                }
            }
            seen += 1;
        }
    }
    eprintln!("{seen} files");
}
