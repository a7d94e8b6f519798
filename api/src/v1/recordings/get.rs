//! `GET /api/recordings/{id}`

use axum::{Json, extract::State};
use greffier_agent::view::RecordingView;
use greffier_media::ids::RecordingId;

use super::{find, schema::RecordingSchema};
use crate::{Principal, access::Operation, extract::Id, problem::ApiResult, services::App};

/// Get one recording.
#[utoipa::path(
    get, path = "/api/recordings/{id}", tag = "recordings", operation_id = "get_recording",
    params(("id" = String, Path, description = "The recording")),
    responses(
        (status = 200, description = "The recording", body = RecordingSchema),
        (status = 404, description = "There is no such recording", body = crate::problem::Problem),
    )
)]
pub(super) async fn get(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<RecordingId>,
) -> ApiResult<Json<RecordingView>> {
    let recording = find(&app, &caller, Operation::SeeRecording, id).await?;
    Ok(Json(RecordingView::from(&recording)))
}
