//! Tracks of either kind.

use std::sync::Arc;

use crate::audio_track::RtcAudioTrack;
use crate::engine::local::LocalTrack;
use crate::engine::remote::RemoteTrack;
use crate::enum_dispatch;
use crate::video_track::RtcVideoTrack;

#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum RtcTrackState {
    Live,
    Ended,
}

/// Where a track comes from: a local source, or a media section of a remote description.
#[derive(Clone)]
pub(crate) enum Origin {
    Local(Arc<LocalTrack>),
    Remote(Arc<RemoteTrack>),
}

impl Origin {
    pub fn id(&self) -> &str {
        match self {
            Self::Local(track) => track.id(),
            Self::Remote(track) => track.id(),
        }
    }

    pub fn enabled(&self) -> bool {
        match self {
            Self::Local(track) => track.enabled(),
            Self::Remote(track) => track.enabled(),
        }
    }

    /// Whether that changed anything.
    pub fn set_enabled(&self, enabled: bool) -> bool {
        let changed = self.enabled() != enabled;
        match self {
            Self::Local(track) => track.set_enabled(enabled),
            Self::Remote(track) => track.set_enabled(enabled),
        }
        changed
    }

    pub fn state(&self) -> RtcTrackState {
        match self {
            Self::Remote(track) if track.has_ended() => RtcTrackState::Ended,
            Self::Local(_) | Self::Remote(_) => RtcTrackState::Live,
        }
    }
}

#[derive(Debug, Clone)]
pub enum MediaStreamTrack {
    Video(RtcVideoTrack),
    Audio(RtcAudioTrack),
}

impl MediaStreamTrack {
    enum_dispatch!(
        [Video, Audio];
        pub fn id(self: &Self) -> String;
        pub fn enabled(self: &Self) -> bool;
        pub fn set_enabled(self: &Self, enabled: bool) -> bool;
        pub fn state(self: &Self) -> RtcTrackState;
        pub(crate) fn local(self: &Self) -> Option<&Arc<LocalTrack>>;
    );

    pub(crate) fn remote(&self) -> Option<&RemoteTrack> {
        match self {
            Self::Video(track) => track.remote(),
            Self::Audio(track) => track.remote(),
        }
    }

    pub(crate) fn of_remote(track: &Arc<RemoteTrack>) -> Self {
        let origin = Origin::Remote(Arc::clone(track));
        if track.is_video() {
            Self::Video(RtcVideoTrack::new(origin))
        } else {
            Self::Audio(RtcAudioTrack::new(origin))
        }
    }
}

impl From<RtcAudioTrack> for MediaStreamTrack {
    fn from(track: RtcAudioTrack) -> Self {
        Self::Audio(track)
    }
}

impl From<RtcVideoTrack> for MediaStreamTrack {
    fn from(track: RtcVideoTrack) -> Self {
        Self::Video(track)
    }
}

/// The track types differ in name; what they do is the same.
macro_rules! track_type {
    ($name:ident) => {
        #[derive(Clone)]
        pub struct $name {
            origin: $crate::media_stream_track::Origin,
        }

        impl $name {
            pub(crate) fn new(origin: $crate::media_stream_track::Origin) -> Self {
                Self { origin }
            }

            pub fn id(&self) -> String {
                self.origin.id().to_owned()
            }

            pub fn enabled(&self) -> bool {
                self.origin.enabled()
            }

            /// Whether that changed anything. A local track that is disabled sends nothing.
            pub fn set_enabled(&self, enabled: bool) -> bool {
                self.origin.set_enabled(enabled)
            }

            pub fn state(&self) -> $crate::media_stream_track::RtcTrackState {
                self.origin.state()
            }

            pub(crate) fn local(&self) -> Option<&std::sync::Arc<$crate::engine::local::LocalTrack>> {
                match &self.origin {
                    $crate::media_stream_track::Origin::Local(track) => Some(track),
                    $crate::media_stream_track::Origin::Remote(_) => None,
                }
            }

            pub(crate) fn remote(&self) -> Option<&$crate::engine::remote::RemoteTrack> {
                match &self.origin {
                    $crate::media_stream_track::Origin::Local(_) => None,
                    $crate::media_stream_track::Origin::Remote(track) => Some(track),
                }
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("id", &self.id())
                    .field("enabled", &self.enabled())
                    .field("state", &self.state())
                    .finish()
            }
        }
    };
}

pub(crate) use track_type;
