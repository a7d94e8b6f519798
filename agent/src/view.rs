//! Recordings and renders as the outside sees them: in the API's answers and in webhooks alike.

use std::collections::BTreeMap;

use greffier_media::ids::{RecordingId, RenderId};
use greffier_media::time::Arrival;
use greffier_store::recordings::{Recording, RecordingRequest};
use greffier_store::renders::{Render, RenderFile};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordingView {
    pub id: RecordingId,
    pub room: String,
    /// The server's id of the room's session; known once the bot is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_sid: Option<String>,
    /// Tells recordings of one room apart that run at the same time.
    pub name: String,
    /// `requested`, `joining`, `capturing`, `sealing`, `sealed` or `failed`.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureView>,
    /// Nothing of the room is kept for now.
    pub paused: bool,
    /// `requested`, `room_empty`, `room_closed`, `max_duration`, `disk_full` …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    pub created_at: Timestamp,
    /// When capturing began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it was to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<Timestamp>,
    /// When it was sealed or had failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// From the first to the last message of the journal, in milliseconds; pauses and absences are part of it.
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
    pub request: RecordingRequest,
}

/// Why there is no recording, or no render.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureView {
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A render: files made from a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RenderView {
    pub id: RenderId,
    pub recording: RecordingId,
    /// `tracks`, `composite`, `audio` or `export`.
    pub kind: String,
    /// What exactly, as the kind has it.
    pub request: Value,
    /// `queued`, `running`, `ready`, `cancelled` or `failed`.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureView>,
    /// 0 to 1.
    pub progress: f64,
    /// Present once it is ready.
    pub files: Vec<FileView>,
    pub created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// A finished file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileView {
    pub name: String,
    pub media_type: String,
    pub bytes: u64,
    /// In lower-case hexadecimal.
    pub sha256: String,
    /// What it is of, and what was found in it.
    pub probe: Value,
}

/// A time for people and programs that know nothing of ours.
pub fn timestamp(at: Arrival) -> Timestamp {
    // Arrivals are unsigned nanoseconds since the epoch: all of them are years that a timestamp can hold.
    Timestamp::from_nanosecond(i128::from(at.as_nanos())).unwrap_or(Timestamp::MAX)
}

impl From<&Recording> for RecordingView {
    fn from(recording: &Recording) -> Self {
        Self {
            id: recording.id,
            room: recording.room.to_string(),
            room_sid: recording.room_sid.as_ref().map(ToString::to_string),
            name: recording.name.to_string(),
            state: recording.state.name().to_owned(),
            failure: recording.state.failure().map(|kind| FailureView {
                kind: name_of(&kind),
                message: recording.failure_message.clone(),
            }),
            paused: recording.paused,
            stop_reason: recording.stop_reason.as_ref().map(name_of),
            created_at: timestamp(recording.created),
            started_at: recording.started.map(timestamp),
            stopped_at: recording.stopped.map(timestamp),
            ended_at: recording.ended.map(timestamp),
            duration_ms: u64::try_from(recording.duration().as_millis()).unwrap_or(u64::MAX),
            bytes: recording.bytes,
            packets: recording.packets,
            lost_packets: recording.lost_packets,
            participants: recording.participants,
            labels: recording.labels.clone(),
            request: recording.request.clone(),
        }
    }
}

impl From<&Render> for RenderView {
    fn from(render: &Render) -> Self {
        Self {
            id: render.id,
            recording: render.recording,
            kind: render.kind.clone(),
            request: render.request.clone(),
            state: render.state.name().to_owned(),
            failure: render.state.failure().map(|kind| FailureView {
                kind: name_of(&kind),
                message: render.failure_message.clone(),
            }),
            progress: render.progress,
            files: render.files.iter().map(FileView::from).collect(),
            created_at: timestamp(render.created),
            started_at: render.started.map(timestamp),
            ended_at: render.ended.map(timestamp),
        }
    }
}

impl From<&RenderFile> for FileView {
    fn from(file: &RenderFile) -> Self {
        Self {
            name: file.name.clone(),
            media_type: file.media_type.clone(),
            bytes: file.bytes,
            sha256: file.sha256.clone(),
            probe: file.probe.clone(),
        }
    }
}

/// The name an enum's variant has in JSON.
fn name_of(variant: &impl Serialize) -> String {
    match serde_json::to_value(variant) {
        Ok(Value::String(name)) => name,
        _ => "unknown".to_owned(),
    }
}
