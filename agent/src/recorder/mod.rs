//! The recorder: starts, pauses, resumes and stops recordings, and brings them back after a crash.
//!
//! A recording is one task ([`run`]) that owns a session in the room, a queue, and a slot at the journal's writer:
//!
//! ```text
//! start ─▶ row `requested` ─▶ run: join ─▶ capturing ─▶ (told to stop | room over | disk full) ─▶ seal ─▶ sealed
//! recover ─▶ rows of before ─▶ run: (re)join the room and go on, or seal what there is
//! ```

mod config;
mod disk;
mod run;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use greffier_media::ids::{IdError, ParticipantIdentity, RecordingId, RoomName, RoomSid};
use greffier_media::journal::event::StopReason;
use greffier_media::lifecycle::{RecordingFailure, RecordingState};
use greffier_media::time::Clock;
use greffier_store::recordings::{NewRecording, Recording, RecordingName, RecordingRequest};
use greffier_store::{ErrorKind, Interrupted, RecordingError, Store};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

pub use config::{RecorderConfig, Rule};

use crate::capture::metric;
use crate::capture::session::{Command, Status};
use crate::capture::writer::Journalist;
use crate::clock::SystemClock;
use crate::livekit::{LiveKit, LiveKitError};
use crate::renders::Renders;
use crate::supervisor::{Supervisor, TaskKind};
use crate::view::timestamp;
use crate::webhook::{Event, Outbox};

/// Starts and ends recordings. Clones share everything.
#[derive(Clone)]
pub struct Recorder {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    livekit: LiveKit,
    clock: SystemClock,
    supervisor: Supervisor,
    journalist: Journalist,
    outbox: Outbox,
    renders: Renders,
    config: RecorderConfig,
    /// One permit for each recording that may run.
    places: Arc<Semaphore>,
    running: Mutex<HashMap<RecordingId, Running>>,
}

/// A recording whose task runs.
struct Running {
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<Status>,
}

/// A recording to be started.
#[derive(Debug, Clone)]
pub struct StartRecording {
    pub room: RoomName,
    /// If the server just told it; otherwise the server is asked whether there is such a room.
    pub room_sid: Option<RoomSid>,
    pub name: RecordingName,
    pub request: RecordingRequest,
    pub labels: BTreeMap<String, String>,
}

/// Why a recording could not be started, or did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecorderError {
    #[error("there is no room `{0}` on the LiveKit server now; recordings start in rooms that exist")]
    NoRoom(RoomName),
    #[error("{0} recordings are running, which is as many as `recording.max_recordings` allows")]
    Full(usize),
    #[error("{0} is {1}, so it cannot be stopped")]
    NotRunning(RecordingId, RecordingState),
    #[error("{0} is being recorded by another process")]
    Elsewhere(RecordingId),
    #[error("{0} is out of its room at the moment, and finds its way back; try again")]
    Away(RecordingId),
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error(transparent)]
    LiveKit(#[from] LiveKitError),
    #[error("the bot's identity is not one")]
    Identity(#[from] IdError),
}

impl RecorderError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoRoom(_) => ErrorKind::NotFound,
            Self::Full(_) | Self::Away(_) => ErrorKind::Unavailable,
            Self::NotRunning(..) | Self::Elsewhere(_) => ErrorKind::Conflict,
            Self::Recording(error) => error.kind(),
            Self::LiveKit(error) => error.kind(),
            Self::Identity(_) => ErrorKind::Internal,
        }
    }
}

/// A recording's room as its bot sees it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveStatus {
    pub joined: bool,
    /// People in the room.
    pub people: usize,
    /// Tracks that are being captured.
    pub tracks: usize,
}

