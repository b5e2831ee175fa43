//! From samples to spectra beside each harmonic: complex demodulation in hops, windows of hops, a Fourier transform per window.
//!
//! z[m] = 2/H · Σ x[n] e^{−2πi k f n} over the H samples of hop m; a window of W hops, weighted by a Hann window, is transformed,
//! and bin b lies b/T Hz beside k f. Hops and windows begin with the stretch, phases come from the sample's index.

use super::boxes::Boxes;
use super::plan::Group;
use crate::dsp::fft::{Complex, ComplexFft};
use crate::dsp::normal::{Column, TILE, accumulate};
use crate::signal::{Block, LANES, Lanes};
use std::f64::consts::PI;

/// Sums of x e^{−2πi k f n} over hops, of all channels.
#[derive(Clone)]
pub(super) struct Hops {
    /// `[tile][harmonic]`: with the cosine, with the sine.
    sums: Vec<[Lanes; 2]>,
    harmonics: usize,
    /// The first sample of the stretch, which is taken off: then an offset of the amplifier costs no digits.
    offset: Vec<Lanes>,
    level: bool,
    filled: usize,
    started: bool,
    columns: Vec<Column>,
    /// Samples without the offset.
    free: [Lanes; TILE],
}

impl Hops {
    /// `level`: whether the first sample is taken off, which must then be free of the artefact.
    pub fn new(channels: usize, harmonics: usize, level: bool) -> Self {
        let tiles = channels.div_ceil(LANES);
        Self {
            sums: vec![[[0.0; LANES]; 2]; tiles * harmonics],
            harmonics,
            offset: vec![[0.0; LANES]; tiles],
            level,
            filled: 0,
            started: false,
            columns: vec![[0.0; TILE]; 2 * harmonics],
            free: [[0.0; LANES]; TILE],
        }
    }

    pub fn memory_bytes(&self) -> u64 {
        let columns = size_of_val(self.columns.as_slice()) + size_of_val(&self.free);
        (size_of_val(self.sums.as_slice()) + size_of_val(self.offset.as_slice()) + columns) as u64
    }

    /// A new stretch begins.
    pub fn start(&mut self) {
        self.sums.fill([[0.0; LANES]; 2]);
        (self.filled, self.started) = (0, false);
    }

    /// Adds samples `from..to` of a block; calls `done` with the sums when a hop is full.
    pub fn push(&mut self, group: &Group, block: &Block, from: usize, to: usize, mut done: impl FnMut(&[[Lanes; 2]])) {
        if self.level && !self.started && from < to {
            self.started = true;
            for (t, offset) in self.offset.iter_mut().enumerate() {
                *offset = block.group(t)[from].map(|v| if v.is_finite() { v } else { 0.0 });
            }
        }
        let mut at = from;
        while at < to {
            let n = (group.hop - self.filled).min(TILE).min(to - at);
            for (oscillator, [re, im]) in group.oscillators.iter().zip(self.columns.as_chunks_mut().0) {
                oscillator.fill(block.first() + at as i64, &mut re[..n], &mut im[..n]);
            }
            for (t, sums) in self.sums.chunks_exact_mut(self.harmonics.max(1)).enumerate() {
                let mut x = &block.group(t)[at..at + n];
                if self.level {
                    let offset = &self.offset[t];
                    for (free, x) in self.free.iter_mut().zip(x) {
                        *free = std::array::from_fn(|l| x[l] - offset[l]);
                    }
                    x = &self.free[..n];
                }
                accumulate(&self.columns, x, sums.as_flattened_mut());
            }
            (at, self.filled) = (at + n, self.filled + n);
            if self.filled == group.hop {
                done(&self.sums);
                self.sums.fill([[0.0; LANES]; 2]);
                self.filled = 0;
            }
        }
    }

    /// The demodulate of a channel in the sums of a full hop.
    pub fn value(sums: &[[Lanes; 2]], harmonics: usize, hop: usize, harmonic: usize, channel: usize) -> Complex {
        let [re, im] = &sums[channel / LANES * harmonics + harmonic];
        let scale = 2.0 / hop as f64;
        Complex::new(scale * re[channel % LANES], -scale * im[channel % LANES])
    }
}

/// Sums over windows, of one channel and harmonic.
#[derive(Debug, Clone, Default)]
pub(super) struct Spectra {
    /// Windows of finite samples, by channel.
    pub windows: Vec<u32>,
    /// Windows with a sample that is not finite, by channel.
    pub spoilt: Vec<u32>,
    /// Σ |Z[b]|², bins −reach…reach: `[channel][harmonic][bin]`, amplitude² of a sinusoid in the bin.
    power: Vec<f64>,
    /// Σ Z[b] Z[−b], b = 0…reach: `[channel][harmonic][bin]`.
    pairs: Vec<Complex>,
    harmonics: usize,
    reach: usize,
}

