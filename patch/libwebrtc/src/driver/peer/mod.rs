//! A peer connection as it runs: an engine, its sockets, and the callbacks that hear of it.

mod candidates;
mod states;
mod tell;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use nix::sys::epoll::EpollFlags;
use parking_lot::Mutex;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

use self::candidates::no_relay;
use self::states::States;
use super::tcp::TcpLink;
use super::thread::MediaThread;
use super::turn::{Outcome, Relay};
use super::udp::{ArrivalClock, ReceiveBuffers, UdpLink};
use super::{now, threads, wall_clock};
use crate::RtcError;
use crate::engine::rtp::Delivery;
use crate::engine::{Engine, Event, Host, HostRef};
use crate::ice_candidate::IceCandidate;
use crate::peer_connection::relay_only;
use crate::peer_connection::{
    OnConnectionChange, OnDataChannel, OnIceCandidate, OnIceCandidateError, OnIceConnectionChange,
    OnIceGatheringChange, OnNegotiationNeeded, OnSignalingChange, OnTrack, PeerConnectionState,
};
use crate::peer_connection_factory::IceTransportsType;
use crate::session_description::SessionDescription;

/// Batches read from one socket before others get their turn.
const BATCHES: usize = 64;
/// A TCP connection that failed is tried again no sooner.
const TCP_AGAIN_AFTER: Duration = Duration::from_secs(2);
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

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own: they come in any combination"
)]
struct Inner {
    engine: Engine,
    udp: Vec<UdpLink>,
    tcp: Vec<TcpLink>,
    gathered: bool,
    /// Whether relays are begun as they become known.
    relaying: bool,
    relays: Vec<Relay>,
    /// Whether nothing but relays may be used.
    relay_only: bool,
    /// Whether the end of gathering is to be told once it is known what comes of the relays.
    gathering: bool,
    /// Local addresses that have a candidate.
    offered: Vec<IpAddr>,
    /// TCP candidates that are not offered yet.
    held: Vec<String>,
    /// When they are.
    held_until: Option<Instant>,
}

/// How many there are, closed ones among them.
static EXISTING: AtomicUsize = AtomicUsize::new(0);

