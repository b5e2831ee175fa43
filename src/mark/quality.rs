//! quality: to be written.
