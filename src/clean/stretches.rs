//! Walks over stretches of a stream: what fits of cleaning methods read, with stimulation or without.

use crate::Result;
use crate::flow::Replay;
use crate::signal::{Block, Free, Segment, Stimulation};
use crate::unit::Tick;
use std::ops::Range;

/// The stream's segments in its own samples.
pub(super) fn segments(stream: &dyn Replay) -> Vec<Segment> {
    let clock = stream.info().clock;
    let own = |s: &Segment| {
        let (first, end) = (clock.first_sample_from(s.first), clock.first_sample_from(s.end()));
        Segment { first: Tick(first), length: (end - first).max(0) as u64, start_s: s.start_s }
    };
    stream.segments().iter().map(own).collect()
}

/// What is free of stimulation, of the kinds in `kinds`, `guard` samples away from every episode.
pub(super) fn free(stream: &dyn Replay, found: &Stimulation, kinds: &[Free], guard: i64) -> Vec<Range<i64>> {
    let near = |at: i64, edge: fn(&Range<i64>) -> i64| found.episodes.iter().any(|e| edge(&e.on) == at);
    let narrowed = |r: Range<i64>| {
        let start = r.start + if near(r.start, |on| on.end) { guard } else { 0 };
        let end = r.end - if near(r.end, |on| on.start) { guard } else { 0 };
        start..end
    };
    let all = found.free(&segments(stream)).into_iter();
    all.filter(|(kind, ..)| kinds.contains(kind)).map(|(.., r)| narrowed(r)).filter(|r| r.start < r.end).collect()
}

/// From the beginning of the stream: calls `visit` with each part of a block that lies in one of the stretches (in order, apart from
/// each other, none across segments), its place in the block, and the stretch's index.
pub(super) fn walk(
    stream: &mut dyn Replay,
    stretches: &[Range<i64>],
    mut visit: impl FnMut(usize, &Block, Range<usize>),
) -> Result<()> {
    stream.rewind()?;
    let mut block = Block::for_stream(stream.info());
    let ahead = |at: i64| stretches.iter().find(|r| r.end > at).map(|r| r.start);
    while let Some(start) = ahead(block.end()) {
        stream.skip_to(start)?;
        if !stream.next(&mut block)? {
            break;
        }
        let from = stretches.partition_point(|r| r.end <= block.first());
        for (k, r) in stretches.iter().enumerate().skip(from) {
            if r.start >= block.end() {
                break;
            }
            let at = |sample: i64| (sample.clamp(block.first(), block.end()) - block.first()) as usize;
            visit(k, &block, at(r.start)..at(r.end));
        }
    }
    Ok(())
}

/// Samples in all.
pub(super) fn total(stretches: &[Range<i64>]) -> i64 {
    stretches.iter().map(|r| r.end - r.start).sum()
}

/// A recording in memory, to be played to fits, and what the tests of cleaning Stages share.
#[cfg(test)]
pub(super) mod played {
    use super::*;
    use crate::flow::Stage;
    use crate::signal::{Channel, ChannelKind, Episode, Event, StreamInfo};
    use crate::unit::{Clock, Rate, Unit};

    /// Rows of samples, one segment.
    pub struct Played {
        pub rows: Vec<Vec<f64>>,
        pub info: StreamInfo,
        pub segments: Vec<Segment>,
        pub quiet: Option<Box<Played>>,
        at: usize,
    }

    impl Played {
        pub fn new(rate_hz: f64, rows: Vec<Vec<f64>>) -> Self {
            let channels =
                (0..rows.len()).map(|c| Channel::new(format!("E{c}"), ChannelKind::Eeg, Unit::Microvolt)).collect();
            let info = StreamInfo { clock: Clock::stored(Rate::from_hz(rate_hz).unwrap()), channels, max_block: 64 };
            let segments = vec![Segment { first: Tick(0), length: rows[0].len() as u64, start_s: 0.0 }];
            Self { rows, info, segments, quiet: None, at: 0 }
        }

        pub fn len(&self) -> usize {
            self.rows[0].len()
        }
    }

    impl Replay for Played {
        fn info(&self) -> &StreamInfo {
            &self.info
        }
        fn segments(&self) -> &[Segment] {
            &self.segments
        }
        fn events(&self) -> &[Event] {
            &[]
        }
        fn event_names(&self) -> &[String] {
            &[]
        }
        fn rewind(&mut self) -> Result<()> {
            self.at = 0;
            Ok(())
        }
        fn next(&mut self, out: &mut Block) -> Result<bool> {
            let n = self.info.max_block.min(self.len() - self.at);
            out.start(0, self.at as i64, n);
            for (c, row) in self.rows.iter().enumerate() {
                (0..n).for_each(|i| out.set(c, i, row[self.at + i]));
            }
            self.at += n;
            Ok(n > 0)
        }
        fn quiet(&mut self) -> Option<&mut dyn Replay> {
            self.quiet.as_deref_mut().map(|q| -> &mut dyn Replay { q })
        }
    }

