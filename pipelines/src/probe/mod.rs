//! Looking at a result as a player would, before anybody else does.
//!
//! What a file should be is known when it is written. Here GStreamer's demuxers and decoders, which had no part in writing it,
//! say what it is: its duration and streams, when each begins, and whether its beginning, middle and end decode.

mod windows;

use std::{path::Path, time::Duration};

use greffier_media::codec::{Dims, MediaKind};
use gst_pbutils::prelude::*;
use gstreamer as gst;
use gstreamer_pbutils as gst_pbutils;
use serde::{Deserialize, Serialize};
use windows::Window;

use crate::{
    ErrorKind,
    container::Container,
    control::{Cancelled, Control},
    engine::{self, EngineError},
};

/// How far a duration may be off: what the product promises.
const DURATION_TOLERANCE: Duration = Duration::from_millis(100);
/// How far apart sound and picture may be at the start, against what was meant: what the product promises.
const OFFSET_TOLERANCE: Duration = Duration::from_millis(40);
/// For looking at a file's headers; a second is much.
const DISCOVERY_LIMIT: gst::ClockTime = gst::ClockTime::from_seconds(20);

/// What a file is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    pub container: Container,
    pub bytes: u64,
    /// In nanoseconds, as players show it.
    pub duration_ns: u64,
    pub streams: Vec<StreamFacts>,
    /// How much later than meant the sound begins against the picture, in nanoseconds; `None` unless it has both.
    pub av_offset_ns: Option<i64>,
}

/// What one stream of a file is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamFacts {
    pub kind: MediaKind,
    /// As GStreamer's caps name it: `video/x-vp8`, `audio/x-opus`.
    pub codec: String,
    /// Of the first pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dims: Option<Dims>,
    /// 0 for video.
    pub channels: u32,
    /// When the first frame is shown, in nanoseconds.
    pub first_ns: u64,
    /// How many frames were decoded in the windows that were looked at.
    pub decoded: u64,
}

/// What a file should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    pub container: Container,
    pub duration: Duration,
    pub streams: Vec<ExpectedStream>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExpectedStream {
    pub kind: MediaKind,
    /// When its first frame is shown.
    pub first: Duration,
}

/// Why a file is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    #[error("it cannot be read")]
    Unreadable(String),
    #[error("it lasts {found:?} instead of {expected:?}")]
    Duration { expected: Duration, found: Duration },
    #[error("it has {found} {kind:?} streams instead of {expected}")]
    Streams {
        kind: MediaKind,
        expected: usize,
        found: usize,
    },
    #[error("{kind:?} begins at {found:?} instead of {expected:?}")]
    Start {
        kind: MediaKind,
        expected: Duration,
        found: Duration,
    },
    #[error("nothing of its {kind:?} around {at:?} can be decoded")]
    Undecodable { kind: MediaKind, at: Duration },
    #[error("it cannot be decoded around {at:?}: {message}")]
    Decoding { at: Duration, message: String },
    #[error("it did not answer within {0:?}")]
    Hung(Duration),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl ProbeError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Engine(error) => error.kind(),
            Self::Cancelled(_) => ErrorKind::Cancelled,
            Self::Hung(_) => ErrorKind::Timeout,
            _ => ErrorKind::Internal,
        }
    }
}

/// Says what a file is, or why it is not as it should be.
pub(crate) fn probe(path: &Path, expected: &Expected, control: &Control<'_>) -> Result<Facts, ProbeError> {
    engine::init()?;
    let bytes = std::fs::metadata(path)
        .map_err(|error| ProbeError::Unreadable(error.to_string()))?
        .len();
    let found = discover(path)?;
    control.check()?;
    let duration = Duration::from_nanos(found.duration().map_or(0, gst::ClockTime::nseconds));
    if duration.abs_diff(expected.duration) > DURATION_TOLERANCE {
        return Err(ProbeError::Duration {
            expected: expected.duration,
            found: duration,
        });
    }
    let mut streams = streams(&found);
    for kind in [MediaKind::Video, MediaKind::Audio] {
        let wanted = expected.streams.iter().filter(|stream| stream.kind == kind).count();
        let found = streams.iter().filter(|stream| stream.kind == kind).count();
        if wanted != found {
            return Err(ProbeError::Streams {
                kind,
                expected: wanted,
                found,
            });
        }
    }
    let windows = windows::look(path, duration, expected, control)?;
    check_starts(&windows[0], expected)?;
    for window in &windows {
        window.check(expected)?;
    }
    note_windows(&mut streams, &windows);
    let av_offset_ns = av_offset(&streams, expected);
    Ok(Facts {
        container: expected.container,
        bytes,
        duration_ns: found.duration().map_or(0, gst::ClockTime::nseconds),
        streams,
        av_offset_ns,
    })
}

