//! One recording, from its row to its seal.

use std::sync::Arc;
use std::time::Duration;

use greffier_media::ids::RecordingId;
use greffier_media::journal::event::{GapCause, RoomEvent, StopReason};
use greffier_media::lifecycle::{RecordingFailure, RecordingState, RecordingStep};
use greffier_media::time::Clock;
use greffier_store::journal::{JournalError, SegmentFacts, UnsealedSegment};
use greffier_store::recordings::{Advance, Recording};
use greffier_store::{ErrorKind, Interrupted};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Recorder;
use crate::capture::queue::{Entry, Queue};
use crate::capture::room::Room;
use crate::capture::session::{Begin, Command, End, JoinError, Session, Status};
use crate::capture::writer::{Note, WriterGone, Writing};
use crate::supervisor::TaskKind;
use crate::view::timestamp;
use crate::webhook::Event;

/// Why a recording's task could not go on. Whatever it is, the next start finds the recording and ends it.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error(transparent)]
    Writer(#[from] WriterGone),
    #[error("the session ended without a word")]
    SessionGone,
    #[error("the recording could not be sealed; the next start will")]
    NotSealed,
}

/// Sealing meets a full or failing disk a few times before the next start has to do it.
const SEAL_ATTEMPTS: u32 = 5;
const SEAL_RETRY: Duration = Duration::from_secs(5);

impl Recorder {
    /// Runs a recording to its end.
    pub(super) async fn record(
        self,
        recording: Recording,
        interrupted: Option<Interrupted>,
        mut commands: mpsc::Receiver<Command>,
        status: watch::Sender<Status>,
        token: CancellationToken,
    ) -> Result<(), RunError> {
        let id = recording.id;
        let begin = match (&interrupted, recording.state) {
            (None, _) => Begin::New,
            (Some(_), RecordingState::Requested | RecordingState::Joining) => Begin::Retry,
            (Some(_), _) => Begin::Again,
        };
        let is_requested = recording.state == RecordingState::Requested;
        if is_requested && self.advance(id, RecordingStep::Join.into()).await.is_none() {
            return Ok(());
        }
        let room = Arc::new(Mutex::new(Room::new(id, recording.room.clone(), recording.paused)));
        let queue = Arc::new(Queue::new(self.inner.config.queue_bytes, recording.paused));
        self.say_first(&recording, interrupted.as_ref(), begin, &queue);
        let mut writing = match self.open(id, &queue, &room).await {
            Ok(writing) => writing,
            Err(error) => {
                tracing::error!(recording = %id, %error, "the journal cannot be begun");
                self.fail(id, RecordingFailure::Storage, error.to_string()).await;
                return Ok(());
            }
        };
        let session = Session {
            livekit: self.inner.livekit.clone(),
            clock: self.inner.clock,
            supervisor: self.inner.supervisor.clone(),
            queue: Arc::clone(&queue),
            keys: Arc::default(),
            request: recording.request.clone(),
            rejoin_window: self.inner.config.rejoin_window,
            identity: recording.bot_identity.clone(),
            room,
            status,
            ends_at: recording.request.limits.max_duration.map(|longest| {
                recording
                    .started
                    .unwrap_or(self.inner.clock.now())
                    .saturating_add(longest)
            }),
        };
        let seen = session.status.subscribe();
        let (tell, told) = mpsc::channel(8);
        let (ended, end) = oneshot::channel();
        self.inner
            .supervisor
            .spawn(TaskKind::RecordingHelper, "session", |_| async move {
                // The owner outlives the session, unless it has died, which is logged where it did.
                let _ = ended.send(session.run(begin, told, token).await);
                Ok::<(), std::convert::Infallible>(())
            });
        let ended = self.attend(id, &mut commands, tell, &mut writing, seen, end).await?;
        self.end(id, ended, &queue, writing).await
    }

    /// What the journal begins with, or goes on with.
    fn say_first(&self, recording: &Recording, interrupted: Option<&Interrupted>, begin: Begin, queue: &Queue) {
        let now = self.inner.clock.now();
        let say = |event| queue.push_mark(Entry::Event(now, Box::new(event)));
        if let Some(before) = interrupted {
            self.say_interrupted(recording, before, begin, say);
        }
        if begin != Begin::Again {
            say(RoomEvent::RecordingStarted {
                recording: recording.id,
                room: recording.room.clone(),
                room_sid: recording.room_sid.clone(),
                agent: concat!("greffier ", env!("CARGO_PKG_VERSION")).to_owned(),
            });
        }
    }

    fn say_interrupted(&self, recording: &Recording, before: &Interrupted, begin: Begin, say: impl Fn(RoomEvent)) {
        // The gap comes first: clocks are anchored anew from there on. Before the bot was in the room there may be nothing yet.
        let from = match (before.last_arrival, begin) {
            (Some(last), _) => Some(last),
            (None, Begin::Again) => Some(recording.created),
            (None, _) => None,
        };
        if let Some(from) = from {
            say(RoomEvent::Gap {
                from,
                to: self.inner.clock.now(),
                reason: GapCause::Restart,
            });
        }
        if let Some((segment, torn)) = before.torn {
            let (valid_bytes, lost_bytes) = (torn.valid_bytes, torn.lost_bytes);
            say(RoomEvent::TruncatedTailRecovered {
                segment,
                valid_bytes,
                lost_bytes,
            });
        }
        if recording.paused {
            say(RoomEvent::RecordingPaused { by: None });
        }
    }

