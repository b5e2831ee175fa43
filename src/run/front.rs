//! The stream side of a pipeline: a run of channels through all Stages into a ring.

use super::holes::Holes;
use super::tap::Tap;
use crate::flow::{Ring, Stage, Watch};
use crate::signal::{Block, Event, LANES, Lanes, StreamInfo};
use crate::table::Table;
use multiversion::multiversion;
use std::ops::Range;

/// A Stage, who watches it, the block that it fills, and what keeps that.
struct Slot {
    stage: Box<dyn Stage>,
    watch: Option<Box<dyn Watch>>,
    out: Block,
    tap: Option<Tap>,
}

impl Slot {
    fn push(&mut self, block: &Block) {
        if let Some(watch) = &mut self.watch {
            watch.before(block);
        }
        self.stage.push(block, &mut self.out);
        if let Some(watch) = &mut self.watch {
            watch.after(&self.out);
        }
        if let Some(tap) = &mut self.tap {
            tap.keep(&self.out);
        }
    }

    fn finish(&mut self) {
        self.stage.finish(&mut self.out);
        if let Some(watch) = &mut self.watch {
            watch.after(&self.out);
            watch.end_segment();
        }
        if let Some(tap) = &mut self.tap {
            tap.keep(&self.out);
        }
    }
}

/// A Stage as it was built, and who watches it.
pub(super) type Watched = (Box<dyn Stage>, Option<Box<dyn Watch>>);

/// Some channel groups, all Stages, one ring. Fronts share nothing, so they may run on several threads;
/// every channel goes through the same arithmetic whatever the split.
pub(super) struct Front {
    /// Its channels among the pipeline's.
    pub channels: Range<usize>,
    slots: Vec<Slot>,
    pub ring: Ring,
    staging: Block,
    /// What was not finite, and room for a block in which it is held.
    pub holes: Holes,
    held: Block,
    /// Samples at the limits of the number type, outside bridged stretches, per channel.
    saturated: Saturation,
    monitored_after: usize,
    pub segment: Option<u32>,
}

impl Front {
    /// `monitored_after`: saturation is counted in what leaves this many Stages (1 behind the pulse Stage).
    pub fn new(
        channels: Range<usize>,
        input: &StreamInfo,
        stages: Vec<Watched>,
        ring: Ring,
        monitored_after: usize,
    ) -> Self {
        let slot = |(stage, watch): Watched| Slot { out: Block::for_stream(stage.output()), stage, watch, tap: None };
        let slots = stages.into_iter().map(slot).collect();
        let staging = Block::new(channels.len(), input.max_block);
        let (holes, held) = (Holes::new(channels.len()), staging.clone());
        let saturated = Saturation::new(&input.channels);
        Self { channels, slots, ring, staging, holes, held, saturated, monitored_after, segment: None }
    }

    /// An event, to every Stage.
    pub fn cue(&mut self, event: &Event) {
        self.slots.iter_mut().for_each(|s| s.stage.cue(event));
    }

    /// A block of exactly this front's channels, no longer than the input's `max_block`.
    pub fn push(&mut self, block: &Block) {
        self.segment = Some(block.segment());
        let block = if self.holes.pass(block) {
            block
        } else {
            self.holes.hold(block, &mut self.held);
            self.slots.iter_mut().filter_map(|slot| slot.tap.as_mut()).for_each(|tap| tap.note_holes(block));
            &self.held
        };
        through(&mut self.slots, block, &mut self.ring, &mut self.saturated, self.monitored_after);
    }

    /// Samples `from..from + len` of a block of all channels: this front's part of them, in pieces.
    pub fn push_range(&mut self, block: &Block, from: usize, len: usize) {
        let step = self.staging.capacity();
        if self.channels.len() == block.channels() && len == block.len() && len <= step {
            return self.push(block);
        }
        // the staging block is lent out, not copied: an empty block allocates nothing
        let mut staging = std::mem::replace(&mut self.staging, Block::new(0, 0));
        for at in (from..from + len).step_by(step) {
            staging.copy_from(block, at, step.min(from + len - at), self.channels.start / LANES);
            self.push(&staging);
        }
        self.staging = staging;
    }

    /// The segment has ended: every Stage gives its tail, then forgets.
    pub fn finish(&mut self) {
        for i in 0..self.slots.len() {
            let (head, rest) = self.slots.split_at_mut(i + 1);
            let slot = &mut head[i];
            slot.finish();
            if !slot.out.is_empty() {
                let left = self.monitored_after.wrapping_sub(i + 1);
                through(rest, &slot.out, &mut self.ring, &mut self.saturated, left);
            }
            slot.stage.reset();
        }
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        for slot in &mut self.slots {
            slot.stage.reset();
            if let Some(watch) = &mut slot.watch {
                watch.reset();
            }
        }
        self.ring.clear();
        self.holes.forget_past();
        self.saturated.counts.fill(0);
        self.saturated.samples = 0;
        self.segment = None;
    }

