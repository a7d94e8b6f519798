//! Containers: encoded frames in, files out. Plain writing, no threads: what a frame becomes is decided when it comes.
//!
//! GStreamer 1.22's muxers are not used. `webmmux` and `matroskamux` write nothing of one track until the next
//! frame of every other is there, GAP events or not, so an hour with the camera off is held in memory; a WebM whose first
//! cue is late cannot be opened by Chromium; `mp4mux` keeps one description of a track, so H.264 that changes its size
//! overwrites what the beginning needs, and it cuts off the last frame. Writing a container is the smaller evil:
//! `docs/design/renders.md` has the details.

pub(crate) mod av1;
mod ebml;
mod h264;
mod matroska;
mod mp4;
mod ogg;
mod tags;

use std::{io, path::Path, time::Duration};

use bytes::Bytes;
use greffier_media::codec::{Codec, Dims, MediaKind};
pub(crate) use h264::ParameterSets;
use serde::{Deserialize, Serialize};
pub(crate) use tags::Tags;

/// What a file is, by its ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Container {
    WebM,
    Matroska,
    Mp4,
    Ogg,
    Mp3,
    Wav,
}

impl Container {
    /// The file name's ending, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::WebM => "webm",
            Self::Matroska => "mkv",
            Self::Mp4 => "mp4",
            Self::Ogg => "ogg",
            Self::Mp3 => "mp3",
            Self::Wav => "wav",
        }
    }

    /// As HTTP has it.
    pub fn media_type(self, has_video: bool) -> &'static str {
        match (self, has_video) {
            (Self::WebM, true) => "video/webm",
            (Self::WebM, false) => "audio/webm",
            (Self::Matroska, true) => "video/x-matroska",
            (Self::Matroska, false) => "audio/x-matroska",
            (Self::Mp4, true) => "video/mp4",
            (Self::Mp4, false) => "audio/mp4",
            (Self::Ogg, _) => "audio/ogg",
            (Self::Mp3, _) => "audio/mpeg",
            (Self::Wav, _) => "audio/wav",
        }
    }

    /// The smallest that fits: what browsers play, if these tracks can be in it.
    pub(crate) fn for_copies(codecs: impl IntoIterator<Item = Codec>) -> Self {
        let (mut video, mut audio) = (Vec::new(), 0);
        for codec in codecs {
            match codec.kind() {
                MediaKind::Video => video.push(codec),
                MediaKind::Audio => audio += 1,
            }
        }
        match (&video[..], audio) {
            ([], 1) => Self::Ogg,
            ([Codec::Vp8 | Codec::Vp9 | Codec::Av1], 0 | 1) => Self::WebM,
            ([Codec::H264], 0 | 1) => Self::Mp4,
            // Several tracks of a kind: another codec after a rejoin, a second camera.
            _ => Self::Matroska,
        }
    }
}

/// A track of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Track {
    pub format: Format,
    /// What players may call it; empty for nothing.
    pub name: String,
}

/// What a container must know of a codec to describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Format {
    /// `dims`: the largest there will be, here and below.
    Vp8 {
        dims: Dims,
    },
    Vp9 {
        dims: Dims,
    },
    /// `config`: an AV1 codec configuration record (AV1-ISOBMFF §2.3.3).
    Av1 {
        dims: Dims,
        config: Bytes,
    },
    /// `first`: the parameter sets that its first key frame comes with.
    H264 {
        dims: Dims,
        first: ParameterSets,
    },
    /// `pre_skip`: samples that the encoder put before the first, at 48 kHz.
    Opus {
        channels: u8,
        pre_skip: u16,
    },
    /// `config`: an `AudioSpecificConfig`; `priming`: samples that the encoder put before the first.
    Aac {
        channels: u8,
        rate: u32,
        config: Bytes,
        priming: u32,
    },
}

impl Format {
    pub fn kind(&self) -> MediaKind {
        match self {
            Self::Vp8 { .. } | Self::Vp9 { .. } | Self::Av1 { .. } | Self::H264 { .. } => MediaKind::Video,
            Self::Opus { .. } | Self::Aac { .. } => MediaKind::Audio,
        }
    }

