//! A file that is written from its beginning to its end, and must be on the disk before it gets its name.
//!
//! What a recording leaves is larger than what anyone reads of it soon. On Linux its chunks go to the disk past the cache
//! (O_DIRECT): two to four times as fast as writing them and asking the disk to take them afterwards, a copy less, and what is cached
//! of the recordings that come next stays cached. Where a file system cannot do so they go the ordinary way, and the disk is asked from time to
//! time: else all of it would have to wait for the disk at the end.

use std::fs::File;
use std::io::{ErrorKind, Result, Seek, SeekFrom, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// Bytes that are written at once.
const CHUNK: usize = 4 << 20;
/// Where in memory a chunk begins, and where in the file: at a multiple of this, as disks want it.
const ALIGNED: usize = 4096;
/// Bytes after which the disk is asked to take what it has.
const ASKED: u64 = 64 << 20;

#[derive(Debug)]
pub(super) struct Sink {
    file: File,
    /// The same file past the cache.
    direct: Option<File>,
    /// A chunk, from `start` on.
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    written: u64,
    asked: u64,
}

impl Sink {
    /// For an empty file.
    ///
    /// # Errors
    /// When it cannot be opened a second time.
    pub fn new(file: &NamedTempFile) -> Result<Self> {
        let buffer = vec![0; CHUNK + ALIGNED];
        let start = buffer.as_ptr().align_offset(ALIGNED).min(ALIGNED);
        let direct = past_the_cache(file.path());
        Ok(Self { file: file.as_file().try_clone()?, direct, buffer, start, filled: 0, written: 0, asked: 0 })
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// When the disk does.
    pub fn append(&mut self, mut bytes: &[u8]) -> Result<()> {
        while self.filled + bytes.len() >= CHUNK {
            let (now, later) = bytes.split_at(CHUNK - self.filled);
            self.keep(now);
            self.put()?;
            bytes = later;
        }
        self.keep(bytes);
        Ok(())
    }

    /// Writes what is left. Whoever names the file syncs it first.
    ///
    /// # Errors
    /// When the disk does.
    pub fn finish(mut self) -> Result<()> {
        // not a whole number of what disks write
        self.direct = None;
        self.put()
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.buffer[self.start + self.filled..][..bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
    }

    fn put(&mut self) -> Result<()> {
        let mut chunk = &self.buffer[self.start..][..self.filled];
        while let Some(direct) = self.direct.as_mut().filter(|_| !chunk.is_empty()) {
            match direct.write(chunk) {
                Ok(n) if n > 0 => {
                    self.written += n as u64;
                    chunk = &chunk[n..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // it cannot, or the disk is full: the ordinary way goes on from here, or says what is wrong
                Ok(_) | Err(_) => self.direct = None,
            }
        }
        if !chunk.is_empty() {
            self.file.seek(SeekFrom::Start(self.written))?;
            self.file.write_all(chunk)?;
            self.written += chunk.len() as u64;
            if self.written - self.asked >= ASKED {
                self.file.sync_data()?;
                self.asked = self.written;
            }
        }
        self.filled = 0;
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn past_the_cache(path: &Path) -> Option<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flag = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).ok()?;
    std::fs::OpenOptions::new().write(true).custom_flags(flag).open(path).ok()
}

#[cfg(not(target_os = "linux"))]
fn past_the_cache(_: &Path) -> Option<File> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_is_what_stands_in_the_file_past_the_cache_or_not() {
        for past in [true, false] {
            for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 12_345] {
                let file = NamedTempFile::new().unwrap();
                let bytes: Vec<u8> = (0..len).map(|i| ((i * i) >> 7) as u8).collect();
                let mut sink = Sink::new(&file).unwrap();
                assert_eq!(sink.buffer[sink.start..].as_ptr().addr() % ALIGNED, 0);
                if !past {
                    sink.direct = None;
                }
                bytes.chunks(1000).for_each(|part| sink.append(part).unwrap());
                sink.finish().unwrap();
                assert!(std::fs::read(file.path()).unwrap() == bytes, "{past} {len}");
            }
        }
    }
}
