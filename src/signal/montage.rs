//! What a label says: which kind of channel it is, and where its electrode sits.
//!
//! Positions are those of the 10-05 system (Oostenveld & Praamstra 2001, 10.1016/S1388-2457(00)00527-7; its reading
//! follows Jurcak et al. 2007, 10.1016/j.neuroimage.2006.09.024), constructed on the unit sphere, not measured on a
//! head. Nasion to inion over Cz is an arc of 225°, so 10 % are 22.5° and the ring Fpz–T7–Oz–T8 is the equator; the
//! nasion's and the ears' ring lies 22.5° below it. Each row is the circle through its two ring electrodes and its
//! midline electrode, divided into equal parts. A median 2.4° (95 %: 6.5°) lies between this and the measured
//! `standard_1005` montage of MNE-Python about the centre of its best-fitting sphere.

use super::ChannelKind;
use crate::unit::Unit;
use std::f64::consts::PI;

/// 10 % of the arc from nasion to inion, and of the arc from ear to ear.
const STEP: f64 = PI / 8.0;

/// Rows of the 10-05 system from nasion to inion, 5 % apart: (on the cap's crown, at its sides).
const ROWS: [(&str, &str); 21] = [
    ("N", "N"),
    ("NFP", "NFP"),
    ("FP", "FP"),
    ("AFP", "AFP"),
    ("AF", "AF"),
    ("AFF", "AFF"),
    ("F", "F"),
    ("FFC", "FFT"),
    ("FC", "FT"),
    ("FCC", "FTT"),
    ("C", "T"),
    ("CCP", "TTP"),
    ("CP", "TP"),
    ("CPP", "TPP"),
    ("P", "P"),
    ("PPO", "PPO"),
    ("PO", "PO"),
    ("POO", "POO"),
    ("O", "O"),
    ("OI", "OI"),
    ("I", "I"),
];

/// The unit vector (x right, y nasion, z up) of the electrode a label names, `None` where it names none.
///
/// Any case; a prefix `EEG`, a reference (`F3-REF`, `F3-A2`, `Fp1-LE`), a number after an underscore and trailing dots
/// are looked through. A derivation between two scalp electrodes (`F3-C3`) has no one place. Known besides the 345
/// labels of the 10-05 system: T3 T4 T5 T6 (now T7 T8 P7 P8), T1 T2 (now FT9 FT10), the ear lobes A1 A2 and the
/// mastoids M1 M2 (5 % below the ears' ring, under T9 and TP9).
pub fn position_of(label: &str) -> Option<[f64; 3]> {
    let label = Label::parse(label);
    let place = place(label.electrode)?;
    if label.reference.is_some_and(is_scalp) { None } else { Some(place) }
}

/// All 345 labels of the 10-05 system, row after row from nasion to inion, each row from left to right.
pub fn labels() -> Vec<String> {
    let mut labels = Vec::with_capacity(345);
    for (row, (crown, edge)) in ROWS.iter().enumerate() {
        let row_name = |column: i32| if column.abs() > 6 { edge } else { crown }.replace("FP", "Fp");
        // half columns from the midline, negative on the left: 10 are five columns
        let last: i32 = if (3..18).contains(&row) { 10 } else { 2 };
        for column in -last..=last {
            let half = if column % 2 == 0 { "" } else { "h" };
            let number = (column.abs() + 1) / 2 * 2 - i32::from(column < 0);
            let column_name = if column == 0 { "z".to_owned() } else { format!("{number}{half}") };
            labels.push(row_name(column) + &column_name);
        }
    }
    labels
}

/// What a channel measures, judged by its own label and unit alone; [`settle`] sees the whole recording and knows more.
///
/// EEG is a label of the 10-05 system (mastoids and ear lobes included: they are scalp-side electrodes that a
/// reference may be built from), an explicit prefix `EEG`, or `E` and a number above 2 (E1 and E2 alone are the eye
/// electrodes of a sleep montage), in a unit that can be a voltage. Words for eyes, heart, muscle, trigger, stimulation
/// or a sensor win over all of these (`EEG EKG1-REF` is an ECG). What is not known is [`ChannelKind::Misc`].
pub fn kind_of(label: &str, unit: &Unit) -> ChannelKind {
    let parsed = Label::parse(label);
    if *unit == Unit::Milliampere {
        return ChannelKind::Stim;
    }
    if let Some(kind) = kind_of_words(parsed.words) {
        return kind;
    }
    let eeg = parsed.says_eeg || place(parsed.electrode).is_some() || numbered(parsed.electrode, 'E').is_some();
    if eeg && may_be_voltage(unit) { ChannelKind::Eeg } else { ChannelKind::Misc }
}

