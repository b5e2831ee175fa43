//! tep: to be written.
