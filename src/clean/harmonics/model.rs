//! What the fit learns, as it stands in the Model's values.

use crate::dsp::normal::LineOf;
use crate::signal::Stimulation;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that the Stage needs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Learnt {
    /// The episodes, with the fitted frequency.
    pub stimulation: Stimulation,
    /// The artefact in each of them.
    pub episodes: Vec<Part>,
    /// Channels that are left as they are: `saturated`, `flat`, `not_finite`, `not_fitted`.
    pub refused: BTreeMap<String, String>,
    /// Standard deviation of what is left on the plateaus, by channel, in its unit.
    pub residual_sd: BTreeMap<String, f64>,
    /// Share of the samples during stimulation that lie exactly at the channel's extremes, or at the limits of its number type; 0 is
    /// left out.
    pub at_extremes: BTreeMap<String, f64>,
}

/// The artefact in one episode.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Part {
    /// The lines and their harmonics; last, where an overtone falls on it, the line at half the rate.
    pub lines: Vec<LineOf>,
    /// Standard deviation of each line's frequency under white noise, cycles per sample; not of a line at half the rate.
    pub sd_cycles: Vec<f64>,
    /// Harmonics that could not be told from others, and why.
    pub left_out: Vec<String>,
    /// Whether windows were used, and why.
    pub window: Window,
    /// In order, without overlap.
    pub pieces: Vec<Piece>,
    /// By channel: the knots' coefficients, cosine and sine per harmonic, line after line.
    pub knots: BTreeMap<String, Vec<Vec<f64>>>,
}

/// The decision about windows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Window {
    /// Length, s; none: one set of coefficients for the whole plateau.
    pub window_s: Option<f64>,
    /// Whether that was decided by the data.
    pub automatic: bool,
    /// Spread of the fundamental about its mean over its step from one stretch of half a window to the next: 1 where there is
    /// only noise, above 3 the amplitude drifts. Empty with fewer than six stretches.
    pub drift: Option<f64>,
}

/// A stretch of samples in which the coefficients go from one knot to the next.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Piece {
    pub from: i64,
    pub to: i64,
    /// None: from nothing.
    pub before: Option<usize>,
    pub after: usize,
    pub blend: Blend,
}

/// How: the share of the later knot.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Blend {
    /// 1.
    Flat,
    /// A straight line that is 0 and 1 at these samples, held at 0 and 1 beyond.
    Line { zero: f64, one: f64 },
    /// sin² from `from` to `to`.
    Hann,
    /// A straight line between these shares, from half a sample before `from` to half a sample before `to`.
    Between { first: f64, last: f64 },
}

impl Piece {
    /// The share of the later knot at sample `n`.
    pub fn share(&self, n: i64) -> f64 {
        match self.blend {
            Blend::Flat => 1.0,
            Blend::Line { zero, one } => ((n as f64 - zero) / (one - zero)).clamp(0.0, 1.0),
            Blend::Between { first, last } => {
                let t = ((n - self.from) as f64 + 0.5) / (self.to - self.from) as f64;
                first + t * (last - first)
            }
            Blend::Hann => {
                let t = ((n - self.from) as f64 + 0.5) / (self.to - self.from) as f64;
                (std::f64::consts::FRAC_PI_2 * t).sin().powi(2)
            }
        }
    }
}
