//! The thread that writes every recording's journal, and the one that waits for the disk.
//!
//! Media threads put packets into queues and are never kept waiting. The writer looks at all queues every
//! [`EVERY`], so a hundred recordings wake it no more often than one. It only hands bytes to the kernel: what waits for the
//! platter (syncing, making the next segment's file) is the other thread's, so that one recording's wait holds up no other.
//! Only recordings whose disk has a fault are touched by it: each has its own journal, its own error, its own end.
//!
//! A full disk is a fault that passes. What the journal did not take is kept, in its memory and in the queue, and every round
//! tries again, while the recording's owner, who is told, ends it; what the queue has no room for is dropped and counted.

mod slot;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use greffier_media::ids::RecordingId;
use greffier_media::time::Clock;
use greffier_store::journal::{
    JournalError, JournalWriter, MAX_TICK_INTERVAL, NewSegment, NextSegment, SegmentFacts, SyncHandle, UnsealedSegment,
};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::slot::{Closing, Slot};
use super::metric;
use super::queue::Queue;
use super::room::Room;
use crate::clock::SystemClock;
use crate::supervisor::{Supervisor, TaskKind};

/// How often queues are drained. The journal is told at each second time to flush what came since the first, so what is flushed
/// is 80 ms old at most, and has 20 ms for a late thread and the kernel until it breaks the promise of 100.
const EVERY: Duration = Duration::from_millis(40);
const _: () = assert!(EVERY.as_millis() <= MAX_TICK_INTERVAL.as_millis());
/// More of it waiting means the disk takes longer than a second for each; the next round asks again.
const ERRANDS: usize = 256;
/// A journal whose end a full disk does not take waits so long for room; then what is left is dropped, and counted.
const CLOSE_WITHIN: Duration = Duration::from_secs(20);

/// What the writer tells a recording's owner.
#[derive(Debug)]
pub(crate) enum Note {
    /// What the current segment holds by now.
    Facts(SegmentFacts),
    /// A segment is complete but for sealing.
    Segment(Box<UnsealedSegment>),
    /// The journal cannot go on; what was flushed is safe.
    Failed(JournalError),
}

/// What waits for the disk, and whom it concerns.
struct Errand {
    recording: RecordingId,
    what: What,
}

enum What {
    Sync(SyncHandle, mpsc::Sender<Note>),
    MakeFile(NextSegment),
    /// It is not needed any more.
    RemoveFile(NewSegment),
}

/// The file of a recording's next segment, or why there is none; `Ok(None)` when one that was not needed is gone.
type Made = (RecordingId, Result<Option<NewSegment>, JournalError>);

enum Order {
    Open(Box<Slot>),
    /// Drain, close, and hand the last segment over.
    Close(RecordingId, oneshot::Sender<UnsealedSegment>),
}

/// The writer's end that recordings hold.
#[derive(Clone)]
pub(crate) struct Journalist {
    orders: SyncSender<Order>,
}

/// A recording that is being written.
pub(crate) struct Writing {
    recording: RecordingId,
    orders: SyncSender<Order>,
    pub notes: mpsc::Receiver<Note>,
    /// The sealing of earlier segments that is under way.
    pub sealing: TaskTracker,
}

/// The writer is gone: the process is shutting down, or it has died, which ends the process.
#[derive(Debug, thiserror::Error)]
#[error("the journal writer is not running")]
pub struct WriterGone;

