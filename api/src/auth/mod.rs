//! Who asks.
//!
//! | shown | how it is checked | who it is |
//! |---|---|---|
//! | an access token of ours | signature, time; its session must go on | [`Principal::User`] |
//! | a token of another application | signature (secret or JWKS), time, issuer, audience | [`Principal::User`] |
//! | an API key | its SHA-256 is looked up: configuration, then database | [`Principal::Key`] |
//! | a `LiveKit` access token | signature, time, issuer | [`Principal::LiveKit`] |
//! | `?key=` of a link | our signature, time, recording | [`Principal::Link`] |

mod cookie;
mod extractor;
mod foreign;
mod keys;
mod livekit;
mod principal;
mod sessions;
mod signed;
mod tokens;

pub(crate) use cookie::{clear_refresh, read_guest, read_refresh, set_guest, set_refresh};
pub(crate) use extractor::{Actor, LinkOr, Shown, authenticate_request};
pub(crate) use foreign::ForeignTokens;
pub use foreign::{ForeignConfig, ForeignError};
pub(crate) use keys::Keys;
pub use keys::KeysError;
pub(crate) use livekit::LiveKitTokens;
pub use principal::{LiveKitGrants, Principal};
pub(crate) use sessions::LiveSessions;
pub use signed::SecretError;
pub(crate) use signed::{Links, Secrets};
pub(crate) use tokens::{AccessTokens, LIFETIME as TOKEN_LIFETIME};

#[cfg(test)]
mod tests;
