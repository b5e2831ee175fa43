//! tms: to be written.
