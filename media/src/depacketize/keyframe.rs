//! Telling from one packet whether a key frame begins with it, and how large its picture is.

use super::{
    av1, h264, vp8,
    vp9::{self, Vp9Descriptor},
};
use crate::codec::{Codec, Dims};

/// Whether a decoder could start at the packet with this payload. Every packet of Opus is such a one.
pub fn begins_keyframe(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Opus => !payload.is_empty(),
        Codec::Vp8 => vp8::Vp8Descriptor::parse(payload).is_some_and(|descriptor| {
            descriptor.frame_start && matches!(vp8::key_frame_dims(&payload[descriptor.len..]), Ok(Some(_)))
        }),
        Codec::Vp9 => Vp9Descriptor::parse(payload).is_some_and(|descriptor| {
            descriptor.begin
                && !descriptor.inter_picture
                && descriptor.spatial_layer() == 0
                && !descriptor.inter_layer()
        }),
        Codec::H264 => h264::begins_keyframe(payload),
        // N: the first packet of a coded video sequence (RTP Payload Format For AV1, §4.4).
        Codec::Av1 => payload.first().is_some_and(|header| header & 0x88 == 0x08),
    }
}

/// The size of the picture, in luma samples, that begins with the packet with this payload, if it says so: key frames do. Of a
/// picture in spatial layers each layer says its own.
pub fn announced_dims(codec: Codec, payload: &[u8]) -> Option<Dims> {
    match codec {
        Codec::Opus => None,
        Codec::Vp8 => {
            let descriptor = vp8::Vp8Descriptor::parse(payload)?;
            let frame = payload.get(descriptor.len..)?;
            descriptor
                .frame_start
                .then(|| vp8::key_frame_dims(frame).ok().flatten())?
        }
        Codec::Vp9 => {
            let descriptor = Vp9Descriptor::parse(payload)?;
            let frame = payload.get(descriptor.len..)?;
            descriptor.begin.then(|| vp9::announced_dims(frame))?
        }
        Codec::H264 => h264::announced_dims(payload),
        Codec::Av1 => begins_keyframe(codec, payload).then(|| av1::announced_dims(payload))?,
    }
}
