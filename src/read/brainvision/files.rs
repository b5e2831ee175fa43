//! The files that a header names: found below its folder, or not at all.

use super::ini::{self, Section};
use super::markers::{self, Markers};
use super::{LONGEST_TEXT, missing, odd};
use crate::read::bytes::{ByteStore, Folder, inside_name, read_vec};
use crate::read::text::{Defects, visible};
use crate::{Error, ErrorKind, Result};

/// The data file: the one that is named, else the one of the header's stem, with a warning.
pub(super) fn data_file(
    common: &Section,
    folder: &dyn Folder,
    stem: &str,
    defects: &mut Defects,
) -> Result<Box<dyn ByteStore>> {
    let stated = common.get("DataFile").ok_or_else(|| missing("DataFile"))?.replace("$b", stem);
    let blame = |e: Error, name: &str| {
        let message = format!("DataFile={}: {}", visible(name, &[]).0, e.message());
        let error = Error::new(e.kind(), message);
        match e.hint() {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    };
    let lower = stated.to_ascii_lowercase();
    if lower.ends_with(".vhdr") || lower.ends_with(".vmrk") {
        return Err(odd("DataFile", &stated, "an .eeg or .dat file"));
    }
    if !stated.is_empty()
        && let Some(store) = folder.open(&stated).map_err(|e| blame(e, &stated))?
    {
        return Ok(store);
    }
    for extension in ["eeg", "dat", "EEG", "DAT"] {
        let own = format!("{stem}.{extension}");
        if own != stated
            && inside_name(&own).is_ok()
            && let Some(store) = folder.open(&own).map_err(|e| blame(e, &own))?
        {
            let what =
                if stated.is_empty() { "no data file is named" } else { "the data file that is named does not exist" };
            defects.warn("W_BV_DATA_FILE", format!("{what}; the one with the header's own name is read"));
            return Ok(store);
        }
    }
    let message = format!("the data file '{}' does not exist", visible(&stated, &[]).0);
    Err(Error::new(ErrorKind::Input, message)
        .with_hint("keep .vhdr, .vmrk and .eeg in one folder, under the names that the header gives"))
}

/// The markers: of the file that is named, else of the one of the header's stem, with a warning, else none.
pub(super) fn marker_file(common: &Section, folder: &dyn Folder, stem: &str, defects: &mut Defects) -> Result<Markers> {
    let stated = common.get("MarkerFile").unwrap_or_default().replace("$b", stem);
    let blame = |e: Error| Error::new(e.kind(), format!("MarkerFile={}: {}", visible(&stated, &[]).0, e.message()));
    let mut store = if stated.is_empty() { None } else { folder.open(&stated).map_err(blame)? };
    let own = format!("{stem}.vmrk");
    if store.is_none() && own != stated && inside_name(&own).is_ok() {
        store = folder.open(&own).map_err(blame)?;
        if store.is_some() {
            let what = if stated.is_empty() {
                "no marker file is named"
            } else {
                "the marker file that is named does not exist"
            };
            defects.warn("W_BV_MARKER_FILE", format!("{what}; the one with the header's own name is read"));
        }
    }
    let Some(mut store) = store else {
        if !stated.is_empty() {
            defects.warn("W_BV_MARKER_FILE", "the marker file does not exist; there are no events");
        }
        return Ok(Markers::default());
    };
    if store.is_empty() {
        defects.warn("W_BV_MARKER_FILE", "the marker file is empty; there are no events");
        return Ok(Markers::default());
    }
    let length = store.len();
    if length > LONGEST_TEXT {
        return Err(blame(Error::format(format!("a marker file of {length} bytes is none"))));
    }
    let text = read_vec(&mut *store, 0, length)?;
    let ini = ini::parse(&text, "marker file", defects).map_err(blame)?;
    if !ini.first.to_ascii_lowercase().contains("data exchange marker file") {
        defects.warn("W_BV_MARKER_IDENTIFICATION", "the marker file does not begin with its identification line");
    }
    let of_markers =
        ini.section("Common Infos", defects)?.and_then(|s| s.get("DataFile")).map(|f| f.replace("$b", stem));
    let of_header = common.get("DataFile").map(|f| f.replace("$b", stem));
    let own = ["eeg", "dat"].map(|extension| format!("{stem}.{extension}"));
    if of_markers.as_ref().is_some_and(|name| of_header.as_ref() != Some(name) && !own.contains(name)) {
        defects.warn(
            "W_BV_MARKER_OTHER_DATA",
            "the marker file names another data file than the header; was one of them renamed?",
        );
    }
    markers::read(&ini, defects)
}
