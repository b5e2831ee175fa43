//! Doors out for signals.

pub mod brainvision;
