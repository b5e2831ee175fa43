//! Phase–amplitude coupling: how the amplitude of a fast rhythm goes with the phase of a slow one; n:m phase locking.
//!
//! Everything is a function of sums ([`Tally`]) that can be merged over trials: amplitude per phase bin, and
//! `Σ a e^{iφ}`.

use std::f64::consts::{PI, TAU};

/// Phase bins on [−π, π).
pub const BINS: usize = 18;

/// The bin of a phase in radians: bin k holds `−π + 2πk/18 ≤ φ < −π + 2π(k + 1)/18`; π counts as −π.
pub fn bin(phase: f64) -> usize {
    let edge = |k: usize| k as f64 * (TAU / BINS as f64) - PI;
    let wrapped = if phase >= PI { phase - TAU } else { phase };
    let guess = ((wrapped + PI) * (BINS as f64 / TAU)).clamp(0.0, (BINS - 1) as f64) as usize;
    if guess > 0 && wrapped < edge(guess) {
        guess - 1
    } else if guess + 1 < BINS && wrapped >= edge(guess + 1) {
        guess + 1
    } else {
        guess
    }
}

/// What depends on how amplitudes and phases are paired: these sums a shifted amplitude changes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Paired {
    /// `Σ a` per phase bin.
    pub bins: [f64; BINS],
    /// `Σ a cos φ`, `Σ a sin φ`.
    pub vector: [f64; 2],
}

impl Paired {
    /// Adds the sums of other samples.
    pub fn merge(&mut self, other: &Self) {
        self.bins.iter_mut().zip(&other.bins).for_each(|(a, b)| *a += b);
        self.vector.iter_mut().zip(&other.vector).for_each(|(a, b)| *a += b);
    }
}

/// What amplitudes and phases are by themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tally {
    /// Samples.
    pub n: u64,
    /// Samples per phase bin.
    pub counts: [u64; BINS],
    /// `Σ cos φ`, `Σ sin φ`.
    phases: [f64; 2],
    /// Mean amplitude.
    mean: f64,
    /// `Σ (a − mean)²`.
    spread: f64,
}

impl Tally {
    /// Adds the sums of other samples (Chan et al. 1983, 10.1080/00031305.1983.10483115).
    pub fn merge(&mut self, other: &Self) {
        if other.n == 0 {
            return;
        }
        let (n, m) = (self.n as f64, other.n as f64);
        let step = other.mean - self.mean;
        self.spread += other.spread + step * step * n * m / (n + m);
        self.mean += step * m / (n + m);
        self.n += other.n;
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
        self.phases.iter_mut().zip(&other.phases).for_each(|(a, b)| *a += b);
    }

    /// Phase bins without a sample.
    pub fn empty_bins(&self) -> usize {
        self.counts.iter().filter(|c| **c == 0).count()
    }

    /// Modulation index: the Kullback–Leibler distance of the bins' mean amplitudes from a uniform distribution, over
    /// ln 18 (Tort et al. 2010, 10.1152/jn.00106.2010). `None` with an empty bin or without amplitude.
    pub fn modulation_index(&self, paired: &Paired) -> Option<f64> {
        let mut means = paired.bins;
        means.iter_mut().zip(&self.counts).for_each(|(m, &count)| *m /= count as f64);
        let total: f64 = means.iter().sum();
        if self.empty_bins() > 0 || total.is_nan() || total <= 0.0 {
            return None;
        }
        let entropy = |m: f64| if m > 0.0 { m / total * (m / total).ln() } else { 0.0 };
        Some(1.0 + means.iter().map(|&m| entropy(m)).sum::<f64>() / (BINS as f64).ln())
    }

    /// Mean vector length `|Σ a e^{iφ}| / n` (Canolty et al. 2006, 10.1126/science.1128115), in the amplitude's unit.
    pub fn mean_vector(&self, paired: &Paired) -> Option<f64> {
        (self.n > 0).then(|| paired.vector[0].hypot(paired.vector[1]) / self.n as f64)
    }

    /// The same of the z-scored amplitude (Özkurt 2012, 10.1109/TBME.2012.2194783): no unit, and unequal occupation of
    /// phases no longer counts. `None` for a steady amplitude.
    pub fn normalised_vector(&self, paired: &Paired) -> Option<f64> {
        let n = self.n as f64;
        let sd = (self.spread / (n - 1.0)).sqrt();
        let part = |k: usize| paired.vector[k] - self.mean * self.phases[k];
        (n > 1.0 && sd > 1e-14 * self.mean).then(|| part(0).hypot(part(1)) / (sd * n))
    }
}

