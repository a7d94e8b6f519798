//! Which wall time a recording's second 0 is.

use super::{MATCH_S, beginning, median};
use crate::analyse::Observation;
use crate::meeting::{PeerTruth, Take};
use crate::pattern::{MARK_BITS, MARK_PERIOD, Source, Wall, is_long};

/// How far beyond the truth a first beep may lie, in seconds: two periods of the marks.
const CANDIDATES_S: i64 = 2 * MARK_PERIOD;

/// Middle and spread (5th to 95th percentile) of offsets between wall time and the recording's time line.
fn middle(mut offsets: Vec<f64>) -> Option<(Wall, f64)> {
    let middle = median(&mut offsets)?;
    let spread = offsets[offsets.len() * 95 / 100] - offsets[offsets.len() * 5 / 100];
    Some((Wall(middle), spread))
}

pub(super) fn by_codes(observation: &Observation, peer: &PeerTruth, source: Source) -> Option<(Wall, f64)> {
    let pictures = observation.video.iter().flat_map(|video| &video.pictures);
    let own = pictures
        .filter_map(|picture| Some((picture.at, picture.code?)))
        .filter(|(_, code)| code.peer == peer.pattern.peer && code.source == source);
    let mut offsets: Vec<(Wall, f64)> = own.map(|(at, code)| (code.captured, code.captured.0 - at)).collect();
    // A picture that is held or repeated says when it was captured only where it first appears.
    offsets.dedup_by_key(|&mut (captured, _)| captured);
    middle(offsets.into_iter().map(|(_, offset)| offset).collect())
}

/// Finds the shift at which beeps, short and long, fit the truth best; none if fewer than [`MARK_BITS`] fit, or if another
/// shift fits as well.
pub(super) fn by_beeps(observation: &Observation, peer: usize, takes: &[&Take]) -> Option<(Wall, f64)> {
    let beeps: Vec<(f64, bool)> = observation
        .audio
        .iter()
        .flat_map(|audio| audio.beeps_of(peer))
        .map(|b| (beginning(b), b.is_long()))
        .collect();
    let seconds: Vec<i64> = takes
        .iter()
        .flat_map(|take| &take.moments)
        .filter(|moment| !moment.muted)
        .map(|moment| moment.second)
        .collect();
    let fits = |origin: f64| -> Vec<f64> {
        let offset_of = |&(at, long): &(f64, bool)| {
            let second = Wall(origin + at).nearest_second();
            let fits = (origin + at - second as f64).abs() < MATCH_S && is_long(second) == long;
            (fits && seconds.binary_search(&second).is_ok()).then_some(second as f64 - at)
        };
        beeps.iter().filter_map(offset_of).collect()
    };
    let (first, _) = beeps.first()?;
    // Any second may be that of the first beep: also one that was muted, or one before the truth begins (a stray).
    let candidates = seconds.first()? - CANDIDATES_S..=seconds.last()? + CANDIDATES_S;
    let mut scored: Vec<(usize, f64)> = candidates
        .map(|second| second as f64 - first)
        .map(|origin| (fits(origin).len(), origin))
        .collect();
    scored.sort_by_key(|&(count, _)| std::cmp::Reverse(count));
    let (best, origin) = *scored.first()?;
    let is_alone = scored.get(1).is_none_or(|&(second_best, _)| second_best < best);
    (best >= MARK_BITS && is_alone).then(|| middle(fits(origin)))?
}

/// For what was received live the time line is wall time, and second 0 differs from it by the way it came: less than a second,
/// so that each beep belongs to the whole second before it.
pub(super) fn by_latency(observation: &Observation, peer: usize) -> Option<(Wall, f64)> {
    if !observation.is_live {
        return None;
    }
    let beeps = observation
        .audio
        .iter()
        .flat_map(|audio| audio.beeps_of(peer))
        .map(beginning);
    middle(beeps.map(|at| at.floor() - at).collect()).or(Some((Wall(0.0), 0.0)))
}
