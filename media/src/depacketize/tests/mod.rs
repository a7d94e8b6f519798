//! Real streams, whole and with everything that happens to them on the way.

mod fixtures;
mod layers;
mod opus;

use std::collections::HashMap;

use bytes::Bytes;
use proptest::{collection::vec, prelude::*, sample::Index};

use self::fixtures::{Fixture, in_packets};
use super::{Depacketizer, announced_dims, begins_keyframe};
use crate::{
    codec::{Codec, Dims},
    frame::{Frame, Gap, GapReason, MediaUnit},
    reorder::{Ordered, Packet, Patience, Reorder},
    time::Arrival,
};

fn depacketize(codec: Codec, input: impl IntoIterator<Item = Ordered>) -> Vec<MediaUnit> {
    let mut depacketizer = Depacketizer::new(codec);
    let mut units = Vec::new();
    for ordered in input {
        depacketizer.push(ordered);
        units.extend(std::iter::from_fn(|| depacketizer.poll()));
    }
    depacketizer.finish();
    units.extend(std::iter::from_fn(|| depacketizer.poll()));
    units
}

fn frames(units: &[MediaUnit]) -> Vec<&Frame> {
    units
        .iter()
        .filter_map(|unit| {
            if let MediaUnit::Frame(frame) = unit {
                Some(frame)
            } else {
                None
            }
        })
        .collect()
}

fn gaps(units: &[MediaUnit]) -> Vec<&Gap> {
    units
        .iter()
        .filter_map(|unit| {
            if let MediaUnit::Gap(gap) = unit {
                Some(gap)
            } else {
                None
            }
        })
        .collect()
}

/// The packets as they are, with holes named.
fn ordered(packets: impl IntoIterator<Item = Packet>) -> Vec<Ordered> {
    let mut next = None;
    let mut out = Vec::new();
    for packet in packets {
        if let Some(next) = next.filter(|next| *next < packet.sequence) {
            out.push(Ordered::Lost(next..packet.sequence));
        }
        next = Some(packet.sequence + 1);
        out.push(Ordered::Packet(packet));
    }
    out
}

#[test]
fn whole_streams_come_out_as_they_were_encoded() {
    for Fixture {
        codec,
        packets,
        frames: encoded,
    } in fixtures::all()
    {
        let first = packets[0].sequence;
        let after_last = packets.last().unwrap().sequence + 1;
        let units = depacketize(codec, ordered(packets));
        assert_eq!(gaps(&units), [] as [&Gap; 0], "{codec}");
        let frames = frames(&units);
        assert_eq!(frames.len(), encoded.len(), "{codec}");
        for (index, (frame, encoded)) in frames.iter().zip(&encoded).enumerate() {
            assert_eq!(frame.data, encoded, "{codec} frame {index}");
            assert_eq!(frame.codec, codec);
            assert_eq!(
                frame.keyframe,
                index % 12 == 0,
                "{codec} frame {index}: a key frame every 12"
            );
            assert_eq!(
                frame.dims,
                frame.keyframe.then_some(Dims::new(320, 180)),
                "{codec} frame {index}"
            );
            assert!(!frame.is_blank());
        }
        assert_eq!(
            (frames[0].packets.start, frames.last().unwrap().packets.end),
            (first, after_last)
        );
        for pair in frames.windows(2) {
            assert_eq!(pair[0].packets.end, pair[1].packets.start, "{codec}");
            let apart = pair[1].media_time.saturating_since(pair[0].media_time).as_millis();
            assert!((66..=67).contains(&apart), "{codec}: 15 frames a second");
        }
    }
}

#[test]
fn one_lost_packet_spoils_nothing_else() {
    for Fixture {
        codec,
        packets,
        frames: encoded,
    } in fixtures::all()
    {
        let whole = depacketize(codec, ordered(packets.clone()));
        let by_time: HashMap<_, _> = frames(&whole)
            .iter()
            .map(|frame| (frame.media_time, frame.data.clone()))
            .collect();
        for lost in 1..packets.len() - 1 {
            let missing = packets[lost].sequence;
            let rest = packets.iter().filter(|packet| packet.sequence != missing).cloned();
            let units = depacketize(codec, ordered(rest));
            let frames = frames(&units);
            assert!(
                frames.iter().all(|frame| by_time[&frame.media_time] == frame.data),
                "{codec}, without {lost}"
            );
            assert!(
                frames.iter().all(|frame| !frame.packets.contains(&missing)),
                "{codec}, without {lost}"
            );

            let gaps = gaps(&units);
            let [gap] = gaps[..] else {
                panic!("{codec}, without {lost}: {gaps:?}")
            };
            assert_eq!(
                (gap.reason, gap.packets_lost),
                (GapReason::Loss, 1),
                "{codec}, without {lost}"
            );
            let dropped = encoded.len() - frames.len();
            assert_eq!(
                gap.frames_dropped as usize + usize::from(lost_whole_frame(&whole, missing)),
                dropped
            );
            let next = gap
                .before
                .and_then(|before| frames.iter().find(|frame| frame.media_time == before));
            assert!(
                next.is_none_or(|next| next.keyframe),
                "{codec}, without {lost}: no layers, so only a key frame helps"
            );
        }
    }
}

