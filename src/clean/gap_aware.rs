//! gap_aware: to be written.