impl Recorder {
    /// Starts what all recordings share: the journal's threads, and the watch over the disk.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn new(
        store: Store,
        livekit: LiveKit,
        clock: SystemClock,
        supervisor: Supervisor,
        outbox: Outbox,
        renders: Renders,
        config: RecorderConfig,
    ) -> std::io::Result<Self> {
        let journalist = Journalist::start(&supervisor, clock)?;
        let places = Arc::new(Semaphore::new(config.max_recordings));
        let inner = Inner {
            store,
            livekit,
            clock,
            supervisor,
            journalist,
            outbox,
            renders,
            config,
            places,
            running: Mutex::default(),
        };
        let recorder = Self { inner: Arc::new(inner) };
        recorder.watch_disk();
        Ok(recorder)
    }

    pub fn config(&self) -> &RecorderConfig {
        &self.inner.config
    }

    /// Starts a recording; it answers as soon as the recording has a row, and the bot is on its way.
    ///
    /// # Errors
    /// When the room does not exist, is being recorded already under this name, the disk is nearly full, or as many
    /// recordings run as may.
    pub async fn start(&self, start: StartRecording) -> Result<Recording, RecorderError> {
        let inner = &self.inner;
        let Ok(place) = Arc::clone(&inner.places).try_acquire_owned() else {
            return Err(RecorderError::Full(inner.config.max_recordings));
        };
        let room_sid = match start.room_sid {
            Some(sid) => Some(sid),
            None => Some(self.find_room(&start.room).await?),
        };
        let new = NewRecording {
            room: start.room,
            room_sid,
            name: start.name,
            request: start.request,
            bot_identity: bot_identity()?,
            labels: start.labels,
        };
        let recording = inner.store.recordings().create(&new, |_| Vec::new()).await?;
        tracing::info!(recording = %recording.id, room = %recording.room, "recording requested");
        self.run(recording.clone(), None, place);
        Ok(recording)
    }

    async fn find_room(&self, room: &RoomName) -> Result<RoomSid, RecorderError> {
        let rooms = self.inner.livekit.rooms(vec![room.to_string()]).await?;
        let found = rooms.iter().find(|found| found.name == room.as_str());
        let sid = found.and_then(|found| RoomSid::new(&found.sid).ok());
        sid.ok_or_else(|| RecorderError::NoRoom(room.clone()))
    }

    /// Ends a recording, and answers once the bot is told; sealing follows at once.
    ///
    /// # Errors
    /// When it has ended, or another process runs it.
    pub async fn stop(&self, id: RecordingId, reason: StopReason) -> Result<Recording, RecorderError> {
        let commands = self
            .inner
            .running
            .lock()
            .get(&id)
            .map(|running| running.commands.clone());
        if let Some(commands) = commands
            && commands.send(Command::Stop(reason)).await.is_ok()
        {
            return Ok(self.inner.store.recordings().get(id).await?);
        }
        Err(self.not_running(id).await?)
    }

    /// Stops keeping what happens in the room, or keeps it again. Asking for what is so already changes nothing.
    ///
    /// # Errors
    /// When the recording is not capturing, or its bot is out of the room at the moment.
    pub async fn set_paused(
        &self,
        id: RecordingId,
        paused: bool,
        by: Option<String>,
    ) -> Result<Recording, RecorderError> {
        let inner = &self.inner;
        let commands = inner.running.lock().get(&id).map(|running| running.commands.clone());
        let Some(commands) = commands else {
            return Err(self.not_running(id).await?);
        };
        let event = if paused {
            Event::RecordingPaused
        } else {
            Event::RecordingResumed
        };
        let at = timestamp(inner.clock.now());
        let recordings = inner.store.recordings();
        let note = || recordings.set_paused(id, paused, |row| inner.outbox.recording(event, at, row));
        // Whichever way a crash falls between the two, less is kept rather than more.
        if paused {
            let recording = note().await?;
            self.tell_paused(id, &commands, paused, by).await?;
            inner.outbox.wake();
            return Ok(recording);
        }
        if !recordings.get(id).await?.state.may_pause() {
            return Err(self.not_running(id).await?);
        }
        self.tell_paused(id, &commands, paused, by).await?;
        let recording = note().await?;
        inner.outbox.wake();
        Ok(recording)
    }

    async fn tell_paused(
        &self,
        id: RecordingId,
        commands: &mpsc::Sender<Command>,
        paused: bool,
        by: Option<String>,
    ) -> Result<(), RecorderError> {
        let (done, answer) = oneshot::channel();
        let told = commands.send(Command::SetPaused { paused, by, done }).await.is_ok();
        match answer.await {
            Ok(()) if told => Ok(()),
            _ => Err(self.not_running(id).await?),
        }
    }

    /// Why a recording is not here to be told something.
    async fn not_running(&self, id: RecordingId) -> Result<RecorderError, RecorderError> {
        let recording = self.inner.store.recordings().get(id).await?;
        Ok(if recording.node == self.inner.store.node() {
            RecorderError::NotRunning(id, recording.state)
        } else {
            RecorderError::Elsewhere(id)
        })
    }

    /// How a recording's bot sees its room now; `None` if it runs no more.
    pub fn live(&self, id: RecordingId) -> Option<LiveStatus> {
        let running = self.inner.running.lock();
        let status = running.get(&id)?.status.borrow();
        Some(LiveStatus {
            joined: status.joined,
            people: status.people,
            tracks: status.tracks,
        })
    }

    /// How many recordings run now.
    pub fn running(&self) -> usize {
        self.inner.running.lock().len()
    }

    /// Takes up what a crash or a kill interrupted: each recording goes on if its room is live, and is sealed if not; one whose
    /// bot was on its way sets out again.
    pub async fn recover(&self, interrupted: Vec<Interrupted>) {
        for one in interrupted {
            let id = one.recording.id;
            let state = one.recording.state;
            if state == RecordingState::Sealing {
                tracing::info!(recording = %id, "sealing was interrupted");
                self.seal_row(id, None).await;
                continue;
            }
            let Ok(place) = Arc::clone(&self.inner.places).try_acquire_owned() else {
                tracing::error!(recording = %id, "more recordings were running than may; this one ends");
                self.end_interrupted(id, state).await;
                continue;
            };
            if state != RecordingState::Capturing {
                // Whoever asked for it was told that it is on its way.
                tracing::info!(recording = %id, "the process ended before the bot was in the room: trying again");
            }
            self.run(one.recording.clone(), Some(one), place);
        }
    }

    async fn end_interrupted(&self, id: RecordingId, state: RecordingState) {
        if state == RecordingState::Capturing {
            self.seal_row(id, Some(StopReason::Recovered)).await;
            return;
        }
        let full = RecorderError::Full(self.inner.config.max_recordings);
        self.fail(id, RecordingFailure::Cancelled, full.to_string()).await;
    }

    fn run(&self, recording: Recording, interrupted: Option<Interrupted>, place: OwnedSemaphorePermit) {
        let (commands, inbox) = mpsc::channel(8);
        let (status, seen) = watch::channel(Status {
            paused: recording.paused,
            ..Status::default()
        });
        let id = recording.id;
        self.inner.running.lock().insert(id, Running { commands, status: seen });
        metrics::gauge!(metric::LIVE).set(self.running() as f64);
        let recorder = self.clone();
        self.inner
            .supervisor
            .spawn(TaskKind::Recording, &id.to_string(), |token| async move {
                let ran = recorder
                    .clone()
                    .record(recording, interrupted, inbox, status, token)
                    .await;
                recorder.inner.running.lock().remove(&id);
                metrics::gauge!(metric::LIVE).set(recorder.running() as f64);
                drop(place);
                ran
            });
    }
}

/// Who the bot is in the room. The same for the whole recording, restarts included, and nobody else's.
fn bot_identity() -> Result<ParticipantIdentity, IdError> {
    ParticipantIdentity::new(&format!("greffier-{:016x}", rand::random::<u64>()))
}