    /// (samples at a limit, samples) over its channels.
    pub fn saturation(&self) -> (u64, u64) {
        (self.saturated.counts.iter().sum(), self.saturated.samples)
    }

    /// From now on what leaves the Stage at `place` is kept; clock and channels of that.
    pub fn tap(&mut self, place: usize) -> Option<&StreamInfo> {
        let slot = self.slots.get_mut(place)?;
        slot.tap = Some(Tap::default());
        Some(slot.stage.output())
    }

    /// What is kept.
    pub fn tapped(&mut self) -> Option<&mut Tap> {
        self.slots.iter_mut().find_map(|slot| slot.tap.as_mut())
    }

    /// Who watches, Stage by Stage.
    pub fn watches(&mut self) -> impl Iterator<Item = &mut Box<dyn Watch>> {
        self.slots.iter_mut().filter_map(|slot| slot.watch.as_mut())
    }

    /// The tables of those who watch, Stage by Stage.
    pub fn report(&self) -> Vec<Table> {
        self.slots.iter().filter_map(|slot| slot.watch.as_ref()).flat_map(|watch| watch.report()).collect()
    }

    pub fn memory_bytes(&self) -> u64 {
        let watches: u64 = self.slots.iter().filter_map(|s| s.watch.as_ref()).map(|w| w.memory_bytes()).sum();
        let blocks: usize = self.slots.iter().map(|s| s.out.capacity() * s.out.groups() * LANES * 8).sum();
        self.ring.memory_bytes()
            + watches
            + blocks as u64
            + self.slots.iter().map(|s| s.stage.memory_bytes()).sum::<u64>()
    }
}

/// Through the Stages `slots` and into the ring. `monitor` Stages from here the saturation is counted.
fn through(slots: &mut [Slot], block: &Block, ring: &mut Ring, saturated: &mut Saturation, monitor: usize) {
    if monitor == 0 {
        saturated.count(block);
    }
    match slots.split_first_mut() {
        None => ring.push(block),
        Some((slot, rest)) => {
            slot.push(block);
            if !slot.out.is_empty() {
                through(rest, &slot.out, ring, saturated, monitor.wrapping_sub(1));
            }
        }
    }
}

/// Counts samples at the limits of the file's number type.
struct Saturation {
    low: Vec<[f64; LANES]>,
    high: Vec<[f64; LANES]>,
    counts: Vec<u64>,
    samples: u64,
    known: u64,
}

impl Saturation {
    fn new(channels: &[crate::signal::Channel]) -> Self {
        let groups = channels.len().div_ceil(LANES);
        let (mut low, mut high) = (vec![[f64::NEG_INFINITY; LANES]; groups], vec![[f64::INFINITY; LANES]; groups]);
        let mut known = 0;
        for (c, channel) in channels.iter().enumerate() {
            if let Some([a, b]) = channel.range.filter(|[a, b]| a < b) {
                // half a step inside, so that rounding in the scale does not matter
                let slack = (b - a) * 1e-9;
                (low[c / LANES][c % LANES], high[c / LANES][c % LANES]) = (a + slack, b - slack);
                known += 1;
            }
        }
        Self { low, high, counts: vec![0; groups], samples: 0, known }
    }

    fn count(&mut self, block: &Block) {
        if self.known == 0 {
            return;
        }
        self.samples += block.len() as u64 * self.known;
        for g in 0..block.groups() {
            let (low, high) = (&self.low[g], &self.high[g]);
            // nearly always nothing is at a limit, which the extremes tell at the speed of reading
            let (least, most) = extremes(block.group(g));
            if (0..LANES).any(|l| least[l] <= low[l] || most[l] >= high[l]) {
                self.counts[g] += block.group(g).iter().map(|s| at_limits(s, low, high)).sum::<u64>();
            }
        }
    }
}

/// Lowest and highest sample of each lane; NaN is passed over.
#[multiversion(targets("x86_64+avx+avx2"))]
fn extremes(tile: &[Lanes]) -> (Lanes, Lanes) {
    let (mut least, mut most) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
    for sample in tile {
        for lane in 0..LANES {
            least[lane] = if sample[lane] < least[lane] { sample[lane] } else { least[lane] };
            most[lane] = if sample[lane] > most[lane] { sample[lane] } else { most[lane] };
        }
    }
    (least, most)
}

fn at_limits(sample: &Lanes, low: &Lanes, high: &Lanes) -> u64 {
    (0..LANES).filter(|&l| sample[l] <= low[l] || sample[l] >= high[l]).count() as u64
}
