//! What a simulated resting recording holds: plain data, as it may stand in a file.

use crate::Result;
use crate::simulate::background::Levels;
use crate::simulate::blinks::Blinking;
use crate::simulate::check::Checks;
use crate::simulate::electrodes::Contacts;
use serde::{Deserialize, Serialize};

/// What to simulate. Any part is switched off by an amplitude of 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RestSimulation {
    /// EEG channels, 2 to 345, named by the 10-05 system.
    pub channels: usize,
    /// Sampling rate, Hz.
    pub rate_hz: f64,
    /// Length, s.
    pub seconds: f64,
    /// Everything random follows from it.
    pub seed: u64,

    /// 1/f background, root mean square, mean over channels, µV.
    pub background_uv: f64,
    /// Its exponent, above 0 and up to 2: power falls as f^−exponent from 0.1 Hz up.
    pub background_exponent: f64,
    /// White noise of each electrode, root mean square, µV.
    pub sensor_uv: f64,
    /// Line frequency, Hz.
    pub line_hz: f64,
    /// Amplitude of the line, mean over channels, µV.
    pub line_uv: f64,

    /// Alpha rhythm with eyes closed, root mean square where it is strongest, µV.
    pub alpha_uv: f64,
    /// Its frequency, Hz.
    pub alpha_hz: f64,
    /// Width of its peak at half power, Hz.
    pub alpha_width_hz: f64,
    /// Label of the 10-05 system that its dipole lies under.
    pub alpha_under: String,

    /// Eyes are closed (event `EC`) and open (`EO`) in turn, this long each, s; 0: closed throughout, without events.
    pub eyes_s: f64,
    /// Alpha's amplitude with open eyes over that with closed ones.
    pub eyes_open_gain: f64,

    /// Two coupled sources, root mean square of each where it is strongest, µV.
    pub pair_uv: f64,
    /// Labels they lie under: the first leads.
    pub pair_under: [String; 2],
    /// Their band: a peak at its middle, as wide at half power, Hz.
    pub pair_band_hz: [f64; 2],
    /// How much later the second does what the first did, ms, to the nearest sample.
    pub pair_lag_ms: f64,
    /// Size of their coherency at that lag, 0 to 1.
    pub pair_coherency: f64,

    /// Two independent beta sources, root mean square of each where it is strongest, µV.
    pub beta_uv: f64,
    /// Labels they lie under.
    pub beta_under: [String; 2],
    /// Their band, Hz.
    pub beta_band_hz: [f64; 2],

    /// Blinks where they are largest, µV, 300 ms long; with `eyes_s` only while eyes are open.
    pub blink_uv: f64,
    /// Blinks per minute.
    pub blinks_per_min: f64,
    /// Electrodes without contact: 0 µV throughout.
    pub flat: Vec<String>,
    /// Electrodes with poor contact: white noise on top.
    pub noisy: Vec<String>,
    /// Root mean square of that noise, µV.
    pub noisy_uv: f64,

    /// The amplifier clips at ± this, µV; 0: never.
    pub range_uv: f64,
    /// Steps of the amplifier's digits, µV; 0: none.
    pub resolution_uv: f64,
}

impl Default for RestSimulation {
    fn default() -> Self {
        let two = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        Self {
            channels: 32,
            rate_hz: 1000.0,
            seconds: 180.0,
            seed: 1,
            background_uv: 10.0,
            background_exponent: 1.0,
            sensor_uv: 0.5,
            line_hz: 50.0,
            line_uv: 3.0,
            alpha_uv: 8.0,
            alpha_hz: 10.0,
            alpha_width_hz: 1.0,
            alpha_under: "POz".into(),
            eyes_s: 0.0,
            eyes_open_gain: 0.4,
            pair_uv: 4.0,
            pair_under: two("F3", "P4"),
            pair_band_hz: [14.0, 18.0],
            pair_lag_ms: 12.0,
            pair_coherency: 0.9,
            beta_uv: 3.0,
            beta_under: two("C3", "C4"),
            beta_band_hz: [22.0, 26.0],
            blink_uv: 120.0,
            blinks_per_min: 10.0,
            flat: Vec::new(),
            noisy: Vec::new(),
            noisy_uv: 50.0,
            range_uv: 0.0,
            resolution_uv: 0.0,
        }
    }
}

