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

    /// Appends a block; the oldest samples make room. With no room at all nothing is kept.
    pub fn push(&mut self, block: &Block) {
        if block.is_empty() || self.capacity == 0 {
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
    /// The same inside the stretches that cued events begin, anchored at each: a stretch lasts as long as its event, where that
    /// has a duration, and ends at the next such event and at the segment's end.
    Within {
        /// Samples between two windows.
        step: u64,
        /// Samples that may pass before an event is cued: so long a window waits, because a late one may end its stretch.
        late: u64,
    },
}

/// A stretch in which windows are cut by the clock, on the stream's samples.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    start: i64,
    end: i64,
    /// Where the next window begins.
    next: i64,
    event: Event,
    condition: u16,
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
    stretches: VecDeque<Stretch>,
    /// First sample of the segment (the lowest number in the first one), and whether its last sample has come.
    segment: (i64, bool),
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
            stretches: VecDeque::with_capacity(if matches!(trigger, Trigger::Within { .. }) { MAX_PENDING } else { 0 }),
            segment: (i64::MIN, false),
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
        if let Trigger::Within { .. } = self.trigger {
            return self.begin_stretch(event, condition);
        }
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

    fn begin_stretch(&mut self, event: &Event, condition: u16) -> bool {
        let start = self.clock.nearest_sample(event.tick);
        if self.stretches.len() == MAX_PENDING {
            self.overflow += 1;
            return false;
        }
        if start < self.segment.0 {
            return false;
        }
        let lasts = (event.duration_s * self.clock.rate_hz()).round();
        let mut end = if lasts > 0.0 { start.saturating_add(lasts as i64) } else { i64::MAX };
        let at = self.stretches.partition_point(|s| s.start <= start);
        if let Some(next) = self.stretches.get(at) {
            end = end.min(next.start);
        }
        if let Some(before) = at.checked_sub(1).and_then(|i| self.stretches.get_mut(i)) {
            before.end = before.end.min(start);
        }
        self.stretches.insert(at, Stretch { start, end, next: start, event: *event, condition });
        true
    }

    /// Windows of the stretches, as far as nothing that comes later can end them earlier.
    fn by_stretch(&mut self, origin: i64, end: i64, step: u64, late: u64) {
        let wait = if self.segment.1 { 0 } else { late as i64 };
        while let Some(stretch) = self.stretches.front_mut().filter(|_| self.due.len() < MAX_PENDING) {
            stretch.next = stretch.next.max(origin);
            let stop = stretch.next + self.len as i64;
            if stop > stretch.end {
                self.stretches.pop_front();
                continue;
            }
            if stop + wait > end {
                return;
            }
            let tick = Tick(self.clock.tick_of(stretch.next).round() as i64);
            let event = Event::new(tick, stretch.event.name);
            let (condition, sample) = (stretch.condition, stretch.next - self.first);
            stretch.next += step as i64;
            self.due.push_back(Due { event, trial: self.next_trial, condition, onset_s: f64::NAN, sample });
            self.next_trial += 1;
        }
    }

    /// The segment began at `start` on the clock: windows by the clock are anchored here.
    fn by_clock(&mut self, start: i64, end: i64) {
        let step = match self.trigger {
            Trigger::Event => return,
            Trigger::Within { step, late } => return self.by_stretch(start, end, step, late),
            Trigger::Every { step } => step,
        };
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

    /// All samples of the segment are in the rings: no window waits any longer.
    pub fn segment_ends(&mut self) {
        self.segment.1 = true;
    }

    /// A new segment follows, from tick `first`: windows by the clock start anew, stretches end.
    pub fn next_segment(&mut self, first: Tick) {
        self.next_by_clock = None;
        let from = self.clock.first_sample_from(first);
        self.segment = (from, false);
        self.stretches.retain(|s| s.start >= from);
        self.segments_ended += 1;
        self.bridged.retain(|g| g.1 >= first.0);
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.next_by_clock = None;
        self.stretches.clear();
        self.segment = (i64::MIN, false);
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

    #[test]
    fn stretches_hold_windows_of_their_own_whatever_comes_late() {
        let clock = Clock::stored(Rate::new(100, 1).unwrap());
        let lasting = |tick, name, seconds| Event { duration_s: seconds, ..Event::new(Tick(tick), EventName(name)) };
        // 10…40 by its duration; 50…65 up to the next; 65… to the end of the samples, 100
        let events = [lasting(10, 0, 0.3), lasting(50, 1, 0.0), lasting(65, 0, 0.0)];
        let want = [(10, 0), (20, 0), (30, 0), (50, 1), (65, 0), (75, 0), (85, 0)];
        for late in [0_i64, 5] {
            for size in [1, 3, 16] {
                let mut ring = Ring::new(1, 64);
                let mut schedule = Schedule::new(clock, Trigger::Within { step: 10, late: late as u64 }, 0, 10);
                let (mut epoch, mut got, mut cued) = (Epoch::new(clock, 0, 1, 10), Vec::new(), 0);
                let mut take = |schedule: &mut Schedule, ring: &Ring| {
                    while let Some(reason) = schedule.next(std::iter::once(ring), &mut epoch) {
                        assert_eq!(reason, None);
                        assert_eq!(epoch.channel(0)[0], epoch.event.tick.0 as f64);
                        got.push((epoch.event.tick.0, epoch.condition));
                    }
                };
                for at in (0..100).step_by(size) {
                    let len = size.min(100 - at as usize);
                    // at the last moment that is allowed
                    while cued < 3 && events[cued].tick.0 + late < at + len as i64 {
                        assert!(schedule.cue(&events[cued], events[cued].name.0 as u16, 0.0));
                        cued += 1;
                    }
                    ring.push(&ramp(at, len, 1));
                    take(&mut schedule, &ring);
                }
                schedule.segment_ends();
                take(&mut schedule, &ring);
                assert_eq!(got, want, "late {late}, blocks of {size}");
            }
        }
    }

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
