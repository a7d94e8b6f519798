//! Peer connections (W3C webrtc §4.4).

use std::fmt;
use std::sync::Arc;

use crate::data_channel::{DataChannel, DataChannelInit};
use crate::driver::Peer;
use crate::engine::Host;
use crate::ice_candidate::IceCandidate;
use crate::media_stream::MediaStream;
use crate::media_stream_track::MediaStreamTrack;
use crate::peer_connection_factory::{IceServer, IceTransportsType, RtcConfiguration};
use crate::rtp_receiver::RtpReceiver;
use crate::rtp_sender::RtpSender;
use crate::rtp_transceiver::{RtpTransceiver, RtpTransceiverDirection, RtpTransceiverInit};
use crate::session_description::SessionDescription;
use crate::stats::RtcStats;
use crate::{MediaType, RtcError};

#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum PeerConnectionState {
    New,
    Connecting,
    Connected,
    Disconnected,
    Failed,
    Closed,
}

#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum IceConnectionState {
    New,
    Checking,
    Connected,
    Completed,
    Failed,
    Disconnected,
    Closed,
    Max,
}

#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum IceGatheringState {
    New,
    Gathering,
    Complete,
}

#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum SignalingState {
    Stable,
    HaveLocalOffer,
    HaveLocalPrAnswer,
    HaveRemoteOffer,
    HaveRemotePrAnswer,
    Closed,
}

#[derive(Debug, Clone, Default)]
pub struct OfferOptions {
    pub ice_restart: bool,
    pub offer_to_receive_audio: bool,
    pub offer_to_receive_video: bool,
}

#[derive(Debug, Clone, Default)]
pub struct AnswerOptions {}

/// Limits for a bandwidth estimator, in bit/s. There is none here; see [`PeerConnection::set_bitrate`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BitrateSettings {
    pub min_bitrate_bps: Option<u64>,
    pub start_bitrate_bps: Option<u64>,
    pub max_bitrate_bps: Option<u64>,
}

#[derive(Debug, Clone)]
pub struct IceCandidateError {
    pub address: String,
    pub port: i32,
    pub url: String,
    pub error_code: i32,
    pub error_text: String,
}

#[derive(Debug, Clone)]
pub struct TrackEvent {
    pub receiver: RtpReceiver,
    pub streams: Vec<MediaStream>,
    pub track: MediaStreamTrack,
    pub transceiver: RtpTransceiver,
}

pub type OnConnectionChange = Box<dyn FnMut(PeerConnectionState) + Send + Sync>;
pub type OnDataChannel = Box<dyn FnMut(DataChannel) + Send + Sync>;
pub type OnIceCandidate = Box<dyn FnMut(IceCandidate) + Send + Sync>;
pub type OnIceCandidateError = Box<dyn FnMut(IceCandidateError) + Send + Sync>;
pub type OnIceConnectionChange = Box<dyn FnMut(IceConnectionState) + Send + Sync>;
pub type OnIceGatheringChange = Box<dyn FnMut(IceGatheringState) + Send + Sync>;
pub type OnNegotiationNeeded = Box<dyn FnMut(u32) + Send + Sync>;
pub type OnSignalingChange = Box<dyn FnMut(SignalingState) + Send + Sync>;
pub type OnTrack = Box<dyn FnMut(TrackEvent) + Send + Sync>;

#[derive(Clone)]
pub struct PeerConnection {
    peer: Arc<Peer>,
}

impl PeerConnection {
    pub(crate) fn new(config: &RtcConfiguration) -> Result<Self, RtcError> {
        let policy = config.ice_transport_type;
        let peer = Peer::new(policy)?;
        peer.set_servers(&relays(config), policy, config.ice_servers.is_empty())?;
        Ok(Self { peer })
    }

    /// # Errors
    /// When the configuration asks for something this build cannot do.
    #[expect(clippy::needless_pass_by_value, reason = "upstream's signature")]
    pub fn set_configuration(&self, config: RtcConfiguration) -> Result<(), RtcError> {
        self.peer
            .set_servers(&relays(&config), config.ice_transport_type, false)
    }

