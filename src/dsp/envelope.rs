//! Correlations of amplitude envelopes, raw and with pairwise orthogonalisation, of all pairs of an epoch's signals.
//!
//! For analytic signals `z` with envelopes `m = |z|`, what remains of signal i once everything in phase with j is taken
//! away is `o(t) = |Im(z_i z_j*)| / m_j`; it is correlated with `m_j` (Hipp et al. 2012, 10.1038/nn.3101). Both
//! directions of a pair share `|Im(z_i z_j*)|`. Sums are taken about a provisional mean and about the envelope's own mean,
//! so that steady envelopes (mean ≫ sd) lose no digits. A sample with `m_j = 0` has no phase and is skipped.

use super::stats::sum;
use multiversion::multiversion;

/// Vector width that the compiler is given; sums are kept lane by lane.
const LANES: usize = 8;

/// Samples of a chunk: four rows of the eight signals of two tiles fill half of a first-level cache.
const CHUNK: usize = 64;

/// Signals of a tile of pairs that share what the cache holds.
const TILE: u32 = 4;

/// Below this fraction of the whole an orthogonalised amplitude is rounding: there was no lag.
const ROUNDING: f64 = 64.0 * f64::EPSILON;

/// Analytic signals of one epoch, arranged for the kernels: per signal the rows re, im, 1/m and m − mean, filled up with
/// zeros to whole vectors.
#[derive(Debug, Clone)]
pub struct Envelopes {
    n: usize,
    stride: usize,
    rows: Vec<f64>,
    facts: Vec<Facts>,
}

/// What is known about one signal of an epoch.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts {
    /// Samples with an envelope.
    counted: usize,
    /// `Σ m²`.
    energy: f64,
    /// `Σ (m − mean)²`.
    spread: f64,
}

impl Envelopes {
    /// Room for `signals` of `n` samples.
    pub fn new(signals: usize, n: usize) -> Self {
        let stride = n.next_multiple_of(LANES);
        Self { n, stride, rows: vec![0.0; signals * 4 * stride], facts: vec![Facts::default(); signals] }
    }

    /// Samples per signal.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether signals have no samples.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Bytes of its buffers.
    pub fn memory_bytes(&self) -> u64 {
        (8 * self.rows.len() + size_of::<Facts>() * self.facts.len()) as u64
    }

    /// The signals one by one, to be filled in any order, by several threads where wanted.
    pub fn signals_mut(&mut self) -> impl Iterator<Item = SignalMut<'_>> {
        let n = self.n;
        let rows = self.rows.chunks_exact_mut((4 * self.stride).max(1));
        rows.zip(&mut self.facts).map(move |(rows, facts)| SignalMut { n, rows, facts })
    }

    /// The signals of `from`, each later by its own number of samples, going round: a surrogate with the same envelopes.
    /// Allocates nothing.
    ///
    /// # Panics
    /// When `from` has another shape.
    pub fn turn(&mut self, from: &Self, shift: impl Fn(usize) -> usize) {
        let (n, stride) = (self.n, self.stride);
        for (row, (to, of)) in self.rows.chunks_exact_mut(stride).zip(from.rows.chunks_exact(stride)).enumerate() {
            let shift = shift(row / 4) % n;
            to[shift..n].copy_from_slice(&of[..n - shift]);
            to[..shift].copy_from_slice(&of[n - shift..n]);
        }
        self.facts.copy_from_slice(&from.facts);
    }

    /// Whether a signal has an amplitude above `floor` (root mean square).
    pub fn is_above(&self, signal: usize, floor: f64) -> bool {
        self.facts[signal].energy > floor * floor * self.n as f64
    }

    /// `Σ Re z_a · Re z_b`.
    pub fn real_product(&self, a: usize, b: usize) -> f64 {
        dot(self.part(a, 0), self.part(b, 0))
    }

    /// Replaces the signals `members` by their mixture: `weights` is a square matrix, row after row; `column` is working
    /// space of as many values.
    pub fn mix(&mut self, members: &[usize], weights: &[f64], column: &mut [f64]) {
        let k = members.len();
        for row in 0..2 {
            for i in 0..self.n {
                for (value, &m) in column.iter_mut().zip(members) {
                    *value = self.rows[(m * 4 + row) * self.stride + i];
                }
                for (weights, &m) in weights.chunks_exact(k).zip(members) {
                    let mixed = weights.iter().zip(column.iter()).map(|(w, v)| w * v).sum();
                    self.rows[(m * 4 + row) * self.stride + i] = mixed;
                }
            }
        }
        for (slot, mut signal) in self.signals_mut().enumerate() {
            if members.contains(&slot) {
                signal.set(|_, _| {});
            }
        }
    }

    fn part(&self, signal: usize, row: usize) -> &[f64] {
        let start = (signal * 4 + row) * self.stride;
        &self.rows[start..start + self.stride]
    }

    fn row(&self, signal: u32, row: usize, from: usize, to: usize) -> &[f64] {
        let start = (signal as usize * 4 + row) * self.stride;
        &self.rows[start + from..start + to]
    }
}