    /// One episode of stimulation.
    pub fn stimulated(on: Range<i64>, cycles: f64) -> Stimulation {
        let episode =
            Episode { segment: 0, plateau: on.clone(), on, cycles, phase: 0.0, amplitude: 1.0, channel: "E0".into() };
        Stimulation { episodes: vec![episode], ..Stimulation::default() }
    }

    /// The rows through a Stage without look-ahead, cut after each of `cuts` in turn.
    pub fn through(stage: &mut dyn Stage, rows: &[Vec<f64>], first: i64, cuts: &[usize]) -> Vec<Vec<f64>> {
        let info = stage.output().clone();
        let (mut input, mut out) = (Block::for_stream(&info), Block::for_stream(&info));
        let mut result = vec![Vec::new(); rows.len()];
        let (mut at, mut cut) = (0, cuts.iter().cycle());
        while at < rows[0].len() {
            let n = (*cut.next().unwrap()).clamp(1, info.max_block).min(rows[0].len() - at);
            input.start(0, first + at as i64, n);
            for (c, row) in rows.iter().enumerate() {
                (0..n).for_each(|i| input.set(c, i, row[at + i]));
            }
            stage.push(&input, &mut out);
            assert_eq!((out.first(), out.len()), (first + at as i64, n));
            for (c, row) in result.iter_mut().enumerate() {
                row.extend((0..n).map(|i| out.get(c, i)));
            }
            at += n;
        }
        stage.finish(&mut out);
        assert_eq!((out.first(), out.len()), (first + at as i64, 0));
        result
    }

    /// A recording of an independent generator and its truth, where `STIMKIT_TACS` names a folder with them as raw float32, sample by
    /// sample (`NAME.eeg`, `NAME.truth`); says that it skips otherwise.
    pub fn generated(name: &str, channels: usize) -> Option<[Vec<Vec<f64>>; 2]> {
        let Some(folder) = std::env::var_os("STIMKIT_TACS") else {
            eprintln!("skipped: STIMKIT_TACS names no folder with {name}.eeg and {name}.truth");
            return None;
        };
        let rows = |ending: &str| -> Vec<Vec<f64>> {
            let bytes = std::fs::read(std::path::Path::new(&folder).join(format!("{name}.{ending}"))).unwrap();
            let values: Vec<f32> = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            (0..channels).map(|c| values.iter().skip(c).step_by(channels).map(|v| f64::from(*v)).collect()).collect()
        };
        Some([rows("eeg"), rows("truth")])
    }

    /// The bits, so that NaN equals itself.
    pub fn bits(rows: &[Vec<f64>]) -> Vec<u64> {
        rows.iter().flatten().map(|v| v.to_bits()).collect()
    }

    /// Normal numbers from a fixed sequence.
    pub struct Noise(pub u64);

    impl Noise {
        fn uniform(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        }

        pub fn normal(&mut self) -> f64 {
            let (a, b) = (1.0 - self.uniform(), self.uniform());
            (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
        }

        /// `n` samples of noise whose power falls with the frequency (first-order, corner at about `corner` of the rate).
        pub fn red(&mut self, n: usize, corner: f64) -> Vec<f64> {
            let a = (-std::f64::consts::TAU * corner).exp();
            let mut state = 0.0;
            (0..n)
                .map(|_| {
                    state = a * state + (1.0 - a * a).sqrt() * self.normal();
                    state
                })
                .collect()
        }
    }

    #[test]
    fn free_stretches_keep_away_from_stimulation_and_are_walked_in_any_block() {
        let mut stream = Played::new(100.0, vec![(0..1000).map(f64::from).collect()]);
        let found = stimulated(300..500, 0.1);
        let all = [Free::Pre, Free::Gap, Free::Post];
        let free = free(&stream, &found, &all, 50);
        assert_eq!(free, [0..250, 550..1000]);
        assert_eq!(super::free(&stream, &found, &[Free::Post], 0).first(), Some(&(500..1000)));
        assert_eq!(total(&free), 700);
        let mut seen = vec![Vec::new(); 2];
        walk(&mut stream, &free, |k, block, at| at.for_each(|i| seen[k].push(block.get(0, i) as i64))).unwrap();
        assert_eq!(seen, [(0..250).collect::<Vec<_>>(), (550..1000).collect()]);
    }
}
