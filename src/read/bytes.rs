//! Where a reader's bytes come from: a file, memory, or a fuzzer's idea of a file.
//!
//! Readers never see a path. They take a [`ByteStore`], and BrainVision and EEGLAB, whose recordings are several files,
//! take a [`Folder`] that hands out stores by name and never leaves the folder.

use crate::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Bytes that can be read anywhere, in any order.
pub trait ByteStore: Send {
    /// Number of bytes.
    fn len(&self) -> u64;

    /// Reads into `buffer` from byte `offset` on and says how many bytes came; 0 at or after the end.
    ///
    /// # Errors
    /// When the medium fails.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Whether there is no byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Fills `buffer` from byte `offset` on.
///
/// # Errors
/// When the medium fails ([`ErrorKind::Io`]) or the bytes end early, because the file shrank since it was opened.
pub fn read_exact_at(store: &mut dyn ByteStore, offset: u64, buffer: &mut [u8]) -> Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        match store.read_at(offset + done as u64, &mut buffer[done..]) {
            Ok(0) => {
                return Err(Error::format("the file ends in the middle of its data")
                    .at_offset(offset + done as u64)
                    .with_hint("it changed while it was being read; run again"));
            }
            Ok(n) => done += n,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(Error::new(ErrorKind::Io, cause.to_string()).at_offset(offset + done as u64)),
        }
    }
    Ok(())
}

/// Reads `length` bytes at `offset`. The length is checked against the store before anything is allocated.
///
/// # Errors
/// As [`read_exact_at`], and when the store is shorter or memory is short.
pub fn read_vec(store: &mut dyn ByteStore, offset: u64, length: u64) -> Result<Vec<u8>> {
    if offset.checked_add(length).is_none_or(|end| end > store.len()) {
        return Err(Error::format(format!("{length} bytes expected, but the file ends at byte {}", store.len()))
            .at_offset(offset));
    }
    let mut bytes = zeroed(length)?;
    read_exact_at(store, offset, &mut bytes)?;
    Ok(bytes)
}

/// A buffer of `length` zeros, or an error instead of an abort where memory is short.
///
/// # Errors
/// When the allocation fails.
pub(crate) fn zeroed(length: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = usize::try_from(length).map_err(|_| short_of_memory(length))?;
    bytes.try_reserve_exact(length).map_err(|_| short_of_memory(length as u64))?;
    bytes.resize(length, 0);
    Ok(bytes)
}

fn short_of_memory(length: u64) -> Error {
    Error::new(ErrorKind::Io, format!("not enough memory for {length} bytes"))
}

/// A regular file, read with positioned reads.
#[derive(Debug)]
pub struct FileStore {
    file: File,
    len: u64,
}

impl FileStore {
    /// Opens a regular file. A folder, a device or a named pipe is refused before it is opened, so this never blocks.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when it is missing, unreadable or not a regular file.
    pub fn open(path: &Path) -> Result<Self> {
        let refuse = |what: &str, hint: &str| {
            Error::new(ErrorKind::Input, what.to_owned()).at_path(path).with_hint(hint.to_owned())
        };
        let found = std::fs::metadata(path).map_err(|cause| Error::input(path, &cause))?;
        if found.is_dir() {
            return Err(refuse("this is a folder", "name a recording inside it"));
        }
        if !found.is_file() {
            return Err(refuse("this is not a regular file", "copy the recording to a file first"));
        }
        let file = File::open(path).map_err(|cause| Error::input(path, &cause))?;
        let len = file.metadata().map_err(|cause| Error::input(path, &cause))?.len();
        Ok(Self { file, len })
    }

    /// Copies a pipe into a nameless temporary file, so that every format can be read from it.
    ///
    /// # Errors
    /// When the pipe fails or the temporary folder is full ([`ErrorKind::Io`]).
    pub fn spool(mut pipe: impl Read) -> Result<Self> {
        let fail = |cause: io::Error| Error::new(ErrorKind::Io, format!("cannot spool the input: {cause}"));
        let mut file = tempfile::tempfile().map_err(fail)?;
        let len = io::copy(&mut pipe, &mut file).map_err(fail)?;
        Ok(Self { file, len })
    }

    /// A file that this process has written itself.
    pub(super) fn of(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file, len })
    }
}

impl ByteStore for FileStore {
    fn len(&self) -> u64 {
        self.len
    }

    #[cfg(unix)]
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.file, buffer, offset)
    }

    #[cfg(not(unix))]
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        use std::io::{Seek, SeekFrom};
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.read(buffer)
    }
}

/// Bytes in memory: for tests, fuzzers, and whoever already holds them.
#[derive(Debug, Clone)]
pub struct MemoryStore(Arc<[u8]>);

impl MemoryStore {
    /// A store of these bytes.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(bytes.into())
    }
}

impl ByteStore for MemoryStore {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let n = buffer.len().min(self.0.len() - from);
        buffer[..n].copy_from_slice(&self.0[from..from + n]);
        Ok(n)
    }
}

/// The files beside a header.
pub trait Folder {
    /// The file called `name` (relative, `/` between parts), or `None` when there is none.
    ///
    /// # Errors
    /// When it lies outside the folder, is not a regular file, or cannot be read.
    fn open(&self, name: &str) -> Result<Option<Box<dyn ByteStore>>>;
}