/// One signal of [`Envelopes`], to be filled.
pub struct SignalMut<'a> {
    n: usize,
    rows: &'a mut [f64],
    facts: &'a mut Facts,
}

impl SignalMut<'_> {
    /// The same signal for a shorter time.
    pub fn again(&mut self) -> SignalMut<'_> {
        SignalMut { n: self.n, rows: self.rows, facts: self.facts }
    }

    /// Sets the signal: `fill` writes its real and imaginary part.
    pub fn set(&mut self, fill: impl FnOnce(&mut [f64], &mut [f64])) {
        let (re, rest) = self.rows.split_at_mut(self.rows.len() / 4);
        let (im, rest) = rest.split_at_mut(re.len());
        let (inverse, centred) = rest.split_at_mut(re.len());
        let n = self.n;
        let (re, im) = (&mut re[..n], &mut im[..n]);
        fill(re, im);
        *self.facts = describe(re, im, &mut inverse[..n], &mut centred[..n]);
    }
}

#[multiversion(targets("x86_64+avx+avx2+avx512f+avx512vl", "x86_64+avx+avx2"))]
fn describe(re: &[f64], im: &[f64], inverse: &mut [f64], centred: &mut [f64]) -> Facts {
    let mut counted = 0;
    for (((re, im), inverse), m) in re.iter().zip(im).zip(inverse.iter_mut()).zip(centred.iter_mut()) {
        *m = (re * re + im * im).sqrt();
        *inverse = if *m > 0.0 { 1.0 / *m } else { 0.0 };
    }
    for m in centred.iter() {
        counted += usize::from(*m > 0.0);
    }
    let energy = squares(centred);
    let mean = if counted > 0 { sum(centred) / counted as f64 } else { 0.0 };
    for m in centred.iter_mut() {
        *m = if *m > 0.0 { *m - mean } else { 0.0 };
    }
    Facts { counted, energy, spread: squares(centred) }
}

/// `Σ x²`.
#[inline(always)]
fn squares(x: &[f64]) -> f64 {
    let (whole, rest) = x.as_chunks::<LANES>();
    let mut parts = [0.0; LANES];
    for values in whole {
        parts.iter_mut().zip(values).for_each(|(p, v)| *p += v * v);
    }
    parts.iter().sum::<f64>() + rest.iter().map(|v| v * v).sum::<f64>()
}

/// An epoch's sums over one pair; per direction about a provisional mean.
#[derive(Debug, Clone, Copy, Default)]
pub struct PairSums {
    /// Provisional means of a's amplitude orthogonal to b, and of b's orthogonal to a.
    about: [f64; 2],
    /// Per direction `Σ d`, `Σ d²`, `Σ d (m − mean)` with `d = o − about`; lane by lane, since a sum over lanes in the hot
    /// loop keeps compilers from making vectors.
    sums: [[f64; LANES]; 6],
}

