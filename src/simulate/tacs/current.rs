//! The stimulator's current over time, and the field it leaves on the scalp.

use super::TacsSimulation;
use crate::simulate::scalp::Scalp;
use std::f64::consts::TAU;

/// Radius of a stimulation electrode in units of the head's radius: 22 mm on a head of 88 mm.
const PAD: f64 = 0.25;

/// Samples `first` ≤ t < `end` in which the current flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// First sample: the ramp begins, the current is still 0.
    pub first: i64,
    /// One past the last sample.
    pub end: i64,
}

/// The current, in closed form from the sample's index.
#[derive(Debug, Clone)]
pub(super) struct Current {
    pub stretches: Vec<Stretch>,
    rate_hz: f64,
    ramp: f64,
    freq_hz: f64,
    ppm: f64,
    drift_ppm: f64,
    harmonics: Vec<f64>,
    drift: f64,
    /// Share and frequency of breathing and heart.
    modulations: [(f64, f64); 2],
}

impl Current {
    pub fn new(config: &TacsSimulation) -> Self {
        let rate_hz = config.brain.rate_hz;
        let tick = |s: f64| (s * rate_hz).round() as i64;
        let end = tick(config.brain.seconds).saturating_sub(tick(config.tail_s));
        let inner = config.off_s.iter().flatten().map(|&s| tick(s));
        let edges: Vec<i64> = std::iter::once(tick(config.lead_s)).chain(inner).chain(std::iter::once(end)).collect();
        Self {
            stretches: edges.chunks_exact(2).map(|e| Stretch { first: e[0], end: e[1] }).collect(),
            rate_hz,
            ramp: config.ramp_s * rate_hz,
            freq_hz: config.freq_hz,
            ppm: config.ppm,
            drift_ppm: config.drift_ppm,
            harmonics: config.harmonics.clone(),
            drift: config.drift_percent / 100.0,
            modulations: [
                (config.breathing_percent / 100.0, config.breathing_hz),
                (config.heart_percent / 100.0, config.heart_hz),
            ],
        }
    }

    /// Samples since the first onset, and as a share of the time from there to the last offset.
    fn since(&self, tick: f64) -> (f64, f64) {
        let first = self.stretches.first().map_or(0, |s| s.first);
        let last = self.stretches.last().map_or(1, |s| s.end);
        let since = tick - first as f64;
        (since, since / (last - first).max(1) as f64)
    }

    /// Cycles since the first onset; one clock runs through all stretches.
    pub fn cycles(&self, tick: i64) -> f64 {
        let (since, share) = self.since(tick as f64);
        let off = 1e-6 * (self.ppm + 0.5 * self.drift_ppm * share);
        since * self.freq_hz / self.rate_hz * (1.0 + off)
    }

    /// How far the frequency is from the stated one in the middle of a stretch, parts per million.
    pub fn ppm(&self, stretch: Stretch) -> f64 {
        self.ppm + self.drift_ppm * self.since(0.5 * (stretch.first + stretch.end) as f64).1
    }

    /// What the electrodes' drift makes of the artefact at `tick`.
    pub fn drift(&self, tick: i64) -> f64 {
        1.0 + self.drift * self.since(tick as f64).1
    }

    /// The current over its peak: ramps, fundamental and harmonics; `None` while it is off.
    pub fn wave(&self, tick: i64) -> Option<f64> {
        let at = self.stretches.partition_point(|s| s.end <= tick);
        let stretch = self.stretches.get(at).filter(|s| s.first <= tick)?;
        let (up, down) = ((tick - stretch.first) as f64, (stretch.end - tick) as f64);
        let envelope = if self.ramp > 0.0 { (up.min(down) / self.ramp).min(1.0) } else { 1.0 };
        let phase = TAU * self.cycles(tick).fract();
        let harmonics = self.harmonics.iter().zip(2..).map(|(size, k)| size * (f64::from(k) * phase).sin());
        Some(envelope * (phase.sin() + harmonics.sum::<f64>()))
    }

    /// What drift, breathing and heart make of the artefact's amplitude at `tick`.
    pub fn gain(&self, tick: i64) -> f64 {
        let (since, _) = self.since(tick as f64);
        let sine = |(share, hz): (f64, f64)| share * (TAU * (since * hz / self.rate_hz).fract()).sin();
        let [breathing, heart] = self.modulations.map(sine);
        self.drift(tick) * (1.0 + breathing + heart)
    }
}

/// The potential of a current that enters at one place of a homogeneous sphere's surface and leaves at another, scaled
/// to 1 where it is largest, and that channel. By the sphere's Neumann function, with d the distance to an electrode
/// (in radii; within a pad the potential is that at its rim):
/// V ∝ N(d₁) − N(d₂), N(d) = 2/d − ln(d²/2 + d) = Σ (2 + 1/n) Pₙ(1 − d²/2) + constant.
pub(super) fn field(scalp: &Scalp, electrodes: [[f64; 3]; 2]) -> (Vec<f64>, usize) {
    let potential = |place: &[f64; 3], electrode: &[f64; 3]| {
        let d = place.iter().zip(electrode).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        neumann(d.max(PAD))
    };
    let [source, sink] = &electrodes;
    let map: Vec<f64> = scalp.places.iter().map(|p| potential(p, source) - potential(p, sink)).collect();
    let peak = (0..map.len()).max_by(|&a, &b| map[a].abs().total_cmp(&map[b].abs())).unwrap_or(0);
    let largest = map[peak].abs().max(f64::MIN_POSITIVE);
    (map.into_iter().map(|v| v / largest).collect(), peak)
}

/// N(d) of [`field`].
fn neumann(d: f64) -> f64 {
    2.0 / d - (0.5 * d * d + d).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The closed form against its own series, summed in Abel's sense from just inside the surface.
    #[test]
    fn the_field_is_the_series_of_the_sphere() {
        let series = |cos: f64| {
            let (mut before, mut now, mut sum, inside) = (1.0, cos, 0.0, 0.9999_f64);
            for n in 1..200_000 {
                let degree = f64::from(n);
                sum += (2.0 + 1.0 / degree) * inside.powi(n) * now;
                (before, now) = (now, ((2.0 * degree + 1.0) * cos * now - degree * before) / (degree + 1.0));
            }
            sum
        };
        let closed = |cos: f64| neumann((2.0 - 2.0 * cos).sqrt());
        let offset = closed(-1.0) - series(-1.0);
        for cos in [-0.7, -0.1, 0.4, 0.8] {
            assert!((closed(cos) - series(cos) - offset).abs() < 2e-3, "{cos}");
        }
    }
}
