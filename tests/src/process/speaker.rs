//! A process to talk with in lines of JSON.

use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use serde::Serialize;
use serde_json::Value;

use super::log::follow;
use super::{Deadline, Log, NotSeen, signal, spawn};
use crate::folder::file_name;

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
    /// Starts `command`. What it says goes to `folder/<name>.jsonl`, its stderr to `folder/<name>.log`; a name that would
    /// lead out of the folder is changed for that.
    pub fn start(name: &str, command: &Command, folder: &Path) -> Result<Self> {
        let file = file_name(name);
        let mut child = spawn(command)?;
        let input = child.stdin.take().context("no input")?;
        let errors = follow(
            child.stderr.take().context("no error output")?,
            &folder.join(format!("{file}.log")),
        )?;
        let lines = follow(
            child.stdout.take().context("no output")?,
            &folder.join(format!("{file}.jsonl")),
        )?;
        let said = Arc::new(Log::default());
        let facts = Arc::clone(&said);
        std::thread::spawn(move || {
            // Line by line from the log of lines; what is no JSON is a stray print of some library and stays in the file.
            let mut next = 0;
            let far = Duration::from_hours(1);
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
        self.end(deadline)?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("{} ended with {status}", self.name);
        }
        Ok(self.said.all())
    }

    /// Ends its input, so that it ends by itself, and waits until it says nothing more.
    pub fn end(&mut self, deadline: Deadline) -> Result<()> {
        self.input = None;
        let ended = self.said.find(usize::MAX, deadline, |_| false);
        if ended == Err(NotSeen::InTime) {
            bail!("{} did not end when told to", self.name);
        }
        Ok(())
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
