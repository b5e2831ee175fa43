//! peaks: to be written.
