//! Relays and a TURN server that does what each test wants, over loopback. Time is a number: ten minutes take no longer
//! than their messages.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};

use bytes::BytesMut;
use nix::sys::epoll::EpollFlags;
use rtc_stun::attributes::{ATTR_NONCE, ATTR_REALM, ATTR_USERNAME};
use rtc_stun::error_code::{ErrorCode, ErrorCodeAttribute};
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{
    CLASS_ERROR_RESPONSE, CLASS_INDICATION, CLASS_SUCCESS_RESPONSE, Getter, METHOD_ALLOCATE, METHOD_CHANNEL_BIND,
    METHOD_CREATE_PERMISSION, METHOD_DATA, METHOD_REFRESH, METHOD_SEND, Message, MessageType, Method, Setter,
    TransactionId,
};
use rtc_stun::textattrs::{Nonce, Realm, TextAttribute, Username};
use rtc_stun::xoraddr::XorMappedAddress;
use rtc_turn::proto::channum::ChannelNumber;
use rtc_turn::proto::data::Data;
use rtc_turn::proto::lifetime::Lifetime;
use rtc_turn::proto::peeraddr::PeerAddress;
use rtc_turn::proto::relayaddr::RelayedAddress;

use super::super::thread::MediaThreads;
use super::super::udp::{ArrivalClock, ReceiveBuffers};
use super::super::{Settings, now, unix_time};
use super::session::STALE;
use super::*;

const REALM: &str = "test";
const USER: &str = "greffier";
const PASSWORD: &str = "a password";

fn peer() -> SocketAddr {
    "192.0.2.7:5000".parse().expect("an address")
}

/// How the server is reached.
enum Way {
    Udp(UdpSocket, Option<SocketAddr>),
    Tcp(TcpListener, Option<TcpStream>, BytesMut),
}

/// A TURN server with one client.
struct Server {
    way: Way,
    nonce: u32,
    /// What comes of requests: their method, and the code of an error.
    log: Vec<(Method, Option<u16>)>,
    /// The next requests of this method are refused so.
    refuse: Vec<(Method, u16)>,
    silent: bool,
    relayed: SocketAddr,
    channels: HashMap<u16, SocketAddr>,
    /// What was sent to the other side, and whether by a channel.
    sent: Vec<(SocketAddr, Vec<u8>, bool)>,
    released: bool,
}

impl Server {
    fn new(way: Way) -> Self {
        Self {
            way,
            nonce: 0,
            log: Vec::new(),
            refuse: Vec::new(),
            silent: false,
            relayed: "127.0.0.1:40000".parse().expect("an address"),
            channels: HashMap::new(),
            sent: Vec::new(),
            released: false,
        }
    }

    fn port(&self) -> u16 {
        match &self.way {
            Way::Udp(socket, _) => socket.local_addr(),
            Way::Tcp(listener, ..) => listener.local_addr(),
        }
        .expect("bound")
        .port()
    }

    /// Answers what has come. Whether anything had.
    fn serve(&mut self) -> bool {
        let mut messages = Vec::new();
        match &mut self.way {
            Way::Udp(socket, client) => {
                let mut buffer = [0; 2048];
                while let Ok((len, from)) = socket.recv_from(&mut buffer) {
                    *client = Some(from);
                    messages.push(buffer[..len].to_vec());
                }
            }
            Way::Tcp(listener, stream, incoming) => {
                if stream.is_none()
                    && let Ok((accepted, _)) = listener.accept()
                {
                    accepted.set_nonblocking(true).expect("set");
                    // Each piece goes at once, and waits for no acknowledgement of the one before.
                    accepted.set_nodelay(true).expect("set");
                    *stream = Some(accepted);
                }
                let mut buffer = [0; 2048];
                while let Some(Ok(len @ 1..)) = stream.as_mut().map(|stream| stream.read(&mut buffer)) {
                    incoming.extend_from_slice(&buffer[..len]);
                }
                while let Ok(Some(message)) = stream::next_message(incoming) {
                    messages.push(message.to_vec());
                }
            }
        }
        for message in &messages {
            self.on_message(message);
        }
        !messages.is_empty()
    }

