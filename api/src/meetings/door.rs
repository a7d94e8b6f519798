//! Putting out again who has come in and may not be there. Whoever has a token can connect with it to the server, whatever
//! happened since it was given out: so everybody who comes is looked at.

use greffier_store::{
    CallId, MeetingError, UserId,
    accounts::UserRole,
    meetings::{ObservedParticipant, Room},
};

use super::moderation;
use crate::{problem::ApiResult, services::App};

/// Why somebody may not be in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Ended,
    PutOut,
    Locked,
}

/// Looks at somebody who has come into a room, and puts them out if they may not be there; answers whether it did.
pub(crate) async fn turn_away(app: &App, room: &str, call: CallId, who: &ObservedParticipant) -> bool {
    let (why, done) = match unwanted(app, room, call, who).await {
        Ok(None) => return false,
        Ok(Some(Why::Ended)) => (Why::Ended, moderation::close(app, room).await),
        Ok(Some(why)) => (why, moderation::put_out(app, room, &who.identity).await),
        Err(error) => {
            tracing::error!(
                room,
                code = error.code(),
                "whether somebody may be in the room cannot be told"
            );
            return false;
        }
    };
    tracing::info!(
        room,
        identity = who.identity,
        ?why,
        "somebody came in who may not be there"
    );
    if let Err(error) = done {
        // They may have gone by themselves; if not, the next comparison finds them.
        tracing::warn!(
            room,
            identity = who.identity,
            code = error.code(),
            "they could not be put out"
        );
    }
    true
}

async fn unwanted(app: &App, room: &str, call: CallId, who: &ObservedParticipant) -> ApiResult<Option<Why>> {
    let room = match app.store().rooms().get(room, None).await {
        Ok(room) => room,
        // Nobody made it here, so nobody locks or ends it here.
        Err(MeetingError::NoRoom(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if room.ended.is_some() {
        return Ok(Some(Why::Ended));
    }
    if app
        .store()
        .calls()
        .is_kept_out(room.name.as_str(), &who.identity)
        .await?
    {
        return Ok(Some(Why::PutOut));
    }
    let Some(since) = room.locked_since.filter(|_| room.locked) else {
        return Ok(None);
    };
    // The server counts in milliseconds.
    if who.joined.as_millis() < since.as_millis() || moderates(app, &room, &who.identity).await? {
        return Ok(None);
    }
    let stays = app.store().calls().stays(call, &who.identity).await?;
    if stays.iter().any(|stay| stay.joined < who.joined) {
        return Ok(None);
    }
    // Whom somebody inside let in may come in.
    let began = room.call.as_ref().map_or(since, |call| call.started);
    let door = app.store().waiting_room();
    let was_admitted = door.was_admitted(room.id, &who.identity, began).await?;
    Ok((!was_admitted).then_some(Why::Locked))
}

async fn moderates(app: &App, room: &Room, identity: &str) -> ApiResult<bool> {
    let Ok(user) = identity.parse::<UserId>() else {
        return Ok(false);
    };
    if let Some(role) = app.store().rooms().role(room.id, user).await? {
        return Ok(role.moderates());
    }
    let user = app.store().users().get(user).await;
    Ok(user.is_ok_and(|user| user.role == UserRole::Admin))
}
