//! Which harmonics stand in the samples, and which of them can be told apart.

use super::{ENOUGH, Harmonics, MOST};
use crate::clean::stimulation::fold;
use crate::dsp::harmonics::harmonics_below_nyquist;
use crate::dsp::normal::LineOf;
use crate::signal::Episode;

/// Lines nearer than this, in resolutions (1 / length of a window or plateau), are one; on the level, nearer than [`CLEAR`].
const COINCIDE: f64 = 0.01;
const CLEAR: f64 = 1.0;

/// The lines of an episode before their harmonics are chosen.
pub(super) struct Overtones {
    lines: Vec<LineOf>,
    counts: Vec<usize>,
    left: Vec<String>,
    /// Samples that must tell them apart.
    length: f64,
    rate: f64,
}

impl Overtones {
    pub fn new(config: &Harmonics, episode: &Episode, rate: f64) -> Self {
        let find = &config.stimulation;
        let plateau = (episode.plateau.end - episode.plateau.start).max(1) as f64;
        let length = config.window_s.map_or(plateau, |s| plateau.min(s * rate));
        let told = find.frequency_hz;
        let several = !find.also_hz.is_empty();
        let first = if several { told.map_or(episode.cycles, |hz| fold(hz, rate)) } else { episode.cycles };
        let all = std::iter::once((first, told)).chain(find.also_hz.iter().map(|&hz| (fold(hz, rate), Some(hz))));
        let most = ((length / 4.0 - 1.0) / (2.0 * (1 + find.also_hz.len()) as f64)).max(1.0) as usize;
        let count = |(cycles, told): (f64, Option<f64>)| match config.harmonics {
            Some(k) => k,
            None if told.is_some_and(|hz| hz > 0.5 * rate) => MOST,
            None => harmonics_below_nyquist(cycles, MOST).max(ENOUGH),
        };
        let counts = all.clone().map(|own| count(own).min(most)).collect();
        let line = |(cycles, _)| LineOf { cycles, chirp: 0.0, origin: episode.plateau.start as f64, harmonics: vec![] };
        Self { lines: all.map(line).collect(), counts, left: Vec::new(), length, rate }
    }

    /// The lines with the harmonics that are a whole resolution away from all others: they tell the frequency.
    pub fn telling(&mut self) -> Vec<LineOf> {
        let mut lines = self.lines.clone();
        self.choose(&mut lines, CLEAR);
        let keep: Vec<bool> = lines.iter().map(|l| !l.harmonics.is_empty()).collect();
        for (line, keep) in lines.iter().zip(&keep) {
            if !keep {
                self.left.push(format!("{} Hz falls on another line, on 0 or on fs/2", self.hz(line)));
            }
        }
        let mut each = keep.iter();
        self.counts.retain(|_| each.next().is_some_and(|k| *k));
        lines.retain(|l| !l.harmonics.is_empty());
        lines
    }

    /// Every harmonic that does not coincide with another, now that the frequencies are known. Tells what is left out.
    pub fn all(&self, lines: &mut Vec<LineOf>) -> Vec<String> {
        let mut left = self.left.clone();
        let (more, nyquist) = self.choose(lines, COINCIDE);
        left.extend(more);
        if nyquist {
            lines.push(LineOf::nyquist());
        }
        left
    }

    /// Fills in the harmonics, low ones first; tells those that are left out, and whether one falls on half the rate.
    fn choose(&self, lines: &mut [LineOf], resolution: f64) -> (Vec<String>, bool) {
        let (mut taken, mut left, mut nyquist) = (Vec::<f64>::new(), Vec::new(), false);
        lines.iter_mut().for_each(|l| l.harmonics.clear());
        for k in 1..=self.counts.iter().copied().max().unwrap_or(0) {
            for (line, _) in lines.iter_mut().zip(&self.counts).filter(|(_, count)| k <= **count) {
                let place = fold(k as f64 * line.cycles, 1.0);
                let on = if place * self.length < CLEAR {
                    "0"
                } else if (0.5 - place) * self.length < resolution {
                    if !std::mem::replace(&mut nyquist, true) {
                        continue;
                    }
                    "fs/2, like another"
                } else if taken.iter().any(|t| (t - place).abs() * self.length < resolution) {
                    "another"
                } else {
                    taken.push(place);
                    line.harmonics.push(k);
                    continue;
                };
                left.push(format!("harmonic {k} of {} Hz falls on {on}", self.hz(line)));
            }
        }
        (left, nyquist)
    }

    fn hz(&self, line: &LineOf) -> f64 {
        (line.cycles * self.rate * 1e4).round() / 1e4
    }
}
