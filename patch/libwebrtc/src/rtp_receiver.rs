//! Receivers (W3C webrtc §5.3).

use std::fmt;
use std::sync::Arc;

use crate::RtcError;
use crate::engine::sdp::{Codec, HeaderExtension};
use crate::engine::transceiver::{ReceiverInner, TransceiverInner};
use crate::media_stream::MediaStream;
use crate::media_stream_track::MediaStreamTrack;
use crate::rtp_parameters::{RtpCodecParameters, RtpHeaderExtensionParameters, RtpParameters};
use crate::stats::RtcStats;

#[derive(Clone)]
pub struct RtpReceiver {
    inner: Arc<ReceiverInner>,
}

impl RtpReceiver {
    pub(crate) fn new(transceiver: &Arc<TransceiverInner>) -> Self {
        Self {
            inner: Arc::clone(&transceiver.receiver),
        }
    }

    /// The track that the section carries now; another one once the section has been reused.
    pub fn track(&self) -> Option<MediaStreamTrack> {
        self.inner
            .current()
            .map(|received| MediaStreamTrack::of_remote(&received.track))
    }

    pub fn stream_ids(&self) -> Vec<String> {
        self.inner
            .current()
            .map(|received| received.stream_id)
            .into_iter()
            .collect()
    }

    pub fn streams(&self) -> Vec<MediaStream> {
        self.inner.current().iter().map(MediaStream::of).collect()
    }

    #[expect(clippy::unused_async, reason = "upstream's signature")]
    pub async fn get_stats(&self) -> Result<Vec<RtcStats>, RtcError> {
        let mut stats = Vec::new();
        if let Some(received) = self.inner.current() {
            self.inner
                .host()
                .with_engine(&mut |engine, now| stats = engine.receiver_stats(now, &received.track));
        }
        Ok(stats)
    }

    pub fn parameters(&self) -> RtpParameters {
        let Some(received) = self.inner.current() else {
            return RtpParameters::default();
        };
        RtpParameters {
            codecs: received
                .track
                .codecs()
                .into_iter()
                .map(RtpCodecParameters::from)
                .collect(),
            header_extensions: received.track.header_extensions().into_iter().map(Into::into).collect(),
            ..RtpParameters::default()
        }
    }
}

impl From<Codec> for RtpCodecParameters {
    fn from(codec: Codec) -> Self {
        Self {
            payload_type: codec.payload_type,
            mime_type: codec.mime_type,
            clock_rate: Some(codec.clock_rate.into()),
            channels: (codec.channels > 0).then_some(codec.channels),
        }
    }
}

impl From<HeaderExtension> for RtpHeaderExtensionParameters {
    fn from(extension: HeaderExtension) -> Self {
        Self {
            uri: extension.uri,
            id: extension.id.into(),
            encrypted: false,
        }
    }
}

impl fmt::Debug for RtpReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RtpReceiver")
            .field("streams", &self.stream_ids())
            .finish_non_exhaustive()
    }
}
