//! CSV by RFC 4180: UTF-8, LF, dot decimals, shortest digits that read back to the same f64, empty = missing.

use super::{Cell, IDENTITY, Identity, Table};
use std::fmt::Write as _;
use std::io::{self, Write};

/// Shortest decimal that reads back to the same f64; plain digits from 1e-5 to 1e16, exponent outside.
/// Not finite: empty. Minus zero is zero.
pub fn format_number(value: f64, out: &mut String) {
    let size = value.abs();
    // writing to a String cannot fail
    let _ = match size {
        _ if !value.is_finite() => Ok(()),
        0.0 => out.write_char('0'),
        1e-5..1e16 => write!(out, "{value}"),
        _ => write!(out, "{value:e}"),
    };
}

/// Puts an apostrophe in front of text that a spreadsheet would run as a formula.
pub fn guard_formula(text: &str, out: &mut String) {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\0']) {
        out.push('\'');
    }
    out.push_str(text);
}

impl Table {
    /// Writes the header row, identity columns first. `raw` leaves formula-like names alone.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn write_header(&self, out: impl Write, raw: bool) -> io::Result<()> {
        let mut writer = writer(out);
        let mut text = String::new();
        for column in IDENTITY.iter().chain(self.columns()) {
            text.clear();
            if raw {
                text.push_str(&column.name)
            } else {
                guard_formula(&column.name, &mut text)
            }
            writer.write_field(&text).map_err(cause)?;
        }
        writer.write_record(None::<&[u8]>).map_err(cause)?;
        writer.flush()
    }

    /// Writes all rows, each with the recording's identity and its condition's name in front.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn write_rows(&self, out: impl Write, identity: &Identity, conditions: &[String], raw: bool) -> io::Result<()> {
        let mut writer = writer(out);
        let mut text = String::new();
        let Identity { recording, subject, session, task, run } = identity;
        for (condition, cells) in self.rows() {
            let name = condition.and_then(|c| conditions.get(usize::from(c))).map_or("", String::as_str);
            for field in [recording, subject, session, task, run, name] {
                text.clear();
                if raw {
                    text.push_str(field)
                } else {
                    guard_formula(field, &mut text)
                }
                writer.write_field(&text).map_err(cause)?;
            }
            for cell in cells {
                text.clear();
                match cell {
                    Cell::Missing => {}
                    Cell::Text(t) if raw => text.push_str(t),
                    Cell::Text(t) => guard_formula(t, &mut text),
                    Cell::Number(v) => format_number(*v, &mut text),
                    Cell::Integer(v) => drop(write!(text, "{v}")),
                    Cell::Bool(v) => text.push(if *v { '1' } else { '0' }),
                }
                writer.write_field(&text).map_err(cause)?;
            }
            writer.write_record(None::<&[u8]>).map_err(cause)?;
        }
        writer.flush()
    }
}

/// What went wrong underneath: a reader that has gone must be told from a disk that is full.
fn cause(error: ::csv::Error) -> io::Error {
    match error.into_kind() {
        ::csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

fn writer<W: Write>(out: W) -> ::csv::Writer<W> {
    ::csv::WriterBuilder::new().has_headers(false).flexible(true).from_writer(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Column, TableSpec};

    #[test]
    fn numbers_read_back_and_stay_short() {
        for (value, text) in [
            (0.1, "0.1"),
            (1.0, "1"),
            (-0.0, "0"),
            (1e-9, "1e-9"),
            (1e300, "1e300"),
            (f64::NAN, ""),
            (5000.25, "5000.25"),
        ] {
            let mut out = String::new();
            format_number(value, &mut out);
            assert_eq!(out, text);
        }
    }

    #[test]
    fn hostile_text_is_quoted_and_guarded() {
        static SPEC: TableSpec = TableSpec {
            name: "t",
            about: "",
            series: false,
            columns: &[Column::new("label", "", ""), Column::new("x_uv", "uV", "")],
        };
        let mut table = Table::new(&SPEC);
        table.push(Some(0), [Cell::from("=cmd,\"x\"".to_owned()), Cell::from(-1.5)]);
        table.push(None, [Cell::Missing, Cell::from(f64::NAN)]);
        let (mut out, id) = (Vec::new(), Identity { recording: "r".into(), ..Identity::default() });
        table.write_header(&mut out, false).unwrap();
        table.write_rows(&mut out, &id, &["A".into()], false).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "recording,subject,session,task,run,condition,label,x_uv\nr,,,,,A,\"'=cmd,\"\"x\"\"\",-1.5\nr,,,,,,,\n"
        );
    }
}
