//! One error for the whole crate: its kind says what the caller can do, its text says where.

use std::fmt;
use std::path::{Path, PathBuf};

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, where, and what to do next. One word wide.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    code: Option<&'static str>,
    path: Option<PathBuf>,
    offset: Option<u64>,
    hint: Option<String>,
}

/// Errors grouped by what the caller can do about them. Each maps to one exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Arguments or recipe are wrong: edit them (exit code 64).
    Usage,
    /// The input's bytes are not what its format says (65).
    Format,
    /// The input is well formed, but in a form this version does not read (65).
    Unsupported,
    /// The recording cannot support what was asked: no such event, no EEG channel, … (65).
    Data,
    /// The input is missing or cannot be read (66).
    Input,
    /// The output cannot be created (73).
    Output,
    /// An I/O error while working, a full disk say (74).
    Io,
    /// Interrupted, or a passing trouble: run again (75).
    Interrupted,
}

impl ErrorKind {
    /// The process exit code of this kind (sysexits.h).
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 64,
            Self::Format | Self::Unsupported | Self::Data => 65,
            Self::Input => 66,
            Self::Output => 73,
            Self::Io => 74,
            Self::Interrupted => 75,
        }
    }

    /// The kind's name in `failures.csv` and JSON messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Format => "format",
            Self::Unsupported => "unsupported",
            Self::Data => "data",
            Self::Input => "input",
            Self::Output => "output",
            Self::Io => "io",
            Self::Interrupted => "interrupted",
        }
    }
}

impl Error {
    /// An error of `kind` with a message that says what was found and what was expected.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), code: None, path: None, offset: None, hint: None }))
    }

    /// Malformed input.
    pub fn format(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Format, message)
    }

    /// Input that is well formed but not read by this version.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// A recording that cannot support what was asked of it.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, message)
    }

    /// Wrong arguments or recipe.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// The input file is missing or cannot be read.
    pub fn input(path: impl AsRef<Path>, cause: &std::io::Error) -> Self {
        Self::new(ErrorKind::Input, cause.to_string()).at_path(path)
    }

    /// The output cannot be created (`73`), or the disk failed while writing (`74`).
    pub fn output(path: impl AsRef<Path>, cause: &std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let kind = match cause.kind() {
            K::NotFound
            | K::PermissionDenied
            | K::AlreadyExists
            | K::NotADirectory
            | K::IsADirectory
            | K::ReadOnlyFilesystem => ErrorKind::Output,
            _ => ErrorKind::Io,
        };
        Self::new(kind, cause.to_string()).at_path(path)
    }

    /// Adds the file it happened in; the innermost path stays.
    #[must_use]
    pub fn at_path(mut self, path: impl AsRef<Path>) -> Self {
        self.0.path.get_or_insert_with(|| path.as_ref().to_owned());
        self
    }

    /// Adds the byte (or, for text, the line) it happened at.
    #[must_use]
    pub fn at_offset(mut self, offset: u64) -> Self {
        self.0.offset.get_or_insert(offset);
        self
    }

    /// Adds the stable code that `--lenient CODE` names.
    #[must_use]
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.0.code.get_or_insert(code);
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// The same error as another kind: a recipe that is fine in itself may be wrong for one recording.
    #[must_use]
    pub fn of_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The stable code of a defect that `--lenient` can let pass.
    pub fn code(&self) -> Option<&'static str> {
        self.0.code
    }

    /// The message without path and hint.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The file it happened in.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The byte offset it happened at.
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }

    /// What to do next.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { message, code, path, offset, hint, .. } = &*self.0;
        if let Some(path) = path {
            write!(f, "{}: ", path.display())?;
        }
        f.write_str(message)?;
        if let Some(offset) = offset {
            write!(f, " (at byte {offset})")?;
        }
        if let Some(code) = code {
            write!(f, " [{code}]")?;
        }
        if let Some(hint) = hint {
            // behind a table or a list the hint gets a line of its own
            let joint = if message.contains('\n') { "\n" } else { "; " };
            write!(f, "{joint}{hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// A defect that did not change samples or time. Counted and shown, never only text.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Warning {
    /// Stable code, `W_EDF_NREC_UNKNOWN` say.
    pub code: &'static str,
    /// What was found and what was done about it.
    pub message: String,
}

impl Warning {
    /// A warning with its stable code.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.message, self.code)
    }
}
