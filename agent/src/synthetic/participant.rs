//! One synthetic participant's connection: joining, publishing clips, leaving.

use std::sync::Arc;
use std::time::{Duration, Instant};

use greffier_media::codec::{Codec, MediaKind};
use greffier_media::journal;
use libwebrtc::audio_source::AudioSourceOptions;
use libwebrtc::audio_source::native::NativeAudioSource;
use libwebrtc::prelude::RtcAudioSource;
use libwebrtc::raw::LocalTrackExt;
use libwebrtc::video_source::native::NativeVideoSource;
use libwebrtc::video_source::{RtcVideoSource, VideoResolution};
use livekit::options::{TrackPublishOptions, VideoCodec, VideoEncoding, VideoPreset};
use livekit::prelude::{LocalAudioTrack, LocalTrack, LocalTrackPublication, LocalVideoTrack, TrackSource};
use livekit::{Room, RoomEvent, RoomOptions};
use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;

use super::SyntheticError;
use super::clip::{AudioClip, Content, LayerSpec, VideoClip};
use super::impair::Link;
use super::outlet::{AudioFeed, VideoFeed};
use super::pacer::{PaceId, Pacer};
use super::recorded::{RecordedOutlet, RecordedTrack};
use crate::livekit::Joined;

/// How long one attempt to reach the server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// A participant that is in a room.
pub struct Participant {
    room: Joined,
    pacer: Pacer,
    uplink: Option<Arc<Mutex<Link>>>,
    identity: String,
    tracks: Vec<Published>,
}

/// What a published track is fed by.
#[derive(Clone)]
pub enum Feed {
    Video(VideoFeed),
    Audio(AudioFeed),
}

struct Published {
    publication: LocalTrackPublication,
    source: TrackSource,
    pace: PaceId,
    feed: Feed,
    /// Its number among the recorded tracks of whom it plays.
    recorded: Option<usize>,
}

/// How to join.
#[derive(Debug, Clone)]
pub struct JoinOptions {
    pub url: String,
    pub token: String,
    /// Whether to receive what others publish.
    pub subscribe: bool,
}

impl Participant {
    /// Joins; the receiver tells what happens in the room.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses the token.
    pub async fn join(
        options: JoinOptions,
        pacer: Pacer,
        uplink: Option<Arc<Mutex<Link>>>,
    ) -> Result<(Self, UnboundedReceiver<RoomEvent>), SyntheticError> {
        let mut room_options = RoomOptions::default();
        room_options.auto_subscribe = options.subscribe;
        room_options.dynacast = true;
        // What fails is to be seen, not tried again in silence.
        room_options.join_retries = 0;
        room_options.connect_timeout = CONNECT_TIMEOUT;
        let (room, events) = Joined::join(&options.url, &options.token, room_options)
            .await
            .map_err(|error| SyntheticError::Connect {
                url: options.url.clone(),
                message: error.to_string(),
            })?;
        let participant = Self {
            // A token that was made elsewhere decides, whatever was planned.
            identity: room.local_participant().identity().to_string(),
            room,
            pacer,
            uplink,
            tracks: Vec::new(),
        };
        Ok((participant, events))
    }

    pub fn room(&self) -> &Room {
        &self.room
    }

    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Publishes a clip in a loop: a camera or a screen share, as its content says. The first frame is due at `start`.
    ///
    /// # Errors
    /// When the server refuses the track, or the codec cannot be sent.
    pub async fn publish_video(&mut self, clip: Arc<VideoClip>, start: Instant) -> Result<VideoFeed, SyntheticError> {
        let Some(top) = clip.layers.first() else {
            return Err(self.refused("the clip has no layer"));
        };
        let dims = top.spec.dims;
        let resolution = VideoResolution {
            width: dims.width,
            height: dims.height,
        };
        let (name, source) = match clip.content {
            Content::Screen => ("screen", TrackSource::Screenshare),
            Content::Camera | Content::File(_) => ("camera", TrackSource::Camera),
        };
        let track = LocalVideoTrack::create_video_track(
            name,
            RtcVideoSource::Native(NativeVideoSource::new_encoded(resolution)),
        );
        let options = TrackPublishOptions {
            source,
            video_codec: video_codec(clip.codec)?,
            video_encoding: Some(encoding(top.spec)),
            simulcast: clip.layers.len() > 1,
            simulcast_layers: Some(
                clip.layers
                    .iter()
                    .skip(1)
                    .rev()
                    .map(|layer| preset(layer.spec))
                    .collect(),
            ),
            ..TrackPublishOptions::default()
        };
        let publication = self.publish(LocalTrack::Video(track.clone()), options).await?;
        let rtp = track
            .rtc_track()
            .rtp()
            .ok_or_else(|| self.refused("the track has no RTP input"))?;
        let (feed, pace) = VideoFeed::new(rtp, clip, self.uplink.clone(), start);
        self.tracks.push(Published {
            publication,
            source,
            pace: self.pacer.add(pace),
            feed: Feed::Video(feed.clone()),
            recorded: None,
        });
        Ok(feed)
    }

