//! Packet trailers (frame metadata behind the frame's bytes): not built. Asking a sender for them stops it; received
//! frames keep theirs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::engine::sender::SenderInner;
use crate::peer_connection_factory::PeerConnectionFactory;
use crate::raw::RawError;
use crate::rtp_receiver::RtpReceiver;
use crate::rtp_sender::RtpSender;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishTimingStage {
    EncoderUpload,
    EncoderOutput,
    WebrtcPacketize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscribeTimingStage {
    WebrtcReceive,
    DecoderUpload,
    DecoderOutput,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishTimingEvent {
    pub stage: PublishTimingStage,
    pub timestamp_us: u64,
    pub capture_timestamp_us: u64,
    pub frame_id: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscribeTimingEvent {
    pub stage: SubscribeTimingStage,
    pub timestamp_us: u64,
    pub capture_timestamp_us: u64,
    pub frame_id: Option<u32>,
}

pub type PublishTimingObserver = Arc<dyn Fn(PublishTimingEvent) + Send + Sync + 'static>;
pub type SubscribeTimingObserver = Arc<dyn Fn(SubscribeTimingEvent) + Send + Sync + 'static>;

#[derive(Clone)]
pub struct PacketTrailerHandler {
    enabled: Arc<AtomicBool>,
    sender: Option<Arc<SenderInner>>,
}

impl PacketTrailerHandler {
    /// Enabling trailers stops the sender: receivers were promised metadata that would never come.
    pub fn set_enabled(&self, enabled: bool) {
        self.enabled.store(enabled, Ordering::Relaxed);
        if let Some(sender) = self.sender.as_ref().filter(|_| enabled) {
            sender.refuse(RawError::PacketTrailerNotBuilt);
        }
    }

    pub fn enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    pub fn lookup_frame_metadata(&self, _: u32) -> Option<(u64, u32, Vec<u8>)> {
        None
    }

    pub fn store_frame_metadata(&self, _: i64, _: u64, _: u32, _: &[u8]) {}

    #[expect(clippy::needless_pass_by_value, reason = "upstream's signature")]
    pub fn set_publish_timing_observer(&self, observer: Option<PublishTimingObserver>) {
        if observer.is_some() {
            log::warn!("publish timing is not measured: nothing is encoded here");
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "upstream's signature")]
    pub fn set_subscribe_timing_observer(&self, observer: Option<SubscribeTimingObserver>) {
        if observer.is_some() {
            log::warn!("subscribe timing is not measured: nothing is decoded here");
        }
    }
}

pub fn create_sender_handler(_: &PeerConnectionFactory, sender: &RtpSender) -> PacketTrailerHandler {
    PacketTrailerHandler {
        enabled: Arc::default(),
        sender: Some(Arc::clone(sender.inner())),
    }
}

pub fn create_receiver_handler(_: &PeerConnectionFactory, receiver: &RtpReceiver) -> PacketTrailerHandler {
    log::warn!("frames of {:?} keep their packet trailers", receiver.stream_ids());
    PacketTrailerHandler {
        enabled: Arc::default(),
        sender: None,
    }
}
