//! `GET /api/calls`

use axum::{Json, extract::State};
use serde::Deserialize;
use utoipa::IntoParams;

use super::schema::CallView;
use crate::{
    Principal,
    access::{Operation, Visible},
    extract::{Page, PageQuery, Params},
    problem::ApiResult,
    services::App,
};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Of this room only.
    room: Option<String>,
}

/// List calls, the newest first: those that one was in, and those of rooms that belong to one.
#[utoipa::path(
    get, path = "/api/calls", tag = "calls", operation_id = "list_calls",
    params(Filter, PageQuery),
    responses((status = 200, description = "A page of calls", body = Page<CallView>))
)]
pub(super) async fn list(
    State(app): State<App>,
    caller: Principal,
    Params(filter): Params<Filter>,
    Params(page): Params<PageQuery>,
) -> ApiResult<Json<Page<CallView>>> {
    let (viewer, only) = match caller.visible(Operation::SeeHistory)? {
        Visible::All => (None, None),
        Visible::OfUser(user) => (Some(user), None),
        Visible::OfRoom(room) => (None, Some(room)),
    };
    let (limit, after) = (page.limit()?, page.cursor()?);
    let room = match (&only, &filter.room) {
        (Some(only), Some(asked)) if only != asked => {
            return Ok(Json(Page {
                items: Vec::new(),
                next_cursor: None,
            }));
        }
        (Some(only), _) => Some(only.as_str()),
        (None, asked) => asked.as_deref(),
    };
    let (calls, more) = app.store().calls().list(viewer, room, after, limit).await?;
    Ok(Json(Page {
        next_cursor: calls.last().filter(|_| more).map(|last| last.id.to_string()),
        items: calls.iter().map(CallView::from).collect(),
    }))
}
