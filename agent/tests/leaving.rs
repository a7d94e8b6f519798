//! Who leaves a room leaves nothing of it in memory, whoever else stays. Alone in its process: it counts what there is.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use greffier_agent::livekit::{LiveKit, LiveKitConfig};
use greffier_agent::synthetic::Pacer;
use greffier_agent::synthetic::clip::{Clips, Resolution, VideoSpec, default_cache};
use greffier_agent::synthetic::participant::{JoinOptions, Participant};
use greffier_media::codec::Codec;
use greffier_tests::{Server, need};
use libwebrtc::raw::peer_connections;
use livekit::{RoomEvent, SimulateScenario};
use tokio::sync::mpsc::UnboundedReceiver;

const ROOM: &str = "leaving";
const PATIENCE: Duration = Duration::from_secs(20);
/// Of one room: one to publish and one to subscribe.
const OF_A_ROOM: usize = 2;

struct Somebody {
    participant: Participant,
    events: UnboundedReceiver<RoomEvent>,
}

async fn join(server: &Server, identity: &str, pacer: &Pacer) -> Result<Somebody> {
    let join = JoinOptions {
        url: server.url(),
        token: server.token(ROOM, identity)?,
        subscribe: true,
    };
    let (participant, events) = Participant::join(join, pacer.clone(), None).await?;
    Ok(Somebody { participant, events })
}

impl Somebody {
    async fn until(&mut self, what: &str, wanted: impl Fn(&RoomEvent) -> bool) -> Result<()> {
        let comes = async {
            while let Some(event) = self.events.recv().await {
                if wanted(&event) {
                    return Ok(());
                }
            }
            anyhow::bail!("no events any more")
        };
        tokio::time::timeout(PATIENCE, comes)
            .await
            .with_context(|| what.to_owned())?
    }

    async fn leave(self) {
        drop(self.events);
        self.participant.leave().await;
    }
}

/// Somebody who has been given the speaker's track.
async fn listen(server: &Server, identity: &str, pacer: &Pacer) -> Result<Somebody> {
    let mut listener = join(server, identity, pacer).await?;
    let subscribed = |event: &RoomEvent| matches!(event, RoomEvent::TrackSubscribed { .. });
    listener.until("a track is heard", subscribed).await?;
    Ok(listener)
}

/// What is left once everything has had time to go.
async fn left(expected: usize) -> usize {
    let gone = async {
        while peer_connections() > expected {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // The SDK has tasks that wait ten seconds for what does not come any more. What does not go in this time does not go at
    // all; the count says so.
    let _ = tokio::time::timeout(Duration::from_secs(30), gone).await;
    peer_connections()
}

async fn nothing_stays(server: Server) -> Result<()> {
    let clips = Clips::new(default_cache());
    let clip = clips
        .video(&VideoSpec::camera(Codec::Vp8, Resolution::P180, false))
        .await?;
    let pacer = Pacer::start()?;
    let mut speaker = join(&server, "speaker", &pacer).await?;
    speaker
        .participant
        .publish_video(clip, greffier_agent::clock::instant())
        .await?;
    ensure!(peer_connections() <= OF_A_ROOM, "one room, at first");
    let alone = peer_connections();

    for round in 1..=3 {
        let listener = listen(&server, "listener", &pacer).await?;
        ensure!(peer_connections() > alone, "the listener is connected");
        listener.leave().await;
        ensure!(left(alone).await == alone, "round {round}: what left is gone");
    }

    let mut listener = listen(&server, "listener", &pacer).await?;
    let resume = SimulateScenario::SignalReconnect;
    listener.participant.room().simulate_scenario(resume).await?;
    listener
        .until("it resumes", |event| matches!(event, RoomEvent::Reconnected))
        .await?;
    listener.leave().await;
    ensure!(left(alone).await == alone, "after a resume too");

    let mut listeners = Vec::new();
    for number in 0..6 {
        listeners.push(listen(&server, &format!("listener-{number}"), &pacer).await?);
    }
    let livekit = LiveKit::new(LiveKitConfig {
        url: server.http_url().parse()?,
        api_key: server.api_key().to_owned(),
        api_secret: server.api_secret().to_owned().into(),
    });
    livekit.room_client().delete_room(ROOM).await?;
    for mut listener in listeners {
        listener
            .until("the room ends", |event| matches!(event, RoomEvent::Disconnected { .. }))
            .await?;
        listener.leave().await;
    }
    speaker.leave().await;
    ensure!(left(0).await == 0, "of a room that was ended, nothing is left");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_leaves_nothing_behind() {
    let Some(server) = need(Server::start()) else { return };
    need(nothing_stays(server).await);
}
