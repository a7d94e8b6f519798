//! `POST /api/recordings`

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use garde::Validate;
use greffier_agent::{
    recorder::{RecorderError, StartRecording},
    view::RecordingView,
};
use greffier_media::{codec::MediaKind, ids::RoomName};
use greffier_store::{
    RecordingError,
    recordings::{LayerPolicy, Limits, RecordingName, RecordingRequest, TrackFilter},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::schema::{LayersSchema, RecordingSchema, TrackFilterSchema};
use crate::{
    Principal,
    access::{Operation, Target},
    extract::{Body, objects},
    problem::ApiResult,
    services::App,
};

/// A recording to be started.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(as = StartRecording)]
#[schema(example = json!({"room": "team-monday", "labels": {"team": "blue"}}))]
pub(crate) struct Start {
    /// A room that exists on the `LiveKit` server.
    #[schema(value_type = String, min_length = 1, max_length = 1024, example = "demo")]
    room: RoomName,
    /// Tells recordings of one room apart that run at the same time.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 128)]
    name: Option<RecordingName>,
    /// Tracks that match any of these are recorded; all are, if there is none.
    #[serde(default, deserialize_with = "objects")]
    #[garde(length(max = 100))]
    #[schema(value_type = Vec<TrackFilterSchema>)]
    include: Vec<TrackFilter>,
    /// Tracks that match any of these are not, whatever `include` says.
    #[serde(default, deserialize_with = "objects")]
    #[garde(length(max = 100))]
    #[schema(value_type = Vec<TrackFilterSchema>)]
    exclude: Vec<TrackFilter>,
    /// Leave out all pictures.
    #[serde(default)]
    audio_only: bool,
    /// Which of a video track's layers to ask the server for.
    #[serde(default)]
    #[schema(value_type = Option<LayersSchema>)]
    layers: LayerPolicy,
    /// It ends after so many seconds. Without it, when the meeting does.
    #[serde(default)]
    #[garde(range(min = 1, max = LONGEST))]
    #[schema(minimum = 1, maximum = 31_536_000)]
    max_duration: Option<u64>,
    /// It ends when the room is empty for so many seconds. Without it, as the configuration has it.
    #[serde(default)]
    #[garde(range(max = LONGEST))]
    #[schema(maximum = 31_536_000)]
    empty_timeout: Option<u64>,
    /// At most 64; names of 1 to 64 and values of at most 256 bytes.
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// A year, in seconds.
const LONGEST: u64 = 365 * 24 * 60 * 60;

/// Start a recording.
///
/// It answers at once; the bot is in the room within half a second. If the room is being recorded already under this
/// name, that recording is answered with 200: however often this is called, one recording comes of it.
#[utoipa::path(
    post, path = "/api/recordings", tag = "recordings", operation_id = "start_recording",
    request_body = Start,
    responses(
        (status = 201, description = "The bot is on its way", body = RecordingSchema,
            headers(("location" = String, description = "Where the recording is"))),
        (status = 200, description = "It runs already", body = RecordingSchema),
        (status = 404, description = "There is no such room", body = crate::problem::Problem),
        (status = 507, description = "The disk is nearly full", body = crate::problem::Problem),
    )
)]
pub(super) async fn start(
    State(app): State<App>,
    caller: Principal,
    Body(start): Body<Start>,
) -> ApiResult<impl IntoResponse> {
    let relation = app.relation(&caller, start.room.as_str(), None).await?;
    caller.must(Operation::Record, Target::room(start.room.as_str(), relation))?;
    let recorder = &app.services.recorder;
    let order = order(start, caller.name(), recorder.config().empty_timeout);
    let (status, recording) = match recorder.start(order).await {
        Ok(recording) => (StatusCode::CREATED, recording),
        Err(RecorderError::Recording(RecordingError::AlreadyLive(id))) => {
            (StatusCode::OK, app.services.store.recordings().get(id).await?)
        }
        Err(error) => return Err(error.into()),
    };
    let location = [(header::LOCATION, format!("/api/recordings/{}", recording.id))];
    Ok((status, location, Json(RecordingView::from(&recording))))
}

fn order(start: Start, requested_by: String, empty_timeout: Duration) -> StartRecording {
    let mut exclude = start.exclude;
    if start.audio_only {
        exclude.push(TrackFilter {
            kind: Some(MediaKind::Video),
            ..TrackFilter::default()
        });
    }
    StartRecording {
        room: start.room,
        room_sid: None,
        name: start.name.unwrap_or_default(),
        request: RecordingRequest {
            requested_by: Some(requested_by),
            rule: None,
            include: start.include,
            exclude,
            layers: start.layers,
            limits: Limits {
                max_duration: start.max_duration.map(Duration::from_secs),
                empty_timeout: Some(start.empty_timeout.map_or(empty_timeout, Duration::from_secs)),
            },
        },
        labels: start.labels,
    }
}
