//! What the crate's tests share: data directories with a clock that stands still, on each kind of database.

use std::{env, fs, path::PathBuf, sync::Arc, time::Duration};

use greffier_media::{
    codec::MediaKind,
    ids::{ParticipantIdentity, ParticipantSid, RecordingId, RoomName, SegmentIndex, TrackSid},
    journal::{
        Encryption, RoomEvent, TrackChannel, TrackSource,
        event::{ParticipantInfo, ParticipantKind, Permissions, RoomInfo},
    },
    lifecycle::RecordingStep,
    time::{Arrival, ClockRate, ManualClock},
};
use sea_orm::ConnectionTrait as _;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    Store, StoreConfig,
    ids::random,
    journal::{JournalWriter, SegmentFacts},
    recordings::{NewRecording, Recording, RecordingName, RecordingRequest},
    renders::{Lane, NewRender, Render, RenderClaim, RenderResult},
    webhooks::NewDelivery,
};

pub(crate) const START: Arrival = Arrival::from_millis(1_760_000_000_000);

/// A data directory that can be opened again and again, and a clock that moves when it is told to.
pub(crate) struct Data {
    pub(crate) config: StoreConfig,
    pub(crate) clock: Arc<ManualClock>,
    dir: TempDir,
}

impl Data {
    /// With SQLite in the directory.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = StoreConfig::new(dir.path().join("data"));
        (config.min_free_bytes, config.min_free_percent) = (0, 0);
        Self {
            config,
            clock: Arc::new(ManualClock::new(START)),
            dir,
        }
    }

    /// Another data directory with the same database and clock.
    pub(crate) fn beside(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = self.config.clone();
        config.data_dir = dir.path().join("data");
        let own = format!("sqlite://{}", self.config.data_dir.join("greffier.db").display());
        config.database.get_or_insert(own.into());
        Self {
            config,
            clock: Arc::clone(&self.clock),
            dir,
        }
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.config, self.clock.clone()).await.unwrap()
    }

    /// As a process that died and was started again.
    pub(crate) async fn reopen(&self, store: Store) -> Store {
        drop(store);
        self.open().await
    }

    pub(crate) fn after(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }

    /// Beside the data directory, gone with it.
    pub(crate) fn outside(&self) -> PathBuf {
        self.dir.path().to_owned()
    }
}

/// Runs a test on SQLite, and on PostgreSQL where `GREFFIER_TEST_POSTGRES` names a server on which databases may be made.
pub(crate) async fn on_each_database(test: impl AsyncFn(Data)) {
    // Boxed: some tests' futures are larger than a stack should carry.
    Box::pin(test(Data::new())).await;
    let Ok(server) = env::var("GREFFIER_TEST_POSTGRES") else {
        eprintln!("skipped on PostgreSQL: GREFFIER_TEST_POSTGRES is not set");
        return;
    };
    let mut url: url::Url = server.parse().unwrap();
    let name = format!("greffier_test_{:032x}", random());
    let admin = sea_orm::Database::connect(&server).await.unwrap();
    admin
        .execute_unprepared(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    url.set_path(&name);
    let mut data = Data::new();
    data.config.database = Some(url.to_string().into());
    Box::pin(test(data)).await;
    admin
        .execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)"))
        .await
        .unwrap();
}

/// For steps that nobody has to hear of.
pub(crate) fn quietly<T>(_: &T) -> Vec<NewDelivery> {
    Vec::new()
}

pub(crate) fn new_recording(room: &str) -> NewRecording {
    NewRecording {
        room: RoomName::new(room).unwrap(),
        room_sid: None,
        name: RecordingName::default(),
        request: RecordingRequest::default(),
        bot_identity: ParticipantIdentity::new("recorder").unwrap(),
        labels: [("team".to_owned(), "blue".to_owned())].into(),
    }
}

pub(crate) async fn create(store: &Store, room: &str) -> Recording {
    let new = new_recording(room);
    store.recordings().create(&new, quietly).await.unwrap()
}

/// A recording that is being captured.
pub(crate) async fn capture(store: &Store, room: &str) -> Recording {
    let recording = create(store, room).await;
    advance(store, recording.id, RecordingStep::Join).await;
    advance(store, recording.id, RecordingStep::Capture).await
}

