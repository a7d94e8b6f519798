//! Local tracks: packets that somebody has already encoded, on their way to the senders that carry them.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use rtc::rtp;

use super::sender::SenderInner;
use crate::raw::{OnKeyFrameRequest, RawError};

/// IPv6's minimum MTU less IP, UDP, SRTP tag, RTP header and extensions.
pub(crate) const MAX_PAYLOAD: usize = 1180;

/// A packet to send. SSRC, payload type and the header extensions of this API are filled in on the way.
#[derive(Debug, Clone)]
pub struct OutgoingPacket {
    pub sequence_number: u16,
    /// In the codec's clock rate; any start value, the same clock for every layer.
    pub timestamp: u32,
    pub marker: bool,
    pub payload: Bytes,
    /// When this media was captured, on this process's monotonic clock: sender reports are made from it, so two tracks
    /// stay in step as far as their captures do. `None` is the moment of sending.
    pub captured: Option<Instant>,
    /// Also tell the receiver the capture time (the abs-capture-time header extension).
    pub stamp_capture: bool,
}

/// What became of a packet that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    Sent,
    /// Nobody subscribes to this layer: the server has asked for it to rest (dynacast).
    LayerPaused,
    /// The track is muted.
    Disabled,
    /// Not published, not negotiated yet, or not connected.
    NotReady,
}

/// A local track, shared by the SDK's handles and by the senders that carry it.
pub(crate) struct LocalTrack {
    id: String,
    video: bool,
    enabled: AtomicBool,
    key_frame: AtomicBool,
    /// Incremented at each request, so that two listeners do not take it from one another.
    key_frame_requests: AtomicU32,
    on_key_frame: Mutex<Option<OnKeyFrameRequest>>,
    senders: Mutex<Vec<Weak<SenderInner>>>,
}

impl LocalTrack {
    pub fn new(id: &str, video: bool) -> Arc<Self> {
        Arc::new(Self {
            id: id.to_owned(),
            video,
            enabled: AtomicBool::new(true),
            key_frame: AtomicBool::new(false),
            key_frame_requests: AtomicU32::new(0),
            on_key_frame: Mutex::new(None),
            senders: Mutex::new(Vec::new()),
        })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn is_video(&self) -> bool {
        self.video
    }

    pub fn enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    pub fn set_enabled(&self, enabled: bool) {
        self.enabled.store(enabled, Ordering::Relaxed);
    }

    pub fn attach(&self, sender: &Arc<SenderInner>) {
        let mut senders = self.senders.lock();
        senders.retain(|known| known.strong_count() > 0 && !known.ptr_eq(&Arc::downgrade(sender)));
        senders.push(Arc::downgrade(sender));
    }

    pub fn detach(&self, sender: &Arc<SenderInner>) {
        self.senders
            .lock()
            .retain(|known| !known.ptr_eq(&Arc::downgrade(sender)));
    }

    pub fn take_key_frame_request(&self) -> bool {
        self.key_frame.swap(false, Ordering::AcqRel)
    }

    pub fn key_frame_requested(&self, layer: usize) {
        self.key_frame.store(true, Ordering::Release);
        self.key_frame_requests.fetch_add(1, Ordering::Relaxed);
        let listener = self.on_key_frame.lock().clone();
        if let Some(listener) = listener {
            listener(layer);
        }
    }

    pub fn write(&self, layer: usize, packet: &OutgoingPacket) -> Result<Written, RawError> {
        let size = packet.payload.len();
        if size > MAX_PAYLOAD {
            return Err(RawError::TooLarge { size, max: MAX_PAYLOAD });
        }
        if !self.enabled() {
            return Ok(Written::Disabled);
        }
        let senders: Vec<Arc<SenderInner>> = self.senders.lock().iter().filter_map(Weak::upgrade).collect();
        let mut written = Written::NotReady;
        for sender in senders {
            let outcome = sender.write(layer, packet)?;
            if written != Written::Sent {
                written = outcome;
            }
        }
        Ok(written)
    }

    /// The codec that was negotiated where the track is published, and the number of its layers.
    pub fn published_as(&self) -> Option<(String, usize)> {
        let senders = self.senders.lock();
        senders
            .iter()
            .filter_map(Weak::upgrade)
            .find_map(|s| Some((s.codec()?.mime_type, s.layers())))
    }
}

/// The RTP input of a local track.
#[derive(Clone)]
pub struct LocalRtp {
    track: Arc<LocalTrack>,
}

impl LocalRtp {
    pub(crate) fn new(track: Arc<LocalTrack>) -> Self {
        Self { track }
    }

    /// Sends one packet on layer `layer` (0 is the first of the published encodings).
    ///
    /// # Errors
    /// [`RawError`] where sending would be wrong; a track that is not ready, muted, or a resting layer is no error.
    pub fn write(&self, layer: usize, packet: &OutgoingPacket) -> Result<Written, RawError> {
        self.track.write(layer, packet)
    }

    /// Called for each key-frame request (PLI, FIR) of the receiver, on a media thread: return at once.
    pub fn on_key_frame_request(&self, listener: Option<OnKeyFrameRequest>) {
        *self.track.on_key_frame.lock() = listener;
    }

    /// How many key frames have been asked for.
    pub fn key_frame_requests(&self) -> u32 {
        self.track.key_frame_requests.load(Ordering::Relaxed)
    }

    /// The MIME type negotiated and the number of layers; `None` until the track is published and answered.
    pub fn published_as(&self) -> Option<(String, usize)> {
        self.track.published_as()
    }
}

impl OutgoingPacket {
    pub(crate) fn to_rtp(&self) -> rtp::Packet {
        rtp::Packet {
            header: rtp::Header {
                version: 2,
                marker: self.marker,
                sequence_number: self.sequence_number,
                timestamp: self.timestamp,
                ..rtp::Header::default()
            },
            payload: self.payload.clone(),
        }
    }
}
