//! What we know of the room: kept so that each segment can begin with all of it, and turned into events as it changes.

use std::collections::BTreeMap;

use greffier_media::ids::{ParticipantSid, RecordingId, RoomName, RoomSid, SegmentIndex, TrackSid};
use greffier_media::journal::event::{
    ParticipantInfo, ParticipantKind, Permissions, Quality, RoomEvent, RoomInfo, Speaker, TrackInfo,
};

/// The room as we have heard of it. Pure: what happened comes in, what the journal should say comes out.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    recording: RecordingId,
    info: RoomInfo,
    paused: bool,
    participants: BTreeMap<ParticipantSid, ParticipantInfo>,
}

impl Room {
    pub fn new(recording: RecordingId, name: RoomName, paused: bool) -> Self {
        Self {
            recording,
            info: RoomInfo {
                name,
                sid: None,
                metadata: String::new(),
            },
            paused,
            participants: BTreeMap::new(),
        }
    }

    pub fn name(&self) -> &RoomName {
        &self.info.name
    }

    /// The first event of a segment: all there is to know to read it alone.
    pub fn snapshot(&self, segment: SegmentIndex) -> RoomEvent {
        RoomEvent::Snapshot {
            recording: self.recording,
            segment,
            room: self.info.clone(),
            paused: self.paused,
            participants: self.participants.values().cloned().collect(),
        }
    }

    /// Participants who count: people and what brings them, not bots and recorders.
    pub fn people(&self) -> usize {
        let counts = |p: &&ParticipantInfo| {
            !p.permissions.hidden && !matches!(p.kind, ParticipantKind::Agent | ParticipantKind::Egress)
        };
        self.participants.values().filter(counts).count()
    }

    pub fn participant(&self, sid: &ParticipantSid) -> Option<&ParticipantInfo> {
        self.participants.get(sid)
    }

    pub fn set_paused(&mut self, paused: bool, by: Option<String>) -> RoomEvent {
        self.paused = paused;
        if paused {
            RoomEvent::RecordingPaused { by }
        } else {
            RoomEvent::RecordingResumed { by }
        }
    }

    /// We are in. What we find replaces what we knew: people may have come and gone while we were away.
    pub fn connected(
        &mut self,
        sid: RoomSid,
        us: ParticipantSid,
        metadata: String,
        found: Vec<ParticipantInfo>,
    ) -> Vec<RoomEvent> {
        let mut events = vec![RoomEvent::Connected {
            room_sid: sid.clone(),
            participant: us,
        }];
        self.info.sid = Some(sid);
        if self.info.metadata != metadata {
            self.info.metadata.clone_from(&metadata);
            events.push(RoomEvent::RoomMetadataChanged { metadata });
        }
        let gone: Vec<ParticipantSid> = self
            .participants
            .keys()
            .filter(|sid| !found.iter().any(|p| p.sid == **sid))
            .cloned()
            .collect();
        for sid in gone {
            events.extend(self.left(&sid, Some("while we were away".to_owned())));
        }
        for participant in found {
            events.extend(self.joined(participant));
        }
        events
    }

    pub fn joined(&mut self, participant: ParticipantInfo) -> Option<RoomEvent> {
        let known = self.participants.insert(participant.sid.clone(), participant.clone());
        (known.as_ref() != Some(&participant)).then_some(RoomEvent::ParticipantJoined { participant })
    }

    pub fn left(&mut self, sid: &ParticipantSid, reason: Option<String>) -> Option<RoomEvent> {
        let gone = self.participants.remove(sid)?;
        Some(RoomEvent::ParticipantLeft {
            participant: gone.sid,
            identity: gone.identity,
            reason,
        })
    }

    /// Changes a participant we know, and says so if it did change.
    fn change(
        &mut self,
        sid: &ParticipantSid,
        change: impl FnOnce(&mut ParticipantInfo) -> Option<RoomEvent>,
    ) -> Option<RoomEvent> {
        self.participants.get_mut(sid).and_then(change)
    }

