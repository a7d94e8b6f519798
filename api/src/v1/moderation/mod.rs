//! What moderators do in a room, through the `LiveKit` server.

use axum::{Json, extract::State, http::StatusCode};
use greffier_agent::view::timestamp;
use greffier_store::meetings::{Removed, RoomChange};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::rooms::find;
use crate::{
    Principal,
    access::Operation,
    extract::{Id, Page},
    meetings::{moderation, tell},
    problem::ApiResult,
    services::App,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(mute))
        .routes(routes!(remove))
        .routes(routes!(list_removed))
        .routes(routes!(let_back))
        .routes(routes!(promote))
        .routes(routes!(demote))
        .routes(routes!(lower_hand))
        .routes(routes!(lower_hands))
        .routes(routes!(lock))
        .routes(routes!(unlock))
}

/// Mute what somebody says. They may speak again when they want to.
#[utoipa::path(
    post, path = "/api/livekit/rooms/{room_name}/participants/{identity}/mute", tag = "moderation",
    operation_id = "mute_participant",
    params(
        ("room_name" = String, Path, description = "The room"),
        ("identity" = String, Path, description = "Who, in the room's eyes"),
    ),
    responses(
        (status = 204, description = "They are muted"),
        (status = 404, description = "There is no such room, or they are not in it", body = crate::problem::Problem),
    )
)]
async fn mute(
    State(app): State<App>,
    caller: Principal,
    Id((name, identity)): Id<(String, String)>,
) -> ApiResult<StatusCode> {
    find(&app, &caller, Operation::Moderate, &name).await?;
    moderation::mute(&app, &name, &identity).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Put somebody out of the call that goes on.
///
/// They stay out, by whatever way they come, until they are let back in or the call ends. From then on guests who are new to
/// the call have to be let in, whether the room has a waiting room or not. Only the owner and administrators put out the
/// owner.
#[utoipa::path(
    post, path = "/api/livekit/rooms/{room_name}/participants/{identity}/remove", tag = "moderation",
    operation_id = "remove_participant",
    params(
        ("room_name" = String, Path, description = "The room"),
        ("identity" = String, Path, description = "Who, in the room's eyes"),
    ),
    responses(
        (status = 204, description = "They are out"),
        (status = 404, description = "There is no such room, or they are not in it", body = crate::problem::Problem),
    )
)]
async fn remove(
    State(app): State<App>,
    caller: Principal,
    Id((name, identity)): Id<(String, String)>,
) -> ApiResult<StatusCode> {
    let room = find(&app, &caller, Operation::Moderate, &name).await?;
    moderation::remove(&app, &caller, &room, &identity).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Somebody who was put out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "identity": "guest_01J8Z6J9W2T4X5Y6Z7A8B9C0D1", "name": "Bob", "removed_at": "2026-01-31T09:12:00Z",
    "removed_by": "usr_01J8Z6J9W2T4X5Y6Z7A8B9C0D1",
}))]
struct RemovedView {
    identity: String,
    name: String,
    #[schema(format = DateTime)]
    removed_at: String,
    /// Who did it: `usr_…`, `key:…`, `livekit:…`.
    removed_by: String,
}

/// List who was put out of the call that goes on, the last first.
#[utoipa::path(
    get, path = "/api/livekit/rooms/{room_name}/removed", tag = "moderation", operation_id = "list_removed",
    params(("room_name" = String, Path, description = "The room")),
    responses(
        (status = 200, description = "Who is kept out", body = Page<RemovedView>),
        (status = 404, description = "There is no such room", body = crate::problem::Problem),
    )
)]
async fn list_removed(
    State(app): State<App>,
    caller: Principal,
    Id(name): Id<String>,
) -> ApiResult<Json<Page<RemovedView>>> {
    let room = find(&app, &caller, Operation::Moderate, &name).await?;
    let removed = moderation::removed(&app, &room).await?;
    let view = |one: Removed| RemovedView {
        identity: one.identity,
        name: one.name,
        removed_at: timestamp(one.at).to_string(),
        removed_by: one.by,
    };
    Ok(Json(Page {
        items: removed.into_iter().map(view).collect(),
        next_cursor: None,
    }))
}

