//! One peer connection without sockets and without a clock: the sans-I/O core, the transceivers and channels that the SDK
//! sees, and RTP in both directions. Time and datagrams come in as values; datagrams, events and RTP come out.

pub(crate) mod channel;
pub(crate) mod codecs;
pub(crate) mod local;
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
use rtc::data_channel::{RTCDataChannelId, RTCDataChannelInit};
use rtc::interceptor::{Registry, Slot};
use rtc::media_stream::MediaStreamTrack as RtcTrack;
use rtc::peer_connection::configuration::interceptor_registry::configure_twcc;
use rtc::peer_connection::configuration::setting_engine::{SctpMaxMessageSize, SettingEngineBuilder};
use rtc::peer_connection::configuration::{RTCConfigurationBuilder, RTCOfferOptions};
use rtc::peer_connection::event::{RTCDataChannelEvent, RTCPeerConnectionEvent};
use rtc::peer_connection::message::{RTCMessage, TaggedRTCMessage};
use rtc::peer_connection::sdp::{RTCSdpType, RTCSessionDescription};
use rtc::peer_connection::state::{RTCIceConnectionState, RTCPeerConnectionState, RTCSignalingState};
use rtc::peer_connection::transport::RTCIceCandidateInit;
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RTCRtpRtxParameters, RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext};

use self::channel::ChannelInner;
use self::local::{OutgoingPacket, Written};
use self::rtp::{Delivery, RtpInterceptor, RtpState, SharedRtp, WallClock};
use self::sdp::Section;
use self::sender::{Layer, SenderInner};
use self::transceiver::{Received, TransceiverInner};
use crate::data_channel::{DataChannelInit, DataChannelState};
use crate::ice_candidate::IceCandidate;
use crate::media_stream_track::MediaStreamTrack;
use crate::peer_connection::{IceCandidateError, IceConnectionState, PeerConnectionState, SignalingState};
use crate::raw::InboundCounters;
use crate::rtp_parameters::RtpEncodingParameters;
use crate::rtp_transceiver::{RtpTransceiverDirection, RtpTransceiverInit};
use crate::session_description::{SdpType, SessionDescription, parse_sdp};
use crate::{MediaType, RtcError};

/// Where an engine lives: gives access to it under its lock, with the time, and carries out what comes of it.
pub(crate) trait Host: Send + Sync {
    fn with_engine(&self, act: &mut dyn FnMut(&mut Engine, Instant));
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

/// A candidate line, and the server that its address is of.
struct LocalCandidate {
    line: String,
    url: Option<String>,
}

impl LocalCandidate {
    fn init(&self) -> RTCIceCandidateInit {
        RTCIceCandidateInit {
            candidate: self.line.clone(),
            url: self.url.clone(),
            ..RTCIceCandidateInit::default()
        }
    }
}

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

    // ── descriptions ────────────────────────────────────────────────────────────────────────────────────────────────

    pub fn create_offer(&mut self, ice_restart: bool) -> Result<SessionDescription, RtcError> {
        self.open()?;
        self.tell_engine_of_transceivers()?;
        let offer = self.rtc.create_offer(Some(RTCOfferOptions { ice_restart }))?;
        self.read_mids();
        if ice_restart {
            self.trickled = 0;
        }
        Ok(SessionDescription::from_engine(offer.sdp, SdpType::Offer))
    }

    pub fn restart_ice(&mut self) {
        self.rtc.restart_ice();
    }

    pub fn create_answer(&mut self) -> Result<SessionDescription, RtcError> {
        self.open()?;
        let answer = self.rtc.create_answer(None)?;
        Ok(SessionDescription::from_engine(answer.sdp, SdpType::Answer))
    }

