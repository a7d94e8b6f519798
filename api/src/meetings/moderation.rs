//! What moderators do to those who are in a room, through the server's room service.

use std::{collections::HashMap, time::Duration};

use axum::http::StatusCode;
use greffier_agent::livekit::{LiveKitError, is_person};
use greffier_store::{
    CallId, UserId,
    accounts::UserRole,
    meetings::{CallType, Removed, Room, RoomRole},
};
use livekit_api::services::room::{RemoveParticipantOptions, UpdateParticipantOptions};
use livekit_protocol::{ParticipantInfo, ParticipantPermission, TrackSource, TrackType};
use serde_json::json;

use super::{entry, presence, tell};
use crate::{
    Principal,
    problem::{ApiError, ApiResult},
    services::App,
};

/// Since when somebody's hand is up; pages set it, and empty it when it goes down.
const HAND: &str = "hand_raised_at";

/// How often to look again for sound of somebody who has none, and after what pause: the server lists a track only once it
/// is set up, a moment after it was published.
const LOOK_AGAIN: u32 = 5;
const LISTED_SOON: Duration = Duration::from_millis(200);

/// Mutes all that somebody says. They may speak again when they want to.
pub(crate) async fn mute(app: &App, room: &str, identity: &str) -> ApiResult<()> {
    let is_sound = |track: &livekit_protocol::TrackInfo| track.r#type == TrackType::Audio as i32;
    let mut participant = find(app, room, identity).await?;
    for _ in 0..LOOK_AGAIN {
        if participant.tracks.iter().any(is_sound) {
            break;
        }
        tokio::time::sleep(LISTED_SOON).await;
        participant = find(app, room, identity).await?;
    }
    for track in participant
        .tracks
        .iter()
        .filter(|track| is_sound(track) && !track.muted)
    {
        let client = app.services.livekit.room_client();
        client
            .mute_published_track(room, identity, &track.sid, true)
            .await
            .map_err(|error| gone(app, error, identity))?;
    }
    Ok(())
}

/// Puts somebody out of the call that goes on, and keeps them out of it until they are let back in.
pub(crate) async fn remove(app: &App, caller: &Principal, room: &Room, identity: &str) -> ApiResult<()> {
    let is_owner = |user: UserId| room.owner.as_ref().is_some_and(|(owner, _)| *owner == user);
    let by_owner = caller.is_admin() || caller.user_id().is_none_or(is_owner);
    if identity.parse().is_ok_and(is_owner) && !by_owner {
        return Err(ApiError::forbidden());
    }
    let name = room.name.as_str();
    let call = presence::live_call(app, name).await?;
    let mut present = room.call.iter().flat_map(|call| &call.present);
    let display = present
        .find(|one| one.identity == identity)
        .map_or(identity, |one| one.name.as_str());
    let calls = app.store().calls();
    // First here, so that whom the server puts out does not come back.
    calls.keep_out(call, identity, display, &caller.name()).await?;
    match put_out(app, name, identity).await {
        Ok(()) => {}
        Err(error) => {
            // Whoever has just gone stays out all the same; whoever never came cannot be put out.
            let was_there = !calls.stays(call, identity).await?.is_empty();
            if error.code() != NOT_THERE || !was_there {
                calls.let_back(call, identity).await?;
                return Err(error);
            }
        }
    }
    let waited = app
        .store()
        .waiting_room()
        .turn_away(room.id, identity, &caller.name())
        .await?;
    if waited {
        tell::waiting_changed(app, name);
    }
    tell::room_changed(app, name);
    note(app, call, caller, "removed", identity).await
}

/// What the server calls it when somebody is not there.
const NOT_THERE: &str = "livekit_not_found";

/// Who is kept out of the call that goes on.
pub(crate) async fn removed(app: &App, room: &Room) -> ApiResult<Vec<Removed>> {
    Ok(match &room.call {
        Some(call) => app.store().calls().kept_out(call.id).await?,
        None => Vec::new(),
    })
}

/// Lets somebody back in who was put out.
pub(crate) async fn let_back(app: &App, caller: &Principal, room: &Room, identity: &str) -> ApiResult<()> {
    if caller.user_id().is_some_and(|user| user.to_string() == identity) && !caller.is_admin() {
        return Err(ApiError::forbidden());
    }
    let lifted = match &room.call {
        Some(call) => app.store().calls().let_back(call.id, identity).await?,
        None => false,
    };
    if !lifted {
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "not_removed",
            "nobody of this identity was put out of the call that goes on",
        ));
    }
    let call = presence::live_call(app, room.name.as_str()).await?;
    tell::room_changed(app, room.name.as_str());
    note(app, call, caller, "let_back", identity).await
}

async fn note(app: &App, call: CallId, caller: &Principal, kind: &str, identity: &str) -> ApiResult<()> {
    let data = json!({ "identity": identity, "by": caller.name() });
    Ok(app.store().calls().note(call, app.now(), kind, &data).await?)
}

/// Puts somebody out on the server, and makes the token void there that they came in with.
pub(super) async fn put_out(app: &App, room: &str, identity: &str) -> ApiResult<()> {
    let revoke_token_ts = i64::try_from(app.now().as_millis()).unwrap_or(i64::MAX);
    let client = app.services.livekit.room_client();
    client
        .remove_participant_with_options(room, identity, RemoveParticipantOptions { revoke_token_ts })
        .await
        .map_err(|error| gone(app, error, identity))?;
    Ok(())
}

