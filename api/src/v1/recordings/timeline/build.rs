//! From rows to a timeline: a pure function.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use greffier_agent::view::RecordingView;
use greffier_media::{
    lifecycle::RenderState,
    time::{Arrival, Position},
    timeline::Pauses,
};
use greffier_store::{
    files::FilePart,
    journal::TimelineEvent,
    recordings::Recording,
    renders::{Render, RenderFile},
};
use serde_json::Value;

use super::{Chat, Event, Interval, Media, MediaKindName, Pause, Person, Timeline};

/// Events that a player shows as they are; the others are in what it shows of people.
const SHOWN: [&str; 8] = [
    "participant_joined",
    "participant_left",
    "track_published",
    "track_unpublished",
    "recording_paused",
    "recording_resumed",
    "disconnected",
    "reconnected",
];

pub(super) fn timeline(
    recording: &Recording,
    events: &[TimelineEvent],
    renders: &[Render],
    truncated: bool,
    key: &str,
) -> Timeline {
    let start = recording.span.map_or(recording.created, |(first, _)| first);
    let length = position(start, start.saturating_add(recording.duration()));
    let pauses = pauses(start, length, events);
    let clock = Clock { start, pauses: &pauses };
    let end = clock.shown(length);
    let mut room = Room::default();
    let (mut chat, mut shown, mut gaps) = (Chats::default(), Vec::new(), Vec::new());
    for event in events {
        let at = clock.at(event.at);
        room.event(at, event);
        match event.kind.as_str() {
            "chat_message" => chat.message(at, &event.data),
            "gap" => gaps.extend(clock.gap(&event.data)),
            kind if SHOWN.contains(&kind) => {
                let who = room.who(event);
                shown.push(Event {
                    at_ms: at,
                    r#type: kind.to_owned(),
                    identity: who.map(|person| person.identity.clone()),
                    name: who.map(|person| person.name.clone()),
                });
            }
            _ => {}
        }
    }
    let participants = room.finish(end);
    Timeline {
        recording: RecordingView::from(recording),
        duration_ms: end,
        media: media(recording, renders, key),
        chat: chat.finish(&participants),
        pauses: clock.cuts(),
        gaps,
        events: shown,
        truncated,
        participants,
    }
}

fn position(start: Arrival, at: Arrival) -> Position {
    Position::from_nanos(u64::try_from(at.saturating_since(start).as_nanos()).unwrap_or(u64::MAX))
}

/// From when something arrived to where it is played.
struct Clock<'a> {
    start: Arrival,
    pauses: &'a Pauses,
}

