//! Clips made by ffmpeg, once, into a cache folder.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use bytes::Bytes;
use greffier_media::codec::Codec;
use sha2::{Digest, Sha256};
use tokio::process::Command;
use tokio::sync::Mutex;

use super::packetize::packetize;
use super::{AudioClip, ClipFrame, ClipLayer, Content, LayerSpec, VideoClip, VideoSpec, parse};
use crate::synthetic::SyntheticError;

/// Length of a clip in seconds: long enough not to be cached by an encoder's luck, short enough to be made quickly.
const SECONDS: u32 = 12;
/// A key frame each so many seconds: where a request for one is answered from.
const KEY_FRAME_EVERY: u32 = 4;
/// Part of the files' names: a change to what is made changes it.
const VERSION: u32 = 2;

/// Clips that are made when they are first asked for. Clones share everything.
#[derive(Clone)]
pub struct Clips {
    folder: Arc<PathBuf>,
    videos: Arc<Mutex<HashMap<VideoSpec, Arc<VideoClip>>>>,
    voices: Arc<Mutex<HashMap<u32, Arc<AudioClip>>>>,
}

/// Where clips are kept unless told otherwise: the user's cache.
pub fn default_cache() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    cache.unwrap_or_else(std::env::temp_dir).join("greffier/clips")
}

impl Clips {
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder: Arc::new(folder),
            videos: Arc::default(),
            voices: Arc::default(),
        }
    }

    /// How many different voices there are.
    pub const VOICES: u32 = 4;

    /// A video, made if it is not there yet.
    ///
    /// # Errors
    /// When ffmpeg is missing or fails, or the cache cannot be written.
    pub async fn video(&self, spec: &VideoSpec) -> Result<Arc<VideoClip>, SyntheticError> {
        let mut videos = self.videos.lock().await;
        if let Some(made) = videos.get(spec) {
            return Ok(Arc::clone(made));
        }
        let mut layers = Vec::new();
        for layer in &spec.layers {
            let path = self.folder.join(video_name(spec, *layer)?);
            let file = self.file(&path, || video_command(spec, *layer)).await?;
            layers.push(
                read_layer(spec.codec, *layer, &file).map_err(|reason| SyntheticError::NotAClip { path, reason })?,
            );
        }
        let clip = Arc::new(VideoClip {
            codec: spec.codec,
            content: spec.content.clone(),
            layers,
        });
        videos.insert(spec.clone(), Arc::clone(&clip));
        Ok(clip)
    }

    /// One of a few voices, speaking without a pause.
    ///
    /// # Errors
    /// As [`Self::video`].
    pub async fn voice(&self, number: u32) -> Result<Arc<AudioClip>, SyntheticError> {
        let number = number % Self::VOICES;
        let mut voices = self.voices.lock().await;
        if let Some(made) = voices.get(&number) {
            return Ok(Arc::clone(made));
        }
        let path = self.folder.join(format!("voice-{number}-v{VERSION}.ogg"));
        let file = self.file(&path, || voice_command(number)).await?;
        let packets = parse::opus(&file).map_err(|reason| SyntheticError::NotAClip { path, reason })?;
        let clip = Arc::new(AudioClip { packets });
        voices.insert(number, Arc::clone(&clip));
        Ok(clip)
    }

    /// The bytes of a cached file, made by ffmpeg with `arguments` if it is not there.
    async fn file(&self, path: &Path, arguments: impl FnOnce() -> Vec<String>) -> Result<Bytes, SyntheticError> {
        let failed = |source| SyntheticError::File {
            path: path.to_owned(),
            source,
        };
        match tokio::fs::read(path).await {
            Ok(bytes) => return Ok(bytes.into()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        tokio::fs::create_dir_all(&*self.folder).await.map_err(failed)?;
        // Made under another name: who finds the file finds it whole, and two that make it do not meet.
        let making = path.with_extension(format!("{:08x}.part", rand::random::<u32>()));
        tracing::info!(clip = %path.display(), "making a clip");
        let made = ffmpeg(arguments(), &making).await;
        if made.is_ok() {
            tokio::fs::rename(&making, path).await.map_err(failed)?;
        } else if let Err(error) = tokio::fs::remove_file(&making).await {
            tracing::debug!(%error, "nothing was left to remove");
        }
        made?;
        Ok(tokio::fs::read(path).await.map_err(failed)?.into())
    }
}

async fn ffmpeg(arguments: Vec<String>, output: &Path) -> Result<(), SyntheticError> {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y"])
        .args(arguments)
        .arg(output);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let ended = command.output().await.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => SyntheticError::NoFfmpeg,
        _ => SyntheticError::Ffmpeg {
            what: output.display().to_string(),
            message: error.to_string(),
        },
    })?;
    if ended.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&ended.stderr)
        .trim()
        .chars()
        .take(500)
        .collect();
    let what = output.display().to_string();
    Err(SyntheticError::Ffmpeg { what, message })
}

fn extension(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "h264",
        Codec::Opus => "ogg",
        _ => "ivf",
    }
}

fn video_name(spec: &VideoSpec, layer: LayerSpec) -> Result<String, SyntheticError> {
    let content = match &spec.content {
        Content::Camera => "camera".to_owned(),
        Content::Screen => "screen".to_owned(),
        Content::File(path) => {
            // Another file under the same name is another clip.
            let facts = std::fs::metadata(path).map_err(|source| SyntheticError::File {
                path: path.clone(),
                source,
            })?;
            let identity = format!("{}|{}|{:?}", path.display(), facts.len(), facts.modified().ok());
            let digest = Sha256::digest(identity.as_bytes());
            format!(
                "own-{:016x}",
                u64::from_be_bytes(digest.first_chunk().copied().unwrap_or_default())
            )
        }
    };
    let LayerSpec { dims, fps, bitrate } = layer;
    let (width, height) = (dims.width, dims.height);
    let (codec, kbit, extension) = (
        spec.codec.to_string().to_lowercase(),
        bitrate / 1000,
        extension(spec.codec),
    );
    Ok(format!(
        "{content}-{codec}-{width}x{height}-{fps}fps-{kbit}k-v{VERSION}.{extension}"
    ))
}

