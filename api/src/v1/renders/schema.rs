//! How renders look, for the API's description; a test keeps it the same as what is answered and taken.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::v1::recordings::schema::FailureSchema;

/// A render: files made from a recording.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RenderView)]
pub(crate) struct RenderSchema {
    #[schema(example = "rnd_01J8Z6J9W2T4X5Y6Z7A8B9C0D1")]
    pub id: String,
    pub recording: String,
    /// `tracks`, `composite`, `audio` or `export`.
    pub kind: String,
    /// What exactly, as it was asked for.
    pub request: Value,
    pub state: RenderStateName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureSchema>,
    /// 0 to 1.
    pub progress: f64,
    /// There once it is ready.
    pub files: Vec<FileSchema>,
    #[schema(format = DateTime)]
    pub created_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
}

/// Where a render stands.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RenderState)]
pub(crate) enum RenderStateName {
    Queued,
    Running,
    Ready,
    Cancelled,
    Failed,
}

/// A finished file.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FileView)]
pub(crate) struct FileSchema {
    pub name: String,
    #[schema(example = "video/webm")]
    pub media_type: String,
    pub bytes: u64,
    /// In lower-case hexadecimal.
    pub sha256: String,
    /// What it is of, and what was found in it.
    pub probe: Value,
}

/// Files to be made from a recording.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = RenderRequest, example = json!({"kind": "composite", "layout": "grid", "format": "mp4"}))]
pub(crate) enum RenderRequestSchema {
    Tracks(TracksSchema),
    Composite(CompositeSchema),
    Audio(AudioSchema),
    Export(ExportSchema),
}

/// Each participant's and each screen share's media as they were sent, copied into files; nothing is encoded.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TracksRequest)]
pub(crate) struct TracksSchema {
    /// Only these participants, by identity; everybody, if empty.
    #[serde(default)]
    pub participants: Vec<String>,
    #[serde(default)]
    #[schema(required = false)]
    pub zero: ZeroName,
}

/// Where a file's time begins: with the recording, so that all files line up, or with its own first frame.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Zero)]
pub(crate) enum ZeroName {
    #[default]
    Recording,
    FirstMedia,
}

/// The room as one picture with all voices, encoded.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CompositeRequest)]
pub(crate) struct CompositeSchema {
    #[serde(default)]
    #[schema(default = "speaker")]
    pub layout: Option<LayoutName>,
    #[serde(default)]
    #[schema(default = "mp4")]
    pub format: Option<VideoFormatName>,
    /// In pixels, even.
    #[serde(default)]
    #[schema(minimum = 64, maximum = 7680, multiple_of = 2, default = 1280)]
    pub width: Option<u32>,
    #[serde(default)]
    #[schema(minimum = 64, maximum = 7680, multiple_of = 2, default = 720)]
    pub height: Option<u32>,
    /// Frames per second.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 60, default = 30)]
    pub fps: Option<u32>,
    /// Write names on the pictures.
    #[serde(default)]
    #[schema(default = true)]
    pub labels: Option<bool>,
    /// Where to begin, in milliseconds from the recording's start, pauses cut out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<u64>,
    /// Where to end. Without it, at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_ms: Option<u64>,
}

/// How a picture is arranged.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LayoutKind)]
pub(crate) enum LayoutName {
    Grid,
    Speaker,
    Screen,
}

/// H264 and AAC in MP4, or VP8 and Opus in `WebM`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = VideoFormat)]
pub(crate) enum VideoFormatName {
    Mp4,
    Webm,
}

