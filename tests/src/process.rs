//! Child processes that end with the test, wait for facts rather than for time, and speak lines of JSON.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;
use serde_json::Value;

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

/// Lines that a process has written so far, and a way to wait for the next.
#[derive(Debug, Default)]
struct Seen<T> {
    items: Vec<T>,
    ended: bool,
}

/// A growing list that one side appends to and the other waits on.
#[derive(Debug)]
pub struct Log<T> {
    seen: Mutex<Seen<T>>,
    grew: Condvar,
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self {
            seen: Mutex::new(Seen {
                items: Vec::new(),
                ended: false,
            }),
            grew: Condvar::new(),
        }
    }
}

impl<T: Clone> Log<T> {
    /// Adds one.
    pub fn push(&self, item: T) {
        lock(&self.seen).items.push(item);
        self.grew.notify_all();
    }

    /// Nothing more will come.
    pub fn end(&self) {
        lock(&self.seen).ended = true;
        self.grew.notify_all();
    }

    /// How many there are: a cursor for [`Log::find`].
    pub fn len(&self) -> usize {
        lock(&self.seen).items.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All so far.
    pub fn all(&self) -> Vec<T> {
        lock(&self.seen).items.clone()
    }

    /// Waits for the first item at or after `from` that `wanted` likes. `Err` holds whether the writer has ended.
    pub fn find(&self, from: usize, deadline: Deadline, mut wanted: impl FnMut(&T) -> bool) -> Result<T, NotSeen> {
        let mut looked = from;
        let mut seen = lock(&self.seen);
        loop {
            if let Some(item) = seen.items.iter().skip(looked).find(|item| wanted(item)) {
                return Ok(item.clone());
            }
            looked = looked.max(seen.items.len());
            if seen.ended {
                return Err(NotSeen::WriterEnded);
            }
            if deadline.has_passed() {
                return Err(NotSeen::InTime);
            }
            seen = self
                .grew
                .wait_timeout(seen, deadline.left())
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// Why a wait on a [`Log`] was in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSeen {
    #[error("the process ended first")]
    WriterEnded,
    #[error("it did not come in time")]
    InTime,
}

/// Copies a process's output line by line into a file and a [`Log`]; the thread ends with the output.
fn follow(output: impl io::Read + Send + 'static, file: &Path) -> Result<Arc<Log<String>>> {
    let log = Arc::new(Log::default());
    let lines = Arc::clone(&log);
    let follower = copy_lines(output, file, Arc::clone(&log))?;
    std::thread::spawn(move || {
        // A follower that panicked has followed to its end all the same.
        let _ = follower.join();
        lines.end();
    });
    Ok(log)
}

/// The thread that copies; it does not end the log, which others may write to as well.
fn copy_lines(
    output: impl io::Read + Send + 'static,
    file: &Path,
    log: Arc<Log<String>>,
) -> Result<std::thread::JoinHandle<()>> {
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(file)
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n') {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line).into_owned();
            // A full disk must not stop the process we follow.
            let _ = writeln!(file, "{line}");
            log.push(line);
        }
    }))
}

/// A server under test: its output goes to a file and can be waited on; it can be asked to end, crashed and started again.
/// Killed on drop.
#[derive(Debug)]
pub struct Service {
    name: String,
    command: Command,
    log_file: PathBuf,
    child: Child,
    log: Arc<Log<String>>,
}

impl Service {
    /// Starts `command`; all it writes is appended to `log_file`.
    pub fn start(name: &str, command: Command, log_file: &Path) -> Result<Self> {
        let (child, log) = Self::launch(&command, log_file)?;
        Ok(Self {
            name: name.to_owned(),
            command,
            log_file: log_file.to_owned(),
            child,
            log,
        })
    }

