use std::time::Duration;

use greffier_media::{
    ids::{ParticipantIdentity, RecordingId, RoomName},
    lifecycle::RecordingState,
    time::Arrival,
};
use greffier_store::{
    journal::TimelineEvent,
    recordings::{Recording, RecordingName, RecordingRequest},
};
use serde_json::{Value, json};

use super::{Interval, build::timeline};

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
    let participant = json!({"sid": sid, "identity": identity, "name": identity.to_uppercase(), "kind": "standard"});
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
