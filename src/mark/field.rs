//! field: to be written.
