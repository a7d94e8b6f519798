//! Silence, loss, and what RED brings back.

use super::*;

/// 20 ms of Opus, of which the second byte is all that matters here.
fn packet(number: u8) -> Bytes {
    Bytes::copy_from_slice(&[0b1111_1000, number])
}

fn at(sequence: u64, timestamp: u64, payload: Bytes) -> Packet {
    Packet {
        sequence,
        timestamp,
        arrival: Arrival::from_nanos(sequence),
        payload_type: 63,
        marker: false,
        payload,
    }
}

fn numbers(units: &[MediaUnit]) -> Vec<u8> {
    frames(units).iter().map(|frame| frame.data[1]).collect()
}

#[test]
fn each_packet_is_a_frame_with_its_duration() {
    let packets = (0..3).map(|n| at(n, n * 960, packet(n as u8)));
    let units = depacketize(Codec::Opus, ordered(packets));
    assert_eq!(numbers(&units), [0, 1, 2]);
    assert!(gaps(&units).is_empty());
    assert!(
        frames(&units)
            .iter()
            .all(|frame| frame.keyframe && frame.duration.unwrap().as_millis() == 20)
    );
}

#[test]
fn a_jump_without_a_hole_is_silence() {
    let packets = [at(0, 0, packet(0)), at(1, 960 + 48_000, packet(1))];
    let units = depacketize(Codec::Opus, ordered(packets));
    let [gap] = gaps(&units)[..] else { panic!("{units:?}") };
    assert_eq!((gap.reason, gap.packets_lost), (GapReason::Silence, 0));
    assert_eq!(gap.duration().unwrap().as_millis(), 1020, "from start to start");
}

#[test]
fn a_hole_is_loss() {
    let packets = [at(0, 0, packet(0)), at(3, 3 * 960, packet(3))];
    let units = depacketize(Codec::Opus, ordered(packets));
    let [gap] = gaps(&units)[..] else { panic!("{units:?}") };
    assert_eq!((gap.reason, gap.packets_lost), (GapReason::Loss, 2));
}

/// A real encoder's discontinuous transmission, through a real payloader.
#[test]
fn a_real_stream_falls_silent() {
    let packets = fixtures::opus();
    let count = packets.len();
    let units = depacketize(Codec::Opus, ordered(packets));
    assert_eq!(frames(&units).len(), count);
    let gaps = gaps(&units);
    assert!(
        !gaps.is_empty() && gaps.iter().all(|gap| gap.reason == GapReason::Silence),
        "{gaps:?}"
    );
    let last = frames(&units)[count - 1];
    assert!(
        (1400..=1500).contains(
            &last
                .media_time
                .saturating_since(frames(&units)[0].media_time)
                .as_millis()
        )
    );
}

/// A RED payload: copies of earlier packets, with how many frames earlier each is.
fn red(copies: &[(u8, u32)], primary: u8) -> Bytes {
    const MORE: u32 = 1 << 31;
    const OPUS: u32 = 0x6F;
    let mut payload = Vec::new();
    for (number, back) in copies {
        let (offset, len) = (back * 960, packet(*number).len() as u32);
        payload.extend((MORE | (OPUS << 24) | (offset << 10) | len).to_be_bytes());
    }
    payload.push(OPUS as u8);
    for (number, _) in copies {
        payload.extend(packet(*number));
    }
    payload.extend(packet(primary));
    payload.into()
}

fn with_red(input: Vec<Ordered>) -> Vec<MediaUnit> {
    let mut depacketizer = Depacketizer::opus_with_red(63);
    let mut units = Vec::new();
    for ordered in input {
        depacketizer.push(ordered);
        units.extend(std::iter::from_fn(|| depacketizer.poll()));
    }
    depacketizer.finish();
    units.extend(std::iter::from_fn(|| depacketizer.poll()));
    units
}

#[test]
fn red_is_unwrapped() {
    let packets = (2..6).map(|n| at(n, n * 960, red(&[(n as u8 - 2, 2), (n as u8 - 1, 1)], n as u8)));
    let units = with_red(ordered(packets));
    assert_eq!(numbers(&units), [2, 3, 4, 5], "copies of what is there are left");
    assert!(gaps(&units).is_empty());
}

#[test]
fn red_brings_back_what_was_lost() {
    let packet = |n: u64| at(n, n * 960, red(&[(n as u8 - 2, 2), (n as u8 - 1, 1)], n as u8));
    let units = with_red(ordered([2, 3, 6, 7].map(packet)));
    assert_eq!(numbers(&units), [2, 3, 4, 5, 6, 7]);
    assert!(gaps(&units).is_empty());
    let times: Vec<_> = frames(&units)
        .iter()
        .map(|frame| frame.media_time.ticks / 960)
        .collect();
    assert_eq!(times, [2, 3, 4, 5, 6, 7]);
    let sequences: Vec<_> = frames(&units).iter().map(|frame| frame.packets.start).collect();
    assert_eq!(sequences, [2, 3, 4, 5, 6, 7]);
}

#[test]
fn what_red_cannot_bring_back_is_a_gap() {
    let packet = |n: u64| at(n, n * 960, red(&[(n as u8 - 2, 2), (n as u8 - 1, 1)], n as u8));
    let units = with_red(ordered([2, 3, 8].map(packet)));
    assert_eq!(numbers(&units), [2, 3, 6, 7, 8]);
    let [gap] = gaps(&units)[..] else { panic!("{units:?}") };
    assert_eq!((gap.reason, gap.packets_lost), (GapReason::Loss, 2));
    assert_eq!(
        (gap.after.unwrap().ticks, gap.before.unwrap().ticks),
        (3 * 960, 6 * 960)
    );
}

#[test]
fn plain_opus_may_come_between() {
    let plain = Packet {
        payload_type: 111,
        ..at(3, 3 * 960, packet(3))
    };
    let units = with_red(ordered([
        at(2, 2 * 960, red(&[], 2)),
        plain,
        at(4, 4 * 960, red(&[(3, 1)], 4)),
    ]));
    assert_eq!(numbers(&units), [2, 3, 4]);
}
