//! Order, frames, freezes and losses of one track.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use greffier_media::codec::{Dims, MediaKind};
use greffier_media::rtp::SequenceExtender;
use parking_lot::Mutex;

use super::{Counts, Distributions, as_micros};
use crate::synthetic::upstream::Upstream;

#[cfg(test)]
mod tests;

/// A packet that has not come so long after the next one did never will: several repairs fit in.
pub(in crate::synthetic) const PATIENCE: Duration = Duration::from_secs(1);
/// When a track ends, a packet that is missing for less may still have been on its way: it is neither received nor lost.
const REPAIRED_WITHIN: Duration = Duration::from_millis(250);
/// A first picture, or sound, that takes longer than this does not count as a start any more: it was not to be seen.
const START_WITHIN: Duration = Duration::from_secs(2);
/// Opus packets of speech are larger; those of silence have a few bytes.
pub(in crate::synthetic) const SPEECH_BYTES: usize = 20;
/// Speech that pauses for longer is another turn.
pub(in crate::synthetic) const TURN_ENDS_AFTER: Duration = Duration::from_millis(300);

/// What counts of a packet.
pub(super) struct Meta {
    pub timestamp: u32,
    pub marker: bool,
    pub key: bool,
    pub dims: Option<Dims>,
    pub padding: bool,
    pub arrival: Instant,
}

/// Order, frames and freezes of one stream (one SSRC).
#[derive(Default)]
struct Stream {
    sequences: SequenceExtender,
    first: Option<u64>,
    next: Option<u64>,
    held: BTreeMap<u64, Meta>,
    /// The frame that is coming in: its timestamp, and whether it began as a key frame.
    frame: Option<(u32, bool)>,
    /// Nothing can be decoded before the next key frame.
    broken: bool,
    last_frame: Option<Instant>,
    /// Since when something is to be seen, while nothing was yet.
    due_since: Option<Instant>,
}

/// What was received of a track, and what is still awaited.
pub(super) struct State {
    kind: MediaKind,
    pub counts: Counts,
    stream: Stream,
    ssrc: Option<u32>,
    /// `None` until told.
    muted: Option<bool>,
    ended: bool,
    pub wants_key_frame: bool,
    /// A gap between frames longer than this is a freeze.
    freeze: Duration,
    last_speech: Option<Instant>,
    pub upstream: Option<Upstream>,
    pub distributions: Arc<Mutex<Distributions>>,
}

impl State {
    pub fn new(kind: MediaKind, freeze: Duration, distributions: Arc<Mutex<Distributions>>) -> Self {
        Self {
            kind,
            counts: Counts::default(),
            stream: Stream {
                broken: kind == MediaKind::Video,
                ..Stream::default()
            },
            ssrc: None,
            muted: None,
            ended: false,
            wants_key_frame: false,
            freeze,
            last_speech: None,
            upstream: None,
            distributions,
        }
    }

    pub fn set_muted(&mut self, muted: bool, now: Instant) {
        if self.muted == Some(muted) || self.ended {
            return;
        }
        if muted {
            self.close_gap(now);
            self.stream.last_frame = None;
            self.stream.due_since = None;
            if let Some(upstream) = &mut self.upstream {
                upstream.pause();
            }
        } else {
            self.stream.due_since = Some(now);
        }
        self.muted = Some(muted);
    }

    /// `stood_still` is whether a picture that is not followed by another is one that stood still.
    pub fn end(&mut self, now: Instant, stood_still: bool) {
        if self.ended {
            return;
        }
        self.ended = true;
        while let Some((first, meta)) = self.stream.held.pop_first() {
            let next = self.stream.next.unwrap_or(first);
            if first > next && now.saturating_duration_since(meta.arrival) >= REPAIRED_WITHIN {
                self.lose(first - next, meta.arrival);
            }
            self.stream.next = Some(first + 1);
            self.in_order(&meta);
        }
        self.counts.expected = self.counts.received + self.counts.lost;
        if stood_still || self.stream.last_frame.is_none() {
            self.close_gap(now);
        }
    }

