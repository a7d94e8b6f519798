//! What the crate's tests share: the whole router over a real store on SQLite, and a stand-in for the `LiveKit` server's
//! room API.

use std::{env, net::SocketAddr, process::Command, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::ConnectInfo,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use greffier_agent::{
    auto::AutoRecord,
    clock::SystemClock,
    livekit::{LiveKit, LiveKitConfig},
    load::HelperConfig,
    recorder::{Recorder, RecorderConfig},
    renders::{Renders, RendersConfig},
    supervisor::Supervisor,
    webhook::Outbox,
};
use greffier_media::{
    codec::MediaKind,
    ids::{ParticipantIdentity, ParticipantSid, RecordingId, RoomName, TrackSid},
    journal::{
        Encryption, RoomEvent, TrackChannel, TrackSource,
        event::{ParticipantInfo, ParticipantKind, Permissions, RoomInfo},
    },
    lifecycle::RecordingStep,
    time::{Clock as _, ClockRate},
};
use greffier_store::{
    Store, StoreConfig,
    recordings::{NewRecording, Recording, RecordingName, RecordingRequest},
};
use livekit_api::access_token::{AccessToken, VideoGrants};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

mod livekit;

pub(crate) use livekit::FakeLiveKit;

use crate::{ApiConfig, Services, router};

pub(crate) const LIVEKIT_KEY: &str = "devkey";
pub(crate) const LIVEKIT_SECRET: &str = "a secret that is long enough for tests";
pub(crate) const ADMIN: &str = "key-of-the-administrator";
pub(crate) const READER: &str = "key-that-may-only-read";
pub(crate) const WRITER: &str = "key-that-may-only-write";

/// The API with everything below it, in a directory of its own.
pub(crate) struct Api {
    pub router: Router,
    pub services: Services,
    /// What the rules would be told, kept so that the queue has an end.
    _rules: AutoRecord,
    _dir: TempDir,
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Api {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// Nothing listens at the `LiveKit` server's address, unless the configuration is changed.
    pub(crate) async fn with(change: impl FnOnce(&mut ApiConfig)) -> Self {
        Self::beside(SocketAddr::from(([127, 0, 0, 1], 9)), change).await
    }

    pub(crate) async fn beside(livekit: SocketAddr, change: impl FnOnce(&mut ApiConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut store_config = StoreConfig::new(dir.path().join("data"));
        (store_config.min_free_bytes, store_config.min_free_percent) = (0, 0);
        store_config.database = postgres().map(Into::into);
        let clock = SystemClock::start();
        let store = Store::open(&store_config, Arc::new(clock)).await.unwrap();
        let livekit = LiveKit::new(LiveKitConfig {
            url: format!("http://{livekit}").parse().unwrap(),
            api_key: LIVEKIT_KEY.into(),
            api_secret: LIVEKIT_SECRET.into(),
        });
        let supervisor = Supervisor::new();
        let outbox = Outbox::new(&[]).unwrap();
        let program = "/nonexistent".into();
        let renders = Renders::new(store.clone(), clock, outbox.clone(), RendersConfig::default(), program);
        let recorder = Recorder::new(
            store.clone(),
            livekit.clone(),
            clock,
            supervisor.clone(),
            outbox.clone(),
            renders.clone(),
            RecorderConfig::default(),
        )
        .unwrap();
        let (rules, hints) = AutoRecord::new(recorder.clone(), livekit.clone(), store.clone()).unwrap();
        let mut config: ApiConfig = serde_json::from_value(json!({
            "keys": [
                {"name": "admin", "key": ADMIN, "scopes": ["admin"]},
                {"name": "reader", "key": READER, "scopes": ["recordings:read"]},
                {"name": "writer", "key": WRITER, "scopes": ["recordings:write"]},
            ],
        }))
        .unwrap();
        change(&mut config);
        let services = Services {
            store,
            recorder,
            renders,
            hints,
            livekit,
            outbox,
            clock,
            supervisor,
            load: HelperConfig::default(),
            metrics: None,
        };
        let router = router(config, services.clone()).unwrap();
        Self {
            router,
            services,
            _rules: rules,
            _dir: dir,
        }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 24).await.unwrap().to_vec();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.send(request(Method::GET, path, token).body(Body::empty()).unwrap())
            .await
    }

    pub(crate) async fn call(&self, method: Method, path: &str, token: &str, body: &Value) -> Answer {
        let request = request(method, path, token).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, token, body).await
    }

    /// A recording in the first state.
    pub(crate) async fn requested(&self, room: &str) -> Recording {
        let new = NewRecording {
            room: RoomName::new(room).unwrap(),
            room_sid: None,
            name: RecordingName::default(),
            request: RecordingRequest::default(),
            bot_identity: ParticipantIdentity::new("recorder").unwrap(),
            labels: [("team".to_owned(), "blue".to_owned())].into(),
        };
        self.services
            .store
            .recordings()
            .create(&new, |_| Vec::new())
            .await
            .unwrap()
    }

    pub(crate) async fn advance(&self, id: RecordingId, step: RecordingStep) -> Recording {
        self.services
            .store
            .recordings()
            .advance(id, step, |_| Vec::new())
            .await
            .unwrap()
    }

    /// A recording of one sealed segment with 100 packets of Ana's camera.
    pub(crate) async fn sealed(&self, room: &str) -> Recording {
        let id = self.requested(room).await.id;
        self.advance(id, RecordingStep::Join).await;
        self.advance(id, RecordingStep::Capture).await;
        let start = self.services.clock.now();
        let journal = self.services.store.journal(id).unwrap();
        let mut writer = journal.open(start, |segment| snapshot(id, segment)).unwrap();
        let camera = writer.add_track(camera());
        for n in 0..100_u16 {
            let at = start.saturating_add(Duration::from_millis(u64::from(n)));
            let [high, low] = n.to_be_bytes();
            let packet = [&[0x80, 96, high, low][..], &[0x5A; 300]].concat();
            writer.append_rtp(camera, at, None, &packet).unwrap();
        }
        let facts = writer.close().seal().unwrap();
        self.services
            .store
            .recordings()
            .record_segment(id, &facts)
            .await
            .unwrap();
        self.advance(id, RecordingStep::Stop).await;
        self.advance(id, RecordingStep::Seal).await
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The problem's status and code; there must be one.
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(
            self.header(header::CONTENT_TYPE),
            "application/problem+json",
            "{}",
            self.text()
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        (self.status.as_u16(), problem["code"].as_str().unwrap().to_owned())
    }
}

/// A database of its own where `GREFFIER_TEST_API_ON` is `postgres`; `None`: SQLite. It stays: the server is the tests' own
/// (`scripts/with_postgres.sh`) and goes after them.
fn postgres() -> Option<String> {
    if env::var_os("GREFFIER_TEST_API_ON").is_none_or(|on| on != "postgres") {
        return None;
    }
    let server = env::var("GREFFIER_TEST_POSTGRES").expect("GREFFIER_TEST_POSTGRES names the server");
    let name = format!("greffier_api_test_{:032x}", rand::random::<u128>());
    // Only the store may speak SQL; this is PostgreSQL's own program for it.
    let made = Command::new("createdb")
        .args(["--maintenance-db", &server, &name])
        .output()
        .expect("PostgreSQL's `createdb` is on PATH");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut url: url::Url = server.parse().unwrap();
    url.set_path(&name);
    Some(url.to_string())
}

/// An empty `token` shows nothing.
pub(crate) fn request(method: Method, path: &str, token: &str) -> axum::http::request::Builder {
    let peer = SocketAddr::from(([192, 0, 2, 1], 50_000));
    let request = Request::builder().method(method).uri(path).extension(ConnectInfo(peer));
    if token.is_empty() {
        request
    } else {
        request.header(header::AUTHORIZATION, format!("Bearer {token}"))
    }
}

pub(crate) fn livekit_token(secret: &str, ttl: Duration, grants: VideoGrants) -> String {
    AccessToken::with_api_key(LIVEKIT_KEY, secret)
        .with_identity("ana")
        .with_ttl(ttl)
        .with_grants(grants)
        .to_jwt()
        .unwrap()
}

fn snapshot(recording: RecordingId, segment: greffier_media::ids::SegmentIndex) -> RoomEvent {
    RoomEvent::Snapshot {
        recording,
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

fn camera() -> TrackChannel {
    TrackChannel {
        track: TrackSid::new("TR_1").unwrap(),
        track_name: "camera".into(),
        participant: ParticipantSid::new("PA_ana").unwrap(),
        identity: ParticipantIdentity::new("ana").unwrap(),
        participant_name: "Ána Müller".into(),
        source: TrackSource::Camera,
        kind: MediaKind::Video,
        mime: "video/VP8".into(),
        clock_rate: ClockRate::VIDEO,
        channels: 0,
        fmtp: String::new(),
        ssrc: 1,
        payload_types: Vec::new(),
        encryption: Encryption::None,
    }
}
