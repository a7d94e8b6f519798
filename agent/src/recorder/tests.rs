use std::net::SocketAddr;
use std::time::Duration;

use greffier_media::lifecycle::RecordingStep;
use greffier_store::StoreConfig;
use greffier_store::recordings::Advance;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::*;
use crate::capture::queue::Queue;
use crate::capture::room::Room;
use crate::capture::session::End;
use crate::livekit::LiveKitConfig;
use crate::renders::RendersConfig;
use crate::supervisor::Shutdown;

const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

struct Bench {
    recorder: Recorder,
    store: Store,
    supervisor: Supervisor,
    _dir: TempDir,
}

impl Bench {
    /// Beside a server at this address.
    async fn beside(livekit: SocketAddr, config: RecorderConfig) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut store_config = StoreConfig::new(dir.path().join("data"));
        (store_config.min_free_bytes, store_config.min_free_percent) = (0, 0);
        let clock = SystemClock::start();
        let store = Store::open(&store_config, Arc::new(clock)).await.expect("a store");
        let livekit = LiveKit::new(LiveKitConfig {
            url: format!("http://{livekit}").parse().expect("a URL"),
            api_key: "key".into(),
            api_secret: "a secret that is long enough for tests".to_owned().into(),
        });
        let supervisor = Supervisor::new();
        let outbox = Outbox::new(&[]).expect("none");
        let program = "/nonexistent".into();
        let renders = Renders::new(store.clone(), clock, outbox.clone(), RendersConfig::default(), program);
        let recorder = Recorder::new(
            store.clone(),
            livekit,
            clock,
            supervisor.clone(),
            outbox,
            renders,
            config,
        );
        Self {
            recorder: recorder.expect("threads"),
            store,
            supervisor,
            _dir: dir,
        }
    }

    /// A recording that has gone these steps.
    async fn recording(&self, room: &str, steps: &[RecordingStep]) -> Recording {
        let new = NewRecording {
            room: RoomName::new(room).expect("a name"),
            room_sid: None,
            name: RecordingName::default(),
            request: RecordingRequest::default(),
            bot_identity: bot_identity().expect("an identity"),
            labels: BTreeMap::new(),
        };
        let mut recording = self
            .store
            .recordings()
            .create(&new, |_| Vec::new())
            .await
            .expect("a row");
        for step in steps {
            recording = self
                .store
                .recordings()
                .advance(recording.id, Advance::from(*step), |_| Vec::new())
                .await
                .expect("the step");
        }
        recording
    }

    async fn state(&self, id: RecordingId) -> RecordingState {
        self.store.recordings().get(id).await.expect("its row").state
    }

    /// What a start finds, and takes up.
    async fn recover(&self) {
        let found = self.store.recover().await.expect("a disk");
        self.recorder.recover(found.interrupted).await;
    }

    /// Until a recording's session has ended.
    async fn session_ended(&self, id: RecordingId) {
        let seen = self
            .recorder
            .inner
            .running
            .lock()
            .get(&id)
            .map(|running| running.status.clone());
        if let Some(mut seen) = seen {
            while seen.changed().await.is_ok() {}
        }
    }

    /// Everything that is under way comes to its end.
    async fn shut_down(&self) -> Shutdown {
        self.supervisor
            .shutdown(Duration::from_secs(20), std::future::pending())
            .await
    }
}

#[tokio::test]
async fn a_recording_that_was_on_its_way_is_tried_again() {
    for steps in [&[][..], &[RecordingStep::Join]] {
        let bench = Bench::beside(
            NOBODY,
            RecorderConfig {
                rejoin_window: Duration::ZERO,
                ..RecorderConfig::default()
            },
        )
        .await;
        let asked = bench.recording("demo", steps).await;
        bench.recover().await;
        bench.session_ended(asked.id).await;
        assert_eq!(bench.shut_down().await, Shutdown::Clean);
        assert_eq!(
            bench.state(asked.id).await,
            RecordingState::Failed(RecordingFailure::Unreachable),
            "it was tried, and nobody answered"
        );
    }
}

