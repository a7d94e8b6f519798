//! Tracks of a recorded meeting, sent again as they were: the same packets at the same times.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::BufReader;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use greffier_media::codec::{Codec, Dims, MediaKind};
use greffier_media::depacketize::{announced_dims, begins_keyframe};
use greffier_media::journal::{RoomEvent, SegmentReader, Topic, TrackChannel, TrackSource};
use greffier_media::reorder::Numbering;
use greffier_media::time::Arrival;
use libwebrtc::raw::{LocalRtp, OutgoingPacket};
use parking_lot::Mutex;

use super::SyntheticError;
use super::impair::Link;
use super::outlet::{Output, Sent, VideoFeed};
use super::pacer::Pace;
use super::reception::{SPEECH_BYTES, TURN_ENDS_AFTER};

/// A meeting out of a sealed recording. Times are since its first message.
#[derive(Debug)]
pub struct RecordedMeeting {
    pub length: Duration,
    /// In order of identity.
    pub people: Vec<Person>,
}

/// Somebody of a recorded meeting.
#[derive(Debug)]
pub struct Person {
    pub identity: String,
    /// In order: who leaves may come back.
    pub stays: Vec<Stay>,
    pub tracks: Vec<Arc<RecordedTrack>>,
}

/// A time in which somebody was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay {
    pub from: Duration,
    /// `None` if there to the end.
    pub to: Option<Duration>,
}

/// One track as it was received.
#[derive(Debug)]
pub struct RecordedTrack {
    pub source: TrackSource,
    pub codec: Codec,
    /// Of the first key frame.
    pub dims: Dims,
    pub packets: Vec<RecordedPacket>,
    /// Where key frames lie in `packets`.
    pub key_frames: Vec<Range<usize>>,
    /// When it was muted (`true`) and unmuted.
    pub mutes: Vec<(Duration, bool)>,
}

/// One packet of it.
#[derive(Debug)]
pub struct RecordedPacket {
    pub at: Duration,
    pub timestamp: u32,
    pub marker: bool,
    pub payload: Bytes,
}

/// Without a key frame that says how large it is.
const UNKNOWN: Dims = Dims::new(1280, 720);

impl RecordedMeeting {
    /// Reads the journal in a recording's folder (`journal-00000.mcap` and so on).
    ///
    /// # Errors
    /// When there is no journal, or nothing in it could be sent again.
    pub fn read(folder: &Path) -> Result<Self, SyntheticError> {
        let failed = |source| SyntheticError::File {
            path: folder.to_owned(),
            source,
        };
        let mut segments: Vec<_> = std::fs::read_dir(folder)
            .map_err(failed)?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "mcap"))
            .collect();
        segments.sort();
        let mut reading = Reading::default();
        for segment in &segments {
            let file = File::open(segment).map_err(failed)?;
            for message in SegmentReader::new(BufReader::new(file)).messages() {
                reading.message(&message.map_err(failed)?);
            }
        }
        let meeting = reading.finish();
        if meeting.people.iter().all(|person| person.tracks.is_empty()) {
            return Err(SyntheticError::NotAClip {
                path: folder.to_owned(),
                reason: "no journal in it holds a track that could be sent again".to_owned(),
            });
        }
        Ok(meeting)
    }
}

#[derive(Default)]
struct Reading {
    first: Option<Arrival>,
    length: Duration,
    stays: BTreeMap<String, Vec<Stay>>,
    /// By track and SSRC.
    streams: HashMap<(String, u32), Stream>,
    mutes: HashMap<String, Vec<(Duration, bool)>>,
}

struct Stream {
    channel: TrackChannel,
    numbering: Numbering,
    packets: BTreeMap<u64, RecordedPacket>,
}

impl Reading {
    fn message(&mut self, message: &greffier_media::journal::Message) {
        let first = *self.first.get_or_insert(message.arrival);
        let at = message.arrival.saturating_since(first);
        self.length = self.length.max(at);
        match (&message.channel.topic, &message.channel.track) {
            (Topic::Rtp(track), Some(channel)) => {
                let stream = self
                    .streams
                    .entry((track.to_string(), channel.ssrc))
                    .or_insert_with(|| Stream {
                        channel: channel.clone(),
                        numbering: Numbering::default(),
                        packets: BTreeMap::new(),
                    });
                let Ok(packet) = stream.numbering.number(message.arrival, &message.data) else {
                    return;
                };
                if packet.payload.is_empty() {
                    return;
                }
                #[expect(clippy::cast_possible_truncation, reason = "the low 32 bits are what was sent")]
                let timestamp = packet.timestamp as u32;
                stream.packets.entry(packet.sequence).or_insert(RecordedPacket {
                    at,
                    timestamp,
                    marker: packet.marker,
                    payload: packet.payload,
                });
            }
            (Topic::Events, _) => {
                if let Ok(event) = serde_json::from_slice::<RoomEvent>(&message.data) {
                    self.event(at, event);
                }
            }
            _ => {}
        }
    }

