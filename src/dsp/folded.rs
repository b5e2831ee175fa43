//! Steady lines on tiles that are folded at their middle: half the work of [`Carriers`](super::normal::Carriers).
//!
//! Seen from the middle c of a tile a line is cos kθ_c cos kωδ − sin kθ_c sin kωδ: cos kωδ (even in δ) and sin kωδ (odd) are the same in
//! every tile, only the phase at the middle moves. So Σ x cos kθ and Σ x sin kθ follow from sums of half the length, over x(c+δ) + x(c−δ)
//! and x(c+δ) − x(c−δ), and Σ pₖ cos kθ + qₖ sin kθ is an even and an odd half. Nothing is lost: only the order of additions differs.

use super::fft::Complex;
use super::harmonics::turn;
use super::normal::{Column, LineOf, TILE, accumulate, evaluate};
use super::tile::{LANES, Lanes};
use multiversion::multiversion;

/// Samples of a tile.
pub const FOLDED: usize = 2 * TILE;

/// Where the functions of a harmonic stand among the even and the odd ones.
#[derive(Debug, Clone, Copy)]
struct Place {
    even: usize,
    odd: usize,
    /// Those of δ sin kωδ (even) and δ cos kωδ (odd), where slopes are wanted.
    slope: Option<(usize, usize)>,
}

/// A column of the design.
#[derive(Debug, Clone, Copy)]
enum Part {
    Level {
        slope: Option<usize>,
    },
    Cos(usize),
    Sin(usize),
    /// ±1 in turn: odd.
    Nyquist {
        odd: usize,
        slope: Option<usize>,
    },
}

/// The columns of some steady lines, seen from the middle of a tile.
#[derive(Debug, Clone)]
pub struct Folded {
    lines: Vec<LineOf>,
    even: Vec<Column>,
    odd: Vec<Column>,
    parts: Vec<Part>,
    /// Columns that are multiplied by u, each to make one more.
    sloped: Vec<usize>,
    places: Vec<Place>,
    /// e^{ikθ} at the middle of the tile, by harmonic.
    phasors: Vec<Complex>,
    /// u at the middle, and per sample.
    u: [f64; 2],
    /// The line at half the rate: what it is in the tile's first sample.
    sign: f64,
    halves: [[Lanes; TILE]; 2],
    sums: [Vec<Lanes>; 2],
}

impl Folded {
    /// Columns 1, cos, sin, … of `lines`, and of those in `sloped` the product with u. `None` where a line drifts, or where a product is
    /// multiplied once more.
    pub fn new(lines: &[LineOf], sloped: &[usize]) -> Option<Self> {
        let width = 1 + lines.iter().map(LineOf::width).sum::<usize>();
        if lines.iter().any(|l| l.chirp != 0.0) || sloped.iter().any(|&column| column >= width) {
            return None;
        }
        let column = |of: &dyn Fn(f64) -> f64| -> Column { std::array::from_fn(|j| of(j as f64 + 0.5)) };
        let mut new = Self {
            lines: lines.to_vec(),
            even: vec![[1.0; TILE]],
            odd: Vec::new(),
            parts: Vec::with_capacity(width),
            sloped: sloped.to_vec(),
            places: Vec::new(),
            phasors: Vec::new(),
            u: [0.0; 2],
            sign: 1.0,
            halves: [[[0.0; LANES]; TILE]; 2],
            sums: [Vec::new(), Vec::new()],
        };
        let add = |to: &mut Vec<Column>, of: &dyn Fn(f64) -> f64| {
            to.push(column(of));
            to.len() - 1
        };
        let slope = sloped.contains(&0).then(|| add(&mut new.odd, &|d| d));
        new.parts.push(Part::Level { slope });
        for line in lines {
            if line.is_nyquist() {
                let sign = |d: f64| if d as usize & 1 == 0 { 1.0 } else { -1.0 };
                let slope = sloped.contains(&new.parts.len()).then(|| add(&mut new.even, &|d| d * sign(d)));
                let odd = add(&mut new.odd, &sign);
                new.parts.push(Part::Nyquist { odd, slope });
                continue;
            }
            // half a sample off whole ones
            let phase = |k: usize, d: f64| {
                let half = turn(0.5 * line.cycles, (2.0 * d) as i64);
                half.powu(k as u32)
            };
            for &k in &line.harmonics {
                let (even, odd) = (add(&mut new.even, &|d| phase(k, d).re), add(&mut new.odd, &|d| phase(k, d).im));
                let at = new.parts.len();
                let slope = (sloped.contains(&at) || sloped.contains(&(at + 1)))
                    .then(|| (add(&mut new.even, &|d| d * phase(k, d).im), add(&mut new.odd, &|d| d * phase(k, d).re)));
                new.parts.extend([Part::Cos(new.places.len()), Part::Sin(new.places.len())]);
                new.places.push(Place { even, odd, slope });
            }
        }
        new.phasors = vec![Complex::ZERO; new.places.len()];
        new.sums = [vec![[0.0; LANES]; new.even.len()], vec![[0.0; LANES]; new.odd.len()]];
        Some(new)
    }

