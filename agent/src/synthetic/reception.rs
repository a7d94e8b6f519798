//! What a subscriber receives of one track, counted without decoding it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use greffier_media::codec::{Codec, Dims, MediaKind};
use greffier_media::depacketize::{announced_dims, begins_keyframe};
use greffier_media::rtp::SequenceExtender;
use greffier_media::time::{Arrival, NtpTime};
use hdrhistogram::Histogram;
use libwebrtc::raw::{Codec as Negotiated, HeaderExtension, RtpPacket, RtpSink, SenderReport};
use parking_lot::Mutex;

use super::impair::{Fate, Link};
use super::upstream::Upstream;
use crate::clock::SystemClock;

/// A packet that has not come so long after the next one did never will: several repairs fit in.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// When a track ends, a packet that is missing for less may still have been on its way: it is neither received nor lost.
const REPAIRED_WITHIN: Duration = Duration::from_millis(250);
/// A first picture, or sound, that takes longer than this does not count as a start any more: it was not to be seen.
pub const START_WITHIN: Duration = Duration::from_secs(2);
/// Opus packets of speech are larger; those of silence have a few bytes.
pub(super) const SPEECH_BYTES: usize = 20;
/// Speech that pauses for longer is another turn.
pub(super) const TURN_ENDS_AFTER: Duration = Duration::from_millis(300);
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

struct Meta {
    timestamp: u32,
    marker: bool,
    key: bool,
    dims: Option<Dims>,
    padding: bool,
    arrival: Instant,
}

/// Order, frames and freezes of one stream (one SSRC).
#[derive(Default)]
struct Stream {
    sequences: SequenceExtender,
    first: Option<u64>,
    next: Option<u64>,
    held: BTreeMap<u64, Meta>,
    /// The frame that is coming in: its timestamp, and whether it began as a key frame.
    frame: Option<(u32, bool)>,
    /// Nothing can be decoded before the next key frame.
    broken: bool,
    last_frame: Option<Instant>,
    /// Since when something is to be seen, while nothing was yet.
    due_since: Option<Instant>,
}

struct State {
    kind: MediaKind,
    counts: Counts,
    stream: Stream,
    ssrc: Option<u32>,
    /// `None` until told.
    muted: Option<bool>,
    ended: bool,
    wants_key_frame: bool,
    freeze: Duration,
    last_speech: Option<Instant>,
    upstream: Option<Upstream>,
    distributions: Arc<Mutex<Distributions>>,
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
        let state = Arc::new(Mutex::new(State {
            kind,
            counts: Counts::default(),
            stream: Stream {
                broken: kind == MediaKind::Video,
                ..Stream::default()
            },
            ssrc: None,
            muted: None,
            ended: false,
            wants_key_frame: false,
            freeze: judgement.freeze,
            last_speech: None,
            upstream: None,
            distributions,
        }));
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

impl State {
    fn set_muted(&mut self, muted: bool, now: Instant) {
        if self.muted == Some(muted) || self.ended {
            return;
        }
        if muted {
            self.close_gap(now);
            self.stream.last_frame = None;
            self.stream.due_since = None;
            if let Some(upstream) = &mut self.upstream {
                upstream.pause();
            }
        } else {
            self.stream.due_since = Some(now);
        }
        self.muted = Some(muted);
    }

    /// `stood_still` is whether a picture that is not followed by another is one that stood still.
    fn end(&mut self, now: Instant, stood_still: bool) {
        if self.ended {
            return;
        }
        self.ended = true;
        while let Some((first, meta)) = self.stream.held.pop_first() {
            let next = self.stream.next.unwrap_or(first);
            if first > next && now.saturating_duration_since(meta.arrival) >= REPAIRED_WITHIN {
                self.lose(first - next, meta.arrival);
            }
            self.stream.next = Some(first + 1);
            self.in_order(&meta);
        }
        self.counts.expected = self.counts.received + self.counts.lost;
        if stood_still || self.stream.last_frame.is_none() {
            self.close_gap(now);
        }
    }

