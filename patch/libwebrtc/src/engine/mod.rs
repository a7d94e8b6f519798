//! One peer connection without sockets and without a clock: the sans-I/O core, the transceivers and channels that the SDK
//! sees, and RTP in both directions. Time and datagrams come in as values; datagrams, events and RTP come out.

mod candidates;
pub(crate) mod channel;
pub(crate) mod codecs;
pub(crate) mod local;
mod negotiation;
pub(crate) mod remote;
pub(crate) mod rtp;
pub(crate) mod sdp;
pub(crate) mod sender;
mod statistics;
pub(crate) mod transceiver;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use parking_lot::Mutex;
use rtc::data_channel::RTCDataChannelId;
use rtc::interceptor::{Registry, Slot};
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::interceptor_registry::configure_twcc;
use rtc::peer_connection::configuration::setting_engine::{SctpMaxMessageSize, SettingEngineBuilder};
use rtc::peer_connection::event::RTCPeerConnectionEvent;
use rtc::peer_connection::message::{RTCMessage, TaggedRTCMessage};
use rtc::peer_connection::state::{RTCIceConnectionState, RTCPeerConnectionState, RTCSignalingState};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext};

use self::candidates::LocalCandidate;
use self::channel::ChannelInner;
use self::local::{OutgoingPacket, Written};
use self::rtp::{Delivery, RtpInterceptor, RtpState, SharedRtp, WallClock};
use self::sender::SenderInner;
use self::transceiver::{Received, TransceiverInner};
use crate::RtcError;
use crate::data_channel::DataChannelState;
use crate::ice_candidate::IceCandidate;
use crate::peer_connection::{IceCandidateError, IceConnectionState, PeerConnectionState, SignalingState};
use crate::raw::InboundCounters;
use crate::session_description::SessionDescription;

/// Where an engine lives: gives access to it under its lock, with the time, and carries out what comes of it.
pub(crate) trait Host: Send + Sync {
    fn with_engine(&self, act: &mut dyn FnMut(&mut Engine, Instant));
    /// For what changes nothing, so that there is nothing to carry out.
    fn look_at_engine(&self, look: &mut dyn FnMut(&Engine));
}

/// A way back to the host for everything that outlives a call: it does not keep the connection alive.
#[derive(Clone, Default)]
pub(crate) struct HostRef(Arc<OnceLock<Weak<dyn Host>>>);

impl HostRef {
    /// Points at the host, once it is there; engine and host know each other.
    pub fn set(&self, host: Weak<dyn Host>) {
        // Set once, by the driver that has just made both.
        let _ = self.0.set(host);
    }

    /// Acts on the engine, or not at all when the connection is gone.
    pub fn with_engine(&self, act: &mut dyn FnMut(&mut Engine, Instant)) {
        if let Some(host) = self.0.get().and_then(Weak::upgrade) {
            host.with_engine(act);
        }
    }

    /// Looks at the engine, or not at all when the connection is gone.
    pub fn look_at_engine(&self, look: &mut dyn FnMut(&Engine)) {
        if let Some(host) = self.0.get().and_then(Weak::upgrade) {
            host.look_at_engine(look);
        }
    }
}

/// Something to tell the application, in order, once the lock is free.
pub(crate) enum Event {
    Connection(PeerConnectionState),
    Ice(IceConnectionState),
    GatheringComplete,
    Signaling(SignalingState),
    Candidate(IceCandidate),
    CandidateError(IceCandidateError),
    NegotiationNeeded,
    Channel(Arc<ChannelInner>),
    ChannelState(Arc<ChannelInner>, DataChannelState),
    Message(Arc<ChannelInner>, BytesMut, bool),
    Sent(Arc<ChannelInner>, u64),
    Track(Arc<TransceiverInner>, Received),
}

/// What a media section without a remote candidate line is called in trickled candidates: everything is bundled.
const BUNDLE_MID: &str = "0";

