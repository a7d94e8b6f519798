//! How a participant looks at the others.

use std::sync::Arc;

use greffier_media::codec::{Dims, MediaKind};
use libwebrtc::raw::RemoteTrackExt;
use livekit::prelude::{
    RemoteParticipant, RemoteTrack, RemoteTrackPublication, TrackKind, TrackPublication, TrackSource,
};
use livekit::track::TrackDimension;
use livekit::{DisconnectReason, RoomEvent};

use super::{Actor, CHAT_TOPIC, Present};
use crate::load::layout::Offer;
use crate::load::measure::Pictures;
use crate::load::seat::Subscription;
use crate::load::stage::{now, source_name};
use crate::synthetic::reception::{Counts, Judgement, Reception};

impl Actor {
    /// What happened in the room; the reason if it is over.
    pub(super) fn event(&self, event: RoomEvent, present: Option<&Present>) -> Option<DisconnectReason> {
        match event {
            RoomEvent::TrackSubscribed {
                track,
                publication,
                participant,
            } => {
                self.subscribed(track, publication, &participant, present);
            }
            RoomEvent::TrackUnsubscribed { publication, .. } => self.unsubscribed(&publication.sid().to_string()),
            RoomEvent::TrackMuted {
                publication: TrackPublication::Remote(track),
                ..
            } => self.silenced(&track, true),
            RoomEvent::TrackUnmuted {
                publication: TrackPublication::Remote(track),
                ..
            } => self.silenced(&track, false),
            RoomEvent::DataReceived { topic: Some(topic), .. } if topic == CHAT_TOPIC => {
                self.stage.count("chat_received");
            }
            RoomEvent::TrackSubscriptionFailed { error, .. } => self.stage.error("subscription", &error.to_string()),
            RoomEvent::Reconnecting => self.stage.count("reconnecting"),
            RoomEvent::Reconnected => self.stage.count("reconnected"),
            RoomEvent::Disconnected { reason } => return Some(reason),
            _ => {}
        }
        None
    }

    fn subscribed(
        &self,
        track: RemoteTrack,
        publication: RemoteTrackPublication,
        participant: &RemoteParticipant,
        present: Option<&Present>,
    ) {
        let kind = match track.kind() {
            TrackKind::Audio => MediaKind::Audio,
            TrackKind::Video => MediaKind::Video,
        };
        let below = track.rtc_track();
        let judgement = Judgement {
            clock: self.stage.clock,
            freeze: self.stage.scenario.freeze.get(),
        };
        let (reception, sink) = Reception::new(
            kind,
            &below.codecs(),
            &below.header_extensions(),
            judgement,
            present.and_then(|here| here.downlink.clone()),
            Arc::clone(&self.stage.distributions),
        );
        below.set_rtp_sink(Some(sink));
        let muted = publication.is_muted();
        reception.set_muted(muted, now());
        let who = participant.identity().to_string();
        let source = source_name(publication.source());
        let published = self.stage.published(self.part.room, &who, source);
        let mut subscription = Subscription {
            sid: publication.sid().to_string(),
            source,
            screen: publication.source() == TrackSource::Screenshare,
            codec: publication.mime_type(),
            published: None,
            publisher: who,
            kind,
            publication,
            track,
            reception,
            tile: None,
            muted,
            seen: Counts::default(),
            pictures: Pictures::default(),
        };
        // Not there yet if its publisher has not heard of it itself; the next look finds it.
        if let Some(published) = published.filter(|published| published.until.is_none()) {
            subscription.attach(published, false);
        }
        // A track that comes back under the same id ends the one that was.
        self.unsubscribed(&subscription.sid);
        if let Some(seat) = self.stage.seats.lock().get_mut(&self.index) {
            seat.had.insert((subscription.publisher.clone(), source), now());
            seat.tracks.push(subscription);
        }
        if kind == MediaKind::Video {
            self.arrange();
        }
    }

    fn unsubscribed(&self, sid: &str) {
        self.stage.close_track(self.index, sid, now());
    }

    fn silenced(&self, track: &RemoteTrackPublication, muted: bool) {
        let sid = track.sid().to_string();
        if let Some(seat) = self.stage.seats.lock().get_mut(&self.index) {
            for subscription in seat.tracks.iter_mut().filter(|subscription| subscription.sid == sid) {
                subscription.muted = muted;
                subscription.reception.set_muted(muted || subscription.hidden(), now());
            }
        }
    }

    /// Asks for each picture at the size at which it is shown, and for none that is out of sight.
    pub(super) fn arrange(&self) {
        let mut changed: Vec<(RemoteTrackPublication, Option<Dims>)> = Vec::new();
        let focus = self
            .focus
            .as_ref()
            .map(|planned| self.stage.name_of(self.part.room, planned));
        if let Some(seat) = self.stage.seats.lock().get_mut(&self.index) {
            let videos: Vec<&mut Subscription> = seat
                .tracks
                .iter_mut()
                .filter(|track| track.kind == MediaKind::Video)
                .collect();
            let offer = |track: &&mut Subscription| Offer {
                screen: track.screen,
                focused: focus.as_ref() == Some(&track.publisher),
            };
            let offers: Vec<Offer> = videos.iter().map(offer).collect();
            let tiles = self.group().layout.tiles(&offers);
            for (video, tile) in videos.into_iter().zip(tiles) {
                if video.tile != tile || video.pictures.watched == 0.0 {
                    video.tile = tile;
                    video.reception.set_muted(video.muted || tile.is_none(), now());
                    changed.push((video.publication.clone(), tile));
                }
            }
        }
        for (publication, tile) in changed {
            publication.set_enabled(tile.is_some());
            if let Some(tile) = tile {
                publication.update_video_dimensions(TrackDimension(tile.width, tile.height));
            }
        }
    }
}

impl Subscription {
    fn hidden(&self) -> bool {
        self.kind == MediaKind::Video && self.tile.is_none()
    }
}
