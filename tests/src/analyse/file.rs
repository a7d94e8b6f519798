//! Decodes a media file with ffmpeg, in a child process, into what the analyser reads; asks ffprobe for its facts.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, Stdio};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::Observation;
use super::audio::{Audio, RATE};
use super::video::{GRID, GRID_BYTES, Picture, Video};
use crate::missing::Missing;

/// Time stamps may be this far, in seconds, from where the samples before them end without being a hole: containers round
/// to milliseconds, and the shortest packet that can be lost is 2.5 ms.
const ROUNDING_S: f64 = 0.002;

/// A media file to be looked at.
#[derive(Clone, Debug)]
pub struct MediaFile {
    path: PathBuf,
    region: Option<Region>,
    audio_stream: usize,
    video_stream: usize,
}

/// A part of the picture, in pixels: a tile of a composite.
#[derive(Clone, Copy, Debug)]
struct Region {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
}

/// What ffprobe says of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Names of the container format, e.g. `matroska,webm`.
    pub format: String,
    /// Seconds; what players show. None if the container does not say.
    pub duration: Option<f64>,
    /// When its first stream starts, in seconds.
    pub start: f64,
    pub streams: Vec<Stream>,
}

impl Facts {
    /// The first stream of a kind (`audio`, `video`).
    pub fn stream(&self, kind: &str) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.kind == kind)
    }

    /// Where it ends, in seconds. The index of MP4 and of Matroska counts from 0, whenever its first stream starts;
    /// elsewhere ffprobe counts from there.
    pub fn end(&self) -> Option<f64> {
        let counts_from_zero = ["mp4", "matroska"].iter().any(|name| self.format.contains(name));
        let start = if counts_from_zero { 0.0 } else { self.start };
        self.duration.map(|duration| start + duration)
    }
}

/// One stream of a file, as ffprobe sees it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Stream {
    /// `audio`, `video`, `subtitle`…
    #[serde(rename = "codec_type", default)]
    pub kind: String,
    /// `vp8`, `vp9`, `h264`, `av1`, `opus`, `aac`…
    #[serde(rename = "codec_name", default)]
    pub codec: String,
    /// Seconds.
    #[serde(rename = "start_time", default, deserialize_with = "seconds")]
    pub start: Option<f64>,
    #[serde(default, deserialize_with = "seconds")]
    pub duration: Option<f64>,
    #[serde(default)]
    pub width: u32,
    #[serde(default)]
    pub height: u32,
    #[serde(default)]
    pub channels: u32,
}

/// ffprobe writes numbers as strings, and `N/A` for none.
fn seconds<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<f64>, D::Error> {
    Ok(Option::<String>::deserialize(input)?.and_then(|text| text.parse().ok()))
}

