//! `PATCH /api/livekit/rooms/{room_name}`

use std::collections::HashMap;

use axum::{Json, extract::State};
use garde::Validate;
use greffier_store::{
    UserId,
    meetings::{Room, RoomChange, RoomRole},
};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    create::{people, with_role},
    detailed, find,
    schema::{CallTypeName, RoomOptionsView, RoomView},
};
use crate::{
    Principal,
    access::Operation,
    extract::{Body, Id, given, maybe_object},
    meetings::{moderation, tell},
    problem::ApiResult,
    services::App,
    v1::recordings::arrival,
};

/// What is to change; what is left out stays.
#[expect(clippy::option_option, reason = "left out, and set to nothing, are two things")]
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(example = json!({"title": "Team on Tuesday", "moderators": ["bea@example.org"], "options": {"listeners_only": true}}))]
pub(super) struct ChangeRoom {
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200)]
    title: Option<String>,
    #[serde(default)]
    call_type: Option<CallTypeName>,
    /// All but the owner: ids or e-mail addresses. Those who stay keep what they are.
    #[serde(default)]
    #[garde(length(max = 1000))]
    #[schema(max_items = 1000)]
    participants: Option<Vec<String>>,
    /// All who moderate it besides the owner; whoever is not named does so no more.
    #[serde(default)]
    #[garde(length(max = 1000))]
    #[schema(max_items = 1000)]
    moderators: Option<Vec<String>>,
    /// All who are heard where the others only listen; whoever is not named listens again.
    #[serde(default)]
    #[garde(length(max = 1000))]
    #[schema(max_items = 1000)]
    speakers: Option<Vec<String>>,
    /// `null`: it is not planned any more.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, format = DateTime)]
    scheduled_for: Option<Option<Timestamp>>,
    /// `null`: nobody knows how long it takes.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 10_080)]
    duration_minutes: Option<Option<u32>>,
    #[serde(default, deserialize_with = "maybe_object")]
    options: Option<RoomOptionsView>,
}

/// Change a room. What those who are in it may do changes at once.
#[utoipa::path(
    patch, path = "/api/livekit/rooms/{room_name}", tag = "rooms", operation_id = "update_room",
    params(("room_name" = String, Path, description = "The room")),
    request_body = ChangeRoom,
    responses(
        (status = 200, description = "The room as it is now", body = RoomView),
        (status = 404, description = "There is no such room", body = crate::problem::Problem),
        (status = 409, description = "The room has ended", body = crate::problem::Problem),
    )
)]
pub(super) async fn change(
    State(app): State<App>,
    caller: Principal,
    Id(name): Id<String>,
    Body(change): Body<ChangeRoom>,
) -> ApiResult<Json<RoomView>> {
    let room = find(&app, &caller, Operation::ChangeRoom, &name).await?;
    let members = members(&app, &room, &change).await?;
    let changes_roles = members.is_some() || change.call_type.is_some() || change.options.is_some();
    let change = RoomChange {
        title: change.title,
        call_type: change.call_type.map(Into::into),
        locked: change.options.as_ref().and_then(|options| options.locked),
        options: change.options.map(|options| options.over(&room.options)),
        scheduled: change.scheduled_for.map(|at| at.map(arrival)),
        duration_minutes: change.duration_minutes,
        members,
    };
    let room = app.store().rooms().update(&name, &change, caller.user_id()).await?;
    tell::room_changed(&app, &name);
    if changes_roles && room.call.is_some() {
        moderation::apply_roles(&app, &room).await?;
    }
    Ok(Json(detailed(&app, &caller, &room).await?))
}

/// Whom the room belongs to from now on, if that changes. Those who stay keep what they are, unless they are named to be
/// something else.
async fn members(app: &App, room: &Room, change: &ChangeRoom) -> ApiResult<Option<Vec<(UserId, RoomRole)>>> {
    if change.participants.is_none() && change.moderators.is_none() && change.speakers.is_none() {
        return Ok(None);
    }
    let before: HashMap<UserId, RoomRole> = app
        .store()
        .rooms()
        .members(room.id)
        .await?
        .into_iter()
        .map(|member| (member.user.id, member.role))
        .collect();
    let mut after: HashMap<UserId, RoomRole> = match &change.participants {
        Some(named) => people(app, "participants", named)
            .await?
            .into_iter()
            .map(|user| (user, before.get(&user).copied().unwrap_or(RoomRole::Member)))
            .collect(),
        None => before,
    };
    for (field, named, role) in [
        ("speakers", &change.speakers, RoomRole::Speaker),
        ("moderators", &change.moderators, RoomRole::Moderator),
    ] {
        let Some(named) = named else { continue };
        for one in after.values_mut().filter(|one| **one == role) {
            *one = RoomRole::Member;
        }
        after.extend(with_role(people(app, field, named).await?, role));
    }
    after.retain(|_, role| *role != RoomRole::Owner);
    Ok(Some(after.into_iter().collect()))
}
