//! iir: to be written.
