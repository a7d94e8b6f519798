//! Senders (W3C webrtc §5.2).

use std::fmt;
use std::sync::Arc;

use crate::RtcError;
use crate::engine::sender::SenderInner;
use crate::media_stream_track::MediaStreamTrack;
use crate::rtp_parameters::{RtcpParameters, RtpCodecParameters, RtpHeaderExtensionParameters, RtpParameters};
use crate::stats::RtcStats;

/// Which encoder the SDK would like. Nothing is encoded here: every sender passes on what it is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum VideoEncoderBackend {
    #[default]
    Auto,
    Software,
    Hardware,
    Nvenc,
    Vaapi,
    VideoToolbox,
    /// Frames come encoded.
    PreEncoded,
}

impl VideoEncoderBackend {
    /// The backends of this build: only [`PreEncoded`](Self::PreEncoded), which [`Auto`](Self::Auto) stands for too.
    pub fn list_available() -> impl IntoIterator<Item = VideoEncoderBackend> {
        [Self::Auto, Self::PreEncoded]
    }
}

#[derive(Clone)]
pub struct RtpSender {
    inner: Arc<SenderInner>,
}

impl RtpSender {
    pub(crate) fn new(inner: Arc<SenderInner>) -> Self {
        Self { inner }
    }

    pub(crate) fn inner(&self) -> &Arc<SenderInner> {
        &self.inner
    }

    pub fn track(&self) -> Option<MediaStreamTrack> {
        self.inner.track()
    }

    #[expect(clippy::unused_async, reason = "upstream's signature")]
    pub async fn get_stats(&self) -> Result<Vec<RtcStats>, RtcError> {
        let mut stats = Vec::new();
        self.inner
            .host()
            .with_engine(&mut |engine, now| stats = engine.sender_stats(now, &self.inner));
        Ok(stats)
    }

    /// # Errors
    /// When the track is a remote one or of the other kind.
    pub fn set_track(&self, track: Option<MediaStreamTrack>) -> Result<(), RtcError> {
        self.inner.set_track(track)
    }

    pub fn parameters(&self) -> RtpParameters {
        RtpParameters {
            codecs: self.inner.codecs().into_iter().map(RtpCodecParameters::from).collect(),
            header_extensions: self
                .inner
                .extensions()
                .into_iter()
                .map(RtpHeaderExtensionParameters::from)
                .collect(),
            encodings: self.inner.encodings(),
            rtcp: RtcpParameters {
                cname: self.inner.cname().to_owned(),
                reduced_size: true,
            },
            degradation_preference: self.inner.degradation_preference(),
        }
    }

    /// # Errors
    /// When encodings were added, removed, reordered or renamed.
    pub fn set_parameters(&self, parameters: RtpParameters) -> Result<(), RtcError> {
        self.inner
            .set_encodings(parameters.encodings, parameters.degradation_preference)
    }

    pub fn set_video_encoder_backend(&self, backend: VideoEncoderBackend) {
        if !matches!(backend, VideoEncoderBackend::Auto | VideoEncoderBackend::PreEncoded) {
            log::warn!("{backend:?} was asked for; nothing is encoded here, frames must come encoded");
        }
    }
}

impl fmt::Debug for RtpSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RtpSender")
            .field("cname", &self.inner.cname())
            .finish_non_exhaustive()
    }
}