    /// Publishes a voice, silent until it is told to speak.
    ///
    /// # Errors
    /// When the server refuses the track.
    pub async fn publish_voice(
        &mut self,
        clip: Arc<AudioClip>,
        start: Instant,
        dtx: bool,
    ) -> Result<AudioFeed, SyntheticError> {
        let source = NativeAudioSource::new(AudioSourceOptions::default(), 48_000, 1, 0);
        let track = LocalAudioTrack::create_audio_track("microphone", RtcAudioSource::Native(source));
        let options = TrackPublishOptions {
            source: TrackSource::Microphone,
            dtx,
            red: false,
            ..TrackPublishOptions::default()
        };
        let publication = self.publish(LocalTrack::Audio(track.clone()), options).await?;
        let rtp = track
            .rtc_track()
            .rtp()
            .ok_or_else(|| self.refused("the track has no RTP input"))?;
        let (feed, pace) = AudioFeed::new(rtp, clip, self.uplink.clone(), start, dtx);
        self.tracks.push(Published {
            publication,
            source: TrackSource::Microphone,
            pace: self.pacer.add(pace),
            feed: Feed::Audio(feed.clone()),
            recorded: None,
        });
        Ok(feed)
    }

    /// Publishes a track of a recorded meeting that began at `start`. `number` names it to [`set_recorded_muted`] and
    /// [`unpublish_recorded`].
    ///
    /// # Errors
    /// When the server refuses the track.
    ///
    /// [`set_recorded_muted`]: Self::set_recorded_muted
    /// [`unpublish_recorded`]: Self::unpublish_recorded
    pub async fn publish_recorded(
        &mut self,
        number: usize,
        recorded: Arc<RecordedTrack>,
        start: Instant,
    ) -> Result<(TrackSource, VideoFeed), SyntheticError> {
        let source = source_of(&recorded);
        let mut options = TrackPublishOptions {
            source,
            red: false,
            simulcast: false,
            ..TrackPublishOptions::default()
        };
        let (publication, rtp) = match recorded.codec.kind() {
            MediaKind::Audio => {
                let native = NativeAudioSource::new(AudioSourceOptions::default(), 48_000, 1, 0);
                let track = LocalAudioTrack::create_audio_track("recorded", RtcAudioSource::Native(native));
                (
                    self.publish(LocalTrack::Audio(track.clone()), options).await?,
                    track.rtc_track().rtp(),
                )
            }
            MediaKind::Video => {
                options.video_codec = video_codec(recorded.codec)?;
                let resolution = VideoResolution {
                    width: recorded.dims.width,
                    height: recorded.dims.height,
                };
                let native = NativeVideoSource::new_encoded(resolution);
                let track = LocalVideoTrack::create_video_track("recorded", RtcVideoSource::Native(native));
                (
                    self.publish(LocalTrack::Video(track.clone()), options).await?,
                    track.rtc_track().rtp(),
                )
            }
        };
        let rtp = rtp.ok_or_else(|| self.refused("the track has no RTP input"))?;
        let (feed, pace) = RecordedOutlet::playing(rtp, recorded, self.uplink.clone(), start);
        self.tracks.push(Published {
            publication,
            source,
            pace: self.pacer.add(pace),
            feed: Feed::Video(feed.clone()),
            recorded: Some(number),
        });
        Ok((source, feed))
    }

