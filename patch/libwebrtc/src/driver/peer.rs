//! A peer connection as it runs: an engine, its sockets, and the callbacks that hear of it.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use nix::sys::epoll::EpollFlags;
use parking_lot::Mutex;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

use super::tcp::TcpLink;
use super::thread::MediaThread;
use super::udp::{ArrivalClock, ReceiveBuffers, UdpLink};
use super::{interfaces, now, settings, threads, wall_clock};
use crate::RtcError;
use crate::data_channel::DataChannel;
use crate::engine::rtp::Delivery;
use crate::engine::{Engine, Event, Host, HostRef};
use crate::ice_candidate::IceCandidate;
use crate::media_stream::MediaStream;
use crate::media_stream_track::MediaStreamTrack;
use crate::peer_connection::relay_only;
use crate::peer_connection::{
    IceConnectionState, IceGatheringState, OnConnectionChange, OnDataChannel, OnIceCandidate, OnIceCandidateError,
    OnIceConnectionChange, OnIceGatheringChange, OnNegotiationNeeded, OnSignalingChange, OnTrack, PeerConnectionState,
    SignalingState, TrackEvent,
};
use crate::peer_connection_factory::{IceServer, IceTransportsType};
use crate::rtp_receiver::RtpReceiver;
use crate::rtp_transceiver::RtpTransceiver;
use crate::session_description::SessionDescription;

/// Batches read from one socket before others get their turn.
const BATCHES: usize = 16;
/// While a connection takes longer than this to be set up, it no longer keeps its thread from coalescing.
const SET_UP: Duration = Duration::from_secs(15);

#[derive(Default)]
pub(crate) struct Callbacks {
    pub connection: Mutex<Option<OnConnectionChange>>,
    pub data_channel: Mutex<Option<OnDataChannel>>,
    pub candidate: Mutex<Option<OnIceCandidate>>,
    pub candidate_error: Mutex<Option<OnIceCandidateError>>,
    pub ice: Mutex<Option<OnIceConnectionChange>>,
    pub gathering: Mutex<Option<OnIceGatheringChange>>,
    pub negotiation: Mutex<Option<OnNegotiationNeeded>>,
    pub signaling: Mutex<Option<OnSignalingChange>>,
    pub track: Mutex<Option<OnTrack>>,
}

struct Inner {
    engine: Engine,
    udp: Vec<UdpLink>,
    tcp: Vec<TcpLink>,
    gathered: bool,
    relays: Vec<IceServer>,
    /// Local addresses that have a candidate.
    offered: Vec<IpAddr>,
}

/// States as the last event told them; read without the lock.
struct States {
    connection: AtomicU8,
    ice: AtomicU8,
    gathering: AtomicU8,
    signaling: AtomicU8,
}

pub(crate) struct Peer {
    id: u64,
    thread: Arc<MediaThread>,
    created: Instant,
    inner: Mutex<Inner>,
    events: Mutex<VecDeque<Event>>,
    dispatching: AtomicBool,
    pub callbacks: Callbacks,
    states: States,
    /// Nanoseconds after `created`; `u64::MAX` for none.
    deadline: AtomicU64,
    settled: AtomicBool,
    negotiation_events: AtomicU32,
}

impl Peer {
    pub fn new() -> Result<Arc<Self>, RtcError> {
        let thread = threads()
            .pick()
            .ok_or_else(|| RtcError::internal("no media thread could be started"))?;
        let (id, created, host) = (thread.next_id(), now(), HostRef::default());
        let engine = Engine::new(created, wall_clock(), host.clone())?;
        let peer = Arc::new(Self {
            id,
            thread: Arc::clone(thread),
            created,
            inner: Mutex::new(Inner {
                engine,
                udp: Vec::new(),
                tcp: Vec::new(),
                gathered: false,
                relays: Vec::new(),
                offered: Vec::new(),
            }),
            events: Mutex::default(),
            dispatching: AtomicBool::new(false),
            callbacks: Callbacks::default(),
            states: States {
                connection: AtomicU8::new(PeerConnectionState::New as u8),
                ice: AtomicU8::new(IceConnectionState::New as u8),
                gathering: AtomicU8::new(IceGatheringState::New as u8),
                signaling: AtomicU8::new(SignalingState::Stable as u8),
            },
            deadline: AtomicU64::new(u64::MAX),
            settled: AtomicBool::new(false),
            negotiation_events: AtomicU32::new(0),
        });
        let known: Weak<Self> = Arc::downgrade(&peer);
        host.set(known);
        peer.thread.register(id, Arc::downgrade(&peer));
        peer.thread.unsettled.fetch_add(1, Ordering::Relaxed);
        Ok(peer)
    }

