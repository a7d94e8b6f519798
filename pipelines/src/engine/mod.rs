//! GStreamer's codecs, one stage each, driven by hand.
//!
//! A [`Stage`] is a decoder, an encoder or a parser between two pads of ours. Pushing a buffer runs it on the calling
//! thread, and what comes of it is there when the push returns. So there are no clocks, queues or states of pipelines to wait
//! for, the same input gives the same output, and stopping is not pushing any more.

mod stage;

use std::{sync::OnceLock, time::Duration};

use gstreamer as gst;
pub(crate) use stage::{Stage, buffer};

use crate::ErrorKind;

/// Codecs start in milliseconds; one that takes so long never will.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(10);

/// Starts GStreamer, once per process. Everything here does it by itself; call it to know early that it fails.
pub fn init() -> Result<(), EngineError> {
    static STARTED: OnceLock<Result<(), String>> = OnceLock::new();
    let started = STARTED.get_or_init(|| gst::init().map_err(|error| error.to_string()));
    started.clone().map_err(EngineError::Init)
}

/// Why a codec does not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    #[error("GStreamer does not start: {0}")]
    Init(String),
    #[error("GStreamer has no `{element}`: the package {package} is missing")]
    Missing { element: String, package: &'static str },
    #[error("`{element}` does not start within {limit:?}")]
    Hung { element: String, limit: Duration },
    #[error("`{element}` failed: {message}")]
    Failed { element: String, message: String },
    #[error("{what} is not what a decoder or encoder yields")]
    Output { what: &'static str },
}

impl EngineError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing { .. } => ErrorKind::Unsupported,
            Self::Hung { .. } => ErrorKind::Timeout,
            Self::Init(_) | Self::Failed { .. } | Self::Output { .. } => ErrorKind::Internal,
        }
    }
}

/// Debian's package of an element.
fn package_of(element: &str) -> &'static str {
    match element {
        "x264enc" => "gstreamer1.0-plugins-ugly",
        "avdec_h264" | "avenc_aac" => "gstreamer1.0-libav",
        "av1dec" | "av1enc" | "av1parse" => "gstreamer1.0-plugins-bad",
        "vp8dec" | "vp8enc" | "vp9dec" | "vp9enc" | "lamemp3enc" | "jpegenc" => "gstreamer1.0-plugins-good",
        _ => "gstreamer1.0-plugins-base",
    }
}