impl MediaFile {
    /// A file, whole, its first audio and first video stream.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            region: None,
            audio_stream: 0,
            video_stream: 0,
        }
    }

    /// Looks only at this part of the picture (pixels): a tile of a composite.
    #[must_use]
    pub fn region(mut self, x: u32, y: u32, width: u32, height: u32) -> Self {
        self.region = Some(Region { x, y, width, height });
        self
    }

    /// Listens to the n-th audio stream (from 0).
    #[must_use]
    pub fn audio_stream(mut self, index: usize) -> Self {
        self.audio_stream = index;
        self
    }

    /// Looks at the n-th video stream (from 0).
    #[must_use]
    pub fn video_stream(mut self, index: usize) -> Self {
        self.video_stream = index;
        self
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Asks ffprobe. Fails if it is no media file.
    pub fn facts(&self) -> Result<Facts> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            streams: Vec<Stream>,
            format: Format,
        }
        #[derive(Deserialize)]
        struct Format {
            #[serde(rename = "format_name")]
            name: String,
            #[serde(default, deserialize_with = "seconds")]
            duration: Option<f64>,
            #[serde(default, deserialize_with = "seconds")]
            start_time: Option<f64>,
        }
        let output = Missing::tool("ffprobe")?
            .args(["-v", "error", "-of", "json", "-show_streams", "-show_format"])
            .arg(&self.path)
            .output()
            .context("cannot run ffprobe")?;
        ensure!(
            output.status.success(),
            "ffprobe refuses {}: {}",
            self.path.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let answer: Answer =
            serde_json::from_slice(&output.stdout).context("ffprobe's answer is not what we expect")?;
        Ok(Facts {
            format: answer.format.name,
            duration: answer.format.duration,
            start: answer.format.start_time.unwrap_or(0.0),
            streams: answer.streams,
        })
    }

    /// Decodes the whole file and measures what is in it. Decoding errors that ffmpeg reports are kept, not hidden.
    pub fn observe(&self) -> Result<Observation> {
        let facts = self.facts()?;
        let mut complaints = Vec::new();
        let audio = match facts.stream("audio") {
            Some(_) => Some(self.decode_audio(&mut complaints)?),
            None => None,
        };
        let video = match facts.stream("video") {
            Some(_) => Some(self.decode_video(&mut complaints)?),
            None => None,
        };
        Ok(Observation {
            name: self.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            is_live: false,
            audio,
            video,
            facts: Some(facts),
            complaints,
        })
    }

    fn decode_audio(&self, complaints: &mut Vec<String>) -> Result<Audio> {
        let map = format!("0:a:{}", self.audio_stream);
        let rate = RATE.to_string();
        // Samples come without time stamps; `ashowinfo` tells those of the frames they come from.
        let filters = format!("ashowinfo,aresample={RATE}");
        let mut decoder = Decoder::start(
            &self.path,
            &["-map", &map, "-af", &filters, "-ac", "1", "-ar", &rate, "-f", "s16le"],
        )?;
        let mut bytes = Vec::new();
        decoder
            .output
            .read_to_end(&mut bytes)
            .context("cannot read ffmpeg's samples")?;
        let lines = decoder.finish(complaints)?;
        let samples: Vec<i16> = bytes
            .as_chunks()
            .0
            .iter()
            .map(|&pair| i16::from_le_bytes(pair))
            .collect();
        let frames = lines
            .iter()
            .filter_map(|line| SoundFrame::parse(line))
            .collect::<Vec<_>>();
        let placed = place(&samples, &frames)?;
        let mut audio = Audio::measure(&placed.samples, placed.begins);
        audio.holes = placed.holes;
        Ok(audio)
    }

    fn decode_video(&self, complaints: &mut Vec<String>) -> Result<Video> {
        let map = format!("0:v:{}", self.video_stream);
        let crop = self
            .region
            .map(|Region { x, y, width, height }| format!("crop={width}:{height}:{x}:{y},"))
            .unwrap_or_default();
        let filters = format!(
            "{crop}showinfo=checksum=0,scale={}:{}:flags=area,format=rgb24",
            GRID.0, GRID.1
        );
        let mut decoder = Decoder::start(
            &self.path,
            &[
                "-map",
                &map,
                "-vf",
                &filters,
                "-fps_mode",
                "passthrough",
                // Else pictures less than a frame's time apart get the same time stamp, and ffmpeg complains of its own work.
                "-enc_time_base",
                "1:90000",
                "-f",
                "rawvideo",
            ],
        )?;
        let mut readings = Vec::new();
        let mut grid = vec![0; GRID_BYTES];
        while decoder.fill(&mut grid)? {
            readings.push(Picture::read(0.0, (0, 0), &grid));
        }
        let lines = decoder.finish(complaints)?;
        let shown: Vec<_> = lines.iter().filter_map(|line| parse_shown(line)).collect();
        ensure!(
            shown.len() == readings.len(),
            "ffmpeg told of {} pictures and wrote {}: {}",
            shown.len(),
            readings.len(),
            self.path.display()
        );
        let pictures = readings
            .into_iter()
            .zip(shown)
            .map(|(reading, (at, size))| Picture { at, size, ..reading })
            .collect();
        Ok(Video::measure(pictures))
    }
}

/// A running ffmpeg that writes raw media to its output and what it decodes to its log.
struct Decoder {
    child: std::process::Child,
    output: std::process::ChildStdout,
    log: JoinHandle<std::io::Result<Vec<String>>>,
}

impl Decoder {
    fn start(path: &Path, options: &[&str]) -> Result<Self> {
        let mut command: Command = Missing::tool("ffmpeg")?;
        command
            .args([
                "-nostdin",
                "-hide_banner",
                "-nostats",
                "-loglevel",
                "repeat+level+info",
                "-copyts",
                "-i",
            ])
            .arg(path)
            .args(options)
            .arg("-")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot run ffmpeg")?;
        let output = child.stdout.take().context("ffmpeg has no output")?;
        let log = child.stderr.take().context("ffmpeg has no log")?;
        // Its own thread: the log fills its pipe while the media is read.
        let log = std::thread::spawn(move || read_lines(log));
        Ok(Self { child, output, log })
    }

    /// Reads one whole picture; `false` at the end.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<bool> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self
                .output
                .read(&mut buffer[filled..])
                .context("cannot read ffmpeg's pictures")?
            {
                0 if filled == 0 => return Ok(false),
                0 => bail!("ffmpeg ended in the middle of a picture"),
                read => filled += read,
            }
        }
        Ok(true)
    }

    /// Waits for its end and gives its log; errors in it go to `complaints`.
    fn finish(mut self, complaints: &mut Vec<String>) -> Result<Vec<String>> {
        let status = self.child.wait().context("cannot wait for ffmpeg")?;
        let lines = self
            .log
            .join()
            .map_err(|_| anyhow::anyhow!("the reader of ffmpeg's log panicked"))??;
        let errors = lines
            .iter()
            .filter(|line| line.contains("[error]") || line.contains("[fatal]"));
        complaints.extend(errors.clone().cloned());
        ensure!(
            status.success(),
            "ffmpeg failed ({status}): {:?}",
            errors.collect::<Vec<_>>()
        );
        Ok(lines)
    }
}

fn read_lines(log: ChildStderr) -> std::io::Result<Vec<String>> {
    BufReader::new(log)
        .split(b'\n')
        .map(|line| Ok(String::from_utf8_lossy(&line?).into_owned()))
        .collect()
}

