//! Clips: a few seconds of encoded media as RTP payloads, made once and shared by every participant that plays them.

mod make;
mod packetize;
mod parse;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use greffier_media::codec::{Codec, Dims};
use serde::{Deserialize, Serialize};

pub use make::{Clips, default_cache};
pub use packetize::stamp_picture;

/// What a video shows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A moving picture with grain, as a webcam's.
    Camera,
    /// Sharp text that is turned over every few seconds.
    Screen,
    /// Somebody's own clip, scaled to each layer.
    File(PathBuf),
}

/// One simulcast layer of a clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LayerSpec {
    pub dims: Dims,
    /// Frames a second.
    pub fps: u32,
    /// Bits a second.
    pub bitrate: u32,
}

/// A video to be published: its content, codec, and layers from the largest down.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VideoSpec {
    pub codec: Codec,
    pub content: Content,
    pub layers: Vec<LayerSpec>,
}

/// Sizes a camera comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Resolution {
    #[serde(rename = "180p")]
    P180,
    #[serde(rename = "360p")]
    P360,
    #[serde(rename = "720p")]
    P720,
    #[serde(rename = "1080p")]
    P1080,
}

impl Resolution {
    fn layer(self) -> LayerSpec {
        let (width, height, fps, bitrate) = match self {
            Self::P180 => (320, 180, 15, 160_000),
            Self::P360 => (640, 360, 20, 450_000),
            Self::P720 => (1280, 720, 30, 1_700_000),
            Self::P1080 => (1920, 1080, 30, 3_000_000),
        };
        let dims = Dims::new(width, height);
        LayerSpec { dims, fps, bitrate }
    }

    /// With the smaller ones that the SDK would send beside it.
    fn simulcast(self) -> Vec<LayerSpec> {
        let all: &[Self] = match self {
            Self::P180 => &[Self::P180],
            Self::P360 => &[Self::P360, Self::P180],
            Self::P720 => &[Self::P720, Self::P360, Self::P180],
            Self::P1080 => &[Self::P1080, Self::P360, Self::P180],
        };
        all.iter().map(|size| size.layer()).collect()
    }
}

impl VideoSpec {
    pub fn camera(codec: Codec, resolution: Resolution, simulcast: bool) -> Self {
        let layers = if simulcast {
            resolution.simulcast()
        } else {
            vec![resolution.layer()]
        };
        let content = Content::Camera;
        Self { codec, content, layers }
    }

    /// 1080p at five frames a second.
    pub fn screen(codec: Codec) -> Self {
        let layer = LayerSpec {
            dims: Dims::new(1920, 1080),
            fps: 5,
            bitrate: 800_000,
        };
        Self {
            codec,
            content: Content::Screen,
            layers: vec![layer],
        }
    }
}

/// One encoded frame as the payloads of its packets.
#[derive(Debug, Clone)]
pub struct ClipFrame {
    pub payloads: Vec<Bytes>,
    pub key: bool,
}

/// One layer, ready to be sent in a loop.
#[derive(Debug)]
pub struct ClipLayer {
    pub spec: LayerSpec,
    pub frames: Vec<ClipFrame>,
    /// Indices of key frames in `frames`; the first is 0.
    pub key_frames: Vec<usize>,
}

impl ClipLayer {
    /// The next key frame from `frame` on, around the end.
    pub fn next_key_frame(&self, frame: usize) -> usize {
        let at = self.key_frames.partition_point(|key| *key < frame);
        self.key_frames
            .get(at)
            .or(self.key_frames.first())
            .copied()
            .unwrap_or(0)
    }

    /// Mean bits a second of RTP payload.
    pub fn bitrate(&self) -> f64 {
        let bytes: usize = self.frames.iter().flat_map(|f| &f.payloads).map(Bytes::len).sum();
        bytes as f64 * 8.0 * f64::from(self.spec.fps) / self.frames.len().max(1) as f64
    }
}

/// A video clip: layers from the largest down.
#[derive(Debug)]
pub struct VideoClip {
    pub codec: Codec,
    pub content: Content,
    pub layers: Vec<ClipLayer>,
}

/// Speech, as Opus packets of 20 ms.
#[derive(Debug)]
pub struct AudioClip {
    pub packets: Vec<Bytes>,
}

impl AudioClip {
    /// How long each packet lasts.
    pub const PACKET: Duration = Duration::from_millis(20);
    /// The same in ticks of Opus' clock.
    pub const TICKS: u32 = 960;
}

/// A frame of digital silence: 20 ms, full band, nothing coded ([RFC 6716](https://www.rfc-editor.org/rfc/rfc6716)).
pub const SILENCE: &[u8] = &[0xF8, 0xFF, 0xFE];