    // ── calls ───────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Does something with the engine, sends what comes of it, and tells the application afterwards.
    fn act<R>(&self, act: impl FnOnce(&mut Inner, Instant) -> R) -> R {
        let now = now();
        let mut inner = self.inner.lock();
        let result = act(&mut inner, now);
        let deliveries = self.settle(&mut inner);
        drop(inner);
        self.hand_over(deliveries);
        result
    }

    pub fn create_offer(&self, ice_restart: bool) -> Result<SessionDescription, RtcError> {
        self.act(|inner, _| {
            self.gather(inner);
            inner.engine.create_offer(ice_restart)
        })
    }

    pub fn create_answer(&self) -> Result<SessionDescription, RtcError> {
        self.act(|inner, _| {
            self.gather(inner);
            inner.engine.create_answer()
        })
    }

    pub fn set_local(&self, description: &SessionDescription) -> Result<(), RtcError> {
        self.act(|inner, now| {
            inner.engine.set_local(now, description)?;
            inner.engine.gathering_complete();
            Ok(())
        })
    }

    pub fn set_remote(&self, description: &SessionDescription) -> Result<(), RtcError> {
        self.act(|inner, now| {
            inner.engine.set_remote(now, description)?;
            let lines = description
                .sdp()
                .lines()
                .filter_map(|line| line.trim().strip_prefix("a=candidate:"));
            lines.for_each(|line| self.offer_route(inner, line));
            Ok(())
        })
    }

    pub fn add_remote_candidate(&self, candidate: &IceCandidate) -> Result<(), RtcError> {
        self.act(|inner, _| {
            self.offer_route(inner, &candidate.candidate());
            inner.engine.add_remote_candidate(candidate)
        })
    }

    /// Takes the relays to use, and whether nothing else may be used.
    pub fn set_servers(&self, relays: Vec<IceServer>, policy: IceTransportsType) -> Result<(), RtcError> {
        if relay_only(policy) {
            return Err(RtcError::internal(
                "relay-only ICE was asked for, and TURN is not built: allow UDP or ICE-TCP",
            ));
        }
        let mut inner = self.inner.lock();
        inner.relays = relays;
        Ok(())
    }

    pub fn close(&self) {
        self.act(|inner, _| inner.engine.close());
        self.release();
    }

    /// Ends the connection after a fault: nothing of its engine can be trusted.
    pub fn fail(&self) {
        let failed = Event::Connection(PeerConnectionState::Failed);
        self.note(std::slice::from_ref(&failed));
        self.events.lock().push_back(failed);
        self.release();
        self.dispatch();
    }

    fn release(&self) {
        self.thread.unregister(self.id);
        self.settle_once();
        self.deadline.store(u64::MAX, Ordering::Release);
        let (udp, tcp) = {
            let mut inner = self.inner.lock();
            (std::mem::take(&mut inner.udp), std::mem::take(&mut inner.tcp))
        };
        for fd in udp.iter().map(UdpLink::fd).chain(tcp.iter().map(TcpLink::fd)) {
            self.thread.unwatch(fd);
        }
    }

    pub fn connection_state(&self) -> PeerConnectionState {
        use PeerConnectionState::{Closed, Connected, Connecting, Disconnected, Failed, New};
        from_index(
            self.states.connection.load(Ordering::Acquire),
            [New, Connecting, Connected, Disconnected, Failed, Closed],
        )
    }

    pub fn ice_connection_state(&self) -> IceConnectionState {
        use IceConnectionState::{Checking, Closed, Completed, Connected, Disconnected, Failed, Max, New};
        let states = [New, Checking, Connected, Completed, Failed, Disconnected, Closed, Max];
        from_index(self.states.ice.load(Ordering::Acquire), states)
    }

