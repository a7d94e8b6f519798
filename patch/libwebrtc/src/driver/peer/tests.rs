use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::sync_channel;

use super::candidates::TCP_AFTER;
use super::*;
use crate::peer_connection::{IceConnectionState, SignalingState};

#[test]
fn after_a_callback_that_panics_the_failure_is_told() {
    let peer = Peer::new(IceTransportsType::All).expect("a connection");
    let (tell, told) = sync_channel(1);
    *peer.callbacks.signaling.lock() = Some(Box::new(|_| panic!("a fault of the application's")));
    *peer.callbacks.connection.lock() = Some(Box::new(move |state| tell.send(state).expect("heard")));
    peer.events.lock().push_back(Event::Signaling(SignalingState::Stable));
    catch_unwind(AssertUnwindSafe(|| peer.dispatch())).expect_err("it panics");
    peer.fail();
    assert_eq!(told.try_recv(), Ok(PeerConnectionState::Failed));
}

#[test]
fn tcp_is_offered_where_udp_has_had_its_time() {
    let peer = Peer::new(IceTransportsType::All).expect("a connection");
    let mut inner = peer.inner.lock();
    let remote = "1 1 udp 2130706431 127.0.0.1 9 typ host";
    let met = now();
    peer.offer_route(&mut inner, met, remote);
    peer.offer_route(&mut inner, met + TCP_AFTER / 2, remote);
    assert_eq!(inner.held.len(), 1);
    peer.offer_held(&mut inner, met + TCP_AFTER / 2);
    assert_eq!(inner.held.len(), 1, "UDP has more time");
    peer.note(&[Event::Ice(IceConnectionState::Connected)]);
    peer.offer_held(&mut inner, met + TCP_AFTER);
    assert_eq!(inner.held.len(), 1, "UDP works");
    peer.note(&[Event::Ice(IceConnectionState::Disconnected)]);
    peer.offer_held(&mut inner, met + TCP_AFTER * 9);
    assert!(inner.held.is_empty(), "UDP works no more");
}

#[test]
fn a_broken_tcp_connection_is_opened_again_after_a_while() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback binds");
    let passive = listener.local_addr().expect("bound");
    let local = SocketAddr::from(([127, 0, 0, 1], 9));
    let peer = Peer::new(IceTransportsType::All).expect("a connection");
    let (begun, mut inner) = (now(), peer.inner.lock());
    let tcp = &mut inner.tcp;
    assert_eq!(peer.connect(begun, tcp, local, passive), Some(0));
    tcp[0].failed = true;
    let soon = begun + TCP_AGAIN_AFTER / 2;
    assert_eq!(peer.connect(soon, tcp, local, passive), None, "checks come often");
    assert_eq!(peer.connect(begun + TCP_AGAIN_AFTER, tcp, local, passive), Some(0));
    assert_eq!((tcp.len(), tcp[0].failed), (1, false));
}
