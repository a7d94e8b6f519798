//! Somebody in a room through the unmodified SDK, who sends packets that say whose they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use greffier_tests::Server;
use libwebrtc::audio_source::AudioSourceOptions;
use libwebrtc::audio_source::native::NativeAudioSource;
use libwebrtc::prelude::RtcAudioSource;
use libwebrtc::raw::{
    LocalRtp, LocalTrackExt as _, OutgoingPacket, RemoteTrackExt as _, RtpPacket, RtpSink, SenderReport, Written,
};
use libwebrtc::video_source::native::NativeVideoSource;
use libwebrtc::video_source::{RtcVideoSource, VideoResolution};
use livekit::options::{TrackPublishOptions, VideoCodec};
use livekit::prelude::{LocalAudioTrack, LocalTrack, LocalVideoTrack, RemoteTrack, TrackSource};
use livekit::{Room, RoomEvent, RoomOptions};
use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A server on an idle machine does each thing asked here within a second; a broken engine never does.
const PATIENCE: Duration = Duration::from_secs(20);
const EVERY: Duration = Duration::from_millis(20);

pub struct Person {
    pub room: Room,
    events: UnboundedReceiver<RoomEvent>,
    sending: Vec<DropGuard>,
    /// Packets that went out, of all tracks.
    pub sent: Arc<AtomicU64>,
}

/// What came of one track: the marker of each packet.
#[derive(Clone, Default)]
pub struct Heard(Arc<Mutex<Vec<u8>>>);

struct Ear {
    heard: Heard,
    bytes: Arc<AtomicU64>,
}

impl Heard {
    pub fn markers(&self) -> Vec<u8> {
        self.0.lock().clone()
    }

    pub fn count(&self) -> usize {
        self.0.lock().len()
    }
}

impl RtpSink for Ear {
    fn packet(&mut self, packet: RtpPacket) {
        self.bytes.fetch_add(packet.payload.len() as u64, Ordering::Relaxed);
        if let Some(marker) = packet.payload.last() {
            self.heard.0.lock().push(*marker);
        }
    }

    fn sender_report(&mut self, _: SenderReport) {}
}

impl Person {
    pub async fn join(server: &Server, room: &str, identity: &str, single: bool) -> Result<Self> {
        let mut options = RoomOptions::default();
        options.single_peer_connection = single;
        options.join_retries = 0;
        options.connect_timeout = PATIENCE;
        let token = server.token(room, identity)?;
        let (room, events) = Room::connect(&server.url(), &token, options)
            .await
            .with_context(|| format!("{identity} cannot join"))?;
        Ok(Self {
            room,
            events,
            sending: Vec::new(),
            sent: Arc::default(),
        })
    }

    /// Publishes a microphone, whose packets end with `marker`, 50 in each second.
    pub async fn speak(&mut self, marker: u8) -> Result<LocalAudioTrack> {
        let source = NativeAudioSource::new(AudioSourceOptions::default(), 48_000, 1, 0);
        let track = LocalAudioTrack::create_audio_track("microphone", RtcAudioSource::Native(source));
        let options = TrackPublishOptions {
            source: TrackSource::Microphone,
            red: false,
            ..TrackPublishOptions::default()
        };
        let published = self.room.local_participant();
        published
            .publish_track(LocalTrack::Audio(track.clone()), options)
            .await?;
        // An Opus packet of one frame of 20 ms (RFC 6716 §3.1), then anything.
        self.send(track.rtc_track().rtp(), Bytes::from(vec![0xf8, 0, 0, marker]), 960)?;
        Ok(track)
    }

    /// Publishes a camera of key frames in VP8 that end with `marker`, 50 in each second.
    pub async fn show(&mut self, marker: u8) -> Result<LocalVideoTrack> {
        let resolution = VideoResolution { width: 64, height: 64 };
        let source = RtcVideoSource::Native(NativeVideoSource::new_encoded(resolution));
        let track = LocalVideoTrack::create_video_track("camera", source);
        let options = TrackPublishOptions {
            source: TrackSource::Camera,
            video_codec: VideoCodec::VP8,
            simulcast: false,
            ..TrackPublishOptions::default()
        };
        let published = self.room.local_participant();
        published
            .publish_track(LocalTrack::Video(track.clone()), options)
            .await?;
        // Descriptor (RFC 7741 §4.2: a partition begins), frame tag and start code of a key frame of 64x64 (RFC 6386 §9.1).
        let frame = vec![0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 64, 0, 64, 0, marker];
        self.send(track.rtc_track().rtp(), Bytes::from(frame), 1800)?;
        Ok(track)
    }

    fn send(&mut self, rtp: Option<LocalRtp>, payload: Bytes, ticks: u32) -> Result<()> {
        let rtp = rtp.context("the track has no RTP input")?;
        let sent = Arc::clone(&self.sent);
        let stop = CancellationToken::new();
        self.sending.push(stop.clone().drop_guard());
        let keep_on = move || {
            let mut number = 0u16;
            while !stop.is_cancelled() {
                let packet = OutgoingPacket {
                    sequence_number: number,
                    timestamp: u32::from(number).wrapping_mul(ticks),
                    marker: true,
                    payload: payload.clone(),
                    captured: None,
                    stamp_capture: false,
                };
                if matches!(rtp.write(0, &packet), Ok(Written::Sent)) {
                    sent.fetch_add(1, Ordering::Relaxed);
                    number = number.wrapping_add(1);
                }
                std::thread::park_timeout(EVERY);
            }
        };
        std::thread::Builder::new().name("sending".to_owned()).spawn(keep_on)?;
        Ok(())
    }

    /// The next event that `wanted` takes; others are passed over.
    pub async fn until<T>(&mut self, what: &str, mut wanted: impl FnMut(RoomEvent) -> Option<T>) -> Result<T> {
        let found = async {
            while let Some(event) = self.events.recv().await {
                if let Some(found) = wanted(event) {
                    return Ok(found);
                }
            }
            bail!("the room ended before {what}")
        };
        tokio::time::timeout(PATIENCE, found)
            .await
            .with_context(|| format!("no {what} in time"))?
    }

    /// The next track of `identity`, listened to.
    pub async fn track_of(&mut self, identity: &str) -> Result<(RemoteTrack, Heard, Arc<AtomicU64>)> {
        let track = self
            .until(&format!("track of {identity}"), |event| match event {
                RoomEvent::TrackSubscribed { track, participant, .. }
                    if participant.identity().as_str() == identity =>
                {
                    Some(track)
                }
                _ => None,
            })
            .await?;
        let (heard, bytes) = (Heard::default(), Arc::<AtomicU64>::default());
        let ear = Ear {
            heard: heard.clone(),
            bytes: Arc::clone(&bytes),
        };
        track.rtc_track().set_rtp_sink(Some(Box::new(ear)));
        Ok((track, heard, bytes))
    }

    pub async fn leave(mut self) -> Result<()> {
        self.stop_sending();
        self.room.close().await?;
        Ok(())
    }

    pub fn stop_sending(&mut self) {
        self.sending.clear();
    }
}

/// Waits until so many packets have been heard since.
pub async fn hears(heard: &Heard, more: usize) -> Result<()> {
    let enough = heard.count() + more;
    let waited = async {
        while heard.count() < enough {
            tokio::time::sleep(EVERY).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited)
        .await
        .with_context(|| format!("{} of {enough} packets", heard.count()))
}