    fn packet(&mut self, sequence: u16, ssrc: u32, meta: Meta, bytes: usize) {
        let now = meta.arrival;
        if self.ssrc.replace(ssrc).is_some_and(|before| before != ssrc) {
            // Another source behind the same track (a resubscription): what was is counted, what comes begins anew.
            self.give_up_all();
            self.stream = Stream {
                broken: self.kind == MediaKind::Video,
                last_frame: self.stream.last_frame,
                due_since: self.stream.due_since,
                ..Stream::default()
            };
        }
        self.counts.first_packet.get_or_insert(now);
        self.counts.received += 1;
        self.counts.bytes += bytes as u64;
        if let Some(upstream) = &mut self.upstream {
            upstream.look(now, self.counts.dims);
        }
        let sequence = self.stream.sequences.extend(sequence);
        let first = *self.stream.first.get_or_insert(sequence);
        let next = *self.stream.next.get_or_insert(sequence);
        if sequence < next {
            // Given up before, and here after all; unless it is older than what came first, which nobody missed.
            if sequence > first {
                self.counts.lost = self.counts.lost.saturating_sub(1);
            }
            self.counts.expected = self.counts.received + self.counts.lost;
            return;
        }
        if sequence == next && self.stream.held.is_empty() {
            self.stream.next = Some(next + 1);
            self.in_order(&meta);
        } else {
            self.stream.held.insert(sequence, meta);
            self.drain(now);
        }
        self.counts.expected = self.counts.received + self.counts.lost;
    }

    /// Takes out of `held` what is in order, and gives up what is missing for too long.
    fn drain(&mut self, now: Instant) {
        while let Some((&first, meta)) = self.stream.held.first_key_value() {
            let next = self.stream.next.unwrap_or(first);
            if first > next {
                if now.saturating_duration_since(meta.arrival) < PATIENCE {
                    return;
                }
                let arrival = meta.arrival;
                self.lose(first - next, arrival);
            }
            self.stream.next = Some(first + 1);
            if let Some(meta) = self.stream.held.remove(&first) {
                self.in_order(&meta);
            }
        }
    }

    fn give_up_all(&mut self) {
        while let Some((first, meta)) = self.stream.held.pop_first() {
            let next = self.stream.next.unwrap_or(first);
            if first > next {
                self.lose(first - next, meta.arrival);
            }
            self.stream.next = Some(first + 1);
            self.in_order(&meta);
        }
    }

    /// Gives up `packets` before the one that came at `at`.
    fn lose(&mut self, packets: u64, at: Instant) {
        self.counts.lost += packets;
        if let Some(upstream) = &mut self.upstream {
            self.counts.lost_upstream += upstream.explain(packets, at);
        }
        self.stream.frame = None;
        if self.kind == MediaKind::Video {
            self.stream.broken = true;
            self.wants_key_frame = true;
        }
    }

    fn in_order(&mut self, meta: &Meta) {
        if meta.padding {
            return;
        }
        if self.kind == MediaKind::Audio {
            self.counts.frames += 1;
            self.counts.first_frame.get_or_insert(meta.arrival);
            self.counts.never = false;
            return;
        }
        let began_as_key = match self.stream.frame {
            Some((timestamp, key)) if timestamp == meta.timestamp => key || meta.key,
            _ => meta.key,
        };
        self.stream.frame = Some((meta.timestamp, began_as_key));
        if meta.key {
            self.counts.dims = meta.dims.or(self.counts.dims);
        }
        if meta.marker {
            self.stream.frame = None;
            if began_as_key {
                self.stream.broken = false;
                self.counts.key_frames += 1;
            }
            if !self.stream.broken {
                self.frame(meta.arrival);
            }
        }
    }

    fn frame(&mut self, at: Instant) {
        self.counts.frames += 1;
        self.counts.first_frame.get_or_insert(at);
        self.counts.never = false;
        self.close_gap(at);
        let last = self.stream.last_frame.map_or(at, |last| last.max(at));
        self.stream.last_frame = Some(last);
    }

