//! Pauses are cut out of what is shown: the recording's clock runs on, the render's does not.

use std::{ops::Range, time::Duration};

use crate::time::Position;

/// When the recording was paused, and what that makes of positions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pauses(Vec<Range<Position>>);

impl Pauses {
    /// In any order; they may touch and overlap. Empty ones count for nothing.
    pub fn new(pauses: impl IntoIterator<Item = Range<Position>>) -> Self {
        let mut pauses: Vec<_> = pauses.into_iter().filter(|pause| pause.start < pause.end).collect();
        pauses.sort_by_key(|pause| pause.start);
        let mut merged: Vec<Range<Position>> = Vec::with_capacity(pauses.len());
        for pause in pauses {
            match merged.last_mut() {
                Some(last) if pause.start <= last.end => last.end = last.end.max(pause.end),
                _ => merged.push(pause),
            }
        }
        Self(merged)
    }

    /// Where a position of the recording is shown; `None` if it was paused then.
    pub fn shown_at(&self, position: Position) -> Option<Position> {
        let paused = self.0.iter().any(|pause| pause.contains(&position));
        (!paused).then(|| self.clamped(position))
    }

    /// The same, but what is in a pause is shown where the pause was cut out.
    pub fn clamped(&self, position: Position) -> Position {
        position.saturating_sub(self.paused_before(position))
    }

    /// How much of the time before `position` was paused.
    pub fn paused_before(&self, position: Position) -> Duration {
        self.0
            .iter()
            .map(|pause| pause.end.min(position).saturating_since(pause.start))
            .sum()
    }

    /// Apart from each other, in ascending order.
    pub fn ranges(&self) -> &[Range<Position>] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn secs(secs: u64) -> Position {
        Position::from_millis(secs * 1000)
    }

    #[test]
    fn what_follows_a_pause_moves_up() {
        let pauses = Pauses::new([
            secs(30)..secs(40),
            secs(10)..secs(20),
            secs(15)..secs(22),
            secs(50)..secs(50),
        ]);
        assert_eq!(pauses.ranges(), [secs(10)..secs(22), secs(30)..secs(40)]);
        assert_eq!(pauses.shown_at(secs(5)), Some(secs(5)));
        assert_eq!(pauses.shown_at(secs(10)), None);
        assert_eq!(pauses.shown_at(secs(22)), Some(secs(10)));
        assert_eq!(pauses.shown_at(secs(60)), Some(secs(38)));
        assert_eq!(pauses.clamped(secs(15)), secs(10));
    }

    proptest! {
        #[test]
        fn order_is_kept(pauses in vec((0_u64..1000, 0_u64..100), 0..10), at in vec(0_u64..1200, 2..20)) {
            let pauses = Pauses::new(pauses.into_iter().map(|(from, len)| secs(from)..secs(from + len)));
            let mut at = at;
            at.sort_unstable();
            prop_assert!(at.windows(2).all(|pair| pauses.clamped(secs(pair[0])) <= pauses.clamped(secs(pair[1]))));
        }
    }
}
