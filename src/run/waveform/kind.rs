//! Which kind of stimulation a channel holds, told by its spectrum and its means.

use super::survey::Survey;
use crate::dsp::line_spectrum::{LOBE, LineSpectrum, between};

/// A sideband's amplitude over the carrier's from which a modulation is meant and not a fault: a depth of 10 %.
const SIDEBAND: f64 = 0.05;
/// The weaker of two carriers over the stronger, amplitudes.
const SECOND: f64 = 0.1;
/// Beats are looked for between carriers above this, Hz; below it two rhythms in one channel are no interference.
const CARRIER_HZ: f64 = 200.0;
/// Power of the sidebands beyond the first over that of the first: above it the envelope is no sine but a train of bursts.
const BURSTS: f64 = 0.05;
/// Carriers of two channels are a pair when they differ by less than this share, and by more than this, Hz.
const PAIR: f64 = 0.2;
const PAIR_HZ: f64 = 0.5;
/// Mean square over variance of a piece from which it is a level, and the share of such pieces.
const LEVEL: f64 = 100.0;
const PIECE_S: f64 = 0.25;
/// A line above this share of the level is a sine with an offset, and not a level with ripple.
const RIPPLE: f64 = 0.1;
/// A line that was told is there where its bins hold so many times what those about it hold, so many on either side.
const ABOVE: f64 = 4.0;
const ABOUT: usize = 16;

/// What a channel holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One frequency and its harmonics: tACS.
    Sine,
    /// A carrier whose amplitude is modulated: AM-tACS.
    Am,
    /// Two carriers that beat, in one channel or in two: temporal interference.
    Ti,
    /// Noise: tRNS.
    Noise,
    /// A level: tDCS.
    Dc,
}

impl Kind {
    /// All names, for messages.
    pub const NAMES: &str = "sine, am, ti, noise, dc";

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "sine" | "tacs" => Some(Self::Sine),
            "am" => Some(Self::Am),
            "ti" => Some(Self::Ti),
            "noise" | "trns" => Some(Self::Noise),
            "dc" | "tdcs" => Some(Self::Dc),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sine => "sine",
            Self::Am => "am",
            Self::Ti => "ti",
            Self::Noise => "noise",
            Self::Dc => "dc",
        }
    }
}

/// What is known before the file is read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    /// The kind.
    pub kind: Option<Kind>,
    /// Fundamental or carrier, cycles per sample.
    pub cycles: Option<f64>,
    /// Envelope or beat, cycles per sample.
    pub beat: Option<f64>,
}

/// Means and variances of short pieces: whether the samples are a level.
#[derive(Debug, Clone, Default)]
pub(super) struct Pieces {
    length: usize,
    n: usize,
    sum: f64,
    squares: f64,
    /// Sum of all mean squares, and of those of pieces that are level.
    all: f64,
    level: f64,
    /// Sum of the means, and of their sizes.
    means: [f64; 2],
    count: f64,
}

impl Pieces {
    pub fn new(rate: f64) -> Self {
        Self { length: (PIECE_S * rate).ceil().max(8.0) as usize, ..Self::default() }
    }

    /// Takes a sample that is finite.
    pub fn push(&mut self, x: f64) {
        self.n += 1;
        self.sum += x;
        self.squares += x * x;
        if self.n == self.length {
            let n = self.n as f64;
            let (mean, square) = (self.sum / n, self.squares / n);
            let variance = (square - mean * mean).max(0.0);
            self.all += square;
            if mean * mean >= LEVEL * variance {
                self.level += square;
            }
            self.means[0] += mean;
            self.means[1] += mean.abs();
            self.count += 1.0;
            (self.n, self.sum, self.squares) = (0, 0.0, 0.0);
        }
    }

    /// The level where the samples are one: root mean square of the pieces.
    fn level(&self) -> Option<f64> {
        let is = self.all > 0.0 && self.level >= 0.8 * self.all && self.means[0].abs() >= 0.5 * self.means[1];
        is.then(|| (self.all / self.count).sqrt())
    }
}

