//! `/api/livekit/rooms/{room_name}/chat`

use axum::{Json, extract::State, http::StatusCode};
use garde::Validate;
use greffier_agent::view::timestamp;
use greffier_store::{
    CallId, MeetingError,
    meetings::{Call, ChatMessage},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{find, identity_in, live_call_of};
use crate::{
    Principal,
    access::{Operation, Target},
    extract::{Body, Id, Page, Params, given},
    meetings::presence,
    problem::ApiResult,
    services::App,
};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OfCall {
    /// Which of the room's calls; the last, if it is left out.
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<String>)]
    call: Option<CallId>,
}

/// Something that was written.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChatView {
    id: String,
    #[schema(format = DateTime)]
    at: String,
    identity: String,
    name: String,
    text: String,
}

/// Show what was written in a call. Guests read what was written in the one they are in.
#[utoipa::path(
    get, path = "/api/livekit/rooms/{room_name}/chat", tag = "rooms", operation_id = "list_chat",
    params(("room_name" = String, Path, description = "The room"), OfCall),
    responses(
        (status = 200, description = "All messages, in order", body = Page<ChatView>),
        (status = 404, description = "There is no such room or call", body = crate::problem::Problem),
    )
)]
pub(super) async fn messages(
    State(app): State<App>,
    caller: Principal,
    Id(name): Id<String>,
    Params(which): Params<OfCall>,
) -> ApiResult<Json<Page<ChatView>>> {
    find(&app, &caller, Operation::SeeRoom, &name).await?;
    let calls = app.store().calls();
    let call = match which.call {
        Some(id) => {
            let call = calls.get(id).await?;
            if call.room_name != name {
                return Err(MeetingError::NoCall(id).into());
            }
            Some(call)
        }
        None => match calls.last(&name).await? {
            Some(id) => Some(calls.get(id).await?),
            None => None,
        },
    };
    let call = match call {
        Some(call) if may_read(&app, &caller, &call).await? => Some(call.id),
        // Which calls there were is nobody's business who was not there.
        Some(call) if which.call.is_some() => return Err(MeetingError::NoCall(call.id).into()),
        _ => None,
    };
    let messages = match call {
        Some(call) => calls.messages(call).await?,
        None => Vec::new(),
    };
    let view = |message: ChatMessage| ChatView {
        id: message.id,
        at: timestamp(message.at).to_string(),
        identity: message.identity,
        name: message.name,
        text: message.body,
    };
    Ok(Json(Page {
        items: messages.into_iter().map(view).collect(),
        next_cursor: None,
    }))
}

/// Whoever may see the room's history reads its calls; everybody else the one they are in.
async fn may_read(app: &App, caller: &Principal, call: &Call) -> ApiResult<bool> {
    let relation = app.relation(caller, &call.room_name, Some(call.started)).await?;
    if caller.may(Operation::SeeHistory, Target::room(&call.room_name, relation)) {
        return Ok(true);
    }
    let Ok(identity) = identity_in(caller, &call.room_name) else {
        return Ok(false);
    };
    let theirs = presence::call_of(app, &call.room_name, &identity).await?;
    Ok(theirs.is_some_and(|(theirs, _)| theirs == call.id))
}

/// A message to be kept.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(example = json!({"id": "7f3c2a", "text": "Hello, everybody."}))]
pub(super) struct WriteMessage {
    /// As the client numbers it: a message that is sent twice is kept once.
    #[garde(length(bytes, min = 1, max = 100))]
    #[schema(min_length = 1, max_length = 100)]
    id: String,
    #[garde(length(bytes, min = 1, max = 16_384))]
    #[schema(min_length = 1, max_length = 16_384)]
    text: String,
}

/// Keep a message that was written in the call that goes on, for those who read later. It is the client that sends it to
/// those who are there.
#[utoipa::path(
    post, path = "/api/livekit/rooms/{room_name}/chat", tag = "rooms", operation_id = "write_chat",
    params(("room_name" = String, Path, description = "The room")),
    request_body = WriteMessage,
    responses(
        (status = 204, description = "It is kept"),
        (status = 404, description = "There is no such room", body = crate::problem::Problem),
        (status = 409, description = "The caller is in no call there", body = crate::problem::Problem),
    )
)]
pub(super) async fn write(
    State(app): State<App>,
    caller: Principal,
    Id(name): Id<String>,
    Body(new): Body<WriteMessage>,
) -> ApiResult<StatusCode> {
    find(&app, &caller, Operation::SeeRoom, &name).await?;
    let (call, identity, writer) = live_call_of(&app, &caller, &name).await?;
    let message = ChatMessage {
        // Nobody takes another's number.
        id: format!("{identity}/{}", new.id),
        at: app.now(),
        identity,
        name: writer,
        body: new.text,
    };
    app.store().calls().add_message(call, &message).await?;
    Ok(StatusCode::NO_CONTENT)
}
