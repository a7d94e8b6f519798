//! Who was in the room, by its events: when they were there, spoke, and sent.

use std::collections::{BTreeMap, BTreeSet};

use greffier_store::journal::TimelineEvent;
use serde_json::Value;

use super::{Interval, Person, build::text};

/// What is known of the room while its events are read, by the server's ids of presences and tracks.
#[derive(Default)]
pub(super) struct Room {
    people: BTreeMap<String, Told>,
    /// By presence: whose it is, and since when.
    present: BTreeMap<String, (String, u64)>,
    tracks: BTreeMap<String, Track>,
    /// Presences that speak, and since when.
    speaking: BTreeMap<String, u64>,
}

#[derive(Default)]
struct Told {
    person: Person,
    microphone: Vec<Interval>,
}

struct Track {
    identity: String,
    is_camera: bool,
    /// It sends since then.
    since: Option<u64>,
}

impl Room {
    pub fn event(&mut self, at: u64, event: &TimelineEvent) {
        let data = &event.data;
        match event.kind.as_str() {
            "participant_joined" => self.joined(at, data),
            "participant_left" => self.left(at, text(data, "participant")),
            "participant_name_changed" => {
                let name = text(data, "name").to_owned();
                if let Some(told) = self
                    .identity(text(data, "participant"))
                    .and_then(|who| self.people.get_mut(&who))
                {
                    told.person.name = name;
                }
            }
            "track_published" => self.published(at, data),
            "track_unpublished" => self.unpublished(at, text(data, "track")),
            "track_muted" => self.set_sending(at, text(data, "track"), false),
            "track_unmuted" => self.set_sending(at, text(data, "track"), true),
            "active_speakers" => self.speakers(at, data),
            // Who is still there when we come back is not told again, but who speaks is …
            "disconnected" => self.speakers(at, &Value::Null),
            // … and another process knows nothing, so it tells of everybody.
            "gap" if text(data, "reason") == "restart" => self.leave_all(at),
            _ => {}
        }
    }

    fn identity(&self, sid: &str) -> Option<String> {
        self.present.get(sid).map(|(identity, _)| identity.clone())
    }

    pub fn who(&self, event: &TimelineEvent) -> Option<&Person> {
        let participant = event.data.get("participant")?;
        let identity = match participant.get("identity").or_else(|| event.data.get("identity")) {
            Some(identity) => identity.as_str()?.to_owned(),
            None => self.identity(participant.as_str()?)?,
        };
        self.people.get(&identity).map(|told| &told.person)
    }