    pub fn ice_gathering_state(&self) -> IceGatheringState {
        use IceGatheringState::{Complete, Gathering, New};
        from_index(
            self.states.gathering.load(Ordering::Acquire),
            [New, Gathering, Complete],
        )
    }

    pub fn signaling_state(&self) -> SignalingState {
        use SignalingState::{Closed, HaveLocalOffer, HaveLocalPrAnswer, HaveRemoteOffer, HaveRemotePrAnswer, Stable};
        let states = [
            Stable,
            HaveLocalOffer,
            HaveLocalPrAnswer,
            HaveRemoteOffer,
            HaveRemotePrAnswer,
            Closed,
        ];
        from_index(self.states.signaling.load(Ordering::Acquire), states)
    }

    // ── candidates ──────────────────────────────────────────────────────────────────────────────────────────────────

    fn gather(&self, inner: &mut Inner) {
        if std::mem::replace(&mut inner.gathered, true) {
            return;
        }
        let addresses = settings().addresses.unwrap_or_else(interfaces::local_addresses);
        for ip in addresses {
            self.offer(inner, ip);
        }
    }

    /// The address this system would reach a remote candidate from, if it is not offered yet: on a loopback server,
    /// across a tunnel or behind policy routing it is the only one that works.
    fn offer_route(&self, inner: &mut Inner, remote_line: &str) {
        if let Some(remote) = interfaces::candidate_address(remote_line)
            && let Some(ip) = interfaces::route_to(remote)
        {
            self.offer(inner, ip);
        }
    }

    fn offer(&self, inner: &mut Inner, ip: IpAddr) {
        if inner.offered.contains(&ip) || inner.engine.is_closed() {
            return;
        }
        let settings = settings();
        let rank = inner.offered.len();
        inner.offered.push(ip);
        if settings.udp {
            match UdpLink::bind(ip, settings.receive_buffer) {
                Ok(link) => {
                    add_candidate(inner, &interfaces::udp_candidate(rank, link.local));
                    if let Err(error) = self.thread.watch(self.id, inner.udp.len(), link.fd(), false) {
                        log::warn!("socket on {ip} cannot be served: {error}");
                    }
                    inner.udp.push(link);
                }
                Err(error) => log::warn!("no UDP socket on {ip}: {error}"),
            }
        }
        if settings.tcp {
            add_candidate(inner, &interfaces::tcp_candidate(rank, ip));
        }
    }

    // ── the thread's side ───────────────────────────────────────────────────────────────────────────────────────────

    pub fn deadline(&self) -> Option<Instant> {
        let nanos = self.deadline.load(Ordering::Acquire);
        (nanos != u64::MAX).then(|| self.created + Duration::from_nanos(nanos))
    }

