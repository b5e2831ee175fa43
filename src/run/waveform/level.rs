//! Direct current: its level, drift, ripple and charge.

/// Ripple above this share of the level is told.
const RIPPLE: f64 = 0.05;

/// A level. Sums are taken about a value near it, times about the middle of the plateau.
#[derive(Debug, Clone)]
pub(super) struct Level {
    about: f64,
    middle: f64,
    n: f64,
    x: f64,
    xx: f64,
    t: f64,
    tt: f64,
    tx: f64,
    least: f64,
    most: f64,
    /// Sum of the samples of the whole episode; times seconds after `finish`.
    pub charge: f64,
    /// Mean of the plateau.
    pub level: f64,
    /// Slope, per minute.
    pub drift_per_min: f64,
    /// Root mean square about the line.
    pub ripple: f64,
}

impl Level {
    pub fn new(about: f64, middle: f64) -> Self {
        let nan = f64::NAN;
        Self {
            about,
            middle,
            n: 0.0,
            x: 0.0,
            xx: 0.0,
            t: 0.0,
            tt: 0.0,
            tx: 0.0,
            least: f64::INFINITY,
            most: f64::NEG_INFINITY,
            charge: 0.0,
            level: nan,
            drift_per_min: nan,
            ripple: nan,
        }
    }

    pub fn push(&mut self, sample: f64, x: f64) {
        (self.least, self.most) = (self.least.min(x), self.most.max(x));
        let (t, x) = (sample - self.middle, x - self.about);
        self.n += 1.0;
        self.x += x;
        self.xx += x * x;
        self.t += t;
        self.tt += t * t;
        self.tx += t * x;
    }

    pub fn finish(&mut self, rate: f64) {
        let (t, x) = (self.t / self.n, self.x / self.n);
        let (tt, tx) = (self.tt - self.n * t * t, self.tx - self.n * t * x);
        let slope = if tt > 0.0 { tx / tt } else { 0.0 };
        self.level = self.about + x;
        self.drift_per_min = slope * rate * 60.0;
        self.ripple = ((self.xx - self.n * x * x - slope * tx).max(0.0) / self.n).sqrt();
        self.charge /= rate;
    }

    /// Largest less smallest sample.
    pub fn peak_to_peak(&self) -> f64 {
        self.most - self.least
    }

    pub fn is_rippled(&self) -> bool {
        self.ripple > RIPPLE * self.level.abs()
    }
}
