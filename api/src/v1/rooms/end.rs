//! `DELETE /api/livekit/rooms/{room_name}`

use axum::{extract::State, http::StatusCode};

use super::find;
use crate::{Principal, access::Operation, extract::Id, meetings::moderation, problem::ApiResult, services::App};

/// End a room for good: everybody is put out, and nobody comes in any more. What took place in it stays.
#[utoipa::path(
    delete, path = "/api/livekit/rooms/{room_name}", tag = "rooms", operation_id = "end_room",
    params(("room_name" = String, Path, description = "The room")),
    responses(
        (status = 204, description = "It has ended"),
        (status = 404, description = "There is no such room", body = crate::problem::Problem),
        (status = 409, description = "It had ended before", body = crate::problem::Problem),
    )
)]
pub(super) async fn end(State(app): State<App>, caller: Principal, Id(name): Id<String>) -> ApiResult<StatusCode> {
    let room = find(&app, &caller, Operation::EndRoom, &name).await?;
    // First here, so that nobody whom the server puts out comes back.
    app.store().rooms().end(&name).await?;
    moderation::close(&app, room.name.as_str()).await?;
    Ok(StatusCode::NO_CONTENT)
}
