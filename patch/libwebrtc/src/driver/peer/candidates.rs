//! How a peer can be reached: its own addresses, relays, and when each is offered.

use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::{Inner, Peer, RELAY_LINKS};
use crate::RtcError;
use crate::driver::tcp::TcpLink;
use crate::driver::turn::{Outcome, Question, Refusal, Relay, TurnUrl, UrlError, Watch};
use crate::driver::udp::UdpLink;
use crate::driver::{interfaces, settings};
use crate::peer_connection::{IceCandidateError, IceConnectionState, relay_only};
use crate::peer_connection_factory::{IceServer, IceTransportsType};

/// TCP is tried only where UDP has not connected within this time: whichever answers first is what media comes over, and one
/// lost check must not decide for the slower one.
pub(super) const TCP_AFTER: Duration = Duration::from_secs(1);
/// Servers that are asked for an allocation at a time. LiveKit announces one or two.
const MAX_RELAYS: usize = 8;
/// W3C webrtc §4.8.3: what is wrong is not something a server said.
const NOT_REACHED: u16 = 701;

impl Peer {
    /// Takes the servers to use, and whether nothing but their relays may be used. `later` says that servers may still be
    /// given: the SDK makes its first offer before it knows them.
    pub fn set_servers(&self, servers: &[IceServer], policy: IceTransportsType, later: bool) -> Result<(), RtcError> {
        let (wanted, refused) = wanted(servers);
        if relay_only(policy) && wanted.is_empty() && !(later && servers.is_empty()) {
            return Err(no_relay());
        }
        self.act(|inner, now| {
            for (url, error) in refused {
                log::warn!("TURN server {url}: {error}");
                let text = error.to_string();
                inner.engine.candidate_error(IceCandidateError {
                    address: String::new(),
                    port: 0,
                    url,
                    error_code: i32::from(NOT_REACHED),
                    error_text: text,
                });
            }
            inner
                .relays
                .retain(|relay| !relay.is_at_rest() || wanted.iter().any(|(url, _)| *url == relay.url));
            for (url, server) in wanted {
                let (username, password) = (server.username.clone(), server.password.clone());
                if let Some(known) = inner.relays.iter_mut().find(|relay| relay.url == url) {
                    known.set_credentials(username, password);
                } else if let Some(rank) = free_rank(&inner.relays) {
                    let watch = Watch {
                        thread: Arc::clone(&self.thread),
                        peer: self.id,
                        link: RELAY_LINKS + rank,
                    };
                    inner.relays.push(Relay::new(url, username, password, rank, watch));
                } else {
                    log::warn!("TURN server {url} is not used: {MAX_RELAYS} are enough");
                }
            }
            inner.relay_only = relay_only(policy);
            if inner.relay_only {
                self.drop_direct_links(inner);
            }
            if inner.relaying {
                self.begin_relays(inner, now);
            }
        });
        Ok(())
    }

    /// What was opened before only relays were allowed is not used any more.
    pub(super) fn drop_direct_links(&self, inner: &mut Inner) {
        let (udp, tcp) = (std::mem::take(&mut inner.udp), std::mem::take(&mut inner.tcp));
        for fd in udp.iter().map(UdpLink::fd).chain(tcp.iter().map(TcpLink::fd)) {
            self.thread.unwatch(fd);
        }
    }

    pub(super) fn gather(&self, inner: &mut Inner, now: Instant) {
        inner.relaying = true;
        self.begin_relays(inner, now);
        if inner.relay_only || std::mem::replace(&mut inner.gathered, true) {
            return;
        }
        let addresses = settings().addresses.unwrap_or_else(interfaces::local_addresses);
        for ip in addresses {
            self.offer(inner, ip);
        }
    }

    fn begin_relays(&self, inner: &mut Inner, now: Instant) {
        if inner.engine.is_closed() {
            return;
        }
        for relay in &mut inner.relays {
            if let Some(question) = relay.begin(now) {
                self.resolve(relay, question, now);
            }
        }
    }

    /// Asks the system's resolver, which may take its time, on a thread that ends with its answer.
    fn resolve(&self, relay: &mut Relay, question: Question, now: Instant) {
        let (this, link) = (Weak::clone(&self.this), relay.link());
        let Question { host, port, round } = question;
        let asked = std::thread::Builder::new()
            .name("turn-resolve".to_owned())
            .spawn(move || {
                let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
                if let Some(peer) = this.upgrade() {
                    peer.act(|inner, now| {
                        if let Some(relay) = inner.relays.iter_mut().find(|relay| relay.link() == link) {
                            relay.resolved(now, round, found);
                        }
                    });
                }
            });
        if let Err(error) = asked {
            relay.resolved(now, round, Err(error));
        }
    }

