//! The room as its events tell it: who is there, and what of them can be shown.

use std::collections::BTreeMap;

use crate::{
    codec::{Dims, MediaKind},
    ids::{ParticipantIdentity, ParticipantSid, TrackSid},
    journal::{
        RoomEvent, TrackSource,
        event::{ParticipantInfo, ParticipantKind, TrackInfo},
    },
    time::Position,
};

#[derive(Debug, Default)]
pub(super) struct Room {
    people: BTreeMap<ParticipantSid, Person>,
    /// In the order they first came; a rejoin keeps the seat.
    seats: Vec<ParticipantIdentity>,
    shares: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) sid: ParticipantSid,
    pub(super) identity: ParticipantIdentity,
    pub(super) name: String,
    kind: ParticipantKind,
    hidden: bool,
    tracks: Vec<Track>,
    /// When they last were the active speaker.
    pub(super) spoke: Option<Position>,
}

#[derive(Debug, Clone)]
pub(super) struct Track {
    pub(super) sid: TrackSid,
    pub(super) source: TrackSource,
    kind: MediaKind,
    muted: bool,
    subscribed: bool,
    pub(super) dims: Option<Dims>,
    /// Counts screen shares, so that the latest is known.
    pub(super) order: u64,
}

impl Track {
    fn shows(&self) -> bool {
        self.kind == MediaKind::Video && self.subscribed && !self.muted
    }

    fn is_screen(&self) -> bool {
        self.source == TrackSource::ScreenShare
    }
}

impl Person {
    /// What the camera shows, if it does.
    pub(super) fn camera(&self) -> Option<&Track> {
        self.tracks.iter().find(|track| track.shows() && !track.is_screen())
    }

    pub(super) fn screens(&self) -> impl Iterator<Item = &Track> {
        self.tracks.iter().filter(|track| track.shows() && track.is_screen())
    }

    pub(super) fn microphone_on(&self) -> bool {
        self.tracks
            .iter()
            .any(|track| track.source == TrackSource::Microphone && !track.muted)
    }

    /// Programs count as people if they send something.
    fn is_seated(&self) -> bool {
        let is_program = matches!(self.kind, ParticipantKind::Agent | ParticipantKind::Egress);
        !self.hidden && (!is_program || !self.tracks.is_empty())
    }

    /// What to call them on a tile.
    pub(super) fn label(&self) -> &str {
        if self.name.is_empty() {
            self.identity.as_str()
        } else {
            &self.name
        }
    }
}

impl Room {
    /// Everybody with a seat, in order.
    pub(super) fn seated(&self) -> Vec<&Person> {
        let mut people: Vec<_> = self.people.values().filter(|person| person.is_seated()).collect();
        people.sort_by_key(|person| self.seats.iter().position(|seat| *seat == person.identity));
        people
    }

    pub(super) fn person(&self, sid: &ParticipantSid) -> Option<&Person> {
        self.people.get(sid).filter(|person| person.is_seated())
    }

    /// Notes that somebody is the active speaker.
    pub(super) fn speaks(&mut self, sid: &ParticipantSid, at: Position) {
        if let Some(person) = self.people.get_mut(sid) {
            person.spoke = Some(at);
        }
    }

    pub(super) fn apply(&mut self, event: &RoomEvent) {
        match event {
            RoomEvent::Snapshot { participants, .. } => self.reset(participants),
            RoomEvent::ParticipantJoined { participant } => self.join(participant),
            RoomEvent::ParticipantLeft { participant, .. } => {
                self.people.remove(participant);
            }
            RoomEvent::ParticipantNameChanged { participant, name } => {
                if let Some(person) = self.people.get_mut(participant) {
                    person.name.clone_from(name);
                }
            }
            RoomEvent::ParticipantPermissionsChanged {
                participant,
                permissions,
            } => {
                if let Some(person) = self.people.get_mut(participant) {
                    person.hidden = permissions.hidden;
                }
            }
            RoomEvent::TrackPublished { participant, track } => self.publish(participant, track),
            RoomEvent::TrackUnpublished { participant, track } => {
                if let Some(person) = self.people.get_mut(participant) {
                    person.tracks.retain(|known| known.sid != *track);
                }
            }
            RoomEvent::TrackSubscribed { track, .. } => self.change(track, |track| track.subscribed = true),
            RoomEvent::TrackUnsubscribed { track, .. } => self.change(track, |track| track.subscribed = false),
            RoomEvent::TrackMuted { track, .. } => self.change(track, |track| track.muted = true),
            RoomEvent::TrackUnmuted { track, .. } => self.change(track, |track| track.muted = false),
            RoomEvent::ResolutionChanged { track, dims } => self.change(track, |track| track.dims = Some(*dims)),
            _ => {}
        }
    }

    /// What a snapshot does not know is not there.
    fn reset(&mut self, participants: &[ParticipantInfo]) {
        let mut before = std::mem::take(&mut self.people);
        for participant in participants {
            self.join(participant);
            let Some(old) = before.remove(&participant.sid) else {
                continue;
            };
            let Some(person) = self.people.get_mut(&participant.sid) else {
                continue;
            };
            person.spoke = old.spoke;
            // The size that arrives is known by events only, and so is which share is the latest.
            for track in &mut person.tracks {
                if let Some(known) = old.tracks.iter().find(|known| known.sid == track.sid) {
                    track.dims = known.dims.or(track.dims);
                    track.order = known.order;
                }
            }
        }
    }

    fn join(&mut self, info: &ParticipantInfo) {
        let spoke = self
            .people
            .values()
            .find(|person| person.identity == info.identity)
            .and_then(|person| person.spoke);
        // One identity is in the room once: who comes again has left.
        self.people.retain(|_, person| person.identity != info.identity);
        if !self.seats.contains(&info.identity) {
            self.seats.push(info.identity.clone());
        }
        let person = Person {
            sid: info.sid.clone(),
            identity: info.identity.clone(),
            name: info.name.clone(),
            kind: info.kind,
            hidden: info.permissions.hidden,
            tracks: Vec::new(),
            spoke,
        };
        self.people.insert(info.sid.clone(), person);
        for track in &info.tracks {
            self.publish(&info.sid, track);
        }
    }

    fn publish(&mut self, participant: &ParticipantSid, info: &TrackInfo) {
        self.shares += 1;
        let order = self.shares;
        let Some(person) = self.people.get_mut(participant) else {
            return;
        };
        let track = Track {
            sid: info.sid.clone(),
            source: info.source,
            kind: info.kind,
            muted: info.muted,
            subscribed: info.subscribed,
            dims: info.dims,
            order,
        };
        match person.tracks.iter_mut().find(|known| known.sid == track.sid) {
            Some(known) => {
                *known = Track {
                    order: known.order,
                    ..track
                }
            }
            None => person.tracks.push(track),
        }
    }

    fn change(&mut self, sid: &TrackSid, change: impl FnOnce(&mut Track)) {
        let mut tracks = self.people.values_mut().flat_map(|person| &mut person.tracks);
        if let Some(track) = tracks.find(|track| track.sid == *sid) {
            change(track);
        }
    }
}
