//! Who is in a room: by the server itself, or, if it does not answer, by what it told last.

use std::time::Duration;

use greffier_agent::livekit::{LiveKitError, is_person};
use greffier_media::time::Arrival;
use greffier_store::{
    CallId, MeetingError,
    meetings::{ObservedParticipant, Present, Room},
};
use livekit_protocol::ParticipantInfo;

use crate::{problem::ApiResult, services::App};

/// Whoever looks at a room does not wait longer for the server.
const ASK_FOR: Duration = Duration::from_secs(2);

/// Who is in a room now.
#[derive(Debug)]
pub(crate) struct Presence {
    /// In the order they came.
    pub people: Vec<Present>,
    /// The server has just said so; otherwise it is what it told last.
    pub is_certain: bool,
}

/// Asks the server who is in a room.
pub(crate) async fn now(app: &App, room: &Room) -> Presence {
    let asked = app.services.livekit.participants(room.name.as_str());
    let found = match tokio::time::timeout(ASK_FOR, asked).await {
        Ok(Ok(found)) => found,
        // A room that the server does not know is empty.
        Ok(Err(LiveKitError::NotFound { .. })) => Vec::new(),
        Ok(Err(_)) | Err(_) => {
            return Presence {
                people: room.call.iter().flat_map(|call| call.present.clone()).collect(),
                is_certain: false,
            };
        }
    };
    let mut people: Vec<_> = found
        .iter()
        .filter(|one| is_seen(one) && is_person(one))
        .map(|one| {
            let observed = observed(one, app.now());
            Present {
                user: observed.identity.parse().ok(),
                identity: observed.identity,
                name: observed.name,
                joined: observed.joined,
            }
        })
        .collect();
    people.sort_by_key(|one| one.joined);
    Presence {
        people,
        is_certain: true,
    }
}

/// The call that goes on in a room if somebody is or was in it, and what they are called there. Whoever has just come may be
/// faster than what the server tells of them, so it is asked.
pub(crate) async fn call_of(app: &App, room: &str, identity: &str) -> ApiResult<Option<(CallId, String)>> {
    let calls = app.store().calls();
    match calls.live(room).await {
        Ok(call) => {
            let mut found = calls.get(call).await?.participants.into_iter();
            if let Some(there) = found.find(|one| one.identity == identity) {
                return Ok(Some((call, there.name)));
            }
        }
        Err(MeetingError::NotLive) => {}
        Err(error) => return Err(error.into()),
    }
    let livekit = &app.services.livekit;
    let asked = async {
        let sid = livekit.rooms(vec![room.to_owned()]).await?.into_iter().next();
        Ok::<_, LiveKitError>(sid.zip(Some(livekit.participants(room).await?)))
    };
    let Ok(Ok(Some((session, people)))) = tokio::time::timeout(ASK_FOR, asked).await else {
        return Ok(None);
    };
    let Some(there) = people.iter().find(|one| is_seen(one) && one.identity == identity) else {
        return Ok(None);
    };
    let there = observed(there, app.now());
    let (call, _) = calls.participant_joined(room, &session.sid, &there).await?;
    Ok(Some((call, there.name)))
}

/// The call that goes on in a room, also if the server has not told of it yet.
pub(crate) async fn live_call(app: &App, room: &str) -> ApiResult<CallId> {
    let calls = app.store().calls();
    match calls.live(room).await {
        Ok(call) => Ok(call),
        Err(MeetingError::NotLive) => {
            let session = app.services.livekit.rooms(vec![room.to_owned()]).await?;
            let session = session.into_iter().next().ok_or(MeetingError::NotLive)?;
            Ok(calls.room_started(room, &session.sid, began(session.created)).await?.0)
        }
        Err(error) => Err(error.into()),
    }
}

/// When a session began that the server names the second of.
pub(crate) fn began(seconds: i64) -> Arrival {
    Arrival::from_millis(u64::try_from(seconds).unwrap_or_default().saturating_mul(1000))
}

/// Recorders and others that nobody sees take no part.
pub(crate) fn is_seen(participant: &ParticipantInfo) -> bool {
    let permission = participant.permission.as_ref();
    !permission.is_some_and(|permission| permission.hidden)
}

/// `at` is when they came if the server does not say.
pub(crate) fn observed(participant: &ParticipantInfo, at: Arrival) -> ObservedParticipant {
    let millis = match participant.joined_at_ms {
        0 => participant.joined_at.saturating_mul(1000),
        millis => millis,
    };
    ObservedParticipant {
        sid: participant.sid.clone(),
        identity: participant.identity.clone(),
        name: participant.name.clone(),
        joined: match u64::try_from(millis) {
            Ok(millis @ 1..) => Arrival::from_millis(millis),
            _ => at,
        },
    }
}
