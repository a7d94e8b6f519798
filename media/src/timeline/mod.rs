//! From many clocks to one: where in the recording each frame belongs.
//!
//! A stream's timestamps count its sender's samples from a random start. Two things tell when that was: sender reports,
//! which give the sender's wall clock for a timestamp, and the arrival of every packet by our own clock. Reports relate
//! the streams of one participant to each other within milliseconds, but by a clock that may be wrong by hours; arrivals
//! are on one clock for all, but late by what encoder and network took. So:
//!
//! ```text
//! position(media) = media + O(media) + P(…) − start of the recording
//!
//! O   per stream        wall − media, from its sender reports (median per block): follows the drift of its sampling clock
//! P   per participant   arrival − wall, the least over all its streams (lower envelope): follows the drift of its wall
//!                       clock; what is above the least is delay, not time
//! ```
//!
//! A stream without reports has its own lower envelope of arrival − media instead. All curves are piecewise linear and
//! too flat to turn time back, so positions never decrease. `docs/design/time.md` tells the rest: what happens when clocks
//! jump, when reports lie, and when we are restarted.

mod curve;
mod pauses;
mod stream;

use std::collections::{BTreeMap, HashMap};

use curve::{Curve, Minima};
pub use pauses::Pauses;
use stream::{Span, Stream};

use crate::{
    ids::ParticipantSid,
    time::{Arrival, MediaTime, Position, WallTime},
};

/// Reports that put a stream more than this behind the fastest of its participant are not believed, in nanoseconds. No
/// encoder is so slow.
const MAX_SKEW: i64 = 2_000_000_000;
/// The fastest stream itself may seem faster than the envelope it is in, by what a clock may drift within a block.
const SKEW_NOISE: i64 = 20_000_000;

/// A wall clock that is wrong by more than ten years is none: its reports are left.
const MAX_WALL_ERROR: i64 = 10 * 365 * 86_400 * 1_000_000_000;

/// One RTP stream: a channel of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamId(usize);

/// Takes in what is known of all streams' times, packet by packet and report by report, in the order of arrival.
///
/// Offline, feed it a whole recording, then ask for each stream's [`clock`](Self::clock). Live, ask again whenever there
/// is more to go by, and see to it that what was shown is not taken back ([`StreamClock`] of a later moment may differ by
/// some milliseconds).
#[derive(Debug)]
pub struct Timeline {
    start: Arrival,
    /// What to add to arrivals since our last restart, so that they never go back.
    shift: i64,
    latest: i64,
    streams: Vec<Stream>,
    presences: Vec<Presence>,
    current: HashMap<ParticipantSid, usize>,
}

/// One participant between two restarts of ours: one wall clock against one arrival clock.
#[derive(Debug, Default)]
struct Presence {
    /// Jumps of the participant's wall clock so far, summed up; the first is zero.
    corrections: Vec<i64>,
}

impl Timeline {
    /// `start` is the recording's first moment, where positions count from.
    pub fn new(start: Arrival) -> Self {
        Self {
            start,
            shift: 0,
            latest: signed(start.as_nanos()),
            streams: Vec::new(),
            presences: Vec::new(),
            current: HashMap::new(),
        }
    }

    /// We were restarted, and our clock was set anew; `at` is the first arrival by it. Streams before and after have
    /// nothing to do with each other.
    pub fn restarted(&mut self, at: Arrival) {
        self.shift = 0.max(self.latest - signed(at.as_nanos()));
        self.current.clear();
    }

    /// Adds a stream: once per channel of the journal.
    pub fn add_stream(&mut self, participant: &ParticipantSid) -> StreamId {
        let presences = &mut self.presences;
        let presence = *self.current.entry(participant.clone()).or_insert_with(|| {
            presences.push(Presence { corrections: vec![0] });
            presences.len() - 1
        });
        self.streams.push(Stream::new(presence));
        StreamId(self.streams.len() - 1)
    }

    /// A packet of `stream` arrived. Repaired and reordered ones may be left out: they say nothing about time.
    pub fn packet(&mut self, stream: StreamId, media: MediaTime, arrival: Arrival) {
        let arrival = self.local(arrival);
        self.latest = self.latest.max(arrival);
        self.streams[stream.0].packet(signed(media.as_nanos()), arrival);
    }

    /// A sender report of `stream` arrived: `wall` is `media`, by the sender's clock.
    pub fn report(&mut self, stream: StreamId, media: MediaTime, wall: WallTime, arrival: Arrival) {
        let (arrival, wall) = (self.local(arrival), signed(wall.as_nanos()));
        if (arrival - wall).abs() > MAX_WALL_ERROR {
            return;
        }
        let stream = &mut self.streams[stream.0];
        let corrections = &mut self.presences[stream.presence].corrections;
        stream.report(signed(media.as_nanos()), wall, arrival, corrections);
    }

    /// Where an event stands that is known by its arrival alone. Since the last [restart](Self::restarted).
    pub fn at(&self, arrival: Arrival) -> Position {
        position(self.local(arrival), signed(self.start.as_nanos()))
    }

