//! Lines and facts as they come, for those who wait for one.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use anyhow::{Context, Result};

use super::{Deadline, lock};

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
pub(super) fn follow(output: impl io::Read + Send + 'static, file: &Path) -> Result<Arc<Log<String>>> {
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
pub(super) fn copy_lines(
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
