//! Offers and answers: what the SDK, the core and the other side say, brought together.

use std::sync::Arc;
use std::time::Instant;

use rtc::media_stream::MediaStreamTrack as RtcTrack;
use rtc::peer_connection::configuration::RTCOfferOptions;
use rtc::peer_connection::sdp::{RTCSdpType, RTCSessionDescription};
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};

use super::sdp::{self, Section};
use super::sender::SenderInner;
use super::transceiver::{TransceiverInner, encoding, opposite, rtc_direction};
use super::{Engine, Event, codecs};
use crate::RtcError;
use crate::rtp_transceiver::RtpTransceiverDirection;
use crate::session_description::{SdpType, SessionDescription, parse_sdp};

impl Engine {
    pub fn create_offer(&mut self, ice_restart: bool) -> Result<SessionDescription, RtcError> {
        self.open()?;
        self.tell_engine_of_transceivers()?;
        let offer = self.rtc.create_offer(Some(RTCOfferOptions { ice_restart }))?;
        self.read_mids();
        if ice_restart {
            self.trickled = 0;
        }
        Ok(SessionDescription::from_engine(offer.sdp, SdpType::Offer))
    }

    pub fn restart_ice(&mut self) {
        self.rtc.restart_ice();
    }

    pub fn create_answer(&mut self) -> Result<SessionDescription, RtcError> {
        self.open()?;
        let answer = self.rtc.create_answer(None)?;
        Ok(SessionDescription::from_engine(answer.sdp, SdpType::Answer))
    }

    /// Applies a local description. The SDK edits offers before it applies and signals them (stereo, start bitrate,
    /// recvonly); the engine refuses any text but its own, so it is given the original. The edits concern what the other
    /// side does, and it gets the edited text.
    pub fn set_local(&mut self, now: Instant, description: &SessionDescription) -> Result<(), RtcError> {
        self.open()?;
        let mut original = RTCSessionDescription::default();
        original.sdp_type = rtc_type(description.sdp_type());
        self.rtc.set_local_description(now, original)?;
        // A core that has failed has dropped its candidates; those it has it does not take twice.
        for candidate in &self.candidates {
            self.rtc.add_local_candidate(candidate.init())?;
        }
        match description.sdp_type() {
            SdpType::Rollback => return Ok(()),
            SdpType::Answer => {
                for transceiver in &self.transceivers {
                    transceiver.set_current_direction(transceiver.direction());
                }
                // The engine answers before it binds what it sends.
                let remote = self.remote.clone();
                if let Some(remote) = remote {
                    self.apply_sections(&remote)?;
                }
            }
            SdpType::Offer | SdpType::PrAnswer => {}
        }
        self.local = Some(description.clone());
        self.trickle();
        Ok(())
    }

    pub fn set_remote(&mut self, now: Instant, description: &SessionDescription) -> Result<(), RtcError> {
        self.open()?;
        let mut remote = RTCSessionDescription::default();
        remote.sdp_type = rtc_type(description.sdp_type());
        description.sdp().clone_into(&mut remote.sdp);
        self.rtc.set_remote_description(now, remote)?;
        self.remote = Some(description.clone());
        self.adopt_transceivers();
        self.apply_sections(description)
    }

    pub fn local_description(&self) -> Option<SessionDescription> {
        self.local.clone()
    }

    pub fn remote_description(&self) -> Option<SessionDescription> {
        self.remote.clone()
    }

    /// Senders are made known to the engine when an offer needs them: by then their codec is known.
    pub(super) fn tell_engine_of_transceivers(&mut self) -> Result<(), RtcError> {
        for transceiver in &self.transceivers {
            if transceiver.index().is_some() {
                continue;
            }
            let kind = if transceiver.video {
                RtpCodecKind::Video
            } else {
                RtpCodecKind::Audio
            };
            let mut codecs = codecs::preferred(transceiver.video, &transceiver.preferences());
            let known = codecs::known(
                codecs.clone(),
                if transceiver.video { &self.negotiated_video } else { &[] },
            );
            if !known.is_empty() {
                codecs = known;
            }
            if transceiver.sender.track().is_some() {
                // One codec and its repair: what is sent is bound to the first, and the answer may put any of several first.
                codecs.truncate(1 + usize::from(transceiver.video));
            }
            let index = match transceiver.sender.track() {
                Some(track) => {
                    let layers = transceiver.sender.layer_list();
                    let track = RtcTrack::new(
                        self.cname.clone(),
                        track.id(),
                        track.id(),
                        kind,
                        layers.iter().map(|layer| encoding(layer, &codecs)).collect(),
                    );
                    let init = RTCRtpTransceiverInit {
                        direction: rtc_direction(transceiver.direction()),
                        ..RTCRtpTransceiverInit::default()
                    };
                    self.rtc.add_transceiver_from_track(track, Some(init))?
                }
                None => self.rtc.add_transceiver_from_kind(
                    kind,
                    Some(RTCRtpTransceiverInit {
                        direction: RTCRtpTransceiverDirection::Recvonly,
                        ..RTCRtpTransceiverInit::default()
                    }),
                )?,
            };
            if let Some(mut known) = self.rtc.rtp_transceiver(index) {
                known.set_codec_preferences(codecs)?;
            }
            transceiver.set_index(index);
        }
        Ok(())
    }

