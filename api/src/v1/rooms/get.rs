//! `GET /api/livekit/rooms/{room_name}`

use axum::{Json, extract::State};

use super::{detailed, find, schema::RoomView};
use crate::{Principal, access::Operation, extract::Id, problem::ApiResult, services::App};

/// Show a room: whom it belongs to, who is in it now, and who was. Guests are told who is there, and no more.
#[utoipa::path(
    get, path = "/api/livekit/rooms/{room_name}", tag = "rooms", operation_id = "get_room",
    params(("room_name" = String, Path, description = "The room")),
    responses(
        (status = 200, description = "The room", body = RoomView),
        (status = 404, description = "There is no such room", body = crate::problem::Problem),
    )
)]
pub(super) async fn get(State(app): State<App>, caller: Principal, Id(name): Id<String>) -> ApiResult<Json<RoomView>> {
    let room = find(&app, &caller, Operation::SeeRoom, &name).await?;
    Ok(Json(detailed(&app, &caller, &room).await?))
}