/// Whether the packet was a frame of its own: nothing of the frame came, so it could not be dropped.
fn lost_whole_frame(whole: &[MediaUnit], packet: u64) -> bool {
    frames(whole).iter().any(|frame| frame.packets == (packet..packet + 1))
}

#[test]
fn a_stream_begins_with_a_key_frame() {
    for Fixture {
        codec,
        packets,
        frames: encoded,
    } in fixtures::all()
    {
        let whole = depacketize(codec, ordered(packets.clone()));
        let joined_at = frames(&whole)[3].packets.start;
        let units = depacketize(
            codec,
            ordered(packets.into_iter().filter(|packet| packet.sequence >= joined_at)),
        );
        let MediaUnit::Gap(gap) = &units[0] else {
            panic!("{codec}: {:?}", units[0])
        };
        assert_eq!((gap.reason, gap.after), (GapReason::AwaitingKeyframe, None), "{codec}");
        assert_eq!((gap.packets_lost, gap.frames_dropped), (0, 12 - 3), "{codec}");
        let frames = frames(&units);
        assert_eq!(gap.before, Some(frames[0].media_time));
        assert!(frames[0].keyframe && frames.len() == encoded.len() - 12, "{codec}");
    }
}

#[test]
fn key_frames_are_known_by_their_first_packet() {
    for Fixture { codec, packets, .. } in fixtures::all() {
        let units = depacketize(codec, ordered(packets.clone()));
        let first_of_key = |packet: &Packet| {
            let mut frames = frames(&units).into_iter();
            frames.any(|frame| frame.keyframe && frame.packets.start == packet.sequence)
        };
        let of_key = |packet: &Packet| {
            frames(&units)
                .iter()
                .any(|f| f.keyframe && f.packets.contains(&packet.sequence))
        };
        for packet in &packets {
            let found = begins_keyframe(codec, &packet.payload);
            if first_of_key(packet) {
                assert!(found, "{codec} {}", packet.sequence);
            }
            assert!(!found || of_key(packet), "{codec} {}", packet.sequence);
        }
    }
}

#[test]
fn a_key_frame_announces_its_size() {
    for Fixture { codec, packets, .. } in fixtures::all() {
        let units = depacketize(codec, ordered(packets.clone()));
        let announced: Vec<_> = packets
            .iter()
            .filter_map(|packet| announced_dims(codec, &packet.payload))
            .collect();
        let largest = announced.iter().copied().max_by_key(|dims| dims.width);
        let expected = frames(&units)
            .iter()
            .filter_map(|frame| frame.dims)
            .max_by_key(|dims| dims.width);
        assert_eq!(largest, expected, "{codec}");
    }
}

#[test]
fn padding_alone_is_passed_over() {
    for Fixture {
        codec,
        packets,
        frames: encoded,
    } in fixtures::all()
    {
        let mut sequence = 0;
        let mut padded = Vec::new();
        for packet in packets {
            let empty = Packet {
                payload: Bytes::new(),
                marker: false,
                ..packet.clone()
            };
            for mut packet in [packet, empty] {
                packet.sequence = sequence;
                sequence += 1;
                padded.push(Ordered::Packet(packet));
            }
        }
        let units = depacketize(codec, padded);
        assert!(
            frames(&units).iter().map(|frame| &frame.data).eq(&encoded) && gaps(&units).is_empty(),
            "{codec}"
        );
    }
}

#[test]
fn without_markers_a_frame_ends_where_the_next_begins() {
    for Fixture {
        codec,
        packets,
        frames: encoded,
    } in fixtures::all()
    {
        let unmarked = packets.into_iter().map(|packet| {
            Ordered::Packet(Packet {
                marker: false,
                ..packet
            })
        });
        let units = depacketize(codec, unmarked);
        assert!(
            frames(&units)
                .iter()
                .map(|frame| &frame.data)
                .eq(&encoded[..encoded.len() - 1]),
            "{codec}"
        );
        let [gap] = gaps(&units)[..] else {
            panic!("nobody can say that the last frame was whole")
        };
        assert_eq!(
            (gap.reason, gap.frames_dropped, gap.before),
            (GapReason::Unfinished, 1, None)
        );
    }
}

#[test]
fn a_malformed_packet_costs_its_frame_and_says_so() {
    for (codec, nonsense) in [
        (Codec::Vp8, &[0x90][..]),
        (Codec::Vp9, &[0xFF]),
        (Codec::H264, &[0x1F, 0]),
        (Codec::Av1, &[0x20, 0xFF, 0]),
        (Codec::Opus, &[0x03]),
    ] {
        let packets = in_packets(0, 0, vec![Bytes::from_static(nonsense)]);
        let units = depacketize(codec, ordered(packets));
        let [MediaUnit::Gap(gap)] = &units[..] else {
            panic!("{codec}: {units:?}")
        };
        assert_eq!((gap.reason, gap.frames_dropped), (GapReason::Malformed, 1), "{codec}");
    }
}