    pub(super) fn on_outcome(&self, inner: &mut Inner, now: Instant, outcome: Outcome) {
        match outcome {
            Outcome::Found { line, url } => add_candidate(inner, &line, Some(&url)),
            Outcome::Lost { line } => inner.engine.forget_local_candidate(&line),
            Outcome::Again => self.begin_relays(inner, now),
            Outcome::Refused(Refusal { url, local, code, text }) => {
                inner.engine.candidate_error(IceCandidateError {
                    address: local.map(|local| local.ip().to_string()).unwrap_or_default(),
                    port: local.map_or(0, |local| i32::from(local.port())),
                    url,
                    error_code: i32::from(code),
                    error_text: text,
                });
            }
        }
    }

    /// The address this system would reach a remote candidate from, if it is not offered yet: on a loopback server,
    /// across a tunnel or behind policy routing it is the only one that works.
    pub(super) fn offer_route(&self, inner: &mut Inner, now: Instant, remote_line: &str) {
        inner.held_until.get_or_insert(now + TCP_AFTER);
        if let Some(remote) = interfaces::candidate_address(remote_line)
            && let Some(ip) = interfaces::route_to(remote)
        {
            self.offer(inner, ip);
        }
    }

    fn offer(&self, inner: &mut Inner, ip: IpAddr) {
        if inner.relay_only || inner.offered.contains(&ip) || inner.engine.is_closed() {
            return;
        }
        let settings = settings();
        let rank = inner.offered.len();
        inner.offered.push(ip);
        let mut has_udp = false;
        if settings.udp {
            match UdpLink::bind(ip, settings.receive_buffer) {
                Ok(link) => {
                    add_candidate(inner, &interfaces::udp_candidate(rank, link.local), None);
                    if let Err(error) = self.thread.watch(self.id, inner.udp.len(), link.fd(), false) {
                        log::warn!("socket on {ip} cannot be served: {error}");
                    }
                    inner.udp.push(link);
                    has_udp = true;
                }
                Err(error) => log::warn!("no UDP socket on {ip}: {error}"),
            }
        }
        if settings.tcp {
            let line = interfaces::tcp_candidate(rank, ip);
            if has_udp {
                inner.held.push(line);
            } else {
                add_candidate(inner, &line, None);
            }
        }
    }

    /// Offers the TCP candidates once UDP has had its time, or has stopped to work.
    pub(super) fn offer_held(&self, inner: &mut Inner, now: Instant) {
        let is_over = inner.held_until.is_some_and(|at| now >= at);
        let is_up = matches!(
            self.ice_connection_state(),
            IceConnectionState::Connected | IceConnectionState::Completed
        );
        if is_over && !is_up && !inner.relay_only {
            for line in std::mem::take(&mut inner.held) {
                add_candidate(inner, &line, None);
            }
        }
    }
}

pub(super) fn no_relay() -> RtcError {
    RtcError::state("relay-only ICE was asked for, and no usable turn: or turns: server was given")
}

/// A relay, and the server whose credentials it takes.
type Wanted<'a> = (TurnUrl, &'a IceServer);

/// The relays among the servers, each with its server's credentials, and those that cannot be used.
fn wanted(servers: &[IceServer]) -> (Vec<Wanted<'_>>, Vec<(String, UrlError)>) {
    let (mut wanted, mut refused): (Vec<Wanted<'_>>, _) = (Vec::new(), Vec::new());
    for server in servers {
        for text in &server.urls {
            match text.parse::<TurnUrl>() {
                Ok(url) if wanted.iter().any(|(known, _)| *known == url) => {}
                Ok(url) => wanted.push((url, server)),
                Err(error) => refused.push((text.clone(), error)),
            }
        }
    }
    (wanted, refused)
}

fn free_rank(relays: &[Relay]) -> Option<usize> {
    (0..MAX_RELAYS).find(|rank| relays.iter().all(|relay| relay.link() != RELAY_LINKS + rank))
}

/// `url` is the server that a relayed address is of.
fn add_candidate(inner: &mut Inner, line: &str, url: Option<&str>) {
    if let Err(error) = inner.engine.add_local_candidate(line, url) {
        log::warn!("candidate {line} refused: {error}");
    }
}
