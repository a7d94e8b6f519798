//! `/api/livekit/rooms/{room_name}/members/{user_id}`

use axum::{Json, extract::State, http::StatusCode};
use garde::Validate;
use greffier_store::{
    MeetingError, UserId,
    meetings::{Room, RoomChange, RoomRole},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    detailed, find,
    schema::{RoomRoleName, RoomView},
};
use crate::{
    Principal,
    access::Operation,
    extract::{Body, Id},
    meetings::{moderation, tell},
    problem::{ApiError, ApiResult},
    services::App,
};

/// What somebody is to be.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(example = json!({"role": "moderator"}))]
pub(super) struct SetRole {
    /// A room has one owner, who stays it: everything but `owner`.
    role: RoomRoleName,
}

/// Make somebody a moderator, a speaker, a member or a listener of the room: whoever it does not belong to becomes a member
/// by it. If they are in the room, what they may do changes at once.
#[utoipa::path(
    put, path = "/api/livekit/rooms/{room_name}/members/{user_id}", tag = "rooms", operation_id = "set_room_role",
    params(
        ("room_name" = String, Path, description = "The room"),
        ("user_id" = String, Path, description = "Whose role"),
    ),
    request_body = SetRole,
    responses(
        (status = 200, description = "The room as it is now", body = RoomView),
        (status = 404, description = "There is no such room or user", body = crate::problem::Problem),
        (status = 409, description = "The room has ended", body = crate::problem::Problem),
    )
)]
pub(super) async fn set_role(
    State(app): State<App>,
    caller: Principal,
    Id((name, user)): Id<(String, UserId)>,
    Body(asked): Body<SetRole>,
) -> ApiResult<Json<RoomView>> {
    let room = find(&app, &caller, Operation::ChangeRoom, &name).await?;
    not_the_owner(&room, user, asked.role.into())?;
    app.store().rooms().set_role(&name, user, asked.role.into()).await?;
    tell::room_changed(&app, &name);
    if room.call.is_some() {
        moderation::apply_roles(&app, &room).await?;
    }
    let room = app.store().rooms().get(&name, caller.user_id()).await?;
    Ok(Json(detailed(&app, &caller, &room).await?))
}

/// Take the room away from somebody: they come in no more, and if they are in it, they are put out.
#[utoipa::path(
    delete, path = "/api/livekit/rooms/{room_name}/members/{user_id}", tag = "rooms", operation_id = "remove_member",
    params(
        ("room_name" = String, Path, description = "The room"),
        ("user_id" = String, Path, description = "Who"),
    ),
    responses(
        (status = 204, description = "It belongs to them no more"),
        (status = 404, description = "There is no such room, or it did not belong to them", body = crate::problem::Problem),
        (status = 409, description = "The room has ended", body = crate::problem::Problem),
    )
)]
pub(super) async fn remove(
    State(app): State<App>,
    caller: Principal,
    Id((name, user)): Id<(String, UserId)>,
) -> ApiResult<StatusCode> {
    let room = find(&app, &caller, Operation::ChangeRoom, &name).await?;
    not_the_owner(&room, user, RoomRole::Member)?;
    let before = app.store().rooms().members(room.id).await?;
    if !before.iter().any(|member| member.user.id == user) {
        return Err(MeetingError::NoUser(user).into());
    }
    let others = before.into_iter().filter(|member| member.user.id != user);
    let change = RoomChange {
        members: Some(
            others
                .filter(|member| member.role != RoomRole::Owner)
                .map(|member| (member.user.id, member.role))
                .collect(),
        ),
        ..RoomChange::default()
    };
    app.store().rooms().update(&name, &change, None).await?;
    tell::room_changed(&app, &name);
    let identity = user.to_string();
    let mut present = room.call.iter().flat_map(|call| &call.present);
    if present.any(|one| one.identity == identity) {
        moderation::remove(&app, &caller, &room, &identity).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

fn not_the_owner(room: &Room, user: UserId, role: RoomRole) -> ApiResult<()> {
    if role == RoomRole::Owner || room.owner.as_ref().is_some_and(|(owner, _)| *owner == user) {
        return Err(ApiError::invalid_field("/role", "a room has one owner, who stays it"));
    }
    Ok(())
}
