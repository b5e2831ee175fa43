//! interpolate: to be written.
