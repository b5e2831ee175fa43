//! `decimate`: a lower rate, the input's divided by a whole number.

use super::resample::{default_beta, default_crossings, ratio, stage};
use crate::dsp::resample::{BETA, CROSSINGS};
use crate::flow::{BuildContext, Problems, Stage, StageConfig};
use crate::signal::StreamInfo;
use serde::{Deserialize, Serialize};

/// Low-passes and keeps every n-th sample, where the input's rate is n times `to_hz`: [`Resample`](super::resample::Resample)
/// for whole n, with the same filter, ends and grid. The samples kept are those at multiples of n counted from tick 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decimate {
    /// Rate wanted, in Hz. At the input's own rate nothing is done.
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
    fn build(&self, input: &StreamInfo, _: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Stage>> {
        let (up, down) = ratio(input, self.to_hz, problems)?;
        let rate_hz = input.rate_hz();
        if self.to_hz > rate_hz {
            problems.add("to_hz", format!("{} Hz is above the input's {rate_hz} Hz", self.to_hz));
            return None;
        }
        if up != 1 {
            let n = (rate_hz / self.to_hz).floor();
            problems.add(
                "to_hz",
                format!(
                    "{} Hz is not the input's {rate_hz} Hz divided by a whole number: use resample, or {} or {} Hz",
                    self.to_hz,
                    rate_hz / n,
                    rate_hz / (n + 1.0),
                ),
            );
            return None;
        }
        stage(input, up, down, (self.crossings, self.kaiser_beta, true), problems)
    }
}