    pub fn renamed(&mut self, sid: &ParticipantSid, name: String) -> Option<RoomEvent> {
        self.change(sid, |p| {
            p.name.clone_from(&name);
            Some(RoomEvent::ParticipantNameChanged {
                participant: p.sid.clone(),
                name,
            })
        })
    }

    pub fn metadata(&mut self, sid: &ParticipantSid, metadata: String) -> Option<RoomEvent> {
        self.change(sid, |p| {
            p.metadata.clone_from(&metadata);
            Some(RoomEvent::ParticipantMetadataChanged {
                participant: p.sid.clone(),
                metadata,
            })
        })
    }

    pub fn attributes(&mut self, sid: &ParticipantSid, changed: BTreeMap<String, String>) -> Option<RoomEvent> {
        self.change(sid, |p| {
            for (key, value) in &changed {
                if value.is_empty() {
                    p.attributes.remove(key);
                } else {
                    p.attributes.insert(key.clone(), value.clone());
                }
            }
            Some(RoomEvent::ParticipantAttributesChanged {
                participant: p.sid.clone(),
                changed,
            })
        })
    }

    pub fn permissions(&mut self, sid: &ParticipantSid, permissions: Permissions) -> Option<RoomEvent> {
        self.change(sid, |p| {
            p.permissions = permissions;
            Some(RoomEvent::ParticipantPermissionsChanged {
                participant: p.sid.clone(),
                permissions,
            })
        })
    }

    pub fn room_metadata(&mut self, metadata: String) -> RoomEvent {
        self.info.metadata.clone_from(&metadata);
        RoomEvent::RoomMetadataChanged { metadata }
    }

    pub fn published(&mut self, sid: &ParticipantSid, track: TrackInfo) -> Option<RoomEvent> {
        self.change(sid, |p| {
            let known = p.tracks.iter().position(|t| t.sid == track.sid);
            match known {
                Some(at) if p.tracks[at] == track => return None,
                Some(at) => p.tracks[at] = track.clone(),
                None => p.tracks.push(track.clone()),
            }
            known.is_none().then(|| RoomEvent::TrackPublished {
                participant: p.sid.clone(),
                track,
            })
        })
    }

    pub fn unpublished(&mut self, sid: &ParticipantSid, track: &TrackSid) -> Option<RoomEvent> {
        self.change(sid, |p| {
            let before = p.tracks.len();
            p.tracks.retain(|t| t.sid != *track);
            (p.tracks.len() < before).then(|| RoomEvent::TrackUnpublished {
                participant: p.sid.clone(),
                track: track.clone(),
            })
        })
    }

    /// Whether we receive a track. The tap tells of it with the first packet, so there is no event here.
    pub fn set_subscribed(&mut self, sid: &ParticipantSid, track: &TrackSid, subscribed: bool) {
        let found = self
            .participants
            .get_mut(sid)
            .and_then(|p| p.tracks.iter_mut().find(|t| t.sid == *track));
        if let Some(found) = found {
            found.subscribed = subscribed;
        }
    }

    pub fn muted(&mut self, sid: &ParticipantSid, track: &TrackSid, muted: bool) -> Option<RoomEvent> {
        self.change(sid, |p| {
            let found = p.tracks.iter_mut().find(|t| t.sid == *track)?;
            if std::mem::replace(&mut found.muted, muted) == muted {
                return None;
            }
            let (participant, track) = (p.sid.clone(), track.clone());
            Some(if muted {
                RoomEvent::TrackMuted { participant, track }
            } else {
                RoomEvent::TrackUnmuted { participant, track }
            })
        })
    }

    pub fn speaking(speakers: Vec<(ParticipantSid, f32)>) -> RoomEvent {
        let speakers = speakers
            .into_iter()
            .map(|(participant, level)| Speaker { participant, level })
            .collect();
        RoomEvent::ActiveSpeakers { speakers }
    }

    pub fn quality(participant: ParticipantSid, quality: Quality) -> RoomEvent {
        RoomEvent::ConnectionQuality { participant, quality }
    }
}

#[cfg(test)]
mod tests {
    use greffier_media::codec::MediaKind;