impl PairSums {
    /// The correlation of a's amplitude orthogonal to b with b's envelope, and the other way round. `0` where nothing
    /// but rounding is left orthogonal to the other signal; `None` where an amplitude does not vary.
    pub fn correlations(&self, signals: &Envelopes, [a, b]: [u32; 2]) -> [Option<f64>; 2] {
        let (fa, fb) = (signals.facts[a as usize], signals.facts[b as usize]);
        [self.one(0, signals.stride, fa, fb), self.one(1, signals.stride, fb, fa)]
    }

    fn one(&self, direction: usize, stride: usize, of: Facts, to: Facts) -> Option<f64> {
        let sum = |k: usize| self.sums[3 * direction + k].iter().sum::<f64>();
        let (d, dd, dm, about) = (sum(0), sum(1), sum(2), self.about[direction]);
        // a skipped sample came in as o = 0
        let (n, skipped) = (to.counted as f64, (stride - to.counted) as f64);
        let (d, dd) = (d + skipped * about, dd - skipped * about * about);
        let energy = dd + 2.0 * about * d + n * about * about;
        let spread = dd - d * d / n;
        let rounding = ROUNDING * ROUNDING;
        if !(of.energy > 0.0 && to.spread > rounding * to.energy && n > 2.0) {
            None
        } else if energy <= rounding * of.energy {
            Some(0.0)
        } else if spread <= rounding * energy {
            None
        } else {
            Some((dm / (spread * to.spread).sqrt()).clamp(-1.0, 1.0))
        }
    }
}

/// Sorts pairs so that neighbours in the list share signals: the order that [`orthogonal`] is fastest in.
pub fn tile_order(pairs: &mut [[u32; 2]]) {
    pairs.sort_by_key(|&[a, b]| (a / TILE, b / TILE, a, b));
}

/// Sums of all `pairs` of one epoch. A pair's bits do not depend on its place in the list, so that the list may be cut
/// for several threads. Allocates nothing.
///
/// # Panics
/// When a pair names a signal that is not there, or there are more pairs than `sums`.
pub fn orthogonal(signals: &Envelopes, pairs: &[[u32; 2]], sums: &mut [PairSums]) {
    let first = LANES.min(signals.stride);
    for (&[a, b], sums) in pairs.iter().zip(sums.iter_mut()) {
        *sums = PairSums::default();
        let row = |signal, row| signals.row(signal, row, 0, first);
        for i in 0..first {
            let q = (row(a, 0)[i] * row(b, 1)[i] - row(a, 1)[i] * row(b, 0)[i]).abs();
            sums.about[0] += q * row(b, 2)[i] / first as f64;
            sums.about[1] += q * row(a, 2)[i] / first as f64;
        }
    }
    accumulate(signals, pairs, sums);
}

#[multiversion(targets("x86_64+avx+avx2+avx512f+avx512vl", "x86_64+avx+avx2"))]
fn accumulate(signals: &Envelopes, pairs: &[[u32; 2]], sums: &mut [PairSums]) {
    for from in (0..signals.stride).step_by(CHUNK) {
        let to = (from + CHUNK).min(signals.stride);
        let lanes = |signal, row| signals.row(signal, row, from, to).as_chunks::<LANES>().0.iter();
        for (&[a, b], sums) in pairs.iter().zip(sums.iter_mut()) {
            let [about_a, about_b] = sums.about;
            let [mut d1, mut d2, mut dm, mut e1, mut e2, mut em] = sums.sums;
            let left = lanes(a, 0).zip(lanes(a, 1)).zip(lanes(a, 2)).zip(lanes(a, 3));
            let right = lanes(b, 0).zip(lanes(b, 1)).zip(lanes(b, 2)).zip(lanes(b, 3));
            for ((((xa, ya), ia), ma), (((xb, yb), ib), mb)) in left.zip(right) {
                // one operation on all lanes after the other: the shape that compilers make vectors of
                let q: [f64; LANES] = std::array::from_fn(|l| (xa[l] * yb[l] - ya[l] * xb[l]).abs());
                let d: [f64; LANES] = std::array::from_fn(|l| q[l] * ib[l] - about_a);
                let e: [f64; LANES] = std::array::from_fn(|l| q[l] * ia[l] - about_b);
                d1 = std::array::from_fn(|l| d1[l] + d[l]);
                d2 = std::array::from_fn(|l| d2[l] + d[l] * d[l]);
                dm = std::array::from_fn(|l| dm[l] + d[l] * mb[l]);
                e1 = std::array::from_fn(|l| e1[l] + e[l]);
                e2 = std::array::from_fn(|l| e2[l] + e[l] * e[l]);
                em = std::array::from_fn(|l| em[l] + e[l] * ma[l]);
            }
            sums.sums = [d1, d2, dm, e1, e2, em];
        }
    }
}

