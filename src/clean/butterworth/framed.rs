//! Zero phase on an endless stream, to any bound.
//!
//! The forward pass is exact and runs along. The backward pass of a whole segment would have to wait for its end; but
//! what lies further ahead than the filter rings cannot be heard. So the stream is cut into frames, anchored to sample
//! indices (frame k is `[k·F, (k+1)·F)`, however it was pushed), and each frame's backward pass starts L samples beyond
//! its end, in the steady state of the sample there. With h the impulse response of one pass and y the forward output,
//!
//! `|error| ≤ Σ_{n ≥ L} |h[n]| · range(y beyond the look-ahead)`,
//!
//! so L is where that sum falls below the bound ([`decay_samples`]). Both ends of a segment are extended as in
//! [`sosfiltfilt`](crate::dsp::iir::sosfiltfilt), so that a whole segment equals it within the bound, and a segment
//! shorter than a frame and its look-ahead equals it exactly. The work is one forward pass and `1 + L/F` backward ones.
//!
//! Forward–backward filtering in overlapping blocks: Powell & Chau (1991), *A technique for realizing linear phase IIR
//! filters*, IEEE Trans. Signal Process. 39:2425–2435.

use crate::dsp::iir::{Sos, State, decay_samples};
use crate::dsp::tile::{self, LANES, Lanes, TileState};
use crate::flow::Stage;
use crate::signal::{Block, StreamInfo};
use std::ops::Range;

/// Look-aheads above this many samples, 1 GiB for eight channels, are not worth computing exactly.
const LONGEST: f64 = 16_777_216.0;

/// Lengths in samples.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// Of a frame, F.
    pub frame: usize,
    /// Beyond a frame's end, L.
    pub ahead: usize,
    /// Of the extension at either end of a segment.
    pub pad: usize,
}

impl Shape {
    /// Frames as long as the look-ahead, and at least a second: twice the backward work, at the least memory.
    pub fn new(sos: &Sos, error_bound: f64, rate_hz: f64) -> Self {
        let pad = sos.padding();
        // Where the slowest pole alone asks for more than any limit allows, that estimate will do to say so.
        let slowest = (1.0 / error_bound).ln() / (1.0 - sos.pole_radius());
        let ahead = if slowest > LONGEST { slowest as usize } else { decay_samples(sos, error_bound) }.max(pad + 1);
        Self { frame: ahead.max(rate_hz.ceil() as usize), ahead, pad }
    }

    /// Samples that a group's ring holds.
    fn ring(&self) -> usize {
        self.frame + self.ahead
    }

    /// Bytes for that many channels, rounded up to tiles of eight.
    pub fn memory_bytes(&self, channels: usize) -> u64 {
        (channels.div_ceil(LANES) * (self.ring() + self.pad + 1) * size_of::<Lanes>()) as u64
    }
}

/// The zero-phase Stage.
pub(super) struct Framed {
    shape: Shape,
    error_bound: f64,
    info: StreamInfo,
    sos: Sos,
    groups: Vec<Group>,
    work: Work,
    /// The segment under way; `None` before its first sample.
    at: Option<Place>,
}

/// Where a segment stands, in sample indices of the stream.
#[derive(Clone, Copy)]
struct Place {
    segment: u32,
    start: i64,
    emitted: i64,
    seen: i64,
}

/// Eight channels.
struct Group {
    /// Forward output from `emitted` to `seen`, sample i at i mod its length; raw until the forward pass has started.
    ring: Vec<Lanes>,
    /// The last raw samples, for the extension at the segment's end.
    tail: Vec<Lanes>,
    /// Forward pass.
    state: Vec<TileState>,
}

/// What groups share, one after the other.
struct Work {
    steady: Vec<State>,
    back: Vec<TileState>,
    extension: Vec<Lanes>,
}

