//! Relays (RFC 8656): for each TURN server of a peer connection, one way to it, one allocation, and the permissions that the
//! other side's addresses need.
//!
//! The protocol is rtc-turn's. What stands here: the ways to a server, when to give one up, what the engine and the
//! application are told, and two things that rtc-turn leaves to others. A refresh that is refused for its nonce is repeated
//! at once. And a channel is bound again only right after the server has accepted the nonce: were it refused, rtc-turn would
//! forget the channel and lose what still comes in on it.

mod serve;
mod session;
mod stream;
mod tls;
mod url;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc::shared::TransportProtocol;
use rtc_turn::client::{Client, ClientConfig};

use self::session::{Link, Session};
use self::stream::StreamLink;
use self::url::Transport;
pub(super) use self::url::{TurnUrl, UrlError};
use super::thread::MediaThread;
use super::udp::UdpLink;
use super::{interfaces, settings};

/// A server that has not given us an address by then is given up.
const SET_UP: Duration = Duration::from_secs(8);
/// How often an allocation is refreshed; servers keep it for ten minutes. Often enough that a nonce which is no longer good
/// is seldom met by anything but a refresh.
const REFRESH: Duration = Duration::from_mins(1);
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 3;
/// An allocation that was lost is asked for again at once if it was good for so long; else the next ICE restart does it.
const GOOD: Duration = Duration::from_secs(30);
/// W3C webrtc §4.8.3: the server was not reached.
const UNREACHABLE: u16 = 701;
/// RFC 8656 §19, RFC 8489 §14.8: the five-tuple has an allocation already; the nonce is no longer good.
const ALLOCATION_MISMATCH: u16 = 437;
const STALE_NONCE: u16 = 438;

/// How a relay's socket is served.
pub(super) struct Watch {
    pub thread: Arc<MediaThread>,
    pub peer: u64,
    pub link: usize,
}

/// What came of it, for the peer connection to act on.
pub(super) enum Outcome {
    /// There is a candidate.
    Found { line: String, url: String },
    /// There is none, and why.
    Refused(Refusal),
    /// There is no candidate any more.
    Lost { line: String },
    /// [`Relay::begin`] is to be called.
    Again,
}

pub(super) struct Refusal {
    pub url: String,
    /// Our address, where a socket was opened.
    pub local: Option<SocketAddr>,
    pub code: u16,
    pub text: String,
}

/// A name to be resolved, off the media thread.
pub(super) struct Question {
    pub host: String,
    pub port: u16,
    pub round: u32,
}

enum Phase {
    Idle,
    Resolving(Instant),
    Running(Box<Session>),
    Failed,
}

pub(super) struct Relay {
    pub url: TurnUrl,
    username: String,
    password: String,
    rank: usize,
    watch: Watch,
    phase: Phase,
    /// Counts resolutions: an answer that comes too late is not for us.
    round: u32,
    /// Counts sessions: what is left over of one is not for the next.
    tries: u32,
    /// Addresses that have not been tried yet.
    addresses: VecDeque<SocketAddr>,
    /// Whether an allocation was tried a second time, from another port or with another nonce.
    repeated: bool,
    outcomes: VecDeque<Outcome>,
}

impl Relay {
    pub fn new(url: TurnUrl, username: String, password: String, rank: usize, watch: Watch) -> Self {
        Self {
            url,
            username,
            password,
            rank,
            watch,
            phase: Phase::Idle,
            round: 0,
            tries: 0,
            addresses: VecDeque::new(),
            repeated: false,
            outcomes: VecDeque::new(),
        }
    }

    /// Takes other credentials for allocations to come. One that runs keeps those it was made with: the server knows it by them.
    pub fn set_credentials(&mut self, username: String, password: String) {
        if (&username, &password) != (&self.username, &self.password) {
            (self.username, self.password) = (username, password);
            self.forgive();
        }
    }

    /// What has failed may be tried again.
    pub fn forgive(&mut self) {
        if matches!(self.phase, Phase::Failed) {
            self.phase = Phase::Idle;
        }
    }