/// The correlation of two raw envelopes; `None` where one does not vary. Samples where either is 0 count as they are:
/// at the envelope's mean.
pub fn raw(signals: &Envelopes, pair: [u32; 2]) -> Option<f64> {
    let [a, b] = pair;
    let (fa, fb) = (signals.facts[a as usize], signals.facts[b as usize]);
    let rounding = ROUNDING * ROUNDING;
    if !(fa.spread > rounding * fa.energy && fb.spread > rounding * fb.energy) {
        return None;
    }
    let dot = dot(signals.part(a as usize, 3), signals.part(b as usize, 3));
    Some((dot / (fa.spread * fb.spread).sqrt()).clamp(-1.0, 1.0))
}

/// `Σ a b` over whole vectors.
#[multiversion(targets("x86_64+avx+avx2+avx512f+avx512vl", "x86_64+avx+avx2"))]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut acc = [0.0; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for l in 0..LANES {
            acc[l] += a[l] * b[l];
        }
    }
    acc.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn lcg(n: usize, seed: u64) -> Vec<f64> {
        let mut s = seed;
        let mut next = || {
            s = (1_664_525 * s + 1_013_904_223) & 0xFFFF_FFFF;
            s as f64 / 4_294_967_296.0 - 0.5
        };
        (0..n).map(|_| next()).collect()
    }

    fn all_pairs(n: u32) -> Vec<[u32; 2]> {
        (0..n).flat_map(|a| (a + 1..n).map(move |b| [a, b])).collect()
    }

    fn filled(z: &[(Vec<f64>, Vec<f64>)]) -> Envelopes {
        let mut signals = Envelopes::new(z.len(), z[0].0.len());
        for (mut signal, (re, im)) in signals.signals_mut().zip(z) {
            signal.set(|a, b| {
                a.copy_from_slice(re);
                b.copy_from_slice(im);
            });
        }
        signals
    }

    fn both(signals: &Envelopes, pair: [u32; 2]) -> [Option<f64>; 2] {
        let mut sums = [PairSums::default()];
        orthogonal(signals, &[pair], &mut sums);
        sums[0].correlations(signals, pair)
    }

    /// The definition, with two passes.
    fn naive(a: &(Vec<f64>, Vec<f64>), b: &(Vec<f64>, Vec<f64>)) -> f64 {
        let mut list = Vec::new();
        for i in 0..a.0.len() {
            let m = b.0[i].hypot(b.1[i]);
            if m > 0.0 {
                list.push(((a.0[i] * b.1[i] - a.1[i] * b.0[i]).abs() / m, m));
            }
        }
        let n = list.len() as f64;
        let (x, y) = (list.iter().map(|v| v.0).sum::<f64>() / n, list.iter().map(|v| v.1).sum::<f64>() / n);
        let s = |f: &dyn Fn(f64, f64) -> f64| list.iter().map(|v| f(v.0 - x, v.1 - y)).sum::<f64>();
        s(&|a, b| a * b) / (s(&|a, _| a * a) * s(&|_, b| b * b)).sqrt()
    }

    #[test]
    fn correlations_are_mne_connectivitys() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/envelope.json");
        let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let case = &golden["correlation"];
        let (epochs, channels, n) = (3, 5, 331);
        let u = lcg(epochs * 2 * channels * n, 21);
        let mut raws = [0.0; 25];
        for e in 0..epochs {
            let part = |k: usize, c: usize, i: usize| u[((e * 2 + k) * channels + c) * n + i];
            let z: Vec<_> = (0..channels)
                .map(|c| {
                    let before = (c + channels - 1) % channels;
                    let re = (0..n).map(|i| part(0, c, i) + 0.8 * part(1, before, i)).collect();
                    (re, (0..n).map(|i| part(1, c, i)).collect::<Vec<f64>>())
                })
                .collect();
            let signals = filled(&z);
            let mut pairs = all_pairs(5);
            tile_order(&mut pairs);
            let mut sums = vec![PairSums::default(); pairs.len()];
            orthogonal(&signals, &pairs, &mut sums);
            for (&[a, b], sums) in pairs.iter().zip(&sums) {
                let [ab, ba] = sums.correlations(&signals, [a, b]).map(Option::unwrap);
                assert!((ab - naive(&z[a as usize], &z[b as usize])).abs() < 1e-13);
                let want = case["per_epoch"][e][a as usize][b as usize].as_f64().unwrap();
                let got = (ab.abs() + ba.abs()) / 2.0;
                assert!((got - want).abs() < 1e-12, "{a} {b}: {got} {want}");
                // alone in the list: the same bits
                assert_eq!(both(&signals, [a, b]), [Some(ab), Some(ba)]);
                raws[(a * 5 + b) as usize] += raw(&signals, [a, b]).unwrap() / 3.0;
            }
        }
        for [a, b] in all_pairs(5) {
            let want = case["raw"][a as usize][b as usize].as_f64().unwrap();
            assert!((raws[(a * 5 + b) as usize] - want).abs() < 1e-12);
        }
    }

    #[test]
    fn steady_envelopes_keep_their_digits() {
        // amplitudes that vary by 1e-6 of themselves
        let u = lcg(4000, 3);
        let tone = |k: usize, lag: f64| -> (Vec<f64>, Vec<f64>) {
            (0..1000)
                .map(|i| (1.0 + 1e-6 * u[4 * i + k], 0.3 * i as f64 + lag))
                .map(|(m, p)| (m * p.cos(), m * p.sin()))
                .unzip()
        };
        let z = [tone(0, 0.0), tone(1, 1.1)];
        let [ab, ba] = both(&filled(&z), [0, 1]);
        assert!((ab.unwrap() - naive(&z[0], &z[1])).abs() < 1e-8);
        assert!((ba.unwrap() - naive(&z[1], &z[0])).abs() < 1e-8);
    }

    #[test]
    fn samples_without_amplitude_are_skipped() {
        let u = lcg(4000, 4);
        let mut z = [(u[..997].to_vec(), u[1000..1997].to_vec()), (u[2000..2997].to_vec(), u[3000..3997].to_vec())];
        for i in [0, 1, 2, 3, 500, 996] {
            (z[0].0[i], z[0].1[i]) = (0.0, 0.0);
        }
        (z[1].0[700], z[1].1[700]) = (0.0, 0.0);
        let [ab, ba] = both(&filled(&z), [0, 1]);
        assert!((ab.unwrap() - naive(&z[0], &z[1])).abs() < 1e-13);
        assert!((ba.unwrap() - naive(&z[1], &z[0])).abs() < 1e-13);
    }

    #[test]
    fn copies_leave_nothing_and_flat_signals_say_nothing() {
        let u = lcg(2000, 5);
        let a = (u[..1000].to_vec(), u[1000..].to_vec());
        let scaled = |f: f64| (a.0.iter().map(|v| v * f).collect::<Vec<_>>(), a.1.iter().map(|v| v * f).collect());
        let z = [a.clone(), scaled(-1.0), scaled(1.7), (vec![0.0; 1000], vec![0.0; 1000])];
        let signals = filled(&z);
        for b in [1, 2] {
            assert_eq!(both(&signals, [0, b]), [Some(0.0); 2]);
            assert!((raw(&signals, [0, b]).unwrap() - 1.0).abs() < 1e-14);
        }
        assert_eq!(both(&signals, [0, 3]), [None; 2]);
        assert_eq!(raw(&signals, [0, 3]), None);
        assert!(!signals.is_above(3, 0.0) && signals.is_above(0, 0.1));
    }
}
