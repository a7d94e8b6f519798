//! Pictures and sound in, an encoded file out.

use std::{collections::VecDeque, io, path::PathBuf, time::Duration};

use bytes::Bytes;
use greffier_media::{codec::Dims, render::VideoFormat};
use gst_video::VideoInfo;
use gstreamer as gst;
use gstreamer_video as gst_video;

use super::canvas::COLORIMETRY;
use crate::{
    Container,
    container::{self, Format, Muxer, ParameterSets, Sample, Tags, Track},
    engine::{EngineError, Stage},
    error::RenderError,
    sound::{AAC_PRIMING, FrameEncoder, Layout, RATE, Timed, aac_config},
};

/// Seeking takes at most so long a stretch to decode.
const KEYFRAME_EVERY: Duration = Duration::from_secs(2);
/// Constant quality of x264: what it calls visually good.
const H264_QUALITY: &str = "23";
/// Bits for each pixel of VP8, ten thousand times: 1280x720 at 30 get 2.5 Mbit/s.
const VP8_BITS: u64 = 900;
const VIDEO: usize = 0;
const SOUND: usize = 1;

/// What a file is to be.
#[derive(Debug, Clone)]
pub(super) struct FilmSpec {
    pub path: PathBuf,
    pub name: String,
    pub format: VideoFormat,
    pub dims: Dims,
    /// Pictures a second.
    pub fps: u32,
    /// How long it will be.
    pub length: Duration,
    pub tags: Tags,
}

/// A file in the making.
pub(super) struct Film {
    spec: FilmSpec,
    encoder: Stage,
    sound: FrameEncoder,
    /// Made with the first encoded picture, which says how to decode it.
    muxer: Option<Box<dyn Muxer>>,
    /// Packets of sound from before.
    early: VecDeque<Timed>,
    /// Encoded pictures so far.
    pictures: u64,
}

impl FilmSpec {
    pub fn container(&self) -> Container {
        match self.format {
            VideoFormat::Mp4 => Container::Mp4,
            VideoFormat::Webm => Container::WebM,
        }
    }

    /// When a picture is shown.
    pub fn time_of(&self, picture: u64) -> Duration {
        let nanos = u128::from(picture) * 1_000_000_000 / u128::from(self.fps);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn write_error(&self) -> impl Fn(io::Error) -> RenderError + use<> {
        let name = self.name.clone();
        move |source| RenderError::Write {
            name: name.clone(),
            source,
        }
    }
}

impl Film {
    pub fn new(spec: FilmSpec) -> Result<Self, RenderError> {
        let sound = match spec.format {
            VideoFormat::Mp4 => FrameEncoder::aac(Layout::STEREO)?,
            VideoFormat::Webm => FrameEncoder::opus(Layout::STEREO)?,
        };
        Ok(Self {
            encoder: encoder(&spec)?,
            sound,
            muxer: None,
            early: VecDeque::new(),
            pictures: 0,
            spec,
        })
    }

    /// Adds the next picture, I420 of the film's size.
    pub fn picture(&mut self, mut picture: gst::Buffer, number: u64) -> Result<(), RenderError> {
        let picture_ref = picture.make_mut();
        let time =
            |number| gst::ClockTime::from_nseconds(u64::try_from(self.spec.time_of(number).as_nanos()).unwrap_or(0));
        picture_ref.set_pts(time(number));
        picture_ref.set_duration(time(number + 1) - time(number));
        self.encoder.push(picture)?;
        self.write_pictures()
    }

    /// Adds sound at the end, in stereo at 48 kHz.
    pub fn sound(&mut self, sound: &[f32]) -> Result<(), RenderError> {
        let early = &mut self.early;
        self.sound.push(sound, &mut |packet| early.push_back(packet))?;
        self.write_sound(u64::MAX)
    }

    /// Completes the file; answers how many pictures are in it.
    pub fn finish(mut self) -> Result<u64, RenderError> {
        self.encoder.finish()?;
        self.write_pictures()?;
        let early = &mut self.early;
        self.sound.finish(&mut |packet| early.push_back(packet))?;
        // What only pads the last packet is left out where the container can say so.
        self.write_sound(self.sound.end())?;
        let failed = self.spec.write_error();
        let muxer = self.muxer.take().ok_or(EngineError::Output {
            what: "a file without pictures",
        })?;
        muxer.finish().map_err(failed)?;
        Ok(self.pictures)
    }

