//! Which beeps and flashes had to be in a recording, and which are.

use super::{GRACE_S, MATCH_S};
use crate::meeting::{Moment, Take};
use crate::pattern::Wall;

/// How the beeps or the flashes of one source compare.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Marks {
    /// Seconds that had to be there.
    pub expected: Vec<i64>,
    /// Those found, and where in the recording.
    pub found: Vec<(i64, f64)>,
    /// Those that had to be there and are not.
    pub missing: Vec<i64>,
    /// Those that are there although the track was muted.
    pub although_muted: Vec<i64>,
    /// Where in the recording something is that no second explains.
    pub stray: Vec<f64>,
    /// Seconds that cannot be judged: handed over too late.
    pub late: Vec<i64>,
}

/// Compares where marks were found with when they were made.
/// A mark is due `length` seconds before its track is muted, and `tail` more before the track ends.
pub(super) fn compare(
    found: Vec<f64>,
    origin: Option<(Wall, f64)>,
    takes: &[&Take],
    (length, tail): (f64, f64),
) -> Marks {
    let mut marks = Marks::default();
    let moments = || {
        takes
            .iter()
            .flat_map(|take| take.moments.iter().map(move |moment| (take, moment)))
    };
    for (take, moment) in moments() {
        if moment.is_late() {
            marks.late.push(moment.second);
        } else if is_due(take, moment, length, tail) {
            marks.expected.push(moment.second);
        }
    }
    for at in found {
        let second = origin
            .map(|(origin, _)| origin.plus(at))
            .filter(|wall| (wall.0 - wall.nearest_second() as f64).abs() < MATCH_S);
        let second = second.map(Wall::nearest_second);
        let made = second.and_then(|second| moments().find(|(_, moment)| moment.second == second));
        match (second, made) {
            (Some(second), Some((_, moment))) if moment.muted => marks.although_muted.push(second),
            (Some(second), Some(_)) if marks.found.iter().all(|&(other, _)| other != second) => {
                marks.found.push((second, at));
            }
            _ => marks.stray.push(at),
        }
    }
    marks.missing = marks
        .expected
        .iter()
        .copied()
        .filter(|&second| marks.found.iter().all(|&(at, _)| at != second))
        .collect();
    marks
}

/// Whether a mark must be in a recording: its track was live long enough before, and until the mark was over.
fn is_due(take: &Take, moment: &Moment, length: f64, tail: f64) -> bool {
    let at = Wall(moment.second as f64);
    let live = take.live();
    let settled = live.first().map(|(from, _)| from.plus(GRACE_S));
    !moment.muted
        && take.last.since(at) >= length + tail
        && settled.is_some_and(|settled| at.since(settled) >= 0.0)
        && live
            .iter()
            .any(|&(from, to)| at.since(from) >= 0.0 && to.since(at) >= length)
}
