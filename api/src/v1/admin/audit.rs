//! `GET /api/admin/audit`

use axum::{Json, extract::State};
use greffier_agent::view::timestamp;
use greffier_store::ledger::{Audit, AuditFilter};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::must_administer;
use crate::{
    Principal,
    extract::{Page, PageQuery, Params},
    problem::{ApiError, ApiResult},
    services::App,
};

/// A line of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditView {
    id: String,
    #[schema(format = DateTime)]
    at: String,
    /// `usr_…`, `key:ci`, `livekit:ana`, `guest_…`, `nobody`.
    actor: String,
    /// The operation's id in this document.
    #[schema(example = "end_room")]
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// `ok`, or the problem's code.
    outcome: String,
    data: Value,
}

impl From<Audit> for AuditView {
    fn from(line: Audit) -> Self {
        Self {
            id: line.id.to_string(),
            at: timestamp(line.at).to_string(),
            actor: line.actor,
            action: line.action,
            target: line.target,
            address: line.address,
            outcome: line.outcome,
            data: line.data,
        }
    }
}

/// Which lines: those for which all that is given holds.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    actor: Option<String>,
    /// The action, or what it begins with.
    action: Option<String>,
    target: Option<String>,
    /// Somewhere in actor, action or target.
    #[param(max_length = 200)]
    q: Option<String>,
}

/// List who did what, the newest first.
#[utoipa::path(
    get, path = "/api/admin/audit", tag = "administration", operation_id = "list_audit",
    params(Filter, PageQuery),
    responses((status = 200, description = "A page of the audit log", body = Page<AuditView>))
)]
pub(super) async fn audit(
    State(app): State<App>,
    caller: Principal,
    Params(filter): Params<Filter>,
    Params(page): Params<PageQuery>,
) -> ApiResult<Json<Page<AuditView>>> {
    must_administer(&caller)?;
    if filter.q.as_ref().is_some_and(|text| text.len() > 200) {
        return Err(ApiError::invalid_field("?q", "must be at most 200 bytes"));
    }
    let filter = AuditFilter {
        actor: filter.actor,
        action: filter.action,
        target: filter.target,
        text: filter.q.filter(|text| !text.is_empty()),
    };
    let (lines, more) = app
        .store()
        .ledger()
        .list(&filter, page.cursor()?, page.limit()?)
        .await?;
    Ok(Json(Page {
        next_cursor: lines.last().filter(|_| more).map(|last| last.id.to_string()),
        items: lines.into_iter().map(AuditView::from).collect(),
    }))
}
