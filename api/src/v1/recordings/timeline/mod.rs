//! `GET /api/recordings/{id}/timeline`

mod build;
mod room;
#[cfg(test)]
mod tests;

use axum::{Json, extract::State};
use greffier_agent::view::RecordingView;
use greffier_media::ids::RecordingId;
use greffier_store::journal::TimelineEvent;
use serde::Serialize;
use utoipa::ToSchema;

use super::{find, schema::RecordingSchema};
use crate::{Principal, access::Operation, extract::Id, problem::ApiResult, services::App};

/// Events of one answer. A meeting of a day has fewer.
const MOST_EVENTS: usize = 100_000;
const PAGE: u64 = 5000;

/// What a player shows beside the pictures. All times are in milliseconds of the recording as it is played: from its
/// start, pauses cut out.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Timeline {
    #[schema(value_type = RecordingSchema)]
    recording: RecordingView,
    duration_ms: u64,
    participants: Vec<Person>,
    /// Files that were copied from what people sent; each begins where its `offset_ms` says.
    media: Vec<Media>,
    chat: Vec<Chat>,
    /// Where something was cut out, and how long it was.
    pauses: Vec<Pause>,
    /// When the recorder was not there, or could not keep up.
    gaps: Vec<Interval>,
    events: Vec<Event>,
    /// There were more events than are answered.
    truncated: bool,
}

/// Somebody who was there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
struct Person {
    identity: String,
    name: String,
    joined: Vec<Interval>,
    speaking: Vec<Interval>,
    /// While the camera sent.
    camera: Vec<Interval>,
    /// While they were there and their microphone was off.
    muted: Vec<Interval>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
struct Interval {
    from_ms: u64,
    to_ms: u64,
}

/// Something that was cut out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "times say their unit in JSON")]
struct Pause {
    from_ms: u64,
    to_ms: u64,
    /// How long it was.
    cut_ms: u64,
}

/// A file to be played.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "a media type is called so")]
struct Media {
    kind: MediaKindName,
    identity: String,
    name: String,
    /// Works for a while without a header.
    url: String,
    #[schema(example = "video/webm")]
    media_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u64>,
    /// Where its second 0 is.
    offset_ms: u64,
    /// When its first picture or sound is, from its own second 0.
    first_ms: u64,
    duration_ms: u64,
    has_audio: bool,
    has_video: bool,
}

/// What a file shows: somebody, or what they shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TimelineMediaKind)]
enum MediaKindName {
    Participant,
    ScreenShare,
}

/// Something somebody wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = TimelineChat)]
struct Chat {
    at_ms: u64,
    identity: String,
    name: String,
    text: String,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = TimelineEvent)]
struct Event {
    at_ms: u64,
    #[schema(example = "participant_joined")]
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// Get what a player needs: who was there and spoke when, which files to play, what was written and what happened.
#[utoipa::path(
    get, path = "/api/recordings/{id}/timeline", tag = "recordings", operation_id = "get_timeline",
    params(("id" = String, Path, description = "The recording")),
    responses(
        (status = 200, description = "The timeline", body = Timeline),
        (status = 404, description = "There is no such recording", body = crate::problem::Problem),
    )
)]
pub(super) async fn timeline(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<RecordingId>,
) -> ApiResult<Json<Timeline>> {
    let recording = find(&app, &caller, Operation::ReadFiles, id).await?;
    let (events, truncated) = all_events(&app, id).await?;
    let renders = app.store().renders().list(id).await?;
    let key = app.links.sign(id, app.now());
    Ok(Json(build::timeline(&recording, &events, &renders, truncated, &key)))
}

async fn all_events(app: &App, id: RecordingId) -> ApiResult<(Vec<TimelineEvent>, bool)> {
    let mut events = Vec::new();
    let mut after = None;
    loop {
        let (page, next) = app.store().recordings().events(id, &[], after, PAGE).await?;
        events.extend(page);
        if next.is_none() || events.len() >= MOST_EVENTS {
            return Ok((events, next.is_some()));
        }
        after = next;
    }
}
