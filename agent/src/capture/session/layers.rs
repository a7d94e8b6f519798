//! Which of a video track's layers we ask the server for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use greffier_media::codec::Dims;
use greffier_media::time::{Arrival, Clock};
use greffier_store::recordings::LayerPolicy;
use libwebrtc::raw::RemoteTrackExt as _;
use livekit::prelude::{self as lk, RemoteTrack, RemoteTrackPublication};
use livekit::track::VideoQuality;
use livekit_protocol as proto;
use tokio::sync::Mutex;

use super::tracks::Tapped;
use super::{KeyFrames, Session, Stay};
use crate::livekit::LiveKitError;
use crate::supervisor::TaskKind;

/// How often declared layers are looked at: a publisher may declare others later, and so may the server, once it has seen them.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The server has the layer that was asked for by then. One within a stream begins without a key frame to measure it by.
const TAKEN_UP_AFTER: Duration = Duration::from_secs(1);

/// What was asked for in a stay.
#[derive(Default)]
pub(super) struct Layers {
    /// Of each track, so that the server is told only of changes.
    asked: Arc<Mutex<HashMap<lk::TrackSid, Asked>>>,
    look_at: Arrival,
}

/// What was asked for of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    wanted: Wanted,
    /// The largest declared size that is not too large: smaller than the limit where pictures turn out larger than declared.
    within: Dims,
}

/// How a layer is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Of several streams, as simulcast has them. Asked for a size, the server gives the one that is *at least* so large.
    Quality(VideoQuality),
    /// Within one stream, as SVC has them: the SDK asks for qualities of simulcast only. It is the size of a declared layer,
    /// so it is that one the server gives.
    Size(Dims),
    /// There is nothing to choose from.
    AsItComes,
}

impl Session {
    /// Tells the server which layer we want of a track that begins. Subscribers that ask for nothing get the top layer as far
    /// as the server thinks their bandwidth allows; asking makes it certain which one is meant.
    pub(super) fn choose_layer(&self, stay: &mut Stay, publication: &RemoteTrackPublication) {
        if publication.kind() != lk::TrackKind::Video {
            return;
        }
        let first = match self.request.layers {
            LayerPolicy::Top => VideoQuality::High,
            LayerPolicy::AtMost(limit) => {
                // The largest that is no larger than the limit has to be chosen here, from the layers that the publisher
                // declared, which only the server's API tells.
                stay.layers.look_at = self.clock.now();
                let lk::TrackDimension(width, height) = publication.dimension();
                if width > 0 && fits(Dims::new(width, height), limit) {
                    VideoQuality::High
                } else {
                    VideoQuality::Low
                }
            }
        };
        if publication.simulcasted() {
            publication.set_video_quality(first);
        }
    }

    /// Keeps what is asked for in line with what the publishers declare.
    pub(super) fn look_at_layers(&self, stay: &mut Stay) {
        let LayerPolicy::AtMost(limit) = self.request.layers else {
            return;
        };
        let now = self.clock.now();
        if now < stay.layers.look_at {
            return;
        }
        let videos: Vec<Video> = stay.tracks.values().filter_map(Video::of).collect();
        // The look before this one may still wait for the server.
        let Ok(mut asked) = Arc::clone(&stay.layers.asked).try_lock_owned() else {
            return;
        };
        stay.layers.look_at = now.saturating_add(LOOK_EVERY);
        if videos.is_empty() {
            return;
        }
        let (livekit, room) = (self.livekit.clone(), self.room_name());
        self.supervisor
            .spawn(TaskKind::RecordingHelper, "layers", |_| async move {
                let participants = livekit.participants(room.as_str()).await?;
                let declared = participants.iter().flat_map(|p| &p.tracks);
                let declared: HashMap<&str, _> = declared.map(|track| (&*track.sid, track)).collect();
                asked.retain(|sid, _| declared.contains_key(sid.as_str()));
                let mut changed = Vec::new();
                for video in videos {
                    let sid = video.publication.sid();
                    let Some(track) = declared.get(sid.as_str()) else {
                        continue;
                    };
                    let next = next(track, limit, asked.get(&sid).copied(), video.key_frames.size());
                    let before = asked.insert(sid, next);
                    if before.map(|asked| asked.wanted) != Some(next.wanted) {
                        ask(&video.publication, next.wanted);
                        changed.push(video);
                    }
                }
                if !changed.is_empty() {
                    tokio::time::sleep(TAKEN_UP_AFTER).await;
                }
                for video in changed {
                    video.key_frames.forget_size();
                    video.track.rtc_track().request_key_frame();
                }
                Ok::<(), LiveKitError>(())
            });
    }
}

