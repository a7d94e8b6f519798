//! API keys: one's own; administrators see all.

use axum::{Json, extract::State, http::StatusCode};
use garde::Validate;
use greffier_agent::view::timestamp;
use greffier_store::{
    ApiKeyId,
    accounts::{ApiKey, NewApiKey},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::recordings::arrival;
use crate::{
    Principal,
    config::Scope,
    extract::{Body, Id, Page},
    problem::{ApiError, ApiResult, FieldError},
    services::App,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(revoke))
}

/// An API key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApiKeyView {
    id: String,
    name: String,
    /// `recordings:read`, `recordings:write`, `rooms:read`, `rooms:write`, `tokens`, `admin`.
    scopes: Vec<String>,
    /// Whose it is: it may do no more than they.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// To the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    last_used_at: Option<String>,
    /// The key itself. Shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl From<&ApiKey> for ApiKeyView {
    fn from(key: &ApiKey) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name.clone(),
            scopes: key.scopes.clone(),
            user: key.user.map(|user| user.to_string()),
            created_at: timestamp(key.created).to_string(),
            expires_at: key.expires.map(|at| timestamp(at).to_string()),
            last_used_at: key.used.map(|at| timestamp(at).to_string()),
            key: None,
        }
    }
}

/// List API keys, the newest first: one's own; administrators see all.
#[utoipa::path(
    get, path = "/api/keys", tag = "keys", operation_id = "list_keys",
    responses((status = 200, description = "The keys", body = Page<ApiKeyView>))
)]
async fn list(State(app): State<App>, caller: Principal) -> ApiResult<Json<Page<ApiKeyView>>> {
    let own = person(&caller)?;
    let of = (!caller.is_admin()).then_some(own);
    let keys = app.store().api_keys().list(of).await?;
    Ok(Json(Page {
        items: keys.iter().map(ApiKeyView::from).collect(),
        next_cursor: None,
    }))
}

/// An API key to be made.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(example = json!({"name": "ci", "scopes": ["rooms:read"], "expires_at": "2027-01-31T00:00:00Z"}))]
struct CreateKey {
    #[schema(min_length = 1, max_length = 200, example = "ci")]
    name: String,
    /// What it may be used for, at least one of: `recordings:read`, `recordings:write`, `rooms:read`, `rooms:write`,
    /// `tokens`, `admin`. It may never do more than its owner.
    #[schema(example = json!(["rooms:read"]))]
    scopes: Vec<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// Make an API key. The key itself is shown this once.
#[utoipa::path(
    post, path = "/api/keys", tag = "keys", operation_id = "create_key",
    request_body = CreateKey,
    responses((status = 201, description = "The key", body = ApiKeyView))
)]
async fn create(
    State(app): State<App>,
    caller: Principal,
    Body(new): Body<CreateKey>,
) -> ApiResult<(StatusCode, Json<ApiKeyView>)> {
    let user = person(&caller)?;
    if new.scopes.is_empty() {
        return Err(ApiError::invalid_field("/scopes", "must name at least one"));
    }
    let unknown: Vec<_> = new
        .scopes
        .iter()
        .enumerate()
        .filter(|(_, scope)| Scope::from_name(scope).is_none())
        .map(|(index, _)| FieldError {
            pointer: format!("/scopes/{index}"),
            detail: "must be a scope".to_owned(),
        })
        .collect();
    if !unknown.is_empty() {
        return Err(ApiError::invalid(unknown));
    }
    let new = NewApiKey {
        name: new.name,
        scopes: new.scopes,
        user: Some(user),
        expires: new.expires_at.map(arrival),
    };
    let (key, shown) = app.store().api_keys().create(&new).await?;
    let view = ApiKeyView {
        key: Some(shown),
        ..ApiKeyView::from(&key)
    };
    Ok((StatusCode::CREATED, Json(view)))
}

/// Revoke an API key, for good.
#[utoipa::path(
    delete, path = "/api/keys/{id}", tag = "keys", operation_id = "revoke_key",
    params(("id" = String, Path, description = "The key")),
    responses(
        (status = 204, description = "It is good for nothing any more"),
        (status = 404, description = "There is no such key", body = crate::problem::Problem),
    )
)]
async fn revoke(State(app): State<App>, caller: Principal, Id(id): Id<ApiKeyId>) -> ApiResult<StatusCode> {
    let own = person(&caller)?;
    let key = app.store().api_keys().get(id).await?;
    if key.user != Some(own) && !caller.is_admin() {
        // Which keys others have is nobody's business.
        return Err(greffier_store::AccountError::NoKey(id).into());
    }
    app.store().api_keys().revoke(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Keys make no keys.
fn person(caller: &Principal) -> ApiResult<greffier_store::UserId> {
    match caller {
        Principal::User { user, .. } => Ok(user.id),
        _ => Err(ApiError::forbidden()),
    }
}

#[cfg(test)]
mod tests;
