//! Durations as people write them: `"100ms"`, `"1m 30s"`, `"90d"`. A day has 24 hours. For `#[serde(with = …)]`.

use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo};
use serde::{Deserialize as _, Deserializer, Serializer, de};

pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    match SignedDuration::try_from(*duration) {
        Ok(duration) => serializer.collect_str(&format_args!("{duration:#}")),
        Err(error) => Err(serde::ser::Error::custom(error)),
    }
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).map_err(|error| de::Error::custom(format_args!("`{text}` is not a duration: {error}")))
}

fn parse(text: &str) -> Result<Duration, jiff::Error> {
    let span: Span = text.parse()?;
    Duration::try_from(span.to_duration(SpanRelativeTo::days_are_24_hours())?)
}

/// The same for durations that may be left out.
pub mod optional {
    use super::{Deserializer, Duration, Serializer};

    pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        super::deserialize(deserializer).map(Some)
    }
}
