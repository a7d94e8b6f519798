//! From the media threads to the journal's writer: bounded, and counted where it overflows.

use std::mem;
use std::sync::atomic::AtomicU64;

use greffier_media::journal::TrackChannel;
use greffier_media::journal::event::{ChatMessage, DataMessage, ParticipantInfo, RoomEvent, StreamMessage};
use greffier_media::time::Arrival;
use libwebrtc::raw::{RtpPacket, SenderReport};
use parking_lot::Mutex;

/// The key of a stream in its recording: what its entries say instead of repeating what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct StreamKey(pub u32);

/// One thing to be written, in the order in which it happened.
pub(crate) enum Entry {
    /// A stream begins: entries with its key follow.
    Stream(StreamKey, Box<TrackChannel>),
    Packet(StreamKey, Arrival, RtpPacket),
    Report(StreamKey, Arrival, SenderReport),
    Event(Arrival, Box<RoomEvent>),
    Chat(Arrival, Box<ChatMessage>),
    Data(Arrival, Box<DataMessage>),
    Text(Arrival, Box<StreamMessage>),
}

impl Entry {
    /// Bytes it keeps in memory, about.
    fn weight(&self) -> usize {
        let held = match self {
            Self::Packet(_, _, packet) => packet.payload.len(),
            Self::Data(_, data) => data.payload.len(),
            Self::Text(_, text) => text.text.len() + texts(&text.attributes),
            Self::Chat(_, chat) => chat.text.len(),
            Self::Event(_, event) => SMALL + event_weight(event),
            Self::Stream(..) | Self::Report(..) => SMALL,
        };
        held + mem::size_of::<Self>()
    }

    fn arrival(&self) -> Option<Arrival> {
        match self {
            Self::Stream(..) => None,
            Self::Packet(_, arrival, _)
            | Self::Report(_, arrival, _)
            | Self::Event(arrival, _)
            | Self::Chat(arrival, _)
            | Self::Data(arrival, _)
            | Self::Text(arrival, _) => Some(*arrival),
        }
    }
}

/// What an event without long texts takes.
const SMALL: usize = 256;

/// The parts of an event that whoever causes it chooses the length of.
fn event_weight(event: &RoomEvent) -> usize {
    let of = |participant: &ParticipantInfo| {
        let own = participant.name.len() + participant.metadata.len() + texts(&participant.attributes);
        own + participant.tracks.len() * SMALL
    };
    match event {
        RoomEvent::ParticipantJoined { participant } => of(participant),
        RoomEvent::ParticipantNameChanged { name, .. } => name.len(),
        RoomEvent::ParticipantMetadataChanged { metadata, .. } | RoomEvent::RoomMetadataChanged { metadata } => {
            metadata.len()
        }
        RoomEvent::ParticipantAttributesChanged { changed, .. } => texts(changed),
        RoomEvent::ActiveSpeakers { speakers } => speakers.len() * SMALL,
        _ => 0,
    }
}

fn texts(map: &std::collections::BTreeMap<String, String>) -> usize {
    map.iter().map(|(key, value)| key.len() + value.len()).sum()
}

/// What the room's events may take besides, when media and messages have filled the queue.
const EVENT_BYTES: usize = 8 << 20;

#[derive(Default)]
struct Waiting {
    entries: Vec<Entry>,
    bytes: usize,
    paused: bool,
    /// How often it was paused.
    pauses: u64,
    /// What arrived before the end of the last pause is of the pause, however late it comes here.
    kept_from: Arrival,
    overflow: Overflow,
}

impl Waiting {
    fn add(&mut self, entry: Entry) {
        self.bytes += entry.weight();
        self.entries.push(entry);
    }

    fn has_room(&self, entry: &Entry, limit: usize) -> bool {
        self.bytes + entry.weight() <= limit
    }
}

/// What was dropped for want of room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Overflow {
    /// Packets and sender reports.
    pub packets: u64,
    /// Chat, data, text.
    pub messages: u64,
    /// What happened in the room.
    pub events: u64,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    Kept,
    /// It is of a pause, and was never meant to be kept.
    Paused,
    /// Dropped, and counted.
    Full,
}

/// The time between two pauses: what begins in one and ends in another is of the pause between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Era(u64);

/// The queue of one recording.
///
/// Overflow: when the writer cannot keep up for so long that `capacity` bytes wait, further packets and messages are dropped
/// and counted: dropping the newest keeps what there is without holes, and the journal says how many packets are missing.
/// What happens in the room is little as a rule, and a recording without it could not be read, so it has [`EVENT_BYTES`]
/// besides; but how much of it comes is for others to choose, so it is dropped after that. Only our own marks (the beginning
/// and the end, pauses, gaps), which are a handful, always go in.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    capacity: usize,
    /// Packets that passed, for the figures.
    pub packets: AtomicU64,
    pub bytes: AtomicU64,
}

