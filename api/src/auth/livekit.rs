//! Access tokens of the `LiveKit` server we belong to.

use greffier_agent::livekit::LiveKitConfig;
use livekit_api::{access_token::TokenVerifier, webhooks::WebhookReceiver};
use livekit_protocol::WebhookEvent;
use secrecy::ExposeSecret as _;

use super::{LiveKitGrants, Principal};

/// Verifies what was signed with the server's secret.
#[derive(Debug)]
pub(crate) struct LiveKitTokens {
    api_key: String,
    verifier: TokenVerifier,
    webhooks: WebhookReceiver,
}

impl LiveKitTokens {
    pub(crate) fn new(config: &LiveKitConfig) -> Self {
        let verifier = TokenVerifier::with_api_key(&config.api_key, config.api_secret.expose_secret());
        Self {
            api_key: config.api_key.clone(),
            webhooks: WebhookReceiver::new(verifier.clone()),
            verifier,
        }
    }

    /// Whether a token says that it is of our server, true or not.
    pub(crate) fn is_ours(&self, issuer: Option<&str>) -> bool {
        issuer == Some(&self.api_key)
    }

    /// Who holds the token; `None` if it is forged, too old, or of another server.
    pub(crate) fn verify(&self, token: &str) -> Option<Principal> {
        let claims = self.verifier.verify(token).ok()?;
        let video = claims.video;
        Some(Principal::LiveKit(LiveKitGrants {
            identity: claims.sub,
            room: Some(video.room).filter(|room| !room.is_empty()),
            room_record: video.room_record,
            room_admin: video.room_admin,
            room_join: video.room_join,
            room_create: video.room_create,
            room_list: video.room_list,
        }))
    }

    /// A webhook whose signature covers its body.
    ///
    /// # Errors
    /// What is wrong, for the log: signature, time, body's hash, or contents.
    pub(crate) fn webhook(&self, body: &str, token: &str) -> Result<WebhookEvent, livekit_api::webhooks::WebhookError> {
        self.webhooks.receive(body, token)
    }
}
