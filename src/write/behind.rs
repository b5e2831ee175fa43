//! Bytes to a file on a thread of its own: whoever makes them goes on while they are written.

use std::fs::File;
use std::io::{Result, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

/// Buffers that may wait.
const WAITING: usize = 2;
/// Bytes after which the disk is asked to take what it has: else all of it would have to wait for the disk at the end.
const AT_ONCE: usize = 64 << 20;

/// A file that is written behind its maker's back.
#[derive(Debug)]
pub(super) struct Behind {
    to: Option<SyncSender<Vec<u8>>>,
    back: Receiver<Vec<u8>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Behind {
    pub fn new(file: File) -> Self {
        let (to, buffers) = sync_channel(WAITING);
        let (give_back, back) = channel();
        let thread = std::thread::spawn(move || write_all(file, &buffers, &give_back));
        Self { to: Some(to), back, thread: Some(thread) }
    }

    /// Hands a buffer over; gives one to be filled next.
    pub fn write(&mut self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        let gone = self.to.as_ref().is_none_or(|to| to.send(bytes).is_err());
        if gone {
            // the thread has stopped: it says why
            self.finish()?;
        }
        Ok(self.back.try_recv().unwrap_or_default())
    }

    /// Waits until everything is written.
    pub fn finish(&mut self) -> Result<()> {
        self.to = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(written)) => written,
            Some(Err(_)) | None => Err(std::io::Error::other("the thread that writes has stopped")),
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

fn write_all(mut file: File, buffers: &Receiver<Vec<u8>>, back: &Sender<Vec<u8>>) -> Result<()> {
    let mut since = 0;
    for bytes in buffers {
        file.write_all(&bytes)?;
        since += bytes.len();
        if since >= AT_ONCE {
            since = 0;
            file.sync_data()?;
        }
        // nobody may be left to take it
        let _ = back.send(bytes);
    }
    Ok(())
}
