//! Temporal and spatial layers.

use super::*;

/// A VP8 frame in one packet: descriptor with picture id, TL0PICIDX and layer, then a frame.
fn vp8(n: u64, tl0: u8, layer: u8, sync: bool, key: bool) -> Packet {
    let descriptor = [0x90, 0xE0, 0x80, n as u8, tl0, layer << 6 | u8::from(sync) << 5];
    let frame: &[u8] = if key {
        &[0x10, 0, 0, 0x9D, 0x01, 0x2A, 64, 1, 180, 0]
    } else {
        &[0x11, 0, 0, n as u8]
    };
    let payload = [&descriptor[..], frame].concat().into();
    Packet {
        sequence: n,
        timestamp: n * 3000,
        arrival: Arrival::ZERO,
        payload_type: 96,
        marker: true,
        payload,
    }
}

/// Three temporal layers as browsers send them: 0 2 1 2, with a new base picture every four.
fn three_layers(count: u64) -> Vec<Packet> {
    let layer = |n: u64| [0, 2, 1, 2][n as usize % 4];
    let sync = |n: u64| matches!(n % 4, 1 | 2);
    (0..count)
        .map(|n| vp8(n, (n / 4) as u8, layer(n), sync(n), n == 0))
        .collect()
}

fn sequences(units: &[MediaUnit]) -> Vec<u64> {
    frames(units).iter().map(|frame| frame.packets.start).collect()
}

#[test]
fn a_lost_upper_layer_costs_that_picture_only() {
    let without = |lost: &[u64]| {
        let packets = three_layers(16)
            .into_iter()
            .filter(|packet| !lost.contains(&packet.sequence));
        depacketize(Codec::Vp8, ordered(packets))
    };
    // Number 11 may refer to it; from 13 on, which is in sync above a layer that is, nothing can.
    assert_eq!(
        sequences(&without(&[7])),
        [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 13, 14, 15]
    );
    // Number 7 refers to number 6, and is left out with it.
    let units = without(&[6]);
    assert_eq!(sequences(&units), [0, 1, 2, 3, 4, 5, 8, 9, 10, 12, 13, 14, 15]);
    let gaps: Vec<_> = gaps(&units)
        .iter()
        .map(|gap| (gap.packets_lost, gap.frames_dropped))
        .collect();
    assert_eq!(gaps, [(1, 1), (0, 1)]);
}

#[test]
fn a_lost_base_layer_costs_all_until_the_next_key_frame() {
    let mut packets = three_layers(12);
    packets.remove(4);
    packets.push(vp8(12, 3, 0, false, true));
    let units = depacketize(Codec::Vp8, ordered(packets));
    assert_eq!(sequences(&units), [0, 1, 2, 3, 12]);
}

/// A picture's layer frames, each in packets of its own, as browsers and the server send them.
fn svc_packets(sequence: usize, picture: usize, layers: &[Bytes]) -> Vec<Packet> {
    let key = picture.is_multiple_of(6);
    let mut payloads = Vec::new();
    for (spatial, frame) in layers.iter().enumerate() {
        let pieces: Vec<_> = frame.chunks(400).collect();
        let inter_layer = key && spatial > 0;
        for (index, piece) in pieces.iter().enumerate() {
            let (begin, end) = (index == 0, index + 1 == pieces.len());
            let flags =
                0b1010_0000 | u8::from(!key) << 6 | u8::from(begin) << 3 | u8::from(end) << 2 | u8::from(spatial < 2);
            let layer = (spatial as u8) << 1 | u8::from(inter_layer);
            let descriptor = [flags, 0x80, picture as u8, layer, picture as u8];
            payloads.push(Bytes::from([&descriptor[..], piece].concat()));
        }
    }
    in_packets(sequence, picture as u64 * 6000, payloads)
}

fn svc_stream(spatial_layers: usize) -> Vec<Packet> {
    let mut packets = Vec::new();
    for (index, layers) in fixtures::vp9_svc().iter().enumerate() {
        packets.extend(svc_packets(packets.len(), index, &layers[..spatial_layers]));
    }
    packets
}

/// The frames of a superframe, by its index.
fn split_superframe(data: &[u8]) -> Vec<&[u8]> {
    let marker = *data.last().unwrap();
    assert_eq!(marker >> 5, 0b110);
    let (size_len, count) = (usize::from(marker >> 3 & 3) + 1, usize::from(marker & 7) + 1);
    let index = &data[data.len() - 2 - size_len * count..];
    assert_eq!(index[0], marker);
    let mut rest = &data[..data.len() - index.len()];
    let frames = index[1..index.len() - 1].chunks(size_len).map(|size| {
        let size = size.iter().rev().fold(0, |size, byte| size << 8 | usize::from(*byte));
        let (frame, after) = rest.split_at(size);
        rest = after;
        frame
    });
    let frames = frames.collect();
    assert!(rest.is_empty());
    frames
}

