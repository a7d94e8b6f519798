//! Coming in: by membership, by invitation, through the waiting room.

use axum::http::StatusCode;
use greffier_store::{
    MeetingError, RoomInvitationId, UserId, WaitingId,
    accounts::UserRole,
    meetings::{Room, RoomInvitation, RoomRole, Waiting, WaitingState},
};
use serde_json::json;

use super::{Admission, Seat, admit, seat, tell};
use crate::{
    Principal,
    access::{Operation, Relation, Target},
    problem::{ApiError, ApiResult},
    services::App,
};

/// What somebody says who wants to come in.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Knock<'a> {
    pub name: Option<&'a str>,
    pub invitation: Option<&'a str>,
    /// What a guest's browser was given when they came first.
    pub guest: Option<&'a str>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Entry {
    Admitted {
        admission: Admission,
        /// What makes a guest the same guest next time.
        guest: Option<String>,
    },
    /// Somebody inside decides; `secret` proves who asks again.
    Waiting {
        waiting: Waiting,
        secret: String,
        guest: Option<String>,
    },
}

/// Somebody before the door, once it is known who they are.
struct Comer {
    identity: String,
    name: String,
    role: RoomRole,
    way: Way,
}

/// What lets somebody in.
enum Way {
    /// The room is theirs: nobody has to let them in.
    AtHome,
    /// An invitation makes it theirs.
    Invited(UserId, RoomInvitationId),
    Guest {
        invitation: RoomInvitationId,
        secret: String,
        /// They were let in before, into this call.
        was_let_in: bool,
    },
}

/// Comes into a room.
pub(crate) async fn enter(app: &App, caller: Option<&Principal>, room: &str, knock: Knock<'_>) -> ApiResult<Entry> {
    let viewer = caller.and_then(Principal::user_id);
    let room = app.store().rooms().get(room, viewer).await?;
    if room.ended.is_some() {
        return Err(MeetingError::RoomEnded.into());
    }
    let comer = who(app, caller, &room, knock).await?;
    not_put_out(app, &room, &comer.identity).await?;
    let was_there = was_there(app, &room, &comer.identity).await?;
    if !was_there {
        not_locked(&room, comer.role)?;
    }
    has_place(&room, &comer.identity)?;
    let guest = match &comer.way {
        Way::Guest { secret, .. } => Some(secret.clone()),
        Way::AtHome | Way::Invited(..) => None,
    };
    if !was_there && has_to_wait(app, &room, &comer).await? {
        let invitation = match comer.way {
            Way::AtHome => None,
            Way::Invited(_, invitation) | Way::Guest { invitation, .. } => Some(invitation),
        };
        let door = app.store().waiting_room();
        let (waiting, secret, is_new) = door.ask(room.id, &comer.identity, &comer.name, invitation).await?;
        if is_new {
            tell::somebody_waits(app, &room, &waiting).await;
        }
        return Ok(Entry::Waiting { waiting, secret, guest });
    }
    match comer.way {
        Way::AtHome => {}
        // From now on the room is theirs, and they need no invitation to come back.
        Way::Invited(user, invitation) => {
            app.store()
                .rooms()
                .let_in(room.id, user, comer.role, invitation)
                .await?;
        }
        Way::Guest { .. } => app.store().guests().let_in(room.id, &comer.identity).await?,
    }
    let admission = take_place(app, &room, comer.identity, comer.name, comer.role).await?;
    Ok(Entry::Admitted { admission, guest })
}

async fn who(app: &App, caller: Option<&Principal>, room: &Room, knock: Knock<'_>) -> ApiResult<Comer> {
    let invitation = match knock.invitation {
        Some(token) => Some(app.store().room_invitations().shown(token).await?).filter(|found| found.room == room.id),
        None => None,
    };
    let Some(caller) = caller else {
        return guest(app, room, knock, invitation.filter(|found| found.guest)).await;
    };
    let Some(user) = caller.user() else {
        return Err(ApiError::forbidden());
    };
    let relation = room.role.map_or(Relation::Stranger, Relation::Belongs);
    let by_right = caller.may(Operation::EnterRoom, Target::room(room.name.as_str(), relation));
    let way = match invitation.filter(|found| !found.is_used_up()) {
        _ if by_right => Way::AtHome,
        Some(invitation) => Way::Invited(user.id, invitation.id),
        None if knock.invitation.is_some() => return Err(MeetingError::Invitation.into()),
        None => return Err(ApiError::forbidden()),
    };
    let role = match room.role {
        Some(role) => role,
        None if user.role == UserRole::Admin => RoomRole::Moderator,
        None => RoomRole::Member,
    };
    Ok(Comer {
        identity: user.id.to_string(),
        name: user.name.clone(),
        role,
        way,
    })
}

