//! From a trial to its complex values over frequency and time, by a bank of wavelets or by filters.

use crate::dsp::fft::{Analytic, Complex};
use crate::dsp::iir::{Sos, State, sosfilt};
use crate::dsp::morlet::{Bank, Work};

const ZERO: Complex = Complex::new(0.0, 0.0);

/// One transform per row (frequency or band) and taper.
pub(super) struct Transform {
    kind: Kind,
    /// Of each row's tapers in turn; 1 where there is none.
    weights: Vec<f64>,
    pub tapers: usize,
}

enum Kind {
    Bank(Bank),
    Hilbert { filters: Vec<Filter>, len: usize, decim: usize, offset: usize },
}

struct Filter {
    sos: Sos,
    steady: Vec<State>,
}

/// Working space of a [`Transform`], with room for some trials.
pub(super) struct Space {
    kind: SpaceKind,
    trials: Vec<Vec<f64>>,
}

enum SpaceKind {
    Bank(Box<Work>),
    Hilbert { analytic: Box<Analytic>, padded: Vec<f64>, state: Vec<State>, z: Vec<Complex>, out: Vec<Complex> },
}

impl Transform {
    /// `weights`: of each wavelet, taper after taper, row after row; where there is none it is 1.
    pub fn bank(bank: Bank, tapers: usize, weights: Vec<f64>) -> Self {
        Self { kind: Kind::Bank(bank), weights, tapers }
    }

    pub fn hilbert(filters: Vec<Sos>, len: usize, decim: usize, offset: usize) -> Self {
        let filters = filters.into_iter().map(|sos| Filter { steady: sos.steady_state(), sos }).collect();
        Self { kind: Kind::Hilbert { filters, len, decim, offset }, weights: Vec::new(), tapers: 1 }
    }

    pub fn outputs(&self) -> usize {
        match &self.kind {
            Kind::Bank(bank) => bank.outputs(),
            Kind::Hilbert { len, decim, offset, .. } => (len - offset).div_ceil(*decim),
        }
    }

    /// The weight of a taper's power at a row.
    pub fn weight(&self, row: usize, taper: usize) -> f64 {
        self.weights.get(row * self.tapers + taper).copied().unwrap_or(1.0)
    }

    pub fn memory_bytes(&self) -> u64 {
        match &self.kind {
            Kind::Bank(bank) => bank.memory_bytes(),
            Kind::Hilbert { .. } => 0,
        }
    }

    pub fn space(&self, trials: usize) -> Space {
        match &self.kind {
            Kind::Bank(bank) => Space {
                kind: SpaceKind::Bank(Box::new(bank.work())),
                trials: vec![vec![0.0; bank.spectrum_len()]; trials],
            },
            Kind::Hilbert { filters, len, .. } => {
                let pad = filters.iter().map(|f| f.sos.padding()).max().unwrap_or(0);
                let sections = filters.iter().map(|f| f.steady.len()).max().unwrap_or(0);
                Space {
                    kind: SpaceKind::Hilbert {
                        analytic: Box::new(Analytic::new(*len)),
                        padded: vec![0.0; len + 2 * pad],
                        state: vec![[0.0; 2]; sections],
                        z: vec![ZERO; *len],
                        out: vec![ZERO; self.outputs()],
                    },
                    trials: vec![vec![0.0; *len]; trials],
                }
            }
        }
    }

    /// Takes a channel's samples of a trial. Allocates nothing.
    pub fn take(&self, trial: usize, x: &[f64], space: &mut Space) {
        match (&self.kind, &mut space.kind) {
            (Kind::Bank(bank), SpaceKind::Bank(work)) => bank.spectrum(x, work, &mut space.trials[trial]),
            _ => space.trials[trial].copy_from_slice(x),
        }
    }

    /// A taken trial's values at a row's outputs. Allocates nothing.
    pub fn apply<'s>(&self, row: usize, taper: usize, trial: usize, space: &'s mut Space) -> &'s [Complex] {
        let x = &space.trials[trial];
        match (&self.kind, &mut space.kind) {
            (Kind::Bank(bank), SpaceKind::Bank(work)) => bank.transform(row * self.tapers + taper, x, work),
            (Kind::Hilbert { filters, decim, offset, .. }, SpaceKind::Hilbert { analytic, padded, state, z, out }) => {
                let filtered = zero_phase(&filters[row], x, padded, state);
                analytic.apply(filtered, z);
                out.iter_mut().zip(z.iter().skip(*offset).step_by(*decim)).for_each(|(out, z)| *out = *z);
                out
            }
            _ => &[],
        }
    }
}

/// Forward and backward with odd padding, as [`sosfiltfilt`](crate::dsp::iir::sosfiltfilt), without allocating.
fn zero_phase<'p>(filter: &Filter, x: &[f64], padded: &'p mut [f64], state: &mut [State]) -> &'p [f64] {
    let (pad, n) = (filter.sos.padding(), x.len());
    let y = &mut padded[..n + 2 * pad];
    y[pad..pad + n].copy_from_slice(x);
    for i in 1..=pad {
        y[pad - i] = 2.0 * x[0] - x[i];
        y[pad + n - 1 + i] = 2.0 * x[n - 1] - x[n - 1 - i];
    }
    for _ in 0..2 {
        let first = y[0];
        let state = &mut state[..filter.steady.len()];
        state.iter_mut().zip(&filter.steady).for_each(|(state, s)| *state = s.map(|v| v * first));
        sosfilt(&filter.sos, y, state);
        y.reverse();
    }
    &y[pad..pad + n]
}
