//! One process of a load test: it plays its parts, looks at them once a second, and says what it saw.
//!
//! It is told what to do by lines of JSON and answers with lines of JSON, so it runs as a child process; its parent merges.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::LoadError;
use super::actor::Actor;
use super::measure::{Measured, TesterHealth, Tick};
use super::plan::Part;
use super::process::{Process, Processors, Usage};
use super::scenario::Scenario;
use super::stage::{Stage, now, p99_ms};
use crate::clock::{self, SystemClock};
use crate::livekit::{LiveKit, LiveKitConfig};
use crate::supervisor::{Supervisor, TaskKind};
use crate::synthetic::Pacer;
use crate::synthetic::clip::Clips;
use crate::synthetic::reception::micros;
use crate::synthetic::recorded::RecordedMeeting;

/// What a process is to play.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkerConfig {
    pub url: url::Url,
    /// Key and secret, if tokens are minted here.
    pub key: Option<(String, String)>,
    pub scenario: Scenario,
    /// Names of the rooms, by number.
    pub rooms: Vec<String>,
    pub parts: Vec<Part>,
    /// For each part, if tokens come from a list.
    pub tokens: Vec<Option<String>>,
    pub clips: PathBuf,
}

/// What a process is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Begin at this moment: milliseconds since the Unix epoch.
    Begin(u64),
    Stop,
}

/// What a process says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// What is sent is loaded; the digest is of it, so that it can be seen whether all have the same.
    Ready(String),
    Tick(Box<Tick>),
    Done(Box<Measured>),
    Failed(String),
}

/// How often the event loop is asked how late it is.
const LAG_EVERY: Duration = Duration::from_millis(50);
const LOOKS_PER_SECOND: u32 = 20;
/// All have this long to leave.
const LEAVE_WITHIN: Duration = Duration::from_secs(15);

/// Plays. Ends when it is over, when it is told, or when nobody tells any more.
pub async fn play(
    config: WorkerConfig,
    supervisor: &Supervisor,
    mut orders: mpsc::Receiver<Order>,
    words: mpsc::Sender<Word>,
) {
    let word = match prepare(&config).await {
        Ok((stage, media)) => {
            // Whoever does not listen is gone, and then there will be no order either.
            let _ = words.send(Word::Ready(media)).await;
            match orders.recv().await {
                Some(Order::Begin(at)) => Word::Done(Box::new(
                    perform(config, stage, supervisor, at, &mut orders, &words).await,
                )),
                Some(Order::Stop) | None => return,
            }
        }
        Err(error) => Word::Failed(error.to_string()),
    };
    let _ = words.send(word).await;
}

async fn prepare(config: &WorkerConfig) -> Result<(Arc<Stage>, String), LoadError> {
    let clips = Clips::new(config.clips.clone());
    let mut media = Sha256::new();
    for video in config.scenario.videos() {
        for layer in &clips.video(&video).await?.layers {
            let payloads = layer.frames.iter().flat_map(|frame| &frame.payloads);
            payloads.for_each(|payload| media.update(payload));
        }
    }
    if config.scenario.has_voices() {
        for voice in 0..Clips::VOICES {
            clips
                .voice(voice)
                .await?
                .packets
                .iter()
                .for_each(|packet| media.update(packet));
        }
    }
    let meeting = match &config.scenario.recording {
        Some(folder) => Some(Arc::new(read_meeting(folder.clone()).await?)),
        None => None,
    };
    for track in meeting
        .iter()
        .flat_map(|meeting| &meeting.people)
        .flat_map(|person| &person.tracks)
    {
        track.packets.iter().for_each(|packet| media.update(&packet.payload));
    }
    let digest = media.finalize();
    let (first, _) = digest.split_first_chunk::<8>().expect("a digest has 32 bytes");
    let media = format!("{:016x}", u64::from_be_bytes(*first));
    let livekit = config.key.as_ref().map(|(key, secret)| {
        LiveKit::new(LiveKitConfig {
            url: config.url.clone(),
            api_key: key.clone(),
            api_secret: secret.clone().into(),
        })
    });
    let url = config.url.as_str().replacen("http", "ws", 1);
    let (scenario, rooms) = (config.scenario.clone(), config.rooms.clone());
    let clock = SystemClock::start();
    let stage = Stage::new(scenario, rooms, url, livekit, clips, meeting, Pacer::start()?, clock);
    Ok((Arc::new(stage), media))
}

