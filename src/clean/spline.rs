//! spline: to be written.
