//! How far sound and picture are apart, where pictures stand still, and who is in a recording that should not be.

use super::{GRACE_S, IN_STEP_S, Marks};
use crate::analyse::video::FREEZE_S;
use crate::analyse::{Beep, Freeze, Observation};
use crate::meeting::{PeerTruth, Take};
use crate::pattern::{Source, Wall};

/// A decoder that begins in the middle of a beep, without what came before, distorts it for 100 ms; what another's tone has
/// in that is weaker than the beep by at least so much, in dB, while all peers are equally loud.
const DISTORTION_DB: f64 = 10.0;

/// A beep handed over later than this after its second, in seconds, is no measure of how sound fits the picture: the code in
/// the picture tells when it was really shown, nothing in the beep does.
const LATE_BEEP_S: f64 = IN_STEP_S / 2.0;

/// Something of somebody else.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Foreign {
    pub what: Trait,
    /// Index of the peer whose it is.
    pub peer: usize,
    /// Where in the recording, in seconds.
    pub at: f64,
}

/// By what somebody is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trait {
    Tone,
    Colour,
    TimeCode,
    /// The peer's own time code, but of the screen share among pictures of the camera, or the other way round.
    OtherSource,
}

/// How much later sound is than picture, for each second that has a beep, handed over in time, and a flash whose capture
/// time can be read.
pub(super) fn lag(observation: &Observation, beeps: &Marks, peer: &PeerTruth) -> Vec<(i64, f64)> {
    let flashes: Vec<(i64, f64)> = observation
        .video
        .iter()
        .flat_map(|video| &video.flashes)
        .filter(|flash| flash.peer == peer.pattern.peer)
        .filter_map(|flash| {
            // The flash may have been captured a little after its second; its code says when.
            let captured = flash.captured?;
            Some((captured.nearest_second(), flash.at - captured.0))
        })
        .collect();
    beeps
        .found
        .iter()
        .filter(|&&(second, _)| is_punctual(peer, second))
        .filter_map(|&(second, at)| {
            let (_, picture) = flashes.iter().find(|&&(of, _)| of == second)?;
            Some((second, at - second as f64 - picture))
        })
        .collect()
}

/// Whether what a peer said in this second was handed over in time, the beep itself and all the rest.
fn is_punctual(peer: &PeerTruth, second: i64) -> bool {
    let mut sounds = peer.takes.iter().filter(|take| take.source.is_audio());
    sounds.all(|take| {
        let mut beeps = take.moments.iter().filter(|beep| beep.second == second);
        beeps.all(|beep| beep.late <= LATE_BEEP_S) && !take.disturbed.contains(&second)
    })
}

/// Freezes for which nobody but the recording is to blame: the track was live all along, and pictures were handed over.
pub(super) fn freezes(
    observation: &Observation,
    origin: Option<(Wall, f64)>,
    takes: &[&Take],
    ends: f64,
) -> Vec<Freeze> {
    let (Some(video), Some((origin, _))) = (&observation.video, origin) else {
        return Vec::new();
    };
    let is_to_blame = |freeze: &Freeze| {
        let (from, to) = (origin.plus(freeze.from), origin.plus(freeze.to));
        takes.iter().any(|take| {
            let settled = take.first.plus(GRACE_S);
            take.live().iter().any(|&(live_from, live_to)| {
                let from = from.0.max(live_from.0).max(settled.0);
                let to = to.0.min(live_to.0);
                let disturbed = take
                    .disturbed
                    .iter()
                    .any(|&second| (second as f64) < to && second as f64 + 1.0 > from);
                to - from > FREEZE_S && !disturbed
            })
        })
    };
    video.freezes(ends).into_iter().filter(is_to_blame).collect()
}

/// Traces of anybody who is neither the peer nor one of the others; of the peer's own other source too, if nobody else may
/// be in the recording (composites may show both).
pub(super) fn foreign(
    observation: &Observation,
    peer: &PeerTruth,
    others: &[&PeerTruth],
    source: Source,
) -> Vec<Foreign> {
    let own = peer.pattern.peer;
    let is_allowed = |index: usize| index == own || others.iter().any(|other| other.pattern.peer == index);
    let beeps = || observation.audio.iter().flat_map(|audio| &audio.beeps);
    let is_distorted = |beep: &Beep| beeps().any(|other| is_allowed(other.peer) && is_distortion_of(beep, other));
    let tones = beeps().filter(|beep| beep.is_whole() && !is_distorted(beep));
    let flashes = observation.video.iter().flat_map(|video| &video.flashes);
    let pictures = observation.video.iter().flat_map(|video| &video.pictures);
    let codes = pictures.filter_map(|picture| Some((picture.code?, picture.at)));
    let of_others = tones
        .map(|beep| Foreign {
            what: Trait::Tone,
            peer: beep.peer,
            at: beep.at,
        })
        .chain(flashes.map(|flash| Foreign {
            what: Trait::Colour,
            peer: flash.peer,
            at: flash.at,
        }))
        .chain(codes.clone().map(|(code, at)| Foreign {
            what: Trait::TimeCode,
            peer: code.peer,
            at,
        }))
        .filter(|foreign| !is_allowed(foreign.peer));
    let of_other_source = codes
        .filter(|(code, _)| others.is_empty() && code.peer == own && code.source != source)
        .map(|(_, at)| Foreign {
            what: Trait::OtherSource,
            peer: own,
            at,
        });
    of_others.chain(of_other_source).collect()
}

fn is_distortion_of(beep: &Beep, louder: &Beep) -> bool {
    let together = louder.at < beep.at + beep.length && beep.at < louder.at + louder.length;
    together && louder.level_db >= beep.level_db + DISTORTION_DB
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_tone_is_distortion_only_under_a_much_louder_one() {
        let beep = |at, level_db| Beep {
            peer: 0,
            at,
            length: 0.05,
            level_db,
        };
        let other = beep(0.458, -27.0);
        assert!(is_distortion_of(&other, &beep(0.470, -15.0)));
        assert!(
            !is_distortion_of(&other, &beep(0.470, -20.0)),
            "as loud as another person's"
        );
        assert!(!is_distortion_of(&other, &beep(0.520, -15.0)), "after it");
        assert!(!is_distortion_of(&other, &beep(0.400, -15.0)), "before it");
    }
}
