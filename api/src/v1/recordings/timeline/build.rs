//! From rows to a timeline: a pure function.

use std::{collections::BTreeMap, time::Duration};

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

use super::{Chat, Event, Interval, Media, MediaKindName, Pause, Person, Timeline, room::Room};

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

pub(super) fn text<'a>(data: &'a Value, field: &str) -> &'a str {
    data.get(field).and_then(Value::as_str).unwrap_or_default()
}