/// A track with pictures.
struct Video {
    track: RemoteTrack,
    publication: RemoteTrackPublication,
    key_frames: KeyFrames,
}

impl Video {
    fn of(tapped: &Tapped) -> Option<Self> {
        Some(Self {
            track: tapped.track.clone(),
            publication: tapped.publication.clone(),
            key_frames: tapped.pictures.as_ref()?.key_frames().clone(),
        })
    }
}

/// What to ask for now. Encoders leave out layers of pictures that are small already, so that each of those that are left is
/// larger than declared: if what came of the last request is too large, it is the next smaller one.
fn next(track: &proto::TrackInfo, limit: Dims, asked: Option<Asked>, size: Option<Dims>) -> Asked {
    let mut within = asked.map_or(limit, |asked| asked.within);
    if asked.is_some()
        && size.is_some_and(|size| !fits(size, limit))
        && let Some(chosen) = best_of(layers_of(track), within)
    {
        let below = layers_of(track).iter().filter(|layer| area(layer) < area(chosen));
        if let Some(smaller) = below.max_by_key(|layer| area(layer)) {
            within = Dims::new(smaller.width, smaller.height);
        }
    }
    Asked {
        wanted: layer_within(track, within),
        within,
    }
}

fn ask(publication: &RemoteTrackPublication, wanted: Wanted) {
    tracing::debug!(track = %publication.sid(), ?wanted, "layer chosen");
    match wanted {
        Wanted::Quality(quality) => publication.set_video_quality(quality),
        Wanted::Size(dims) => publication.update_video_dimensions(lk::TrackDimension(dims.width, dims.height)),
        Wanted::AsItComes => {}
    }
}

fn fits(size: Dims, limit: Dims) -> bool {
    size.width <= limit.width && size.height <= limit.height
}

fn area(layer: &proto::VideoLayer) -> u64 {
    u64::from(layer.width) * u64::from(layer.height)
}

fn layers_of(track: &proto::TrackInfo) -> &[proto::VideoLayer] {
    #[expect(deprecated, reason = "older clients say it there")]
    let of_track = &track.layers;
    track.codecs.first().map_or(of_track, |codec| &codec.layers)
}

/// The best layer that is no larger than `limit`, or the lowest if none is.
fn best_of(layers: &[proto::VideoLayer], limit: Dims) -> Option<&proto::VideoLayer> {
    layers
        .iter()
        .filter(|layer| fits(Dims::new(layer.width, layer.height), limit))
        .max_by_key(|layer| area(layer))
        .or_else(|| layers.iter().min_by_key(|layer| area(layer)))
}

