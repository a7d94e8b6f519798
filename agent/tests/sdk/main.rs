//! The unmodified LiveKit SDK on our engine, against a real server: what its users rely on, in both of its modes.

mod person;

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result};
use greffier_agent::synthetic::Pacer;
use greffier_agent::synthetic::clip::{Clips, Resolution, VideoSpec, default_cache};
use greffier_agent::synthetic::participant::{JoinOptions, Participant};
use greffier_media::codec::{Codec, Dims};
use greffier_media::depacketize::announced_dims;
use greffier_tests::server::Udp;
use greffier_tests::{Server, need};
use libwebrtc::raw::{RemoteTrackExt as _, RtpPacket, RtpSink, SenderReport, Settings};
use libwebrtc::stats::RtcStats;
use livekit::prelude::RemoteTrack;
use livekit::track::VideoQuality;
use livekit::{RoomEvent, SimulateScenario};
use person::{Heard, Person, hears};
use serde_json::json;
use tokio::sync::mpsc;

/// Packets that show that a path goes on carrying: half a second of them.
const SOME: usize = 25;

async fn with_server<F: Future<Output = Result<()>>>(server: Result<Server>, test: impl FnOnce(Server) -> F) {
    let Some(server) = need(server) else { return };
    need(test(server).await);
}

/// Three people publish one after the other, so that the server uses the same sections of the description for all of them:
/// nobody's packets may reach the track of who was there before.
async fn three_who_follow_each_other(server: Server, single: bool) -> Result<()> {
    let mut listener = Person::join(&server, "follow", "listener", single).await?;
    let mut all: Vec<(u8, Heard)> = Vec::new();
    let mut sections = Vec::new();
    for marker in 1..=3u8 {
        let identity = format!("person-{marker}");
        let mut person = Person::join(&server, "follow", &identity, single).await?;
        person.speak(marker).await?;
        person.show(marker).await?;
        for _ in 0..2 {
            let (track, heard, _) = listener.track_of(&identity).await?;
            hears(&heard, SOME).await?;
            sections.push(section(&track).await?);
            all.push((marker, heard));
        }
        person.leave().await?;
        listener
            .until("farewell", |event| match event {
                RoomEvent::ParticipantDisconnected(who) => (who.identity().as_str() == identity).then_some(()),
                _ => None,
            })
            .await?;
    }
    for (marker, heard) in &all {
        // The server ends a track with packets of its own, which are nobody's: they end with 0.
        let others = |found: &u8| found != marker && (1..=3).contains(found);
        let strangers: HashSet<u8> = heard.markers().into_iter().filter(others).collect();
        assert!(
            strangers.is_empty(),
            "the track of {marker} brought packets of {strangers:?}"
        );
    }
    let different: HashSet<&String> = sections.iter().collect();
    assert!(
        different.len() < sections.len(),
        "no section was used twice, so this shows nothing: {sections:?}"
    );
    listener.leave().await
}

/// The section of the description that a track came in.
async fn section(track: &RemoteTrack) -> Result<String> {
    let stats = track.get_stats().await?;
    let inbound = stats.into_iter().find_map(|stats| match stats {
        RtcStats::InboundRtp(inbound) => Some(inbound.inbound.mid),
        _ => None,
    });
    inbound.context("nothing about what came in")
}

