//! Packets back into the order they were sent in, and the word on those that never came.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use bytes::Bytes;

use crate::{
    rtp::{RtpError, RtpPacket, SequenceExtender, TimestampExtender},
    time::Arrival,
};

/// One packet of one stream, its numbers made whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Extended sequence number.
    pub sequence: u64,
    /// Extended timestamp, in ticks of the stream's clock.
    pub timestamp: u64,
    pub arrival: Arrival,
    pub payload_type: u8,
    pub marker: bool,
    /// Without padding; empty for a packet that is padding alone.
    pub payload: Bytes,
}

/// Makes [`Packet`]s of the packets of one stream, in the order they arrived.
#[derive(Debug, Clone, Default)]
pub struct Numbering {
    sequences: SequenceExtender,
    timestamps: TimestampExtender,
}

impl Numbering {
    /// Goes on from a packet that was numbered before, to read on from the middle of a stream.
    pub fn resume(sequence: u64, timestamp: u64) -> Self {
        Self {
            sequences: SequenceExtender::resume(sequence),
            timestamps: TimestampExtender::resume(timestamp),
        }
    }

    /// Parses one packet. The payload is a slice of `bytes`.
    pub fn number(&mut self, arrival: Arrival, bytes: &Bytes) -> Result<Packet, RtpError> {
        let view = RtpPacket::parse(bytes)?;
        Ok(Packet {
            sequence: self.sequences.extend(view.sequence()),
            timestamp: self.timestamps.extend(view.timestamp()),
            arrival,
            payload_type: view.payload_type(),
            marker: view.marker(),
            payload: bytes.slice(view.payload_range()),
        })
    }

    /// A timestamp of the same stream from elsewhere, as a sender report has it.
    pub fn timestamp(&self, timestamp: u32) -> u64 {
        self.timestamps.peek(timestamp)
    }
}

/// What comes out, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ordered {
    Packet(Packet),
    /// These sequence numbers never came, or too late.
    Lost(Range<u64>),
}

/// How long to wait for a packet that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From the arrival of the first packet after the hole.
    pub wait: Duration,
    /// Packets held back at most; one more, and the hole is given up.
    pub capacity: usize,
}

impl Patience {
    /// For a finished journal, where waiting costs nothing: as long as any repair may take.
    pub const OFFLINE: Self = Self {
        wait: Duration::from_secs(5),
        capacity: 16_384,
    };
    /// For live use: a repair takes a round trip or two, and nobody may wait longer.
    pub const LIVE: Self = Self {
        wait: Duration::from_millis(300),
        capacity: 2_048,
    };
}

/// What happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReorderStats {
    pub received: u64,
    pub duplicates: u64,
    /// Came after they were given up.
    pub late: u64,
    /// Given up, those that came late included.
    pub lost: u64,
}

/// A reorder buffer over extended sequence numbers.
///
/// [`push`](Self::push) each packet as it arrives, then [`poll`](Self::poll) until it answers `None`.
#[derive(Debug, Clone)]
pub struct Reorder {
    patience: Patience,
    /// What must come next; `None` before the first packet went out.
    next: Option<u64>,
    held: BTreeMap<u64, Packet>,
    /// Since when the first of `held` waits for what is before it.
    blocked_since: Option<Arrival>,
    stats: ReorderStats,
}

/// How long the very first packet waits for one before it, at most.
const START_WAIT: Duration = Duration::from_millis(50);

impl Reorder {
    pub fn new(patience: Patience) -> Self {
        Self {
            patience,
            next: None,
            held: BTreeMap::new(),
            blocked_since: None,
            stats: ReorderStats::default(),
        }
    }

