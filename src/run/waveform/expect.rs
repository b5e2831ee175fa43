//! A protocol, `10Hz,2mA,ramp=30s,duration=20min`, and how far what was measured is from it. `am=`, `beat=`, `band=` and `rms=` are
//! about the other kinds of stimulation, and tell which it is.

use super::kind::Kind;
use crate::signal::Channel;
use crate::unit::Unit;
use crate::{Error, Result};

/// Shares of the expected value that are let pass, where the protocol tells no other (`tolerance=2%`).
const FREQUENCY: f64 = 1e-3;
const AMPLITUDE: f64 = 0.05;
const TIME: f64 = 0.05;
const BAND: f64 = 0.05;
const DEPTH: f64 = 0.05;
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
    /// Frequency of the envelope of an amplitude-modulated carrier, Hz.
    pub envelope_hz: Option<f64>,
    /// Its depth, as a share.
    pub depth: Option<f64>,
    /// Beat of two carriers, Hz.
    pub beat_hz: Option<f64>,
    /// Edges of the band of noise, Hz.
    pub band_hz: Option<[f64; 2]>,
    /// Root mean square, and its unit.
    pub rms: Option<(f64, Unit)>,
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
    /// Whether the channel has the unit that is expected.
    pub same_unit: bool,
}

/// What was found, NaN where nothing was.
#[derive(Debug, Clone)]
pub struct Found {
    /// Fundamental or carrier.
    pub frequency_hz: f64,
    /// Both carriers of a beat.
    pub other_hz: [f64; 2],
    /// Peak amplitude of the fundamental; of AM the largest envelope.
    pub amplitude: f64,
    /// Size of a level.
    pub level: f64,
    /// Largest absolute value of noise.
    pub peak: f64,
    /// Root mean square.
    pub rms: f64,
    /// Edges of the band.
    pub band_hz: [f64; 2],
    /// Of AM.
    pub envelope_hz: f64,
    /// Of AM.
    pub depth: f64,
    /// Of two carriers.
    pub beat_hz: f64,
    /// Up and down.
    pub ramps_s: [f64; 2],
    /// From zero to zero.
    pub duration_s: f64,
}

impl Default for Found {
    fn default() -> Self {
        let nan = f64::NAN;
        Self {
            frequency_hz: nan,
            other_hz: [nan; 2],
            amplitude: nan,
            level: nan,
            peak: nan,
            rms: nan,
            band_hz: [nan; 2],
            envelope_hz: nan,
            depth: nan,
            beat_hz: nan,
            ramps_s: [nan; 2],
            duration_s: nan,
        }
    }
}

impl Expectation {
    /// Reads a protocol: parts between commas, each a number with its unit. `ramp=`, `duration=` and `tolerance=` are named; what
    /// is not is told by its unit (Hz; mA, uA, A, V, mV: peak amplitude, of direct current the level). `pp=4mA` tells it from peak
    /// to peak. `am=10Hz` and `depth=100%`: the envelope of a modulated carrier; `beat=10Hz`: two carriers; `rms=0.4mA` and
    /// `band=100-640Hz`: noise.
    ///
    /// # Errors
    /// When a part cannot be read, is not positive, or stands there twice.
    pub fn parse(text: &str) -> Result<Self> {
        let mut all = Self { text: text.to_owned(), ..Self::default() };
        for part in text.split(',').map(str::trim) {
            let bad = || {
                Error::usage(format!("--expect: {part:?} cannot be read"))
                    .with_hint("write it like 10Hz,2mA,ramp=30s,duration=20min; also pp=4mA, tolerance=2%, am=10Hz, depth=100%, beat=10Hz, rms=0.4mA, band=100-640Hz")
            };
            let (name, value) = part.split_once('=').map_or(("", part), |(n, v)| (n.trim(), v.trim()));
            if name == "band" {
                let edges = band(value).ok_or_else(bad)?;
                if all.band_hz.replace(edges).is_some() {
                    return Err(Error::usage(format!("--expect: {part:?} tells again what was told before")));
                }
                continue;
            }
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
                ("am", Some(hz), ..) => all.envelope_hz.replace(hz).is_some(),
                ("beat", Some(hz), ..) => all.beat_hz.replace(hz).is_some(),
                ("rms", _, _, Some(strength)) => all.rms.replace(strength).is_some(),
                ("depth", ..) if unit == "%" => all.depth.replace(number / 100.0).is_some(),
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

    /// The kind of stimulation that the protocol is about, where it tells.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self { envelope_hz: Some(_), .. } => Some(Kind::Am),
            Self { beat_hz: Some(_), .. } => Some(Kind::Ti),
            Self { band_hz: Some(_), .. } => Some(Kind::Noise),
            Self { rms: Some(_), frequency_hz: None, .. } => Some(Kind::Noise),
            _ => None,
        }
    }

