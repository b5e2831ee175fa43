//! Newtypes for time and scale, so that a sample index is never mistaken for a second.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Index of a *stored* sample of a stream, from 0. Never rescaled, so events survive resampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tick(pub i64);

impl Tick {
    /// The tick `samples` later; saturates instead of wrapping.
    #[must_use]
    pub fn plus(self, samples: i64) -> Self {
        Self(self.0.saturating_add(samples))
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A sampling rate as an exact, reduced ratio in Hz: 1 000 000 µs / 195 µs stays what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    num: u64,
    den: u64,
}

impl Rate {
    /// `num / den` Hz, reduced.
    ///
    /// # Errors
    /// When either side is zero or above 2^40, where later products could overflow.
    pub fn new(num: u64, den: u64) -> Result<Self> {
        let g = gcd(num, den);
        if g == 0 || num == 0 || den == 0 || num / g > 1 << 40 || den / g > 1 << 40 {
            return Err(Error::format(format!("a sampling rate of {num}/{den} Hz cannot be used")));
        }
        Ok(Self { num: num / g, den: den / g })
    }

    /// The ratio nearest to `hz` with a denominator of at most 10^6 (continued fraction).
    ///
    /// # Errors
    /// When `hz` is not finite and between 10^-3 and 10^9.
    pub fn from_hz(hz: f64) -> Result<Self> {
        if !(hz.is_finite() && (1e-3..=1e9).contains(&hz)) {
            return Err(Error::format(format!("a sampling rate of {hz} Hz cannot be used")));
        }
        let (mut p0, mut q0, mut p1, mut q1) = (0_u64, 1_u64, 1_u64, 0_u64);
        let mut x = hz;
        for _ in 0..64 {
            let a = x.floor() as u64;
            let (Some(p2), Some(q2)) =
                (a.checked_mul(p1).and_then(|v| v.checked_add(p0)), a.checked_mul(q1).and_then(|v| v.checked_add(q0)))
            else {
                break;
            };
            if q2 > 1_000_000 || p2 > 1 << 40 {
                break;
            }
            (p0, q0, p1, q1) = (p1, q1, p2, q2);
            let rest = x - x.floor();
            if (p1 as f64 / q1 as f64 - hz).abs() <= hz * 1e-15 || rest < 1e-12 {
                break;
            }
            x = 1.0 / rest;
        }
        Self::new(p1, q1)
    }

    /// Numerator of the reduced ratio.
    pub fn num(self) -> u64 {
        self.num
    }

    /// Denominator of the reduced ratio.
    pub fn den(self) -> u64 {
        self.den
    }

    /// The rate in Hz.
    pub fn hz(self) -> f64 {
        self.num as f64 / self.den as f64
    }

    /// How many ticks (with a fraction) pass in `seconds`.
    pub fn ticks(self, seconds: f64) -> f64 {
        seconds * self.num as f64 / self.den as f64
    }

    /// How many seconds `ticks` last.
    pub fn seconds(self, ticks: f64) -> f64 {
        ticks * self.den as f64 / self.num as f64
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Hz", self.hz())
    }
}

/// The clock of a (resampled) stream: its sample `k` lies at input tick `k · down / up`, whatever was cut where.
///
/// The grid is anchored at tick 0 of the recording, not at the start of a segment or a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Rate at which ticks were stored.
    pub input: Rate,
    /// Samples of this stream per `down` ticks.
    pub up: u64,
    /// Ticks per `up` samples of this stream.
    pub down: u64,
}

impl Clock {
    /// The clock of the stored samples themselves.
    pub fn stored(input: Rate) -> Self {
        Self { input, up: 1, down: 1 }
    }

    /// The clock after resampling by `up / down`.
    ///
    /// # Errors
    /// When the combined ratio leaves the range of exact arithmetic.
    pub fn resampled(self, up: u64, down: u64) -> Result<Self> {
        let (up, down) = (
            self.up.checked_mul(up).ok_or_else(|| Error::usage("the resampling ratio is too large"))?,
            self.down.checked_mul(down).ok_or_else(|| Error::usage("the resampling ratio is too large"))?,
        );
        let g = gcd(up, down);
        if g == 0 || up / g > 1 << 24 || down / g > 1 << 24 {
            return Err(Error::usage(format!("resampling by {up}/{down} is not supported")));
        }
        Ok(Self { input: self.input, up: up / g, down: down / g })
    }

    /// This stream's rate.
    pub fn rate_hz(&self) -> f64 {
        self.input.num as f64 * self.up as f64 / (self.input.den as f64 * self.down as f64)
    }

