//! `GET /api/livekit/rooms`

use axum::{body::Bytes, extract::State};
use greffier_agent::view::RecordingView;
use greffier_store::{
    MeetingError, UserId,
    meetings::{Room, RoomFilter, RoomState},
};
use jiff::ToSpan as _;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    running,
    schema::{CallTypeName, RoomView},
};
use crate::{
    Principal,
    access::{Operation, Relation, Visible},
    extract::{Page, PageQuery, Params, Written, given},
    problem::{ApiError, ApiResult},
    services::App,
    v1::{
        calls::{day, start},
        recordings::arrival,
        users::Search,
    },
};

/// Which rooms.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RoomStateName {
    /// Somebody is there.
    Live,
    /// Planned, and still to come.
    Upcoming,
    /// For good.
    Ended,
    /// None of these.
    Idle,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<RoomStateName>, inline)]
    state: Option<RoomStateName>,
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<CallTypeName>)]
    call_type: Option<CallTypeName>,
    /// The id of whoever owns them.
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<String>)]
    owner: Option<UserId>,
    /// The id of somebody they belong to.
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<String>)]
    member: Option<UserId>,
    /// The first day, in UTC, that they are planned for, or else were made on.
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<String>, format = Date, example = "2026-01-01")]
    from: Option<String>,
    /// The last such day.
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<String>, format = Date, example = "2026-01-31")]
    to: Option<String>,
}

/// List the caller's rooms, the newest first; administrators and keys see all.
#[utoipa::path(
    get, path = "/api/livekit/rooms", tag = "rooms", operation_id = "list_rooms",
    params(Filter, Search, PageQuery),
    responses((status = 200, description = "A page of rooms", body = Page<RoomView>))
)]
pub(super) async fn list(
    State(app): State<App>,
    caller: Principal,
    Params(filter): Params<Filter>,
    Params(search): Params<Search>,
    Params(page): Params<PageQuery>,
) -> ApiResult<Written> {
    let visible = caller.visible(Operation::SeeRoom)?;
    let (limit, after) = (page.limit()?, page.cursor()?);
    let first = filter.from.as_deref().map(|text| day(text, "?from")).transpose()?;
    let last = filter.to.as_deref().map(|text| day(text, "?to")).transpose()?;
    let from = first.map(start).transpose()?.map(arrival);
    let until = last
        .map(|last| start(last.saturating_add(1.day())))
        .transpose()?
        .map(arrival);
    let mut filter = RoomFilter {
        member: None,
        text: search.text()?,
        state: filter.state.map(|state| match state {
            RoomStateName::Live => RoomState::Live,
            RoomStateName::Upcoming => RoomState::Upcoming,
            RoomStateName::Ended => RoomState::Ended,
            RoomStateName::Idle => RoomState::Idle,
        }),
        call_type: filter.call_type.map(Into::into),
        owner: filter.owner,
        with: filter.member,
        from,
        until,
    };
    if let Visible::OfRoom(name) = &visible
        && app.relation(&caller, name, None).await? == Relation::PutOut
    {
        return Err(ApiError::forbidden());
    }
    let rooms = app.store().rooms();
    if let Visible::OfRoom(name) = visible {
        let found = match rooms.get(&name, None).await {
            Ok(room) => vec![room],
            Err(MeetingError::NoRoom(_)) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        return Ok(Written(written(&app, &found, false).await?));
    }
    if let Visible::OfUser(user) = visible {
        filter.member = Some(user);
    }
    // What is to come or is no more is so at a time.
    let version = rooms.version().filter(|_| filter.state.is_none());
    let key = (filter.clone(), after, limit);
    let read = async || {
        let (found, more) = rooms.list(&filter, after, limit).await?;
        written(&app, &found, more).await
    };
    Ok(Written(app.room_pages.or_read(version, key, read).await?))
}

/// A page of a list, as it goes out.
async fn written(app: &App, found: &[Room], more: bool) -> ApiResult<Bytes> {
    let mut items = Vec::with_capacity(found.len());
    for room in found {
        let recording = match room.call {
            Some(_) => running(app, room).await?,
            None => None,
        };
        items.push(RoomView::new(room, None, recording.as_ref().map(RecordingView::from)));
    }
    let next_cursor = found.last().filter(|_| more).map(|last| last.id.to_string());
    let page = serde_json::to_vec(&Page { items, next_cursor }).map_err(|error| {
        tracing::error!(%error, "a list of rooms cannot be written");
        ApiError::internal()
    })?;
    Ok(page.into())
}
