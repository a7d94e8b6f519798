//! `POST /api/recordings/{id}/stop`, `…/pause`, `…/resume`

use axum::{Json, extract::State};
use greffier_agent::view::RecordingView;
use greffier_media::{ids::RecordingId, journal::event::StopReason};

use super::{find, schema::RecordingSchema};
use crate::{Principal, access::Operation, extract::Id, problem::ApiResult, services::App};

/// End a recording.
///
/// It answers once the bot is told; the recording is sealed within two seconds.
#[utoipa::path(
    post, path = "/api/recordings/{id}/stop", tag = "recordings", operation_id = "stop_recording",
    params(("id" = String, Path, description = "The recording")),
    responses(
        (status = 200, description = "The bot is told", body = RecordingSchema),
        (status = 404, description = "There is no such recording", body = crate::problem::Problem),
        (status = 409, description = "It has ended", body = crate::problem::Problem),
    )
)]
pub(super) async fn stop(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<RecordingId>,
) -> ApiResult<Json<RecordingView>> {
    find(&app, &caller, Operation::Record, id).await?;
    let recording = app.services.recorder.stop(id, StopReason::Requested).await?;
    Ok(Json(RecordingView::from(&recording)))
}

/// Keep nothing of the room for now.
///
/// From the answer on, nothing is stored. Pausing what is paused changes nothing.
#[utoipa::path(
    post, path = "/api/recordings/{id}/pause", tag = "recordings", operation_id = "pause_recording",
    params(("id" = String, Path, description = "The recording")),
    responses(
        (status = 200, description = "It is paused", body = RecordingSchema),
        (status = 404, description = "There is no such recording", body = crate::problem::Problem),
        (status = 409, description = "It is not capturing", body = crate::problem::Problem),
    )
)]
pub(super) async fn pause(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<RecordingId>,
) -> ApiResult<Json<RecordingView>> {
    find(&app, &caller, Operation::Record, id).await?;
    set_paused(&app, &caller, id, true).await
}

/// Go on with a recording that is paused.
#[utoipa::path(
    post, path = "/api/recordings/{id}/resume", tag = "recordings", operation_id = "resume_recording",
    params(("id" = String, Path, description = "The recording")),
    responses(
        (status = 200, description = "It goes on", body = RecordingSchema),
        (status = 404, description = "There is no such recording", body = crate::problem::Problem),
        (status = 409, description = "It is not capturing", body = crate::problem::Problem),
    )
)]
pub(super) async fn resume(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<RecordingId>,
) -> ApiResult<Json<RecordingView>> {
    find(&app, &caller, Operation::Record, id).await?;
    set_paused(&app, &caller, id, false).await
}

/// For a caller who was found to be allowed to.
pub(in crate::v1) async fn set_paused(
    app: &App,
    caller: &Principal,
    id: RecordingId,
    paused: bool,
) -> ApiResult<Json<RecordingView>> {
    let recording = app
        .services
        .recorder
        .set_paused(id, paused, Some(caller.name()))
        .await?;
    Ok(Json(RecordingView::from(&recording)))
}