fn discover(path: &Path) -> Result<gst_pbutils::DiscovererInfo, ProbeError> {
    let unreadable = |error: gst::glib::Error| ProbeError::Unreadable(error.to_string());
    let discoverer = gst_pbutils::Discoverer::new(DISCOVERY_LIMIT).map_err(unreadable)?;
    let path = std::path::absolute(path).map_err(|error| ProbeError::Unreadable(error.to_string()))?;
    let uri = gst::glib::filename_to_uri(path, None).map_err(unreadable)?;
    let info = discoverer.discover_uri(&uri).map_err(unreadable)?;
    match info.result() {
        gst_pbutils::DiscovererResult::Ok => Ok(info),
        gst_pbutils::DiscovererResult::Timeout => Err(ProbeError::Hung(DISCOVERY_LIMIT.into())),
        other => Err(ProbeError::Unreadable(format!("{other:?}"))),
    }
}

fn streams(info: &gst_pbutils::DiscovererInfo) -> Vec<StreamFacts> {
    let codec = |caps: Option<gst::Caps>| {
        caps.and_then(|caps| caps.structure(0).map(|found| found.name().to_string()))
            .unwrap_or_default()
    };
    let video = info.video_streams().into_iter().map(|stream| StreamFacts {
        kind: MediaKind::Video,
        codec: codec(stream.caps()),
        dims: Some(Dims::new(stream.width(), stream.height())),
        channels: 0,
        first_ns: 0,
        decoded: 0,
    });
    let audio = info.audio_streams().into_iter().map(|stream| StreamFacts {
        kind: MediaKind::Audio,
        codec: codec(stream.caps()),
        dims: None,
        channels: stream.channels(),
        first_ns: 0,
        decoded: 0,
    });
    video.chain(audio).collect()
}

/// Each kind begins when it was meant to.
fn check_starts(beginning: &Window, expected: &Expected) -> Result<(), ProbeError> {
    for kind in [MediaKind::Video, MediaKind::Audio] {
        let meant = expected
            .streams
            .iter()
            .filter(|stream| stream.kind == kind)
            .map(|stream| stream.first)
            .min();
        // What begins later than the first window is not seen there.
        let Some((expected, found)) = meant.zip(beginning.first(kind)) else {
            continue;
        };
        if found.abs_diff(expected) > OFFSET_TOLERANCE {
            return Err(ProbeError::Start { kind, expected, found });
        }
    }
    Ok(())
}

fn note_windows(streams: &mut [StreamFacts], windows: &[Window]) {
    for kind in [MediaKind::Video, MediaKind::Audio] {
        let seen: Vec<_> = windows.iter().map(|window| window.seen(kind)).collect();
        for (index, stream) in streams.iter_mut().filter(|stream| stream.kind == kind).enumerate() {
            let of_stream = || seen.iter().filter_map(|window| window.get(index));
            stream.decoded = of_stream().map(|seen| seen.frames).sum();
            stream.first_ns = of_stream()
                .find_map(|seen| seen.first)
                .map_or(0, |first| u64::try_from(first.as_nanos()).unwrap_or(u64::MAX));
        }
    }
}

/// Sound against picture, as found less as meant.
fn av_offset(streams: &[StreamFacts], expected: &Expected) -> Option<i64> {
    let found = |kind| {
        streams
            .iter()
            .find(|stream| stream.kind == kind)
            .map(|stream| i128::from(stream.first_ns))
    };
    let meant = |kind| {
        let first = expected
            .streams
            .iter()
            .filter(|stream| stream.kind == kind)
            .map(|stream| stream.first)
            .min()?;
        i128::try_from(first.as_nanos()).ok()
    };
    let late = |kind| Some(found(kind)? - meant(kind)?);
    i64::try_from(late(MediaKind::Audio)? - late(MediaKind::Video)?).ok()
}