    /// Applies a local description. The SDK edits offers before it applies and signals them (stereo, start bitrate,
    /// recvonly); the engine refuses any text but its own, so it is given the original. The edits concern what the other
    /// side does, and it gets the edited text.
    pub fn set_local(&mut self, now: Instant, description: &SessionDescription) -> Result<(), RtcError> {
        self.open()?;
        let mut original = RTCSessionDescription::default();
        original.sdp_type = rtc_type(description.sdp_type());
        self.rtc.set_local_description(now, original)?;
        // A core that has failed has dropped its candidates; those it has it does not take twice.
        for candidate in &self.candidates {
            self.rtc.add_local_candidate(candidate.init())?;
        }
        match description.sdp_type() {
            SdpType::Rollback => return Ok(()),
            SdpType::Answer => {
                for transceiver in &self.transceivers {
                    transceiver.set_current_direction(transceiver.direction());
                }
                // The engine answers before it binds what it sends.
                let remote = self.remote.clone();
                if let Some(remote) = remote {
                    self.apply_sections(&remote)?;
                }
            }
            SdpType::Offer | SdpType::PrAnswer => {}
        }
        self.local = Some(description.clone());
        self.trickle();
        Ok(())
    }

    pub fn set_remote(&mut self, now: Instant, description: &SessionDescription) -> Result<(), RtcError> {
        self.open()?;
        let mut remote = RTCSessionDescription::default();
        remote.sdp_type = rtc_type(description.sdp_type());
        description.sdp().clone_into(&mut remote.sdp);
        self.rtc.set_remote_description(now, remote)?;
        self.remote = Some(description.clone());
        self.adopt_transceivers();
        self.apply_sections(description)
    }

    pub fn local_description(&self) -> Option<SessionDescription> {
        self.local.clone()
    }

    pub fn remote_description(&self) -> Option<SessionDescription> {
        self.remote.clone()
    }

    /// Senders are made known to the engine when an offer needs them: by then their codec is known.
    fn tell_engine_of_transceivers(&mut self) -> Result<(), RtcError> {
        for transceiver in &self.transceivers {
            if transceiver.index().is_some() {
                continue;
            }
            let kind = if transceiver.video {
                RtpCodecKind::Video
            } else {
                RtpCodecKind::Audio
            };
            let mut codecs = codecs::preferred(transceiver.video, &transceiver.preferences());
            let known = codecs::known(
                codecs.clone(),
                if transceiver.video { &self.negotiated_video } else { &[] },
            );
            if !known.is_empty() {
                codecs = known;
            }
            if transceiver.sender.track().is_some() {
                // One codec and its repair: what is sent is bound to the first, and the answer may put any of several first.
                codecs.truncate(1 + usize::from(transceiver.video));
            }
            let index = match transceiver.sender.track() {
                Some(track) => {
                    let layers = transceiver.sender.layer_list();
                    let track = RtcTrack::new(
                        self.cname.clone(),
                        track.id(),
                        track.id(),
                        kind,
                        layers.iter().map(|layer| encoding(layer, &codecs)).collect(),
                    );
                    let init = RTCRtpTransceiverInit {
                        direction: rtc_direction(transceiver.direction()),
                        ..RTCRtpTransceiverInit::default()
                    };
                    self.rtc.add_transceiver_from_track(track, Some(init))?
                }
                None => self.rtc.add_transceiver_from_kind(
                    kind,
                    Some(RTCRtpTransceiverInit {
                        direction: RTCRtpTransceiverDirection::Recvonly,
                        ..RTCRtpTransceiverInit::default()
                    }),
                )?,
            };
            if let Some(mut known) = self.rtc.rtp_transceiver(index) {
                known.set_codec_preferences(codecs)?;
            }
            transceiver.set_index(index);
        }
        Ok(())
    }

    fn read_mids(&mut self) {
        for transceiver in &self.transceivers {
            let Some(index) = transceiver.index() else { continue };
            let Some(mid) = self.rtc.rtp_transceiver(index).and_then(|t| t.mid().clone()) else {
                continue;
            };
            if transceiver.sender.track().is_some() {
                let mut rtp = self.rtp.lock();
                for layer in transceiver.sender.layer_list() {
                    rtp.announce(layer.ssrc, &mid, &layer.parameters.rid);
                }
            }
            transceiver.set_mid(&mid);
        }
    }

