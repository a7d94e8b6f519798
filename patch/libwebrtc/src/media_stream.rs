//! Media streams: the ids that LiveKit's server groups tracks by.

use std::fmt;
use std::sync::Arc;

use crate::audio_track::RtcAudioTrack;
use crate::engine::remote::RemoteTrack;
use crate::engine::transceiver::Received;
use crate::media_stream_track::MediaStreamTrack;
use crate::video_track::RtcVideoTrack;

#[derive(Clone)]
pub struct MediaStream {
    id: String,
    track: Arc<RemoteTrack>,
}

impl MediaStream {
    pub(crate) fn of(received: &Received) -> Self {
        Self {
            id: received.stream_id.clone(),
            track: Arc::clone(&received.track),
        }
    }

    pub fn id(&self) -> String {
        self.id.clone()
    }

    pub fn audio_tracks(&self) -> Vec<RtcAudioTrack> {
        match MediaStreamTrack::of_remote(&self.track) {
            MediaStreamTrack::Audio(track) => vec![track],
            MediaStreamTrack::Video(_) => Vec::new(),
        }
    }

    pub fn video_tracks(&self) -> Vec<RtcVideoTrack> {
        match MediaStreamTrack::of_remote(&self.track) {
            MediaStreamTrack::Video(track) => vec![track],
            MediaStreamTrack::Audio(_) => Vec::new(),
        }
    }
}

impl fmt::Debug for MediaStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MediaStream")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