    /// Moves to the tile that begins with sample `first`; u counts from `origin` in units of `scale` samples.
    pub fn at(&mut self, first: i64, origin: f64, scale: f64) {
        let middle = first as f64 + (FOLDED as f64 - 1.0) / 2.0;
        self.u = [(middle - origin) / scale, 1.0 / scale];
        self.sign = if first & 1 == 0 { 1.0 } else { -1.0 };
        let mut phasors = self.phasors.iter_mut();
        for line in self.lines.iter().filter(|l| !l.is_nyquist()) {
            let (one, mut many, mut at) = (turn(0.5 * line.cycles, 2 * first + FOLDED as i64 - 1), Complex::ONE, 0);
            for (&k, phasor) in line.harmonics.iter().zip(&mut phasors) {
                while at < k {
                    many *= one;
                    at += 1;
                }
                *phasor = many;
            }
        }
    }

    /// Adds Σ column · x of eight channels over the tile; x are its [`FOLDED`] samples.
    pub fn add(&mut self, x: &[Lanes], right: &mut [Lanes]) {
        let Self { even, odd, parts, sloped, places, phasors, u, sign, halves, sums, .. } = self;
        let [sum, difference] = &mut *halves;
        fold(x, sum, difference);
        let [evens, odds] = sums;
        evens.fill([0.0; LANES]);
        odds.fill([0.0; LANES]);
        accumulate(even, sum, evens);
        accumulate(odd, difference, odds);
        let [u, step] = *u;
        // column by column: what of the even and the odd sums makes it, and its product with u
        let turned = |part: Part| -> (Lanes, Lanes) {
            let mix = |a: &Lanes, by_a: f64, b: &Lanes, by_b: f64| -> Lanes {
                std::array::from_fn(|l| by_a * a[l] + by_b * b[l])
            };
            let none = [0.0; LANES];
            match part {
                Part::Level { slope } => (evens[0], slope.map_or(none, |at| odds[at])),
                Part::Nyquist { odd, slope } => {
                    (odds[odd].map(|v| *sign * v), slope.map_or(none, |at| evens[at].map(|v| *sign * v)))
                }
                Part::Cos(h) => {
                    let (place, z) = (places[h], phasors[h]);
                    let slope = place.slope.map_or(none, |(e, o)| mix(&odds[o], z.re, &evens[e], -z.im));
                    (mix(&evens[place.even], z.re, &odds[place.odd], -z.im), slope)
                }
                Part::Sin(h) => {
                    let (place, z) = (places[h], phasors[h]);
                    let slope = place.slope.map_or(none, |(e, o)| mix(&odds[o], z.im, &evens[e], z.re));
                    (mix(&evens[place.even], z.im, &odds[place.odd], z.re), slope)
                }
            }
        };
        let (own, made) = right.split_at_mut(parts.len());
        for (right, part) in own.iter_mut().zip(&*parts) {
            let (value, _) = turned(*part);
            right.iter_mut().zip(value).for_each(|(r, v)| *r += v);
        }
        for (right, &column) in made.iter_mut().zip(&*sloped) {
            let (value, slope) = turned(parts[column]);
            for (r, (value, slope)) in right.iter_mut().zip(value.into_iter().zip(slope)) {
                *r += u * value + step * slope;
            }
        }
    }

