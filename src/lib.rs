//! stimkit: EEG recorded under brain stimulation, from a recording to tables.
//!
//! The rooms follow the path of the data; each may use the ones before it, never the ones after
//! (`tests/rooms.rs` reads the imports and fails on a backward one):
//!
//! `error → { names | unit } → dsp → signal → table → flow → { read | write | clean | mark | simulate } → recipe → run → cli`
//!
//! ```text
//!  file ──Source──▶ Block ──Stage…──▶ Block ──Cutter──▶ Epoch ──Step…──▶ Epoch ──Marker──▶ Table
//!  amplifier ──push()──▶ the same Blocks
//! ```

pub mod error;
pub mod names;
pub mod unit;

pub mod dsp;
pub mod signal;
pub mod table;

pub mod flow;

pub mod clean;
pub mod mark;
pub mod read;
pub mod simulate;
pub mod write;

pub mod recipe;
pub mod run;

#[cfg(feature = "cli")]
pub mod cli;

pub use error::{Error, ErrorKind, Result, Warning};
