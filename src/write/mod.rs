//! Doors out for signals.

pub mod brainvision;

pub use brainvision::BrainVisionWriter;
