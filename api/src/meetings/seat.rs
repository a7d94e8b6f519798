//! The token that lets somebody into a room.

use std::time::Duration;

use greffier_media::time::Arrival;
use greffier_store::meetings::{CallType, Room, RoomRole};
use livekit_api::{
    access_token::{AccessToken, VideoGrants},
    services::room::CreateRoomOptions,
};
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};

use crate::{
    problem::{ApiError, ApiResult},
    services::App,
};

/// As long as a meeting may take: guests go on showing it to us. The server renews its own.
pub(crate) const LIFETIME: Duration = Duration::from_hours(6);

/// Somebody's place in a room.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub room: String,
    pub identity: String,
    pub name: String,
    pub role: RoomRole,
    pub call_type: CallType,
    /// Only those who speak send media.
    pub listeners_only: bool,
    pub lifetime: Duration,
    /// What else their token says of them to the others, beside their role.
    pub metadata: Map<String, Value>,
}

/// What somebody needs to connect.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    pub token: String,
    pub url: String,
    pub identity: String,
    pub room: String,
    pub expires: Arrival,
    pub grants: VideoGrants,
}

impl Seat {
    pub(crate) fn of(room: &Room, identity: String, name: String, role: RoomRole) -> Self {
        Self {
            room: room.name.to_string(),
            identity,
            name,
            role,
            call_type: room.call_type,
            listeners_only: room.options.listeners_only,
            lifetime: LIFETIME,
            metadata: Map::new(),
        }
    }

    fn metadata(&self) -> Value {
        let mut metadata = self.metadata.clone();
        metadata.insert("role".to_owned(), json!(self.role));
        Value::Object(metadata)
    }

    /// What the server lets them do there. Moderation goes through us, so nobody is given `roomAdmin`.
    fn grants(&self) -> VideoGrants {
        let speaks = self.role.speaks(self.listeners_only);
        let sources = match self.call_type {
            CallType::Audio if speaks => vec!["microphone".to_owned()],
            _ => Vec::new(),
        };
        VideoGrants {
            room_join: true,
            room: self.room.clone(),
            can_publish: Some(speaks),
            can_publish_sources: sources,
            can_subscribe: Some(true),
            // Chat, reactions and raised hands are for listeners too.
            can_publish_data: Some(true),
            can_update_own_metadata: Some(true),
            ..VideoGrants::default()
        }
    }
}

/// An empty room of ours is kept so long for whoever was just let in, in seconds.
const EMPTY_TIMEOUT: u32 = 60;

/// Tells the server how many a room takes, before the first comes: it counts them itself from then on, whatever tokens were
/// given out. That it cannot be told keeps nobody out; they cannot connect either.
pub(crate) async fn prepare(app: &App, room: &Room) {
    let (Some(most), None) = (room.options.max_participants, &room.call) else {
        return;
    };
    let options = CreateRoomOptions {
        max_participants: most,
        empty_timeout: EMPTY_TIMEOUT,
        ..CreateRoomOptions::default()
    };
    let livekit = &app.services.livekit;
    let client = livekit.room_client();
    // Boxed, as few rooms need it.
    if let Err(error) = Box::pin(client.create_room(room.name.as_str(), options)).await {
        let error = livekit.error(error, "room");
        tracing::warn!(room = %room.name, %error, "the server could not be told how many the room takes");
    }
}

/// Lets somebody in.
pub(crate) fn admit(app: &App, seat: &Seat) -> ApiResult<Admission> {
    let config = app.services.livekit.config();
    let grants = seat.grants();
    let token = AccessToken::with_api_key(&config.api_key, config.api_secret.expose_secret())
        .with_identity(&seat.identity)
        .with_name(&seat.name)
        .with_metadata(&seat.metadata().to_string())
        .with_ttl(seat.lifetime)
        .with_grants(grants.clone())
        .to_jwt()
        .map_err(|error| {
            tracing::error!(%error, "a token for a room cannot be made");
            ApiError::internal()
        })?;
    Ok(Admission {
        token,
        url: app.livekit_url(),
        identity: seat.identity.clone(),
        room: seat.room.clone(),
        expires: app.now().saturating_add(seat.lifetime),
        grants,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(role: RoomRole, call_type: CallType, listeners_only: bool) -> Seat {
        Seat {
            room: "demo".into(),
            identity: "ana".into(),
            name: "Ana".into(),
            role,
            call_type,
            listeners_only,
            lifetime: LIFETIME,
            metadata: Map::new(),
        }
    }

    #[test]
    fn who_speaks_where() {
        use CallType::{Audio, Video};
        use RoomRole::{Listener, Member, Moderator, Owner, Speaker};
        for (role, listeners_only, speaks) in [
            (Owner, true, true),
            (Moderator, true, true),
            (Speaker, true, true),
            (Member, true, false),
            (Listener, true, false),
            (Member, false, true),
            (Listener, false, false),
        ] {
            let grants = seat(role, Video, listeners_only).grants();
            assert_eq!(grants.can_publish, Some(speaks), "{role:?} {listeners_only}");
            assert!(grants.can_publish_sources.is_empty() && !grants.room_admin && !grants.room_record);
            let audio = seat(role, Audio, listeners_only).grants();
            assert_eq!(audio.can_publish_sources.is_empty(), !speaks);
        }
    }
}
