//! A transceiver: what the application asked for, before and after the engine knows of it.

use std::sync::Arc;

use parking_lot::Mutex;

use super::remote::RemoteTrack;
use super::sender::SenderInner;
use super::{HostRef, sdp};
use crate::rtp_parameters::RtpCodecCapability;
use crate::rtp_transceiver::RtpTransceiverDirection;

pub(crate) struct TransceiverInner {
    pub video: bool,
    pub sender: Arc<SenderInner>,
    pub receiver: Arc<ReceiverInner>,
    state: Mutex<State>,
}

struct State {
    /// The engine's index, once the engine has been told: it wants to know a sender's codec at once, the SDK tells it
    /// after `addTransceiver`, so the engine is told when an offer is made.
    index: Option<usize>,
    mid: Option<String>,
    direction: RtpTransceiverDirection,
    current_direction: Option<RtpTransceiverDirection>,
    preferences: Vec<RtpCodecCapability>,
}

impl TransceiverInner {
    pub fn new(video: bool, direction: RtpTransceiverDirection, sender: Arc<SenderInner>, host: HostRef) -> Arc<Self> {
        let receiver = Arc::new(ReceiverInner {
            host,
            current: Mutex::new(None),
        });
        Arc::new(Self {
            video,
            sender,
            receiver,
            state: Mutex::new(State {
                index: None,
                mid: None,
                direction,
                current_direction: None,
                preferences: Vec::new(),
            }),
        })
    }

    pub fn index(&self) -> Option<usize> {
        self.state.lock().index
    }

    pub fn set_index(&self, index: usize) {
        self.state.lock().index = Some(index);
    }

    pub fn mid(&self) -> Option<String> {
        self.state.lock().mid.clone()
    }

    pub fn set_mid(&self, mid: &str) {
        self.state.lock().mid = Some(mid.to_owned());
    }

    pub fn direction(&self) -> RtpTransceiverDirection {
        self.state.lock().direction
    }

    pub fn set_direction(&self, direction: RtpTransceiverDirection) {
        self.state.lock().direction = direction;
    }

    pub fn current_direction(&self) -> Option<RtpTransceiverDirection> {
        self.state.lock().current_direction
    }

    pub fn set_current_direction(&self, direction: RtpTransceiverDirection) {
        self.state.lock().current_direction = Some(direction);
    }

    pub fn preferences(&self) -> Vec<RtpCodecCapability> {
        self.state.lock().preferences.clone()
    }

    pub fn set_preferences(&self, preferences: Vec<RtpCodecCapability>) {
        self.state.lock().preferences = preferences;
    }
}

/// The receiving half: the track that the section carries now.
pub(crate) struct ReceiverInner {
    host: HostRef,
    current: Mutex<Option<Received>>,
}

#[derive(Clone)]
pub(crate) struct Received {
    pub stream_id: String,
    pub track: Arc<RemoteTrack>,
}

impl ReceiverInner {
    pub fn current(&self) -> Option<Received> {
        self.current.lock().clone()
    }

    /// Puts the section's track in place. Returns the one that had to go, and the new one if it is new.
    pub fn update(&self, section: &sdp::Section) -> (Option<Arc<RemoteTrack>>, Option<Received>) {
        let mut current = self.current.lock();
        let wanted = section.msid.as_ref().filter(|_| section.sends());
        let stays = match (&*current, wanted) {
            (Some(now), Some((stream, track))) => now.stream_id == *stream && now.track.id() == track,
            (None, None) => true,
            _ => false,
        };
        if stays {
            return (None, None);
        }
        let gone = current.take().map(|received| received.track);
        *current = wanted.map(|(stream_id, track_id)| Received {
            stream_id: stream_id.clone(),
            track: RemoteTrack::new(track_id.clone(), section.video, self.host.clone()),
        });
        (gone, current.clone())
    }

    pub fn host(&self) -> &HostRef {
        &self.host
    }
}
