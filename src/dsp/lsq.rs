//! lsq: to be written.
