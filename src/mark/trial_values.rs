//! trial_values
