//! Epochs that wait for a Fit: in memory while they are few, in an unnamed temporary file when they are many.

use crate::flow::Rewind;
use crate::signal::{Epoch, Event, EventName};
use crate::unit::Tick;
use crate::{Error, ErrorKind, Result};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use tempfile::SpooledTempFile;

/// Epochs beyond this many bytes go to disk.
const IN_MEMORY: usize = 16 << 20;
/// Bytes in front of each epoch's samples.
const HEADER: usize = 8 + 8 + 8 + 8 + 4 + 2 + 8 + 8;

/// A first-in, read-as-often-as-you-like store of epochs of one shape. Samples are kept bit for bit.
pub(super) struct Spool {
    file: BufReader<SpooledTempFile>,
    bytes: Vec<u8>,
    count: u64,
    at: u64,
}

impl Spool {
    pub fn new() -> Self {
        Self {
            file: BufReader::with_capacity(1 << 16, SpooledTempFile::new(IN_MEMORY)),
            bytes: Vec::new(),
            count: 0,
            at: 0,
        }
    }

    /// Appends an epoch.
    pub fn push(&mut self, epoch: &Epoch) -> Result<()> {
        let bytes = &mut self.bytes;
        bytes.clear();
        bytes.extend(epoch.trial.to_le_bytes());
        bytes.extend(epoch.event.tick.0.to_le_bytes());
        bytes.extend(epoch.event.fraction.to_le_bytes());
        bytes.extend(epoch.event.duration_s.to_le_bytes());
        bytes.extend(epoch.event.name.0.to_le_bytes());
        bytes.extend(epoch.condition.to_le_bytes());
        bytes.extend(epoch.residual_us.to_le_bytes());
        bytes.extend(epoch.onset_s.to_le_bytes());
        bytes.extend(epoch.filled.iter().map(|&f| u8::from(f)));
        bytes.extend(epoch.enters.iter().chain(&epoch.bad).map(|&f| u8::from(f)));
        bytes.extend(epoch.data().iter().flat_map(|v| v.to_le_bytes()));
        self.count += 1;
        self.file.get_mut().write_all(bytes).map_err(|e| spool_error(&e))
    }

    /// How many epochs it holds.
    pub fn len(&self) -> u64 {
        self.count
    }
}

impl Rewind for Spool {
    fn rewind(&mut self) -> Result<()> {
        self.at = 0;
        self.file.seek(SeekFrom::Start(0)).map(drop).map_err(|e| spool_error(&e))
    }

    fn next(&mut self, out: &mut Epoch) -> Result<bool> {
        if self.at == self.count {
            return Ok(false);
        }
        let flags = out.len() + 2 * out.channels();
        self.bytes.resize(HEADER + flags + out.data().len() * 8, 0);
        self.file.read_exact(&mut self.bytes).map_err(|e| spool_error(&e))?;
        self.at += 1;
        let (header, rest) = self.bytes.split_at(HEADER);
        let (flags, samples) = rest.split_at(flags);
        let word = |at: usize| header[at..at + 8].try_into().unwrap_or([0; 8]);
        out.trial = u64::from_le_bytes(word(0));
        out.event = Event {
            tick: Tick(i64::from_le_bytes(word(8))),
            fraction: f64::from_le_bytes(word(16)),
            duration_s: f64::from_le_bytes(word(24)),
            name: EventName(u32::from_le_bytes([header[32], header[33], header[34], header[35]])),
        };
        out.condition = u16::from_le_bytes([header[36], header[37]]);
        out.residual_us = f64::from_le_bytes(word(38));
        out.onset_s = f64::from_le_bytes(word(46));
        let (filled, masks) = flags.split_at(out.len());
        let (enters, bad) = masks.split_at(out.channels());
        for (to, from) in [(&mut out.filled, filled), (&mut out.enters, enters), (&mut out.bad, bad)] {
            to.iter_mut().zip(from).for_each(|(t, f)| *t = *f != 0);
        }
        for (value, bytes) in out.data_mut().iter_mut().zip(samples.chunks_exact(8)) {
            *value = f64::from_le_bytes(bytes.try_into().unwrap_or([0; 8]));
        }
        Ok(true)
    }
}

fn spool_error(cause: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("the temporary file for epochs failed: {cause}"))
        .with_hint("free some space, or point TMPDIR to a larger disk")
}
