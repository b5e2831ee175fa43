//! The INI text of `.vhdr` and `.vmrk` files: one pass, nothing is run, nothing is joined.

use crate::read::text::{Defects, Encoding, decode_text};
use crate::{Error, Result};

/// A line `key=value` and the byte it begins at.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) offset: u64,
}

/// A section's entries, and how many of its lines are none.
#[derive(Debug, Clone, Default)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) entries: Vec<Entry>,
    pub(super) noise: u64,
}

/// The text, cut into sections. What follows `[Comment]` is free text and left alone.
#[derive(Debug, Clone, Default)]
pub(super) struct Ini {
    /// The identification line.
    pub(super) first: String,
    pub(super) sections: Vec<Section>,
}

/// Sections that are looked at; others are skipped unread.
const KNOWN: [&str; 4] = ["Common Infos", "Binary Infos", "Channel Infos", "Marker Infos"];

/// Decodes and cuts. UTF-8 where the bytes are, else Windows-1252, which is what "ANSI" meant on the recording
/// computers.
pub(super) fn parse(bytes: &[u8], what: &str, defects: &mut Defects) -> Result<Ini> {
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        return Err(
            Error::unsupported(format!("the {what} is UTF-16 text")).with_hint("save it as UTF-8 in a text editor")
        );
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if let Some(at) = bytes.iter().position(|&b| b == 0) {
        return Err(Error::format(format!("the {what} is not text: it holds a zero byte")).at_offset(at as u64));
    }
    let (text, encoding) = decode_text(bytes);
    let mut ini = Ini::default();
    let mut current: Option<Section> = None;
    let mut next = 0;
    // Lines end with CR LF, LF, or CR alone.
    for line in text.split_inclusive(['\n', '\r']) {
        let offset = next;
        next += line.len() as u64;
        let line = line.trim();
        if offset == 0 && !line.starts_with(['[', ';']) {
            ini.first = line.to_owned();
            continue;
        }
        if line.is_empty() || line.starts_with(';') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            ini.sections.extend(current.take());
            if name.eq_ignore_ascii_case("Comment") {
                break;
            }
            current = KNOWN
                .iter()
                .find(|known| known.eq_ignore_ascii_case(name))
                .map(|name| Section { name: (*name).to_owned(), ..Section::default() });
            continue;
        }
        if let Some(section) = &mut current {
            match line.split_once('=') {
                Some((key, value)) => {
                    section.entries.push(Entry { key: key.trim().to_owned(), value: value.trim().to_owned(), offset })
                }
                None => section.noise += 1,
            }
        }
    }
    ini.sections.extend(current);
    if encoding == Encoding::Windows1252 {
        let stated = ini.sections.iter().find(|s| s.name == "Common Infos").and_then(|s| s.get("Codepage"));
        if stated.is_some_and(|code| code.eq_ignore_ascii_case("UTF-8")) {
            defects.warn("W_BV_NOT_UTF8", format!("the {what} says UTF-8 but is not; read as Windows-1252"));
        }
    }
    Ok(ini)
}

impl Ini {
    /// The one section of this name; a second one is refused, unless let pass: then the first counts.
    pub(super) fn section(&self, name: &str, defects: &mut Defects) -> Result<Option<&Section>> {
        let mut found = self.sections.iter().filter(|s| s.name == name);
        let first = found.next();
        if found.next().is_some() {
            let message = format!("[{name}] stands there more than once (let pass, the first counts)");
            defects.refuse("E_BV_DUPLICATE_SECTION", message, None)?;
        }
        Ok(first)
    }
}

impl Section {
    /// The value of the first entry with this key.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.entries.iter().find(|e| e.key.eq_ignore_ascii_case(key)).map(|e| &*e.value)
    }

    /// How many entries have this key.
    pub(super) fn count(&self, key: &str) -> usize {
        self.entries.iter().filter(|e| e.key.eq_ignore_ascii_case(key)).count()
    }
}

/// The number in `Ch12` or `Mk12`.
pub(super) fn number(key: &str, prefix: &str) -> Option<u64> {
    let (head, digits) = key.split_at_checked(prefix.len())?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    (plain && head.eq_ignore_ascii_case(prefix)).then(|| digits.parse().ok()).flatten()
}

/// The fields of a list entry: commas part them, and `\1` stands for a comma inside one.
pub(super) fn fields(value: &str) -> Vec<String> {
    value.split(',').map(|field| field.trim().replace("\\1", ",")).collect()
}
