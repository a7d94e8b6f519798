//! What was, is and will be recorded.

pub(super) mod control;
mod delete;
mod events;
mod get;
mod list;
mod participants;
pub(crate) mod schema;
mod segments;
mod start;
mod timeline;
mod tracks;

use greffier_media::ids::RecordingId;
use greffier_store::recordings::Recording;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) use list::arrival;

use crate::{
    Principal,
    access::{Operation, Target},
    problem::ApiResult,
    services::App,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(start::start, list::list))
        .routes(routes!(get::get, delete::delete))
        .routes(routes!(control::stop))
        .routes(routes!(control::pause))
        .routes(routes!(control::resume))
        .routes(routes!(timeline::timeline))
        .routes(routes!(tracks::tracks))
        .routes(routes!(events::events))
        .routes(routes!(participants::participants))
        .routes(routes!(segments::segments))
}

/// The recording, if the caller may do this to it.
pub(super) async fn find(app: &App, caller: &Principal, operation: Operation, id: RecordingId) -> ApiResult<Recording> {
    let recording = app.services.store.recordings().get(id).await?;
    let room = recording.room.as_str();
    let relation = app
        .relation(caller, room, Some(recording.started.unwrap_or(recording.created)))
        .await?;
    caller.must(operation, Target::recording(id, room, relation))?;
    Ok(recording)
}

#[cfg(test)]
mod tests;
