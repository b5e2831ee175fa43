//! Symmetric (joint) orthogonalisation of an epoch's signals: the orthogonal set nearest to all of them at once.
//!
//! Colclough et al. 2015 (10.1016/j.neuroimage.2015.03.071), equations 2–8: with signals Z (signal × time) and magnitudes
//! D, the nearest orthonormal set to DZ is its polar factor `O = (D Z Zᵀ D)^(−1/2) D Z`; then `D = diag(Z Oᵀ)`, and again
//! until the error settles (50 rounds, relative change 1e-6, as `mne_connectivity.symmetric_orth`). Only the Gram
//! matrix is needed until the end, and the same mixing is right for the Hilbert transforms, which are linear.

use super::envelope::Envelopes;

const ROUNDS: usize = 50;
const TOLERANCE: f64 = 1e-6;
/// Singular values below this fraction of the largest: signals are not independent.
const RANK: f64 = 1e-6;

/// Working space for up to a number of signals.
#[derive(Debug, Clone)]
pub struct Symmetric {
    /// Signals taken part.
    members: Vec<usize>,
    /// Z Zᵀ.
    gram: Vec<f64>,
    /// D Z Zᵀ D, diagonalised in place.
    scaled: Vec<f64>,
    /// Rows are eigenvectors.
    vectors: Vec<f64>,
    /// `(D Z Zᵀ D)^(−1/2)`.
    root: Vec<f64>,
    magnitude: Vec<f64>,
    column: Vec<f64>,
}

impl Symmetric {
    /// Room for `signals`.
    pub fn new(signals: usize) -> Self {
        let square = || vec![0.0; signals * signals];
        Self {
            members: Vec::with_capacity(signals),
            gram: square(),
            scaled: square(),
            vectors: square(),
            root: square(),
            magnitude: vec![1.0; signals],
            column: vec![0.0; signals],
        }
    }

    /// Bytes of its buffers.
    pub fn memory_bytes(&self) -> u64 {
        8 * (4 * self.gram.len() + 3 * self.magnitude.len()) as u64
    }

    /// Orthogonalises the signals marked in `usable`, with their Hilbert transforms; others stay. `false`, and nothing
    /// changed, where they are fewer than two, more than the samples, or not linearly independent. Allocates nothing.
    pub fn apply(&mut self, signals: &mut Envelopes, usable: &[bool]) -> bool {
        self.members.clear();
        self.members.extend(usable.iter().enumerate().filter(|(_, u)| **u).map(|(s, _)| s).take(self.column.len()));
        let k = self.members.len();
        if k < 2 || k > signals.len() {
            return false;
        }
        for i in 0..k {
            for j in 0..=i {
                let dot = signals.real_product(self.members[i], self.members[j]);
                self.gram[i * k + j] = dot;
                self.gram[j * k + i] = dot;
            }
        }
        let Self { gram, scaled, vectors, root, magnitude, column, members } = self;
        let (gram, scaled, vectors, root) =
            (&gram[..k * k], &mut scaled[..k * k], &mut vectors[..k * k], &mut root[..k * k]);
        let power: f64 = (0..k).map(|i| gram[i * k + i]).sum();
        let previous = &mut column[..k];
        let magnitude = &mut magnitude[..k];
        magnitude.fill(1.0);
        let mut last = f64::INFINITY;
        for round in 0..ROUNDS {
            for i in 0..k {
                for j in 0..k {
                    scaled[i * k + j] = magnitude[i] * gram[i * k + j] * magnitude[j];
                }
            }
            jacobi(k, scaled, vectors);
            let largest = (0..k).map(|i| scaled[i * k + i]).fold(0.0, f64::max);
            let smallest = (0..k).map(|i| scaled[i * k + i]).fold(f64::INFINITY, f64::min);
            if round == 0 && (smallest.is_nan() || smallest <= RANK * RANK * largest) {
                return false;
            }
            root.fill(0.0);
            for e in 0..k {
                let weight = 1.0 / scaled[e * k + e].max(f64::MIN_POSITIVE).sqrt();
                for i in 0..k {
                    let v = weight * vectors[e * k + i];
                    (0..k).for_each(|j| root[i * k + j] += v * vectors[e * k + j]);
                }
            }
            // diag(Z Oᵀ), O = root · D · Z
            previous.copy_from_slice(magnitude);
            for i in 0..k {
                magnitude[i] = (0..k).map(|j| root[i * k + j] * previous[j] * gram[j * k + i]).sum();
            }
            let error = (power - magnitude.iter().map(|d| d * d).sum::<f64>()) / power;
            if error == 0.0 || (last - error) / error < TOLERANCE {
                break;
            }
            last = error;
        }
        for i in 0..k {
            (0..k).for_each(|j| root[i * k + j] *= magnitude[i] * previous[j]);
        }
        signals.mix(members, root, previous);
        true
    }
}