    /// Mutes or unmutes a recorded track.
    pub fn set_recorded_muted(&self, number: usize, muted: bool) {
        for track in self.tracks.iter().filter(|track| track.recorded == Some(number)) {
            track.set_muted(muted);
        }
    }

    /// Takes back a recorded track.
    pub async fn unpublish_recorded(&mut self, number: usize) -> bool {
        self.unpublish_where(|track| track.recorded == Some(number)).await
    }

    async fn publish(
        &self,
        track: LocalTrack,
        options: TrackPublishOptions,
    ) -> Result<LocalTrackPublication, SyntheticError> {
        let published = self.room.local_participant().publish_track(track, options).await;
        published.map_err(|error| self.refused(&error.to_string()))
    }

    fn refused(&self, message: &str) -> SyntheticError {
        SyntheticError::Publish {
            identity: self.identity.clone(),
            message: message.to_owned(),
        }
    }

    /// What is published from `source` now.
    pub fn feed(&self, source: TrackSource) -> Option<&Feed> {
        self.tracks
            .iter()
            .find(|track| track.source == source)
            .map(|track| &track.feed)
    }

    /// Mutes or unmutes what is published from `source`, for everybody to see; nothing is sent while it is muted.
    pub fn set_muted(&self, source: TrackSource, muted: bool) {
        for track in self.tracks.iter().filter(|track| track.source == source) {
            track.set_muted(muted);
        }
    }

    /// Takes back what is published from `source`. Whether the server did so too.
    pub async fn unpublish(&mut self, source: TrackSource) -> bool {
        self.unpublish_where(|track| track.source == source).await
    }

    async fn unpublish_where(&mut self, wanted: impl Fn(&Published) -> bool) -> bool {
        let mut done = true;
        for track in self.tracks.extract_if(.., |track| wanted(track)).collect::<Vec<_>>() {
            self.pacer.remove(track.pace);
            let local = self.room.local_participant();
            if let Err(error) = local.unpublish_track(&track.publication.sid()).await {
                tracing::debug!(%error, identity = self.identity, "track not unpublished");
                done = false;
            }
        }
        done
    }

    /// Leaves the room.
    pub async fn leave(mut self) {
        for track in self.tracks.drain(..) {
            self.pacer.remove(track.pace);
        }
        if let Err(error) = self.room.leave().await {
            tracing::debug!(%error, identity = self.identity, "left without a farewell");
        }
    }
}

impl Published {
    fn set_muted(&self, muted: bool) {
        match &self.feed {
            Feed::Video(feed) => feed.set_muted(muted),
            Feed::Audio(feed) => feed.set_muted(muted),
        }
        if muted {
            self.publication.mute();
        } else {
            self.publication.unmute();
        }
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        for track in &self.tracks {
            self.pacer.remove(track.pace);
        }
    }
}

/// Where a recorded track came from, in the SDK's words.
pub fn source_of(recorded: &RecordedTrack) -> TrackSource {
    match recorded.source {
        journal::TrackSource::Camera => TrackSource::Camera,
        journal::TrackSource::Microphone => TrackSource::Microphone,
        journal::TrackSource::ScreenShare => TrackSource::Screenshare,
        journal::TrackSource::ScreenShareAudio => TrackSource::ScreenshareAudio,
        _ => TrackSource::Unknown,
    }
}

fn encoding(layer: LayerSpec) -> VideoEncoding {
    VideoEncoding {
        max_bitrate: u64::from(layer.bitrate),
        max_framerate: f64::from(layer.fps),
    }
}

fn preset(layer: LayerSpec) -> VideoPreset {
    VideoPreset {
        width: layer.dims.width,
        height: layer.dims.height,
        encoding: encoding(layer),
    }
}

fn video_codec(codec: Codec) -> Result<VideoCodec, SyntheticError> {
    match codec {
        Codec::Vp8 => Ok(VideoCodec::VP8),
        Codec::Vp9 => Ok(VideoCodec::VP9),
        Codec::H264 => Ok(VideoCodec::H264),
        Codec::Av1 => Ok(VideoCodec::AV1),
        other => Err(SyntheticError::Codec {
            codec: other.to_string(),
            reason: "it is not a codec of pictures that LiveKit carries".to_owned(),
        }),
    }
}