impl RestSimulation {
    /// The same recording through a perfect amplifier: no clipping, no digits.
    #[must_use]
    pub fn unclipped(self) -> Self {
        Self { range_uv: 0.0, resolution_uv: 0.0, ..self }
    }

    /// Nothing at all: parts are switched on one by one.
    #[must_use]
    pub fn silent(self) -> Self {
        let none = Self { background_uv: 0.0, sensor_uv: 0.0, line_uv: 0.0, alpha_uv: 0.0, pair_uv: 0.0, ..self };
        let none = Self { beta_uv: 0.0, blink_uv: 0.0, flat: Vec::new(), noisy: Vec::new(), ..none };
        none.unclipped()
    }

    /// The background's levels; alpha is made apart, because it follows the eyes.
    pub(in crate::simulate) fn levels(&self) -> Levels {
        Levels {
            pink_uv: self.background_uv,
            exponent: self.background_exponent,
            alpha_uv: 0.0,
            alpha_hz: self.alpha_hz,
            sensor_uv: self.sensor_uv,
            line_hz: self.line_hz,
            line_uv: self.line_uv,
        }
    }

    /// The electrodes' contact and the amplifier.
    pub(in crate::simulate) fn contacts(&self) -> Contacts<'_> {
        let Self { flat, noisy, noisy_uv, range_uv, resolution_uv, .. } = self;
        Contacts { flat, noisy, noisy_uv: *noisy_uv, range_uv: *range_uv, resolution_uv: *resolution_uv }
    }

    /// How large and how often blinks are.
    pub(in crate::simulate) fn blinking(&self) -> Blinking {
        Blinking { blink_uv: self.blink_uv, blinks_per_min: self.blinks_per_min }
    }

    /// Adds all values that contradict each other or the room they need.
    pub(in crate::simulate) fn check_into(&self, checks: &mut Checks) {
        checks.span(self.rate_hz, self.seconds);
        self.levels().check(checks, self.rate_hz);
        self.blinking().check(checks);
        self.contacts().check(checks);
        checks.amplitudes(&[("alpha_uv", self.alpha_uv), ("pair_uv", self.pair_uv), ("beta_uv", self.beta_uv)]);
        checks.within("alpha_width_hz", self.alpha_width_hz, 0.001, 20.0);
        checks.label("alpha_under", &self.alpha_under);
        checks.within("eyes_s", self.eyes_s, 0.0, 1e6);
        if self.eyes_s > 0.0 && self.eyes_s < 1.0 {
            checks.add("eyes_s", format!("{} is too short: at least 1 s, or 0 for no blocks", self.eyes_s));
        }
        checks.within("eyes_open_gain", self.eyes_open_gain, 0.0, 100.0);
        checks.within("pair_lag_ms", self.pair_lag_ms, 0.0, 1000.0);
        checks.within("pair_coherency", self.pair_coherency, 0.0, 1.0);
        for (key, band) in [("pair_band_hz", self.pair_band_hz), ("beta_band_hz", self.beta_band_hz)] {
            if !(0.0 < band[0] && band[0] < band[1] && band[1] < 0.5 * self.rate_hz) {
                checks.add(key, format!("{band:?} is no band below half the sampling rate"));
            }
        }
        for (key, labels) in [("pair_under", &self.pair_under), ("beta_under", &self.beta_under)] {
            labels.iter().for_each(|label| checks.label(key, label));
        }
    }

    /// All that is wrong with the values, one per line.
    pub(super) fn check(&self) -> Result<()> {
        let mut checks = Checks::default();
        self.check_into(&mut checks);
        checks.into_result()
    }
}
