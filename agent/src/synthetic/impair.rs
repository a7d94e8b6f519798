//! A bad network, made on the RTP layer: loss, bursts of it, delay, jitter, a bandwidth cap, outages. No privileges needed.
//!
//! On the way up a packet that is lost here keeps its sequence number and is never sent, so no repair can bring it back;
//! on the way down it is lost after repair. What is asked for is therefore what remains at the listener's end.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

/// What is wrong with a participant's network, in one direction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Impairment {
    /// Of 1: how many packets are lost, over all.
    pub loss: f64,
    /// Mean length of a loss, in packets; 1 for losses that have nothing to do with one another.
    pub burst: f64,
    pub delay: Duration,
    /// Up to so much more delay, evenly spread. Packets do not overtake one another.
    pub jitter: Duration,
    /// Bits a second; what would wait longer than [`QUEUE`] is dropped.
    pub bandwidth: Option<u64>,
    /// Nothing passes from so long after the start, for so long.
    pub outages: Vec<Outage>,
}

/// A time in which nothing passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// Since the participant's start.
    pub after: Duration,
    pub lasts: Duration,
}

/// How much a narrow link holds back before it drops.
pub const QUEUE: Duration = Duration::from_millis(200);

impl Impairment {
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Lost,
    /// It passes at this time.
    Passes(Instant),
}

/// One direction of one participant's network.
pub struct Link {
    impairment: Impairment,
    start: Instant,
    random: StdRng,
    in_burst: bool,
    /// When the narrow link is free again.
    free: Instant,
    /// Packets stay in order.
    last: Instant,
}

impl Link {
    pub fn new(impairment: Impairment, seed: u64, start: Instant) -> Self {
        Self {
            impairment,
            start,
            random: StdRng::seed_from_u64(seed),
            in_burst: false,
            free: start,
            last: start,
        }
    }

    /// Decides over a packet of `bytes` at `now`.
    pub fn offer(&mut self, now: Instant, bytes: usize) -> Fate {
        let since = now.saturating_duration_since(self.start);
        let out = |o: &Outage| since >= o.after && since < o.after + o.lasts;
        if self.impairment.outages.iter().any(out) || self.lose() {
            return Fate::Lost;
        }
        let mut at = now;
        if let Some(bandwidth) = self.impairment.bandwidth {
            let begins = self.free.max(now);
            if begins.saturating_duration_since(now) > QUEUE {
                return Fate::Lost;
            }
            self.free = begins + Duration::from_secs_f64(bytes as f64 * 8.0 / bandwidth.max(1) as f64);
            at = self.free;
        }
        at += self.impairment.delay + self.impairment.jitter.mul_f64(self.random.random::<f64>());
        self.last = self.last.max(at);
        Fate::Passes(self.last)
    }

    /// Two states (Gilbert): in a burst every packet is lost, and a burst ends with probability 1/length; bursts begin so
    /// often that the share asked for is lost.
    fn lose(&mut self) -> bool {
        let loss = self.impairment.loss.clamp(0.0, 1.0);
        if loss <= 0.0 {
            return false;
        }
        if loss >= 1.0 {
            return true;
        }
        let leave = 1.0 / self.impairment.burst.max(1.0);
        let enter = (leave * loss / (1.0 - loss)).min(1.0);
        // Without bursts each packet is on its own.
        let chance = match (self.impairment.burst > 1.0, self.in_burst) {
            (false, _) => loss,
            (true, true) => 1.0 - leave,
            (true, false) => enter,
        };
        self.in_burst = self.random.random_bool(chance);
        self.in_burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::instant as origin;

    fn run(impairment: Impairment, packets: u32, every: Duration, bytes: usize) -> Vec<Option<Duration>> {
        let start = origin();
        let mut link = Link::new(impairment, 7, start);
        (0..packets)
            .map(|n| {
                let now = start + every * n;
                match link.offer(now, bytes) {
                    Fate::Lost => None,
                    Fate::Passes(at) => Some(at - now),
                }
            })
            .collect()
    }

    #[test]
    fn the_share_that_is_lost_is_the_one_asked_for_with_bursts_or_without() {
        for burst in [0.0, 1.0, 4.0] {
            let impairment = Impairment {
                loss: 0.03,
                burst,
                ..Impairment::default()
            };
            let fates = run(impairment, 100_000, Duration::from_millis(1), 100);
            let lost = fates.iter().filter(|fate| fate.is_none()).count();
            let bursts = fates.windows(2).filter(|w| w[0].is_some() && w[1].is_none()).count();
            assert!((2_700..3_300).contains(&lost), "{lost} of 3000 with bursts of {burst}");
            let mean = lost as f64 / bursts as f64;
            assert!((mean - burst.max(1.03)).abs() < 0.4, "mean burst {mean}, asked {burst}");
        }
    }

    #[test]
    fn delay_and_jitter_keep_the_order() {
        let impairment = Impairment {
            delay: Duration::from_millis(80),
            jitter: Duration::from_millis(40),
            ..Impairment::default()
        };
        let fates = run(impairment, 2_000, Duration::from_millis(1), 100);
        let at: Vec<_> = fates
            .iter()
            .zip(0..)
            .map(|(d, n)| d.unwrap() + Duration::from_millis(n))
            .collect();
        assert!(at.is_sorted());
        assert!(fates.iter().all(|d| (80..=121).contains(&d.unwrap().as_millis())));
    }

    #[test]
    fn a_narrow_link_delays_then_drops_and_lets_through_what_fits() {
        // 1000 bytes each millisecond are 8 Mbit/s; the link takes a quarter.
        let impairment = Impairment {
            bandwidth: Some(2_000_000),
            ..Impairment::default()
        };
        let fates = run(impairment, 10_000, Duration::from_millis(1), 1000);
        let passed = fates.iter().flatten().count();
        assert!((2_450..2_650).contains(&passed), "{passed} of 2500");
        assert!(fates.iter().flatten().all(|d| *d <= QUEUE + Duration::from_millis(5)));
    }

    #[test]
    fn nothing_passes_in_an_outage() {
        let outage = Outage {
            after: Duration::from_secs(1),
            lasts: Duration::from_secs(2),
        };
        let impairment = Impairment {
            outages: vec![outage],
            ..Impairment::default()
        };
        let fates = run(impairment, 50, Duration::from_millis(100), 100);
        let lost: Vec<usize> = (0..50).filter(|n| fates[*n].is_none()).collect();
        assert_eq!(lost, (10..30).collect::<Vec<_>>());
    }
}
