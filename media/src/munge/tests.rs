//! Sources that come and go, and the one stream that comes of them.

use proptest::{collection::vec, prelude::*};

use super::*;

const ORIGIN: Origin = Origin {
    sequence: 65_530,
    timestamp: u32::MAX - 100,
    picture_id: 0x7FFE,
};

fn packet(timestamp: u64, arrival_ms: u64, payload: Vec<u8>) -> Packet {
    let (arrival, payload) = (Arrival::from_millis(arrival_ms), Bytes::from(payload));
    Packet {
        sequence: 0,
        timestamp,
        arrival,
        payload_type: 96,
        marker: true,
        payload,
    }
}

/// A VP8 frame of one packet: 15-bit picture id, TL0PICIDX, layer and key index.
fn vp8(timestamp: u64, arrival_ms: u64, id: u16, tl0: u8, key: bool) -> Packet {
    let [high, low] = id.to_be_bytes();
    let mut payload = vec![0x90, 0xF0, high | 0x80, low, tl0, 0x03];
    payload.extend(if key {
        vec![0x10, 0, 0, 0x9D, 0x01, 0x2A, 64, 1, 180, 0]
    } else {
        vec![0x11, 0, 0, 9]
    });
    packet(timestamp, arrival_ms, payload)
}

fn sent(munged: Munged) -> Outgoing {
    match munged {
        Munged::Send(outgoing) => outgoing,
        Munged::Dropped(reason) => panic!("dropped: {reason:?}"),
    }
}

fn dropped(munged: Munged) -> DropReason {
    match munged {
        Munged::Dropped(reason) => reason,
        Munged::Send(outgoing) => panic!("sent: {outgoing:?}"),
    }
}

const A: SourceId = SourceId(1);
const B: SourceId = SourceId(2);

fn push(munger: &mut Munger, source: SourceId, packet: Packet) -> Munged {
    munger.push(source, Ordered::Packet(packet))
}

/// Picture id and TL0PICIDX of a VP8 packet.
fn numbers(outgoing: &Outgoing) -> (u16, u8) {
    let payload = &outgoing.payload;
    (u16::from_be_bytes([payload[2] & 0x7F, payload[3]]), payload[4])
}

#[test]
fn a_source_begins_with_a_key_frame() {
    let mut munger = Munger::new(Codec::Vp8, ORIGIN);
    assert_eq!(
        dropped(push(&mut munger, A, vp8(0, 0, 5, 5, true))),
        DropReason::OtherSource
    );
    munger.choose(A);
    assert_eq!(munger.keyframe_wanted(), Some(A));
    assert_eq!(
        dropped(push(&mut munger, A, vp8(3000, 33, 6, 6, false))),
        DropReason::AwaitingKeyframe
    );
    let first = sent(push(&mut munger, A, vp8(6000, 66, 7, 7, true)));
    assert_eq!(
        (first.sequence, first.timestamp, first.marker),
        (65_530, u32::MAX - 100, true)
    );
    assert_eq!(munger.keyframe_wanted(), None);
    let second = sent(push(&mut munger, A, vp8(9000, 99, 8, 8, false)));
    assert_eq!(
        (second.sequence, second.timestamp),
        (65_531, 2899),
        "the timestamp wraps"
    );
    assert_eq!(numbers(&second).0, numbers(&first).0.wrapping_add(1) & 0x7FFF);
}

#[test]
fn a_switch_waits_for_a_key_frame_and_shows_no_gap() {
    let mut munger = Munger::new(Codec::Vp8, ORIGIN);
    munger.choose(A);
    let first = sent(push(&mut munger, A, vp8(0, 0, 100, 50, true)));
    munger.choose(B);
    assert_eq!(munger.keyframe_wanted(), Some(B));
    let old = sent(push(&mut munger, A, vp8(3000, 33, 101, 51, false)));
    assert_eq!(
        dropped(push(&mut munger, B, vp8(777_000, 40, 9, 9, false))),
        DropReason::AwaitingKeyframe
    );
    let new = sent(push(&mut munger, B, vp8(780_000, 133, 10, 10, true)));
    assert_eq!(
        dropped(push(&mut munger, A, vp8(6000, 140, 102, 52, false))),
        DropReason::OtherSource
    );
    let next = sent(push(&mut munger, B, vp8(783_000, 166, 11, 11, false)));
    let all = [first, old, new, next];
    let sequences: Vec<_> = all.iter().map(|sent| sent.sequence).collect();
    assert_eq!(sequences, [65_530, 65_531, 65_532, 65_533]);
    let times: Vec<_> = all
        .iter()
        .map(|sent| sent.timestamp.wrapping_sub(ORIGIN.timestamp))
        .collect();
    assert_eq!(
        times,
        [0, 3000, 3000 + 9000, 3000 + 9000 + 3000],
        "100 ms passed between the sources"
    );
    let ids: Vec<_> = all.iter().map(numbers).collect();
    assert_eq!(ids, [(0x7FFF, 1), (0, 2), (1, 3), (2, 4)]);
}

