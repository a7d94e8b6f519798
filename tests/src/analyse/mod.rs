//! What a recording holds, found by decoding it: beeps, flashes, time codes, silences, freezes. Knows nothing of how the
//! recording was made; `judge` compares what is found here with what the peers did.

pub mod audio;
pub mod file;
pub mod video;

pub use audio::{Audio, Beep, GUARD_S};
pub use file::{Facts, MediaFile, Stream};
pub use video::{Flash, Freeze, Picture, Video};

/// What was found in one recording: a file, or what a peer received of another.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// What it is, for messages.
    pub name: String,
    /// Whether a peer received it live: then its time line is wall time, and what is on it is late by the way it came.
    pub is_live: bool,
    /// What is in the sound, if there is any.
    pub audio: Option<Audio>,
    /// What is in the pictures, if there are any.
    pub video: Option<Video>,
    /// What ffprobe says of the file; none for what a peer received.
    pub facts: Option<Facts>,
    /// What the decoder complained of, line by line.
    pub complaints: Vec<String>,
}
