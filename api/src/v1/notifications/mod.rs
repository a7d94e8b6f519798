//! What one is told.

use axum::{Json, extract::State};
use garde::Validate;
use greffier_agent::view::timestamp;
use greffier_store::{NotificationId, UserId, notices::Notification};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Principal,
    extract::{Body, Page, PageQuery, Params},
    problem::{ApiError, ApiResult},
    services::App,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(mark_read))
}

/// Something one is told.
#[derive(Debug, Serialize, ToSchema)]
struct NotificationView {
    id: String,
    /// `invited`, `room_live`, `waiting`, `recording_ready`, `recording_failed`.
    #[schema(example = "invited")]
    kind: String,
    #[schema(format = DateTime)]
    created_at: String,
    read: bool,
    /// The room it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<String>,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// Who caused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// The recording it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    recording: Option<String>,
}

impl From<&Notification> for NotificationView {
    fn from(notification: &Notification) -> Self {
        let text = |name: &str| notification.data.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            id: notification.id.to_string(),
            kind: notification.kind.clone(),
            created_at: timestamp(notification.created).to_string(),
            read: notification.read.is_some(),
            room: text("room"),
            title: text("title"),
            by: text("by"),
            recording: text("recording"),
        }
    }
}

/// List what one was told, the newest first.
#[utoipa::path(
    get, path = "/api/notifications", tag = "notifications", operation_id = "list_notifications",
    params(PageQuery),
    responses((status = 200, description = "A page of notifications", body = Page<NotificationView>))
)]
async fn list(
    State(app): State<App>,
    caller: Principal,
    Params(page): Params<PageQuery>,
) -> ApiResult<Json<Page<NotificationView>>> {
    let user = person(&caller)?;
    let (told, more) = app.store().notices().list(user, page.cursor()?, page.limit()?).await?;
    Ok(Json(Page {
        next_cursor: told.last().filter(|_| more).map(|last| last.id.to_string()),
        items: told.iter().map(NotificationView::from).collect(),
    }))
}

/// Which were read; all, if it is left out.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(example = json!({"ids": ["ntf_01J8Z6J9W2T4X5Y6Z7A8B9C0D1"]}))]
struct Read {
    #[serde(default)]
    #[garde(length(max = 1000))]
    #[schema(value_type = Option<Vec<String>>, max_items = 1000)]
    ids: Option<Vec<NotificationId>>,
}

/// How many were unread.
#[derive(Debug, Serialize, ToSchema)]
struct ReadView {
    read: u64,
}

/// Mark notifications as read.
#[utoipa::path(
    post, path = "/api/notifications/read", tag = "notifications", operation_id = "mark_notifications_read",
    request_body = Read,
    responses((status = 200, description = "How many were unread", body = ReadView))
)]
async fn mark_read(State(app): State<App>, caller: Principal, Body(which): Body<Read>) -> ApiResult<Json<ReadView>> {
    let user = person(&caller)?;
    let read = app.store().notices().mark_read(user, which.ids.as_deref()).await?;
    Ok(Json(ReadView { read }))
}

fn person(caller: &Principal) -> ApiResult<UserId> {
    caller.user_id().ok_or_else(ApiError::forbidden)
}

#[cfg(test)]
mod tests;
