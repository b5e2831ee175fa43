//! sphere: to be written.
