//! The first pass over a recording: what streams it has and how their times relate, what happened when, what is cut out.
//!
//! A render surveys all segments once, then reads the frames it wants and places each by its stream's
//! [clock](Survey::clock).

use std::{collections::HashMap, time::Duration};

use crate::{
    codec::Codec,
    frame::is_opus_filler,
    journal::{Channel, Message, RoomEvent, Topic, TrackChannel, event::GapCause},
    reorder::Numbering,
    rtp::{RtpPacket, sender_reports},
    time::{Arrival, ClockRate, MediaTime, Position},
    timeline::{Pauses, StreamClock, StreamId, Timeline},
};

/// Reading on from the middle needs numbers from before it, so often.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);

/// Takes in all messages of a recording, segment by segment, in file order.
#[derive(Debug, Default)]
pub struct Survey {
    /// `None` before the first message.
    timeline: Option<Timeline>,
    streams: Vec<Stream>,
    known: HashMap<StreamKey, usize>,
    /// Streams of the segment's channels, by the segment's numbers; `None` for channels that are none.
    channels: HashMap<u16, Option<usize>>,
    /// Our restarts so far.
    restarts: u32,
    events: Vec<(Position, RoomEvent)>,
    paused_since: Option<Position>,
    pauses: Vec<std::ops::Range<Position>>,
    end: Position,
    unreadable: u64,
}

/// What makes one stream of the channels of many segments. SSRCs may come again after a restart.
#[derive(Debug, PartialEq, Eq, Hash)]
struct StreamKey {
    restarts: u32,
    channel: TrackChannel,
}

/// One RTP stream of a recording, over all segments.
#[derive(Debug)]
pub struct Stream {
    pub channel: TrackChannel,
    pub packets: u64,
    /// Of its packets, headers included.
    pub bytes: u64,
    /// Arrivals of its first and last packet.
    pub span: Option<(Arrival, Arrival)>,
    id: StreamId,
    rate: ClockRate,
    numbering: Numbering,
    checkpoints: Vec<Checkpoint>,
}

#[derive(Debug, Clone, Copy)]
struct Checkpoint {
    arrival: Arrival,
    sequence: u64,
    timestamp: u64,
}

impl Survey {
    pub fn new() -> Self {
        Self::default()
    }

    /// The messages that follow are of another segment, whose channels are numbered anew.
    pub fn begin_segment(&mut self) {
        self.channels.clear();
    }

    pub fn message(&mut self, message: &Message) {
        let arrival = message.arrival;
        let timeline = self.timeline.get_or_insert_with(|| Timeline::new(arrival));
        match &message.channel.topic {
            Topic::Events => self.event(message),
            Topic::Rtp(_) => {
                if let Some(stream) = self.stream(&message.channel) {
                    self.packet(stream, message);
                }
            }
            Topic::Rtcp(_) => {
                if let Some(stream) = self.stream(&message.channel) {
                    self.reports(stream, message);
                }
            }
            _ => self.end = self.end.max(timeline.at(arrival)),
        }
    }

    /// All streams that were seen.
    pub fn streams(&self) -> &[Stream] {
        &self.streams
    }

    /// How a stream's time maps to positions; `None` if it has no packets, or is another survey's.
    pub fn clock(&self, stream: &Stream) -> Option<StreamClock> {
        stream.span?;
        Some(self.timeline.as_ref()?.clock(stream.id))
    }

    /// What happened, and where it stands in the recording; in order.
    pub fn events(&self) -> &[(Position, RoomEvent)] {
        &self.events
    }

    /// What is cut out. A pause that was not ended lasts to the end.
    pub fn pauses(&self) -> Pauses {
        let open = self.paused_since.map(|from| from..self.end);
        Pauses::new(self.pauses.iter().cloned().chain(open))
    }

    /// Where the last message stands: how long the recording is, pauses included.
    pub fn length(&self) -> Position {
        self.end
    }