impl Framed {
    pub fn new(sos: Sos, shape: Shape, error_bound: f64, input: &StreamInfo) -> Self {
        let fresh = vec![[[0.0; LANES]; 2]; sos.sections().len()];
        let zeros = |n| vec![[0.0; LANES]; n];
        let group = |_| Group { ring: zeros(shape.ring()), tail: zeros(shape.pad + 1), state: fresh.clone() };
        let groups = (0..input.channels.len().div_ceil(LANES)).map(group).collect();
        let work = Work { steady: sos.steady_state(), back: fresh.clone(), extension: zeros(shape.pad) };
        let info = StreamInfo { max_block: (input.max_block + shape.frame).max(shape.ring()), ..input.clone() };
        Self { shape, error_bound, info, sos, groups, work, at: None }
    }
}

impl Stage for Framed {
    fn output(&self) -> &StreamInfo {
        &self.info
    }

    fn lookahead(&self) -> u64 {
        self.shape.ring() as u64
    }

    fn push(&mut self, input: &Block, out: &mut Block) {
        let place = self.at.unwrap_or(Place {
            segment: input.segment(),
            start: input.first(),
            emitted: input.first(),
            seen: input.first(),
        });
        let (frame, ahead) = (self.shape.frame as i64, self.shape.ahead as i64);
        let ready = ((input.end() - ahead).div_euclid(frame) * frame).max(place.emitted);
        out.start(place.segment, place.emitted, (ready - place.emitted) as usize);
        for (g, group) in self.groups.iter_mut().enumerate() {
            group.push(self.shape, &self.sos, &mut self.work, place, input.group(g), out.group_mut(g));
        }
        if !input.is_empty() {
            self.at = Some(Place { emitted: ready, seen: input.end(), ..place });
        }
    }

    fn finish(&mut self, out: &mut Block) {
        let Some(place) = self.at else { return out.start(0, 0, 0) };
        out.start(place.segment, place.emitted, (place.seen - place.emitted) as usize);
        for (g, group) in self.groups.iter_mut().enumerate() {
            group.finish(self.shape, &self.sos, &mut self.work, place, out.group_mut(g));
        }
        self.at = Some(Place { emitted: place.seen, ..place });
    }

    fn reset(&mut self) {
        self.at = None;
    }

    fn memory_bytes(&self) -> u64 {
        self.shape.memory_bytes(self.info.channels.len())
    }

    fn notes(&self) -> String {
        let seconds = |samples: usize| samples as f64 / self.info.rate_hz();
        format!(
            "{} second-order sections, zero phase within {:e} of the range, look-ahead {:.2} s in frames of {:.2} s, {:.1} MB",
            self.sos.sections().len(),
            self.error_bound,
            seconds(self.shape.ahead),
            seconds(self.shape.frame),
            self.memory_bytes() as f64 / f64::from(1 << 20)
        )
    }
}

impl Group {
    fn push(
        &mut self,
        shape: Shape,
        sos: &Sos,
        work: &mut Work,
        place: Place,
        mut input: &[Lanes],
        mut out: &mut [Lanes],
    ) {
        self.keep_tail(input);
        let (frame, ahead) = (shape.frame as i64, shape.ahead as i64);
        let Place { start, mut emitted, mut seen, .. } = place;
        while !input.is_empty() {
            let frame_end = (emitted.div_euclid(frame) + 1) * frame;
            let fits = input.len().min((frame_end + ahead - seen) as usize);
            let (now, later) = input.split_at(fits);
            let (from, to) = (seen, seen + fits as i64);
            let needed = start + shape.pad as i64;
            if from > needed {
                self.forward(sos, from, now);
            } else {
                self.wait(from, now);
                if to > needed {
                    self.begin(sos, work, start..to, shape.pad);
                }
            }
            (input, seen) = (later, to);
            if seen == frame_end + ahead {
                tile::settle(&work.steady, &self.ring[self.index(seen - 1)], &mut work.back);
                for part in self.parts(frame_end, shape.ahead).into_iter().rev() {
                    tile::backward_over(sos, &mut work.back, &self.ring[part]);
                }
                let (done, rest) = out.split_at_mut((frame_end - emitted) as usize);
                self.backward(sos, work, emitted, done);
                (out, emitted) = (rest, frame_end);
            }
        }
    }