#[test]
fn after_a_loss_a_key_frame_is_needed() {
    let mut munger = Munger::new(Codec::Vp8, ORIGIN);
    munger.choose(A);
    sent(push(&mut munger, A, vp8(0, 0, 1, 1, true)));
    assert_eq!(dropped(munger.push(A, Ordered::Lost(7..9))), DropReason::Lost);
    assert_eq!(munger.keyframe_wanted(), Some(A));
    assert_eq!(
        dropped(push(&mut munger, A, vp8(9000, 99, 4, 4, false))),
        DropReason::AwaitingKeyframe
    );
    let next = sent(push(&mut munger, A, vp8(12_000, 133, 5, 5, true)));
    assert_eq!((next.sequence, numbers(&next)), (65_531, (0, 2)));
    assert_eq!(munger.keyframe_wanted(), None);
}

#[test]
fn audio_joins_at_once_and_goes_on_over_losses() {
    let mut munger = Munger::new(Codec::Opus, ORIGIN);
    munger.choose(A);
    assert_eq!(munger.keyframe_wanted(), None);
    sent(push(&mut munger, A, packet(0, 0, vec![0xF8, 1])));
    munger.push(A, Ordered::Lost(1..2));
    let after_loss = sent(push(&mut munger, A, packet(1920, 40, vec![0xF8, 3])));
    assert_eq!((after_loss.sequence, after_loss.timestamp), (65_531, 1819));
    munger.choose(B);
    let switched = sent(push(&mut munger, B, packet(5, 60, vec![0xF8, 4])));
    assert_eq!((switched.sequence, switched.timestamp), (65_532, 1819 + 960));
}

#[test]
fn sources_without_picture_ids_get_them() {
    let mut munger = Munger::new(Codec::Vp8, ORIGIN);
    munger.choose(A);
    let key = [&[0x10][..], &[0x10, 0, 0, 0x9D, 0x01, 0x2A, 64, 1, 180, 0]].concat();
    let first = sent(push(&mut munger, A, packet(0, 0, key.clone())));
    assert_eq!(first.payload[..4], [0x90, 0x80, 0xFF, 0xFF]);
    assert_eq!(first.payload[4..], key[1..]);
    let rest_of_it = sent(push(&mut munger, A, packet(0, 0, vec![0x00, 1, 2])));
    assert_eq!(
        rest_of_it.payload[..],
        [0x80, 0x80, 0xFF, 0xFF, 1, 2],
        "the same picture"
    );
    let second = sent(push(&mut munger, A, packet(3000, 33, vec![0x10, 0x11, 0, 0])));
    assert_eq!(second.payload[..4], [0x90, 0x80, 0x80, 0x00]);
}

#[test]
fn short_picture_ids_count_on_in_long_ones() {
    let mut munger = Munger::new(Codec::Vp9, ORIGIN);
    munger.choose(A);
    // Non-flexible, with layers: flags, id, layer, TL0PICIDX.
    let vp9 = |time, id, tl0, key: bool| {
        let flags = 0b1010_1100 | u8::from(!key) << 6;
        packet(time, time / 90, vec![flags, id, 0, tl0, 0x82, 0x49])
    };
    let ids: Vec<_> = [(0, 127, 255, true), (3000, 0, 0, false), (6000, 3, 1, false)]
        .into_iter()
        .map(|(time, id, tl0, key)| sent(push(&mut munger, A, vp9(time, id, tl0, key))).payload)
        .map(|payload| (payload[1], payload[2], payload[4], payload.len()))
        .collect();
    assert_eq!(ids, [(0xFF, 0xFF, 1, 7), (0x80, 0, 2, 7), (0x80, 3, 3, 7)]);
}

