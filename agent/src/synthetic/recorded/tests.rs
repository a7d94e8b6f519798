use greffier_media::ids::{ParticipantIdentity, ParticipantSid, TrackSid};
use greffier_media::time::ClockRate;

use super::*;

fn stream(packets: &[(u64, u64, u32)]) -> Stream {
    let channel = TrackChannel {
        track: TrackSid::new("TR_a").expect("a sid"),
        track_name: String::new(),
        participant: ParticipantSid::new("PA_a").expect("a sid"),
        identity: ParticipantIdentity::new("ana").expect("an identity"),
        participant_name: String::new(),
        source: TrackSource::Microphone,
        kind: MediaKind::Audio,
        mime: "audio/opus".into(),
        clock_rate: ClockRate::OPUS,
        channels: 2,
        fmtp: String::new(),
        ssrc: 1,
        payload_types: Vec::new(),
        encryption: greffier_media::journal::Encryption::None,
    };
    let packet = |&(sequence, ms, timestamp): &(u64, u64, u32)| {
        let at = Duration::from_millis(ms);
        let payload = Bytes::from_static(&[0xF8, 0xFF, 0xFE]);
        (
            sequence,
            RecordedPacket {
                at,
                timestamp,
                marker: false,
                payload,
            },
        )
    };
    Stream {
        channel,
        numbering: Numbering::default(),
        packets: packets.iter().map(packet).collect(),
    }
}

#[test]
fn a_repaired_packet_is_sent_where_it_belongs() {
    let track = stream(&[(1, 0, 0), (3, 40, 1920), (4, 60, 2880), (2, 150, 960)])
        .finish(Vec::new())
        .expect("a track");
    let at: Vec<u128> = track.packets.iter().map(|packet| packet.at.as_millis()).collect();
    assert_eq!(at, [0, 40, 40, 60]);
    assert!(track.packets.is_sorted_by_key(|packet| packet.timestamp));
}

#[test]
fn who_said_nothing_is_not_there() {
    assert!(stream(&[]).finish(Vec::new()).is_none());
    let empty = tempfile::tempdir().expect("a folder");
    let error = RecordedMeeting::read(empty.path()).expect_err("nothing").to_string();
    assert!(error.contains("no journal"), "{error}");
}

#[test]
fn who_leaves_and_comes_back_was_there_twice() {
    let s = Duration::from_secs;
    let stay = |from, to: Option<u64>| Stay {
        from: s(from),
        to: to.map(s),
    };
    let mut person = Person {
        identity: "ana".into(),
        stays: vec![stay(1, Some(5)), stay(9, None)],
        tracks: Vec::new(),
    };
    person.cover(s(2), s(4));
    person.cover(s(10), s(20));
    assert_eq!(person.stays, [stay(1, Some(5)), stay(9, None)]);
    // A track from before they were told of, and one that lasts longer than the stay.
    person.cover(s(0), s(1));
    person.cover(s(3), s(6));
    assert_eq!(person.stays, [stay(0, Some(6)), stay(9, None)]);
    person.cover(s(7), s(8));
    assert_eq!(person.stays, [stay(0, Some(6)), stay(7, None)]);
}

#[test]
fn a_recorded_voice_is_counted_as_a_listener_counts_it() {
    let mut track = stream(&[
        (1, 0, 0),
        (2, 20, 960),
        (3, 40, 1920),
        (4, 1000, 48_000),
        (5, 1020, 48_960),
    ])
    .finish(Vec::new())
    .expect("a track");
    let all = Duration::ZERO..Duration::from_mins(1);
    assert_eq!(track.counts(&all), (15, 0, 0), "silence");
    for packet in &mut track.packets {
        packet.payload = Bytes::from(vec![0; 80]);
    }
    assert_eq!(track.counts(&all), (400, 5, 2));
}
