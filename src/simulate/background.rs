//! background: to be written.
