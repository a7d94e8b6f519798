//! A black picture for where a camera is not on yet.
//!
//! A file's time begins when the recording does, for all of its files alike. Chromium cannot open a WebM whose first picture
//! is late, nor seek in an MP4 without sound that begins late; ffmpeg's tools cannot tell what the pictures will be like;
//! other players begin with the first picture, whenever that is. So there is a black one at zero, the only frame of a copy that was encoded here.

use std::time::Duration;

use bytes::Bytes;
use greffier_media::codec::{Codec, Dims};
use gstreamer as gst;
use gstreamer_video as gst_video;

use crate::{
    container::av1,
    engine::{EngineError, Stage, buffer, init},
};

/// A key frame of `dims` that is black; `None` for codecs of sound.
pub(super) fn black(codec: Codec, dims: Dims) -> Result<Option<Bytes>, EngineError> {
    let (encoder, properties): (_, &[(&str, &str)]) = match codec {
        Codec::Vp8 => (
            "vp8enc",
            &[("deadline", "1"), ("cpu-used", "8"), ("lag-in-frames", "0")],
        ),
        Codec::Vp9 => (
            "vp9enc",
            &[("deadline", "1"), ("cpu-used", "8"), ("lag-in-frames", "0")],
        ),
        Codec::Av1 => (
            "av1enc",
            &[("usage-profile", "realtime"), ("cpu-used", "8"), ("lag-in-frames", "0")],
        ),
        Codec::H264 => (
            "x264enc",
            &[
                ("byte-stream", "true"),
                ("speed-preset", "ultrafast"),
                ("tune", "zerolatency"),
                ("pass", "quant"),
            ],
        ),
        _ => return Ok(None),
    };
    init()?;
    let failed = || EngineError::Output {
        what: "a black picture",
    };
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, dims.width, dims.height)
        .fps(gst::Fraction::new(30, 1))
        .build()
        .map_err(|_| failed())?;
    let caps = info.to_caps().map_err(|_| failed())?;
    let mut stage = Stage::new(encoder, properties, &caps)?;
    stage.push(buffer(picture(&info), Duration::ZERO, None, true))?;
    stage.finish()?;
    let (frame, _) = stage.take().ok_or_else(failed)?;
    let frame = frame.map_readable().map_err(|_| failed())?;
    let frame = Bytes::copy_from_slice(&frame);
    Ok(Some(if codec == Codec::Av1 {
        av1::without_delimiter(&frame)
    } else {
        frame
    }))
}

/// Black, in limited range.
fn picture(info: &gst_video::VideoInfo) -> Bytes {
    let chroma_at = info.offset()[1];
    let mut bytes = vec![16; info.size()];
    bytes[chroma_at..].fill(128);
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_black_picture_of_each_codec_is_a_key_frame_of_that_size() {
        let dims = Dims::new(322, 182);
        for codec in [Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264] {
            let frame = black(codec, dims).unwrap().unwrap();
            assert!(frame.len() < 4000, "{codec}: {} bytes for nothing", frame.len());
            if codec == Codec::Vp8 {
                // RFC 6386 §9.1: the lowest bit of a key frame is 0; its size follows the start code.
                assert_eq!((frame[0] & 1, &frame[3..6]), (0, &[0x9D, 0x01, 0x2A][..]));
                assert_eq!(u16::from_le_bytes([frame[6], frame[7]]) & 0x3FFF, 322);
            }
        }
        assert_eq!(black(Codec::Opus, dims).unwrap(), None);
    }
}
