//! One track's channel of a journal, from packets to frames: numbering, reorder and depacketizer in one.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{
    ErrorKind,
    codec::Codec,
    depacketize::Depacketizer,
    frame::{MediaUnit, is_opus_filler},
    journal::{Encryption, TrackChannel},
    reorder::{Numbering, Ordered, Packet, Patience, Reorder, ReorderStats},
    rtp::{RtpError, RtpPacket},
    time::{Arrival, MediaTime},
};

/// Reads one RTP stream: one channel of a journal, or one live track until its SSRC or codec changes.
///
/// ```text
/// push(packet) … poll() until None … push(packet) … finish() … poll() until None
/// ```
pub struct TrackReader {
    codec: Codec,
    ssrc: u32,
    /// Payload types that carry media, RED among them; all, if none are listed.
    accepted: Vec<u8>,
    numbering: Numbering,
    reorder: Reorder,
    depacketizer: Depacketizer,
    out: VecDeque<MediaUnit>,
    now: Arrival,
    foreign: u64,
}

impl TrackReader {
    /// Reads what `channel` describes. Waits for missing packets as `patience` says.
    pub fn new(channel: &TrackChannel, patience: Patience) -> Result<Self, TrackError> {
        if channel.encryption != Encryption::None {
            return Err(TrackError::Encrypted);
        }
        let codec = channel.codec().ok_or_else(|| TrackError::Codec(channel.mime.clone()))?;
        let of_mime = |mime: &str| {
            channel
                .payload_types
                .iter()
                .find(|known| known.mime.eq_ignore_ascii_case(mime))
        };
        let red = of_mime("audio/red")
            .filter(|_| codec == Codec::Opus)
            .map(|known| known.number);
        let own = of_mime(codec.mime()).map(|known| known.number);
        Ok(Self {
            codec,
            ssrc: channel.ssrc,
            accepted: own.into_iter().chain(red).collect(),
            numbering: Numbering::default(),
            reorder: Reorder::new(patience),
            depacketizer: red.map_or_else(|| Depacketizer::new(codec), Depacketizer::opus_with_red),
            out: VecDeque::new(),
            now: Arrival::ZERO,
            foreign: 0,
        })
    }

    /// Reads from the middle of a stream on, with the numbers that reading it from its start would give.
    pub fn resume(channel: &TrackChannel, patience: Patience, numbering: Numbering) -> Result<Self, TrackError> {
        Ok(Self {
            numbering,
            ..Self::new(channel, patience)?
        })
    }

    /// Takes a packet in the order of arrival, and answers its extended timestamp, for the timeline; `None` if it says
    /// nothing of time, as what a server made up does not. A packet of another stream or another payload type is counted
    /// and otherwise left.
    pub fn push(&mut self, arrival: Arrival, bytes: &Bytes) -> Result<Option<MediaTime>, RtpError> {
        let view = RtpPacket::parse(bytes)?;
        if view.ssrc() != self.ssrc {
            self.foreign += 1;
            return Ok(None);
        }
        let mut packet = self.numbering.number(arrival, bytes)?;
        if !self.accepted.is_empty() && !self.accepted.contains(&packet.payload_type) {
            // It fills its place in the order, and no more.
            self.foreign += 1;
            packet = Packet {
                payload: Bytes::new(),
                ..packet
            };
        }
        let media_time = MediaTime::new(packet.timestamp, self.codec.clock_rate());
        let made_up = self.codec == Codec::Opus && is_opus_filler(&packet.payload);
        self.reorder.push(packet);
        self.advance(arrival);
        Ok((!made_up).then_some(media_time))
    }

    /// Says what time it is, so that holes are given up even if nothing comes.
    pub fn advance(&mut self, now: Arrival) {
        self.now = self.now.max(now);
        while let Some(ordered) = self.reorder.poll(self.now) {
            self.depacketize(ordered);
        }
    }

    /// The stream ends: nothing is waited for any more.
    pub fn finish(&mut self) {
        while let Some(ordered) = self.reorder.drain() {
            self.depacketize(ordered);
        }
        self.depacketizer.finish();
        self.collect();
    }

    /// The next frame or gap, in order.
    pub fn poll(&mut self) -> Option<MediaUnit> {
        self.out.pop_front()
    }

    /// When a hole will be given up, if nothing comes before: call [`advance`](Self::advance) then.
    pub fn deadline(&self) -> Option<Arrival> {
        self.reorder.deadline()
    }

    /// The extended form of a timestamp of this stream in a sender report.
    pub fn media_time(&self, rtp_timestamp: u32) -> MediaTime {
        MediaTime::new(self.numbering.timestamp(rtp_timestamp), self.codec.clock_rate())
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }

    pub fn stats(&self) -> ReorderStats {
        self.reorder.stats()
    }

    /// Packets that were of another stream, or of a payload type that carries no media of this one.
    pub fn foreign_packets(&self) -> u64 {
        self.foreign
    }

