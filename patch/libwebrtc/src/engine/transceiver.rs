//! A transceiver: what the application asked for, before and after the engine knows of it.

use std::sync::Arc;

use parking_lot::Mutex;
use rtc::rtp_transceiver::RTCRtpTransceiverDirection;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RTCRtpRtxParameters,
};

use super::remote::RemoteTrack;
use super::sender::{Layer, SenderInner};
use super::{Engine, Event, HostRef, sdp};
use crate::media_stream_track::MediaStreamTrack;
use crate::rtp_parameters::{RtpCodecCapability, RtpEncodingParameters};
use crate::rtp_transceiver::{RtpTransceiverDirection, RtpTransceiverInit};
use crate::{MediaType, RtcError};

pub(crate) struct TransceiverInner {
    pub video: bool,
    pub sender: Arc<SenderInner>,
    pub receiver: Arc<ReceiverInner>,
    state: Mutex<State>,
}

struct State {
    /// The engine's index, once the engine has been told: it wants to know a sender's codec at once, the SDK tells it
    /// after `addTransceiver`, so the engine is told when an offer is made.
    index: Option<usize>,
    mid: Option<String>,
    direction: RtpTransceiverDirection,
    current_direction: Option<RtpTransceiverDirection>,
    preferences: Vec<RtpCodecCapability>,
}

impl TransceiverInner {
    pub fn new(video: bool, direction: RtpTransceiverDirection, sender: Arc<SenderInner>, host: HostRef) -> Arc<Self> {
        let receiver = Arc::new(ReceiverInner {
            host,
            current: Mutex::new(None),
        });
        Arc::new(Self {
            video,
            sender,
            receiver,
            state: Mutex::new(State {
                index: None,
                mid: None,
                direction,
                current_direction: None,
                preferences: Vec::new(),
            }),
        })
    }

    pub fn index(&self) -> Option<usize> {
        self.state.lock().index
    }

    pub fn set_index(&self, index: usize) {
        self.state.lock().index = Some(index);
    }

    pub fn mid(&self) -> Option<String> {
        self.state.lock().mid.clone()
    }

    pub fn set_mid(&self, mid: &str) {
        self.state.lock().mid = Some(mid.to_owned());
    }

    pub fn direction(&self) -> RtpTransceiverDirection {
        self.state.lock().direction
    }

    pub fn set_direction(&self, direction: RtpTransceiverDirection) {
        self.state.lock().direction = direction;
    }

    pub fn current_direction(&self) -> Option<RtpTransceiverDirection> {
        self.state.lock().current_direction
    }

    pub fn set_current_direction(&self, direction: RtpTransceiverDirection) {
        self.state.lock().current_direction = Some(direction);
    }

    pub fn preferences(&self) -> Vec<RtpCodecCapability> {
        self.state.lock().preferences.clone()
    }

    pub fn set_preferences(&self, preferences: Vec<RtpCodecCapability>) {
        self.state.lock().preferences = preferences;
    }
}

/// The receiving half: the track that the section carries now.
pub(crate) struct ReceiverInner {
    host: HostRef,
    current: Mutex<Option<Received>>,
}

#[derive(Clone)]
pub(crate) struct Received {
    pub stream_id: String,
    pub track: Arc<RemoteTrack>,
}

impl ReceiverInner {
    pub fn current(&self) -> Option<Received> {
        self.current.lock().clone()
    }

    /// Puts the section's track in place. Returns the one that had to go, and the new one if it is new.
    pub fn update(&self, section: &sdp::Section) -> (Option<Arc<RemoteTrack>>, Option<Received>) {
        let mut current = self.current.lock();
        let wanted = section.msid.as_ref().filter(|_| section.sends());
        let stays = match (&*current, wanted) {
            (Some(now), Some((stream, track))) => now.stream_id == *stream && now.track.id() == track,
            (None, None) => true,
            _ => false,
        };
        if stays {
            return (None, None);
        }
        let gone = current.take().map(|received| received.track);
        *current = wanted.map(|(stream_id, track_id)| Received {
            stream_id: stream_id.clone(),
            track: RemoteTrack::new(track_id.clone(), section.video, self.host.clone()),
        });
        (gone, current.clone())
    }

    pub fn host(&self) -> &HostRef {
        &self.host
    }
}