impl Queue {
    /// `capacity` in bytes.
    pub fn new(capacity: usize, paused: bool) -> Self {
        let waiting = Waiting {
            paused,
            ..Waiting::default()
        };
        Self {
            waiting: Mutex::new(waiting),
            capacity,
            packets: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// Hands over what comes from the room's media. Called on a media thread: takes a lock that is held for moments.
    pub fn push_media(&self, entry: Entry) -> Pushed {
        // Whether it is paused is asked under the same lock that a pause is set under, so that nothing slips past.
        let mut waiting = self.waiting.lock();
        if waiting.paused || entry.arrival().is_some_and(|arrival| arrival < waiting.kept_from) {
            return Pushed::Paused;
        }
        if !waiting.has_room(&entry, self.capacity) {
            waiting.overflow.packets += 1;
            return Pushed::Full;
        }
        waiting.add(entry);
        Pushed::Kept
    }

    /// Hands over what happened in the room, pause or not.
    pub fn push(&self, entry: Entry) -> Pushed {
        let mut waiting = self.waiting.lock();
        if !waiting.has_room(&entry, self.capacity + EVENT_BYTES) {
            waiting.overflow.events += 1;
            return Pushed::Full;
        }
        waiting.add(entry);
        Pushed::Kept
    }

    /// Hands over a mark of our own; never dropped.
    pub fn push_mark(&self, entry: Entry) {
        self.waiting.lock().add(entry);
    }

    /// Hands over what people wrote or programs sent: content, so a pause keeps it out. With `since`, what began then is kept
    /// only if no pause came in between.
    pub fn push_content(&self, entry: Entry, since: Option<Era>) -> Pushed {
        let mut waiting = self.waiting.lock();
        if waiting.paused || since.is_some_and(|Era(since)| since != waiting.pauses) {
            return Pushed::Paused;
        }
        if !waiting.has_room(&entry, self.capacity) {
            waiting.overflow.messages += 1;
            return Pushed::Full;
        }
        waiting.add(entry);
        Pushed::Kept
    }

    /// Puts the event that marks a pause or its end in place, so that nothing of the other side of it slips past.
    pub fn set_paused(&self, paused: bool, at: Arrival, mark: RoomEvent) {
        let mut waiting = self.waiting.lock();
        waiting.paused = paused;
        if paused {
            waiting.pauses += 1;
        } else {
            waiting.kept_from = at;
        }
        waiting.add(Entry::Event(at, Box::new(mark)));
    }

    pub fn is_paused(&self) -> bool {
        self.waiting.lock().paused
    }

    /// Now, for what begins; `None` during a pause.
    pub fn era(&self) -> Option<Era> {
        let waiting = self.waiting.lock();
        (!waiting.paused).then_some(Era(waiting.pauses))
    }

    /// Takes everything that waits, leaving `spare` (empty, its memory reused) in its place.
    pub fn take(&self, spare: Vec<Entry>) -> Vec<Entry> {
        debug_assert!(spare.is_empty(), "what is put in place of the entries is empty");
        let mut waiting = self.waiting.lock();
        waiting.bytes = 0;
        mem::replace(&mut waiting.entries, spare)
    }

    /// Puts entries back to where they were taken from, before what has come since.
    pub fn put_back(&self, entries: impl Iterator<Item = Entry>) {
        let mut waiting = self.waiting.lock();
        let mut all: Vec<Entry> = entries.collect();
        waiting.bytes += all.iter().map(Entry::weight).sum::<usize>();
        all.append(&mut waiting.entries);
        waiting.entries = all;
    }

    /// Counts what was dropped for want of room elsewhere.
    pub fn add_overflow(&self, dropped: Overflow) {
        let mut waiting = self.waiting.lock();
        waiting.overflow.packets += dropped.packets;
        waiting.overflow.messages += dropped.messages;
        waiting.overflow.events += dropped.events;
    }

    /// What was dropped for want of room since the last call.
    pub fn take_overflow(&self) -> Overflow {
        mem::take(&mut self.waiting.lock().overflow)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use libwebrtc::raw::RtpHeader;

    use super::*;
    use crate::clock::instant;

    fn packet_at(arrival: Arrival, len: usize) -> Entry {
        let packet = RtpPacket {
            arrival: instant(),
            header: RtpHeader::default(),
            payload: Bytes::from(vec![0; len]),
            repaired: false,
        };
        Entry::Packet(StreamKey(0), arrival, packet)
    }

    fn packet(len: usize) -> Entry {
        packet_at(Arrival::ZERO, len)
    }

    fn event() -> Entry {
        Entry::Event(Arrival::ZERO, Box::new(RoomEvent::Reconnecting))
    }

    fn data(len: usize) -> Entry {
        let data = DataMessage {
            from: None,
            topic: None,
            reliable: true,
            payload: vec![0; len],
        };
        Entry::Data(Arrival::ZERO, Box::new(data))
    }

    fn metadata(len: usize) -> Entry {
        let event = RoomEvent::RoomMetadataChanged {
            metadata: "x".repeat(len),
        };
        Entry::Event(Arrival::ZERO, Box::new(event))
    }

    #[test]
    fn packets_overflow_counted_and_events_do_not() {
        let queue = Queue::new(10_000, false);
        for _ in 0..20 {
            queue.push_media(packet(1_000));
        }
        assert_eq!(queue.push(event()), Pushed::Kept);
        let taken = queue.take(Vec::new());
        let packets = taken.iter().filter(|e| matches!(e, Entry::Packet(..))).count();
        assert!((5..10).contains(&packets), "{packets}");
        assert!(matches!(taken.last(), Some(Entry::Event(..))));
        let dropped = Overflow {
            packets: 20 - packets as u64,
            ..Overflow::default()
        };
        assert_eq!(queue.take_overflow(), dropped);
        assert_eq!(queue.take_overflow(), Overflow::default());
        assert_eq!(
            queue.push_media(packet(1_000)),
            Pushed::Kept,
            "once taken there is room again"
        );
    }

    #[test]
    fn whatever_others_send_is_bounded() {
        let queue = Queue::new(10_000, false);
        for _ in 0..100 {
            queue.push_content(data(1_000), None);
            queue.push(metadata(1 << 20));
        }
        queue.push_mark(event());
        let taken = queue.take(Vec::new());
        let held: usize = taken.iter().map(Entry::weight).sum();
        assert!(held <= 10_000 + EVENT_BYTES + 1_000, "{held}");
        assert!(matches!(taken.last(), Some(Entry::Event(_, event)) if **event == RoomEvent::Reconnecting));
        let dropped = queue.take_overflow();
        assert_eq!(dropped.packets, 0);
        assert_eq!(
            dropped.messages + dropped.events + taken.len() as u64,
            201,
            "all are counted"
        );
        assert!(dropped.messages > 80 && dropped.events > 80, "{dropped:?}");
    }

    #[test]
    fn nothing_of_the_room_is_kept_during_a_pause() {
        let queue = Queue::new(1 << 20, false);
        queue.push_media(packet(10));
        queue.set_paused(true, Arrival::ZERO, RoomEvent::RecordingPaused { by: None });
        assert_eq!(queue.push_media(packet(10)), Pushed::Paused);
        assert_eq!(queue.push_content(data(10), None), Pushed::Paused);
        queue.set_paused(false, Arrival::ZERO, RoomEvent::RecordingResumed { by: None });
        queue.push_media(packet(10));
        let taken = queue.take(Vec::new());
        let kinds: Vec<bool> = taken.iter().map(|e| matches!(e, Entry::Packet(..))).collect();
        assert_eq!(kinds, [true, false, false, true]);
        assert_eq!(queue.take_overflow(), Overflow::default(), "a pause loses nothing");
    }

    #[test]
    fn what_arrived_during_a_pause_is_of_it_however_late_it_comes() {
        let queue = Queue::new(1 << 20, false);
        let at = Arrival::from_millis;
        let begun = queue.era().expect("it is not paused");
        queue.set_paused(true, at(100), RoomEvent::RecordingPaused { by: None });
        assert_eq!(queue.era(), None);
        queue.set_paused(false, at(200), RoomEvent::RecordingResumed { by: None });
        assert_eq!(queue.push_media(packet_at(at(199), 10)), Pushed::Paused);
        assert_eq!(queue.push_media(packet_at(at(200), 10)), Pushed::Kept);
        assert_eq!(
            queue.push_content(data(10), Some(begun)),
            Pushed::Paused,
            "a pause came in between"
        );
        let now = queue.era();
        assert!(now.is_some() && now != Some(begun));
        assert_eq!(queue.push_content(data(10), now), Pushed::Kept);
    }

    #[test]
    fn what_is_put_back_comes_first_again() {
        let queue = Queue::new(3_000, false);
        queue.push_media(packet(1_000));
        queue.push(event());
        let taken = queue.take(Vec::new());
        queue.push_media(packet(1_100));
        queue.put_back(taken.into_iter());
        assert_eq!(queue.push_media(packet(1_000)), Pushed::Full, "it counts again");
        let lengths: Vec<usize> = queue
            .take(Vec::new())
            .iter()
            .map(|entry| match entry {
                Entry::Packet(_, _, packet) => packet.payload.len(),
                _ => 0,
            })
            .collect();
        assert_eq!(lengths, [1_000, 0, 1_100]);
    }
}
