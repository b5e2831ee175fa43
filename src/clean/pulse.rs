//! pulse: to be written.
