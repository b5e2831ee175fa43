//! bytes: to be written.
