//! The least that capturing could cost on this machine: receive, decrypt, append, and nothing else.
//!
//! A thread sends the datagrams of a clip, encrypted as SRTP's AES-128-GCM is, to as many sockets as there are rooms, at the
//! rate that was measured; another receives them with `recvmmsg`, as often as the bot looks, decrypts each, and appends it
//! to a file. Its CPU time is what the bot is compared with.

use std::fs::File;
use std::io::{self, IoSliceMut, Write as _};
use std::net::UdpSocket;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use greffier_agent::clock::instant as now;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, setsockopt, sockopt};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// The header of an RTP packet with the extensions that LiveKit sends, in bytes.
const HEADER: usize = 12 + 4 + 8;
/// How often the bot looks for packets.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const BATCH: usize = 32;
const DATAGRAM: usize = 2048;
const BUFFER: usize = 4 << 20;
/// How much is gathered before it goes to the file: what 100 ms of a busy bot are.
const CHUNK: usize = 256 << 10;

/// What is sent: how many datagrams of which sizes, over how many sockets, how fast.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// RTP payloads in bytes, sent in turn.
    pub sizes: Vec<usize>,
    pub sockets: usize,
    /// Datagrams in all.
    pub packets: u64,
    /// Datagrams a second.
    pub rate: f64,
}

/// What it cost.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Floor {
    pub packets: u64,
    /// CPU time of the receiving thread for each packet, in microseconds.
    pub micros_per_packet: f64,
    /// Datagrams that were sent and not received.
    pub lost: u64,
}

/// Measures it so many times: the median of what a packet cost, and all that was received and lost. Nothing else should run
/// meanwhile.
pub fn median(traffic: &Traffic, rounds: usize, folder: &Path) -> anyhow::Result<Floor> {
    let mut floors = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        floors.push(measure(traffic, folder)?);
    }
    floors.sort_by(|a, b| a.micros_per_packet.total_cmp(&b.micros_per_packet));
    let median = floors.get(rounds / 2).copied().unwrap_or_default();
    Ok(Floor {
        packets: floors.iter().map(|floor| floor.packets).sum(),
        lost: floors.iter().map(|floor| floor.lost).sum(),
        ..median
    })
}

fn measure(traffic: &Traffic, folder: &Path) -> anyhow::Result<Floor> {
    let sockets = (0..traffic.sockets.max(1))
        .map(|_| receiver())
        .collect::<Result<Vec<_>, _>>()?;
    let path = folder.join("floor");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let done = AtomicBool::new(false);
    let (received, cpu) = std::thread::scope(|scope| {
        let receiving = scope.spawn(|| receive(&sockets, file, &done));
        let sent = send(traffic, &sockets);
        done.store(true, Ordering::Release);
        let received = receiving
            .join()
            .map_err(|_| anyhow::anyhow!("the receiving thread panicked"))?;
        sent?;
        received
    })?;
    std::fs::remove_file(&path)?;
    Ok(Floor {
        packets: received,
        micros_per_packet: cpu.as_secs_f64() * 1e6 / received.max(1) as f64,
        lost: traffic.packets.saturating_sub(received),
    })
}

fn receiver() -> anyhow::Result<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_nonblocking(true)?;
    if setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &BUFFER)?;
    }
    Ok(socket)
}

fn key() -> anyhow::Result<LessSafeKey> {
    let key = UnboundKey::new(&AES_128_GCM, &[7; 16]).map_err(|_| anyhow::anyhow!("AES-128-GCM is not there"))?;
    Ok(LessSafeKey::new(key))
}

/// The nonce is made of the packet's header, as in RFC 7714.
fn nonce(header: &[u8]) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce
        .iter_mut()
        .zip(header.iter().skip(2))
        .for_each(|(to, from)| *to = *from);
    Nonce::assume_unique_for_key(nonce)
}