    fn send(&mut self, message: &[u8]) {
        match &mut self.way {
            Way::Udp(socket, client) => {
                socket.send_to(message, client.expect("a client")).expect("sent");
            }
            Way::Tcp(_, stream, _) => {
                let stream = stream.as_mut().expect("a client");
                // In pieces, as a network might.
                for piece in message.chunks(7) {
                    // Who has left hears no answer.
                    let _ = stream.write_all(piece);
                }
            }
        }
    }

    fn answer(&mut self, request: &Message, code: Option<u16>, more: Vec<Box<dyn Setter>>) {
        let class = if code.is_some() {
            CLASS_ERROR_RESPONSE
        } else {
            CLASS_SUCCESS_RESPONSE
        };
        let mut setters: Vec<Box<dyn Setter>> = vec![
            Box::new(request.transaction_id),
            Box::new(MessageType::new(request.typ.method, class)),
        ];
        if let Some(code) = code {
            setters.push(Box::new(ErrorCodeAttribute {
                code: ErrorCode(code),
                reason: b"as the test has it".to_vec(),
            }));
            setters.push(Box::new(Nonce::new(ATTR_NONCE, self.nonce.to_string())));
            setters.push(Box::new(Realm::new(ATTR_REALM, REALM.to_owned())));
        }
        setters.extend(more);
        let mut answer = Message::new();
        answer.build(&setters).expect("built");
        self.log.push((request.typ.method, code));
        self.send(&answer.raw);
    }

    /// Whether the request may be carried out; else the error it is answered with.
    fn judge(&mut self, request: &mut Message) -> Option<u16> {
        let Ok(nonce) = TextAttribute::get_from_as(request, ATTR_NONCE) else {
            return Some(401);
        };
        if nonce.text != self.nonce.to_string() {
            return Some(STALE_NONCE);
        }
        let crypto = rtc_turn::crypto::default_provider().expect("a provider");
        let key = MessageIntegrity::long_term_integrity_key(
            USER.to_owned(),
            REALM.to_owned(),
            PASSWORD.to_owned(),
            crypto.crypto(),
        )
        .expect("a key");
        let user = Username::get_from_as(request, ATTR_USERNAME).expect("a user");
        if user.text != USER || MessageIntegrity::check(request, &key, crypto.crypto()).is_err() {
            return Some(401);
        }
        let method = request.typ.method;
        let index = self.refuse.iter().position(|(refused, _)| *refused == method)?;
        Some(self.refuse.remove(index).1)
    }

    fn on_message(&mut self, bytes: &[u8]) {
        if self.silent {
            return;
        }
        if bytes[0] >= 0x40 {
            let number = u16::from_be_bytes([bytes[0], bytes[1]]);
            let len = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
            let peer = self.channels[&number];
            self.sent.push((peer, bytes[4..4 + len].to_vec(), true));
            return;
        }
        let mut request = Message::new();
        request.raw = bytes.to_vec();
        request.decode().expect("STUN");
        let mut peer = PeerAddress::default();
        let named = peer.get_from(&request).is_ok();
        let peer = SocketAddr::new(peer.ip, peer.port);
        if request.typ == MessageType::new(METHOD_SEND, CLASS_INDICATION) {
            let mut data = Data::default();
            data.get_from(&request).expect("data");
            self.sent.push((peer, data.0, false));
            return;
        }
        if let Some(code) = self.judge(&mut request) {
            return self.answer(&request, Some(code), Vec::new());
        }
        let mut lifetime = Lifetime(Duration::from_mins(10));
        match request.typ.method {
            METHOD_ALLOCATE => {
                let (relayed, seen) = (self.relayed, "127.0.0.1:1".parse::<SocketAddr>().expect("an address"));
                let answer: Vec<Box<dyn Setter>> = vec![
                    Box::new(RelayedAddress {
                        ip: relayed.ip(),
                        port: relayed.port(),
                    }),
                    Box::new(lifetime),
                    Box::new(XorMappedAddress {
                        ip: seen.ip(),
                        port: seen.port(),
                    }),
                ];
                self.answer(&request, None, answer);
            }
            METHOD_REFRESH => {
                lifetime.get_from(&request).expect("a lifetime");
                self.released |= lifetime.0.is_zero();
                self.answer(&request, None, vec![Box::new(lifetime)]);
            }
            METHOD_CHANNEL_BIND => {
                let mut number = ChannelNumber::default();
                number.get_from(&request).expect("a number");
                let bound = self.channels.iter().find(|(_, bound)| **bound == peer);
                let code = bound.is_some_and(|(known, _)| *known != number.0).then_some(400);
                if code.is_none() {
                    self.channels.insert(number.0, peer);
                }
                self.answer(&request, code, Vec::new());
            }
            METHOD_CREATE_PERMISSION => {
                assert!(named, "for whom");
                self.answer(&request, None, Vec::new());
            }
            method => panic!("{method:?} was not expected"),
        }
    }

