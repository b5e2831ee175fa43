//! CSV by RFC 4180: UTF-8, LF, dot decimals, shortest digits that read back to the same f64, empty = missing.

use super::{Cell, IDENTITY, Identity, Table};
use rayon::prelude::*;
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
    pub fn write_header(&self, mut out: impl Write, raw: bool) -> io::Result<()> {
        let mut line = String::new();
        for column in IDENTITY.iter().chain(self.columns()) {
            text_field(&column.name, raw, &mut line);
        }
        end_row(&mut line);
        out.write_all(line.as_bytes())?;
        out.flush()
    }

    /// Writes all rows, each with the recording's identity and its condition's name in front. Rows that are made while they
    /// are written are made by all threads, some parts ahead of the writing.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn write_rows(
        &self,
        mut out: impl Write,
        identity: &Identity,
        conditions: &[String],
        raw: bool,
    ) -> io::Result<()> {
        let heads = Heads::new(identity, conditions, raw);
        match self.source.as_ref().map(|s| &s.rows) {
            None => {
                let mut text = String::new();
                for (condition, cells) in self.rows() {
                    heads.row(condition, cells, raw, &mut text);
                    if text.len() > 1 << 16 {
                        out.write_all(text.as_bytes())?;
                        text.clear();
                    }
                }
                out.write_all(text.as_bytes())?;
            }
            Some(rows) => {
                let ahead = rayon::current_num_threads();
                let mut texts = vec![String::new(); ahead];
                for first in (0..rows.parts()).step_by(ahead) {
                    texts.par_iter_mut().enumerate().for_each(|(i, text)| {
                        text.clear();
                        if first + i < rows.parts() {
                            rows.make(first + i, &mut |condition, cells| heads.row(condition, cells, raw, text));
                        }
                    });
                    texts.iter().try_for_each(|text| out.write_all(text.as_bytes()))?;
                }
            }
        }
        out.flush()
    }
}

/// The identity columns, written once: by condition, and for the whole recording.
struct Heads {
    conditions: Vec<String>,
    whole: String,
}

impl Heads {
    fn new(identity: &Identity, conditions: &[String], raw: bool) -> Self {
        let Identity { recording, subject, session, task, run } = identity;
        let head = |condition: &str| {
            let mut line = String::new();
            for field in [recording, subject, session, task, run, condition] {
                text_field(field, raw, &mut line);
            }
            line
        };
        Self { conditions: conditions.iter().map(|c| head(c)).collect(), whole: head("") }
    }

    fn row(&self, condition: Option<u16>, cells: &[Cell], raw: bool, line: &mut String) {
        line.push_str(condition.and_then(|c| self.conditions.get(usize::from(c))).unwrap_or(&self.whole));
        for cell in cells {
            match cell {
                Cell::Missing => line.push(','),
                Cell::Text(text) => text_field(text, raw, line),
                Cell::Number(v) => {
                    format_number(*v, line);
                    line.push(',');
                }
                // writing to a String cannot fail
                Cell::Integer(v) => drop(write!(line, "{v},")),
                Cell::Bool(v) => line.push_str(if *v { "1," } else { "0," }),
            }
        }
        end_row(line);
    }
}

/// A text and the comma behind it, in quotes where it needs them.
fn text_field(text: &str, raw: bool, line: &mut String) {
    let start = line.len();
    if raw {
        line.push_str(text)
    } else {
        guard_formula(text, line)
    }
    if line[start..].contains([',', '"', '\r', '\n']) {
        let quoted = line[start..].replace('"', "\"\"");
        line.truncate(start);
        line.extend(["\"", &quoted, "\""]);
    }
    line.push(',');
}

/// The last field's comma becomes the line's end.
fn end_row(line: &mut String) {
    line.pop();
    line.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Column, Rows, TableSpec, TakeRow};
    use std::sync::Arc;

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

    #[test]
    fn made_rows_are_written_as_pushed_rows_are() {
        struct Squares;
        impl Rows for Squares {
            fn len(&self) -> usize {
                70
            }

            fn parts(&self) -> usize {
                7
            }

            fn make(&self, part: usize, take: &mut TakeRow<'_>) {
                for i in 10 * part..10 * part + 10 {
                    take(Some(0), &[Cell::from(format!("a,{i}")), Cell::from(i * i)]);
                }
            }
        }
        static SPEC: TableSpec = TableSpec {
            name: "t",
            about: "",
            series: true,
            columns: &[Column::new("label", "", ""), Column::new("square", "", "")],
        };
        let write = |table: &Table| {
            let mut out = Vec::new();
            table.write_rows(&mut out, &Identity::default(), &["A".into()], false).unwrap();
            String::from_utf8(out).unwrap()
        };
        let made = Table::made(&SPEC, Arc::new(Squares));
        let mut pushed = Table::new(&SPEC);
        made.rows().for_each(|(condition, cells)| pushed.push(condition, cells.iter().cloned()));
        assert_eq!((made.len(), pushed.len(), made.number(9, "square")), (70, 70, Some(81.0)));
        assert_eq!(write(&made), write(&pushed));
        assert!(write(&made).starts_with(",,,,,A,\"a,0\",0\n,,,,,A,\"a,1\",1\n"));
        // added to, it holds its rows like any other
        let mut more = made.clone();
        more.append(made);
        assert_eq!((more.len(), more.rows().count()), (140, 140));
    }
}
