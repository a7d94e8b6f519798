//! Sound: one unbroken line of Opus packets out of what was received, and what is made of it.
//!
//! ```text
//! packets of a stream ─▶ Line (unbroken) ─▶ Voice (decoded, in its place) ─▶ Mixer ─▶ FrameEncoder ─▶ packets
//! ```

mod encode;
mod line;
mod mixer;
mod voice;

pub(crate) use encode::{AAC_PRIMING, FrameEncoder, Timed, aac_config};
pub(crate) use line::{Line, Packet, RATE, samples_at};
pub(crate) use mixer::{Layout, Mixer};
pub(crate) use voice::Voice;

use crate::ErrorKind;

/// Why there is no sound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SoundError {
    #[error("libopus: {0}")]
    Opus(#[from] opus::Error),
    #[error(transparent)]
    Engine(#[from] crate::EngineError),
}

impl SoundError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Opus(_) => ErrorKind::Internal,
            Self::Engine(error) => error.kind(),
        }
    }
}
