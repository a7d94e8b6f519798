//! The second pass: frames of all wanted streams, in the order in which they are shown.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque, binary_heap::PeekMut},
    time::Duration,
};

use greffier_media::{
    frame::{Frame, MediaUnit},
    journal::{Message, RoomEvent, Topic, TrackChannel, event::GapCause},
    reorder::{Numbering, Patience},
    time::{Arrival, Position},
    track::{TrackError, TrackReader},
};

use super::{Item, Recording, Segments, SourceError, survey::is_of_a_stream};

/// How long a picture is taken to last if none follows.
pub(crate) const VIDEO_FRAME: Duration = Duration::from_millis(40);

/// A frame waits so long for frames of other streams that are shown before it: as long as a hole in a stream is waited
/// for, and what senders and networks differ by.
const HOLD: Duration = Patience::OFFLINE.wait.saturating_add(Duration::from_secs(2));

/// Readers are told the time so often, so that they give up on holes although nothing comes.
const ADVANCE_EVERY: Duration = Duration::from_millis(100);

/// A frame, and where it is shown: pauses are cut out.
#[derive(Debug, Clone)]
pub(crate) struct TimedFrame {
    /// Index in [`Recording::streams`].
    pub stream: usize,
    pub shown: Position,
    pub frame: Frame,
}

/// Turns packets of all streams into frames. Streams are numbered as the survey numbers them: by their first message.
#[derive(Default)]
pub(super) struct Readers {
    streams: Vec<StreamReader>,
    known: HashMap<(u32, TrackChannel), usize>,
    /// Streams of the segment's channels.
    channels: HashMap<u16, Option<usize>>,
    restarts: u32,
    advanced: Arrival,
    out: VecDeque<(usize, MediaUnit)>,
}

struct StreamReader {
    channel: TrackChannel,
    state: State,
}

enum State {
    /// No packet yet, or none since packets were left out on purpose.
    Idle,
    Reading(Box<TrackReader>),
    Unreadable(TrackError),
}

impl Readers {
    pub fn begin_segment(&mut self) {
        self.channels.clear();
    }

    /// Takes a message in. `numbering` is for a stream that is read from an arrival on; `None` if it is not wanted.
    pub fn message(&mut self, message: &Message, numbering: impl Fn(usize, Arrival) -> Option<Numbering>) {
        self.advance(message.arrival);
        if matches!(message.channel.topic, Topic::Events) {
            self.event(message);
        }
        let Some(stream) = is_of_a_stream(message).then(|| self.stream_of(message)).flatten() else {
            return;
        };
        if !matches!(message.channel.topic, Topic::Rtp(_)) {
            return;
        }
        let reader = &mut self.streams[stream];
        if matches!(reader.state, State::Idle) {
            let Some(numbers) = numbering(stream, message.arrival) else {
                return;
            };
            reader.state = match TrackReader::resume(&reader.channel, Patience::OFFLINE, numbers) {
                Ok(reader) => State::Reading(Box::new(reader)),
                Err(problem) => State::Unreadable(problem),
            };
        }
        if let State::Reading(reader) = &mut reader.state {
            // What is no RTP packet was counted by the survey.
            let _ = reader.push(message.arrival, &message.data);
            self.out
                .extend(std::iter::from_fn(|| reader.poll()).map(|unit| (stream, unit)));
        }
    }

    /// Nothing more comes.
    pub fn finish(&mut self) {
        for stream in 0..self.streams.len() {
            self.end(stream);
        }
    }

    pub fn poll(&mut self) -> Option<(usize, MediaUnit)> {
        self.out.pop_front()
    }

    pub fn problem(&self, stream: usize) -> Option<&TrackError> {
        match &self.streams.get(stream)?.state {
            State::Unreadable(problem) => Some(problem),
            State::Idle | State::Reading(_) => None,
        }
    }

    fn event(&mut self, message: &Message) {
        match serde_json::from_slice(&message.data) {
            Ok(RoomEvent::Gap {
                reason: GapCause::Restart,
                ..
            }) => {
                self.finish();
                self.restarts += 1;
                self.channels.clear();
            }
            // Packets were left out, perhaps more than sequence numbers can count: begin anew.
            Ok(RoomEvent::Gap { .. } | RoomEvent::RecordingResumed { .. }) => self.finish(),
            _ => {}
        }
    }

