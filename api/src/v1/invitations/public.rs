//! `GET /api/invitations/{token}`

use axum::{
    Json,
    extract::State,
    http::{Extensions, HeaderMap},
};
use greffier_agent::view::timestamp;
use greffier_store::{MeetingError, meetings::RoomInvitation};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Principal, auth::read_guest, extract::Id, layers::ClientAddress, problem::ApiResult, services::App,
    v1::rooms::schema::CallTypeName,
};

/// What an invitation is for.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, as the page shows them")]
pub(super) struct InvitationInfo {
    /// To be joined with the invitation.
    room: String,
    title: String,
    /// Who the room belongs to.
    owner: String,
    call_type: CallTypeName,
    /// Whoever comes has to say what they are called.
    needs_name: bool,
    /// People without an account may come too.
    guest: bool,
    /// Somebody inside decides whether they come in.
    waiting_room: bool,
    /// Somebody is there.
    live: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    scheduled_for: Option<String>,
}

/// Show what an invitation is for, to whoever holds it.
#[utoipa::path(
    get, path = "/api/invitations/{token}", tag = "invitations", operation_id = "get_invitation",
    params(("token" = String, Path, description = "The invitation's token")),
    security((), ("bearer" = [])),
    responses(
        (status = 200, description = "The invitation", body = InvitationInfo),
        (status = 404, description = "It does not exist, has expired, or has been used up", body = crate::problem::Problem),
    )
)]
pub(super) async fn show(
    State(app): State<App>,
    extensions: Extensions,
    headers: HeaderMap,
    caller: Option<Principal>,
    Id(token): Id<String>,
) -> ApiResult<Json<InvitationInfo>> {
    let address = ClientAddress::of(&extensions);
    let invitation = match open(&app, &headers, &token).await {
        Ok(invitation) => invitation,
        Err(error) => {
            if matches!(error, MeetingError::Invitation) {
                app.limits.wrong(address)?;
            }
            return Err(error.into());
        }
    };
    let room = app.store().rooms().by_id(invitation.room, None).await?;
    Ok(Json(InvitationInfo {
        room: room.name.to_string(),
        title: room.title,
        owner: room.owner.map(|(_, name)| name).unwrap_or_default(),
        call_type: room.call_type.into(),
        needs_name: caller.is_none_or(|caller| caller.user().is_none()),
        guest: invitation.guest,
        waiting_room: room.options.waiting_room,
        live: room.call.is_some(),
        scheduled_for: room.scheduled.map(|at| timestamp(at).to_string()),
    }))
}

/// One that is used up is shown to the guests who used it: they may come back.
async fn open(app: &App, headers: &HeaderMap, token: &str) -> Result<RoomInvitation, MeetingError> {
    let invitation = app.store().room_invitations().shown(token).await?;
    if !invitation.is_used_up() {
        return Ok(invitation);
    }
    let known = match read_guest(headers) {
        Some(secret) => app.store().guests().known(invitation.room, &secret).await?,
        None => None,
    };
    match known {
        Some(guest) if guest.admitted.is_some() => Ok(invitation),
        _ => Err(MeetingError::Invitation),
    }
}
