//! What can be asked of renders: the words that the API, the queue and the child process that makes them share.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    ErrorKind,
    codec::Dims,
    ids::ParticipantIdentity,
    layout::{Canvas, LayoutKind},
    time::Position,
};

/// Files to be made from a recording. Tagged by `kind`, in `snake_case`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum RenderRequest {
    /// Each participant's and each screen share's media as they were sent, copied into files; nothing is encoded.
    Tracks(TracksRequest),
    /// The room as one picture with all voices, encoded.
    Composite(CompositeRequest),
    /// All voices mixed into one, or each alone.
    Audio(AudioRequest),
    /// The packets themselves, for other tools.
    Export(ExportRequest),
}

/// See [`RenderRequest::Tracks`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TracksRequest {
    /// Only these participants; everybody, if empty.
    pub participants: Vec<ParticipantIdentity>,
    pub zero: Zero,
}

/// Where a file's time begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Zero {
    /// With the recording: all files line up.
    #[default]
    Recording,
    /// With the file's own first frame.
    FirstMedia,
}

/// See [`RenderRequest::Composite`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CompositeRequest {
    pub layout: LayoutKind,
    pub format: VideoFormat,
    /// In pixels; both even, from 64 to 7680.
    pub width: u32,
    pub height: u32,
    /// Frames per second, 1 to 60.
    pub fps: u32,
    /// Write names on the pictures.
    pub labels: bool,
    /// Where to begin, in milliseconds of the recording's own time: from its start, pauses cut out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<u64>,
    /// Where to end. `None` for the end of the recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_ms: Option<u64>,
}

impl Default for CompositeRequest {
    fn default() -> Self {
        Self {
            layout: LayoutKind::Speaker,
            format: VideoFormat::Mp4,
            width: 1280,
            height: 720,
            fps: 30,
            labels: true,
            from_ms: None,
            to_ms: None,
        }
    }
}

/// How an encoded picture is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VideoFormat {
    /// H264 and AAC.
    #[default]
    Mp4,
    /// VP8 and Opus.
    Webm,
}

/// See [`RenderRequest::Audio`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AudioRequest {
    pub format: AudioFormat,
    /// 1 or 2.
    pub channels: u8,
    /// In Hz: 8000, 16000, 24000 or 48000. Opus files are 48000 whatever they hold.
    pub sample_rate: u32,
    /// Only these participants; everybody, if empty.
    pub participants: Vec<ParticipantIdentity>,
    /// One file for each participant instead of one for all.
    pub separate: bool,
    /// Where to begin, in milliseconds of the recording's own time: from its start, pauses cut out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<u64>,
    /// Where to end. `None` for the end of the recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_ms: Option<u64>,
}

impl Default for AudioRequest {
    fn default() -> Self {
        Self {
            format: AudioFormat::Ogg,
            channels: 2,
            sample_rate: 48_000,
            participants: Vec::new(),
            separate: false,
            from_ms: None,
            to_ms: None,
        }
    }
}

/// How sound is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudioFormat {
    /// Opus in Ogg.
    #[default]
    Ogg,
    Mp3,
    /// 16-bit PCM.
    Wav,
}

/// See [`RenderRequest::Export`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportRequest {
    pub format: ExportFormat,
}

/// For whose eyes packets are exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// Wireshark's: packets in made-up UDP, at the times they arrived.
    Pcap,
    /// One file for each stream, as rtptools have it.
    Rtpdump,
    /// One indexed journal out of all segments.
    Mcap,
}

/// Why nothing can be made as asked. `field` is the name it has in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` must be {rule}")]
pub struct RequestError {
    pub field: &'static str,
    pub rule: &'static str,
}

