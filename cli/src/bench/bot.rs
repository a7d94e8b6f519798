//! The recorder of a bench: what `greffier serve` runs for capture, and nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use greffier_agent::capture::metric;
use greffier_agent::clock::SystemClock;
use greffier_agent::livekit::{LiveKit, LiveKitConfig};
use greffier_agent::recorder::{Recorder, RecorderConfig, StartRecording};
use greffier_agent::renders::{Renders, RendersConfig};
use greffier_agent::supervisor::Supervisor;
use greffier_agent::webhook::Outbox;
use greffier_media::ids::{RecordingId, RoomName};
use greffier_media::journal::event::StopReason;
use greffier_media::lifecycle::RecordingState;
use greffier_store::recordings::{RecordingName, RecordingRequest};
use greffier_store::{Store, StoreConfig};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde::{Deserialize, Serialize};
use url::Url;

use super::child::{Parent, say};

/// What the process is to do.
#[derive(Debug, Serialize, Deserialize)]
pub struct BotConfig {
    pub url: Url,
    pub key: String,
    pub secret: String,
    pub rooms: Vec<String>,
    /// Tracks that each room has; it is ready when it receives all of them.
    pub tracks: usize,
    pub data: PathBuf,
}

/// What it answers: once it captures, and whenever it is asked.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct BotSample {
    /// Written to journals so far.
    pub packets: u64,
    /// RTP payload.
    pub bytes: u64,
    /// Dropped by the bot itself.
    pub dropped: u64,
    /// Seconds and how many flushes took no longer, cumulative.
    pub flushes: Vec<(f64, u64)>,
}

/// The last answer: folders of journals.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct BotEnd {
    pub sealed: Vec<PathBuf>,
    pub last: BotSample,
}

const READY_LIMIT: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Seconds.
const BUCKETS: &[f64] = &[
    0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.11, 0.12, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 60.0,
];

pub async fn run() -> anyhow::Result<ExitCode> {
    let mut parent = Parent::new();
    let config: BotConfig = parent.config().await?;
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), BUCKETS)?
        .install_recorder()?;
    let clock = SystemClock::start();
    let supervisor = Supervisor::new();
    let store = StoreConfig {
        data_dir: config.data.clone(),
        ..StoreConfig::default()
    };
    let store = Store::open(&store, Arc::new(clock)).await?;
    let livekit = LiveKit::new(LiveKitConfig {
        url: config.url.clone(),
        api_key: config.key.clone(),
        api_secret: config.secret.clone().into(),
    });
    let outbox = Outbox::new(&[])?;
    let program = std::env::current_exe()?;
    let renders = Renders::new(store.clone(), clock, outbox.clone(), RendersConfig::default(), program);
    let recording = RecorderConfig {
        render_tracks: false,
        max_recordings: config.rooms.len(),
        ..RecorderConfig::default()
    };
    let recorder = Recorder::new(
        store.clone(),
        livekit,
        clock,
        supervisor.clone(),
        outbox,
        renders,
        recording,
    )?;
    let mut running = Vec::new();
    for room in &config.rooms {
        let start = StartRecording {
            room: RoomName::new(room)?,
            room_sid: None,
            name: RecordingName::new("bench")?,
            request: RecordingRequest::default(),
            labels: BTreeMap::new(),
        };
        running.push(recorder.start(start).await?.id);
    }
    until_captured(&recorder, &running, config.tracks).await?;
    say(&sample(&metrics))?;
    while parent
        .order::<serde_json::Value>()
        .await?
        .is_some_and(|order| order == "sample")
    {
        say(&sample(&metrics))?;
    }
    for id in &running {
        recorder
            .stop(*id, StopReason::Requested)
            .await
            .context("a recording ended by itself")?;
    }
    let mut end = BotEnd::default();
    for id in running {
        let state = sealed(&store, id).await?;
        if state == RecordingState::Sealed {
            end.sealed.push(store.data().recording(id));
        }
    }
    end.last = sample(&metrics);
    supervisor.shutdown(READY_LIMIT, std::future::pending()).await;
    store.close().await?;
    say(&end)?;
    Ok(ExitCode::SUCCESS)
}

/// Waits until every track is received.
async fn until_captured(recorder: &Recorder, running: &[RecordingId], tracks: usize) -> anyhow::Result<()> {
    let all = async {
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            look.tick().await;
            if running.iter().all(|id| {
                recorder
                    .live(*id)
                    .is_some_and(|live| live.joined && live.tracks >= tracks)
            }) {
                return;
            }
        }
    };
    if tokio::time::timeout(READY_LIMIT, all).await.is_err() {
        let tracks: Vec<usize> = running
            .iter()
            .filter_map(|id| recorder.live(*id))
            .map(|live| live.tracks)
            .collect();
        bail!(
            "not all tracks were received after {} s; by room: {tracks:?}",
            READY_LIMIT.as_secs()
        );
    }
    Ok(())
}

/// Waits until a recording has ended, and says how.
async fn sealed(store: &Store, id: RecordingId) -> anyhow::Result<RecordingState> {
    let ended = async {
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            look.tick().await;
            let state = store.recordings().get(id).await?.state;
            if matches!(state, RecordingState::Sealed | RecordingState::Failed(_)) {
                return anyhow::Ok(state);
            }
        }
    };
    tokio::time::timeout(READY_LIMIT, ended)
        .await
        .context("a recording was not sealed in time")?
}

fn sample(metrics: &PrometheusHandle) -> BotSample {
    let text = metrics.render();
    let value = |line: &str| line.rsplit_once(' ').and_then(|(_, value)| value.parse::<f64>().ok());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counters are whole and not negative"
    )]
    let counter = |name: &str| {
        let line = text
            .lines()
            .find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])));
        line.and_then(value).unwrap_or_default() as u64
    };
    let bucket = |line: &str| {
        let rest = line
            .strip_prefix(metric::FLUSH_SECONDS)?
            .strip_prefix("_bucket{le=\"")?;
        let (bound, rest) = rest.split_once('"')?;
        let count = rest.rsplit_once(' ')?.1.parse().ok()?;
        Some((bound.parse().unwrap_or(f64::INFINITY), count))
    };
    BotSample {
        packets: counter(metric::PACKETS),
        bytes: counter(metric::BYTES),
        dropped: counter(metric::PACKETS_LOST),
        flushes: text
            .lines()
            .filter_map(bucket)
            .filter(|(bound, _)| bound.is_finite())
            .collect(),
    }
}
