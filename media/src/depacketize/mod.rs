//! Packets back into frames, one file per payload format.
//!
//! The input is in order, with every hole named ([`Ordered`]); the output is whole frames with every gap named
//! ([`MediaUnit`]). A frame with a packet missing is not made; nor is one that refers to it, as far as the format tells.
//!
//! A server forwards one layer at a time, spliced into one continuous stream: a switch of layers is a key frame of
//! another size, and nothing here needs to know. It also sends packets of padding alone, which are tolerated, and fills
//! muted tracks with a few [blank](crate::frame::Frame::is_blank) frames, which come out like any other.

mod assembler;
mod av1;
mod h264;
mod keyframe;
mod opus;
mod red;
mod temporal;
pub(crate) mod vp8;
pub(crate) mod vp9;

use std::collections::VecDeque;

use assembler::Assembler;
use av1::Av1;
use h264::H264;
pub use keyframe::{announced_dims, begins_keyframe};
use opus::Opus;
pub use opus::{OpusError, packet_duration as opus_packet_duration};
pub use red::{Red, RedError};
use vp8::Vp8;
use vp9::Vp9;

use crate::{codec::Codec, frame::MediaUnit, reorder::Ordered};

/// Turns the ordered packets of one stream into frames and gaps.
///
/// [`push`](Self::push) what the reorder buffer yields, then [`poll`](Self::poll) until it answers `None`;
/// [`finish`](Self::finish) at the end of the stream, and poll once more.
pub struct Depacketizer {
    format: Format,
    out: VecDeque<MediaUnit>,
}

enum Format {
    Opus(Opus),
    Vp8(Assembler<Vp8>),
    Vp9(Box<Assembler<Vp9>>),
    H264(Assembler<H264>),
    Av1(Assembler<Av1>),
}

impl Depacketizer {
    pub fn new(codec: Codec) -> Self {
        let format = match codec {
            Codec::Opus => Format::Opus(Opus::new()),
            Codec::Vp8 => Format::Vp8(Assembler::new(codec)),
            Codec::Vp9 => Format::Vp9(Box::new(Assembler::new(codec))),
            Codec::H264 => Format::H264(Assembler::new(codec)),
            Codec::Av1 => Format::Av1(Assembler::new(codec)),
        };
        Self {
            format,
            out: VecDeque::new(),
        }
    }

    /// Opus of which some packets may come as RED with this payload type: lost frames are taken from later packets.
    pub fn opus_with_red(red_payload_type: u8) -> Self {
        Self {
            format: Format::Opus(Opus::with_red(red_payload_type)),
            out: VecDeque::new(),
        }
    }

    pub fn push(&mut self, ordered: Ordered) {
        match (&mut self.format, ordered) {
            (Format::Opus(opus), Ordered::Packet(packet)) => opus.push(&packet, &mut self.out),
            (Format::Opus(opus), Ordered::Lost(hole)) => opus.lost(hole),
            (Format::Vp8(frames), ordered) => frames.push(ordered, &mut self.out),
            (Format::Vp9(frames), ordered) => frames.push(ordered, &mut self.out),
            (Format::H264(frames), ordered) => frames.push(ordered, &mut self.out),
            (Format::Av1(frames), ordered) => frames.push(ordered, &mut self.out),
        }
    }

    /// The stream ends here: what is not whole now never will be.
    pub fn finish(&mut self) {
        match &mut self.format {
            Format::Opus(opus) => opus.finish(&mut self.out),
            Format::Vp8(frames) => frames.finish(&mut self.out),
            Format::Vp9(frames) => frames.finish(&mut self.out),
            Format::H264(frames) => frames.finish(&mut self.out),
            Format::Av1(frames) => frames.finish(&mut self.out),
        }
    }

    pub fn poll(&mut self) -> Option<MediaUnit> {
        self.out.pop_front()
    }
}

#[cfg(test)]
mod tests;
