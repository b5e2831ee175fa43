//! Noise: size, band, distribution, repetition and stationarity.
//!
//! Skewness and kurtosis of n samples that are correlated by ρ(τ) have variances 6/n Σ ρ³ and 24/n Σ ρ⁴ in normal noise
//! (Lomnicki 1961, 10.1007/BF02613680), and the mean square of a block of n has variance 2σ⁴/n Σ ρ²: so what is told of the
//! distribution and of stationarity counts what the samples are worth, and not how many they are.

use crate::dsp::fft::{Complex, RealFft};
use crate::dsp::line_spectrum::LineSpectrum;
use crate::dsp::window::{Symmetry, Window};

/// The spectrum is smoothed over bins until it is known to this share.
const SMOOTH: f64 = 0.1;
/// The level of the band is the median between these shares of the power.
const CORE: [f64; 2] = [0.1, 0.9];
/// Autocorrelations count beyond this many standard deviations.
const CLEAR: f64 = 5.0;
/// Where a repetition is looked for, s.
const REPEAT_S: f64 = 0.05;
/// Samples at an extreme are clipped if there are more than this many, and this many times more than a normal tail has in a step.
const CLIPPED: f64 = 10.0;
const TAIL: f64 = 8.0;

/// Noise, while it is taken in and when it is measured.
#[derive(Default)]
pub(super) struct Noise {
    spectrum: Option<LineSpectrum>,
    about: f64,
    quantum: f64,
    n: f64,
    /// Sums of powers 1 to 4 about `about`.
    powers: [f64; 4],
    /// Extremes, and how often each was met.
    most: (f64, f64),
    least: (f64, f64),
    pub rms: f64,
    pub peak_to_peak: f64,
    pub low_hz: f64,
    pub high_hz: f64,
    pub in_band: f64,
    pub flatness: f64,
    pub skewness: [f64; 2],
    pub kurtosis: [f64; 2],
    pub clipped: f64,
    pub autocorrelation: f64,
    /// Largest autocorrelation beyond the band's own, and its lag, s.
    pub repeat: (f64, f64),
    pub stationarity: f64,
    blocks: f64,
    spread: f64,
}

impl Noise {
    pub fn new(window: usize, about: f64, quantum: f64) -> Self {
        Self {
            spectrum: Some(LineSpectrum::new(window)),
            about,
            quantum,
            most: (f64::NEG_INFINITY, 0.0),
            least: (f64::INFINITY, 0.0),
            ..Self::default()
        }
    }

    /// Takes samples that follow those taken before.
    pub fn push(&mut self, x: &[f64]) {
        if let Some(spectrum) = &mut self.spectrum {
            spectrum.add(x);
        }
        for &x in x.iter().filter(|x| x.is_finite()) {
            self.n += 1.0;
            let y = x - self.about;
            let mut power = 1.0;
            for sum in &mut self.powers {
                power *= y;
                *sum += power;
            }
            for (end, sign) in [(&mut self.most, 1.0), (&mut self.least, -1.0)] {
                if sign * x > sign * end.0 {
                    *end = (x, 1.0);
                } else if x == end.0 {
                    end.1 += 1.0;
                }
            }
        }
    }

    /// Whether its power changes more than that of stationary noise, and so that it matters.
    pub fn changes(&self) -> bool {
        self.stationarity > 1.0 + 6.0 * (2.0 / (self.blocks - 1.0)).sqrt() && self.spread > 0.05
    }