    pub(super) async fn open(
        &self,
        id: RecordingId,
        queue: &Arc<Queue>,
        room: &Arc<Mutex<Room>>,
    ) -> Result<Writing, OpenError> {
        let journal = self.inner.store.journal(id)?;
        let (now, first) = (self.inner.clock.now(), Arc::clone(room));
        let opened = tokio::task::spawn_blocking(move || journal.open(now, |index| first.lock().snapshot(index)));
        let writer = opened.await.map_err(|_| OpenError::Panicked)??;
        Ok(self
            .inner
            .journalist
            .write(writer, Arc::clone(queue), Arc::clone(room))?)
    }

    /// Passes commands on, keeps the row in line with the room and the journal, and answers how the stay ended.
    pub(super) async fn attend(
        &self,
        id: RecordingId,
        commands: &mut mpsc::Receiver<Command>,
        tell: mpsc::Sender<Command>,
        writing: &mut Writing,
        mut status: watch::Receiver<Status>,
        mut end: oneshot::Receiver<End>,
    ) -> Result<End, RunError> {
        let mut capturing = self.is_capturing(id).await;
        loop {
            tokio::select! {
                ended = &mut end => {
                    // It may have been in the room and out of it before the row heard of that.
                    if !capturing {
                        self.note_joined(id, &mut status).await;
                    }
                    return ended.map_err(|_| RunError::SessionGone);
                }
                Some(command) = commands.recv() => {
                    // A session that has just ended is told nothing more.
                    let _ = tell.send(command).await;
                }
                Some(note) = writing.notes.recv() => {
                    if let Some(reason) = self.on_note(id, note, &writing.sealing).await {
                        // One that is ending already needs not be told.
                        let _ = tell.send(Command::Stop(reason)).await;
                    }
                }
                Ok(()) = status.changed(), if !capturing => {
                    capturing = self.note_joined(id, &mut status).await;
                }
            }
        }
    }

    /// Brings the row on once the bot is in the room. Whether it is.
    async fn note_joined(&self, id: RecordingId, status: &mut watch::Receiver<Status>) -> bool {
        let (joined, room_sid) = {
            let status = status.borrow_and_update();
            (status.joined, status.room_sid.clone())
        };
        let step = Advance {
            room_sid,
            ..RecordingStep::Capture.into()
        };
        joined && self.advance(id, step).await.is_some()
    }

    async fn is_capturing(&self, id: RecordingId) -> bool {
        let row = self.inner.store.recordings().get(id).await;
        row.is_ok_and(|row| row.state == RecordingState::Capturing)
    }

    /// Why the recording has to end, if it has to.
    async fn on_note(&self, id: RecordingId, note: Note, sealing: &TaskTracker) -> Option<StopReason> {
        match note {
            Note::Facts(facts) => self.record_facts(id, &facts).await,
            Note::Segment(segment) => {
                let (recorder, sealing) = (self.clone(), sealing.clone());
                self.inner
                    .supervisor
                    .spawn(TaskKind::RecordingHelper, "seal-segment", move |_| {
                        sealing.track_future(async move { recorder.seal_segment(id, *segment).await.map(drop) })
                    });
            }
            Note::Failed(error) if error.kind() == ErrorKind::DiskFull => {
                self.make_room().await;
                return Some(StopReason::DiskFull);
            }
            Note::Failed(_) => return Some(StopReason::Failed),
        }
        None
    }

    async fn record_facts(&self, id: RecordingId, facts: &SegmentFacts) {
        if let Err(error) = self.inner.store.recordings().record_segment(id, facts).await {
            tracing::warn!(recording = %id, %error, "rows are behind the journal");
        }
    }

    async fn seal_segment(&self, id: RecordingId, segment: UnsealedSegment) -> Result<SegmentFacts, OpenError> {
        let facts = tokio::task::spawn_blocking(move || segment.seal())
            .await
            .map_err(|_| OpenError::Panicked)??;
        self.record_facts(id, &facts).await;
        Ok(facts)
    }

    /// The disk is full: what was set aside for that is there for what ends now.
    async fn make_room(&self) {
        let store = self.inner.store.clone();
        match tokio::task::spawn_blocking(move || store.release_reserve()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the room set aside cannot be given back"),
            Err(error) => tracing::error!(%error, "the work on the disk panicked"),
        }
    }