/// The spectrum of a channel: mean power of Hann windows of `n` samples.
pub(super) struct Look<'a> {
    power: &'a [f64],
    n: usize,
    windows: f64,
    /// The strongest line, where one stands out, cycles per sample.
    line: Option<f64>,
}

impl<'a> Look<'a> {
    pub fn new(spectrum: &'a LineSpectrum) -> Self {
        let (power, n, windows) = (spectrum.power(), spectrum.window(), spectrum.windows());
        Self { power, n, windows, line: spectrum.line() }
    }

    fn bin(&self, cycles: f64) -> f64 {
        cycles * self.n as f64
    }

    /// Power of a line about a bin.
    fn lobe(&self, bin: f64) -> f64 {
        let at = bin.round();
        if at < LOBE as f64 {
            return 0.0;
        }
        let at = at as usize;
        let end = (at + LOBE + 1).min(self.power.len());
        self.power.get(at - LOBE..end).map_or(0.0, |p| p.iter().sum())
    }

    /// Amplitude of a line: a Hann window's main lobe holds 3/8 n² A²/4.
    fn amplitude(&self, bin: f64) -> f64 {
        (self.lobe(bin) / self.windows.max(1.0) * 32.0 / 3.0).sqrt() / self.n as f64
    }

    /// Whether there is a line at a bin. One too near to zero, or to the spectrum's end, cannot be told from what is beside it: it is
    /// believed.
    fn stands_out(&self, bin: f64) -> bool {
        let (at, far) = (bin.round() as usize, LOBE + 1);
        let (Some(from), to) = (at.checked_sub(far + ABOUT), at + far + ABOUT) else { return true };
        let beside = |k: &usize| k.abs_diff(at) >= far;
        let mut about: Vec<f64> =
            (from.max(2)..=to).filter(beside).filter_map(|k| self.power.get(k).copied()).collect();
        if about.len() < ABOUT {
            return true;
        }
        let middle = crate::dsp::stats::median(&mut about);
        self.lobe(bin) > ABOVE * (2 * LOBE + 1) as f64 * middle
    }

    /// The strongest line beside the carrier, in bins: a peak, and not the carrier's own flank.
    fn neighbour(&self, carrier: f64) -> Option<f64> {
        let far = 2 * LOBE;
        let at = carrier.round() as usize;
        let (from, to) = ((0.5 * carrier).ceil() as usize, ((1.5 * carrier) as usize).min(self.power.len() - 1));
        let peak = |k: &usize| self.power[*k] >= self.power[k - 1] && self.power[*k] >= self.power[k + 1];
        let beside = (from.max(LOBE)..to).filter(|k| k.abs_diff(at) >= far).filter(peak);
        beside.max_by(|a, b| self.power[*a].total_cmp(&self.power[*b])).and_then(|best| between(self.power, best))
    }

