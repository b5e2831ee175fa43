//! areas: to be written.