#[tokio::test]
async fn one_that_finds_no_place_says_so() {
    let bench = Bench::beside(
        NOBODY,
        RecorderConfig {
            max_recordings: 0,
            ..RecorderConfig::default()
        },
    )
    .await;
    let asked = bench.recording("asked", &[]).await;
    let captured = bench
        .recording("captured", &[RecordingStep::Join, RecordingStep::Capture])
        .await;
    bench.recover().await;
    let row = bench.store.recordings().get(asked.id).await.expect("its row");
    assert_eq!(row.state, RecordingState::Failed(RecordingFailure::Cancelled));
    assert!(row.failure_message.expect("why").contains("max_recordings"));
    assert_eq!(bench.state(captured.id).await, RecordingState::Sealed);
}

#[tokio::test]
async fn the_next_start_tries_again_what_a_shutdown_cut_short() {
    let server = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let bench = Bench::beside(server.local_addr().expect("an address"), RecorderConfig::default()).await;
    let asked = bench.recording("demo", &[]).await;
    bench.recover().await;
    // It asks, and gets no answer.
    let _asked = server.accept().await.expect("it asks");
    assert_eq!(bench.shut_down().await, Shutdown::Clean);
    assert_eq!(bench.state(asked.id).await, RecordingState::Joining);
}

#[tokio::test]
async fn a_recording_that_finds_its_way_back_can_be_stopped() {
    let server = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let bench = Bench::beside(server.local_addr().expect("an address"), RecorderConfig::default()).await;
    let recording = bench
        .recording("demo", &[RecordingStep::Join, RecordingStep::Capture])
        .await;
    bench.recover().await;
    let _asked = server.accept().await.expect("it asks, and gets no answer");
    let stopped = bench.recorder.stop(recording.id, StopReason::Requested).await;
    assert!(stopped.is_ok(), "{stopped:?}");
    // A request to the server may take ten seconds; nobody waits for it.
    let ended = tokio::time::timeout(Duration::from_secs(5), bench.session_ended(recording.id)).await;
    assert!(ended.is_ok(), "it waits for the server");
    assert_eq!(bench.shut_down().await, Shutdown::Clean);
    let row = bench.store.recordings().get(recording.id).await.expect("its row");
    assert_eq!(
        (row.state, row.stop_reason),
        (RecordingState::Sealed, Some(StopReason::Requested))
    );
}

/// Both ends of a stay are there to be heard at once, and either may be heard first; so it is tried often enough.
#[tokio::test]
async fn one_that_was_in_the_room_for_a_moment_has_captured() {
    let bench = Bench::beside(NOBODY, RecorderConfig::default()).await;
    for round in 0..20 {
        let recording = bench.recording(&format!("demo {round}"), &[RecordingStep::Join]).await;
        let id = recording.id;
        let room = Arc::new(Mutex::new(Room::new(id, recording.room.clone(), false)));
        let queue = Arc::new(Queue::new(1 << 20, false));
        let mut writing = bench.recorder.open(id, &queue, &room).await.expect("a journal");
        let (_commands, mut inbox) = mpsc::channel(1);
        let (tell, _told) = mpsc::channel(1);
        let (status, seen) = watch::channel(Status::default());
        let (ended, end) = oneshot::channel();
        status.send_modify(|status| status.joined = true);
        ended
            .send(End::Stopped(StopReason::RoomClosed))
            .expect("somebody waits");
        let attended = bench
            .recorder
            .attend(id, &mut inbox, tell, &mut writing, seen, end)
            .await;
        let end = attended.expect("it ends");
        assert_eq!(bench.state(id).await, RecordingState::Capturing);
        bench.recorder.end(id, end, &queue, writing).await.expect("sealed");
        assert_eq!(bench.state(id).await, RecordingState::Sealed);
    }
}

#[tokio::test]
async fn one_that_is_stopped_before_it_began_is_done_at_once() {
    let bench = Bench::beside(NOBODY, RecorderConfig::default()).await;
    let recording = bench.recording("demo", &[RecordingStep::Join]).await;
    let id = recording.id;
    let room = Arc::new(Mutex::new(Room::new(id, recording.room.clone(), false)));
    let queue = Arc::new(Queue::new(1 << 20, false));
    let writing = bench.recorder.open(id, &queue, &room).await.expect("a journal");
    let end = bench
        .recorder
        .end(id, End::Stopped(StopReason::Requested), &queue, writing);
    let ended = tokio::time::timeout(Duration::from_secs(4), end).await;
    assert!(matches!(ended, Ok(Ok(()))), "{ended:?}");
    assert_eq!(
        bench.state(id).await,
        RecordingState::Failed(RecordingFailure::Cancelled)
    );
}
