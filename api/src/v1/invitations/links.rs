//! `/api/livekit/rooms/{room_name}/invitations`

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use garde::Validate;
use greffier_agent::view::timestamp;
use greffier_store::{
    RoomInvitationId,
    meetings::{NewRoomInvitation, RoomInvitation},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Principal,
    access::Operation,
    extract::{Body, Id, Page},
    problem::ApiResult,
    services::App,
    v1::rooms::find,
};

/// An invitation to be made.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(example = json!({"expires_in_hours": 24, "max_uses": 10, "guest": true}))]
pub(super) struct CreateInvitation {
    /// Without it, as long as the room.
    #[serde(default)]
    #[garde(range(min = 1, max = 24 * 365))]
    #[schema(minimum = 1, maximum = 8760, example = 24)]
    expires_in_hours: Option<u64>,
    #[serde(default)]
    #[garde(range(min = 1, max = 1_000_000))]
    #[schema(minimum = 1, maximum = 1_000_000)]
    max_uses: Option<u32>,
    /// For people without an account too.
    #[serde(default)]
    guest: bool,
}

/// An invitation into a room.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "inv_01J8Z6J9W2T4X5Y6Z7A8B9C0D1", "guest": true, "uses": 0, "max_uses": 10, "created_at": "2026-01-30T16:20:00Z",
    "token": "6tHPq0cU1n3cYJ6r0l2mZ8x4vK5bW7dQ9sT1aE3gI0o", "url": "/i/6tHPq0cU1n3cYJ6r0l2mZ8x4vK5bW7dQ9sT1aE3gI0o",
}))]
pub(super) struct InvitationView {
    id: String,
    guest: bool,
    uses: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_uses: Option<u32>,
    #[schema(format = DateTime)]
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// Shown once, to whoever made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// The page to send people to. Shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/i/6tHPq0c…")]
    url: Option<String>,
}

impl From<&RoomInvitation> for InvitationView {
    fn from(invitation: &RoomInvitation) -> Self {
        Self {
            id: invitation.id.to_string(),
            guest: invitation.guest,
            uses: invitation.uses,
            max_uses: invitation.max_uses,
            created_at: timestamp(invitation.created).to_string(),
            expires_at: invitation.expires.map(|at| timestamp(at).to_string()),
            token: None,
            url: None,
        }
    }
}

/// Make a link into the room. Token and link are shown this once.
#[utoipa::path(
    post, path = "/api/livekit/rooms/{room_name}/invitations", tag = "invitations", operation_id = "create_invitation",
    params(("room_name" = String, Path, description = "The room")),
    request_body = CreateInvitation,
    responses(
        (status = 201, description = "The invitation", body = InvitationView),
        (status = 404, description = "There is no such room", body = crate::problem::Problem),
        (status = 409, description = "The room has ended", body = crate::problem::Problem),
    )
)]
pub(super) async fn invite(
    State(app): State<App>,
    caller: Principal,
    Id(name): Id<String>,
    Body(new): Body<CreateInvitation>,
) -> ApiResult<(StatusCode, Json<InvitationView>)> {
    find(&app, &caller, Operation::Invite, &name).await?;
    let new = NewRoomInvitation {
        guest: new.guest,
        lifetime: new.expires_in_hours.map(Duration::from_hours),
        max_uses: new.max_uses,
        by: caller.user_id(),
    };
    let (invitation, token) = app.store().room_invitations().create(&name, &new).await?;
    let view = InvitationView {
        url: Some(format!("/i/{token}")),
        token: Some(token),
        ..InvitationView::from(&invitation)
    };
    Ok((StatusCode::CREATED, Json(view)))
}

/// List links into the room that were not taken back, the newest first.
#[utoipa::path(
    get, path = "/api/livekit/rooms/{room_name}/invitations", tag = "invitations", operation_id = "list_invitations",
    params(("room_name" = String, Path, description = "The room")),
    responses(
        (status = 200, description = "The invitations", body = Page<InvitationView>),
        (status = 404, description = "There is no such room", body = crate::problem::Problem),
    )
)]
pub(super) async fn list(
    State(app): State<App>,
    caller: Principal,
    Id(name): Id<String>,
) -> ApiResult<Json<Page<InvitationView>>> {
    let room = find(&app, &caller, Operation::Invite, &name).await?;
    let invitations = app.store().room_invitations().list(room.id).await?;
    Ok(Json(Page {
        items: invitations.iter().map(InvitationView::from).collect(),
        next_cursor: None,
    }))
}

/// Take a link back.
#[utoipa::path(
    delete, path = "/api/livekit/rooms/{room_name}/invitations/{id}", tag = "invitations",
    operation_id = "revoke_invitation",
    params(
        ("room_name" = String, Path, description = "The room"),
        ("id" = String, Path, description = "The invitation"),
    ),
    responses(
        (status = 204, description = "Nobody comes in by it any more"),
        (status = 404, description = "There is no such room or invitation", body = crate::problem::Problem),
    )
)]
pub(super) async fn revoke(
    State(app): State<App>,
    caller: Principal,
    Id((name, id)): Id<(String, RoomInvitationId)>,
) -> ApiResult<StatusCode> {
    let room = find(&app, &caller, Operation::Invite, &name).await?;
    app.store().room_invitations().revoke(room.id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