    /// How `stream`'s time maps to the recording's, as far as is known now.
    pub fn clock(&self, stream: StreamId) -> StreamClock {
        let stream = &self.streams[stream.0];
        let base = self.presence_base(stream.presence);
        let curves: Vec<_> = stream.spans().map(Span::curves).collect();
        let skews: Vec<_> = curves.iter().map(|curves| curves.skew(&base)).collect();
        let (mut pieces, mut floor) = (Vec::<Piece>::with_capacity(curves.len()), i64::MIN);
        for (index, (span, SpanCurves { arrival, wall })) in stream.spans().zip(curves).enumerate() {
            let by = if let (Some(wall), Some(_)) = (wall, skews[index]) {
                By::Reports {
                    wall,
                    arrival,
                    base: base.clone(),
                }
            } else {
                let nearest = skews[..index]
                    .iter()
                    .rev()
                    .chain(&skews[index..])
                    .find_map(|skew| *skew);
                By::Arrival {
                    arrival,
                    skew: nearest.unwrap_or(0),
                }
            };
            let piece = Piece {
                from: span.first(),
                floor,
                ceiling: i64::MAX,
                by,
            };
            if let Some(before) = pieces.last_mut() {
                before.ceiling = piece.at(span.first());
            }
            floor = piece.at(span.last());
            pieces.push(piece);
        }
        StreamClock {
            start: signed(self.start.as_nanos()),
            pieces,
        }
    }

    /// The least of arrival − wall over all streams of a presence. What a stream is usually slower than the fastest is
    /// taken off it, so that nothing moves while the fastest is muted.
    fn presence_base(&self, presence: usize) -> Curve {
        let mut blocks: BTreeMap<i64, Vec<Sample>> = BTreeMap::new();
        let streams = self
            .streams
            .iter()
            .enumerate()
            .filter(|(_, stream)| stream.presence == presence);
        for (stream, curves) in streams.flat_map(|(id, stream)| stream.spans().map(move |span| (id, span.curves()))) {
            let Some(wall) = &curves.wall else { continue };
            for (media, delay) in curves.arrival.points() {
                let sample = Sample {
                    stream,
                    arrival: media + delay,
                    offset: delay - wall.at(*media),
                };
                blocks
                    .entry(sample.arrival.div_euclid(curve::BLOCK))
                    .or_default()
                    .push(sample);
            }
        }
        let mut slower: HashMap<usize, Vec<i64>> = HashMap::new();
        for block in blocks.values() {
            let least = block.iter().map(|sample| sample.offset).min().unwrap_or_default();
            let several = block.iter().any(|sample| sample.stream != block[0].stream);
            for sample in block.iter().filter(|_| several) {
                slower.entry(sample.stream).or_default().push(sample.offset - least);
            }
        }
        let usual: HashMap<_, _> = slower
            .into_iter()
            .filter_map(|(stream, by)| Some((stream, curve::median(by)?)))
            .collect();
        let mut least = Minima::default();
        for sample in blocks.into_values().flatten() {
            least.add(sample.arrival, sample.offset - usual.get(&sample.stream).unwrap_or(&0));
        }
        least.lower_envelope()
    }

    fn local(&self, arrival: Arrival) -> i64 {
        signed(arrival.as_nanos()).saturating_add(self.shift)
    }
}

/// How far arrival was ahead of the sender's wall clock, on one stream at one moment.
struct Sample {
    stream: usize,
    arrival: i64,
    offset: i64,
}

/// What one span of a stream is known by.
struct SpanCurves {
    /// Arrival − media, lower envelope over media.
    arrival: Curve,
    /// Wall − media, over media; `None` without reports.
    wall: Option<Curve>,
}

impl SpanCurves {
    /// How much later it arrives than the fastest of its participant, at its end; `None` if no reports say so, or none
    /// that can be believed.
    fn skew(&self, base: &Curve) -> Option<i64> {
        let wall = self.wall.as_ref()?;
        let (media, delay) = self.arrival.points().last()?;
        let skew = delay - wall.at(*media) - base.at(media + delay);
        (-SKEW_NOISE..=MAX_SKEW).contains(&skew).then_some(skew.max(0))
    }
}

/// How one stream's media time maps to positions in the recording. Never decreasing.
#[derive(Debug, Clone)]
pub struct StreamClock {
    start: i64,
    pieces: Vec<Piece>,
}

/// Between two jumps of the stream's timestamps.
#[derive(Debug, Clone)]
struct Piece {
    /// Media time it begins at.
    from: i64,
    /// Where the piece before it ends.
    floor: i64,
    /// Where the piece after it begins.
    ceiling: i64,
    by: By,
}

#[derive(Debug, Clone)]
enum By {
    Reports { wall: Curve, arrival: Curve, base: Curve },
    Arrival { arrival: Curve, skew: i64 },
}

impl StreamClock {
    /// Where `media` stands in the recording; `None` if nothing of the stream ever arrived. Before the recording's start
    /// is at its start.
    pub fn position(&self, media: MediaTime) -> Option<Position> {
        let media = signed(media.as_nanos());
        let at = self
            .pieces
            .partition_point(|piece| piece.from <= media)
            .saturating_sub(1);
        Some(position(self.pieces.get(at)?.at(media), self.start))
    }
}

impl Piece {
    fn at(&self, media: i64) -> i64 {
        let nanos = match &self.by {
            By::Reports { wall, arrival, base } => {
                media + wall.at(media) + base.at(media + arrival.at(media)) //
            }
            By::Arrival { arrival, skew } => media + arrival.at(media) - skew,
        };
        nanos.clamp(self.floor, self.ceiling)
    }
}

/// What is before the start is at the start.
fn position(nanos: i64, start: i64) -> Position {
    Position::from_nanos(u64::try_from(nanos.saturating_sub(start)).unwrap_or(0))
}

/// Nanoseconds since 1970 fit until 2262; media time is far less.
fn signed(nanos: u64) -> i64 {
    i64::try_from(nanos).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

#[cfg(test)]
mod tests;