/// Lets somebody speak, or only listen, from now on: also when they come back.
pub(crate) async fn let_speak(app: &App, room: &Room, identity: &str, speaks: bool) -> ApiResult<()> {
    let participant = find(app, room.name.as_str(), identity).await?;
    let listeners_only = room.options.listeners_only;
    let role = match (speaks, listeners_only) {
        (true, true) => RoomRole::Speaker,
        (false, false) => RoomRole::Listener,
        // Where everybody speaks, and where only some do, this is what all others are.
        (true, false) | (false, true) => RoomRole::Member,
    };
    let user = identity.parse::<UserId>().ok();
    let before = match user {
        Some(user) => app.store().rooms().role(room.id, user).await?,
        None => None,
    };
    match (user, before) {
        (Some(user), Some(before)) if !before.moderates() && before.speaks(listeners_only) != speaks => {
            app.store().rooms().set_role(room.name.as_str(), user, role).await?;
        }
        (Some(_), _) => {}
        (None, _) => {
            app.store().guests().set_role(room.id, identity, role).await?;
        }
    }
    let change = UpdateParticipantOptions {
        permission: Some(permission(room, participant, speaks)),
        attributes: HashMap::from([(HAND.to_owned(), String::new())]),
        ..UpdateParticipantOptions::default()
    };
    update(app, room.name.as_str(), identity, change).await
}

/// What the server lets somebody do who speaks, or does not.
fn permission(room: &Room, participant: ParticipantInfo, speaks: bool) -> ParticipantPermission {
    let mut permission = participant.permission.unwrap_or_default();
    permission.can_publish = speaks;
    permission.can_publish_sources = match room.call_type {
        CallType::Audio if speaks => vec![TrackSource::Microphone as i32],
        _ => Vec::new(),
    };
    permission
}

/// Makes what everybody who is in a room may do what the room and their role in it say now. What cannot be changed for one
/// of them is in the log: they may have gone.
pub(crate) async fn apply_roles(app: &App, room: &Room) -> ApiResult<()> {
    let people = match app.services.livekit.participants(room.name.as_str()).await {
        Ok(people) => people,
        // Nobody is there.
        Err(LiveKitError::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for person in people
        .into_iter()
        .filter(|one| presence::is_seen(one) && is_person(one))
    {
        let identity = person.identity.clone();
        let speaks = role_of(app, room, &identity).await?.speaks(room.options.listeners_only);
        let before = person.permission.clone().unwrap_or_default();
        let permission = permission(room, person, speaks);
        if permission == before {
            continue;
        }
        let change = UpdateParticipantOptions {
            permission: Some(permission),
            ..UpdateParticipantOptions::default()
        };
        if let Err(error) = update(app, room.name.as_str(), &identity, change).await {
            tracing::warn!(room = %room.name, identity, code = error.code(), "what somebody may do could not be changed");
        }
    }
    Ok(())
}

/// What somebody who is in a room is to it.
async fn role_of(app: &App, room: &Room, identity: &str) -> ApiResult<RoomRole> {
    let Ok(user) = identity.parse::<UserId>() else {
        let guest = app.store().guests().find(room.id, identity).await?;
        return Ok(match guest {
            Some(guest) => guest.role.unwrap_or_else(|| entry::guest_role(room)),
            // A machine gave them their token.
            None => RoomRole::Member,
        });
    };
    if let Some(role) = app.store().rooms().role(room.id, user).await? {
        return Ok(role);
    }
    let user = app.store().users().get(user).await;
    let is_admin = user.is_ok_and(|user| user.role == UserRole::Admin);
    Ok(if is_admin {
        RoomRole::Moderator
    } else {
        RoomRole::Member
    })
}

/// Lowers somebody's hand.
pub(crate) async fn lower_hand(app: &App, room: &str, identity: &str) -> ApiResult<()> {
    let change = UpdateParticipantOptions {
        attributes: HashMap::from([(HAND.to_owned(), String::new())]),
        ..UpdateParticipantOptions::default()
    };
    update(app, room, identity, change).await
}

/// Lowers all hands.
pub(crate) async fn lower_hands(app: &App, room: &str) -> ApiResult<()> {
    let is_up = |participant: &&ParticipantInfo| participant.attributes.get(HAND).is_some_and(|at| !at.is_empty());
    let participants = app.services.livekit.participants(room).await?;
    for participant in participants.iter().filter(is_up) {
        lower_hand(app, room, &participant.identity).await?;
    }
    Ok(())
}

/// Ends the room on the server: everybody is put out. One that is not there has ended.
pub(crate) async fn close(app: &App, room: &str) -> ApiResult<()> {
    let livekit = &app.services.livekit;
    match livekit
        .room_client()
        .delete_room(room)
        .await
        .map_err(|error| livekit.error(error, "room"))
    {
        Ok(()) | Err(LiveKitError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn find(app: &App, room: &str, identity: &str) -> ApiResult<ParticipantInfo> {
    let client = app.services.livekit.room_client();
    let found = client.get_participant(room, identity).await;
    Ok(found.map_err(|error| gone(app, error, identity))?)
}

async fn update(app: &App, room: &str, identity: &str, change: UpdateParticipantOptions) -> ApiResult<()> {
    let client = app.services.livekit.room_client();
    let updated = client.update_participant(room, identity, change).await;
    updated.map_err(|error| gone(app, error, identity))?;
    Ok(())
}

fn gone(app: &App, error: livekit_api::services::ServiceError, identity: &str) -> LiveKitError {
    app.services
        .livekit
        .error(error, &format!("participant {identity} in the room"))
}
