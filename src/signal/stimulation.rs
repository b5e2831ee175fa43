//! Stimulation in a stream: when it was on, how fast it swung, and what lies between.

use super::Segment;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Stretches of stimulation, in order, as they were found in a stream. Samples are counted on that stream's clock.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stimulation {
    /// In order; they do not overlap, and none spans two segments.
    pub episodes: Vec<Episode>,
    /// Other lines that stand out as far, no overtones, Hz: perhaps stimulators that nobody spoke of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others_hz: Vec<f64>,
}

/// One stretch of stimulation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// Index of the segment it lies in.
    pub segment: usize,
    /// Samples with stimulation, ramps included.
    pub on: Range<i64>,
    /// Samples between the ramps.
    pub plateau: Range<i64>,
    /// The fundamental as it stands in the samples, cycles per sample (0…0.5: above half the rate it is an alias).
    pub cycles: f64,
    /// Phase φ of the fundamental in `channel`, radians: there it is `amplitude` · cos(2π · cycles · n + φ), n counted from the
    /// stream's sample 0.
    pub phase: f64,
    /// Peak amplitude of the fundamental in `channel`, in its unit.
    pub amplitude: f64,
    /// The channel where it is largest.
    pub channel: String,
}

/// Where a stretch without stimulation lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Free {
    /// Before the first episode.
    Pre,
    /// Between two episodes.
    Gap,
    /// After the last episode.
    Post,
}

impl Free {
    /// `pre`, `gap`, `post`: the condition's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pre => "pre",
            Self::Gap => "gap",
            Self::Post => "post",
        }
    }
}

impl Stimulation {
    /// The stretches without stimulation, in order: which they are, their segment, their samples.
    pub fn free(&self, segments: &[Segment]) -> Vec<(Free, usize, Range<i64>)> {
        let mut found = Vec::new();
        let (first, last) = (self.episodes.first(), self.episodes.last());
        for (s, segment) in segments.iter().enumerate() {
            let mut at = segment.first.0;
            let inside = self.episodes.iter().filter(|e| e.segment == s);
            let edges = inside.map(|e| e.on.clone()).chain(std::iter::once(segment.end().0..segment.end().0));
            for on in edges {
                let which = match (first, last) {
                    (Some(f), _) if at < f.on.start => Free::Pre,
                    (_, Some(l)) if at >= l.on.end => Free::Post,
                    (Some(_), _) => Free::Gap,
                    (None, _) => Free::Pre,
                };
                if on.start > at {
                    found.push((which, s, at..on.start));
                }
                at = on.end.max(at);
            }
        }
        found
    }

    /// The episode that holds this sample.
    pub fn at(&self, sample: i64) -> Option<&Episode> {
        let after = self.episodes.partition_point(|e| e.on.end <= sample);
        self.episodes.get(after).filter(|e| e.on.contains(&sample))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unit::Tick;

    #[test]
    fn what_is_free_lies_before_between_and_after() {
        let episode = |segment, on: Range<i64>| Episode {
            segment,
            plateau: on.clone(),
            on,
            cycles: 0.01,
            phase: 0.0,
            amplitude: 1.0,
            channel: "Cz".into(),
        };
        let segment = |first, length| Segment { first: Tick(first), length, start_s: 0.0 };
        let all = Stimulation {
            episodes: vec![episode(0, 10..20), episode(0, 30..40), episode(1, 50..60)],
            ..Stimulation::default()
        };
        let free = all.free(&[segment(0, 50), segment(50, 50)]);
        let want = [(Free::Pre, 0, 0..10), (Free::Gap, 0, 20..30), (Free::Gap, 0, 40..50), (Free::Post, 1, 60..100)];
        assert_eq!(free, want);
        assert!(all.at(9).is_none() && all.at(10).is_some() && all.at(20).is_none() && all.at(59).is_some());
        assert_eq!(Stimulation::default().free(&[segment(0, 5)]), [(Free::Pre, 0, 0..5)]);
    }
}
