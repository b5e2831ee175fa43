//! What a result looks like on paper: self-describing columns, tidy rows, one way to write numbers.

mod csv;

pub use self::csv::{format_number, guard_formula};
use serde::Serialize;
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

/// A column that introduces itself: name, unit and meaning feed the CSV header, `columns.json` and `stimkit columns`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Header, with the unit as suffix where it has one.
    pub name: Cow<'static, str>,
    /// Unit, empty for text and counts.
    pub unit: &'static str,
    /// What it means, in one sentence.
    pub about: Cow<'static, str>,
}

impl Column {
    /// A column known at compile time.
    pub const fn new(name: &'static str, unit: &'static str, about: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), unit, about: Cow::Borrowed(about) }
    }

    /// A column only known at run time, a channel's say.
    pub fn dynamic(name: impl Into<String>, unit: &'static str, about: impl Into<String>) -> Self {
        Self { name: Cow::Owned(name.into()), unit, about: Cow::Owned(about.into()) }
    }
}

/// The fixed part of a table: lives beside the code that fills it.
#[derive(Debug, PartialEq, Eq)]
pub struct TableSpec {
    /// File name without `.csv`.
    pub name: &'static str,
    /// What a row is.
    pub about: &'static str,
    /// A series (time course, trials) is written per recording only, not into the summary over recordings.
    pub series: bool,
    /// Columns after the identity columns, in the contract's order.
    pub columns: &'static [Column],
}

/// Columns in front of every table: which recording, whose, and which condition.
pub static IDENTITY: [Column; 6] = [
    Column::new("recording", "", "Name of the recording: its file's stem, made unique where two inputs share one"),
    Column::new("subject", "", "From BIDS entities, --match or --join; else empty"),
    Column::new("session", "", "From BIDS entities, --match or --join; else empty"),
    Column::new("task", "", "From BIDS entities, --match or --join; else empty"),
    Column::new("run", "", "From BIDS entities, --match or --join; else empty"),
    Column::new(
        "condition",
        "",
        "Name of the event that the row is about; empty where it concerns the whole recording",
    ),
];

/// What the identity columns hold for one recording.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// Unique name of the recording within the run.
    pub recording: String,
    /// Subject label.
    pub subject: String,
    /// Session label.
    pub session: String,
    /// Task label.
    pub task: String,
    /// Run label.
    pub run: String,
}

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Not there, not a number, not defined: an empty cell.
    Missing,
    /// Text.
    Text(Cow<'static, str>),
    /// A number; NaN and infinities are written as missing.
    Number(f64),
    /// A count or an index.
    Integer(i64),
    /// 0 or 1.
    Bool(bool),
}

macro_rules! cell_from {
    ($($from:ty => |$value:ident| $cell:expr),* $(,)?) => {
        $(impl From<$from> for Cell { fn from($value: $from) -> Self { $cell } })*
    };
}
cell_from! {
    f64 => |v| Cell::Number(v),
    i64 => |v| Cell::Integer(v),
    u32 => |v| Cell::Integer(i64::from(v)),
    usize => |v| Cell::Integer(i64::try_from(v).unwrap_or(i64::MAX)),
    u64 => |v| Cell::Integer(i64::try_from(v).unwrap_or(i64::MAX)),
    bool => |v| Cell::Bool(v),
    &'static str => |v| Cell::Text(Cow::Borrowed(v)),
    String => |v| Cell::Text(Cow::Owned(v)),
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::Missing, Into::into)
    }
}

/// Takes a row: its condition and its cells.
pub type TakeRow<'a> = dyn FnMut(Option<u16>, &[Cell]) + 'a;

/// Rows that are made while they are written: a table of a million rows takes no more memory than what it is made from.
pub trait Rows: Send + Sync {
    /// Number of rows.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of parts, which are made independently of each other, on any thread.
    fn parts(&self) -> usize;

