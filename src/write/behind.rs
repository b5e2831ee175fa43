//! Samples to a file on a thread of its own: whoever makes them goes on while they are put together and written.

use super::sink::Sink;
use std::io::{Error, Result};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use tempfile::NamedTempFile;

/// Pieces that may wait.
const WAITING: usize = 32;

/// A file that is written behind its maker's back.
#[derive(Debug)]
pub(super) struct Behind {
    to: Option<SyncSender<Piece>>,
    back: Receiver<Vec<u8>>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// Samples as they are stored, the channels in parts, each of them sample by sample.
struct Piece {
    samples: usize,
    parts: Vec<Vec<u8>>,
}

impl Behind {
    /// For an empty file.
    ///
    /// # Errors
    /// When the file cannot be opened a second time.
    pub fn new(file: &NamedTempFile) -> Result<Self> {
        let (to, pieces) = sync_channel(WAITING);
        let (give_back, back) = channel();
        let sink = Sink::new(file)?;
        let thread = std::thread::spawn(move || write_all(sink, &pieces, &give_back));
        Ok(Self { to: Some(to), back, thread: Some(thread) })
    }

    /// Hands over so many samples, the channels in parts.
    pub fn write(&mut self, samples: usize, parts: Vec<Vec<u8>>) -> Result<()> {
        match self.to.as_ref().map(|to| to.send(Piece { samples, parts })) {
            Some(Ok(())) => Ok(()),
            // the thread has stopped: it says why
            _ => self.finish(),
        }
    }

    /// A buffer that is free again.
    pub fn spare(&mut self) -> Option<Vec<u8>> {
        self.back.try_recv().ok()
    }

    /// Waits until everything is written.
    pub fn finish(&mut self) -> Result<()> {
        self.to = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(written)) => written,
            Some(Err(_)) | None => Err(Error::other("the thread that writes has stopped")),
        }
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.to = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write_all(mut sink: Sink, pieces: &Receiver<Piece>, back: &Sender<Vec<u8>>) -> Result<()> {
    for Piece { samples, parts } in pieces {
        for i in 0..samples {
            for part in &parts {
                let width = part.len() / samples;
                sink.append(&part[i * width..][..width])?;
            }
        }
        // nobody may be left to take them
        parts.into_iter().for_each(|part| drop(back.send(part)));
    }
    sink.finish()
}