    /// The other side sends to the relayed address.
    fn relay(&mut self, peer: SocketAddr, bytes: &[u8]) {
        let channel = self.channels.iter().find(|(_, bound)| **bound == peer);
        if let Some((number, _)) = channel {
            let mut message = number.to_be_bytes().to_vec();
            message.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
            message.extend_from_slice(bytes);
            while message.len() % 4 != 0 {
                message.push(0);
            }
            return self.send(&message);
        }
        let mut message = Message::new();
        message
            .build(&[
                Box::new(TransactionId::new()),
                Box::new(MessageType::new(METHOD_DATA, CLASS_INDICATION)),
                Box::new(PeerAddress {
                    ip: peer.ip(),
                    port: peer.port(),
                }),
                Box::new(Data(bytes.to_vec())),
            ])
            .expect("built");
        self.send(&message.raw);
    }

    fn count(&self, method: Method, code: Option<u16>) -> usize {
        self.log.iter().filter(|entry| **entry == (method, code)).count()
    }
}

/// A relay and its server.
struct Rig {
    relay: Relay,
    server: Server,
    now: Instant,
    outcomes: Vec<Outcome>,
    received: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    _threads: MediaThreads,
}

impl Rig {
    fn new(transport: Transport) -> Self {
        let way = if transport == Transport::Udp {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
            socket.set_nonblocking(true).expect("set");
            Way::Udp(socket, None)
        } else {
            let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
            listener.set_nonblocking(true).expect("set");
            Way::Tcp(listener, None, BytesMut::new())
        };
        let server = Server::new(way);
        let threads = MediaThreads::start(&Settings {
            media_threads: 1,
            ..Settings::default()
        });
        let watch = Watch {
            thread: Arc::clone(threads.pick().expect("a thread")),
            peer: 0,
            link: 192,
        };
        let url = TurnUrl {
            host: "127.0.0.1".to_owned(),
            port: server.port(),
            transport,
        };
        Self {
            relay: Relay::new(url, USER.to_owned(), PASSWORD.to_owned(), 0, watch),
            server,
            now: now(),
            outcomes: Vec::new(),
            received: Vec::new(),
            _threads: threads,
        }
    }

    /// One that has an allocation.
    fn allocated(transport: Transport) -> Self {
        let mut rig = Self::new(transport);
        assert!(rig.relay.begin(rig.now).is_none());
        rig.exchange();
        assert!(matches!(&rig.outcomes[..], [Outcome::Found { .. }]));
        rig.outcomes.clear();
        rig
    }

    /// One that sends by a channel.
    fn bound(transport: Transport) -> Self {
        let mut rig = Self::allocated(transport);
        for n in 0..3u8 {
            rig.relay.send(rig.now, peer(), &[n]);
            rig.exchange();
        }
        assert_eq!(rig.server.channels.len(), 1);
        rig
    }

