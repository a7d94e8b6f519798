//! One continuous stream out of many: what a relay sends on when its source is replaced, republished or switched.
//!
//! Nothing is decoded. Sequence numbers go up by one with each packet sent, timestamps never go back, and the numbers
//! inside VP8 and VP9 payloads that must count on do so. A video source is cut in at a key frame only; after a loss too,
//! so that nobody downstream is shown a broken picture and thinks it whole.

mod picture;

use bytes::Bytes;
use picture::PictureNumbers;

use crate::{
    codec::{Codec, MediaKind},
    depacketize::begins_keyframe,
    reorder::{Ordered, Packet},
    time::Arrival,
};

/// An incoming stream, as the caller numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

/// Where the outgoing stream begins; all three should be random (RFC 3550 §5.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Origin {
    pub sequence: u16,
    pub timestamp: u32,
    /// For VP8 and VP9; 15 bits.
    pub picture_id: u16,
}

/// A packet to send, but for SSRC and payload type, which are the sending track's. Header extensions are not carried over:
/// their ids are agreed upon connection by connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    pub sequence: u16,
    pub timestamp: u32,
    pub marker: bool,
    pub payload: Bytes,
}

/// What became of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Munged {
    Send(Outgoing),
    Dropped(DropReason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// It comes from a source that is neither the chosen one nor about to be replaced by it.
    OtherSource,
    /// The source may be joined at a key frame only.
    AwaitingKeyframe,
    /// Padding alone.
    Padding,
    /// The payload does not follow its format.
    Malformed,
    /// Not a packet, but word of lost ones: nothing to send.
    Lost,
}

/// Joins streams of one codec.
///
/// The old source goes on until the new one has a key frame, so a switch shows no gap.
#[derive(Debug)]
pub struct Munger {
    codec: Codec,
    sequence: u16,
    /// Of the last packet sent.
    last: Option<Sent>,
    origin: Origin,
    /// Whose packets are sent now.
    active: Option<Active>,
    /// Whose packets are to be sent as soon as they can be.
    chosen: Option<SourceId>,
    pictures: PictureNumbers,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    timestamp: u64,
    arrival: Arrival,
}

#[derive(Debug)]
struct Active {
    source: SourceId,
    /// What to add to its timestamps.
    offset: i64,
    /// Something was lost: nothing of it can be used before its next key frame.
    broken: bool,
}

impl Munger {
    pub fn new(codec: Codec, origin: Origin) -> Self {
        Self {
            codec,
            sequence: origin.sequence,
            last: None,
            origin,
            active: None,
            chosen: None,
            pictures: PictureNumbers::new(codec, origin.picture_id),
        }
    }

    /// From now on `source` is wanted.
    pub fn choose(&mut self, source: SourceId) {
        self.chosen = Some(source);
    }

    /// The source that must send a key frame before anything of it can be sent on, if there is one: ask it, again and
    /// again until this is `None`.
    pub fn keyframe_wanted(&self) -> Option<SourceId> {
        if self.codec.kind() == MediaKind::Audio {
            return None;
        }
        let chosen = self.chosen?;
        let flows = self
            .active
            .as_ref()
            .is_some_and(|active| active.source == chosen && !active.broken);
        (!flows).then_some(chosen)
    }

    /// Takes what a [reorder buffer](crate::reorder::Reorder) of one source yields.
    pub fn push(&mut self, source: SourceId, ordered: Ordered) -> Munged {
        match ordered {
            Ordered::Lost(_) => {
                self.lost(source);
                Munged::Dropped(DropReason::Lost)
            }
            Ordered::Packet(packet) => match self.packet(source, &packet) {
                Ok(outgoing) => Munged::Send(outgoing),
                Err(reason) => Munged::Dropped(reason),
            },
        }
    }

    fn lost(&mut self, source: SourceId) {
        if let Some(active) = self.active.as_mut().filter(|active| active.source == source) {
            active.broken = self.codec.kind() == MediaKind::Video;
        }
    }

    fn packet(&mut self, source: SourceId, packet: &Packet) -> Result<Outgoing, DropReason> {
        if packet.payload.is_empty() {
            return Err(DropReason::Padding);
        }
        let is_active = self.active.as_ref().is_some_and(|active| active.source == source);
        let flows = is_active && self.active.as_ref().is_some_and(|active| !active.broken);
        let wanted = self.chosen == Some(source);
        if !flows {
            if !is_active && !wanted {
                return Err(DropReason::OtherSource);
            }
            if !begins_keyframe(self.codec, &packet.payload) {
                return Err(DropReason::AwaitingKeyframe);
            }
        }
        let joins = !flows;
        let offset = match &self.active {
            Some(active) if flows => active.offset,
            _ => self.joining_offset(packet),
        };
        let Some(payload) = self.pictures.rewrite(packet, joins) else {
            // The frame it belongs to is broken now.
            self.lost(source);
            return Err(DropReason::Malformed);
        };
        if joins {
            self.active = Some(Active {
                source,
                offset,
                broken: false,
            });
        }
        // Within a source, timestamps may stand still and must not go back.
        let floor = self.last.map_or(0, |last| last.timestamp);
        let timestamp = packet.timestamp.saturating_add_signed(offset).max(floor);
        self.last = Some(Sent {
            timestamp,
            arrival: packet.arrival,
        });
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        #[expect(clippy::cast_possible_truncation, reason = "RTP timestamps are the low half")]
        let timestamp = timestamp as u32;
        Ok(Outgoing {
            sequence,
            timestamp,
            marker: packet.marker,
            payload,
        })
    }

    /// A source joins as much later than the last packet as it arrives later, and one tick at least.
    fn joining_offset(&self, packet: &Packet) -> i64 {
        let start = match self.last {
            None => (1 << 32) | u64::from(self.origin.timestamp),
            Some(last) => {
                let later = self
                    .codec
                    .clock_rate()
                    .ticks(packet.arrival.saturating_since(last.arrival));
                last.timestamp + later.max(1)
            }
        };
        start.cast_signed().wrapping_sub(packet.timestamp.cast_signed())
    }
}

#[cfg(test)]
mod tests;
