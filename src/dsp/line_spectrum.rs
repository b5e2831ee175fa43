//! Lines in a spectrum: where a carrier is to be looked for.

use super::fft::{Complex, RealFft};
use super::window::{Symmetry, Window};

/// Share of the alternating power that a line must hold to be a carrier.
const CARRIER: f64 = 0.25;
/// Half the width of a line in bins (a Hann window's main lobe, and one).
pub const LOBE: usize = 3;

/// The mean power spectrum of successive Hann windows.
pub struct LineSpectrum {
    fft: RealFft,
    window: Vec<f64>,
    buffer: Vec<f64>,
    tapered: Vec<f64>,
    bins: Vec<Complex>,
    power: Vec<f64>,
    windows: u64,
}

impl LineSpectrum {
    /// For windows of `n` samples.
    pub fn new(n: usize) -> Self {
        let fft = RealFft::new(n);
        let bins = fft.bins();
        Self {
            fft,
            window: Window::Hann.samples(n, Symmetry::Periodic),
            buffer: Vec::with_capacity(n),
            tapered: vec![0.0; n],
            bins: vec![Complex::default(); bins],
            power: vec![0.0; bins],
            windows: 0,
        }
    }

    /// Sum over the windows, bin by bin.
    pub fn power(&self) -> &[f64] {
        &self.power
    }

    /// Windows that were added up.
    pub fn windows(&self) -> f64 {
        self.windows as f64
    }

    /// Samples of a window.
    pub fn window(&self) -> usize {
        self.window.len()
    }

    /// Drops what was begun: a gap follows.
    pub fn restart(&mut self) {
        self.buffer.clear();
    }

    /// Takes the next samples.
    pub fn add(&mut self, mut x: &[f64]) {
        while !x.is_empty() {
            let n = x.len().min(self.window.len() - self.buffer.len());
            self.buffer.extend_from_slice(&x[..n]);
            x = &x[n..];
            if self.buffer.len() == self.window.len() {
                let mean = self.buffer.iter().sum::<f64>() / self.buffer.len() as f64;
                for ((t, x), w) in self.tapered.iter_mut().zip(&self.buffer).zip(&self.window) {
                    *t = (x - mean) * w;
                }
                self.buffer.clear();
                if mean.is_finite() {
                    self.fft.forward(&self.tapered, &mut self.bins);
                    self.windows += 1;
                    self.power.iter_mut().zip(&self.bins).for_each(|(p, z)| *p += z.norm_sqr());
                }
            }
        }
    }

    /// The strongest line, cycles per sample, between bins by a parabola through the logarithms.
    pub fn line(&self) -> Option<f64> {
        let all: f64 = self.power.iter().skip(2).sum();
        let (at, peak) = self.power.iter().enumerate().skip(2).max_by(|a, b| a.1.total_cmp(b.1))?;
        let lobe: f64 = self.power[at.saturating_sub(LOBE).max(2)..(at + LOBE + 1).min(self.power.len())].iter().sum();
        if !(*peak > 0.0 && lobe >= CARRIER * all) {
            return None;
        }
        between(&self.power, at).map(|bin| bin / self.window.len() as f64)
    }
}

/// Where a peak at bin `at` lies between the bins: a parabola through the logarithms of it and its neighbours.
pub fn between(power: &[f64], at: usize) -> Option<f64> {
    let around = [at.checked_sub(1)?, at, at + 1].map(|k| power.get(k).map_or(f64::NEG_INFINITY, |p| p.ln()));
    let [a, b, c] = around;
    let shift = 0.5 * (a - c) / (a - 2.0 * b + c);
    let shift = if shift.is_finite() { shift.clamp(-0.5, 0.5) } else { 0.0 };
    Some(at as f64 + shift)
}
