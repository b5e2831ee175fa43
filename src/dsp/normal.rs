//! Least squares on columns that all channels share, in tiles of eight channels and constant memory; and taking the fit away again.
//!
//! The columns of the design are cosines and sines of a few lines and their harmonics ([`Carriers`]), times straight lines or
//! parabolas in time where coefficients may change. They are computed once per tile of samples, from the sample index alone, and
//! used for every channel. [`Normal`] adds up CᵀC and Cᵀx sample after sample, lane by lane: its bits do not depend on how the samples
//! were cut into blocks, nor on the number of threads that share the groups of channels.

use super::dirichlet::{POWERS, moments};
use super::fft::Complex;
use super::fused::fused;
use super::harmonics::{Oscillator, turn};
use super::tile::{LANES, Lanes};
use multiversion::multiversion;
use multiversion::target::target_cfg_f;
use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::f64::consts::{PI, TAU};

/// Samples that are worked on at once: 40 columns of them stay in the first-level cache.
pub const TILE: usize = 64;
/// One column of a tile.
pub type Column = [f64; TILE];
/// Pivots below this share of their column's length mean that columns cannot be told apart.
const SINGULAR: f64 = 1e-9;

/// A line whose frequency may drift: phase 2π (f n + c (n − n₀)² / 2), and which of its harmonics are meant. At f = 0.5 exactly its
/// sine is zero in every sample: such a line is told by its harmonic 1, and has only the cosine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LineOf {
    /// f, cycles per sample.
    pub cycles: f64,
    /// c, cycles per sample².
    pub chirp: f64,
    /// n₀.
    pub origin: f64,
    /// Harmonic numbers, ascending.
    pub harmonics: Vec<usize>,
}

impl LineOf {
    /// The line at half the rate.
    pub fn nyquist() -> Self {
        Self { cycles: 0.5, chirp: 0.0, origin: 0.0, harmonics: vec![1] }
    }

    /// How far its phase at sample `n` is ahead of what it is in `other`, radians.
    pub fn ahead_of(&self, other: &Self, n: f64) -> f64 {
        let bent = |l: &Self| 0.5 * l.chirp * (n - l.origin) * (n - l.origin);
        TAU * ((self.cycles - other.cycles) * n + bent(self) - bent(other))
    }

    /// Whether it is that one.
    pub fn is_nyquist(&self) -> bool {
        self.cycles == 0.5
    }

    /// Columns that it has.
    pub fn width(&self) -> usize {
        if self.is_nyquist() { 1 } else { 2 * self.harmonics.len() }
    }
}

/// Cosine and sine columns of some lines.
#[derive(Debug, Clone)]
pub struct Carriers {
    lines: Vec<(Oscillator, LineOf)>,
    width: usize,
    one: [Column; 2],
    many: [Column; 2],
}

impl Carriers {
    /// For these lines.
    pub fn new(lines: &[LineOf]) -> Self {
        let width = lines.iter().map(LineOf::width).sum();
        let lines = lines.iter().map(|l| (Oscillator::new(l.cycles), l.clone())).collect();
        Self { lines, width, one: [[0.0; TILE]; 2], many: [[0.0; TILE]; 2] }
    }

    /// Columns: a cosine and a sine per harmonic, line after line; the line at half the rate has only a cosine.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Fills the columns for `n` ≤ [`TILE`] samples from index `first` on. Allocates nothing.
    pub fn fill(&mut self, first: i64, n: usize, columns: &mut [Column]) {
        let n = n.min(TILE);
        let mut out = columns.iter_mut();
        for (oscillator, line) in &self.lines {
            if line.is_nyquist() {
                if let Some(cos) = out.next() {
                    let even = |j: usize| (first + j as i64) & 1 == 0;
                    cos[..n].iter_mut().enumerate().for_each(|(j, v)| *v = if even(j) { 1.0 } else { -1.0 });
                }
                continue;
            }
            let [re, im] = &mut self.one;
            oscillator.fill(first, &mut re[..n], &mut im[..n]);
            if line.chirp != 0.0 {
                for (j, (re, im)) in re[..n].iter_mut().zip(&mut im[..n]).enumerate() {
                    let t = (first + j as i64) as f64 - line.origin;
                    let (sin, cos) = (PI * line.chirp * t * t).sin_cos();
                    let z = Complex::new(*re, *im) * Complex::new(cos, sin);
                    (*re, *im) = (z.re, z.im);
                }
            }
            self.many[0][..n].fill(1.0);
            self.many[1][..n].fill(0.0);
            let mut at = 0;
            for &k in &line.harmonics {
                while at < k {
                    let ([a, b], [c, d]) = (&mut self.many, &self.one);
                    rotate(&mut a[..n], &mut b[..n], &c[..n], &d[..n]);
                    at += 1;
                }
                if let (Some(cos), Some(sin)) = (out.next(), out.next()) {
                    cos[..n].copy_from_slice(&self.many[0][..n]);
                    sin[..n].copy_from_slice(&self.many[1][..n]);
                }
            }
        }
    }
}

