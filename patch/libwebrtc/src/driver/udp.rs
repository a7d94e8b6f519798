//! UDP sockets: many datagrams per system call, each with the kernel's time of arrival.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;

/// Datagrams per system call: what comes together to one socket while packets gather. Each call makes its headers anew, so more
/// would cost who has none of them.
const BATCH: usize = 8;
/// Larger than any path allows; what is cut off could not have been WebRTC.
const DATAGRAM: usize = 2048;

/// One socket of a peer connection.
pub(super) struct UdpLink {
    socket: UdpSocket,
    pub local: SocketAddr,
    /// Datagrams the kernel dropped because this socket's buffer was full.
    pub dropped: u32,
}

pub(super) struct Datagram {
    pub arrival: Instant,
    pub from: SocketAddr,
    pub bytes: BytesMut,
}

/// Buffers of one thread, used for every socket it serves.
pub(super) struct ReceiveBuffers {
    bytes: Vec<[u8; DATAGRAM]>,
}

impl ReceiveBuffers {
    pub fn new() -> Self {
        Self {
            bytes: vec![[0; DATAGRAM]; BATCH],
        }
    }
}

/// Relates the kernel's timestamps (wall clock) to the monotonic clock at one moment.
#[derive(Clone, Copy)]
pub(super) struct ArrivalClock {
    pub now: Instant,
    pub unix: Duration,
}

impl ArrivalClock {
    fn arrival(&self, stamp: TimeSpec) -> Instant {
        let (Ok(seconds), Ok(nanos)) = (u64::try_from(stamp.tv_sec()), u32::try_from(stamp.tv_nsec())) else {
            return self.now;
        };
        // A wall clock that was set in between must not throw a packet far back.
        let age = self
            .unix
            .saturating_sub(Duration::new(seconds, nanos))
            .min(Duration::from_secs(1));
        self.now.checked_sub(age).unwrap_or(self.now)
    }
}

impl UdpLink {
    pub fn bind(ip: IpAddr, receive_buffer: usize) -> io::Result<Self> {
        let socket = UdpSocket::bind((ip, 0))?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        setsockopt(&socket, sockopt::RxqOvfl, &1)?;
        // Beyond the system's limit only with the right to; otherwise as much as the limit allows.
        if setsockopt(&socket, sockopt::RcvBufForce, &receive_buffer).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &receive_buffer)?;
        }
        let local = socket.local_addr()?;
        Ok(Self {
            socket,
            local,
            dropped: 0,
        })
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Receives what is there, one batch at most. Whether there may be more.
    pub fn receive(
        &mut self,
        buffers: &mut ReceiveBuffers,
        clock: ArrivalClock,
        mut take: impl FnMut(Datagram),
    ) -> io::Result<bool> {
        // The kernel shortens the lengths in the headers; made anew they are right again.
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, Some(cmsg_space!(TimeSpec, u32)));
        let mut slices: Vec<[IoSliceMut<'_>; 1]> = buffers.bytes.iter_mut().map(|b| [IoSliceMut::new(b)]).collect();
        let received = match recvmmsg(
            self.socket.as_raw_fd(),
            &mut headers,
            slices.iter_mut(),
            MsgFlags::MSG_DONTWAIT,
            None,
        ) {
            Ok(received) => received,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(false),
            // An ICMP answer to something sent earlier; the socket is fine.
            Err(Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH) => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        let mut count = 0;
        for message in received {
            count += 1;
            let mut arrival = clock.now;
            for control in message.cmsgs().into_iter().flatten() {
                match control {
                    ControlMessageOwned::ScmTimestampns(stamp) => arrival = clock.arrival(stamp),
                    ControlMessageOwned::RxqOvfl(dropped) => self.dropped = dropped,
                    _ => {}
                }
            }
            let Some(from) = message.address.as_ref().and_then(socket_addr) else {
                continue;
            };
            for bytes in message.iovs() {
                take(Datagram {
                    arrival,
                    from,
                    bytes: BytesMut::from(bytes),
                });
            }
        }
        Ok(count == BATCH)
    }

    /// Sends one datagram. A full socket buffer drops it, as the network would.
    pub fn send(&self, to: SocketAddr, bytes: &[u8]) {
        match self.socket.send_to(bytes, to) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                log::trace!("send buffer full, datagram dropped");
            }
            Err(error) => log::trace!("datagram to {to} not sent: {error}"),
        }
    }
}

fn socket_addr(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::from((v4.ip(), v4.port())));
    }
    address
        .as_sockaddr_in6()
        .map(|v6| SocketAddr::from((v6.ip(), v6.port())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{now, unix_time};

    #[test]
    fn datagrams_arrive_with_the_kernels_time() {
        let mut link = UdpLink::bind(IpAddr::from([127, 0, 0, 1]), 1 << 20).expect("loopback binds");
        let peer = UdpSocket::bind("127.0.0.1:0").expect("loopback binds");
        let before = now();
        for n in 0..3u8 {
            peer.send_to(&[n; 10], link.local).expect("loopback sends");
        }
        // Loopback delivers before send_to returns, so the wait is seen in the arrival times or not at all.
        let mut datagrams = Vec::new();
        let clock = ArrivalClock {
            now: now() + Duration::from_millis(100),
            unix: unix_time() + Duration::from_millis(100),
        };
        let more = link
            .receive(&mut ReceiveBuffers::new(), clock, |d| datagrams.push(d))
            .expect("receives");
        assert!(!more);
        assert_eq!(datagrams.len(), 3);
        for (n, datagram) in datagrams.iter().enumerate() {
            assert_eq!(&datagram.bytes[..], [n as u8; 10]);
            assert_eq!(datagram.from, peer.local_addr().expect("bound"));
            assert!(
                datagram.arrival + Duration::from_millis(5) > before,
                "not before it was sent"
            );
            assert!(
                datagram.arrival + Duration::from_millis(50) < clock.now,
                "not when it was read"
            );
        }
    }
}
