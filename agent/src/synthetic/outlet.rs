//! What sends one track: a clip in a loop, at its own pace, through the participant's link.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use libwebrtc::raw::{LocalRtp, OutgoingPacket, Written};
use parking_lot::Mutex;

use super::clip::{AudioClip, SILENCE, VideoClip, stamp_picture};
use super::impair::{Fate, Link};
use super::pacer::Pace;

/// Behind by more than this, frames are left out rather than sent in a heap.
const MOST_BEHIND: Duration = Duration::from_millis(500);
/// A layer answers key-frame requests at most so often: one key frame serves all who ask.
const KEY_FRAME_EVERY: Duration = Duration::from_millis(300);
/// With discontinuous transmission silence is one packet in so many.
const DTX_EVERY: u64 = 20;
/// A large frame leaves in portions, as a sender's pacer has it: so many packets at a time, so far apart. At once it would
/// flood the receiver's socket.
const PORTION: usize = 12;
const PORTION_EVERY: Duration = Duration::from_millis(5);
/// How many layers a track can have.
const MAX_LAYERS: usize = 3;

/// What a track has sent.
#[derive(Debug, Default)]
pub struct Sent {
    /// On all layers.
    pub packets: AtomicU64,
    /// RTP payload.
    pub bytes: AtomicU64,
    /// Packets the link lost, by layer.
    pub lost: [AtomicU64; MAX_LAYERS],
    /// Frames left out because we were late.
    pub skipped: AtomicU64,
    /// Key frames sent because somebody asked.
    pub key_frames_asked: AtomicU64,
    /// Bytes of key frames of a recording that were sent once more because somebody asked.
    pub repeated: AtomicU64,
}

impl Sent {
    pub(super) fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }

    /// Packets the link lost, over all layers.
    pub fn lost_in_all(&self) -> u64 {
        self.lost.iter().map(|lost| lost.load(Ordering::Relaxed)).sum()
    }
}

/// A packet on its way through the link.
struct Waiting {
    at: Instant,
    layer: usize,
    /// `None` if the link has lost it: its sequence number is used up when its turn comes.
    packet: Option<OutgoingPacket>,
}

/// One track's RTP, behind the participant's link.
pub(super) struct Output {
    rtp: LocalRtp,
    link: Option<Arc<Mutex<Link>>>,
    sequences: [u16; MAX_LAYERS],
    waiting: VecDeque<Waiting>,
    pub sent: Arc<Sent>,
}

impl Output {
    pub fn new(rtp: LocalRtp, link: Option<Arc<Mutex<Link>>>, sent: Arc<Sent>) -> Self {
        Self {
            rtp,
            link,
            sequences: std::array::from_fn(|_| rand::random()),
            waiting: VecDeque::new(),
            sent,
        }
    }

    /// Sends a packet at `at`, which is not before `now`; behind those that wait.
    pub fn send(&mut self, now: Instant, at: Instant, layer: usize, packet: OutgoingPacket) {
        let bytes = packet.payload.len();
        let fate = self.link.as_ref().map(|link| link.lock().offer(at, bytes));
        let behind = self.waiting.back().map_or(at, |last| last.at.max(at));
        let (at, packet) = match fate {
            None if behind <= now => return self.write(layer, packet),
            None => (behind, Some(packet)),
            Some(Fate::Passes(at)) => (at.max(behind), Some(packet)),
            Some(Fate::Lost) => (behind, None),
        };
        self.waiting.push_back(Waiting { at, layer, packet });
        self.release(now);
    }

    /// Sends what the link lets out by `now`, and says when it lets out more.
    pub fn release(&mut self, now: Instant) -> Option<Instant> {
        while self.waiting.front().is_some_and(|first| first.at <= now) {
            let Some(Waiting { layer, packet, .. }) = self.waiting.pop_front() else {
                break;
            };
            if let Some(packet) = packet {
                self.write(layer, packet);
            } else {
                self.sequences[layer] = self.sequences[layer].wrapping_add(1);
                Sent::add(&self.sent.lost[layer], 1);
            }
        }
        self.waiting.front().map(|first| first.at)
    }

    fn write(&mut self, layer: usize, mut packet: OutgoingPacket) {
        packet.sequence_number = self.sequences[layer];
        let bytes = packet.payload.len() as u64;
        match self.rtp.write(layer, &packet) {
            Ok(Written::Sent) => {
                self.sequences[layer] = self.sequences[layer].wrapping_add(1);
                Sent::add(&self.sent.packets, 1);
                Sent::add(&self.sent.bytes, bytes);
            }
            // The server wants nothing of this layer now, or is not there: what is not sent has no number.
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, layer, "packet not sent"),
        }
    }
}

