//! What a subscriber receives of one track, counted without decoding it.

mod stream;

use std::sync::Arc;
use std::time::{Duration, Instant};

use greffier_media::codec::{Codec, Dims, MediaKind};
use greffier_media::depacketize::{announced_dims, begins_keyframe};
use greffier_media::time::{Arrival, NtpTime};
use hdrhistogram::Histogram;
use libwebrtc::raw::{Codec as Negotiated, HeaderExtension, RtpPacket, RtpSink, SenderReport};
use parking_lot::Mutex;

use super::impair::{Fate, Link};
use super::upstream::Upstream;
use crate::clock::SystemClock;
use stream::{Meta, State};
pub(super) use stream::{PATIENCE, SPEECH_BYTES, TURN_ENDS_AFTER};

const ABS_CAPTURE_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";

/// Distributions of many tracks together, in microseconds.
#[derive(Debug, Clone)]
pub struct Distributions {
    /// From the moment a frame was sent to its arrival at our kernel.
    pub audio_latency: Histogram<u64>,
    pub video_latency: Histogram<u64>,
    pub freezes: Histogram<u64>,
}

impl Default for Distributions {
    fn default() -> Self {
        Self {
            audio_latency: micros(),
            video_latency: micros(),
            freezes: micros(),
        }
    }
}

/// A histogram of microseconds up to ten minutes, to two significant digits.
///
/// # Panics
/// Never: the bounds are among those that are allowed.
pub fn micros() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 2).expect("bounds that hdrhistogram allows")
}

/// In whole microseconds, as histograms count.
pub fn as_micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// What was received of one track so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counts {
    /// From the first sequence number to the last.
    pub expected: u64,
    /// Distinct packets, repaired ones included.
    pub received: u64,
    /// RTP payload bytes.
    pub bytes: u64,
    /// Of the received, how many came by repair.
    pub repaired: u64,
    /// Holes that were given up.
    pub lost: u64,
    /// Packets our own downward link lost; they are in `lost` too.
    pub impaired: u64,
    /// Of the lost, those that the publisher's own bad network had lost on the way up.
    pub lost_upstream: u64,
    /// Whole frames that could be decoded.
    pub frames: u64,
    pub key_frames: u64,
    /// Gaps between frames longer than the threshold; a first frame that did not come in time is one too.
    pub freezes: u64,
    pub frozen: Duration,
    /// Whether it was to be seen, or heard, for longer than a start takes, and nothing came.
    pub never: bool,
    /// Packets of speech, and turns: speech after a pause.
    pub speech: u64,
    pub turns: u64,
    /// Of the newest key frame.
    pub dims: Option<Dims>,
    /// When the first packet, and the first decodable frame, arrived.
    pub first_packet: Option<Instant>,
    pub first_frame: Option<Instant>,
}

/// How a track is judged.
#[derive(Debug, Clone, Copy)]
pub struct Judgement {
    pub clock: SystemClock,
    /// A gap between frames longer than this is a freeze.
    pub freeze: Duration,
}

/// One subscribed track, to be asked while it goes on.
#[derive(Clone)]
pub struct Reception {
    state: Arc<Mutex<State>>,
}

impl Reception {
    /// What is counted, and the sink to be set on the track.
    pub fn new(
        kind: MediaKind,
        codecs: &[Negotiated],
        extensions: &[HeaderExtension],
        judgement: Judgement,
        link: Option<Arc<Mutex<Link>>>,
        distributions: Arc<Mutex<Distributions>>,
    ) -> (Self, Box<dyn RtpSink>) {
        let state = Arc::new(Mutex::new(State::new(kind, judgement.freeze, distributions)));
        let known = |c: &Negotiated| Some((c.payload_type, Codec::from_mime(&c.mime_type)?));
        let capture_id = extensions.iter().find(|e| e.uri == ABS_CAPTURE_TIME).map(|e| e.id);
        let receiver = Receiver {
            state: Arc::clone(&state),
            codecs: codecs.iter().filter_map(known).collect(),
            capture_id,
            clock: judgement.clock,
            link,
        };
        (Self { state }, Box::new(receiver))
    }

