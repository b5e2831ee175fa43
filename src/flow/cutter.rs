//! The one doorway from blocks to epochs.
//!
//! A [`Ring`] keeps the last stretch of samples of some channels; a [`Schedule`] knows which windows are due. They are
//! apart so that channel groups can be filtered on several threads, each into its own ring, and meet again only here.
//! The pre-stimulus part of a window has gone by when its event becomes known: that is what the ring is for.

use super::Reason;
use crate::signal::{Block, Epoch, Event, LANES, Lanes};
use crate::unit::{Clock, Tick};
use std::collections::VecDeque;

/// The most recent samples of a run of channels, one segment at a time, in tiles.
#[derive(Debug)]
pub struct Ring {
    channels: usize,
    capacity: usize,
    /// Samples held: `start..end` on the stream's clock.
    start: i64,
    end: i64,
    /// First sample of the segment, where it has begun.
    origin: Option<i64>,
    data: Vec<Lanes>,
}

impl Ring {
    /// Room for `capacity` samples of `channels` channels.
    pub fn new(channels: usize, capacity: usize) -> Self {
        let groups = channels.div_ceil(LANES);
        Self { channels, capacity, start: 0, end: 0, origin: None, data: vec![[0.0; LANES]; groups * capacity] }
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The samples it holds: first and one past the last.
    pub fn span(&self) -> (i64, i64) {
        (self.start, self.end)
    }

    /// Bytes of its buffer.
    pub fn memory_bytes(&self) -> u64 {
        (self.data.len() * size_of::<Lanes>()) as u64
    }

    /// Appends a block; the oldest samples make room.
    pub fn push(&mut self, block: &Block) {
        if block.is_empty() {
            return;
        }
        if self.origin.is_none() {
            self.origin = Some(block.first());
            (self.start, self.end) = (block.first(), block.first());
        }
        debug_assert_eq!(self.end, block.first(), "blocks of a segment follow each other");
        let skip = block.len().saturating_sub(self.capacity);
        for g in 0..block.groups() {
            let tile = &mut self.data[g * self.capacity..(g + 1) * self.capacity];
            let source = &block.group(g)[skip..];
            let at = (block.first() + skip as i64).rem_euclid(self.capacity as i64) as usize;
            let head = source.len().min(self.capacity - at);
            tile[at..at + head].copy_from_slice(&source[..head]);
            tile[..source.len() - head].copy_from_slice(&source[head..]);
        }
        self.end = block.end();
        self.start = self.start.max(self.end - self.capacity as i64);
    }

    /// Forgets everything: a new segment follows.
    pub fn clear(&mut self) {
        (self.start, self.end, self.origin) = (0, 0, None);
    }

    /// Copies samples `from..from + len` planar into the rows `first_channel..` of an epoch. All must be held.
    fn copy_to(&self, from: i64, epoch: &mut Epoch, first_channel: usize) {
        let len = epoch.len();
        let at = from.rem_euclid(self.capacity as i64) as usize;
        let head = len.min(self.capacity - at);
        for g in 0..self.channels.div_ceil(LANES) {
            let tile = &self.data[g * self.capacity..(g + 1) * self.capacity];
            let lanes = LANES.min(self.channels - g * LANES);
            let row = first_channel + g * LANES;
            let rows = &mut epoch.data_mut()[row * len..(row + lanes) * len];
            for (piece, offset) in [(&tile[at..at + head], 0), (&tile[..len - head], head)] {
                // a few hundred samples at a time, so that the tile stays in the first-level cache for all its lanes
                for (chunk, start) in piece.chunks(256).zip((offset..).step_by(256)) {
                    for (lane, out) in rows.chunks_exact_mut(len).enumerate() {
                        for (value, sample) in out[start..start + chunk.len()].iter_mut().zip(chunk) {
                            *value = sample[lane];
                        }
                    }
                }
            }
        }
    }
}

/// A window that is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    /// What it is cut around.
    pub event: Event,
    /// 0-based number among those asked for.
    pub trial: u64,
    /// Index of the condition.
    pub condition: u16,
    /// Seconds from the start of the recording; NaN for windows by the clock, which the engine fills in.
    pub onset_s: f64,
    /// The event's sample on the stream's clock.
    sample: i64,
}

/// When windows are cut: around events, or by the clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trigger {
    /// Around every cued event.
    Event,
    /// Every `step` samples from the first sample of each segment.
    Every {
        /// Samples between two windows.
        step: u64,
    },
}

