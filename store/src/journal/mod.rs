//! Journals on the disk: written by [`JournalWriter`], mended by recovery, counted by both.
//!
//! A journal is a folder of MCAP segments, `journal-00000.mcap` and so on. What their channels and messages mean is
//! [`greffier_media::journal`]'s business; what of them is on the disk when, `docs/design/durability.md`'s.

mod facts;
mod file;
mod recovery;
mod segment;
mod writer;

use std::path::PathBuf;

use greffier_media::{ids::RecordingId, journal::WriteError};

pub use facts::{SegmentFacts, TimelineEvent, Torn, TrackFacts};
pub use file::SyncHandle;
pub(crate) use recovery::{inspect_segment, seal_segment, segments_in};
pub use segment::UnsealedSegment;
pub use writer::{Journal, JournalWriter, MAX_TICK_INTERVAL, NewSegment, NextSegment, Progress, Tick, TrackHandle};

use crate::{DiskError, ErrorKind};

/// Why a journal could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Its kind tells a full disk from other failures.
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("the message cannot be appended to {}", path.display())]
    Write { path: PathBuf, source: WriteError },
    #[error("the track belongs to another journal")]
    UnknownTrack,
    #[error("the new segment belongs to another journal")]
    UnknownSegment,
    #[error("a journal holds no more than four thousand million segments")]
    TooManySegments,
    #[error("the journal of {0} is being written already")]
    InUse(RecordingId),
    #[error("the store was opened for reading only")]
    ReadOnly,
    #[error("{} is not finished even after mending", path.display())]
    NotMended { path: PathBuf },
}

impl JournalError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Disk(error) => error.kind(),
            Self::Write { source, .. } => source.kind().into(),
            Self::UnknownTrack | Self::UnknownSegment => ErrorKind::Invalid,
            Self::TooManySegments | Self::InUse(_) | Self::ReadOnly => ErrorKind::Conflict,
            Self::NotMended { .. } => ErrorKind::DataLoss,
        }
    }
}

#[cfg(test)]
mod tests;
