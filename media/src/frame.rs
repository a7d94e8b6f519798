//! What comes out of a track: whole frames, and the gaps between them. Nothing is dropped without a [`Gap`].

use std::{ops::Range, time::Duration};

use bytes::Bytes;

use crate::{
    codec::{Codec, Dims},
    time::{Arrival, MediaTime},
};

/// One access unit: all a decoder needs to make the picture (or the sound) of one instant, in decode order, which for
/// everything WebRTC sends is also display order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub codec: Codec,
    /// When it was captured, by the sender's sampling clock.
    pub media_time: MediaTime,
    /// When its first packet reached us.
    pub arrival: Arrival,
    /// For Opus, what its TOC byte says; `None` for video, whose frames last until the next one.
    pub duration: Option<Duration>,
    /// A decoder may start here. Always true for Opus.
    pub keyframe: bool,
    /// What the key frame's own header says; `None` on other frames and for audio.
    pub dims: Option<Dims>,
    /// Extended sequence numbers of the packets it came in; half-open.
    pub packets: Range<u64>,
    /// The frame, framed as files and decoders want it:
    ///
    /// | codec | `data` |
    /// |---|---|
    /// | Opus | one Opus packet (RFC 6716) |
    /// | VP8 | one frame (RFC 6386) |
    /// | VP9 | one frame, or a superframe with index if the picture has several spatial layers |
    /// | H.264 | one access unit in Annex B form: start codes of 4 bytes, parameter sets in place |
    /// | AV1 | one temporal unit in low-overhead form: OBUs with size fields, no temporal delimiter |
    pub data: Bytes,
}

impl Frame {
    /// A server fills a muted track for a moment, so that decoders let go of the last picture and the last sound: with
    /// key frames of a few pixels (8x8 in VP8, 2x2 in H.264), or with [filler](is_opus_filler). They are not the
    /// participant's, and the next real picture is a key frame again: a render leaves them out.
    pub fn is_blank(&self) -> bool {
        self.dims.is_some_and(|dims| dims.width <= 16 && dims.height <= 16)
            || self.codec == Codec::Opus && is_opus_filler(&self.data)
    }
}

/// Whether a server made up this Opus packet: silence, padded with zeros to 80 bytes. Its timestamps are the server's guess
/// (the first even repeats the one before), so it says nothing of time. An encoder's own silence is 3 bytes long.
pub fn is_opus_filler(packet: &[u8]) -> bool {
    const SILENCE: [u8; 3] = [0xF8, 0xFF, 0xFE];
    packet
        .strip_prefix(&SILENCE)
        .is_some_and(|padding| !padding.is_empty() && padding.iter().all(|byte| *byte == 0))
}

/// Media that should have been there and is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    pub reason: GapReason,
    /// The last whole frame before it; `None` at the start of a stream.
    pub after: Option<MediaTime>,
    /// The first whole frame after it; `None` at the end of a stream.
    pub before: Option<MediaTime>,
    /// Packets that never came, counted by sequence number.
    pub packets_lost: u64,
    /// Frames of which something came and nothing could be made: incomplete, damaged, or built on a lost one.
    pub frames_dropped: u64,
}

impl Gap {
    /// How much media is missing, from the last good frame to the next; `None` if one of them does not exist.
    pub fn duration(&self) -> Option<Duration> {
        Some(self.before?.saturating_since(self.after?))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapReason {
    /// Packets were lost and not repaired.
    Loss,
    /// Packets came that do not follow the payload format, or frames whose header makes no sense.
    Malformed,
    /// The stream did not begin with a key frame.
    AwaitingKeyframe,
    /// The stream ended in the middle of a frame.
    Unfinished,
    /// Nothing was lost: the sender had nothing to say (Opus DTX) and its timestamps moved on.
    Silence,
}

/// What a depacketizer yields, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaUnit {
    Frame(Frame),
    /// Stands before the first frame after it.
    Gap(Gap),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filler_is_told_from_silence() {
        let mut filler = [0; 80];
        filler[..3].copy_from_slice(&[0xF8, 0xFF, 0xFE]);
        assert!(is_opus_filler(&filler));
        assert!(!is_opus_filler(&filler[..3]), "an encoder's");
        filler[79] = 1;
        assert!(!is_opus_filler(&filler));
        assert!(!is_opus_filler(&[]));
    }
}
