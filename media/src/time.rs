//! Three clocks with three names, and no bare integers.
//!
//! | type | whose clock | counts |
//! |---|---|---|
//! | [`Arrival`] | ours: monotonic, anchored once to wall time | ns since the Unix epoch |
//! | [`MediaTime`] | the sender's sampling clock, as RTP timestamps | ticks, extended to 64 bits |
//! | [`WallTime`] | the sender's wall clock, as its sender reports say | ns since the Unix epoch |
//!
//! [`Position`] is where something stands in a recording. How one becomes another is the timeline's
//! business; see `docs/design/time.md`.

use std::{
    fmt,
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde::{Deserialize, Serialize};

const NANOS_PER_SEC: u64 = 1_000_000_000;

/// Seconds from the NTP epoch (1900) to the Unix epoch (1970): 70 years, 17 of them leap.
const NTP_TO_UNIX_SECS: u64 = 2_208_988_800;

/// A count of nanoseconds on one clock: adding and subtracting durations saturates, differences are signed.
macro_rules! nanos {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            pub const ZERO: Self = Self(0);

            pub const fn from_nanos(nanos: u64) -> Self {
                Self(nanos)
            }

            pub const fn from_millis(millis: u64) -> Self {
                Self(millis.saturating_mul(1_000_000))
            }

            pub const fn as_nanos(self) -> u64 {
                self.0
            }

            pub const fn as_millis(self) -> u64 {
                self.0 / 1_000_000
            }

            pub const fn as_secs_f64(self) -> f64 {
                self.0 as f64 / NANOS_PER_SEC as f64
            }

            /// How long after `earlier` this is; zero if it is not after.
            pub const fn saturating_since(self, earlier: Self) -> Duration {
                Duration::from_nanos(self.0.saturating_sub(earlier.0))
            }

            #[must_use]
            pub fn saturating_add(self, duration: Duration) -> Self {
                Self(self.0.saturating_add(saturating_nanos(duration)))
            }

            #[must_use]
            pub fn saturating_sub(self, duration: Duration) -> Self {
                Self(self.0.saturating_sub(saturating_nanos(duration)))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({}.{:09})", stringify!($name), self.0 / NANOS_PER_SEC, self.0 % NANOS_PER_SEC)
            }
        }
    };
}

nanos! {
    /// When something reached us: nanoseconds since the Unix epoch by **our** clock, which is monotonic and was set by
    /// the wall clock once, at the start of the process. A restart sets it again.
    Arrival
}
nanos! {
    /// When the sender says something was captured: nanoseconds since the Unix epoch by **its** wall clock, which may be
    /// wrong by hours and is the same for all tracks of one participant.
    WallTime
}
nanos! {
    /// Nanoseconds from the start of a recording. The recording's clock is our arrival clock, so it runs on through
    /// pauses and absences.
    Position
}

fn saturating_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Ticks of an RTP clock in a second: 90,000 for video, 48,000 for Opus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClockRate(NonZeroU32);

impl ClockRate {
    /// What every video payload format uses.
    pub const VIDEO: Self = Self(NonZeroU32::new(90_000).expect("not zero"));
    /// Opus, whatever its audio bandwidth ([RFC 7587 §4.1](https://www.rfc-editor.org/rfc/rfc7587#section-4.1)).
    pub const OPUS: Self = Self(NonZeroU32::new(48_000).expect("not zero"));

    /// `None` if zero.
    pub const fn new(hz: u32) -> Option<Self> {
        match NonZeroU32::new(hz) {
            Some(hz) => Some(Self(hz)),
            None => None,
        }
    }

    pub const fn hz(self) -> u32 {
        self.0.get()
    }

    /// So many ticks in nanoseconds, rounded down; saturates after 584 years.
    pub fn nanos(self, ticks: u64) -> u64 {
        let nanos = u128::from(ticks) * u128::from(NANOS_PER_SEC) / u128::from(self.hz());
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }

    /// The ticks in `duration`, rounded down.
    pub fn ticks(self, duration: Duration) -> u64 {
        let ticks = duration.as_nanos() * u128::from(self.hz()) / u128::from(NANOS_PER_SEC);
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }
}

/// An RTP timestamp extended to 64 bits, with its clock rate. Comparable within one stream (SSRC) only: the origin is
/// random ([RFC 3550 §5.1](https://www.rfc-editor.org/rfc/rfc3550#section-5.1)).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MediaTime {
    /// Extended timestamp, in ticks.
    pub ticks: u64,
    pub rate: ClockRate,
}

impl MediaTime {
    pub const fn new(ticks: u64, rate: ClockRate) -> Self {
        Self { ticks, rate }
    }

    /// Time since tick 0 of the stream, in nanoseconds, rounded down.
    pub fn as_nanos(self) -> u64 {
        self.rate.nanos(self.ticks)
    }

    /// Time since an earlier point of the same stream; zero if it is not earlier.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.rate.nanos(self.ticks.saturating_sub(earlier.ticks)))
    }
}

impl fmt::Debug for MediaTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.ticks, self.rate.hz())
    }
}

