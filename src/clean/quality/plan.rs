//! Where to look: stretches of one recording, and for every frequency of stimulation the windows and bins.

use crate::dsp::fft::fast_len;
use crate::dsp::harmonics::Oscillator;
use crate::signal::{Segment, Stimulation};
use std::ops::Range;

/// Harmonics that are looked at, the fundamental included.
pub(super) const HARMONICS: usize = 5;
/// Sums over hops come about as often, per second.
const HOPS_HZ: f64 = 32.0;
/// Lengths of a window, s: the longest that fits often enough.
const WINDOWS_S: [f64; 3] = [16.0, 8.0, 4.0];
/// A window is short enough when an episode holds more than these, and what is free at least these.
const ENOUGH: f64 = 4.0;
/// Episodes whose frequencies differ by less, in Hz, are looked at together: the carrier then turns by 4° in 2 min.
const SAME_HZ: f64 = 1e-4;
/// Left out beside an episode, s: found edges are not exact, and filters spread what they did not remove.
const GUARD_S: f64 = 1.0;
/// Farthest bin, Hz.
const REACH_HZ: f64 = 8.0;
/// Breathing and heart modulate at these distances, Hz (Noury, Hipp and Siegel 2016, 10.1016/j.neuroimage.2016.03.065).
pub(super) const BREATHING_HZ: [f64; 2] = [0.15, 0.4];
pub(super) const HEART_HZ: [f64; 2] = [0.8, 2.0];
/// What modulates otherwise, a tremor, a loose contact, a stimulator's own ripple: between the two, and beyond.
const OTHER_HZ: [[f64; 2]; OTHERS] = [[0.4, 0.8], [2.0, 4.0], [4.0, 8.0]];
/// How many such bands.
pub(super) const OTHERS: usize = 3;

/// A stretch of samples that is looked at.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stretch {
    pub samples: Range<i64>,
    /// The episode; `None` without stimulation.
    pub episode: Option<usize>,
}

/// One frequency of stimulation.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// One per harmonic that can be told from 0 Hz, from the Nyquist frequency and from the fundamental.
    pub oscillators: Vec<Oscillator>,
    /// Samples per hop.
    pub hop: usize,
    /// Hops per window; windows overlap by half.
    pub window: usize,
    /// Length of a window, s: bins lie at its multiples' inverse.
    pub seconds: f64,
    /// Bins on either side of a harmonic.
    pub reach: usize,
    /// Bins of the sidebands, as distances from a harmonic; empty where they would pass half the frequency.
    pub breathing: Range<usize>,
    pub heart: Range<usize>,
    pub others: [Range<usize>; OTHERS],
}

impl Group {
    fn new(cycles: f64, rate: f64, wanted_s: f64) -> Self {
        let hop = hop(cycles, rate);
        let half = fast_len((0.5 * wanted_s * rate / hop as f64).round().max(4.0) as usize);
        let seconds = (2 * half * hop) as f64 / rate;
        // beyond half way to 0 Hz or to the Nyquist frequency a sideband would meet its mirror image
        let reach_hz = REACH_HZ.min(0.9 * cycles.min(0.5 - cycles) * rate);
        let bins = |band: [f64; 2]| {
            let low = ((band[0] * seconds - 1e-9).ceil() as usize).max(2);
            let high = (band[1].min(reach_hz) * seconds + 1e-9).floor() as usize;
            low..(high + 1).clamp(low, half)
        };
        let (breathing, heart) = (bins(BREATHING_HZ), bins(HEART_HZ));
        let others = OTHER_HZ.map(bins);
        let reach = others.iter().map(|b| b.end).fold(heart.end.max(breathing.end), usize::max) - 1;
        let oscillators = harmonics(cycles, 2.5 / rate).into_iter().map(Oscillator::new).collect();
        Self { oscillators, hop, window: 2 * half, seconds, reach, breathing, heart, others }
    }
}

