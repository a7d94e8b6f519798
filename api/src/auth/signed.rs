//! Links to a recording's files for those who can send no header: `<video src>`, downloads. A link is for one recording,
//! and for a while.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use greffier_media::{ids::RecordingId, time::Arrival};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Sha256, Sha512};

/// Bytes of the signature that a link carries: 128 bits cannot be guessed.
const SIGNATURE: usize = 16;

/// Signs links and verifies them.
#[derive(Clone)]
pub(crate) struct Links {
    secret: [u8; 64],
    lifetime: Duration,
}

impl Links {
    pub(crate) fn new(secret: &[u8; 64], lifetime: Duration) -> Self {
        Self {
            secret: *secret,
            lifetime,
        }
    }

    /// The value of `key` in links to files of `recording`.
    pub(crate) fn sign(&self, recording: RecordingId, now: Arrival) -> String {
        // Rounded up to the hour, so that a browser's cache meets the same address again.
        let expires = now.saturating_add(self.lifetime).as_millis() / 1000;
        let expires = expires.div_ceil(3600) * 3600;
        let mut key = expires.to_be_bytes().to_vec();
        let signature = self.mac(recording, expires).finalize().into_bytes();
        key.extend_from_slice(&signature[..SIGNATURE]);
        URL_SAFE_NO_PAD.encode(key)
    }

    pub(crate) fn verify(&self, key: &str, recording: RecordingId, now: Arrival) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(key) else {
            return false;
        };
        let Some((expires, signature)) = bytes.split_first_chunk::<8>() else {
            return false;
        };
        let expires = u64::from_be_bytes(*expires);
        signature.len() == SIGNATURE
            && self.mac(recording, expires).verify_truncated_left(signature).is_ok()
            && now.as_millis() / 1000 < expires
    }

    fn mac(&self, recording: RecordingId, expires: u64) -> Hmac<Sha256> {
        let mut mac = Hmac::new(&self.secret.into());
        mac.update(b"greffier link\0");
        mac.update(recording.to_string().as_bytes());
        mac.update(&expires.to_be_bytes());
        mac
    }
}

/// Why there is no secret to sign with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    #[error("the secret `{}` cannot be read or made", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("the secret `{}` is not 64 bytes long; delete it, and links signed with it stop working", .0.display())]
    Length(PathBuf),
}

/// The data directory's secret, from which each use has one of its own.
#[derive(Clone)]
pub(crate) struct Secrets([u8; 64]);

impl Secrets {
    /// Reads the secret, or makes it, readable by nobody else.
    pub(crate) fn load(path: &Path) -> Result<Self, SecretError> {
        load(path).map(Self)
    }

    /// The secret for one use; what is signed with it is good for nothing else.
    pub(crate) fn derive(&self, purpose: &str) -> [u8; 64] {
        // HMAC itself fills a key up to its block with zeros.
        let mut key = [0; 128];
        key[..64].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha512>::new(&key.into());
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

fn load(path: &Path) -> Result<[u8; 64], SecretError> {
    let failed = |source| SecretError::Io {
        path: path.to_owned(),
        source,
    };
    match fs::read(path) {
        Ok(bytes) => bytes.try_into().map_err(|_| SecretError::Length(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut secret = [0; 64];
            rand::fill(&mut secret);
            // Written beside and renamed, so that a crash leaves all of it or nothing.
            let beside = path.with_extension("new");
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&beside)
                .map_err(failed)?;
            file.write_all(&secret).and_then(|()| file.sync_all()).map_err(failed)?;
            fs::rename(&beside, path).map_err(failed)?;
            Ok(secret)
        }
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Arrival = Arrival::from_millis(1_760_000_000_000);
    const HOUR: Duration = Duration::from_hours(1);

    fn links() -> Links {
        Links::new(&[7; 64], HOUR)
    }

    #[test]
    fn a_link_is_for_one_recording_and_a_while() {
        let (one, other) = (RecordingId::from_parts(1, 1), RecordingId::from_parts(1, 2));
        let key = links().sign(one, NOW);
        assert!(links().verify(&key, one, NOW));
        assert!(links().verify(&key, one, NOW.saturating_add(Duration::from_secs(3599))));
        assert!(!links().verify(&key, one, NOW.saturating_add(HOUR * 2 + Duration::from_secs(1))));
        assert!(!links().verify(&key, other, NOW));
        assert!(!Links::new(&[8; 64], HOUR).verify(&key, one, NOW));
    }

    #[test]
    fn the_secret_stays() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.key");
        let secret = load(&path).unwrap();
        assert_eq!(load(&path).unwrap(), secret);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "short").unwrap();
        assert!(matches!(load(&path), Err(SecretError::Length(_))));
    }

    proptest! {
        #[test]
        fn nothing_made_up_is_a_link(key in ".*", flip in 0_usize..24) {
            let recording = RecordingId::from_parts(1, 1);
            prop_assert!(!links().verify(&key, recording, NOW));
            let mut bytes = URL_SAFE_NO_PAD.decode(links().sign(recording, NOW)).unwrap();
            bytes[flip] ^= 1;
            prop_assert!(!links().verify(&URL_SAFE_NO_PAD.encode(bytes), recording, NOW));
        }
    }
}