/// Let somebody back in who was put out. Nobody does so for themselves.
#[utoipa::path(
    delete, path = "/api/livekit/rooms/{room_name}/removed/{identity}", tag = "moderation", operation_id = "let_back",
    params(
        ("room_name" = String, Path, description = "The room"),
        ("identity" = String, Path, description = "Who, in the room's eyes"),
    ),
    responses(
        (status = 204, description = "They may come in again"),
        (status = 404, description = "There is no such room, or nobody of this identity was put out", body = crate::problem::Problem),
    )
)]
async fn let_back(
    State(app): State<App>,
    caller: Principal,
    Id((name, identity)): Id<(String, String)>,
) -> ApiResult<StatusCode> {
    let room = find(&app, &caller, Operation::Moderate, &name).await?;
    moderation::let_back(&app, &caller, &room, &identity).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Let somebody speak where others only listen.
#[utoipa::path(
    post, path = "/api/livekit/rooms/{room_name}/participants/{identity}/promote", tag = "moderation",
    operation_id = "promote_participant",
    params(
        ("room_name" = String, Path, description = "The room"),
        ("identity" = String, Path, description = "Who, in the room's eyes"),
    ),
    responses(
        (status = 204, description = "They may speak"),
        (status = 404, description = "There is no such room, or they are not in it", body = crate::problem::Problem),
    )
)]
async fn promote(
    State(app): State<App>,
    caller: Principal,
    Id((name, identity)): Id<(String, String)>,
) -> ApiResult<StatusCode> {
    let room = find(&app, &caller, Operation::Moderate, &name).await?;
    moderation::let_speak(&app, &room, &identity, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Let somebody only listen.
#[utoipa::path(
    post, path = "/api/livekit/rooms/{room_name}/participants/{identity}/demote", tag = "moderation",
    operation_id = "demote_participant",
    params(
        ("room_name" = String, Path, description = "The room"),
        ("identity" = String, Path, description = "Who, in the room's eyes"),
    ),
    responses(
        (status = 204, description = "They only listen"),
        (status = 404, description = "There is no such room, or they are not in it", body = crate::problem::Problem),
    )
)]
async fn demote(
    State(app): State<App>,
    caller: Principal,
    Id((name, identity)): Id<(String, String)>,
) -> ApiResult<StatusCode> {
    let room = find(&app, &caller, Operation::Moderate, &name).await?;
    moderation::let_speak(&app, &room, &identity, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lower somebody's hand.
#[utoipa::path(
    post, path = "/api/livekit/rooms/{room_name}/participants/{identity}/lower-hand", tag = "moderation",
    operation_id = "lower_hand",
    params(
        ("room_name" = String, Path, description = "The room"),
        ("identity" = String, Path, description = "Who, in the room's eyes"),
    ),
    responses(
        (status = 204, description = "It is down"),
        (status = 404, description = "There is no such room, or they are not in it", body = crate::problem::Problem),
    )
)]
async fn lower_hand(
    State(app): State<App>,
    caller: Principal,
    Id((name, identity)): Id<(String, String)>,
) -> ApiResult<StatusCode> {
    find(&app, &caller, Operation::Moderate, &name).await?;
    moderation::lower_hand(&app, &name, &identity).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lower all hands.
#[utoipa::path(
    post, path = "/api/livekit/rooms/{room_name}/lower-hands", tag = "moderation", operation_id = "lower_hands",
    params(("room_name" = String, Path, description = "The room")),
    responses(
        (status = 204, description = "They are down"),
        (status = 404, description = "There is no such room", body = crate::problem::Problem),
        (status = 409, description = "The room has ended", body = crate::problem::Problem),
    )
)]
async fn lower_hands(State(app): State<App>, caller: Principal, Id(name): Id<String>) -> ApiResult<StatusCode> {
    find(&app, &caller, Operation::Moderate, &name).await?;
    moderation::lower_hands(&app, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lock the room: nobody but moderators comes in any more.
#[utoipa::path(
    post, path = "/api/livekit/rooms/{room_name}/lock", tag = "moderation", operation_id = "lock_room",
    params(("room_name" = String, Path, description = "The room")),
    responses(
        (status = 204, description = "It is locked"),
        (status = 404, description = "There is no such room", body = crate::problem::Problem),
        (status = 409, description = "The room has ended", body = crate::problem::Problem),
    )
)]
async fn lock(State(app): State<App>, caller: Principal, Id(name): Id<String>) -> ApiResult<StatusCode> {
    find(&app, &caller, Operation::Moderate, &name).await?;
    set_locked(&app, &name, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Unlock the room.
#[utoipa::path(
    post, path = "/api/livekit/rooms/{room_name}/unlock", tag = "moderation", operation_id = "unlock_room",
    params(("room_name" = String, Path, description = "The room")),
    responses(
        (status = 204, description = "It is open"),
        (status = 404, description = "There is no such room", body = crate::problem::Problem),
        (status = 409, description = "The room has ended", body = crate::problem::Problem),
    )
)]
async fn unlock(State(app): State<App>, caller: Principal, Id(name): Id<String>) -> ApiResult<StatusCode> {
    find(&app, &caller, Operation::Moderate, &name).await?;
    set_locked(&app, &name, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_locked(app: &App, name: &str, locked: bool) -> ApiResult<()> {
    let change = RoomChange {
        locked: Some(locked),
        ..RoomChange::default()
    };
    app.store().rooms().update(name, &change, None).await?;
    tell::room_changed(app, name);
    Ok(())
}

#[cfg(test)]
mod tests;
