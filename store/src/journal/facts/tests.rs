use greffier_media::{
    codec::MediaKind,
    journal::{Encryption, TrackSource, event::Permissions},
    time::ClockRate,
};

use super::*;

fn track(sid: &str, ssrc: u32) -> TrackChannel {
    TrackChannel {
        track: TrackSid::new(sid).unwrap(),
        track_name: String::new(),
        participant: ParticipantSid::new("PA_a").unwrap(),
        identity: ParticipantIdentity::new("ana").unwrap(),
        participant_name: "Ana".into(),
        source: TrackSource::Microphone,
        kind: MediaKind::Audio,
        mime: "audio/opus".into(),
        clock_rate: ClockRate::OPUS,
        channels: 2,
        fmtp: String::new(),
        ssrc,
        payload_types: Vec::new(),
        encryption: Encryption::None,
    }
}

fn packet(sequence: u16) -> [u8; 12] {
    let [high, low] = sequence.to_be_bytes();
    [0x80, 111, high, low, 0, 0, 0, 0, 0, 0, 0, 0]
}

fn at(nanos: u64) -> Arrival {
    Arrival::from_nanos(nanos)
}

fn count(sequences: &[u16]) -> TrackFacts {
    let mut counter = Counter::default();
    let stream = counter.add_stream(track("TR_a", 1));
    for (nanos, sequence) in (10..).zip(sequences) {
        counter.packet(stream, at(nanos), &packet(*sequence));
    }
    counter.facts(SegmentIndex(0), 0, 0).tracks.remove(0)
}

#[test]
fn missing_numbers_are_lost_packets() {
    for (sequences, lost) in [
        (&[5_u16, 6, 7][..], 0),
        (&[5, 7], 1),
        (&[7, 5, 6], 0),
        (&[65_534, 65_535, 0, 1], 0),
        (&[65_534, 1], 2),
        (&[5, 5, 5], 0),
    ] {
        let facts = count(sequences);
        assert_eq!(facts.lost_packets, lost, "{sequences:?}");
        assert_eq!(facts.packets, sequences.len() as u64);
        assert_eq!(facts.bytes, 12 * facts.packets);
        assert_eq!(facts.first, at(10));
    }
}

#[test]
fn what_nobody_listened_to_is_not_lost() {
    let mut counter = Counter::default();
    let stream = counter.add_stream(track("TR_a", 1));
    counter.packet(stream, at(1), &packet(10));
    counter.packet(stream, at(2), &packet(12));
    counter.event(at(3), &RoomEvent::RecordingResumed { by: None });
    counter.packet(stream, at(4), &packet(9_000));
    assert_eq!(counter.facts(SegmentIndex(0), 0, 0).lost_packets(), 1);
}

#[test]
fn one_track_may_have_many_streams() {
    let mut counter = Counter::default();
    for ssrc in [7, 8, 7] {
        let stream = counter.add_stream(track("TR_a", ssrc));
        counter.packet(stream, at(u64::from(ssrc)), &packet(1));
    }
    counter.add_stream(track("TR_never", 9));
    let facts = counter.facts(SegmentIndex(0), 0, 0);
    assert_eq!(facts.tracks.len(), 1);
    assert_eq!(facts.tracks[0].ssrcs, [7, 8]);
    assert_eq!(facts.packets(), 3);
    assert_eq!((facts.tracks[0].first, facts.tracks[0].last), (at(7), at(8)));
}

#[test]
fn packets_too_short_for_a_header_are_counted_all_the_same() {
    let mut counter = Counter::default();
    let stream = counter.add_stream(track("TR_a", 1));
    counter.packet(stream, at(1), b"abc");
    counter.packet(stream, at(1), b"");
    let facts = counter.facts(SegmentIndex(0), 0, 0);
    assert_eq!((facts.packets(), facts.lost_packets()), (2, 0));
}