    /// Until nobody has anything more to say.
    fn exchange(&mut self) {
        let mut buffers = ReceiveBuffers::new();
        let mut quiet = 0;
        // Over TCP, what is written can be read a moment later.
        let enough = if self.relay.url.transport == Transport::Udp {
            2
        } else {
            100
        };
        while quiet < enough {
            self.relay.flush(self.now);
            let mut busy = self.server.serve();
            let clock = ArrivalClock {
                now: self.now,
                unix: unix_time(),
            };
            let received = &mut self.received;
            let before = received.len();
            let ready = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT;
            self.relay
                .on_ready(ready, &mut buffers, clock, 4, |_, relayed, peer, bytes| {
                    received.push((relayed, peer, bytes.to_vec()));
                });
            busy |= received.len() > before;
            while let Some(outcome) = self.relay.poll_outcome() {
                busy = true;
                self.outcomes.push(outcome);
            }
            quiet = if busy { 0 } else { quiet + 1 };
            if quiet > 0 && self.relay.url.transport != Transport::Udp {
                std::thread::park_timeout(Duration::from_millis(1));
            }
        }
    }

    /// Lets time pass; everything that is due happens on the way.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.relay.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.relay.handle_timeout(self.now);
            self.exchange();
        }
        self.now = until;
    }

    fn refusal(&self) -> (u16, &str) {
        match &self.outcomes[..] {
            [Outcome::Refused(refusal)] => (refusal.code, &*refusal.text),
            _ => panic!("{} outcomes", self.outcomes.len()),
        }
    }
}

fn relays(transport: Transport) {
    let mut rig = Rig::new(transport);
    assert!(rig.relay.is_pending());
    assert!(rig.relay.begin(rig.now).is_none());
    rig.exchange();
    let Some(Outcome::Found { line, url }) = rig.outcomes.pop() else {
        panic!("no candidate")
    };
    assert!(
        line.contains(" 127.0.0.1 40000 typ relay raddr 0.0.0.0 rport 9"),
        "{line}"
    );
    assert_eq!(url, rig.relay.url.to_string());
    assert_eq!(rig.relay.relayed(), Some(rig.server.relayed));

    // The packet that waited for the permission, then one beside the channel that is being bound, then one by it.
    for n in 0..3u8 {
        rig.relay.send(rig.now, peer(), &[n; 5]);
        rig.exchange();
    }
    let sent: Vec<_> = (0..3u8).map(|n| (peer(), vec![n; 5], n > 0)).collect();
    assert_eq!(rig.server.sent, sent);
    assert_eq!(rig.server.count(METHOD_CREATE_PERMISSION, None), 1);
    assert_eq!(rig.server.count(METHOD_CHANNEL_BIND, None), 1);

    // What comes back, by the channel; and what another sends, who has none.
    let other: SocketAddr = "192.0.2.8:6000".parse().expect("an address");
    rig.server.relay(peer(), b"hello");
    rig.server.relay(other, b"me too");
    rig.exchange();
    let relayed = rig.server.relayed;
    assert_eq!(
        rig.received,
        [
            (relayed, peer(), b"hello".to_vec()),
            (relayed, other, b"me too".to_vec())
        ]
    );

    rig.relay.release(rig.now);
    rig.exchange();
    assert!(rig.server.released);
    assert_eq!(rig.relay.relayed(), None);
}

#[test]
fn packets_go_both_ways_over_udp() {
    relays(Transport::Udp);
}

#[test]
fn packets_go_both_ways_over_tcp() {
    relays(Transport::Tcp);
}

#[test]
fn a_refusal_says_what_the_server_said() {
    for code in [403, 486, 508] {
        let mut rig = Rig::new(Transport::Udp);
        rig.server.refuse.push((METHOD_ALLOCATE, code));
        rig.relay.begin(rig.now);
        rig.exchange();
        assert_eq!(rig.refusal(), (code, &*format!("{code} as the test has it")));
        assert!(!rig.relay.is_pending());
        // It is asked again when somebody wants it, and not before.
        assert!(rig.relay.poll_timeout().is_none());
        rig.outcomes.clear();
        rig.relay.forgive();
        rig.relay.begin(rig.now);
        rig.exchange();
        assert!(matches!(&rig.outcomes[..], [Outcome::Found { .. }]));
    }
}