#[multiversion(targets("x86_64+avx+avx2+fma+avx512f+avx512vl", "x86_64+avx+avx2+fma"))]
fn rotate(a: &mut [f64], b: &mut [f64], c: &[f64], d: &[f64]) {
    for ((a, b), (c, d)) in a.iter_mut().zip(b).zip(c.iter().zip(d)) {
        (*a, *b) = (*a * c - *b * d, *a * d + *b * c);
    }
}

/// Σ column · x for eight channels at a time, sample after sample: `sums[w] += columns[w][i] · x[i]`.
#[multiversion(targets("x86_64+avx+avx2+fma+avx512f+avx512vl", "x86_64+avx+avx2+fma"))]
pub fn accumulate(columns: &[Column], x: &[Lanes], sums: &mut [Lanes]) {
    const FMA: bool = target_cfg_f!(target_feature = "fma");
    let x = &x[..x.len().min(TILE)];
    let (four, rest) = columns.as_chunks::<4>();
    let (sums_four, sums_rest) = sums.as_chunks_mut::<4>();
    for (c, s) in four.iter().zip(sums_four) {
        let mut a = *s;
        for (i, x) in x.iter().enumerate() {
            for j in 0..4 {
                let v = c[j][i];
                for l in 0..LANES {
                    a[j][l] = fused::<FMA>(v, x[l], a[j][l]);
                }
            }
        }
        *s = a;
    }
    for (c, s) in rest.iter().zip(sums_rest) {
        let mut a = *s;
        for (v, x) in c.iter().zip(x) {
            for l in 0..LANES {
                a[l] = fused::<FMA>(*v, x[l], a[l]);
            }
        }
        *s = a;
    }
}

/// `out[i] = Σ columns[w][from + i] · coefficients[w]` for eight channels.
#[multiversion(targets("x86_64+avx+avx2+fma+avx512f+avx512vl", "x86_64+avx+avx2+fma"))]
pub fn evaluate(columns: &[Column], from: usize, coefficients: &[Lanes], out: &mut [Lanes]) {
    const FMA: bool = target_cfg_f!(target_feature = "fma");
    let mut at = from;
    for four in out[..].chunks_mut(4) {
        if let Ok(four) = <&mut [Lanes; 4]>::try_from(&mut *four) {
            let mut a = [[0.0; LANES]; 4];
            for (c, k) in columns.iter().zip(coefficients) {
                for j in 0..4 {
                    let v = c[at + j];
                    for l in 0..LANES {
                        a[j][l] = fused::<FMA>(v, k[l], a[j][l]);
                    }
                }
            }
            *four = a;
        } else {
            for (j, out) in four.iter_mut().enumerate() {
                let mut a = [0.0; LANES];
                for (c, k) in columns.iter().zip(coefficients) {
                    for l in 0..LANES {
                        a[l] = fused::<FMA>(c[at + j], k[l], a[l]);
                    }
                }
                *out = a;
            }
        }
        at += 4;
    }
}

/// CᵀC, Cᵀx and xᵀx of a stretch of samples.
#[derive(Debug, Clone)]
pub struct Normal {
    width: usize,
    n: u64,
    /// CᵀC: eight columns of it at a time, as if columns were channels.
    gram: Vec<Vec<Lanes>>,
    /// Cᵀx per group of channels.
    right: Vec<Vec<Lanes>>,
    /// xᵀx per group.
    squares: Vec<Lanes>,
}

impl Normal {
    /// For `width` columns and `groups` of eight channels.
    pub fn new(width: usize, groups: usize) -> Self {
        Self {
            width,
            n: 0,
            gram: vec![vec![[0.0; LANES]; width]; width.div_ceil(LANES)],
            right: vec![vec![[0.0; LANES]; width]; groups],
            squares: vec![[0.0; LANES]; groups],
        }
    }

