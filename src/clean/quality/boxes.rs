//! How strong a harmonic is: the mean square of its demodulate over half windows, and the phase of their sum.

use super::demodulate::Hops;
use super::plan::Group;
use crate::dsp::fft::Complex;
use crate::signal::Lanes;

/// One channel's harmonics over one stretch. A box is half a window (the last may be shorter): short enough that a drifting
/// phase costs little, long enough that the brain adds little.
#[derive(Clone)]
pub(super) struct Boxes {
    /// `[channel][harmonic]`: the box that is being filled, the sum of |mean|² · hops, the sum of all.
    cells: Vec<(Complex, f64, Complex)>,
    filled: usize,
    hops: usize,
    harmonics: usize,
    channels: usize,
}

impl Boxes {
    pub fn new(channels: usize, harmonics: usize) -> Self {
        let cells = vec![(Complex::default(), 0.0, Complex::default()); channels * harmonics];
        Self { cells, filled: 0, hops: 0, harmonics, channels }
    }

    pub fn clear(&mut self) {
        self.cells.fill((Complex::default(), 0.0, Complex::default()));
        (self.filled, self.hops) = (0, 0);
    }

    /// Adds a hop.
    pub fn add(&mut self, group: &Group, sums: &[[Lanes; 2]]) {
        let tiles = self.channels.div_ceil(crate::signal::LANES);
        for (at, cell) in self.cells.iter_mut().enumerate() {
            cell.0 += Hops::value(sums, tiles, group.hop, at % self.harmonics, at / self.harmonics);
        }
        (self.filled, self.hops) = (self.filled + 1, self.hops + 1);
        if self.filled == group.window / 2 {
            self.fold();
        }
    }

    fn fold(&mut self) {
        for cell in &mut self.cells {
            *cell = settled(*cell, self.filled);
        }
        self.filled = 0;
    }

    /// Mean square amplitude and phase of a harmonic, of all hops so far; NaN before the first.
    pub fn read(&self, channel: usize, harmonic: usize) -> (f64, f64) {
        let cell = self.cells[channel * self.harmonics + harmonic];
        let (_, energy, sum) = settled(cell, self.filled);
        (energy / self.hops as f64, sum.arg())
    }

    pub fn memory_bytes(&self) -> u64 {
        (self.cells.len() * size_of::<(Complex, f64, Complex)>()) as u64
    }
}

fn settled((open, energy, sum): (Complex, f64, Complex), filled: usize) -> (Complex, f64, Complex) {
    if filled == 0 {
        return (open, energy, sum);
    }
    (Complex::default(), energy + open.norm_sqr() / filled as f64, sum + open)
}
