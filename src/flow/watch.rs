//! Watch a Stage at work: what goes in, what comes out.

use crate::signal::Block;
use crate::table::Table;

/// Sees every block that goes into a Stage and every block that comes out, and reports at any moment. A Stage that looks ahead
/// gives a block later than it took it: `before` and `after` are matched by their sample indices, not by their turn.
///
/// Each runs on the channels of one front; tables of several fronts are joined in channel order.
pub trait Watch: Send {
    /// A block that goes in. Quiet: no allocation, lock, log or panic.
    fn before(&mut self, input: &Block);

    /// A block that came out (also from `finish`); may be empty. Quiet.
    fn after(&mut self, output: &Block);

    /// A block of another recording, of the same channels without stimulation, to compare with. Before the first `before`.
    fn quiet(&mut self, _block: &Block) {}

    /// The segment has ended. Quiet.
    fn end_segment(&mut self) {}

    /// The tables as of now. May allocate; never called from `push`.
    fn report(&self) -> Vec<Table>;

    /// Moves rows that grow with time out of its bounded queue; called between pushes.
    fn drain(&mut self, _out: &mut Vec<Table>) {}

    /// Forgets the recording.
    fn reset(&mut self) {}

    /// Bytes of its buffers, for `check`.
    fn memory_bytes(&self) -> u64 {
        0
    }
}