    /// The bot is out: closes and seals the journal, and says how it ended.
    pub(super) async fn end(&self, id: RecordingId, end: End, queue: &Queue, writing: Writing) -> Result<(), RunError> {
        let reason = match end {
            End::Stopped(reason) => reason,
            End::NotJoined(error) => {
                let segment = self.close(id, writing).await?;
                // What little it holds stays readable, for whoever wants to know what happened.
                let _ = self.seal_segment(id, segment).await;
                if let Some(failure) = failure_of(&error) {
                    self.fail(id, failure, error.to_string()).await;
                } else {
                    tracing::info!(recording = %id, "the next start tries again to join the room");
                }
                return Ok(());
            }
        };
        tracing::info!(recording = %id, ?reason, "recording ends");
        let ended = self.advance(id, stop(reason)).await;
        queue.push_mark(Entry::Event(
            self.inner.clock.now(),
            Box::new(RoomEvent::RecordingSealed),
        ));
        let segment = self.close(id, writing).await?;
        if let Err(error) = self.seal_segment(id, segment).await {
            tracing::error!(recording = %id, %error, "the last segment could not be sealed");
        }
        let is_sealed = match ended {
            // It never captured anything, so there is nothing to seal.
            Some(row) if row.state.is_final() => true,
            Some(_) => self.seal_row(id, None).await,
            None => self.seal_row(id, Some(reason)).await,
        };
        if is_sealed { Ok(()) } else { Err(RunError::NotSealed) }
    }

    /// Ends the journal, and waits for what is under way for its earlier segments.
    async fn close(&self, id: RecordingId, mut writing: Writing) -> Result<UnsealedSegment, RunError> {
        let mut closed = writing.close()?;
        let segment = loop {
            tokio::select! {
                biased;
                Some(note) = writing.notes.recv() => {
                    // It ends already.
                    let _ = self.on_note(id, note, &writing.sealing).await;
                }
                segment = &mut closed => break segment.map_err(|_| WriterGone)?,
            }
        };
        writing.sealing.close();
        writing.sealing.wait().await;
        Ok(segment)
    }

    /// Seals what is not sealed yet, then the recording. Whether it is sealed. With `untold`, the row has yet to hear why it
    /// ended.
    pub(super) async fn seal_row(&self, id: RecordingId, mut untold: Option<StopReason>) -> bool {
        for attempt in 1..=SEAL_ATTEMPTS {
            if let Some(reason) = untold
                && let Some(row) = self.advance(id, stop(reason)).await
            {
                if row.state.is_final() {
                    return true;
                }
                untold = None;
            }
            match self.inner.store.seal_segments(id).await {
                Ok(_) if untold.is_some() => {}
                Ok(_) => {
                    if let Some(sealed) = self.advance(id, RecordingStep::Seal.into()).await {
                        tracing::info!(recording = %id, bytes = sealed.bytes, packets = sealed.packets, "sealed");
                        if self.inner.config.render_tracks {
                            self.inner.renders.order_tracks(&sealed).await;
                        }
                        return true;
                    }
                }
                Err(error) => tracing::error!(recording = %id, attempt, %error, "sealing failed"),
            }
            tokio::time::sleep(SEAL_RETRY).await;
        }
        false
    }

    pub(super) async fn fail(&self, id: RecordingId, failure: RecordingFailure, message: String) {
        let step = RecordingStep::Fail(failure);
        self.advance(
            id,
            Advance {
                message: Some(message),
                ..step.into()
            },
        )
        .await;
    }

    /// One step in the table, with the webhook that tells of it; `None`, and a line in the log, if it cannot be made.
    pub(super) async fn advance(&self, id: RecordingId, advance: Advance) -> Option<Recording> {
        let inner = &self.inner;
        let step = advance.step;
        let at = timestamp(inner.clock.now());
        let tell = |recording: &Recording| {
            let event = match recording.state {
                RecordingState::Capturing => Event::RecordingStarted,
                RecordingState::Sealed => Event::RecordingSealed,
                RecordingState::Failed(_) => Event::RecordingFailed,
                _ => return Vec::new(),
            };
            inner.outbox.recording(event, at, recording)
        };
        match inner.store.recordings().advance(id, advance, tell).await {
            Ok(recording) => {
                inner.outbox.wake();
                Some(recording)
            }
            Err(error) => {
                tracing::error!(recording = %id, ?step, %error, "the recording's row could not be brought on");
                None
            }
        }
    }
}

fn stop(reason: StopReason) -> Advance {
    Advance {
        stop_reason: Some(reason),
        ..RecordingStep::Stop.into()
    }
}

/// `None` if it is only put off: the process ends, and the next one tries again.
fn failure_of(error: &JoinError) -> Option<RecordingFailure> {
    Some(match error {
        JoinError::Shutdown => return None,
        JoinError::Cancelled => RecordingFailure::Cancelled,
        JoinError::DiskFull => RecordingFailure::Storage,
        JoinError::Connect(_) => RecordingFailure::Unreachable,
        JoinError::LiveKit(error) => match error.kind() {
            ErrorKind::NotFound => RecordingFailure::NoRoom,
            ErrorKind::Unavailable => RecordingFailure::Unreachable,
            _ => RecordingFailure::Refused,
        },
    })
}

/// Why a journal could not be opened or sealed.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Writer(#[from] WriterGone),
    #[error("the work on the disk panicked")]
    Panicked,
}