    /// Accepted and without effect: there is no bandwidth estimator, senders pass on what they are given.
    ///
    /// # Errors
    /// When the limits contradict one another, or the connection is closed.
    pub fn set_bitrate(&self, settings: BitrateSettings) -> Result<(), RtcError> {
        let (min, max) = (
            settings.min_bitrate_bps.unwrap_or(0),
            settings.max_bitrate_bps.unwrap_or(u64::MAX),
        );
        let start = settings.start_bitrate_bps;
        if min > max || start.is_some_and(|start| start < min || start > max) {
            return Err(RtcError::internal("bitrate limits contradict one another"));
        }
        if self.connection_state() == PeerConnectionState::Closed {
            return Err(RtcError::state("the peer connection is closed"));
        }
        Ok(())
    }

    #[expect(clippy::unused_async, reason = "upstream's signature")]
    pub async fn create_offer(&self, options: OfferOptions) -> Result<SessionDescription, RtcError> {
        for (wanted, kind) in [
            (options.offer_to_receive_audio, MediaType::Audio),
            (options.offer_to_receive_video, MediaType::Video),
        ] {
            if wanted && !self.receives(kind) {
                let direction = RtpTransceiverDirection::RecvOnly;
                let init = RtpTransceiverInit {
                    direction,
                    stream_ids: Vec::new(),
                    send_encodings: Vec::new(),
                };
                self.add_transceiver_for_media(kind, init)?;
            }
        }
        self.peer.create_offer(options.ice_restart)
    }

    fn receives(&self, kind: MediaType) -> bool {
        use RtpTransceiverDirection::{RecvOnly, SendRecv};
        let mut found = false;
        self.peer.look_at_engine(&mut |engine| {
            found = engine
                .transceivers()
                .iter()
                .any(|t| t.video == (kind == MediaType::Video) && matches!(t.direction(), RecvOnly | SendRecv));
        });
        found
    }

    #[expect(clippy::unused_async, reason = "upstream's signature")]
    pub async fn create_answer(&self, _: AnswerOptions) -> Result<SessionDescription, RtcError> {
        self.peer.create_answer()
    }

    #[expect(clippy::unused_async, reason = "upstream's signature")]
    pub async fn set_local_description(&self, desc: SessionDescription) -> Result<(), RtcError> {
        self.peer.set_local(&desc)
    }

    #[expect(clippy::unused_async, reason = "upstream's signature")]
    pub async fn set_remote_description(&self, desc: SessionDescription) -> Result<(), RtcError> {
        self.peer.set_remote(&desc)
    }

    #[expect(clippy::unused_async, reason = "upstream's signature")]
    pub async fn add_ice_candidate(&self, candidate: IceCandidate) -> Result<(), RtcError> {
        self.peer.add_remote_candidate(&candidate)
    }

    #[expect(clippy::needless_pass_by_value, reason = "upstream's signature")]
    pub fn create_data_channel(&self, label: &str, init: DataChannelInit) -> Result<DataChannel, RtcError> {
        self.ask(|engine| engine.create_data_channel(label, &init))
            .map(DataChannel::new)
    }

    pub fn add_track<T: AsRef<str>>(&self, track: MediaStreamTrack, streams_ids: &[T]) -> Result<RtpSender, RtcError> {
        let init = RtpTransceiverInit {
            direction: RtpTransceiverDirection::SendRecv,
            stream_ids: streams_ids.iter().map(|id| id.as_ref().to_owned()).collect(),
            send_encodings: Vec::new(),
        };
        Ok(self.add_transceiver(track, init)?.sender())
    }

    #[expect(clippy::needless_pass_by_value, reason = "upstream's signature")]
    pub fn remove_track(&self, sender: RtpSender) -> Result<(), RtcError> {
        self.ask(|engine| engine.remove_track(sender.inner()))
    }

    #[expect(clippy::unused_async, reason = "upstream's signature")]
    pub async fn get_stats(&self) -> Result<Vec<RtcStats>, RtcError> {
        let mut stats = Vec::new();
        self.peer.with_engine(&mut |engine, now| stats = engine.stats(now));
        Ok(stats)
    }

    pub fn add_transceiver(
        &self,
        track: MediaStreamTrack,
        init: RtpTransceiverInit,
    ) -> Result<RtpTransceiver, RtcError> {
        let kind = match &track {
            MediaStreamTrack::Video(_) => MediaType::Video,
            MediaStreamTrack::Audio(_) => MediaType::Audio,
        };
        self.ask(|engine| engine.add_transceiver(Some(track), kind, init))
            .map(RtpTransceiver::new)
    }

    pub fn add_transceiver_for_media(
        &self,
        media_type: MediaType,
        init: RtpTransceiverInit,
    ) -> Result<RtpTransceiver, RtcError> {
        self.ask(|engine| engine.add_transceiver(None, media_type, init))
            .map(RtpTransceiver::new)
    }