impl Clock<'_> {
    fn shown(&self, position: Position) -> u64 {
        self.pauses.clamped(position).as_millis()
    }

    fn at(&self, arrival: Arrival) -> u64 {
        self.shown(position(self.start, arrival))
    }

    fn cuts(&self) -> Vec<Pause> {
        let cut = |pause: &std::ops::Range<Position>| Pause {
            from_ms: self.shown(pause.start),
            to_ms: self.shown(pause.end),
            cut_ms: millis(pause.end.saturating_since(pause.start)),
        };
        self.pauses.ranges().iter().map(cut).collect()
    }

    fn gap(&self, data: &Value) -> Option<Interval> {
        let at = |field: &str| {
            data.get(field)?
                .as_u64()
                .map(|nanos| self.at(Arrival::from_nanos(nanos)))
        };
        let (from_ms, to_ms) = (at("from")?, at("to")?);
        (from_ms < to_ms).then_some(Interval { from_ms, to_ms })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn pauses(start: Arrival, length: Position, events: &[TimelineEvent]) -> Pauses {
    let (mut ranges, mut since) = (Vec::new(), None);
    for event in events {
        match (event.kind.as_str(), since) {
            ("recording_paused", None) => since = Some(position(start, event.at)),
            ("recording_resumed", Some(from)) => {
                ranges.push(from..position(start, event.at));
                since = None;
            }
            _ => {}
        }
    }
    ranges.extend(since.map(|from| from..length));
    Pauses::new(ranges)
}

/// What is known of the room while its events are read, by the server's ids of presences and tracks.
#[derive(Default)]
struct Room {
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
    fn event(&mut self, at: u64, event: &TimelineEvent) {
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

    fn who(&self, event: &TimelineEvent) -> Option<&Person> {
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

    fn finish(mut self, end: u64) -> Vec<Person> {
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

/// What was written; later words replace earlier ones of the same message.
#[derive(Default)]
struct Chats {
    order: Vec<String>,
    messages: BTreeMap<String, (u64, String, String)>,
}

impl Chats {
    fn message(&mut self, at: u64, data: &Value) {
        let id = text(data, "id").to_owned();
        if data.get("deleted").and_then(Value::as_bool) == Some(true) {
            self.messages.remove(&id);
            return;
        }
        let (from, words) = (text(data, "from").to_owned(), text(data, "text").to_owned());
        match self.messages.get_mut(&id) {
            // Only the author changes a message.
            Some(known) if known.1 == from => known.2 = words,
            Some(_) => {}
            None => {
                self.order.push(id.clone());
                self.messages.insert(id, (at, from, words));
            }
        }
    }

    fn finish(mut self, people: &[Person]) -> Vec<Chat> {
        let name_of = |identity: &str| {
            let person = people.iter().find(|person| person.identity == identity);
            person.map_or_else(|| identity.to_owned(), |person| person.name.clone())
        };
        let written = self.order.iter().filter_map(|id| self.messages.remove(id));
        written
            .map(|(at_ms, identity, text)| Chat {
                at_ms,
                name: name_of(&identity),
                identity,
                text,
            })
            .collect()
    }
}

/// The files of the latest copies of everybody's tracks.
fn media(recording: &Recording, renders: &[Render], key: &str) -> Vec<Media> {
    let is_whole = |render: &&Render| {
        let all = render
            .request
            .get("participants")
            .and_then(Value::as_array)
            .is_none_or(Vec::is_empty);
        render.kind == "tracks" && render.state == RenderState::Ready && all
    };
    let Some(latest) = renders.iter().rfind(is_whole) else {
        return Vec::new();
    };
    let media = |file: &RenderFile| {
        let probe = &file.probe;
        let kind = match text(probe, "kind") {
            "participant" => MediaKindName::Participant,
            "screen_share" => MediaKindName::ScreenShare,
            _ => return None,
        };
        let number = |field: &str| probe.get(field).and_then(Value::as_u64);
        let is = |field: &str| probe.get(field).and_then(Value::as_bool).unwrap_or_default();
        let part = FilePart::Render(latest.id, file.name.clone());
        Some(Media {
            kind,
            identity: text(probe, "identity").to_owned(),
            name: text(probe, "name").to_owned(),
            url: crate::v1::files::url(recording.id, &part, key),
            media_type: file.media_type.clone(),
            width: number("width"),
            height: number("height"),
            offset_ms: number("offset_ms").unwrap_or_default(),
            first_ms: number("first_ms").unwrap_or_default(),
            duration_ms: number("duration_ms").unwrap_or_default(),
            has_audio: is("has_audio"),
            has_video: is("has_video"),
        })
    };
    latest.files.iter().filter_map(media).collect()
}

fn text<'a>(data: &'a Value, field: &str) -> &'a str {
    data.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use greffier_media::{
        ids::{ParticipantIdentity, RecordingId, RoomName},
        lifecycle::RecordingState,
    };
    use greffier_store::recordings::{RecordingName, RecordingRequest};
    use serde_json::json;

    use super::*;

    const START: Arrival = Arrival::from_millis(1_760_000_000_000);

    fn at(ms: u64) -> Arrival {
        START.saturating_add(Duration::from_millis(ms))
    }

    fn event(ms: u64, kind: &str, data: Value) -> TimelineEvent {
        TimelineEvent {
            at: at(ms),
            kind: kind.to_owned(),
            data,
        }
    }

    fn recording(ms: u64) -> Recording {
        Recording {
            id: RecordingId::from_parts(1, 1),
            node: "node_01J8Z6J9W2T4X5Y6Z7A8B9C0D1".parse().unwrap(),
            room: RoomName::new("demo").unwrap(),
            room_sid: None,
            name: RecordingName::default(),
            state: RecordingState::Sealed,
            paused: false,
            stop_reason: None,
            failure_message: None,
            request: RecordingRequest::default(),
            bot_identity: ParticipantIdentity::new("bot").unwrap(),
            labels: [].into(),
            created: START,
            started: None,
            stopped: None,
            ended: None,
            span: Some((START, at(ms))),
            bytes: 0,
            packets: 0,
            lost_packets: 0,
            participants: 2,
        }
    }

    fn join(ms: u64, sid: &str, identity: &str) -> TimelineEvent {
        let participant =
            json!({"sid": sid, "identity": identity, "name": identity.to_uppercase(), "kind": "standard"});
        event(ms, "participant_joined", json!({ "participant": participant }))
    }

    fn intervals(list: &[Interval]) -> Vec<(u64, u64)> {
        list.iter().map(|interval| (interval.from_ms, interval.to_ms)).collect()
    }

    #[test]
    fn people_come_speak_and_go() {
        let publish = |ms, participant: &str, sid: &str, source: &str, muted: bool| {
            let track = json!({"sid": sid, "kind": "audio", "source": source, "muted": muted});
            event(
                ms,
                "track_published",
                json!({"participant": participant, "track": track}),
            )
        };
        let events = [
            join(100, "PA_a", "ana"),
            publish(100, "PA_a", "TR_m", "microphone", true),
            publish(200, "PA_a", "TR_c", "camera", false),
            event(1000, "track_unmuted", json!({"participant": "PA_a", "track": "TR_m"})),
            event(1500, "active_speakers", json!({"speakers": ["PA_a"]})),
            join(2000, "PA_b", "ben"),
            event(2500, "active_speakers", json!({"speakers": ["PA_a", "PA_b"]})),
            event(3000, "active_speakers", json!({"speakers": ["PA_b"]})),
            event(3500, "track_muted", json!({"participant": "PA_a", "track": "TR_m"})),
            event(
                4000,
                "participant_left",
                json!({"participant": "PA_b", "identity": "ben"}),
            ),
            join(6000, "PA_b2", "ben"),
        ];
        let timeline = timeline(&recording(10_000), &events, &[], false, "k");
        let [ana, ben] = timeline.participants.as_slice() else {
            panic!("two people: {timeline:?}")
        };
        assert_eq!((ana.identity.as_str(), ana.name.as_str()), ("ana", "ANA"));
        assert_eq!(intervals(&ana.joined), [(100, 10_000)]);
        assert_eq!(intervals(&ana.speaking), [(1500, 3000)]);
        assert_eq!(intervals(&ana.camera), [(200, 10_000)]);
        assert_eq!(intervals(&ana.muted), [(100, 1000), (3500, 10_000)]);
        assert_eq!(intervals(&ben.joined), [(2000, 4000), (6000, 10_000)]);
        assert_eq!(intervals(&ben.speaking), [(2500, 4000)]);
        let left = timeline
            .events
            .iter()
            .find(|event| event.r#type == "participant_left")
            .unwrap();
        assert_eq!((left.at_ms, left.name.as_deref()), (4000, Some("BEN")));
        assert_eq!(timeline.duration_ms, 10_000);
    }

    #[test]
    fn who_was_there_before_us_has_tracks_already() {
        let tracks = json!([
            {"sid": "TR_m", "source": "microphone", "muted": false},
            {"sid": "TR_c", "source": "camera", "muted": true},
            {"sid": "TR_s", "source": "screen_share", "muted": false},
        ]);
        let ana = json!({"sid": "PA_a", "identity": "ana", "name": "Ana", "kind": "standard", "tracks": tracks});
        let events = [
            event(100, "participant_joined", json!({ "participant": ana })),
            event(200, "active_speakers", json!({"speakers": ["PA_a"]})),
            event(2000, "track_unmuted", json!({"participant": "PA_a", "track": "TR_c"})),
            event(3000, "disconnected", json!({"reason": "signal"})),
            event(4000, "active_speakers", json!({"speakers": ["PA_a"]})),
            event(
                5000,
                "gap",
                json!({"from": at(4500).as_nanos(), "to": at(5000).as_nanos(), "reason": "restart"}),
            ),
            join(5500, "PA_a", "ana"),
        ];
        let timeline = timeline(&recording(6000), &events, &[], false, "k");
        let ana = &timeline.participants[0];
        assert_eq!(intervals(&ana.joined), [(100, 5000), (5500, 6000)]);
        assert_eq!(intervals(&ana.speaking), [(200, 3000), (4000, 5000)]);
        assert_eq!(intervals(&ana.camera), [(2000, 5000)]);
        assert_eq!(intervals(&ana.muted), [(5500, 6000)]);
    }

    #[test]
    fn pauses_are_cut_out_of_every_time() {
        let events = [
            join(0, "PA_a", "ana"),
            event(2000, "recording_paused", json!({})),
            event(5000, "recording_resumed", json!({})),
            event(7000, "chat_message", json!({"id": "1", "from": "ana", "text": "hello"})),
            event(
                8000,
                "gap",
                json!({"from": at(7500).as_nanos(), "to": at(8000).as_nanos(), "reason": "connection"}),
            ),
            event(9000, "recording_paused", json!({})),
        ];
        let timeline = timeline(&recording(10_000), &events, &[], false, "k");
        assert_eq!(timeline.duration_ms, 6000);
        let cuts: Vec<_> = timeline
            .pauses
            .iter()
            .map(|pause| (pause.from_ms, pause.to_ms, pause.cut_ms))
            .collect();
        assert_eq!(cuts, [(2000, 2000, 3000), (6000, 6000, 1000)]);
        assert_eq!(timeline.chat[0].at_ms, 4000);
        assert_eq!(timeline.chat[0].name, "ANA");
        assert_eq!(intervals(&timeline.gaps), [(4500, 5000)]);
        assert_eq!(intervals(&timeline.participants[0].joined), [(0, 6000)]);
    }

    #[test]
    fn messages_are_as_their_authors_left_them() {
        let chat = |ms, id: &str, from: &str, text: &str, deleted: bool| {
            event(
                ms,
                "chat_message",
                json!({"id": id, "from": from, "text": text, "deleted": deleted}),
            )
        };
        let events = [
            chat(1, "1", "ana", "helo", false),
            chat(2, "2", "ben", "gone", false),
            chat(3, "1", "ana", "hello", false),
            chat(4, "1", "ben", "not his", false),
            chat(5, "2", "ben", "", true),
        ];
        let timeline = timeline(&recording(10), &events, &[], false, "k");
        let [only] = timeline.chat.as_slice() else {
            panic!("{:?}", timeline.chat)
        };
        assert_eq!(
            (only.at_ms, only.identity.as_str(), only.text.as_str()),
            (1, "ana", "hello")
        );
    }

    #[test]
    fn what_events_lack_harms_nobody() {
        let kinds = [
            "participant_joined",
            "participant_left",
            "track_published",
            "track_muted",
            "gap",
            "active_speakers",
            "chat_message",
        ];
        let events: Vec<_> = kinds.into_iter().map(|kind| event(5, kind, json!({}))).collect();
        let timeline = timeline(&recording(0), &events, &[], true, "k");
        assert!(timeline.truncated);
        assert_eq!(timeline.duration_ms, 0);
    }
}