/// How to ask for the best declared layer that is no larger than `limit`, or for the lowest if none is.
fn layer_within(track: &proto::TrackInfo, limit: Dims) -> Wanted {
    #[expect(deprecated, reason = "older clients say it there, and it is what the SDK goes by")]
    let is_simulcast = track.simulcast;
    let layers = layers_of(track);
    let best = best_of(layers, limit);
    if is_simulcast {
        return Wanted::Quality(match best.map(proto::VideoLayer::quality) {
            Some(proto::VideoQuality::High) => VideoQuality::High,
            Some(proto::VideoQuality::Medium) => VideoQuality::Medium,
            _ => VideoQuality::Low,
        });
    }
    let codec = track.codecs.first();
    let mime = codec.map_or(&track.mime_type, |codec| &codec.mime_type);
    let is_scalable = ["video/vp9", "video/av1"]
        .iter()
        .any(|scalable| mime.eq_ignore_ascii_case(scalable));
    match best {
        Some(layer) if is_scalable && layers.len() > 1 => Wanted::Size(Dims::new(layer.width, layer.height)),
        // Some declare only the whole of what they scale; the server then gives the lowest of what it finds in it.
        _ if is_scalable && !fits(Dims::new(track.width, track.height), limit) => Wanted::Size(limit),
        _ => Wanted::AsItComes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUALITIES: [proto::VideoQuality; 3] = [
        proto::VideoQuality::Low,
        proto::VideoQuality::Medium,
        proto::VideoQuality::High,
    ];

    #[expect(deprecated, reason = "it is what the SDK goes by")]
    fn track(mime: &str, simulcast: bool, sizes: &[(u32, u32)]) -> proto::TrackInfo {
        let layers = sizes
            .iter()
            .zip(QUALITIES)
            .map(|(&(width, height), quality)| proto::VideoLayer {
                quality: quality.into(),
                width,
                height,
                ..Default::default()
            })
            .collect();
        proto::TrackInfo {
            simulcast,
            width: 1280,
            height: 720,
            codecs: vec![proto::SimulcastCodecInfo {
                mime_type: mime.to_owned(),
                layers,
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    const SIZES: [(u32, u32); 3] = [(320, 180), (640, 360), (1280, 720)];

    #[test]
    fn the_best_layer_within_the_limit_is_asked_for() {
        let limit = Dims::new(640, 480);
        let simulcast = track("video/VP8", true, &SIZES);
        assert_eq!(layer_within(&simulcast, limit), Wanted::Quality(VideoQuality::Medium));
        for codec in ["video/VP9", "video/av1"] {
            let scaled = track(codec, false, &SIZES);
            assert_eq!(layer_within(&scaled, limit), Wanted::Size(Dims::new(640, 360)));
            let top = layer_within(&scaled, Dims::new(1920, 1080));
            assert_eq!(top, Wanted::Size(Dims::new(1280, 720)));
        }
    }

    #[test]
    fn where_none_is_small_enough_it_is_the_lowest() {
        let limit = Dims::new(100, 100);
        let simulcast = track("video/VP8", true, &SIZES);
        assert_eq!(layer_within(&simulcast, limit), Wanted::Quality(VideoQuality::Low));
        let scaled = track("video/VP9", false, &SIZES);
        assert_eq!(layer_within(&scaled, limit), Wanted::Size(Dims::new(320, 180)));
        let undeclared = track("video/VP9", false, &SIZES[2..]);
        assert_eq!(layer_within(&undeclared, limit), Wanted::Size(limit));
    }

    #[test]
    fn what_turns_out_too_large_is_lowered() {
        let limit = Dims::new(640, 480);
        let scaled = track("video/VP9", false, &SIZES);
        let medium = next(&scaled, limit, None, Some(Dims::new(1280, 720)));
        assert_eq!(
            medium.wanted,
            Wanted::Size(Dims::new(640, 360)),
            "measured before it was asked for"
        );
        assert_eq!(next(&scaled, limit, Some(medium), Some(Dims::new(640, 360))), medium);
        assert_eq!(next(&scaled, limit, Some(medium), None), medium);
        let low = next(&scaled, limit, Some(medium), Some(Dims::new(1280, 720)));
        assert_eq!(low.wanted, Wanted::Size(Dims::new(320, 180)));
        assert_eq!(
            next(&scaled, limit, Some(low), Some(Dims::new(640, 360))),
            low,
            "as it should be"
        );
        assert_eq!(
            next(&scaled, limit, Some(low), Some(Dims::new(1280, 720))),
            low,
            "there is none below"
        );
    }

    #[test]
    fn where_there_is_nothing_to_choose_nothing_is_asked() {
        let single = track("video/H264", false, &SIZES[2..]);
        assert_eq!(layer_within(&single, Dims::new(320, 180)), Wanted::AsItComes);
        let fits = track("video/VP9", false, &SIZES[2..]);
        assert_eq!(layer_within(&fits, Dims::new(1280, 720)), Wanted::AsItComes);
    }
}