    /// Transceivers that the engine made for sections of a remote offer.
    fn adopt_transceivers(&mut self) {
        let known: Vec<usize> = self.transceivers.iter().filter_map(|t| t.index()).collect();
        let found: Vec<usize> = self.rtc.get_transceivers().collect();
        for index in found.into_iter().filter(|index| !known.contains(index)) {
            let video = self
                .rtc
                .rtp_transceiver(index)
                .and_then(|t| t.mid().clone())
                .is_some_and(|mid| self.is_video(&mid));
            let sender = SenderInner::new(self.host.clone(), self.cname.clone(), None, Vec::new());
            let adopted = TransceiverInner::new(video, RtpTransceiverDirection::RecvOnly, sender, self.host.clone());
            adopted.set_index(index);
            self.transceivers.push(adopted);
        }
        self.read_mids();
    }

    fn is_video(&self, mid: &str) -> bool {
        let Some(remote) = &self.remote else { return false };
        parse_sdp(remote.sdp()).is_ok_and(|parsed| sdp::sections(&parsed).iter().any(|s| s.mid == mid && s.video))
    }

    /// Brings tracks and senders in line with what the remote description says.
    fn apply_sections(&mut self, description: &SessionDescription) -> Result<(), RtcError> {
        let parsed = parse_sdp(description.sdp()).map_err(|error| RtcError::sdp(error.to_string()))?;
        let sections = sdp::sections(&parsed);
        if self.negotiated_video.is_empty()
            && let Some(first) = sections.iter().find(|section| section.video)
        {
            self.negotiated_video.clone_from(&first.codecs);
        }
        for section in sections {
            let Some(transceiver) = self.by_mid(&section.mid) else {
                continue;
            };
            self.apply_receiver(&transceiver, &section);
            transceiver.sender.negotiated(&section);
            self.compare_payload_types(&transceiver.sender);
            if description.sdp_type() == SdpType::Answer {
                transceiver.set_current_direction(opposite(section.direction));
            }
        }
        Ok(())
    }

    /// A receiver that expects another payload type than the one we send drops everything: this must not go unseen.
    fn compare_payload_types(&self, sender: &SenderInner) {
        let (Some(answered), true) = (sender.codec(), sender.track().is_some()) else {
            return;
        };
        let rtp = self.rtp.lock();
        for layer in sender.layer_list() {
            if let Some((bound, _)) = rtp.outbound_counters(layer.ssrc)
                && bound != answered.payload_type
            {
                let (expected, mime) = (answered.payload_type, &answered.mime_type);
                log::error!(
                    "stream {} is sent with payload type {bound}, and {expected} ({mime}) is expected",
                    layer.ssrc
                );
            }
        }
    }

    fn apply_receiver(&mut self, transceiver: &Arc<TransceiverInner>, section: &Section) {
        let (gone, new) = transceiver.receiver.update(section);
        let mut rtp = self.rtp.lock();
        if let Some(gone) = gone {
            rtp.release(&gone);
        }
        if let Some(received) = transceiver.receiver.current() {
            received.track.negotiated(section);
            rtp.assign(&received.track, section);
        }
        drop(rtp);
        if let Some(new) = new {
            self.events.push(Event::Track(Arc::clone(transceiver), new));
        }
    }

    fn by_mid(&self, mid: &str) -> Option<Arc<TransceiverInner>> {
        self.transceivers
            .iter()
            .find(|t| t.mid().as_deref() == Some(mid))
            .cloned()
    }

    // ── candidates ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// Adds a local candidate line (`candidate:…`), found by the driver; a relayed one with the URL of its server.
    pub fn add_local_candidate(&mut self, line: &str, url: Option<&str>) -> Result<(), RtcError> {
        let candidate = LocalCandidate {
            line: line.to_owned(),
            url: url.map(str::to_owned),
        };
        self.rtc.add_local_candidate(candidate.init())?;
        self.candidates.push(candidate);
        self.trickle();
        Ok(())
    }

