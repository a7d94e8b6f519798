use std::time::Duration;

use super::*;

#[test]
fn distributions_survive_the_way_and_merge_whole() {
    let (mut one, mut two, mut all) = (Times::default(), Times::default(), Times::default());
    for n in 1..=1000u64 {
        let time = Duration::from_micros(n * n);
        if n % 3 == 0 {
            one.record(time);
        } else {
            two.record(time);
        }
        all.record(time);
    }
    let text = serde_json::to_string(&one).expect("json");
    let mut one: Times = serde_json::from_str(&text).expect("reads back");
    one.merge(&two);
    assert_eq!(one.summary(), all.summary());
    assert!((all.quantile_ms(0.5).expect("some") - 250.0).abs() < 5.0);
    assert_eq!(Times::default().quantile_ms(0.5), None);
}

#[test]
fn processes_add_up() {
    let part = |room: u32, received: u64| {
        let mut measured = Measured::default();
        let audio = Packets {
            expected: received + 1,
            received,
            lost: 1,
            ..Packets::default()
        };
        measured.rooms.insert(
            room,
            Received {
                tracks: 1,
                audio,
                ..Received::default()
            },
        );
        measured.events.insert("joins".into(), 1);
        measured
    };
    let mut sum = part(0, 10);
    sum.merge(&part(0, 20));
    sum.merge(&part(1, 30));
    let all = sum.received();
    assert_eq!(
        (sum.rooms.len(), all.tracks, all.audio.received, all.audio.lost),
        (2, 3, 60, 3)
    );
    assert_eq!(sum.event("joins"), 3);
}