    /// A line per expectation.
    pub fn compare(&self, found: &Found, channel: &Channel) -> Vec<Line> {
        let line = |item, unit: &str, expected: f64, measured: f64, tolerance: f64, comparable: bool| {
            // the width of a rounding error more: 10 ± 0.5 lets 10.5 pass
            let near = (measured - expected).abs() <= tolerance * (1.0 + 1e-12);
            let verdict = match (comparable && measured.is_finite(), near) {
                (false, _) => "not_comparable",
                (true, true) => "met",
                (true, false) => "missed",
            };
            let measured = if comparable { measured } else { f64::NAN };
            Line { item, unit: unit.to_owned(), expected, measured, tolerance, verdict, same_unit: comparable }
        };
        let share = |usual: f64| self.tolerance.unwrap_or(usual);
        let mut lines = Vec::new();
        if let Some(hz) = self.frequency_hz {
            // of two carriers the nearer is meant
            let all = [found.frequency_hz, found.other_hz[0], found.other_hz[1]];
            let far = |f: &f64| if f.is_finite() { (f - hz).abs() } else { f64::INFINITY };
            let nearest = all.into_iter().min_by(|a, b| far(a).total_cmp(&far(b))).unwrap_or(f64::NAN);
            let measured = if found.beat_hz.is_finite() { nearest } else { found.frequency_hz };
            lines.push(line("frequency", "Hz", hz, measured, hz * share(FREQUENCY), true));
        }
        if let Some((amplitude, unit)) = &self.amplitude {
            let tolerance = amplitude * share(AMPLITUDE);
            let same = channel.unit == *unit;
            let (item, measured) = match (found.level.is_finite(), found.peak.is_finite()) {
                (true, _) => ("level", found.level),
                (_, true) => ("peak", found.peak),
                _ => ("amplitude", found.amplitude),
            };
            lines.push(line(item, &unit.to_string(), *amplitude, measured, tolerance, same));
        }
        if let Some((rms, unit)) = &self.rms {
            let same = channel.unit == *unit;
            lines.push(line("rms", &unit.to_string(), *rms, found.rms, rms * share(AMPLITUDE), same));
        }
        if let Some(edges) = self.band_hz {
            for (item, (hz, measured)) in
                ["band_low", "band_high"].into_iter().zip(edges.into_iter().zip(found.band_hz))
            {
                // a share of the upper edge where the lower is 0
                let tolerance = share(BAND) * if hz > 0.0 { hz } else { edges[1] };
                lines.push(line(item, "Hz", hz, measured, tolerance, true));
            }
        }
        let envelope = [("envelope", self.envelope_hz, found.envelope_hz), ("beat", self.beat_hz, found.beat_hz)];
        for (item, hz, measured) in envelope {
            if let Some(hz) = hz {
                lines.push(line(item, "Hz", hz, measured, hz * share(FREQUENCY), true));
            }
        }
        if let Some(depth) = self.depth {
            lines.push(line("depth", "", depth, found.depth, depth * share(DEPTH), true));
        }
        let cycle = if found.frequency_hz.is_finite() { CYCLES / found.frequency_hz } else { 0.0 };
        let edge = |s: f64| (s * share(TIME)).max(SECONDS).max(cycle);
        for (item, ramp) in ["ramp_up", "ramp_down"].into_iter().zip(found.ramps_s) {
            if let Some(s) = self.ramp_s {
                lines.push(line(item, "s", s, ramp, edge(s), true));
            }
        }
        if let Some(s) = self.duration_s {
            lines.push(line("duration", "s", s, found.duration_s, edge(s), true));
        }
        lines
    }
}

/// `100-640Hz`, `0.1-100Hz` or `0.1-1kHz`.
fn band(text: &str) -> Option<[f64; 2]> {
    let (low, high) = text.split_once(['-', '–'])?;
    let (high, factor) = match high.trim().strip_suffix("kHz") {
        Some(number) => (number, 1e3),
        None => (high.trim().strip_suffix("Hz")?, 1.0),
    };
    let low = low.trim().strip_suffix("Hz").unwrap_or(low.trim());
    let edges = [low, high].map(|part| part.trim().parse::<f64>().map(|v| v * factor).unwrap_or(f64::NAN));
    (edges[0] >= 0.0 && edges[0] < edges[1] && edges[1].is_finite()).then_some(edges)
}
