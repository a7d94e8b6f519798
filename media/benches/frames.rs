//! What a packet costs on its way out of the journal, to a frame with a position: `cargo bench -p greffier-media --bench frames`.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use greffier_media::{
    codec::MediaKind,
    ids::{ParticipantIdentity, ParticipantSid, TrackSid},
    journal::{Encryption, PayloadType, TrackChannel, TrackSource},
    reorder::Patience,
    rtp::RtpPacket,
    time::{Arrival, ClockRate, MediaTime},
    timeline::Timeline,
    track::TrackReader,
};

const FRAMES: u32 = 900;
const PACKETS_PER_FRAME: u32 = 5;
const PACKETS: u64 = FRAMES as u64 * PACKETS_PER_FRAME as u64;

/// Half a minute of VP8: a key frame, then others.
fn packets() -> Vec<(Arrival, Bytes)> {
    let mut packets = Vec::new();
    for frame in 0..FRAMES {
        for part in 0..PACKETS_PER_FRAME {
            let sequence = u16::try_from(frame * PACKETS_PER_FRAME + part).unwrap_or_default();
            let marker = if part + 1 == PACKETS_PER_FRAME { 0x80 } else { 0 };
            let mut packet = vec![0x80, marker | 0x60];
            packet.extend(sequence.to_be_bytes());
            packet.extend((frame * 3000).to_be_bytes());
            packet.extend(7_u32.to_be_bytes());
            packet.push(if part == 0 { 0x10 } else { 0 });
            let header: &[u8] = match (part, frame) {
                (0, 0) => &[0x10, 0, 0, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0x68, 0x01],
                (0, _) => &[0x11, 0, 0],
                _ => &[],
            };
            packet.extend(header);
            packet.resize(1000, 0x5A);
            packets.push((Arrival::from_millis(u64::from(frame) * 33 + 40), packet.into()));
        }
    }
    packets
}

fn track() -> TrackChannel {
    TrackChannel {
        track: TrackSid::new("TR_x").expect("valid"),
        track_name: "camera".into(),
        participant: ParticipantSid::new("PA_x").expect("valid"),
        identity: ParticipantIdentity::new("ana").expect("valid"),
        participant_name: "Ana".into(),
        source: TrackSource::Camera,
        kind: MediaKind::Video,
        mime: "video/VP8".into(),
        clock_rate: ClockRate::VIDEO,
        channels: 0,
        fmtp: String::new(),
        ssrc: 7,
        payload_types: vec![PayloadType {
            number: 96,
            mime: "video/VP8".into(),
        }],
        encryption: Encryption::None,
    }
}

fn bench(criterion: &mut Criterion) {
    let (packets, track) = (packets(), track());
    let mut group = criterion.benchmark_group("frames");
    group.throughput(Throughput::Elements(PACKETS));

    group.bench_function("parse a header", |bencher| {
        bencher.iter(|| {
            packets
                .iter()
                .filter(|(_, packet)| RtpPacket::parse(black_box(packet)).is_ok())
                .count()
        });
    });

    group.bench_function("packets to frames", |bencher| {
        let reader = || TrackReader::new(&track, Patience::OFFLINE).expect("VP8 can be read");
        let read = |mut reader: TrackReader| {
            let mut frames = 0;
            for (arrival, packet) in &packets {
                reader.push(*arrival, packet).expect("valid");
                frames += std::iter::from_fn(|| reader.poll()).count();
            }
            frames
        };
        bencher.iter_batched(reader, read, BatchSize::SmallInput);
    });

    group.bench_function("packets to the timeline", |bencher| {
        bencher.iter(|| {
            let mut timeline = Timeline::new(Arrival::ZERO);
            let stream = timeline.add_stream(&track.participant);
            for (index, (arrival, _)) in packets.iter().enumerate() {
                let ticks = (1 << 32) + index as u64 / u64::from(PACKETS_PER_FRAME) * 3000;
                timeline.packet(stream, MediaTime::new(ticks, ClockRate::VIDEO), *arrival);
            }
            timeline.clock(stream)
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
