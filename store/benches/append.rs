//! What a packet costs on its way to the disk: `cargo bench -p greffier-store --bench append`.
//!
//! The load is that of one recording with 80 tracks and 8,000 packets a second: a tick every 50 ms, a flush every
//! 100 ms, a sync every second on this same thread or, as in service, on another. Time is simulated, so nothing waits.

use std::{
    hint::black_box,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use greffier_media::{
    codec::MediaKind,
    ids::{ParticipantIdentity, ParticipantSid, RecordingId, RoomName, SegmentIndex, TrackSid},
    journal::{Encryption, RoomEvent, TrackChannel, TrackSource, event::RoomInfo},
    time::{Arrival, ClockRate, ManualClock, WallTime},
};
use greffier_store::{
    Store, StoreConfig,
    journal::{JournalWriter, SyncHandle, TrackHandle},
};

const TRACKS: u32 = 80;
const PACKETS_PER_TICK: u64 = 400;
const TICK: Duration = Duration::from_millis(50);
const PACKET: [u8; 800] = [0x5A; 800];

fn track(ssrc: u32) -> TrackChannel {
    TrackChannel {
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
        payload_types: Vec::new(),
        encryption: Encryption::None,
    }
}

fn snapshot(segment: SegmentIndex) -> RoomEvent {
    RoomEvent::Snapshot {
        recording: RecordingId::from_parts(0, 0),
        segment,
        room: RoomInfo {
            name: RoomName::new("bench").expect("valid"),
            sid: None,
            metadata: String::new(),
        },
        paused: false,
        participants: Vec::new(),
    }
}

struct Load {
    writer: JournalWriter,
    tracks: Vec<TrackHandle>,
    now: Arrival,
    packets: u64,
    syncs: mpsc::SyncSender<SyncHandle>,
}

impl Load {
    fn open(store: &Store) -> Self {
        let now = Arrival::from_millis(1_760_000_000_000);
        let recording = RecordingId::from_parts(now.as_millis(), rand::random());
        let mut writer = store
            .journal(recording)
            .and_then(|journal| journal.open(now, snapshot))
            .expect("a new journal");
        let (syncs, due) = mpsc::sync_channel::<SyncHandle>(1);
        thread::spawn(move || {
            for sync in due {
                sync.sync().expect("a healthy disk");
            }
        });
        Self {
            tracks: (0..TRACKS).map(|ssrc| writer.add_track(track(ssrc))).collect(),
            writer,
            now,
            packets: 0,
            syncs,
        }
    }

    /// 50 ms of packets, and the tick after them.
    fn tick(&mut self) {
        for _ in 0..PACKETS_PER_TICK {
            let track = self.tracks[usize::try_from(self.packets).unwrap_or_default() % self.tracks.len()];
            let sent = WallTime::from_nanos(self.now.as_nanos() - 1);
            self.writer
                .append_rtp(track, self.now, Some(sent), black_box(&PACKET))
                .expect("room");
            self.packets += 1;
        }
        self.now = self.now.saturating_add(TICK);
        let tick = self.writer.tick(self.now).expect("room");
        if let Some(sync) = tick.sync {
            self.syncs.send(sync).expect("the thread lives");
        }
        if tick.rotate {
            let sealed = self.writer.rotate(self.now, snapshot).expect("room").seal();
            drop(sealed.expect("a healthy disk"));
        }
    }
}

fn bench(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let clock = Arc::new(ManualClock::new(Arrival::from_millis(1_760_000_000_000)));
    let store = runtime
        .block_on(Store::open(&StoreConfig::new(dir.path()), clock))
        .expect("a new store");
    let mut group = criterion.benchmark_group("append");
    group.throughput(Throughput::Elements(PACKETS_PER_TICK));
    group.bench_function("400 packets of 800 bytes and a tick", |bencher| {
        let mut load = Load::open(&store);
        bencher.iter(|| load.tick());
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
