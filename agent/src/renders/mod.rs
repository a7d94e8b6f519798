//! Renders: asked for here, made by child processes. Whatever happens to a child, recordings go on.

mod child;
mod config;
pub mod protocol;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use greffier_media::ids::{RecordingId, RenderId};
use greffier_media::lifecycle::RenderState;
use greffier_media::render::{RenderRequest, RequestError, TracksRequest};
use greffier_media::time::Clock;
use greffier_store::recordings::Recording;
use greffier_store::renders::{Lane, NewRender, Render};
use greffier_store::{ErrorKind, RecordingError, RenderError, Store};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use config::RendersConfig;

use crate::clock::SystemClock;
use crate::supervisor::{Supervisor, TaskKind};
use crate::view::timestamp;
use crate::webhook::{Event, Outbox};

/// Another process that shares the database may queue renders for us, and retries are due at times nobody announces.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Queues renders, and has them made. Clones share everything.
#[derive(Clone)]
pub struct Renders {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: SystemClock,
    outbox: Outbox,
    config: RendersConfig,
    program: PathBuf,
    wake: [Notify; Lane::ALL.len()],
}

/// Why a render was not queued, or not ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RendersError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("{0} is not sealed yet; renders are made of recordings that are complete")]
    NotSealed(RecordingId),
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error(transparent)]
    Render(#[from] RenderError),
}

impl RendersError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Request(_) => ErrorKind::Invalid,
            Self::NotSealed(_) => ErrorKind::Conflict,
            Self::Recording(error) => error.kind(),
            Self::Render(error) => error.kind(),
        }
    }
}

impl Renders {
    /// `program` makes a render when it is run with the argument `render-job`: ourselves, as a rule.
    pub fn new(store: Store, clock: SystemClock, outbox: Outbox, config: RendersConfig, program: PathBuf) -> Self {
        let wake = Lane::ALL.map(|_| Notify::new());
        Self {
            inner: Arc::new(Inner {
                store,
                clock,
                outbox,
                config,
                program,
                wake,
            }),
        }
    }

    /// Queues a render.
    ///
    /// # Errors
    /// When the request makes no sense, or the recording is not there or not sealed.
    pub async fn order(&self, recording: RecordingId, request: &RenderRequest) -> Result<Render, RendersError> {
        request.validate()?;
        let found = self.inner.store.recordings().get(recording).await?;
        if found.state != greffier_media::lifecycle::RecordingState::Sealed {
            return Err(RendersError::NotSealed(recording));
        }
        let lane = if request.is_copy() { Lane::Copy } else { Lane::Encode };
        let new = NewRender {
            recording,
            lane,
            kind: request.kind().to_owned(),
            request: serde_json::to_value(request).unwrap_or_default(),
            max_attempts: self.inner.config.attempts,
        };
        let render = self.inner.store.renders().create(&new).await?;
        tracing::info!(render = %render.id, %recording, kind = render.kind, "render queued");
        self.inner.wake[lane as usize].notify_one();
        Ok(render)
    }

    /// Queues what is made of every recording as soon as it is sealed.
    pub async fn order_tracks(&self, sealed: &Recording) {
        if sealed.packets == 0 {
            return;
        }
        if let Err(error) = self
            .order(sealed.id, &RenderRequest::Tracks(TracksRequest::default()))
            .await
        {
            tracing::error!(recording = %sealed.id, %error, "the recording's files could not be ordered");
        }
    }

    /// Ends a render; one that runs ends within seconds.
    ///
    /// # Errors
    /// When it is not there, or has ended.
    pub async fn cancel(&self, id: RenderId) -> Result<Render, RendersError> {
        let at = timestamp(self.inner.clock.now());
        let tell = |render: &Render| self.inner.outbox.render(Event::RenderCancelled, at, render);
        let render = self.inner.store.renders().cancel(id, tell).await?;
        self.inner.outbox.wake();
        Ok(render)
    }

    /// Starts the workers.
    pub fn start(&self, supervisor: &Supervisor) {
        let places = [
            (Lane::Copy, self.inner.config.copies_at_once),
            (Lane::Encode, self.inner.config.encodings_at_once),
        ];
        for (lane, places) in places {
            for number in 1..=places {
                let renders = self.clone();
                supervisor.spawn(
                    TaskKind::Jobs,
                    &format!("{}-{number}", lane.name()),
                    |token| async move {
                        renders.work(lane, token).await;
                        Ok::<(), std::convert::Infallible>(())
                    },
                );
            }
        }
    }

    async fn work(self, lane: Lane, token: CancellationToken) {
        let inner = &self.inner;
        loop {
            self.settle().await;
            let claimed = match inner.store.renders().claim(lane, child::LEASE).await {
                Ok(claimed) => claimed,
                Err(error) => {
                    tracing::error!(%error, "the queue of renders cannot be read");
                    None
                }
            };
            if let Some(claim) = claimed {
                self.make(claim, &token).await;
                if token.is_cancelled() {
                    return;
                }
                continue;
            }
            tokio::select! {
                () = token.cancelled() => return,
                () = inner.wake[lane as usize].notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Ends what nobody is left to end.
    async fn settle(&self) {
        let at = timestamp(self.inner.clock.now());
        let tell = |render: &Render| self.tell(at, render);
        match self.inner.store.renders().settle(tell).await {
            Ok(settled) => {
                for render in settled {
                    tracing::warn!(render = %render.id, state = render.state.name(), "render ended with its process");
                    self.inner.outbox.wake();
                }
            }
            Err(error) => tracing::error!(%error, "renders whose process died could not be ended"),
        }
    }

    fn tell(&self, at: jiff::Timestamp, render: &Render) -> Vec<greffier_store::webhooks::NewDelivery> {
        let event = match render.state {
            RenderState::Ready => Event::RenderReady,
            RenderState::Failed(_) => Event::RenderFailed,
            RenderState::Cancelled => Event::RenderCancelled,
            RenderState::Queued | RenderState::Running => return Vec::new(),
        };
        self.inner.outbox.render(event, at, render)
    }
}