#[test]
fn padding_and_nonsense_use_up_no_number() {
    let mut munger = Munger::new(Codec::Vp8, ORIGIN);
    munger.choose(A);
    sent(push(&mut munger, A, vp8(0, 0, 1, 1, true)));
    assert_eq!(dropped(push(&mut munger, A, packet(0, 0, vec![]))), DropReason::Padding);
    assert_eq!(
        dropped(push(&mut munger, A, packet(0, 0, vec![0x90]))),
        DropReason::Malformed
    );
    assert_eq!(munger.keyframe_wanted(), Some(A), "what is nonsense is as good as lost");
    assert_eq!(sent(push(&mut munger, A, vp8(3000, 33, 2, 2, true))).sequence, 65_531);
}

#[derive(Debug, Clone)]
enum Step {
    Choose(u32),
    Lose(u32),
    Packet {
        source: u32,
        key: bool,
        wait_ms: u64,
        ticks: u64,
        id: u16,
        form: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0_u32..4).prop_map(Step::Choose),
        1 => (0_u32..4).prop_map(Step::Lose),
        8 => (0_u32..4, any::<bool>(), 0_u64..500, 0_u64..100_000, any::<u16>(), 0_u8..5).prop_map(
            |(source, key, wait_ms, ticks, id, form)| Step::Packet { source, key, wait_ms, ticks, id, form }
        ),
    ]
}

fn payload(codec: Codec, key: bool, id: u16, form: u8) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    match (codec, form) {
        (_, 4) => vec![high, low],
        (Codec::Vp8, 0) => vp8(0, 0, id, low, key).payload.to_vec(),
        (Codec::Vp8, _) if key => vec![0x90, 0x80, low & 0x7F, 0x10, 0, 0, 0x9D, 0x01, 0x2A, 64, 1, 180, 0],
        (Codec::Vp8, _) => vec![0x10, 0x11, 0, 0],
        (Codec::Vp9, 0) => vec![0b1000_1100 | u8::from(!key) << 6, high | 0x80, low, 0x82],
        (Codec::Vp9, _) => vec![0b1010_1100 | u8::from(!key) << 6, low & 0x7F, 0, low, 0x82],
        (Codec::H264, _) if key => vec![0x67, 1, 2],
        (Codec::H264, _) => vec![0x61, 0x9A],
        (Codec::Av1, _) => vec![0x10 | u8::from(key) << 3, 0x30, 0],
        (Codec::Opus, _) => vec![0xF8, low],
    }
}

proptest! {
    #[test]
    fn it_is_one_stream_whatever_the_sources_do(
        which in 0_usize..5,
        steps in vec(step(), 0..300),
    ) {
        let codec = [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1, Codec::Opus][which];
        let mut munger = Munger::new(codec, ORIGIN);
        let mut clocks = [0_u64, 1 << 31, 1 << 40, 90_000];
        let mut now = 0;
        let mut last: Option<(Outgoing, SourceId)> = None;
        let mut broken = false;
        for step in steps {
            match step {
                Step::Choose(source) => munger.choose(SourceId(source)),
                Step::Lose(source) => {
                    munger.push(SourceId(source), Ordered::Lost(0..1));
                    broken |= last.as_ref().is_some_and(|(_, last)| *last == SourceId(source));
                }
                Step::Packet { source, key, wait_ms, ticks, id, form } => {
                    now += wait_ms;
                    let clock = &mut clocks[source as usize];
                    *clock += ticks;
                    let source = SourceId(source);
                    let packet = packet(*clock, now, payload(codec, key, id, form));
                    let begins = begins_keyframe(codec, &packet.payload);
                    let sent = match push(&mut munger, source, packet) {
                        Munged::Send(sent) => sent,
                        Munged::Dropped(reason) => {
                            broken |= reason == DropReason::Malformed;
                            continue;
                        }
                    };
                    match &last {
                        None => prop_assert!(begins),
                        Some((before, from)) => {
                            prop_assert_eq!(sent.sequence, before.sequence.wrapping_add(1));
                            prop_assert!(sent.timestamp.wrapping_sub(before.timestamp).cast_signed() >= 0);
                            prop_assert!(*from == source && !broken || begins, "joined without a key frame");
                        }
                    }
                    broken = false;
                    last = Some((sent, source));
                }
            }
        }
    }
}
