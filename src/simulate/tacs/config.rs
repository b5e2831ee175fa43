//! What a simulated tACS recording holds: plain data, as it may stand in a file.

use crate::Result;
use crate::simulate::check::Checks;
use crate::simulate::rest::RestSimulation;
use serde::{Deserialize, Serialize};

/// What to simulate: a resting brain, and a current on top.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TacsSimulation {
    /// The brain, the electrodes and the amplifier: its keys stand beside those below. What clips and is rounded is the
    /// sum of brain and artefact.
    #[serde(flatten)]
    pub brain: RestSimulation,

    /// Quiet seconds before the stimulation.
    pub lead_s: f64,
    /// Quiet seconds after it.
    pub tail_s: f64,
    /// The current is off from … to …, s from the start of the recording; in order.
    pub off_s: Vec<[f64; 2]>,
    /// Linear ramp at the start and at the end of every stretch, s.
    pub ramp_s: f64,
    /// Frequency as the stimulator shows it, Hz; above half the sampling rate it is aliased.
    pub freq_hz: f64,
    /// How far the stimulator's clock is from the amplifier's, parts per million.
    pub ppm: f64,
    /// How far the frequency drifts, linearly, from the first onset to the last offset, parts per million.
    pub drift_ppm: f64,
    /// Size of the second, third, … harmonic of the current over the fundamental.
    pub harmonics: Vec<f64>,
    /// Peak of the current's fundamental, mA.
    pub current_ma: f64,
    /// Labels of the two stimulation electrodes.
    pub electrodes: [String; 2],

    /// Amplitude of the artefact's fundamental at the channel where it is largest, mV.
    pub artefact_mv: f64,
    /// How far the artefact's amplitude drifts, linearly, from the first onset to the last offset, percent.
    pub drift_percent: f64,
    /// Breathing modulates the artefact's amplitude by ± this, percent, as a sine.
    pub breathing_percent: f64,
    /// How often one breathes, Hz.
    pub breathing_hz: f64,
    /// The heart modulates it by ± this, percent, as a sine.
    pub heart_percent: f64,
    /// How often it beats, Hz.
    pub heart_hz: f64,

    /// Channels that clip before the others.
    pub saturated: Vec<String>,
    /// They clip at ± this, µV.
    pub saturated_uv: f64,

    /// Names of the events at the start and the end of every stretch.
    pub event_on: String,
    /// See `event_on`.
    pub event_off: String,
}

impl Default for TacsSimulation {
    fn default() -> Self {
        Self {
            brain: RestSimulation::default(),
            lead_s: 30.0,
            tail_s: 30.0,
            off_s: Vec::new(),
            ramp_s: 5.0,
            freq_hz: 10.0,
            ppm: 12.0,
            drift_ppm: 0.0,
            harmonics: vec![0.003, 0.002],
            current_ma: 1.0,
            electrodes: ["Cz".into(), "Oz".into()],
            artefact_mv: 10.0,
            drift_percent: 0.0,
            breathing_percent: 0.0,
            breathing_hz: 0.25,
            heart_percent: 0.0,
            heart_hz: 1.1,
            saturated: Vec::new(),
            saturated_uv: 3276.7,
            event_on: "stim_on".into(),
            event_off: "stim_off".into(),
        }
    }
}

impl TacsSimulation {
    /// The same brain, sample by sample, without stimulation, clipping and digits: the truth.
    pub fn artefact_free(&self) -> RestSimulation {
        self.brain.clone().unclipped()
    }

    /// All that is wrong with the values, one per line.
    pub(super) fn check(&self) -> Result<()> {
        let mut checks = Checks::default();
        self.brain.check_into(&mut checks);
        let (rate_hz, end_s) = (self.brain.rate_hz, self.brain.seconds - self.tail_s);
        checks.within("lead_s", self.lead_s, 0.0, 1e6);
        checks.within("tail_s", self.tail_s, 0.0, 1e6);
        checks.within("ramp_s", self.ramp_s, 0.0, 1e4);
        checks.within("freq_hz", self.freq_hz, 0.01, 1e5);
        checks.within("ppm", self.ppm, -1e5, 1e5);
        checks.within("drift_ppm", self.drift_ppm, -1e5, 1e5);
        checks.within("current_ma", self.current_ma, 0.0, 1e3);
        checks.within("artefact_mv", self.artefact_mv, 0.0, 1e6);
        checks.within("drift_percent", self.drift_percent, -100.0, 1e3);
        checks.within("breathing_percent", self.breathing_percent, 0.0, 100.0);
        checks.within("heart_percent", self.heart_percent, 0.0, 100.0);
        checks.within("breathing_hz", self.breathing_hz, 0.0, 0.5 * rate_hz);
        checks.within("heart_hz", self.heart_hz, 0.0, 0.5 * rate_hz);
        checks.within("saturated_uv", self.saturated_uv, self.brain.resolution_uv.max(1e-9), 1e9);
        for (i, &harmonic) in self.harmonics.iter().enumerate() {
            checks.within(&format!("harmonics[{i}]"), harmonic, -10.0, 10.0);
        }
        self.electrodes.iter().for_each(|label| checks.label("electrodes", label));
        if self.electrodes[0] == self.electrodes[1] {
            checks.add("electrodes", format!("both are {}", self.electrodes[0]));
        }
        let edges: Vec<f64> = std::iter::once(self.lead_s)
            .chain(self.off_s.iter().flatten().copied())
            .chain(std::iter::once(end_s))
            .collect();
        // written so that NaN is caught
        if !edges.windows(2).all(|pair| pair[1] - pair[0] >= 2.0 / rate_hz) {
            checks.add("off_s", format!("on and off do not take turns at {edges:?} s"));
        }
        for stretch in edges.chunks_exact(2).filter(|s| s[1] - s[0] < 2.0 * self.ramp_s) {
            checks.add("ramp_s", format!("no room for two ramps between {} and {} s", stretch[0], stretch[1]));
        }
        checks.into_result()
    }
}
