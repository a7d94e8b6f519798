//! Recordings of a meeting that never took place, right or wrong in a known way: to test the analyser itself.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::meeting::PeerTruth;
use crate::missing::Missing;
use crate::pattern::{AMPLITUDE, FLASH_S, Pattern, Source, Wall};

/// Samples a second of the generated sound.
const RATE: u32 = 48_000;
/// Pictures a second.
const FPS: u32 = 20;
/// Small, to be fast; the smallest size that simulcast makes of the peers' pictures.
const SIZE: (usize, usize) = (160, 90);

/// A way in which a recording is wrong. Places are in seconds after its beginning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// The beep of this second is not there.
    NoBeep(i64),
    /// The flash of this second is not there.
    NoFlash(i64),
    /// All sound is later than it should be, by this many seconds.
    SoundLate(f64),
    /// The same picture stays from here to there.
    Freeze(f64, f64),
    /// In this second this other peer is heard too.
    OtherTone(i64, usize),
    /// In this second this other peer's picture is shown instead.
    OtherPicture(i64, usize),
    /// A hum of so many dB of full scale (RMS) lies under everything.
    Hum(f64),
    /// A beep and a flash half a second after this second.
    Stray(i64),
}

/// A recording of one peer from a whole second on.
#[derive(Clone, Debug)]
pub struct Clip {
    pattern: Pattern,
    start: i64,
    seconds: i64,
    faults: Vec<Fault>,
    mutes: Vec<(i64, i64)>,
}

/// How a clip is stored: the arguments with which ffmpeg encodes it, and the file name's ending.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    pub ending: &'static str,
    pub has_video: bool,
    pub arguments: &'static [&'static str],
}

const VP8: Format = Format {
    ending: "webm",
    has_video: true,
    arguments: &[
        "-c:v",
        "libvpx",
        "-deadline",
        "realtime",
        "-cpu-used",
        "8",
        "-b:v",
        "400k",
        "-c:a",
        "libopus",
    ],
};

/// Without any delay of an encoder, and with time stamps exact to the sample: to measure the analyser's own precision.
pub const EXACT: Format = Format {
    ending: "mov",
    has_video: true,
    arguments: &[
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-bf",
        "0",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "pcm_s16le",
    ],
};

/// What the product writes: by codec, a container that players take.
pub const FORMATS: &[Format] = &[
    VP8,
    Format {
        ending: "vp9.webm",
        has_video: true,
        arguments: &[
            "-c:v",
            "libvpx-vp9",
            "-deadline",
            "realtime",
            "-cpu-used",
            "8",
            "-b:v",
            "400k",
            "-c:a",
            "libopus",
        ],
    },
    Format {
        ending: "av1.webm",
        has_video: true,
        arguments: &[
            "-c:v",
            "libaom-av1",
            "-usage",
            "realtime",
            "-cpu-used",
            "8",
            "-b:v",
            "400k",
            "-c:a",
            "libopus",
        ],
    },
    Format {
        ending: "mp4",
        has_video: true,
        arguments: &[
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-pix_fmt",
            "yuv420p",
            "-c:a",
            "aac",
        ],
    },
    Format {
        ending: "opus.mp4",
        has_video: true,
        arguments: &[
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-pix_fmt",
            "yuv420p",
            "-bf",
            "0",
            "-c:a",
            "libopus",
        ],
    },
    Format {
        ending: "mkv",
        has_video: true,
        arguments: &[
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-pix_fmt",
            "yuv420p",
            "-c:a",
            "libopus",
        ],
    },
    Format {
        ending: "ogg",
        has_video: false,
        arguments: &["-c:a", "libopus"],
    },
    Format {
        ending: "mp3",
        has_video: false,
        arguments: &["-c:a", "libmp3lame"],
    },
    Format {
        ending: "wav",
        has_video: false,
        arguments: &["-c:a", "pcm_s16le"],
    },
];

impl Clip {
    /// So many seconds of this peer, from an arbitrary moment on.
    pub fn new(peer: usize, seconds: i64) -> Self {
        Self {
            pattern: Pattern { peer },
            start: 1_795_410_284,
            seconds,
            faults: Vec::new(),
            mutes: Vec::new(),
        }
    }

