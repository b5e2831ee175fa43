//! fir: to be written.