    pub fn push(&mut self, packet: Packet) {
        self.stats.received += 1;
        if self.next.is_some_and(|next| packet.sequence < next) {
            self.stats.late += 1;
            return;
        }
        let arrival = packet.arrival;
        match self.held.entry(packet.sequence) {
            std::collections::btree_map::Entry::Occupied(_) => self.stats.duplicates += 1,
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(packet);
                self.blocked_since.get_or_insert(arrival);
            }
        }
    }

    /// The next in order, or the next hole whose time is up at `now`.
    pub fn poll(&mut self, now: Arrival) -> Option<Ordered> {
        let (&first, _) = self.held.first_key_value()?;
        match self.next {
            Some(next) if first == next => self.take_first(),
            _ if !self.out_of_patience(now) => None,
            Some(next) => Some(self.give_up(next..first)),
            None => self.take_first(),
        }
    }

    /// When [`poll`](Self::poll) will have something without another packet; `None` if never.
    pub fn deadline(&self) -> Option<Arrival> {
        Some(self.blocked_since?.saturating_add(self.wait()))
    }

    /// Everything still held, at the end of the stream: nothing more is waited for.
    pub fn drain(&mut self) -> Option<Ordered> {
        self.poll(Arrival::from_nanos(u64::MAX))
    }

    pub fn stats(&self) -> ReorderStats {
        self.stats
    }

    fn wait(&self) -> Duration {
        if self.next.is_some() {
            self.patience.wait
        } else {
            self.patience.wait.min(START_WAIT)
        }
    }

    fn out_of_patience(&self, now: Arrival) -> bool {
        self.held.len() > self.patience.capacity || self.deadline().is_some_and(|deadline| deadline <= now)
    }

    fn give_up(&mut self, hole: Range<u64>) -> Ordered {
        self.next = Some(hole.end);
        self.stats.lost += hole.end - hole.start;
        Ordered::Lost(hole)
    }

    fn take_first(&mut self) -> Option<Ordered> {
        let (sequence, packet) = self.held.pop_first()?;
        let next = sequence + 1;
        self.next = Some(next);
        // The next hole is waited for since the first packet after it came.
        let blocked = self.held.first_key_value().is_some_and(|(first, _)| *first != next);
        self.blocked_since = if blocked {
            self.held.values().map(|held| held.arrival).min()
        } else {
            None
        };
        if !blocked && !self.held.is_empty() {
            self.blocked_since = Some(packet.arrival);
        }
        Some(Ordered::Packet(packet))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn packet(sequence: u64, arrival_ms: u64) -> Packet {
        Packet {
            sequence,
            timestamp: sequence * 3000,
            arrival: Arrival::from_millis(arrival_ms),
            payload_type: 96,
            marker: true,
            payload: Bytes::new(),
        }
    }

    /// Feeds (sequence, arrival in ms), polling at each arrival; `None` drains. Answers sequences, holes as `(from, to)`.
    fn run(wait_ms: u64, input: &[(u64, u64)]) -> (Vec<u64>, Vec<(u64, u64)>, ReorderStats) {
        let mut reorder = Reorder::new(Patience {
            wait: Duration::from_millis(wait_ms),
            capacity: 1000,
        });
        let (mut packets, mut holes) = (Vec::new(), Vec::new());
        let mut note = |ordered| match ordered {
            Ordered::Packet(packet) => packets.push(packet.sequence),
            Ordered::Lost(hole) => holes.push((hole.start, hole.end)),
        };
        for (sequence, at) in input {
            reorder.push(packet(*sequence, *at));
            while let Some(ordered) = reorder.poll(Arrival::from_millis(*at)) {
                note(ordered);
            }
        }
        while let Some(ordered) = reorder.drain() {
            note(ordered);
        }
        (packets, holes, reorder.stats())
    }

    #[test]
    fn in_order_passes_through() {
        let (packets, holes, stats) = run(100, &[(10, 0), (11, 20), (12, 40)]);
        assert_eq!((packets, holes), (vec![10, 11, 12], vec![]));
        assert_eq!(
            stats,
            ReorderStats {
                received: 3,
                ..ReorderStats::default()
            }
        );
    }

    #[test]
    fn a_repair_within_the_wait_fills_the_hole() {
        let (packets, holes, _) = run(100, &[(1, 0), (2, 100), (4, 110), (5, 120), (3, 205)]);
        assert_eq!((packets, holes), (vec![1, 2, 3, 4, 5], vec![]));
    }

    #[test]
    fn a_repair_after_the_wait_is_late() {
        let (packets, holes, stats) = run(100, &[(1, 0), (2, 100), (4, 110), (5, 210), (3, 211), (6, 220)]);
        assert_eq!((packets, holes), (vec![1, 2, 4, 5, 6], vec![(3, 4)]));
        assert_eq!((stats.late, stats.lost), (1, 1));
    }

    #[test]
    fn each_hole_has_its_own_wait() {
        let mut reorder = Reorder::new(Patience {
            wait: Duration::from_millis(100),
            capacity: 1000,
        });
        for (sequence, at) in [(1, 0), (3, 60), (5, 140)] {
            reorder.push(packet(sequence, at));
        }
        let poll = |reorder: &mut Reorder, at| reorder.poll(Arrival::from_millis(at));
        assert_eq!(poll(&mut reorder, 60), Some(Ordered::Packet(packet(1, 0))));
        assert_eq!(poll(&mut reorder, 159), None);
        assert_eq!(reorder.deadline(), Some(Arrival::from_millis(160)));
        assert_eq!(poll(&mut reorder, 160), Some(Ordered::Lost(2..3)));
        assert_eq!(poll(&mut reorder, 160), Some(Ordered::Packet(packet(3, 60))));
        assert_eq!(poll(&mut reorder, 239), None);
        assert_eq!(poll(&mut reorder, 240), Some(Ordered::Lost(4..5)));
    }

    #[test]
    fn duplicates_are_dropped() {
        let (packets, _, stats) = run(100, &[(1, 0), (3, 50), (3, 60), (1, 70), (2, 80)]);
        assert_eq!(packets, [1, 2, 3]);
        assert_eq!((stats.duplicates, stats.late), (1, 1));
    }

    #[test]
    fn the_beginning_may_be_out_of_order_too() {
        let (packets, holes, _) = run(100, &[(11, 0), (10, 5), (12, 60)]);
        assert_eq!((packets, holes), (vec![10, 11, 12], vec![]));
    }

    #[test]
    fn a_full_buffer_gives_up() {
        let mut reorder = Reorder::new(Patience {
            wait: Duration::from_hours(1),
            capacity: 10,
        });
        let mut got = Vec::new();
        reorder.push(packet(0, 0));
        while let Some(ordered) = reorder.drain() {
            got.push(ordered);
        }
        for sequence in 2..13 {
            reorder.push(packet(sequence, sequence));
        }
        assert_eq!(reorder.poll(Arrival::from_millis(13)), Some(Ordered::Lost(1..2)));
    }

    #[test]
    fn numbering_cuts_out_the_payload() {
        let bytes = Bytes::from_static(&[0xA0, 0xE0, 0, 7, 0, 0, 0, 9, 0, 0, 0, 1, 0xAA, 0xBB, 1]);
        let mut numbering = Numbering::default();
        let packet = numbering.number(Arrival::from_millis(3), &bytes).unwrap();
        assert_eq!((packet.sequence, packet.timestamp), ((1 << 16) + 7, (1 << 32) + 9));
        assert_eq!(
            (packet.marker, packet.payload_type, &packet.payload[..]),
            (true, 96, &[0xAA, 0xBB][..])
        );
        assert_eq!(numbering.timestamp(8), (1 << 32) + 8);
        assert!(numbering.number(Arrival::ZERO, &Bytes::new()).is_err());
    }

    proptest! {
        /// Whatever order packets come in: out come ascending sequences, and every number from the first on is either a
        /// packet or in exactly one hole.
        #[test]
        fn every_number_is_accounted_for(
            input in vec((0_u64..200, 0_u64..30), 1..300),
            wait in 0_u64..100,
        ) {
            let mut at = 0;
            let input: Vec<_> = input.into_iter().map(|(sequence, step)| { at += step; (sequence, at) }).collect();
            let (packets, holes, stats) = run(wait, &input);
            prop_assert!(packets.is_sorted_by(|a, b| a < b));
            let mut all: Vec<u64> = packets.clone();
            all.extend(holes.iter().flat_map(|(from, to)| *from..*to));
            all.sort_unstable();
            let (first, last) = (packets[0], *packets.last().unwrap());
            prop_assert_eq!(all, (first..=last).collect::<Vec<_>>());
            prop_assert_eq!(stats.received, packets.len() as u64 + stats.duplicates + stats.late);
        }
    }
}
