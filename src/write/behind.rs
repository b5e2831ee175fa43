//! Samples to a file on a thread of its own: whoever makes them goes on while they are put together and written.

use super::sink::Sink;
use std::io::{Error, Result};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use tempfile::NamedTempFile;

/// Pieces that are handed over at once: to wake a thread costs as much as a piece.
const PIECES: usize = 16;
/// Handfuls that may wait.
const WAITING: usize = 2;

/// A file that is written behind its maker's back.
#[derive(Debug)]
pub(super) struct Behind {
    to: Option<SyncSender<Vec<Piece>>>,
    pieces: Vec<Piece>,
    back: Receiver<Vec<u8>>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// Samples as they are stored, the channels in parts, each of them sample by sample.
#[derive(Debug)]
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
        Ok(Self { to: Some(to), pieces: Vec::with_capacity(PIECES), back, thread: Some(thread) })
    }

    /// Hands over so many samples, the channels in parts.
    pub fn write(&mut self, samples: usize, parts: Vec<Vec<u8>>) -> Result<()> {
        self.pieces.push(Piece { samples, parts });
        if self.pieces.len() < PIECES { Ok(()) } else { self.send() }
    }

    fn send(&mut self) -> Result<()> {
        let pieces = std::mem::replace(&mut self.pieces, Vec::with_capacity(PIECES));
        match self.to.as_ref().map(|to| to.send(pieces)) {
            Some(Ok(())) => Ok(()),
            // the thread has stopped: it says why
            _ => self.stop(),
        }
    }

    /// A buffer that is free again.
    pub fn spare(&mut self) -> Option<Vec<u8>> {
        self.back.try_recv().ok()
    }

    /// Waits until everything is written.
    pub fn finish(&mut self) -> Result<()> {
        self.send()?;
        self.stop()
    }

    fn stop(&mut self) -> Result<()> {
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

fn write_all(mut sink: Sink, pieces: &Receiver<Vec<Piece>>, back: &Sender<Vec<u8>>) -> Result<()> {
    for Piece { samples, parts } in pieces.iter().flatten() {
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