/// Kind and place of every channel of a recording: as [`kind_of`] and [`position_of`], and with what only the whole
/// list of labels can tell:
///
/// * a BioSemi grid (A1, A2, A3, … and no label like Fz or Fp1): A1–H32 are EEG without a place;
/// * a numbered net (E3 or higher is there): E1 and E2 are EEG too;
/// * a common scalp reference (at least three channels `…-Cz`, and most derivations): their places are known.
pub fn settle(labels: &[(String, Unit)]) -> Vec<(ChannelKind, Option<[f64; 3]>)> {
    let parsed: Vec<_> = labels.iter().map(|(label, _)| Label::parse(label)).collect();
    let grid = is_grid(&parsed);
    let net = parsed.iter().any(|l| numbered(l.electrode, 'E').is_some_and(|n| n > 2));
    let common = common_reference(&parsed);
    let one = |((label, unit), parsed): (&(String, Unit), &Label<'_>)| {
        if may_be_voltage(unit) {
            if grid && grid_place(parsed.electrode).is_some() {
                return (ChannelKind::Eeg, None);
            }
            if net && numbered(parsed.electrode, 'E').is_some() {
                return (ChannelKind::Eeg, None);
            }
        }
        let kind = kind_of(label, unit);
        let place = match (kind, parsed.reference, common) {
            (ChannelKind::Eeg, Some(reference), Some(common)) if reference.eq_ignore_ascii_case(common) => {
                place(parsed.electrode)
            }
            (ChannelKind::Eeg, ..) => position_of(label),
            _ => None,
        };
        (kind, place)
    };
    labels.iter().zip(&parsed).map(one).collect()
}

/// `EEG F3_1-REF` taken apart.
struct Label<'a> {
    /// Whether it begins with the word EEG.
    says_eeg: bool,
    /// Everything after that word.
    words: &'a str,
    /// What stands before the first hyphen, slash or colon.
    electrode: &'a str,
    /// What stands after it, unless it is only a number that tells repeated labels apart.
    reference: Option<&'a str>,
}

impl<'a> Label<'a> {
    fn parse(label: &'a str) -> Self {
        let bare = |text: &'a str| text.trim_matches(|c: char| c.is_whitespace() || c == '\0' || c == '.');
        let label = bare(label);
        let rest = label.get(..3).filter(|p| p.eq_ignore_ascii_case("EEG")).and_then(|_| label.get(3..));
        let rest = rest.map(|r| r.trim_start_matches(|c: char| c.is_whitespace() || "-_:.".contains(c)));
        let words = rest.unwrap_or(label);
        let mut halves = words.splitn(2, ['-', '/', ':']);
        let electrode = bare(halves.next().unwrap_or(""));
        let electrode = match electrode.rsplit_once('_') {
            Some((name, number)) if !name.is_empty() && is_number(number) => name,
            _ => electrode,
        };
        let reference = halves.next().map(bare).filter(|r| !r.is_empty() && !is_number(r));
        Self { says_eeg: rest.is_some(), words, electrode, reference }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// The number after a letter, from 1: `numbered("E12", 'E')` is 12.
fn numbered(label: &str, letter: char) -> Option<u32> {
    let digits = label.strip_prefix([letter, letter.to_ascii_lowercase()])?.trim_start();
    if !is_number(digits) {
        return None;
    }
    digits.parse().ok().filter(|&n| n > 0)
}

/// Whether a reference is an electrode on the scalp, so that the derivation is bipolar.
fn is_scalp(reference: &str) -> bool {
    let ear = matches!(reference.to_ascii_uppercase().as_str(), "A1" | "A2" | "M1" | "M2");
    !ear && place(Label::parse(reference).electrode).is_some()
}

/// A scalp electrode that at least three derivations and most of all derivations share.
fn common_reference<'a>(labels: &[Label<'a>]) -> Option<&'a str> {
    let bipolar = |l: &&Label<'a>| place(l.electrode).is_some() && l.reference.is_some_and(is_scalp);
    let references: Vec<&str> = labels.iter().filter(bipolar).filter_map(|l| l.reference).collect();
    let count = |r: &str| references.iter().filter(|other| other.eq_ignore_ascii_case(r)).count();
    let most = references.iter().copied().max_by_key(|r| count(r))?;
    (count(most) >= 3 && 2 * count(most) > references.len()).then_some(most)
}

