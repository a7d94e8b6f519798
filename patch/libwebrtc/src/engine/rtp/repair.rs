//! Which packets of a stream are asked for again, when, and for how long (RFC 4585 §6.2.1).

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::raw::InboundCounters;

/// A gap is only asked for after this long: packets that merely changed places need no repair.
const REORDER_WAIT: Duration = Duration::from_millis(10);
/// LiveKit's SFU answers one packet's requests at most every 100 ms and three times; asking more often is flooding.
const RETRY_EVERY: Duration = Duration::from_millis(110);
pub(super) const MAX_TRIES: u8 = 6;
/// What has been asked for so often, and for twice as long as an answer takes, is overdue.
const OVERDUE_AFTER_TRIES: u8 = 2;

pub(super) struct Missing {
    sequence: u64,
    since: Instant,
    ask_at: Instant,
    tries: u8,
    is_overdue: bool,
}

/// The packets of one stream that are asked for.
#[derive(Default)]
pub(super) struct Repair {
    missing: VecDeque<Missing>,
    /// How long one that was asked for stays away, smoothed.
    answer_takes: Option<Duration>,
}

impl Repair {
    /// These did not come in their turn.
    pub fn missing(&mut self, now: Instant, sequences: Range<u64>) {
        self.missing.extend(sequences.map(|sequence| Missing {
            sequence,
            since: now,
            ask_at: now + REORDER_WAIT,
            tries: 0,
            is_overdue: false,
        }));
    }

    /// One that came out of its turn, whether it was missing or not.
    pub fn found(&mut self, now: Instant, sequence: u64, counters: &mut InboundCounters) {
        let at = self.missing.iter().position(|m| m.sequence == sequence);
        let missing = at.and_then(|at| self.missing.remove(at));
        if let Some(missing) = missing.filter(|missing| missing.tries > 0) {
            counters.came_overdue += u64::from(missing.is_overdue);
            let took = now.saturating_duration_since(missing.since);
            let smoothed = self.answer_takes.map_or(took, |before| (before * 7 + took) / 8);
            self.answer_takes = Some(smoothed);
        }
    }

    /// Those that are hopeless are asked for no more.
    pub fn give_up(&mut self, counters: &mut InboundCounters, is_hopeless: impl Fn(&Missing) -> bool) {
        self.missing.retain(|missing| {
            let is_kept = !is_hopeless(missing);
            counters.unrepaired += u64::from(!is_kept);
            counters.overdue += u64::from(!is_kept && !missing.is_overdue);
            is_kept
        });
    }

    /// When [`Self::requests`] has something to say next.
    pub fn next_request(&self) -> Option<Instant> {
        self.missing.iter().map(|m| m.ask_at).min()
    }

    /// Sequence numbers to ask for now. What has been asked for often enough is given up.
    pub fn requests(&mut self, now: Instant, counters: &mut InboundCounters) -> Vec<u16> {
        self.give_up(counters, |m| m.tries >= MAX_TRIES && m.ask_at <= now);
        let patience = self.answer_takes.unwrap_or_default() * 2;
        let mut asked = Vec::new();
        for missing in self.missing.iter_mut().filter(|m| m.ask_at <= now) {
            let is_late = now.saturating_duration_since(missing.since) >= patience;
            if missing.tries >= OVERDUE_AFTER_TRIES && is_late && !missing.is_overdue {
                missing.is_overdue = true;
                counters.overdue += 1;
            }
            missing.tries += 1;
            missing.ask_at = now + RETRY_EVERY;
            asked.push(missing.sequence as u16);
        }
        if !asked.is_empty() {
            counters.nacks += 1;
            counters.nacked += asked.len() as u64;
        }
        asked
    }
}
