//! Encoded media for tapes: what a peer's camera and microphone would have sent, encoded by ffmpeg.

use std::{
    collections::HashMap,
    io::Write as _,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use greffier_media::codec::Codec;
use greffier_tests::{
    Missing, Pattern, Source, Wall,
    pattern::{FLASH_S, beep_length},
};

/// What the pictures and sounds of a clip are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clip {
    pub peer: usize,
    pub source: Source,
    pub codec: Codec,
    /// Ignored for sound.
    pub size: (usize, usize),
    pub fps: u32,
    pub kbps: u32,
    /// Seconds since 1970, whole, of the tape's zero.
    pub start: i64,
    /// Seconds after it.
    pub from: f64,
    pub to: f64,
    /// Pictures between two key frames; the first is always one.
    pub key_every: u32,
}

/// One encoded frame.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// When it was captured, in seconds after the tape's zero.
    pub at: f64,
    pub data: Bytes,
}

impl Clip {
    /// Encodes it; the same clip only once in a run.
    pub fn encode(&self) -> Result<Arc<Vec<Encoded>>> {
        type Known = Mutex<HashMap<String, Arc<Vec<Encoded>>>>;
        static KNOWN: std::sync::LazyLock<Known> = std::sync::LazyLock::new(Known::default);
        let key = format!("{self:?}");
        let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let frames = Arc::new(if self.source.is_audio() {
            self.sound()?
        } else {
            self.pictures()?
        });
        KNOWN
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, Arc::clone(&frames));
        Ok(frames)
    }

    fn pictures(&self) -> Result<Vec<Encoded>> {
        let fps = f64::from(self.fps);
        let (first, end) = ((self.from * fps).ceil() as i64, (self.to * fps).ceil() as i64);
        let (width, height) = self.size;
        let (size, rate, bits, keys) = (
            format!("{width}x{height}"),
            self.fps.to_string(),
            format!("{}k", self.kbps),
            self.key_every.to_string(),
        );
        let input = [
            "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", &size, "-r", &rate, "-i", "-", "-pix_fmt", "yuv420p",
        ];
        let common = ["-b:v", &bits, "-g", &keys, "-keyint_min", &keys];
        let realtime = ["-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0"];
        let codec: &[&str] = match self.codec {
            Codec::Vp8 => &["-c:v", "libvpx", "-auto-alt-ref", "0"],
            Codec::Vp9 => &["-c:v", "libvpx-vp9"],
            Codec::Av1 => &[
                "-c:v",
                "libaom-av1",
                "-usage",
                "realtime",
                "-cpu-used",
                "8",
                "-lag-in-frames",
                "0",
            ],
            _ => &[
                "-c:v",
                "libx264",
                "-preset",
                "ultrafast",
                "-tune",
                "zerolatency",
                "-profile:v",
                "baseline",
            ],
        };
        let speed: &[&str] = if matches!(self.codec, Codec::Vp8 | Codec::Vp9) {
            &realtime
        } else {
            &[]
        };
        let format: &[&str] = match self.codec {
            Codec::H264 => &["-bsf:v", "h264_metadata=aud=insert", "-f", "h264"],
            _ => &["-f", "ivf"],
        };
        let arguments: Vec<_> = [&input[..], codec, &common, speed, format].concat();
        let encoded = ffmpeg(&arguments, |pipe| {
            for index in first..end {
                let at = index as f64 / fps;
                let offset = (at + 1e-9).fract();
                let captured = Wall(self.start as f64 + at);
                let flash = offset < FLASH_S;
                pipe.write_all(&Pattern { peer: self.peer }.draw(self.source, captured, flash, width, height))?;
            }
            Ok(())
        })?;
        let frames = if self.codec == Codec::H264 {
            access_units(&encoded)
        } else {
            ivf_frames(&encoded)
        };
        ensure!(
            frames.len() as i64 == end - first,
            "{self:?} gave {} pictures",
            frames.len()
        );
        Ok((first..end)
            .zip(frames)
            .map(|(index, data)| Encoded {
                at: index as f64 / fps,
                data,
            })
            .collect())
    }

    fn sound(&self) -> Result<Vec<Encoded>> {
        let rate = 48_000_i64;
        let (first, end) = ((self.from * 50.0).round() as i64, (self.to * 50.0).round() as i64);
        let pattern = Pattern { peer: self.peer };
        let input = ["-f", "s16le", "-ar", "48000", "-ac", "1", "-i", "-"];
        let output = [
            "-c:a",
            "libopus",
            "-application",
            "voip",
            "-b:a",
            "32k",
            "-frame_duration",
            "20",
            "-f",
            "ogg",
        ];
        let encoded = ffmpeg(&[&input[..], &output].concat(), |pipe| {
            let mut bytes = Vec::new();
            for sample in first * 960..end * 960 {
                let (second, offset) = (sample.div_euclid(rate), sample.rem_euclid(rate) as f64 / rate as f64);
                let level = if offset < beep_length(self.start + second) {
                    pattern.sample(self.start + second, offset)
                } else {
                    0.0
                };
                bytes.extend(((level * 32_767.0) as i16).to_le_bytes());
            }
            pipe.write_all(&bytes)
        })?;
        // The two headers first; the encoder's delay makes one packet more than there is sound.
        let packets = ogg_packets(&encoded).into_iter().skip(2);
        Ok((first..end)
            .zip(packets)
            .map(|(index, data)| Encoded {
                at: index as f64 / 50.0,
                data,
            })
            .collect())
    }
}

