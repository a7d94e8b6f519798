//! What a segment holds, counted: by the writer as it appends, and by a reader that sees the same messages again. Both
//! come to the same result, so what a crash took from the rows is found in the files.

use std::collections::BTreeMap;

use greffier_media::{
    ids::{ParticipantIdentity, ParticipantSid, SegmentIndex, TrackSid},
    journal::{
        ChatMessage, Message, RoomEvent, Topic, TrackChannel,
        event::{ParticipantInfo, ParticipantKind, Speaker},
    },
    rtp::SequenceExtender,
    time::Arrival,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Characters of a chat message that the timeline keeps; the journal has all.
const MAX_CHAT_TEXT: usize = 4000;

/// What one segment holds.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentFacts {
    pub segment: SegmentIndex,
    /// Bytes of the file.
    pub bytes: u64,
    /// Messages on all channels.
    pub messages: u64,
    /// Arrivals of the first and the last message; `None` if there is none.
    pub span: Option<(Arrival, Arrival)>,
    pub tracks: Vec<TrackFacts>,
    /// Who was there, with the last name they had. Not those who only record, serve or hide.
    pub participants: BTreeMap<ParticipantIdentity, String>,
    /// What belongs on the recording's timeline …
    pub events: Vec<TimelineEvent>,
    /// … from this one on, counted from 0.
    pub first_event: usize,
    /// Of the whole file, in lower-case hexadecimal, once it is finished and on the disk: then the segment is sealed.
    pub sha256: Option<String>,
    /// If it was mended after a crash: what was lost.
    pub torn: Option<Torn>,
}

/// Where a segment was torn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torn {
    /// How many bytes were sound.
    pub valid_bytes: u64,
    /// How many came after them, and were not.
    pub lost_bytes: u64,
}

impl SegmentFacts {
    pub fn is_sealed(&self) -> bool {
        self.sha256.is_some()
    }

    /// RTP packets of all tracks.
    pub fn packets(&self) -> u64 {
        self.tracks.iter().map(|track| track.packets).sum()
    }

    /// See [`TrackFacts::lost_packets`].
    pub fn lost_packets(&self) -> u64 {
        self.tracks.iter().map(|track| track.lost_packets).sum()
    }
}

/// What one segment holds of one track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackFacts {
    /// How the track last described itself.
    pub track: TrackChannel,
    /// In order of appearance.
    pub ssrcs: Vec<u32>,
    pub packets: u64,
    /// Of the packets as received, headers included.
    pub bytes: u64,
    /// Sequence numbers that are missing between those that are there.
    pub lost_packets: u64,
    pub first: Arrival,
    pub last: Arrival,
}

/// One thing that happened, for people who look at a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelineEvent {
    pub at: Arrival,
    /// In `snake_case`, as `type` in the journal: `participant_joined`.
    pub kind: String,
    /// The event, without what is long and changes often.
    pub data: Value,
}

/// Counts one segment's messages.
#[derive(Debug, Default)]
pub(super) struct Counter {
    messages: u64,
    span: Option<(Arrival, Arrival)>,
    streams: Vec<Stream>,
    participants: BTreeMap<ParticipantIdentity, String>,
    events: Vec<TimelineEvent>,
    /// Who was speaking last: the server repeats it whenever somebody gets louder.
    speaking: Vec<ParticipantSid>,
}

/// One RTP stream: one channel of the segment.
#[derive(Debug)]
struct Stream {
    track: TrackChannel,
    packets: u64,
    bytes: u64,
    span: Option<(Arrival, Arrival)>,
    extender: SequenceExtender,
    /// Lowest and highest sequence number since the last interruption, and how many packets came.
    run: Option<Run>,
    lost_packets: u64,
}

#[derive(Debug)]
struct Run {
    lowest: u64,
    highest: u64,
    packets: u64,
}

impl Run {
    fn lost_packets(&self) -> u64 {
        // Less than nothing if packets came twice.
        (self.highest - self.lowest + 1).saturating_sub(self.packets)
    }
}

/// A stream of the segment being counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamIndex(usize);

