//! Recordings with a known truth.

pub mod background;
pub mod tms;