#[test]
fn spatial_layers_make_one_superframe_that_shows_the_highest() {
    let units = depacketize(Codec::Vp9, ordered(svc_stream(3)));
    assert!(gaps(&units).is_empty(), "{:?}", gaps(&units));
    let pictures = fixtures::vp9_svc();
    assert_eq!(frames(&units).len(), pictures.len());
    for (index, (frame, layers)) in frames(&units).iter().zip(&pictures).enumerate() {
        assert_eq!(frame.keyframe, index % 6 == 0);
        assert_eq!(
            frame.dims,
            frame.keyframe.then_some(Dims::new(320, 192)),
            "the highest layer's"
        );
        let parts = split_superframe(&frame.data);
        assert_eq!(parts.len(), 3);
        assert_eq!(parts[2], layers[2]);
        let shown = |part: &[u8]| part[0] & 0x02 != 0;
        assert!(
            !shown(parts[0]) && !shown(parts[1]) && shown(parts[2]),
            "picture {index}"
        );
    }
}

#[test]
fn a_single_layer_stays_as_it_is() {
    let units = depacketize(Codec::Vp9, ordered(svc_stream(1)));
    let pictures = fixtures::vp9_svc();
    assert!(
        frames(&units)
            .iter()
            .map(|frame| &frame.data)
            .eq(pictures.iter().map(|layers| &layers[0]))
    );
    assert_eq!(frames(&units)[0].dims, Some(Dims::new(80, 48)));
}

#[test]
fn fewer_layers_from_some_picture_on_change_the_size() {
    let mut packets = Vec::new();
    for (index, layers) in fixtures::vp9_svc().iter().enumerate() {
        let layers = if (2..6).contains(&index) {
            &layers[..2]
        } else {
            &layers[..]
        };
        packets.extend(svc_packets(packets.len(), index, layers));
    }
    let units = depacketize(Codec::Vp9, ordered(packets));
    let sizes: Vec<_> = frames(&units)
        .iter()
        .map(|frame| frame.dims.map(|dims| dims.width))
        .collect();
    assert_eq!(
        sizes,
        [
            Some(320),
            None,
            Some(160),
            None,
            None,
            None,
            Some(320),
            None,
            None,
            None
        ]
    );
}

/// Flexible mode names what each picture refers to, so a picture nobody refers to is no loss to others.
#[test]
fn flexible_mode_tells_what_is_needed() {
    let base: Vec<Bytes> = fixtures::vp9_svc()
        .into_iter()
        .map(|layers| layers[0].clone())
        .collect();
    let packet = |n: usize, back: Option<u8>| {
        let mut payload = vec![0b1001_1100 | u8::from(back.is_some()) << 6, 0x80, n as u8];
        payload.extend(back.map(|back| back << 1));
        payload.extend(&base[n]);
        in_packets(n, n as u64 * 6000, vec![payload.into()]).remove(0)
    };
    // 0 is a key; 2 and 4 refer to the picture two back; 1 and 3 to the one before; nobody to 1 or 3.
    let stream: Vec<_> = [None, Some(1), Some(2), Some(1), Some(2), Some(1)]
        .into_iter()
        .enumerate()
        .map(|(n, back)| packet(n, back))
        .collect();
    let without = |lost: u64| {
        let packets = stream.iter().filter(|packet| packet.sequence != lost).cloned();
        sequences(&depacketize(Codec::Vp9, ordered(packets)))
    };
    assert_eq!(without(1), [0, 2, 3, 4, 5]);
    assert_eq!(without(2), [0, 1], "all later ones stand on it");
    assert_eq!(without(3), [0, 1, 2, 4, 5]);
    assert_eq!(without(4), [0, 1, 2, 3]);
}

/// LiveKit forwards lower layers where the highest needs them, with key pictures, and leaves them out elsewhere.
#[test]
fn lower_layers_may_be_left_out() {
    let pictures = fixtures::vp9_svc();
    let mut packets = Vec::new();
    for (index, layers) in pictures.iter().enumerate() {
        let mut picture = svc_packets(packets.len(), index, layers);
        if index % 6 != 0 {
            let top = layers[2].len().div_ceil(400);
            picture.drain(..picture.len() - top);
        }
        for packet in picture {
            packets.push(Packet {
                sequence: packets.len() as u64,
                ..packet
            });
        }
    }
    let units = depacketize(Codec::Vp9, ordered(packets.clone()));
    assert!(gaps(&units).is_empty());
    for (index, (frame, layers)) in frames(&units).iter().zip(&pictures).enumerate() {
        if index % 6 == 0 {
            assert_eq!(split_superframe(&frame.data).len(), 3);
        } else {
            assert_eq!(frame.data, layers[2]);
        }
    }
    // After a loss, the highest layer of a picture that needs no other is known to be whole.
    let key = frames(&units)[6].packets.clone();
    let without_head = packets.into_iter().filter(|packet| packet.sequence != key.start);
    let units = depacketize(Codec::Vp9, ordered(without_head));
    assert_eq!(frames(&units).len(), 6, "nothing after the torn key picture");
}

/// The superframes as they were when libvpx and ffmpeg's own decoder were seen to make the same ten pictures of them,
/// and libvpx the same of the layers simply put behind one another.
#[test]
fn superframes_are_what_decoders_were_tried_with() {
    let units = depacketize(Codec::Vp9, ordered(svc_stream(3)));
    let all: Vec<u8> = frames(&units).iter().flat_map(|frame| frame.data.to_vec()).collect();
    assert_eq!(crc32fast::hash(&all), 0x0EA9_0777);
}
