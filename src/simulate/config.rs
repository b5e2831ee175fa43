//! What a simulated TMS-EEG recording holds: plain data, as it may stand in a file.

use super::background::Levels;
use super::blinks::Blinking;
use super::check::Checks;
use super::electrodes::Contacts;
use crate::Result;
use serde::{Deserialize, Serialize};

/// Where the coil is held: decides which components answer, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Site {
    /// Left primary motor cortex, under C3.
    #[default]
    M1,
    /// Left dorsolateral prefrontal cortex, under F3.
    Dlpfc,
    /// Left parietal cortex, under P3.
    Parietal,
}

/// One component of the evoked response: a radial dipole in a spherical head with a Gaussian course.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// `N45` say.
    pub name: String,
    /// When it peaks, ms after the pulse.
    pub latency_ms: f64,
    /// Standard deviation of its Gaussian course, ms.
    pub width_ms: f64,
    /// Its peak at the electrode where it is largest, µV.
    pub amplitude_uv: f64,
    /// Label of the 10-05 system that the dipole lies under.
    pub under: String,
    /// How far from the head's centre, as a share of the radius: the deeper, the wider its map.
    pub depth: f64,
}

impl Site {
    /// Electrode under the coil.
    pub fn coil(self) -> &'static str {
        match self {
            Self::M1 => "C3",
            Self::Dlpfc => "F3",
            Self::Parietal => "P3",
        }
    }

    /// The components of a healthy response. M1: N15 P30 N45 P60 N100 P180; the others follow published latencies
    /// (N60 and P80 where the parietal response has them).
    pub fn components(self) -> Vec<Component> {
        let table: &[(&str, f64, f64, f64, &str, f64)] = match self {
            Self::M1 => &[
                ("N15", 15.0, 2.5, -2.0, "FC3", 0.80),
                ("P30", 30.0, 4.0, 3.0, "C1", 0.75),
                ("N45", 45.0, 4.5, -4.0, "CP3", 0.75),
                ("P60", 60.0, 5.5, 4.0, "C3", 0.75),
                ("N100", 100.0, 13.0, -8.0, "FC1", 0.65),
                ("P180", 180.0, 24.0, 6.0, "Cz", 0.60),
            ],
            Self::Dlpfc => &[
                ("P25", 25.0, 4.0, 2.0, "F3", 0.80),
                ("N45", 45.0, 5.0, -4.0, "F1", 0.75),
                ("P60", 60.0, 5.5, 4.0, "FC3", 0.75),
                ("N110", 110.0, 14.0, -6.0, "FC1", 0.65),
                ("P185", 185.0, 24.0, 6.0, "FCz", 0.60),
            ],
            Self::Parietal => &[
                ("N20", 20.0, 3.0, -2.0, "CP3", 0.80),
                ("P40", 40.0, 5.0, 4.0, "P3", 0.75),
                ("N60", 60.0, 5.5, -4.0, "P1", 0.75),
                ("P80", 80.0, 5.5, 3.0, "P3", 0.75),
                ("N105", 105.0, 8.0, -5.0, "CP1", 0.65),
                ("P200", 200.0, 24.0, 5.0, "Cz", 0.60),
            ],
        };
        let component =
            |&(name, latency_ms, width_ms, amplitude_uv, under, depth): &(&str, f64, f64, f64, &str, f64)| Component {
                name: name.into(),
                latency_ms,
                width_ms,
                amplitude_uv,
                under: under.into(),
                depth,
            };
        table.iter().map(component).collect()
    }
}

/// What to simulate. Any part is switched off by an amplitude or a count of 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TmsSimulation {
    /// EEG channels, 2 to 345, named by the 10-05 system.
    pub channels: usize,
    /// Sampling rate, Hz.
    pub rate_hz: f64,
    /// Length, s.
    pub seconds: f64,
    /// Everything random follows from it.
    pub seed: u64,

    /// Seconds before the first pulse and, at least, after the last.
    pub lead_s: f64,
    /// Mean time between pulses, s.
    pub interval_s: f64,
    /// Each interval is longer or shorter by up to this, s.
    pub jitter_s: f64,
    /// Name of the marker.
    pub event: String,
    /// Each marker is early or late by up to this, ms.
    pub trigger_jitter_ms: f64,
    /// Pulses without a marker.
    pub missing_triggers: usize,
    /// Markers without a pulse.
    pub extra_triggers: usize,

    /// Where the coil is.
    pub site: Site,
    /// Evoked components; empty: those of the site.
    pub components: Vec<Component>,
    /// A sham coil: artefacts as ever, but no brain response.
    pub sham: bool,
    /// Standard deviation over trials of the response's gain, whose mean is 1.
    pub gain_sd: f64,

    /// 1/f background, root mean square, mean over channels, µV.
    pub background_uv: f64,
    /// Its exponent, above 0 and up to 2: power falls as f^−exponent from 0.1 Hz up.
    pub background_exponent: f64,
    /// Alpha rhythm, root mean square where it is strongest, µV.
    pub alpha_uv: f64,
    /// Its frequency, Hz.
    pub alpha_hz: f64,
    /// White noise of each electrode, root mean square, µV.
    pub sensor_uv: f64,
    /// Line frequency, Hz.
    pub line_hz: f64,
    /// Amplitude of the line, mean over channels, µV.
    pub line_uv: f64,

    /// Amplitude of the pulse artefact at the coil, µV: a ringing cosine of 0.6 ms that decays with 0.8 ms.
    pub pulse_uv: f64,
    /// Electrode polarisation where it is largest, µV at the pulse: it decays exponentially, by ±20 % from trial to trial.
    pub decay_uv: f64,
    /// Its time constant, ms.
    pub decay_ms: f64,
    /// Muscle burst where it is largest, µV: 80 to 150 Hz, decaying with 6 ms.
    pub muscle_uv: f64,
    /// Artefact of the stimulator's recharge at the coil, µV, 2 ms long.
    pub recharge_uv: f64,
    /// When it recharges, ms after the pulse.
    pub recharge_ms: f64,

    /// Blinks where they are largest, µV, 300 ms long.
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

    /// Rate at which the truth is written, Hz.
    pub truth_rate_hz: f64,
}

