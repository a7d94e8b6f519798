//! Recordings as the API shows them, and the files they end in.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Greffier, eventually};
use crate::pattern::Wall;
use crate::process::Deadline;

/// How far a recording is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Requested,
    Joining,
    Capturing,
    Sealing,
    Sealed,
    Failed,
}

/// A recording, as far as suites look at it.
#[derive(Clone, Debug, Deserialize)]
pub struct Recording {
    pub id: String,
    pub room: String,
    pub state: State,
    pub paused: bool,
    pub stop_reason: Option<String>,
    pub started_at: Option<String>,
    pub ended_at: Option<String>,
    pub duration_ms: u64,
    pub packets: u64,
    pub lost_packets: u64,
    /// All of it, as it came.
    #[serde(skip)]
    pub view: Value,
}

impl Recording {
    fn read(view: &Value) -> Result<Self> {
        let mut this = Self::deserialize(view).with_context(|| format!("no recording: {view}"))?;
        this.view = view.clone();
        Ok(this)
    }

    /// When it was sealed.
    #[track_caller]
    pub fn ended(&self) -> Wall {
        let at = self
            .ended_at
            .as_deref()
            .unwrap_or_else(|| panic!("it has not ended: {}", self.view));
        wall(at).expect("a time")
    }

    /// When capturing began.
    #[track_caller]
    pub fn started(&self) -> Wall {
        let at = self
            .started_at
            .as_deref()
            .unwrap_or_else(|| panic!("it has not begun: {}", self.view));
        wall(at).expect("a time")
    }
}

/// A time as RFC 3339 has it.
pub(super) fn wall(text: &str) -> Result<Wall> {
    let at: jiff::Timestamp = text.parse().with_context(|| format!("{text} is no time"))?;
    Ok(Wall(at.as_duration().as_secs_f64()))
}

/// A file of a recording.
#[derive(Clone, Debug, Deserialize)]
pub struct RenderedFile {
    /// `segment` or `render`.
    pub part: String,
    pub name: String,
    pub media_type: String,
    pub bytes: u64,
    pub sha256: String,
    pub url: String,
}

impl Greffier {
    /// The recordings of a room, the newest first.
    pub fn recordings(&self, room: &str) -> Result<Vec<Recording>> {
        let request = self
            .tester
            .request(Method::GET, "/api/recordings")
            .query(&[("room", room)]);
        let answer = super::Answer::of(request)?.expect(200).json();
        let items = answer["items"].as_array().context("no list")?;
        items.iter().map(Recording::read).collect()
    }

    /// One recording.
    pub fn recording(&self, id: &str) -> Result<Recording> {
        Recording::read(&self.get(&format!("/api/recordings/{id}"))?.expect(200).json())
    }

    /// Asks for a room to be recorded.
    pub fn record(&self, room: &str) -> Result<Recording> {
        let answer = self.post("/api/recordings", &json!({ "room": room }))?;
        if !matches!(answer.status, 200 | 201) {
            bail!("{}: {}", answer.status, answer.text());
        }
        Recording::read(&answer.json())
    }

    /// Waits until the only recording of a room is in this state. One that failed fails the wait.
    pub fn wait_for_state(&self, room: &str, state: State, within: Duration) -> Result<Recording> {
        let mut last = String::from("there is none");
        let found = eventually(Deadline::within(within), || {
            let all = self.recordings(room)?;
            let [recording] = &all[..] else {
                last = format!("there are {}", all.len());
                return Ok(None);
            };
            last = recording.view.to_string();
            if recording.state == State::Failed && state != State::Failed {
                bail!("the recording failed: {last}");
            }
            Ok((recording.state == state).then(|| recording.clone()))
        })?;
        found.with_context(|| format!("no recording of {room} was {state} within {within:?}: {last}"))
    }

    /// Waits until this recording's renders are all done, and gives its files. One that failed fails the wait.
    pub fn wait_for_renders(&self, id: &str, within: Duration) -> Result<Vec<RenderedFile>> {
        let path = format!("/api/recordings/{id}/renders");
        let mut last = Value::Null;
        let done = eventually(Deadline::within(within), || {
            last = self.get(&path)?.expect(200).json();
            let renders = last["items"].as_array().context("no list")?;
            if let Some(failed) = renders.iter().find(|render| render["state"] == "failed") {
                bail!("a render failed: {failed}");
            }
            let all_done = !renders.is_empty() && renders.iter().all(|render| render["state"] == "ready");
            Ok(all_done.then_some(()))
        })?;
        done.with_context(|| format!("renders were not done within {within:?}: {last}"))?;
        self.files(id)
    }

    /// Asks for a render, waits until it is ready, and gives it.
    pub fn render(&self, id: &str, request: &Value, within: Duration) -> Result<Value> {
        let ordered = self
            .post(&format!("/api/recordings/{id}/renders"), request)?
            .expect(202)
            .json();
        let path = format!(
            "/api/renders/{}",
            ordered["id"].as_str().context("a render without an id")?
        );
        let mut last = ordered.clone();
        let ready = eventually(Deadline::within(within), || {
            last = self.get(&path)?.expect(200).json();
            Ok(matches!(last["state"].as_str(), Some("ready" | "failed" | "cancelled")).then(|| last.clone()))
        })?;
        let ready = ready.with_context(|| format!("the render was not done within {within:?}: {last}"))?;
        if ready["state"] != "ready" {
            bail!("the render ended otherwise: {ready}");
        }
        Ok(ready)
    }

    /// A recording's files.
    pub fn files(&self, id: &str) -> Result<Vec<RenderedFile>> {
        let answer = self.get(&format!("/api/recordings/{id}/files"))?.expect(200).json();
        Vec::deserialize(&answer["items"]).with_context(|| format!("no files: {answer}"))
    }

    /// Fetches a file into the test's folder; checks its size and its digest.
    pub fn download(&self, file: &RenderedFile) -> Result<PathBuf> {
        let body = self.get(&file.url)?.expect(200).body;
        assert_eq!(body.len() as u64, file.bytes, "{}", file.name);
        assert_eq!(hex(&Sha256::digest(&body)), file.sha256, "{}", file.name);
        let path = self.folder.sub("files")?.join(&file.name);
        std::fs::write(&path, body).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Fetches what the copy of a participant or share is called, e.g. `ana.webm`.
    pub fn fetch(&self, files: &[RenderedFile], name: &str) -> Result<PathBuf> {
        let file = files
            .iter()
            .find(|file| file.part == "render" && file.name == name)
            .with_context(|| {
                format!(
                    "no {name} among {:?}",
                    files.iter().map(|file| &file.name).collect::<Vec<_>>()
                )
            })?;
        self.download(file)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", format!("{self:?}").to_lowercase())
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A string takes everything.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
