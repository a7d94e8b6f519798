//! `POST /api/livekit/token`

use std::time::Duration;

use axum::{Json, extract::State};
use garde::Validate;
use greffier_agent::view::timestamp;
use greffier_media::ids::{ParticipantIdentity, RoomName};
use greffier_store::{
    MeetingError,
    accounts::UserRole,
    meetings::{CallType, Room, RoomRole},
};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    Principal,
    access::{Operation, Relation, Target},
    extract::Body,
    meetings::{Seat, admit, has_place, not_locked, not_put_out, prepare, was_there},
    problem::{ApiError, ApiResult},
    services::App,
};

/// Who wants to go where.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(example = json!({"room": "team-monday", "identity": "robot", "name": "Robot", "ttl_seconds": 3600, "metadata": {"team": "blue"}}))]
pub(super) struct TokenRequest {
    #[schema(value_type = String, min_length = 1, max_length = 1024, example = "team-monday")]
    room: RoomName,
    /// For somebody else: needs a key with the scope `tokens`, or an administrator.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 1024)]
    identity: Option<ParticipantIdentity>,
    #[serde(default)]
    #[garde(length(bytes, max = 200))]
    #[schema(max_length = 200)]
    name: Option<String>,
    #[serde(default)]
    #[garde(range(min = 60, max = 86_400))]
    #[schema(minimum = 60, maximum = 86_400, default = 21_600)]
    ttl_seconds: Option<u64>,
    /// Hears and sees, and is never heard.
    #[serde(default)]
    listener: bool,
    /// What their client and the others are told of them, beside their role: an object, or the text of one, as the server
    /// has it. At most 4096 bytes.
    #[serde(default, deserialize_with = "object")]
    #[schema(value_type = Option<Object>, example = json!({"avatar": "https://app.example.org/ana.png"}))]
    metadata: Option<Map<String, Value>>,
}

/// Bytes of `metadata`: everybody in the room is sent it.
const MOST_METADATA: usize = 4096;

/// An object, or the text of one.
fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Map<String, Value>>, D::Error> {
    let wrong = || D::Error::custom("must be an object, or the text of one");
    match Option::<Value>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(Value::String(text)) => match serde_json::from_str(&text) {
            Ok(Value::Object(object)) => Ok(Some(object)),
            _ => Err(wrong()),
        },
        Some(_) => Err(wrong()),
    }
}

fn checked(metadata: Option<Map<String, Value>>) -> ApiResult<Map<String, Value>> {
    let metadata = metadata.unwrap_or_default();
    if metadata.contains_key("role") {
        return Err(ApiError::invalid_field(
            "/metadata/role",
            "is what Greffier says itself",
        ));
    }
    if serde_json::to_string(&metadata).map_or(usize::MAX, |text| text.len()) > MOST_METADATA {
        return Err(ApiError::invalid_field("/metadata", "must be at most 4096 bytes"));
    }
    Ok(metadata)
}

/// A token for the `LiveKit` server.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "token": "eyJhbGciOiJIUzI1NiJ9.…", "url": "wss://livekit.example.org", "identity": "robot", "room": "team-monday",
    "expires_at": "2026-01-31T15:00:00Z",
    "grants": {"can_publish": true, "can_subscribe": true, "can_publish_data": true},
}))]
pub(super) struct TokenView {
    token: String,
    #[schema(example = "wss://livekit.example.org")]
    url: String,
    identity: String,
    room: String,
    #[schema(format = DateTime)]
    expires_at: String,
    grants: GrantsView,
}

/// What the token allows in the room.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GrantsView {
    can_publish: bool,
    can_subscribe: bool,
    can_publish_data: bool,
}

/// Get a token for a room.
///
/// For oneself, for a room one may enter. A key with the scope `tokens` gets one for anybody, also for rooms that were
/// not made here.
#[utoipa::path(
    post, path = "/api/livekit/token", tag = "rooms", operation_id = "livekit_token",
    request_body = TokenRequest,
    responses(
        (status = 200, description = "The token", body = TokenView),
        (status = 404, description = "There is no such room", body = crate::problem::Problem),
        (status = 409, description = "The room has ended, is locked, or full", body = crate::problem::Problem),
    )
)]
pub(super) async fn token(
    State(app): State<App>,
    caller: Principal,
    Body(asked): Body<TokenRequest>,
) -> ApiResult<Json<TokenView>> {
    let found = match app.store().rooms().get(asked.room.as_str(), caller.user_id()).await {
        Ok(room) => Some(room),
        Err(MeetingError::NoRoom(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let relation = found
        .as_ref()
        .and_then(|room| room.role)
        .map_or(Relation::Stranger, Relation::Belongs);
    let target = Target::room(asked.room.as_str(), relation);
    let own = caller.user().filter(|user| {
        asked
            .identity
            .as_ref()
            .is_none_or(|who| who.as_str() == user.id.to_string())
    });
    let operation = if own.is_some() {
        Operation::EnterRoom
    } else {
        Operation::MintToken
    };
    caller.must(operation, target)?;
    if found.is_none() && !caller.may(Operation::MintToken, target) {
        return Err(MeetingError::NoRoom(asked.room.to_string()).into());
    }
    let metadata = checked(asked.metadata)?;
    let identity = match (own, &asked.identity) {
        (Some(user), _) => user.id.to_string(),
        (None, Some(identity)) => identity.to_string(),
        (None, None) => return Err(ApiError::invalid_field("/identity", "must say who the token is for")),
    };
    let role = match found.as_ref().and_then(|room| room.role).filter(|_| own.is_some()) {
        _ if asked.listener => RoomRole::Listener,
        Some(role) => role,
        None if own.is_some_and(|user| user.role == UserRole::Admin) => RoomRole::Moderator,
        None => RoomRole::Member,
    };
    if let Some(room) = &found {
        may_still(&app, room, &identity, role).await?;
    }
    let name = asked
        .name
        .or_else(|| own.map(|user| user.name.clone()))
        .unwrap_or_else(|| identity.clone());
    let seat = Seat {
        room: asked.room.to_string(),
        identity,
        name,
        role,
        call_type: found.as_ref().map_or(CallType::Video, |room| room.call_type),
        listeners_only: found.as_ref().is_some_and(|room| room.options.listeners_only),
        lifetime: asked.ttl_seconds.map_or(crate::meetings::LIFETIME, Duration::from_secs),
        metadata,
    };
    let admission = admit(&app, &seat)?;
    Ok(Json(TokenView {
        grants: GrantsView {
            can_publish: admission.grants.can_publish == Some(true),
            can_subscribe: admission.grants.can_subscribe == Some(true),
            can_publish_data: admission.grants.can_publish_data == Some(true),
        },
        token: admission.token,
        url: admission.url,
        identity: admission.identity,
        room: admission.room,
        expires_at: timestamp(admission.expires).to_string(),
    }))
}

/// A room that has ended lets nobody in, nor whom a moderator has put out; one that is locked only moderators and those who
/// were there; one that is full only those who are there.
async fn may_still(app: &App, room: &Room, identity: &str, role: RoomRole) -> ApiResult<()> {
    if room.ended.is_some() {
        return Err(MeetingError::RoomEnded.into());
    }
    not_put_out(app, room, identity).await?;
    if let Err(locked) = not_locked(room, role)
        && !was_there(app, room, identity).await?
    {
        return Err(locked);
    }
    has_place(room, identity)?;
    prepare(app, room).await;
    Ok(())
}
