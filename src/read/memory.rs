//! A recording in memory: for tests, simulations, and whoever already holds the samples.

use crate::flow::Source;
use crate::signal::{Block, Recording};
use crate::unit::Tick;
use crate::{Error, Result};

/// Planar rows behind the [`Source`] door, one set per stream.
#[derive(Debug, Clone)]
pub struct MemorySource {
    recording: Recording,
    rows: Vec<Vec<Vec<f64>>>,
    stream: usize,
    selected: Vec<usize>,
    position: u64,
}

impl MemorySource {
    /// `rows[stream][channel]` holds all stored samples of that channel, in the channel's unit.
    ///
    /// # Errors
    /// When the rows do not match the recording's streams, channels and segments.
    pub fn new(recording: Recording, rows: Vec<Vec<Vec<f64>>>) -> Result<Self> {
        let fits = rows.len() == recording.streams.len()
            && recording.streams.iter().zip(&rows).all(|(stream, rows)| {
                rows.len() == stream.channels.len() && rows.iter().all(|row| row.len() as u64 == stream.len())
            });
        if !fits || recording.main >= rows.len() {
            return Err(Error::usage("the rows do not have the shape that the recording describes"));
        }
        let main = recording.main;
        let selected = (0..recording.streams[main].channels.len()).collect();
        Ok(Self { recording, rows, stream: main, selected, position: 0 })
    }
}

impl Source for MemorySource {
    fn recording(&self) -> &Recording {
        &self.recording
    }

    fn select(&mut self, stream: usize, channels: &[usize]) -> Result<()> {
        let Some(rows) = self.rows.get(stream) else {
            return Err(Error::usage(format!("stream {stream} does not exist; there are {}", self.rows.len())));
        };
        if let Some(c) = channels.iter().find(|&&c| c >= rows.len()) {
            return Err(Error::usage(format!("channel {c} does not exist; stream {stream} has {}", rows.len())));
        }
        (self.stream, self.selected, self.position) = (stream, channels.to_vec(), 0);
        Ok(())
    }

    fn read(&mut self, out: &mut Block) -> Result<bool> {
        if out.channels() != self.selected.len() || out.capacity() == 0 {
            return Err(Error::usage("the block does not have the selected channels"));
        }
        let stream = &self.recording.streams[self.stream];
        let Some(index) = stream.segment_of(Tick(self.position as i64)).filter(|_| !self.selected.is_empty()) else {
            return Ok(false);
        };
        let left = stream.segments[index].end().0 as u64 - self.position;
        let len = left.min(out.capacity() as u64) as usize;
        out.start(index as u32, self.position as i64, len);
        let from = self.position as usize;
        for (k, &c) in self.selected.iter().enumerate() {
            for (s, &x) in self.rows[self.stream][c][from..from + len].iter().enumerate() {
                out.set(k, s, x);
            }
        }
        self.position += len as u64;
        Ok(true)
    }

    fn rewind(&mut self) -> Result<()> {
        self.position = 0;
        Ok(())
    }

    fn progress(&self) -> (u64, u64) {
        let stream = &self.recording.streams[self.stream];
        let frame = 8 * stream.channels.len() as u64;
        (self.position * frame, stream.len() * frame)
    }
}
