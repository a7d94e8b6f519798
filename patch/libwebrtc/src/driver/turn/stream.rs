//! TURN over TCP and TLS: STUN messages and `ChannelData` one after the other (RFC 8656 §12.5).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use bytes::{Buf, BytesMut};
use rustls::ClientConnection;

use super::super::tcp::open;

/// More than this waiting to be sent means the path does not carry it: newer packets are dropped, as UDP would.
const MAX_QUEUED: usize = 1 << 20;
/// Reads of 16 KiB before others get their turn; what is left over is told of again.
const READS: usize = 64;
/// Bytes of a STUN header; those of a `ChannelData` header are four.
const STUN_HEADER: usize = 20;

/// A connection to a TURN server.
pub(super) struct StreamLink {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    incoming: BytesMut,
    /// What the kernel has not taken yet: ciphertext, where there is TLS.
    outgoing: Vec<u8>,
    /// Messages dropped because the path did not carry them.
    dropped: u64,
    /// Why the connection cannot be used any more.
    pub failed: Option<String>,
}

impl StreamLink {
    /// Starts to connect; what is sent meanwhile waits.
    pub fn connect(server: SocketAddr, tls: Option<ClientConnection>) -> io::Result<Self> {
        let mut link = Self {
            stream: open(server)?,
            tls: tls.map(Box::new),
            incoming: BytesMut::new(),
            outgoing: Vec::new(),
            dropped: 0,
            failed: None,
        };
        link.encrypt();
        Ok(link)
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    pub fn local(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    pub fn wants_write(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Sends one whole message, or drops it.
    pub fn send(&mut self, message: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        if self.outgoing.len() > MAX_QUEUED {
            self.dropped += 1;
            if self.dropped.is_power_of_two() {
                log::warn!(
                    "TURN over TCP: the path is full, {} messages dropped so far",
                    self.dropped
                );
            }
            return;
        }
        if let Some(tls) = &mut self.tls {
            if let Err(error) = tls.writer().write_all(message) {
                self.fail(&format!("TLS: {error}"));
            }
            self.encrypt();
        } else {
            self.outgoing.extend_from_slice(message);
        }
        self.flush();
    }

    /// Moves what TLS has to say to what is to be sent.
    fn encrypt(&mut self) {
        let Some(tls) = &mut self.tls else { return };
        while tls.wants_write() {
            // Writing to memory does not fail.
            if tls.write_tls(&mut self.outgoing).is_err() {
                return;
            }
        }
    }

    pub fn flush(&mut self) {
        let mut sent = 0;
        while sent < self.outgoing.len() && self.failed.is_none() {
            match self.stream.write(&self.outgoing[sent..]) {
                Ok(0) => self.fail("the connection is closed"),
                Ok(n) => sent += n,
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.fail(&error.to_string()),
            }
        }
        self.outgoing.drain(..sent);
    }

    /// Reads what is there and hands over whole messages.
    pub fn receive(&mut self, mut take: impl FnMut(BytesMut)) {
        let mut buffer = [0; 16 * 1024];
        // The reason a connection could not be made is told once, by the socket.
        if let Ok(Some(error)) = self.stream.take_error() {
            self.fail(&error.to_string());
        }
        for _ in 0..READS {
            if self.failed.is_some() {
                break;
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => self.fail("the server closed the connection"),
                Ok(n) => self.decrypt(&buffer[..n]),
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.fail(&error.to_string()),
            }
        }
        loop {
            match next_message(&mut self.incoming) {
                Ok(Some(message)) => take(message),
                Ok(None) => break,
                Err(NotTurn) => {
                    self.fail("what the server sends is not TURN");
                    break;
                }
            }
        }
        self.flush();
    }

    fn decrypt(&mut self, mut bytes: &[u8]) {
        let Some(tls) = &mut self.tls else {
            self.incoming.extend_from_slice(bytes);
            return;
        };
        let mut failed = None;
        while !bytes.is_empty() && failed.is_none() {
            // Reading from memory does not fail; TLS takes nothing only while it holds much that was not read.
            if tls.read_tls(&mut bytes).is_err() {
                failed = Some("TLS: too much at once".to_owned());
            }
            match tls.process_new_packets() {
                Ok(state) => {
                    let start = self.incoming.len();
                    self.incoming.resize(start + state.plaintext_bytes_to_read(), 0);
                    if let Err(error) = tls.reader().read_exact(&mut self.incoming[start..]) {
                        failed = Some(format!("TLS: {error}"));
                    }
                }
                Err(error) => failed = Some(format!("TLS: {error}")),
            }
        }
        // An alert says why to the other side, too.
        self.encrypt();
        if let Some(reason) = failed {
            self.flush();
            self.fail(&reason);
        }
    }

    fn fail(&mut self, reason: &str) {
        self.failed.get_or_insert_with(|| reason.to_owned());
    }

    /// Says goodbye, as far as the kernel takes it.
    pub fn close(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        self.encrypt();
        self.flush();
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotTurn;

/// The next whole message of a stream. STUN says the length of what follows its header, a multiple of four; `ChannelData`
/// the length of its data, which is followed by padding up to a multiple of four.
pub(super) fn next_message(stream: &mut BytesMut) -> Result<Option<BytesMut>, NotTurn> {
    let &[first, _, high, low, ..] = &stream[..] else {
        return match stream.first() {
            Some(first) if first >> 6 > 1 => Err(NotTurn),
            _ => Ok(None),
        };
    };
    let len = usize::from(u16::from_be_bytes([high, low]));
    let (whole, padding) = match first >> 6 {
        0 if len % 4 == 0 => (STUN_HEADER + len, 0),
        1 => (4 + len, len.wrapping_neg() % 4),
        _ => return Err(NotTurn),
    };
    if stream.len() < whole + padding {
        return Ok(None);
    }
    let message = stream.split_to(whole);
    stream.advance(padding);
    Ok(Some(message))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A message as it is sent, and as it is to be handed over.
    fn message() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
        let bytes = |most| proptest::collection::vec(any::<u8>(), 0..most);
        prop_oneof![
            (0u8..0x40, any::<u8>(), bytes(60)).prop_map(|(first, second, mut body)| {
                body.truncate(body.len() / 4 * 4);
                let mut whole = vec![first, second];
                whole.extend_from_slice(&(body.len() as u16).to_be_bytes());
                whole.extend_from_slice(&[0x21; 16]);
                whole.extend_from_slice(&body);
                (whole.clone(), whole)
            }),
            (0x40u8..0x80, any::<u8>(), bytes(300), any::<u8>()).prop_map(|(first, second, body, filler)| {
                let mut whole = vec![first, second];
                whole.extend_from_slice(&(body.len() as u16).to_be_bytes());
                whole.extend_from_slice(&body);
                let mut wire = whole.clone();
                while wire.len() % 4 != 0 {
                    wire.push(filler);
                }
                (wire, whole)
            }),
        ]
    }

    proptest! {
        /// However the stream is cut into segments, the messages are the ones that were written.
        #[test]
        fn messages_survive_any_segmentation(
            messages in proptest::collection::vec(message(), 0..20),
            cuts in proptest::collection::vec(1usize..97, 1..40),
        ) {
            let wire: Vec<u8> = messages.iter().flat_map(|(wire, _)| wire.clone()).collect();
            let (mut stream, mut read, mut rest) = (BytesMut::new(), Vec::new(), &wire[..]);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (segment, after) = rest.split_at((*cut).min(rest.len()));
                stream.extend_from_slice(segment);
                rest = after;
                while let Some(message) = next_message(&mut stream).expect("TURN") {
                    read.push(message.to_vec());
                }
            }
            let whole: Vec<Vec<u8>> = messages.into_iter().map(|(_, whole)| whole).collect();
            prop_assert_eq!(read, whole);
            prop_assert!(stream.is_empty());
        }

        #[test]
        fn anything_else_is_refused_or_waited_for(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut stream = BytesMut::from(&bytes[..]);
            while let Ok(Some(message)) = next_message(&mut stream) {
                prop_assert!(message.len() >= 4);
            }
        }
    }

    #[test]
    fn what_is_not_turn_is_refused_at_its_first_byte() {
        assert_eq!(next_message(&mut BytesMut::from(&b"\x80"[..])), Err(NotTurn));
        assert_eq!(next_message(&mut BytesMut::from(&b"\x16\x03\x01\x04"[..])), Ok(None));
        assert_eq!(
            next_message(&mut BytesMut::from(&b"\x16\x03\x01\x03"[..])),
            Err(NotTurn)
        );
        assert_eq!(next_message(&mut BytesMut::from(&b"HTTP"[..])), Ok(None));
    }
}