#[test]
fn a_wrong_password_is_told() {
    let mut rig = Rig::new(Transport::Udp);
    rig.relay.set_credentials(USER.to_owned(), "guessed".to_owned());
    rig.relay.begin(rig.now);
    rig.exchange();
    assert_eq!(rig.refusal().0, 401);
}

#[test]
fn an_allocation_is_tried_again_from_another_port() {
    for code in [ALLOCATION_MISMATCH, STALE_NONCE] {
        let mut rig = Rig::new(Transport::Udp);
        rig.server.refuse.push((METHOD_ALLOCATE, code));
        rig.relay.begin(rig.now);
        rig.exchange();
        assert!(matches!(&rig.outcomes[..], [Outcome::Found { .. }]));
        let mut rig = Rig::new(Transport::Udp);
        rig.server.refuse.extend([(METHOD_ALLOCATE, code); 2]);
        rig.relay.begin(rig.now);
        rig.exchange();
        assert_eq!(rig.refusal().0, code);
    }
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let mut rig = Rig::new(Transport::Udp);
    rig.server.silent = true;
    rig.relay.begin(rig.now);
    rig.exchange();
    assert!(rig.outcomes.is_empty() && rig.relay.is_pending());
    rig.pass(SET_UP);
    assert_eq!(rig.refusal().0, UNREACHABLE);
    assert!(!rig.relay.is_pending());
}

#[test]
fn a_port_where_nobody_listens_is_told() {
    let mut rig = Rig::new(Transport::Tcp);
    rig.server.way = Way::Udp(UdpSocket::bind("127.0.0.1:0").expect("bound"), None);
    let Way::Udp(socket, _) = &rig.server.way else { return };
    socket.set_nonblocking(true).expect("set");
    rig.relay.begin(rig.now);
    rig.exchange();
    assert_eq!(rig.refusal().0, UNREACHABLE);
}

#[test]
fn names_are_resolved_by_others() {
    let mut rig = Rig::new(Transport::Udp);
    let port = rig.relay.url.port;
    "localhost".clone_into(&mut rig.relay.url.host);
    let question = rig.relay.begin(rig.now).expect("a name");
    assert_eq!((&*question.host, question.port), ("localhost", port));
    assert!(rig.relay.begin(rig.now).is_none(), "once");
    // The first address is nobody's: the second is tried.
    let found = vec![([127, 0, 0, 2], port).into(), ([127, 0, 0, 1], port).into()];
    rig.relay.resolved(rig.now, question.round, Ok(found));
    rig.exchange();
    assert!(rig.outcomes.is_empty());
    rig.pass(SET_UP);
    assert!(matches!(&rig.outcomes[..], [Outcome::Found { .. }]));

    for answer in [Err(io::Error::other("no such name")), Ok(Vec::new())] {
        let mut rig = Rig::new(Transport::Udp);
        "nowhere.invalid".clone_into(&mut rig.relay.url.host);
        let question = rig.relay.begin(rig.now).expect("a name");
        rig.relay.resolved(rig.now, question.round, answer);
        rig.exchange();
        assert_eq!(rig.refusal().0, UNREACHABLE);
    }

    let mut rig = Rig::new(Transport::Udp);
    "slow.invalid".clone_into(&mut rig.relay.url.host);
    let question = rig.relay.begin(rig.now).expect("a name");
    rig.pass(SET_UP);
    rig.exchange();
    assert_eq!(rig.refusal().0, UNREACHABLE);
    let late = vec![SocketAddr::from(([127, 0, 0, 1], port))];
    rig.relay.resolved(rig.now, question.round, Ok(late));
    rig.exchange();
    assert!(!rig.relay.is_pending(), "too late");
}