impl Spectra {
    pub fn new(channels: usize, group: &Group) -> Self {
        let (harmonics, reach) = (group.oscillators.len(), group.reach);
        Self {
            windows: vec![0; channels],
            spoilt: vec![0; channels],
            power: vec![0.0; channels * harmonics * (2 * reach + 1)],
            pairs: vec![Complex::default(); channels * harmonics * (reach + 1)],
            harmonics,
            reach,
        }
    }

    pub fn memory_bytes(&self) -> u64 {
        (8 * (self.windows.len() + self.power.len()) + 16 * self.pairs.len()) as u64
    }

    pub fn clear(&mut self) {
        self.windows.fill(0);
        self.spoilt.fill(0);
        self.power.fill(0.0);
        self.pairs.fill(Complex::default());
    }

    /// Σ |Z[b]|² of bins −reach…reach.
    pub fn power(&self, channel: usize, harmonic: usize) -> &[f64] {
        let n = 2 * self.reach + 1;
        &self.power[(channel * self.harmonics + harmonic) * n..][..n]
    }

    /// Σ Z[b] Z[−b] of bins 0…reach.
    pub fn pairs(&self, channel: usize, harmonic: usize) -> &[Complex] {
        let n = self.reach + 1;
        &self.pairs[(channel * self.harmonics + harmonic) * n..][..n]
    }

    /// Adds one window's transform.
    fn add(&mut self, channel: usize, harmonic: usize, z: &[Complex], scale: f64) {
        let reach = self.reach;
        let at = channel * self.harmonics + harmonic;
        let power = &mut self.power[at * (2 * reach + 1)..][..2 * reach + 1];
        let pairs = &mut self.pairs[at * (reach + 1)..][..reach + 1];
        for b in 0..=reach {
            let (up, down) = (z[b] * scale, z[(z.len() - b) % z.len()] * scale);
            power[reach + b] += up.norm_sqr();
            if b > 0 {
                power[reach - b] += down.norm_sqr();
            }
            pairs[b] += up * down;
        }
    }
}

/// Demodulates one stretch at one frequency.
#[derive(Clone)]
pub(super) struct Demodulator {
    hops: Hops,
    /// The last window's hops, `[channel][harmonic][hop]`, round and round.
    ring: Vec<Complex>,
    count: usize,
    hann: Vec<f64>,
    fft: ComplexFft,
    work: Vec<Complex>,
    channels: usize,
}

impl Demodulator {
    pub fn new(channels: usize, group: &Group) -> Self {
        let (harmonics, window) = (group.oscillators.len(), group.window);
        Self {
            hops: Hops::new(channels, harmonics, true),
            ring: vec![Complex::default(); channels * harmonics * window],
            count: 0,
            hann: (0..window).map(|i| (PI * i as f64 / window as f64).sin().powi(2)).collect(),
            fft: ComplexFft::new(window),
            work: vec![Complex::default(); window],
            channels,
        }
    }

    pub fn memory_bytes(&self) -> u64 {
        self.hops.memory_bytes() + 16 * (self.ring.len() + 2 * self.work.len()) as u64
    }

    pub fn start(&mut self) {
        self.hops.start();
        self.count = 0;
    }

    /// Samples `from..to` of a block; full windows go into `into`, hops into `boxes`.
    pub fn push(
        &mut self,
        group: &Group,
        block: &Block,
        from: usize,
        to: usize,
        into: &mut Spectra,
        mut boxes: Option<&mut Boxes>,
    ) {
        let Self { hops, ring, count, hann, fft, work, channels } = self;
        let (window, harmonics) = (group.window, group.oscillators.len());
        hops.push(group, block, from, to, |sums| {
            if let Some(boxes) = &mut boxes {
                boxes.add(group, sums);
            }
            let slot = *count % window;
            for c in 0..*channels {
                for k in 0..harmonics {
                    ring[(c * harmonics + k) * window + slot] = Hops::value(sums, harmonics, group.hop, k, c);
                }
            }
            *count += 1;
            if *count < window || !(*count - window).is_multiple_of(window / 2) {
                return;
            }
            // the oldest hop comes next in the ring
            let oldest = *count % window;
            let scale = 2.0 / window as f64;
            for c in 0..*channels {
                let mine = &ring[c * harmonics * window..][..harmonics * window];
                if !mine.iter().all(|z| z.re.is_finite() && z.im.is_finite()) {
                    into.spoilt[c] += 1;
                    continue;
                }
                into.windows[c] += 1;
                for (k, mine) in mine.chunks_exact(window).enumerate() {
                    for (i, (w, hann)) in work.iter_mut().zip(&*hann).enumerate() {
                        *w = mine[(oldest + i) % window] * hann;
                    }
                    fft.forward(work);
                    into.add(c, k, work, scale);
                }
            }
        });
    }
}