#[test]
fn people_count_and_machines_do_not() {
    let person = |identity: &str, kind, hidden| ParticipantInfo {
        sid: ParticipantSid::new("PA_a").unwrap(),
        identity: ParticipantIdentity::new(identity).unwrap(),
        name: identity.to_uppercase(),
        kind,
        metadata: "long".into(),
        attributes: BTreeMap::new(),
        permissions: Permissions {
            hidden,
            ..Permissions::default()
        },
        joined_at: None,
        tracks: Vec::new(),
    };
    let mut counter = Counter::default();
    for participant in [
        person("ana", ParticipantKind::Standard, false),
        person("ben", ParticipantKind::Sip, false),
        person("bot", ParticipantKind::Agent, false),
        person("spy", ParticipantKind::Standard, true),
        person("ana", ParticipantKind::Standard, false),
    ] {
        counter.event(at(1), &RoomEvent::ParticipantJoined { participant });
    }
    let facts = counter.facts(SegmentIndex(0), 0, 3);
    let names: Vec<_> = facts.participants.values().collect();
    assert_eq!(names, ["ANA", "BEN"]);
    assert_eq!(facts.events.len(), 2, "from the third on");
    let shown = json!({"sid": "PA_a", "identity": "spy", "name": "SPY", "kind": "standard"});
    assert_eq!(facts.events[0].data["participant"], shown);
    assert_eq!(facts.events[0].kind, "participant_joined");
}

#[test]
fn the_timeline_is_condensed() {
    let mut counter = Counter::default();
    counter.event(at(1), &RoomEvent::Reconnecting);
    counter.event(at(2), &RoomEvent::RecordingPaused { by: Some("ana".into()) });
    let facts = counter.facts(SegmentIndex(0), 0, 0);
    let paused = TimelineEvent {
        at: at(2),
        kind: "recording_paused".into(),
        data: json!({"type": "recording_paused", "by": "ana"}),
    };
    assert_eq!(facts.events, [paused]);
}

#[test]
fn who_comes_with_tracks_is_told_with_them() {
    let participant = json!({
        "sid": "PA_a", "identity": "ana", "name": "Ana", "metadata": "long",
        "tracks": [{"sid": "TR_m", "kind": "audio", "source": "microphone", "muted": true, "mime": "audio/opus"}],
    });
    let joined = serde_json::from_value(json!({"type": "participant_joined", "participant": participant})).unwrap();
    let mut counter = Counter::default();
    counter.event(at(1), &joined);
    let told = &counter.facts(SegmentIndex(0), 0, 0).events[0].data["participant"];
    assert_eq!(
        told["tracks"],
        json!([{"sid": "TR_m", "source": "microphone", "muted": true}])
    );
    assert_eq!(told.get("metadata"), None);
}

#[test]
fn who_speaks_is_told_when_it_changes() {
    let speaking = |levels: &[(&str, f32)]| RoomEvent::ActiveSpeakers {
        speakers: levels
            .iter()
            .map(|(sid, level)| Speaker {
                participant: ParticipantSid::new(sid).unwrap(),
                level: *level,
            })
            .collect(),
    };
    let mut counter = Counter::default();
    counter.event(at(1), &speaking(&[]));
    counter.event(at(2), &speaking(&[("PA_a", 0.5), ("PA_b", 0.1)]));
    counter.event(at(3), &speaking(&[("PA_b", 0.7), ("PA_a", 0.2)]));
    counter.event(at(4), &speaking(&[]));
    let told: Vec<_> = counter.facts(SegmentIndex(0), 0, 0).events;
    let told: Vec<_> = told
        .iter()
        .map(|event| (event.at, event.data["speakers"].clone()))
        .collect();
    assert_eq!(told, [(at(2), json!(["PA_a", "PA_b"])), (at(4), json!([]))]);
}

#[test]
fn what_was_written_is_on_the_timeline() {
    let mut counter = Counter::default();
    let message = ChatMessage {
        id: "1".into(),
        from: Some(ParticipantIdentity::new("ana").unwrap()),
        sent_at: None,
        text: "é".repeat(MAX_CHAT_TEXT + 1),
        edited: false,
        deleted: false,
    };
    counter.chat(at(1), &message);
    let event = &counter.facts(SegmentIndex(0), 0, 0).events[0];
    assert_eq!(
        (event.kind.as_str(), event.data["from"].as_str()),
        ("chat_message", Some("ana"))
    );
    assert_eq!(
        event.data["text"].as_str().map(|text| text.chars().count()),
        Some(MAX_CHAT_TEXT)
    );
}
