//! butterworth: to be written.
