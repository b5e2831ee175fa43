//! brainvision: to be written.
