//! The server's room API, as far as we need it.

use std::sync::Arc;
use std::time::Duration;

use greffier_store::ErrorKind;
use livekit_api::access_token::AccessTokenError;
use livekit_api::services::room::RoomClient;
use livekit_api::services::{ServerError, ServerErrorCode, ServiceError};
use livekit_protocol as proto;
use secrecy::ExposeSecret;

use super::{BotGrants, Grants, LiveKitConfig, token};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Why the server could not be asked, or did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveKitError {
    #[error("LiveKit at {url} refused the request: {message}")]
    Refused { url: String, message: String },
    #[error("LiveKit at {url} cannot be reached: {message}")]
    Unreachable { url: String, message: String },
    #[error("LiveKit knows no {what}")]
    NotFound { what: String },
    #[error("no token could be made: {0}")]
    Token(#[from] AccessTokenError),
}

impl LiveKitError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused { .. } | Self::Token(_) => ErrorKind::Internal,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Unreachable { .. } => ErrorKind::Unavailable,
        }
    }
}

/// A room that exists on the server now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveRoom {
    pub name: String,
    pub sid: String,
    /// Participants that count: hidden ones do not.
    pub participants: u32,
    /// Seconds since the Unix epoch.
    pub created: i64,
}

/// What the server tells of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    People,
    /// There is such a room, and nobody is known to be in it.
    Nobody,
    NoRoom,
}

/// The server. Clones share everything.
#[derive(Clone)]
pub struct LiveKit {
    config: Arc<LiveKitConfig>,
    rooms: Arc<RoomClient>,
}

impl LiveKit {
    pub fn new(config: LiveKitConfig) -> Self {
        let mut http = config.url.clone();
        let scheme = match config.url.scheme() {
            "ws" => "http",
            "wss" => "https",
            other => other,
        };
        // Between these four schemes a change is always allowed.
        if http.set_scheme(scheme).is_err() {
            tracing::debug!(scheme, "scheme of the server's address kept");
        }
        let rooms = RoomClient::with_api_key(http.as_str(), &config.api_key, config.api_secret.expose_secret())
            .with_request_timeout(TIMEOUT);
        Self {
            config: Arc::new(config),
            rooms: Arc::new(rooms),
        }
    }

    pub fn config(&self) -> &LiveKitConfig {
        &self.config
    }

    /// The address to connect participants to.
    pub fn websocket_url(&self) -> String {
        let url = self.config.url.as_str();
        match self.config.url.scheme() {
            "http" => url.replacen("http", "ws", 1),
            "https" => url.replacen("https", "wss", 1),
            _ => url.to_owned(),
        }
    }

    /// A token for a participant of ours.
    ///
    /// # Errors
    /// When key or secret are empty.
    pub fn bot_token(&self, room: &str, identity: &str, name: &str, grants: BotGrants) -> Result<String, LiveKitError> {
        Ok(token::mint(&self.config, room, identity, name, grants)?)
    }

    /// A token for a synthetic participant that is played elsewhere; `lifetime` is how long it can be used to enter.
    ///
    /// # Errors
    /// When key or secret are empty.
    pub fn synthetic_token(&self, room: &str, identity: &str, lifetime: Duration) -> Result<String, LiveKitError> {
        let grants = BotGrants::Synthetic { publish: true };
        Ok(token::mint_lasting(
            &self.config,
            room,
            identity,
            identity,
            grants,
            lifetime,
        )?)
    }

    /// A token for somebody else.
    ///
    /// # Errors
    /// When key or secret are empty.
    pub fn token(
        &self,
        identity: &str,
        name: &str,
        grants: &Grants,
        lifetime: Duration,
    ) -> Result<String, LiveKitError> {
        Ok(token::mint_for(&self.config, identity, name, grants, lifetime)?)
    }

    /// The rooms that exist now; `names` empty for all.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses our key.
    pub async fn rooms(&self, names: Vec<String>) -> Result<Vec<LiveRoom>, LiveKitError> {
        let found = self.rooms.list_rooms(names).await.map_err(|e| self.error(e, "room"))?;
        let room = |room: proto::Room| LiveRoom {
            name: room.name,
            sid: room.sid,
            participants: room.num_participants,
            created: room.creation_time,
        };
        Ok(found.into_iter().map(room).collect())
    }

