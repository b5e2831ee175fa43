//! Where the samples lie, and whether their number is the one that is stated.

use super::dataset::Dataset;
use crate::read::bytes::{ByteStore, Folder, inside_name};
use crate::read::decode::Number;
use crate::read::mat::{Class, Numbers};
use crate::read::samples::{Column, FileSource, Layout, look_for_nan};
use crate::read::text::{Defects, visible};
use crate::signal::Recording;
use crate::{Error, ErrorKind, Result};

/// No cap has more electrodes.
const MOST_CHANNELS: u64 = 65_536;

/// The samples: `channels` of `epochs` times `points`.
pub(super) struct Samples {
    pub(super) channels: u64,
    pub(super) points: u64,
    pub(super) epochs: u64,
    /// Limits of the class they have in MATLAB.
    pub(super) range: Option<[f64; 2]>,
    place: Place,
}

enum Place {
    /// In the `.set` file, channel after channel within an instant.
    Inline(Numbers),
    /// In a file beside it; `rows`: all samples of a channel before the next (`.dat`).
    Beside { store: Box<dyn ByteStore>, rows: bool },
}

/// Finds the samples.
pub(super) fn find(set: &mut Dataset, folder: &dyn Folder, stem: &str, defects: &mut Defects) -> Result<Samples> {
    let Some(mut data) = set.array("data")? else {
        return Err(set.refuse("data", "the dataset has no field EEG.data"));
    };
    let stated = Stated { channels: set.count("nbchan")?, points: set.count("pnts")?, epochs: set.count("trials")? };
    if data.class == Class::Text {
        let name = set.text("data")?.unwrap_or_default();
        match set.old_data() {
            Some(node) if name == "EEGDATA" => data = set.mat.array(node)?,
            _ => return beside(set, folder, stem, &name, stated, defects),
        }
    }
    let (Class::Numeric(class), false) = (data.class, data.complex) else {
        return Err(set.refuse("data", "EEG.data is neither real numbers nor the name of a file"));
    };
    let numbers = set.mat.numbers(&data)?.filter(|n| n.count > 0);
    let Some(numbers) = numbers else {
        let only_ica = set.array("icaact")?.is_some_and(|ica| ica.count > 0);
        let what = if only_ica {
            "EEG.data is empty: only ICA activations (EEG.icaact) were stored"
        } else {
            "EEG.data is empty"
        };
        return Err(set.refuse("data", what));
    };
    let channels = data.dims[0];
    let (points, epochs) = match (stated.points, stated.epochs) {
        // epochs side by side in a matrix
        (Some(points), Some(epochs)) if data.dims.len() == 2 && points.checked_mul(epochs) == Some(data.dims[1]) => {
            (points, epochs)
        }
        _ => (data.dims[1], data.dims[2..].iter().product::<u64>()),
    };
    for (field, value, found) in
        [("nbchan", stated.channels, channels), ("pnts", stated.points, points), ("trials", stated.epochs, epochs)]
    {
        match value {
            Some(value) if value != found => {
                let sizes = data.dims.iter().map(u64::to_string).collect::<Vec<_>>().join(" × ");
                let message = format!("EEG.{field} is {value}, but EEG.data is {sizes} (let pass, the data count)");
                defects.refuse("E_SET_SIZE", message, set.refuse("data", "").offset())?;
            }
            None => defects.warn("W_SET_FIELD", format!("there is no EEG.{field}; it is {found}, as EEG.data has it")),
            _ => {}
        }
    }
    if channels > MOST_CHANNELS {
        return Err(set.refuse("data", &format!("{channels} channels are more than {MOST_CHANNELS}")));
    }
    Ok(Samples { channels, points, epochs, range: class.range(), place: Place::Inline(numbers) })
}

/// The sizes that the dataset states.
struct Stated {
    channels: Option<u64>,
    points: Option<u64>,
    epochs: Option<u64>,
}

