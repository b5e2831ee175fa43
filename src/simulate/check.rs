//! Values that contradict each other or the room they need, all told at once.

use crate::Result;
use crate::flow::Problems;
use crate::signal::montage;

/// What was found wrong so far.
#[derive(Debug, Default)]
pub(super) struct Checks(Problems);

impl Checks {
    /// Something is wrong with `key`.
    pub fn add(&mut self, key: &str, message: impl Into<String>) {
        self.0.add(key, message);
    }

    /// `value` must lie in lo ≤ value ≤ hi, so must not be NaN.
    pub fn within(&mut self, key: &str, value: f64, lo: f64, hi: f64) {
        if !(lo..=hi).contains(&value) {
            self.add(key, format!("{value} is not between {lo} and {hi}"));
        }
    }

    /// None may be negative or beyond a kilovolt.
    pub fn amplitudes(&mut self, amplitudes: &[(&str, f64)]) {
        amplitudes.iter().for_each(|&(key, value)| self.within(key, value, 0.0, 1e9));
    }

    /// The electrode must be known.
    pub fn label(&mut self, key: &str, label: &str) {
        if montage::position_of(label).is_none() {
            self.add(key, format!("`{label}` is not in the 10-05 system"));
        }
    }

    /// Sampling rate and length.
    pub fn span(&mut self, rate_hz: f64, seconds: f64) {
        self.within("rate_hz", rate_hz, 100.0, 200_000.0);
        self.within("seconds", seconds, 1.0, 1e6);
    }

    /// `Err` with everything that was found, one per line.
    pub fn into_result(self) -> Result<()> {
        self.0.into_result()
    }
}
