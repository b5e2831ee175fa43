//! What leaves a Stage, kept as it is stored until it is written down.

use crate::signal::Block;
use crate::write::brainvision::Encoding;
use std::collections::VecDeque;

const STORED: Encoding = Encoding::Float32;

/// Blocks in order. What was not finite on its way in is so again on its way out: Stages see such samples held.
#[derive(Default)]
pub(super) struct Tap {
    ready: VecDeque<Kept>,
    /// Buffers to be filled again.
    spare: Vec<Vec<u8>>,
    /// Samples of the first ready block that were taken.
    taken: usize,
    /// First sample, last sample, channel.
    holes: VecDeque<(i64, i64, usize)>,
}

/// A block as it is stored.
struct Kept {
    segment: u32,
    first: i64,
    len: usize,
    bytes: Vec<u8>,
}

impl Tap {
    /// Keeps what is in a block.
    pub fn keep(&mut self, block: &Block) {
        if block.is_empty() {
            return;
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        STORED.encode(block, &mut bytes);
        let frame = bytes.len() / block.len();
        let width = frame / block.channels();
        for &(low, high, channel) in &self.holes {
            for sample in low.max(block.first())..(high + 1).min(block.end()) {
                let at = (sample - block.first()) as usize * frame + channel * width;
                bytes[at..at + width].copy_from_slice(&f32::NAN.to_le_bytes());
            }
        }
        self.holes.retain(|hole| hole.1 >= block.end());
        self.ready.push_back(Kept { segment: block.segment(), first: block.first(), len: block.len(), bytes });
    }

    /// Notes what is not finite in a block that goes into the first Stage.
    pub fn note_holes(&mut self, block: &Block) {
        for channel in 0..block.channels() {
            for at in (0..block.len()).filter(|&at| !block.get(channel, at).is_finite()) {
                let sample = block.first() + at as i64;
                match self.holes.back_mut().filter(|hole| hole.2 == channel && hole.1 + 1 == sample) {
                    Some(hole) => hole.1 = sample,
                    None => self.holes.push_back((sample, sample, channel)),
                }
            }
        }
    }

    /// Segment, first sample and length of what is ready without a break.
    pub fn head(&self) -> Option<(u32, i64, usize)> {
        self.ready.front().map(|b| (b.segment, b.first + self.taken as i64, b.len - self.taken))
    }

    /// One past the last sample that is ready.
    pub fn end(&self) -> Option<i64> {
        self.ready.back().map(|b| b.first + b.len as i64)
    }

    /// Takes the first `len` samples of the head, which has as many: nearly always the whole of it.
    pub fn take(&mut self, len: usize) -> Vec<u8> {
        let Some(head) = self.ready.front_mut() else { return Vec::new() };
        let bytes = if len == head.len {
            std::mem::take(&mut head.bytes)
        } else {
            let frame = head.bytes.len() / head.len;
            head.bytes[self.taken * frame..(self.taken + len) * frame].to_vec()
        };
        self.taken += len;
        if self.taken == head.len {
            self.ready.pop_front();
            self.taken = 0;
        }
        bytes
    }

    /// Gives a buffer to be filled again.
    pub fn give(&mut self, spare: Vec<u8>) {
        self.spare.push(spare);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_finite_is_so_again_and_the_rest_is_handed_over_in_any_pieces() {
        let mut tap = Tap::default();
        let mut block = Block::new(3, 8);
        for first in [0, 8] {
            block.start(0, first, 8);
            (0..3).for_each(|c| (0..8).for_each(|s| block.set(c, s, (first + s as i64) as f64 + 100.0 * c as f64)));
            let mut raw = block.clone();
            (5..8).for_each(|s| raw.set(1, s, f64::NAN));
            raw.set(2, 0, f64::INFINITY);
            tap.note_holes(&raw);
            tap.keep(&block);
        }
        let mut seen = Vec::new();
        while let Some((_, first, len)) = tap.head() {
            let n = len.min(3);
            assert_eq!(first as usize, seen.len() / 3);
            seen.extend(tap.take(n).as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)));
        }
        assert_eq!((seen.len(), tap.end()), (48, None));
        for (i, frame) in seen.as_chunks::<3>().0.iter().enumerate() {
            assert_eq!(frame[0], i as f32);
            assert_eq!(frame[1].is_nan(), i % 8 >= 5, "{i}");
            assert_eq!(frame[2].is_nan(), i % 8 == 0, "{i}");
        }
        assert!(tap.holes.is_empty());
    }
}
