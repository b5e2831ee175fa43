//! reject: to be written.
