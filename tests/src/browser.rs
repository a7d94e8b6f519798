//! A real Chromium: plays recordings by HTTP ranges, and takes part in rooms through `livekit-client`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::analyse::Picture;
use crate::analyse::video::GRID_BYTES;
use crate::folder::{Folder, repository};
use crate::installed::{installed, run};
use crate::missing::Missing;
use crate::pattern::{Source, TimeCode};
use crate::process::{Deadline, Speaker, preferred};
use crate::server::Server;

/// A cold start of Chromium on a busy machine takes seconds; the driver gives up on a single step after 40.
const START_WITHIN: Duration = Duration::from_mins(1);
const STEP_WITHIN: Duration = Duration::from_secs(50);
/// Chromium closes within a second; one that hangs is killed.
const CLOSED_WITHIN: Duration = Duration::from_secs(10);
/// After a seek the picture shown may be this far, in seconds, from the place asked for: two pictures at 15 a second, since
/// the one that covers the place may begin a picture earlier and live video comes unevenly.
pub const SEEK_S: f64 = 0.150;

/// A running Chromium with as many pages as a test wants. Gone when dropped.
#[derive(Debug)]
pub struct Browser {
    speaker: Speaker,
    folder: Folder,
    next: usize,
}

/// What Chromium made of a media file.
#[derive(Clone, Debug, Deserialize)]
pub struct Playback {
    /// Why it could not be played.
    pub error: Option<String>,
    /// Seconds, as the player shows them.
    #[serde(default)]
    pub duration: Option<f64>,
    #[serde(default)]
    pub width: u32,
    #[serde(default)]
    pub height: u32,
    /// How far it played, and how long that took, in seconds.
    #[serde(default)]
    pub played_s: f64,
    #[serde(default)]
    pub took_s: f64,
    /// Pictures decoded and dropped while playing (`getVideoPlaybackQuality`).
    #[serde(default)]
    pub decoded: u64,
    #[serde(default)]
    pub dropped: u64,
    /// Bytes of sound that were decoded.
    #[serde(default)]
    pub audio_bytes: u64,
    /// First bytes of the ranges it asked the server for.
    #[serde(default)]
    pub ranges: Vec<u64>,
    #[serde(default)]
    pub seeks: Vec<Seek>,
    /// Where the screenshot is.
    #[serde(skip)]
    pub screenshot: PathBuf,
}

/// A seek and what was on screen after it.
#[derive(Clone, Debug, Deserialize)]
pub struct Seek {
    /// Where to, in seconds, and where the player says it is.
    pub asked: f64,
    pub landed: f64,
    #[serde(rename = "grid", deserialize_with = "time_code")]
    pub code: Option<TimeCode>,
}

/// One track that a page receives, by the browser's statistics.
#[derive(Clone, Debug, Deserialize)]
pub struct Inbound {
    pub from: String,
    pub source: Source,
    /// e.g. `video/VP8`
    pub codec: Option<String>,
    pub packets: u64,
    pub lost: i64,
    pub frames_decoded: u64,
    pub width: u32,
    pub height: u32,
    /// Samples of sound received, and how many of them were made up for lost ones.
    pub samples: u64,
    pub concealed: u64,
    /// Energy of the sound, 0 for silence.
    pub energy: f64,
}

/// How a page takes part.
#[derive(Clone, Copy, Debug)]
pub struct Participation {
    /// Whether it shows Chromium's fake camera, and in which codec (LiveKit's name, e.g. `vp8`).
    pub camera: Option<&'static str>,
    /// Whether Chromium's fake microphone (a beep a second) is heard.
    pub microphone: bool,
    pub simulcast: bool,
}

impl Participation {
    /// Camera (VP8) and microphone.
    pub fn full() -> Self {
        Self {
            camera: Some("vp8"),
            microphone: true,
            simulcast: false,
        }
    }

    /// Only watches.
    pub fn watching() -> Self {
        Self {
            camera: None,
            microphone: false,
            simulcast: false,
        }
    }
}

impl Browser {
    /// Starts Chromium; its driver and its pages' packages are installed on demand.
    pub fn launch() -> Result<Self> {
        let folder = Folder::of_test()?.sub("browser")?;
        let chromium = Missing::tool("chromium")?;
        let mut node = preferred(Missing::tool("node")?.get_program())?;
        let packages = packages()?;
        node.arg(repository().join("tests/browser/driver.mjs"));
        node.arg(packages)
            .arg(chromium.get_program())
            .arg(folder.join("profile"));
        let speaker = Speaker::start("browser", &node, folder.path())?;
        speaker.wait("its start", 0, Deadline::within(START_WITHIN), |fact| {
            fact["event"] == "ready"
        })?;
        Ok(Self {
            speaker,
            folder,
            next: 0,
        })
    }

    /// Plays the first seconds of a file in real time, then seeks to these places (seconds); takes a screenshot at the end.
    pub fn play(&mut self, file: &Path, play_s: f64, seeks: &[f64]) -> Result<Playback> {
        self.next += 1;
        let page = "player";
        let screenshot = self.folder.join(format!("played-{}.png", self.next));
        let step = json!({
            "do": "play", "page": page, "file": file, "play_s": play_s, "seeks": seeks, "screenshot": screenshot,
        });
        let fact = self.ask(&step, "played")?;
        let mut playback: Playback =
            serde_json::from_value(fact).context("the player's answer is not what we expect")?;
        playback.screenshot = screenshot;
        Ok(playback)
    }