    /// Samples seen.
    pub fn len(&self) -> u64 {
        self.n
    }

    /// Whether none was seen.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// What samples must be added to: their number, the parts of CᵀC ([`add_columns`]), and Cᵀx and xᵀx of the groups ([`accumulate`], [`add_squares`]).
    pub fn parts(&mut self) -> (&mut u64, &mut [Vec<Lanes>], impl Iterator<Item = (&mut Vec<Lanes>, &mut Lanes)>) {
        (&mut self.n, &mut self.gram, self.right.iter_mut().zip(&mut self.squares))
    }

    /// Adds another stretch with the same columns and channels.
    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        let add = |a: &mut [Lanes], b: &[Lanes]| {
            a.iter_mut().zip(b).for_each(|(a, b)| a.iter_mut().zip(b).for_each(|(a, b)| *a += b));
        };
        self.gram.iter_mut().zip(&other.gram).for_each(|(a, b)| add(a, b));
        self.right.iter_mut().zip(&other.right).for_each(|(a, b)| add(a, b));
        add(&mut self.squares, &other.squares);
    }

    /// The sums for columns that were turned: of each cosine and sine beside each other (the cosine's place, the angle) the phase
    /// goes ahead by that angle.
    pub fn turn(&mut self, pairs: &[(usize, f64)]) {
        let mut gram = self.gram();
        for &(i, angle) in pairs {
            let (sin, cos) = angle.sin_cos();
            let turned = |a: f64, b: f64| (cos * a - sin * b, sin * a + cos * b);
            for right in &mut self.right {
                let (cosine, sine) = right.split_at_mut(i + 1);
                for (a, b) in cosine[i].iter_mut().zip(&mut sine[0]) {
                    (*a, *b) = turned(*a, *b);
                }
            }
            for k in 0..self.width {
                (gram[(i, k)], gram[(i + 1, k)]) = turned(gram[(i, k)], gram[(i + 1, k)]);
            }
            for k in 0..self.width {
                (gram[(k, i)], gram[(k, i + 1)]) = turned(gram[(k, i)], gram[(k, i + 1)]);
            }
        }
        self.set_gram(&gram);
    }

    /// The sums for the first `width` columns alone.
    pub fn leading(&self, width: usize) -> Self {
        let mut part = Self::new(width, self.right.len());
        part.set_gram(&self.gram());
        for (own, all) in part.right.iter_mut().zip(&self.right) {
            own.copy_from_slice(&all[..width]);
        }
        Self { n: self.n, squares: self.squares.clone(), ..part }
    }

    /// Sets CᵀC to what is known of it.
    pub fn set_gram(&mut self, gram: &DMatrix<f64>) {
        for high in 0..self.width {
            for low in 0..=high {
                self.gram[high / LANES][low][high % LANES] = gram[(low, high)];
            }
        }
    }

    /// CᵀC.
    pub fn gram(&self) -> DMatrix<f64> {
        let (w, g) = (self.width, &self.gram);
        DMatrix::from_fn(w, w, |i, j| {
            let (low, high) = (i.min(j), i.max(j));
            g[high / LANES][low][high % LANES]
        })
    }

    /// Cᵀx of a channel.
    pub fn right(&self, channel: usize) -> DVector<f64> {
        DVector::from_fn(self.width, |i, _| self.right[channel / LANES][i][channel % LANES])
    }

    /// xᵀx of a channel.
    pub fn squares(&self, channel: usize) -> f64 {
        self.squares[channel / LANES][channel % LANES]
    }
}