impl Counter {
    /// Gets ready to count a stream's packets. One that never comes leaves no trace.
    pub(super) fn add_stream(&mut self, track: TrackChannel) -> StreamIndex {
        self.streams.push(Stream {
            track,
            packets: 0,
            bytes: 0,
            span: None,
            extender: SequenceExtender::default(),
            run: None,
            lost_packets: 0,
        });
        StreamIndex(self.streams.len() - 1)
    }

    /// Any message: packets and events, which have more to say, too.
    pub(super) fn message(&mut self, arrival: Arrival) {
        self.messages += 1;
        widen(&mut self.span, arrival);
    }

    pub(super) fn packet(&mut self, stream: StreamIndex, arrival: Arrival, packet: &[u8]) {
        let stream = &mut self.streams[stream.0];
        stream.packets += 1;
        stream.bytes += packet.len() as u64;
        widen(&mut stream.span, arrival);
        // Bytes 2 and 3 of an RTP packet are its sequence number (RFC 3550 §5.1).
        let Some(&[_, _, high, low]) = packet.first_chunk() else {
            return;
        };
        let sequence = stream.extender.extend(u16::from_be_bytes([high, low]));
        match &mut stream.run {
            Some(run) => {
                run.lowest = run.lowest.min(sequence);
                run.highest = run.highest.max(sequence);
                run.packets += 1;
            }
            None => {
                stream.run = Some(Run {
                    lowest: sequence,
                    highest: sequence,
                    packets: 1,
                });
            }
        }
    }

    pub(super) fn event(&mut self, at: Arrival, event: &RoomEvent) {
        match event {
            RoomEvent::Snapshot { participants, .. } => {
                for participant in participants {
                    self.participant(participant);
                }
            }
            RoomEvent::ParticipantJoined { participant } => self.participant(participant),
            // What is missing from here on was not lost: nobody listened.
            RoomEvent::RecordingResumed { .. } | RoomEvent::Reconnected | RoomEvent::Gap { .. } => {
                self.streams.iter_mut().for_each(Stream::interrupt);
            }
            RoomEvent::ActiveSpeakers { speakers } => self.speakers(at, speakers),
            _ => {}
        }
        self.events.extend(TimelineEvent::from_room(at, event));
    }

    /// Only a change of who speaks is worth an entry, not of how loud.
    fn speakers(&mut self, at: Arrival, speakers: &[Speaker]) {
        let mut now: Vec<_> = speakers.iter().map(|speaker| speaker.participant.clone()).collect();
        now.sort();
        if now != self.speaking {
            self.events
                .push(TimelineEvent::of("active_speakers", at, json!({ "speakers": now })));
            self.speaking = now;
        }
    }

    pub(super) fn chat(&mut self, at: Arrival, message: &ChatMessage) {
        let text: String = message.text.chars().take(MAX_CHAT_TEXT).collect();
        let data = json!({
            "id": message.id, "from": message.from, "text": text, "edited": message.edited, "deleted": message.deleted,
        });
        self.events.push(TimelineEvent::of("chat_message", at, data));
    }

    fn participant(&mut self, participant: &ParticipantInfo) {
        let machine = matches!(participant.kind, ParticipantKind::Egress | ParticipantKind::Agent);
        if !machine && !participant.permissions.hidden {
            self.participants
                .insert(participant.identity.clone(), participant.name.clone());
        }
    }

    pub(super) fn events(&self) -> usize {
        self.events.len()
    }

    /// What it came to, with the timeline's events from the `from_event`-th on.
    pub(super) fn facts(&self, segment: SegmentIndex, bytes: u64, from_event: usize) -> SegmentFacts {
        let first_event = from_event.min(self.events.len());
        SegmentFacts {
            segment,
            bytes,
            messages: self.messages,
            span: self.span,
            tracks: self.tracks(),
            participants: self.participants.clone(),
            events: self.events[first_event..].to_vec(),
            first_event,
            sha256: None,
            torn: None,
        }
    }