    /// Kind, carrier and beat, both in cycles per sample.
    fn tones(&self, carrier: f64, told: Told, rate: f64) -> (Kind, f64, Option<f64>) {
        let n = self.n as f64;
        let plain = (Kind::Sine, carrier, None);
        let mut c = self.bin(carrier);
        let wants = |kind| told.kind == Some(kind);
        let beat = told.beat.filter(|_| wants(Kind::Am) || wants(Kind::Ti)).map(|beat| self.bin(beat));
        let second = match beat {
            Some(b) if self.lobe(c - b) > self.lobe(c + b) => Some(c - b),
            Some(b) => Some(c + b),
            None => self.neighbour(c),
        };
        let Some(second) = second else { return plain };
        let mut d = (second - c).abs();
        // overmodulated: the strongest two lines are the sidebands, and the carrier stands between
        let middle = 0.5 * (second + c);
        let even = self.lobe(second) > 0.8 * self.lobe(c);
        if beat.is_none() && even && d >= 4.0 * LOBE as f64 && self.lobe(middle) > 0.01 * self.lobe(c) {
            (c, d) = (middle, d / 2.0);
        }
        let (low, high, whole) = (self.lobe(c - d), self.lobe(c + d), self.lobe(c));
        let (weak, strong) = if low < high { (low, high) } else { (high, low) };
        let bursts = [2.0, 3.0].iter().map(|k| self.lobe(c - k * d) + self.lobe(c + k * d)).sum::<f64>();
        let am = weak >= 0.25 * strong && weak >= SIDEBAND * SIDEBAND * whole && bursts <= BURSTS * (low + high);
        let ti = weak < 0.25 * strong && strong >= SECOND * SECOND * whole && carrier * rate >= CARRIER_HZ;
        let exact = |d: f64| beat.unwrap_or(d) / n;
        match told.kind {
            Some(Kind::Am) => (Kind::Am, c / n, Some(exact(d))),
            // else the other carrier is in another channel
            Some(Kind::Ti) if strong >= SECOND * SECOND * whole => (Kind::Ti, c.min(second) / n, Some(exact(d))),
            Some(_) => plain,
            None if am => (Kind::Am, if c == self.bin(carrier) { carrier } else { c / n }, Some(d / n)),
            None if ti => (Kind::Ti, c.min(second) / n, Some(d / n)),
            None => plain,
        }
    }
}

/// Decides; writes kind, carrier and beat into the survey.
pub(super) fn decide(survey: &mut Survey, look: &Look<'_>, pieces: &Pieces, told: Told, rate: f64) {
    if survey.is_silent() {
        (survey.kind, survey.cycles, survey.beat) = (None, None, None);
        return;
    }
    let line = told.cycles.or(look.line);
    let level = pieces.level().filter(|level| line.is_none_or(|l| look.amplitude(look.bin(l)) < RIPPLE * level));
    let seen = look.line.is_some_and(|l| told.cycles.is_some_and(|t| (look.bin(l - t)).abs() <= LOBE as f64));
    survey.told_only = told.cycles.is_some_and(|t| !seen && !look.stands_out(look.bin(t)));
    let tone = told.cycles.is_some() && !survey.told_only;
    let dc = told.kind == Some(Kind::Dc) || (told.kind.is_none() && !tone && level.is_some());
    (survey.kind, survey.cycles, survey.beat) = match (told.kind, line) {
        _ if dc => (Some(Kind::Dc), None, None),
        (Some(Kind::Noise), _) => (Some(Kind::Noise), None, None),
        (None, None) => (Some(Kind::Noise), None, None),
        (Some(kind), None) => (Some(kind), None, None),
        (_, Some(line)) => {
            let (kind, cycles, beat) = look.tones(line, told, rate);
            (Some(kind), Some(cycles), beat)
        }
    };
}

/// Pairs of channels whose carriers beat (temporal interference): each with the next that is free.
pub(super) fn pairs(surveys: &mut [Survey], told: Told, rate: f64) -> Vec<[usize; 2]> {
    let mut pairs = Vec::new();
    let mut free = vec![true; surveys.len()];
    for a in 0..surveys.len() {
        for b in a + 1..surveys.len() {
            let single = |s: &Survey| s.kind == Some(Kind::Sine);
            if !(free[a] && free[b] && single(&surveys[a]) && single(&surveys[b])) {
                continue;
            }
            let (Some(f), Some(g)) = (surveys[a].cycles, surveys[b].cycles) else { continue };
            let (apart, least) = ((f - g).abs(), f.min(g));
            let automatic = told.kind.is_none() && least * rate >= CARRIER_HZ && apart < PAIR * least;
            if apart * rate >= PAIR_HZ && (automatic || told.kind == Some(Kind::Ti)) {
                for c in [a, b] {
                    free[c] = false;
                    (surveys[c].kind, surveys[c].beat) = (Some(Kind::Ti), None);
                }
                pairs.push([a, b]);
            }
        }
    }
    pairs
}