    /// A new page enters a room.
    pub fn join(&mut self, server: &Server, room: &str, identity: &str, how: Participation) -> Result<()> {
        let token = server.token(room, identity)?;
        let step = json!({
            "do": "join", "page": identity, "url": server.url(), "token": token, "camera": how.camera.is_some(),
            "codec": how.camera, "microphone": how.microphone, "simulcast": how.simulcast,
        });
        self.ask(&step, "joined").map(|_| ())
    }

    /// Waits until a page in a room tells a fact (`subscribed`, `published`, `disconnected`…) that `wanted` likes.
    pub fn wait_for(&self, identity: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        self.speaker.wait(what, 0, Deadline::within(STEP_WITHIN), |fact| {
            fact["page"] == identity && wanted(fact)
        })
    }

    /// What a page in a room receives, by the browser's statistics.
    pub fn inbound(&mut self, identity: &str) -> Result<Vec<Inbound>> {
        let fact = self.ask(&json!({ "do": "inbound", "page": identity }), "inbound")?;
        Vec::<Inbound>::deserialize(&fact["tracks"]).context("the browser's statistics are not what we expect")
    }

    /// A page in a room shares its screen.
    pub fn share(&mut self, identity: &str) -> Result<()> {
        self.ask(&json!({ "do": "share", "page": identity }), "shared")
            .map(|_| ())
    }

    /// A page leaves its room and is closed.
    pub fn leave(&mut self, identity: &str) -> Result<()> {
        self.ask(&json!({ "do": "leave", "page": identity }), "left")
            .map(|_| ())
    }

    /// Takes a screenshot of a page.
    pub fn screenshot(&mut self, page: &str, name: &str) -> Result<PathBuf> {
        let file = self.folder.join(name);
        self.ask(&json!({ "do": "screenshot", "page": page, "file": file }), "screenshot")?;
        Ok(file)
    }

    fn ask(&mut self, step: &Value, answer: &str) -> Result<Value> {
        let said = self.speaker.said().len();
        self.speaker.tell(step)?;
        self.speaker.wait(answer, said, Deadline::within(STEP_WITHIN), |fact| {
            fact["event"] == answer && fact["page"] == step["page"]
        })
    }
}

impl Drop for Browser {
    /// Lets the driver close Chromium: its processes would outlive a killed driver for a while, at the next test's expense.
    fn drop(&mut self) {
        // One that does not close is killed with its driver.
        let _ = self.speaker.end(Deadline::within(CLOSED_WITHIN));
    }
}

impl Playback {
    /// It plays: no error, pictures are decoded if it has any, sound if it has any, it keeps up with time, and after each
    /// seek the player is where it was asked to be.
    #[track_caller]
    pub fn expect_plays(&self) -> &Self {
        assert_eq!(self.error, None, "Chromium does not play it: {self:?}");
        assert!(
            self.duration.is_some_and(f64::is_finite),
            "Chromium knows no duration: {self:?}"
        );
        assert!(self.played_s > 0.0, "it does not move: {self:?}");
        if self.width > 0 {
            assert!(self.decoded > 0, "no picture was decoded: {self:?}");
        } else {
            assert!(self.audio_bytes > 0, "no sound was decoded: {self:?}");
        }
        for seek in &self.seeks {
            assert!(
                (seek.landed - seek.asked).abs() < SEEK_S,
                "a seek went elsewhere: {seek:?}"
            );
        }
        self
    }

    /// After each seek the picture of that moment is on screen, by its time code; `origin` is the wall time of second 0.
    #[track_caller]
    pub fn expect_seeks_show(&self, origin: crate::Wall) -> &Self {
        for seek in &self.seeks {
            let code = seek
                .code
                .unwrap_or_else(|| panic!("no time code on screen after {seek:?}"));
            let shown = code.captured.since(origin);
            assert!(
                (shown - seek.asked).abs() < SEEK_S,
                "the picture of {shown:.3} s is on screen after {seek:?}"
            );
        }
        self
    }

    /// The player's duration, within [`crate::judge::DURATION_S`].
    #[track_caller]
    pub fn expect_duration(&self, seconds: f64) -> &Self {
        let duration = self.duration.unwrap_or(f64::NAN);
        assert!(
            (duration - seconds).abs() <= crate::judge::DURATION_S,
            "Chromium says {duration:.3} s instead of {seconds:.3} s"
        );
        self
    }
}

/// The pages' packages, installed on demand.
pub fn packages() -> Result<PathBuf> {
    let source = repository().join("tests/browser");
    let read = |name: &str| std::fs::read_to_string(source.join(name)).with_context(|| format!("cannot read {name}"));
    let stamp = read("package-lock.json")?;
    installed("browser", &stamp, |folder| {
        for name in ["package.json", "package-lock.json"] {
            std::fs::copy(source.join(name), folder.join(name))?;
        }
        // No package of ours needs its install script.
        run(Missing::tool("npm")?
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(folder))
    })
}

/// Reads the time code in a picture that came as a grid in base64.
fn time_code<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<TimeCode>, D::Error> {
    use base64::Engine as _;
    let Some(text) = Option::<String>::deserialize(input)? else {
        return Ok(None);
    };
    let grid = base64::engine::general_purpose::STANDARD
        .decode(text)
        .map_err(serde::de::Error::custom)?;
    if grid.len() != GRID_BYTES {
        return Err(serde::de::Error::custom(format!("a grid of {} bytes", grid.len())));
    }
    Ok(Picture::read(0.0, (0, 0), &grid).code)
}
