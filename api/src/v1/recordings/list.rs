//! `GET /api/recordings`

use axum::{Json, extract::State};
use greffier_agent::view::RecordingView;
use greffier_media::{
    ids::RoomName,
    lifecycle::{RecordingFailure, RecordingState},
    time::Arrival,
};
use greffier_store::recordings::{RecordingFilter, RecordingName};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;

use super::schema::{RecordingSchema, RecordingStateName};
use crate::{
    Principal,
    access::{Operation, Visible},
    extract::{Page, PageQuery, Params, given},
    problem::{ApiError, ApiResult},
    services::App,
};

/// Which recordings: those for which all that is given holds.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<String>)]
    room: Option<RoomName>,
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<String>)]
    name: Option<RecordingName>,
    /// In any of these.
    #[serde(default)]
    #[param(value_type = Vec<RecordingStateName>)]
    state: Vec<RecordingStateName>,
    /// Made at this time or later.
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Made before this time.
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// With all of these labels: `team:blue`.
    #[serde(default)]
    label: Vec<String>,
    /// Somewhere in the names of room, recording, labels or people.
    #[param(max_length = 200)]
    q: Option<String>,
}

/// List recordings, the newest first.
///
/// With a `LiveKit` token for one room, only those of that room.
#[utoipa::path(
    get, path = "/api/recordings", tag = "recordings", operation_id = "list_recordings",
    params(Filter, PageQuery),
    responses((status = 200, description = "A page of recordings", body = Page<RecordingSchema>))
)]
pub(super) async fn list(
    State(app): State<App>,
    caller: Principal,
    Params(filter): Params<Filter>,
    Params(page): Params<PageQuery>,
) -> ApiResult<Json<Page<RecordingView>>> {
    let visible = caller.visible(Operation::SeeRecording)?;
    let filter = filter.understood()?;
    let (limit, after) = (page.limit()?, page.cursor()?);
    let Some(filter) = narrowed(filter, visible) else {
        return Ok(Json(Page {
            items: Vec::new(),
            next_cursor: None,
        }));
    };
    let found = app.services.store.recordings().list(&filter, after, limit).await?;
    let next_cursor = found
        .items
        .last()
        .filter(|_| found.more)
        .map(|last| last.id.to_string());
    Ok(Json(Page {
        items: found.items.iter().map(RecordingView::from).collect(),
        next_cursor,
    }))
}

impl Filter {
    fn understood(self) -> ApiResult<RecordingFilter> {
        if self.q.as_ref().is_some_and(|text| text.len() > 200) {
            return Err(ApiError::invalid_field("?q", "must be at most 200 bytes"));
        }
        let labels = self.label.iter().map(|label| {
            let (name, value) = label
                .split_once(':')
                .ok_or_else(|| ApiError::invalid_field("?label", "must be a label's name, `:`, and its value"))?;
            Ok((name.to_owned(), value.to_owned()))
        });
        Ok(RecordingFilter {
            room: self.room,
            name: self.name,
            states: self.state.into_iter().map(RecordingState::from).collect(),
            rule: None,
            from: self.since.map(arrival),
            until: self.until.map(arrival),
            labels: labels.collect::<ApiResult<_>>()?,
            text: self.q.filter(|text| !text.is_empty()),
            visible_to: None,
        })
    }
}

impl From<RecordingStateName> for RecordingState {
    fn from(name: RecordingStateName) -> Self {
        match name {
            RecordingStateName::Requested => Self::Requested,
            RecordingStateName::Joining => Self::Joining,
            RecordingStateName::Capturing => Self::Capturing,
            RecordingStateName::Sealing => Self::Sealing,
            RecordingStateName::Sealed => Self::Sealed,
            // Filters go by the state, whatever the failure.
            RecordingStateName::Failed => Self::Failed(RecordingFailure::Internal),
        }
    }
}

/// What of it the caller may see; `None` if nothing.
fn narrowed(filter: RecordingFilter, visible: Visible) -> Option<RecordingFilter> {
    match visible {
        Visible::All => Some(filter),
        Visible::OfUser(user) => Some(RecordingFilter {
            visible_to: Some(user),
            ..filter
        }),
        Visible::OfRoom(room) => {
            let room = RoomName::new(&room).ok()?;
            let fits = filter.room.as_ref().is_none_or(|asked| *asked == room);
            fits.then_some(RecordingFilter {
                room: Some(room),
                ..filter
            })
        }
    }
}

/// Times before 1970 are as good as 1970.
pub(crate) fn arrival(at: Timestamp) -> Arrival {
    Arrival::from_nanos(u64::try_from(at.as_nanosecond()).unwrap_or(if at.as_second() < 0 { 0 } else { u64::MAX }))
}