/// A playing video. Dropping it does not stop it: the pacer does.
#[derive(Clone)]
pub struct VideoFeed {
    muted: Arc<AtomicBool>,
    pub sent: Arc<Sent>,
}

impl VideoFeed {
    /// The feed, and what the pacer has to be given. `start` is when the first frame is due.
    pub fn new(
        rtp: LocalRtp,
        clip: Arc<VideoClip>,
        link: Option<Arc<Mutex<Link>>>,
        start: Instant,
    ) -> (Self, Box<dyn Pace>) {
        let wanted = Arc::new(AtomicU32::new(0));
        let asked = Arc::clone(&wanted);
        rtp.on_key_frame_request(Some(Arc::new(move |layer| {
            if layer < MAX_LAYERS {
                asked.fetch_or(1 << layer, Ordering::Relaxed);
            }
        })));
        let sent = Arc::new(Sent::default());
        let muted = Arc::new(AtomicBool::new(false));
        let cursors = clip.layers.iter().take(MAX_LAYERS).map(|_| Cursor::default()).collect();
        let outlet = VideoOutlet {
            output: Output::new(rtp, link, Arc::clone(&sent)),
            clip,
            muted: Arc::clone(&muted),
            wanted,
            start,
            first_timestamp: rand::random(),
            cursors,
        };
        (Self { muted, sent }, Box::new(outlet))
    }

    /// A feed of recorded packets, of sound or of pictures, and the switch that mutes it.
    pub(super) fn of_recording() -> (Self, Arc<AtomicBool>) {
        let muted = Arc::new(AtomicBool::new(false));
        let feed = Self {
            muted: Arc::clone(&muted),
            sent: Arc::default(),
        };
        (feed, muted)
    }

    /// Sends nothing while muted; the SDK's mute says so to the others.
    pub fn set_muted(&self, muted: bool) {
        self.muted.store(muted, Ordering::Relaxed);
    }
}

/// Where one layer is in its loop.
#[derive(Default)]
struct Cursor {
    /// Frames since the start: decides when the next is due.
    count: u64,
    frame: usize,
    picture: u16,
    key_frame_at: Option<Instant>,
}

struct VideoOutlet {
    output: Output,
    clip: Arc<VideoClip>,
    muted: Arc<AtomicBool>,
    /// One bit for each layer of which a key frame was asked for.
    wanted: Arc<AtomicU32>,
    start: Instant,
    first_timestamp: u32,
    cursors: Vec<Cursor>,
}

impl Pace for VideoOutlet {
    fn act(&mut self, now: Instant) -> Option<Instant> {
        let due = (0..self.cursors.len()).map(|layer| self.layer(layer, now)).min();
        let waiting = self.output.release(now);
        [due, waiting].into_iter().flatten().min()
    }
}

impl VideoOutlet {
    /// Sends what is due of one layer; when its next frame is.
    fn layer(&mut self, layer: usize, now: Instant) -> Instant {
        loop {
            let since = frame_time(self.cursors[layer].count, self.clip.layers[layer].spec.fps);
            let due = self.start + since;
            if due > now {
                return due;
            }
            if now.saturating_duration_since(due) > MOST_BEHIND {
                Sent::add(&self.output.sent.skipped, 1);
            } else if !self.muted.load(Ordering::Relaxed) {
                self.frame(layer, now, since);
            }
            self.cursors[layer].count += 1;
        }
    }

    fn frame(&mut self, layer: usize, now: Instant, since: Duration) {
        let clip = Arc::clone(&self.clip);
        let played = &clip.layers[layer];
        let cursor = &mut self.cursors[layer];
        let recently = |at: Instant| now.saturating_duration_since(at) < KEY_FRAME_EVERY;
        if self.wanted.load(Ordering::Relaxed) & (1 << layer) != 0 && !cursor.key_frame_at.is_some_and(recently) {
            self.wanted.fetch_and(!(1 << layer), Ordering::Relaxed);
            cursor.key_frame_at = Some(now);
            cursor.frame = played.next_key_frame(cursor.frame);
            Sent::add(&self.output.sent.key_frames_asked, 1);
        }
        let frame = &played.frames[cursor.frame];
        let picture = cursor.picture;
        cursor.picture = picture.wrapping_add(1);
        cursor.frame = (cursor.frame + 1) % played.frames.len();
        let ticks = ticks(since, 90_000);
        let last = frame.payloads.len() - 1;
        for (n, payload) in frame.payloads.iter().enumerate() {
            let packet = OutgoingPacket {
                sequence_number: 0,
                timestamp: self.first_timestamp.wrapping_add(ticks),
                marker: n == last,
                payload: stamp_picture(clip.codec, payload, picture),
                captured: Some(now),
                stamp_capture: n == 0,
            };
            let portion = u32::try_from(n / PORTION).unwrap_or(u32::MAX);
            self.output.send(now, now + PORTION_EVERY * portion, layer, packet);
        }
    }
}

