//! `decimate`: a lower rate, the input's divided by a whole number.

use super::resample::{default_beta, default_crossings, ratio, stage};
use crate::dsp::resample::{BETA, CROSSINGS};
use crate::flow::{BuildContext, Problems, Stage, StageConfig};
use crate::signal::StreamInfo;
use serde::{Deserialize, Serialize};

/// Low-passes and keeps every n-th sample: [`Resample`](super::resample::Resample) for whole n, with the same filter, ends and
/// grid. The samples kept are those at multiples of n counted from tick 0.
///
/// n is the largest whole number that does not go below `to_hz`: 5000 Hz to 1000 Hz is every fifth, 2048 Hz to 1000 Hz every
/// second (1024 Hz), and 512 Hz stays as it is. `resample` gives any rate exactly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decimate {
    /// Rate wanted, in Hz: what leaves has this rate or the nearest possible one above it.
    pub to_hz: f64,
    /// Zero crossings of the sinc to either side, 1 to 1000: more make a steeper filter.
    #[serde(default = "default_crossings")]
    pub crossings: u32,
    /// β of the Kaiser window, 0 to 50: more attenuates better, and makes the flank wider.
    #[serde(default = "default_beta")]
    pub kaiser_beta: f64,
}

impl Decimate {
    /// To `to_hz` with the default filter.
    pub fn to(to_hz: f64) -> Self {
        Self { to_hz, crossings: CROSSINGS, kaiser_beta: BETA }
    }
}

impl StageConfig for Decimate {
    fn build(&self, input: &StreamInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Stage>> {
        ratio(input, self.to_hz, problems)?;
        // a shade above a whole number is that number: rates are exact, their quotient in f64 is not
        let n = (input.rate_hz() / self.to_hz * (1.0 + 1e-12)).floor().max(1.0);
        stage(input, 1, n as u64, (self.crossings, self.kaiser_beta, true), context, problems)
    }
}