#[test]
fn what_is_granted_is_kept_for_hours() {
    let mut rig = Rig::bound(Transport::Udp);
    for minute in 0..120 {
        // A nonce is good for ten minutes here. Packets go on; the next refresh is the first to meet the new one.
        if minute % 10 == 9 {
            rig.server.nonce += 1;
        }
        rig.relay.send(rig.now, peer(), b"media");
        rig.exchange();
        rig.pass(Duration::from_mins(1));
        rig.relay.send(rig.now, peer(), b"media");
        rig.exchange();
        rig.server.relay(peer(), b"media");
        rig.exchange();
    }
    assert!(rig.outcomes.is_empty(), "nothing is lost");
    assert!(rig.server.count(METHOD_REFRESH, None) >= 119);
    assert!(rig.server.count(METHOD_REFRESH, Some(STALE_NONCE)) >= 11);
    // Permissions end after five minutes, channels after ten.
    assert!(rig.server.count(METHOD_CREATE_PERMISSION, None) >= 45);
    assert!(rig.server.count(METHOD_CHANNEL_BIND, None) >= 17);
    assert_eq!(rig.server.count(METHOD_CHANNEL_BIND, Some(STALE_NONCE)), 0);
    assert_eq!(rig.server.count(METHOD_CHANNEL_BIND, Some(400)), 0);
    assert_eq!(rig.server.channels.len(), 1);
    assert_eq!(
        (rig.server.sent.len(), rig.received.len()),
        (3 + 2 * 120, 120),
        "nothing is lost"
    );
}

#[test]
fn a_lost_allocation_is_asked_for_again() {
    let mut rig = Rig::bound(Transport::Udp);
    rig.server.refuse.push((METHOD_REFRESH, ALLOCATION_MISMATCH));
    rig.pass(REFRESH);
    let [Outcome::Lost { line }, Outcome::Again] = &rig.outcomes[..] else {
        panic!("it is lost")
    };
    assert!(line.contains(" 40000 typ relay"), "{line}");
    rig.outcomes.clear();
    rig.server.channels.clear();
    rig.server.relayed.set_port(40_001);
    rig.relay.begin(rig.now);
    rig.exchange();
    assert!(matches!(&rig.outcomes[..], [Outcome::Found { line, .. }] if line.contains(" 40001 typ relay")));
    rig.relay.send(rig.now, peer(), b"again");
    rig.exchange();
    assert_eq!(rig.server.sent.last(), Some(&(peer(), b"again".to_vec(), false)));
}

#[test]
fn a_server_that_always_wants_another_nonce_is_no_loop() {
    let mut rig = Rig::allocated(Transport::Udp);
    rig.server.refuse.extend([(METHOD_REFRESH, STALE_NONCE); 100]);
    rig.pass(REFRESH);
    assert_eq!(
        rig.server.count(METHOD_REFRESH, Some(STALE_NONCE)),
        usize::from(STALE) + 1
    );
    assert!(matches!(&rig.outcomes[..], [Outcome::Lost { .. }, Outcome::Again]));
}

#[test]
fn an_address_that_may_not_be_sent_to_is_left_alone() {
    let mut rig = Rig::allocated(Transport::Udp);
    rig.server
        .refuse
        .extend([(METHOD_CREATE_PERMISSION, STALE_NONCE), (METHOD_CREATE_PERMISSION, 403)]);
    for _ in 0..10 {
        rig.relay.send(rig.now, peer(), b"hello");
        rig.exchange();
    }
    assert_eq!(rig.server.count(METHOD_CREATE_PERMISSION, Some(STALE_NONCE)), 1);
    assert_eq!(rig.server.count(METHOD_CREATE_PERMISSION, Some(403)), 1);
    assert_eq!(rig.server.count(METHOD_CREATE_PERMISSION, None), 0);
    assert!(rig.server.sent.is_empty());
    // Others are not touched by it; those of another family cannot be reached.
    rig.relay
        .send(rig.now, "[2001:db8::1]:1".parse().expect("an address"), b"hello");
    rig.relay
        .send(rig.now, "192.0.2.9:1".parse().expect("an address"), b"hello");
    rig.exchange();
    assert_eq!(rig.server.sent.len(), 1);
}
