//! Child processes that end with the test, wait for facts rather than for time, and speak lines of JSON.

mod log;
mod service;
mod speaker;

pub use log::{Log, NotSeen};
pub use service::Service;
pub use speaker::Speaker;

use std::ffi::OsStr;
use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::missing::Missing;
use crate::pattern::Wall;

/// The wall time now.
#[expect(
    clippy::disallowed_methods,
    reason = "the harness meets other processes in real time"
)]
pub fn now() -> Wall {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("the clock is past 1970");
    Wall(since.as_secs_f64())
}

/// A moment by which something must have happened.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// This long from now.
    #[expect(
        clippy::disallowed_methods,
        reason = "the harness meets other processes in real time"
    )]
    pub fn within(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// At this wall time.
    pub fn at(wall: Wall) -> Self {
        Self::within(Duration::from_secs_f64(wall.since(now()).max(0.0)))
    }

    /// What is left; zero once it has passed.
    #[expect(
        clippy::disallowed_methods,
        reason = "the harness meets other processes in real time"
    )]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    pub fn has_passed(self) -> bool {
        self.left().is_zero()
    }

    /// Waits until it passes.
    pub fn wait(self) {
        // A condition that nobody signals: the wait is for the time itself, which is what the caller asked for.
        let (never, nobody) = (Mutex::new(()), Condvar::new());
        let mut guard = lock(&never);
        while !self.has_passed() {
            guard = nobody
                .wait_timeout(guard, self.left())
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// Locks, also after another holder panicked: what the harness guards stays whole at every step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts `command` so that it is killed when this process ends, however it ends.
///
/// The kernel does that (`PR_SET_PDEATHSIG`, set by `setpriv`), but takes the *thread* that started the child for its
/// parent: so one thread that never ends starts them all.
fn spawn(command: &Command) -> Result<Child> {
    type Job = (Command, SyncSender<io::Result<Child>>);
    static STARTER: OnceLock<SyncSender<Job>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (jobs, received) = sync_channel::<Job>(16);
        std::thread::spawn(move || {
            for (mut command, answer) in received {
                // The asker may have been unwound meanwhile; then the child is dropped and lives until the process ends.
                let _ = answer.send(command.spawn());
            }
        });
        jobs
    });
    let (answer, child) = sync_channel(1);
    let program = command.get_program().to_string_lossy().into_owned();
    starter
        .send((with_parent_death_signal(command)?, answer))
        .context("the starter of processes has ended")?;
    child
        .recv()
        .context("the starter of processes has ended")?
        .with_context(|| format!("cannot start {program}"))
}

/// How much the peers and the LiveKit server are preferred to everything else (as `nice` counts): they stand for other
/// machines, which a busy recorder would not slow down. Without the right to it, `nice` says so and goes on.
const PREFERENCE: &str = "-10";

/// The command that runs `program` with preference over what is under test.
pub fn preferred(program: impl AsRef<OsStr>) -> Result<Command, Missing> {
    let mut command = Missing::tool("nice")?;
    command.args(["-n", PREFERENCE]).arg(program);
    Ok(command)
}

/// The same command behind `setpriv --pdeathsig KILL`, its pipes all ours (to be taken by the caller).
fn with_parent_death_signal(command: &Command) -> Result<Command, Missing> {
    let mut wrapped = Missing::tool("setpriv")?;
    wrapped
        .args(["--pdeathsig", "KILL", "--"])
        .arg(command.get_program())
        .args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(key, value),
            None => wrapped.env_remove(key),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    wrapped
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(wrapped)
}

/// Sends `signal` to a child by its id, unless it has ended already.
fn signal(child: &mut Child, signal: Signal) -> Result<()> {
    if child.try_wait()?.is_none() {
        let id = i32::try_from(child.id()).context("a process id fits an i32")?;
        kill(Pid::from_raw(id), signal).with_context(|| format!("cannot send {signal} to process {id}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_speaker_hears_and_answers() {
        let folder = crate::folder::Folder::of_test().expect("a folder");
        let mut cat = Speaker::start("cat", &shell("echo not json; cat"), folder.path()).expect("cat starts");
        cat.tell(&serde_json::json!({"event": "hello", "number": 3}))
            .expect("told");
        let fact = cat
            .wait("hello", 0, Deadline::within(SOON), |fact| fact["event"] == "hello")
            .expect("an answer");
        assert_eq!(fact["number"], 3);
        cat.finish(Deadline::within(SOON)).expect("cat ends with its input");
    }

    #[test]
    fn a_dead_or_failed_speaker_is_an_error_and_not_a_wait() {
        let folder = crate::folder::Folder::of_test().expect("a folder");
        let gone = Speaker::start("gone", &shell("echo the reason >&2; exit 3"), folder.path()).expect("starts");
        let error = gone
            .wait("anything", 0, Deadline::within(SOON), |_| true)
            .expect_err("it ended");
        assert!(error.to_string().contains("the process ended first"), "{error}");

        let failing = shell(r#"echo '{"event":"failed","error":"no luck"}'; cat"#);
        let failed = Speaker::start("failed", &failing, folder.path()).expect("starts");
        let error = failed
            .wait("success", 0, Deadline::within(SOON), |_| false)
            .expect_err("it failed");
        assert!(error.to_string().contains("no luck"), "{error}");
    }

    #[test]
    fn children_die_with_their_parent() {
        // The signal is set for the child itself, not for its children: so the child is setpriv, which tells what is set.
        let mut dump = Command::new("setpriv");
        dump.arg("--dump");
        let mut child = spawn(&dump).expect("starts");
        let mut text = String::new();
        io::Read::read_to_string(&mut child.stdout.take().expect("output"), &mut text).expect("readable");
        child.wait().expect("ends");
        assert!(text.contains("Parent death signal: KILL"), "{text}");
    }
}
