//! One render, made by a child process: watched, kept within bounds, and ended when nobody wants it any more.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use greffier_media::lifecycle::RenderFailure;
use greffier_media::render::RenderRequest;
use greffier_media::time::Clock;
use greffier_store::files::{FilePart, StoredFile};
use greffier_store::jobs::{Heartbeat, Retry};
use greffier_store::renders::{RenderClaim, RenderResult};
use greffier_store::{DiskError, FileError};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio_util::codec::{FramedRead, LinesCodec};
use tokio_util::io::StreamReader;
use tokio_util::sync::CancellationToken;

use super::Renders;
use super::protocol::{RenderJob, RenderMessage, RenderedFile};
use crate::view::timestamp;

/// A claim ends if this process does not say so often that it is still at it.
pub(super) const LEASE: Duration = Duration::from_secs(30);
const HEARTBEAT_EVERY: Duration = Duration::from_secs(2);
/// A child that is asked to end has this long to do so.
const GRACE: Duration = Duration::from_secs(2);
/// Longest line of a child.
const MAX_LINE: usize = 4 << 20;
/// How much of a child's last words goes into the message of its failure, in bytes.
const LAST_WORDS: usize = 2000;
/// What a child inherits; the configuration's secrets may stand in the other variables.
const ENVIRONMENT: [&str; 9] = [
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "GST_DEBUG",
    "GST_PLUGIN_PATH",
    "FONTCONFIG_PATH",
];

/// How a child ended.
#[derive(Debug)]
enum Outcome {
    Done {
        files: Vec<RenderedFile>,
        notes: Vec<String>,
    },
    Failed {
        failure: RenderFailure,
        message: String,
    },
    Cancelled,
    /// We are shutting down; the next start makes it.
    Abandoned,
}

/// Why no child could be run to its end.
#[derive(Debug, thiserror::Error)]
enum ChildError {
    #[error("the recording's files cannot be listed: {0}")]
    Files(#[from] FileError),
    #[error("a segment cannot be fetched from the object store: {0}")]
    Fetch(std::io::Error),
    #[error("the request is of another version: {0}")]
    Request(serde_json::Error),
    #[error("the child process cannot be started: {0}")]
    Start(std::io::Error),
    #[error("the child process cannot be spoken to: {0}")]
    Talk(std::io::Error),
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Renders {
    /// Makes a claimed render, and says in its row how it went.
    pub(super) async fn make(&self, claim: RenderClaim, token: &CancellationToken) {
        let id = claim.render.id;
        tracing::info!(render = %id, kind = claim.render.kind, attempt = claim.attempt, "render begins");
        let began = self.inner.clock.now();
        let outcome = match self.run(&claim, token).await {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Failed {
                failure: error.failure(),
                message: error.to_string(),
            },
        };
        let now = self.inner.clock.now();
        let took = now.saturating_since(began);
        let tell = |render: &greffier_store::renders::Render| self.tell(timestamp(now), render);
        let renders = self.inner.store.renders();
        let noted = match outcome {
            Outcome::Done { files, notes } => {
                for note in notes {
                    tracing::info!(render = %id, note, "render");
                }
                let results: Vec<RenderResult> = files.into_iter().map(|file| result(&claim.work, file)).collect();
                tracing::info!(render = %id, files = results.len(), seconds = took.as_secs_f64(), "render ready");
                renders.publish(&claim, &results, tell).await
            }
            Outcome::Failed { failure, message } => {
                tracing::error!(render = %id, ?failure, message, "render failed");
                renders.fail(&claim, failure, &message, retry(failure), tell).await
            }
            Outcome::Cancelled => {
                tracing::info!(render = %id, "render cancelled");
                renders.cancelled(&claim, tell).await
            }
            Outcome::Abandoned => return,
        };
        match noted {
            Ok(_) => self.inner.outbox.wake(),
            Err(error) => tracing::error!(render = %id, %error, "how the render went could not be noted"),
        }
    }

    async fn run(&self, claim: &RenderClaim, token: &CancellationToken) -> Result<Outcome, ChildError> {
        let request: RenderRequest =
            serde_json::from_value(claim.render.request.clone()).map_err(ChildError::Request)?;
        let (input, folder) = (claim.work.join("input"), claim.work.join("output"));
        for folder in [&input, &folder] {
            tokio::fs::create_dir_all(folder).await.map_err(ChildError::Talk)?;
        }
        let job = RenderJob {
            render: claim.render.id,
            recording: claim.render.recording,
            segments: self.segments(claim, &input).await?,
            request,
            folder,
        };
        let mut child = self.spawn()?;
        let job = serde_json::to_vec(&job).map_err(ChildError::Request)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(&job).await.map_err(ChildError::Talk)?;
        }
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(ChildError::Talk(std::io::Error::other("no pipes")));
        };
        let words = last_words(stderr);
        let watched = self.watch(claim, stdout, &mut child, token);
        let (outcome, words) = tokio::join!(watched, words);
        if let Some(outcome) = outcome? {
            return Ok(outcome);
        }
        let status = child.wait().await.map_err(ChildError::Talk)?;
        Ok(Outcome::Failed {
            failure: RenderFailure::Crashed,
            message: obituary(status, &words),
        })
    }

    /// The journal's segments as files; those that are only in the object store are fetched.
    async fn segments(&self, claim: &RenderClaim, input: &Path) -> Result<Vec<PathBuf>, ChildError> {
        let store = &self.inner.store;
        let mut paths = Vec::new();
        for file in store.files().list(claim.render.recording).await? {
            if !matches!(file.part, FilePart::Segment(_)) {
                continue;
            }
            if file.on_disk {
                paths.push(file.path(store.data()));
                continue;
            }
            let path = input.join(&file.name);
            self.fetch(claim, &file, &path).await?;
            paths.push(path);
        }
        Ok(paths)
    }

