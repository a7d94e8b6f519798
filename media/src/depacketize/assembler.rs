//! What all video formats share: packets of one timestamp, without a hole among them, make one frame.

use std::{collections::VecDeque, mem};

use bytes::Bytes;

use crate::{
    codec::{Codec, Dims},
    frame::{Frame, Gap, GapReason, MediaUnit},
    reorder::{Ordered, Packet},
    time::{Arrival, MediaTime},
};

/// No frame of a meeting comes near it; a stream that never ends one is cut here.
const MAX_FRAME_LEN: usize = 32 * 1024 * 1024;

/// A video payload format: how to read one packet, and how to make a frame of several.
pub(super) trait VideoFormat: Default {
    /// One packet, its payload descriptor read.
    type Part;

    /// `None` if the packet does not follow the format.
    fn part(&mut self, payload: &Bytes) -> Option<Self::Part>;

    /// Makes a frame of the packets of one timestamp. There is no hole among them, nor after them. `head_sure` says
    /// that there is none before them either; else the format must be able to tell that the first is a beginning.
    fn assemble(&mut self, parts: Vec<Self::Part>, head_sure: bool) -> Outcome;

    /// A packet, or a whole frame, is missing before whatever comes next.
    fn lost(&mut self);
}

/// What came of the packets of one timestamp.
pub(super) enum Outcome {
    Frame(Assembled),
    /// Nothing to show, nothing missing: parameter sets, filler.
    Nothing,
    /// Something before the first packet is missing.
    Incomplete,
    /// Whole, but it refers to what is missing.
    Undecodable,
    Malformed,
}

pub(super) struct Assembled {
    pub(super) data: Bytes,
    pub(super) keyframe: bool,
    pub(super) dims: Option<Dims>,
}

/// Collects the packets of one frame after the other.
pub(super) struct Assembler<F: VideoFormat> {
    codec: Codec,
    format: F,
    unit: Option<Unit<F::Part>>,
    /// Whether the next packet follows the last one.
    contiguous: bool,
    /// The timestamp of the last frame that was dropped, so that it is counted once.
    dropped: Option<u64>,
    gap: GapTally,
    last_good: Option<MediaTime>,
}

/// An access unit that is not complete yet.
struct Unit<P> {
    timestamp: u64,
    arrival: Arrival,
    first: u64,
    end: u64,
    head_sure: bool,
    len: usize,
    parts: Vec<P>,
    malformed: bool,
}

#[derive(Default)]
struct GapTally {
    packets_lost: u64,
    frames_dropped: u64,
    malformed: bool,
}

impl<F: VideoFormat> Assembler<F> {
    pub(super) fn new(codec: Codec) -> Self {
        Self {
            codec,
            format: F::default(),
            unit: None,
            contiguous: true,
            dropped: None,
            gap: GapTally::default(),
            last_good: None,
        }
    }

    pub(super) fn push(&mut self, ordered: Ordered, out: &mut VecDeque<MediaUnit>) {
        match ordered {
            Ordered::Packet(packet) => self.packet(&packet, out),
            Ordered::Lost(hole) => {
                self.gap.packets_lost += hole.end - hole.start;
                self.contiguous = false;
                self.abandon();
                self.format.lost();
            }
        }
    }

    pub(super) fn finish(&mut self, out: &mut VecDeque<MediaUnit>) {
        // Without a marker, nobody can say that the last packet was the last of its frame.
        self.abandon();
        self.report_gap(None, out);
    }

    fn packet(&mut self, packet: &Packet, out: &mut VecDeque<MediaUnit>) {
        if packet.payload.is_empty() {
            return;
        }
        if self
            .unit
            .as_ref()
            .is_some_and(|unit| unit.timestamp != packet.timestamp)
        {
            self.close(out);
        }
        let head_sure = mem::replace(&mut self.contiguous, true);
        let unit = self.unit.get_or_insert_with(|| Unit {
            timestamp: packet.timestamp,
            arrival: packet.arrival,
            first: packet.sequence,
            end: packet.sequence,
            head_sure,
            len: 0,
            parts: Vec::new(),
            malformed: false,
        });
        unit.end = packet.sequence + 1;
        unit.arrival = unit.arrival.min(packet.arrival);
        unit.len += packet.payload.len();
        match self.format.part(&packet.payload) {
            Some(part) if unit.len <= MAX_FRAME_LEN => unit.parts.push(part),
            _ => {
                unit.malformed = true;
                unit.parts.clear();
            }
        }
        if packet.marker {
            self.close(out);
        }
    }

    /// The unit is complete.
    fn close(&mut self, out: &mut VecDeque<MediaUnit>) {
        let Some(mut unit) = self.unit.take() else { return };
        let outcome = if unit.malformed {
            Outcome::Malformed
        } else {
            self.format.assemble(mem::take(&mut unit.parts), unit.head_sure)
        };
        match outcome {
            Outcome::Frame(assembled) => self.emit(&unit, assembled, out),
            Outcome::Nothing => {}
            Outcome::Undecodable => self.drop_frame(unit.timestamp),
            Outcome::Incomplete => {
                self.drop_frame(unit.timestamp);
                self.format.lost();
            }
            Outcome::Malformed => {
                self.gap.malformed = true;
                self.drop_frame(unit.timestamp);
                self.format.lost();
            }
        }
    }

    fn emit(&mut self, unit: &Unit<F::Part>, assembled: Assembled, out: &mut VecDeque<MediaUnit>) {
        let media_time = MediaTime::new(unit.timestamp, self.codec.clock_rate());
        self.report_gap(Some(media_time), out);
        self.last_good = Some(media_time);
        out.push_back(MediaUnit::Frame(Frame {
            codec: self.codec,
            media_time,
            arrival: unit.arrival,
            duration: None,
            keyframe: assembled.keyframe,
            dims: assembled.dims,
            packets: unit.first..unit.end,
            data: assembled.data,
        }));
    }

    /// Gives up the unit that was being collected.
    fn abandon(&mut self) {
        if let Some(unit) = self.unit.take() {
            self.drop_frame(unit.timestamp);
        }
    }

    fn drop_frame(&mut self, timestamp: u64) {
        if self.dropped != Some(timestamp) {
            self.gap.frames_dropped += 1;
            self.dropped = Some(timestamp);
        }
    }

    fn report_gap(&mut self, before: Option<MediaTime>, out: &mut VecDeque<MediaUnit>) {
        let GapTally {
            packets_lost,
            frames_dropped,
            malformed,
        } = mem::take(&mut self.gap);
        let reason = match (packets_lost, frames_dropped) {
            (0, 0) => return,
            (0, _) if malformed => GapReason::Malformed,
            (0, _) if self.last_good.is_none() => GapReason::AwaitingKeyframe,
            (0, 1) if before.is_none() => GapReason::Unfinished,
            _ => GapReason::Loss,
        };
        out.push_back(MediaUnit::Gap(Gap {
            reason,
            after: self.last_good,
            before,
            packets_lost,
            frames_dropped,
        }));
    }
}

/// The bytes of all pieces in one; a single piece is not copied.
pub(super) fn concat(mut pieces: impl ExactSizeIterator<Item = Bytes>) -> Bytes {
    if pieces.len() == 1 {
        return pieces.next().unwrap_or_default();
    }
    let pieces: Vec<_> = pieces.collect();
    let mut whole = Vec::with_capacity(pieces.iter().map(Bytes::len).sum());
    for piece in pieces {
        whole.extend_from_slice(&piece);
    }
    whole.into()
}