/// Eigenvalues (left on the diagonal of `a`) and eigenvectors (rows of `v`) of a symmetric matrix, by cyclic Jacobi
/// rotations (Golub & Van Loan, *Matrix Computations*, 8.5): accurate also for the small ones.
fn jacobi(k: usize, a: &mut [f64], v: &mut [f64]) {
    v.fill(0.0);
    (0..k).for_each(|i| v[i * k + i] = 1.0);
    for _ in 0..60 {
        let mut rotated = false;
        for p in 0..k {
            for q in p + 1..k {
                let (apq, app, aqq) = (a[p * k + q], a[p * k + p], a[q * k + q]);
                if apq.abs() <= f64::EPSILON * (app * aqq).abs().sqrt() {
                    continue;
                }
                rotated = true;
                let theta = (aqq - app) / (2.0 * apq);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                rotate(k, a, p, q, c, s);
                for i in 0..k {
                    let (x, y) = (a[i * k + p], a[i * k + q]);
                    (a[i * k + p], a[i * k + q]) = (c * x - s * y, s * x + c * y);
                }
                rotate(k, v, p, q, c, s);
            }
        }
        if !rotated {
            break;
        }
    }
}

/// Rows p and q of a matrix turned by the angle with this cosine and sine.
fn rotate(k: usize, m: &mut [f64], p: usize, q: usize, c: f64, s: f64) {
    let (head, tail) = m.split_at_mut(q * k);
    for (x, y) in head[p * k..(p + 1) * k].iter_mut().zip(&mut tail[..k]) {
        (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvectors_diagonalise() {
        let k = 9;
        let original: Vec<f64> =
            (0..k * k).map(|i| 1.0 / ((i / k + i % k) as f64 + 1.0) + if i / k == i % k { 0.1 } else { 0.0 }).collect();
        let (mut a, mut v) = (original.clone(), vec![0.0; k * k]);
        jacobi(k, &mut a, &mut v);
        for i in 0..k {
            for j in 0..k {
                let back: f64 = (0..k).map(|e| v[e * k + i] * a[e * k + e] * v[e * k + j]).sum();
                assert!((back - original[i * k + j]).abs() < 1e-14);
                let unit: f64 = (0..k).map(|e| v[i * k + e] * v[j * k + e]).sum();
                assert!((unit - f64::from(u8::from(i == j))).abs() < 1e-14);
            }
        }
    }

    #[test]
    fn orthogonal_signals_stay_and_others_become_so() {
        let n = 200;
        let tone = |f: f64, lag: f64| move |i: usize| (std::f64::consts::TAU * f * i as f64 / n as f64 + lag).sin();
        let mut signals = Envelopes::new(3, n);
        let shapes: [Box<dyn Fn(usize) -> f64>; 3] = [
            Box::new(tone(5.0, 0.0)),
            Box::new(move |i| 3.0 * tone(7.0, 0.2)(i)),
            Box::new(move |i| tone(7.0, 0.2)(i) + tone(9.0, 0.1)(i)),
        ];
        for (mut signal, shape) in signals.signals_mut().zip(&shapes) {
            signal.set(|re, _| re.iter_mut().enumerate().for_each(|(i, v)| *v = shape(i)));
        }
        let before = signals.real_product(0, 0);
        let mut work = Symmetric::new(3);
        assert!(!work.clone().apply(&mut signals, &[true, false, false]));
        assert!(work.apply(&mut signals, &[true; 3]));
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            assert!(signals.real_product(a, b).abs() < 1e-10);
        }
        assert!((signals.real_product(0, 0) - before).abs() < 1e-10);
        // the error left is that of equation 1 at a stationary point: each signal's projection onto its own direction
        assert!(signals.real_product(2, 2) < 2.0 * n as f64 / 2.0);
    }
}
