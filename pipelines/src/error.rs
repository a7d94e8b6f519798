//! What failures of a render mean to whoever has to decide what to do about them.

use std::io;

use greffier_media::{ids::RecordingId, lifecycle::RenderFailure, render::RequestError};

use crate::{control::Cancelled, engine::EngineError, probe::ProbeError, sound::SoundError, source::SourceError};

/// What a failure means: one table maps kinds to HTTP status, retry and log level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request breaks a rule its sender could have kept.
    Invalid,
    /// The recording is damaged.
    Corrupt,
    /// Well-formed, but something this version does not do.
    Unsupported,
    /// The recording has nothing of what is asked for.
    Nothing,
    /// Something changed meanwhile; a new attempt may succeed.
    Conflict,
    /// A file could not be read or written.
    Io,
    /// No room on the disk.
    DiskFull,
    /// It was told to stop.
    Cancelled,
    /// A codec did not answer in time.
    Timeout,
    /// A codec is missing or failed, or a result is not as it must be.
    Internal,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Sound(#[from] SoundError),
    #[error("`{name}` cannot be written")]
    Write {
        name: String,
        #[source]
        source: io::Error,
    },
    /// A result is not what it should be, and was thrown away.
    #[error("`{name}` is not as it must be")]
    Probe {
        name: String,
        #[source]
        source: ProbeError,
    },
    /// An export does not hold what was written into it, and was thrown away.
    #[error("`{name}` holds {found} packets instead of {expected}")]
    Miscounted { name: String, expected: u64, found: u64 },
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("this version cannot make {what}")]
    Unsupported { what: &'static str },
    /// There is nothing to be made a file of.
    #[error("the recording has nothing of what is asked for")]
    Nothing,
    #[error("the journal is that of {found}, not of {wanted}")]
    Foreign { wanted: RecordingId, found: RecordingId },
    /// Of several files, each for a reason of its own.
    #[error("no file came to be: {0}")]
    AllFailed(String),
}

impl RenderError {
    /// What a render's row says of it.
    pub fn failure(&self) -> RenderFailure {
        match self {
            Self::Probe { source, .. } if source.kind() == ErrorKind::Internal => RenderFailure::Verification,
            Self::AllFailed(_) | Self::Miscounted { .. } => RenderFailure::Verification,
            Self::Source(error) if error.kind() == ErrorKind::Io => RenderFailure::Input,
            _ => match self.kind() {
                ErrorKind::Nothing => RenderFailure::NothingToRender,
                ErrorKind::Invalid | ErrorKind::Unsupported => RenderFailure::Unsupported,
                ErrorKind::Corrupt | ErrorKind::Conflict => RenderFailure::Input,
                ErrorKind::Io | ErrorKind::DiskFull => RenderFailure::Storage,
                ErrorKind::Timeout => RenderFailure::Resources,
                ErrorKind::Cancelled | ErrorKind::Internal => RenderFailure::Internal,
            },
        }
    }

    /// It and what is behind it, in one line.
    pub fn describe(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }

    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Source(error) => error.kind(),
            Self::Engine(error) => error.kind(),
            Self::Sound(error) => error.kind(),
            Self::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => ErrorKind::DiskFull,
            Self::Write { .. } => ErrorKind::Io,
            Self::Probe { source, .. } => source.kind(),
            Self::Cancelled(_) => ErrorKind::Cancelled,
            Self::Request(_) => ErrorKind::Invalid,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::Nothing => ErrorKind::Nothing,
            Self::Foreign { .. } => ErrorKind::Corrupt,
            Self::AllFailed(_) | Self::Miscounted { .. } => ErrorKind::Internal,
        }
    }
}