/// The longest window that fits often enough into `length_s`, and into all that is free together.
fn window_s(length_s: f64, free_s: &[f64]) -> f64 {
    let count = |length: f64, s: f64| if length < s { 0.0 } else { (2.0 * (length / s - 1.0)).floor() + 1.0 };
    let fits = |s: &f64| {
        let free: f64 = free_s.iter().map(|&length| count(length, *s)).sum();
        count(length_s, *s) > ENOUGH && (free_s.is_empty() || free >= ENOUGH)
    };
    WINDOWS_S.into_iter().find(fits).unwrap_or(WINDOWS_S[2])
}

/// Samples per hop: near the wanted rate, and such that 0 Hz, seen from the fundamental, does not fold back onto it.
fn hop(cycles: f64, rate: f64) -> usize {
    let most = (rate / (HOPS_HZ * 0.9)).floor().max(1.0) as usize;
    let least = (rate / (HOPS_HZ * 1.4)).ceil().max(1.0) as usize;
    let away = |h: usize| ((cycles * h as f64) - (cycles * h as f64).round()).abs();
    // coarse steps, so that the longest of equals wins: fewer windows to transform
    let key = |h: &usize| ((away(*h) * 8.0) as u64, *h);
    (least.min(most)..=most).max_by_key(key).unwrap_or(most)
}

/// Harmonics that stand clear: of 0 Hz, of the Nyquist frequency and of the lower ones, where they are folded.
fn harmonics(cycles: f64, apart: f64) -> Vec<f64> {
    let apart = apart.min(0.4 * cycles);
    let mut found: Vec<f64> = vec![cycles];
    for k in 2..=HARMONICS {
        let c = (k as f64 * cycles).rem_euclid(1.0);
        let folded = c.min(1.0 - c);
        if folded > apart && 0.5 - folded > apart && found.iter().all(|f| (f.min(1.0 - f) - folded).abs() > apart) {
            found.push(c);
        }
    }
    found
}

/// All of a recording.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub groups: Vec<Group>,
    /// The group of every episode.
    pub group_of: Vec<usize>,
    /// In order; they do not overlap.
    pub stretches: Vec<Stretch>,
}

impl Plan {
    pub fn new(stimulation: &Stimulation, segments: &[Segment], rate: f64) -> Self {
        let episodes = &stimulation.episodes;
        let guard = (GUARD_S * rate).round() as i64;
        let free = stimulation.free(segments).into_iter().map(|(_, segment, r)| {
            let beside =
                |at: i64| episodes.iter().any(|e| e.segment == segment && (e.on.end == at || e.on.start == at));
            let from = if beside(r.start) { r.start + guard } else { r.start };
            let to = if beside(r.end) { r.end - guard } else { r.end };
            Stretch { samples: from..to, episode: None }
        });
        let free: Vec<_> = free.filter(|s| !s.samples.is_empty()).collect();
        let seconds = |r: &Range<i64>| (r.end - r.start) as f64 / rate;
        let free_s: Vec<f64> = free.iter().map(|s| seconds(&s.samples)).collect();
        // one group for every frequency and length of window
        let mut found: Vec<(f64, f64)> = Vec::new();
        let mut group_of = Vec::new();
        for e in episodes {
            let cycles = if e.cycles.is_finite() && e.cycles > 0.0 && e.cycles < 0.5 { e.cycles } else { 0.25 };
            let window_s = window_s(seconds(&e.plateau), &free_s);
            let same = |(c, s): &(f64, f64)| (c - cycles).abs() * rate < SAME_HZ && *s == window_s;
            group_of.push(found.iter().position(same).unwrap_or_else(|| {
                found.push((cycles, window_s));
                found.len() - 1
            }));
        }
        let groups: Vec<_> = found.into_iter().map(|(cycles, s)| Group::new(cycles, rate, s)).collect();
        let on = episodes.iter().enumerate().map(|(i, e)| Stretch { samples: e.plateau.clone(), episode: Some(i) });
        let mut stretches: Vec<_> = free.into_iter().chain(on.filter(|s| !s.samples.is_empty())).collect();
        stretches.sort_by_key(|s| s.samples.start);
        Self { groups, group_of, stretches }
    }
}
