//! A block of consecutive samples, stored in tiles of eight channels so that recursive filters run eight lanes at once.

use super::StreamInfo;

/// Channels per tile.
pub const LANES: usize = 8;

/// One sample of eight neighbouring channels.
pub type Lanes = [f64; LANES];

/// Consecutive samples of one segment: `[group][sample][8]`. Channel `c` is lane `c % 8` of group `c / 8`.
///
/// The storage is allocated once, for `capacity` samples; a block never spans two segments.
/// Lanes past the last channel hold zeros or leftovers and are never read as channels.
#[derive(Debug, Clone)]
pub struct Block {
    segment: u32,
    first: i64,
    len: usize,
    channels: usize,
    capacity: usize,
    data: Vec<Lanes>,
}

impl Block {
    /// An empty block with room for `capacity` samples of `channels` channels.
    pub fn new(channels: usize, capacity: usize) -> Self {
        let groups = channels.div_ceil(LANES);
        Self { segment: 0, first: 0, len: 0, channels, capacity, data: vec![[0.0; LANES]; groups * capacity] }
    }

    /// An empty block that can hold anything `info` promises.
    pub fn for_stream(info: &StreamInfo) -> Self {
        Self::new(info.channels.len(), info.max_block)
    }

    /// Makes it an empty-to-be-filled block: `len` samples of `segment` from sample `first` (of this stream's clock).
    /// The samples keep what they held before.
    ///
    /// # Panics
    /// When `len` exceeds the capacity: a Stage that does so broke its own `max_block`.
    pub fn start(&mut self, segment: u32, first: i64, len: usize) {
        assert!(len <= self.capacity, "block of {len} samples, room for {}", self.capacity);
        (self.segment, self.first, self.len) = (segment, first, len);
    }

    /// Shortens the block to its first `len` samples.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Index of the segment in the recording.
    pub fn segment(&self) -> u32 {
        self.segment
    }

    /// Index of the first sample on this stream's clock.
    pub fn first(&self) -> i64 {
        self.first
    }

    /// One past the index of the last sample.
    pub fn end(&self) -> i64 {
        self.first + self.len as i64
    }

    /// Samples per channel.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Number of tiles of eight channels.
    pub fn groups(&self) -> usize {
        self.channels.div_ceil(LANES)
    }

    /// Most samples it can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The samples of eight channels.
    pub fn group(&self, group: usize) -> &[Lanes] {
        let at = group * self.capacity;
        &self.data[at..at + self.len]
    }

    /// The samples of eight channels, to be written.
    pub fn group_mut(&mut self, group: usize) -> &mut [Lanes] {
        let at = group * self.capacity;
        &mut self.data[at..at + self.len]
    }

    /// One value.
    pub fn get(&self, channel: usize, sample: usize) -> f64 {
        self.group(channel / LANES)[sample][channel % LANES]
    }

    /// Writes one value.
    pub fn set(&mut self, channel: usize, sample: usize, value: f64) {
        self.group_mut(channel / LANES)[sample][channel % LANES] = value;
    }

    /// Copies samples `from..from + len` of `other`'s groups `groups.start..` into this block (same clock).
    pub fn copy_from(&mut self, other: &Block, from: usize, len: usize, first_group: usize) {
        self.start(other.segment, other.first + from as i64, len);
        for g in 0..self.groups() {
            let source = &other.group(first_group + g)[from..from + len];
            self.group_mut(g).copy_from_slice(source);
        }
    }
}