    fn finish(&mut self, shape: Shape, sos: &Sos, work: &mut Work, place: Place, out: &mut [Lanes]) {
        let Place { start, emitted, seen, .. } = place;
        let length = (seen - start) as usize;
        if out.is_empty() {
            return;
        }
        let pad = shape.pad.min(length - 1);
        if length <= shape.pad {
            self.begin(sos, work, start..seen, pad);
        }
        let last = self.tail.len() - 1;
        let extension = &mut work.extension[..pad];
        for (i, x) in extension.iter_mut().enumerate() {
            *x = tile::mirrored(&self.tail[last], &self.tail[last - 1 - i]);
        }
        tile::forward(sos, &mut self.state, extension);
        let end = extension.last().unwrap_or(&self.ring[self.index(seen - 1)]);
        tile::settle(&work.steady, end, &mut work.back);
        tile::backward_over(sos, &mut work.back, extension);
        self.backward(sos, work, emitted, out);
    }

    /// Keeps raw samples until there are enough to extend the segment's start.
    fn wait(&mut self, from: i64, samples: &[Lanes]) {
        let [a, b] = self.parts(from, samples.len());
        let (early, late) = samples.split_at(a.len());
        self.ring[a].copy_from_slice(early);
        self.ring[b].copy_from_slice(late);
    }

    /// Starts the forward pass `pad` samples before the segment, over its first samples mirrored, and runs it over the
    /// raw samples that have waited.
    fn begin(&mut self, sos: &Sos, work: &mut Work, waiting: Range<i64>, pad: usize) {
        let start = waiting.start;
        let first = self.ring[self.index(start)];
        let extension = &mut work.extension[..pad];
        for (i, x) in extension.iter_mut().enumerate() {
            *x = tile::mirrored(&first, &self.ring[self.index(start + (pad - i) as i64)]);
        }
        tile::settle(&work.steady, extension.first().unwrap_or(&first), &mut self.state);
        tile::forward(sos, &mut self.state, extension);
        for part in self.parts(start, (waiting.end - start) as usize) {
            tile::forward(sos, &mut self.state, &mut self.ring[part]);
        }
    }

    /// Forward pass from the input into the ring.
    fn forward(&mut self, sos: &Sos, from: i64, samples: &[Lanes]) {
        let [a, b] = self.parts(from, samples.len());
        let (early, late) = samples.split_at(a.len());
        tile::forward_into(sos, &mut self.state, early, &mut self.ring[a]);
        tile::forward_into(sos, &mut self.state, late, &mut self.ring[b]);
    }

    /// Backward pass from the ring, sample `from` on, into `out`.
    fn backward(&self, sos: &Sos, work: &mut Work, from: i64, out: &mut [Lanes]) {
        let [a, b] = self.parts(from, out.len());
        let (early, late) = out.split_at_mut(a.len());
        tile::backward_into(sos, &mut work.back, &self.ring[b], late);
        tile::backward_into(sos, &mut work.back, &self.ring[a], early);
    }

    fn keep_tail(&mut self, input: &[Lanes]) {
        let keep = self.tail.len();
        if let Some(skip) = input.len().checked_sub(keep) {
            self.tail.copy_from_slice(&input[skip..]);
        } else {
            self.tail.copy_within(input.len().., 0);
            self.tail[keep - input.len()..].copy_from_slice(input);
        }
    }

    fn index(&self, sample: i64) -> usize {
        sample.rem_euclid(self.ring.len() as i64) as usize
    }

    /// Where `length` samples lie in the ring: up to its end, and on from its start.
    fn parts(&self, from: i64, length: usize) -> [Range<usize>; 2] {
        let from = self.index(from);
        let early = length.min(self.ring.len() - from);
        [from..from + early, 0..length - early]
    }
}
