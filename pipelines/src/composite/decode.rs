//! One stream's frames into pictures.

use std::time::Duration;

use bytes::Bytes;
use greffier_media::{codec::Codec, frame::Frame};
use gstreamer as gst;
use gstreamer_video as gst_video;

use crate::engine::{EngineError, Stage, buffer};

/// A decoded picture.
pub(super) type Picture = gst_video::VideoFrame<gst_video::video_frame::Readable>;

/// Decodes a stream, and begins anew at the next key frame after something that cannot be decoded.
pub(super) struct Decoder {
    codec: Codec,
    /// `None` until the first key frame, and after a failure.
    stage: Option<Stage>,
    /// What the caps of the last picture say of it.
    info: Option<(gst::Caps, gst_video::VideoInfo)>,
    count: u64,
}

impl Decoder {
    /// `None` for codecs nobody decodes here.
    pub fn new(codec: Codec) -> Option<Self> {
        element(codec)?;
        Some(Self {
            codec,
            stage: None,
            info: None,
            count: 0,
        })
    }

    /// The newest picture that comes of a frame, if one does.
    ///
    /// # Errors
    /// If the decoder itself is missing. Frames that it refuses yield nothing.
    pub fn decode(&mut self, frame: Frame) -> Result<Option<Picture>, EngineError> {
        let stage = match &mut self.stage {
            Some(stage) => stage,
            None if frame.keyframe => self.stage.insert(start(self.codec)?),
            None => return Ok(None),
        };
        // Any ascending times will do: what comes out is shown when what went in is.
        self.count += 1;
        let at = Duration::from_millis(self.count);
        let input = buffer(framed(self.codec, frame.data), at, None, frame.keyframe);
        if let Err(error) = stage.push(input) {
            tracing::debug!(codec = %self.codec, %error, "a frame cannot be decoded; the next key frame is waited for");
            self.stage = None;
            return Ok(None);
        }
        let newest = std::iter::from_fn(|| stage.take()).last();
        Ok(newest.and_then(|(buffer, caps)| self.picture(buffer, caps?)))
    }

    fn picture(&mut self, buffer: gst::Buffer, caps: gst::Caps) -> Option<Picture> {
        if self.info.as_ref().is_none_or(|(known, _)| *known != caps) {
            let info = gst_video::VideoInfo::from_caps(&caps).ok()?;
            self.info = Some((caps, info));
        }
        let (_, info) = self.info.as_ref()?;
        gst_video::VideoFrame::from_buffer_readable(buffer, info).ok()
    }
}

/// GStreamer's decoder, how it is set, and the caps of what goes in.
type Element = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static [(&'static str, &'static str)],
);

fn element(codec: Codec) -> Option<Element> {
    Some(match codec {
        Codec::Vp8 => ("vp8dec", &[("max-errors", "0"), ("qos", "false")], "video/x-vp8", &[]),
        Codec::Vp9 => ("vp9dec", &[("max-errors", "0"), ("qos", "false")], "video/x-vp9", &[]),
        // More threads would hold frames back.
        Codec::H264 => (
            "avdec_h264",
            &[("max-threads", "1"), ("max-errors", "0"), ("qos", "false")],
            "video/x-h264",
            &[("stream-format", "byte-stream"), ("alignment", "au")],
        ),
        Codec::Av1 => (
            "av1dec",
            &[("max-errors", "0"), ("qos", "false")],
            "video/x-av1",
            &[("stream-format", "obu-stream"), ("alignment", "tu")],
        ),
        _ => return None,
    })
}

fn start(codec: Codec) -> Result<Stage, EngineError> {
    crate::init()?;
    let unknown = EngineError::Output {
        what: "a codec of a later version",
    };
    let (name, properties, media, fields) = element(codec).ok_or(unknown)?;
    let caps = fields
        .iter()
        .fold(gst::Caps::builder(media), |caps, (field, value)| {
            caps.field(*field, *value)
        })
        .build();
    Stage::new(name, properties, &caps)
}

/// AV1's decoder wants each temporal unit to begin with its delimiter (AV1 §7.5), which RTP leaves out.
fn framed(codec: Codec, data: Bytes) -> Bytes {
    const TEMPORAL_DELIMITER: [u8; 2] = [0x12, 0];
    if codec == Codec::Av1 {
        [&TEMPORAL_DELIMITER[..], &data].concat().into()
    } else {
        data
    }
}
