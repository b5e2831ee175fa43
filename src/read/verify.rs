//! A second opinion: decodes an EDF+C file again with the independent crate `edfplus` and compares.
//!
//! `edfplus` is sound for headers and samples of ordinary EDF+C files, and only for those; for anything else it can
//! panic, clip or lose annotations without a word. So a strict admission check comes first, and what it turns away is
//! "not checkable", never "confirmed".

use super::bytes::{FileStore, read_vec};
use super::{FileSource, OpenOptions, edf};
use crate::flow::Source;
use crate::signal::{Block, Recording};
use crate::unit::Unit;
use crate::{Error, Result};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// What the second decoder says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verification {
    /// Header and all samples agree to 10⁻⁹ of full scale.
    Confirmed {
        /// Samples compared, over all channels.
        samples: u64,
        /// Annotations compared; `None` where the second decoder is known not to read these.
        annotations: Option<u64>,
    },
    /// The two decoders disagree.
    Differs {
        /// Where and how.
        what: String,
    },
    /// The second decoder cannot judge this file.
    NotCheckable {
        /// Why.
        because: String,
    },
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Confirmed { samples, annotations: Some(n) } => {
                write!(f, "confirmed: {samples} samples and {n} annotations decoded twice, with the same result")
            }
            Self::Confirmed { samples, annotations: None } => {
                write!(f, "confirmed: {samples} samples decoded twice, with the same result (annotations not compared)")
            }
            Self::Differs { what } => write!(f, "differs: {what}"),
            Self::NotCheckable { because } => write!(f, "not checkable: {because}"),
        }
    }
}

/// Decodes the file at `path` with both decoders and compares.
///
/// # Errors
/// When the file cannot be opened by this crate's own reader, or not be read.
pub fn verify(path: &Path) -> Result<Verification> {
    let mut store = FileStore::open(path)?;
    let annotation_signals = match admit(&mut store)? {
        Ok(count) => count,
        Err(because) => return Ok(Verification::NotCheckable { because }),
    };
    let mut own = edf::open(Box::new(store), "", &OpenOptions::default())?;
    if let Some(warning) = own.recording().warnings.first() {
        let because = format!("it has a defect that the second decoder may not know: {warning}");
        return Ok(Verification::NotCheckable { because });
    }
    let opinion = catch_unwind(AssertUnwindSafe(|| compare(&mut own, path, annotation_signals == 1)));
    opinion.unwrap_or_else(|_| Ok(Verification::NotCheckable { because: "the second decoder gave up".to_owned() }))
}