pub(crate) struct Peer {
    this: Weak<Self>,
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
    pub fn new(policy: IceTransportsType) -> Result<Arc<Self>, RtcError> {
        let thread = threads()
            .pick()
            .ok_or_else(|| RtcError::internal("no media thread could be started"))?;
        let (id, created, host) = (thread.next_id(), now(), HostRef::default());
        let engine = Engine::new(created, wall_clock(), host.clone(), relay_only(policy))?;
        let peer = Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            id,
            thread: Arc::clone(thread),
            created,
            inner: Mutex::new(Inner {
                engine,
                udp: Vec::new(),
                tcp: Vec::new(),
                gathered: false,
                relaying: false,
                relays: Vec::new(),
                relay_only: relay_only(policy),
                gathering: false,
                held: Vec::new(),
                held_until: None,
                offered: Vec::new(),
            }),
            events: Mutex::default(),
            dispatching: AtomicBool::new(false),
            callbacks: Callbacks::default(),
            states: States::default(),
            deadline: AtomicU64::new(u64::MAX),
            settled: AtomicBool::new(false),
            negotiation_events: AtomicU32::new(0),
        });
        EXISTING.fetch_add(1, Ordering::Relaxed);
        let known: Weak<Self> = Arc::downgrade(&peer);
        host.set(known);
        peer.thread.register(id, Arc::downgrade(&peer));
        peer.thread.unsettled.fetch_add(1, Ordering::Relaxed);
        Ok(peer)
    }

    pub fn existing() -> usize {
        EXISTING.load(Ordering::Relaxed)
    }

    // ── calls ───────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Does something with the engine, sends what comes of it, and tells the application afterwards.
    fn act<R>(&self, act: impl FnOnce(&mut Inner, Instant) -> R) -> R {
        let now = now();
        let mut inner = self.inner.lock();
        let result = act(&mut inner, now);
        let deliveries = self.settle(&mut inner, now);
        drop(inner);
        self.hand_over(deliveries);
        result
    }

    pub fn create_offer(&self, ice_restart: bool) -> Result<SessionDescription, RtcError> {
        self.act(|inner, now| {
            if ice_restart {
                inner.relays.iter_mut().for_each(Relay::forgive);
            }
            self.gather(inner, now);
            inner.engine.create_offer(ice_restart)
        })
    }

    pub fn create_answer(&self) -> Result<SessionDescription, RtcError> {
        self.act(|inner, now| {
            self.gather(inner, now);
            inner.engine.create_answer()
        })
    }

    pub fn set_local(&self, description: &SessionDescription) -> Result<(), RtcError> {
        self.act(|inner, now| {
            inner.engine.set_local(now, description)?;
            if inner.relay_only {
                inner.gathering = true;
            } else {
                // Relays are an addition, and a dead one is nothing to wait for: their candidates follow.
                inner.engine.gathering_complete();
            }
            Ok(())
        })
    }

    pub fn set_remote(&self, description: &SessionDescription) -> Result<(), RtcError> {
        self.act(|inner, now| {
            if inner.relay_only && inner.relays.is_empty() {
                return Err(no_relay());
            }
            inner.engine.set_remote(now, description)?;
            let lines = description
                .sdp()
                .lines()
                .filter_map(|line| line.trim().strip_prefix("a=candidate:"));
            lines.for_each(|line| self.offer_route(inner, now, line));
            Ok(())
        })
    }

    pub fn add_remote_candidate(&self, candidate: &IceCandidate) -> Result<(), RtcError> {
        self.act(|inner, now| {
            self.offer_route(inner, now, &candidate.candidate());
            inner.engine.add_remote_candidate(candidate)
        })
    }

    pub fn close(&self) {
        self.act(|inner, _| inner.engine.close());
        self.release();
        self.inner.lock().engine.let_go(now());
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
        let now = now();
        let mut inner = self.inner.lock();
        for mut relay in std::mem::take(&mut inner.relays) {
            relay.release(now);
        }
        self.drop_direct_links(&mut inner);
    }

    // ── the thread's side ───────────────────────────────────────────────────────────────────────────────────────────

    pub fn deadline(&self) -> Option<Instant> {
        let nanos = self.deadline.load(Ordering::Acquire);
        (nanos != u64::MAX).then(|| self.created + Duration::from_nanos(nanos))
    }

    pub(super) fn on_ready(&self, link: usize, ready: EpollFlags, buffers: &mut ReceiveBuffers, clock: ArrivalClock) {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        if link >= RELAY_LINKS {
            let (relays, engine) = (&mut inner.relays, &mut inner.engine);
            if let Some(relay) = relays.iter_mut().find(|relay| relay.link() == link) {
                relay.on_ready(ready, buffers, clock, BATCHES, |arrival, relayed, peer, bytes| {
                    engine.handle_datagram(arrival, context(relayed, peer, TransportProtocol::UDP), bytes);
                });
            }
        } else if let Some(udp) = inner.udp.get_mut(link) {
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
        let deliveries = self.settle(inner, clock.now);
        drop(guard);
        self.hand_over(deliveries);
    }

    pub fn on_timeout(&self, now: Instant) {
        let mut inner = self.inner.lock();
        inner.engine.handle_timeout(now);
        self.offer_held(&mut inner, now);
        inner.relays.iter_mut().for_each(|relay| relay.handle_timeout(now));
        let deliveries = self.settle(&mut inner, now);
        drop(inner);
        self.hand_over(deliveries);
        if now.saturating_duration_since(self.created) > SET_UP {
            self.settle_once();
        }
    }

    /// Sends what the engine has to send, collects what it has to tell, and notes when it wants to be called again.
    fn settle(&self, inner: &mut Inner, now: Instant) -> Vec<Delivery> {
        let (mut events, mut deliveries) = (Vec::new(), Vec::new());
        loop {
            let mut sent = false;
            while let Some(transmit) = inner.engine.poll_transmit() {
                sent = true;
                self.transmit(inner, now, &transmit);
            }
            let outcomes: Vec<Outcome> = inner
                .relays
                .iter_mut()
                .flat_map(|relay| {
                    relay.flush(now);
                    std::iter::from_fn(move || relay.poll_outcome())
                })
                .collect();
            sent |= !outcomes.is_empty();
            for outcome in outcomes {
                self.on_outcome(inner, now, outcome);
            }
            if inner.gathering && !inner.relays.is_empty() && !inner.relays.iter().any(Relay::is_pending) {
                inner.gathering = false;
                inner.engine.gathering_complete();
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
        let relays = inner.relays.iter_mut().filter_map(Relay::poll_timeout);
        // Afterwards it is the engine's own timeouts, which are many while nothing is connected, that look at it again.
        let held = inner.held_until.filter(|at| !inner.held.is_empty() && *at > now);
        let deadline = relays.chain(inner.engine.poll_timeout()).chain(held).min();
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

    fn transmit(&self, inner: &mut Inner, now: Instant, transmit: &TaggedBytesMut) {
        let Inner { udp, tcp, .. } = inner;
        let TransportContext {
            local_addr,
            peer_addr,
            transport_protocol,
            ..
        } = transmit.transport;
        if transport_protocol == TransportProtocol::UDP {
            if let Some(link) = udp.iter().find(|link| link.local == local_addr) {
                link.send(peer_addr, &transmit.message);
            } else if let Some(relay) = inner.relays.iter_mut().find(|r| r.relayed() == Some(local_addr)) {
                relay.send(now, peer_addr, &transmit.message);
            }
            return;
        }
        if inner.relay_only {
            return;
        }
        let known = tcp
            .iter_mut()
            .position(|link| link.peer == peer_addr && link.local == local_addr && !link.failed);
        let index = known.or_else(|| self.connect(now, tcp, local_addr, peer_addr));
        if let Some(link) = index.and_then(|index| tcp.get_mut(index)) {
            link.send(&transmit.message);
        }
    }

    /// Opens a pair's connection, or opens it again: a broken one is how an ICE restart finds it.
    fn connect(&self, now: Instant, tcp: &mut Vec<TcpLink>, local: SocketAddr, peer: SocketAddr) -> Option<usize> {
        let broken = tcp.iter().position(|link| link.peer == peer && link.local == local);
        let index = match broken {
            // Checks come every few milliseconds; whoever refused a moment ago refuses again.
            Some(index) if now.saturating_duration_since(tcp[index].begun) < TCP_AGAIN_AFTER => return None,
            Some(index) => index,
            None if tcp.len() >= RELAY_LINKS - TCP_LINKS => return None,
            None => tcp.len(),
        };
        match TcpLink::connect(now, local, peer) {
            Ok(link) => {
                if let Err(error) = self.thread.watch(self.id, TCP_LINKS + index, link.fd(), true) {
                    log::warn!("ICE-TCP to {peer} cannot be served: {error}");
                }
                match tcp.get_mut(index) {
                    Some(broken) => *broken = link,
                    None => tcp.push(link),
                }
                Some(index)
            }
            Err(error) => {
                log::debug!("ICE-TCP to {peer}: {error}");
                None
            }
        }
    }

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

    fn settle_once(&self) {
        if !self.settled.swap(true, Ordering::AcqRel) {
            self.thread.unsettled.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// TCP links are numbered from here, relays after them, UDP links from zero.
const TCP_LINKS: usize = 128;
const RELAY_LINKS: usize = 192;

impl Host for Peer {
    fn with_engine(&self, act: &mut dyn FnMut(&mut Engine, Instant)) {
        self.act(|inner, now| act(&mut inner.engine, now));
    }

    fn look_at_engine(&self, look: &mut dyn FnMut(&Engine)) {
        look(&self.inner.lock().engine);
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        EXISTING.fetch_sub(1, Ordering::Relaxed);
        // A connection that is dropped without being closed still says goodbye.
        let now = now();
        let inner = self.inner.get_mut();
        if !inner.engine.is_closed() {
            inner.engine.close();
            while let Some(transmit) = inner.engine.poll_transmit() {
                let TransportContext {
                    local_addr, peer_addr, ..
                } = transmit.transport;
                if let Some(link) = inner.udp.iter().find(|link| link.local == local_addr) {
                    link.send(peer_addr, &transmit.message);
                } else if let Some(relay) = inner.relays.iter_mut().find(|r| r.relayed() == Some(local_addr)) {
                    relay.send(now, peer_addr, &transmit.message);
                }
            }
        }
        inner.relays.iter_mut().for_each(|relay| relay.release(now));
        self.thread.unregister(self.id);
        self.settle_once();
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

#[cfg(test)]
mod tests;