/// Samples in a file of their own: 32-bit floats, little-endian.
fn beside(
    set: &Dataset,
    folder: &dyn Folder,
    stem: &str,
    name: &str,
    stated: Stated,
    defects: &mut Defects,
) -> Result<Samples> {
    let shown = visible(name, &[]).0;
    let (store, rows) = data_file(folder, stem, name, defects).map_err(|e| {
        let message = format!("EEG.data = '{shown}': {}", e.message());
        let hint = e.hint().unwrap_or("keep .set and .fdt in one folder").to_owned();
        Error::new(e.kind(), message).with_hint(hint)
    })?;
    let Some(channels) = stated.channels else {
        return Err(set.refuse("nbchan", "there is no EEG.nbchan, so the samples in the data file have no shape"));
    };
    if channels > MOST_CHANNELS {
        return Err(set.refuse("nbchan", &format!("{channels} channels are more than {MOST_CHANNELS}")));
    }
    let (length, frame) = (store.len(), 4 * channels);
    let found = length / frame;
    let epochs = stated.epochs.unwrap_or_else(|| {
        defects.warn("W_SET_FIELD", "there is no EEG.trials; taken as one");
        1
    });
    let points = stated.points.unwrap_or_else(|| {
        let points = found / epochs;
        defects.warn("W_SET_FIELD", format!("there is no EEG.pnts; counted from the data file: {points}"));
        points
    });
    let whole = points.checked_mul(epochs).filter(|&n| n > 0 && n < 1 << 50).ok_or_else(|| {
        set.refuse("pnts", &format!("{epochs} epochs of {points} samples are no size of a recording"))
    })?;
    let mut samples = Samples { channels, points, epochs, range: None, place: Place::Beside { store, rows } };
    if length == whole * frame {
        return Ok(samples);
    }
    let sizes = format!(
        "the data file has {length} bytes; {channels} channels of {epochs} × {points} samples need {}",
        whole * frame
    );
    if length > whole * frame || rows {
        // Another number of channels would explain it as well, and mean other samples.
        let message = format!("{sizes} (let pass, the stated sizes count)");
        defects.refuse("E_SET_DATA_LENGTH", message, length)?;
        if length > whole * frame {
            return Ok(samples);
        }
    }
    // Cut short: what is whole is read.
    (samples.points, samples.epochs) = if epochs > 1 { (points, found / points) } else { (found, 1) };
    if rows || samples.points == 0 || samples.epochs == 0 {
        return Err(Error::format(sizes)
            .at_offset(length)
            .with_hint("the data file was not copied whole: copy it again"));
    }
    let unit = if epochs > 1 { "epochs" } else { "samples" };
    let n = if epochs > 1 { samples.epochs } else { samples.points };
    defects.warn("W_SET_TRUNCATED", format!("{sizes}; it was cut short, and {n} whole {unit} are read"));
    Ok(samples)
}

/// The file that is named, else the one of that name without its path, else the one of the dataset's stem, both with a
/// warning: datasets are moved and renamed. A path is never followed out of the folder.
fn data_file(folder: &dyn Folder, stem: &str, name: &str, defects: &mut Defects) -> Result<(Box<dyn ByteStore>, bool)> {
    // Old datasets keep the samples of a channel together in a .dat file.
    let rows = |name: &str| name.to_ascii_lowercase().ends_with(".dat");
    let samples = |name: &str| rows(name) || name.to_ascii_lowercase().ends_with(".fdt");
    if !samples(name) {
        return Err(Error::format("a file of samples is called .fdt or .dat"));
    }
    let refused = match inside_name(name) {
        Ok(_) => match folder.open(name) {
            Ok(Some(store)) => return Ok((store, rows(name))),
            Ok(None) => None,
            Err(error) => return Err(error),
        },
        Err(error) => Some(error),
    };
    let bare = name.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    for own in [bare, format!("{stem}.fdt"), format!("{stem}.FDT")] {
        if own != name
            && inside_name(&own).is_ok()
            && let Some(store) = folder.open(&own)?
        {
            let message = format!(
                "the data file '{}' that is named is not there; '{}' beside the dataset is read",
                visible(name, &[]).0,
                visible(&own, &[]).0
            );
            defects.warn("W_SET_DATA_FILE", message);
            return Ok((store, rows(&own)));
        }
    }
    Err(refused.unwrap_or_else(|| {
        Error::new(ErrorKind::Input, "the data file does not exist")
            .with_hint("keep .set and .fdt in one folder, under one name")
    }))
}

impl Samples {
    /// The source that reads them, block by block.
    pub(super) fn open(
        self,
        set: Dataset,
        mut recording: Recording,
        gains: &[f64],
        defects: &mut Defects,
    ) -> Result<FileSource> {
        let total = self.points * self.epochs;
        let (number, data_start, rows, mut store) = match self.place {
            Place::Inline(numbers) => (numbers.number, numbers.at, false, set.mat.into_store(numbers.store)),
            Place::Beside { store, rows } => (Number::F32, 0, rows, store),
        };
        let width = number.width() as u64;
        let step = if rows { total * width } else { width };
        let column = |(c, &gain): (u64, &f64)| Column { offset: c * step, zero: 0.0, gain, bias: 0.0 };
        let layout = Layout {
            number,
            data_start,
            record_bytes: width * self.channels * total,
            records: 1,
            per_record: total,
            stride: if rows { width } else { width * self.channels },
            columns: (0..self.channels).zip(gains).map(column).collect(),
        };
        look_for_nan(&mut *store, number, data_start..data_start + layout.record_bytes, &mut defects.warnings)?;
        recording.warnings = std::mem::take(&mut defects.warnings);
        FileSource::new(recording, store, vec![layout])
    }
}
