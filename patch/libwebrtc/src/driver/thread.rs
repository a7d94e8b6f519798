//! Media threads: each serves the sockets and timers of many peer connections.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use parking_lot::Mutex;

use super::peer::Peer;
use super::udp::{ArrivalClock, ReceiveBuffers};
use super::{Settings, now, unix_time};

const WAKE: u64 = u64::MAX;
/// The low bits of a token are the socket's index within its connection.
const LINK_BITS: u32 = 8;
/// A thread without anything to do still looks around once in a while.
const IDLE: Duration = Duration::from_secs(1);

pub(super) struct MediaThreads {
    threads: Vec<Arc<MediaThread>>,
}

impl MediaThreads {
    pub fn start(settings: &Settings) -> Self {
        let threads = (0..settings.media_threads.max(1))
            .filter_map(|n| MediaThread::spawn(n, settings.coalesce))
            .collect();
        Self { threads }
    }

    /// The thread with the fewest connections.
    pub fn pick(&self) -> Option<&Arc<MediaThread>> {
        self.threads.iter().min_by_key(|thread| thread.peers.lock().len())
    }
}

pub(super) struct MediaThread {
    epoll: Epoll,
    wake: EventFd,
    origin: Instant,
    coalesce: Duration,
    peers: Mutex<HashMap<u64, Weak<Peer>>>,
    next_id: AtomicU64,
    /// Nanoseconds since `origin` until which the thread means to sleep.
    asleep_until: AtomicU64,
    /// Connections that are being set up: while there are any, nobody waits for more packets to come together.
    pub unsettled: AtomicUsize,
}

impl MediaThread {
    fn spawn(number: usize, coalesce: Duration) -> Option<Arc<Self>> {
        let new = || -> nix::Result<Arc<Self>> {
            let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
            let wake = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
            epoll.add(&wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
            Ok(Arc::new(Self {
                epoll,
                wake,
                origin: now(),
                coalesce,
                peers: Mutex::default(),
                next_id: AtomicU64::new(0),
                asleep_until: AtomicU64::new(0),
                unsettled: AtomicUsize::new(0),
            }))
        };
        let thread = match new() {
            Ok(thread) => thread,
            Err(error) => {
                log::error!("media thread {number} cannot start: {error}");
                return None;
            }
        };
        let served = Arc::clone(&thread);
        let spawned = std::thread::Builder::new()
            .name(format!("media-{number}"))
            .spawn(move || served.run());
        match spawned {
            Ok(_) => Some(thread),
            Err(error) => {
                log::error!("media thread {number} cannot start: {error}");
                None
            }
        }
    }

    pub fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub fn register(&self, id: u64, peer: Weak<Peer>) {
        self.peers.lock().insert(id, peer);
    }

    pub fn unregister(&self, id: u64) {
        self.peers.lock().remove(&id);
    }

    pub fn watch(&self, peer: u64, link: usize, fd: BorrowedFd<'_>, write: bool) -> nix::Result<()> {
        self.epoll.add(fd, EpollEvent::new(interest(write), token(peer, link)))
    }

    pub fn rewatch(&self, peer: u64, link: usize, fd: BorrowedFd<'_>, write: bool) -> nix::Result<()> {
        self.epoll
            .modify(fd, &mut EpollEvent::new(interest(write), token(peer, link)))
    }

    pub fn unwatch(&self, fd: BorrowedFd<'_>) {
        if let Err(error) = self.epoll.delete(fd) {
            log::trace!("socket was not watched: {error}");
        }
    }

    fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Makes the thread look again if it would otherwise sleep past `deadline`.
    pub fn wake_before(&self, deadline: Instant) {
        if self.nanos(deadline) < self.asleep_until.load(Ordering::Acquire) {
            // Fails only when it has been woken 2^64 times over, in which case it is awake.
            let _ = self.wake.write(1);
        }
    }

    fn peer(&self, id: u64) -> Option<Arc<Peer>> {
        self.peers.lock().get(&id).and_then(Weak::upgrade)
    }

    fn run(&self) {
        let mut buffers = ReceiveBuffers::new();
        let mut ready = [EpollEvent::empty(); 256];
        loop {
            let count = self.wait(&mut ready);
            let woken = now();
            let clock = ArrivalClock {
                now: woken,
                unix: unix_time(),
            };
            for event in &ready[..count] {
                if event.data() == WAKE {
                    let _ = self.wake.read();
                    continue;
                }
                let (id, link) = (
                    event.data() >> LINK_BITS,
                    (event.data() & ((1 << LINK_BITS) - 1)) as usize,
                );
                if let Some(peer) = self.peer(id) {
                    guarded(&peer, || peer.on_ready(link, event.events(), &mut buffers, clock));
                }
            }
            for peer in self.due(woken) {
                guarded(&peer, || peer.on_timeout(woken));
            }
            self.let_packets_gather(woken);
        }
    }

    fn wait(&self, ready: &mut [EpollEvent]) -> usize {
        let start = now();
        let next = self
            .peers
            .lock()
            .values()
            .filter_map(Weak::upgrade)
            .filter_map(|peer| peer.deadline())
            .min();
        let until = next.map_or(start + IDLE, |at| at.min(start + IDLE));
        self.asleep_until.store(self.nanos(until), Ordering::Release);
        let timeout = ceil_millis(until.saturating_duration_since(start));
        let count = self.epoll.wait(ready, EpollTimeout::from(timeout));
        self.asleep_until.store(0, Ordering::Release);
        count.unwrap_or(0)
    }

    fn due(&self, now: Instant) -> Vec<Arc<Peer>> {
        let peers = self.peers.lock();
        let due = |peer: &Arc<Peer>| peer.deadline().is_some_and(|at| at <= now);
        peers.values().filter_map(Weak::upgrade).filter(due).collect()
    }

    /// One wake-up costs more than one packet: after each, wait until the next few have come.
    fn let_packets_gather(&self, woken: Instant) {
        if self.unsettled.load(Ordering::Relaxed) > 0 {
            return;
        }
        let left = self.coalesce.saturating_sub(now().saturating_duration_since(woken));
        if !left.is_zero() {
            let mut wake = [PollFd::new(self.wake.as_fd(), PollFlags::POLLIN)];
            // Woken or not, the next look finds out.
            let _ = poll(&mut wake, PollTimeout::from(ceil_millis(left)));
        }
    }
}

fn token(peer: u64, link: usize) -> u64 {
    (peer << LINK_BITS) | link as u64
}

fn interest(write: bool) -> EpollFlags {
    if write {
        EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT
    } else {
        EpollFlags::EPOLLIN
    }
}

fn ceil_millis(duration: Duration) -> u16 {
    u16::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(u16::MAX)
}

/// A fault while one connection is served ends that connection, not the others on the thread.
fn guarded(peer: &Arc<Peer>, act: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(act)).is_err() {
        log::error!("a fault in the media engine ended one peer connection");
        peer.fail();
    }
}
