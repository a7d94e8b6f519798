//! A participant as the measurement sees it: since when it is there, and what it receives.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use greffier_media::codec::{Dims, MediaKind};
use libwebrtc::raw::{InboundCounters, RemoteTrackExt};
use livekit::prelude::{RemoteTrack, RemoteTrackPublication};

use super::layout::layer_for;
use super::measure::{Carried, Packets, Pictures, Received};
use super::stage::Publication;
use crate::synthetic::reception::{Counts, Reception};
use crate::synthetic::upstream::Upstream;

/// A participant that is in its room.
pub(super) struct Seat {
    pub room: u32,
    pub identity: String,
    /// When it began to join.
    pub called: Instant,
    /// Since when it is in the room.
    pub here: Option<Instant>,
    pub subscribes: bool,
    /// Whose tracks it was given last when.
    pub had: HashMap<(String, &'static str), Instant>,
    pub heard: bool,
    pub saw: bool,
    pub tracks: Vec<Subscription>,
}

/// A track it receives.
pub(super) struct Subscription {
    pub sid: String,
    pub publisher: String,
    /// Of the track, in a word.
    pub source: &'static str,
    pub screen: bool,
    pub kind: MediaKind,
    pub codec: String,
    pub publication: RemoteTrackPublication,
    pub track: RemoteTrack,
    pub reception: Reception,
    /// The size at which it is shown; `None` if it is out of sight.
    pub tile: Option<Dims>,
    pub muted: bool,
    /// What its publisher sends, once that is known to be one of ours, and what it had repeated when this began.
    pub published: Option<(Publication, u64)>,
    pub seen: Counts,
    pub pictures: Pictures,
}

/// What changed since the last look.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Change {
    pub received: u64,
    pub lost: u64,
    pub bytes: u64,
    pub freezes: u64,
}

impl Subscription {
    /// The sum over its streams: a resubscribed track has one after the other.
    fn engine(&self) -> InboundCounters {
        let mut sum = InboundCounters::default();
        for stream in self.track.rtc_track_counters() {
            sum.overflowed += stream.overflowed;
            sum.repaired += stream.repaired;
            sum.nacked += stream.nacked;
            sum.plis += stream.plis;
            sum.jitter = sum.jitter.max(stream.jitter);
        }
        sum
    }

    /// Notes who sends it. `is_new` is whether this was here before its publisher had heard that it is published: then all
    /// that it ever sent was for us too.
    pub fn attach(&mut self, publication: Publication, is_new: bool) {
        let upstream = Upstream::new(publication.sent.clone(), publication.layers.clone());
        self.reception.set_upstream(upstream);
        let repeated = publication.sent.repeated.load(Ordering::Relaxed);
        self.published = Some((publication, if is_new { 0 } else { repeated }));
    }

    /// What was received without what was repeated, the time it came in, and how much was repeated.
    pub fn carried(&self) -> Option<(Carried, Instant, u64)> {
        let (publication, before) = self.published.as_ref()?;
        let counts = self.reception.counts();
        let repeated = publication.sent.repeated.load(Ordering::Relaxed) - before;
        let carried = Carried {
            bytes: counts.bytes.saturating_sub(repeated),
            speech: counts.speech as f64 * 0.02,
            turns: counts.turns,
        };
        Some((carried, counts.first_packet?, repeated))
    }

    /// Looks at it once in `passed`.
    pub fn look(&mut self, passed: Duration) -> (Change, f64) {
        let now = self.reception.counts();
        let before = std::mem::replace(&mut self.seen, now);
        let change = Change {
            received: now.received.saturating_sub(before.received),
            lost: now.lost.saturating_sub(before.lost),
            bytes: now.bytes.saturating_sub(before.bytes),
            freezes: now.freezes.saturating_sub(before.freezes),
        };
        if let (MediaKind::Video, Some(tile), false) = (self.kind, self.tile, self.muted) {
            let seconds = passed.as_secs_f64();
            self.pictures.watched += seconds;
            let layers = self.published.as_ref().map_or(&[][..], |(p, _)| &p.layers);
            if let (Some(shown), Some(asked)) = (now.dims, layer_for(tile, layers)) {
                match shown.width.cmp(&asked.width) {
                    std::cmp::Ordering::Equal => self.pictures.layer_as_asked += seconds,
                    std::cmp::Ordering::Less => self.pictures.layer_smaller += seconds,
                    std::cmp::Ordering::Greater => self.pictures.layer_larger += seconds,
                }
            }
        }
        if self.reception.take_key_frame_wish() {
            self.track.request_key_frame();
        }
        (change, self.engine().jitter)
    }

    /// What it was, from its beginning to now.
    pub fn close(&self, now: Instant) -> Received {
        let counts = self.reception.finish(now);
        let engine = self.engine();
        let by_impairment = counts.lost.min(counts.impaired + counts.lost_upstream);
        let left = counts.lost - by_impairment;
        let by_tester = left.min(engine.overflowed);
        let packets = Packets {
            expected: counts.expected,
            received: counts.received,
            bytes: counts.bytes,
            repaired: counts.repaired,
            lost: counts.lost,
            lost_by_impairment: by_impairment,
            lost_upstream: counts.lost_upstream.min(by_impairment),
            lost_by_tester: by_tester,
            lost_by_server: left - by_tester,
        };
        let mut received = Received {
            tracks: 1,
            ..Received::default()
        };
        match self.kind {
            MediaKind::Audio => {
                received.audio = packets;
                received.never_heard = u64::from(counts.never);
            }
            MediaKind::Video => {
                received.video = packets;
                received.never_seen = u64::from(counts.never);
                received.pictures = Pictures {
                    frames: counts.frames,
                    key_frames: counts.key_frames,
                    freezes: counts.freezes,
                    frozen: counts.frozen.as_secs_f64(),
                    ..self.pictures
                };
            }
        }
        received
    }

    pub fn nacked(&self) -> (u64, u64) {
        let engine = self.engine();
        (engine.nacked, u64::from(engine.plis))
    }
}

/// What the SDK's track has below it.
trait Below {
    fn rtc_track_counters(&self) -> Vec<InboundCounters>;
    fn request_key_frame(&self);
}

impl Below for RemoteTrack {
    fn rtc_track_counters(&self) -> Vec<InboundCounters> {
        self.rtc_track().counters()
    }

    fn request_key_frame(&self) {
        self.rtc_track().request_key_frame();
    }
}
