//! `GET /api/recordings/{id}/participants`

use axum::{Json, extract::State};
use greffier_media::ids::RecordingId;
use greffier_store::recordings::Participant;
use serde::Serialize;
use utoipa::ToSchema;

use super::find;
use crate::{
    Principal,
    access::Operation,
    extract::{Id, Page},
    problem::ApiResult,
    services::App,
};

/// Somebody who was there.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ParticipantView {
    identity: String,
    /// The last they had.
    name: String,
}

impl From<Participant> for ParticipantView {
    fn from(participant: Participant) -> Self {
        Self {
            identity: participant.identity.into(),
            name: participant.name,
        }
    }
}

/// List the people of a recording, whether they published something or not.
#[utoipa::path(
    get, path = "/api/recordings/{id}/participants", tag = "recordings", operation_id = "list_participants",
    params(("id" = String, Path, description = "The recording")),
    responses(
        (status = 200, description = "All who were there", body = Page<ParticipantView>),
        (status = 404, description = "There is no such recording", body = crate::problem::Problem),
    )
)]
pub(super) async fn participants(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<RecordingId>,
) -> ApiResult<Json<Page<ParticipantView>>> {
    find(&app, &caller, Operation::SeeRecording, id).await?;
    let participants = app.services.store.recordings().participants(id).await?;
    Ok(Json(Page::whole(participants)))
}
