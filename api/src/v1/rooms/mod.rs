//! Rooms: the seven calls that client applications know, and what belongs to a room besides.

mod change;
mod chat;
mod create;
mod end;
mod get;
mod join;
mod leave;
mod list;
mod members;
mod quality;
mod recording;
pub(crate) mod schema;
mod token;

use greffier_agent::view::RecordingView;
use greffier_media::lifecycle::RecordingState;
use greffier_store::{
    MeetingError,
    meetings::Room,
    recordings::{Recording, RecordingFilter},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::schema::RoomView;
use crate::{
    Principal,
    access::{Operation, Relation, Target},
    meetings::presence,
    problem::{ApiError, ApiResult},
    services::App,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(token::token))
        .routes(routes!(create::create, list::list))
        .routes(routes!(get::get, change::change, end::end))
        .routes(routes!(members::set_role, members::remove))
        .routes(routes!(join::join))
        .routes(routes!(leave::leave))
        .routes(routes!(recording::start))
        .routes(routes!(recording::pause))
        .routes(routes!(recording::resume))
        .routes(routes!(recording::stop))
        .routes(routes!(recording::list))
        .routes(routes!(chat::messages, chat::write))
        .routes(routes!(quality::add))
}

/// The room, if the caller may do this to it. Whether there is one that they may not see is nobody's business.
pub(crate) async fn find(app: &App, caller: &Principal, operation: Operation, name: &str) -> ApiResult<Room> {
    let found = app.store().rooms().get(name, caller.user_id()).await;
    let relation = match &found {
        Ok(Room { role: Some(role), .. }) => Relation::Belongs(*role),
        Ok(room) => app.relation(caller, room.name.as_str(), None).await?,
        Err(_) => Relation::Stranger,
    };
    let target = Target::room(name, relation);
    if !caller.may(Operation::SeeRoom, target) && !caller.may(operation, target) {
        return Err(ApiError::forbidden());
    }
    let room = found?;
    caller.must(operation, target)?;
    Ok(room)
}

/// The room, with all that is shown of one. Guests see who is there, and neither whom it belongs to nor who was.
async fn detailed(app: &App, caller: &Principal, room: &Room) -> ApiResult<RoomView> {
    let is_guest = matches!(caller, Principal::LiveKit(_))
        && !caller.may(
            Operation::SeeHistory,
            Target::room(room.name.as_str(), Relation::Stranger),
        );
    let members = if is_guest {
        None
    } else {
        Some(app.store().rooms().members(room.id).await?)
    };
    let (recording, presence) = tokio::join!(running(app, room), presence::now(app, room));
    let recording = recording?;
    let view =
        RoomView::new(room, members.as_deref(), recording.as_ref().map(RecordingView::from)).with_presence(&presence);
    if is_guest {
        return Ok(view);
    }
    let calls = app.store().calls();
    let last = match calls.last(room.name.as_str()).await? {
        Some(call) => Some(calls.get(call).await?),
        None => None,
    };
    Ok(view.with_history(last.as_ref()))
}

/// The recording that runs in a room.
async fn running(app: &App, room: &Room) -> ApiResult<Option<Recording>> {
    let filter = RecordingFilter {
        room: Some(room.name.clone()),
        states: vec![
            RecordingState::Requested,
            RecordingState::Joining,
            RecordingState::Capturing,
        ],
        ..RecordingFilter::default()
    };
    let found = app.store().recordings().list(&filter, None, 1).await?;
    Ok(found.items.into_iter().next())
}

/// Who somebody is in a room: a person by their account, a guest by the token they came in with.
fn identity_in(caller: &Principal, room: &str) -> ApiResult<String> {
    match caller {
        Principal::User { user, .. } => Ok(user.id.to_string()),
        Principal::LiveKit(grants) if grants.room_join && grants.room.as_deref() == Some(room) => {
            Ok(grants.identity.clone())
        }
        _ => Err(ApiError::forbidden()),
    }
}

/// A call that goes on, of which the caller is a part: the call, who they are in it, and what they are called.
async fn live_call_of(
    app: &App,
    caller: &Principal,
    room: &str,
) -> ApiResult<(greffier_store::CallId, String, String)> {
    let identity = identity_in(caller, room)?;
    match presence::call_of(app, room, &identity).await? {
        Some((call, name)) => Ok((call, identity, name)),
        None => Err(MeetingError::NotLive.into()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
