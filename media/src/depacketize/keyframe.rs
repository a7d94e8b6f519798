//! Telling from one packet whether a key frame begins with it.

use super::{h264, vp8, vp9::Vp9Descriptor};
use crate::codec::Codec;

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
