//! `GET /api/calls/{id}/events`

use axum::{Json, extract::State};
use greffier_agent::view::timestamp;
use greffier_store::CallId;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    Principal,
    access::{Operation, Target},
    extract::{Id, Page},
    problem::ApiResult,
    services::App,
};

/// Something that happened in a call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "at": "2026-01-31T09:00:03Z", "kind": "join", "data": {"identity": "guest_01J8Z6J9W2T4X5Y6Z7A8B9C0D1", "name": "Bob"},
}))]
pub(super) struct CallEventView {
    #[schema(format = DateTime)]
    at: String,
    /// `join` and `leave` (what people asked for; when they were there is in the call itself), `removed`, `let_back`.
    kind: String,
    /// Whom it is about, and who did it.
    #[schema(value_type = Object)]
    data: Value,
}

/// List what people did in a call, in order.
#[utoipa::path(
    get, path = "/api/calls/{id}/events", tag = "calls", operation_id = "list_call_events",
    params(("id" = String, Path, description = "The call")),
    responses(
        (status = 200, description = "The events, at most 1000", body = Page<CallEventView>),
        (status = 404, description = "There is no such call", body = crate::problem::Problem),
    )
)]
pub(super) async fn list(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<CallId>,
) -> ApiResult<Json<Page<CallEventView>>> {
    let call = app.store().calls().get(id).await?;
    let relation = app.relation(&caller, &call.room_name, Some(call.started)).await?;
    caller.must(Operation::SeeHistory, Target::room(&call.room_name, relation))?;
    let events = app.store().calls().events(id).await?;
    let view = |(at, kind, data)| CallEventView {
        at: timestamp(at).to_string(),
        kind,
        data,
    };
    Ok(Json(Page {
        items: events.into_iter().map(view).collect(),
        next_cursor: None,
    }))
}