    fn event(&mut self, at: Duration, event: RoomEvent) {
        match event {
            RoomEvent::ParticipantJoined { participant } => {
                let stays = self.stays.entry(participant.identity.to_string()).or_default();
                // Told again: the recorder was away, they were not.
                if stays.last().is_none_or(|last| last.to.is_some()) {
                    stays.push(Stay { from: at, to: None });
                }
            }
            RoomEvent::ParticipantLeft { identity, .. } => {
                let stays = self.stays.entry(identity.to_string()).or_default();
                match stays.last_mut() {
                    Some(last) => last.to = last.to.or(Some(at)),
                    None => stays.push(Stay {
                        from: Duration::ZERO,
                        to: Some(at),
                    }),
                }
            }
            RoomEvent::TrackMuted { track, .. } => self.mutes.entry(track.to_string()).or_default().push((at, true)),
            RoomEvent::TrackUnmuted { track, .. } => self.mutes.entry(track.to_string()).or_default().push((at, false)),
            _ => {}
        }
    }

    fn finish(self) -> RecordedMeeting {
        let mut people: BTreeMap<String, Person> = BTreeMap::new();
        for ((sid, _), stream) in self.streams {
            let identity = stream.channel.identity.to_string();
            let mutes = self.mutes.get(&sid).cloned().unwrap_or_default();
            let Some(track) = stream.finish(mutes) else { continue };
            let begins = track.packets.first().map_or(Duration::ZERO, |packet| packet.at);
            let ends = track.packets.last().map_or(Duration::ZERO, |packet| packet.at);
            let person = people.entry(identity.clone()).or_insert_with(|| Person {
                stays: self.stays.get(&identity).cloned().unwrap_or_default(),
                tracks: Vec::new(),
                identity,
            });
            person.cover(begins, ends);
            person.tracks.push(Arc::new(track));
        }
        for person in people.values_mut() {
            person
                .tracks
                .sort_by_key(|track| track.packets.first().map(|packet| packet.at));
        }
        RecordedMeeting {
            length: self.length,
            people: people.into_values().collect(),
        }
    }
}

impl Person {
    /// Who sends is there, whatever was told of their coming and going.
    fn cover(&mut self, begins: Duration, ends: Duration) {
        let within = |stay: &Stay| stay.from <= begins && stay.to.is_none_or(|to| begins <= to);
        if let Some(stay) = self.stays.iter_mut().find(|stay| within(stay)) {
            stay.to = stay.to.map(|to| to.max(ends));
            return;
        }
        match self.stays.iter_mut().find(|stay| stay.from > begins) {
            Some(next) => next.from = begins,
            None => self.stays.push(Stay { from: begins, to: None }),
        }
        self.stays.sort_by_key(|stay| stay.from);
        // One that now lasts into the next is one with it.
        let mut joined: Vec<Stay> = Vec::new();
        for stay in self.stays.drain(..) {
            match joined.last_mut() {
                Some(last) if last.to.is_none_or(|to| to >= stay.from) => {
                    last.to = last.to.and_then(|to| Some(to.max(stay.to?)));
                }
                _ => joined.push(stay),
            }
        }
        self.stays = joined;
    }
}

impl RecordedTrack {
    /// Payload bytes, packets of speech and turns within a time of the meeting, counted as a listener does.
    pub fn counts(&self, within: &Range<Duration>) -> (u64, u64, u64) {
        let of_time = || self.packets.iter().filter(|packet| within.contains(&packet.at));
        let bytes = of_time().map(|packet| packet.payload.len() as u64).sum();
        let (mut speech, mut turns) = (0, 0);
        if self.codec.kind() == MediaKind::Audio {
            let mut last: Option<Duration> = None;
            for packet in of_time().filter(|packet| packet.payload.len() >= SPEECH_BYTES) {
                speech += 1;
                if last.is_none_or(|last| packet.at.saturating_sub(last) > TURN_ENDS_AFTER) {
                    turns += 1;
                }
                last = Some(packet.at);
            }
        }
        (bytes, speech, turns)
    }
}

impl Stream {
    fn finish(self, mutes: Vec<(Duration, bool)>) -> Option<RecordedTrack> {
        let codec = self.channel.codec()?;
        let mut packets: Vec<RecordedPacket> = self.packets.into_values().collect();
        // A repaired packet came late; it was sent before those that follow it.
        let mut before = Duration::MAX;
        for packet in packets.iter_mut().rev() {
            packet.at = packet.at.min(before);
            before = packet.at;
        }
        if packets.is_empty() {
            return None;
        }
        let mut key_frames = Vec::new();
        if codec.kind() == MediaKind::Video {
            let frames = packets.chunk_by(|a, b| a.timestamp == b.timestamp);
            let mut at = 0;
            for frame in frames {
                if frame.iter().any(|packet| begins_keyframe(codec, &packet.payload)) {
                    key_frames.push(at..at + frame.len());
                }
                at += frame.len();
            }
        }
        let dims = packets.iter().find_map(|packet| announced_dims(codec, &packet.payload));
        Some(RecordedTrack {
            source: self.channel.source,
            codec,
            dims: dims.unwrap_or(UNKNOWN),
            packets,
            key_frames,
            mutes,
        })
    }
}

