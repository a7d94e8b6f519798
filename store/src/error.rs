//! What failures of the store mean to whoever has to decide what to do about them.

use crate::{
    AccountError, CheckError, ConfigError, DatabaseError, DeliveryError, DiskError, FileError, JobError, JournalError,
    LedgerError, LoadTestError, MeetingError, NoticeError, ObjectError, OpenError, RecordingError, RenderError,
    SettingError,
};

/// What a failure means: one table maps kinds to HTTP status, retry and log level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such thing (any more).
    NotFound,
    /// What is there does not allow the step: another has it, or it is in another state.
    Conflict,
    /// The input breaks a rule its sender could have kept.
    Invalid,
    /// Not now: trying again later may help.
    Unavailable,
    /// No room on the disk, or less than the operator wants left.
    DiskFull,
    /// Something that was ours to keep is damaged or gone.
    DataLoss,
    /// Well-formed, but something this version does not do.
    Unsupported,
    /// A fault of ours, or a failing device.
    Internal,
}

impl From<greffier_media::ErrorKind> for ErrorKind {
    fn from(kind: greffier_media::ErrorKind) -> Self {
        match kind {
            greffier_media::ErrorKind::Invalid => Self::Invalid,
            greffier_media::ErrorKind::Corrupt => Self::DataLoss,
            greffier_media::ErrorKind::Unsupported => Self::Unsupported,
            greffier_media::ErrorKind::Conflict => Self::Conflict,
            // `Io`, and what later versions add.
            _ => Self::Internal,
        }
    }
}

/// Any failure of the store. Each function names the narrower error of its module; this is for callers that use many.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error(transparent)]
    Job(#[from] JobError),
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Meeting(#[from] MeetingError),
    #[error(transparent)]
    Notice(#[from] NoticeError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error(transparent)]
    LoadTest(#[from] LoadTestError),
    #[error(transparent)]
    Check(#[from] CheckError),
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Config(error) => error.kind(),
            Self::Open(error) => error.kind(),
            Self::Disk(error) => error.kind(),
            Self::Database(error) => error.kind(),
            Self::Recording(error) => error.kind(),
            Self::Journal(error) => error.kind(),
            Self::Render(error) => error.kind(),
            Self::Job(error) => error.kind(),
            Self::Delivery(error) => error.kind(),
            Self::Object(error) => error.kind(),
            Self::File(error) => error.kind(),
            Self::Account(error) => error.kind(),
            Self::Meeting(error) => error.kind(),
            Self::Notice(error) => error.kind(),
            Self::Ledger(error) => error.kind(),
            Self::Setting(error) => error.kind(),
            Self::LoadTest(error) => error.kind(),
            Self::Check(error) => error.kind(),
        }
    }
}