#[tokio::test(flavor = "multi_thread")]
async fn three_who_follow_each_other_over_one_connection() {
    with_server(Server::start(), |server| three_who_follow_each_other(server, true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_who_follow_each_other_over_two_connections() {
    with_server(Server::start(), |server| three_who_follow_each_other(server, false)).await;
}

/// The signalling breaks: media goes on, on the same tracks.
async fn resume(server: Server, single: bool) -> Result<()> {
    let mut speaker = Person::join(&server, "resume", "speaker", single).await?;
    speaker.speak(7).await?;
    let mut listener = Person::join(&server, "resume", "listener", single).await?;
    let (_track, heard, _) = listener.track_of("speaker").await?;
    hears(&heard, SOME).await?;
    for _ in 0..2 {
        listener
            .room
            .simulate_scenario(SimulateScenario::SignalReconnect)
            .await?;
        let mut lost = false;
        listener
            .until("resume", |event| match event {
                RoomEvent::TrackUnsubscribed { .. } => {
                    lost = true;
                    None
                }
                RoomEvent::Reconnected => Some(()),
                _ => None,
            })
            .await?;
        assert!(!lost, "a resume keeps its tracks");
        hears(&heard, SOME).await?;
    }
    // And it still hears of what is new.
    speaker.show(8).await?;
    let (_camera, seen, _) = listener.track_of("speaker").await?;
    hears(&seen, SOME).await?;
    listener.leave().await?;
    speaker.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_signal_is_resumed_over_one_connection() {
    with_server(Server::start(), |server| resume(server, true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_signal_is_resumed_over_two_connections() {
    with_server(Server::start(), |server| resume(server, false)).await;
}

/// Nothing of the old connection can be used any more: a new one is made, and both directions work again.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_reconnect_brings_everything_back() {
    with_server(Server::start(), async |server| {
        let mut speaker = Person::join(&server, "full", "speaker", true).await?;
        speaker.speak(7).await?;
        let mut listener = Person::join(&server, "full", "listener", true).await?;
        let (_track, heard, _) = listener.track_of("speaker").await?;
        hears(&heard, SOME).await?;
        listener.room.simulate_scenario(SimulateScenario::FullReconnect).await?;
        let (_track, heard, _) = listener.track_of("speaker").await?;
        hears(&heard, SOME).await?;
        speaker.room.simulate_scenario(SimulateScenario::FullReconnect).await?;
        let (_track, heard, _) = listener.track_of("speaker").await?;
        hears(&heard, SOME).await?;
        listener.leave().await?;
        speaker.leave().await
    })
    .await;
}

/// Both sides without UDP: each packet goes through ICE-TCP.
#[tokio::test(flavor = "multi_thread")]
async fn media_goes_over_tcp_where_udp_does_not() {
    let over_tcp = Settings {
        udp: false,
        ..Settings::default()
    };
    libwebrtc::raw::configure(over_tcp);
    with_server(Server::setup().udp(Udp::Off).start(), async |server| {
        let mut speaker = Person::join(&server, "tcp", "speaker", true).await?;
        speaker.speak(7).await?;
        speaker.show(7).await?;
        let mut listener = Person::join(&server, "tcp", "listener", true).await?;
        for _ in 0..2 {
            let (_track, heard, _) = listener.track_of("speaker").await?;
            hears(&heard, 4 * SOME).await?;
        }
        listener.leave().await?;
        speaker.leave().await
    })
    .await;
    libwebrtc::raw::configure(Settings::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_are_what_went_through() {
    with_server(Server::start(), async |server| {
        let mut speaker = Person::join(&server, "statistics", "speaker", true).await?;
        let microphone = speaker.speak(7).await?;
        let mut listener = Person::join(&server, "statistics", "listener", true).await?;
        let (track, heard, bytes) = listener.track_of("speaker").await?;
        // Reports come every few seconds; round-trip times with them.
        hears(&heard, 12 * SOME).await?;
        speaker.stop_sending();
        tokio::time::sleep(Duration::from_millis(500)).await;

        let received = track.get_stats().await?;
        let inbound = received
            .iter()
            .find_map(|stats| match stats {
                RtcStats::InboundRtp(inbound) => Some(inbound),
                _ => None,
            })
            .context("nothing about what came in")?;
        assert_eq!(inbound.received.packets_received, heard.count() as u64);
        assert_eq!(inbound.received.packets_lost, 0);
        assert_eq!(inbound.inbound.bytes_received, bytes.load(Ordering::Relaxed));
        assert!(
            inbound.received.jitter < 0.1,
            "{} s on one machine",
            inbound.received.jitter
        );
        let codec = received.iter().find_map(|stats| match stats {
            RtcStats::Codec(codec) => Some(codec.codec.mime_type.to_ascii_lowercase()),
            _ => None,
        });
        assert_eq!(codec.as_deref(), Some("audio/opus"));

        let sent = microphone.get_stats().await?;
        let outbound = sent
            .iter()
            .find_map(|stats| match stats {
                RtcStats::OutboundRtp(outbound) => Some(outbound),
                _ => None,
            })
            .context("nothing about what went out")?;
        assert_eq!(outbound.sent.packets_sent, speaker.sent.load(Ordering::Relaxed));
        let round_trip = sent.iter().find_map(|stats| match stats {
            RtcStats::RemoteInboundRtp(remote) => Some(remote.remote_inbound.round_trip_time),
            _ => None,
        });
        assert!(
            round_trip.is_some_and(|seconds| (0.0..0.5).contains(&seconds)),
            "round trip {round_trip:?}"
        );
        listener.leave().await?;
        speaker.leave().await
    })
    .await;
}

/// Tells the size of each key frame that comes.
struct Sizes(mpsc::Sender<Dims>);

impl RtpSink for Sizes {
    fn packet(&mut self, packet: RtpPacket) {
        if let Some(dims) = announced_dims(Codec::Vp8, &packet.payload) {
            // Full: the test has seen enough.
            let _ = self.0.try_send(dims);
        }
    }

    fn sender_report(&mut self, _: SenderReport) {}
}

/// A camera in three layers: who asks for the best gets it, whether the server estimates from REMB, which we do not send,
/// or from our TWCC feedback; and who asks for less gets less, and can go back.
async fn top_layer(server: Server) -> Result<()> {
    let clips = Clips::new(default_cache());
    let clip = clips
        .video(&VideoSpec::camera(Codec::Vp8, Resolution::P360, true))
        .await?;
    let (top, low) = match (clip.layers.first(), clip.layers.last()) {
        (Some(top), Some(low)) if clip.layers.len() > 1 => (top.spec.dims, low.spec.dims),
        _ => anyhow::bail!("the clip has one layer"),
    };
    let join = JoinOptions {
        url: server.url(),
        token: server.token("layers", "camera")?,
        subscribe: false,
    };
    let (mut camera, _events) = Participant::join(join, Pacer::start()?, None).await?;
    camera.publish_video(clip, greffier_agent::clock::instant()).await?;
    let mut listener = Person::join(&server, "layers", "listener", true).await?;
    let (track, _, _) = listener.track_of("camera").await?;
    let (sizes, mut seen) = mpsc::channel(256);
    track.rtc_track().set_rtp_sink(Some(Box::new(Sizes(sizes))));
    let publication = listener
        .room
        .remote_participants()
        .values()
        .flat_map(livekit::prelude::RemoteParticipant::track_publications)
        .map(|(_, publication)| publication)
        .next()
        .context("the camera is published")?;
    for (quality, expected) in [
        (VideoQuality::High, top),
        (VideoQuality::Low, low),
        (VideoQuality::High, top),
    ] {
        publication.set_video_quality(quality);
        let comes = async {
            while let Some(dims) = seen.recv().await {
                if dims == expected {
                    return Ok(());
                }
            }
            anyhow::bail!("the track ended")
        };
        tokio::time::timeout(Duration::from_secs(20), comes)
            .await
            .with_context(|| format!("no {quality:?} layer of {expected:?}"))??;
    }
    camera.leave().await;
    listener.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_top_layer_comes_without_remb() {
    with_server(Server::start(), top_layer).await;
}

fn estimating_by(setting: &'static str) -> Result<Server> {
    let server = Server::setup().configure(|config| config["rtc"]["congestion_control"] = json!({ setting: true }));
    server.start()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_top_layer_comes_by_send_side_estimation() {
    with_server(estimating_by("use_send_side_bwe"), top_layer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_top_layer_comes_by_the_send_side_interceptor() {
    with_server(estimating_by("use_send_side_bwe_interceptor"), top_layer).await;
}
