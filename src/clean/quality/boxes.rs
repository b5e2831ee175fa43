//! How strong a harmonic is: the mean square of its demodulate over boxes of half a window, and the phase of their sum.

use super::demodulate::Hops;
use super::plan::Group;
use crate::dsp::fft::Complex;
use crate::signal::Lanes;
use std::f64::consts::PI;

/// One channel's harmonics over one stretch. A box is half a window: short enough that a drifting phase costs little, long enough
/// that the brain adds little; under a Hann window, so that neither 0 Hz nor the mirror image at −k f leaks in. Where not even one
/// box is full, the plain mean stands in.
#[derive(Clone)]
pub(super) struct Boxes {
    /// `[channel][harmonic]`.
    cells: Vec<Cell>,
    weights: Vec<f64>,
    filled: usize,
    boxes: usize,
    hops: usize,
    harmonics: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    /// The weighted sum of the box that is being filled.
    open: Complex,
    /// Σ |box|².
    energy: f64,
    /// The sum of all hops.
    sum: Complex,
}

impl Boxes {
    pub fn new(channels: usize, group: &Group) -> Self {
        let (harmonics, half) = (group.oscillators.len(), group.window / 2);
        // halves of a hop off the ends: the sum is that of a periodic Hann window, half / 2
        let weight = |i: usize| (PI * (i as f64 + 0.5) / half as f64).sin().powi(2) * 2.0 / half as f64;
        Self {
            cells: vec![Cell::default(); channels * harmonics],
            weights: (0..half).map(weight).collect(),
            filled: 0,
            boxes: 0,
            hops: 0,
            harmonics,
        }
    }

    pub fn clear(&mut self) {
        self.cells.fill(Cell::default());
        (self.filled, self.boxes, self.hops) = (0, 0, 0);
    }

    /// Adds a hop.
    pub fn add(&mut self, group: &Group, sums: &[[Lanes; 2]]) {
        let weight = self.weights[self.filled];
        let full = self.filled + 1 == self.weights.len();
        for (at, cell) in self.cells.iter_mut().enumerate() {
            let z = Hops::value(sums, self.harmonics, group.hop, at % self.harmonics, at / self.harmonics);
            cell.open += z * weight;
            cell.sum += z;
            if full {
                cell.energy += cell.open.norm_sqr();
                cell.open = Complex::default();
            }
        }
        self.hops += 1;
        self.filled = if full { 0 } else { self.filled + 1 };
        self.boxes += usize::from(full);
    }

    /// Mean square amplitude and phase of a harmonic, of all so far; NaN before the first hop.
    pub fn read(&self, channel: usize, harmonic: usize) -> (f64, f64) {
        let cell = self.cells[channel * self.harmonics + harmonic];
        let square =
            if self.boxes > 0 { cell.energy / self.boxes as f64 } else { (cell.sum / self.hops as f64).norm_sqr() };
        (square, cell.sum.arg())
    }

    pub fn memory_bytes(&self) -> u64 {
        (self.cells.len() * size_of::<Cell>() + 8 * self.weights.len()) as u64
    }
}
