//! What a packet costs on its way into the journal: `cargo bench -p greffier-media --bench journal`.
//!
//! The load is that of 20 rooms with 2 publishers each, 80 tracks, about 8,000 packets a second; a flush every 100 ms
//! means one in 800 packets. The file is a sink, so this is the journal's own cost.

use std::{hint::black_box, io};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use greffier_media::{
    codec::MediaKind,
    ids::{ParticipantIdentity, ParticipantSid, TrackSid},
    journal::{ChannelId, Encryption, PayloadType, SegmentReader, SegmentWriter, TrackChannel, TrackSource},
    time::{Arrival, ClockRate, WallTime},
};

const TRACKS: u32 = 80;
const PACKETS_PER_FLUSH: u64 = 800;
const PACKET: [u8; 800] = [0x5A; 800];

fn channels<W: io::Write>(writer: &mut SegmentWriter<W>) -> Vec<ChannelId> {
    (0..TRACKS)
        .map(|ssrc| {
            let track = TrackChannel {
                track: TrackSid::new(&format!("TR_{ssrc}")).expect("valid"),
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
                ssrc,
                payload_types: vec![PayloadType {
                    number: 96,
                    mime: "video/VP8".into(),
                }],
                encryption: Encryption::None,
            };
            writer.add_rtp(&track).expect("a sink takes all")
        })
        .collect()
}

fn write<W: io::Write>(writer: &mut SegmentWriter<W>, channels: &[ChannelId], packets: u64, from: u64) {
    for n in from..from + packets {
        let channel = channels[usize::try_from(n).unwrap_or_default() % channels.len()];
        let (arrival, sent) = (Arrival::from_nanos(n * 125_000), WallTime::from_nanos(n * 125_000 - 1));
        writer
            .write(channel, arrival, Some(sent), black_box(&PACKET))
            .expect("a sink takes all");
    }
    writer.flush().expect("a sink takes all");
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("journal");
    group.throughput(Throughput::Elements(PACKETS_PER_FLUSH));
    group.bench_function("write 800 packets and flush", |bencher| {
        let mut writer = SegmentWriter::new(io::sink()).expect("a sink takes all");
        let channels = channels(&mut writer);
        let mut n = 1;
        bencher.iter(|| {
            write(&mut writer, &channels, PACKETS_PER_FLUSH, n);
            n += PACKETS_PER_FLUSH;
        });
    });

    let mut writer = SegmentWriter::new(Vec::new()).expect("memory takes all");
    let channels = channels(&mut writer);
    for flush in 0..100 {
        write(&mut writer, &channels, PACKETS_PER_FLUSH, 1 + flush * PACKETS_PER_FLUSH);
    }
    let (segment, _) = writer.finish().expect("memory takes all");
    group.throughput(Throughput::Elements(100 * PACKETS_PER_FLUSH));
    group.bench_function("read and verify 80,000 packets", |bencher| {
        bencher.iter(|| SegmentReader::new(black_box(&segment[..])).messages().count());
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
