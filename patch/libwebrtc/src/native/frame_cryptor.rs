//! End-to-end encryption: not built, and loud about it.
//!
//! A cryptor that did nothing would put media on the wire in clear while the room shows a closed lock. A sender that is
//! given one here sends nothing any more, its state is reported as an internal error, and data packets are refused.
//! Received frames stay as they came, encrypted.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use parking_lot::Mutex;

use crate::native::packet_trailer::PacketTrailerHandler;
use crate::peer_connection_factory::PeerConnectionFactory;
use crate::raw::RawError;
use crate::rtp_receiver::RtpReceiver;
use crate::rtp_sender::RtpSender;

pub type OnStateChange = Box<dyn FnMut(String, EncryptionState) + Send + Sync>;

#[derive(Copy, Clone, Debug)]
#[non_exhaustive]
pub enum KeyDerivationAlgorithm {
    PBKDF2,
    HKDF,
}

#[derive(Debug, Clone)]
pub struct KeyProviderOptions {
    pub shared_key: bool,
    pub ratchet_window_size: i32,
    pub ratchet_salt: Vec<u8>,
    pub failure_tolerance: i32,
    pub key_ring_size: i32,
    pub key_derivation_algorithm: KeyDerivationAlgorithm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncryptionAlgorithm {
    AesGcm,
    AesCbc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncryptionState {
    New,
    Ok,
    EncryptionFailed,
    DecryptionFailed,
    MissingKey,
    KeyRatcheted,
    InternalError,
}

#[derive(Debug, Clone)]
pub struct EncryptedPacket {
    pub data: Vec<u8>,
    pub iv: Vec<u8>,
    pub key_index: u32,
}

/// By participant (nobody's are shared) and index.
type Keys = HashMap<(String, i32), Vec<u8>>;

/// Keeps keys; none of them is ever used.
#[derive(Clone, Default)]
pub struct KeyProvider {
    keys: Arc<Mutex<Keys>>,
}

/// Shared keys belong to no participant.
const SHARED: &str = "";

impl KeyProvider {
    #[expect(clippy::needless_pass_by_value, reason = "upstream's signature")]
    pub fn new(options: KeyProviderOptions) -> Self {
        log::error!(
            "{} (key provider, shared key: {})",
            RawError::EncryptionNotBuilt,
            options.shared_key
        );
        Self::default()
    }

    pub fn set_shared_key(&self, key_index: i32, key: Vec<u8>) -> bool {
        self.set_key(SHARED.to_owned(), key_index, key)
    }

    pub fn ratchet_shared_key(&self, _: i32) -> Option<Vec<u8>> {
        None
    }

    pub fn get_shared_key(&self, key_index: i32) -> Option<Vec<u8>> {
        self.get_key(SHARED.to_owned(), key_index)
    }

    pub fn set_key(&self, participant_id: String, key_index: i32, key: Vec<u8>) -> bool {
        self.keys.lock().insert((participant_id, key_index), key);
        true
    }

    pub fn ratchet_key(&self, _: String, _: i32) -> Option<Vec<u8>> {
        None
    }

    pub fn get_key(&self, participant_id: String, key_index: i32) -> Option<Vec<u8>> {
        self.keys.lock().get(&(participant_id, key_index)).cloned()
    }

    pub fn set_sif_trailer(&self, _: Vec<u8>) {}
}

#[derive(Clone)]
pub struct FrameCryptor {
    participant_id: String,
    enabled: Arc<AtomicBool>,
    key_index: Arc<AtomicI32>,
}

impl FrameCryptor {
    /// From here on the sender sends nothing.
    #[expect(clippy::needless_pass_by_value, reason = "upstream's signature")]
    pub fn new_for_rtp_sender(
        _: &PeerConnectionFactory,
        participant_id: String,
        _: EncryptionAlgorithm,
        _: KeyProvider,
        sender: RtpSender,
    ) -> Self {
        sender.inner().refuse(RawError::EncryptionNotBuilt);
        Self::refused(participant_id)
    }

    pub fn new_for_rtp_receiver(
        _: &PeerConnectionFactory,
        participant_id: String,
        _: EncryptionAlgorithm,
        _: KeyProvider,
        _: RtpReceiver,
    ) -> Self {
        log::error!("frames of {participant_id} stay encrypted: end-to-end encryption is not built");
        Self::refused(participant_id)
    }

    fn refused(participant_id: String) -> Self {
        Self {
            participant_id,
            enabled: Arc::default(),
            key_index: Arc::default(),
        }
    }

    pub fn set_enabled(&self, enabled: bool) {
        self.enabled.store(enabled, Ordering::Relaxed);
    }

    pub fn enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    pub fn set_key_index(&self, index: i32) {
        self.key_index.store(index, Ordering::Relaxed);
    }

    pub fn key_index(&self) -> i32 {
        self.key_index.load(Ordering::Relaxed)
    }

    pub fn participant_id(&self) -> String {
        self.participant_id.clone()
    }

    /// Tells the listener at once that this does not work.
    pub fn on_state_change(&self, handler: Option<OnStateChange>) {
        if let Some(mut handler) = handler {
            handler(self.participant_id(), EncryptionState::InternalError);
        }
    }

    pub fn set_packet_trailer_handler(&self, _: &PacketTrailerHandler) {}
}

#[derive(Clone)]
pub struct DataPacketCryptor {}

impl DataPacketCryptor {
    pub fn new(algorithm: EncryptionAlgorithm, _: KeyProvider) -> Self {
        log::error!("data encryption ({algorithm:?}): {}", RawError::EncryptionNotBuilt);
        Self {}
    }

    /// # Errors
    /// Always.
    pub fn encrypt(&self, _: &str, _: u32, _: &[u8]) -> Result<EncryptedPacket, Box<dyn Error>> {
        Err(Box::new(RawError::EncryptionNotBuilt))
    }

    /// # Errors
    /// Always.
    pub fn decrypt(&self, _: &str, _: &EncryptedPacket) -> Result<Vec<u8>, Box<dyn Error>> {
        Err(Box::new(RawError::EncryptionNotBuilt))
    }
}
