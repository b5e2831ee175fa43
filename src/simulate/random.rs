//! Random numbers that depend on a seed and a purpose, and on nothing else.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::sync::Arc;

/// Layers of the ziggurat.
const LAYERS: usize = 128;
/// Where its tail begins, and the area of each layer (Marsaglia & Tsang 2000, 10.18637/jss.v005.i08).
const TAIL: f64 = 3.442619855899;
const AREA: f64 = 9.91256303526217e-3;

/// A generator for one purpose: ChaCha with eight rounds, the purpose being its stream.
#[derive(Debug, Clone)]
pub struct Random {
    generator: ChaCha8Rng,
    /// Edges of the ziggurat's layers from the outside in, and the density at them.
    edges: Arc<[[f64; 2]; LAYERS + 1]>,
}

impl Random {
    /// The generator of a seed and a purpose; different purposes are independent.
    pub fn new(seed: u64, purpose: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut generator = ChaCha8Rng::from_seed(bytes);
        generator.set_stream(purpose);
        Self { generator, edges: Arc::new(ziggurat()) }
    }

    /// Uniform in 0 ≤ u < 1, 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        unit(self.generator.next_u64())
    }

    /// Uniform in lo ≤ u < hi.
    pub fn between(&mut self, lo: f64, hi: f64) -> f64 {
        lo + (hi - lo) * self.uniform()
    }

    /// Standard normal, by the ziggurat with layer and place from separate bits (Doornik 2005).
    #[inline]
    pub fn normal(&mut self) -> f64 {
        loop {
            let bits = self.generator.next_u64();
            let layer = (bits % LAYERS as u64) as usize;
            let [edge, below] = self.edges[layer];
            let [inner, above] = self.edges[layer + 1];
            let x = (2.0 * unit(bits) - 1.0) * edge;
            if x.abs() < inner {
                return x;
            }
            if layer == 0 {
                return self.tail().copysign(x);
            }
            if below + (above - below) * self.uniform() < density(x) {
                return x;
            }
        }
    }

    /// A normal beyond the ziggurat's last edge (Marsaglia 1964).
    #[cold]
    fn tail(&mut self) -> f64 {
        loop {
            let (x, y) = ((1.0 - self.uniform()).ln() / TAIL, (1.0 - self.uniform()).ln());
            if -2.0 * y >= x * x {
                return TAIL - x;
            }
        }
    }
}

/// The upper 53 bits as a number in 0 ≤ u < 1.
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

fn density(x: f64) -> f64 {
    (-0.5 * x * x).exp()
}

fn ziggurat() -> [[f64; 2]; LAYERS + 1] {
    let mut edges = [[0.0, 1.0]; LAYERS + 1];
    // the lowest layer is as wide as its area (with the tail) over its height; its density is never asked for
    edges[0] = [AREA / density(TAIL), density(TAIL)];
    edges[1] = [TAIL, density(TAIL)];
    for i in 2..LAYERS {
        let [x, f] = edges[i - 1];
        let f = AREA / x + f;
        edges[i] = [(-2.0 * f.ln()).sqrt(), f];
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ziggurat_closes_at_the_top() {
        let [x, f] = ziggurat()[LAYERS - 1];
        assert!((AREA / x + f - 1.0).abs() < 1e-9);
    }

    /// Moments, and the distribution function at some places, within five standard errors.
    #[test]
    fn normals_are_normal() {
        let (mut random, n) = (Random::new(1, 0), 2_000_000);
        let (mut moments, mut below) = ([0.0; 4], [0_u32; 5]);
        let places = [(-4.0, 3.1671e-5), (-2.0, 2.275013e-2), (-0.5, 0.30853754), (1.0, 0.84134475), (3.0, 0.9986501)];
        for _ in 0..n {
            let x = random.normal();
            (0..4).for_each(|k| moments[k] += x.powi(k as i32 + 1));
            below.iter_mut().zip(places).for_each(|(count, (place, _))| *count += u32::from(x < place));
        }
        let n = f64::from(n);
        for (k, (want, variance)) in [(0.0, 1.0), (1.0, 2.0), (0.0, 15.0), (3.0, 96.0_f64)].into_iter().enumerate() {
            assert!(
                (moments[k] / n - want).abs() < 5.0 * (variance / n).sqrt(),
                "moment {}: {}",
                k + 1,
                moments[k] / n
            );
        }
        for (count, (place, p)) in below.into_iter().zip(places) {
            let share = f64::from(count) / n;
            assert!((share - p).abs() < 5.0 * (p * (1.0 - p) / n).sqrt(), "below {place}: {share}, want {p}");
        }
    }

    #[test]
    fn purposes_are_apart_and_seeds_repeat() {
        let draw = |seed, purpose| {
            (0..4).map(|_| 0).scan(Random::new(seed, purpose), |r, _| Some(r.normal())).collect::<Vec<_>>()
        };
        assert_eq!(draw(7, 1), draw(7, 1));
        assert_ne!(draw(7, 1), draw(7, 2));
        assert_ne!(draw(7, 1), draw(8, 1));
    }
}
