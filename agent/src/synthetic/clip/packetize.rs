//! Frames into RTP payloads.

use bytes::{BufMut, Bytes, BytesMut};
use greffier_media::codec::Codec;
use rtc_rtp::codec::av1::Av1Payloader;
use rtc_rtp::codec::h264::H264Payloader;
use rtc_rtp::packetizer::Payloader;

/// What fits one packet with every header extension that may come with it, in bytes.
const MAX_PAYLOAD: usize = 1150;

/// The payloads of one frame's packets, in order.
pub(super) fn packetize(codec: Codec, frame: &Bytes, key: bool) -> Result<Vec<Bytes>, String> {
    let by = |payloader: &mut dyn Payloader| payloader.payload(MAX_PAYLOAD, frame).map_err(|e| e.to_string());
    match codec {
        Codec::Vp8 => Ok(vp8(frame)),
        Codec::Vp9 => Ok(vp9(frame, key)),
        Codec::H264 => by(&mut H264Payloader::default()),
        Codec::Av1 => by(&mut Av1Payloader::default()),
        _ => Err("only pictures are cut into packets".to_owned()),
    }
}

/// [RFC 7741 §4.2](https://www.rfc-editor.org/rfc/rfc7741#section-4.2): with a picture id of 15 bits, left at 0.
fn vp8(frame: &Bytes) -> Vec<Bytes> {
    const EXTENDED: u8 = 0x80;
    const START: u8 = 0x10;
    const HAS_PICTURE_ID: u8 = 0x80;
    cut(frame, 4, |first, _| {
        let start = if first { START } else { 0 };
        vec![EXTENDED | start, HAS_PICTURE_ID, 0x80, 0]
    })
}

/// [RFC 9628 §4.2](https://www.rfc-editor.org/rfc/rfc9628#section-4.2): flexible mode, one layer, each frame but a key
/// frame refers to the one before.
fn vp9(frame: &Bytes, key: bool) -> Vec<Bytes> {
    const PICTURE_ID_LAYERS_FLEXIBLE: u8 = 0x80 | 0x20 | 0x10;
    const PREDICTED: u8 = 0x40;
    const BEGIN: u8 = 0x08;
    const END: u8 = 0x04;
    cut(frame, 5, |first, last| {
        let mut head = PICTURE_ID_LAYERS_FLEXIBLE;
        head |= if first { BEGIN } else { 0 } | if last { END } else { 0 };
        let mut descriptor = vec![head, 0x80, 0, 0];
        if !key {
            descriptor[0] |= PREDICTED;
            // P_DIFF 1, and no other.
            descriptor.push(1 << 1);
        }
        descriptor
    })
}

/// Cuts a frame into pieces of about the same length, each behind its descriptor of at most `room` bytes.
fn cut(frame: &Bytes, room: usize, descriptor: impl Fn(bool, bool) -> Vec<u8>) -> Vec<Bytes> {
    let pieces = frame.len().div_ceil(MAX_PAYLOAD - room).max(1);
    let size = frame.len().div_ceil(pieces).max(1);
    let chunks: Vec<&[u8]> = frame.chunks(size).collect();
    let last = chunks.len().saturating_sub(1);
    let payload = |(n, chunk): (usize, &&[u8])| {
        let descriptor = descriptor(n == 0, n == last);
        let mut payload = BytesMut::with_capacity(descriptor.len() + chunk.len());
        payload.put_slice(&descriptor);
        payload.put_slice(chunk);
        payload.freeze()
    };
    chunks.iter().enumerate().map(payload).collect()
}

/// The payload with the number of its picture (15 bits) in it, where the format has one: a clip is played in a loop, and
/// each picture of a stream has a number of its own.
pub fn stamp_picture(codec: Codec, payload: &Bytes, picture: u16) -> Bytes {
    let at = match codec {
        Codec::Vp8 => 2,
        Codec::Vp9 => 1,
        _ => return payload.clone(),
    };
    let mut stamped = BytesMut::from(&payload[..]);
    if let Some(field) = stamped.get_mut(at..at + 2) {
        field.copy_from_slice(&(picture | 0x8000).to_be_bytes());
    }
    stamped.freeze()
}

#[cfg(test)]
mod tests {
    use greffier_media::depacketize::begins_keyframe;

    use super::*;

    #[test]
    fn every_packet_of_a_picture_carries_its_number() {
        let frame = Bytes::from(vec![0x10; 3000]);
        for (codec, payloads) in [(Codec::Vp8, vp8(&frame)), (Codec::Vp9, vp9(&frame, false))] {
            assert_eq!(payloads.len(), 3);
            for payload in &payloads {
                assert!(payload.len() <= MAX_PAYLOAD);
                let stamped = stamp_picture(codec, payload, 0x7ABC);
                let at = if codec == Codec::Vp8 { 2 } else { 1 };
                assert_eq!(stamped[at..at + 2], [0xFA, 0xBC]);
                assert_eq!(stamped.len(), payload.len());
            }
        }
    }

    #[test]
    fn only_key_frames_look_like_key_frames() {
        let frame = Bytes::from_static(&[0x82, 0x49, 0x83, 0x42, 0, 0, 0, 0]);
        assert!(begins_keyframe(Codec::Vp9, &vp9(&frame, true)[0]));
        assert!(!begins_keyframe(Codec::Vp9, &vp9(&frame, false)[0]));
    }
}
