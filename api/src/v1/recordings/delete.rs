//! `DELETE /api/recordings/{id}`

use axum::{extract::State, http::StatusCode};
use greffier_media::ids::RecordingId;

use super::find;
use crate::{Principal, access::Operation, extract::Id, problem::ApiResult, services::App};

/// Delete a recording, with its files and renders.
///
/// It must have ended. What is deleted cannot be brought back.
#[utoipa::path(
    delete, path = "/api/recordings/{id}", tag = "recordings", operation_id = "delete_recording",
    params(("id" = String, Path, description = "The recording")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such recording", body = crate::problem::Problem),
        (status = 409, description = "It has not ended", body = crate::problem::Problem),
    )
)]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<RecordingId>,
) -> ApiResult<StatusCode> {
    let recording = find(&app, &caller, Operation::DeleteRecording, id).await?;
    app.services.store.recordings().delete(id).await?;
    tracing::info!(recording = %id, room = %recording.room, caller = caller.name(), "recording deleted");
    Ok(StatusCode::NO_CONTENT)
}