async fn guest(app: &App, room: &Room, knock: Knock<'_>, invitation: Option<RoomInvitation>) -> ApiResult<Comer> {
    let Some(invitation) = invitation else {
        return Err(match knock.invitation {
            Some(_) => MeetingError::Invitation.into(),
            None => ApiError::unauthenticated("unauthenticated", "log in, or come with an invitation into this room"),
        });
    };
    let name = knock.name.map(str::trim).unwrap_or_default();
    if name.is_empty() || name.len() > 200 || name.contains(char::is_control) {
        return Err(ApiError::invalid_field(
            "/name",
            "must be 1 to 200 bytes without control characters",
        ));
    }
    let guests = app.store().guests();
    if invitation.is_used_up() {
        let known = match knock.guest {
            Some(secret) => guests.known(room.id, secret).await?,
            None => None,
        };
        if known.is_none_or(|known| known.admitted.is_none()) {
            return Err(MeetingError::Invitation.into());
        }
    }
    let (guest, secret) = guests.come(room.id, invitation.id, name, knock.guest).await?;
    let began = room.call.as_ref().map(|call| call.started);
    Ok(Comer {
        role: guest.role.unwrap_or_else(|| guest_role(room)),
        way: Way::Guest {
            invitation: guest.invitation,
            secret,
            was_let_in: guest
                .admitted
                .zip(began)
                .is_some_and(|(admitted, began)| admitted >= began),
        },
        identity: guest.identity,
        name: guest.name,
    })
}

/// What guests are, unless a moderator made them something else.
pub(super) fn guest_role(room: &Room) -> RoomRole {
    if room.options.listeners_only {
        RoomRole::Listener
    } else {
        RoomRole::Member
    }
}

/// Whether somebody inside decides. Once somebody was put out of a call, guests who are new to it have to wait in any case:
/// it may be the same person, under another name.
async fn has_to_wait(app: &App, room: &Room, comer: &Comer) -> ApiResult<bool> {
    Ok(match comer.way {
        Way::AtHome | Way::Guest { was_let_in: true, .. } => false,
        Way::Invited(..) => room.options.waiting_room,
        Way::Guest { .. } => {
            room.options.waiting_room
                || match &room.call {
                    Some(call) => !app.store().calls().kept_out(call.id).await?.is_empty(),
                    None => false,
                }
        }
    })
}

/// Whether somebody was in the call that goes on.
pub(crate) async fn was_there(app: &App, room: &Room, identity: &str) -> ApiResult<bool> {
    Ok(match &room.call {
        Some(call) => !app.store().calls().stays(call.id, identity).await?.is_empty(),
        None => false,
    })
}

/// Refuses whom a moderator has put out of the call that goes on.
pub(crate) async fn not_put_out(app: &App, room: &Room, identity: &str) -> ApiResult<()> {
    if app.store().calls().is_kept_out(room.name.as_str(), identity).await? {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "removed_from_call",
            "a moderator has put you out of this call; they may let you back in",
        ));
    }
    Ok(())
}

/// A locked room takes nobody else but moderators.
pub(crate) fn not_locked(room: &Room, role: RoomRole) -> ApiResult<()> {
    if room.locked && !role.moderates() {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "room_locked",
            "the room is locked: nobody else comes in",
        ));
    }
    Ok(())
}

/// Whether the room has a place for somebody; whoever is in it has one.
pub(crate) fn has_place(room: &Room, identity: &str) -> ApiResult<()> {
    let present = room.call.as_ref().map_or(&[][..], |call| &call.present);
    if present.iter().any(|one| one.identity == identity) {
        return Ok(());
    }
    match room.options.max_participants {
        Some(most) if present.len() >= usize::try_from(most).unwrap_or(usize::MAX) => Err(ApiError::new(
            StatusCode::CONFLICT,
            "room_full",
            "as many are in the room as it takes",
        )),
        _ => Ok(()),
    }
}

/// Lets somebody in, and notes that they asked to.
async fn take_place(app: &App, room: &Room, identity: String, name: String, role: RoomRole) -> ApiResult<Admission> {
    seat::prepare(app, room).await;
    let data = json!({ "identity": identity, "name": name });
    let calls = app.store().calls();
    calls
        .note_in(room.id, room.name.as_str(), app.now(), "join", &data)
        .await?;
    admit(app, &Seat::of(room, identity, name, role))
}

/// What whoever waits is told when they ask again.
pub(crate) async fn polled(app: &App, id: WaitingId, secret: &str) -> ApiResult<(WaitingState, Option<Admission>)> {
    let waiting = app.store().waiting_room().poll(id, secret).await?;
    if waiting.state != WaitingState::Admitted {
        return Ok((waiting.state, None));
    }
    let user = waiting.identity.parse::<UserId>().ok();
    let room = app.store().rooms().by_id(waiting.room, user).await?;
    if room.ended.is_some() {
        return Err(MeetingError::RoomEnded.into());
    }
    not_put_out(app, &room, &waiting.identity).await?;
    // That it is locked does not matter: somebody inside has let them in.
    has_place(&room, &waiting.identity)?;
    let role = match (user, room.role, waiting.invitation) {
        (Some(_), Some(role), _) => role,
        (Some(user), None, Some(invitation)) => {
            let role = RoomRole::Member;
            app.store().rooms().let_in(room.id, user, role, invitation).await?;
            role
        }
        (Some(_), None, None) => RoomRole::Member,
        (None, ..) => {
            app.store().guests().let_in(room.id, &waiting.identity).await?;
            let guest = app.store().guests().find(room.id, &waiting.identity).await?;
            guest.and_then(|guest| guest.role).unwrap_or_else(|| guest_role(&room))
        }
    };
    let admission = take_place(app, &room, waiting.identity, waiting.name, role).await?;
    Ok((WaitingState::Admitted, Some(admission)))
}