    fn depacketize(&mut self, ordered: Ordered) {
        self.depacketizer.push(ordered);
        self.collect();
    }

    fn collect(&mut self) {
        self.out.extend(std::iter::from_fn(|| self.depacketizer.poll()));
    }
}

/// Why a track cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrackError {
    #[error("there is no depacketizer for `{0}`")]
    Codec(String),
    #[error("the track is end-to-end encrypted, and the key is not ours")]
    Encrypted,
}

impl TrackError {
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Unsupported
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{PayloadType, channel::tests::microphone};

    fn rtp(payload_type: u8, sequence: u16, ssrc: u32, payload: &[u8]) -> Bytes {
        let mut bytes = vec![0x80, payload_type];
        bytes.extend(sequence.to_be_bytes());
        bytes.extend((u32::from(sequence) * 960).to_be_bytes());
        bytes.extend(ssrc.to_be_bytes());
        bytes.extend(payload);
        bytes.into()
    }

    fn units(reader: &mut TrackReader) -> Vec<MediaUnit> {
        std::iter::from_fn(|| reader.poll()).collect()
    }

    const OPUS: &[u8] = &[0xF8, 1];

    #[test]
    fn packets_in_frames_out() {
        let channel = microphone();
        let mut reader = TrackReader::new(&channel, Patience::LIVE).unwrap();
        let first = reader
            .push(Arrival::from_millis(0), &rtp(111, 5, channel.ssrc, OPUS))
            .unwrap()
            .unwrap();
        reader
            .push(Arrival::from_millis(20), &rtp(111, 7, channel.ssrc, OPUS))
            .unwrap();
        reader.advance(Arrival::from_millis(60));
        assert_eq!(units(&mut reader).len(), 1, "number 6 is waited for");
        let deadline = reader.deadline().unwrap();
        assert_eq!(deadline, Arrival::from_millis(320));
        reader.advance(deadline);
        let [MediaUnit::Gap(gap), MediaUnit::Frame(frame)] = &units(&mut reader)[..] else {
            panic!()
        };
        assert_eq!((gap.packets_lost, frame.packets.clone()), (1, 65_543..65_544));
        assert_eq!(reader.media_time(5 * 960), first);
        assert_eq!(reader.stats().lost, 1);
    }

    #[test]
    fn red_is_known_by_its_payload_type() {
        let channel = microphone();
        let mut reader = TrackReader::new(&channel, Patience::OFFLINE).unwrap();
        let red = [&[0x80 | 0x6F, 15, 0, 2, 0x6F][..], &[0xF8, 6], &[0xF8, 7]].concat();
        reader
            .push(Arrival::from_millis(0), &rtp(111, 5, channel.ssrc, OPUS))
            .unwrap();
        reader
            .push(Arrival::from_millis(40), &rtp(63, 7, channel.ssrc, &red))
            .unwrap();
        reader.finish();
        let frames: Vec<_> = units(&mut reader)
            .into_iter()
            .map(|unit| {
                if let MediaUnit::Frame(frame) = unit {
                    frame.data[1]
                } else {
                    panic!("{unit:?}")
                }
            })
            .collect();
        assert_eq!(frames, [1, 6, 7]);
    }

    #[test]
    fn what_is_not_of_the_stream_is_left_and_counted() {
        let channel = microphone();
        let mut reader = TrackReader::new(&channel, Patience::OFFLINE).unwrap();
        assert_eq!(
            reader.push(Arrival::ZERO, &rtp(111, 5, 1, OPUS)),
            Ok(None),
            "another SSRC"
        );
        reader.push(Arrival::ZERO, &rtp(111, 5, channel.ssrc, OPUS)).unwrap();
        reader.push(Arrival::ZERO, &rtp(126, 6, channel.ssrc, b"dtmf")).unwrap();
        reader.push(Arrival::ZERO, &rtp(111, 7, channel.ssrc, OPUS)).unwrap();
        assert!(reader.push(Arrival::ZERO, &Bytes::from_static(b"no rtp")).is_err());
        reader.finish();
        assert_eq!(reader.foreign_packets(), 2);
        let frames = units(&mut reader)
            .into_iter()
            .filter(|unit| matches!(unit, MediaUnit::Frame(_)))
            .count();
        assert_eq!(frames, 2);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let encrypted = TrackChannel {
            encryption: Encryption::Gcm,
            ..microphone()
        };
        assert_eq!(
            TrackReader::new(&encrypted, Patience::LIVE).err(),
            Some(TrackError::Encrypted)
        );
        let mime = "video/H265".to_owned();
        let payload_types = vec![PayloadType {
            number: 98,
            mime: mime.clone(),
        }];
        let h265 = TrackChannel {
            mime: mime.clone(),
            payload_types,
            ..microphone()
        };
        assert_eq!(
            TrackReader::new(&h265, Patience::LIVE).err(),
            Some(TrackError::Codec(mime))
        );
    }
}