    /// Σ pₖ cos kθ + qₖ sin kθ of eight channels, at samples `from..to` of the tile: into the same places of `out`. `coefficients` are
    /// those of the lines, without the level. A value depends on its sample alone, not on what else is asked for.
    pub fn evaluate(&mut self, coefficients: &[Lanes], from: usize, to: usize, out: &mut [Lanes; FOLDED]) {
        let Self { even, odd, parts, places, phasors, sign, halves, sums, .. } = self;
        let [evens, odds] = sums;
        for (part, k) in parts[1..].iter().zip(coefficients) {
            match *part {
                Part::Level { .. } => {}
                Part::Nyquist { odd, .. } => odds[odd] = k.map(|k| *sign * k),
                // the cosine comes before the sine, which completes both
                Part::Cos(h) => {
                    let (place, z) = (places[h], phasors[h]);
                    evens[place.even] = k.map(|p| z.re * p);
                    odds[place.odd] = k.map(|p| -z.im * p);
                }
                Part::Sin(h) => {
                    let (place, z) = (places[h], phasors[h]);
                    evens[place.even].iter_mut().zip(k).for_each(|(e, q)| *e += z.im * q);
                    odds[place.odd].iter_mut().zip(k).for_each(|(o, q)| *o += z.re * q);
                }
            }
        }
        // distances from the middle that are asked for
        let far = |i: usize| if i < TILE { TILE - 1 - i } else { i - TILE };
        let near = if from < TILE && to > TILE { 0 } else { far(from).min(far(to - 1)) };
        let end = far(from).max(far(to - 1)) + 1;
        let [sum, difference] = &mut *halves;
        evaluate(&even[1..], near, &evens[1..], &mut sum[near..end]);
        evaluate(odd, near, odds, &mut difference[near..end]);
        let (before, after) = out.split_at_mut(TILE);
        for (j, (e, o)) in (near..end).zip(sum[near..end].iter().zip(&difference[near..end])) {
            for l in 0..LANES {
                after[j][l] = e[l] + o[l];
                before[TILE - 1 - j][l] = e[l] - o[l];
            }
        }
    }
}

