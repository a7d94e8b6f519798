//! Signatures as [Standard Webhooks](https://github.com/standard-webhooks/standard-webhooks) specifies them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::Sha256;

/// A shared secret. Signatures are HMAC-SHA256 over `<id>.<unix seconds>.<body>`.
pub struct Key(SecretBox<[u8]>);

/// Why a secret cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    #[error("what follows `whsec_` is not base64")]
    NotBase64,
    #[error("a secret has at least 16 bytes")]
    Short,
}

const PREFIX: &str = "whsec_";
const MIN_BYTES: usize = 16;

impl Key {
    /// # Errors
    /// When the secret is too short or cannot be read.
    pub fn new(secret: &SecretString) -> Result<Self, SignatureError> {
        let text = secret.expose_secret();
        let bytes = match text.strip_prefix(PREFIX) {
            Some(encoded) => STANDARD.decode(encoded).map_err(|_| SignatureError::NotBase64)?,
            None => text.as_bytes().to_vec(),
        };
        if bytes.len() < MIN_BYTES {
            return Err(SignatureError::Short);
        }
        Ok(Self(SecretBox::new(bytes.into_boxed_slice())))
    }

    /// The value of `webhook-signature`.
    pub fn sign(&self, id: &str, unix_seconds: i64, body: &str) -> String {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.expose_secret()) else {
            return String::new();
        };
        mac.update(format!("{id}.{unix_seconds}.").as_bytes());
        mac.update(body.as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_the_specification_s_example() {
        // From the specification's test vector.
        let key = Key::new(&"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()).expect("a secret");
        let signature = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn secrets_must_be_worth_the_name() {
        assert_eq!(Key::new(&"short".into()).err(), Some(SignatureError::Short));
        assert_eq!(Key::new(&"whsec_***".into()).err(), Some(SignatureError::NotBase64));
        assert!(Key::new(&"sixteen bytes it".into()).is_ok());
    }
}