/// How many annotation signals an ordinary EDF+C has, or why the file is nothing for `edfplus`.
fn admit(store: &mut FileStore) -> Result<std::result::Result<usize, String>> {
    let because = |text: &str| Ok(Err(text.to_owned()));
    let Ok(main) = read_vec(store, 0, 256) else { return because("the file is shorter than a header") };
    let plain = |bytes: &[u8]| bytes.iter().all(|b| (0x20..0x7F).contains(b));
    if !plain(&main) || main[0] != b'0' || !main[192..].starts_with(b"EDF+C") {
        return because("the second decoder reads EDF+C files in plain ASCII only");
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let whole = |bytes: &[u8]| text(bytes).parse::<i64>().ok();
    let number = |bytes: &[u8]| {
        let text = text(bytes);
        let digits = text.strip_prefix('-').unwrap_or(&text);
        let ordinary = digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.ends_with(|c: char| c.is_ascii_digit())
            && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if ordinary { text.parse::<f64>().ok().filter(|x| x.is_finite()) } else { None }
    };
    let (Some(count @ 1..=4096), Some(records @ 1..), Some(duration)) =
        (whole(&main[252..]), whole(&main[236..244]), number(&main[244..252]))
    else {
        return because("signals, records or record duration are not plain numbers");
    };
    let Ok(columns) = read_vec(store, 256, 256 * count.unsigned_abs()) else {
        return because("the file is shorter than its header");
    };
    if !plain(&columns) {
        return because("the signals are not described in plain ASCII");
    }
    let count = count as usize;
    let field = |before: usize, i: usize| &columns[count * before + 8 * i..][..8];
    let mut record_bytes = 0;
    for i in 0..count {
        let limits = (number(field(104, i)), number(field(112, i)), whole(field(120, i)), whole(field(128, i)));
        let scaled = match limits {
            (Some(pmin), Some(pmax), Some(dmin), Some(dmax)) => {
                pmin != pmax && dmin < dmax && dmin >= -32_768 && dmax <= 32_767
            }
            _ => false,
        };
        let Some(samples @ 1..=4_194_304) = whole(field(216, i)) else {
            return because("a signal has no or too many samples per record");
        };
        if !scaled {
            return because("a signal's limits are not plain numbers that make a scale");
        }
        record_bytes += 2 * samples;
    }
    let fits = record_bytes <= 64 << 20 && duration * 1e7 * (records as f64) < 9e18 && duration > 0.0;
    if !fits {
        return because("its records are larger or longer than the second decoder can count");
    }
    Ok(Ok((0..count).filter(|i| columns[16 * i..].starts_with(b"EDF Annotations ")).count()))
}

fn compare(own: &mut FileSource, path: &Path, annotations: bool) -> Result<Verification> {
    let recording = own.recording().clone();
    let mut other = match edfplus::EdfReader::open(path) {
        Ok(other) => other,
        Err(cause) => {
            let because = format!("the second decoder refuses it: {}", first_words(&cause.to_string()));
            return Ok(Verification::NotCheckable { because });
        }
    };
    if let Some(what) = compare_headers(&recording, other.header()) {
        return Ok(Verification::Differs { what });
    }
    let (mut compared, mut clipped) = (0_u64, 0_u64);
    for (k, stream) in recording.streams.iter().enumerate() {
        let channels: Vec<usize> = (0..stream.channels.len()).collect();
        own.select(k, &channels)?;
        let mut block = Block::new(channels.len(), 16_384);
        while own.read(&mut block)? {
            for (c, channel) in stream.channels.iter().enumerate() {
                let theirs = other.read_physical_samples(stream.file_index[c], block.len());
                let theirs = theirs.map_err(|e| Error::format(first_words(&e.to_string())).at_path(path))?;
                let signal = other.header().signals.get(stream.file_index[c]);
                let factor = signal.map_or(1.0, |s| Unit::parse(&s.physical_dimension).1);
                let [low, high] = channel.range.unwrap_or([f64::MIN, f64::MAX]);
                for s in 0..block.len() {
                    let ours = block.get(c, s);
                    // The second decoder clips to the stated limits.
                    clipped += u64::from(ours < low || ours > high);
                    let theirs = theirs.get(s).map_or(f64::NAN, |x| x * factor);
                    let apart = (ours.clamp(low, high) - theirs).abs();
                    if apart.is_nan() || apart > 1e-9 * (high - low) {
                        let what =
                            format!("channel {}, sample {}: {ours} against {theirs}", c + 1, block.first() + s as i64);
                        return Ok(Verification::Differs { what });
                    }
                }
                compared += block.len() as u64;
            }
        }
    }
    if clipped > 0 {
        let because = format!("{clipped} sample(s) lie outside the stated limits, where the second decoder clips");
        return Ok(Verification::NotCheckable { because });
    }
    let annotations = if annotations { compare_annotations(&recording, other.annotations()) } else { Ok(None) };
    Ok(match annotations {
        Err(what) => Verification::Differs { what },
        Ok(annotations) => Verification::Confirmed { samples: compared, annotations },
    })
}

fn compare_headers(recording: &Recording, other: &edfplus::EdfHeader) -> Option<String> {
    let channels: usize = recording.streams.iter().map(|s| s.channels.len()).sum();
    if other.signals.len() != channels {
        return Some(format!("{channels} channels against {}", other.signals.len()));
    }
    for stream in &recording.streams {
        for (channel, &place) in stream.channels.iter().zip(&stream.file_index) {
            let signal = other.signals.get(place)?;
            if signal.label.trim() != channel.name || signal.samples_in_file.unsigned_abs() != stream.len() {
                return Some(format!("label or number of samples of channel {}", place + 1));
            }
        }
    }
    None
}

/// How many annotations agree; `None` where `edfplus` 0.1 is known to lose or shift them (as it does, too, where there
/// are several annotation signals): shared onsets, onsets on a
/// record's start (shared with the time-keeping), onsets before the start, a start between two seconds.
fn compare_annotations(recording: &Recording, other: &[edfplus::Annotation]) -> Result<Option<u64>, String> {
    let main = recording.main_stream();
    let onset = |e: &crate::signal::Event| main.seconds_at(e.tick) + main.rate.seconds(e.fraction);
    let onsets: Vec<f64> = recording.events.iter().map(onset).collect();
    let odd = |t: f64| t < 0.0 || t.fract() < 1e-9;
    let shared = onsets.windows(2).any(|pair| pair[1] - pair[0] < 1e-7);
    let between = recording.start.as_deref().is_none_or(|start| start.contains('.'));
    if shared || between || onsets.iter().any(|&t| odd(t)) {
        return Ok(None);
    }
    let mut theirs: Vec<(i64, &str)> = other.iter().map(|a| (a.onset, a.description.trim())).collect();
    theirs.sort_by_key(|a| a.0);
    if theirs.len() != onsets.len() {
        return Err(format!("{} annotations against {}", onsets.len(), theirs.len()));
    }
    for ((event, onset), (at, text)) in recording.events.iter().zip(&onsets).zip(theirs) {
        // They cut onsets to 100 ns.
        if (at as f64 * 1e-7 - onset).abs() > 2e-7 || text != recording.event_name(event.name) {
            return Err(format!("an annotation at {onset} s"));
        }
    }
    Ok(Some(onsets.len() as u64))
}

/// An error text of another crate, without anything that the file could have put into it.
fn first_words(text: &str) -> String {
    text.split([':', '\'', '"']).next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// An EDF+C of one 16-bit signal and one annotation signal, two records.
    fn file(tal: &[u8], change: impl Fn(&mut Vec<u8>)) -> tempfile::NamedTempFile {
        let mut bytes = Vec::new();
        let mut put = |text: &str, n: usize| bytes.extend(format!("{text:<n$}").into_bytes());
        let main = [("0", 8), ("X X X X", 80), ("Startdate 02-MAR-2020 X X X", 80), ("02.03.20", 8), ("10.11.12", 8)];
        main.iter().chain(&[("768", 8), ("EDF+C", 44), ("2", 8), ("1", 8), ("2", 4)]).for_each(|&(t, n)| put(t, n));
        let columns = [
            (["Fz", "EDF Annotations"], 16),
            (["", ""], 80),
            (["uV", ""], 8),
            (["-100", "-1"], 8),
            (["100", "1"], 8),
            (["-32768", "-32768"], 8),
            (["32767", "32767"], 8),
            (["", ""], 80),
            (["8", "20"], 8),
            (["", ""], 32),
        ];
        columns.iter().flat_map(|(t, n)| t.map(|t| (t, *n))).for_each(|(t, n)| put(t, n));
        for record in 0..2_i16 {
            (0..8).for_each(|i| bytes.extend((i * 1111 - record * 3000).to_le_bytes()));
            let mut notes = format!("+{record}\u{14}\u{14}\0").into_bytes();
            notes.extend(if record == 0 { tal } else { &[] });
            notes.resize(40, 0);
            bytes.extend(notes);
        }
        change(&mut bytes);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        file
    }

    #[test]
    fn an_ordinary_file_is_confirmed() {
        let good = file(b"+0.25\x14TMS\x14\0", |_| {});
        assert_eq!(verify(good.path()).unwrap(), Verification::Confirmed { samples: 16, annotations: Some(1) });
        let shared = file(b"+0.25\x14TMS\x14Cz\x14\0", |_| {});
        assert_eq!(verify(shared.path()).unwrap(), Verification::Confirmed { samples: 16, annotations: None });
    }

    #[test]
    fn what_the_second_decoder_cannot_judge_is_said_so() {
        for change in [
            |b: &mut Vec<u8>| b[192..197].copy_from_slice(b"EDF+D"),
            |b: &mut Vec<u8>| b[20] = 0xB5,
            |b: &mut Vec<u8>| b.truncate(b.len() - 3),
            |b: &mut Vec<u8>| b[236..238].copy_from_slice(b"-1"),
        ] {
            let found = verify(file(b"", change).path()).unwrap();
            assert!(matches!(found, Verification::NotCheckable { .. }), "{found}");
        }
    }
}