    /// Notes a packet of sound that came at `now`.
    fn voice(&mut self, now: Instant, bytes: usize) {
        if bytes < SPEECH_BYTES {
            return;
        }
        self.counts.speech += 1;
        let goes_on = |last: Instant| now.saturating_duration_since(last) <= TURN_ENDS_AFTER;
        if !self.last_speech.is_some_and(goes_on) {
            self.counts.turns += 1;
        }
        self.last_speech = Some(now);
    }

    /// Counts the time since the last frame if it is a freeze; where there was none yet, the time since one is due if that
    /// is longer than a start takes. Sound has no frames that stand still: of it only that nothing came is told.
    fn close_gap(&mut self, now: Instant) {
        let (since, allowed) = match (self.stream.last_frame, self.stream.due_since) {
            (Some(last), _) => (last, self.freeze),
            (None, Some(due)) => (due, self.freeze.max(START_WITHIN)),
            (None, None) => return,
        };
        let gap = now.saturating_duration_since(since);
        if gap > allowed && self.counts.first_frame.is_none() {
            self.counts.never = true;
        }
        if gap > allowed && self.kind == MediaKind::Video {
            self.counts.freezes += 1;
            self.counts.frozen += gap;
            self.distributions.lock().freezes.saturating_record(as_micros(gap));
        }
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::clock::instant as origin;
    use crate::synthetic::Sent;

    const SECOND: Duration = Duration::from_secs(1);

    fn state(kind: MediaKind) -> State {
        State {
            kind,
            counts: Counts::default(),
            stream: Stream {
                broken: kind == MediaKind::Video,
                ..Stream::default()
            },
            ssrc: None,
            muted: None,
            ended: false,
            wants_key_frame: false,
            freeze: Duration::from_millis(500),
            last_speech: None,
            upstream: None,
            distributions: Arc::default(),
        }
    }

    /// Frames of two packets, 30 a second; packet `n` is of frame `n / 2`; every 60th frame is a key frame.
    fn play(state: &mut State, start: Instant, packets: impl IntoIterator<Item = u32>) {
        for n in packets {
            let frame = n / 2;
            let meta = Meta {
                timestamp: frame * 3000,
                marker: n % 2 == 1,
                key: frame % 60 == 0 && n % 2 == 0,
                dims: Some(Dims::new(640, 360)),
                padding: false,
                arrival: start + SECOND * frame / 30,
            };
            state.packet(u16::try_from((65_500 + n) % 65_536).unwrap(), 1, meta, 100);
        }
    }

    #[test]
    fn a_whole_stream_has_no_loss_and_no_freeze() {
        let mut state = state(MediaKind::Video);
        play(&mut state, origin(), 0..600);
        let counts = state.counts;
        assert_eq!((counts.expected, counts.received, counts.lost), (600, 600, 0));
        assert_eq!((counts.frames, counts.key_frames, counts.freezes), (300, 5, 0));
        assert_eq!(counts.dims, Some(Dims::new(640, 360)));
    }

    #[test]
    fn what_comes_late_is_not_lost_and_what_never_comes_is() {
        let mut state = state(MediaKind::Video);
        // 20 comes after 25, which is repair; 101 never comes, so all until the key frame at 120 is undecodable.
        let late = (0..20).chain(21..26).chain([20]).chain(26..101).chain(102..600);
        play(&mut state, origin(), late);
        let counts = state.counts;
        assert_eq!((counts.received, counts.lost, counts.expected), (599, 1, 600));
        assert!(state.wants_key_frame);
        // Frames 50 to 59 fail for want of frame 50: a gap of a third of a second.
        assert_eq!((counts.frames, counts.freezes), (290, 0));
    }

    #[test]
    fn a_picture_that_stands_still_for_long_is_a_freeze() {
        let mut state = state(MediaKind::Video);
        // Packet 41 is lost: frames 20 to 59 cannot be decoded.
        play(&mut state, origin(), (0..41).chain(42..240));
        assert_eq!(state.counts.freezes, 1);
        let gap = state.counts.frozen.as_secs_f64();
        assert!((gap - 41.0 / 30.0).abs() < 0.05, "{gap}");
    }

    #[test]
    fn frames_before_the_first_key_frame_do_not_count() {
        let mut state = state(MediaKind::Video);
        let start = origin();
        play(&mut state, start, 20..240);
        assert_eq!(state.counts.first_frame, Some(start + SECOND * 2));
        assert_eq!(state.counts.frames, 60);
    }

    #[test]
    fn a_picture_that_never_comes_is_frozen_from_the_beginning() {
        let start = origin();
        let mut state = state(MediaKind::Video);
        state.set_muted(false, start);
        state.end(start + SECOND * 10, true);
        assert!(state.counts.never);
        assert_eq!((state.counts.freezes, state.counts.frozen), (1, SECOND * 10));
        // A start takes its time; what comes within it is none.
        let mut quick = self::state(MediaKind::Video);
        quick.set_muted(false, start);
        play(&mut quick, start + SECOND, 0..600);
        quick.end(start + SECOND * 11, true);
        assert_eq!((quick.counts.never, quick.counts.freezes), (false, 0));
        // And what is out of sight is not waited for.
        let mut hidden = self::state(MediaKind::Video);
        hidden.set_muted(true, start);
        hidden.end(start + SECOND * 10, true);
        assert_eq!((hidden.counts.never, hidden.counts.freezes), (false, 0));
        let mut sound = self::state(MediaKind::Audio);
        sound.set_muted(false, start);
        sound.end(start + SECOND * 10, true);
        assert_eq!((sound.counts.never, sound.counts.freezes), (true, 0));
    }

    #[test]
    fn what_is_older_than_the_first_was_never_missed() {
        let mut state = state(MediaKind::Video);
        let start = origin();
        // 30 is lost for good; 9 comes late, and was sent before what came first.
        play(&mut state, start, (10..30).chain(31..200).chain([9]));
        assert_eq!((state.counts.lost, state.counts.received), (1, 190));
    }

    #[test]
    fn a_hole_at_the_end_is_lost_unless_it_is_as_young_as_a_repair() {
        let mut state = state(MediaKind::Video);
        let start = origin();
        play(&mut state, start, (0..20).chain(21..58).chain(59..60));
        // Packet 20 was missed at 0.35 s, packet 58 at 0.97 s.
        state.end(start + SECOND, true);
        assert_eq!((state.counts.lost, state.counts.received), (1, 58));
    }

    #[test]
    fn a_loss_upstream_explains_a_hole_of_its_layer_and_no_other() {
        let sent = Arc::new(Sent::default());
        let layers = vec![Dims::new(1280, 720), Dims::new(640, 360)];
        let mut state = state(MediaKind::Video);
        state.upstream = Some(Upstream::new(Arc::clone(&sent), layers));
        let start = origin();
        play(&mut state, start, 0..100);
        // Of the layer that is not forwarded: no excuse for what is missing here.
        sent.lost[0].fetch_add(50, Ordering::Relaxed);
        play(&mut state, start, 101..200);
        assert_eq!((state.counts.lost, state.counts.lost_upstream), (1, 0));
        sent.lost[1].fetch_add(2, Ordering::Relaxed);
        play(&mut state, start, 203..400);
        assert_eq!((state.counts.lost, state.counts.lost_upstream), (4, 2));
        // Lost while nothing is forwarded, or long ago.
        state.set_muted(true, start + SECOND * 7);
        sent.lost[1].fetch_add(9, Ordering::Relaxed);
        state.set_muted(false, start + SECOND * 8);
        play(&mut state, start, (600..700).chain(701..900));
        assert_eq!(state.counts.lost_upstream, 2);
    }

    #[test]
    fn turns_are_speech_after_a_pause() {
        let mut state = state(MediaKind::Audio);
        let start = origin();
        for n in 0..100u32 {
            let silent = (20..60).contains(&n);
            state.voice(start + Duration::from_millis(20) * n, if silent { 3 } else { 80 });
        }
        assert_eq!((state.counts.speech, state.counts.turns), (60, 2));
    }
}
