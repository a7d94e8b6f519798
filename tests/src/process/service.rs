//! A server under test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use super::log::copy_lines;
use super::{Deadline, Log, NotSeen, signal, spawn};

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
