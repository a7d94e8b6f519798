//! A tap on one remote track: its packets, on their way to the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use greffier_media::codec::{Codec, MediaKind};
use greffier_media::ids::{ParticipantIdentity, ParticipantSid, TrackSid};
use greffier_media::journal::event::RoomEvent;
use greffier_media::journal::{Encryption, PayloadType, TrackChannel, TrackSource};
use greffier_media::time::ClockRate;
use libwebrtc::raw::{Codec as NegotiatedCodec, RtpPacket, RtpSink, SenderReport};

use super::queue::{Entry, Overflow, Pushed, Queue, StreamKey};
use super::session::KeyFrames;
use crate::clock::SystemClock;

/// What is known of a track when it is subscribed.
#[derive(Debug, Clone)]
pub(crate) struct TapInfo {
    pub track: TrackSid,
    pub track_name: String,
    pub participant: ParticipantSid,
    pub identity: ParticipantIdentity,
    pub participant_name: String,
    pub source: TrackSource,
    pub kind: MediaKind,
    /// Told of each packet of video.
    pub key_frames: KeyFrames,
    pub encryption: Encryption,
    /// The payload types that may come.
    pub codecs: Vec<NegotiatedCodec>,
}

/// Streams of a recording are numbered through.
#[derive(Default)]
pub(crate) struct StreamKeys(AtomicU32);

