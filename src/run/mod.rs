//! The engine: the pipeline, one recording, many recordings, and what was done.
//!
//! [`Pipeline`] is the one engine behind every door. A file is read and pushed through it ([`recording`]), a folder of
//! files is a loop around that ([`batch`]), an amplifier's callback calls [`Pipeline::cue`] and [`Pipeline::push`] itself.

pub mod batch;
mod calibrate;
mod cleaned;
mod epoched;
mod epochs;
pub mod events;
mod front;
mod holes;
pub mod identity;
mod input;
mod line;
mod models;
pub mod output;
mod pipeline;
pub mod recording;
mod slots;
mod spool;
mod tables;
mod tap;
pub mod waveform;

pub use calibrate::found_events;
pub use epochs::TrialRow;
pub use input::Input;
pub use models::read_models;
pub use pipeline::{Models, Pipeline, StageReport};
pub use recording::{Analysis, Options, all_results, analyse};
pub use tables::{CHANNELS, TRIALS, all_tables};
