//! What the Fit `bad-channels` found, as it stands in its model.

use super::NAME;
use crate::flow::Model;
use crate::{Error, Result, Warning};
use serde::{Deserialize, Serialize};

/// Why a channel is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// Said to be bad on the command line.
    Named,
    /// Too often at the ends of the amplifier's range.
    Saturated,
    /// Without signal in more than half of the trials.
    Flat,
    /// Far more noise than the other channels.
    Noisy,
    /// Unusable in too many trials.
    Failing,
}

impl Fault {
    /// The word in the `channels` table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Named => "named",
            Self::Saturated => "saturated",
            Self::Flat => "flat",
            Self::Noisy => "noisy",
            Self::Failing => "failing",
        }
    }
}

/// Whether a channel is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Takes part in reference and rejection.
    Used,
    /// Does not.
    Bad,
}

/// What was found about one channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The channel's name.
    pub channel: String,
    /// Whether it is used.
    pub status: Status,
    /// The rule that it met. A channel in use may have one: it was spared (see [`BadChannels::max_bad_fraction`](super::BadChannels)).
    pub reason: Option<Fault>,
    /// Noise in µV: geometric mean over trials of the RMS of the second difference at 5 ms.
    pub noise_uv: Option<f64>,
    /// Robust z of the log noise among the channels that are not named, saturated or flat.
    pub noise_z: Option<f64>,
    /// Share of samples at the ends of the range; none where the range is not known.
    pub saturated_fraction: Option<f64>,
    /// Share of trials that are flat.
    pub flat_fraction: f64,
    /// Share of trials that are unusable, among those that count.
    pub fail_fraction: Option<f64>,
    /// Number of trials that are unusable, shared ones included.
    pub failed_trials: u64,
}

/// What the Fit found: the [`Model`]'s values, typed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// Trials looked at.
    pub trials: u64,
    /// Trials that more than half of the channels failed, and that were not held against them.
    pub shared_trials: u64,
    /// Most channels that *noisy* and *failing* could take (with those found before).
    pub limit: u64,
    /// One per EEG channel, in order.
    pub channels: Vec<Finding>,
}

impl Findings {
    /// The findings that a model holds.
    ///
    /// # Errors
    /// When it is another Fit's model, or not as this version writes it.
    pub fn from_model(model: &Model) -> Result<Self> {
        if model.name != NAME {
            return Err(Error::data(format!("a model of {:?}, not of {NAME:?}", model.name)));
        }
        serde_json::from_value(model.values.clone())
            .map_err(|e| Error::data(format!("a model of {NAME:?} that cannot be read: {e}")))
    }

    /// The bad channels.
    pub fn bad(&self) -> impl Iterator<Item = &Finding> {
        self.channels.iter().filter(|c| c.status == Status::Bad)
    }

    /// Says so when more channels met a rule than may be bad: `W_MANY_BAD_CHANNELS`.
    pub fn warning(&self) -> Option<Warning> {
        let bad = self.bad().count();
        let spared: Vec<_> = self.channels.iter().filter(|c| c.status == Status::Used && c.reason.is_some()).collect();
        if spared.is_empty() && bad as u64 <= self.limit {
            return None;
        }
        let mut text =
            format!("{bad} of {} EEG channels are bad; at most {} were expected", self.channels.len(), self.limit);
        if !spared.is_empty() {
            let names: Vec<_> = spared.iter().map(|c| c.channel.as_str()).collect();
            text += &format!("; as bad, but still in use: {}", names.join(", "));
        }
        Some(Warning::new("W_MANY_BAD_CHANNELS", text))
    }

    /// Calls a channel bad, or, when as many are as may be, only notes why it should be.
    pub(super) fn condemn(&mut self, channel: usize, fault: Fault) {
        let full = self.bad().count() as u64 >= self.limit;
        let finding = &mut self.channels[channel];
        finding.reason = Some(fault);
        finding.status = if full { Status::Used } else { Status::Bad };
    }
}