async fn perform(
    config: WorkerConfig,
    stage: Arc<Stage>,
    supervisor: &Supervisor,
    begin_at: u64,
    orders: &mut mpsc::Receiver<Order>,
    words: &mpsc::Sender<Word>,
) -> Measured {
    let start = tokio::time::Instant::from_std(now()) + until(begin_at);
    let stop = CancellationToken::new();
    // Closed when the last actor has dropped its end.
    let (alive, mut gone) = mpsc::channel::<()>(1);
    for (index, (part, token)) in config.parts.into_iter().zip(config.tokens).enumerate() {
        let name = part.identity.clone();
        let actor = Actor::new(index, part, token, Arc::clone(&stage), start);
        let (stop, alive) = (stop.clone(), alive.clone());
        supervisor.spawn(TaskKind::Participant, &name, |shutdown| async move {
            tokio::select! {
                () = actor.play(stop.clone()) => {}
                () = async { shutdown.cancelled().await; stop.cancel(); std::future::pending::<()>().await } => {}
            }
            drop(alive);
            Ok::<(), std::convert::Infallible>(())
        });
    }
    drop(alive);
    let end = start + config.scenario.duration.get();
    let mut health = Health::new();
    let mut look = interval_at(start + LAG_EVERY, LAG_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut looks, mut sent) = (0u32, 0);
    loop {
        tokio::select! {
            due = look.tick() => {
                health.loop_lag(now().saturating_duration_since(due.into_std()));
                looks += 1;
                if looks % LOOKS_PER_SECOND == 0 {
                    let mut tick = stage.look(Duration::from_secs(1));
                    tick.second = looks / LOOKS_PER_SECOND;
                    let all_sent = std::mem::replace(&mut sent, tick.sent);
                    tick.sent -= all_sent;
                    tick.tester = health.take(&stage);
                    if words.send(Word::Tick(Box::new(tick))).await.is_err() {
                        break;
                    }
                }
            }
            order = orders.recv() => {
                if !matches!(order, Some(Order::Begin(_))) {
                    break;
                }
            }
            () = tokio::time::sleep_until(end) => break,
        }
    }
    let drops = health.socket_drops();
    stop.cancel();
    if tokio::time::timeout(LEAVE_WITHIN, gone.recv()).await.is_err() {
        stage.error("stuck", "somebody did not leave in time");
    }
    stage.finish(drops)
}

/// Reads a recorded meeting where it holds up nobody.
pub(super) async fn read_meeting(folder: PathBuf) -> Result<RecordedMeeting, LoadError> {
    let reading = tokio::task::spawn_blocking(move || RecordedMeeting::read(&folder));
    let read = reading.await.map_err(|error| LoadError::Worker(error.to_string()))?;
    Ok(read?)
}

/// Processes begin together by the machine's clock.
fn until(unix_millis: u64) -> Duration {
    Duration::from_millis(unix_millis).saturating_sub(clock::unix())
}

/// How this process fares.
struct Health {
    process: Process,
    usage: Usage,
    first: Usage,
    machine: Processors,
    at: std::time::Instant,
    loop_lag: Histogram<u64>,
}

impl Health {
    fn new() -> Self {
        let process = Process::current();
        let usage = process.usage().unwrap_or_default();
        Self {
            process,
            usage,
            first: usage,
            machine: Processors::now().unwrap_or_default(),
            at: now(),
            loop_lag: micros(),
        }
    }

    fn loop_lag(&mut self, late: Duration) {
        self.loop_lag
            .saturating_record(u64::try_from(late.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    /// Since the start: sockets that were closed in between are not counted, so it can be less than there was.
    fn socket_drops(&self) -> u64 {
        let now = self.process.usage().unwrap_or(self.usage);
        now.socket_drops.saturating_sub(self.first.socket_drops)
    }

    fn take(&mut self, stage: &Stage) -> TesterHealth {
        let usage = self.process.usage().unwrap_or(self.usage);
        let before = std::mem::replace(&mut self.usage, usage);
        let machine = Processors::now().unwrap_or_default();
        let was = std::mem::replace(&mut self.machine, machine);
        let at = now();
        let passed = at
            .saturating_duration_since(std::mem::replace(&mut self.at, at))
            .as_secs_f64();
        let loop_lag = std::mem::replace(&mut self.loop_lag, micros());
        TesterHealth {
            cpu_percent: usage.cpu.saturating_sub(before.cpu).as_secs_f64() / passed.max(0.001) * 100.0,
            rss_mebibytes: usage.rss as f64 / f64::from(1 << 20),
            socket_drops: usage.socket_drops.saturating_sub(before.socket_drops),
            send_lag_ms: p99_ms(&stage.pacer.take_lag()),
            loop_lag_ms: p99_ms(&loop_lag),
            machine_percent: machine.busy_since(was) * 100.0,
        }
    }
}
