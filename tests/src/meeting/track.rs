//! What a peer can publish.

use serde::Serialize;

use crate::pattern::Source;

/// Video codecs that LiveKit knows and the peers can encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Codec {
    Vp8,
    Vp9,
    H264,
    Av1,
    /// No peer encodes it: asking for it shows what a missing codec looks like.
    H265,
}

/// A camera or a screen share.
#[derive(Clone, Debug, Serialize)]
pub struct Picture {
    #[serde(skip)]
    source: Source,
    codec: Codec,
    width: u32,
    height: u32,
    fps: u32,
    simulcast: bool,
    scalability_mode: Option<&'static str>,
    max_bitrate: u64,
}

/// Begins a camera track: 320x180, 20 pictures a second, one layer.
#[derive(Clone, Copy, Debug)]
pub struct Camera;

/// Begins a screen share: 640x360, 10 pictures a second, one layer.
#[derive(Clone, Copy, Debug)]
pub struct Screen;

impl Camera {
    pub fn codec(codec: Codec) -> Picture {
        // 600 kbit/s for 320x180: enough that no encoder leaves out pictures to keep within it.
        Picture {
            source: Source::Camera,
            codec,
            width: 320,
            height: 180,
            fps: 20,
            simulcast: false,
            scalability_mode: None,
            max_bitrate: 600_000,
        }
    }

    pub fn vp8() -> Picture {
        Self::codec(Codec::Vp8)
    }

    pub fn vp9() -> Picture {
        Self::codec(Codec::Vp9)
    }

    pub fn h264() -> Picture {
        Self::codec(Codec::H264)
    }

    pub fn av1() -> Picture {
        Self::codec(Codec::Av1)
    }
}

impl Screen {
    pub fn codec(codec: Codec) -> Picture {
        let camera = Camera::codec(codec).size(640, 360).fps(10);
        Picture {
            source: Source::ScreenShare,
            max_bitrate: 1_200_000,
            ..camera
        }
    }

    pub fn vp8() -> Picture {
        Self::codec(Codec::Vp8)
    }
}

impl Picture {
    /// Width and height in pixels, both even. The bitrate's limit grows with the area.
    #[must_use]
    pub fn size(mut self, width: u32, height: u32) -> Self {
        let (before, after) = (u64::from(self.width * self.height), u64::from(width * height));
        self.max_bitrate = (self.max_bitrate * after / before).clamp(200_000, 3_000_000);
        (self.width, self.height) = (width, height);
        self
    }

    /// Pictures a second.
    #[must_use]
    pub fn fps(mut self, fps: u32) -> Self {
        self.fps = fps;
        self
    }

    /// Several sizes at once, as LiveKit's SDKs do by default.
    #[must_use]
    pub fn simulcast(mut self) -> Self {
        self.simulcast = true;
        self
    }

    /// Scalable coding in one stream, e.g. `L3T3_KEY` (VP9, AV1).
    #[must_use]
    pub fn svc(mut self, mode: &'static str) -> Self {
        self.scalability_mode = Some(mode);
        self
    }

    /// Whether I420 has the size, and whole seconds have a picture.
    pub(super) fn can_be_drawn(&self) -> bool {
        self.width % 2 + self.height % 2 == 0 && self.width * self.height > 0 && (1..=60).contains(&self.fps)
    }

    /// Bits a second at most.
    #[must_use]
    pub fn max_bitrate(mut self, bits: u64) -> Self {
        self.max_bitrate = bits;
        self
    }
}

/// A microphone or the sound of a screen share.
#[derive(Clone, Debug, Serialize)]
pub struct Sound {
    #[serde(skip)]
    source: Source,
    dtx: bool,
    red: bool,
}

/// Begins a microphone track: Opus with DTX, without RED.
#[derive(Clone, Copy, Debug)]
pub struct Microphone;

impl Microphone {
    pub fn opus() -> Sound {
        Sound {
            source: Source::Microphone,
            dtx: true,
            red: false,
        }
    }
}

/// Begins the sound of a screen share: Opus without DTX.
#[derive(Clone, Copy, Debug)]
pub struct ScreenSound;

impl ScreenSound {
    pub fn opus() -> Sound {
        Sound {
            source: Source::ScreenShareAudio,
            dtx: false,
            red: false,
        }
    }
}

impl Sound {
    /// Whether silence is left out of the stream (discontinuous transmission).
    #[must_use]
    pub fn dtx(mut self, on: bool) -> Self {
        self.dtx = on;
        self
    }

    /// Whether each packet repeats the one before (RFC 2198).
    #[must_use]
    pub fn red(mut self, on: bool) -> Self {
        self.red = on;
        self
    }
}

/// A track to publish.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Track {
    Picture(Picture),
    Sound(Sound),
}

impl From<Picture> for Track {
    fn from(picture: Picture) -> Self {
        Track::Picture(picture)
    }
}

impl From<Sound> for Track {
    fn from(sound: Sound) -> Self {
        Track::Sound(sound)
    }
}

impl Track {
    pub(super) fn source(&self) -> Source {
        match self {
            Track::Picture(picture) => picture.source,
            Track::Sound(sound) => sound.source,
        }
    }
}
