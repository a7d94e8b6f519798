//! Transceivers (W3C webrtc §5.4).

use std::fmt;
use std::sync::Arc;

use crate::RtcError;
use crate::engine::transceiver::TransceiverInner;
use crate::rtp_parameters::{RtpCodecCapability, RtpEncodingParameters};
use crate::rtp_receiver::RtpReceiver;
use crate::rtp_sender::RtpSender;

#[derive(Debug, Clone)]
pub struct RtpTransceiverInit {
    pub direction: RtpTransceiverDirection,
    pub stream_ids: Vec<String>,
    pub send_encodings: Vec<RtpEncodingParameters>,
}

#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum RtpTransceiverDirection {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
    Stopped,
}

#[derive(Clone)]
pub struct RtpTransceiver {
    inner: Arc<TransceiverInner>,
}

impl RtpTransceiver {
    pub(crate) fn new(inner: Arc<TransceiverInner>) -> Self {
        Self { inner }
    }

    pub fn mid(&self) -> Option<String> {
        self.inner.mid()
    }

    pub fn current_direction(&self) -> Option<RtpTransceiverDirection> {
        self.inner.current_direction()
    }

    pub fn direction(&self) -> RtpTransceiverDirection {
        self.inner.direction()
    }

    pub fn sender(&self) -> RtpSender {
        RtpSender::new(Arc::clone(&self.inner.sender))
    }

    pub fn receiver(&self) -> RtpReceiver {
        RtpReceiver::new(&self.inner)
    }

    /// The codecs to offer, in order. They take effect with the next offer; after the first one they are fixed.
    ///
    /// # Errors
    /// When the section has been offered already, or no codec is left.
    pub fn set_codec_preferences(&self, codecs: Vec<RtpCodecCapability>) -> Result<(), RtcError> {
        if self.inner.index().is_some() {
            return Err(RtcError::state(
                "codec preferences are fixed once the section has been offered",
            ));
        }
        if codecs.is_empty() {
            return Err(RtcError::state("none of the codecs asked for is known here"));
        }
        self.inner.set_preferences(codecs);
        Ok(())
    }

    /// Stops sending and receiving; the section is offered as inactive from now on.
    pub fn stop(&self) -> Result<(), RtcError> {
        let sender = &self.inner.sender;
        let mut stopped = Ok(());
        sender
            .host()
            .with_engine(&mut |engine, _| stopped = engine.remove_track(sender));
        self.inner.set_direction(RtpTransceiverDirection::Stopped);
        stopped
    }
}

impl fmt::Debug for RtpTransceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RtpTransceiver")
            .field("mid", &self.mid())
            .field("direction", &self.direction())
            .finish_non_exhaustive()
    }
}
