//! Text and numbers from headers: hostile until proven otherwise.

use crate::unit::Rate;
use crate::{Error, Result, Warning};

/// How a piece of header text had to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Ascii,
    Utf8,
    /// Not UTF-8, so Windows-1252, which holds Latin-1.
    Windows1252,
}

/// UTF-8 where it is valid, else Windows-1252. Never fails, never loses a micro sign.
pub(super) fn decode_text(bytes: &[u8]) -> (String, Encoding) {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => (text.to_owned(), Encoding::Ascii),
        Ok(text) => (text.to_owned(), Encoding::Utf8),
        Err(_) => (bytes.iter().map(|&b| windows_1252(b)).collect(), Encoding::Windows1252),
    }
}

fn windows_1252(byte: u8) -> char {
    // The 27 printable characters that Windows-1252 has in place of Latin-1's C1 controls (unicode.org, CP1252.TXT).
    const UPPER: [char; 32] = [
        '€', '\u{FFFD}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{FFFD}', 'Ž', '\u{FFFD}',
        '\u{FFFD}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{FFFD}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9F => UPPER[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

/// Text that no terminal executes: C0 controls become their Unicode pictures (ESC is `␛`), C1 and
/// bidirectional controls the replacement character. Says whether there was any.
pub(super) fn visible(text: &str, keep: &[char]) -> (String, bool) {
    let mut changed = false;
    let text = text
        .chars()
        .map(|c| {
            let shown = match c {
                _ if keep.contains(&c) => c,
                '\0'..='\u{1F}' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{FFFD}'),
                '\u{7F}' => '\u{2421}',
                '\u{80}'..='\u{9F}' | '\u{200E}' | '\u{200F}' => '\u{FFFD}',
                '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' => '\u{FFFD}',
                _ => c,
            };
            changed |= shown != c;
            shown
        })
        .collect();
    (text, changed)
}

/// A decimal number as the file spells it, kept exact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Decimal {
    pub(super) value: f64,
    /// The same as a ratio, where the digits fit.
    pub(super) ratio: Option<(i64, u64)>,
    /// Whether a comma stood in place of the point.
    pub(super) comma: bool,
}

/// Reads `-12.5`, `+3`, `1e-3`, and with a decimal comma `0,1`; `None` for anything else, infinities and NaN included.
pub(super) fn decimal(text: &str) -> Option<Decimal> {
    let comma = text.contains(',');
    let text = text.replace(',', ".");
    let known = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'+' | b'-' | b'e' | b'E');
    if text.is_empty() || !text.bytes().all(known) {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    value.is_finite().then(|| Decimal { value, ratio: ratio(&text), comma })
}

/// `digits[.digits]` as a ratio with a power of ten below.
fn ratio(text: &str) -> Option<(i64, u64)> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let part = part.trim_end_matches('0');
    if part.len() > 12 || !(whole.bytes().chain(part.bytes())).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let scale = 10_u64.pow(part.len() as u32);
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part: i64 = if part.is_empty() { 0 } else { part.parse().ok()? };
    Some((sign * whole.checked_mul(scale as i64)?.checked_add(part)?, scale))
}

/// `count` samples in `seconds`, as an exact rate where the digits allow it.
///
/// # Errors
/// When the rate cannot be used (zero, infinite, above 10^9 Hz).
pub(super) fn rate_of(count: u64, seconds: &Decimal) -> Result<Rate> {
    let hz = count as f64 / seconds.value;
    let nearest = Rate::from_hz(hz)?;
    let exact = seconds.ratio.and_then(|(num, den)| {
        let num = u64::try_from(num).ok()?;
        Rate::new(count.checked_mul(den)?, num).ok()
    });
    Ok(exact.unwrap_or(nearest))
}

/// Collects what was read around, and refuses what may only pass by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Defects<'a> {
    pub(super) warnings: Vec<Warning>,
    pub(super) lenient: &'a [String],
}

impl<'a> Defects<'a> {
    pub(super) fn new(lenient: &'a [String]) -> Self {
        Self { warnings: Vec::new(), lenient }
    }

    /// Notes a defect that changes neither samples nor time.
    pub(super) fn warn(&mut self, code: &'static str, message: impl Into<String>) {
        self.warnings.push(Warning::new(code, message));
    }

    /// Refuses a defect that makes samples or time ambiguous, unless it was let pass by name: then it is a warning.
    pub(super) fn refuse(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
        offset: impl Into<Option<u64>>,
    ) -> Result<()> {
        let message = message.into();
        if self.lenient.iter().any(|name| name == code) {
            self.warn(code, message);
            return Ok(());
        }
        let error = Error::format(message);
        Err(offset
            .into()
            .into_iter()
            .fold(error, Error::at_offset)
            .with_code(code)
            .with_hint(format!("if you know that the data are sound, --lenient {code} lets this pass")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_or_refused() {
        let d = decimal("195.3125").unwrap();
        assert_eq!(d.ratio, Some((1_953_125, 10_000)));
        assert_eq!(decimal("-0,5").map(|d| (d.value, d.comma, d.ratio)), Some((-0.5, true, Some((-5, 10)))));
        assert_eq!(decimal("1e-3").map(|d| d.value), Some(1e-3));
        for bad in ["", "nan", "inf", "-inf", "1,000.5", "0x10", "1 2", "1e999", "--1", "infinity"] {
            assert_eq!(decimal(bad), None, "{bad}");
        }
        assert_eq!(rate_of(512, &decimal("10").unwrap()).unwrap(), Rate::new(256, 5).unwrap());
        assert!(rate_of(256, &decimal("1e-300").unwrap()).is_err());
    }

    #[test]
    fn text_is_never_executed_and_keeps_its_micro_sign() {
        assert_eq!(decode_text(b"\xB5V").0, "µV");
        assert_eq!(decode_text("µV".as_bytes()), ("µV".to_owned(), Encoding::Utf8));
        assert_eq!(visible("a\u{1b}[31m\n", &[]), ("a␛[31m␊".to_owned(), true));
        assert_eq!(visible("a\nb", &['\n']), ("a\nb".to_owned(), false));
    }

    #[test]
    fn lenient_turns_one_named_refusal_into_a_warning() {
        let lenient = ["E_X".to_owned()];
        let mut defects = Defects::new(&lenient);
        assert!(defects.refuse("E_X", "x", 0).is_ok());
        assert_eq!(defects.refuse("E_Y", "y", 3).unwrap_err().code(), Some("E_Y"));
        assert_eq!(defects.warnings.len(), 1);
    }
}
