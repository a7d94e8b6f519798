//! Numbers of a scenario that check themselves, so that a mistake is told with its line.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A share of a whole: `0.03` or `3%`.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub struct Share(f64);

/// A length of time: `500ms`, `2m`, `1h 30m`; a day at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Length(Duration);

/// Bits a second: `1500000`, `800kbit`, `1.5Mbit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bitrate(u64);

/// How many of something: 1 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Count(u32);

/// How often, a minute: 0 to 600.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct PerMinute(f64);

impl Share {
    /// Of 1.
    pub fn get(self) -> f64 {
        self.0
    }

    /// `None` unless it lies between 0 and 1.
    pub fn new(share: f64) -> Option<Self> {
        (0.0..=1.0).contains(&share).then_some(Self(share))
    }
}

impl Length {
    const MAX: Duration = Duration::from_hours(24);

    pub fn get(self) -> Duration {
        self.0
    }

    /// To the next whole second; a day at most.
    pub fn lasting(duration: Duration) -> Self {
        let whole = Duration::from_secs(duration.as_secs() + u64::from(duration.subsec_nanos() > 0));
        Self(whole.min(Self::MAX))
    }

    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }
}

impl Bitrate {
    pub fn get(self) -> u64 {
        self.0
    }
}

impl Count {
    pub const MAX: u32 = 10_000;
    pub const ONE: Self = Self(1);

    pub fn new(count: u32) -> Option<Self> {
        (1..=Self::MAX).contains(&count).then_some(Self(count))
    }

    pub fn get(self) -> u32 {
        self.0
    }
}

impl PerMinute {
    /// The mean time between two; `None` for never.
    pub fn interval(self) -> Option<Duration> {
        (self.0 > 0.0).then(|| Duration::from_secs_f64(60.0 / self.0))
    }
}

/// What is wrong with a number, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnitError(String);

impl FromStr for Share {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let trimmed = text.trim();
        let number = match trimmed.strip_suffix('%') {
            Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
            None => trimmed.parse(),
        };
        let share = number.ok().and_then(Self::new);
        share.ok_or_else(|| UnitError(format!("`{text}` is no share: write 0 to 1, or 0% to 100%")))
    }
}

impl FromStr for Length {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let length = text
            .trim()
            .parse::<SignedDuration>()
            .ok()
            .and_then(|length| Duration::try_from(length).ok());
        match length {
            Some(length) if length <= Self::MAX => Ok(Self(length)),
            Some(_) => Err(UnitError(format!("`{text}` is longer than a day"))),
            None => Err(UnitError(format!(
                "`{text}` is no length of time: write 500ms, 30s, 2m or 1h"
            ))),
        }
    }
}

impl FromStr for Bitrate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || {
            UnitError(format!(
                "`{text}` is no bit rate: write 800kbit or 1.5Mbit, 1 kbit to 10 Gbit"
            ))
        };
        let lower = text.trim().to_ascii_lowercase();
        let at = lower.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(lower.len());
        let (number, unit) = lower.split_at(at);
        let factor = match unit.trim_end_matches("ps").trim_end_matches("/s") {
            "" | "bit" | "b" => 1.0,
            "kbit" | "kb" | "k" => 1e3,
            "mbit" | "mb" | "m" => 1e6,
            "gbit" | "gb" | "g" => 1e9,
            _ => return Err(wrong()),
        };
        let bits = number.trim().parse::<f64>().map_err(|_| wrong())? * factor;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within the range that is checked"
        )]
        if (1e3..=1e10).contains(&bits) {
            Ok(Self(bits as u64))
        } else {
            Err(wrong())
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", (self.0 * 1e6).round() / 1e4)
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A day fits.
        write!(f, "{:#}", SignedDuration::try_from(self.0).unwrap_or_default())
    }
}

impl fmt::Display for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}kbit", self.0 as f64 / 1e3)
    }
}

/// A number or a text that reads as `T`.
struct Reads<T>(std::marker::PhantomData<T>);

impl<T: FromStr<Err = UnitError>> de::Visitor<'_> for Reads<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or one with its unit")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

macro_rules! reads {
    ($($unit:ident),+) => { $(
        impl<'de> Deserialize<'de> for $unit {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Reads(std::marker::PhantomData))
            }
        }

        impl Serialize for $unit {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )+ };
}

reads!(Share, Length, Bitrate);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        let count = u32::try_from(number).ok().and_then(Self::new);
        count.ok_or_else(|| de::Error::custom(format!("{number} is no count: write 1 to {}", Self::MAX)))
    }
}

impl<'de> Deserialize<'de> for PerMinute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        if (0.0..=600.0).contains(&number) {
            Ok(Self(number))
        } else {
            Err(de::Error::custom(format!(
                "{number} a minute is not possible: write 0 to 600"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_read_and_write_back() {
        assert_eq!("3%".parse::<Share>().unwrap(), Share(0.03));
        assert_eq!("0.5".parse::<Share>().unwrap().to_string(), "50%");
        assert_eq!("1.5Mbit".parse::<Bitrate>().unwrap().get(), 1_500_000);
        assert_eq!("800 kbps".parse::<Bitrate>().unwrap().get(), 800_000);
        assert_eq!("1m 30s".parse::<Length>().unwrap().get(), Duration::from_secs(90));
        for text in ["1m 30s", "500ms", "2h"] {
            let length: Length = text.parse().unwrap();
            assert_eq!(length.to_string().parse::<Length>().unwrap(), length);
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for text in ["-1%", "101%", "many", ""] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
        for text in ["2 fortnights", "25h", "-3s", ""] {
            assert!(text.parse::<Length>().is_err(), "{text}");
        }
        for text in ["fast", "1 Tbit", "-5", "0"] {
            assert!(text.parse::<Bitrate>().is_err(), "{text}");
        }
    }
}
