//! Our own access tokens: short, signed, and only good while their session goes on.

use greffier_media::time::Arrival;
use greffier_store::{SessionId, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

/// Seconds that a token is good for.
pub(crate) const LIFETIME: u64 = 600;
const ISSUER: &str = "greffier";
/// Seconds that the clocks of the processes that share a database may differ.
const LEEWAY: u64 = 5;

/// Signs access tokens and verifies them.
pub(crate) struct AccessTokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: UserId,
    sid: SessionId,
    iat: u64,
    exp: u64,
}

impl AccessTokens {
    pub(crate) fn new(secret: &[u8; 64]) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.leeway = LEEWAY;
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
        }
    }

    /// A token for a log-in.
    ///
    /// # Errors
    /// When the library cannot sign, which is a fault of ours.
    pub(crate) fn mint(
        &self,
        user: UserId,
        session: SessionId,
        now: Arrival,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let iat = now.as_millis() / 1000;
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: user,
            sid: session,
            iat,
            exp: iat + LIFETIME,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
    }

    /// Whether a token says that it is ours, true or not.
    pub(crate) fn is_ours(issuer: Option<&str>) -> bool {
        issuer == Some(ISSUER)
    }

    /// Whose log-in a token is for.
    pub(crate) fn verify(&self, token: &str) -> Option<(UserId, SessionId)> {
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).ok()?;
        Some((decoded.claims.sub, decoded.claims.sid))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use greffier_agent::clock::SystemClock;
    use greffier_media::time::Clock as _;

    use super::*;

    const USER: &str = "usr_01J8Z6J9W2T4X5Y6Z7A8B9C0D1";
    const SESSION: &str = "ses_01J8Z6J9W2T4X5Y6Z7A8B9C0D1";

    #[test]
    fn a_token_is_for_one_log_in_and_a_while() {
        let (user, session): (UserId, SessionId) = (USER.parse().unwrap(), SESSION.parse().unwrap());
        let tokens = AccessTokens::new(&[1; 64]);
        let now = SystemClock::start().now();
        let token = tokens.mint(user, session, now).unwrap();
        assert_eq!(tokens.verify(&token), Some((user, session)));
        let old = tokens
            .mint(
                user,
                session,
                now.saturating_sub(Duration::from_secs(LIFETIME + LEEWAY + 1)),
            )
            .unwrap();
        assert_eq!(tokens.verify(&old), None);
        assert_eq!(AccessTokens::new(&[2; 64]).verify(&token), None);
        let (head, signature) = token.rsplit_once('.').unwrap();
        assert_eq!(tokens.verify(&format!("{head}.")), None);
        assert_eq!(tokens.verify(&format!("{head}.{}", signature.to_uppercase())), None);
    }
}