/// What the server sends on a muted track.
#[test]
fn blank_frames_are_told_apart() {
    let vp8 = [
        0x10, 0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A, 0x08, 0x00, 0x08, 0x00, 0x00, 0x47, 0x08, 0x85, 0x85, 0x88, 0x85,
        0x84, 0x88, 0x02, 0x02, 0x00, 0x0C, 0x0D, 0x60, 0x00, 0xFE, 0xFF, 0xAB, 0x50, 0x80,
    ];
    let units = depacketize(
        Codec::Vp8,
        ordered(in_packets(0, 0, vec![Bytes::copy_from_slice(&vp8)])),
    );
    let [MediaUnit::Frame(frame)] = &units[..] else {
        panic!("{units:?}")
    };
    assert!(frame.keyframe && frame.is_blank());
    assert_eq!(frame.dims, Some(Dims::new(8, 8)));
}

#[test]
fn parameter_sets_sent_once_are_kept_for_later_key_frames() {
    let Fixture { packets, .. } = fixtures::h264();
    let whole = depacketize(Codec::H264, ordered(packets));
    let mut sequence = 0;
    let mut stripped = Vec::new();
    for (index, frame) in frames(&whole).into_iter().enumerate() {
        let units: Vec<_> = fixtures::nal_units(&frame.data)
            .into_iter()
            .filter(|unit| index == 0 || !matches!(unit[0] & 0x1F, 7 | 8))
            .map(Bytes::copy_from_slice)
            .collect();
        let packets = in_packets(sequence, frame.media_time.ticks, units);
        sequence += packets.len();
        stripped.extend(packets);
    }
    let units = depacketize(Codec::H264, ordered(stripped));
    assert!(gaps(&units).is_empty());
    let types = |frame: &Frame| {
        fixtures::nal_units(&frame.data)
            .iter()
            .map(|unit| unit[0] & 0x1F)
            .collect::<Vec<_>>()
    };
    let second_key = frames(&units)[12];
    assert!(second_key.keyframe);
    assert_eq!(types(second_key)[..2], [7, 8]);
    assert_eq!(types(frames(&units)[13])[0], 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the network does, a frame that comes out is one that was sent, in order, and the first is a key frame.
    #[test]
    fn nothing_but_what_was_sent(
        which in 0_usize..4,
        losses in vec(any::<Index>(), 0..8),
        copies in vec(any::<Index>(), 0..8),
        swaps in vec(any::<Index>(), 0..20),
    ) {
        let Fixture { codec, packets, frames: encoded } = fixtures::all().into_iter().nth(which).unwrap();
        let count = packets.len();
        let last = packets[count - 1].sequence;
        let mut travelling = packets;
        for copy in copies {
            let copy = travelling[copy.index(count)].clone();
            travelling.push(copy);
        }
        for swap in swaps {
            let at = swap.index(count - 5);
            travelling.swap(at, at + 5);
        }
        for loss in losses {
            travelling.remove(loss.index(travelling.len()));
        }
        // Nothing comes after the last packet that would tell of its loss.
        let ends = travelling.iter().any(|packet| packet.sequence == last);
        let mut reorder = Reorder::new(Patience::OFFLINE);
        let mut input = Vec::new();
        for (at, packet) in travelling.into_iter().enumerate() {
            let arrival = Arrival::from_millis(at as u64);
            reorder.push(Packet { arrival, ..packet });
            input.extend(std::iter::from_fn(|| reorder.poll(arrival)));
        }
        input.extend(std::iter::from_fn(|| reorder.drain()));
        let units = depacketize(codec, input);
        let frames = frames(&units);
        prop_assert!(frames.iter().all(|frame| encoded.contains(&frame.data)));
        prop_assert!(frames.is_sorted_by(|a, b| a.media_time.ticks < b.media_time.ticks));
        prop_assert!(frames.first().is_none_or(|frame| frame.keyframe));
        let lost: u64 = gaps(&units).iter().map(|gap| gap.packets_lost).sum();
        prop_assert_eq!(lost, reorder.stats().lost);
        if ends && frames.len() < encoded.len() && !frames.is_empty() {
            prop_assert!(!gaps(&units).is_empty() || frames[0].packets.start > 65_530);
        }
    }

    #[test]
    fn any_payloads_at_all(
        payloads in vec((vec(any::<u8>(), 0..40), any::<bool>(), 0_u64..3, 0_u64..3), 0..40),
    ) {
        for codec in [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1, Codec::Opus] {
            let (mut sequence, mut timestamp) = (0, 0);
            let packets: Vec<_> = payloads.iter().map(|(payload, marker, skip, step)| {
                sequence += 1 + skip / 2;
                timestamp += step * 960;
                let payload = Bytes::copy_from_slice(payload);
                Packet { sequence, timestamp, marker: *marker, payload, arrival: Arrival::ZERO, payload_type: 96 }
            }).collect();
            depacketize(codec, ordered(packets));
        }
    }
}
