//! Sealing of secrets: AES-256-GCM with a random nonce, the secret's name authenticated with it, so that no sealed value
//! can stand in another's place.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::SettingError;

/// What secrets are sealed with.
pub(crate) struct SealKey(RandomizedNonceKey);

impl SealKey {
    /// From any secret that is long and random: what is used is its SHA-256.
    pub(crate) fn new(secret: &SecretString) -> Result<Self, SettingError> {
        let key = Sha256::digest(secret.expose_secret());
        let key = RandomizedNonceKey::new(&AES_256_GCM, &key).map_err(|_| SettingError::Seal)?;
        Ok(Self(key))
    }

    pub(crate) fn seal(&self, name: &str, secret: &[u8]) -> Result<String, SettingError> {
        let mut sealed = secret.to_vec();
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(name), &mut sealed)
            .map_err(|_| SettingError::Seal)?;
        let mut whole = nonce.as_ref().to_vec();
        whole.append(&mut sealed);
        Ok(STANDARD.encode(whole))
    }

    pub(crate) fn open(&self, name: &str, sealed: &str) -> Result<Vec<u8>, SettingError> {
        let damaged = || SettingError::CannotOpen(name.to_owned());
        let whole = STANDARD.decode(sealed).map_err(|_| damaged())?;
        let (nonce, sealed) = whole.split_at_checked(NONCE_LEN).ok_or_else(damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged())?;
        let mut secret = sealed.to_vec();
        let opened = self.0.open_in_place(nonce, Aad::from(name), &mut secret);
        opened.map(|secret| secret.to_vec()).map_err(|_| damaged())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_and_name_open() {
        let key = SealKey::new(&"a long random secret".into()).unwrap();
        let sealed = key.seal("vapid", b"private").unwrap();
        assert_eq!(key.open("vapid", &sealed).unwrap(), b"private");
        assert_ne!(
            sealed,
            key.seal("vapid", b"private").unwrap(),
            "another nonce each time"
        );
        let other = SealKey::new(&"another secret".into()).unwrap();
        assert!(other.open("vapid", &sealed).is_err());
        assert!(key.open("jwt", &sealed).is_err());
        for bad in ["", "AAAA", "%", &sealed[..sealed.len() - 8]] {
            assert!(key.open("vapid", bad).is_err(), "{bad}");
        }
    }
}
