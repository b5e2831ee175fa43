//! trial_values: to be written.
