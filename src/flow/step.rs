//! Work on one epoch, in place.

use super::{BuildContext, EpochInfo, Problems};
use crate::signal::Epoch;

/// Why an epoch was dropped: data, so that saying it allocates nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reason {
    /// Stable word: `max_ptp_uv`, `gap`, `non_finite`, `start`, `end`, …
    pub code: &'static str,
    /// The channel that decided.
    pub channel: Option<u32>,
    /// The value that decided, in the code's unit.
    pub value: f64,
}

impl Reason {
    /// A reason without channel and value.
    pub const fn new(code: &'static str) -> Self {
        Self { code, channel: None, value: f64::NAN }
    }
}

/// What a Step says about an epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// Goes on.
    Keep,
    /// Is left out of every average; the reason stands in `trials`.
    Drop(Reason),
}

/// Work on one epoch, in place. Quiet: no allocation, lock, log or panic.
pub trait Step: Send {
    /// Changes the epoch, or drops it.
    fn apply(&mut self, epoch: &mut Epoch) -> Verdict;
}

/// A Step's plain-data description, as it stands in a recipe.
pub trait StepConfig {
    /// Plans and allocates; reports every problem at once. `None` exactly when it reported one.
    fn build(&self, input: &EpochInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Step>>;
}
