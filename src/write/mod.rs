//! Doors out for signals.

mod behind;
pub mod brainvision;
mod sink;

pub use brainvision::BrainVisionWriter;
