//! A rhythm: a narrow-band random process that is stationary from its first sample.

use super::random::Random;
use std::f64::consts::{PI, TAU};

/// Real part of a complex first-order autoregression, z ← ρ e^{iω} z + √(1 − ρ²) · white: unit variance, a Lorentzian
/// peak at its frequency, autocorrelation ρ^|k| cos(ω k) (Matsuda & Komaki 2017, 10.1162/NECO_a_00916).
#[derive(Debug, Clone)]
pub(super) struct Oscillator {
    rotation: [f64; 2],
    kick: f64,
    state: [f64; 2],
}

impl Oscillator {
    /// Peak at `hz`, `width_hz` wide at half power. Not yet started.
    pub fn new(hz: f64, width_hz: f64, rate_hz: f64) -> Self {
        let radius = (-PI * width_hz / rate_hz).exp();
        let (sin, cos) = (TAU * hz / rate_hz).sin_cos();
        let rotation = [radius * cos, radius * sin];
        let kick = (1.0 - rotation[0].powi(2) - rotation[1].powi(2)).sqrt();
        Self { rotation, kick, state: [0.0; 2] }
    }

    /// Draws its state as if it had run for ever.
    pub fn start(&mut self, random: &mut Random) {
        self.state.iter_mut().for_each(|part| *part = random.normal());
    }

    /// The next value.
    #[inline]
    pub fn next(&mut self, random: &mut Random) -> f64 {
        let ([re, im], [c, s]) = (self.state, self.rotation);
        self.state = [c * re - s * im + self.kick * random.normal(), s * re + c * im + self.kick * random.normal()];
        self.state[0]
    }

    /// Correlation of values `lag` samples apart.
    pub fn autocorrelation(&self, lag: i64) -> f64 {
        let [re, im] = self.rotation;
        re.hypot(im).powf(lag as f64) * (im.atan2(re) * lag as f64).cos()
    }
}