    /// A relayed address that is gone is not told of any more. In the core it stays, where nothing answers on it.
    pub fn forget_local_candidate(&mut self, line: &str) {
        if let Some(index) = self.candidates.iter().position(|known| known.line == line) {
            self.candidates.remove(index);
            if index < self.trickled {
                self.trickled -= 1;
            }
        }
    }

    /// A server gave no candidate.
    pub fn candidate_error(&mut self, error: IceCandidateError) {
        self.events.push(Event::CandidateError(error));
    }

    /// Tells the application of candidates it has not heard of; only once there is a local description to send them after.
    fn trickle(&mut self) {
        if self.local.is_none() {
            return;
        }
        for known in &self.candidates[self.trickled..] {
            let candidate = IceCandidate::from_engine(BUNDLE_MID.to_owned(), 0, known.line.clone());
            self.events.push(Event::Candidate(candidate));
        }
        self.trickled = self.candidates.len();
    }

    pub fn gathering_complete(&mut self) {
        self.events.push(Event::GatheringComplete);
    }

    pub fn add_remote_candidate(&mut self, candidate: &IceCandidate) -> Result<(), RtcError> {
        self.open()?;
        if self.remote.is_none() {
            return Err(RtcError::state("a remote candidate needs a remote description first"));
        }
        let init = RTCIceCandidateInit {
            candidate: candidate.candidate(),
            sdp_mid: Some(candidate.sdp_mid()),
            ..RTCIceCandidateInit::default()
        };
        Ok(self.rtc.add_remote_candidate(init)?)
    }

    // ── transceivers ────────────────────────────────────────────────────────────────────────────────────────────────

    pub fn add_transceiver(
        &mut self,
        track: Option<MediaStreamTrack>,
        media_type: MediaType,
        init: RtpTransceiverInit,
    ) -> Result<Arc<TransceiverInner>, RtcError> {
        self.open()?;
        let video = match media_type {
            MediaType::Audio => false,
            MediaType::Video => true,
            MediaType::Data | MediaType::Unsupported => {
                return Err(RtcError::state("only audio and video are sent as RTP"));
            }
        };
        if track.as_ref().is_some_and(|track| track.local().is_none()) {
            return Err(RtcError::state("a remote track cannot be sent"));
        }
        let layers = if track.is_some() {
            layers(video, init.send_encodings)
        } else {
            Vec::new()
        };
        let sender = SenderInner::new(self.host.clone(), self.cname.clone(), track, layers);
        for layer in sender.layer_list() {
            self.senders.insert(layer.ssrc, Arc::clone(&sender));
        }
        let transceiver = TransceiverInner::new(video, init.direction, sender, self.host.clone());
        self.transceivers.push(Arc::clone(&transceiver));
        self.events.push(Event::NegotiationNeeded);
        Ok(transceiver)
    }

    pub fn remove_track(&mut self, sender: &Arc<SenderInner>) -> Result<(), RtcError> {
        self.open()?;
        let transceiver = self
            .transceivers
            .iter()
            .find(|t| Arc::ptr_eq(&t.sender, sender))
            .cloned()
            .ok_or_else(|| RtcError::state("the sender is not one of this peer connection"))?;
        if sender.track().is_none() {
            return Ok(());
        }
        let removed = transceiver.index().map(|index| {
            let known = self.rtc.rtp_transceiver(index).and_then(|t| t.sender());
            known.map_or(Ok(()), |id| self.rtc.remove_track(id))
        });
        sender.set_track(None)?;
        let mut rtp = self.rtp.lock();
        for layer in sender.layer_list() {
            self.senders.remove(&layer.ssrc);
            rtp.retract(layer.ssrc);
        }
        drop(rtp);
        transceiver.set_direction(match transceiver.direction() {
            RtpTransceiverDirection::SendRecv => RtpTransceiverDirection::RecvOnly,
            RtpTransceiverDirection::SendOnly => RtpTransceiverDirection::Inactive,
            other => other,
        });
        self.events.push(Event::NegotiationNeeded);
        removed.transpose()?;
        Ok(())
    }