/// One trial's phases, arranged for many shifted amplitudes.
#[derive(Debug, Clone)]
pub struct Phases {
    cos: Vec<f64>,
    sin: Vec<f64>,
    /// Runs of samples in one bin: (bin, first sample after the run).
    runs: Vec<(u8, u32)>,
}

impl Phases {
    /// Room for `n` samples.
    pub fn new(n: usize) -> Self {
        Self { cos: vec![0.0; n], sin: vec![0.0; n], runs: Vec::with_capacity(n) }
    }

    /// Bytes of its buffers.
    pub fn memory_bytes(&self) -> u64 {
        (8 * (self.cos.len() + self.sin.len()) + size_of::<(u8, u32)>() * self.runs.capacity()) as u64
    }

    /// Sets the phases from an analytic signal.
    pub fn set(&mut self, re: &[f64], im: &[f64]) {
        self.fill(re.iter().zip(im).map(|(&x, &y)| {
            let (cos, sin) = unit(x, y);
            (y.atan2(x), cos, sin)
        }));
    }

    /// Sets the phases, radians.
    pub fn set_angles(&mut self, phases: &[f64]) {
        self.fill(phases.iter().map(|p| (*p, p.cos(), p.sin())));
    }

    fn fill(&mut self, values: impl Iterator<Item = (f64, f64, f64)>) {
        self.runs.clear();
        for (i, ((phase, cos, sin), (c, s))) in values.zip(self.cos.iter_mut().zip(&mut self.sin)).enumerate() {
            (*c, *s) = (cos, sin);
            let (bin, end) = (bin(phase) as u8, i as u32 + 1);
            match self.runs.last_mut() {
                Some(last) if last.0 == bin => last.1 = end,
                _ => self.runs.push((bin, end)),
            }
        }
    }

    /// What phases and amplitudes are by themselves.
    pub fn tally(&self, amplitude: &[f64]) -> Tally {
        let n = amplitude.len().max(1) as f64;
        let mean = amplitude.iter().sum::<f64>() / n;
        let mut tally = Tally {
            n: amplitude.len() as u64,
            phases: [self.cos.iter().sum(), self.sin.iter().sum()],
            mean,
            spread: amplitude.iter().map(|a| (a - mean) * (a - mean)).sum(),
            ..Tally::default()
        };
        let mut from = 0;
        for &(bin, to) in &self.runs {
            tally.counts[usize::from(bin)] += u64::from(to - from);
            from = to;
        }
        tally
    }

    /// The sums that pair each phase with its amplitude.
    pub fn pair(&self, amplitude: &[f64]) -> Paired {
        let mut paired = Paired { vector: self.vector(amplitude), ..Paired::default() };
        let mut from = 0;
        for &(bin, to) in &self.runs {
            let run = amplitude.get(from as usize..to as usize).unwrap_or_default();
            paired.bins[usize::from(bin)] += run.iter().sum::<f64>();
            from = to;
        }
        paired
    }

    /// As [`Phases::pair`] with the amplitude `shift` samples later, going round. `twice` is the amplitude twice in a row,
    /// `running` its running sum with a leading 0: a run of samples costs one difference.
    pub fn pair_shifted(&self, twice: &[f64], running: &[f64], shift: usize) -> Paired {
        let n = self.cos.len();
        let mut paired = Paired::default();
        let (Some(twice), Some(running)) = (twice.get(shift..shift + n), running.get(shift..=shift + n)) else {
            return paired;
        };
        paired.vector = self.vector(twice);
        let mut before = running[0];
        for &(bin, to) in &self.runs {
            let now = running[to as usize];
            paired.bins[usize::from(bin)] += now - before;
            before = now;
        }
        paired
    }

    fn vector(&self, amplitude: &[f64]) -> [f64; 2] {
        [dot(&self.cos, amplitude), dot(&self.sin, amplitude)]
    }
}

#[multiversion::multiversion(targets("x86_64+avx+avx2+avx512f+avx512vl", "x86_64+avx+avx2"))]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a, a_tail) = a.as_chunks::<8>();
    let (b, b_tail) = b.as_chunks::<8>();
    let mut acc = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for l in 0..8 {
            acc[l] += a[l] * b[l];
        }
    }
    acc.iter().sum::<f64>() + a_tail.iter().zip(b_tail).map(|(a, b)| a * b).sum::<f64>()
}

/// A value's direction; 0 has that of 1.
fn unit(re: f64, im: f64) -> (f64, f64) {
    let m = (re * re + im * im).sqrt();
    if m > 0.0 { (re / m, im / m) } else { (1.0, 0.0) }
}

