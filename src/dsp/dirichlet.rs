//! Sums of a turning phasor over a run of samples, with powers of time: Dirichlet's kernel and its moments.
//!
//! S_d(N) = Σ vᵈ e^{2πi f n}, n = 0…N−1, v = (n − (N − 1)/2) / scale. The quotient of sines that closes S₀ has no such form for d > 0
//! that keeps its digits near f = 0, so all are doubled up from one sample: S(2M) is S(M) and S(M) turned and moved. Some 20 steps
//! for a million samples, each adding a rounding error.

use super::fft::Complex;
use super::harmonics::turn;

/// Powers of time: 0, 1, 2.
pub const POWERS: usize = 3;

/// The moments of e^{2πi f n} over `n` samples, f in cycles per sample.
pub fn moments(cycles: f64, n: u64, scale: f64) -> [Complex; POWERS] {
    let mut sums = [Complex::ZERO; POWERS];
    let mut done = 0_u64;
    // the bits of n from the highest on: double, and add one where it is set
    for bit in (0..u64::BITS - n.leading_zeros()).rev() {
        if done > 0 {
            let phasor = turn(cycles, done as i64);
            let later = moved(&sums, done as f64 / scale);
            sums.iter_mut().zip(later).for_each(|(s, l)| *s += phasor * l);
            done *= 2;
        }
        if n >> bit & 1 == 1 {
            let (phasor, v) = (turn(cycles, done as i64), done as f64 / scale);
            sums.iter_mut().enumerate().for_each(|(d, s)| *s += phasor * v.powi(d as i32));
            done += 1;
        }
    }
    moved(&sums, -(n as f64 - 1.0) / 2.0 / scale)
}

/// The sums with (v + by)ᵈ instead of vᵈ.
fn moved([a, b, c]: &[Complex; POWERS], by: f64) -> [Complex; POWERS] {
    [*a, b + a * by, c + b * (2.0 * by) + a * (by * by)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_the_sums_they_stand_for() {
        for (n, cycles) in
            [(1, 0.1), (2, 0.0), (7, 0.5), (1000, 0.002), (4097, 1e-7), (65_537, 0.073_213_2), (30_000, -0.25)]
        {
            let scale = 0.5 * n as f64;
            let got = moments(cycles, n, scale);
            for (d, got) in got.iter().enumerate() {
                let v = |i: u64| ((i as f64 - (n as f64 - 1.0) / 2.0) / scale).powi(d as i32);
                let want: Complex = (0..n).map(|i| turn(cycles, i as i64) * v(i)).sum();
                assert!((got - want).norm() < 1e-14 * n as f64, "{n} {cycles} {d}: {got} {want}");
            }
        }
    }
}