    /// Messages that are not what their channel says.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    fn event(&mut self, message: &Message) {
        let Some(timeline) = &mut self.timeline else { return };
        let Ok(event) = serde_json::from_slice::<RoomEvent>(&message.data) else {
            self.unreadable += 1;
            return;
        };
        if matches!(
            event,
            RoomEvent::Gap {
                reason: GapCause::Restart,
                ..
            }
        ) {
            timeline.restarted(message.arrival);
            self.restarts += 1;
            self.channels.clear();
        }
        let at = timeline.at(message.arrival);
        self.end = self.end.max(at);
        match event {
            RoomEvent::RecordingPaused { .. } => {
                self.paused_since.get_or_insert(at);
            }
            RoomEvent::RecordingResumed { .. } => self.pauses.extend(self.paused_since.take().map(|from| from..at)),
            _ => {}
        }
        self.events.push((at, event));
    }

    /// The stream a channel belongs to; `None` if the channel describes none.
    fn stream(&mut self, channel: &Channel) -> Option<usize> {
        if let Some(known) = self.channels.get(&channel.id) {
            return *known;
        }
        let found = channel.track.as_ref().and_then(|track| self.find_stream(track));
        self.channels.insert(channel.id, found);
        found
    }

    fn find_stream(&mut self, track: &TrackChannel) -> Option<usize> {
        let timeline = self.timeline.as_mut()?;
        let key = StreamKey {
            restarts: self.restarts,
            channel: track.clone(),
        };
        let streams = &mut self.streams;
        Some(*self.known.entry(key).or_insert_with(|| {
            streams.push(Stream {
                channel: track.clone(),
                packets: 0,
                bytes: 0,
                span: None,
                id: timeline.add_stream(&track.participant),
                rate: track.clock_rate,
                numbering: Numbering::default(),
                checkpoints: Vec::new(),
            });
            streams.len() - 1
        }))
    }

    fn packet(&mut self, stream: usize, message: &Message) {
        let (Some(timeline), Some(stream)) = (&mut self.timeline, self.streams.get_mut(stream)) else {
            return;
        };
        let arrival = message.arrival;
        let of_this_stream = RtpPacket::parse(&message.data).is_ok_and(|packet| packet.ssrc() == stream.channel.ssrc);
        let packet = stream
            .numbering
            .number(arrival, &message.data)
            .ok()
            .filter(|_| of_this_stream);
        let Some(packet) = packet else {
            self.unreadable += 1;
            return;
        };
        stream.packets += 1;
        stream.bytes += message.data.len() as u64;
        stream.span = Some((stream.span.map_or(arrival, |(first, _)| first), arrival));
        let due = stream
            .checkpoints
            .last()
            .is_none_or(|last| arrival.saturating_since(last.arrival) >= CHECKPOINT_EVERY);
        if due {
            let (sequence, timestamp) = (packet.sequence, packet.timestamp);
            stream.checkpoints.push(Checkpoint {
                arrival,
                sequence,
                timestamp,
            });
        }
        let made_up = stream.channel.codec() == Some(Codec::Opus) && is_opus_filler(&packet.payload);
        if !made_up {
            timeline.packet(stream.id, MediaTime::new(packet.timestamp, stream.rate), arrival);
        }
        self.end = self.end.max(timeline.at(arrival));
    }

    fn reports(&mut self, stream: usize, message: &Message) {
        let (Some(timeline), Some(stream)) = (&mut self.timeline, self.streams.get_mut(stream)) else {
            return;
        };
        for report in sender_reports(&message.data).filter(|report| report.ssrc == stream.channel.ssrc) {
            if let Some(wall) = report.ntp.to_wall() {
                let media = MediaTime::new(stream.numbering.timestamp(report.rtp_timestamp), stream.rate);
                timeline.report(stream.id, media, wall, message.arrival);
            }
        }
    }
}

impl Stream {
    /// Numbers for reading its packets from those on that arrived at `arrival`: they come out as they would if it were
    /// read from its start.
    pub fn numbering_at(&self, arrival: Arrival) -> Numbering {
        let after = self
            .checkpoints
            .partition_point(|checkpoint| checkpoint.arrival <= arrival);
        match self.checkpoints.get(after.saturating_sub(1)) {
            Some(checkpoint) => Numbering::resume(checkpoint.sequence, checkpoint.timestamp),
            None => Numbering::default(),
        }
    }
}

#[cfg(test)]
mod tests;