/// The value after `key` in a line of `key:value` pairs, where spaces may stand before the value.
fn field<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let rest = &line[line.find(key)? + key.len()..];
    rest.split_whitespace().next()
}

/// One line of `showinfo`: when the picture is shown, and its size.
fn parse_shown(line: &str) -> Option<(f64, (u32, u32))> {
    if !line.contains("showinfo") {
        return None;
    }
    let at = field(line, "pts_time:")?.parse().ok()?;
    let (width, height) = field(line, " s:")?.split_once('x')?;
    Some((at, (width.parse().ok()?, height.parse().ok()?)))
}

/// One decoded frame of sound, as `ashowinfo` tells it.
#[derive(Clone, Copy, Debug)]
struct SoundFrame {
    at: f64,
    samples: f64,
    rate: f64,
}

impl SoundFrame {
    fn parse(line: &str) -> Option<Self> {
        if !line.contains("ashowinfo") {
            return None;
        }
        Some(Self {
            at: field(line, "pts_time:")?.parse().ok()?,
            samples: field(line, "nb_samples:")?.parse().ok()?,
            rate: field(line, " rate:")?.parse().ok()?,
        })
    }
}

/// Samples on a time line: gaps in the time stamps filled with zeros, and told.
struct Placed {
    samples: Vec<i16>,
    begins: f64,
    holes: Vec<(f64, f64)>,
}

/// Puts the resampled, gapless `samples` where the time stamps of the `frames` they come from say.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positions in a recording, in samples"
)]
fn place(samples: &[i16], frames: &[SoundFrame]) -> Result<Placed> {
    let Some(first) = frames.first() else {
        ensure!(samples.is_empty(), "ffmpeg wrote sound without telling of it");
        return Ok(Placed {
            samples: Vec::new(),
            begins: 0.0,
            holes: Vec::new(),
        });
    };
    let rate = f64::from(RATE);
    let mut placed = Vec::with_capacity(samples.len());
    let mut holes = Vec::new();
    // Where the next frame belongs if nothing is missing, and how many resampled samples the frames so far have made.
    let (mut expected, mut taken) = (first.at, 0.0);
    for frame in frames {
        if (frame.at - expected).abs() > ROUNDING_S {
            if frame.at > expected {
                holes.push((expected, frame.at));
            }
            // Backwards: later samples replace those that stand there.
            placed.resize(((frame.at - first.at).max(0.0) * rate).round() as usize, 0);
            expected = frame.at;
        }
        let from = f64::round(taken) as usize;
        taken += frame.samples / frame.rate * rate;
        let to = (f64::round(taken) as usize).min(samples.len());
        placed.extend_from_slice(&samples[from.min(to)..to]);
        expected += frame.samples / frame.rate;
    }
    Ok(Placed {
        samples: placed,
        begins: first.at,
        holes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(at: f64) -> SoundFrame {
        SoundFrame {
            at,
            samples: 960.0,
            rate: 48_000.0,
        }
    }

    #[test]
    fn reads_the_lines_that_ffmpeg_writes() {
        let line = "[Parsed_showinfo_0 @ 0x5581] [info] n:   1 pts:     50 pts_time:0.05    pos:     5150 fmt:yuv420p \
                    sar:1/1 s:320x180 i:P iskey:0 type:P";
        assert_eq!(parse_shown(line), Some((0.05, (320, 180))));
        let line = "[Parsed_ashowinfo_0 @ 0x55] [info] n:2 pts:1920 pts_time:0.04 pos:1 fmt:fltp channel_layout:mono \
                    rate:48000 nb_samples:960 checksum:6F1";
        let frame = SoundFrame::parse(line).expect("a frame");
        assert!((frame.at - 0.04).abs() < 1e-9 && (frame.samples - 960.0).abs() < 1e-9);
        assert_eq!(
            parse_shown("[Parsed_showinfo_0 @ 0x5581] [info] config in time_base: 1/1000"),
            None
        );
    }

    #[test]
    fn a_hole_in_the_time_stamps_becomes_silence_and_is_told() {
        let placed = place(&[7; 960], &[frame(1.0), frame(1.02), frame(1.1)]).expect("placed");
        assert_eq!(placed.samples.len(), 1920);
        assert_eq!(placed.samples[640..1600], [0; 960]);
        assert_eq!(placed.samples[1600..], [7; 320]);
        assert_eq!(placed.holes.len(), 1);
        assert!((placed.holes[0].0 - 1.04).abs() < 1e-9 && (placed.holes[0].1 - 1.1).abs() < 1e-9);
    }

    #[test]
    fn rounding_to_milliseconds_is_no_hole() {
        let frames: Vec<_> = (0..100)
            .map(|i| frame((f64::from(i) * 20.0 + 0.4).round() / 1000.0))
            .collect();
        let placed = place(&vec![1; 32_000], &frames).expect("placed");
        assert_eq!(placed.samples, vec![1; 32_000]);
        assert_eq!(placed.holes, []);
    }
}