    fn launch(command: &Command, log_file: &Path) -> Result<(Child, Arc<Log<String>>)> {
        let mut child = spawn(command)?;
        let log = Arc::new(Log::default());
        let output = copy_lines(child.stdout.take().context("no output")?, log_file, Arc::clone(&log))?;
        let errors = copy_lines(
            child.stderr.take().context("no error output")?,
            log_file,
            Arc::clone(&log),
        )?;
        let lines = Arc::clone(&log);
        std::thread::spawn(move || {
            // Followers that panicked have followed to their end all the same.
            let _ = (output.join(), errors.join());
            lines.end();
        });
        Ok((child, log))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where its output is.
    pub fn log_file(&self) -> &Path {
        &self.log_file
    }

    /// Waits for a line of its output since it was last started.
    pub fn wait_for_line(&self, what: &str, deadline: Deadline, wanted: impl Fn(&str) -> bool) -> Result<String> {
        self.log.find(0, deadline, |line| wanted(line)).map_err(|why| {
            let lines = self.log.all();
            let tail = lines
                .iter()
                .rev()
                .take(12)
                .rev()
                .cloned()
                .collect::<Vec<_>>()
                .join("\n");
            anyhow::anyhow!(
                "{}: waited for {what}: {why}; see {}\n{tail}",
                self.name,
                self.log_file.display()
            )
        })
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Sends it a signal.
    pub fn signal(&mut self, which: Signal) -> Result<()> {
        signal(&mut self.child, which)
    }

    /// Kills it at once (`kill -9`), as a crash would.
    pub fn crash(&mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end (SIGTERM) and gives how it ended; kills it and fails if it has not within this time.
    pub fn stop(&mut self, within: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        // Its output ends with it.
        if self.log.find(usize::MAX, Deadline::within(within), |_| false) == Err(NotSeen::InTime) {
            self.crash()?;
            bail!("{} did not end within {within:?} of being asked to", self.name);
        }
        Ok(self.child.wait()?)
    }

    /// Starts it again as it was started first.
    pub fn restart(&mut self) -> Result<()> {
        ensure!(!self.is_running()?, "{} still runs", self.name);
        (self.child, self.log) = Self::launch(&self.command, &self.log_file)?;
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Nothing to be done about a process that cannot be killed.
        let _ = self.crash();
    }
}

/// A child that takes one JSON object a line and tells facts the same way. Killed on drop.
#[derive(Debug)]
pub struct Speaker {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    said: Arc<Log<Value>>,
    errors: Arc<Log<String>>,
}

impl Speaker {
    /// Starts `command`. What it says goes to `folder/<name>.jsonl`, its stderr to `folder/<name>.log`.
    pub fn start(name: &str, command: &Command, folder: &Path) -> Result<Self> {
        let mut child = spawn(command)?;
        let input = child.stdin.take().context("no input")?;
        let errors = follow(
            child.stderr.take().context("no error output")?,
            &folder.join(format!("{name}.log")),
        )?;
        let lines = follow(
            child.stdout.take().context("no output")?,
            &folder.join(format!("{name}.jsonl")),
        )?;
        let said = Arc::new(Log::default());
        let facts = Arc::clone(&said);
        std::thread::spawn(move || {
            // Line by line from the log of lines; what is no JSON is a stray print of some library and stays in the file.
            let mut next = 0;
            let far = Duration::from_secs(3600);
            while let Ok(line) = lines.find(next, Deadline::within(far), |_| true) {
                next += 1;
                if let Ok(fact) = serde_json::from_str(&line) {
                    facts.push(fact);
                }
            }
            facts.end();
        });
        Ok(Self {
            name: name.to_owned(),
            child,
            input: Some(input),
            said,
            errors,
        })
    }

    /// What it was started as.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Everything it has said so far.
    pub fn said(&self) -> &Log<Value> {
        &self.said
    }

    /// Tells it something.
    pub fn tell(&mut self, message: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        let input = self
            .input
            .as_mut()
            .with_context(|| format!("{} has been told to end", self.name))?;
        input
            .write_all(&line)
            .and_then(|()| input.flush())
            .with_context(|| format!("{} has ended", self.name))
    }

    /// Waits until it says something that `wanted` likes, from its `from`-th fact on. An `{"event":"failed"}` ends the wait.
    pub fn wait(
        &self,
        what: &str,
        from: usize,
        deadline: Deadline,
        mut wanted: impl FnMut(&Value) -> bool,
    ) -> Result<Value> {
        let found = self
            .said
            .find(from, deadline, |fact| fact["event"] == "failed" || wanted(fact));
        match found {
            Ok(fact) if fact["event"] == "failed" => bail!("{} failed while waiting for {what}: {fact}", self.name),
            Ok(fact) => Ok(fact),
            Err(why) => {
                let errors = self.errors.all();
                let tail = errors
                    .iter()
                    .rev()
                    .take(8)
                    .rev()
                    .cloned()
                    .collect::<Vec<_>>()
                    .join("\n");
                bail!("{}: waited for {what}: {why}\n{tail}", self.name)
            }
        }
    }

    /// Ends its input, so that it ends by itself, and waits; gives all it has said. Kills it if it has not ended in time.
    pub fn finish(mut self, deadline: Deadline) -> Result<Vec<Value>> {
        self.input = None;
        let ended = self.said.find(usize::MAX, deadline, |_| false);
        if ended == Err(NotSeen::InTime) {
            bail!("{} did not end when told to", self.name);
        }
        let status = self.child.wait()?;
        if !status.success() {
            bail!("{} ended with {status}", self.name);
        }
        Ok(self.said.all())
    }

    /// Kills it at once, as a crash would.
    pub fn kill(&mut self) -> Result<()> {
        signal(&mut self.child, Signal::SIGKILL)?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        // Nothing to be done about a child that cannot be killed.
        let _ = self.kill();
    }
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