    /// Who is in a room now.
    ///
    /// # Errors
    /// As [`Self::rooms`], and when there is no such room.
    pub async fn participants(&self, room: &str) -> Result<Vec<proto::ParticipantInfo>, LiveKitError> {
        self.rooms
            .list_participants(room)
            .await
            .map_err(|e| self.error(e, &format!("room {room}")))
    }

    /// Whether anybody is in a room who counts: people and what brings them, not bots and recorders.
    ///
    /// # Errors
    /// As [`Self::rooms`]. A room that does not exist has nobody in it.
    pub async fn has_people(&self, room: &str) -> Result<bool, LiveKitError> {
        match self.participants(room).await {
            Ok(found) => Ok(found.iter().any(is_person)),
            Err(LiveKitError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a room is there with people in it. The server brings the counts in its list of rooms up to date every few seconds
    /// only, so a count of nobody is looked into; if that fails there may be people.
    ///
    /// # Errors
    /// As [`Self::rooms`].
    pub(crate) async fn presence(&self, room: &str) -> Result<Presence, LiveKitError> {
        let rooms = self.rooms(vec![room.to_owned()]).await?;
        let Some(found) = rooms.iter().find(|found| found.name == room) else {
            return Ok(Presence::NoRoom);
        };
        if found.participants > 0 {
            return Ok(Presence::People);
        }
        match self.has_people(room).await {
            Ok(false) => Ok(Presence::Nobody),
            Ok(true) => Ok(Presence::People),
            Err(error) => {
                tracing::warn!(room, %error, "who is in the room cannot be told");
                Ok(Presence::People)
            }
        }
    }

    /// The client, for calls that belong to whoever makes them.
    pub fn room_client(&self) -> &RoomClient {
        &self.rooms
    }

    /// Reads an error of the server's API; `what` names what was asked for.
    pub fn error(&self, error: ServiceError, what: &str) -> LiveKitError {
        let url = self.config.url.to_string();
        match error {
            ServiceError::Twirp(ServerError::Twirp(refusal)) if refusal.code == ServerErrorCode::NOT_FOUND => {
                LiveKitError::NotFound { what: what.to_owned() }
            }
            ServiceError::Twirp(ServerError::Twirp(refusal)) => LiveKitError::Refused {
                url,
                message: refusal.to_string(),
            },
            // What it answers to a token that it does not take is not in the form of its API.
            ServiceError::Twirp(ServerError::Request(error)) if error.is_decode() => LiveKitError::Refused {
                url,
                message: "the API key and secret are not the server's own, or the address is not LiveKit's".to_owned(),
            },
            other => LiveKitError::Unreachable {
                url,
                message: other.to_string(),
            },
        }
    }
}

/// Whether somebody is there who counts: no bot, no recorder, and not gone.
pub fn is_person(participant: &proto::ParticipantInfo) -> bool {
    use proto::participant_info::{Kind, State};
    let hidden = participant
        .permission
        .as_ref()
        .is_some_and(|permission| permission.hidden);
    let gone = participant.state() == State::Disconnected;
    !hidden && !gone && !matches!(participant.kind(), Kind::Agent | Kind::Egress)
}

#[cfg(test)]
mod tests {
    use proto::participant_info::{Kind, State};

    use super::*;

    #[test]
    fn bots_and_hidden_ones_are_not_people() {
        let person = |kind: Kind, hidden| proto::ParticipantInfo {
            kind: kind.into(),
            permission: Some(proto::ParticipantPermission {
                hidden,
                ..Default::default()
            }),
            ..Default::default()
        };
        assert!(is_person(&person(Kind::Standard, false)) && is_person(&person(Kind::Sip, false)));
        assert!(!is_person(&person(Kind::Standard, true)));
        assert!(!is_person(&person(Kind::Agent, false)) && !is_person(&person(Kind::Egress, false)));
        let gone = proto::ParticipantInfo {
            state: State::Disconnected.into(),
            ..person(Kind::Standard, false)
        };
        assert!(!is_person(&gone));
    }
}