    /// The number of its socket among those of the peer connection.
    pub fn link(&self) -> usize {
        self.watch.link
    }

    /// Whether nothing of it runs.
    pub fn is_at_rest(&self) -> bool {
        matches!(self.phase, Phase::Idle | Phase::Failed)
    }

    /// Whether it is not known yet what comes of it.
    pub fn is_pending(&self) -> bool {
        match &self.phase {
            Phase::Idle | Phase::Resolving(_) => true,
            Phase::Running(session) => session.relayed.is_none(),
            Phase::Failed => false,
        }
    }

    /// The relayed address, while there is one.
    pub fn relayed(&self) -> Option<SocketAddr> {
        match &self.phase {
            Phase::Running(session) => session.relayed.as_ref().map(|(address, _)| *address),
            _ => None,
        }
    }

    /// Begins, unless that was done. A name is given back for [`Self::resolved`] to be called with its addresses.
    pub fn begin(&mut self, now: Instant) -> Option<Question> {
        if !matches!(self.phase, Phase::Idle) {
            return None;
        }
        self.repeated = false;
        self.round += 1;
        let port = self.url.port;
        if let Some(ip) = self.url.ip() {
            self.addresses = VecDeque::from([SocketAddr::new(ip, port)]);
            self.next_address(now);
            return None;
        }
        self.phase = Phase::Resolving(now + SET_UP);
        Some(Question {
            host: self.url.host.clone(),
            port,
            round: self.round,
        })
    }

    pub fn resolved(&mut self, now: Instant, round: u32, found: io::Result<Vec<SocketAddr>>) {
        if round != self.round || !matches!(self.phase, Phase::Resolving(_)) {
            return;
        }
        match found {
            Ok(mut found) => {
                // IPv4 first, as with our own addresses.
                found.sort_by_key(SocketAddr::is_ipv6);
                found.truncate(MAX_ADDRESSES);
                self.addresses = found.into();
                self.next_address(now);
            }
            Err(error) => self.refuse(now, UNREACHABLE, &format!("its name cannot be resolved: {error}")),
        }
    }

    fn next_address(&mut self, now: Instant) {
        let Some(server) = self.addresses.pop_front() else {
            self.refuse(now, UNREACHABLE, "its name has no address");
            return;
        };
        self.tries += 1;
        match self.open(now, server) {
            Ok(session) => self.phase = Phase::Running(Box::new(session)),
            Err(reason) => self.refuse(now, UNREACHABLE, &reason),
        }
    }

    /// Opens a way to the server and asks for an allocation.
    fn open(&self, now: Instant, server: SocketAddr) -> Result<Session, String> {
        let settings = settings();
        let any: IpAddr = if server.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        let said = |error: io::Error| error.to_string();
        let link = match self.url.transport {
            Transport::Udp => {
                let ip = interfaces::route_to(server).unwrap_or(any);
                Link::Udp(UdpLink::bind(ip, settings.receive_buffer).map_err(said)?)
            }
            Transport::Tcp => Link::Stream(StreamLink::connect(server, None).map_err(said)?),
            Transport::Tls => {
                let tls = tls::client(&self.url.host, &settings.turn_roots).map_err(|error| error.to_string())?;
                Link::Stream(StreamLink::connect(server, Some(tls)).map_err(said)?)
            }
        };
        let (local, writing) = match &link {
            Link::Udp(udp) => (udp.local, false),
            Link::Stream(stream) => (stream.local().map_err(said)?, true),
        };
        let config = ClientConfig {
            turn_serv_addr: server.to_string(),
            local_addr: local,
            transport_protocol: match self.url.transport {
                Transport::Udp => TransportProtocol::UDP,
                Transport::Tcp | Transport::Tls => TransportProtocol::TCP,
            },
            username: self.username.clone(),
            password: self.password.clone(),
            allocation_refresh_interval_cap: Some(REFRESH),
            ..ClientConfig::default()
        };
        let provider = rtc_turn::crypto::default_provider().map_err(|error| error.to_string())?;
        let mut client = Client::new(config, provider).map_err(|error| error.to_string())?;
        client.allocate(now).map_err(|error| error.to_string())?;
        let watched = match &link {
            Link::Udp(udp) => self
                .watch
                .thread
                .watch(self.watch.peer, self.watch.link, udp.fd(), writing),
            Link::Stream(stream) => self
                .watch
                .thread
                .watch(self.watch.peer, self.watch.link, stream.fd(), writing),
        };
        watched.map_err(|error| error.to_string())?;
        Ok(Session {
            link,
            writing,
            client,
            server,
            local,
            begun: now,
            relayed: None,
            fresh: now,
            stale: 0,
            refusal: None,
            permissions: HashMap::new(),
        })
    }

