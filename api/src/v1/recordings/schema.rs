//! How recordings look, for the API's description: [`RecordingView`](greffier_agent::view::RecordingView) and what is in
//! it belong to crates that know nothing of HTTP. A test keeps the two the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A recording.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RecordingView)]
pub(crate) struct RecordingSchema {
    #[schema(example = "rec_01J8Z6J9W2T4X5Y6Z7A8B9C0D1")]
    pub id: String,
    #[schema(example = "demo")]
    pub room: String,
    /// The server's id of the room's session; known once the bot is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_sid: Option<String>,
    /// Tells recordings of one room apart that run at the same time.
    #[schema(example = "default")]
    pub name: String,
    pub state: RecordingStateName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureSchema>,
    /// Nothing of the room is kept for now.
    pub paused: bool,
    /// `requested`, `room_empty`, `room_closed`, `max_duration`, `disk_full`, `removed`, `shutdown`, `recovered`, `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When capturing began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When it was to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub stopped_at: Option<String>,
    /// When it was sealed or had failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
    /// From the first to the last message of the journal; pauses and absences are part of it.
    pub duration_ms: u64,
    /// Of the journal.
    pub bytes: u64,
    /// RTP packets kept.
    pub packets: u64,
    /// RTP packets missing between those that were kept.
    pub lost_packets: u64,
    /// People who were there.
    pub participants: u64,
    pub labels: BTreeMap<String, String>,
    /// The request as it was made.
    pub request: RecordingRequestSchema,
}

/// Where a recording stands.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RecordingState)]
pub(crate) enum RecordingStateName {
    Requested,
    Joining,
    Capturing,
    Sealing,
    Sealed,
    Failed,
}

/// Why there is no recording, or no render.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FailureView)]
pub(crate) struct FailureSchema {
    #[schema(example = "unreachable")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What was asked to be recorded.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RecordingRequest)]
pub(crate) struct RecordingRequestSchema {
    /// Who asked: a person, an API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// The rule that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<TrackFilterSchema>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<TrackFilterSchema>,
    pub layers: LayersSchema,
    pub limits: LimitsSchema,
}

/// Tracks for which all that is given holds. An empty one matches all.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TrackFilter)]
pub(crate) struct TrackFilterSchema {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<KindName>,
}

/// What a track shows.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TrackSource)]
pub(crate) enum SourceName {
    Unknown,
    Camera,
    Microphone,
    ScreenShare,
    ScreenShareAudio,
}

/// Sound or picture.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = MediaKind)]
pub(crate) enum KindName {
    Audio,
    Video,
}

/// Which of a video track's layers to ask the server for: `"top"`, or the best that is no larger than this.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LayerPolicy)]
pub(crate) enum LayersSchema {
    Top,
    AtMost(DimsSchema),
}

/// In pixels.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Dims)]
pub(crate) struct DimsSchema {
    #[schema(value_type = u64, maximum = 4_294_967_295_u64)]
    pub width: u32,
    #[schema(value_type = u64, maximum = 4_294_967_295_u64)]
    pub height: u32,
}

/// When a recording ends by itself.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Limits)]
pub(crate) struct LimitsSchema {
    /// `null`: never.
    pub max_duration_ms: Option<u64>,
    /// How long the room may be empty; `null`: until the server closes it.
    pub empty_timeout_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use greffier_agent::view::{FailureView, RecordingView};
    use greffier_media::{
        codec::{Dims, MediaKind},
        ids::{ParticipantIdentity, RecordingId},
        journal::TrackSource,
    };
    use greffier_store::recordings::{LayerPolicy, RecordingRequest, TrackFilter};
    use jiff::Timestamp;
    use serde_json::{from_value, to_value};

    use super::*;

    #[test]
    fn the_description_is_of_what_is_answered() {
        let now = Timestamp::UNIX_EPOCH;
        let filter = |source, kind| TrackFilter {
            identity: Some(ParticipantIdentity::new("ana").unwrap()),
            source: Some(source),
            kind: Some(kind),
        };
        let view = RecordingView {
            id: RecordingId::from_parts(1, 1),
            room: "demo".into(),
            room_sid: Some("RM_x".into()),
            name: "default".into(),
            state: "failed".into(),
            failure: Some(FailureView {
                kind: "storage".into(),
                message: Some("why".into()),
            }),
            paused: true,
            stop_reason: Some("requested".into()),
            created_at: now,
            started_at: Some(now),
            stopped_at: Some(now),
            ended_at: Some(now),
            duration_ms: 1,
            bytes: 2,
            packets: 3,
            lost_packets: 4,
            participants: 5,
            labels: [("team".to_owned(), "blue".to_owned())].into(),
            request: RecordingRequest {
                requested_by: Some("key:ci".into()),
                rule: Some("all".into()),
                include: vec![filter(TrackSource::Camera, MediaKind::Video), TrackFilter::default()],
                exclude: vec![
                    filter(TrackSource::ScreenShare, MediaKind::Video),
                    filter(TrackSource::ScreenShareAudio, MediaKind::Audio),
                    filter(TrackSource::Microphone, MediaKind::Audio),
                    filter(TrackSource::Unknown, MediaKind::Audio),
                ],
                layers: LayerPolicy::AtMost(Dims::new(640, 360)),
                ..RecordingRequest::default()
            },
        };
        let answered = to_value(&view).unwrap();
        let described: RecordingSchema = from_value(answered.clone()).unwrap();
        assert_eq!(to_value(described).unwrap(), answered);
        assert_eq!(
            to_value(LayersSchema::Top).unwrap(),
            to_value(LayerPolicy::Top).unwrap()
        );
    }
}