impl StreamKeys {
    fn next(&self) -> StreamKey {
        StreamKey(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// One stream: an SSRC with one codec.
struct Stream {
    ssrc: u32,
    payload_type: u8,
    key: StreamKey,
    /// Of video.
    codec: Option<Codec>,
    /// The newest packet that was sent during a pause, as far as we know: what is repaired later of what was sent before it
    /// is of the pause, too.
    paused_at: Option<u16>,
}

impl Stream {
    /// Whether a packet was sent during a pause that has ended.
    fn is_of_pause(&mut self, sequence: u16) -> bool {
        let Some(paused_at) = self.paused_at else {
            return false;
        };
        let after = sequence.wrapping_sub(paused_at);
        if (REPAIRED_WITHIN..1 << 15).contains(&after) {
            self.paused_at = None;
        }
        after == 0 || after > u16::MAX - REPAIRED_WITHIN
    }

    fn paused(&mut self, sequence: u16) {
        let is_older = |newest: u16| sequence.wrapping_sub(newest) >= 1 << 15;
        if !self.paused_at.is_some_and(is_older) {
            self.paused_at = Some(sequence);
        }
    }
}

/// Nothing is repaired once so many packets have come after it.
const REPAIRED_WITHIN: u16 = 4096;

pub(crate) struct Tap {
    info: TapInfo,
    clock: SystemClock,
    queue: Arc<Queue>,
    keys: Arc<StreamKeys>,
    streams: Vec<Stream>,
}

impl Tap {
    pub fn new(info: TapInfo, clock: SystemClock, queue: Arc<Queue>, keys: Arc<StreamKeys>) -> Self {
        Self {
            info,
            clock,
            queue,
            keys,
            streams: Vec::new(),
        }
    }

    /// The stream a packet belongs to. Its first packet tells which codec was chosen, so that is when it is described.
    fn stream(&mut self, packet: &RtpPacket) -> Option<usize> {
        let (ssrc, payload_type) = (packet.header.ssrc, packet.header.payload_type);
        let known = self
            .streams
            .iter()
            .position(|s| s.ssrc == ssrc && s.payload_type == payload_type);
        if known.is_some() {
            return known;
        }
        let channel = self.info.channel(ssrc, payload_type)?;
        let codec = Codec::from_mime(&channel.mime).filter(|_| self.info.kind == MediaKind::Video);
        let key = self.keys.next();
        tracing::debug!(track = %channel.track, mime = channel.mime, ssrc, "stream begins");
        let arrival = self.clock.arrival(packet.arrival);
        let subscribed = RoomEvent::TrackSubscribed {
            participant: channel.participant.clone(),
            track: channel.track.clone(),
            ssrc,
            mime: channel.mime.clone(),
        };
        if self.queue.push(Entry::Stream(key, Box::new(channel))) == Pushed::Full {
            // The next packet tries again; without the stream's description this one could not be read.
            self.queue.add_overflow(Overflow {
                packets: 1,
                ..Overflow::default()
            });
            return None;
        }
        self.queue.push(Entry::Event(arrival, Box::new(subscribed)));
        self.streams.push(Stream {
            ssrc,
            payload_type,
            key,
            codec,
            paused_at: None,
        });
        Some(self.streams.len() - 1)
    }
}

impl TapInfo {
    /// How the journal describes the stream; `None` for a payload type nobody negotiated.
    fn channel(&self, ssrc: u32, payload_type: u8) -> Option<TrackChannel> {
        let negotiated = self.codecs.iter().find(|c| c.payload_type == payload_type)?;
        // RED carries the codec that is negotiated beside it.
        let carried = if negotiated.mime_type.eq_ignore_ascii_case("audio/red") {
            self.codecs.iter().find(|c| Codec::from_mime(&c.mime_type).is_some())?
        } else {
            negotiated
        };
        let mut payload_types = vec![PayloadType {
            number: payload_type,
            mime: negotiated.mime_type.clone(),
        }];
        if carried.payload_type != payload_type {
            payload_types.push(PayloadType {
                number: carried.payload_type,
                mime: carried.mime_type.clone(),
            });
        }
        Some(TrackChannel {
            track: self.track.clone(),
            track_name: self.track_name.clone(),
            participant: self.participant.clone(),
            identity: self.identity.clone(),
            participant_name: self.participant_name.clone(),
            source: self.source,
            kind: self.kind,
            mime: carried.mime_type.clone(),
            clock_rate: ClockRate::new(carried.clock_rate)?,
            channels: u8::try_from(carried.channels).unwrap_or(u8::MAX),
            fmtp: carried.sdp_fmtp_line.clone(),
            ssrc,
            payload_types,
            encryption: self.encryption,
        })
    }
}

impl RtpSink for Tap {
    fn packet(&mut self, packet: RtpPacket) {
        let Some(at) = self.stream(&packet) else { return };
        let arrival = self.clock.arrival(packet.arrival);
        self.queue.packets.fetch_add(1, Ordering::Relaxed);
        self.queue
            .bytes
            .fetch_add(packet.payload.len() as u64, Ordering::Relaxed);
        let stream = &mut self.streams[at];
        let sequence = packet.header.sequence_number;
        if stream.is_of_pause(sequence) && !self.queue.is_paused() {
            return;
        }
        if let Some(codec) = stream.codec {
            self.info
                .key_frames
                .packet(codec, packet.header.timestamp, &packet.payload);
        }
        if self.queue.push_media(Entry::Packet(stream.key, arrival, packet)) == Pushed::Paused {
            stream.paused(sequence);
        }
    }

    fn sender_report(&mut self, report: SenderReport) {
        // A report may come before the stream's first packet; the next one comes within seconds.
        let Some(stream) = self.streams.iter().rev().find(|s| s.ssrc == report.ssrc) else {
            return;
        };
        self.queue
            .push_media(Entry::Report(stream.key, self.clock.arrival(report.arrival), report));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Stream {
        Stream {
            ssrc: 1,
            payload_type: 96,
            key: StreamKey(0),
            codec: None,
            paused_at: None,
        }
    }

    #[test]
    fn what_is_repaired_after_a_pause_may_be_of_it() {
        let mut stream = stream();
        assert!(!stream.is_of_pause(65_534));
        for sequence in [65_534, 65_535, 2, 1] {
            stream.paused(sequence);
        }
        assert!(stream.is_of_pause(0), "lost in the pause and repaired after it");
        assert!(stream.is_of_pause(2));
        assert!(!stream.is_of_pause(3), "the first after it");
        assert!(stream.is_of_pause(1), "repaired still later");
        assert!(!stream.is_of_pause(40_000), "a stream that begins anew is not old");
        assert!(!stream.is_of_pause(2 + REPAIRED_WITHIN));
        assert!(!stream.is_of_pause(1), "numbers come round");
    }
}
