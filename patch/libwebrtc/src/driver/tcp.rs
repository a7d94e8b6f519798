//! ICE-TCP: active connections, each packet behind its length in 16 bits (RFC 4571).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use bytes::{Buf, BytesMut};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, connect, setsockopt, socket, sockopt,
};
use std::os::fd::AsRawFd;

/// More than this waiting to be sent means the path does not carry it: newer packets are dropped, as UDP would.
const MAX_QUEUED: usize = 1 << 20;

/// One TCP connection to a passive candidate.
pub(super) struct TcpLink {
    stream: TcpStream,
    /// What the engine calls our side: the active candidate's address, whose port is no real one.
    pub local: SocketAddr,
    pub peer: SocketAddr,
    /// When it was begun.
    pub begun: Instant,
    incoming: BytesMut,
    outgoing: BytesMut,
    pub failed: bool,
}

/// A socket that is about to be connected; nobody waits for it.
pub(super) fn open(peer: SocketAddr) -> io::Result<TcpStream> {
    let family = if peer.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(family, SockType::Stream, flags, SockProtocol::Tcp)?;
    setsockopt(&fd, sockopt::TcpNoDelay, &true)?;
    match connect(fd.as_raw_fd(), &SockaddrStorage::from(peer)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(TcpStream::from(fd)),
        Err(error) => Err(error.into()),
    }
}

impl TcpLink {
    /// Starts to connect; packets written meanwhile wait.
    pub fn connect(now: Instant, local: SocketAddr, peer: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            stream: open(peer)?,
            local,
            peer,
            begun: now,
            incoming: BytesMut::new(),
            outgoing: BytesMut::new(),
            failed: false,
        })
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    pub fn wants_write(&self) -> bool {
        !self.outgoing.is_empty()
    }

    pub fn send(&mut self, packet: &[u8]) {
        let Ok(len) = u16::try_from(packet.len()) else { return };
        if self.failed || self.outgoing.len() > MAX_QUEUED {
            return;
        }
        self.outgoing.extend_from_slice(&len.to_be_bytes());
        self.outgoing.extend_from_slice(packet);
        self.flush();
    }

    pub fn flush(&mut self) {
        while !self.outgoing.is_empty() && !self.failed {
            match self.stream.write(&self.outgoing) {
                Ok(0) => self.failed = true,
                Ok(n) => self.outgoing.advance(n),
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    log::debug!("ICE-TCP to {} ended: {error}", self.peer);
                    self.failed = true;
                }
            }
        }
    }

    /// Reads what is there and hands over whole packets.
    pub fn receive(&mut self, mut take: impl FnMut(BytesMut)) {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    self.failed = true;
                    break;
                }
                Ok(n) => self.incoming.extend_from_slice(&buffer[..n]),
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    log::debug!("ICE-TCP from {} ended: {error}", self.peer);
                    self.failed = true;
                    break;
                }
            }
        }
        while let Some(packet) = next_packet(&mut self.incoming) {
            take(packet);
        }
    }
}

fn next_packet(stream: &mut BytesMut) -> Option<BytesMut> {
    let len = usize::from(u16::from_be_bytes([*stream.first()?, *stream.get(1)?]));
    if stream.len() < 2 + len {
        return None;
    }
    stream.advance(2);
    Some(stream.split_to(len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However the stream is cut into segments, the packets are the ones that were written.
        #[test]
        fn packets_survive_any_segmentation(
            packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..20),
            cuts in proptest::collection::vec(1usize..97, 1..40),
        ) {
            let mut wire = Vec::new();
            for packet in &packets {
                wire.extend_from_slice(&(packet.len() as u16).to_be_bytes());
                wire.extend_from_slice(packet);
            }
            let (mut stream, mut read, mut rest) = (BytesMut::new(), Vec::new(), &wire[..]);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (segment, after) = rest.split_at((*cut).min(rest.len()));
                stream.extend_from_slice(segment);
                rest = after;
                while let Some(packet) = next_packet(&mut stream) {
                    read.push(packet.to_vec());
                }
            }
            prop_assert_eq!(read, packets);
            prop_assert!(stream.is_empty());
        }
    }
}
