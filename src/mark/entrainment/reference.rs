//! The stimulation's phase at any sample: inside an episode, extrapolated behind it and, as the null, before the first.

use crate::signal::{Epoch, Segment, Stimulation};
use crate::unit::{Clock, Tick};
use std::sync::Arc;

/// Episodes of one kind differ by at most so much in frequency …
const SAME_HZ: f64 = 0.05;
/// … and by this share in amplitude.
const SAME_AMPLITUDE: f64 = 0.2;

/// A kind of stimulation: one frequency at one strength.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kind {
    pub frequency_hz: f64,
    /// Amplitude in the channel where it was largest.
    pub amplitude: f64,
    pub episodes: usize,
}

/// Where a stretch of samples lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    /// Index into [`Reference::kinds`].
    pub kind: usize,
    /// Phase of the stimulation at the first sample, cycles.
    pub start: f64,
    /// Cycles per sample.
    pub step: f64,
    /// Whether a sample lies in an episode.
    pub during: bool,
    /// Whether it lies before the first episode of its segment.
    pub before: bool,
}

/// All episodes, by the clock they were found on.
pub(super) struct Reference {
    clock: Clock,
    stimulation: Arc<Stimulation>,
    /// Segments in ticks; empty: one.
    segments: Arc<[Segment]>,
    pub kinds: Vec<Kind>,
    /// The kind of each episode.
    kind_of: Vec<usize>,
}

impl Reference {
    pub fn new(clock: Clock, stimulation: Arc<Stimulation>, segments: Arc<[Segment]>) -> Self {
        let (mut kinds, mut kind_of): (Vec<Kind>, _) = (Vec::new(), Vec::new());
        for episode in &stimulation.episodes {
            let hz = episode.cycles * clock.rate_hz();
            let same = |k: &Kind| {
                let most = k.amplitude.max(episode.amplitude);
                (k.frequency_hz - hz).abs() <= SAME_HZ
                    && (k.amplitude - episode.amplitude).abs() <= SAME_AMPLITUDE * most
            };
            let at = kinds.iter().position(same).unwrap_or_else(|| {
                kinds.push(Kind { frequency_hz: 0.0, amplitude: episode.amplitude, episodes: 0 });
                kinds.len() - 1
            });
            let kind = &mut kinds[at];
            kind.episodes += 1;
            // running means
            let n = kind.episodes as f64;
            kind.frequency_hz += (hz - kind.frequency_hz) / n;
            kind.amplitude += (episode.amplitude - kind.amplitude) / n;
            kind_of.push(at);
        }
        Self { clock, stimulation, segments, kinds, kind_of }
    }

    /// First sample of an epoch on its own clock: the event's time less what it was off.
    pub fn first_sample(epoch: &Epoch) -> i64 {
        let off = epoch.clock.input.ticks(epoch.residual_us * 1e-6);
        let tick = epoch.event.tick.0 as f64 + epoch.event.fraction - if off.is_finite() { off } else { 0.0 };
        (tick * epoch.clock.up as f64 / epoch.clock.down as f64).round() as i64 + epoch.first
    }

    /// The segment that holds a sample of its own clock.
    fn segment(&self, sample: i64) -> usize {
        let tick = Tick(self.clock.tick_of(sample).floor() as i64);
        self.segments.partition_point(|s| s.first <= tick).saturating_sub(1)
    }

    /// Where `len` samples from `first` on lie, on a clock that may be slower than the one stimulation was found on. `None`
    /// where its segment holds no episode: how long the pause between segments was in cycles, nobody knows.
    pub fn place(&self, clock: Clock, first: i64, len: usize) -> Option<Place> {
        let to_own = |sample: i64| clock.tick_of(sample) * self.clock.up as f64 / self.clock.down as f64;
        let (from, to) = (to_own(first), to_own(first + len as i64 - 1));
        let segment = self.segment(from.floor() as i64);
        let episodes = &self.stimulation.episodes;
        let inside = |i: &usize| self.segments.is_empty() || episodes[*i].segment == segment;
        let touched = |i: &usize| (episodes[*i].on.start as f64) <= to && from < episodes[*i].on.end as f64;
        let mut mine = (0..episodes.len()).filter(inside);
        let during = mine.clone().find(touched);
        let behind = mine.clone().rfind(|&i| episodes[i].on.end as f64 <= from);
        let at = during.or(behind).or_else(|| mine.next())?;
        let episode = &episodes[at];
        let start = episode.cycles * from + episode.phase / std::f64::consts::TAU;
        let per_sample = clock.tick_of(1) * self.clock.up as f64 / self.clock.down as f64;
        Some(Place {
            kind: self.kind_of[at],
            start: start - start.floor(),
            step: episode.cycles * per_sample,
            during: during.is_some(),
            before: during.is_none() && behind.is_none(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Episode;
    use crate::unit::Rate;
    use std::f64::consts::TAU;

    fn episode(segment: usize, on: std::ops::Range<i64>, hz: f64, phase: f64, amplitude: f64) -> Episode {
        let (plateau, channel) = (on.clone(), "Cz".into());
        Episode { segment, on, plateau, cycles: hz / 1000.0, phase, amplitude, channel }
    }

    #[test]
    fn phases_go_on_behind_an_episode_and_back_before_the_first() {
        let clock = Clock::stored(Rate::new(1000, 1).unwrap());
        let episodes = vec![
            episode(0, 1000..2000, 10.0, 0.5, 900.0),
            episode(0, 4000..5000, 10.001, 2.0, 1000.0),
            episode(1, 8000..9000, 6.0, 1.0, 1000.0),
        ];
        let segment = |first, length| Segment { first: Tick(first), length, start_s: first as f64 / 1e3 };
        let segments = vec![segment(0, 7000), segment(7000, 3000), segment(10_000, 1000)];
        let reference =
            Reference::new(clock, Arc::new(Stimulation { episodes, ..Stimulation::default() }), segments.into());
        let hz: Vec<(f64, usize)> = reference.kinds.iter().map(|k| (k.frequency_hz, k.episodes)).collect();
        assert!((hz[0].0 - 10.0005).abs() < 1e-9 && hz[0].1 == 2 && hz[1] == (6.0, 1), "{hz:?}");
        // on a clock of half the rate: sample k lies at 2 k
        let half = clock.resampled(1, 2).unwrap();
        let at = |first: i64| reference.place(half, first / 2, 100);
        for (first, cycles, phase, flags) in [
            (200, 0.01, 0.5, (0, false, true)),
            (900, 0.01, 0.5, (0, true, false)),
            (1500, 0.01, 0.5, (0, true, false)),
            (2000, 0.01, 0.5, (0, false, false)),
            (3900, 0.010001, 2.0, (0, true, false)),
            (5200, 0.010001, 2.0, (0, false, false)),
            (7100, 0.006, 1.0, (1, false, true)),
            (9500, 0.006, 1.0, (1, false, false)),
        ] {
            let place = at(first).unwrap();
            assert_eq!((place.kind, place.during, place.before), flags, "{first}");
            assert!((place.step - 2.0 * cycles).abs() < 1e-15);
            let want = TAU * cycles * first as f64 + phase;
            assert!(((TAU * place.start - want).sin()).abs() < 1e-9 && (TAU * place.start - want).cos() > 0.0);
        }
        assert_eq!(at(10_200), None);
    }
}