    use super::*;

    fn sid(text: &str) -> ParticipantSid {
        ParticipantSid::new(text).expect("a sid")
    }

    fn person(id: &str, kind: ParticipantKind) -> ParticipantInfo {
        serde_json::from_value::<ParticipantInfo>(
            serde_json::json!({"sid": format!("PA_{id}"), "identity": id, "name": id}),
        )
        .map(|p| ParticipantInfo { kind, ..p })
        .expect("a participant")
    }

    fn room() -> Room {
        Room::new(
            RecordingId::from_parts(1, 2),
            RoomName::new("demo").expect("a name"),
            false,
        )
    }

    fn names(events: &[RoomEvent]) -> Vec<String> {
        let name = |e: &RoomEvent| {
            serde_json::to_value(e).expect("json")["type"]
                .as_str()
                .expect("tagged")
                .to_owned()
        };
        events.iter().map(name).collect()
    }

    #[test]
    fn coming_back_tells_only_what_changed() {
        let mut room = room();
        let room_sid = || RoomSid::new("RM_1").expect("a sid");
        let (ana, bob) = (
            person("ana", ParticipantKind::Standard),
            person("bob", ParticipantKind::Standard),
        );
        let first = room.connected(room_sid(), sid("PA_us"), String::new(), vec![ana.clone(), bob.clone()]);
        assert_eq!(names(&first), ["connected", "participant_joined", "participant_joined"]);
        let carl = person("carl", ParticipantKind::Standard);
        let again = room.connected(room_sid(), sid("PA_us"), "m".into(), vec![bob, carl]);
        assert_eq!(
            names(&again),
            [
                "connected",
                "room_metadata_changed",
                "participant_left",
                "participant_joined"
            ]
        );
        assert_eq!(room.people(), 2);
    }

    #[test]
    fn bots_and_hidden_ones_do_not_keep_a_meeting_going() {
        let mut room = room();
        room.joined(person("egress", ParticipantKind::Egress));
        room.joined(person("agent", ParticipantKind::Agent));
        let mut hidden = person("hidden", ParticipantKind::Standard);
        hidden.permissions.hidden = true;
        room.joined(hidden);
        assert_eq!(room.people(), 0);
        room.joined(person("phone", ParticipantKind::Sip));
        assert_eq!(room.people(), 1);
    }

    #[test]
    fn a_snapshot_holds_what_the_events_said() {
        let mut room = room();
        room.joined(person("ana", ParticipantKind::Standard));
        let track = TrackInfo {
            sid: TrackSid::new("TR_1").expect("a sid"),
            name: "cam".into(),
            kind: MediaKind::Video,
            source: greffier_media::journal::TrackSource::Camera,
            mime: "video/VP8".into(),
            muted: false,
            dims: None,
            simulcast: true,
            encryption: greffier_media::journal::Encryption::None,
            subscribed: false,
        };
        let ana = sid("PA_ana");
        assert!(room.published(&ana, track.clone()).is_some());
        assert!(room.published(&ana, track.clone()).is_none(), "once is enough");
        assert!(room.muted(&ana, &track.sid, true).is_some() && room.muted(&ana, &track.sid, true).is_none());
        assert!(room.attributes(&ana, [("hand".into(), "up".into())].into()).is_some());
        assert!(
            room.set_paused(true, Some("admin".into()))
                == RoomEvent::RecordingPaused {
                    by: Some("admin".into())
                }
        );
        let RoomEvent::Snapshot {
            participants, paused, ..
        } = room.snapshot(SegmentIndex(3))
        else {
            panic!("a snapshot")
        };
        assert!(paused && participants[0].tracks[0].muted);
        assert_eq!(participants[0].attributes["hand"], "up");
        assert!(room.unpublished(&ana, &track.sid).is_some() && room.unpublished(&ana, &track.sid).is_none());
        assert!(
            room.muted(&ana, &track.sid, false).is_none(),
            "a track that is gone is not told of"
        );
        assert!(room.left(&ana, None).is_some() && room.left(&ana, None).is_none());
    }
}