    fn tracks(&self) -> Vec<TrackFacts> {
        let mut tracks: BTreeMap<&TrackSid, TrackFacts> = BTreeMap::new();
        for stream in &self.streams {
            let Some((first, last)) = stream.span else { continue };
            let lost_packets = stream.lost_packets + stream.run.as_ref().map_or(0, Run::lost_packets);
            let facts = tracks.entry(&stream.track.track).or_insert_with(|| TrackFacts {
                track: stream.track.clone(),
                ssrcs: Vec::new(),
                packets: 0,
                bytes: 0,
                lost_packets: 0,
                first,
                last,
            });
            facts.track = stream.track.clone();
            if !facts.ssrcs.contains(&stream.track.ssrc) {
                facts.ssrcs.push(stream.track.ssrc);
            }
            facts.packets += stream.packets;
            facts.bytes += stream.bytes;
            facts.lost_packets += lost_packets;
            facts.first = facts.first.min(first);
            facts.last = facts.last.max(last);
        }
        tracks.into_values().collect()
    }
}

impl Stream {
    fn interrupt(&mut self) {
        self.lost_packets += self.run.take().as_ref().map_or(0, Run::lost_packets);
        self.extender = SequenceExtender::default();
    }
}

fn widen(span: &mut Option<(Arrival, Arrival)>, arrival: Arrival) {
    *span = Some(match *span {
        Some((first, last)) => (first.min(arrival), last.max(arrival)),
        None => (arrival, arrival),
    });
}

/// Counts a segment's messages as they are read.
#[derive(Debug, Default)]
pub(super) struct ReadCounter {
    counter: Counter,
    /// By the file's own channel numbers.
    streams: BTreeMap<u16, StreamIndex>,
}

impl ReadCounter {
    pub(super) fn read(&mut self, message: &Message) {
        self.counter.message(message.arrival);
        match (&message.channel.topic, &message.channel.track) {
            (Topic::Rtp(_), Some(track)) => {
                let stream = *self
                    .streams
                    .entry(message.channel.id)
                    .or_insert_with(|| self.counter.add_stream(track.clone()));
                self.counter.packet(stream, message.arrival, &message.data);
            }
            (Topic::Events, _) => {
                // What a later version wrote is in the journal for those who understand it.
                if let Ok(event) = serde_json::from_slice(&message.data) {
                    self.counter.event(message.arrival, &event);
                }
            }
            (Topic::Chat, _) => {
                if let Ok(chat) = serde_json::from_slice(&message.data) {
                    self.counter.chat(message.arrival, &chat);
                }
            }
            _ => {}
        }
    }

    pub(super) fn facts(&self, segment: SegmentIndex, bytes: u64) -> SegmentFacts {
        self.counter.facts(segment, bytes, 0)
    }
}

impl TimelineEvent {
    fn of(kind: &str, at: Arrival, mut data: Value) -> Self {
        data["type"] = kind.into();
        Self {
            at,
            kind: kind.to_owned(),
            data,
        }
    }

    /// What of an event belongs on the timeline: not what repeats every second, nor what only machines read.
    fn from_room(at: Arrival, event: &RoomEvent) -> Option<Self> {
        match event {
            RoomEvent::Snapshot { .. }
            | RoomEvent::ActiveSpeakers { .. }
            | RoomEvent::ConnectionQuality { .. }
            | RoomEvent::ParticipantMetadataChanged { .. }
            | RoomEvent::ParticipantAttributesChanged { .. }
            | RoomEvent::ParticipantPermissionsChanged { .. }
            | RoomEvent::RoomMetadataChanged { .. }
            | RoomEvent::ResolutionChanged { .. }
            | RoomEvent::TrackSubscribed { .. }
            | RoomEvent::TrackUnsubscribed { .. }
            | RoomEvent::Reconnecting
            | RoomEvent::Unknown => return None,
            _ => {}
        }
        let mut data = serde_json::to_value(event).ok()?;
        if let Some(participant) = data.get_mut("participant").and_then(Value::as_object_mut) {
            for long in ["metadata", "attributes", "permissions"] {
                participant.remove(long);
            }
            // Who comes with tracks, or was there with them before us, publishes nothing for us to hear of.
            if let Some(Value::Array(tracks)) = participant.remove("tracks")
                && !tracks.is_empty()
            {
                let short =
                    |track: &Value| json!({"sid": track["sid"], "source": track["source"], "muted": track["muted"]});
                participant.insert("tracks".to_owned(), tracks.iter().map(short).collect());
            }
        }
        let kind = data.get("type")?.as_str()?.to_owned();
        Some(Self { at, kind, data })
    }
}

#[cfg(test)]
mod tests;
