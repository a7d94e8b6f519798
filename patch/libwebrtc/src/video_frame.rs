//! Encoded video frames. Raw frames have no type here: nothing encodes them, and a call that cannot be compiled is the
//! clearest refusal.

use crate::video_source::VideoResolution;

/// What a packet trailer would carry; refused, see [`RawError::PacketTrailerNotBuilt`](crate::raw::RawError).
#[derive(Debug, Clone)]
pub struct FrameMetadata {
    pub user_timestamp: Option<u64>,
    pub frame_id: Option<u32>,
    pub user_data: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodedVideoCodec {
    H264,
    H265,
    VP8,
    VP9,
    AV1,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodedFrameType {
    Key,
    Delta,
}

/// One access unit: a VP8 or VP9 frame, an H.264 access unit in Annex B form, an AV1 temporal unit of OBUs with sizes.
#[derive(Debug, Clone)]
pub struct EncodedVideoFrame<'a> {
    pub codec: EncodedVideoCodec,
    pub payload: &'a [u8],
    /// Microseconds, on any clock that does not jump.
    pub timestamp_us: i64,
    pub frame_type: EncodedFrameType,
    /// Pixels.
    pub resolution: VideoResolution,
    pub frame_metadata: Option<FrameMetadata>,
}