impl Journalist {
    /// Starts the two threads.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(supervisor: &Supervisor, clock: SystemClock) -> std::io::Result<Self> {
        let (errands, due) = sync_channel::<Errand>(ERRANDS);
        let (orders, inbox) = sync_channel(ERRANDS);
        let (answers, made) = sync_channel(ERRANDS);
        supervisor.spawn_thread(TaskKind::JournalSync, "journal-sync", move |_| {
            run_errands(&due, &answers, clock);
            Ok::<(), std::convert::Infallible>(())
        })?;
        supervisor.spawn_thread(TaskKind::JournalWriter, "journal-writer", move |token| {
            Desk {
                clock,
                errands,
                made,
                slots: Vec::new(),
            }
            .run(&inbox, &token);
            Ok::<(), std::convert::Infallible>(())
        })?;
        Ok(Self { orders })
    }

    /// Begins to write what comes through `queue`.
    ///
    /// # Errors
    /// When the writer is gone.
    pub fn write(
        &self,
        writer: JournalWriter,
        queue: Arc<Queue>,
        room: Arc<Mutex<Room>>,
    ) -> Result<Writing, WriterGone> {
        // Segments come every few minutes; a recording that does not take them for hours is stuck.
        let (notes, inbox) = mpsc::channel(64);
        let recording = writer.recording();
        let slot = Slot::new(writer, queue, room, notes);
        self.orders.send(Order::Open(Box::new(slot))).map_err(|_| WriterGone)?;
        Ok(Writing {
            recording,
            orders: self.orders.clone(),
            notes: inbox,
            sealing: TaskTracker::new(),
        })
    }
}

impl Writing {
    /// Has what still waits written, the journal ended, and its last segment handed over. A disk that is full is given some time
    /// to have room again, and [`notes`](Self::notes) say so.
    ///
    /// # Errors
    /// When the writer is gone.
    pub fn close(&self) -> Result<oneshot::Receiver<UnsealedSegment>, WriterGone> {
        let (done, closed) = oneshot::channel();
        self.orders
            .send(Order::Close(self.recording, done))
            .map_err(|_| WriterGone)?;
        Ok(closed)
    }
}

/// What the writer thread has before it.
struct Desk {
    clock: SystemClock,
    errands: SyncSender<Errand>,
    made: Receiver<Made>,
    slots: Vec<Slot>,
}

impl Desk {
    fn run(mut self, orders: &Receiver<Order>, token: &CancellationToken) {
        let mut next = self.clock.now();
        loop {
            next = next.saturating_add(EVERY);
            loop {
                match orders.recv_timeout(self.clock.until(next)) {
                    Ok(order) => self.carry_out(order),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            for slot in &mut self.slots {
                slot.work(&self.clock, &self.errands);
            }
            while let Ok((recording, made)) = self.made.try_recv() {
                if let Some(slot) = self.slots.iter_mut().find(|slot| slot.recording == recording) {
                    slot.begin(made, self.clock.now(), &self.errands);
                }
            }
            self.close();
            // Recordings close themselves before this thread is told to stop; what is left is what a crash leaves.
            if token.is_cancelled() && self.slots.is_empty() {
                return;
            }
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Open(slot) => self.slots.push(*slot),
            Order::Close(recording, done) => {
                let Some(slot) = self.slots.iter_mut().find(|slot| slot.recording == recording) else {
                    return;
                };
                slot.closing = Some(Closing {
                    done,
                    given_up_at: self.clock.now().saturating_add(CLOSE_WITHIN),
                });
                slot.work(&self.clock, &self.errands);
                self.close();
            }
        }
    }

    /// Lets go of the journals that are complete.
    fn close(&mut self) {
        let now = self.clock.now();
        for mut slot in self.slots.extract_if(.., |slot| slot.is_complete(now)) {
            if let Some(Closing { done, .. }) = slot.closing.take() {
                slot.discard();
                // Nobody waiting means nobody seals it; the next start does.
                let _ = done.send(slot.writer.close());
            }
        }
    }
}

/// Does what waits for the disk, until the writer has gone.
fn run_errands(due: &Receiver<Errand>, answers: &SyncSender<Made>, clock: SystemClock) {
    while let Ok(Errand { recording, what }) = due.recv() {
        match what {
            What::Sync(handle, notes) => {
                let began = clock.now();
                if let Err(error) = handle.sync() {
                    tracing::error!(%recording, %error, "the journal could not be synced");
                    // Its owner ends the recording; if its mailbox is full, the next sync finds the same disk.
                    let _ = notes.try_send(Note::Failed(error));
                }
                metrics::histogram!(metric::SYNC_SECONDS).record(clock.now().saturating_since(began).as_secs_f64());
            }
            What::MakeFile(next) => {
                // A writer that is gone needs none.
                let _ = answers.send((recording, next.create().map(Some)));
            }
            What::RemoveFile(new) => {
                drop(new);
                let _ = answers.send((recording, Ok(None)));
            }
        }
    }
}