    pub(super) fn read_mids(&mut self) {
        for transceiver in &self.transceivers {
            let Some(index) = transceiver.index() else { continue };
            let Some(mid) = self.rtc.rtp_transceiver(index).and_then(|t| t.mid().clone()) else {
                continue;
            };
            if transceiver.sender.track().is_some() {
                let mut rtp = self.rtp.lock();
                for layer in transceiver.sender.layer_list() {
                    rtp.announce(layer.ssrc, &mid, &layer.parameters.rid);
                }
            }
            transceiver.set_mid(&mid);
        }
    }

    /// Transceivers that the engine made for sections of a remote offer.
    pub(super) fn adopt_transceivers(&mut self) {
        let known: Vec<usize> = self.transceivers.iter().filter_map(|t| t.index()).collect();
        let found: Vec<usize> = self.rtc.get_transceivers().collect();
        for index in found.into_iter().filter(|index| !known.contains(index)) {
            let video = self
                .rtc
                .rtp_transceiver(index)
                .and_then(|t| t.mid().clone())
                .is_some_and(|mid| self.is_video(&mid));
            let sender = SenderInner::new(self.host.clone(), self.cname.clone(), None, Vec::new());
            let adopted = TransceiverInner::new(video, RtpTransceiverDirection::RecvOnly, sender, self.host.clone());
            adopted.set_index(index);
            self.transceivers.push(adopted);
        }
        self.read_mids();
    }

    pub(super) fn is_video(&self, mid: &str) -> bool {
        let Some(remote) = &self.remote else { return false };
        parse_sdp(remote.sdp()).is_ok_and(|parsed| sdp::sections(&parsed).iter().any(|s| s.mid == mid && s.video))
    }

    /// Brings tracks and senders in line with what the remote description says.
    pub(super) fn apply_sections(&mut self, description: &SessionDescription) -> Result<(), RtcError> {
        let parsed = parse_sdp(description.sdp()).map_err(|error| RtcError::sdp(error.to_string()))?;
        let sections = sdp::sections(&parsed);
        if self.negotiated_video.is_empty()
            && let Some(first) = sections.iter().find(|section| section.video)
        {
            self.negotiated_video.clone_from(&first.codecs);
        }
        for section in sections {
            let Some(transceiver) = self.by_mid(&section.mid) else {
                continue;
            };
            self.apply_receiver(&transceiver, &section);
            transceiver.sender.negotiated(&section);
            self.compare_payload_types(&transceiver.sender);
            if description.sdp_type() == SdpType::Answer {
                transceiver.set_current_direction(opposite(section.direction));
            }
        }
        Ok(())
    }

    /// A receiver that expects another payload type than the one we send drops everything: this must not go unseen.
    pub(super) fn compare_payload_types(&self, sender: &SenderInner) {
        let (Some(answered), true) = (sender.codec(), sender.track().is_some()) else {
            return;
        };
        let rtp = self.rtp.lock();
        for layer in sender.layer_list() {
            if let Some((bound, _)) = rtp.outbound_counters(layer.ssrc)
                && bound != answered.payload_type
            {
                let (expected, mime) = (answered.payload_type, &answered.mime_type);
                log::error!(
                    "stream {} is sent with payload type {bound}, and {expected} ({mime}) is expected",
                    layer.ssrc
                );
            }
        }
    }

    pub(super) fn apply_receiver(&mut self, transceiver: &Arc<TransceiverInner>, section: &Section) {
        let (gone, new) = transceiver.receiver.update(section);
        let mut rtp = self.rtp.lock();
        if let Some(gone) = gone {
            rtp.release(&gone);
        }
        if let Some(received) = transceiver.receiver.current() {
            received.track.negotiated(section);
            rtp.assign(&received.track, section);
        }
        drop(rtp);
        if let Some(new) = new {
            self.events.push(Event::Track(Arc::clone(transceiver), new));
        }
    }

    pub(super) fn by_mid(&self, mid: &str) -> Option<Arc<TransceiverInner>> {
        self.transceivers
            .iter()
            .find(|t| t.mid().as_deref() == Some(mid))
            .cloned()
    }
}

fn rtc_type(sdp_type: SdpType) -> RTCSdpType {
    match sdp_type {
        SdpType::Offer => RTCSdpType::Offer,
        SdpType::PrAnswer => RTCSdpType::Pranswer,
        SdpType::Answer => RTCSdpType::Answer,
        SdpType::Rollback => RTCSdpType::Rollback,
    }
}