    /// Makes the rows of a part, in order.
    fn make(&self, part: usize, take: &mut TakeRow<'_>);
}

/// A table: columns, and rows that each belong to a condition.
#[derive(Debug, Clone)]
pub struct Table {
    spec: &'static TableSpec,
    columns: Vec<Column>,
    body: Body,
    source: Option<Source>,
}

/// Rows in memory.
#[derive(Debug, Clone, Default)]
struct Body {
    conditions: Vec<Option<u16>>,
    cells: Vec<Cell>,
}

/// Rows to be made, and those that somebody wanted to look at one by one.
#[derive(Clone)]
struct Source {
    rows: Arc<dyn Rows>,
    made: OnceLock<Body>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

impl Source {
    fn body(&self) -> &Body {
        self.made.get_or_init(|| {
            let mut body = Body::default();
            for part in 0..self.rows.parts() {
                self.rows.make(part, &mut |condition, cells| {
                    body.conditions.push(condition);
                    body.cells.extend_from_slice(cells);
                });
            }
            body
        })
    }
}

impl Table {
    /// An empty table with the spec's columns.
    pub fn new(spec: &'static TableSpec) -> Self {
        Self::with_columns(spec, [])
    }

    /// An empty table with further columns (one per channel, say) to the right of the spec's.
    pub fn with_columns(spec: &'static TableSpec, more: impl IntoIterator<Item = Column>) -> Self {
        let columns = spec.columns.iter().cloned().chain(more).collect();
        Self { spec, columns, body: Body::default(), source: None }
    }

    /// A table with the spec's columns whose rows are made while they are written.
    pub fn made(spec: &'static TableSpec, rows: Arc<dyn Rows>) -> Self {
        Self { source: Some(Source { rows, made: OnceLock::new() }), ..Self::new(spec) }
    }

    fn body(&self) -> &Body {
        self.source.as_ref().map_or(&self.body, Source::body)
    }

    /// The rows in memory, to be added to.
    fn body_mut(&mut self) -> &mut Body {
        if let Some(source) = self.source.take() {
            self.body = source.body().clone();
        }
        &mut self.body
    }

    /// Adds a row about `condition` (`None`: about the whole recording).
    ///
    /// # Panics
    /// When the number of cells is not the number of columns: a mistake in the marker.
    pub fn push(&mut self, condition: Option<u16>, cells: impl IntoIterator<Item = Cell>) {
        let (name, columns) = (self.spec.name, self.columns.len());
        let body = self.body_mut();
        let before = body.cells.len();
        body.cells.extend(cells);
        assert_eq!(body.cells.len() - before, columns, "cells in a row of table {name}");
        body.conditions.push(condition);
    }

    /// Appends the rows of a table with the same columns.
    pub fn append(&mut self, mut other: Table) {
        assert_eq!(self.columns.len(), other.columns.len(), "columns of table {}", self.spec.name);
        let (body, other) = (self.body_mut(), other.body_mut());
        body.conditions.append(&mut other.conditions);
        body.cells.append(&mut other.cells);
    }

    /// The fixed part.
    pub fn spec(&self) -> &'static TableSpec {
        self.spec
    }

    /// File name without `.csv`.
    pub fn name(&self) -> &'static str {
        self.spec.name
    }

    /// Columns after the identity columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.source.as_ref().map_or(self.body.conditions.len(), |s| s.rows.len())
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows with their conditions.
    pub fn rows(&self) -> impl Iterator<Item = (Option<u16>, &[Cell])> {
        let body = self.body();
        body.conditions.iter().copied().zip(body.cells.chunks_exact(self.columns.len()))
    }

    /// One cell by row and column name.
    pub fn cell(&self, row: usize, column: &str) -> Option<&Cell> {
        let at = self.columns.iter().position(|c| c.name == column)?;
        self.body().cells.chunks_exact(self.columns.len()).nth(row)?.get(at)
    }

    /// One text by row and column name; `None` when missing or not a text.
    pub fn text(&self, row: usize, column: &str) -> Option<&str> {
        match self.cell(row, column)? {
            Cell::Text(text) => Some(text),
            _ => None,
        }
    }

    /// One number by row and column name; `None` when missing or not a number.
    pub fn number(&self, row: usize, column: &str) -> Option<f64> {
        match self.cell(row, column)? {
            Cell::Number(v) if v.is_finite() => Some(*v),
            Cell::Integer(v) => Some(*v as f64),
            Cell::Bool(v) => Some(f64::from(u8::from(*v))),
            _ => None,
        }
    }
}