fn read_layer(codec: Codec, spec: LayerSpec, file: &Bytes) -> Result<ClipLayer, String> {
    let mut frames = Vec::new();
    for frame in parse::video(codec, file)? {
        let key = parse::is_key_frame(codec, &frame);
        let payloads = packetize(codec, &frame, key)?;
        if !payloads.is_empty() {
            frames.push(ClipFrame { payloads, key });
        }
    }
    let key_frames: Vec<usize> = frames
        .iter()
        .enumerate()
        .filter(|(_, f)| f.key)
        .map(|(n, _)| n)
        .collect();
    if key_frames.first() != Some(&0) {
        return Err("it does not begin with a key frame".to_owned());
    }
    Ok(ClipLayer {
        spec,
        frames,
        key_frames,
    })
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split_whitespace().map(str::to_owned)
}

fn video_command(spec: &VideoSpec, layer: LayerSpec) -> Vec<String> {
    let LayerSpec { dims, fps, bitrate } = layer;
    let (width, height) = (dims.width, dims.height);
    let mut arguments: Vec<String> = Vec::new();
    let scale = format!(
        "fps={fps},scale={width}:{height}:force_original_aspect_ratio=decrease,pad={width}:{height}:-1:-1,format=yuv420p"
    );
    match &spec.content {
        Content::Camera => {
            let source = format!("testsrc2=size={width}x{height}:rate={fps},noise=alls=8:allf=t,format=yuv420p");
            arguments.extend(words("-f lavfi -i"));
            arguments.push(source);
        }
        Content::Screen => {
            arguments.extend(words("-f lavfi -i"));
            arguments.push(screen_source(dims.width, dims.height, fps));
        }
        Content::File(path) => {
            arguments.extend(words("-stream_loop -1 -i"));
            arguments.push(path.display().to_string());
            arguments.extend(words("-an -vf"));
            arguments.push(scale);
        }
    }
    arguments.extend(words(&format!("-t {SECONDS}")));
    let every = fps * KEY_FRAME_EVERY;
    let rate = format!("-b:v {bitrate} -maxrate {bitrate} -bufsize {bitrate} -g {every} -keyint_min {every}");
    let codec = match spec.codec {
        Codec::Vp8 => {
            "-c:v libvpx -deadline realtime -cpu-used 8 -max-intra-rate 400 -auto-alt-ref 0 -lag-in-frames 0 -error-resilient 1 -f ivf"
        }
        Codec::Vp9 => {
            "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -max-intra-rate 400 -auto-alt-ref 0 -lag-in-frames 0 -error-resilient 1 -f ivf"
        }
        Codec::Av1 => "-c:v libaom-av1 -usage realtime -cpu-used 8 -lag-in-frames 0 -f ivf",
        _ => {
            "-c:v libx264 -profile:v baseline -preset veryfast -tune zerolatency -bf 0 -sc_threshold 0 -x264-params \
             threads=1:sliced-threads=0:slices=1:aud=1 -f h264"
        }
    };
    arguments.extend(words(&rate));
    arguments.extend(words(codec));
    arguments
}

/// Pages of text, black on white, one every key-frame interval.
fn screen_source(width: u32, height: u32, fps: u32) -> String {
    const LINES: u32 = 30;
    let mut source = format!("color=white:size={width}x{height}:rate={fps}");
    let step = height / LINES;
    for line in 1..LINES - 1 {
        // Which number a line shows depends on the page; nothing else moves, as in a document that is read.
        let text = format!(
            "Line {line}: the quick brown fox jumps over %{{eif\\:{line}*17+{line}*trunc(t/{KEY_FRAME_EVERY})\\:d}} lazy dogs"
        );
        let (top, size) = (line * step, step * 2 / 3);
        // Writing to a string cannot fail.
        let _ = write!(
            source,
            ",drawtext=text='{text}':x={step}:y={top}:fontsize={size}:fontcolor=black"
        );
    }
    source + ",format=yuv420p"
}

/// Voices of the synthesizer inside ffmpeg, and what they say.
const VOICES: [(&str, &str); Clips::VOICES as usize] = [
    (
        "slt",
        "Good morning everybody. Let us begin with the numbers of last week, and then go through the list of open \
         questions one by one. I would like to finish before noon, so please keep your answers short and clear.",
    ),
    (
        "rms",
        "Thank you. We shipped the second version on Tuesday, and so far nobody has found anything that we did not know \
         already. The servers are quiet, the disks are half full, and the backups were tested on Friday afternoon.",
    ),
    (
        "kal16",
        "Before we go on, may I ask a question about the schedule. The room is booked until eleven, and the people from \
         the other building need ten minutes to walk over here. Should we move the demonstration to the end.",
    ),
    (
        "awb",
        "I agree with most of what was said, but there is one thing that worries me. When many people join at the same \
         time, the first picture comes late, and nobody has measured yet how late it is on a slow connection.",
    ),
];

fn voice_command(number: u32) -> Vec<String> {
    let (voice, text) = VOICES[number as usize % VOICES.len()];
    let mut arguments: Vec<String> = words("-f lavfi -i").collect();
    arguments.push(format!("flite=voice={voice}:text='{text}'"));
    arguments.extend(words(
        "-c:a libopus -ar 48000 -ac 1 -b:a 32k -application voip -frame_duration 20 -f ogg",
    ));
    arguments
}
