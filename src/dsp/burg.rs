//! burg: to be written.
