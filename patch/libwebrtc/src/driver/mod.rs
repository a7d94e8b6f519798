//! The driver: where sockets, threads and time are. It feeds engines and carries out what they say.

mod interfaces;
mod peer;
mod tcp;
mod thread;
mod turn;
mod udp;

use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

pub(crate) use peer::Peer;

use crate::engine::rtp::WallClock;
use thread::MediaThreads;

/// How peer connections of this process run. Set it with [`configure`] before the first one is made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Threads that serve all sockets; connections are spread over them.
    pub media_threads: usize,
    /// How long a thread waits after each wake-up before it looks again, so that one wake-up serves many packets. Zero
    /// wakes for each packet. Arrival times come from the kernel and are not touched by it. Connections that are being
    /// set up are served at once.
    pub coalesce: Duration,
    /// Size of each UDP socket's receive buffer in bytes: what may arrive while a thread is away.
    pub receive_buffer: usize,
    /// Local addresses to offer. `None` offers those of all interfaces that are up, bridges of virtual machines and
    /// containers excepted; the address that the system would use to reach a remote candidate is always added.
    pub addresses: Option<Vec<IpAddr>>,
    /// Offer UDP. Without it only ICE-TCP and TURN remain.
    pub udp: bool,
    /// Offer ICE-TCP (RFC 6544, active candidates), where the other side listens for it.
    pub tcp: bool,
    /// Use nothing but TURN, as if every configuration asked for it.
    pub relay_only: bool,
    /// Certificates in PEM that servers of `turns:` may be certified by, beside those of Mozilla's list.
    pub turn_roots: Vec<u8>,
}

impl Default for Settings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            media_threads: cores.div_ceil(2).min(4),
            coalesce: Duration::from_millis(5),
            receive_buffer: 4 << 20,
            addresses: None,
            udp: true,
            tcp: true,
            relay_only: false,
            turn_roots: Vec::new(),
        }
    }
}

static SETTINGS: Mutex<Option<Settings>> = Mutex::new(None);
static THREADS: OnceLock<MediaThreads> = OnceLock::new();

/// Sets how connections made from now on run. The number of threads and the coalescing are fixed by the first connection.
pub fn configure(settings: Settings) {
    *SETTINGS.lock() = Some(settings);
}

pub(crate) fn settings() -> Settings {
    SETTINGS.lock().clone().unwrap_or_default()
}

fn threads() -> &'static MediaThreads {
    THREADS.get_or_init(|| MediaThreads::start(&settings()))
}

/// The one place where this crate asks for the time.
#[expect(
    clippy::disallowed_methods,
    reason = "the driver is where time enters; everything below takes it as a value"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The system's wall clock, since the Unix epoch.
#[expect(
    clippy::disallowed_methods,
    reason = "the driver is where time enters; everything below takes it as a value"
)]
fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn wall_clock() -> WallClock {
    WallClock::new(now(), unix_time())
}
