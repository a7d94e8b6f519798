//! Meetings in calendars ([RFC 5545](https://www.rfc-editor.org/rfc/rfc5545)).

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, TimeDelta, Utc};
use greffier_media::{ids::RoomName, time::Arrival};
use greffier_store::meetings::Room;
use icalendar::{Calendar, Component as _, Event, EventLike as _, EventStatus};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Principal,
    access::Operation,
    extract::{Id, Params},
    layers::{BaseUrl, ClientAddress},
    problem::{ApiError, ApiResult},
    services::App,
    v1::rooms::find,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(feed))
        .routes(routes!(one))
        .routes(routes!(key))
}

/// Minutes of a meeting that says nothing else.
const USUAL: u32 = 60;

/// Whose calendar.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FeedQuery {
    /// From `POST /api/calendar/key`.
    key: String,
}

/// Subscribe to one's planned meetings.
///
/// For calendar programs, which send no header: the key is the secret.
#[utoipa::path(
    get, path = "/api/calendar.ics", tag = "calendar", operation_id = "read_calendar", security(()),
    params(FeedQuery),
    responses(
        (status = 200, description = "The calendar", content_type = "text/calendar", body = String),
        (status = 401, description = "The key is not, or no longer, somebody's", body = crate::problem::Problem),
    )
)]
async fn feed(
    State(app): State<App>,
    address: ClientAddress,
    BaseUrl(base): BaseUrl,
    Params(FeedQuery { key }): Params<FeedQuery>,
) -> ApiResult<Response> {
    let Some(user) = app.store().notices().calendar_user(&key).await? else {
        app.limits.wrong(address)?;
        return Err(ApiError::unauthenticated(
            "invalid_key",
            "this calendar's key is not valid any more",
        ));
    };
    let rooms = app.store().rooms().planned(user.id).await?;
    Ok(answer(&app, &base, &rooms))
}

/// Get one meeting for a calendar.
#[utoipa::path(
    get, path = "/api/livekit/rooms/{room_name}/calendar.ics", tag = "calendar", operation_id = "read_room_calendar",
    params(("room_name" = String, Path, description = "The room")),
    responses(
        (status = 200, description = "The meeting", content_type = "text/calendar", body = String),
        (status = 404, description = "There is no such room", body = crate::problem::Problem),
        (status = 409, description = "It is not planned for any time", body = crate::problem::Problem),
    )
)]
async fn one(
    State(app): State<App>,
    caller: Principal,
    BaseUrl(base): BaseUrl,
    Id(name): Id<RoomName>,
) -> ApiResult<Response> {
    let room = find(&app, &caller, Operation::SeeRoom, name.as_str()).await?;
    if room.scheduled.is_none() {
        let detail = "this room is not planned for any time";
        return Err(ApiError::new(axum::http::StatusCode::CONFLICT, "not_scheduled", detail));
    }
    Ok(answer(&app, &base, &[room]))
}

/// Where one's calendar is.
#[derive(Debug, Serialize, ToSchema)]
struct CalendarKey {
    /// To be given to a calendar program, and to nobody else.
    url: String,
}

/// Get a link to one's calendar.
///
/// Links given before stop working.
#[utoipa::path(
    post, path = "/api/calendar/key", tag = "calendar", operation_id = "make_calendar_key",
    responses((status = 200, description = "The link", body = CalendarKey))
)]
async fn key(State(app): State<App>, caller: Principal, BaseUrl(base): BaseUrl) -> ApiResult<Json<CalendarKey>> {
    let user = caller.user_id().ok_or_else(ApiError::forbidden)?;
    let key = app.store().notices().calendar_key(user).await?;
    Ok(Json(CalendarKey {
        url: format!("{base}/api/calendar.ics?key={key}"),
    }))
}

fn answer(app: &App, base: &str, rooms: &[Room]) -> Response {
    let calendar = calendar(base, app.now(), rooms);
    let headers = [
        (header::CONTENT_TYPE, "text/calendar; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"greffier.ics\""),
    ];
    (headers, calendar).into_response()
}

fn calendar(base: &str, now: Arrival, rooms: &[Room]) -> String {
    let mut calendar = Calendar::new();
    calendar.name("Greffier");
    for room in rooms {
        if let Some(start) = room.scheduled.and_then(time) {
            calendar.push(event(base, now, room, start));
        }
    }
    calendar.to_string()
}

fn event(base: &str, now: Arrival, room: &Room, start: DateTime<Utc>) -> Event {
    let minutes = room.duration_minutes.unwrap_or(USUAL);
    let url = format!("{base}/r/{}", utf8_percent_encode(room.name.as_str(), NON_ALPHANUMERIC));
    let mut event = Event::new();
    event
        .uid(&format!("{}@greffier", room.id))
        .summary(&room.title)
        .description(&url)
        .url(&url)
        .location(&url)
        .starts(start)
        .ends(start + TimeDelta::minutes(i64::from(minutes)))
        .status(if room.ended.is_some() {
            EventStatus::Cancelled
        } else {
            EventStatus::Confirmed
        });
    if let Some(now) = time(now) {
        event.timestamp(now);
    }
    event.done()
}

fn time(at: Arrival) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(i64::try_from(at.as_millis()).ok()?)
}

#[cfg(test)]
mod tests;
