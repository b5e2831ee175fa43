//! edf: to be written.