/// When frame `count` is due, since the start.
fn frame_time(count: u64, fps: u32) -> Duration {
    Duration::from_nanos(count.saturating_mul(1_000_000_000) / u64::from(fps.max(1)))
}

/// RTP timestamps wrap; so does this.
#[expect(clippy::cast_possible_truncation, reason = "the low 32 bits are what is sent")]
fn ticks(since: Duration, rate: u128) -> u32 {
    (since.as_nanos() * rate / 1_000_000_000) as u32
}

/// A playing voice. Dropping it does not stop it: the pacer does.
#[derive(Clone)]
pub struct AudioFeed {
    muted: Arc<AtomicBool>,
    speaking: Arc<AtomicBool>,
    pub sent: Arc<Sent>,
}

impl AudioFeed {
    /// The feed, and what the pacer has to be given. Silent until told to speak; with `dtx` silence is sent as a few packets
    /// a second, without as many as speech.
    pub fn new(
        rtp: LocalRtp,
        clip: Arc<AudioClip>,
        link: Option<Arc<Mutex<Link>>>,
        start: Instant,
        dtx: bool,
    ) -> (Self, Box<dyn Pace>) {
        let sent = Arc::new(Sent::default());
        let (muted, speaking) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let outlet = AudioOutlet {
            output: Output::new(rtp, link, Arc::clone(&sent)),
            at: rand::random_range(0..clip.packets.len().max(1)),
            clip,
            muted: Arc::clone(&muted),
            speaking: Arc::clone(&speaking),
            spoke: false,
            dtx,
            start,
            first_timestamp: rand::random(),
            count: 0,
        };
        (Self { muted, speaking, sent }, Box::new(outlet))
    }

    pub fn set_muted(&self, muted: bool) {
        self.muted.store(muted, Ordering::Relaxed);
    }

    pub fn set_speaking(&self, speaking: bool) {
        self.speaking.store(speaking, Ordering::Relaxed);
    }
}

struct AudioOutlet {
    output: Output,
    clip: Arc<AudioClip>,
    muted: Arc<AtomicBool>,
    speaking: Arc<AtomicBool>,
    /// Whether the packet before was speech: the marker says where speech begins (RFC 3551 §4.1).
    spoke: bool,
    dtx: bool,
    start: Instant,
    first_timestamp: u32,
    count: u64,
    at: usize,
}

impl Pace for AudioOutlet {
    fn act(&mut self, now: Instant) -> Option<Instant> {
        let due = loop {
            let since = AudioClip::PACKET * u32::try_from(self.count).unwrap_or(u32::MAX);
            let due = self.start + since;
            if due > now {
                break due;
            }
            if now.saturating_duration_since(due) > MOST_BEHIND {
                Sent::add(&self.output.sent.skipped, 1);
            } else if !self.muted.load(Ordering::Relaxed) {
                self.packet(now, since);
            }
            self.count += 1;
        };
        let waiting = self.output.release(now);
        Some(waiting.map_or(due, |waiting| waiting.min(due)))
    }
}

impl AudioOutlet {
    fn packet(&mut self, now: Instant, since: Duration) {
        let speaking = self.speaking.load(Ordering::Relaxed);
        let marker = speaking && !self.spoke;
        self.spoke = speaking;
        let payload = if speaking {
            self.at = (self.at + 1) % self.clip.packets.len();
            self.clip.packets[self.at].clone()
        } else if self.dtx && !self.count.is_multiple_of(DTX_EVERY) {
            return;
        } else {
            Bytes::from_static(SILENCE)
        };
        let packet = OutgoingPacket {
            sequence_number: 0,
            timestamp: self.first_timestamp.wrapping_add(ticks(since, 48_000)),
            marker,
            payload,
            captured: Some(now),
            stamp_capture: true,
        };
        self.output.send(now, now, 0, packet);
    }
}
