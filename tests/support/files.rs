//! Small recordings, built in memory byte by byte.

use stimkit::read::bytes::{MemoryFolder, MemoryStore};

/// The digital value of sample `i` of channel `c` in every built file.
pub fn digital(c: usize, i: usize) -> i32 {
    ((i * 7 + c * 131) % 2001) as i32 - 1000
}

/// A signal of a built EDF or BDF file.
#[derive(Clone)]
pub struct Signal {
    pub label: &'static str,
    pub unit: &'static str,
    pub physical: [&'static str; 2],
    pub per_record: usize,
}

impl Signal {
    pub fn eeg(label: &'static str, per_record: usize) -> Self {
        Self { label, unit: "uV", physical: ["-3276.8", "3276.7"], per_record }
    }
}

/// An EDF (`width` 2) or BDF (3) file; `tals[record]` fills an annotation signal of 60 samples where there are any.
pub fn edf(
    width: usize,
    reserved: &str,
    duration: &str,
    signals: &[Signal],
    records: usize,
    tals: &[Vec<u8>],
) -> Vec<u8> {
    const TAL_SAMPLES: usize = 60;
    let annotated = !tals.is_empty();
    let ns = signals.len() + usize::from(annotated);
    let digital_limits = if width == 2 { ["-32768", "32767"] } else { ["-8388608", "8388607"] };
    let mut file = Vec::new();
    let pad = |text: &str, n: usize| format!("{text:<n$}").into_bytes();
    file.extend(if width == 2 { pad("0", 8) } else { b"\xFFBIOSEMI".to_vec() });
    file.extend(pad("X X X X", 80));
    file.extend(pad("Startdate 02-MAR-2020 X X X", 80));
    file.extend(pad("02.03.20", 8));
    file.extend(pad("10.11.12", 8));
    file.extend(pad(&(256 * (ns + 1)).to_string(), 8));
    file.extend(pad(reserved, 44));
    file.extend(pad(&records.to_string(), 8));
    file.extend(pad(duration, 8));
    file.extend(pad(&ns.to_string(), 4));
    let notes = Signal {
        label: if width == 2 { "EDF Annotations" } else { "BDF Annotations" },
        unit: "",
        physical: ["-1", "1"],
        per_record: TAL_SAMPLES,
    };
    let all: Vec<Signal> = signals.iter().cloned().chain(annotated.then_some(notes)).collect();
    let mut column = |n: usize, text: &dyn Fn(&Signal) -> String| {
        all.iter().for_each(|s| file.extend(pad(&text(s), n)));
    };
    column(16, &|s| s.label.to_owned());
    column(80, &|_| String::new());
    column(8, &|s| s.unit.to_owned());
    column(8, &|s| s.physical[0].to_owned());
    column(8, &|s| s.physical[1].to_owned());
    column(8, &|_| digital_limits[0].to_owned());
    column(8, &|_| digital_limits[1].to_owned());
    column(80, &|_| String::new());
    column(8, &|s| s.per_record.to_string());
    column(32, &|_| String::new());
    let tals = tals.iter().cloned().map(Some).chain(std::iter::repeat(None));
    for (r, tal) in (0..records).zip(tals) {
        for (c, signal) in signals.iter().enumerate() {
            for i in r * signal.per_record..(r + 1) * signal.per_record {
                file.extend(&digital(c, i).to_le_bytes()[..width]);
            }
        }
        if let Some(mut bytes) = tal {
            bytes.resize(TAL_SAMPLES * width, 0);
            file.extend(bytes);
        }
    }
    file
}

/// A TAL that keeps a record's time, then annotations.
pub fn tal(time: &str, notes: &[&str]) -> Vec<u8> {
    let mut bytes = format!("{time}\u{14}\u{14}\0").into_bytes();
    notes.iter().for_each(|note| bytes.extend(format!("{note}\u{14}\0").into_bytes()));
    bytes
}

/// A BrainVision header and its folder: two or more channels, 1 kHz, 0.1 µV.
pub fn brainvision(
    format: &str,
    orientation: &str,
    channels: usize,
    samples: usize,
    extra: &str,
) -> (Vec<u8>, MemoryFolder) {
    let mut header = format!(
        "Brain Vision Data Exchange Header File Version 1.0\r\n\r\n[Common Infos]\r\nCodepage=UTF-8\r\nDataFile=a.eeg\r\n\
         MarkerFile=a.vmrk\r\nDataFormat=BINARY\r\nDataOrientation={orientation}\r\nNumberOfChannels={channels}\r\n\
         SamplingInterval=1000\r\n\r\n[Binary Infos]\r\nBinaryFormat={format}\r\n{extra}\r\n[Channel Infos]\r\n"
    );
    (0..channels).for_each(|c| header.push_str(&format!("Ch{}=C{c},,0.1,µV\r\n", c + 1)));
    let big = extra.contains("UseBigEndianOrder=YES");
    let number = |c: usize, i: usize| {
        let x = digital(c, i);
        let mut bytes = match format {
            "INT_16" => (x as i16).to_le_bytes().to_vec(),
            "UINT_16" => ((x + 1000) as u16).to_le_bytes().to_vec(),
            "INT_32" => x.to_le_bytes().to_vec(),
            _ => (x as f32).to_le_bytes().to_vec(),
        };
        if big {
            bytes.reverse();
        }
        bytes
    };
    let data: Vec<u8> = if orientation == "VECTORIZED" {
        (0..channels).flat_map(|c| (0..samples).flat_map(move |i| number(c, i))).collect()
    } else {
        (0..samples).flat_map(|i| (0..channels).flat_map(move |c| number(c, i))).collect()
    };
    let markers = "Brain Vision Data Exchange Marker File, Version 1.0\r\n\r\n[Common Infos]\r\nDataFile=a.eeg\r\n\r\n[Marker Infos]\r\n\
                   Mk1=New Segment,,1,1,0,20200302101112000000\r\nMk2=Stimulus,S  1,11,1,0\r\n\
                   Mk3=New Segment,,21,1,0,20200302101122500000\r\nMk4=Comment,a\\1b,31,5,0\r\n";
    let mut folder = MemoryFolder::default();
    folder.0.insert("a.eeg".to_owned(), MemoryStore::new(data));
    folder.0.insert("a.vmrk".to_owned(), MemoryStore::new(markers.as_bytes()));
    (header.into_bytes(), folder)
}
