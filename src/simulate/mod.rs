//! Recordings with a known truth.

pub mod background;
pub mod random;
mod scalp;
pub mod tms;
mod truth;