impl RequestError {
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

impl RenderRequest {
    /// In `snake_case`, as `kind` in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Tracks(_) => "tracks",
            Self::Composite(_) => "composite",
            Self::Audio(_) => "audio",
            Self::Export(_) => "export",
        }
    }

    /// Whether it is made by copying, in a fraction of the time that the meeting took.
    pub fn is_copy(&self) -> bool {
        matches!(self, Self::Tracks(_) | Self::Export(_))
    }

    /// Checks every rule that the fields' texts state.
    pub fn validate(&self) -> Result<(), RequestError> {
        let rules: &[(bool, &'static str, &'static str)] = match self {
            Self::Tracks(_) | Self::Export(_) => &[],
            Self::Composite(composite) => {
                let side = |length| Canvas::new(length, length).is_ok();
                &[
                    (side(composite.width), "width", "even, from 64 to 7680"),
                    (side(composite.height), "height", "even, from 64 to 7680"),
                    ((1..=60).contains(&composite.fps), "fps", "from 1 to 60"),
                    (
                        is_forward(composite.from_ms, composite.to_ms),
                        "to_ms",
                        "after `from_ms`",
                    ),
                ]
            }
            Self::Audio(audio) => &[
                (matches!(audio.channels, 1 | 2), "channels", "1 or 2"),
                (
                    matches!(audio.sample_rate, 8000 | 16_000 | 24_000 | 48_000),
                    "sample_rate",
                    "8000, 16000, 24000 or 48000",
                ),
                (is_forward(audio.from_ms, audio.to_ms), "to_ms", "after `from_ms`"),
            ],
        };
        match rules.iter().find(|(holds, ..)| !holds) {
            Some((_, field, rule)) => Err(RequestError { field, rule }),
            None => Ok(()),
        }
    }
}

fn is_forward(from_ms: Option<u64>, to_ms: Option<u64>) -> bool {
    to_ms.is_none_or(|to| to > from_ms.unwrap_or(0))
}

/// Positions of a range.
pub fn range(from_ms: Option<u64>, to_ms: Option<u64>) -> (Position, Option<Position>) {
    (
        Position::from_millis(from_ms.unwrap_or(0)),
        to_ms.map(Position::from_millis),
    )
}

impl CompositeRequest {
    pub fn dims(&self) -> Dims {
        Dims::new(self.width, self.height)
    }

    /// How long a frame is shown.
    pub fn frame_duration(&self) -> Duration {
        Duration::from_secs(1) / self.fps.max(1)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    #[test]
    fn requests_are_what_users_write() {
        let composite: RenderRequest = from_value(json!({
            "kind": "composite", "layout": "grid", "format": "webm", "fps": 25, "from_ms": 1000
        }))
        .unwrap();
        let RenderRequest::Composite(asked) = &composite else {
            panic!("a composite")
        };
        assert_eq!((asked.layout, asked.fps, asked.width), (LayoutKind::Grid, 25, 1280));
        assert_eq!(range(asked.from_ms, asked.to_ms), (Position::from_millis(1000), None));
        assert_eq!(composite.kind(), "composite");
        assert_eq!(composite.validate(), Ok(()));
        for text in [
            json!({"kind": "tracks"}),
            json!({"kind": "audio", "format": "wav", "separate": true}),
        ] {
            let request: RenderRequest = from_value(text).unwrap();
            assert_eq!(request.validate(), Ok(()));
            let again: RenderRequest = from_value(to_value(&request).unwrap()).unwrap();
            assert_eq!(again, request);
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_field_s_name() {
        for (bad, field) in [
            (json!({"kind": "composite", "width": 63}), "width"),
            (json!({"kind": "composite", "height": 721}), "height"),
            (json!({"kind": "composite", "fps": 0}), "fps"),
            (json!({"kind": "composite", "from_ms": 5, "to_ms": 5}), "to_ms"),
            (json!({"kind": "audio", "channels": 6}), "channels"),
            (json!({"kind": "audio", "sample_rate": 44100}), "sample_rate"),
        ] {
            let request: RenderRequest = from_value(bad).unwrap();
            assert_eq!(request.validate().map_err(|error| error.field), Err(field));
        }
        for unreadable in [
            json!({"kind": "gif"}),
            json!({"kind": "composite", "layuot": "grid"}),
            json!({"kind": "export"}),
        ] {
            assert!(from_value::<RenderRequest>(unreadable.clone()).is_err(), "{unreadable}");
        }
    }
}
