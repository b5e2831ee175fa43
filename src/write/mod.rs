//! Doors out for signals.

mod behind;
pub mod brainvision;

pub use brainvision::BrainVisionWriter;
