//! decimate: to be written.
