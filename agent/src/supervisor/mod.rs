//! Every task of the process: named, tracked, cancellable, and of a kind that says what its failure means and when it
//! has to stop.
//!
//! Shutting down follows the dependencies, phase by phase: first nothing new is begun, then rooms are left and
//! recordings sealed, then child processes end, HTTP answers until the end.

mod kind;

use std::fmt::Display;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

pub use kind::{OnFailure, Phase, TaskKind};

/// Spawns and stops the tasks of the process. Clones share everything.
#[derive(Clone)]
pub struct Supervisor {
    inner: Arc<Inner>,
}

struct Inner {
    /// Cancelled when the process is to stop, whoever decided it.
    stop: CancellationToken,
    phases: [(CancellationToken, TaskTracker); Phase::ALL.len()],
    failed: AtomicBool,
}

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Everything ended by itself.
    Clean,
    /// Something did not end in time and was abandoned.
    Forced,
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl Supervisor {
    pub fn new() -> Self {
        let phases = std::array::from_fn(|_| (CancellationToken::new(), TaskTracker::new()));
        Self {
            inner: Arc::new(Inner {
                stop: CancellationToken::new(),
                phases,
                failed: AtomicBool::new(false),
            }),
        }
    }

    /// Runs a task. It is given a token that is cancelled when its phase of the shutdown comes; a failure or panic is
    /// logged here, once, and ends the process where the kind says so.
    #[expect(clippy::disallowed_methods, reason = "this is where tasks are spawned")]
    pub fn spawn<F, E>(&self, kind: TaskKind, name: &str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display + 'static,
    {
        let (token, tracker) = self.phase(kind.phase());
        let token = token.child_token();
        let future = task(token);
        let span = tracing::info_span!(parent: None, "task", kind = %kind, name);
        let supervisor = self.clone();
        let watched = async move {
            match AssertUnwindSafe(future).catch_unwind().await {
                Ok(Ok(())) => tracing::debug!("task ended"),
                Ok(Err(error)) => supervisor.on_failure(kind, &error.to_string()),
                Err(_) => supervisor.on_failure(kind, "panicked"),
            }
        };
        tokio::spawn(tracker.track_future(watched.instrument(span)));
    }

    /// Runs blocking work on a thread of its own, tracked and named like a task.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn spawn_thread<E>(
        &self,
        kind: TaskKind,
        name: &str,
        work: impl FnOnce(CancellationToken) -> Result<(), E> + Send + 'static,
    ) -> std::io::Result<()>
    where
        E: Display + 'static,
    {
        let (token, tracker) = self.phase(kind.phase());
        let (token, alive) = (token.child_token(), tracker.token());
        let span = tracing::info_span!(parent: None, "thread", kind = %kind, name);
        let supervisor = self.clone();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _span = span.entered();
            match std::panic::catch_unwind(AssertUnwindSafe(|| work(token))) {
                Ok(Ok(())) => tracing::debug!("thread ended"),
                Ok(Err(error)) => supervisor.on_failure(kind, &error.to_string()),
                Err(_) => supervisor.on_failure(kind, "panicked"),
            }
            drop(alive);
        })?;
        Ok(())
    }

    fn phase(&self, phase: Phase) -> (&CancellationToken, &TaskTracker) {
        let (token, tracker) = &self.inner.phases[phase as usize];
        (token, tracker)
    }

    fn on_failure(&self, kind: TaskKind, error: &str) {
        match kind.on_failure() {
            OnFailure::Log => tracing::error!(error, "task failed"),
            OnFailure::Shutdown => {
                tracing::error!(error, "task failed, and nothing works without it: shutting down");
                self.inner.failed.store(true, Ordering::Release);
                self.inner.stop.cancel();
            }
        }
    }

    /// Asks for the process to stop.
    pub fn request_stop(&self) {
        self.inner.stop.cancel();
    }

    /// Waits until somebody has asked for the process to stop.
    pub async fn stop_requested(&self) {
        self.inner.stop.cancelled().await;
    }

    /// Whether a task failed that the process cannot do without.
    pub fn has_failed(&self) -> bool {
        self.inner.failed.load(Ordering::Acquire)
    }

    /// Stops everything, phase by phase, in `limit` altogether. `force` ends the waiting early.
    pub async fn shutdown(&self, limit: Duration, force: impl Future<Output = ()>) -> Shutdown {
        let orderly = async {
            for phase in Phase::ALL {
                let (token, tracker) = self.phase(phase);
                if !tracker.is_empty() {
                    tracing::info!(%phase, tasks = tracker.len(), "stopping");
                }
                token.cancel();
                tracker.close();
                tracker.wait().await;
            }
        };
        let outcome = tokio::select! {
            () = orderly => Shutdown::Clean,
            () = tokio::time::sleep(limit) => Shutdown::Forced,
            () = force => Shutdown::Forced,
        };
        if outcome == Shutdown::Forced {
            for phase in Phase::ALL {
                let left = self.phase(phase).1.len();
                if left > 0 {
                    tracing::warn!(%phase, tasks = left, "did not end in time");
                }
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests;
