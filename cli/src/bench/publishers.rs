//! The participants of a bench: they publish, and that is all.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use greffier_agent::clock::instant as now;
use greffier_agent::livekit::{BotGrants, LiveKit, LiveKitConfig};
use greffier_agent::supervisor::{Supervisor, TaskKind};
use greffier_agent::synthetic::clip::{Clips, VideoSpec};
use greffier_agent::synthetic::participant::{JoinOptions, Participant};
use greffier_agent::synthetic::{Pacer, Sent};
use serde::{Deserialize, Serialize};
use url::Url;

use super::child::{Parent, say};

/// What the process is to do.
#[derive(Debug, Serialize, Deserialize)]
pub struct PublishersConfig {
    pub url: Url,
    pub key: String,
    pub secret: String,
    pub rooms: Vec<String>,
    /// In each room.
    pub publishers: u32,
    pub video: VideoSpec,
    pub clips: PathBuf,
}

/// What it answers: first when all have joined, then whenever it is asked.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct PublishersSample {
    pub packets: u64,
    /// RTP payload.
    pub bytes: u64,
    /// Frames that were left out because the process was late.
    pub skipped: u64,
}

/// So many join at a time.
const JOINING: usize = 8;
/// One publisher after the other, so that not all frames fall on the same millisecond.
const APART: Duration = Duration::from_micros(3_700);

pub async fn run() -> anyhow::Result<ExitCode> {
    let mut parent = Parent::new();
    let config: PublishersConfig = parent.config().await?;
    let livekit = LiveKit::new(LiveKitConfig {
        url: config.url.clone(),
        api_key: config.key.clone(),
        api_secret: config.secret.clone().into(),
    });
    let clips = Clips::new(config.clips.clone());
    let video = clips.video(&config.video).await?;
    let voice = clips.voice(0).await?;
    let pacer = Pacer::start()?;
    let supervisor = Supervisor::new();
    let places = config
        .rooms
        .iter()
        .flat_map(|room| (0..config.publishers).map(move |n| (room, n)));
    let joined = stream::iter(places.enumerate())
        .map(|(at, (room, n))| {
            let (livekit, pacer, supervisor) = (livekit.clone(), pacer.clone(), supervisor.clone());
            let (video, voice) = (Arc::clone(&video), Arc::clone(&voice));
            async move {
                let identity = format!("publisher-{n}");
                let grants = BotGrants::Synthetic { publish: true };
                let token = livekit.bot_token(room, &identity, &identity, grants)?;
                let options = JoinOptions {
                    url: livekit.websocket_url(),
                    token,
                    subscribe: false,
                };
                let (mut participant, mut events) = Participant::join(options, pacer, None).await?;
                supervisor.spawn(TaskKind::Participant, &identity, |token| async move {
                    tokio::select! {
                        () = async { while events.recv().await.is_some() {} } => {}
                        () = token.cancelled() => {}
                    }
                    Ok::<(), std::convert::Infallible>(())
                });
                let start = now() + APART * u32::try_from(at)?;
                let seen = participant.publish_video(video, start).await?.sent;
                let heard = participant.publish_voice(voice, start, false).await?;
                heard.set_speaking(true);
                anyhow::Ok((participant, [seen, heard.sent]))
            }
        })
        .buffered(JOINING)
        .try_collect::<Vec<_>>()
        .await
        .context("the publishers could not all join")?;
    let (participants, sent): (Vec<_>, Vec<_>) = joined.into_iter().unzip();
    let sent: Vec<Arc<Sent>> = sent.into_iter().flatten().collect();
    say(&sample(&sent))?;
    while parent.order::<serde_json::Value>().await?.is_some() {
        say(&sample(&sent))?;
    }
    stream::iter(participants)
        .for_each_concurrent(JOINING, Participant::leave)
        .await;
    Ok(ExitCode::SUCCESS)
}

fn sample(sent: &[Arc<Sent>]) -> PublishersSample {
    sent.iter()
        .fold(PublishersSample::default(), |sum, sent| PublishersSample {
            packets: sum.packets + sent.packets.load(Ordering::Relaxed),
            bytes: sum.bytes + sent.bytes.load(Ordering::Relaxed),
            skipped: sum.skipped + sent.skipped.load(Ordering::Relaxed),
        })
}
