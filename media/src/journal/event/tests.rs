use serde_json::{Value, from_value, json, to_value};

use super::*;

fn participant(text: &str) -> ParticipantSid {
    ParticipantSid::new(text).unwrap()
}

#[test]
fn events_are_tagged_in_snake_case() {
    let event = RoomEvent::TrackMuted {
        participant: participant("PA_a"),
        track: TrackSid::new("TR_v").unwrap(),
    };
    assert_eq!(
        to_value(&event).unwrap(),
        json!({"type": "track_muted", "participant": "PA_a", "track": "TR_v"})
    );
    assert_eq!(
        to_value(RoomEvent::RecordingSealed).unwrap(),
        json!({"type": "recording_sealed"})
    );
}

#[test]
fn a_later_versions_event_is_unknown_not_an_error() {
    let later = json!({"type": "hologram_opened", "depth": 3});
    assert_eq!(from_value::<RoomEvent>(later).unwrap(), RoomEvent::Unknown);
    let reason = json!({"type": "recording_stopped", "reason": "bored", "since": 4});
    assert_eq!(
        from_value::<RoomEvent>(reason).unwrap(),
        RoomEvent::RecordingStopped {
            reason: StopReason::Unknown
        }
    );
}

#[test]
fn a_hostile_event_is_an_error() {
    for hostile in [
        json!({"type": "track_muted"}),
        json!({"type": "track_muted", "participant": "../../x", "track": "TR_v"}),
        json!({"type": "gap", "from": -1, "to": 5, "reason": "restart"}),
        json!({"type": 3}),
        json!([]),
        Value::Null,
    ] {
        assert!(from_value::<RoomEvent>(hostile.clone()).is_err(), "{hostile}");
    }
}

#[test]
fn a_snapshot_reads_back() {
    let event = RoomEvent::Snapshot {
        recording: RecordingId::from_parts(1_760_000_000_000, 3),
        segment: SegmentIndex(4),
        room: RoomInfo {
            name: RoomName::new("démo").unwrap(),
            sid: None,
            metadata: "{}".into(),
        },
        paused: true,
        participants: vec![ParticipantInfo {
            sid: participant("PA_a"),
            identity: ParticipantIdentity::new("ana").unwrap(),
            name: "Ana".into(),
            kind: ParticipantKind::Standard,
            metadata: String::new(),
            attributes: [("role".to_owned(), "host".to_owned())].into(),
            permissions: Permissions {
                can_publish: true,
                ..Permissions::default()
            },
            joined_at: Some(WallTime::from_millis(1)),
            tracks: vec![TrackInfo {
                sid: TrackSid::new("TR_v").unwrap(),
                name: "cam".into(),
                kind: MediaKind::Video,
                source: TrackSource::Camera,
                mime: "video/VP8".into(),
                muted: false,
                dims: Some(Dims::new(640, 360)),
                simulcast: true,
                subscribed: true,
                encryption: Encryption::None,
            }],
        }],
    };
    let text = serde_json::to_string(&event).unwrap();
    assert_eq!(serde_json::from_str::<RoomEvent>(&text).unwrap(), event);
}

#[test]
fn data_is_base64() {
    let message = DataMessage {
        from: None,
        topic: Some("lk".into()),
        reliable: true,
        payload: vec![0, 255, 10],
    };
    let value = to_value(&message).unwrap();
    assert_eq!(value, json!({"topic": "lk", "reliable": true, "payload": "AP8K"}));
    assert_eq!(from_value::<DataMessage>(value).unwrap(), message);
    assert!(from_value::<DataMessage>(json!({"reliable": true, "payload": "§"})).is_err());
}