impl Engine {
    pub fn add_transceiver(
        &mut self,
        track: Option<MediaStreamTrack>,
        media_type: MediaType,
        init: RtpTransceiverInit,
    ) -> Result<Arc<TransceiverInner>, RtcError> {
        self.open()?;
        let video = match media_type {
            MediaType::Audio => false,
            MediaType::Video => true,
            MediaType::Data | MediaType::Unsupported => {
                return Err(RtcError::state("only audio and video are sent as RTP"));
            }
        };
        if track.as_ref().is_some_and(|track| track.local().is_none()) {
            return Err(RtcError::state("a remote track cannot be sent"));
        }
        let layers = if track.is_some() {
            layers(video, init.send_encodings)
        } else {
            Vec::new()
        };
        let sender = SenderInner::new(self.host.clone(), self.cname.clone(), track, layers);
        for layer in sender.layer_list() {
            self.senders.insert(layer.ssrc, Arc::clone(&sender));
        }
        let transceiver = TransceiverInner::new(video, init.direction, sender, self.host.clone());
        self.transceivers.push(Arc::clone(&transceiver));
        self.events.push(Event::NegotiationNeeded);
        Ok(transceiver)
    }

    pub fn remove_track(&mut self, sender: &Arc<SenderInner>) -> Result<(), RtcError> {
        self.open()?;
        let transceiver = self
            .transceivers
            .iter()
            .find(|t| Arc::ptr_eq(&t.sender, sender))
            .cloned()
            .ok_or_else(|| RtcError::state("the sender is not one of this peer connection"))?;
        if sender.track().is_none() {
            return Ok(());
        }
        let removed = transceiver.index().map(|index| {
            let known = self.rtc.rtp_transceiver(index).and_then(|t| t.sender());
            known.map_or(Ok(()), |id| self.rtc.remove_track(id))
        });
        sender.set_track(None)?;
        let mut rtp = self.rtp.lock();
        for layer in sender.layer_list() {
            self.senders.remove(&layer.ssrc);
            rtp.retract(layer.ssrc);
        }
        drop(rtp);
        transceiver.set_direction(match transceiver.direction() {
            RtpTransceiverDirection::SendRecv => RtpTransceiverDirection::RecvOnly,
            RtpTransceiverDirection::SendOnly => RtpTransceiverDirection::Inactive,
            other => other,
        });
        self.events.push(Event::NegotiationNeeded);
        removed.transpose()?;
        Ok(())
    }

    pub fn transceivers(&self) -> Vec<Arc<TransceiverInner>> {
        self.transceivers.clone()
    }
}

/// The layers to send: one for each encoding asked for, at least one. Audio has no RTX.
fn layers(video: bool, encodings: Vec<RtpEncodingParameters>) -> Vec<Layer> {
    let encodings = if encodings.is_empty() {
        vec![RtpEncodingParameters::default()]
    } else {
        encodings
    };
    let layer = |mut parameters: RtpEncodingParameters| {
        let ssrc = if parameters.has_ssrc {
            parameters.ssrc
        } else {
            rand::random()
        };
        parameters.ssrc = ssrc;
        parameters.has_ssrc = true;
        Layer {
            parameters,
            ssrc,
            rtx: video.then(rand::random),
        }
    };
    encodings.into_iter().map(layer).collect()
}

pub(super) fn encoding(layer: &Layer, codecs: &[RTCRtpCodecParameters]) -> RTCRtpEncodingParameters {
    RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters {
            rid: layer.parameters.rid.clone(),
            ssrc: Some(layer.ssrc),
            rtx: layer.rtx.map(|ssrc| RTCRtpRtxParameters { ssrc }),
            fec: None,
        },
        active: layer.parameters.active,
        codec: codecs.first().map(|codec| codec.rtp_codec.clone()).unwrap_or_default(),
        ..RTCRtpEncodingParameters::default()
    }
}

pub(super) fn rtc_direction(direction: RtpTransceiverDirection) -> RTCRtpTransceiverDirection {
    match direction {
        RtpTransceiverDirection::SendRecv => RTCRtpTransceiverDirection::Sendrecv,
        RtpTransceiverDirection::SendOnly => RTCRtpTransceiverDirection::Sendonly,
        RtpTransceiverDirection::RecvOnly => RTCRtpTransceiverDirection::Recvonly,
        RtpTransceiverDirection::Inactive | RtpTransceiverDirection::Stopped => RTCRtpTransceiverDirection::Inactive,
    }
}

pub(super) fn opposite(direction: RtpTransceiverDirection) -> RtpTransceiverDirection {
    match direction {
        RtpTransceiverDirection::SendOnly => RtpTransceiverDirection::RecvOnly,
        RtpTransceiverDirection::RecvOnly => RtpTransceiverDirection::SendOnly,
        other => other,
    }
}
