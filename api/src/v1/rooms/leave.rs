//! `POST /api/livekit/rooms/{room_name}/leave`

use axum::{extract::State, http::StatusCode};
use serde_json::json;

use super::{find, identity_in};
use crate::{Principal, access::Operation, extract::Id, problem::ApiResult, services::App};

/// Say that one leaves. The call's truth comes from the server; this notes that the client meant to, among the call's events.
#[utoipa::path(
    post, path = "/api/livekit/rooms/{room_name}/leave", tag = "rooms", operation_id = "leave_room",
    params(("room_name" = String, Path, description = "The room")),
    responses(
        (status = 204, description = "It is noted"),
        (status = 404, description = "There is no such room", body = crate::problem::Problem),
    )
)]
pub(super) async fn leave(State(app): State<App>, caller: Principal, Id(name): Id<String>) -> ApiResult<StatusCode> {
    find(&app, &caller, Operation::SeeRoom, &name).await?;
    let identity = identity_in(&caller, &name)?;
    let calls = app.store().calls();
    if let Some(call) = calls.last(&name).await? {
        calls
            .note(call, app.now(), "leave", &json!({ "identity": identity }))
            .await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
