//! Tracks: which are subscribed to, and where their packets go.

use std::sync::Arc;

use greffier_media::codec::MediaKind;
use greffier_media::ids::TrackSid;
use greffier_media::journal::event::RoomEvent;
use greffier_media::time::{Arrival, Clock as _};
use greffier_store::recordings::LayerPolicy;
use libwebrtc::raw::{InboundCounters, RemoteTrackExt as _};
use livekit::prelude::{RemoteParticipant, RemoteTrack, RemoteTrackPublication};

use super::pictures::{KeyFrames, Pictures};
use super::{Session, Stay};
use crate::capture::describe;
use crate::capture::tap::{Tap, TapInfo};

/// A track whose packets come to us.
pub(super) struct Tapped {
    pub track: RemoteTrack,
    pub publication: RemoteTrackPublication,
    /// Of video.
    pub pictures: Option<Pictures>,
}

impl Tapped {
    /// Whether something has to be decoded from a key frame on that has not come.
    pub fn look_at_pictures(&mut self, now: Arrival) {
        let Some(pictures) = &mut self.pictures else { return };
        let track = self.track.rtc_track();
        let counters = track.counters();
        let packets = counters.iter().map(|stream| stream.packets).sum();
        let overdue = counters.iter().map(|stream| stream.overdue).sum();
        let came = counters.iter().map(|stream| stream.came_overdue).sum();
        if pictures.look(now, packets, overdue, came) {
            tracing::debug!(track = %self.publication.sid(), "a key frame is asked for");
            track.request_key_frame();
        }
    }
}

impl Session {
    pub(super) fn subscribe(&self, participant: &RemoteParticipant, publication: &RemoteTrackPublication) {
        let (source, kind) = (
            describe::source(publication.source()),
            describe::kind(publication.kind()),
        );
        let wanted = describe::identity(&participant.identity())
            .is_some_and(|identity| self.request.wants(&identity, source, kind));
        if wanted {
            publication.set_subscribed(true);
        }
    }

    pub(super) fn tap(
        &self,
        stay: &mut Stay,
        track: &RemoteTrack,
        publication: &RemoteTrackPublication,
        participant: &RemoteParticipant,
    ) {
        let ids = (
            describe::track_sid(&publication.sid()),
            describe::participant_sid(&participant.sid()),
            describe::identity(&participant.identity()),
        );
        let (Some(sid), Some(participant_sid), Some(identity)) = ids else {
            return;
        };
        self.room.lock().set_subscribed(&participant_sid, &sid, true);
        let source = track.rtc_track();
        let key_frames = KeyFrames::new(matches!(self.request.layers, LayerPolicy::AtMost(_)));
        let kind = describe::kind(publication.kind());
        let info = TapInfo {
            track: sid.clone(),
            track_name: publication.name(),
            participant: participant_sid,
            identity,
            participant_name: participant.name(),
            source: describe::source(publication.source()),
            kind,
            key_frames: key_frames.clone(),
            encryption: describe::encryption(publication.encryption_type()),
            codecs: source.codecs(),
        };
        let tap = Tap::new(info, self.clock, Arc::clone(&self.queue), Arc::clone(&self.keys));
        source.set_rtp_sink(Some(Box::new(tap)));
        self.choose_layer(stay, publication);
        let is_video = kind == MediaKind::Video;
        let tapped = Tapped {
            track: track.clone(),
            publication: publication.clone(),
            pictures: is_video.then(|| Pictures::new(key_frames, self.clock.now())),
        };
        stay.tracks.insert(sid, tapped);
        self.status.send_modify(|status| status.tracks = stay.tracks.len());
    }

    pub(super) fn untap(
        &self,
        stay: &mut Stay,
        now: Arrival,
        publication: &RemoteTrackPublication,
        participant: &RemoteParticipant,
    ) {
        self.with_track(
            now,
            &participant.sid(),
            &publication.sid(),
            |room, participant, track| {
                room.set_subscribed(participant, track, false);
                let (participant, track) = (participant.clone(), track.clone());
                Some(RoomEvent::TrackUnsubscribed { participant, track })
            },
        );
        if let Some(sid) = describe::track_sid(&publication.sid())
            && let Some(tapped) = stay.tracks.remove(&sid)
        {
            log_counters(&sid, &tapped.track.rtc_track().counters());
        }
        self.status.send_modify(|status| status.tracks = stay.tracks.len());
    }
}

fn log_counters(track: &TrackSid, counters: &[InboundCounters]) {
    for InboundCounters {
        ssrc,
        packets,
        repaired,
        lost,
        unrepaired,
        duplicates,
        ..
    } in counters
    {
        tracing::info!(%track, ssrc, packets, repaired, lost, unrepaired, duplicates, "track ended");
    }
}
