//! `GET /api/recordings/{id}/events`

use axum::{Json, extract::State};
use greffier_agent::view::timestamp;
use greffier_media::ids::RecordingId;
use greffier_store::journal::TimelineEvent;
use greffier_store::recordings::EventCursor;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::find;
use crate::{
    Principal,
    access::Operation,
    extract::{Id, Page, Params, given},
    problem::{ApiError, ApiResult},
    services::App,
};

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct EventQuery {
    /// How many at most.
    #[serde(default, deserialize_with = "given")]
    #[param(minimum = 1, maximum = 1000, default = 200)]
    limit: Option<u64>,
    /// `next_cursor` of the page before.
    after: Option<String>,
    /// Of any of these types only.
    #[serde(default)]
    #[param(example = json!(["participant_joined"]))]
    r#type: Vec<String>,
}

/// Something that happened in the room, to the bot, or to the recording.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventView {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[schema(example = "participant_joined")]
    r#type: String,
    /// The event as the journal has it.
    data: Value,
}

impl From<TimelineEvent> for EventView {
    fn from(event: TimelineEvent) -> Self {
        Self {
            at: timestamp(event.at),
            r#type: event.kind,
            data: event.data,
        }
    }
}

/// List what happened, in order.
#[utoipa::path(
    get, path = "/api/recordings/{id}/events", tag = "recordings", operation_id = "list_events",
    params(("id" = String, Path, description = "The recording"), EventQuery),
    responses(
        (status = 200, description = "A page of events", body = Page<EventView>),
        (status = 404, description = "There is no such recording", body = crate::problem::Problem),
    )
)]
pub(super) async fn events(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<RecordingId>,
    Params(query): Params<EventQuery>,
) -> ApiResult<Json<Page<EventView>>> {
    find(&app, &caller, Operation::SeeRecording, id).await?;
    let limit @ 1..=1000 = query.limit.unwrap_or(200) else {
        return Err(ApiError::invalid_field("?limit", "must be from 1 to 1000"));
    };
    let after = match query.after.as_deref().map(str::parse::<EventCursor>) {
        Some(Err(_)) => return Err(ApiError::invalid_field("?after", "must be what a page before gave")),
        Some(Ok(cursor)) => Some(cursor),
        None => None,
    };
    if query.r#type.len() > 50 {
        return Err(ApiError::invalid_field("?type", "must be at most 50 types"));
    }
    let kinds: Vec<&str> = query.r#type.iter().map(String::as_str).collect();
    let (events, next) = app.services.store.recordings().events(id, &kinds, after, limit).await?;
    Ok(Json(Page {
        next_cursor: next.map(|cursor| cursor.to_string()),
        ..Page::whole(events)
    }))
}
