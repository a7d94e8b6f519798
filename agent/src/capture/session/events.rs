//! What the SDK tells of the room, noted in the journal.

use greffier_media::ids::{ParticipantSid, TrackSid};
use greffier_media::journal::event::{RoomEvent, StopReason};
use greffier_media::time::{Arrival, Clock as _};
use livekit::DisconnectReason;
use livekit::prelude::{self as lk, RoomEvent as SdkEvent};

use super::{Session, Stay, Turn};
use crate::capture::describe;
use crate::capture::messages::Messages;
use crate::capture::room::Room;

impl Session {
    pub(super) fn on_event(&self, stay: &mut Stay, messages: &mut Messages, event: SdkEvent) -> Option<Turn> {
        let now = self.clock.now();
        match event {
            SdkEvent::ParticipantConnected(who) => {
                self.events(
                    now,
                    describe::participant(&who).and_then(|found| self.room.lock().joined(found)),
                );
            }
            SdkEvent::ParticipantDisconnected(who) => {
                let reason = describe::words(&who.disconnect_reason());
                self.with_participant(now, &who.sid(), |room, sid| room.left(sid, Some(reason)));
            }
            SdkEvent::TrackPublished {
                publication,
                participant,
            } => {
                self.with_participant(now, &participant.sid(), |room, sid| {
                    room.published(sid, describe::track(&publication)?)
                });
                self.subscribe(&participant, &publication);
            }
            SdkEvent::TrackUnpublished {
                publication,
                participant,
            } => {
                self.with_track(now, &participant.sid(), &publication.sid(), Room::unpublished);
            }
            SdkEvent::TrackSubscribed {
                track,
                publication,
                participant,
            } => {
                self.tap(stay, &track, &publication, &participant);
            }
            SdkEvent::TrackUnsubscribed {
                publication,
                participant,
                ..
            } => {
                self.untap(stay, now, &publication, &participant);
            }
            SdkEvent::TrackSubscriptionFailed {
                participant,
                error,
                track_sid,
            } => {
                self.with_track(now, &participant.sid(), &track_sid, |_, participant, track| {
                    let (participant, track, error) = (participant.clone(), track.clone(), error.to_string());
                    Some(RoomEvent::TrackSubscriptionFailed {
                        participant,
                        track,
                        error,
                    })
                });
            }
            SdkEvent::TrackMuted {
                participant,
                publication,
            } => {
                self.with_track(now, &participant.sid(), &publication.sid(), |r, p, t| {
                    r.muted(p, t, true)
                });
            }
            SdkEvent::TrackUnmuted {
                participant,
                publication,
            } => {
                self.with_track(now, &participant.sid(), &publication.sid(), |r, p, t| {
                    r.muted(p, t, false)
                });
            }
            SdkEvent::Reconnecting => self.event(now, RoomEvent::Reconnecting),
            SdkEvent::Reconnected => self.event(now, RoomEvent::Reconnected),
            SdkEvent::Disconnected { reason } => return Some(self.disconnected(now, reason)),
            other => self.on_detail(now, messages, other),
        }
        None
    }

    /// What is said, written and changed in the room.
    fn on_detail(&self, now: Arrival, messages: &mut Messages, event: SdkEvent) {
        match event {
            SdkEvent::RoomMetadataChanged { metadata, .. } => {
                let event = self.room.lock().room_metadata(metadata);
                self.event(now, event);
            }
            SdkEvent::ParticipantMetadataChanged {
                participant, metadata, ..
            } => {
                self.with_participant(now, &participant.sid(), |room, sid| room.metadata(sid, metadata));
            }
            SdkEvent::ParticipantNameChanged { participant, name, .. } => {
                self.with_participant(now, &participant.sid(), |room, sid| room.renamed(sid, name));
            }
            SdkEvent::ParticipantAttributesChanged {
                participant,
                changed_attributes,
            } => {
                let changed = changed_attributes.into_iter().collect();
                self.with_participant(now, &participant.sid(), |room, sid| room.attributes(sid, changed));
            }
            SdkEvent::ParticipantPermissionChanged {
                participant,
                permission: Some(permission),
            } => {
                let permissions = describe::permissions(&permission);
                self.with_participant(now, &participant.sid(), |room, sid| room.permissions(sid, permissions));
            }
            SdkEvent::ActiveSpeakersChanged { speakers } => {
                let heard = |p: &lk::Participant| Some((describe::participant_sid(&p.sid())?, p.audio_level()));
                self.event(now, Room::speaking(speakers.iter().filter_map(heard).collect()));
            }
            SdkEvent::ConnectionQualityChanged { quality, participant } => {
                self.with_participant(now, &participant.sid(), |room, sid| {
                    room.participant(sid)?;
                    Some(Room::quality(sid.clone(), describe::quality(quality)))
                });
            }
            other => {
                if let Some(entry) = messages.on_event(now, other, &self.queue, &self.supervisor) {
                    self.queue.push_content(entry, None);
                }
            }
        }
    }

    pub(super) fn with_participant(
        &self,
        now: Arrival,
        sid: &lk::ParticipantSid,
        change: impl FnOnce(&mut Room, &ParticipantSid) -> Option<RoomEvent>,
    ) {
        let event = describe::participant_sid(sid).and_then(|sid| change(&mut self.room.lock(), &sid));
        self.events(now, event);
    }

    pub(super) fn with_track(
        &self,
        now: Arrival,
        sid: &lk::ParticipantSid,
        track: &lk::TrackSid,
        change: impl FnOnce(&mut Room, &ParticipantSid, &TrackSid) -> Option<RoomEvent>,
    ) {
        let Some(track) = describe::track_sid(track) else {
            return;
        };
        self.with_participant(now, sid, |room, sid| change(room, sid, &track));
    }

    fn disconnected(&self, now: Arrival, reason: DisconnectReason) -> Turn {
        self.event(
            now,
            RoomEvent::Disconnected {
                reason: describe::words(&reason),
            },
        );
        match reason {
            DisconnectReason::RoomDeleted | DisconnectReason::RoomClosed => Turn::End(StopReason::RoomClosed),
            DisconnectReason::ParticipantRemoved | DisconnectReason::DuplicateIdentity => {
                Turn::End(StopReason::Removed)
            }
            other => Turn::Away(describe::words(&other)),
        }
    }
}
