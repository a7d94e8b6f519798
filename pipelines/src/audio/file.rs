//! Sound on disk, in any of the formats.

use std::{
    fs::File,
    io::{self, BufWriter},
    path::Path,
    time::Duration,
};

use greffier_media::render::AudioFormat;

use super::mp3::Mp3File;
use crate::{
    Container,
    container::{self, Format, Muxer, Sample, Tags, Track},
    error::RenderError,
    sound::{FrameEncoder, Layout, RATE, SoundError, Timed},
};

/// Bytes of a WAV file at most: its sizes have 32 bits.
const WAV_LIMIT: u128 = u32::MAX as u128 - 1024;

/// A file that takes sound.
pub(super) enum AudioFile {
    Ogg {
        encoder: FrameEncoder,
        muxer: Box<dyn Muxer>,
    },
    Mp3(Mp3File),
    Wav(hound::WavWriter<BufWriter<File>>),
}

/// Why it cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Sound(#[from] SoundError),
    #[error("WAV files cannot hold so much: 4 GiB at most")]
    TooLong,
}

impl FileError {
    pub fn into_render_error(self, name: &str) -> RenderError {
        match self {
            Self::Io(source) => RenderError::Write {
                name: name.to_owned(),
                source,
            },
            Self::Sound(error) => error.into(),
            Self::TooLong => RenderError::Unsupported {
                what: "a WAV file of more than 4 GiB",
            },
        }
    }
}

impl From<hound::Error> for FileError {
    fn from(error: hound::Error) -> Self {
        match error {
            hound::Error::IoError(error) => Self::Io(error),
            hound::Error::TooWide => Self::TooLong,
            other => Self::Io(io::Error::other(other)),
        }
    }
}

impl AudioFile {
    /// `length` is how long it will be.
    pub fn create(
        path: &Path,
        format: AudioFormat,
        layout: Layout,
        tags: &Tags,
        length: Duration,
    ) -> Result<Self, FileError> {
        Ok(match format {
            AudioFormat::Ogg => {
                let encoder = FrameEncoder::opus(layout)?;
                let pre_skip = u16::try_from(encoder.priming()).unwrap_or(0);
                let track = Track {
                    format: Format::Opus {
                        channels: layout.channels,
                        pre_skip,
                    },
                    name: String::new(),
                };
                let muxer = container::create(Container::Ogg, path, vec![track], tags, 0)?;
                Self::Ogg { encoder, muxer }
            }
            AudioFormat::Mp3 => Self::Mp3(Mp3File::create(path, layout)?),
            AudioFormat::Wav => {
                let bytes =
                    length.as_nanos() * u128::from(layout.rate) / 1_000_000_000 * 2 * u128::from(layout.channels);
                if bytes > WAV_LIMIT {
                    return Err(FileError::TooLong);
                }
                let spec = hound::WavSpec {
                    channels: layout.channels.into(),
                    sample_rate: layout.rate,
                    bits_per_sample: 16,
                    sample_format: hound::SampleFormat::Int,
                };
                Self::Wav(hound::WavWriter::create(path, spec)?)
            }
        })
    }

    /// Adds sound at the end.
    pub fn push(&mut self, sound: &[f32]) -> Result<(), FileError> {
        match self {
            Self::Ogg { encoder, muxer } => {
                let mut result = Ok(());
                encoder.push(sound, &mut |packet| write(&mut **muxer, packet, u64::MAX, &mut result))?;
                result?;
            }
            Self::Mp3(file) => file.push(sound)?,
            Self::Wav(file) => {
                for sample in sound {
                    file.write_sample(to_i16(*sample))?;
                }
            }
        }
        Ok(())
    }

    pub fn finish(self) -> Result<(), FileError> {
        match self {
            Self::Ogg { mut encoder, mut muxer } => {
                // What is longer only fills the last packet.
                let end = encoder.end();
                let mut result = Ok(());
                encoder.finish(&mut |packet| write(&mut *muxer, packet, end, &mut result))?;
                result?;
                muxer.finish()?;
            }
            Self::Mp3(file) => file.finish()?,
            Self::Wav(file) => file.finalize()?,
        }
        Ok(())
    }
}

/// Writes a packet; what of it stands after `end` is to be cut off by players.
fn write(muxer: &mut dyn Muxer, packet: Timed, end: u64, result: &mut io::Result<()>) {
    if result.is_ok() && packet.start < end {
        let time = |samples: u64| Duration::from_nanos(samples * 1_000_000_000 / u64::from(RATE));
        let at = time(packet.start);
        *result = muxer.write(
            0,
            Sample {
                at,
                lasts: time((packet.start + packet.samples).min(end)).saturating_sub(at),
                keyframe: true,
                data: packet.data,
            },
        );
    }
}

/// 16 bits, to the nearest.
pub(super) fn to_i16(sample: f32) -> i16 {
    #[expect(clippy::cast_possible_truncation, reason = "the range is 16 bits")]
    let sample = (sample * 32_767.0).round().clamp(-32_768.0, 32_767.0) as i16;
    sample
}