    /// Works everything out; the sizes of blocks of `block` samples tell of stationarity.
    pub fn finish(&mut self, rate: f64, blocks: &[f64], block: f64) {
        let [a, b, c, d] = self.powers.map(|p| p / self.n);
        // central moments
        let two = b - a * a;
        let three = c - 3.0 * a * b + 2.0 * a * a * a;
        let four = d - 4.0 * a * c + 6.0 * a * a * b - 3.0 * a.powi(4);
        self.rms = two.max(0.0).sqrt();
        self.peak_to_peak = self.most.0 - self.least.0;
        let tail = |end: (f64, f64)| {
            let z = (end.0 - self.about - a) / self.rms;
            let step = self.quantum / self.rms;
            let expected = self.n * step * (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
            if end.1 > CLIPPED + TAIL * expected { end.1 } else { 0.0 }
        };
        self.clipped = (tail(self.most) + tail(self.least)) / self.n;
        let rho = self.band(rate).unwrap_or_default();
        let clear = CLEAR / self.n.sqrt();
        let sum = |power: i32| {
            let far: f64 = rho.iter().skip(1).filter(|r| r.abs() > clear).map(|r| r.powi(power)).sum();
            (1.0 + 2.0 * far).max(1e-3)
        };
        let (skew, excess) = (three / two.powf(1.5), four / (two * two) - 3.0);
        self.skewness = [skew, skew / (6.0 / self.n * sum(3)).sqrt()];
        self.kurtosis = [excess, excess / (24.0 / self.n * sum(4)).sqrt()];
        self.autocorrelation = rho.get(1).copied().unwrap_or(f64::NAN);
        let from = (REPEAT_S * rate).ceil() as usize;
        let far = rho.iter().enumerate().skip(from).max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
        self.repeat = far.map_or((f64::NAN, f64::NAN), |(lag, r)| (r.abs(), lag as f64 / rate));
        let powers: Vec<f64> = blocks.iter().map(|b| b * b).collect();
        let k = powers.len() as f64;
        let mean = powers.iter().sum::<f64>() / k;
        let variance = powers.iter().map(|p| (p - mean).powi(2)).sum::<f64>() / (k - 1.0);
        let expected = 2.0 / block * sum(2);
        self.stationarity = if k > 2.0 { variance / (mean * mean) / expected } else { f64::NAN };
        // of the root mean square: half that of the power
        (self.blocks, self.spread) = (k, 0.5 * variance.sqrt() / mean);
        self.spectrum = None;
    }

    /// The band, and the autocorrelation by lag.
    fn band(&mut self, rate: f64) -> Option<Vec<f64>> {
        let spectrum = self.spectrum.as_ref().filter(|s| s.windows() > 0.0);
        let nan = f64::NAN;
        let Some(spectrum) = spectrum else {
            (self.low_hz, self.high_hz, self.in_band, self.flatness) = (nan, nan, nan, nan);
            return None;
        };
        let (power, k, n) = (spectrum.power(), spectrum.windows(), spectrum.window());
        let hz = rate / n as f64;
        // the mean was taken from every window: the first bins know nothing
        let first = 2.min(power.len());
        let half = ((1.0 / (SMOOTH * SMOOTH * k) - 1.0) / 2.0).ceil().max(0.0) as usize;
        let smooth = |at: usize| {
            let part = &power[at.saturating_sub(half).max(first)..(at + half + 1).min(power.len())];
            part.iter().sum::<f64>() / part.len().max(1) as f64
        };
        let all: f64 = power[first..].iter().sum();
        let share = |share: f64| {
            let mut sum = 0.0;
            (first..power.len()).find(|&i| {
                sum += power[i];
                sum >= share * all
            })
        };
        let [from, to] = [share(CORE[0])?, share(CORE[1])?];
        let mut core: Vec<f64> = (from..=to).map(smooth).collect();
        core.sort_by(f64::total_cmp);
        let level = 0.5 * core.get(core.len() / 2)?;
        // between the bins on both sides of half the level
        let cross = |inside: usize, outside: usize| {
            let (a, b) = (smooth(inside), smooth(outside));
            inside as f64 + (a - level) / (a - b) * (outside as f64 - inside as f64)
        };
        let low = (first..from).rev().find(|&i| smooth(i) < level);
        let high = (to + 1..power.len()).find(|&i| smooth(i) < level);
        self.low_hz = low.map_or(0.0, |i| cross(i + 1, i) * hz);
        self.high_hz = high.map_or(rate / 2.0, |i| cross(i - 1, i) * hz);
        let range = low.map_or(first, |i| i + 1)..high.unwrap_or(power.len());
        self.in_band = power[range.clone()].iter().sum::<f64>() / all;
        // the edges are blurred by the smoothing; within them
        let inner = (range.start + half + 1).min(range.end)..range.end.saturating_sub(half + 1).max(range.start);
        let inner = if inner.len() > 8 { inner } else { range };
        let bins = inner.len() as f64;
        let logs = power[inner.clone()].iter().map(|p| p.ln()).sum::<f64>() / bins;
        let mean = power[inner].iter().sum::<f64>() / bins;
        // E ln of a mean of k exponentials is ψ(k) − ln k
        self.flatness = (logs - (digamma(k) - k.ln())).exp() / mean;
        Some(autocorrelation(power, n))
    }
}

/// Autocorrelation up to a quarter of the window, without the window's own.
fn autocorrelation(power: &[f64], n: usize) -> Vec<f64> {
    let mut fft = RealFft::new(n);
    let mut back = |power: &[f64]| {
        let spectrum: Vec<Complex> = power.iter().map(|p| Complex::new(*p, 0.0)).collect();
        let mut x = vec![0.0; n];
        fft.inverse(&spectrum, &mut x);
        x.truncate(n / 4);
        x
    };
    let data = back(power);
    let window = Window::Hann.samples(n, Symmetry::Periodic);
    let mut spectrum = vec![Complex::default(); n / 2 + 1];
    RealFft::new(n).forward(&window, &mut spectrum);
    let own = back(&spectrum.iter().map(|z| z.norm_sqr()).collect::<Vec<_>>());
    let (Some(&zero), Some(&one)) = (data.first(), own.first()) else { return Vec::new() };
    data.iter().zip(&own).map(|(d, w)| d / zero / (w / one)).collect()
}

/// ψ(x) for x ≥ 1, by its asymptotic series from 6 on.
fn digamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < 6.0 {
        below -= 1.0 / x;
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    below + x.ln() - 0.5 / x - square * (1.0 / 12.0 - square * (1.0 / 120.0 - square / 252.0))
}

#[cfg(test)]
mod tests {
    #[test]
    fn digamma_is_that_of_the_tables() {
        for (x, want) in
            [(1.0, -0.577_215_664_901_532_9), (2.0, 0.422_784_335_098_467_1), (10.0, 2.251_752_589_066_721)]
        {
            assert!((super::digamma(x) - want).abs() < 1e-8);
        }
    }
}
