//! Some Stages in a row outside a pipeline: blocks go in, what leaves the last one waits in order.

use super::front::Watched;
use crate::flow::Stage;
use crate::signal::Block;
use std::collections::VecDeque;

/// Stages, the block that each fills, and what is ready.
pub(super) struct Slots {
    slots: Vec<(Box<dyn Stage>, Block)>,
    /// What has left the last Stage and was not taken.
    pub ready: VecDeque<Block>,
    segment: Option<u32>,
}

impl Slots {
    /// Nobody watches here: that is the pipeline's business.
    pub fn new(stages: Vec<Watched>) -> Self {
        let slot = |(stage, _): Watched| (Block::for_stream(stage.output()), stage);
        let slots = stages.into_iter().map(slot).map(|(block, stage)| (stage, block)).collect();
        Self { slots, ready: VecDeque::new(), segment: None }
    }

    /// Whether there is no Stage at all.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// A block of the source; where it begins a segment, the one before is finished first.
    pub fn push(&mut self, block: &Block) {
        if self.segment.replace(block.segment()).is_some_and(|before| before != block.segment()) {
            self.finish();
        }
        self.through(0, block);
    }

    /// The segment has ended: every Stage gives its tail, then forgets.
    pub fn finish(&mut self) {
        for i in 0..self.slots.len() {
            let (stage, out) = &mut self.slots[i];
            let mut out = std::mem::replace(out, Block::new(0, 0));
            stage.finish(&mut out);
            stage.reset();
            self.through(i + 1, &out);
            self.slots[i].1 = out;
        }
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.slots.iter_mut().for_each(|(stage, _)| stage.reset());
        self.ready.clear();
        self.segment = None;
    }

    fn through(&mut self, from: usize, block: &Block) {
        if block.is_empty() {
            return;
        }
        if from == self.slots.len() {
            let mut own = Block::new(block.channels(), block.len());
            own.copy_from(block, 0, block.len(), 0);
            return self.ready.push_back(own);
        }
        let (stage, out) = &mut self.slots[from];
        let mut out = std::mem::replace(out, Block::new(0, 0));
        stage.push(block, &mut out);
        self.through(from + 1, &out);
        self.slots[from].1 = out;
    }
}
