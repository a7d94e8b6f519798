//! The Rust API of LiveKit's `libwebrtc` crate, standing on `rtc`, the sans-I/O core of webrtc-rs.
//!
//! The official `livekit` SDK is used unmodified: cargo's `[patch.crates-io]` puts this crate where it expects the one that
//! wraps the C++ library. That library decodes every frame it receives; this one decodes nothing, and hands out and takes in
//! RTP ([`raw`]).
//!
//! ```text
//! livekit SDK ──▶ the modules of this file (upstream's names and signatures)
//!                      │
//!                 engine/   one peer connection: rtc + transceivers + RTP reception and sending; no sockets, no clock
//!                      │
//!                 driver/   media threads: epoll, recvmmsg/sendmmsg, kernel timestamps, ICE-TCP, timers
//! ```
//!
//! What is not real fails loudly: see [`raw::RawError`] and the crate's README.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sequence numbers, timestamps and report fields wrap by definition"
)]

use thiserror::Error;

mod driver;
mod engine;
mod enum_dispatch;

pub mod audio_frame;
pub mod audio_source;
pub mod audio_stream;
pub mod audio_track;
pub mod data_channel;
pub mod ice_candidate;
pub mod media_stream;
pub mod media_stream_track;
pub mod native;
pub mod peer_connection;
pub mod peer_connection_factory;
pub mod prelude;
pub mod raw;
pub mod rtp_parameters;
pub mod rtp_receiver;
pub mod rtp_sender;
pub mod rtp_transceiver;
pub mod session_description;
pub mod stats;
pub mod video_frame;
pub mod video_source;
pub mod video_track;

/// The kind of an `m=` section.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum MediaType {
    Audio,
    Video,
    Data,
    Unsupported,
}

/// What an [`RtcError`] is about.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum RtcErrorType {
    Internal,
    InvalidSdp,
    InvalidState,
}

/// The error of every fallible call of this API.
#[derive(Error, Debug)]
#[error("an RtcError occurred: {error_type:?} - {message}")]
pub struct RtcError {
    pub error_type: RtcErrorType,
    pub message: String,
}

impl RtcError {
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self {
            error_type: RtcErrorType::Internal,
            message: message.into(),
        }
    }

    pub(crate) fn state(message: impl Into<String>) -> Self {
        Self {
            error_type: RtcErrorType::InvalidState,
            message: message.into(),
        }
    }

    pub(crate) fn sdp(message: impl Into<String>) -> Self {
        Self {
            error_type: RtcErrorType::InvalidSdp,
            message: message.into(),
        }
    }
}

impl From<rtc::shared::error::Error> for RtcError {
    fn from(error: rtc::shared::error::Error) -> Self {
        Self::internal(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn uuids_are_version_4_and_differ() {
        let (a, b) = (super::native::create_random_uuid(), super::native::create_random_uuid());
        assert_ne!(a, b);
        let parts: Vec<usize> = a.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(&a[14..15], "4");
        assert!("89ab".contains(&a[19..20]));
    }
}