    fn dims(&self) -> Option<Dims> {
        match self {
            Self::Vp8 { dims } | Self::Vp9 { dims } | Self::Av1 { dims, .. } | Self::H264 { dims, .. } => Some(*dims),
            Self::Opus { .. } | Self::Aac { .. } => None,
        }
    }
}

/// Samples that Opus encoders look ahead by default, at 48 kHz: WebRTC's do not say, and all are libopus.
pub(crate) const OPUS_PRE_SKIP: u16 = 312;

/// An encoded frame in its place. H.264 is in Annex B form, as [`greffier_media::frame::Frame`] has it.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// When it is shown, from the file's zero; for audio, where its first decoded sample stands, priming included.
    pub at: Duration,
    pub lasts: Duration,
    pub keyframe: bool,
    pub data: Bytes,
}

/// The program that wrote a file.
const WRITER: &str = concat!("Greffier ", env!("CARGO_PKG_VERSION"));

/// Takes frames in the order in which they are shown, at least within a track.
pub(crate) trait Muxer: Send {
    fn write(&mut self, track: usize, sample: Sample) -> io::Result<()>;

    /// Completes the file.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// Begins a file. `cues` is how many places to seek to there will be at most.
pub(crate) fn create(
    container: Container,
    path: &Path,
    tracks: Vec<Track>,
    tags: &Tags,
    cues: usize,
) -> io::Result<Box<dyn Muxer>> {
    Ok(match container {
        Container::WebM | Container::Matroska => {
            let doc_type = if container == Container::WebM {
                "webm"
            } else {
                "matroska"
            };
            Box::new(matroska::Matroska::create(path, doc_type, tracks, tags, cues)?)
        }
        Container::Mp4 => Box::new(mp4::Mp4::create(path, tracks, tags.clone())?),
        Container::Ogg => Box::new(ogg::OggOpus::create(path, &tracks, tags)?),
        Container::Mp3 | Container::Wav => return Err(unsupported("no frames are copied into this container")),
    })
}

fn unsupported(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, what)
}

/// Nanoseconds fit for 584 years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// `duration` in units of so many a second, to the nearest.
fn ticks(duration: Duration, per_second: u32) -> u64 {
    let ticks = (duration.as_nanos() * u128::from(per_second) + 500_000_000) / 1_000_000_000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// The identification header of Opus (RFC 7845 §5.1).
fn opus_head(channels: u8, pre_skip: u16) -> Vec<u8> {
    let mut head = b"OpusHead\x01".to_vec();
    head.push(channels);
    head.extend(pre_skip.to_le_bytes());
    head.extend(48_000_u32.to_le_bytes());
    // No gain, mapping family 0.
    head.extend([0, 0, 0]);
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_browsers_play_if_it_fits() {
        use Codec::{Av1, H264, Opus, Vp8, Vp9};
        for (codecs, container) in [
            (&[Opus][..], Container::Ogg),
            (&[Vp8, Opus], Container::WebM),
            (&[Av1], Container::WebM),
            (&[Vp9, Opus], Container::WebM),
            (&[H264, Opus], Container::Mp4),
            (&[H264], Container::Mp4),
            (&[H264, Vp8, Opus], Container::Matroska),
            (&[Vp8, Vp8, Opus], Container::Matroska),
            (&[Opus, Opus], Container::Matroska),
            (&[H264, Opus, Opus], Container::Matroska),
        ] {
            assert_eq!(Container::for_copies(codecs.iter().copied()), container, "{codecs:?}");
        }
    }

    #[test]
    fn ticks_are_the_nearest() {
        assert_eq!(ticks(Duration::from_nanos(11_111), 90_000), 1);
        assert_eq!(ticks(Duration::from_micros(5), 90_000), 0);
        assert_eq!(ticks(Duration::from_hours(24), 48_000), 86_400 * 48_000);
    }
}
