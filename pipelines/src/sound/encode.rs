//! Mixed sound into packets.

use std::time::Duration;

use bytes::Bytes;
use gstreamer as gst;

use super::{Layout, SoundError};
use crate::engine::{EngineError, Stage, buffer};

/// Samples that the encoder of AAC puts before the first.
pub(crate) const AAC_PRIMING: u32 = 1024;
const AAC_FRAME: usize = 1024;
const OPUS_FRAME: usize = 960;
/// No packet of Opus of 20 ms is longer (RFC 6716 §3.4: 1275 bytes a frame).
const OPUS_LONGEST: usize = 1275;
/// Bits a second of each channel: transparent for speech, good for music.
const BITRATE: i32 = 64_000;

/// A packet in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timed {
    /// Samples before it, the encoder's own first ones included.
    pub start: u64,
    /// How long it lasts, in samples.
    pub samples: u64,
    pub data: Bytes,
}

/// Encodes sound into packets of one length.
pub(crate) struct FrameEncoder {
    codec: Codec,
    layout: Layout,
    /// What does not fill a frame yet.
    held: Vec<f32>,
    /// Samples of each channel that went in and came out.
    taken: u64,
    at: u64,
}

enum Codec {
    Opus { encoder: opus::Encoder, pre_skip: u16 },
    Aac(Stage),
}

impl FrameEncoder {
    pub fn opus(layout: Layout) -> Result<Self, SoundError> {
        let mut encoder = opus::Encoder::new(layout.rate, layout.opus(), opus::Application::Audio)?;
        encoder.set_bitrate(opus::Bitrate::Bits(BITRATE * i32::from(layout.channels)))?;
        let pre_skip = u16::try_from(encoder.get_lookahead()?).unwrap_or(0);
        Ok(Self::new(Codec::Opus { encoder, pre_skip }, layout))
    }

    /// AAC-LC, without ADTS.
    pub fn aac(layout: Layout) -> Result<Self, SoundError> {
        let caps = gst::Caps::builder("audio/x-raw")
            .field("format", "F32LE")
            .field("layout", "interleaved")
            .field("rate", i32::try_from(layout.rate).unwrap_or(i32::MAX))
            .field("channels", i32::from(layout.channels))
            .build();
        let bits = (BITRATE * i32::from(layout.channels)).to_string();
        let stage = Stage::new("avenc_aac", &[("bitrate", &bits)], &caps)?;
        Ok(Self::new(Codec::Aac(stage), layout))
    }

    fn new(codec: Codec, layout: Layout) -> Self {
        Self {
            codec,
            layout,
            held: Vec::new(),
            taken: 0,
            at: 0,
        }
    }

    /// Samples that its decoders are to leave out at the beginning.
    pub fn priming(&self) -> u32 {
        match &self.codec {
            Codec::Opus { pre_skip, .. } => (*pre_skip).into(),
            Codec::Aac(_) => AAC_PRIMING,
        }
    }

    /// Where the sound ends that went in so far, those included.
    pub fn end(&self) -> u64 {
        self.taken + u64::from(self.priming())
    }

    pub fn push(&mut self, sound: &[f32], out: &mut dyn FnMut(Timed)) -> Result<(), SoundError> {
        self.held.extend_from_slice(sound);
        self.taken += (sound.len() / usize::from(self.layout.channels)) as u64;
        self.encode_held(out)
    }

    /// Nothing more comes: everything that went in comes out, padded to a whole frame.
    pub fn finish(&mut self, out: &mut dyn FnMut(Timed)) -> Result<(), SoundError> {
        let end = self.end();
        let frame = self.frame() * usize::from(self.layout.channels);
        self.held.resize(self.held.len().next_multiple_of(frame), 0.0);
        self.encode_held(out)?;
        match &mut self.codec {
            Codec::Opus { .. } => {
                while self.at < end {
                    self.held.resize(frame, 0.0);
                    self.encode_held(out)?;
                }
                Ok(())
            }
            Codec::Aac(stage) => {
                stage.finish()?;
                self.take_frames(out)
            }
        }
    }

    /// Samples in a packet.
    fn frame(&self) -> usize {
        match &self.codec {
            Codec::Opus { .. } => OPUS_FRAME,
            Codec::Aac(_) => AAC_FRAME,
        }
    }

    fn encode_held(&mut self, out: &mut dyn FnMut(Timed)) -> Result<(), SoundError> {
        let frame = self.frame() * usize::from(self.layout.channels);
        let whole = self.held.len() / frame * frame;
        for sound in self.held[..whole].chunks_exact(frame) {
            match &mut self.codec {
                Codec::Opus { encoder, .. } => {
                    let data = encoder.encode_vec_float(sound, OPUS_LONGEST)?.into();
                    out(Timed {
                        start: self.at,
                        samples: OPUS_FRAME as u64,
                        data,
                    });
                    self.at += OPUS_FRAME as u64;
                }
                Codec::Aac(stage) => {
                    let bytes: Vec<u8> = sound.iter().flat_map(|sample| sample.to_le_bytes()).collect();
                    stage.push(buffer(bytes.into(), Duration::ZERO, None, true))?;
                }
            }
        }
        self.held.drain(..whole);
        self.take_frames(out)
    }

    /// What a stage has made.
    fn take_frames(&mut self, out: &mut dyn FnMut(Timed)) -> Result<(), SoundError> {
        let Codec::Aac(stage) = &mut self.codec else {
            return Ok(());
        };
        while let Some((frame, _)) = stage.take() {
            let frame = frame
                .map_readable()
                .map_err(|_| EngineError::Output { what: "a frame of AAC" })?;
            out(Timed {
                start: self.at,
                samples: AAC_FRAME as u64,
                data: Bytes::copy_from_slice(&frame),
            });
            self.at += AAC_FRAME as u64;
        }
        Ok(())
    }
}

/// The `AudioSpecificConfig` of AAC-LC (ISO/IEC 14496-3 §1.6.2.1) at 48 kHz.
pub(crate) fn aac_config(channels: u8) -> Bytes {
    const LC: u16 = 2;
    const HZ_48000: u16 = 3;
    let bits = LC << 11 | HZ_48000 << 7 | u16::from(channels) << 3;
    Bytes::copy_from_slice(&bits.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(mut encoder: FrameEncoder, pieces: &[usize]) -> Vec<Timed> {
        let mut packets = Vec::new();
        for piece in pieces {
            encoder
                .push(&vec![0.1; piece * 2], &mut |packet| packets.push(packet))
                .unwrap();
        }
        encoder.finish(&mut |packet| packets.push(packet)).unwrap();
        packets
    }

    #[test]
    fn all_that_goes_in_comes_out_without_a_hole() {
        for encoder in [FrameEncoder::opus(Layout::STEREO), FrameEncoder::aac(Layout::STEREO)] {
            let encoder = encoder.unwrap();
            let priming = u64::from(encoder.priming());
            let packets = packets(encoder, &[1, 10_000, 37_999]);
            assert!(
                packets
                    .windows(2)
                    .all(|pair| pair[0].start + pair[0].samples == pair[1].start)
            );
            let end = packets.last().map(|last| last.start + last.samples).unwrap();
            assert!((48_000 + priming..48_000 + priming + 2 * 1024).contains(&end), "{end}");
        }
    }

    #[test]
    fn the_configuration_is_the_one_everybody_knows() {
        assert_eq!(&aac_config(2)[..], [0x11, 0x90]);
        assert_eq!(&aac_config(1)[..], [0x11, 0x88]);
    }
}
