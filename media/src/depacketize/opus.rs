//! Opus ([RFC 7587](https://www.rfc-editor.org/rfc/rfc7587)): one RTP payload is one Opus packet.

use std::{collections::VecDeque, mem, ops::Range, time::Duration};

use bytes::Bytes;

use super::red::Red;
use crate::{
    ErrorKind,
    codec::Codec,
    frame::{Frame, Gap, GapReason, MediaUnit},
    reorder::Packet,
    time::{Arrival, ClockRate, MediaTime},
};

/// An Opus packet is never longer ([RFC 6716 §3.2.5](https://www.rfc-editor.org/rfc/rfc6716#section-3.2.5)).
const MAX_PACKET: Duration = Duration::from_millis(120);

/// How long an Opus packet lasts, by its TOC byte ([RFC 6716 §3.1](https://www.rfc-editor.org/rfc/rfc6716#section-3.1)).
pub fn packet_duration(packet: &[u8]) -> Result<Duration, OpusError> {
    let (toc, rest) = packet.split_first().ok_or(OpusError::Empty)?;
    let config = toc >> 3;
    let frame_us = match config {
        // SILK: 10, 20, 40, 60 ms
        0..=11 => [10_000, 20_000, 40_000, 60_000][usize::from(config % 4)],
        // Hybrid: 10, 20 ms
        12..=15 => [10_000, 20_000][usize::from(config % 2)],
        // CELT: 2.5, 5, 10, 20 ms
        _ => [2_500, 5_000, 10_000, 20_000][usize::from(config % 4)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => rest.first().ok_or(OpusError::Empty)? & 0x3F,
    };
    let duration = Duration::from_micros(frame_us * u64::from(frames));
    if frames == 0 || duration > MAX_PACKET {
        Err(OpusError::Duration)
    } else {
        Ok(duration)
    }
}

/// Why bytes are not an Opus packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpusError {
    #[error("an Opus packet has at least a TOC byte, and a count if that says so")]
    Empty,
    #[error("an Opus packet lasts at most 120 ms, and not zero")]
    Duration,
}

