//! Streams made by real encoders and payloaders: see `media/fixtures/make.sh`.

use bytes::Bytes;
use rtc_rtp::{codec::av1::Av1Payloader, packetizer::Payloader};

use crate::{
    codec::Codec,
    reorder::{Numbering, Packet},
    time::Arrival,
};

/// A stream: its packets, and the frames they were made of.
pub(super) struct Fixture {
    pub(super) codec: Codec,
    pub(super) packets: Vec<Packet>,
    pub(super) frames: Vec<Bytes>,
}

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/", $name)) as &[u8]
    };
}

pub(super) fn vp8() -> Fixture {
    Fixture {
        codec: Codec::Vp8,
        packets: rtp(file!("vp8.rtp")),
        frames: ivf(file!("vp8.ivf")),
    }
}

pub(super) fn vp9() -> Fixture {
    Fixture {
        codec: Codec::Vp9,
        packets: rtp(file!("vp9.rtp")),
        frames: ivf(file!("vp9.ivf")),
    }
}

/// Its frames are one per timestamp, in Annex B form.
pub(super) fn h264() -> Fixture {
    Fixture {
        codec: Codec::H264,
        packets: rtp(file!("h264.rtp")),
        frames: annex_b(file!("h264.h264")),
    }
}

/// Put into packets by the WebRTC core's own payloader.
pub(super) fn av1() -> Fixture {
    let frames: Vec<_> = ivf(file!("av1.ivf")).iter().map(without_delimiter).collect();
    let mut packets = Vec::new();
    for (index, frame) in frames.iter().enumerate() {
        let payloads = Av1Payloader::default().payload(600, frame).unwrap();
        packets.extend(in_packets(packets.len(), index as u64 * 6000, payloads));
    }
    Fixture {
        codec: Codec::Av1,
        packets,
        frames,
    }
}

pub(super) fn opus() -> Vec<Packet> {
    rtp(file!("opus.rtp"))
}

pub(super) fn all() -> [Fixture; 4] {
    [vp8(), vp9(), h264(), av1()]
}

/// Three spatial layers each: per picture, its layer frames.
pub(super) fn vp9_svc() -> Vec<Vec<Bytes>> {
    let mut rest = file!("vp9_svc.bin");
    let mut pictures = Vec::new();
    while let Some((count, after)) = rest.split_first_chunk::<2>() {
        rest = after;
        let layers = (0..u16::from_le_bytes(*count)).map(|_| {
            let (len, after) = rest.split_first_chunk::<4>().unwrap();
            let (frame, after) = after.split_at(u32::from_le_bytes(*len) as usize);
            rest = after;
            Bytes::copy_from_slice(frame)
        });
        pictures.push(layers.collect());
    }
    pictures
}

/// One frame's payloads in packets, numbered on from `sequence`, the last one marked.
pub(super) fn in_packets(sequence: usize, timestamp: u64, payloads: Vec<Bytes>) -> Vec<Packet> {
    let count = payloads.len();
    payloads
        .into_iter()
        .enumerate()
        .map(|(index, payload)| Packet {
            sequence: (sequence + index) as u64,
            timestamp,
            arrival: Arrival::from_nanos(timestamp * 11_111),
            payload_type: 96,
            marker: index + 1 == count,
            payload,
        })
        .collect()
}

/// Packets behind 16 bits of length each (RFC 4571).
fn rtp(mut rest: &'static [u8]) -> Vec<Packet> {
    let mut numbering = Numbering::default();
    let mut packets = Vec::new();
    while let Some((len, after)) = rest.split_first_chunk::<2>() {
        let (packet, after) = after.split_at(usize::from(u16::from_be_bytes(*len)));
        rest = after;
        packets.push(
            numbering
                .number(Arrival::from_millis(packets.len() as u64), &Bytes::from_static(packet))
                .unwrap(),
        );
    }
    packets
}

/// The frames of an IVF file: a header of 32 bytes, then each behind 12 bytes of length and time.
fn ivf(file: &'static [u8]) -> Vec<Bytes> {
    let mut rest = &file[32..];
    let mut frames = Vec::new();
    while let Some((header, after)) = rest.split_first_chunk::<12>() {
        let (frame, after) = after.split_at(u32::from_le_bytes(*header.first_chunk().unwrap()) as usize);
        rest = after;
        frames.push(Bytes::from_static(frame));
    }
    frames
}

/// An AV1 temporal unit without its delimiter, as it is sent.
fn without_delimiter(unit: &Bytes) -> Bytes {
    assert!(unit.starts_with(&[0x12, 0]), "a temporal delimiter comes first");
    unit.slice(2..)
}

/// The NAL units of an Annex B stream, whatever the start codes' length.
pub(super) fn nal_units(stream: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<_> = (0..stream.len())
        .filter(|at| stream[*at..].starts_with(&[0, 0, 1]))
        .collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| trim_zeros(&stream[start + 3..end]))
        .collect()
}

fn trim_zeros(unit: &[u8]) -> &[u8] {
    &unit[..unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)]
}

/// Cuts an Annex B stream into access units: each ends before a first slice's preceding parameter sets.
fn annex_b(stream: &[u8]) -> Vec<Bytes> {
    let mut frames: Vec<Vec<u8>> = Vec::new();
    let mut had_slice = true;
    for unit in nal_units(stream) {
        let is_slice = matches!(unit[0] & 0x1F, 1..=5);
        let first_in_picture = unit.get(1).is_some_and(|byte| byte & 0x80 != 0);
        if had_slice && (!is_slice || first_in_picture) {
            frames.push(Vec::new());
        }
        had_slice = is_slice;
        frames.last_mut().unwrap().extend([&[0, 0, 0, 1], unit].concat());
    }
    frames.into_iter().map(Bytes::from).collect()
}
