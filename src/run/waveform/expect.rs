//! A protocol, `10Hz,2mA,ramp=30s,duration=20min`, and how far what was measured is from it.

use super::measure::Measured;
use crate::signal::Channel;
use crate::unit::Unit;
use crate::{Error, Result};

/// Shares of the expected value that are let pass, where the protocol tells no other (`tolerance=2%`).
const FREQUENCY: f64 = 1e-3;
const AMPLITUDE: f64 = 0.05;
const TIME: f64 = 0.05;
/// A time is also right within this many cycles, and this long, s: an edge cannot be told more exactly.
const CYCLES: f64 = 1.0;
const SECONDS: f64 = 0.05;

/// What a protocol tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expectation {
    /// As it was written.
    pub text: String,
    /// Hz.
    pub frequency_hz: Option<f64>,
    /// Peak amplitude of the fundamental, and its unit.
    pub amplitude: Option<(f64, Unit)>,
    /// Length of both ramps, s.
    pub ramp_s: Option<f64>,
    /// From the start of the ramp up to the end of the ramp down, s.
    pub duration_s: Option<f64>,
    /// Share that is let pass, in place of the defaults.
    pub tolerance: Option<f64>,
}

/// One expectation, compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Which.
    pub item: &'static str,
    /// Unit of the numbers.
    pub unit: String,
    /// As told.
    pub expected: f64,
    /// As found; NaN where nothing was.
    pub measured: f64,
    /// Largest difference that is let pass.
    pub tolerance: f64,
    /// `met`, `missed` or `not_comparable`.
    pub verdict: &'static str,
}

impl Expectation {
    /// Reads a protocol: parts between commas, each a number with its unit. `ramp=`, `duration=` and `tolerance=` are named; what
    /// is not is told by its unit (Hz; mA, uA, A, V, mV: peak amplitude). `pp=4mA` tells it from peak to peak.
    ///
    /// # Errors
    /// When a part cannot be read, is not positive, or stands there twice.
    pub fn parse(text: &str) -> Result<Self> {
        let mut all = Self { text: text.to_owned(), ..Self::default() };
        for part in text.split(',').map(str::trim) {
            let bad = || {
                Error::usage(format!("--expect: {part:?} cannot be read"))
                    .with_hint("write it like 10Hz,2mA,ramp=30s,duration=20min; also pp=4mA and tolerance=2%")
            };
            let (name, value) = part.split_once('=').map_or(("", part), |(n, v)| (n.trim(), v.trim()));
            let at = value.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(value.len());
            let (number, unit) = (value[..at].parse::<f64>().map_err(|_| bad())?, value[at..].trim());
            if !(number > 0.0 && number.is_finite()) {
                return Err(bad());
            }
            let frequency = match unit {
                "Hz" | "hz" => Some(number),
                "kHz" => Some(number * 1e3),
                "mHz" => Some(number * 1e-3),
                _ => None,
            };
            let seconds = match unit {
                "ms" => Some(number * 1e-3),
                "s" => Some(number),
                "min" => Some(number * 60.0),
                "h" => Some(number * 3600.0),
                _ => None,
            };
            let strength = match Unit::parse(unit) {
                (unit @ (Unit::Milliampere | Unit::Microvolt), factor) => Some((number * factor, unit)),
                _ => None,
            };
            let twice = match (name, frequency, seconds, strength) {
                ("" | "frequency", Some(hz), ..) => all.frequency_hz.replace(hz).is_some(),
                ("" | "amplitude", _, _, Some(strength)) => all.amplitude.replace(strength).is_some(),
                ("pp", _, _, Some((value, unit))) => all.amplitude.replace((value / 2.0, unit)).is_some(),
                ("ramp", _, Some(s), _) => all.ramp_s.replace(s).is_some(),
                ("duration", _, Some(s), _) => all.duration_s.replace(s).is_some(),
                ("tolerance", ..) if unit == "%" => all.tolerance.replace(number / 100.0).is_some(),
                _ => return Err(bad()),
            };
            if twice {
                return Err(Error::usage(format!("--expect: {part:?} tells again what was told before")));
            }
        }
        Ok(all)
    }

    /// Whether nothing is expected.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// A line per expectation.
    pub fn compare(&self, m: &Measured, channel: &Channel, rate_hz: f64) -> Vec<Line> {
        let line = |item, unit: &str, expected: f64, measured: f64, tolerance: f64, comparable: bool| {
            let verdict = match (comparable && measured.is_finite(), (measured - expected).abs() <= tolerance) {
                (false, _) => "not_comparable",
                (true, true) => "met",
                (true, false) => "missed",
            };
            let measured = if comparable { measured } else { f64::NAN };
            Line { item, unit: unit.to_owned(), expected, measured, tolerance, verdict }
        };
        let share = |usual: f64| self.tolerance.unwrap_or(usual);
        let mut lines = Vec::new();
        if let Some(hz) = self.frequency_hz {
            lines.push(line("frequency", "Hz", hz, m.cycles * rate_hz, hz * share(FREQUENCY), true));
        }
        if let Some((amplitude, unit)) = &self.amplitude {
            let tolerance = amplitude * share(AMPLITUDE);
            let same = channel.unit == *unit;
            lines.push(line("amplitude", &unit.to_string(), *amplitude, m.amplitude, tolerance, same));
        }
        let edge = |s: f64| (s * share(TIME)).max(SECONDS).max(CYCLES / (m.cycles * rate_hz));
        for (item, ramp) in [("ramp_up", &m.ramp_up), ("ramp_down", &m.ramp_down)] {
            if let Some(s) = self.ramp_s {
                lines.push(line(item, "s", s, ramp.samples / rate_hz, edge(s), true));
            }
        }
        if let Some(s) = self.duration_s {
            lines.push(line("duration", "s", s, (m.end - m.start) / rate_hz, edge(s), true));
        }
        lines
    }
}