    fn joined(&mut self, at: u64, data: &Value) {
        let Some(participant) = data.get("participant") else {
            return;
        };
        if matches!(text(participant, "kind"), "egress" | "agent") {
            return;
        }
        let (sid, identity) = (
            text(participant, "sid").to_owned(),
            text(participant, "identity").to_owned(),
        );
        let told = self.people.entry(identity.clone()).or_default();
        told.person.identity.clone_from(&identity);
        text(participant, "name").clone_into(&mut told.person.name);
        self.present.entry(sid).or_insert((identity.clone(), at));
        for track in participant
            .get("tracks")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            self.has_track(at, &identity, track);
        }
    }

    fn left(&mut self, at: u64, sid: &str) {
        let Some((identity, since)) = self.present.remove(sid) else {
            return;
        };
        if let Some(spoke) = self.speaking.remove(sid) {
            self.add(&identity, |told| &mut told.person.speaking, spoke, at);
        }
        let theirs: Vec<_> = self
            .tracks
            .iter()
            .filter(|(_, track)| track.identity == identity)
            .map(|(sid, _)| sid.clone())
            .collect();
        for track in theirs {
            self.unpublished(at, &track);
        }
        self.add(&identity, |told| &mut told.person.joined, since, at);
    }

    fn leave_all(&mut self, at: u64) {
        let all: Vec<_> = self.present.keys().cloned().collect();
        for sid in all {
            self.left(at, &sid);
        }
    }

    fn published(&mut self, at: u64, data: &Value) {
        if let (Some(track), Some(identity)) = (data.get("track"), self.identity(text(data, "participant"))) {
            self.has_track(at, &identity, track);
        }
    }

    /// A track that is there, new or not.
    fn has_track(&mut self, at: u64, identity: &str, track: &Value) {
        let is_camera = match text(track, "source") {
            "camera" => true,
            "microphone" => false,
            _ => return,
        };
        let sid = text(track, "sid");
        let muted = track.get("muted").and_then(Value::as_bool).unwrap_or_default();
        self.tracks.entry(sid.to_owned()).or_insert_with(|| Track {
            identity: identity.to_owned(),
            is_camera,
            since: None,
        });
        self.set_sending(at, sid, !muted);
    }

    fn unpublished(&mut self, at: u64, sid: &str) {
        self.set_sending(at, sid, false);
        self.tracks.remove(sid);
    }

    fn set_sending(&mut self, at: u64, sid: &str, sends: bool) {
        let Some(track) = self.tracks.get_mut(sid) else { return };
        if sends {
            track.since.get_or_insert(at);
            return;
        }
        let Some(since) = track.since.take() else { return };
        let (identity, is_camera) = (track.identity.clone(), track.is_camera);
        if is_camera {
            self.add(&identity, |told| &mut told.person.camera, since, at);
        } else {
            self.add(&identity, |told| &mut told.microphone, since, at);
        }
    }

    fn speakers(&mut self, at: u64, data: &Value) {
        let listed = data.get("speakers").and_then(Value::as_array);
        let now: BTreeSet<&str> = listed.into_iter().flatten().filter_map(Value::as_str).collect();
        let silent: Vec<_> = self
            .speaking
            .keys()
            .filter(|sid| !now.contains(sid.as_str()))
            .cloned()
            .collect();
        for sid in silent {
            if let (Some(since), Some(identity)) = (self.speaking.remove(&sid), self.identity(&sid)) {
                self.add(&identity, |told| &mut told.person.speaking, since, at);
            }
        }
        for sid in now {
            if self.present.contains_key(sid) {
                self.speaking.entry(sid.to_owned()).or_insert(at);
            }
        }
    }

    /// Intervals come in the order they end; one that begins where another ends goes on with it.
    fn add(&mut self, identity: &str, of: impl Fn(&mut Told) -> &mut Vec<Interval>, from_ms: u64, to_ms: u64) {
        let Some(told) = self.people.get_mut(identity) else {
            return;
        };
        let intervals = of(told);
        match intervals.last_mut() {
            Some(last) if last.to_ms >= from_ms => last.to_ms = last.to_ms.max(to_ms),
            _ if from_ms < to_ms => intervals.push(Interval { from_ms, to_ms }),
            _ => {}
        }
    }

    pub fn finish(mut self, end: u64) -> Vec<Person> {
        self.leave_all(end);
        let people = self.people.into_values().map(|told| Person {
            muted: without(&told.person.joined, &told.microphone),
            ..told.person
        });
        people.collect()
    }
}

/// What of `all` is not in `some`; both in order, neither overlapping itself.
fn without(all: &[Interval], some: &[Interval]) -> Vec<Interval> {
    let mut left = Vec::new();
    for interval in all {
        let mut from_ms = interval.from_ms;
        for cut in some
            .iter()
            .filter(|cut| cut.from_ms < interval.to_ms && cut.to_ms > interval.from_ms)
        {
            if cut.from_ms > from_ms {
                left.push(Interval {
                    from_ms,
                    to_ms: cut.from_ms,
                });
            }
            from_ms = from_ms.max(cut.to_ms);
        }
        if from_ms < interval.to_ms {
            left.push(Interval {
                from_ms,
                to_ms: interval.to_ms,
            });
        }
    }
    left
}