/// `e^{ikφ}` of a unit vector, by repeated squaring.
fn unit_power((mut c, mut s): (f64, f64), mut k: u32) -> (f64, f64) {
    let (mut re, mut im) = (1.0, 0.0);
    while k > 0 {
        if k & 1 == 1 {
            (re, im) = (re * c - im * s, re * s + im * c);
        }
        (c, s) = (c * c - s * s, 2.0 * c * s);
        k >>= 1;
    }
    (re, im)
}

/// Unit vectors `e^{ikφ}` of one trial.
#[derive(Debug, Clone)]
pub struct Turns {
    cos: Vec<f64>,
    sin: Vec<f64>,
}

impl Turns {
    /// Room for `n` samples.
    pub fn new(n: usize) -> Self {
        Self { cos: vec![0.0; n], sin: vec![0.0; n] }
    }

    /// Sets them to `k` times the phase of an analytic signal.
    pub fn set(&mut self, re: &[f64], im: &[f64], k: u32) {
        for ((x, y), (c, s)) in re.iter().zip(im).zip(self.cos.iter_mut().zip(&mut self.sin)) {
            (*c, *s) = unit_power(unit(*x, *y), k);
        }
    }

    /// Bytes of its buffers.
    pub fn memory_bytes(&self) -> u64 {
        16 * self.cos.len() as u64
    }

    /// `Σ e^{i(nφ₁ − mφ₂)}`, where these are `e^{inφ₁}` and the others `e^{imφ₂}`; its magnitude over the number of
    /// samples is n:m phase locking (Tass et al. 1998, 10.1103/PhysRevLett.81.3291).
    pub fn locking(&self, other: &Self) -> [f64; 2] {
        [
            dot(&self.cos, &other.cos) + dot(&self.sin, &other.sin),
            dot(&self.sin, &other.cos) - dot(&self.cos, &other.sin),
        ]
    }
}