const ICE_DISCONNECTED: Duration = Duration::from_secs(5);
const ICE_FAILED: Duration = Duration::from_secs(10);
const ICE_KEEPALIVE: Duration = Duration::from_secs(2);
/// A path is tried for three seconds; a check costs a datagram of a hundred bytes.
const ICE_CHECK_EVERY: Duration = Duration::from_millis(50);
const ICE_CHECKS: u16 = 60;

/// Our slot in the interceptor chain: nearest the application, so that TWCC has seen every packet before.
const RTP_SLOT: Slot = Slot::Custom(20_000);

pub(crate) struct Engine {
    rtc: RTCPeerConnection,
    rtp: SharedRtp,
    host: HostRef,
    transceivers: Vec<Arc<TransceiverInner>>,
    channels: HashMap<RTCDataChannelId, Arc<ChannelInner>>,
    /// SSRC of a sender's layer to its transceiver, for feedback that names the SSRC.
    senders: HashMap<u32, Arc<SenderInner>>,
    events: Vec<Event>,
    /// Local candidate lines in the order they were found; they go into every offer and answer made from now on.
    candidates: Vec<LocalCandidate>,
    /// How many of them the application has been told of since the last description with new ICE credentials.
    trickled: usize,
    connection: PeerConnectionState,
    ice: IceConnectionState,
    local: Option<SessionDescription>,
    remote: Option<SessionDescription>,
    /// The video codecs of the first remote description that had any: the core negotiates them once.
    negotiated_video: Vec<sdp::Codec>,
    cname: String,
    channels_opened: u32,
    channels_closed: u32,
}

