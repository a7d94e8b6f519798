//! The real clock: monotonic, and set by the wall clock once.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use greffier_media::time::{Arrival, Clock};

/// Arrival times of this process: the monotonic clock, anchored to the wall clock when the process started. Setting
/// the system's clock afterwards moves nothing.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    anchor: Instant,
    at_anchor: Arrival,
}

impl SystemClock {
    /// Anchors a clock to now. One is made at the start of the process and passed on.
    #[expect(
        clippy::disallowed_methods,
        reason = "where the process's time comes from; everything else takes a Clock"
    )]
    pub fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let nanos = u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX);
        Self {
            anchor: Instant::now(),
            at_anchor: Arrival::from_nanos(nanos),
        }
    }

    /// Where an instant of the monotonic clock stands, before or after the start.
    pub fn arrival(&self, at: Instant) -> Arrival {
        match at.checked_duration_since(self.anchor) {
            Some(after) => self.at_anchor.saturating_add(after),
            None => self.at_anchor.saturating_sub(self.anchor.saturating_duration_since(at)),
        }
    }

    /// How long until `deadline`; zero if it has passed.
    pub fn until(&self, deadline: Arrival) -> Duration {
        deadline.saturating_since(self.now())
    }
}

/// The present, for what is measured by the machine's own clock.
#[expect(
    clippy::disallowed_methods,
    reason = "where the process's time comes from; everything else takes a Clock"
)]
pub fn instant() -> Instant {
    Instant::now()
}

/// The machine's wall clock, since the Unix epoch: for what several processes do together.
#[expect(
    clippy::disallowed_methods,
    reason = "where the process's time comes from; everything else takes a Clock"
)]
pub fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "where the process's time comes from; everything else takes a Clock"
    )]
    fn now(&self) -> Arrival {
        self.arrival(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_keep_their_distance() {
        let clock = SystemClock::start();
        let later = clock.anchor + Duration::from_millis(1500);
        assert_eq!(
            clock.arrival(later).saturating_since(clock.arrival(clock.anchor)),
            Duration::from_millis(1500)
        );
        let earlier = clock
            .anchor
            .checked_sub(Duration::from_millis(20))
            .expect("the machine is up longer");
        assert_eq!(
            clock.arrival(clock.anchor).saturating_since(clock.arrival(earlier)),
            Duration::from_millis(20)
        );
        assert!(clock.now() >= clock.at_anchor);
    }
}
