//! Doors in.

use crate::Result;
use crate::signal::{Block, Recording};

/// A door in. Pulls because files wait; acquisition pushes into the pipeline instead and needs no Source.
///
/// Protocol: `recording` → `select`? → `read`* → (`rewind` → `read`*)*.
pub trait Source: Send {
    /// What it holds.
    fn recording(&self) -> &Recording;

    /// From now on `read` yields these channels (indices into the stream's channels, in this order) of this stream.
    /// Until called it yields all channels of the main stream. Rewinds.
    ///
    /// # Errors
    /// When stream or channel does not exist.
    fn select(&mut self, stream: usize, channels: &[usize]) -> Result<()>;

    /// Fills `out` (capacity > 0, as many channels as selected) with the next samples; `false` at the end.
    /// A block never spans two segments; its `first` is the tick of its first sample.
    ///
    /// # Errors
    /// When the bytes cannot be read or are not what the header promised.
    fn read(&mut self, out: &mut Block) -> Result<bool>;

    /// Back to the first sample.
    ///
    /// # Errors
    /// When the source cannot be read twice (a pipe).
    fn rewind(&mut self) -> Result<()>;

    /// What lies before tick `first` is not needed: `read` may go on there. A source that cannot jump reads on as it is.
    ///
    /// # Errors
    /// When the bytes cannot be reached.
    fn skip_to(&mut self, _first: i64) -> Result<()> {
        Ok(())
    }

    /// Bytes of sample data read so far and in all, for the progress bar.
    fn progress(&self) -> (u64, u64);
}

/// Reads everything that is selected into planar rows, channel after channel: for tests and small files.
///
/// # Errors
/// As [`Source::read`].
pub fn read_all(source: &mut dyn Source, channels: usize, block: usize) -> Result<Vec<Vec<f64>>> {
    let mut rows = vec![Vec::new(); channels];
    let mut buffer = Block::new(channels, block);
    while source.read(&mut buffer)? {
        for (c, row) in rows.iter_mut().enumerate() {
            row.extend((0..buffer.len()).map(|s| buffer.get(c, s)));
        }
    }
    Ok(rows)
}
