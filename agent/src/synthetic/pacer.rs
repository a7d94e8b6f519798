//! One thread that sends for everybody: it wakes at most once each few milliseconds, whatever the number of tracks.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use parking_lot::{Condvar, Mutex};

use super::SyntheticError;
use crate::clock::instant as now;

/// What is due within the same step is sent at one wake-up.
const STEP: Duration = Duration::from_millis(5);

/// Something that has to act at certain times.
pub trait Pace: Send {
    /// Does what is due at `now`, and says when it wants to be asked again; `None` if never.
    fn act(&mut self, now: Instant) -> Option<Instant>;
}

/// Names one [`Pace`] at its pacer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PaceId(u64);

/// The thread. It ends when its last handle is dropped. Clones share everything.
#[derive(Clone)]
pub struct Pacer {
    owner: Arc<Owner>,
}

struct Owner {
    shared: Arc<Shared>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.inbox.lock().stop = true;
        self.shared.wake.notify_one();
    }
}

#[derive(Default)]
struct Inbox {
    next_id: u64,
    added: Vec<(PaceId, Box<dyn Pace>)>,
    removed: Vec<PaceId>,
    stop: bool,
}

struct Shared {
    inbox: Mutex<Inbox>,
    wake: Condvar,
    /// How late things were done, in microseconds: the tester's own fault, to be told.
    lag: Mutex<Histogram<u64>>,
}

impl Pacer {
    /// # Errors
    /// When the system has no thread to give.
    pub fn start() -> Result<Self, SyntheticError> {
        let shared = Arc::new(Shared {
            inbox: Mutex::default(),
            wake: Condvar::new(),
            lag: Mutex::new(lag_histogram()),
        });
        let served = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("pacer".to_owned())
            .spawn(move || served.run())
            .map_err(SyntheticError::Thread)?;
        Ok(Self {
            owner: Arc::new(Owner { shared }),
        })
    }

    /// Asks `pace` from now on.
    pub fn add(&self, pace: Box<dyn Pace>) -> PaceId {
        let shared = &self.owner.shared;
        let mut inbox = shared.inbox.lock();
        inbox.next_id += 1;
        let id = PaceId(inbox.next_id);
        inbox.added.push((id, pace));
        shared.wake.notify_one();
        id
    }

    /// Asks it no more.
    pub fn remove(&self, id: PaceId) {
        let shared = &self.owner.shared;
        shared.inbox.lock().removed.push(id);
        shared.wake.notify_one();
    }

    /// How late things were done since the last call, in microseconds beyond the step.
    pub fn take_lag(&self) -> Histogram<u64> {
        std::mem::replace(&mut *self.owner.shared.lag.lock(), lag_histogram())
    }
}

fn lag_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 2).expect("bounds that hdrhistogram allows")
}

impl Shared {
    fn run(&self) {
        let mut paces: HashMap<PaceId, Box<dyn Pace>> = HashMap::new();
        let mut due: BinaryHeap<Reverse<(Instant, PaceId)>> = BinaryHeap::new();
        while self.take_inbox(&mut paces, &mut due) {
            let now = now();
            let mut latest = Duration::ZERO;
            while let Some(Reverse((at, id))) = due.peek().copied().filter(|Reverse((at, _))| *at <= now) {
                due.pop();
                latest = latest.max(now.saturating_duration_since(at));
                let Some(pace) = paces.get_mut(&id) else { continue };
                match pace.act(now) {
                    Some(next) => due.push(Reverse((next.max(at), id))),
                    None => drop(paces.remove(&id)),
                }
            }
            if !paces.is_empty() {
                let beyond = u64::try_from(latest.saturating_sub(STEP).as_micros()).unwrap_or(u64::MAX);
                self.lag.lock().saturating_record(beyond.max(1));
            }
            let next = due.peek().map(|Reverse((at, _))| *at);
            let mut inbox = self.inbox.lock();
            if inbox.added.is_empty() && inbox.removed.is_empty() && !inbox.stop {
                match next {
                    Some(next) => drop(self.wake.wait_until(&mut inbox, next.max(now + STEP))),
                    None => self.wake.wait(&mut inbox),
                }
            }
        }
    }

    /// Whether to go on.
    fn take_inbox(
        &self,
        paces: &mut HashMap<PaceId, Box<dyn Pace>>,
        due: &mut BinaryHeap<Reverse<(Instant, PaceId)>>,
    ) -> bool {
        let mut inbox = self.inbox.lock();
        let at = now();
        for (id, pace) in inbox.added.drain(..) {
            paces.insert(id, pace);
            due.push(Reverse((at, id)));
        }
        for id in inbox.removed.drain(..) {
            paces.remove(&id);
        }
        !inbox.stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ticks {
        every: Duration,
        left: u32,
        next: Option<Instant>,
        told: std::sync::mpsc::SyncSender<Instant>,
    }

    impl Pace for Ticks {
        fn act(&mut self, now: Instant) -> Option<Instant> {
            self.left = self.left.checked_sub(1)?;
            self.told.send(now).ok()?;
            let next = self.next.unwrap_or(now) + self.every;
            self.next = Some(next);
            Some(next)
        }
    }

    #[test]
    fn everybody_is_asked_at_their_own_pace_until_they_want_no_more() {
        let pacer = Pacer::start().expect("a thread");
        let (told, ticks) = std::sync::mpsc::sync_channel(64);
        let every = Duration::from_millis(20);
        pacer.add(Box::new(Ticks {
            every,
            left: 6,
            next: None,
            told,
        }));
        let at: Vec<Instant> = ticks.iter().collect();
        assert_eq!(at.len(), 6, "then it is dropped, and with it the channel");
        assert!(at[5] + STEP >= at[0] + every * 5, "not faster than asked");
        assert!(pacer.take_lag().len() >= 6);
    }

    #[test]
    fn who_is_removed_is_not_asked_again() {
        let pacer = Pacer::start().expect("a thread");
        let (told, ticks) = std::sync::mpsc::sync_channel(1);
        let every = Duration::from_millis(1);
        let id = pacer.add(Box::new(Ticks {
            every,
            left: u32::MAX,
            next: None,
            told,
        }));
        ticks.recv().expect("asked once");
        pacer.remove(id);
        // The channel closes when the pacer lets go of it; without that this would never end.
        assert!(ticks.iter().count() < 1000);
    }
}
