//! VP8 ([RFC 7741](https://www.rfc-editor.org/rfc/rfc7741)).

use bytes::Bytes;

use super::{
    assembler::{Assembled, Outcome, VideoFormat, concat},
    temporal::{TemporalChain, TemporalIndex},
};
use crate::codec::Dims;

/// The payload descriptor before each packet's share of the frame (RFC 7741 §4.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Vp8Descriptor {
    /// The first bytes of a frame: start of partition 0.
    pub(crate) frame_start: bool,
    /// How long it is, in bytes.
    pub(crate) len: usize,
    /// Where the picture id is, if there is one, and whether it has 15 bits rather than 7.
    pub(crate) picture_id: Option<(usize, u16, bool)>,
    /// Where TL0PICIDX is, if it is there, and what it says.
    pub(crate) tl0: Option<(usize, u8)>,
    /// Temporal layer and the layer sync bit, if there.
    pub(crate) layer: Option<(u8, bool)>,
}

impl Vp8Descriptor {
    /// `None` if the payload ends inside it, or right after it.
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let mut at = 0;
        let mut next = || {
            let byte = payload.get(at).copied();
            at += 1;
            byte
        };
        let first = next()?;
        let mut descriptor = Self {
            frame_start: first & 0x10 != 0 && first.trailing_zeros() >= 3,
            ..Self::default()
        };
        if first & 0x80 != 0 {
            let present = next()?;
            let mut position = 2;
            if present & 0x80 != 0 {
                let id = u16::from(next()?);
                let long = id & 0x80 != 0;
                let id = if long {
                    (id & 0x7F) << 8 | u16::from(next()?)
                } else {
                    id
                };
                descriptor.picture_id = Some((position, id, long));
                position += 1 + usize::from(long);
            }
            if present & 0x40 != 0 {
                descriptor.tl0 = Some((position, next()?));
            }
            if present & 0x30 != 0 {
                let byte = next()?;
                descriptor.layer = (present & 0x20 != 0).then_some((byte >> 6, byte & 0x20 != 0));
            }
        }
        descriptor.len = at;
        (at < payload.len()).then_some(descriptor)
    }

    fn temporal(&self) -> Option<TemporalIndex> {
        let ((_, tl0), (layer, sync)) = (self.tl0?, self.layer?);
        Some(TemporalIndex {
            tl0,
            layer,
            sync,
            switching_up: false,
        })
    }
}

/// What the first bytes of a frame say (RFC 6386 §9.1): `Ok(Some)` for a key frame.
pub(crate) fn key_frame_dims(frame: &[u8]) -> Result<Option<Dims>, NotVp8> {
    const START_CODE: [u8; 3] = [0x9D, 0x01, 0x2A];
    const DIMENSION: u16 = 0x3FFF;
    let tag = frame.first_chunk::<3>().ok_or(NotVp8)?;
    if tag[0] & 1 == 1 {
        return Ok(None);
    }
    match frame.get(3..10) {
        Some(header) if header.starts_with(&START_CODE) => {
            let dimension = |at: usize| u32::from(u16::from_le_bytes([header[at], header[at + 1]]) & DIMENSION);
            Ok(Some(Dims::new(dimension(3), dimension(5))))
        }
        _ => Err(NotVp8),
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotVp8;

#[derive(Default)]
pub(super) struct Vp8 {
    chain: TemporalChain,
}

impl VideoFormat for Vp8 {
    type Part = (Vp8Descriptor, Bytes);

    fn part(&mut self, payload: &Bytes) -> Option<Self::Part> {
        let descriptor = Vp8Descriptor::parse(payload)?;
        Some((descriptor, payload.slice(descriptor.len..)))
    }

    fn assemble(&mut self, parts: Vec<Self::Part>, _head_sure: bool) -> Outcome {
        let Some((first, _)) = parts.first().cloned() else {
            return Outcome::Nothing;
        };
        if !first.frame_start {
            return Outcome::Incomplete;
        }
        let data = concat(parts.into_iter().map(|(_, data)| data));
        let Ok(dims) = key_frame_dims(&data) else {
            return Outcome::Malformed;
        };
        let keyframe = dims.is_some();
        if keyframe {
            self.chain.keyframe(first.temporal());
        } else if !self.chain.decodable(first.temporal()) {
            return Outcome::Undecodable;
        }
        Outcome::Frame(Assembled { data, keyframe, dims })
    }

    fn lost(&mut self) {
        self.chain.lost();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors() {
        let parse = |bytes: &[u8]| Vp8Descriptor::parse(bytes);
        let plain = Vp8Descriptor {
            frame_start: true,
            len: 1,
            ..Vp8Descriptor::default()
        };
        assert_eq!(parse(&[0x10, 0]), Some(plain));
        assert!(!parse(&[0x00, 0]).unwrap().frame_start, "continues a partition");
        assert!(!parse(&[0x11, 0]).unwrap().frame_start, "starts the second partition");

        let full = parse(&[0x90, 0xF0, 0x81, 0x23, 0x45, 0xA7, 0]).unwrap();
        assert_eq!(full.picture_id, Some((2, 0x0123, true)));
        assert_eq!(full.tl0, Some((4, 0x45)));
        assert_eq!(full.layer, Some((2, true)));
        assert_eq!(full.len, 6);

        let short_id = parse(&[0x90, 0x80, 0x7F, 0]).unwrap();
        assert_eq!((short_id.picture_id, short_id.len), (Some((2, 0x7F, false)), 3));
        let key_index_only = parse(&[0x90, 0x10, 0x05, 0]).unwrap();
        assert_eq!((key_index_only.layer, key_index_only.len), (None, 3));
    }

    #[test]
    fn descriptors_that_end_too_early() {
        let whole = [0x90, 0xF0, 0x81, 0x23, 0x45, 0xA7, 0];
        for len in 0..whole.len() {
            assert_eq!(Vp8Descriptor::parse(&whole[..len]), None, "{len}");
        }
    }

    #[test]
    fn key_frames_tell_their_size() {
        let header = [0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A, 0x80, 0x42, 0x68, 0x01, 0xFF];
        assert_eq!(
            key_frame_dims(&header),
            Ok(Some(Dims::new(640, 360))),
            "the scale bits are not part of it"
        );
        assert_eq!(key_frame_dims(&[0x11, 0, 0]), Ok(None));
        assert_eq!(key_frame_dims(&header[..9]), Err(NotVp8));
        assert_eq!(key_frame_dims(&[0x10, 2, 0, 0x9D, 0x01, 0x2B, 0, 0, 0, 0]), Err(NotVp8));
        assert_eq!(key_frame_dims(&[]), Err(NotVp8));
    }
}