pub(crate) async fn advance(store: &Store, id: RecordingId, step: RecordingStep) -> Recording {
    store.recordings().advance(id, step, quietly).await.unwrap()
}

/// A recording that is sealed, with so many segments of one track.
pub(crate) async fn sealed(store: &Store, room: &str, segments: u32) -> Recording {
    let recording = capture(store, room).await;
    let facts = write_segments(store, recording.id, segments);
    for facts in facts {
        store.recordings().record_segment(recording.id, &facts).await.unwrap();
    }
    advance(store, recording.id, RecordingStep::Stop).await;
    advance(store, recording.id, RecordingStep::Seal).await
}

/// Writes and seals so many segments of 100 packets each.
pub(crate) fn write_segments(store: &Store, id: RecordingId, segments: u32) -> Vec<SegmentFacts> {
    let mut facts = Vec::new();
    let mut writer = open_journal(store, id);
    let camera = writer.add_track(track(1));
    for number in 0..segments {
        for n in 0..100 {
            let at = START.saturating_add(Duration::from_millis(u64::from(number) * 1_000 + n));
            let sequence = u16::try_from(u64::from(number) * 100 + n).unwrap();
            writer.append_rtp(camera, at, None, &packet(sequence)).unwrap();
        }
        if number + 1 < segments {
            facts.push(writer.rotate(START, snapshot).unwrap().seal().unwrap());
        }
    }
    facts.push(writer.close().seal().unwrap());
    facts
}

pub(crate) fn open_journal(store: &Store, id: RecordingId) -> JournalWriter {
    store.journal(id).unwrap().open(START, snapshot).unwrap()
}

pub(crate) fn snapshot(segment: SegmentIndex) -> RoomEvent {
    RoomEvent::Snapshot {
        recording: RecordingId::from_parts(0, 0),
        segment,
        room: RoomInfo {
            name: RoomName::new("demo").unwrap(),
            sid: None,
            metadata: String::new(),
        },
        paused: false,
        participants: vec![ParticipantInfo {
            sid: ParticipantSid::new("PA_ana").unwrap(),
            identity: ParticipantIdentity::new("ana").unwrap(),
            name: "Ána Müller".into(),
            kind: ParticipantKind::Standard,
            metadata: String::new(),
            attributes: [].into(),
            permissions: Permissions::default(),
            joined_at: None,
            tracks: Vec::new(),
        }],
    }
}

pub(crate) fn track(n: u32) -> TrackChannel {
    TrackChannel {
        track: TrackSid::new(&format!("TR_{n}")).unwrap(),
        track_name: "cam\0era".into(),
        participant: ParticipantSid::new("PA_ana").unwrap(),
        identity: ParticipantIdentity::new("ana").unwrap(),
        participant_name: "Ána Müller".into(),
        source: TrackSource::Camera,
        kind: MediaKind::Video,
        mime: "video/VP8".into(),
        clock_rate: ClockRate::VIDEO,
        channels: 0,
        fmtp: String::new(),
        ssrc: n,
        payload_types: Vec::new(),
        encryption: Encryption::None,
    }
}

pub(crate) fn packet(sequence: u16) -> Vec<u8> {
    let [high, low] = sequence.to_be_bytes();
    [&[0x80, 96, high, low][..], &[0x5A; 300]].concat()
}

/// Makes a render of one file, and publishes it.
pub(crate) async fn render(store: &Store, recording: RecordingId) -> Render {
    let new = NewRender {
        recording,
        lane: Lane::Encode,
        kind: "composite".into(),
        request: json!({}),
        max_attempts: 1,
    };
    store.renders().create(&new).await.unwrap();
    let claim = store
        .renders()
        .claim(Lane::Encode, Duration::from_secs(30))
        .await
        .unwrap()
        .unwrap();
    let result = render_result(&claim, "out.webm", "a render");
    store.renders().publish(&claim, &[result], quietly).await.unwrap()
}

/// Writes a file as a render does.
pub(crate) fn render_result(claim: &RenderClaim, name: &str, content: &str) -> RenderResult {
    let path = claim.work.join(name);
    fs::write(&path, content).unwrap();
    RenderResult {
        path,
        media_type: "video/webm".into(),
        probe: json!({"duration_ms": 1000}),
    }
}