    async fn fetch(&self, claim: &RenderClaim, file: &StoredFile, to: &Path) -> Result<(), ChildError> {
        let stream = self.inner.store.files().open(file, 0..file.bytes).await?;
        let mut reader = StreamReader::new(stream.map_err(std::io::Error::other));
        let mut local = tokio::fs::File::create(to).await.map_err(ChildError::Fetch)?;
        let mut copy = std::pin::pin!(tokio::io::copy_buf(&mut reader, &mut local));
        let mut beat = tokio::time::interval(HEARTBEAT_EVERY);
        loop {
            tokio::select! {
                copied = &mut copy => return copied.map(drop).map_err(ChildError::Fetch),
                _ = beat.tick() => {
                    // A lease that is lost is found out with the next heartbeat.
                    let _ = self.inner.store.renders().heartbeat(claim, 0.0, LEASE).await;
                }
            }
        }
    }

    fn spawn(&self) -> Result<Child, ChildError> {
        let mut command = Command::new(&self.inner.program);
        command
            .arg("render-job")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for name in ENVIRONMENT {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.spawn().map_err(ChildError::Start)
    }

    /// Reads what the child says until its last line, or until it has to be ended. `None` if it ended without a last
    /// line.
    async fn watch(
        &self,
        claim: &RenderClaim,
        stdout: ChildStdout,
        child: &mut Child,
        token: &CancellationToken,
    ) -> Result<Option<Outcome>, ChildError> {
        let inner = &self.inner;
        let mut lines = FramedRead::new(stdout, LinesCodec::new_with_max_length(MAX_LINE));
        let mut beat = tokio::time::interval(HEARTBEAT_EVERY);
        let (mut permille, mut heard) = (0, inner.clock.now());
        loop {
            tokio::select! {
                line = lines.next() => {
                    let Some(line) = line else { return Ok(None) };
                    let line = line.map_err(|error| ChildError::Talk(std::io::Error::other(error)))?;
                    match serde_json::from_str(&line) {
                        Ok(RenderMessage::Progress { permille: now }) => {
                            (permille, heard) = (now.min(1000), inner.clock.now());
                        }
                        Ok(RenderMessage::Done { files, notes }) => {
                            self.wait(child).await;
                            return Ok(Some(Outcome::Done { files, notes }));
                        }
                        Ok(RenderMessage::Failed { failure, message }) => {
                            self.wait(child).await;
                            return Ok(Some(Outcome::Failed { failure, message }));
                        }
                        Err(error) => tracing::warn!(line, %error, "a render says what nobody knows"),
                    }
                }
                _ = beat.tick() => {
                    let progress = f64::from(permille) / 1000.0;
                    match inner.store.renders().heartbeat(claim, progress, LEASE).await {
                        Ok(Heartbeat::Continue) => {}
                        Ok(Heartbeat::Cancel) => {
                            self.end(child).await;
                            return Ok(Some(Outcome::Cancelled));
                        }
                        Err(error) => tracing::warn!(render = %claim.render.id, %error, "no heartbeat"),
                    }
                    let silent = inner.clock.now().saturating_since(heard);
                    if silent >= inner.config.stall_timeout {
                        self.end(child).await;
                        let message = format!("no progress for {} seconds, at {progress:.1} of 1", silent.as_secs());
                        return Ok(Some(Outcome::Failed { failure: RenderFailure::Resources, message }));
                    }
                }
                () = token.cancelled() => {
                    self.end(child).await;
                    return Ok(Some(Outcome::Abandoned));
                }
            }
        }
    }

    /// Gives a child that has said its last word the time to end.
    async fn wait(&self, child: &mut Child) {
        if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
            self.end(child).await;
        }
    }

    async fn end(&self, child: &mut Child) {
        if let Err(error) = child.kill().await {
            tracing::debug!(%error, "the child had ended");
        }
    }
}

/// Collects what a child writes for people, and keeps the end of it.
async fn last_words(stderr: ChildStderr) -> String {
    let mut lines = FramedRead::new(stderr, LinesCodec::new_with_max_length(MAX_LINE));
    let mut words = String::new();
    while let Some(Ok(line)) = lines.next().await {
        tracing::debug!(line, "render says");
        words.push_str(&line);
        words.push('\n');
        if words.len() > 2 * LAST_WORDS {
            let cut = words.ceil_char_boundary(words.len() - LAST_WORDS);
            words.drain(..cut);
        }
    }
    words
}

fn obituary(status: ExitStatus, words: &str) -> String {
    match words.trim() {
        "" => format!("the process ended without a result ({status})"),
        words => format!("the process ended without a result ({status}): {words}"),
    }
}

fn result(work: &Path, file: RenderedFile) -> RenderResult {
    // A name with a folder in it is none of ours; the file then is not found, and the render fails.
    let name = Path::new(&file.name).file_name().map(PathBuf::from).unwrap_or_default();
    RenderResult {
        path: work.join("output").join(name),
        media_type: file.media_type,
        probe: file.probe,
    }
}

fn retry(failure: RenderFailure) -> Retry {
    match failure {
        RenderFailure::NothingToRender | RenderFailure::Input | RenderFailure::Unsupported => Retry::Never,
        _ => Retry::Later,
    }
}

impl ChildError {
    fn failure(&self) -> RenderFailure {
        match self {
            Self::Files(_) | Self::Fetch(_) | Self::Disk(_) => RenderFailure::Storage,
            Self::Request(_) => RenderFailure::Unsupported,
            Self::Start(_) | Self::Talk(_) => RenderFailure::Internal,
        }
    }
}