    pub fn transceivers(&self) -> Vec<Arc<TransceiverInner>> {
        self.transceivers.clone()
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

    // ── data channels ───────────────────────────────────────────────────────────────────────────────────────────────

    pub fn create_data_channel(&mut self, label: &str, init: &DataChannelInit) -> Result<Arc<ChannelInner>, RtcError> {
        self.open()?;
        let limit = |value: Option<i32>| value.map(|v| u16::try_from(v.max(0)).unwrap_or(u16::MAX));
        let options = RTCDataChannelInit {
            ordered: init.ordered,
            max_packet_life_time: limit(init.max_retransmit_time),
            max_retransmits: limit(init.max_retransmits),
            protocol: init.protocol.clone(),
            negotiated: if init.negotiated {
                let id = u16::try_from(init.id).map_err(|_| RtcError::state("a negotiated channel needs an id"))?;
                Some(id)
            } else {
                None
            },
        };
        let id = self.rtc.create_data_channel(label, Some(options))?.id();
        let channel = ChannelInner::new(id, label.to_owned(), init.protocol.clone(), self.host.clone());
        if let (true, Ok(stream_id)) = (init.negotiated, u16::try_from(init.id)) {
            channel.set_stream_id(stream_id);
        }
        self.channels.insert(id, Arc::clone(&channel));
        Ok(channel)
    }

    pub fn send(&mut self, now: Instant, channel: &ChannelInner, data: &[u8], binary: bool) -> Result<(), RtcError> {
        self.open()?;
        let Some(mut known) = self.rtc.data_channel(channel.id) else {
            return Err(RtcError::state("the data channel is gone"));
        };
        if binary {
            known.send(now, BytesMut::from(data))?;
        } else {
            let text = std::str::from_utf8(data).map_err(|_| RtcError::state("text messages are UTF-8"))?;
            known.send_text(now, text)?;
        }
        channel
            .buffered
            .fetch_add(data.len() as u64, std::sync::atomic::Ordering::AcqRel);
        let mut counters = channel.counters.lock();
        counters.messages_sent += 1;
        counters.bytes_sent += data.len() as u64;
        Ok(())
    }

    pub fn close_channel(&mut self, channel: &Arc<ChannelInner>) {
        if let Some(mut known) = self.rtc.data_channel(channel.id)
            && let Err(error) = known.close()
        {
            log::debug!("closing data channel {}: {error}", channel.label);
        }
        self.channel_state(channel, DataChannelState::Closing);
        self.forget_channel(channel.id);
    }

    fn channel_state(&mut self, channel: &Arc<ChannelInner>, state: DataChannelState) {
        if channel.advance(state) {
            match state {
                DataChannelState::Open => self.channels_opened += 1,
                DataChannelState::Closed => self.channels_closed += 1,
                DataChannelState::Connecting | DataChannelState::Closing => {}
            }
            self.events.push(Event::ChannelState(Arc::clone(channel), state));
        }
    }

    fn forget_channel(&mut self, id: RTCDataChannelId) {
        if let Some(channel) = self.channels.remove(&id) {
            self.channel_state(&channel, DataChannelState::Closed);
        }
    }

    /// Bytes that have left a channel since the last look: the SDK meters its sending by them.
    fn measure_channels(&mut self) {
        for channel in self.channels.values() {
            let known = channel.buffered.load(std::sync::atomic::Ordering::Acquire);
            if known == 0 {
                continue;
            }
            let left = self.rtc.data_channel(channel.id).map_or(0, |c| c.outstanding_bytes()) as u64;
            if left < known {
                channel
                    .buffered
                    .fetch_sub(known - left, std::sync::atomic::Ordering::AcqRel);
                self.events.push(Event::Sent(Arc::clone(channel), known - left));
            }
        }
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

    fn on_channel_event(&mut self, event: &RTCDataChannelEvent) {
        match event {
            RTCDataChannelEvent::OnOpen(id) => {
                let (label, protocol, stream_id) = match self.rtc.data_channel(*id) {
                    Some(known) => (known.label().to_owned(), known.protocol().to_owned(), known.stream_id()),
                    None => return,
                };
                let known = self.channels.get(id).cloned();
                let channel = known.clone().unwrap_or_else(|| {
                    let channel = ChannelInner::new(*id, label, protocol, self.host.clone());
                    self.channels.insert(*id, Arc::clone(&channel));
                    channel
                });
                if let Some(stream_id) = stream_id {
                    channel.set_stream_id(stream_id);
                }
                if known.is_none() {
                    self.events.push(Event::Channel(Arc::clone(&channel)));
                }
                self.channel_state(&channel, DataChannelState::Open);
            }
            RTCDataChannelEvent::OnClose(id) => self.forget_channel(*id),
            RTCDataChannelEvent::OnError(id) => log::debug!("data channel {id}: error"),
            _ => {}
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
}

#[cfg(test)]
mod tests;

/// The layers to send: one for each encoding asked for, at least one. Audio has no RTX.
fn layers(video: bool, encodings: Vec<RtpEncodingParameters>) -> Vec<Layer> {
    let encodings = if encodings.is_empty() {
        vec![RtpEncodingParameters::default()]
    } else {
        encodings
    };
    let layer = |mut parameters: RtpEncodingParameters| {
        let ssrc = if parameters.has_ssrc {
            parameters.ssrc
        } else {
            rand::random()
        };
        parameters.ssrc = ssrc;
        parameters.has_ssrc = true;
        Layer {
            parameters,
            ssrc,
            rtx: video.then(rand::random),
        }
    };
    encodings.into_iter().map(layer).collect()
}

fn encoding(layer: &Layer, codecs: &[RTCRtpCodecParameters]) -> RTCRtpEncodingParameters {
    RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters {
            rid: layer.parameters.rid.clone(),
            ssrc: Some(layer.ssrc),
            rtx: layer.rtx.map(|ssrc| RTCRtpRtxParameters { ssrc }),
            fec: None,
        },
        active: layer.parameters.active,
        codec: codecs.first().map(|codec| codec.rtp_codec.clone()).unwrap_or_default(),
        ..RTCRtpEncodingParameters::default()
    }
}

fn rtc_type(sdp_type: SdpType) -> RTCSdpType {
    match sdp_type {
        SdpType::Offer => RTCSdpType::Offer,
        SdpType::PrAnswer => RTCSdpType::Pranswer,
        SdpType::Answer => RTCSdpType::Answer,
        SdpType::Rollback => RTCSdpType::Rollback,
    }
}

fn rtc_direction(direction: RtpTransceiverDirection) -> RTCRtpTransceiverDirection {
    match direction {
        RtpTransceiverDirection::SendRecv => RTCRtpTransceiverDirection::Sendrecv,
        RtpTransceiverDirection::SendOnly => RTCRtpTransceiverDirection::Sendonly,
        RtpTransceiverDirection::RecvOnly => RTCRtpTransceiverDirection::Recvonly,
        RtpTransceiverDirection::Inactive | RtpTransceiverDirection::Stopped => RTCRtpTransceiverDirection::Inactive,
    }
}

fn opposite(direction: RtpTransceiverDirection) -> RtpTransceiverDirection {
    match direction {
        RtpTransceiverDirection::SendOnly => RtpTransceiverDirection::RecvOnly,
        RtpTransceiverDirection::RecvOnly => RtpTransceiverDirection::SendOnly,
        other => other,
    }
}

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
