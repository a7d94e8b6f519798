//! The data directory: what lies where, who may write it, how much room is left, and file operations that survive a
//! power failure.
//!
//! ```text
//! <data>/greffier.lock                                 who has it
//! <data>/node                                          its identity, for databases that several share
//! <data>/secrets.key                                   what secrets in the database are sealed with
//! <data>/greffier.db                                   the database, if it is SQLite
//! <data>/recordings/rec_…/journal-00000.mcap           the journal
//! <data>/recordings/rec_…/renders/rnd_…-1/alice.webm   what was derived from it, by the render's attempt
//! <data>/reserve                                       room for ending recordings well when the disk is full
//! <data>/work/rnd_…/                                   what a render in progress writes; emptied at start
//! <data>/lost+found/                                   what `check` found and nobody knows
//! ```

mod durable;
mod lock;
pub(crate) mod reserve;
mod space;

use std::{
    io,
    path::{Path, PathBuf},
};

use greffier_media::ids::{RecordingId, RenderId, SegmentIndex};

pub(crate) use durable::{
    blocking, create_dir, create_dir_below, file_len, hex, list_dir, move_aside, remove_dir_all, remove_file, rename,
    sha256_of, sync_dir, sync_file, write_file, write_private_file,
};
pub(crate) use lock::DataLock;
pub use lock::LockError;
pub use space::{DiskSpace, SpaceFloor};

use crate::ErrorKind;

/// The folders and files of one data directory. Paths only; nothing here touches the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir {
    root: PathBuf,
}

impl DataDir {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("greffier.lock")
    }

    pub(crate) fn node(&self) -> PathBuf {
        self.root.join("node")
    }

    pub(crate) fn seal_key(&self) -> PathBuf {
        self.root.join("secrets.key")
    }

    pub(crate) fn reserve(&self) -> PathBuf {
        self.root.join("reserve")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.root.join("greffier.db")
    }

    pub(crate) fn recordings(&self) -> PathBuf {
        self.root.join("recordings")
    }

    pub(crate) fn lost_and_found(&self) -> PathBuf {
        self.root.join("lost+found")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// Everything of one recording.
    pub fn recording(&self, recording: RecordingId) -> PathBuf {
        self.recordings().join(recording.to_string())
    }

    /// One segment of a recording's journal.
    pub fn segment(&self, recording: RecordingId, segment: SegmentIndex) -> PathBuf {
        self.recording(recording).join(segment_file_name(segment))
    }

    /// Where a recording's finished renders are.
    pub(crate) fn renders(&self, recording: RecordingId) -> PathBuf {
        self.recording(recording).join(RENDERS_FOLDER)
    }

    /// Where a render may write while it runs: on the same file system as its result's place.
    pub fn render_work(&self, render: RenderId) -> PathBuf {
        self.work().join(render.to_string())
    }
}

/// In a recording's folder.
pub(crate) const RENDERS_FOLDER: &str = "renders";

const SEGMENT_PREFIX: &str = "journal-";
const SEGMENT_SUFFIX: &str = ".mcap";

/// `journal-00007.mcap`
pub(crate) fn segment_file_name(segment: SegmentIndex) -> String {
    format!("{SEGMENT_PREFIX}{segment}{SEGMENT_SUFFIX}")
}

/// Reads what [`segment_file_name`] writes, and nothing else.
pub(crate) fn segment_of_file_name(name: &str) -> Option<SegmentIndex> {
    let index = name.strip_prefix(SEGMENT_PREFIX)?.strip_suffix(SEGMENT_SUFFIX)?;
    index.parse().ok()
}

/// Why a file or folder could not be worked on.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct DiskError {
    pub action: &'static str,
    pub path: PathBuf,
    pub source: io::Error,
}

impl DiskError {
    pub fn kind(&self) -> ErrorKind {
        kind_of_io(&self.source)
    }

    /// For `map_err`: what was being done, and to what.
    pub(crate) fn during(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

pub(crate) fn kind_of_io(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => ErrorKind::DiskFull,
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => ErrorKind::DataLoss,
        _ => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_name_files_and_nothing_else_does() {
        assert_eq!(segment_file_name(SegmentIndex(7)), "journal-00007.mcap");
        assert_eq!(segment_of_file_name("journal-00007.mcap"), Some(SegmentIndex(7)));
        assert_eq!(segment_of_file_name("journal-123456.mcap"), Some(SegmentIndex(123_456)));
        for foreign in [
            "journal-7.mcap",
            "journal-00007.mcap.tmp",
            "journal-00007",
            "xjournal-00007.mcap",
            "journal--0007.mcap",
            "renders",
            "",
        ] {
            assert_eq!(segment_of_file_name(foreign), None, "{foreign}");
        }
    }
}
