//! Passwords: Argon2id ([RFC 9106](https://www.rfc-editor.org/rfc/rfc9106)) with the parameters its crate recommends.

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _},
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use super::AccountError;
use crate::disk::blocking;

/// In characters; what people are told before they choose one.
const MIN_CHARS: usize = 10;
/// In bytes: hashing more would let strangers choose how long we work.
const MAX_BYTES: usize = 1024;

/// Hashing takes a core and 19 MiB each time: so many at once, however many log in.
const AT_ONCE: usize = 2;

/// Of no password: somebody who guesses addresses waits as long as somebody who guesses passwords.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$cXVpdGUgYSBncmFpbiBvZiBzYWx0$KZqJkwLDUuPUkDM5YBhHOGIe+ErXJ3mRI1QyPAR4oAU";

/// Hashes and compares passwords, a few at a time.
pub(crate) struct Passwords(Semaphore);

impl Default for Passwords {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }
}

impl Passwords {
    /// Checks that it is fit for a password, and hashes it.
    pub(super) async fn hash(&self, password: &SecretString) -> Result<String, AccountError> {
        let text = password.expose_secret();
        if text.chars().count() < MIN_CHARS || text.len() > MAX_BYTES {
            return Err(AccountError::Invalid {
                field: "password",
                rule: "at least 10 characters and at most 1024 bytes long",
            });
        }
        let password = password.clone();
        // The semaphore is never closed.
        let _permit = self.0.acquire().await;
        let hashed = blocking(move || Argon2::default().hash_password(password.expose_secret().as_bytes())).await;
        match hashed {
            Ok(hash) => Ok(hash.to_string()),
            Err(error) => Err(AccountError::Hash(error.to_string())),
        }
    }

    /// Whether it is the password that was hashed; takes the same time if there is none.
    pub(super) async fn verify(&self, password: &SecretString, hash: Option<&str>) -> bool {
        let is_somebody = hash.is_some();
        let hash = hash.unwrap_or(NOBODY).to_owned();
        if password.expose_secret().len() > MAX_BYTES {
            return false;
        }
        let password = password.clone();
        let _permit = self.0.acquire().await;
        let verified = blocking(move || {
            let password = password.expose_secret().as_bytes();
            Argon2::default().verify_password(password, hash.as_str()).is_ok()
        })
        .await;
        verified && is_somebody
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only() {
        let passwords = Passwords::default();
        let hash = passwords.hash(&"correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$"), "{hash}");
        assert_ne!(hash, passwords.hash(&"correct horse".into()).await.unwrap(), "salted");
        assert!(passwords.verify(&"correct horse".into(), Some(&hash)).await);
        for wrong in ["Correct horse", "", "correct horse "] {
            assert!(!passwords.verify(&wrong.into(), Some(&hash)).await, "{wrong}");
        }
        assert!(!passwords.verify(&"correct horse".into(), None).await);
    }

    #[tokio::test]
    async fn what_is_no_password_is_refused() {
        let passwords = Passwords::default();
        for bad in ["", "ten chars", &*"x".repeat(1025)] {
            let error = passwords.hash(&bad.into()).await.unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Invalid);
        }
        assert!(passwords.hash(&"éééééééééé".into()).await.is_ok());
    }

    #[test]
    fn nobody_costs_as_much_as_somebody() {
        let ours = Argon2::default().hash_password(b"x").unwrap().to_string();
        let cost = |hash: &str| hash.split('$').skip(1).take(3).collect::<Vec<_>>().join("$");
        assert_eq!(cost(&ours), cost(NOBODY));
        assert!(argon2::PasswordHash::new(NOBODY).is_ok());
    }
}