    pub(super) fn on_ready(&self, link: usize, ready: EpollFlags, buffers: &mut ReceiveBuffers, clock: ArrivalClock) {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        if let Some(udp) = inner.udp.get_mut(link) {
            for _ in 0..BATCHES {
                let (local, engine) = (udp.local, &mut inner.engine);
                let more = udp.receive(buffers, clock, |datagram| {
                    let transport = context(local, datagram.from, TransportProtocol::UDP);
                    engine.handle_datagram(datagram.arrival, transport, datagram.bytes);
                });
                match more {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        log::warn!("socket {local}: {error}");
                        break;
                    }
                }
            }
        } else if let Some(tcp) = link.checked_sub(TCP_LINKS).and_then(|index| inner.tcp.get_mut(index)) {
            if ready.contains(EpollFlags::EPOLLOUT) {
                tcp.flush();
            }
            let (local, peer, engine) = (tcp.local, tcp.peer, &mut inner.engine);
            tcp.receive(|packet| {
                engine.handle_datagram(clock.now, context(local, peer, TransportProtocol::TCP), packet);
            });
            if tcp.failed {
                self.thread.unwatch(tcp.fd());
            } else if let Err(error) = self.thread.rewatch(self.id, link, tcp.fd(), tcp.wants_write()) {
                log::debug!("ICE-TCP: {error}");
            }
        }
        let deliveries = self.settle(inner);
        drop(guard);
        self.hand_over(deliveries);
    }

    pub fn on_timeout(&self, now: Instant) {
        let mut inner = self.inner.lock();
        inner.engine.handle_timeout(now);
        let deliveries = self.settle(&mut inner);
        drop(inner);
        self.hand_over(deliveries);
        if now.saturating_duration_since(self.created) > SET_UP {
            self.settle_once();
        }
    }

    /// Sends what the engine has to send, collects what it has to tell, and notes when it wants to be called again.
    fn settle(&self, inner: &mut Inner) -> Vec<Delivery> {
        let (mut events, mut deliveries) = (Vec::new(), Vec::new());
        loop {
            let mut sent = false;
            while let Some(transmit) = inner.engine.poll_transmit() {
                sent = true;
                self.transmit(&mut inner.udp, &mut inner.tcp, &transmit);
            }
            let before = events.len();
            inner.engine.drain(&mut events, &mut deliveries);
            if !sent && events.len() == before {
                break;
            }
        }
        for delivery in &deliveries {
            if let Delivery::KeyFrameRequest(ssrc) = delivery
                && let Some((sender, layer)) = inner.engine.sender_of(*ssrc)
            {
                sender.key_frame_requested(layer);
            }
        }
        let deadline = inner.engine.poll_timeout();
        let nanos = deadline.map_or(u64::MAX, |at| {
            u64::try_from(at.saturating_duration_since(self.created).as_nanos()).unwrap_or(u64::MAX - 1)
        });
        self.deadline.store(nanos, Ordering::Release);
        if let Some(deadline) = deadline {
            self.thread.wake_before(deadline);
        }
        self.note(&events);
        self.events.lock().extend(events);
        deliveries
    }

    /// States are what they are when a call returns, not when the application has been told.
    fn note(&self, events: &[Event]) {
        for event in events {
            match event {
                Event::Connection(state) => {
                    self.states.connection.store(*state as u8, Ordering::Release);
                    if *state == PeerConnectionState::Connected {
                        self.settle_once();
                    }
                }
                Event::Ice(state) => self.states.ice.store(*state as u8, Ordering::Release),
                Event::Signaling(state) => self.states.signaling.store(*state as u8, Ordering::Release),
                _ => {}
            }
        }
    }

    fn transmit(&self, udp: &mut [UdpLink], tcp: &mut Vec<TcpLink>, transmit: &TaggedBytesMut) {
        let TransportContext {
            local_addr,
            peer_addr,
            transport_protocol,
            ..
        } = transmit.transport;
        if transport_protocol == TransportProtocol::UDP {
            if let Some(link) = udp.iter().find(|link| link.local == local_addr) {
                link.send(peer_addr, &transmit.message);
            }
            return;
        }
        let known = tcp
            .iter_mut()
            .position(|link| link.peer == peer_addr && link.local == local_addr && !link.failed);
        let index = known.or_else(|| self.connect(tcp, local_addr, peer_addr));
        if let Some(link) = index.and_then(|index| tcp.get_mut(index)) {
            link.send(&transmit.message);
        }
    }

    fn connect(&self, tcp: &mut Vec<TcpLink>, local: SocketAddr, peer: SocketAddr) -> Option<usize> {
        // One attempt for each pair: a link that failed stays, so that checks do not open it again and again.
        if tcp.iter().any(|link| link.peer == peer && link.local == local) {
            return None;
        }
        match TcpLink::connect(local, peer) {
            Ok(link) => {
                let index = tcp.len();
                if let Err(error) = self.thread.watch(self.id, TCP_LINKS + index, link.fd(), true) {
                    log::warn!("ICE-TCP to {peer} cannot be served: {error}");
                }
                tcp.push(link);
                Some(index)
            }
            Err(error) => {
                log::debug!("ICE-TCP to {peer}: {error}");
                None
            }
        }
    }

    // ── telling ─────────────────────────────────────────────────────────────────────────────────────────────────────

    fn hand_over(&self, deliveries: Vec<Delivery>) {
        // Tracks before their packets: a sink is usually attached in the callback that tells of the track.
        self.dispatch();
        for delivery in deliveries {
            match delivery {
                Delivery::Packet(track, packet) => track.deliver(packet),
                Delivery::Report(track, report) => track.deliver_report(report),
                Delivery::Ended(track) => track.end(),
                Delivery::KeyFrameRequest(_) => {}
            }
        }
    }

    /// Calls back for everything that has happened, in order. Whoever is at it already carries on with what is added
    /// meanwhile, so a callback may call anything of this API.
    fn dispatch(&self) {
        while !self.events.lock().is_empty() {
            if self.dispatching.swap(true, Ordering::AcqRel) {
                return;
            }
            loop {
                let event = self.events.lock().pop_front();
                let Some(event) = event else { break };
                self.tell(event);
            }
            self.dispatching.store(false, Ordering::Release);
        }
    }

    fn tell(&self, event: Event) {
        match event {
            Event::Connection(state) => call(&self.callbacks.connection, state),
            Event::Ice(state) => call(&self.callbacks.ice, state),
            Event::GatheringComplete => {
                let state = IceGatheringState::Complete;
                if self.states.gathering.swap(state as u8, Ordering::AcqRel) != state as u8 {
                    call(&self.callbacks.gathering, state);
                }
            }
            Event::Signaling(state) => call(&self.callbacks.signaling, state),
            Event::Candidate(candidate) => call(&self.callbacks.candidate, candidate),
            Event::NegotiationNeeded => {
                let number = self.negotiation_events.fetch_add(1, Ordering::Relaxed);
                call(&self.callbacks.negotiation, number);
            }
            Event::Channel(channel) => call(&self.callbacks.data_channel, DataChannel::new(channel)),
            Event::ChannelState(channel, state) => channel.notify_state(state),
            Event::Message(channel, data, binary) => channel.notify_message(&data, binary),
            Event::Sent(channel, bytes) => channel.notify_sent(bytes),
            Event::Track(transceiver, received) => {
                let stream = MediaStream::of(&received);
                let event = TrackEvent {
                    receiver: RtpReceiver::new(&transceiver),
                    streams: vec![stream],
                    track: MediaStreamTrack::of_remote(&received.track),
                    transceiver: RtpTransceiver::new(transceiver),
                };
                call(&self.callbacks.track, event);
            }
        }
    }

    fn settle_once(&self) {
        if !self.settled.swap(true, Ordering::AcqRel) {
            self.thread.unsettled.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// TCP links are numbered from here, UDP links from zero.
const TCP_LINKS: usize = 128;

impl Host for Peer {
    fn with_engine(&self, act: &mut dyn FnMut(&mut Engine, Instant)) {
        self.act(|inner, now| act(&mut inner.engine, now));
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // A connection that is dropped without being closed still says goodbye.
        let inner = self.inner.get_mut();
        if !inner.engine.is_closed() {
            inner.engine.close();
            while let Some(transmit) = inner.engine.poll_transmit() {
                if let Some(link) = inner
                    .udp
                    .iter()
                    .find(|link| link.local == transmit.transport.local_addr)
                {
                    link.send(transmit.transport.peer_addr, &transmit.message);
                }
            }
        }
        self.thread.unregister(self.id);
        self.settle_once();
    }
}

fn add_candidate(inner: &mut Inner, line: &str) {
    if let Err(error) = inner.engine.add_local_candidate(line) {
        log::warn!("candidate {line} refused: {error}");
    }
}

fn context(local_addr: SocketAddr, peer_addr: SocketAddr, transport_protocol: TransportProtocol) -> TransportContext {
    TransportContext {
        local_addr,
        peer_addr,
        transport_protocol,
        ecn: None,
    }
}

type Callback<T> = Mutex<Option<Box<dyn FnMut(T) + Send + Sync>>>;

fn call<T>(callback: &Callback<T>, value: T) {
    if let Some(callback) = callback.lock().as_mut() {
        callback(value);
    }
}

/// The inverse of `state as u8`, for states listed in the order of their declaration.
fn from_index<T: Copy, const N: usize>(index: u8, states: [T; N]) -> T {
    states[usize::from(index).min(N - 1)]
}