/// All voices mixed into one, or each alone.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AudioRequest)]
pub(crate) struct AudioSchema {
    #[serde(default)]
    #[schema(default = "ogg")]
    pub format: Option<AudioFormatName>,
    #[serde(default)]
    #[schema(minimum = 1, maximum = 2, default = 2)]
    pub channels: Option<u8>,
    /// In Hz: 8000, 16000, 24000 or 48000.
    #[serde(default)]
    #[schema(default = 48000)]
    pub sample_rate: Option<u32>,
    /// Only these participants, by identity; everybody, if empty.
    #[serde(default)]
    pub participants: Vec<String>,
    /// One file for each participant instead of one for all.
    #[serde(default)]
    #[schema(default = false)]
    pub separate: Option<bool>,
    /// Where to begin, in milliseconds from the recording's start, pauses cut out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<u64>,
    /// Where to end. Without it, at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_ms: Option<u64>,
}

/// How sound is stored.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AudioFormat)]
pub(crate) enum AudioFormatName {
    Ogg,
    Mp3,
    Wav,
}

/// The packets themselves, for other tools.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ExportRequest)]
pub(crate) struct ExportSchema {
    pub format: ExportFormatName,
}

/// For whose eyes packets are exported: Wireshark's, rtptools', or one indexed journal.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ExportFormat)]
pub(crate) enum ExportFormatName {
    Pcap,
    Rtpdump,
    Mcap,
}

#[cfg(test)]
mod tests {
    use greffier_agent::view::{FailureView, FileView, RenderView};
    use greffier_media::{
        ids::{ParticipantIdentity, RecordingId, RenderId},
        layout::LayoutKind,
        render::{
            AudioFormat, AudioRequest, CompositeRequest, ExportFormat, ExportRequest, RenderRequest, TracksRequest,
            VideoFormat, Zero,
        },
    };
    use jiff::Timestamp;
    use serde_json::{from_value, json, to_value};

    use super::*;

    #[test]
    fn the_description_is_of_what_is_answered() {
        let now = Timestamp::UNIX_EPOCH;
        let view = RenderView {
            id: RenderId::from_parts(1, 1),
            recording: RecordingId::from_parts(1, 1),
            kind: "tracks".into(),
            request: json!({"kind": "tracks"}),
            state: "failed".into(),
            failure: Some(FailureView {
                kind: "input".into(),
                message: None,
            }),
            progress: 0.5,
            files: vec![FileView {
                name: "ana.webm".into(),
                media_type: "video/webm".into(),
                bytes: 1,
                sha256: "00".into(),
                probe: json!({}),
            }],
            created_at: now,
            started_at: Some(now),
            ended_at: Some(now),
        };
        let answered = to_value(&view).unwrap();
        let described: RenderSchema = from_value(answered.clone()).unwrap();
        assert_eq!(to_value(described).unwrap(), answered);
    }

    #[test]
    fn the_description_is_of_what_is_taken() {
        let ana = || vec![ParticipantIdentity::new("ana").unwrap()];
        let mut requests = vec![
            RenderRequest::Tracks(TracksRequest {
                participants: ana(),
                zero: Zero::FirstMedia,
            }),
            RenderRequest::Tracks(TracksRequest::default()),
        ];
        for layout in [LayoutKind::Grid, LayoutKind::Speaker, LayoutKind::Screen] {
            for format in [VideoFormat::Mp4, VideoFormat::Webm] {
                requests.push(RenderRequest::Composite(CompositeRequest {
                    layout,
                    format,
                    from_ms: Some(1),
                    to_ms: Some(2),
                    ..CompositeRequest::default()
                }));
            }
        }
        for format in [AudioFormat::Ogg, AudioFormat::Mp3, AudioFormat::Wav] {
            requests.push(RenderRequest::Audio(AudioRequest {
                format,
                participants: ana(),
                from_ms: Some(1),
                to_ms: Some(2),
                ..AudioRequest::default()
            }));
        }
        for format in [ExportFormat::Pcap, ExportFormat::Rtpdump, ExportFormat::Mcap] {
            requests.push(RenderRequest::Export(ExportRequest { format }));
        }
        for request in requests {
            let taken = to_value(&request).unwrap();
            let described: RenderRequestSchema = from_value(taken.clone()).unwrap();
            assert_eq!(to_value(described).unwrap(), taken);
        }
    }
}
