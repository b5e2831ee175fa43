//! pairs: to be written.
