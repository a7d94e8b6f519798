//! The seconds of a test, whole: each process tells its own part of one, and one may be later than another.

use std::collections::BTreeMap;

use super::measure::Tick;

/// Parts of seconds, put together.
pub(super) struct Seconds {
    /// Of each process, the newest second it has told; `None` once it has ended.
    newest: Vec<Option<u32>>,
    open: BTreeMap<u32, Tick>,
    told: u32,
}

/// Nobody is waited for longer than so many seconds: what is shown lives.
const LATEST: u32 = 3;

impl Seconds {
    pub fn new(processes: usize) -> Self {
        Self {
            newest: vec![Some(0); processes],
            open: BTreeMap::new(),
            told: 0,
        }
    }

    /// A part; it comes back if its second has been told already.
    pub fn saw(&mut self, who: usize, part: Tick) -> Option<Tick> {
        let second = part.second;
        if let Some(Some(newest)) = self.newest.get_mut(who) {
            *newest = second.max(*newest);
        }
        if second <= self.told {
            return Some(part);
        }
        let whole = self.open.entry(second).or_default();
        whole.second = second;
        whole.beside(&part);
        None
    }

    pub fn ended(&mut self, who: usize) {
        if let Some(newest) = self.newest.get_mut(who) {
            *newest = None;
        }
    }

    /// The next second of which everybody has told, or that somebody is too late for.
    pub fn next(&mut self) -> Option<Tick> {
        let first = self.open.first_entry()?;
        let second = *first.key();
        let playing = || self.newest.iter().flatten();
        let is_whole = playing().all(|newest| *newest >= second);
        if !is_whole && playing().all(|newest| *newest < second + LATEST) {
            return None;
        }
        self.told = second;
        Some(first.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(second: u32) -> Tick {
        Tick {
            second,
            participants: 2,
            ..Tick::default()
        }
    }

    fn told(seconds: &mut Seconds) -> Vec<(u32, u64)> {
        std::iter::from_fn(|| seconds.next())
            .map(|tick| (tick.second, tick.participants))
            .collect()
    }

    #[test]
    fn a_second_is_told_once_and_whole() {
        let mut seconds = Seconds::new(2);
        assert!(seconds.saw(0, part(1)).is_none());
        assert_eq!(told(&mut seconds), []);
        assert!(seconds.saw(0, part(2)).is_none());
        assert!(seconds.saw(1, part(1)).is_none());
        assert_eq!(told(&mut seconds), [(1, 4)]);
        seconds.ended(1);
        assert_eq!(told(&mut seconds), [(2, 2)], "who has left is not waited for");
    }

    #[test]
    fn who_is_too_late_is_not_waited_for_and_not_forgotten() {
        let mut seconds = Seconds::new(2);
        for second in 1..=4 {
            assert!(seconds.saw(0, part(second)).is_none());
        }
        assert_eq!(told(&mut seconds), [(1, 2)]);
        assert_eq!(seconds.saw(1, part(1)).map(|late| late.second), Some(1));
    }
}