/// Why a file name from inside a file must not be followed, or the name with `/` between its parts.
///
/// # Errors
/// For absolute names, drives, URLs, control characters and `..`: a recording's parts lie below its header.
pub fn inside_name(name: &str) -> Result<String> {
    let refuse = |why: &str| {
        Err(Error::format(format!("it names a file that is not followed: {why}"))
            .with_hint("put the recording's files into one folder and name them without a path"))
    };
    if name.chars().any(char::is_control) {
        return refuse("a control character in its name");
    }
    if name.contains("://") {
        return refuse("a URL");
    }
    let name = name.replace('\\', "/");
    if name.starts_with('/') {
        return refuse("an absolute path");
    }
    if name.as_bytes().get(1) == Some(&b':') {
        return refuse("a path with a drive");
    }
    if name.split('/').any(|part| part == "..") {
        return refuse("a path that leaves the header's folder");
    }
    Ok(name)
}

/// A folder on disk. Symbolic links are followed while they stay inside the data set, which is the nearest folder
/// upwards that holds `dataset_description.json`, `.datalad` or `.git` (git-annex keeps its objects there), else the
/// folder itself.
#[derive(Debug)]
pub struct DiskFolder {
    folder: PathBuf,
}

impl DiskFolder {
    /// The folder that holds `file`.
    pub fn of(file: &Path) -> Self {
        let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self { folder: folder.to_owned() }
    }

    fn root(&self) -> io::Result<PathBuf> {
        let folder = self.folder.canonicalize()?;
        let marks = ["dataset_description.json", ".datalad", ".git"];
        let root = folder.ancestors().take(12).find(|up| marks.iter().any(|mark| up.join(mark).exists()));
        Ok(root.unwrap_or(&folder).to_owned())
    }
}

impl Folder for DiskFolder {
    fn open(&self, name: &str) -> Result<Option<Box<dyn ByteStore>>> {
        let name = inside_name(name)?;
        let path = self.folder.join(&name);
        if !Path::new(&name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(Error::format("it names a file that is not followed"));
        }
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(cause) if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(cause) => return Err(Error::input(&path, &cause)),
        };
        let root = self.root().map_err(|cause| Error::input(&self.folder, &cause))?;
        if !real.starts_with(&root) {
            return Err(Error::format("this link leads out of the data set")
                .at_path(&path)
                .with_hint("copy the file it points to beside the header"));
        }
        Ok(Some(Box::new(FileStore::open(&real).map_err(|e| e.at_path(&path))?)))
    }
}

/// A folder in memory, by name.
#[derive(Debug, Clone, Default)]
pub struct MemoryFolder(pub BTreeMap<String, MemoryStore>);

impl Folder for MemoryFolder {
    fn open(&self, name: &str) -> Result<Option<Box<dyn ByteStore>>> {
        let name = inside_name(name)?;
        Ok(self.0.get(&name).map(|store| Box::new(store.clone()) as Box<dyn ByteStore>))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_read_anywhere_but_not_past_its_end() {
        let mut store = MemoryStore::new(*b"0123456789");
        assert_eq!(read_vec(&mut store, 3, 4).unwrap(), b"3456");
        assert!(read_vec(&mut store, 8, 3).is_err() && read_vec(&mut store, u64::MAX, 2).is_err());
        assert_eq!(store.read_at(99, &mut [0; 4]).unwrap(), 0);
        let mut spooled = FileStore::spool(&b"0123456789"[..]).unwrap();
        assert_eq!(read_vec(&mut spooled, 3, 4).unwrap(), b"3456");
    }

    #[test]
    fn names_from_a_file_stay_below_its_folder() {
        for bad in ["/etc/passwd", "../x", "a/../../x", "C:\\x", "\\\\host\\x", "http://x/y", "a\0b", "..\\x"] {
            assert!(inside_name(bad).is_err(), "{bad:?}");
        }
        assert_eq!(inside_name("sub\\x.eeg").unwrap(), "sub/x.eeg");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_inside_the_data_set_only() {
        let dir = tempfile::tempdir().unwrap();
        let set = dir.path().join("set");
        std::fs::create_dir_all(set.join("sub")).unwrap();
        std::fs::write(dir.path().join("secret"), b"x").unwrap();
        std::fs::write(set.join("object"), b"y").unwrap();
        std::os::unix::fs::symlink("../../secret", set.join("sub/out")).unwrap();
        std::os::unix::fs::symlink("../object", set.join("sub/in")).unwrap();
        let folder = DiskFolder::of(&set.join("sub/a.vhdr"));
        assert!(folder.open("in").is_err(), "no data set: the header's folder is the limit");
        std::fs::write(set.join("dataset_description.json"), b"{}").unwrap();
        assert!(folder.open("in").unwrap().is_some());
        assert!(folder.open("out").is_err());
        assert!(folder.open("missing").unwrap().is_none());
        assert!(DiskFolder::of(&set.join("a.vhdr")).open("sub").is_err(), "a folder is not data");
    }
}
