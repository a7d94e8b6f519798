//! The file under a segment: appended to by one thread, synced by another.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use sha2::{Digest as _, Sha256};

use super::JournalError;
use crate::disk::{DiskError, sync_dir};

/// What the appending and the syncing thread share.
#[derive(Debug)]
pub(super) struct Shared {
    file: File,
    path: PathBuf,
    /// Bytes the kernel has.
    written: AtomicU64,
    /// Bytes the disk has.
    synced: AtomicU64,
    syncing: AtomicBool,
}

impl Shared {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    pub(super) fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    pub(super) fn sync(&self) -> Result<u64, JournalError> {
        let written = self.written();
        self.file.sync_data().map_err(DiskError::during("sync", &self.path))?;
        self.synced.fetch_max(written, Ordering::AcqRel);
        Ok(written)
    }
}

/// A file that only grows, with its SHA-256 so far.
#[derive(Debug)]
pub(super) struct SegmentFile {
    shared: Arc<Shared>,
    hash: Sha256,
}

impl SegmentFile {
    /// Makes the file, which must not be there, and its name durable.
    pub(super) fn create(path: &Path) -> Result<Self, DiskError> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(path)
            .map_err(DiskError::during("make", path))?;
        if let Some(dir) = path.parent() {
            // A name that may not last is as good as none: the next attempt makes it anew.
            sync_dir(dir).inspect_err(|_| drop(fs::remove_file(path)))?;
        }
        let shared = Arc::new(Shared {
            file,
            path: path.to_owned(),
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            syncing: AtomicBool::new(false),
        });
        let hash = Sha256::new();
        Ok(Self { shared, hash })
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn into_hash(self) -> Sha256 {
        self.hash
    }
}

impl Write for SegmentFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = (&self.shared.file).write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.shared.written.fetch_add(written as u64, Ordering::AcqRel);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The duty to bring to the disk what was flushed. For any thread: a slow disk then does not stop appending.
///
/// There is one at a time for a segment; the next is handed out once this one is gone.
#[derive(Debug)]
#[must_use = "what was flushed is safe from a power failure only once it is synced"]
pub struct SyncHandle(Arc<Shared>);

impl SyncHandle {
    /// `None` while another is at work.
    pub(super) fn new(shared: &Arc<Shared>) -> Option<Self> {
        (!shared.syncing.swap(true, Ordering::AcqRel)).then(|| Self(Arc::clone(shared)))
    }

    /// Blocks until the disk has all that was flushed so far; answers how many bytes of the segment that is.
    ///
    /// After an error it is not known what the disk has, and trying again would not tell
    /// ([fsync(2)](https://man7.org/linux/man-pages/man2/fsync.2.html)): the recording should end.
    pub fn sync(self) -> Result<u64, JournalError> {
        self.0.sync()
    }
}

impl Drop for SyncHandle {
    fn drop(&mut self) {
        self.0.syncing.store(false, Ordering::Release);
    }
}