/// For the harmonics `first`, `first + 1`, … of the slow rhythm adds `Σ z e^{−ikφ}` of the fast signal `z`: what a wave
/// that is not a sine contributes to the fast band by its shape alone. `turn` is working space of `2 n` values.
pub fn add_harmonics(phases: &Phases, first: u32, (re, im): (&[f64], &[f64]), turn: &mut [f64], sums: &mut [[f64; 2]]) {
    let n = phases.cos.len();
    let (turn_cos, turn_sin) = turn.split_at_mut(n.min(turn.len()));
    let units = phases.cos.iter().zip(&phases.sin);
    for ((c, s), unit) in turn_cos.iter_mut().zip(turn_sin.iter_mut()).zip(units) {
        (*c, *s) = unit_power((*unit.0, *unit.1), first);
    }
    for sum in sums {
        sum[0] += dot(re, turn_cos) + dot(im, turn_sin);
        sum[1] += dot(im, turn_cos) - dot(re, turn_sin);
        for ((c, s), (uc, us)) in turn_cos.iter_mut().zip(turn_sin.iter_mut()).zip(phases.cos.iter().zip(&phases.sin)) {
            (*c, *s) = (*c * uc - *s * us, *c * us + *s * uc);
        }
    }
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

    #[test]
    fn coupling_is_tensorpacs() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/pac.json");
        let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        for case in golden["cases"].as_array().unwrap() {
            let n = case["samples"].as_u64().unwrap() as usize;
            let (u, depth) = (lcg(2 * n, case["seed"].as_u64().unwrap()), case["depth"].as_f64().unwrap());
            let phase: Vec<f64> = (0..n)
                .map(|i| {
                    let p = 0.07 * i as f64 + u[i];
                    p - TAU * ((p + PI) / TAU).floor()
                })
                .collect();
            let amplitude: Vec<f64> = (0..n).map(|i| 2.0 + depth * (phase[i] - 0.4).cos() + u[n + i]).collect();
            let mut phases = Phases::new(n);
            phases.set_angles(&phase);
            let (tally, paired) = (phases.tally(&amplitude), phases.pair(&amplitude));
            for (key, got) in [
                ("mi", tally.modulation_index(&paired)),
                ("mvl", tally.mean_vector(&paired)),
                ("ndpac", tally.normalised_vector(&paired)),
            ] {
                let (got, want) = (got.unwrap(), case[key].as_f64().unwrap());
                assert!((got - want).abs() < 1e-12, "{key} depth {depth}: {got} {want}");
            }
            // the same from the analytic signal, and from running sums
            let (re, im): (Vec<f64>, Vec<f64>) = phase.iter().map(|p| (3.0 * p.cos(), 3.0 * p.sin())).unzip();
            phases.set(&re, &im);
            let twice = [&amplitude[..], &amplitude[..]].concat();
            let mut running = vec![0.0];
            twice.iter().for_each(|a| running.push(running[running.len() - 1] + a));
            for shift in [0, 1, 33, n] {
                let mut turned = amplitude.clone();
                turned.rotate_left(shift % n);
                let (a, b) = (phases.pair_shifted(&twice, &running, shift), phases.pair(&turned));
                assert!(a.bins.iter().zip(&b.bins).all(|(a, b)| (a - b).abs() < 1e-9));
                assert!((a.vector[0] - b.vector[0]).abs() < 1e-9 && (a.vector[1] - b.vector[1]).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn trials_merge() {
        let (u, n) = (lcg(900, 2), 300);
        let phase: Vec<f64> = (0..n).map(|i| (0.2 * i as f64).sin() * 3.0).collect();
        let amplitude = |k: usize| (0..n).map(|i| 5.0 + u[k * 300 + i]).collect::<Vec<_>>();
        let mut phases = Phases::new(n);
        phases.set_angles(&phase);
        let (mut tally, mut paired) = (Tally::default(), Paired::default());
        for k in 0..3 {
            tally.merge(&phases.tally(&amplitude(k)));
            paired.merge(&phases.pair(&amplitude(k)));
        }
        let mut whole = Phases::new(900);
        whole.set_angles(&phase.repeat(3));
        let all: Vec<f64> = (0..3).flat_map(amplitude).collect();
        let (want, sums) = (whole.tally(&all), whole.pair(&all));
        assert_eq!((tally.n, tally.counts), (want.n, want.counts));
        let close = |a: Option<f64>, b: Option<f64>| assert!((a.unwrap() - b.unwrap()).abs() < 1e-12);
        close(tally.modulation_index(&paired), want.modulation_index(&sums));
        close(tally.mean_vector(&paired), want.mean_vector(&sums));
        close(tally.normalised_vector(&paired), want.normalised_vector(&sums));
    }

    #[test]
    fn bins_are_half_open() {
        for k in 0..BINS {
            let edge = k as f64 * (TAU / BINS as f64) - PI;
            assert_eq!(bin(edge), k, "{edge}");
            assert_eq!(bin(edge + 0.3), k);
            assert!(k == 0 || bin(edge - 1e-12) == k - 1);
        }
        assert_eq!(bin(PI), 0);
    }

    #[test]
    fn an_empty_bin_is_no_value() {
        // tensorpac leaves the bin out and gives a number; half a cycle says nothing about the other half
        let mut phases = Phases::new(100);
        phases.set_angles(&(0..100).map(|i| f64::from(i) * 0.03).collect::<Vec<_>>());
        let amplitude = vec![1.0; 100];
        let (tally, paired) = (phases.tally(&amplitude), phases.pair(&amplitude));
        assert_eq!(tally.empty_bins(), 9);
        assert_eq!(tally.modulation_index(&paired), None);
        assert_eq!(tally.normalised_vector(&paired), None);
        assert!(tally.mean_vector(&paired).unwrap() > 0.6);
    }

    #[test]
    fn locked_phases_lock_at_their_ratio_only() {
        let angles = |k: f64| (0..1000).map(|i| (k * 0.11 * f64::from(i) + 0.3).rem_euclid(TAU)).collect::<Vec<_>>();
        let wave = |k: f64| angles(k).iter().map(|p| (2.0 * p.cos(), 2.0 * p.sin())).unzip::<_, _, Vec<_>, Vec<_>>();
        let (mut a, mut b) = (Turns::new(1000), Turns::new(1000));
        let (slow, fast) = (wave(2.0), wave(3.0));
        let mut value = |n, m| {
            a.set(&slow.0, &slow.1, n);
            b.set(&fast.0, &fast.1, m);
            let [x, y] = a.locking(&b);
            x.hypot(y) / 1000.0
        };
        assert!((value(3, 2) - 1.0).abs() < 1e-12);
        assert!(value(1, 1) < 0.02 && value(2, 3) < 0.02);
        let mut a = Phases::new(1000);
        a.set_angles(&angles(2.0));
        // the third harmonic of the first is all that cos(3φ) is
        let (re, im): (Vec<f64>, Vec<f64>) = angles(2.0).iter().map(|p| ((3.0 * p).cos(), (3.0 * p).sin())).unzip();
        let mut sums = [[0.0; 2]; 3];
        add_harmonics(&a, 2, (&re, &im), &mut [0.0; 2000], &mut sums);
        let share = sums.map(|[x, y]| x.hypot(y) / 1000.0);
        assert!(share[0] < 0.02 && (share[1] - 1.0).abs() < 1e-12 && share[2] < 0.02, "{share:?}");
    }
}
