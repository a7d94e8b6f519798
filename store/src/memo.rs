//! Answers that are remembered while nothing they were read from has changed.

use std::{fmt, hash::Hash, sync::Arc, time::Duration};

use greffier_media::time::{Arrival, Clock};
use quick_cache::{Weighter, sync::Cache};

use crate::database::Version;

/// No answer is older, so that what is written past us (a hand in the database's file) is seen soon as well.
const OLDEST: Duration = Duration::from_secs(10);

/// Answers `V` to questions `K`. What has not been asked for lately is forgotten first.
pub struct Memo<K, V> {
    known: Cache<K, Known<V>, Weight<V>>,
    clock: Arc<dyn Clock>,
}

#[derive(Clone)]
struct Known<V> {
    version: Version,
    read: Arrival,
    answer: V,
}

/// How much of the room an answer takes.
#[derive(Clone)]
struct Weight<V>(fn(&V) -> u64);

impl<K, V> Weighter<K, Known<V>> for Weight<V> {
    fn weight(&self, _: &K, known: &Known<V>) -> u64 {
        (self.0)(&known.answer)
    }
}

impl<K: Hash + Eq, V: Clone> Memo<K, V> {
    /// Room for answers that weigh `most` altogether, presumably `many`.
    pub fn weighed(clock: Arc<dyn Clock>, many: usize, most: u64, weight: fn(&V) -> u64) -> Self {
        Self {
            known: Cache::with_weighter(many, most, Weight(weight)),
            clock,
        }
    }

    /// Room for so many of the weight 1.
    pub fn new(clock: Arc<dyn Clock>, most: usize, weight: fn(&V) -> u64) -> Self {
        Self::weighed(clock, most, most as u64, weight)
    }

    /// The answer that is remembered, if it is of this version, else what is read now. `version` is what was so before
    /// reading; without one, nothing is remembered.
    pub async fn or_read<E>(
        &self,
        version: Option<Version>,
        key: K,
        read: impl AsyncFnOnce() -> Result<V, E>,
    ) -> Result<V, E> {
        let Some(version) = version else {
            return Box::pin(read()).await;
        };
        let now = self.clock.now();
        if let Some(known) = self.known.get(&key)
            && known.version == version
            && now.saturating_since(known.read) < OLDEST
        {
            return Ok(known.answer);
        }
        // Boxed: what is remembered need not carry the size of what it takes to read it.
        let answer = Box::pin(read()).await?;
        let known = Known {
            version,
            read: now,
            answer: answer.clone(),
        };
        self.known.insert(key, known);
        Ok(answer)
    }
}

impl<K, V> fmt::Debug for Memo<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memo")
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use greffier_media::time::ManualClock;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_good_for_one_version_and_for_a_while() {
        let clock = Arc::new(ManualClock::new(Arrival::ZERO));
        let memo = Memo::new(clock.clone(), 10, |_| 1);
        let mut reads = 0;
        let mut ask = async |version: Option<u64>| {
            let read = async || {
                reads += 1;
                Ok::<_, Infallible>(reads)
            };
            memo.or_read(version.map(Version::of), "question", read).await.unwrap()
        };
        assert_eq!((ask(Some(1)).await, ask(Some(1)).await), (1, 1));
        assert_eq!(ask(Some(2)).await, 2, "another version");
        assert_eq!(
            (ask(None).await, ask(Some(2)).await),
            (3, 2),
            "of none, nothing is remembered"
        );
        clock.advance(OLDEST);
        assert_eq!(ask(Some(2)).await, 4, "too old");
    }
}