#[multiversion(targets("x86_64+avx+avx2+fma+avx512f+avx512vl", "x86_64+avx+avx2+fma"))]
fn fold(x: &[Lanes], sum: &mut [Lanes; TILE], difference: &mut [Lanes; TILE]) {
    let (before, after) = x.split_at(TILE);
    for (((a, b), s), d) in after.iter().zip(before.iter().rev()).zip(sum).zip(difference) {
        for l in 0..LANES {
            (s[l], d[l]) = (a[l] + b[l], a[l] - b[l]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::normal::{Carriers, Normal, add_columns, gram_of};
    use super::*;

    fn lines() -> Vec<LineOf> {
        let line =
            |cycles, harmonics: &[usize]| LineOf { cycles, chirp: 0.0, origin: 7.0, harmonics: harmonics.to_vec() };
        vec![line(0.020_000_24, &[1, 2, 3, 5, 19]), line(0.073_1, &[1, 4]), LineOf::nyquist()]
    }

    /// 1, cos, sin, … of samples `first…`, and their products with u.
    fn columns(lines: &[LineOf], sloped: &[usize], first: i64, n: usize, u: impl Fn(i64) -> f64) -> Vec<Column> {
        let mut carriers = Carriers::new(lines);
        let mut columns = vec![[1.0; TILE]; 1 + carriers.width()];
        carriers.fill(first, n, &mut columns[1..]);
        for &column in sloped {
            let own = columns[column];
            columns.push(std::array::from_fn(|j| own[j] * u(first + j as i64)));
        }
        columns
    }

    fn noise(n: usize) -> Vec<Lanes> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
        };
        (0..n).map(|_| std::array::from_fn(|_| next())).collect()
    }

    #[test]
    fn sums_are_those_of_the_columns() {
        let (lines, x) = (lines(), noise(FOLDED));
        let sloped = [0, 1, 2, 5, 15];
        for first in [0, 128, 6_000_127, -3] {
            let (origin, scale) = (first as f64 + 1000.0, 1234.0);
            let u = |n: i64| (n as f64 - origin) / scale;
            let mut folded = Folded::new(&lines, &sloped).unwrap();
            folded.at(first, origin, scale);
            let width = columns(&lines, &sloped, 0, 1, u).len();
            let (mut got, mut want) = (vec![[0.0; LANES]; width], vec![[0.0; LANES]; width]);
            folded.add(&x, &mut got);
            for (half, x) in [0, TILE as i64].into_iter().zip(x.chunks(TILE)) {
                accumulate(&columns(&lines, &sloped, first + half, TILE, u), x, &mut want);
            }
            for (w, (got, want)) in got.iter().zip(&want).enumerate() {
                for l in 0..LANES {
                    // phases at sample 6 million are known to 1e-10 of a turn
                    assert!((got[l] - want[l]).abs() < 3e-12 * FOLDED as f64, "{first} {w}: {} {}", got[l], want[l]);
                }
            }
        }
    }

    #[test]
    fn a_value_is_that_of_the_columns_and_depends_on_its_sample_alone() {
        let lines = lines();
        let mut folded = Folded::new(&lines, &[]).unwrap();
        let k = noise(15);
        for first in [0, 128, 5_999_872] {
            folded.at(first, 0.0, 1.0);
            let (mut whole, mut want) = ([[0.0; LANES]; FOLDED], [[0.0; LANES]; FOLDED]);
            folded.evaluate(&k, 0, FOLDED, &mut whole);
            for (half, want) in want.chunks_mut(TILE).enumerate() {
                let columns = columns(&lines, &[], first + (half * TILE) as i64, TILE, |_| 0.0);
                evaluate(&columns[1..], 0, &k, want);
            }
            for (got, want) in whole.iter().flatten().zip(want.iter().flatten()) {
                assert!((got - want).abs() < 1e-10, "{got} {want}");
            }
            for from in 0..FOLDED {
                for to in [from + 1, from + 5, FOLDED] {
                    let to = to.min(FOLDED);
                    let mut part = [[0.0; LANES]; FOLDED];
                    folded.evaluate(&k, from, to, &mut part);
                    assert_eq!(part[from..to], whole[from..to], "{from}..{to}");
                }
            }
        }
    }

    #[test]
    fn what_drifts_or_is_multiplied_twice_does_not_fold() {
        let drifts = LineOf { chirp: 1e-12, ..lines()[0].clone() };
        assert!(Folded::new(&[drifts], &[]).is_none());
        assert!(Folded::new(&lines()[..1], &[0, 11]).is_none());
    }

    #[test]
    fn the_gram_matrix_is_that_of_the_columns() {
        let (lines, sloped) = (lines(), vec![0, 1, 2, 5, 15]);
        for (first, n) in [(0, 64), (12_345, 6400), (-64, 640)] {
            let scale = n as f64 / 2.0;
            let u = |at: i64| (at as f64 - first as f64 - (n as f64 - 1.0) / 2.0) / scale;
            let got = gram_of(&lines, &sloped, first, n as u64, scale);
            let mut normal = Normal::new(got.nrows(), 0);
            let mut packed = vec![[0.0; LANES]; TILE];
            for at in (first..first + n).step_by(TILE) {
                let columns = columns(&lines, &sloped, at, TILE, u);
                normal.parts().1.iter_mut().enumerate().for_each(|(part, sums)| {
                    add_columns(&columns, part, TILE, &mut packed, sums);
                });
            }
            let off = (got - normal.gram()).abs().max();
            assert!(off < 1e-12 * n as f64, "{first} {n}: {off}");
        }
    }
}
