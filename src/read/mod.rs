//! Doors in: one file per format.

pub mod brainvision;
pub mod bytes;
pub mod edf;
pub mod memory;
pub mod probe;
#[cfg(feature = "verify-edfplus")]
pub mod verify;
