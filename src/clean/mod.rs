//! Rooms of work: one method per file. Each file holds its config (as in a recipe) and the Stage, Step or Fit it builds.

pub mod bad_channels;
pub mod baseline;
pub mod butterworth;
pub mod comb;
pub mod decimate;
pub mod detect;
pub mod detrend;
pub mod fir;
pub mod gap_aware;
pub mod harmonics;
pub mod kalman;
pub mod match_trials;
pub mod parrm;
pub mod phase;
pub mod pulse;
pub mod quality;
pub mod reference;
pub mod regression;
pub mod reject;
pub mod resample;
pub mod sass;
pub mod spline;
pub mod stft;
pub mod stimulation;
mod stretches;
mod teeth;
pub mod template;
#[cfg(test)]
mod testing;
pub mod whittaker;
pub mod windows;

/// Every table that those who watch a Stage fill, for `stimkit columns`.
pub fn all_tables() -> Vec<&'static crate::table::TableSpec> {
    [&quality::TABLES[..], &[&phase::TRIGGERS]].concat()
}