    /// Ends what runs, and goes on in the way that promises most: another address, another port, the resolver again.
    fn refuse(&mut self, now: Instant, code: u16, reason: &str) {
        let ended = match std::mem::replace(&mut self.phase, Phase::Failed) {
            Phase::Running(session) => Some(session),
            _ => None,
        };
        let local = ended.as_ref().map(|session| session.local);
        let begun = ended.as_ref().map(|session| session.begun);
        let server = ended.as_ref().map(|session| session.server);
        let line = ended.and_then(|mut session| {
            self.unwatch(&session);
            session.relayed.take().map(|(_, line)| line)
        });
        let text = if code == UNREACHABLE {
            reason.to_owned()
        } else {
            format!("{code} {reason}")
        };
        if let Some(line) = line {
            log::warn!("TURN server {}: the allocation is lost: {text}", self.url);
            self.outcomes.push_back(Outcome::Lost { line });
            if begun.is_some_and(|begun| now.saturating_duration_since(begun) >= GOOD) {
                self.phase = Phase::Idle;
                self.outcomes.push_back(Outcome::Again);
                return;
            }
        } else if matches!(code, ALLOCATION_MISMATCH | STALE_NONCE)
            && !std::mem::replace(&mut self.repeated, true)
            && let Some(server) = server
        {
            log::debug!("TURN server {}: {text}; once more", self.url);
            self.addresses.push_front(server);
            return self.next_address(now);
        } else if code == UNREACHABLE && !self.addresses.is_empty() {
            log::debug!("TURN server {}: {text}; another address", self.url);
            return self.next_address(now);
        } else {
            log::warn!("TURN server {}: no relay: {text}", self.url);
        }
        self.outcomes.push_back(Outcome::Refused(Refusal {
            url: self.url.to_string(),
            local,
            code,
            text,
        }));
    }

    fn unwatch(&self, session: &Session) {
        self.watch.thread.unwatch(match &session.link {
            Link::Udp(udp) => udp.fd(),
            Link::Stream(stream) => stream.fd(),
        });
    }

    pub fn poll_outcome(&mut self) -> Option<Outcome> {
        self.outcomes.pop_front()
    }

    /// Sends to an address of the other side. Until the server permits it, the last packet waits.
    pub fn send(&mut self, now: Instant, peer: SocketAddr, bytes: &[u8]) {
        if let Phase::Running(session) = &mut self.phase {
            session.send(now, peer, bytes, &self.url);
        }
    }

    /// Gives the allocation back, without waiting for an answer: if it does not arrive, the server forgets by itself.
    pub fn release(&mut self, now: Instant) {
        let Phase::Running(mut session) = std::mem::replace(&mut self.phase, Phase::Failed) else {
            return;
        };
        if let Some((relayed, _)) = session.relayed {
            let closed = session.client.relay(relayed).and_then(|mut relay| relay.close(now));
            if let Err(error) = closed {
                log::debug!("TURN server {}: {error}", self.url);
            }
        }
        session.flush();
        if let Link::Stream(stream) = &mut session.link {
            stream.close();
        }
        self.unwatch(&session);
    }
}

#[cfg(test)]
mod tests;