    /// Makes it wrong.
    #[must_use]
    pub fn with(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// The peer is muted, sound and picture, from half a second after the first of these to half a second after the other.
    #[must_use]
    pub fn muted(mut self, from: i64, to: i64) -> Self {
        self.mutes.push((from, to));
        self
    }

    /// The wall time of its second 0.
    pub fn start(&self) -> Wall {
        Wall(self.start as f64)
    }

    fn is_muted(&self, at: f64) -> bool {
        self.mutes
            .iter()
            .any(|&(from, to)| (from as f64 + 0.5..to as f64 + 0.5).contains(&at))
    }

    /// What the peer would have told if this had been a meeting.
    ///
    /// # Panics
    /// Never: the account is in the form that is read.
    pub fn truth(&self) -> PeerTruth {
        let mut facts = Vec::new();
        for (source, kind, sid) in [("camera", "flash", "TR_C"), ("microphone", "beep", "TR_M")] {
            let start = self.start as f64;
            facts.push(json!({"event": "published", "wall": start - 10.0, "source": source, "sid": sid}));
            // Published long before the clip begins, so that the clip is due from its first second on.
            facts.push(json!({"event": "first", "wall": start - 10.0, "source": source, "at": start - 10.0}));
            for second in 0..self.seconds {
                let muted = self.is_muted(second as f64);
                let wall = start + second as f64;
                facts.push(json!({
                    "event": kind, "wall": wall, "source": source, "second": self.start + second, "late": 0.0, "muted": muted,
                }));
                for &(from, to) in &self.mutes {
                    for (at, event) in [(from, "muted"), (to, "unmuted")] {
                        if at == second {
                            facts.push(json!({"event": event, "wall": wall + 0.5, "source": source}));
                        }
                    }
                }
            }
            let end = start + self.seconds as f64;
            facts.push(
                json!({"event": "ended", "wall": end, "source": source, "first": start, "last": end, "count": 1}),
            );
        }
        PeerTruth::from_facts("generated", self.pattern, &facts, Path::new("")).expect("facts as peers tell them")
    }

    /// Writes it into `folder` as `name` with the format's ending.
    pub fn write(&self, folder: &Path, name: &str, format: Format) -> Result<PathBuf> {
        let sound = folder.join(format!("{name}.source.wav"));
        self.write_sound(&sound)?;
        let file = folder.join(format!("{name}.{}", format.ending));
        let mut command = Missing::tool("ffmpeg")?;
        command
            .args(["-nostdin", "-y", "-loglevel", "error"])
            .arg("-i")
            .arg(&sound);
        if format.has_video {
            let (width, height) = SIZE;
            command.args([
                "-f",
                "rawvideo",
                "-pix_fmt",
                "rgb24",
                "-s",
                &format!("{width}x{height}"),
            ]);
            command.args(["-r", &FPS.to_string(), "-i", "-"]);
        }
        command.args(format.arguments).arg(&file);
        let mut child = command
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run ffmpeg")?;
        let mut input = child.stdin.take().context("ffmpeg has no input")?;
        // If ffmpeg ends early the pipe breaks; its own words, below, say why.
        let written = if format.has_video {
            self.write_pictures(&mut input)
        } else {
            Ok(())
        };
        drop(input);
        let output = child.wait_with_output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        if error.contains("Unknown encoder") {
            return Err(Missing::new(
                format!("an encoder of ffmpeg: {}", error.trim()),
                "scripts/install/debian.sh test",
            )
            .into());
        }
        ensure!(
            output.status.success(),
            "ffmpeg cannot write {}: {}",
            file.display(),
            error.trim()
        );
        written.context("ffmpeg ended before the last picture")?;
        Ok(file)
    }

    /// Writes it as WebM with VP8 and Opus.
    pub fn write_webm(&self, folder: &Path, name: &str) -> Result<PathBuf> {
        self.write(folder, name, VP8)
    }

    fn write_sound(&self, path: &Path) -> Result<()> {
        let format = hound::WavSpec {
            channels: 1,
            sample_rate: RATE,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut wav = hound::WavWriter::create(path, format)?;
        for index in 0..self.seconds * i64::from(RATE) {
            let at = index as f64 / f64::from(RATE);
            #[expect(clippy::cast_possible_truncation, reason = "clamped to a sample's range")]
            wav.write_sample((self.sound_at(at).clamp(-1.0, 1.0) * 32_767.0) as i16)?;
        }
        wav.finalize()?;
        Ok(())
    }

    /// The sample, in −1…1, at this many seconds.
    fn sound_at(&self, at: f64) -> f64 {
        let shift: f64 = self
            .faults
            .iter()
            .map(|fault| if let Fault::SoundLate(by) = fault { *by } else { 0.0 })
            .sum();
        let own = at - shift;
        let (second, offset) = whole_and_rest(own);
        let is_silent = second < 0 || self.is_muted(own) || self.faults.contains(&Fault::NoBeep(second));
        let mut sum = if is_silent {
            0.0
        } else {
            self.pattern.sample(self.start + second, offset)
        };
        for fault in &self.faults {
            match *fault {
                Fault::OtherTone(in_second, peer) if in_second == second => {
                    sum += Pattern { peer }.sample(self.start + second, offset);
                }
                Fault::Stray(in_second) if in_second == second => {
                    sum += self.pattern.sample(self.start + second, offset - 0.5);
                }
                // A sine whose RMS is the level, far from every tone.
                Fault::Hum(level) => {
                    let amplitude = std::f64::consts::SQRT_2 * 10_f64.powf(level / 20.0);
                    sum += amplitude.min(AMPLITUDE) * (std::f64::consts::TAU * 120.0 * at).sin();
                }
                _ => {}
            }
        }
        sum
    }

    fn write_pictures(&self, output: &mut impl Write) -> std::io::Result<()> {
        for index in 0..self.seconds * i64::from(FPS) {
            let at = index as f64 / f64::from(FPS);
            let frozen = self.faults.iter().find_map(|fault| match *fault {
                Fault::Freeze(from, to) if (from..to).contains(&at) => Some(from),
                _ => None,
            });
            let shown = frozen.unwrap_or(at);
            let (second, offset) = whole_and_rest(shown);
            let peer = self.faults.iter().find_map(|fault| match *fault {
                Fault::OtherPicture(in_second, peer) if in_second == second => Some(peer),
                _ => None,
            });
            let stray = self.faults.contains(&Fault::Stray(second)) && (0.5..0.5 + FLASH_S).contains(&offset);
            let due = offset < FLASH_S && !self.faults.contains(&Fault::NoFlash(second)) && !self.is_muted(shown);
            let pattern = peer.map_or(self.pattern, |peer| Pattern { peer });
            let captured = Wall(self.start as f64 + shown);
            output.write_all(&pattern.draw(Source::Camera, captured, stray || due, SIZE.0, SIZE.1))?;
        }
        Ok(())
    }
}

/// The whole second before a place, and the rest.
#[expect(clippy::cast_possible_truncation, reason = "seconds of a short clip")]
fn whole_and_rest(at: f64) -> (i64, f64) {
    // Places are multiples of a sample or a picture: rounding must not put the first of a second into the one before.
    let second = (at + 1e-9).floor();
    (second as i64, (at - second).max(0.0))
}