impl Engine {
    /// `wall` anchors the sender reports of this connection; `now` is the engine's first instant. `relay_only` says that no
    /// better path than a relayed one will come.
    pub fn new(now: Instant, wall: WallClock, host: HostRef, relay_only: bool) -> Result<Self, RtcError> {
        let rtp: SharedRtp = Arc::new(Mutex::new(RtpState::new(wall)));
        let mut media_engine = codecs::media_engine()?;
        let registry =
            configure_twcc(Registry::new(), &mut media_engine)?.with(RTP_SLOT, RtpInterceptor::new(Arc::clone(&rtp)));
        let settings = SettingEngineBuilder::new()
            .with_multicast_dns_mode(rtc::ice::mdns::MulticastDnsMode::Disabled)
            .with_ice_timeouts(Some(ICE_DISCONNECTED), Some(ICE_FAILED), Some(ICE_KEEPALIVE))
            .with_ice_connection_attempts(Some(ICE_CHECK_EVERY), Some(ICE_CHECKS))
            // The first pair that works is used at once. The engine's default waits a second for a better one where the
            // server's check came before its candidate did.
            .with_srflx_acceptance_min_wait(Some(Duration::ZERO))
            .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
            // The engine gives direct paths two seconds before it takes a relayed one.
            .with_relay_acceptance_min_wait(relay_only.then_some(Duration::ZERO))
            .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(SctpMaxMessageSize::MAX_MESSAGE_SIZE))
            .build();
        let rtc = RTCPeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().build())
            .with_media_engine(media_engine)
            .with_setting_engine(settings)
            .with_interceptor_registry(registry)
            .build(now)?;
        Ok(Self {
            rtc,
            rtp,
            host,
            transceivers: Vec::new(),
            channels: HashMap::new(),
            senders: HashMap::new(),
            events: Vec::new(),
            candidates: Vec::new(),
            trickled: 0,
            connection: PeerConnectionState::New,
            ice: IceConnectionState::New,
            local: None,
            remote: None,
            negotiated_video: Vec::new(),
            cname: crate::native::create_random_uuid(),
            channels_opened: 0,
            channels_closed: 0,
        })
    }

    pub fn is_closed(&self) -> bool {
        self.connection == PeerConnectionState::Closed
    }

    fn open(&self) -> Result<(), RtcError> {
        if self.is_closed() {
            Err(RtcError::state("the peer connection is closed"))
        } else {
            Ok(())
        }
    }

    // ── RTP ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    pub fn write_rtp(&mut self, now: Instant, ssrc: u32, packet: &OutgoingPacket) -> Written {
        if self.connection != PeerConnectionState::Connected {
            return Written::NotReady;
        }
        let captured = packet.captured.unwrap_or(now);
        let prepared = self
            .rtp
            .lock()
            .prepare(now, ssrc, packet.to_rtp(), captured, packet.stamp_capture);
        let Some(packet) = prepared else {
            return Written::NotReady;
        };
        match self.rtc.handle_write(TaggedRTCMessage {
            now,
            message: RTCMessage::RtpPacket(String::new(), packet),
        }) {
            Ok(()) => Written::Sent,
            Err(error) => {
                log::debug!("packet of {ssrc} not sent: {error}");
                Written::NotReady
            }
        }
    }

    pub fn request_key_frame(&mut self, now: Instant, ssrcs: &[u32]) {
        let requests = self.rtp.lock().key_frame_requests(now, ssrcs);
        if requests.is_empty() || self.connection != PeerConnectionState::Connected {
            return;
        }
        let message = RTCMessage::RtcpPacket(String::new(), requests);
        if let Err(error) = self.rtc.handle_write(TaggedRTCMessage { now, message }) {
            log::debug!("key-frame request not sent: {error}");
        }
    }

    pub fn inbound_counters(&self, ssrcs: &[u32]) -> Vec<InboundCounters> {
        self.rtp.lock().inbound_counters(ssrcs)
    }

    /// The sender and layer an incoming request is about.
    pub fn sender_of(&self, ssrc: u32) -> Option<(Arc<SenderInner>, usize)> {
        let sender = self.senders.get(&ssrc)?;
        Some((Arc::clone(sender), sender.layer_of(ssrc)?))
    }

    // ── the run loop ────────────────────────────────────────────────────────────────────────────────────────────────

    /// Takes a datagram. `now` is when the kernel received it.
    pub fn handle_datagram(&mut self, now: Instant, transport: TransportContext, message: BytesMut) {
        if let Err(error) = self.rtc.handle_read(TaggedBytesMut {
            now,
            transport,
            message,
        }) {
            log::debug!("datagram from {} dropped: {error}", transport.peer_addr);
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if let Err(error) = self.rtc.handle_timeout(now) {
            log::debug!("timeout: {error}");
        }
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        if self.is_closed() {
            None
        } else {
            self.rtc.poll_timeout()
        }
    }

    pub fn poll_transmit(&mut self) -> Option<TaggedBytesMut> {
        self.rtc.poll_write()
    }

    /// Moves what has happened into `events` and `deliveries`. To be called after every batch, before the lock is let go.
    pub fn drain(&mut self, events: &mut Vec<Event>, deliveries: &mut Vec<Delivery>) {
        while let Some(event) = self.rtc.poll_event() {
            self.on_event(event);
        }
        while let Some(TaggedRTCMessage { message, .. }) = self.rtc.poll_read() {
            if let RTCMessage::DataChannelMessage(id, message) = message
                && let Some(channel) = self.channels.get(&id)
            {
                self.events
                    .push(Event::Message(Arc::clone(channel), message.data, !message.is_string));
            }
        }
        self.measure_channels();
        events.append(&mut self.events);
        self.rtp.lock().take_deliveries(deliveries);
    }

    fn on_event(&mut self, event: RTCPeerConnectionEvent) {
        match event {
            RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) => self.on_connection_state(state),
            RTCPeerConnectionEvent::OnIceConnectionStateChangeEvent(state) => {
                self.ice = ice_state(state);
                self.events.push(Event::Ice(self.ice));
            }
            RTCPeerConnectionEvent::OnSignalingStateChangeEvent(state) => {
                self.events.push(Event::Signaling(signaling_state(state)));
            }
            RTCPeerConnectionEvent::OnDataChannel(event) => self.on_channel_event(&event),
            // Candidates come from the driver; tracks from descriptions; negotiation is the SDK's to decide.
            _ => {}
        }
    }

    fn on_connection_state(&mut self, state: RTCPeerConnectionState) {
        let state = match state {
            RTCPeerConnectionState::Connecting => PeerConnectionState::Connecting,
            RTCPeerConnectionState::Connected => PeerConnectionState::Connected,
            RTCPeerConnectionState::Disconnected => PeerConnectionState::Disconnected,
            RTCPeerConnectionState::Failed => PeerConnectionState::Failed,
            RTCPeerConnectionState::Closed => PeerConnectionState::Closed,
            _ => PeerConnectionState::New,
        };
        if state != self.connection && !self.is_closed() {
            self.connection = state;
            self.events.push(Event::Connection(state));
        }
    }

    /// Closes everything: what is queued for the network can still be polled, tracks end, channels close.
    pub fn close(&mut self) {
        if self.is_closed() {
            return;
        }
        if let Err(error) = self.rtc.close() {
            log::debug!("closing: {error}");
        }
        let mut rtp = self.rtp.lock();
        for transceiver in &self.transceivers {
            if let Some(received) = transceiver.receiver.current() {
                rtp.release(&received.track);
            }
        }
        drop(rtp);
        let channels: Vec<RTCDataChannelId> = self.channels.keys().copied().collect();
        for id in channels {
            self.forget_channel(id);
        }
        self.connection = PeerConnectionState::Closed;
        self.ice = IceConnectionState::Closed;
        self.events.push(Event::Signaling(SignalingState::Closed));
        self.events.push(Event::Connection(PeerConnectionState::Closed));
    }

    /// Lets go of what a closed connection had, once all it had to say is sent and told: hundreds of KiB, which would stay for as
    /// long as anybody has a handle to it. The SDK always does, if somebody else was still in the room.
    pub fn let_go(&mut self, now: Instant) {
        if !self.is_closed() {
            return;
        }
        match RTCPeerConnectionBuilder::new().build(now) {
            Ok(unused) => self.rtc = unused,
            Err(error) => log::debug!("a closed connection is kept whole: {error}"),
        }
        self.rtp.lock().let_go();
        self.transceivers = Vec::new();
        self.channels = HashMap::new();
        self.senders = HashMap::new();
        self.candidates = Vec::new();
        self.negotiated_video = Vec::new();
        (self.local, self.remote) = (None, None);
    }
}

#[cfg(test)]
mod tests;

fn ice_state(state: RTCIceConnectionState) -> IceConnectionState {
    match state {
        RTCIceConnectionState::Checking => IceConnectionState::Checking,
        RTCIceConnectionState::Connected => IceConnectionState::Connected,
        RTCIceConnectionState::Completed => IceConnectionState::Completed,
        RTCIceConnectionState::Disconnected => IceConnectionState::Disconnected,
        RTCIceConnectionState::Failed => IceConnectionState::Failed,
        RTCIceConnectionState::Closed => IceConnectionState::Closed,
        _ => IceConnectionState::New,
    }
}

fn signaling_state(state: RTCSignalingState) -> SignalingState {
    match state {
        RTCSignalingState::HaveLocalOffer => SignalingState::HaveLocalOffer,
        RTCSignalingState::HaveRemoteOffer => SignalingState::HaveRemoteOffer,
        RTCSignalingState::HaveLocalPranswer => SignalingState::HaveLocalPrAnswer,
        RTCSignalingState::HaveRemotePranswer => SignalingState::HaveRemotePrAnswer,
        RTCSignalingState::Closed => SignalingState::Closed,
        _ => SignalingState::Stable,
    }
}