    /// The sample of this stream nearest to `tick` (a tie goes to the later one).
    pub fn nearest_sample(&self, tick: Tick) -> i64 {
        let (up, down) = (i128::from(self.up), i128::from(self.down));
        // floor(t·up/down + 1/2), in integers
        ((2 * i128::from(tick.0) * up + down).div_euclid(2 * down)) as i64
    }

    /// First sample at or after `tick`.
    pub fn first_sample_from(&self, tick: Tick) -> i64 {
        let (up, down) = (i128::from(self.up), i128::from(self.down));
        -((-i128::from(tick.0) * up).div_euclid(down)) as i64
    }

    /// Where sample `k` lies, in ticks with a fraction.
    pub fn tick_of(&self, sample: i64) -> f64 {
        sample as f64 * self.down as f64 / self.up as f64
    }
}

/// First and last sample offset of a window in ms, both ends included: `lo − 1e-6 ≤ t ≤ hi + 1e-6` ms.
/// `None` when no sample lies inside.
pub fn window_offsets(window_ms: [f64; 2], rate_hz: f64) -> Option<(i64, i64)> {
    let lo = ((window_ms[0] - 1e-6) * rate_hz / 1e3).ceil();
    let hi = ((window_ms[1] + 1e-6) * rate_hz / 1e3).floor();
    (lo.is_finite() && hi.is_finite() && lo <= hi && lo.abs() < 1e15 && hi.abs() < 1e15)
        .then_some((lo as i64, hi as i64))
}

/// Greatest common divisor.
pub fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// What a channel's samples count. Everything electric becomes µV (EEG, EMG, …) or mA at the reader's door;
/// a unit that is not known stays as it is and is never called µV.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String")]
pub enum Unit {
    /// Microvolt.
    Microvolt,
    /// Milliampere.
    Milliampere,
    /// Dimensionless: triggers, counters, uncalibrated channels.
    None,
    /// Anything else, as the file spells it.
    Other(String),
}

impl From<Unit> for String {
    fn from(unit: Unit) -> Self {
        unit.to_string()
    }
}

impl From<String> for Unit {
    fn from(text: String) -> Self {
        Self::parse(&text).0
    }
}

impl Unit {
    /// The unit and the factor that brings values in `text` to it: `"mV"` is (µV, 1000).
    /// Both micro characters, `u`, and upper or lower case volts are known; odd units come back as they are, factor 1.
    pub fn parse(text: &str) -> (Self, f64) {
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        match text {
            "uV" | "µV" | "μV" | "uv" | "µv" | "UV" => (Self::Microvolt, 1.0),
            "V" | "v" => (Self::Microvolt, 1e6),
            "mV" | "mv" => (Self::Microvolt, 1e3),
            "nV" | "nv" => (Self::Microvolt, 1e-3),
            "pV" => (Self::Microvolt, 1e-6),
            "mA" => (Self::Milliampere, 1.0),
            "A" => (Self::Milliampere, 1e3),
            "uA" | "µA" | "μA" => (Self::Milliampere, 1e-3),
            "" => (Self::None, 1.0),
            other => (Self::Other(other.to_owned()), 1.0),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Microvolt => "uV",
            Self::Milliampere => "mA",
            Self::None => "",
            Self::Other(text) => text,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_exact_ratios() {
        assert_eq!(Rate::from_hz(5000.0).unwrap(), Rate::new(5000, 1).unwrap());
        assert_eq!(Rate::from_hz(1e6 / 195.0).unwrap(), Rate::new(200_000, 39).unwrap());
        assert_eq!(Rate::from_hz(0.1).unwrap(), Rate::new(1, 10).unwrap());
        assert!(Rate::from_hz(f64::NAN).is_err() && Rate::from_hz(0.0).is_err());
    }

    #[test]
    fn nearest_sample_sends_ties_to_the_later_one() {
        let clock = Clock::stored(Rate::new(5000, 1).unwrap()).resampled(1, 2).unwrap();
        assert_eq!([-3, -1, 0, 1, 3].map(|t| clock.nearest_sample(Tick(t))), [-1, 0, 0, 1, 2]);
        assert_eq!([-3, -1, 0, 1, 3].map(|t| clock.first_sample_from(Tick(t))), [-1, 0, 0, 1, 2]);
    }

    #[test]
    fn windows_hold_both_ends() {
        assert_eq!(window_offsets([-1000.0, 1000.0], 1000.0), Some((-1000, 1000)));
        assert_eq!(window_offsets([0.1, 0.9], 1000.0), None);
        assert_eq!(window_offsets([0.0, 30.0], 256.0), Some((0, 7)));
    }
}
