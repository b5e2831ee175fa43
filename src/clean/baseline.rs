//! baseline: to be written.
