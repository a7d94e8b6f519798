//! How fuzz targets read a stream of packets out of bytes.

use bytes::Bytes;
use greffier_media::{
    codec::Codec,
    depacketize::Depacketizer,
    frame::MediaUnit,
    reorder::{Ordered, Packet},
    time::Arrival,
};

/// Bytes as packets: a byte of flags, a byte of length, a payload; and so on.
pub fn packets(mut data: &[u8]) -> Vec<Ordered> {
    let (mut sequence, mut timestamp) = (1 << 16, 1 << 32);
    let mut out = Vec::new();
    while let [flags, len, rest @ ..] = data {
        if flags & 0x80 != 0 {
            let lost = u64::from(flags >> 5 & 3) + 1;
            out.push(Ordered::Lost(sequence..sequence + lost));
            sequence += lost;
        }
        timestamp += u64::from(flags >> 2 & 7) * 960;
        let (payload, rest) = rest.split_at(usize::from(*len).min(rest.len()));
        data = rest;
        out.push(Ordered::Packet(Packet {
            sequence,
            timestamp,
            arrival: Arrival::from_nanos(timestamp * 11_111),
            payload_type: if flags & 2 != 0 { 63 } else { 96 },
            marker: flags & 1 != 0,
            payload: Bytes::copy_from_slice(payload),
        }));
        sequence += 1;
    }
    out
}

/// Depacketizes, and checks what holds for any input.
pub fn depacketize(codec: Codec, data: &[u8]) {
    let mut depacketizer = if codec == Codec::Opus { Depacketizer::opus_with_red(63) } else { Depacketizer::new(codec) };
    let packets = packets(data);
    let lost: u64 = packets
        .iter()
        .map(|ordered| if let Ordered::Lost(hole) = ordered { hole.end - hole.start } else { 0 })
        .sum();
    let mut units = Vec::new();
    for ordered in packets {
        depacketizer.push(ordered);
        units.extend(std::iter::from_fn(|| depacketizer.poll()));
    }
    depacketizer.finish();
    units.extend(std::iter::from_fn(|| depacketizer.poll()));

    let frames = units.iter().filter_map(|unit| if let MediaUnit::Frame(frame) = unit { Some(frame) } else { None });
    let first = frames.clone().next();
    assert!(first.is_none_or(|frame| frame.keyframe), "a stream begins with a key frame");
    assert!(frames.clone().all(|frame| !frame.data.is_empty()));
    let reported: u64 =
        units.iter().map(|unit| if let MediaUnit::Gap(gap) = unit { gap.packets_lost } else { 0 }).sum();
    if codec == Codec::Opus {
        assert!(reported <= lost);
    } else {
        assert_eq!(reported, lost, "every lost packet is in a gap");
        assert!(frames.is_sorted_by_key(|frame| frame.media_time.ticks));
    }
}
