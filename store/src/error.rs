//! What failures of the store mean to whoever has to decide what to do about them.

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
