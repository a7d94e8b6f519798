//! The codecs a LiveKit room carries, and how they are called on the wire.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::ClockRate;

/// What a track carries to the eye or to the ear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    Audio,
    Video,
}

/// A codec we can turn back from packets into frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Codec {
    /// [RFC 7587](https://www.rfc-editor.org/rfc/rfc7587)
    Opus,
    /// [RFC 7741](https://www.rfc-editor.org/rfc/rfc7741)
    Vp8,
    /// [RFC 9628](https://www.rfc-editor.org/rfc/rfc9628)
    Vp9,
    /// [RFC 6184](https://www.rfc-editor.org/rfc/rfc6184)
    H264,
    /// [RTP Payload Format For AV1](https://aomediacodec.github.io/av1-rtp-spec/)
    Av1,
}

impl Codec {
    pub fn kind(self) -> MediaKind {
        match self {
            Self::Opus => MediaKind::Audio,
            Self::Vp8 | Self::Vp9 | Self::H264 | Self::Av1 => MediaKind::Video,
        }
    }

    /// The only clock rate its payload format allows.
    pub fn clock_rate(self) -> ClockRate {
        match self.kind() {
            MediaKind::Audio => ClockRate::OPUS,
            MediaKind::Video => ClockRate::VIDEO,
        }
    }

    /// As SDP writes it, with the kind before it: `video/VP8`.
    pub fn mime(self) -> &'static str {
        match self {
            Self::Opus => "audio/opus",
            Self::Vp8 => "video/VP8",
            Self::Vp9 => "video/VP9",
            Self::H264 => "video/H264",
            Self::Av1 => "video/AV1",
        }
    }

    /// Reads a MIME type of any case; `None` for what we have no depacketizer for (RTX, RED and FEC among them: they
    /// are envelopes, not codecs).
    pub fn from_mime(mime: &str) -> Option<Self> {
        [Self::Opus, Self::Vp8, Self::Vp9, Self::H264, Self::Av1]
            .into_iter()
            .find(|codec| codec.mime().eq_ignore_ascii_case(mime))
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mime = self.mime();
        f.write_str(mime.split_once('/').map_or(mime, |(_, name)| name))
    }
}

/// Width and height of a picture, in pixels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Dims {
    pub width: u32,
    pub height: u32,
}

impl Dims {
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }
}

impl fmt::Debug for Dims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl fmt::Display for Dims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mime_types_read_in_any_case() {
        assert_eq!(Codec::from_mime("video/vp8"), Some(Codec::Vp8));
        assert_eq!(Codec::from_mime("VIDEO/AV1"), Some(Codec::Av1));
        assert_eq!(Codec::from_mime("audio/opus"), Some(Codec::Opus));
        for envelope in ["audio/red", "video/rtx", "video/ulpfec", "opus", ""] {
            assert_eq!(Codec::from_mime(envelope), None, "{envelope}");
        }
    }
}