    pub fn packet(&mut self, sequence: u16, ssrc: u32, meta: Meta, bytes: usize) {
        let now = meta.arrival;
        if self.ssrc.replace(ssrc).is_some_and(|before| before != ssrc) {
            // Another source behind the same track (a resubscription): what was is counted, what comes begins anew.
            self.give_up_all();
            self.stream = Stream {
                broken: self.kind == MediaKind::Video,
                last_frame: self.stream.last_frame,
                due_since: self.stream.due_since,
                ..Stream::default()
            };
        }
        self.counts.first_packet.get_or_insert(now);
        self.counts.received += 1;
        self.counts.bytes += bytes as u64;
        if let Some(upstream) = &mut self.upstream {
            upstream.look(now, self.counts.dims);
        }
        let sequence = self.stream.sequences.extend(sequence);
        let first = *self.stream.first.get_or_insert(sequence);
        let next = *self.stream.next.get_or_insert(sequence);
        if sequence < next {
            // Given up before, and here after all; unless it is older than what came first, which nobody missed.
            if sequence > first {
                self.counts.lost = self.counts.lost.saturating_sub(1);
            }
            self.counts.expected = self.counts.received + self.counts.lost;
            return;
        }
        if sequence == next && self.stream.held.is_empty() {
            self.stream.next = Some(next + 1);
            self.in_order(&meta);
        } else {
            self.stream.held.insert(sequence, meta);
            self.drain(now);
        }
        self.counts.expected = self.counts.received + self.counts.lost;
    }

    /// Takes out of `held` what is in order, and gives up what is missing for too long.
    fn drain(&mut self, now: Instant) {
        while let Some((&first, meta)) = self.stream.held.first_key_value() {
            let next = self.stream.next.unwrap_or(first);
            if first > next {
                if now.saturating_duration_since(meta.arrival) < PATIENCE {
                    return;
                }
                let arrival = meta.arrival;
                self.lose(first - next, arrival);
            }
            self.stream.next = Some(first + 1);
            if let Some(meta) = self.stream.held.remove(&first) {
                self.in_order(&meta);
            }
        }
    }

    fn give_up_all(&mut self) {
        while let Some((first, meta)) = self.stream.held.pop_first() {
            let next = self.stream.next.unwrap_or(first);
            if first > next {
                self.lose(first - next, meta.arrival);
            }
            self.stream.next = Some(first + 1);
            self.in_order(&meta);
        }
    }

    /// Gives up `packets` before the one that came at `at`.
    fn lose(&mut self, packets: u64, at: Instant) {
        self.counts.lost += packets;
        if let Some(upstream) = &mut self.upstream {
            self.counts.lost_upstream += upstream.explain(packets, at);
        }
        self.stream.frame = None;
        if self.kind == MediaKind::Video {
            self.stream.broken = true;
            self.wants_key_frame = true;
        }
    }

    fn in_order(&mut self, meta: &Meta) {
        if meta.padding {
            return;
        }
        if self.kind == MediaKind::Audio {
            self.counts.frames += 1;
            self.counts.first_frame.get_or_insert(meta.arrival);
            self.counts.never = false;
            return;
        }
        let began_as_key = match self.stream.frame {
            Some((timestamp, key)) if timestamp == meta.timestamp => key || meta.key,
            _ => meta.key,
        };
        self.stream.frame = Some((meta.timestamp, began_as_key));
        if meta.key {
            self.counts.dims = meta.dims.or(self.counts.dims);
        }
        if meta.marker {
            self.stream.frame = None;
            if began_as_key {
                self.stream.broken = false;
                self.counts.key_frames += 1;
            }
            if !self.stream.broken {
                self.frame(meta.arrival);
            }
        }
    }

    fn frame(&mut self, at: Instant) {
        self.counts.frames += 1;
        self.counts.first_frame.get_or_insert(at);
        self.counts.never = false;
        self.close_gap(at);
        let last = self.stream.last_frame.map_or(at, |last| last.max(at));
        self.stream.last_frame = Some(last);
    }

    /// Notes a packet of sound that came at `now`.
    pub fn voice(&mut self, now: Instant, bytes: usize) {
        if bytes < SPEECH_BYTES {
            return;
        }
        self.counts.speech += 1;
        let goes_on = |last: Instant| now.saturating_duration_since(last) <= TURN_ENDS_AFTER;
        if !self.last_speech.is_some_and(goes_on) {
            self.counts.turns += 1;
        }
        self.last_speech = Some(now);
    }

    /// Counts the time since the last frame if it is a freeze; where there was none yet, the time since one is due if that
    /// is longer than a start takes. Sound has no frames that stand still: of it only that nothing came is told.
    fn close_gap(&mut self, now: Instant) {
        let (since, allowed) = match (self.stream.last_frame, self.stream.due_since) {
            (Some(last), _) => (last, self.freeze),
            (None, Some(due)) => (due, self.freeze.max(START_WITHIN)),
            (None, None) => return,
        };
        let gap = now.saturating_duration_since(since);
        if gap > allowed && self.counts.first_frame.is_none() {
            self.counts.never = true;
        }
        if gap > allowed && self.kind == MediaKind::Video {
            self.counts.freezes += 1;
            self.counts.frozen += gap;
            self.distributions.lock().freezes.saturating_record(as_micros(gap));
        }
    }
}