/// Which windows are due, and which samples were bridged. Bounded; allocates nothing after construction.
#[derive(Debug)]
pub struct Schedule {
    clock: Clock,
    trigger: Trigger,
    first: i64,
    len: usize,
    due: VecDeque<Due>,
    /// Bridged stretches, first and last tick, in order of their first.
    bridged: VecDeque<(i64, i64)>,
    next_trial: u64,
    next_by_clock: Option<i64>,
    segments_ended: u32,
    /// Events that found the queue full: counted, so that nothing disappears.
    overflow: u64,
}

/// Most events that may be cued ahead of their samples.
pub const MAX_PENDING: usize = 8192;

impl Schedule {
    /// Windows of `len` samples from offset `first`.
    pub fn new(clock: Clock, trigger: Trigger, first: i64, len: usize) -> Self {
        Self {
            clock,
            trigger,
            first,
            len,
            due: VecDeque::with_capacity(MAX_PENDING),
            bridged: VecDeque::with_capacity(MAX_PENDING),
            next_trial: 0,
            next_by_clock: None,
            segments_ended: 0,
            overflow: 0,
        }
    }

    /// Offset of a window's first sample from the sample of what it is cut around.
    pub fn first(&self) -> i64 {
        self.first
    }

    /// An event to cut around. Returns `false` when the queue is full.
    pub fn cue(&mut self, event: &Event, condition: u16, onset_s: f64) -> bool {
        if self.due.len() == MAX_PENDING {
            self.overflow += 1;
            return false;
        }
        let sample = self.clock.nearest_sample(event.tick);
        let due = Due { event: *event, trial: self.next_trial, condition, onset_s, sample };
        self.next_trial += 1;
        let at = self.due.partition_point(|d| d.sample <= sample);
        self.due.insert(at, due);
        true
    }

    /// Samples `first..=last` (ticks) were or will be bridged.
    pub fn bridge(&mut self, first: Tick, last: Tick) {
        if self.bridged.len() == MAX_PENDING {
            self.bridged.pop_front();
        }
        let at = self.bridged.partition_point(|g| g.0 <= first.0);
        self.bridged.insert(at, (first.0, last.0));
    }

    /// How many events found the queue full.
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    /// How many windows have been asked for.
    pub fn trials(&self) -> u64 {
        self.next_trial
    }

    /// The segment began at `start` on the clock: windows by the clock are anchored here.
    fn by_clock(&mut self, start: i64, end: i64) {
        let Trigger::Every { step } = self.trigger else { return };
        let mut next = self.next_by_clock.unwrap_or(start - self.first);
        while next + self.first + self.len as i64 <= end && self.due.len() < MAX_PENDING {
            let tick = Tick(self.clock.tick_of(next).round() as i64);
            let event = Event::new(tick, crate::signal::EventName(u32::MAX));
            self.due.push_back(Due { event, trial: self.next_trial, condition: 0, onset_s: f64::NAN, sample: next });
            self.next_trial += 1;
            next += step as i64;
        }
        self.next_by_clock = Some(next);
    }