    pub fn counts(&self) -> Counts {
        self.state.lock().counts
    }

    /// What is not sent, or out of sight, is no freeze. `now` is when a pause begins or ends. To be called once at the
    /// beginning: from then on something is to be seen.
    pub fn set_muted(&self, muted: bool, now: Instant) {
        self.state.lock().set_muted(muted, now);
    }

    /// Whether a key frame has to be asked for since the last call, as a decoder would.
    pub fn take_key_frame_wish(&self) -> bool {
        std::mem::take(&mut self.state.lock().wants_key_frame)
    }

    /// Ends the counting: a picture that stands still until now counts as frozen, and what is missing for longer than a
    /// repair takes is lost.
    pub fn finish(&self, now: Instant) -> Counts {
        let mut state = self.state.lock();
        state.end(now, true);
        state.counts
    }

    /// Says what its publisher sends, once that is known.
    pub fn set_upstream(&self, upstream: Upstream) {
        self.state.lock().upstream = Some(upstream);
    }
}

struct Receiver {
    state: Arc<Mutex<State>>,
    codecs: Vec<(u8, Codec)>,
    /// The negotiated number of abs-capture-time.
    capture_id: Option<u8>,
    clock: SystemClock,
    link: Option<Arc<Mutex<Link>>>,
}

impl Receiver {
    /// How long a packet was on its way by its own account, if it says when its media was captured.
    fn latency(&self, packet: &RtpPacket, arrival: Instant) -> Option<Duration> {
        let stamp = packet.header.get_extension(self.capture_id?)?;
        let captured = NtpTime(u64::from_be_bytes(*stamp.first_chunk()?)).to_wall()?;
        let arrived = self.clock.arrival(arrival);
        Some(arrived.saturating_since(Arrival::from_nanos(captured.as_nanos())))
    }
}

impl RtpSink for Receiver {
    fn packet(&mut self, packet: RtpPacket) {
        let mut arrival = packet.arrival;
        if let Some(link) = &self.link {
            match link.lock().offer(arrival, packet.payload.len()) {
                // Nothing is played here, so a delay need not be waited for: it is added to the time of arrival.
                Fate::Passes(at) => arrival = at,
                Fate::Lost => {
                    self.state.lock().counts.impaired += 1;
                    return;
                }
            }
        }
        let codec = self
            .codecs
            .iter()
            .find(|(number, _)| *number == packet.header.payload_type)
            .map(|(_, c)| *c);
        let Some(codec) = codec else { return };
        let video = codec.kind() == MediaKind::Video;
        let key = video && begins_keyframe(codec, &packet.payload);
        let latency = if packet.repaired {
            None
        } else {
            self.latency(&packet, arrival)
        };
        let meta = Meta {
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            key,
            dims: if key {
                announced_dims(codec, &packet.payload)
            } else {
                None
            },
            padding: packet.payload.is_empty(),
            arrival,
        };
        let mut state = self.state.lock();
        if let Some(latency) = latency {
            let mut distributions = state.distributions.lock();
            let histogram = if video {
                &mut distributions.video_latency
            } else {
                &mut distributions.audio_latency
            };
            histogram.saturating_record(as_micros(latency).max(1));
        }
        state.counts.repaired += u64::from(packet.repaired);
        if !video {
            state.voice(arrival, packet.payload.len());
        }
        state.packet(
            packet.header.sequence_number,
            packet.header.ssrc,
            meta,
            packet.payload.len(),
        );
    }

    fn sender_report(&mut self, _: SenderReport) {}

    fn ended(&mut self) {
        // Its publisher took it back, and told us a little later than it stopped.
        self.state.lock().end(crate::clock::instant(), false);
    }
}
