//! Sources of local video.

use crate::enum_dispatch;

/// In pixels.
#[derive(Debug, Clone)]
pub struct VideoResolution {
    pub width: u32,
    pub height: u32,
}

impl Default for VideoResolution {
    fn default() -> Self {
        Self {
            width: 1280,
            height: 720,
        }
    }
}

/// What the network would like an encoder to produce. Nothing estimates it here, so it is never asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EncodedRateControl {
    pub target_bitrate_bps: u64,
    pub framerate_fps: f64,
}

#[non_exhaustive]
#[derive(Debug, Clone)]
pub enum RtcVideoSource {
    Native(native::NativeVideoSource),
}

impl RtcVideoSource {
    enum_dispatch!(
        [Native];
        pub fn video_resolution(self: &Self) -> VideoResolution;
    );
}

pub mod native {
    use std::fmt;
    use std::sync::Arc;

    use bytes::Bytes;
    use parking_lot::Mutex;
    use rtc::rtp::codec::av1::Av1Payloader;
    use rtc::rtp::codec::h264::H264Payloader;
    use rtc::rtp::codec::vp8::Vp8Payloader;
    use rtc::rtp::codec::vp9::Vp9Payloader;
    use rtc::rtp::packetizer::Payloader;

    use super::{EncodedRateControl, VideoResolution};
    use crate::engine::local::{LocalTrack, MAX_PAYLOAD, OutgoingPacket, Written};
    use crate::native::packet_trailer::PacketTrailerHandler;
    use crate::raw::RawError;
    use crate::video_frame::{EncodedVideoCodec, EncodedVideoFrame};

    struct Packetizer {
        codec: EncodedVideoCodec,
        payloader: Box<dyn Payloader>,
    }

    struct Inner {
        resolution: VideoResolution,
        track: Mutex<Option<Arc<LocalTrack>>>,
        packetizer: Mutex<Option<Packetizer>>,
        sequence: Mutex<u16>,
        timestamp_offset: u32,
    }

    /// A source of encoded frames.
    #[derive(Clone)]
    pub struct NativeVideoSource {
        inner: Arc<Inner>,
    }

    impl Default for NativeVideoSource {
        fn default() -> Self {
            Self::new(VideoResolution::default(), false)
        }
    }

    impl NativeVideoSource {
        /// The same as [`new_encoded`](Self::new_encoded): no source of this build takes raw frames.
        pub fn new(resolution: VideoResolution, is_screencast: bool) -> Self {
            log::trace!("video source, screencast: {is_screencast}");
            Self::new_encoded(resolution)
        }

        pub fn new_encoded(resolution: VideoResolution) -> Self {
            Self {
                inner: Arc::new(Inner {
                    resolution,
                    track: Mutex::new(None),
                    packetizer: Mutex::new(None),
                    sequence: Mutex::new(rand::random()),
                    timestamp_offset: rand::random(),
                }),
            }
        }

        pub(crate) fn attach(&self, track: Arc<LocalTrack>) {
            *self.inner.track.lock() = Some(track);
        }

        /// Sends one access unit on the track's first layer. Whether it went out: not before the track is published and
        /// connected, not while it is muted, never where [`RawError`] would be the answer (which is logged).
        pub fn capture_encoded_frame(&self, frame: &EncodedVideoFrame<'_>) -> bool {
            match self.send(frame) {
                Ok(written) => written == Written::Sent,
                Err(error) => {
                    log::error!("frame not sent: {error}");
                    false
                }
            }
        }

        fn send(&self, frame: &EncodedVideoFrame<'_>) -> Result<Written, RawError> {
            if frame.frame_metadata.is_some() {
                return Err(RawError::PacketTrailerNotBuilt);
            }
            let Some(track) = self.inner.track.lock().clone() else {
                return Ok(Written::NotReady);
            };
            let Some((mime_type, _)) = track.published_as() else {
                return Ok(Written::NotReady);
            };
            if !mime_type.eq_ignore_ascii_case(mime(frame.codec)) {
                return Err(RawError::WrongCodec);
            }
            let payloads = self.packetize(frame)?;
            let ticks = (i128::from(frame.timestamp_us) * 90 / 1000) as u32;
            let (last, mut written) = (payloads.len().saturating_sub(1), Written::NotReady);
            for (n, payload) in payloads.into_iter().enumerate() {
                let sequence_number = {
                    let mut sequence = self.inner.sequence.lock();
                    *sequence = sequence.wrapping_add(1);
                    *sequence
                };
                written = track.write(
                    0,
                    &OutgoingPacket {
                        sequence_number,
                        timestamp: ticks.wrapping_add(self.inner.timestamp_offset),
                        marker: n == last,
                        payload,
                        captured: None,
                        stamp_capture: false,
                    },
                )?;
            }
            Ok(written)
        }

        fn packetize(&self, frame: &EncodedVideoFrame<'_>) -> Result<Vec<Bytes>, RawError> {
            let mut packetizer = self.inner.packetizer.lock();
            if packetizer.as_ref().is_none_or(|p| p.codec != frame.codec) {
                let payloader = payloader(frame.codec).ok_or(RawError::WrongCodec)?;
                *packetizer = Some(Packetizer {
                    codec: frame.codec,
                    payloader,
                });
            }
            let Some(packetizer) = packetizer.as_mut() else {
                return Err(RawError::WrongCodec);
            };
            let payload = Bytes::copy_from_slice(frame.payload);
            packetizer.payloader.payload(MAX_PAYLOAD, &payload).map_err(|error| {
                log::error!("the frame cannot be packetized: {error}");
                RawError::WrongCodec
            })
        }

        /// Whether a key frame has been asked for since the last call.
        pub fn take_keyframe_request(&self) -> bool {
            self.inner
                .track
                .lock()
                .as_ref()
                .is_some_and(|track| track.take_key_frame_request())
        }

        pub fn take_rate_control_request(&self) -> Option<EncodedRateControl> {
            None
        }

        /// Accepted; frames with metadata are refused when they are captured.
        #[expect(clippy::needless_pass_by_value, reason = "upstream's signature")]
        pub fn set_packet_trailer_handler(&self, handler: PacketTrailerHandler) {
            log::trace!("packet trailers of a video source: {}", handler.enabled());
        }

        pub fn video_resolution(&self) -> VideoResolution {
            self.inner.resolution.clone()
        }
    }

    fn mime(codec: EncodedVideoCodec) -> &'static str {
        match codec {
            EncodedVideoCodec::H264 => "video/H264",
            EncodedVideoCodec::H265 => "video/H265",
            EncodedVideoCodec::VP8 => "video/VP8",
            EncodedVideoCodec::VP9 => "video/VP9",
            EncodedVideoCodec::AV1 => "video/AV1",
        }
    }

    fn payloader(codec: EncodedVideoCodec) -> Option<Box<dyn Payloader>> {
        match codec {
            EncodedVideoCodec::VP8 => {
                let mut payloader = Vp8Payloader::default();
                payloader.enable_picture_id = true;
                Some(Box::new(payloader))
            }
            EncodedVideoCodec::VP9 => Some(Box::new(Vp9Payloader::default())),
            EncodedVideoCodec::H264 => Some(Box::new(H264Payloader::default())),
            EncodedVideoCodec::AV1 => Some(Box::new(Av1Payloader {})),
            EncodedVideoCodec::H265 => None,
        }
    }

    impl fmt::Debug for NativeVideoSource {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("NativeVideoSource")
                .field("resolution", &self.inner.resolution)
                .finish_non_exhaustive()
        }
    }
}
