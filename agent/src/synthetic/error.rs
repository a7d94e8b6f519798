//! Why a synthetic participant could not be made, or could not do its part.

use std::path::PathBuf;

use greffier_store::ErrorKind;

/// Why a clip, or a participant, did not come to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyntheticError {
    #[error("ffmpeg is needed to make media, and is not on the PATH: install it (Debian: `apt install ffmpeg`)")]
    NoFfmpeg,
    #[error("ffmpeg could not make {what}: {message}")]
    Ffmpeg { what: String, message: String },
    #[error("{} cannot be used: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{} is not a clip: {reason}", path.display())]
    NotAClip { path: PathBuf, reason: String },
    #[error("{codec} cannot be published here: {reason}")]
    Codec { codec: String, reason: String },
    #[error("no connection to {url}: {message}")]
    Connect { url: String, message: String },
    #[error("{identity} could not publish: {message}")]
    Publish { identity: String, message: String },
    #[error("the system gives no thread: {0}")]
    Thread(std::io::Error),
}

impl SyntheticError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoFfmpeg | Self::Connect { .. } => ErrorKind::Unavailable,
            Self::File { .. } | Self::NotAClip { .. } | Self::Codec { .. } => ErrorKind::Invalid,
            Self::Ffmpeg { .. } | Self::Publish { .. } | Self::Thread(_) => ErrorKind::Internal,
        }
    }

    /// One word for counting failures of a kind.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NoFfmpeg | Self::Ffmpeg { .. } => "clip_not_made",
            Self::File { .. } | Self::NotAClip { .. } => "clip_not_read",
            Self::Codec { .. } => "codec",
            Self::Connect { .. } => "connect",
            Self::Publish { .. } => "publish",
            Self::Thread(_) => "thread",
        }
    }
}