fn send(traffic: &Traffic, sockets: &[UdpSocket]) -> anyhow::Result<()> {
    let key = key()?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let to = sockets
        .iter()
        .map(UdpSocket::local_addr)
        .collect::<Result<Vec<_>, _>>()?;
    let (start, mut sent) = (now(), 0u64);
    let mut datagram = Vec::with_capacity(DATAGRAM);
    while sent < traffic.packets {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of datagrams"
        )]
        let due = (start.elapsed().as_secs_f64() * traffic.rate) as u64;
        while sent < due.min(traffic.packets) {
            let turn = usize::try_from(sent)?;
            datagram.clear();
            datagram.resize(HEADER, 0x80);
            datagram[2..10].copy_from_slice(&sent.to_be_bytes());
            let mut payload = vec![0x55; traffic.sizes[turn % traffic.sizes.len()]];
            key.seal_in_place_append_tag(nonce(&datagram), Aad::from(&datagram[..]), &mut payload)
                .map_err(|_| anyhow::anyhow!("a datagram could not be encrypted"))?;
            datagram.extend_from_slice(&payload);
            socket.send_to(&datagram, to[turn % to.len()])?;
            sent += 1;
        }
        pause(Duration::from_millis(1));
    }
    Ok(())
}

/// Waits, letting the other thread have the processor.
fn pause(length: Duration) {
    let timeout = PollTimeout::try_from(length).unwrap_or(PollTimeout::ZERO);
    // Woken early or not, the clock says how far we are.
    let _ = poll(&mut [], timeout);
}

/// How many came, and what CPU time the thread took for them.
fn receive(sockets: &[UdpSocket], mut file: File, done: &AtomicBool) -> anyhow::Result<(u64, Duration)> {
    let key = key()?;
    let mut buffers = vec![[0u8; DATAGRAM]; BATCH];
    let mut chunk = Vec::with_capacity(CHUNK + DATAGRAM);
    let mut received = 0;
    let begun = cpu_time()?;
    loop {
        let last = done.load(Ordering::Acquire);
        let mut watched: Vec<_> = sockets
            .iter()
            .map(|s| PollFd::new(s.as_fd(), PollFlags::POLLIN))
            .collect();
        poll(&mut watched, PollTimeout::from(20u8))?;
        let ready: Vec<bool> = watched.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        for (socket, _) in sockets.iter().zip(ready).filter(|(_, ready)| *ready) {
            loop {
                let count = batch(socket, &mut buffers, &key, &mut chunk)?;
                received += count;
                if chunk.len() >= CHUNK {
                    file.write_all(&chunk)?;
                    chunk.clear();
                }
                if count < BATCH as u64 {
                    break;
                }
            }
        }
        if last {
            break;
        }
        pause(LOOK_EVERY);
    }
    file.write_all(&chunk)?;
    Ok((received, cpu_time()?.saturating_sub(begun)))
}

/// Receives what is there, at most a batch, decrypts it and appends it to `chunk`.
fn batch(
    socket: &UdpSocket,
    buffers: &mut [[u8; DATAGRAM]],
    key: &LessSafeKey,
    chunk: &mut Vec<u8>,
) -> anyhow::Result<u64> {
    let mut lengths = Vec::with_capacity(BATCH);
    {
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, None);
        let mut slices: Vec<[IoSliceMut<'_>; 1]> = buffers.iter_mut().map(|b| [IoSliceMut::new(b)]).collect();
        let flags = MsgFlags::MSG_DONTWAIT;
        match recvmmsg(socket.as_raw_fd(), &mut headers, slices.iter_mut(), flags, None) {
            Ok(messages) => lengths.extend(messages.map(|message| message.bytes)),
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(0),
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
    for (buffer, length) in buffers.iter_mut().zip(&lengths) {
        let (header, payload) = buffer[..*length].split_at_mut(HEADER);
        let plain = key
            .open_in_place(nonce(header), Aad::from(&*header), payload)
            .map_err(|_| anyhow::anyhow!("a datagram could not be decrypted"))?;
        chunk.extend_from_slice(header);
        chunk.extend_from_slice(plain);
    }
    Ok(lengths.len() as u64)
}

fn cpu_time() -> nix::Result<Duration> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_datagram_is_received_decrypted_and_paid_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let traffic = Traffic {
            sizes: vec![1100, 80, 600],
            sockets: 3,
            packets: 2_000,
            rate: 20_000.0,
        };
        let floor = measure(&traffic, folder.path()).expect("measured");
        assert_eq!((floor.packets, floor.lost), (2_000, 0));
        assert!(
            floor.micros_per_packet > 0.1 && floor.micros_per_packet < 1_000.0,
            "{floor:?}"
        );
    }
}
