//! `GET /api/admin/rooms`

use axum::{Json, extract::State};
use greffier_agent::view::{RecordingView, timestamp};
use greffier_media::lifecycle::RecordingState;
use greffier_store::{meetings::Call, recordings::RecordingFilter};
use serde::Serialize;
use utoipa::ToSchema;

use super::must_administer;
use crate::{Principal, extract::Page, problem::ApiResult, services::App, v1::recordings::schema::RecordingSchema};

/// A call that goes on, in a room that was made here or not.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LiveRoomView {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[schema(format = DateTime)]
    started_at: String,
    participants: Vec<LivePersonView>,
    /// The recording that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<RecordingSchema>)]
    recording: Option<RecordingView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LivePersonView {
    identity: String,
    name: String,
    #[schema(format = DateTime)]
    joined_at: String,
}

/// List what goes on now, also in rooms that were not made here.
#[utoipa::path(
    get, path = "/api/admin/rooms", tag = "administration", operation_id = "list_live_rooms",
    responses((status = 200, description = "The rooms", body = Page<LiveRoomView>))
)]
pub(super) async fn rooms(State(app): State<App>, caller: Principal) -> ApiResult<Json<Page<LiveRoomView>>> {
    must_administer(&caller)?;
    let filter = RecordingFilter {
        states: vec![
            RecordingState::Requested,
            RecordingState::Joining,
            RecordingState::Capturing,
        ],
        ..RecordingFilter::default()
    };
    let running = app.store().recordings().list(&filter, None, 1000).await?.items;
    let live = app.store().calls().all_live().await?;
    let view = |call: Call| {
        let recording = running
            .iter()
            .find(|recording| recording.room.as_str() == call.room_name);
        LiveRoomView {
            title: call.title,
            started_at: timestamp(call.started).to_string(),
            participants: call
                .participants
                .into_iter()
                .filter_map(|participant| {
                    let stay = participant.stays.last().filter(|stay| stay.left.is_none())?;
                    Some(LivePersonView {
                        joined_at: timestamp(stay.joined).to_string(),
                        identity: participant.identity,
                        name: participant.name,
                    })
                })
                .collect(),
            recording: recording.map(RecordingView::from),
            name: call.room_name,
        }
    };
    Ok(Json(Page {
        items: live.into_iter().map(view).collect(),
        next_cursor: None,
    }))
}