impl Default for TmsSimulation {
    fn default() -> Self {
        Self {
            channels: 64,
            rate_hz: 5000.0,
            seconds: 60.0,
            seed: 1,
            lead_s: 3.0,
            interval_s: 2.0,
            jitter_s: 0.3,
            event: "TMS".into(),
            trigger_jitter_ms: 0.0,
            missing_triggers: 0,
            extra_triggers: 0,
            site: Site::M1,
            components: Vec::new(),
            sham: false,
            gain_sd: 0.0,
            background_uv: 10.0,
            background_exponent: 1.0,
            alpha_uv: 6.0,
            alpha_hz: 10.0,
            sensor_uv: 0.5,
            line_hz: 50.0,
            line_uv: 3.0,
            pulse_uv: 30_000.0,
            decay_uv: 60.0,
            decay_ms: 12.0,
            muscle_uv: 200.0,
            recharge_uv: 0.0,
            recharge_ms: 500.0,
            blink_uv: 120.0,
            blinks_per_min: 10.0,
            flat: Vec::new(),
            noisy: Vec::new(),
            noisy_uv: 50.0,
            range_uv: 3276.7,
            resolution_uv: 0.0,
            truth_rate_hz: 1000.0,
        }
    }
}

impl TmsSimulation {
    /// The same recording with nothing but the brain's response: no background, no artefact, no clipping.
    #[must_use]
    pub fn response_only(self) -> Self {
        let none = Self { background_uv: 0.0, alpha_uv: 0.0, sensor_uv: 0.0, line_uv: 0.0, pulse_uv: 0.0, ..self };
        let none = Self { decay_uv: 0.0, muscle_uv: 0.0, recharge_uv: 0.0, blink_uv: 0.0, ..none };
        Self { flat: Vec::new(), noisy: Vec::new(), range_uv: 0.0, resolution_uv: 0.0, ..none }
    }

    /// The background's levels.
    pub(super) fn levels(&self) -> Levels {
        Levels {
            pink_uv: self.background_uv,
            exponent: self.background_exponent,
            alpha_uv: self.alpha_uv,
            alpha_hz: self.alpha_hz,
            sensor_uv: self.sensor_uv,
            line_hz: self.line_hz,
            line_uv: self.line_uv,
        }
    }

    /// The electrodes' contact and the amplifier.
    pub(super) fn contacts(&self) -> Contacts<'_> {
        let Self { flat, noisy, noisy_uv, range_uv, resolution_uv, .. } = self;
        Contacts { flat, noisy, noisy_uv: *noisy_uv, range_uv: *range_uv, resolution_uv: *resolution_uv }
    }

    /// How large and how often blinks are.
    pub(super) fn blinking(&self) -> Blinking {
        Blinking { blink_uv: self.blink_uv, blinks_per_min: self.blinks_per_min }
    }

    /// All values that contradict each other or the room they need, one per line.
    pub(super) fn check(&self) -> Result<()> {
        let mut checks = Checks::default();
        checks.span(self.rate_hz, self.seconds);
        checks.within("truth_rate_hz", self.truth_rate_hz, 1.0, 200_000.0);
        checks.within("lead_s", self.lead_s, 0.0, 1e6);
        checks.within("interval_s", self.interval_s, 0.01, 1e6);
        checks.within("jitter_s", self.jitter_s, 0.0, (self.interval_s - 0.01).max(0.0));
        checks.within("trigger_jitter_ms", self.trigger_jitter_ms, 0.0, 1000.0);
        checks.within("gain_sd", self.gain_sd, 0.0, 10.0);
        checks.within("decay_ms", self.decay_ms, 0.01, 1000.0);
        checks.within("recharge_ms", self.recharge_ms, 0.0, 10_000.0);
        self.levels().check(&mut checks, self.rate_hz);
        self.blinking().check(&mut checks);
        self.contacts().check(&mut checks);
        checks.amplitudes(&[
            ("pulse_uv", self.pulse_uv),
            ("decay_uv", self.decay_uv),
            ("muscle_uv", self.muscle_uv),
            ("recharge_uv", self.recharge_uv),
        ]);
        if self.seconds / self.interval_s > 1e6 || self.extra_triggers > 1_000_000 {
            checks.add("", "more than a million pulses or markers");
        }
        for (i, c) in self.components.iter().enumerate() {
            let key = |field: &str| format!("components[{i}].{field}");
            checks.within(&key("latency_ms"), c.latency_ms, 0.0, 2000.0);
            checks.within(&key("width_ms"), c.width_ms, 0.1, 500.0);
            checks.within(&key("amplitude_uv"), c.amplitude_uv, -1e6, 1e6);
            checks.within(&key("depth"), c.depth, 0.05, 0.9);
            checks.label(&key("under"), &c.under);
        }
        checks.into_result()
    }
}