    fn write_pictures(&mut self) -> Result<(), RenderError> {
        while let Some((picture, _)) = self.encoder.take() {
            let keyframe = !picture.flags().contains(gst::BufferFlags::DELTA_UNIT);
            let data = picture.map_readable().map_err(|_| EngineError::Output {
                what: "an encoded picture",
            })?;
            let data = Bytes::copy_from_slice(&data);
            // Encoders shift times for the sake of reordering; ours do not reorder, so pictures are counted.
            let (at, end) = (self.spec.time_of(self.pictures), self.spec.time_of(self.pictures + 1));
            self.pictures += 1;
            let failed = self.spec.write_error();
            let muxer = match &mut self.muxer {
                Some(muxer) => muxer,
                None => self
                    .muxer
                    .insert(create(&self.spec, &self.sound, &data).map_err(&failed)?),
            };
            let sample = Sample {
                at,
                lasts: end.saturating_sub(at),
                keyframe,
                data,
            };
            muxer.write(VIDEO, sample).map_err(failed)?;
        }
        Ok(())
    }

    fn write_sound(&mut self, end: u64) -> Result<(), RenderError> {
        let Some(muxer) = &mut self.muxer else { return Ok(()) };
        let time = |samples: u64| {
            let nanos = u128::from(samples) * 1_000_000_000 / u128::from(RATE);
            Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
        };
        for packet in self.early.drain(..).filter(|packet| packet.start < end) {
            let at = time(packet.start);
            let sample = Sample {
                at,
                lasts: time((packet.start + packet.samples).min(end)).saturating_sub(at),
                keyframe: true,
                data: packet.data,
            };
            muxer.write(SOUND, sample).map_err(self.spec.write_error())?;
        }
        Ok(())
    }
}

/// Begins the file; `first` is its first picture.
fn create(spec: &FilmSpec, sound: &FrameEncoder, first: &Bytes) -> io::Result<Box<dyn Muxer>> {
    let channels = Layout::STEREO.channels;
    let formats = match spec.format {
        VideoFormat::Mp4 => [
            Format::H264 {
                dims: spec.dims,
                first: ParameterSets::of(first).unwrap_or_default(),
            },
            Format::Aac {
                channels,
                rate: RATE,
                config: aac_config(channels),
                priming: AAC_PRIMING,
            },
        ],
        VideoFormat::Webm => [
            Format::Vp8 { dims: spec.dims },
            Format::Opus {
                channels,
                pre_skip: u16::try_from(sound.priming()).unwrap_or(0),
            },
        ],
    };
    let tracks = formats.map(|format| Track {
        format,
        name: String::new(),
    });
    // WebM leaves room for its cues: twice what regular key frames need, since encoders add some where scenes change.
    let cues = usize::try_from(2 * spec.length.as_secs() / KEYFRAME_EVERY.as_secs()).unwrap_or(usize::MAX);
    container::create(spec.container(), &spec.path, tracks.into(), &spec.tags, cues + 16)
}

fn encoder(spec: &FilmSpec) -> Result<Stage, EngineError> {
    crate::init()?;
    let keys = (u64::from(spec.fps) * KEYFRAME_EVERY.as_secs()).to_string();
    let fps = gst::Fraction::new(i32::try_from(spec.fps).unwrap_or(i32::MAX), 1);
    let unusable = || EngineError::Output { what: "a picture" };
    let info = VideoInfo::builder(gst_video::VideoFormat::I420, spec.dims.width, spec.dims.height)
        .colorimetry(&COLORIMETRY.parse().map_err(|_| unusable())?)
        .fps(fps)
        .build()
        .map_err(|_| unusable())?;
    let caps = info.to_caps().map_err(|_| unusable())?;
    match spec.format {
        VideoFormat::Mp4 => {
            let properties = [
                ("byte-stream", "true"),
                ("speed-preset", "superfast"),
                ("pass", "qual"),
                ("quantizer", H264_QUALITY),
                ("key-int-max", &*keys),
                // Pictures leave in the order in which they came.
                ("bframes", "0"),
            ];
            Stage::new("x264enc", &properties, &caps)
        }
        VideoFormat::Webm => {
            let pixels = u64::from(spec.dims.width) * u64::from(spec.dims.height) * u64::from(spec.fps);
            let bits = (pixels * VP8_BITS / 10_000).to_string();
            let properties = [
                ("deadline", "1"),
                ("cpu-used", "8"),
                ("lag-in-frames", "0"),
                ("threads", "2"),
                ("token-partitions", "1"),
                ("target-bitrate", &*bits),
                ("keyframe-max-dist", &*keys),
            ];
            Stage::new("vp8enc", &properties, &caps)
        }
    }
}