/// A place of BioSemi's grid, A1–H32.
fn grid_place(label: &str) -> Option<(char, u32)> {
    let letter = label.chars().next()?.to_ascii_uppercase();
    ('A'..='H').contains(&letter).then(|| numbered(label, letter)).flatten().filter(|&n| n <= 32).map(|n| (letter, n))
}

fn is_grid(labels: &[Label<'_>]) -> bool {
    let rows = labels.iter().filter_map(|l| grid_place(l.electrode)).filter(|&(letter, n)| letter == 'A' && n > 2);
    // C3 or F4 could be either; Fz, Fp1 and T7 could not
    let cap = labels.iter().filter(|l| grid_place(l.electrode).is_none() && place(l.electrode).is_some());
    rows.count() >= 6 && cap.count() == 0
}

/// Whether an EEG could be given in this unit: a voltage, or nothing (many files leave it out).
fn may_be_voltage(unit: &Unit) -> bool {
    match unit {
        Unit::Microvolt | Unit::None => true,
        Unit::Milliampere => false,
        Unit::Other(text) => {
            let text = text.to_ascii_lowercase();
            text.contains("volt") || text.trim_end_matches('.').ends_with('v')
        }
    }
}

/// Muscles and body parts that an EMG is named after, with or without a side (`LFDI`, `FDI_R`).
const MUSCLES: [&str; 22] = [
    "FDI",
    "APB",
    "ADM",
    "ADQ",
    "ECR",
    "FCR",
    "ECU",
    "FCU",
    "EDC",
    "FDS",
    "FDP",
    "TA",
    "TIB",
    "TIBIALIS",
    "BICEPS",
    "TRICEPS",
    "DELTOID",
    "MASSETER",
    "SUBMENTAL",
    "CHIN",
    "LEG",
    "MENTALIS",
];
const EYES: [&str; 13] = ["LOC", "ROC", "VEO", "HEO", "IO", "IO1", "IO2", "SO1", "SO2", "LO1", "LO2", "E1", "E2"];
const TRIGGERS: [&str; 18] = [
    "STI",
    "STIM",
    "STATUS",
    "TRIG",
    "TRIGGER",
    "TRIGGERS",
    "TTL",
    "DIN",
    "DIGITAL",
    "EVENT",
    "EVENTS",
    "MARKER",
    "MARKERS",
    "MRK",
    "SYNC",
    "COUNTER",
    "SAMPLECOUNTER",
    "BUTTON",
];
const STIMULATION: [&str; 7] = ["TACS", "TDCS", "TES", "TRNS", "TMS", "CURRENT", "STIMULATOR"];
const SENSORS: [&str; 30] = [
    "RESP",
    "RESPIRATION",
    "AIRFLOW",
    "FLOW",
    "SNORE",
    "THORAX",
    "THO",
    "ABDOMEN",
    "ABD",
    "SPO",
    "SAO",
    "OSAT",
    "PLETH",
    "PULSE",
    "PPG",
    "HR",
    "TEMP",
    "GSR",
    "EDA",
    "SCR",
    "PHOTIC",
    "LIGHT",
    "SOUND",
    "AUDIO",
    "MIC",
    "ACC",
    "GYRO",
    "IBI",
    "DC",
    "AUX",
];

/// What the words of a label say, where they say something other than EEG.
fn kind_of_words(label: &str) -> Option<ChannelKind> {
    let upper = label.to_ascii_uppercase();
    // the words and, without the numbers behind them, their stems
    let words = || upper.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    let stems = || words().map(|w| w.trim_end_matches(|c: char| c.is_ascii_digit()));
    let either = |list: &[&str]| words().any(|w| list.contains(&w)) || stems().any(|w| list.contains(&w));
    let sided = |w: &str| {
        let inner = [w.strip_prefix(['L', 'R']), w.strip_suffix(['L', 'R'])];
        MUSCLES.contains(&w) || inner.into_iter().flatten().any(|w| MUSCLES.contains(&w))
    };
    // the reference of an EEG channel is no word about it: E1 in `F3-E1` is not what is measured
    let eye = || upper.contains("EOG") || words().next().is_some_and(|w| EYES.contains(&w));
    match () {
        () if eye() => Some(ChannelKind::Eog),
        () if upper.contains("ECG") || upper.contains("EKG") => Some(ChannelKind::Ecg),
        () if upper.contains("EMG") || stems().any(sided) => Some(ChannelKind::Emg),
        () if either(&TRIGGERS) => Some(ChannelKind::Trigger),
        () if either(&STIMULATION) => Some(ChannelKind::Stim),
        () if either(&SENSORS) => Some(ChannelKind::Misc),
        () => None,
    }
}

/// Where an electrode sits: a label of the 10-05 system or one of its aliases.
fn place(electrode: &str) -> Option<[f64; 3]> {
    let upper = electrode.to_ascii_uppercase();
    let name = match upper.as_str() {
        "T3" => "T7",
        "T4" => "T8",
        "T5" => "P7",
        "T6" => "P8",
        "T1" => "FT9",
        "T2" => "FT10",
        "A1" => return Some(on_ring(5.5, 0.5, -1.0)),
        "A2" => return Some(on_ring(5.5, 0.5, 1.0)),
        "M1" => return Some(on_ring(5.5, 0.6, -1.0)),
        "M2" => return Some(on_ring(5.5, 0.6, 1.0)),
        other => other,
    };
    let letters = name.find(|c: char| c.is_ascii_digit()).unwrap_or(name.len().saturating_sub(1));
    let (row, column) = name.split_at_checked(letters)?;
    let (side, column) = column_of(column)?;
    let row = ROWS.iter().position(|&(crown, edge)| row == if column > 3.0 { edge } else { crown })?;
    ten_five(row, side, column)
}

/// A label's column: side (−1 left, 0 midline, 1 right) and number of 10-10 columns from the midline:
/// z 0, 1h 0.5, 1 1, 3h 1.5, …, 9 5.
fn column_of(text: &str) -> Option<(f64, f64)> {
    if text == "Z" {
        return Some((0.0, 0.0));
    }
    let (number, half) = text.strip_suffix('H').map_or((text, 0.0), |number| (number, 0.5));
    let number = if is_number(number) && !number.starts_with('0') { number.parse::<u8>().ok()? } else { return None };
    let side = if number % 2 == 1 { -1.0 } else { 1.0 };
    (number <= 10).then(|| (side, f64::from(number.div_ceil(2)) - half))
}

/// The place of row `row` (5 % each from the nasion) and column `column`; `None` where the system has no such electrode.
fn ten_five(row: usize, side: f64, column: f64) -> Option<[f64; 3]> {
    let along = 0.05 * row as f64;
    let midline = STEP * (5.0 - 10.0 * along);
    let crown = [0.0, midline.sin(), midline.cos()];
    if column == 0.0 {
        return Some(crown);
    }
    // the rows in front of AFp and behind POO are the rings themselves
    if row <= 2 || row >= 18 {
        let rows_outside = if row <= 2 { 2 - row } else { row - 18 };
        let from_front = if row <= 2 { 0.1 * column } else { 1.0 - 0.1 * column };
        return (column <= 1.0).then(|| on_ring(4.0 + 0.5 * rows_outside as f64, from_front, side));
    }
    if column >= 4.0 {
        return Some(on_ring(column, along, side));
    }
    // the circle through the ring electrodes on both sides and the midline electrode: its plane holds the x axis'
    // direction, so its normal lies in the midline plane
    let edge = on_ring(4.0, along, 1.0);
    let (dy, dz) = (edge[1] - crown[1], edge[2] - crown[2]);
    let length = dy.hypot(dz);
    let normal = [-dz / length, dy / length];
    let height = normal[0] * crown[1] + normal[1] * crown[2];
    let centre = [height * normal[0], height * normal[1]];
    let up = [crown[1] - centre[0], crown[2] - centre[1]];
    let radius = up[0].hypot(up[1]);
    let toward = ((edge[1] - centre[0]) * up[0] + (edge[2] - centre[1]) * up[1]) / radius;
    let (sin, cos) = (edge[0].atan2(toward) * column / 4.0).sin_cos();
    Some([side * radius * sin, centre[0] + up[0] * cos, centre[1] + up[1] * cos])
}

/// The point `steps` of 10 % below Cz, `from_front` of the way along its ring from the front to the back.
fn on_ring(steps: f64, from_front: f64, side: f64) -> [f64; 3] {
    let (sin, cos) = (steps * STEP).sin_cos();
    let azimuth = PI * from_front;
    [side * sin * azimuth.sin(), sin * azimuth.cos(), cos]
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{Matrix3, Vector3};
    use std::collections::HashSet;

    fn angle(a: [f64; 3], b: [f64; 3]) -> f64 {
        Vector3::from(a).angle(&Vector3::from(b)).to_degrees()
    }

    #[test]
    fn the_system_has_345_places_all_apart_on_the_unit_sphere() {
        let labels = labels();
        for known in ["Fp1", "AFp10h", "FCC5h", "FTT7h", "T7", "TP9", "CPPz", "OI2h", "Nz"] {
            assert!(labels.contains(&known.to_owned()), "{known}");
        }
        assert_eq!(labels.iter().collect::<HashSet<_>>().len(), 345);
        let places: Vec<_> = labels.iter().map(|l| position_of(l).unwrap_or_else(|| panic!("{l}"))).collect();
        for (i, a) in places.iter().enumerate() {
            assert!((Vector3::from(*a).norm() - 1.0).abs() < 1e-14, "{}", labels[i]);
            for b in &places[..i] {
                assert!(angle(*a, *b) > 2.5, "{}", labels[i]);
            }
        }
    }

    #[test]
    fn landmarks_lie_where_the_construction_puts_them() {
        let near = |label: &str, want: [f64; 3]| assert!(angle(position_of(label).unwrap(), want) < 1e-5, "{label}");
        near("Cz", [0.0, 0.0, 1.0]);
        near("Fpz", [0.0, 1.0, 0.0]);
        near("T8", [1.0, 0.0, 0.0]);
        near("C3", [-(PI / 4.0).sin(), 0.0, (PI / 4.0).cos()]);
        near("Nz", [0.0, (PI / 8.0).cos(), -(PI / 8.0).sin()]);
        near("Fp1", [-(PI / 10.0).sin(), (PI / 10.0).cos(), 0.0]);
        // left and right mirror each other, neighbours in a row are equally far apart
        let (f3, f4) = (position_of("F3").unwrap(), position_of("F4").unwrap());
        near("F4", [-f3[0], f3[1], f3[2]]);
        assert!((angle(f4, position_of("F2").unwrap()) - angle(f4, position_of("F6").unwrap())).abs() < 1e-9);
    }

    #[test]
    fn spellings_name_the_same_electrode() {
        let f3 = position_of("F3");
        for label in ["f3", " F3 ", "EEG F3", "EEG F3-REF", "F3-A2", "F3:M2", "F3-LE", "F3_1", "F3..", "EEGF3", "F3-0"]
        {
            assert_eq!(position_of(label), f3, "{label}");
        }
        assert_eq!(position_of("T3"), position_of("T7"));
        assert_eq!(position_of("EEG T6-LE"), position_of("P8"));
        for label in
            ["F3-C3", "Fp1-F7", "FT3", "C7", "Tz", "F11", "Fp3", "F0", "F03", "", "E", "EEG 001", "CB1", "é1", "Ω"]
        {
            assert_eq!(position_of(label), None, "{label}");
        }
    }

    /// Angles to a measured head after the best rotation (Kabsch).
    #[test]
    fn the_construction_stays_close_to_a_measured_head() {
        let text =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/montage.json")).unwrap();
        let golden: serde_json::Value = serde_json::from_str(&text).unwrap();
        let pairs: Vec<(String, Vector3<f64>, Vector3<f64>)> = golden["direction"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, v)| {
                let theirs = Vector3::from_iterator(v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()));
                (name.clone(), Vector3::from(position_of(name).unwrap_or_else(|| panic!("{name}"))), theirs)
            })
            .collect();
        assert_eq!(pairs.len(), 343);
        let covariance: Matrix3<f64> = pairs.iter().map(|(_, ours, theirs)| ours * theirs.transpose()).sum();
        let svd = covariance.svd(true, true);
        let rotation = svd.u.unwrap() * svd.v_t.unwrap();
        assert!(rotation.determinant() > 0.0);
        let mut angles: Vec<f64> = Vec::new();
        for (name, ours, theirs) in &pairs {
            let degrees = ours.angle(&(rotation * theirs)).to_degrees();
            assert!(degrees < 8.0, "{name}: {degrees}°");
            angles.push(degrees);
        }
        angles.sort_by(f64::total_cmp);
        assert!(angles[angles.len() / 2] < 2.6, "median {}°", angles[angles.len() / 2]);
        assert!(angles[angles.len() * 95 / 100] < 6.8, "95 % {}°", angles[angles.len() * 95 / 100]);
    }

    fn kinds(labels: &[&str]) -> Vec<ChannelKind> {
        let labels: Vec<_> = labels.iter().map(|l| ((*l).to_owned(), Unit::Microvolt)).collect();
        settle(&labels).into_iter().map(|(kind, _)| kind).collect()
    }

    #[test]
    fn words_decide_the_kind() {
        use ChannelKind::*;
        for (label, kind) in [
            ("Fp1", Eeg),
            ("EEG 001", Eeg),
            ("EEG", Eeg),
            ("Fpz-Cz", Eeg),
            ("EEG Fpz-Cz", Eeg),
            ("M1", Eeg),
            ("A2", Eeg),
            ("E17", Eeg),
            ("TP9", Eeg),
            ("E1", Eog),
            ("E2-M2", Eog),
            ("VEOG", Eog),
            ("HEOG-L", Eog),
            ("EOG horizontal", Eog),
            ("EEG ROC-REF", Eog),
            ("LOC-A2", Eog),
            ("EEG EKG1-REF", Ecg),
            ("ECG", Ecg),
            ("EMG submental", Emg),
            ("LECR", Emg),
            ("LFDI", Emg),
            ("RECR", Emg),
            ("RFDI", Emg),
            ("FDI_L", Emg),
            ("APB1", Emg),
            ("Chin 1-Chin 2", Emg),
            ("Leg/L", Emg),
            ("Status", Trigger),
            ("STI 014", Trigger),
            ("TRIG", Trigger),
            ("Event marker", Trigger),
            ("SampleCounter", Trigger),
            ("tACS monitor", Stim),
            ("Resp oro-nasal", Misc),
            ("SpO2", Misc),
            ("EXG3", Misc),
            ("PHOTIC-REF", Misc),
            ("EEG PHOTIC-REF", Misc),
            ("DC07", Misc),
            ("unknown", Misc),
            ("", Misc),
            ("AUX1", Misc),
            ("A7", Misc),
            ("Ch12", Misc),
            ("F3-E1", Eeg),
        ] {
            assert_eq!(kind_of(label, &Unit::Microvolt), kind, "{label}");
        }
        assert_eq!(kind_of("O2", &Unit::Other("%".into())), Misc);
        assert_eq!(kind_of("O2", &Unit::Other("uVolt".into())), Eeg);
        assert_eq!(kind_of("O2", &Unit::None), Eeg);
        assert_eq!(kind_of("I1", &Unit::Milliampere), Stim);
    }

    #[test]
    fn the_whole_recording_decides_what_one_label_cannot() {
        use ChannelKind::*;
        // ear lobes beside a cap; the eye electrodes of a sleep montage; a numbered net
        assert_eq!(kinds(&["Fp1", "A1", "A2", "A7"]), [Eeg, Eeg, Eeg, Misc]);
        assert_eq!(kinds(&["C3-M2", "E1-M2", "E2-M2"]), [Eeg, Eog, Eog]);
        assert_eq!(kinds(&["E1", "E2", "E3"]), [Eeg, Eeg, Eeg]);
        // a BioSemi grid: C3 is a place of the grid, not of the 10-20 system
        let mut grid: Vec<String> =
            ["A", "B", "C", "D"].iter().flat_map(|l| (1..=32).map(move |n| format!("{l}{n}"))).collect();
        grid.extend(["EXG1".to_owned(), "Status".to_owned()]);
        let settled = settle(&grid.iter().map(|l| (l.clone(), Unit::Microvolt)).collect::<Vec<_>>());
        assert!(settled[..128].iter().all(|s| *s == (Eeg, None)));
        assert_eq!(settled[128..], [(Misc, None), (Trigger, None)]);
    }

    #[test]
    fn a_common_scalp_reference_is_not_a_bipolar_chain() {
        let places = |labels: &[&str]| {
            let labels: Vec<_> = labels.iter().map(|l| ((*l).to_owned(), Unit::Microvolt)).collect();
            settle(&labels).into_iter().map(|(_, place)| place).collect::<Vec<_>>()
        };
        assert_eq!(places(&["F3-Cz", "F4-Cz", "O1-Cz"]), [position_of("F3"), position_of("F4"), position_of("O1")]);
        assert_eq!(places(&["Fp1-F3", "F3-C3", "C3-P3", "P3-O1", "Fz-Cz", "Cz-Pz"]), [None; 6]);
    }
}
