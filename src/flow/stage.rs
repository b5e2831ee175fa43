//! Work on an endless stream of blocks.

use super::{BuildContext, Problems, StreamFit, Watch};
use crate::signal::{Block, Event, StreamInfo};
use crate::table::TableSpec;

/// Work on an endless stream. Everything that can fail has failed in its constructor.
///
/// Protocol per segment: (`cue`* `push`)* `finish` `reset`. `out` has room for `output().max_block` samples, and each
/// call sets it (`Block::start`), to no samples where there is nothing to give yet.
/// Output is stamped on the source's time: sample `k` lies at tick `output().clock.tick_of(k)`, delays never leak.
pub trait Stage: Send {
    /// What leaves it; bounds every block, the one of `finish` included.
    fn output(&self) -> &StreamInfo;

    /// Input samples it must see beyond the one it emits.
    fn lookahead(&self) -> u64;

    /// Told of an event, before the sample `event.tick + late` has been pushed (late: the stated bound).
    fn cue(&mut self, _event: &Event) {}

    /// Takes a block, gives what has become ready. No allocation, lock, log or panic; bits do not depend on the cut.
    fn push(&mut self, input: &Block, out: &mut Block);

    /// The segment has ended: gives the tail.
    fn finish(&mut self, out: &mut Block);

    /// Forgets the past (a gap follows, or a new recording), keeps plans and buffers.
    fn reset(&mut self);

    /// Bytes of its buffers, for `check`.
    fn memory_bytes(&self) -> u64 {
        0
    }

    /// What a reader of `check` should know: the bound of the error, the number of taps, …
    fn notes(&self) -> String {
        String::new()
    }
}

/// A Stage's plain-data description, as it stands in a recipe.
pub trait StageConfig {
    /// Plans and allocates; reports every problem at once. `None` exactly when it reported one.
    fn build(&self, input: &StreamInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Stage>>;

    /// Whether it mixes channels (a reference does): then its input is not split over threads.
    fn joins_channels(&self) -> bool {
        false
    }

    /// What must look at the stream before the Stage can be built: then `build` takes its [`Model`](super::Model) from
    /// [`BuildContext::model`], and has a problem where there is none. `None` also where it reported a problem.
    fn fit(
        &self,
        _input: &StreamInfo,
        _context: &mut BuildContext,
        _problems: &mut Problems,
    ) -> Option<Box<dyn StreamFit>> {
        None
    }

    /// What watches the Stage at work: it sees what goes in and what comes out. Called after `build`, in the same context.
    fn watch(&self, _input: &StreamInfo, _output: &StreamInfo, _context: &BuildContext) -> Option<Box<dyn Watch>> {
        None
    }

    /// The tables that its [`Watch`] fills.
    fn tables(&self) -> &'static [&'static TableSpec] {
        &[]
    }
}
