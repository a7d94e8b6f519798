//! Between columns and the types of the domain. Columns hold text, 64-bit integers and booleans; a value that no
//! version of ours writes is a [`DatabaseError::Inconsistent`], never a panic and never a guess.

use std::{error::Error, str::FromStr, time::Duration};

use greffier_media::time::Arrival;
use sea_orm::sea_query::LikeExpr;
use serde::{Serialize, de::DeserializeOwned};

use super::DatabaseError;

/// One row being read: what errors name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    table: &'static str,
    key: &'a str,
}

impl<'a> Row<'a> {
    pub(crate) fn new(table: &'static str, key: &'a str) -> Self {
        Self { table, key }
    }

    /// An id or anything else that is written as text.
    pub(crate) fn parse<T>(self, column: &'static str, text: &str) -> Result<T, DatabaseError>
    where
        T: FromStr<Err: Error + Send + Sync + 'static>,
    {
        text.parse()
            .map_err(|error| self.inconsistent(column, Some(Box::new(error))))
    }

    pub(crate) fn parse_opt<T>(self, column: &'static str, text: Option<&str>) -> Result<Option<T>, DatabaseError>
    where
        T: FromStr<Err: Error + Send + Sync + 'static>,
    {
        text.map(|text| self.parse(column, text)).transpose()
    }

    /// A structured value.
    pub(crate) fn json<T: DeserializeOwned>(self, column: &'static str, text: &str) -> Result<T, DatabaseError> {
        serde_json::from_str(text).map_err(|error| self.inconsistent(column, Some(Box::new(error))))
    }

    pub(crate) fn json_opt<T: DeserializeOwned>(
        self,
        column: &'static str,
        text: Option<&str>,
    ) -> Result<Option<T>, DatabaseError> {
        text.map(|text| self.json(column, text)).transpose()
    }

    /// An enum that serde writes as a plain string.
    pub(crate) fn name<T: DeserializeOwned>(self, column: &'static str, text: &str) -> Result<T, DatabaseError> {
        serde_json::from_value(text.into()).map_err(|error| self.inconsistent(column, Some(Box::new(error))))
    }

    pub(crate) fn name_opt<T: DeserializeOwned>(
        self,
        column: &'static str,
        text: Option<&str>,
    ) -> Result<Option<T>, DatabaseError> {
        text.map(|text| self.name(column, text)).transpose()
    }

    /// A count, which is never negative.
    pub(crate) fn count(self, column: &'static str, value: i64) -> Result<u64, DatabaseError> {
        u64::try_from(value).map_err(|error| self.inconsistent(column, Some(Box::new(error))))
    }

    pub(crate) fn small<T: TryFrom<i64>>(self, column: &'static str, value: i64) -> Result<T, DatabaseError> {
        T::try_from(value).map_err(|_| self.inconsistent(column, None))
    }

    pub(crate) fn time(self, column: &'static str, nanos: i64) -> Result<Arrival, DatabaseError> {
        self.count(column, nanos).map(Arrival::from_nanos)
    }

    pub(crate) fn time_opt(self, column: &'static str, nanos: Option<i64>) -> Result<Option<Arrival>, DatabaseError> {
        nanos.map(|nanos| self.time(column, nanos)).transpose()
    }

    pub(crate) fn inconsistent(
        self,
        column: &'static str,
        source: Option<Box<dyn Error + Send + Sync>>,
    ) -> DatabaseError {
        DatabaseError::Inconsistent {
            table: self.table,
            column,
            row: self.key.to_owned(),
            source,
        }
    }
}

/// A count as a column has it. 2⁶³ bytes are never reached.
pub(crate) fn from_count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A time as a column has it: nanoseconds since the Unix epoch, until the year 2262.
pub(crate) fn from_time(time: Arrival) -> i64 {
    from_count(time.as_nanos())
}

/// The time so much later, as a column has it.
pub(crate) fn from_time_after(time: Arrival, delay: Duration) -> i64 {
    from_time(time.saturating_add(delay))
}

/// Text from people and the network, as a column has it: PostgreSQL's text cannot hold a NUL.
pub(crate) fn storable(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

/// JSON text of a type of ours, none of which can fail to be written.
pub(crate) fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("types of ours have string keys and no failing serializers")
}

/// The plain string that serde writes for an enum without fields.
pub(crate) fn to_name<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        other => unreachable!("an enum without fields is written as a string, not as {other:?}"),
    }
}

/// The pattern of what contains `text`, which stands for itself. What is searched is in lower case already: what
/// databases take for lower case differs.
pub(crate) fn contains(text: &str) -> LikeExpr {
    let mut pattern = String::from("%");
    for character in text.to_lowercase().chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    LikeExpr::new(pattern).escape('\\')
}

#[cfg(test)]
mod tests {
    use greffier_media::{ids::RecordingId, journal::TrackSource};

    use super::*;
    use crate::ErrorKind;

    #[test]
    fn what_no_version_writes_is_named() {
        let row = Row::new("recordings", "rec_x");
        let error = row.parse::<RecordingId>("id", "rec_x").unwrap_err();
        assert_eq!(error.to_string(), "`id` of `recordings` rec_x makes no sense");
        assert_eq!(error.kind(), ErrorKind::DataLoss);
        assert!(row.count("bytes", -1).is_err());
        assert!(row.small::<u32>("idx", 1 << 40).is_err());
        assert!(row.json::<Vec<u32>>("ssrcs", "{").is_err());
    }

    #[test]
    fn enums_are_plain_names() {
        let row = Row::new("tracks", "TR_x");
        assert_eq!(to_name(&TrackSource::ScreenShare), "screen_share");
        assert_eq!(
            row.name::<TrackSource>("source", "screen_share").unwrap(),
            TrackSource::ScreenShare
        );
    }

    #[test]
    fn counts_saturate() {
        assert_eq!(from_count(u64::MAX), i64::MAX);
        assert_eq!(from_time_after(Arrival::from_nanos(5), Duration::from_nanos(2)), 7);
    }
}
