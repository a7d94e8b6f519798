//! The sending half of a transceiver.

use std::sync::Arc;

use parking_lot::Mutex;

use super::HostRef;
use super::local::{LocalTrack, OutgoingPacket, Written};
use super::sdp::{Codec, Section};
use crate::RtcError;
use crate::media_stream_track::MediaStreamTrack;
use crate::raw::{HeaderExtension, RawError};
use crate::rtp_parameters::{DegradationPreference, RtpEncodingParameters};

/// One encoding with the SSRCs it is sent on.
#[derive(Clone)]
pub(crate) struct Layer {
    pub parameters: RtpEncodingParameters,
    pub ssrc: u32,
    /// Where the codec has retransmission.
    pub rtx: Option<u32>,
}

#[derive(Default)]
struct State {
    track: Option<MediaStreamTrack>,
    layers: Vec<Layer>,
    degradation_preference: Option<DegradationPreference>,
    codecs: Vec<Codec>,
    extensions: Vec<HeaderExtension>,
    refusal: Option<RawError>,
}

pub(crate) struct SenderInner {
    host: HostRef,
    cname: String,
    state: Mutex<State>,
}

impl SenderInner {
    pub fn new(host: HostRef, cname: String, track: Option<MediaStreamTrack>, layers: Vec<Layer>) -> Arc<Self> {
        let sender = Arc::new(Self {
            host,
            cname,
            state: Mutex::new(State {
                track,
                layers,
                ..State::default()
            }),
        });
        if let Some(track) = sender.track().as_ref().and_then(MediaStreamTrack::local) {
            track.attach(&sender);
        }
        sender
    }

    pub fn cname(&self) -> &str {
        &self.cname
    }

    pub fn track(&self) -> Option<MediaStreamTrack> {
        self.state.lock().track.clone()
    }

    /// Replaces what is sent; `None` stops it. Its kind must not change.
    pub fn set_track(self: &Arc<Self>, track: Option<MediaStreamTrack>) -> Result<(), RtcError> {
        let new = track.as_ref().map(|t| {
            t.local()
                .ok_or_else(|| RtcError::state("a remote track cannot be sent"))
        });
        let new: Option<&Arc<LocalTrack>> = new.transpose()?;
        let mut state = self.state.lock();
        let old = state.track.as_ref().and_then(MediaStreamTrack::local);
        if let (Some(old), Some(new)) = (old, new)
            && old.is_video() != new.is_video()
        {
            return Err(RtcError::state("a sender cannot change between audio and video"));
        }
        if let Some(old) = old {
            old.detach(self);
        }
        if let Some(new) = new {
            new.attach(self);
        }
        state.track = track;
        Ok(())
    }

    pub fn layers(&self) -> usize {
        self.state.lock().layers.len()
    }

    pub fn layer_list(&self) -> Vec<Layer> {
        self.state.lock().layers.clone()
    }

    pub fn encodings(&self) -> Vec<RtpEncodingParameters> {
        self.state
            .lock()
            .layers
            .iter()
            .map(|layer| layer.parameters.clone())
            .collect()
    }

    /// Applies what `setParameters` may change: activity and limits of the layers that are there.
    pub fn set_encodings(
        &self,
        encodings: Vec<RtpEncodingParameters>,
        degradation_preference: Option<DegradationPreference>,
    ) -> Result<(), RtcError> {
        let mut state = self.state.lock();
        let same = encodings.len() == state.layers.len()
            && encodings
                .iter()
                .zip(&state.layers)
                .all(|(new, old)| new.rid == old.parameters.rid);
        if !same {
            return Err(RtcError::state(
                "setParameters cannot add, remove, reorder or rename encodings",
            ));
        }
        for (layer, parameters) in state.layers.iter_mut().zip(encodings) {
            layer.parameters = parameters;
        }
        state.degradation_preference = degradation_preference;
        Ok(())
    }

    pub fn degradation_preference(&self) -> Option<DegradationPreference> {
        self.state.lock().degradation_preference
    }

    /// What the receiving side's description settled.
    pub fn negotiated(&self, section: &Section) {
        let mut state = self.state.lock();
        state.codecs.clone_from(&section.codecs);
        state.extensions.clone_from(&section.extensions);
    }

    /// The codec to send with: the first the answer names.
    pub fn codec(&self) -> Option<Codec> {
        self.state.lock().codecs.iter().find(|codec| !codec.is_rtx()).cloned()
    }

    pub fn codecs(&self) -> Vec<Codec> {
        self.state.lock().codecs.clone()
    }

    pub fn extensions(&self) -> Vec<HeaderExtension> {
        self.state.lock().extensions.clone()
    }

    /// From now on nothing is sent: something was asked of this sender that is not built, and sending without it would
    /// be worse than not sending.
    pub fn refuse(&self, reason: RawError) {
        log::error!("sender {}: {reason}", self.cname);
        self.state.lock().refusal = Some(reason);
    }

    pub fn write(&self, layer: usize, packet: &OutgoingPacket) -> Result<Written, RawError> {
        let ssrc = {
            let state = self.state.lock();
            if let Some(refusal) = state.refusal {
                return Err(refusal);
            }
            let layers = state.layers.len();
            let layer = state.layers.get(layer).ok_or(RawError::NoSuchLayer { layer, layers })?;
            if !layer.parameters.active {
                return Ok(Written::LayerPaused);
            }
            layer.ssrc
        };
        let mut written = Written::NotReady;
        self.host
            .with_engine(&mut |engine, now| written = engine.write_rtp(now, ssrc, packet));
        Ok(written)
    }

    /// The layer a receiver's feedback is about.
    pub fn layer_of(&self, ssrc: u32) -> Option<usize> {
        self.state.lock().layers.iter().position(|layer| layer.ssrc == ssrc)
    }

    pub fn key_frame_requested(&self, layer: usize) {
        let track = self.track();
        if let Some(track) = track.as_ref().and_then(MediaStreamTrack::local) {
            track.key_frame_requested(layer);
        }
    }

    pub fn host(&self) -> &HostRef {
        &self.host
    }
}