/// What is later than this is left out rather than sent in a heap.
const MOST_BEHIND: Duration = Duration::from_millis(500);
/// A key frame is repeated at most so often.
const KEY_FRAME_EVERY: Duration = Duration::from_secs(1);

/// Sends a recorded track again. Whoever asks for a key frame gets the last one repeated: the pictures after it may be wrong
/// until the recording has the next, but the packets are those of a real meeting.
pub(super) struct RecordedOutlet {
    output: Output,
    track: Arc<RecordedTrack>,
    start: Instant,
    next: usize,
    /// Whether it has begun: what was due before it was published is nobody's fault.
    begun: bool,
    first_timestamp: u32,
    muted: Arc<AtomicBool>,
    /// How many requests for a key frame there were, and how many of them have been looked at.
    asked: Arc<AtomicU64>,
    answered: u64,
    key_frame_at: Option<Instant>,
}

impl RecordedOutlet {
    /// The feed, and what the pacer has to be given. `start` is the beginning of the meeting.
    pub fn playing(
        rtp: LocalRtp,
        track: Arc<RecordedTrack>,
        link: Option<Arc<Mutex<Link>>>,
        start: Instant,
    ) -> (VideoFeed, Box<dyn Pace>) {
        let asked = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&asked);
        rtp.on_key_frame_request(Some(Arc::new(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        })));
        let (feed, muted) = VideoFeed::of_recording();
        let sent = Arc::clone(&feed.sent);
        let outlet = Self {
            output: Output::new(rtp, link, sent),
            track,
            start,
            next: 0,
            begun: false,
            first_timestamp: rand::random(),
            muted,
            asked,
            answered: 0,
            key_frame_at: None,
        };
        (feed, Box::new(outlet))
    }

    fn send(&mut self, now: Instant, at: usize, timestamp: u32) {
        let recorded = &self.track.packets[at];
        let packet = OutgoingPacket {
            sequence_number: 0,
            timestamp: self.first_timestamp.wrapping_add(timestamp),
            marker: recorded.marker,
            payload: recorded.payload.clone(),
            captured: Some(now),
            stamp_capture: recorded.marker || self.track.codec == Codec::Opus,
        };
        self.output.send(now, now, 0, packet);
    }

    fn repeat_key_frame(&mut self, now: Instant) {
        let asked = self.asked.load(Ordering::Relaxed);
        let recently = |at: Instant| now.saturating_duration_since(at) < KEY_FRAME_EVERY;
        if asked == self.answered || self.key_frame_at.is_some_and(recently) {
            return;
        }
        let key_frame = self
            .track
            .key_frames
            .iter()
            .rfind(|frame| frame.end <= self.next)
            .cloned();
        let (Some(key_frame), Some(before)) = (key_frame, self.next.checked_sub(1)) else {
            return;
        };
        self.answered = asked;
        self.key_frame_at = Some(now);
        // Between the frame before and the one that follows.
        let timestamp = self.track.packets[before].timestamp.wrapping_add(1);
        for at in key_frame {
            Sent::add(&self.output.sent.repeated, self.track.packets[at].payload.len() as u64);
            self.send(now, at, timestamp);
        }
        Sent::add(&self.output.sent.key_frames_asked, 1);
    }
}

impl Pace for RecordedOutlet {
    fn act(&mut self, now: Instant) -> Option<Instant> {
        let due = loop {
            let Some(packet) = self.track.packets.get(self.next) else {
                break None;
            };
            let due = self.start + packet.at;
            if due > now {
                break Some(due);
            }
            if now.saturating_duration_since(due) > MOST_BEHIND {
                // No sequence number is used up, so nobody takes it for a loss.
                if self.begun && packet.marker {
                    Sent::add(&self.output.sent.skipped, 1);
                }
                self.next += 1;
                continue;
            }
            if !self.muted.load(Ordering::Relaxed) {
                let begins_frame = self.next == 0 || self.track.packets[self.next - 1].timestamp != packet.timestamp;
                let timestamp = packet.timestamp;
                if begins_frame {
                    self.repeat_key_frame(now);
                }
                self.send(now, self.next, timestamp);
            }
            self.next += 1;
        };
        self.begun = true;
        let waiting = self.output.release(now);
        [due, waiting].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