/// CᵀC of `n` samples from `first` on, for columns 1, cos, sin, … of steady lines, and the products with u of those in `sloped`; u counts from
/// the middle of the samples in units of `scale`. In closed form: products of cosines are cosines of sums.
pub fn gram_of(lines: &[LineOf], sloped: &[usize], first: i64, n: u64, scale: f64) -> DMatrix<f64> {
    /// A line's harmonic k (the level is harmonic 0 of any line), e^{ikθ} at the first sample, and what of it the column is.
    struct Part {
        line: usize,
        k: usize,
        phasor: Complex,
        sine: bool,
    }
    let mut parts = vec![Part { line: 0, k: 0, phasor: Complex::ONE, sine: false }];
    for (l, line) in lines.iter().enumerate() {
        let one = turn(line.cycles, first);
        for &k in &line.harmonics {
            let part = |sine| Part { line: l, k, phasor: one.powu(k as u32), sine };
            parts.push(part(false));
            if !line.is_nyquist() {
                parts.push(part(true));
            }
        }
    }
    let cycles = |l: usize, k: i64| lines.get(l).map_or(0.0, |line| k as f64 * line.cycles);
    let mut known: BTreeMap<(usize, i64, usize, i64), [Complex; POWERS]> = BTreeMap::new();
    // Σ uᵈ e^{i(aθ_a + bθ_b)} without the phasors of the first sample
    let mut sums = |a: &Part, b: &Part, sign: i64| {
        let (ka, kb) = (a.k as i64, sign * b.k as i64);
        let key = match () {
            () if a.line == b.line || kb == 0 => (a.line, ka + kb, 0, 0),
            () if ka == 0 => (b.line, kb, 0, 0),
            () => (a.line, ka, b.line, kb),
        };
        *known.entry(key).or_insert_with(|| moments(cycles(key.0, key.1) + cycles(key.2, key.3), n, scale))
    };
    let width = parts.len();
    let column = |i: usize| if i < width { (i, 0) } else { (sloped[i - width], 1) };
    let all = width + sloped.len();
    let mut gram = DMatrix::zeros(all, all);
    for i in 0..all {
        for j in 0..=i {
            let ((i0, di), (j0, dj)) = (column(i), column(j));
            let (a, b) = (&parts[i0], &parts[j0]);
            let plus = a.phasor * b.phasor * sums(a, b, 1)[di + dj];
            let minus = a.phasor * b.phasor.conj() * sums(a, b, -1)[di + dj];
            let value = match (a.sine, b.sine) {
                (false, false) => minus.re + plus.re,
                (true, true) => minus.re - plus.re,
                (false, true) => plus.im - minus.im,
                (true, false) => plus.im + minus.im,
            };
            (gram[(i, j)], gram[(j, i)]) = (0.5 * value, 0.5 * value);
        }
    }
    gram
}

/// Adds a tile's columns to a part of CᵀC: the columns `8·part…` against all; `packed` is working space.
pub fn add_columns(columns: &[Column], part: usize, n: usize, packed: &mut [Lanes], sums: &mut [Lanes]) {
    let own = &columns[part * LANES..columns.len().min((part + 1) * LANES)];
    packed[..n].fill([0.0; LANES]);
    for (l, column) in own.iter().enumerate() {
        packed[..n].iter_mut().zip(column).for_each(|(p, c)| p[l] = *c);
    }
    // what lies above the diagonal is enough
    let upto = (part + 1) * LANES;
    let upto = upto.min(columns.len());
    accumulate(&columns[..upto], &packed[..n], &mut sums[..upto]);
}

/// Adds samples of eight channels to their xᵀx.
#[multiversion(targets("x86_64+avx+avx2+fma+avx512f+avx512vl", "x86_64+avx+avx2+fma"))]
pub fn add_squares(x: &[Lanes], squares: &mut Lanes) {
    const FMA: bool = target_cfg_f!(target_feature = "fma");
    let mut sum = *squares;
    for x in x {
        for l in 0..LANES {
            sum[l] = fused::<FMA>(x[l], x[l], sum[l]);
        }
    }
    *squares = sum;
}

/// A symmetric positive definite matrix, factored once for many right sides.
pub struct Solver {
    scale: DVector<f64>,
    factor: nalgebra::Cholesky<f64, nalgebra::Dyn>,
}

impl Solver {
    /// Factors with columns scaled to length 1. `None` where columns cannot be told apart.
    pub fn new(mut matrix: DMatrix<f64>) -> Option<Self> {
        let scale = matrix.diagonal().map(f64::sqrt);
        if scale.is_empty() || !scale.iter().all(|s| *s > 0.0 && s.is_finite()) {
            return None;
        }
        let n = scale.len();
        for i in 0..n {
            for j in 0..n {
                matrix[(i, j)] /= scale[i] * scale[j];
            }
        }
        let factor = matrix.cholesky()?;
        let sound = (0..n).all(|i| factor.l_dirty()[(i, i)].abs() >= SINGULAR);
        sound.then_some(Self { scale, factor })
    }

    /// The solution for one right side.
    pub fn solve(&self, right: &DVector<f64>) -> DVector<f64> {
        self.factor.solve(&right.component_div(&self.scale)).component_div(&self.scale)
    }
}
