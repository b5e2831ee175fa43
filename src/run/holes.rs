//! What is not finite stays where it is.
//!
//! One NaN in a recursive filter would spoil everything behind it. So such samples are held at the channel's last value on
//! their way through the Stages, and put back as NaN into every epoch that they fall into: those trials are dropped as
//! `non_finite`, or their channel is found bad; no other trial notices.

use crate::signal::{Block, Epoch, LANES, Lanes};
use crate::unit::Tick;
use std::collections::VecDeque;

/// Stretches that may wait for the epochs they fall into. Beyond, neighbours are joined over all channels.
const MOST: usize = 1024;

/// Stands for every channel.
const ALL: u32 = u32::MAX;

/// Samples of some channels that were not finite.
pub(super) struct Holes {
    channels: usize,
    /// Last finite sample, per group.
    last: Vec<Lanes>,
    /// First tick, last tick, channel.
    found: VecDeque<(i64, i64, u32)>,
}

impl Holes {
    pub fn new(channels: usize) -> Self {
        let last = vec![[0.0; LANES]; channels.div_ceil(LANES)];
        Self { channels, last, found: VecDeque::with_capacity(MOST) }
    }

    /// Whether the block has none. Then it may go on as it is.
    pub fn pass(&mut self, block: &Block) -> bool {
        let whole = (0..block.groups()).all(|g| {
            let mut zero = [0.0; LANES];
            for sample in block.group(g) {
                for lane in 0..LANES {
                    // 0 · x is NaN where x is not finite
                    zero[lane] += sample[lane] * 0.0;
                }
            }
            zero.iter().take(self.channels - g * LANES).all(|z| *z == 0.0)
        });
        if whole {
            for (g, last) in self.last.iter_mut().enumerate() {
                *last = block.group(g).last().copied().unwrap_or(*last);
            }
        }
        whole
    }

    /// Copies the block into `out`, each channel held where it is not finite, and notes where that was.
    pub fn hold(&mut self, block: &Block, out: &mut Block) {
        out.copy_from(block, 0, block.len(), 0);
        for g in 0..block.groups() {
            for (at, sample) in out.group_mut(g).iter_mut().enumerate() {
                let lanes = LANES.min(self.channels - g * LANES);
                for (lane, (value, last)) in sample.iter_mut().zip(&mut self.last[g]).take(lanes).enumerate() {
                    if value.is_finite() {
                        *last = *value;
                    } else {
                        *value = *last;
                        note(&mut self.found, block.first() + at as i64, (g * LANES + lane) as u32);
                    }
                }
            }
        }
    }

    /// Puts NaN back into an epoch whose first sample is `from`; rows of these channels begin at `first_channel`.
    pub fn put_back(&self, epoch: &mut Epoch, from: i64, first_channel: usize) {
        for &(first, last, channel) in &self.found {
            // resampling has spread a sample to its neighbours
            let lo = (epoch.clock.first_sample_from(Tick(first)) - 1 - from).max(0);
            let hi = (epoch.clock.first_sample_from(Tick(last + 1)) + 1 - from).min(epoch.len() as i64);
            if lo >= hi {
                continue;
            }
            let rows = if channel == ALL { 0..self.channels } else { channel as usize..channel as usize + 1 };
            for row in rows {
                epoch.channel_mut(first_channel + row)[lo as usize..hi as usize].fill(f64::NAN);
            }
        }
    }

    /// A new segment follows: nothing is held over the gap.
    pub fn forget_past(&mut self) {
        self.last.fill([0.0; LANES]);
        self.found.clear();
    }
}

fn note(found: &mut VecDeque<(i64, i64, u32)>, tick: i64, channel: u32) {
    if let Some(run) = found.iter_mut().rev().take(4096).find(|run| run.2 == channel && run.1 + 1 >= tick) {
        run.1 = run.1.max(tick);
    } else if found.len() < MOST {
        found.push_back((tick, tick, channel));
    } else if let Some(run) = found.back_mut() {
        *run = (run.0.min(tick), run.1.max(tick), ALL);
    }
}

/// The first entering channel of an epoch that holds something not finite.
pub(super) fn spoiled(epoch: &Epoch) -> Option<u32> {
    let spoiled = |c: &usize| {
        let (chunks, rest) = epoch.channel(*c).as_chunks::<LANES>();
        let mut zero = [0.0; LANES];
        for chunk in chunks {
            (0..LANES).for_each(|lane| zero[lane] += chunk[lane] * 0.0);
        }
        zero.iter().sum::<f64>() + rest.iter().map(|v| v * 0.0).sum::<f64>() != 0.0
    };
    (0..epoch.channels()).filter(|&c| epoch.enters[c]).find(spoiled).map(|c| c as u32)
}
