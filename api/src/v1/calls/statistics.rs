//! `GET /api/statistics`

use axum::{Json, extract::State};
use greffier_agent::view::timestamp;
use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Principal,
    access::{Operation, Visible},
    extract::{Params, given},
    problem::{ApiError, ApiResult},
    services::App,
    v1::recordings::arrival,
};

/// Two years.
const MOST_DAYS: i32 = 731;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Days {
    /// The first day, in UTC; thirty days ago, if it is left out.
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<String>, format = Date, example = "2026-01-01")]
    from: Option<String>,
    /// The last day, in UTC; today, if it is left out.
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<String>, format = Date, example = "2026-01-31")]
    to: Option<String>,
}

/// What took place, by day.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StatisticsView {
    /// In order; days without calls are left out.
    days: Vec<DayView>,
}

/// One day, in UTC.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DayView {
    #[schema(format = Date)]
    day: String,
    /// Calls that began on it.
    calls: u64,
    /// How long they took together.
    minutes: u64,
    /// Different people in them.
    participants: u64,
}

/// Count calls by day: those that one was in, and those of rooms that belong to one; administrators see all.
#[utoipa::path(
    get, path = "/api/statistics", tag = "calls", operation_id = "get_statistics",
    params(Days),
    responses((status = 200, description = "The days", body = StatisticsView))
)]
pub(super) async fn statistics(
    State(app): State<App>,
    caller: Principal,
    Params(asked): Params<Days>,
) -> ApiResult<Json<StatisticsView>> {
    let viewer = match caller.visible(Operation::SeeHistory)? {
        Visible::All => None,
        Visible::OfUser(user) => Some(user),
        Visible::OfRoom(_) => return Err(ApiError::forbidden()),
    };
    let today = timestamp(app.now()).to_zoned(TimeZone::UTC).date();
    let to = asked.to.as_deref().map_or(Ok(today), |text| day(text, "?to"))?;
    let from = match asked.from.as_deref() {
        Some(text) => day(text, "?from")?,
        None => to.saturating_sub(30.days()),
    };
    let length = from.until(to).map_or(i32::MAX, |span| span.get_days());
    if !(0..MOST_DAYS).contains(&length) {
        return Err(ApiError::invalid_field(
            "?to",
            "must be `from` or up to two years later",
        ));
    }
    let (first, end) = (start(from)?, start(to.saturating_add(1.day()))?);
    let days = app
        .store()
        .calls()
        .statistics(viewer, arrival(first), arrival(end))
        .await?;
    let view = |day: greffier_store::meetings::DayStatistics| DayView {
        day: timestamp(day.day).to_zoned(TimeZone::UTC).date().to_string(),
        calls: day.calls,
        minutes: day.minutes,
        participants: day.participants,
    };
    Ok(Json(StatisticsView {
        days: days.into_iter().map(view).collect(),
    }))
}

/// A day, or a time on it.
pub(crate) fn day(text: &str, pointer: &str) -> ApiResult<Date> {
    let at_time = || Some(text.parse::<Timestamp>().ok()?.to_zoned(TimeZone::UTC).date());
    let found = if text.contains('T') {
        at_time()
    } else {
        text.parse::<Date>().ok()
    };
    found.ok_or_else(|| ApiError::invalid_field(pointer, "must be a day such as `2026-01-31`"))
}

/// Its first moment, in UTC.
pub(crate) fn start(day: Date) -> ApiResult<Timestamp> {
    let zoned = day.to_zoned(TimeZone::UTC);
    Ok(zoned
        .map_err(|_| ApiError::invalid_field("?from", "must be a day of our time"))?
        .timestamp())
}
