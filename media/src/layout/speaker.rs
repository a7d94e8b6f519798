//! Whose turn it is. A cough takes nobody's place.

use std::time::Duration;

use crate::{ids::ParticipantSid, journal::event::Speaker, time::Position};

/// Follows who speaks, and answers who is to be shown as the speaker.
#[derive(Debug)]
pub(super) struct Turn {
    hold: Duration,
    active: Option<ParticipantSid>,
    /// Who has been loudest, and since when.
    rising: Option<(ParticipantSid, Position)>,
}

impl Turn {
    /// `hold` is how long somebody must be loudest without a break to take the turn.
    pub(super) fn new(hold: Duration) -> Self {
        Self {
            hold,
            active: None,
            rising: None,
        }
    }

    pub(super) fn active(&self) -> Option<&ParticipantSid> {
        self.active.as_ref()
    }

    /// The list of who speaks changed.
    pub(super) fn speakers(&mut self, at: Position, speakers: &[Speaker]) {
        let loudest = speakers
            .iter()
            .max_by(|a, b| a.level.total_cmp(&b.level))
            .map(|speaker| &speaker.participant);
        let Some(loudest) = loudest.filter(|loudest| self.active.as_ref() != Some(*loudest)) else {
            self.rising = None;
            return;
        };
        if self.rising.as_ref().is_none_or(|(rising, _)| rising != loudest) {
            self.rising = Some((loudest.clone(), at));
        }
        // The first to speak waits for nobody.
        if self.active.is_none() {
            self.take_turn();
        }
    }

    /// Somebody is no longer there.
    pub(super) fn left(&mut self, participant: &ParticipantSid) {
        if self.active.as_ref() == Some(participant) {
            self.active = None;
        }
        if self.rising.as_ref().is_some_and(|(rising, _)| rising == participant) {
            self.rising = None;
        }
        if self.active.is_none() {
            self.take_turn();
        }
    }

    /// When the turn will pass, if nothing happens before.
    pub(super) fn deadline(&self) -> Option<Position> {
        self.rising.as_ref().map(|(_, since)| since.saturating_add(self.hold))
    }

    /// Passes the turn to who is rising.
    pub(super) fn take_turn(&mut self) {
        if let Some((rising, _)) = self.rising.take() {
            self.active = Some(rising);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sid(name: &str) -> ParticipantSid {
        ParticipantSid::new(name).unwrap()
    }

    fn speaking(names: &[&str]) -> Vec<Speaker> {
        let level = |index: usize| 1.0 / (index + 1) as f32;
        names
            .iter()
            .enumerate()
            .map(|(index, name)| Speaker {
                participant: sid(name),
                level: level(index),
            })
            .collect()
    }

    /// Feeds (ms, who speaks, loudest first); answers who has the turn at each, deadlines passed.
    fn turns(input: &[(u64, &[&str])]) -> Vec<String> {
        let mut turn = Turn::new(Duration::from_millis(1500));
        let answer = |(at, names): &(u64, &[&str])| {
            let at = Position::from_millis(*at);
            if turn.deadline().is_some_and(|deadline| deadline <= at) {
                turn.take_turn();
            }
            turn.speakers(at, &speaking(names));
            turn.active().map(ToString::to_string).unwrap_or_default()
        };
        input.iter().map(answer).collect()
    }

    #[test]
    fn the_first_to_speak_is_shown_at_once() {
        assert_eq!(turns(&[(0, &[]), (100, &["a"])]), ["", "a"]);
    }

    #[test]
    fn a_cough_takes_no_turn() {
        assert_eq!(
            turns(&[(0, &["a"]), (1000, &["b", "a"]), (1800, &["a"]), (5000, &[])]),
            ["a"; 4]
        );
    }

    #[test]
    fn who_goes_on_gets_it() {
        assert_eq!(
            turns(&[(0, &["a"]), (1000, &["b"]), (2499, &["b"]), (2500, &["b"])]),
            ["a", "a", "a", "b"]
        );
    }

    #[test]
    fn who_falls_silent_keeps_it() {
        assert_eq!(turns(&[(0, &["a"]), (500, &[]), (60_000, &[])]), ["a"; 3]);
    }

    #[test]
    fn two_at_once_do_not_flicker() {
        let input: Vec<(u64, &[&str])> = (0..40)
            .map(|n| (n * 400, if n % 2 == 0 { &["a", "b"][..] } else { &["b", "a"] }))
            .collect();
        assert!(turns(&input).iter().all(|active| active == "a"));
    }

    #[test]
    fn the_turn_passes_when_its_owner_leaves() {
        let mut turn = Turn::new(Duration::from_millis(1500));
        turn.speakers(Position::ZERO, &speaking(&["a"]));
        turn.speakers(Position::from_millis(100), &speaking(&["b", "a"]));
        turn.left(&sid("a"));
        assert_eq!(turn.active(), Some(&sid("b")));
        turn.left(&sid("b"));
        assert_eq!((turn.active(), turn.deadline()), (None, None));
    }
}