    fn ask<T>(&self, act: impl FnOnce(&mut crate::engine::Engine) -> Result<T, RtcError>) -> Result<T, RtcError> {
        let (mut act, mut result) = (Some(act), Err(RtcError::internal("the engine was not asked")));
        self.peer.with_engine(&mut |engine, _| {
            if let Some(act) = act.take() {
                result = act(engine);
            }
        });
        result
    }

    pub fn close(&self) {
        self.peer.close();
    }

    /// The next offer will carry new ICE credentials.
    pub fn restart_ice(&self) {
        self.peer.with_engine(&mut |engine, _| engine.restart_ice());
    }

    pub fn connection_state(&self) -> PeerConnectionState {
        self.peer.connection_state()
    }

    pub fn ice_connection_state(&self) -> IceConnectionState {
        self.peer.ice_connection_state()
    }

    pub fn ice_gathering_state(&self) -> IceGatheringState {
        self.peer.ice_gathering_state()
    }

    pub fn signaling_state(&self) -> SignalingState {
        self.peer.signaling_state()
    }

    pub fn current_local_description(&self) -> Option<SessionDescription> {
        let mut description = None;
        self.peer
            .look_at_engine(&mut |engine| description = engine.local_description());
        description
    }

    pub fn current_remote_description(&self) -> Option<SessionDescription> {
        let mut description = None;
        self.peer
            .look_at_engine(&mut |engine| description = engine.remote_description());
        description
    }

    pub fn senders(&self) -> Vec<RtpSender> {
        self.transceivers()
            .iter()
            .map(RtpTransceiver::sender)
            .filter(|sender| sender.track().is_some())
            .collect()
    }

    pub fn receivers(&self) -> Vec<RtpReceiver> {
        self.transceivers().iter().map(RtpTransceiver::receiver).collect()
    }

    pub fn transceivers(&self) -> Vec<RtpTransceiver> {
        let mut transceivers = Vec::new();
        self.peer
            .look_at_engine(&mut |engine| transceivers = engine.transceivers());
        transceivers.into_iter().map(RtpTransceiver::new).collect()
    }

    pub fn on_connection_state_change(&self, f: Option<OnConnectionChange>) {
        *self.peer.callbacks.connection.lock() = f;
    }

    pub fn on_data_channel(&self, f: Option<OnDataChannel>) {
        *self.peer.callbacks.data_channel.lock() = f;
    }

    pub fn on_ice_candidate(&self, f: Option<OnIceCandidate>) {
        *self.peer.callbacks.candidate.lock() = f;
    }

    pub fn on_ice_candidate_error(&self, f: Option<OnIceCandidateError>) {
        *self.peer.callbacks.candidate_error.lock() = f;
    }

    pub fn on_ice_connection_state_change(&self, f: Option<OnIceConnectionChange>) {
        *self.peer.callbacks.ice.lock() = f;
    }

    pub fn on_ice_gathering_state_change(&self, f: Option<OnIceGatheringChange>) {
        *self.peer.callbacks.gathering.lock() = f;
    }

    pub fn on_negotiation_needed(&self, f: Option<OnNegotiationNeeded>) {
        *self.peer.callbacks.negotiation.lock() = f;
    }

    pub fn on_signaling_state_change(&self, f: Option<OnSignalingChange>) {
        *self.peer.callbacks.signaling.lock() = f;
    }

    pub fn on_track(&self, f: Option<OnTrack>) {
        *self.peer.callbacks.track.lock() = f;
    }
}

/// Relays among the ICE servers. Servers that only tell one's own address (`stun:`) are not needed: LiveKit's server
/// is reached directly and learns our address from our checks.
fn relays(config: &RtcConfiguration) -> Vec<IceServer> {
    let is_relay = |url: &String| url.starts_with("turn:") || url.starts_with("turns:");
    config
        .ice_servers
        .iter()
        .map(|server| IceServer {
            urls: server.urls.iter().filter(|url| is_relay(url)).cloned().collect(),
            ..server.clone()
        })
        .filter(|server| !server.urls.is_empty())
        .collect()
}

impl fmt::Debug for PeerConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerConnection")
            .field("state", &self.connection_state())
            .field("ice_state", &self.ice_connection_state())
            .finish()
    }
}

/// Whether media may only go through a relay.
pub(crate) fn relay_only(policy: IceTransportsType) -> bool {
    policy == IceTransportsType::Relay || crate::driver::settings().relay_only
}
