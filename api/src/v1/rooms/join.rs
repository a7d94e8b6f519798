//! `POST /api/livekit/rooms/{room_name}/join`

use axum::{
    Json,
    extract::State,
    http::{Extensions, HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema::AdmissionView;
use crate::{
    Principal,
    auth::{Actor, read_guest, set_guest},
    extract::{Body, Id},
    layers::ClientAddress,
    meetings::{Entry, Knock, enter},
    problem::{ApiResult, INVITATION},
    services::App,
};

/// What somebody says who wants to come in.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Bob", "invitation": "6tHPq0cU1n3cYJ6r0l2mZ8x4vK5bW7dQ9sT1aE3gI0o"}))]
pub(super) struct JoinRoom {
    /// What a guest wants to be called.
    #[serde(default)]
    #[schema(max_length = 200, example = "Bob")]
    #[garde(length(chars, max = 200))]
    name: Option<String>,
    /// The token of an invitation, for those the room does not belong to.
    #[serde(default)]
    #[schema(max_length = 200)]
    #[garde(length(chars, max = 200))]
    invitation: Option<String>,
    /// What a guest was given as `guest` when they came first: who shows it is the same guest, and uses the invitation no
    /// second time. Browsers keep it in a cookie.
    #[serde(default)]
    #[schema(max_length = 200)]
    #[garde(length(chars, max = 200))]
    guest: Option<String>,
}

/// Somebody inside decides.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "status": "waiting", "waiting_id": "wait_01J8Z6J9W2T4X5Y6Z7A8B9C0D1",
    "poll": "/api/waiting/wait_01J8Z6J9W2T4X5Y6Z7A8B9C0D1?secret=…", "guest": "6tHPq0cU1n3cYJ6r0l2mZ8x4vK5bW7dQ9sT1aE3gI0o",
}))]
struct WaitingAnswer {
    status: WaitingStatus,
    waiting_id: String,
    /// Where to ask what was decided, every other second.
    #[schema(example = "/api/waiting/wait_01J8Z6J9W2T4X5Y6Z7A8B9C0D1?secret=…")]
    poll: String,
    /// What makes a guest the same guest the next time.
    #[serde(skip_serializing_if = "Option::is_none")]
    guest: Option<String>,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum WaitingStatus {
    Waiting,
}

/// Come into a room: answers what a client needs to connect, or where to ask whether one was let in.
#[utoipa::path(
    post, path = "/api/livekit/rooms/{room_name}/join", tag = "rooms", operation_id = "join_room",
    params(("room_name" = String, Path, description = "The room")),
    request_body = JoinRoom,
    security((), ("bearer" = [])),
    responses(
        (status = 200, description = "Come in", body = AdmissionView),
        (status = 202, description = "Somebody inside decides", body = WaitingAnswer),
        (status = 401, description = "Neither a token nor an invitation was shown", body = crate::problem::Problem),
        (status = 403, description = "The room does not belong to the caller, or a moderator has put them out", body = crate::problem::Problem),
        (status = 404, description = "There is no such room, or the invitation is not valid", body = crate::problem::Problem),
        (status = 409, description = "The room has ended, is locked, or full", body = crate::problem::Problem),
    )
)]
pub(super) async fn join(
    State(app): State<App>,
    extensions: Extensions,
    headers: HeaderMap,
    caller: Option<Principal>,
    Id(name): Id<String>,
    Body(asked): Body<JoinRoom>,
) -> ApiResult<Response> {
    let cookie = read_guest(&headers);
    let knock = Knock {
        name: asked.name.as_deref(),
        invitation: asked.invitation.as_deref(),
        guest: asked.guest.as_deref().or(cookie.as_deref()),
    };
    let entry = match enter(&app, caller.as_ref(), &name, knock).await {
        Ok(entry) => entry,
        Err(error) => {
            // A room that is full, or a name that is missing, is no guess at an invitation.
            if error.code() == INVITATION {
                app.limits.wrong(ClientAddress::of(&extensions))?;
            }
            return Err(error);
        }
    };
    let secure = app.config.is_secure();
    let keep = |guest: Option<&String>, response: Response| match guest {
        Some(secret) => (set_guest(secret, secure), response).into_response(),
        None => response,
    };
    let actor = |identity: &str| {
        if let Some(actor) = extensions.get::<Actor>() {
            actor.is(identity.to_owned());
        }
    };
    Ok(match entry {
        Entry::Admitted { admission, guest } => {
            actor(&admission.identity);
            let view = AdmissionView {
                guest: guest.clone(),
                ..AdmissionView::from(admission)
            };
            keep(guest.as_ref(), Json(view).into_response())
        }
        Entry::Waiting { waiting, secret, guest } => {
            actor(&waiting.identity);
            let answer = WaitingAnswer {
                status: WaitingStatus::Waiting,
                poll: format!("/api/waiting/{}?secret={secret}", waiting.id),
                waiting_id: waiting.id.to_string(),
                guest: guest.clone(),
            };
            keep(guest.as_ref(), (StatusCode::ACCEPTED, Json(answer)).into_response())
        }
    })
}
