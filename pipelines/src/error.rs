//! What failures of a render mean to whoever has to decide what to do about them.

use std::io;

use crate::{control::Cancelled, engine::EngineError, probe::ProbeError, source::SourceError};

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
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl RenderError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Source(error) => error.kind(),
            Self::Engine(error) => error.kind(),
            Self::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => ErrorKind::DiskFull,
            Self::Write { .. } => ErrorKind::Io,
            Self::Probe { source, .. } => source.kind(),
            Self::Cancelled(_) => ErrorKind::Cancelled,
        }
    }
}
