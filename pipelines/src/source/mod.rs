//! A recording as renders see it: surveyed once for what there is and when, then read frame by frame.
//!
//! A recording is a list of journal segments, of which only the last may be torn. Neither pass holds more of it in
//! memory than a few seconds of media.

mod frames;
mod segments;
mod survey;

use std::{io, path::PathBuf, time::Duration};

use bytes::Bytes;
pub(crate) use frames::{Frames, TimedFrame, VIDEO_FRAME};
use greffier_media::{
    codec::Dims,
    ids::{ParticipantIdentity, RecordingId, RoomName},
    journal::{RoomEvent, TrackChannel},
    reorder::Numbering,
    time::{Arrival, Position},
    timeline::{Pauses, StreamClock},
    track::TrackError,
};
pub(crate) use segments::{Item, Segments};
use serde::{Deserialize, Serialize};

use crate::{
    ErrorKind,
    control::{Cancelled, Control},
};

/// A surveyed recording: everything but the media itself.
pub struct Recording {
    segments: Vec<PathBuf>,
    survey: greffier_media::survey::Survey,
    /// `None` if no snapshot and no start is in the journal.
    pub id: Option<RecordingId>,
    pub room: Option<RoomName>,
    /// Arrival of its first message: where positions count from.
    pub started: Arrival,
    /// Its RTP streams, in the order in which they first appear.
    pub streams: Vec<Stream>,
    /// What is cut out of everything that is shown.
    pub pauses: Pauses,
    /// Segments that could not be read to their end.
    pub damage: Vec<Damage>,
}

/// One RTP stream over all segments.
pub struct Stream {
    pub channel: TrackChannel,
    pub packets: u64,
    /// Whole frames, and the bytes in them.
    pub frames: u64,
    pub frame_bytes: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Frames that could not be made of what came.
    pub dropped: u64,
    /// Where its first frame is shown and its last one ends; `None` without frames.
    pub span: Option<(Position, Position)>,
    /// Places a decoder can start at; empty for audio.
    pub keyframes: Vec<Keyframe>,
    /// The first of them, where containers want to know what is in it: of H.264 and AV1.
    pub first_keyframe: Option<Bytes>,
    /// Some Opus packet has two channels.
    pub stereo: bool,
    /// Why it has no frames although it may have packets.
    pub problem: Option<TrackError>,
    clock: Option<StreamClock>,
}

/// A video frame that a decoder can start at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keyframe {
    pub shown: Position,
    pub dims: Option<Dims>,
}

/// A segment that ends too early, or in something that is no journal. What stands before is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Which of the segments that were given, from 0.
    pub segment: usize,
    pub valid_bytes: u64,
    pub reason: String,
}

impl Recording {
    /// Reads all segments once, in the order given. Damage is noted, not an error.
    pub fn survey(segments: Vec<PathBuf>, control: &Control<'_>) -> Result<Self, SourceError> {
        survey::survey(segments, control)
    }

    pub fn segments(&self) -> &[PathBuf] {
        &self.segments
    }

    /// What happened, and where it stands in the recording, pauses included.
    pub fn events(&self) -> &[(Position, RoomEvent)] {
        self.survey.events()
    }

    /// How long it is, pauses cut out.
    pub fn shown_length(&self) -> Position {
        self.pauses.clamped(self.survey.length())
    }

    /// How long it is, pauses included.
    pub fn length(&self) -> Position {
        self.survey.length()
    }

    /// What somebody was called last; empty if nothing.
    pub fn name_of(&self, identity: &ParticipantIdentity) -> String {
        let theirs = self
            .streams
            .iter()
            .rev()
            .filter(|stream| stream.channel.identity == *identity);
        let mut names = theirs.map(|stream| &stream.channel.participant_name);
        names.find(|name| !name.is_empty()).cloned().unwrap_or_default()
    }

    /// The frames of the streams that are `wanted`, in the order in which they are shown.
    pub(crate) fn frames<'a>(&'a self, wanted: &'a [bool]) -> Frames<'a> {
        Frames::new(self, wanted)
    }

    /// For a reader of `stream` that starts at `arrival`.
    fn numbering_at(&self, stream: usize, arrival: Arrival) -> Numbering {
        self.survey.streams()[stream].numbering_at(arrival)
    }
}

impl Stream {
    /// How long it lasts, gaps included.
    pub fn length(&self) -> Duration {
        self.span
            .map_or(Duration::ZERO, |(first, end)| end.saturating_since(first))
    }

    /// The largest sides of its pictures.
    pub fn largest_dims(&self) -> Option<Dims> {
        self.keyframes
            .iter()
            .filter_map(|key| key.dims)
            .reduce(|a, b| Dims::new(a.width.max(b.width), a.height.max(b.height)))
    }
}

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    #[error("segment {segment} of the journal cannot be read")]
    Io {
        segment: usize,
        #[source]
        source: io::Error,
    },
    #[error("the journal holds no message")]
    Empty,
    /// The two passes did not see the same journal.
    #[error("the journal changed while it was read")]
    Changed,
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl SourceError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. } => ErrorKind::Io,
            Self::Empty => ErrorKind::Corrupt,
            Self::Changed => ErrorKind::Conflict,
            Self::Cancelled(_) => ErrorKind::Cancelled,
        }
    }
}