/// The 64-bit timestamp of a sender report: 32 bits of seconds since 1900, 32 bits of fraction
/// ([RFC 3550 §4](https://www.rfc-editor.org/rfc/rfc3550#section-4)).
///
/// The seconds wrap in 2036. As [RFC 4330 §3](https://www.rfc-editor.org/rfc/rfc4330#section-3) has it, a timestamp
/// whose first bit is 0 is read as after that day: together 1968 to 2104.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// `None` if zero, which senders without a wall clock write
    /// ([RFC 3550 §6.4.1](https://www.rfc-editor.org/rfc/rfc3550#section-6.4.1)), or before 1970.
    pub fn to_wall(self) -> Option<WallTime> {
        if self.0 == 0 {
            return None;
        }
        let era_secs = self.0 >> 32;
        let secs = if era_secs < 1 << 31 {
            era_secs + (1 << 32)
        } else {
            era_secs
        };
        let fraction = self.0 & 0xFFFF_FFFF;
        // Rounded, so that nanoseconds survive the way there and back.
        let nanos = (fraction * NANOS_PER_SEC + (1 << 31)) >> 32;
        Some(WallTime(secs.checked_sub(NTP_TO_UNIX_SECS)? * NANOS_PER_SEC + nanos))
    }

    /// Exact to a quarter of a nanosecond, modulo 136 years.
    pub fn from_wall(wall: WallTime) -> Self {
        let secs = (wall.0 / NANOS_PER_SEC + NTP_TO_UNIX_SECS) & 0xFFFF_FFFF;
        let fraction = ((wall.0 % NANOS_PER_SEC) << 32) / NANOS_PER_SEC;
        Self(secs << 32 | fraction)
    }
}

/// Where the time comes from. The real one lives with the code that does I/O; tests choose theirs.
pub trait Clock: Send + Sync {
    /// The present, never earlier than before.
    fn now(&self) -> Arrival;
}

/// A clock that moves when it is told to.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    pub fn new(start: Arrival) -> Self {
        Self(AtomicU64::new(start.0))
    }

    /// Moves on, and answers the new present.
    pub fn advance(&self, by: Duration) -> Arrival {
        let by = saturating_nanos(by);
        Arrival(self.0.fetch_add(by, Ordering::Relaxed) + by)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Arrival {
        Arrival(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ntp_counts_from_1900() {
        // 2025-10-09T08:53:20Z, half past the second.
        let wall = WallTime::from_millis(1_760_000_000_500);
        let ntp = NtpTime::from_wall(wall);
        assert_eq!(ntp.0 >> 32, 1_760_000_000 + 2_208_988_800);
        assert_eq!(ntp.0 & 0xFFFF_FFFF, 1 << 31);
        assert_eq!(ntp.to_wall(), Some(wall));
    }

    #[test]
    fn ntp_goes_on_after_2036() {
        // 2036-02-07T06:28:16Z is second 0 of the next era; a fraction keeps it from reading as "no clock".
        assert_eq!(NtpTime(1).to_wall(), Some(WallTime::from_millis(2_085_978_496_000)));
        let in_2040 = WallTime::from_millis(2_208_988_800_000);
        assert_eq!(NtpTime::from_wall(in_2040).to_wall(), Some(in_2040));
    }

    #[test]
    fn no_wall_clock_is_none() {
        assert_eq!(NtpTime(0).to_wall(), None);
        assert_eq!(NtpTime((2_208_988_799 << 32) | 5).to_wall(), None, "1969");
    }

    #[test]
    fn ticks_and_nanoseconds() {
        assert_eq!(ClockRate::VIDEO.nanos(90_000), 1_000_000_000);
        assert_eq!(ClockRate::OPUS.nanos(960), 20_000_000);
        assert_eq!(ClockRate::VIDEO.nanos(u64::MAX), u64::MAX);
        assert_eq!(ClockRate::VIDEO.ticks(Duration::from_millis(33)), 2970);
        assert_eq!(ClockRate::new(0), None);
        let (early, late) = (
            MediaTime::new(100, ClockRate::OPUS),
            MediaTime::new(1060, ClockRate::OPUS),
        );
        assert_eq!(late.saturating_since(early), Duration::from_millis(20));
        assert_eq!(early.saturating_since(late), Duration::ZERO);
    }

    #[test]
    fn a_manual_clock_stands_until_told() {
        let clock = ManualClock::new(Arrival::from_millis(5));
        assert_eq!(clock.now(), clock.now());
        assert_eq!(clock.advance(Duration::from_millis(2)), Arrival::from_millis(7));
        assert_eq!(clock.now(), Arrival::from_millis(7));
    }

    proptest! {
        #[test]
        fn ntp_keeps_nanoseconds(nanos in 0..4_200_000_000 * NANOS_PER_SEC) {
            let wall = WallTime::from_nanos(nanos);
            prop_assert_eq!(NtpTime::from_wall(wall).to_wall(), Some(wall));
        }

        #[test]
        fn any_ntp_is_read(bits: u64) {
            let _ = NtpTime(bits).to_wall();
        }
    }
}
