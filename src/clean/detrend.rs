//! detrend: to be written.
