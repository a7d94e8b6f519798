//! Secrets that are shown once and kept as a hash.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::disk::hex;

/// 256 bits nobody can guess, as 43 characters that need no escaping in a URL.
pub(crate) fn generate() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// Whether this has the shape of what [`generate`] makes.
pub(crate) fn is_one(shown: &str) -> bool {
    shown.len() == 43 && URL_SAFE_NO_PAD.decode(shown).is_ok()
}

/// What is kept of a secret, in lower-case hexadecimal. It is long and random, so nothing slower is needed; and looking
/// it up by its hash tells nothing about what was nearly right.
pub(crate) fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_the_same() {
        let (one, other) = (generate(), generate());
        assert_ne!(one, other);
        assert_eq!(one.len(), 43);
        assert!(is_one(&one) && !is_one("guess") && !is_one(&"%".repeat(43)));
        assert_eq!(hash(&one).len(), 64);
        assert_ne!(hash(&one), hash(&other));
    }
}