/// Runs ffmpeg on what `write` feeds it.
fn ffmpeg(
    arguments: &[&str],
    write: impl FnOnce(&mut std::process::ChildStdin) -> std::io::Result<()>,
) -> Result<Vec<u8>> {
    let output = tempfile::NamedTempFile::new()?;
    let mut child = Missing::tool("ffmpeg")?
        .args(["-nostdin", "-y", "-loglevel", "error"])
        .args(arguments)
        .arg(output.path())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .env("SVT_LOG", "0")
        .spawn()
        .context("cannot run ffmpeg")?;
    let mut pipe = child.stdin.take().context("ffmpeg has no input")?;
    let written = write(&mut pipe);
    drop(pipe);
    let ended = child.wait_with_output()?;
    ensure!(
        ended.status.success(),
        "ffmpeg {arguments:?}: {}",
        String::from_utf8_lossy(&ended.stderr)
    );
    written?;
    read(output.path())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn ivf_frames(file: &[u8]) -> Vec<Bytes> {
    let mut frames = Vec::new();
    let mut rest = file.get(32..).unwrap_or_default();
    while let Some((head, after)) = rest.split_first_chunk::<12>() {
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let (frame, after) = after.split_at(length.min(after.len()));
        frames.push(Bytes::copy_from_slice(frame));
        rest = after;
    }
    frames
}

/// Each begins with an access unit delimiter, which is left out: WebRTC sends none.
fn access_units(stream: &[u8]) -> Vec<Bytes> {
    const DELIMITER: &[u8] = &[0, 0, 0, 1, 9];
    let starts: Vec<_> = stream
        .windows(DELIMITER.len())
        .enumerate()
        .filter(|(_, window)| *window == DELIMITER)
        .map(|(at, _)| at)
        .collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| Bytes::copy_from_slice(&stream[start + 6..end]))
        .collect()
}

fn ogg_packets(file: &[u8]) -> Vec<Bytes> {
    let (mut packets, mut packet, mut rest) = (Vec::new(), Vec::new(), file);
    while rest.len() > 27 {
        let segments = usize::from(rest[26]);
        let (table, mut body) = rest[27..].split_at(segments);
        for length in table {
            let (piece, after) = body.split_at(usize::from(*length));
            packet.extend_from_slice(piece);
            body = after;
            if *length < 255 {
                packets.push(Bytes::from(std::mem::take(&mut packet)));
            }
        }
        rest = body;
    }
    packets
}