impl OpusError {
    pub fn kind(self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// Every packet is a frame. What matters is what is between them: a hole in the sequence numbers is loss, a jump of the
/// timestamps without one is silence (DTX).
pub(super) struct Opus {
    red_payload_type: Option<u8>,
    last: Option<Last>,
    packets_lost: u64,
    malformed: u64,
}

struct Last {
    media_time: MediaTime,
    /// Where the next frame begins if nothing is missing.
    end: u64,
}

impl Opus {
    pub(super) fn new() -> Self {
        Self {
            red_payload_type: None,
            last: None,
            packets_lost: 0,
            malformed: 0,
        }
    }

    pub(super) fn with_red(payload_type: u8) -> Self {
        Self {
            red_payload_type: Some(payload_type),
            ..Self::new()
        }
    }

    pub(super) fn push(&mut self, packet: &Packet, out: &mut VecDeque<MediaUnit>) {
        if packet.payload.is_empty() {
            return;
        }
        if self.red_payload_type != Some(packet.payload_type) {
            let sequences = packet.sequence..packet.sequence + 1;
            return self.frame(packet.timestamp, packet.arrival, sequences, packet.payload.clone(), out);
        }
        let Ok(red) = Red::parse(&packet.payload) else {
            self.malformed += 1;
            return;
        };
        for (sequence, timestamp, data) in self.recoverable(packet, &red) {
            self.frame(timestamp, packet.arrival, sequence..sequence + 1, data, out);
        }
        if !red.primary.is_empty() {
            let sequences = packet.sequence..packet.sequence + 1;
            self.frame(packet.timestamp, packet.arrival, sequences, red.primary, out);
        }
    }

    /// Copies of what was lost, oldest first; they are lost no more. The block before the primary is what the packet
    /// before carried, and so on backwards.
    fn recoverable(&mut self, packet: &Packet, red: &Red) -> Vec<(u64, u64, Bytes)> {
        let oldest = packet.sequence.saturating_sub(red.redundant.len() as u64);
        let end = self.last.as_ref().map_or(0, |last| last.end);
        let mut copies: Vec<_> = (oldest..)
            .zip(&red.redundant)
            .map(|(sequence, block)| {
                let timestamp = packet.timestamp.saturating_sub(block.timestamp_offset.into());
                (sequence, timestamp, block.data.clone())
            })
            .filter(|(_, timestamp, data)| *timestamp >= end && packet_duration(data).is_ok())
            .collect();
        let lost = usize::try_from(self.packets_lost).unwrap_or(usize::MAX);
        copies.drain(..copies.len().saturating_sub(lost));
        self.packets_lost -= copies.len() as u64;
        copies
    }

    pub(super) fn lost(&mut self, hole: Range<u64>) {
        self.packets_lost += hole.end - hole.start;
    }

    pub(super) fn finish(&mut self, out: &mut VecDeque<MediaUnit>) {
        self.report_gap(None, out);
    }

    fn frame(
        &mut self,
        timestamp: u64,
        arrival: Arrival,
        packets: Range<u64>,
        data: Bytes,
        out: &mut VecDeque<MediaUnit>,
    ) {
        let Ok(duration) = packet_duration(&data) else {
            self.malformed += 1;
            return;
        };
        let media_time = MediaTime::new(timestamp, ClockRate::OPUS);
        self.report_gap(Some(media_time), out);
        self.last = Some(Last {
            media_time,
            end: timestamp + ClockRate::OPUS.ticks(duration),
        });
        out.push_back(MediaUnit::Frame(Frame {
            codec: Codec::Opus,
            media_time,
            arrival,
            duration: Some(duration),
            keyframe: true,
            dims: None,
            packets,
            data,
        }));
    }

    fn report_gap(&mut self, before: Option<MediaTime>, out: &mut VecDeque<MediaUnit>) {
        let silent = match (&self.last, before) {
            (Some(last), Some(before)) => before.ticks > last.end,
            _ => false,
        };
        let (packets_lost, frames_dropped) = (mem::take(&mut self.packets_lost), mem::take(&mut self.malformed));
        let reason = match (packets_lost, frames_dropped) {
            (0, 0) if silent => GapReason::Silence,
            (0, 0) => return,
            (0, _) => GapReason::Malformed,
            _ => GapReason::Loss,
        };
        let after = self.last.as_ref().map(|last| last.media_time);
        out.push_back(MediaUnit::Gap(Gap {
            reason,
            after,
            before,
            packets_lost,
            frames_dropped,
        }));
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn durations_by_the_toc() {
        for (packet, ms_tenths) in [
            (&[0b0000_1000][..], 200),      // SILK 20 ms, one frame
            (&[0b0001_1000], 600),          // SILK 60 ms
            (&[0b0110_0000], 100),          // hybrid 10 ms
            (&[0b1000_0000], 25),           // CELT 2.5 ms
            (&[0b1111_1000], 200),          // CELT 20 ms: what browsers send
            (&[0b1111_1001], 400),          // two of them
            (&[0b1111_1011, 6], 1200),      // six of them
            (&[0b1111_1011, 0xC1, 9], 200), // one, with padding and VBR flags beside the count
        ] {
            assert_eq!(
                packet_duration(packet),
                Ok(Duration::from_micros(ms_tenths * 100)),
                "{packet:02x?}"
            );
        }
    }

    #[test]
    fn what_is_no_opus_packet() {
        assert_eq!(packet_duration(&[]), Err(OpusError::Empty));
        assert_eq!(packet_duration(&[0b1111_1011]), Err(OpusError::Empty));
        assert_eq!(packet_duration(&[0b1111_1011, 0]), Err(OpusError::Duration));
        assert_eq!(packet_duration(&[0b1111_1011, 7]), Err(OpusError::Duration), "140 ms");
    }

    proptest! {
        #[test]
        fn durations_are_bounded(packet in vec(any::<u8>(), 0..4)) {
            if let Ok(duration) = packet_duration(&packet) {
                prop_assert!(duration > Duration::ZERO && duration <= MAX_PACKET);
            }
        }
    }
}
