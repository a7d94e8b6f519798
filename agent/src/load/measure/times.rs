//! Distributions of times.

use std::io::Cursor;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer as HistogramDeserializer, Serializer as _, V2Serializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::synthetic::reception::micros;

/// A distribution of times in microseconds, whole: it can be merged without losing its tail.
#[derive(Debug, Clone, PartialEq)]
pub struct Times(pub Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        Self(micros())
    }
}

impl Times {
    pub fn record(&mut self, time: Duration) {
        self.0
            .saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    pub fn merge(&mut self, other: &Self) {
        // Both have the bounds of `micros`, so nothing can fall outside.
        if self.0.add(&other.0).is_err() {
            tracing::warn!("a distribution of other bounds was left out");
        }
    }

    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Milliseconds; `None` if nothing was recorded.
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.value_at_quantile(quantile) as f64 / 1e3)
    }

    pub fn summary(&self) -> Summary {
        Summary {
            count: self.count(),
            mean_ms: (!self.0.is_empty()).then(|| self.0.mean() / 1e3),
            p50_ms: self.quantile_ms(0.5),
            p90_ms: self.quantile_ms(0.9),
            p95_ms: self.quantile_ms(0.95),
            p99_ms: self.quantile_ms(0.99),
            max_ms: (!self.0.is_empty()).then(|| self.0.max() as f64 / 1e3),
        }
    }

    /// Value in milliseconds and how many had it, in steps that grow.
    pub fn bars(&self) -> Vec<(f64, u64)> {
        self.0
            .iter_log(1_000, 1.25)
            .map(|step| (step.value_iterated_to() as f64 / 1e3, step.count_since_last_iteration()))
            .collect()
    }
}

impl Serialize for Times {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2Serializer::new()
            .serialize(&self.0, &mut bytes)
            .map_err(|error| ser::Error::custom(format!("{error:?}")))?;
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(de::Error::custom)?;
        let read = HistogramDeserializer::new().deserialize(&mut Cursor::new(bytes));
        let mut times = Self::default();
        let read: Histogram<u64> = read.map_err(|error| de::Error::custom(format!("{error:?}")))?;
        times
            .0
            .add(read)
            .map_err(|error| de::Error::custom(format!("{error:?}")))?;
        Ok(times)
    }
}

/// A distribution in a few numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub count: u64,
    pub mean_ms: Option<f64>,
    pub p50_ms: Option<f64>,
    pub p90_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub max_ms: Option<f64>,
}
