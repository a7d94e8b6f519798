//! Tokens that we mint for our own participants.

use std::time::Duration;

use livekit_api::access_token::{AccessToken, AccessTokenError, VideoGrants};
use secrecy::ExposeSecret;

use super::LiveKitConfig;

/// What a participant of ours may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BotGrants {
    /// Hears and sees, and is neither seen nor counted.
    Recorder,
    /// Publishes what comes from another room; hidden from nobody.
    Relay,
    /// One of many synthetic participants.
    Synthetic { publish: bool },
}

/// What the holder of a token may do; nothing, unless it says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "LiveKit's grants are flags")]
pub struct Grants {
    /// The room all of it is about; all rooms, if there is none.
    pub room: Option<String>,
    /// Enter the room, and hear and see what is in it.
    pub join: bool,
    /// Publish tracks and data.
    pub publish: bool,
    /// Moderate the room.
    pub room_admin: bool,
    /// Start recordings, and see them.
    pub room_record: bool,
}

/// Mints a token for a person; `lifetime` is how long it can be used to enter.
pub(super) fn mint_for(
    config: &LiveKitConfig,
    identity: &str,
    name: &str,
    grants: &Grants,
    lifetime: Duration,
) -> Result<String, AccessTokenError> {
    let video = VideoGrants {
        room_join: grants.join,
        room: grants.room.clone().unwrap_or_default(),
        room_admin: grants.room_admin,
        room_record: grants.room_record,
        can_publish: Some(grants.publish),
        can_publish_data: Some(grants.publish),
        can_subscribe: Some(grants.join),
        can_update_own_metadata: Some(grants.join),
        ..VideoGrants::default()
    };
    AccessToken::with_api_key(&config.api_key, config.api_secret.expose_secret())
        .with_identity(identity)
        .with_name(name)
        .with_ttl(lifetime)
        .with_grants(video)
        .to_jwt()
}

/// A token lasts as long as joining may take; the server renews it for whoever is in the room.
const LIFETIME: Duration = Duration::from_mins(10);

pub(crate) fn mint(
    config: &LiveKitConfig,
    room: &str,
    identity: &str,
    name: &str,
    grants: BotGrants,
) -> Result<String, AccessTokenError> {
    mint_lasting(config, room, identity, name, grants, LIFETIME)
}

pub(super) fn mint_lasting(
    config: &LiveKitConfig,
    room: &str,
    identity: &str,
    name: &str,
    grants: BotGrants,
    lifetime: Duration,
) -> Result<String, AccessTokenError> {
    let (publish, recorder) = match grants {
        BotGrants::Recorder => (false, true),
        BotGrants::Relay => (true, false),
        BotGrants::Synthetic { publish } => (publish, false),
    };
    let video = VideoGrants {
        room_join: true,
        room: room.to_owned(),
        can_publish: Some(publish),
        can_publish_data: Some(publish),
        can_subscribe: Some(true),
        can_update_own_metadata: Some(false),
        hidden: recorder,
        recorder,
        ..VideoGrants::default()
    };
    AccessToken::with_api_key(&config.api_key, config.api_secret.expose_secret())
        .with_identity(identity)
        .with_name(name)
        .with_ttl(lifetime)
        .with_grants(video)
        .to_jwt()
}
