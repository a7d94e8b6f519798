//! The LiveKit server we belong to: its address, its keys, its API.

mod api;
mod paths;
mod room;
mod signalling;
mod token;

use secrecy::SecretString;
use url::Url;

pub(crate) use api::Presence;
pub use api::{LiveKit, LiveKitError, LiveRoom, is_person};
pub use paths::{Ice, Paths, PathsError};
pub use room::Joined;
pub use token::{BotGrants, Grants};

/// Where the server is and how to prove that we may talk to it.
#[derive(Debug, Clone)]
pub struct LiveKitConfig {
    /// `ws://`, `wss://`, `http://` or `https://`: the same server answers both.
    pub url: Url,
    pub api_key: String,
    pub api_secret: SecretString,
}
