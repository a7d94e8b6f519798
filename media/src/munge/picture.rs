//! Numbers inside VP8 and VP9 payloads that count on over any switch: picture id, TL0PICIDX, KEYIDX.

use bytes::Bytes;

use crate::{
    codec::Codec,
    depacketize::{vp8::Vp8Descriptor, vp9::Vp9Descriptor},
    reorder::Packet,
};

const PICTURE_ID_MASK: u16 = 0x7FFF;
const LONG_PICTURE_ID: u8 = 0x80;

/// Counts pictures for the outgoing stream.
#[derive(Debug)]
pub(super) struct PictureNumbers {
    codec: Codec,
    picture_id: u16,
    tl0: u8,
    key_index: u8,
    /// What the source's numbers were in its last packet.
    source: Option<SourceNumbers>,
}

#[derive(Debug, Clone, Copy)]
struct SourceNumbers {
    timestamp: u64,
    /// With how many values it counts.
    picture_id: Option<(u16, u16)>,
    tl0: Option<u8>,
    key_index: Option<u8>,
}

impl PictureNumbers {
    pub(super) fn new(codec: Codec, picture_id: u16) -> Self {
        Self {
            codec,
            picture_id: picture_id & PICTURE_ID_MASK,
            tl0: 0,
            key_index: 0,
            source: None,
        }
    }

    /// The payload with numbers that follow those sent before; `joins` says that it does not follow the source's own last
    /// packet. `None` if it cannot be read.
    pub(super) fn rewrite(&mut self, packet: &Packet, joins: bool) -> Option<Bytes> {
        match self.codec {
            Codec::Vp8 => self.vp8(packet, joins),
            Codec::Vp9 => self.vp9(packet, joins),
            Codec::Opus | Codec::H264 | Codec::Av1 => Some(packet.payload.clone()),
        }
    }

    fn vp8(&mut self, packet: &Packet, joins: bool) -> Option<Bytes> {
        let payload = &packet.payload;
        let descriptor = Vp8Descriptor::parse(payload)?;
        let extended = payload[0] & 0x80 != 0;
        let flags = if extended { payload[1] } else { 0 };
        let has_layer_byte = flags & 0x30 != 0;
        let layer_byte = if has_layer_byte { payload[descriptor.len - 1] } else { 0 };
        self.advance(
            joins,
            SourceNumbers {
                timestamp: packet.timestamp,
                picture_id: descriptor.picture_id.map(|(_, id, long)| (id, cycle(long))),
                tl0: descriptor.tl0.map(|(_, tl0)| tl0),
                key_index: (flags & 0x10 != 0).then_some(layer_byte & 0x1F),
            },
        );
        // Always with a picture id of 15 bits, so that sources with and without one make one stream.
        let [high, low] = self.picture_id.to_be_bytes();
        let mut rewritten = Vec::with_capacity(payload.len() + 4);
        rewritten.extend([payload[0] | 0x80, flags | 0x80, high | LONG_PICTURE_ID, low]);
        if descriptor.tl0.is_some() {
            rewritten.push(self.tl0);
        }
        if has_layer_byte {
            let key_index = if flags & 0x10 != 0 {
                self.key_index
            } else {
                layer_byte & 0x1F
            };
            rewritten.push(layer_byte & 0xE0 | key_index);
        }
        rewritten.extend_from_slice(&payload[descriptor.len..]);
        Some(rewritten.into())
    }

    fn vp9(&mut self, packet: &Packet, joins: bool) -> Option<Bytes> {
        let payload = &packet.payload;
        let descriptor = Vp9Descriptor::parse(payload)?;
        self.advance(
            joins,
            SourceNumbers {
                timestamp: packet.timestamp,
                picture_id: descriptor.picture_id.map(|(_, id, long)| (id, cycle(long))),
                tl0: descriptor.tl0.map(|(_, tl0)| tl0),
                key_index: None,
            },
        );
        let [high, low] = self.picture_id.to_be_bytes();
        let mut rewritten = Vec::with_capacity(payload.len() + 2);
        rewritten.extend([payload[0] | 0x80, high | LONG_PICTURE_ID, low]);
        let rest = descriptor
            .picture_id
            .map_or(1, |(at, _, long)| at + 1 + usize::from(long));
        let rest_at = rewritten.len();
        rewritten.extend_from_slice(&payload[rest..]);
        if let Some((at, _)) = descriptor.tl0 {
            rewritten[rest_at + at - rest] = self.tl0;
        }
        Some(rewritten.into())
    }

    /// Counts on by as much as the source did; by one if it has only just joined, or does not count.
    fn advance(&mut self, joins: bool, now: SourceNumbers) {
        let before = if joins { None } else { self.source };
        let new_picture = before.is_none_or(|before| before.timestamp != now.timestamp);
        let step = match (before.and_then(|before| before.picture_id), now.picture_id) {
            (Some((before, _)), Some((id, cycle))) => id.wrapping_sub(before) & (cycle - 1),
            _ => u16::from(new_picture),
        };
        self.picture_id = self.picture_id.wrapping_add(step) & PICTURE_ID_MASK;
        if let Some(tl0) = now.tl0 {
            let before = before.and_then(|before| before.tl0);
            self.tl0 = self
                .tl0
                .wrapping_add(before.map_or(1, |before| tl0.wrapping_sub(before)));
        }
        if let Some(key_index) = now.key_index {
            let before = before.and_then(|before| before.key_index);
            let step = before.map_or(1, |before| key_index.wrapping_sub(before));
            self.key_index = self.key_index.wrapping_add(step) & 0x1F;
        }
        self.source = Some(now);
    }
}

fn cycle(long: bool) -> u16 {
    if long { 1 << 15 } else { 1 << 7 }
}
