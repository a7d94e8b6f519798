//! One way to a TURN server, and the allocation that may come of it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::BytesMut;
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};
use rtc_stun::error_code::ErrorCodeAttribute;
use rtc_stun::message::{
    CLASS_ERROR_RESPONSE, CLASS_SUCCESS_RESPONSE, Getter, METHOD_ALLOCATE, METHOD_REFRESH, Message, MessageType,
    TransactionId,
};
use rtc_turn::client::Client;

use super::super::udp::UdpLink;
use super::stream::StreamLink;
use super::url::TurnUrl;
use super::{STALE_NONCE, UNREACHABLE};

/// Refreshes in a row that may be refused for their nonce.
pub(super) const STALE: u8 = 3;
/// Addresses of the other side that are sent to. A LiveKit server has a handful.
const MAX_PEERS: usize = 64;

pub(super) enum Link {
    Udp(UdpLink),
    Stream(StreamLink),
}

/// The server's leave to send to an address.
pub(super) enum Permission {
    /// Asked for; the last packet meant for it waits.
    Asked(TransactionId, BytesMut),
    Granted,
    Refused,
}

/// One try at one address of the server, and what becomes of it.
pub(super) struct Session {
    pub link: Link,
    /// Whether epoll is to tell when the link can be written.
    pub writing: bool,
    pub client: Client,
    pub server: SocketAddr,
    pub local: SocketAddr,
    pub begun: Instant,
    pub relayed: Option<(SocketAddr, String)>,
    /// When the server last accepted the nonce.
    pub fresh: Instant,
    pub stale: u8,
    /// The last refusal of an allocation: rtc-turn does not always say it.
    pub refusal: Option<(u16, String)>,
    pub permissions: HashMap<SocketAddr, Permission>,
}

impl Session {
    pub(super) fn send(&mut self, now: Instant, peer: SocketAddr, bytes: &[u8], url: &TurnUrl) {
        let Some((relayed, _)) = self.relayed else { return };
        // A relay of one family cannot send to the other.
        if relayed.is_ipv4() != peer.is_ipv4() {
            return;
        }
        let full = self.permissions.len() >= MAX_PEERS;
        match self.permissions.get_mut(&peer) {
            Some(Permission::Granted) => self.pass_on(relayed, peer, bytes),
            Some(Permission::Asked(_, waiting)) => *waiting = BytesMut::from(bytes),
            Some(Permission::Refused) => {}
            None if full => {}
            None => {
                let asked = self
                    .client
                    .relay(relayed)
                    .and_then(|mut relay| relay.create_permission(now, peer));
                match asked {
                    Ok(Some(transaction)) => {
                        let asked = Permission::Asked(transaction, BytesMut::from(bytes));
                        self.permissions.insert(peer, asked);
                    }
                    Ok(None) => {
                        self.permissions.insert(peer, Permission::Granted);
                        self.pass_on(relayed, peer, bytes);
                    }
                    Err(error) => log::debug!("TURN server {url}: {error}"),
                }
            }
        }
    }

    /// The time that rtc-turn is told is the time the server accepted the nonce: by it rtc-turn decides whether a channel is
    /// to be bound again.
    fn pass_on(&mut self, relayed: SocketAddr, peer: SocketAddr, bytes: &[u8]) {
        let sent = self
            .client
            .relay(relayed)
            .and_then(|mut relay| relay.send_to(self.fresh, bytes, peer));
        if let Err(error) = sent {
            log::trace!("nothing relayed to {peer}: {error}");
        }
        self.flush();
    }

    pub(super) fn permitted(&mut self, peer: SocketAddr) {
        let relayed = self.relayed.as_ref().map(|(relayed, _)| *relayed);
        let before = self.permissions.insert(peer, Permission::Granted);
        if let (Some(Permission::Asked(_, waiting)), Some(relayed)) = (before, relayed) {
            self.pass_on(relayed, peer, &waiting);
        }
    }

    /// Forgets that a permission was asked for: the next packet asks again. Whose it was.
    pub(super) fn forget(&mut self, transaction: TransactionId) -> Option<SocketAddr> {
        let peer = self
            .permissions
            .iter()
            .find_map(|(peer, permission)| match permission {
                Permission::Asked(asked, _) if *asked == transaction => Some(*peer),
                _ => None,
            })?;
        self.permissions.remove(&peer);
        Some(peer)
    }

    /// Takes one message of the server. An error is the end of the allocation, or of the try at one.
    pub(super) fn read(&mut self, now: Instant, message: BytesMut) -> Result<(), (u16, String)> {
        let kind = message_type(&message);
        let refusal = (kind.class == CLASS_ERROR_RESPONSE)
            .then(|| refusal(&message))
            .flatten();
        if kind.method == METHOD_ALLOCATE {
            self.refusal.clone_from(&refusal);
        }
        let read = self.client.handle_read(TaggedBytesMut {
            now,
            transport: TransportContext {
                local_addr: self.local,
                peer_addr: self.server,
                transport_protocol: TransportProtocol::UDP,
                ecn: None,
            },
            message,
        });
        if kind.method == METHOD_REFRESH {
            match refusal {
                None if kind.class == CLASS_SUCCESS_RESPONSE => (self.fresh, self.stale) = (now, 0),
                Some((STALE_NONCE, _)) if self.stale < STALE => {
                    self.stale += 1;
                    if let Err(error) = self.client.refresh_allocations(now) {
                        return Err((UNREACHABLE, error.to_string()));
                    }
                }
                Some(refusal) => return Err(refusal),
                None => {}
            }
        }
        match read {
            Err(error) if self.relayed.is_none() => Err((UNREACHABLE, error.to_string())),
            Err(error) => {
                log::debug!("a message of the TURN server at {}: {error}", self.server);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    pub(super) fn flush(&mut self) {
        while let Some(transmit) = self.client.poll_write() {
            match &mut self.link {
                Link::Udp(udp) => udp.send(self.server, &transmit.message),
                Link::Stream(stream) => stream.send(&transmit.message),
            }
        }
    }
}

/// Method and class of a STUN message. `ChannelData` has none that is asked for here.
fn message_type(message: &[u8]) -> MessageType {
    let mut kind = MessageType::default();
    if let [first @ 0..0x40, second, ..] = message {
        kind.read_value(u16::from_be_bytes([*first, *second]));
    }
    kind
}

/// The code and the reason of an error response.
fn refusal(message: &[u8]) -> Option<(u16, String)> {
    let mut decoded = Message::new();
    decoded.raw = message.to_vec();
    decoded.decode().ok()?;
    let mut error = ErrorCodeAttribute::default();
    error.get_from(&decoded).ok()?;
    Some((error.code.0, String::from_utf8_lossy(&error.reason).into_owned()))
}
