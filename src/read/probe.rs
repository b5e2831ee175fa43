//! Which reader a file gets: by its first bytes, then by its name.

use super::FileSource;
use super::bytes::{ByteStore, DiskFolder, FileStore, read_vec};
use super::{brainvision, edf, eeglab, matrix, npy, wav};
use crate::flow::Source;
use crate::unit::{Rate, Unit};
use crate::{Error, ErrorKind, Result, Warning};
use std::path::Path;

/// How to open a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// Codes of defects that may pass; each that does becomes a warning of the recording.
    pub lenient: Vec<String>,
    /// Sampling rate of a file that states none (NPY, CSV).
    pub rate: Option<Rate>,
    /// Unit of the samples of a file that states none (NPY, CSV): `uV`, `mV`, `V` or `nV`.
    pub unit: Option<String>,
    /// What full scale means in a WAV file: `2mA`, `500uA`, `1V`. Without it samples are shares of full scale, unit `fs`.
    pub full_scale: Option<String>,
}

impl OpenOptions {
    /// µV per unit of a file that does not state it. It is never guessed: volts and microvolts differ by a million.
    ///
    /// # Errors
    /// When it was not told, or is not a voltage.
    pub(super) fn microvolts(&self) -> Result<f64> {
        let told = self.unit.as_deref().ok_or_else(|| {
            Error::usage("the file does not say what its numbers count").with_hint("say it with --unit uV, mV, V or nV")
        })?;
        match Unit::parse(told) {
            (Unit::Microvolt, factor) => Ok(factor),
            _ => Err(Error::usage(format!("{told} is not a voltage")).with_hint("use --unit uV, mV, V or nV")),
        }
    }

    /// What full scale means in a file that does not state it: the unit, and how much of it. `None` when it was not told.
    ///
    /// # Errors
    /// When it is not a positive number with the unit mA, uA, A, V or mV.
    pub fn full_scale(&self) -> Result<Option<(Unit, f64)>> {
        let Some(told) = self.full_scale.as_deref() else { return Ok(None) };
        let at = told.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(told.len());
        let (number, unit) = told.split_at(at);
        match (number.parse::<f64>(), Unit::parse(unit)) {
            (Ok(value), (unit @ (Unit::Milliampere | Unit::Microvolt), factor)) if value > 0.0 && value.is_finite() => {
                Ok(Some((unit, value * factor)))
            }
            _ => Err(Error::usage(format!("a full scale of {told} cannot be used"))
                .with_hint("write a positive number and a unit: --full-scale 2mA, 500uA, 1V or 100mV")),
        }
    }

    /// The rate of a file that does not state it.
    ///
    /// # Errors
    /// When it was not told.
    pub(super) fn told_rate(&self) -> Result<Rate> {
        self.rate
            .ok_or_else(|| Error::usage("the file does not state a sampling rate").with_hint("say it with --rate HZ"))
    }
}

/// Opens a recording of any format this version reads: EDF, EDF+, BDF, BDF+, BrainVision, EEGLAB, WAV; NPY and CSV matrices,
/// whose rate and unit the options tell.
///
/// # Errors
/// [`ErrorKind::Input`] when the file is missing, a folder or empty; [`ErrorKind::Unsupported`] for a known format
/// that is not read, with a way to convert it; [`ErrorKind::Format`] when the bytes are not what the format says.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn Source>> {
    let mut source = open_file(path, options).map_err(|e| e.at_path(path))?;
    let format = &source.recording().format;
    if options.full_scale.is_some() && !["WAV", "RF64", "BW64"].iter().any(|family| format.starts_with(family)) {
        let message = "--full-scale is for WAV files; this file states its own units";
        source.warn(Warning::new("W_FULL_SCALE_NOT_NEEDED", message));
    }
    Ok(Box::new(source))
}

fn open_file(path: &Path, options: &OpenOptions) -> Result<FileSource> {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    if path.is_dir() && extension == "mff" {
        return Err(Error::unsupported("an EGI .mff folder is not read").with_hint(EXPORT));
    }
    let mut store = FileStore::open(path)?;
    if store.is_empty() {
        return Err(Error::new(ErrorKind::Input, "the file is empty").with_hint(
            "copy it again from its source (git-annex and Git LFS leave such files until their content is fetched)",
        ));
    }
    let length = store.len().min(256);
    let head = read_vec(&mut store, 0, length)?;
    let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    match format_of(&head, &extension)? {
        Format::Edf => {
            let mut source = edf::open(Box::new(store), &name, options)?;
            let family = &source.recording().format[..3];
            if matches!(&*extension, "edf" | "bdf" | "vhdr") && !family.eq_ignore_ascii_case(&extension) {
                let message = format!("the file is called .{extension}, but its content is {family}; read as {family}");
                source.warn(Warning::new("W_EXTENSION", message));
            }
            note_needless(&mut source, options);
            Ok(source)
        }
        Format::Npy => npy::open(Box::new(store), &name, options),
        Format::Wav => {
            let mut source = wav::open(Box::new(store), &name, options)?;
            note_needless(&mut source, options);
            Ok(source)
        }
        Format::Matrix => matrix::open(store, &name, options),
        Format::BrainVision => {
            let length = store.len().min(brainvision::LONGEST_TEXT);
            let text = read_vec(&mut store, 0, length)?;
            let mut source = brainvision::open(&text, &DiskFolder::of(path), &name, options)?;
            note_needless(&mut source, options);
            Ok(source)
        }
        Format::BrainVisionPart => {
            let vhdr = path.with_extension("vhdr");
            if !vhdr.is_file() {
                return Err(Error::format(
                    "this is a part of a BrainVision recording, and its header is not beside it",
                )
                .with_hint("name the .vhdr file, and keep .vhdr, .vmrk and .eeg together"));
            }
            open_file(&vhdr, options).map_err(|e| e.at_path(&vhdr))
        }
        Format::Eeglab => eeglab::open(Box::new(store), &DiskFolder::of(path), &name, options),
    }
}