    /// Takes the next window that all rings hold, into `epoch`. `None`: nothing (more) is due.
    /// A window that has left the rings is returned with its reason and no samples.
    pub fn next<'r>(
        &mut self,
        rings: impl Iterator<Item = &'r Ring> + Clone,
        epoch: &mut Epoch,
    ) -> Option<Option<Reason>> {
        let (start, end) = held(rings.clone())?;
        let origin = rings.clone().filter_map(|r| r.origin).max().unwrap_or(start);
        self.by_clock(origin, end);
        let due = *self.due.front()?;
        let from = due.sample + self.first;
        if from + self.len as i64 > end {
            return None;
        }
        self.due.pop_front();
        self.describe(&due, epoch);
        if from < start {
            // before the segment's first sample, or cued so late that the ring had moved on
            let code = if from >= origin {
                "late"
            } else if self.segments_ended == 0 {
                "start"
            } else {
                "gap"
            };
            return Some(Some(Reason::new(code)));
        }
        let mut channel = 0;
        for ring in rings {
            ring.copy_to(from, epoch, channel);
            channel += ring.channels();
        }
        self.mark_bridged(from, epoch);
        Some(None)
    }

    /// The segment has ended and its last sample is in the rings: the next window that reaches beyond it, with the reason
    /// (`gap`, or `end` where nothing follows).
    pub fn next_cut_off<'r>(
        &mut self,
        rings: impl Iterator<Item = &'r Ring>,
        next_segment: Option<Tick>,
        epoch: &mut Epoch,
    ) -> Option<Reason> {
        let end = held(rings).map_or(i64::MIN, |(_, end)| end);
        let limit = next_segment.map_or(i64::MAX, |tick| self.clock.first_sample_from(tick).max(end));
        let due = *self.due.front().filter(|d| d.sample < limit)?;
        self.due.pop_front();
        self.describe(&due, epoch);
        Some(Reason::new(if next_segment.is_some() { "gap" } else { "end" }))
    }

    /// A new segment follows, from tick `first`: windows by the clock start anew.
    pub fn next_segment(&mut self, first: Tick) {
        self.next_by_clock = None;
        self.segments_ended += 1;
        self.bridged.retain(|g| g.1 >= first.0);
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.next_by_clock = None;
        self.bridged.clear();
        self.due.clear();
        (self.next_trial, self.overflow, self.segments_ended) = (0, 0, 0);
    }

    fn describe(&self, due: &Due, epoch: &mut Epoch) {
        epoch.event = due.event;
        epoch.trial = due.trial;
        epoch.condition = due.condition;
        epoch.onset_s = due.onset_s;
        let off = due.event.tick.0 as f64 + due.event.fraction - self.clock.tick_of(due.sample);
        epoch.residual_us = self.clock.input.seconds(off) * 1e6;
        epoch.filled.fill(false);
    }

    fn mark_bridged(&mut self, from: i64, epoch: &mut Epoch) {
        let first_tick = self.clock.tick_of(from);
        // bridged stretches that no later window can reach; windows are due in order
        while self.bridged.front().is_some_and(|g| (g.1 as f64) < first_tick - 1.0)
            && self.bridged.len() > MAX_PENDING / 2
        {
            self.bridged.pop_front();
        }
        for &(a, b) in &self.bridged {
            let lo = (self.clock.first_sample_from(Tick(a)) - from).max(0);
            let hi = (self.clock.first_sample_from(Tick(b + 1)) - from).min(epoch.len() as i64);
            for i in lo..hi {
                epoch.filled[i as usize] = true;
            }
        }
    }
}

/// What all rings hold together.
fn held<'r>(rings: impl Iterator<Item = &'r Ring>) -> Option<(i64, i64)> {
    rings.map(Ring::span).reduce(|a, b| (a.0.max(b.0), a.1.min(b.1))).filter(|(a, b)| a < b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::EventName;
    use crate::unit::Rate;

    fn ramp(first: i64, len: usize, channels: usize) -> Block {
        let mut block = Block::new(channels, len.max(1));
        block.start(0, first, len);
        for c in 0..channels {
            for s in 0..len {
                block.set(c, s, (first + s as i64) as f64 + 1000.0 * c as f64);
            }
        }
        block
    }

    #[test]
    fn windows_are_cut_wherever_the_blocks_end() {
        let clock = Clock::stored(Rate::new(100, 1).unwrap());
        for sizes in [vec![100], vec![1; 100], vec![7; 15]] {
            let mut ring = Ring::new(9, 32);
            let mut schedule = Schedule::new(clock, Trigger::Event, -5, 11);
            for t in [3, 20, 50, 97] {
                schedule.cue(&Event::new(Tick(t), EventName(0)), 0, 0.0);
            }
            let (mut at, mut got, mut epoch) = (0, Vec::new(), Epoch::new(clock, -5, 9, 11));
            for size in sizes {
                // blocks no longer than what the ring holds beside a window
                for start in (0..size).step_by(16) {
                    let len = 16.min(size - start).min(100 - at as usize);
                    ring.push(&ramp(at, len, 9));
                    at += len as i64;
                    while let Some(reason) = schedule.next(std::iter::once(&ring), &mut epoch) {
                        got.push((epoch.event.tick.0, reason.map(|r| r.code), epoch.channel(8)[5]));
                    }
                }
            }
            while let Some(reason) = schedule.next_cut_off(std::iter::once(&ring), None, &mut epoch) {
                got.push((epoch.event.tick.0, Some(reason.code), 0.0));
            }
            assert_eq!(got[0].1, Some("start"));
            assert_eq!(got[1..3], [(20, None, 8020.0), (50, None, 8050.0)]);
            assert_eq!(got[3..], [(97, Some("end"), 0.0)]);
        }
    }
}