    /// What the stream still holds comes out; its next packet begins a new reader.
    fn end(&mut self, stream: usize) {
        let state = &mut self.streams[stream].state;
        if let State::Reading(reader) = state {
            reader.finish();
            self.out
                .extend(std::iter::from_fn(|| reader.poll()).map(|unit| (stream, unit)));
            *state = State::Idle;
        }
    }

    fn advance(&mut self, now: Arrival) {
        if now.saturating_since(self.advanced) < ADVANCE_EVERY {
            return;
        }
        self.advanced = now;
        for (stream, reader) in self.streams.iter_mut().enumerate() {
            if let State::Reading(reader) = &mut reader.state {
                reader.advance(now);
                self.out
                    .extend(std::iter::from_fn(|| reader.poll()).map(|unit| (stream, unit)));
            }
        }
    }

    fn stream_of(&mut self, message: &Message) -> Option<usize> {
        let id = message.channel.id;
        if let Some(known) = self.channels.get(&id) {
            return *known;
        }
        let found = message.channel.track.as_ref().map(|channel| {
            let streams = &mut self.streams;
            *self.known.entry((self.restarts, channel.clone())).or_insert_with(|| {
                streams.push(StreamReader {
                    channel: channel.clone(),
                    state: State::Idle,
                });
                streams.len() - 1
            })
        });
        self.channels.insert(id, found);
        found
    }
}

/// Reads a surveyed recording's frames. Holds a few seconds of them.
pub(crate) struct Frames<'a> {
    recording: &'a Recording,
    wanted: &'a [bool],
    segments: Segments<'a>,
    readers: Readers,
    held: BinaryHeap<Reverse<Held>>,
    /// Breaks ties, so that frames of one moment keep their order.
    count: u64,
    latest: Position,
    ended: bool,
}

/// Ordered by when it is shown, then by when it came out.
struct Held {
    shown: Position,
    count: u64,
    stream: usize,
    frame: Frame,
}

impl<'a> Frames<'a> {
    pub(super) fn new(recording: &'a Recording, wanted: &'a [bool]) -> Self {
        Self {
            recording,
            wanted,
            segments: Segments::new(recording.segments()),
            readers: Readers::default(),
            held: BinaryHeap::new(),
            count: 0,
            latest: Position::ZERO,
            ended: false,
        }
    }

    /// The next frame. Blank ones, with which servers fill muted tracks, are left out.
    ///
    /// Frames come in the order in which they are shown, but for what was held up for longer than any repair takes; frames
    /// of one stream are always in order.
    pub fn next(&mut self) -> Result<Option<TimedFrame>, SourceError> {
        loop {
            if let Some(top) = self.held.peek_mut()
                && (self.ended || top.0.shown.saturating_add(HOLD) <= self.latest)
            {
                let Held {
                    shown, stream, frame, ..
                } = PeekMut::pop(top).0;
                return Ok(Some(TimedFrame { stream, shown, frame }));
            }
            if self.ended {
                return Ok(None);
            }
            self.read()?;
        }
    }

    fn read(&mut self) -> Result<(), SourceError> {
        match self.segments.next()? {
            Some(Item::Segment) => self.readers.begin_segment(),
            Some(Item::Message(message)) => {
                let (recording, wanted) = (self.recording, self.wanted);
                self.readers.message(&message, |stream, arrival| {
                    (wanted.get(stream) == Some(&true)).then(|| recording.numbering_at(stream, arrival))
                });
            }
            None => {
                self.readers.finish();
                self.ended = true;
            }
        }
        while let Some((stream, unit)) = self.readers.poll() {
            let MediaUnit::Frame(frame) = unit else { continue };
            let found = self.recording.streams.get(stream).ok_or(SourceError::Changed)?;
            let Some(clock) = &found.clock else { continue };
            if let Some(position) = clock.position(frame.media_time).filter(|_| !frame.is_blank()) {
                // What was captured just before the end of a pause and came after it is shown where the pause was cut.
                self.hold(stream, self.recording.pauses.clamped(position), frame);
            }
        }
        Ok(())
    }

    fn hold(&mut self, stream: usize, shown: Position, frame: Frame) {
        self.latest = self.latest.max(shown);
        self.count += 1;
        self.held.push(Reverse(Held {
            shown,
            count: self.count,
            stream,
            frame,
        }));
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.shown, self.count).cmp(&(other.shown, other.count))
    }
}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Held {}