/// Tells that a rate or unit was given for a file that states its own.
fn note_needless(source: &mut FileSource, options: &OpenOptions) {
    if options.rate.is_some() || options.unit.is_some() {
        let message = "the file states its own rate and units; --rate and --unit are for NPY and CSV";
        source.warn(Warning::new("W_RATE_NOT_NEEDED", message));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Edf,
    Npy,
    Wav,
    Matrix,
    BrainVision,
    BrainVisionPart,
    Eeglab,
}

const EXPORT: &str = "export it as EDF+ or BrainVision from the recording software, or convert it with MNE-Python: \
                      mne.export.export_raw('out.vhdr', raw)";

fn format_of(head: &[u8], extension: &str) -> Result<Format> {
    let starts = |magic: &[u8]| head.starts_with(magic);
    let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    let says = |what: &[u8]| text.windows(what.len()).take(48).any(|w| w.eq_ignore_ascii_case(what));
    if starts(b"0       ") || (starts(b"\xFFBIOSEMI")) {
        return Ok(Format::Edf);
    }
    if says(b"Data Exchange Header File") {
        return Ok(Format::BrainVision);
    }
    if says(b"Data Exchange Marker File") {
        return Ok(Format::BrainVisionPart);
    }
    if starts(b"version https://git-lfs") {
        return Err(Error::format("this is a Git LFS pointer, not the recording").with_hint("fetch it: git lfs pull"));
    }
    if text.windows(15).any(|w| w == b"/annex/objects/") && head.len() < 256 {
        return Err(
            Error::format("this is a git-annex pointer, not the recording").with_hint("fetch it: git annex get")
        );
    }
    let other =
        |what: &str, hint: &str| Err(Error::unsupported(format!("{what} is not read")).with_hint(hint.to_owned()));
    let gunzip = "unpack it first";
    if starts(b"\x1F\x8B") {
        return other("a gzip archive", gunzip);
    }
    if starts(b"\x93NUMPY") {
        return Ok(Format::Npy);
    }
    if starts(b"PK\x03\x04") && extension == "npz" {
        return other("an .npz archive of arrays", "save the one array: np.save('out.npy', np.load('in.npz')['name'])");
    }
    if starts(b"PK\x03\x04") {
        return other("a zip archive", gunzip);
    }
    if starts(b"XDF:") {
        return other("XDF", EXPORT);
    }
    if starts(b"GDF ") {
        return other("GDF", EXPORT);
    }
    if starts(b"MATLAB 5.0 MAT-file") {
        return Ok(Format::Eeglab);
    }
    if starts(b"MATLAB 7.3 MAT-file") || starts(b"\x89HDF") {
        return other("a MATLAB 7.3 file (HDF5)", eeglab::RESAVE);
    }
    if [b"RIFF", b"RIFX", b"RF64", b"BW64"].into_iter().any(|magic| starts(magic)) {
        return Ok(Format::Wav);
    }
    match extension {
        "edf" | "bdf" | "rec" => Ok(Format::Edf),
        "npy" => Ok(Format::Npy),
        "wav" | "wave" | "bwf" | "rf64" => Ok(Format::Wav),
        "csv" | "tsv" => Ok(Format::Matrix),
        "vhdr" | "ahdr" => Ok(Format::BrainVision),
        "vmrk" | "eeg" | "dat" | "amrk" => Ok(Format::BrainVisionPart),
        "fif" => {
            other("FIF", "convert it with MNE-Python: mne.export.export_raw('out.vhdr', mne.io.read_raw_fif('in.fif'))")
        }
        "set" => Err(Error::format("this is no MAT-file of level 5, as EEGLAB saves them")
            .at_offset(0)
            .with_hint(eeglab::RESAVE)),
        "fdt" => Err(Error::format("an .fdt file holds the samples of an EEGLAB dataset and nothing else")
            .with_hint("name the .set file beside it, and keep the two together")),
        "cnt" | "mff" | "raw" | "xdf" | "gdf" | "smr" | "smrx" | "nwb" | "snirf" | "easy" | "nedf" | "poly5"
        | "trc" | "vpd" | "nxe" => other(&format!(".{extension}"), EXPORT),
        _ => Err(Error::unsupported("the file is in no format that is known here")
            .with_hint("EDF, EDF+, BDF, BDF+, BrainVision (.vhdr), EEGLAB (.set), WAV, NPY, CSV and TSV are read")),
    }
}
