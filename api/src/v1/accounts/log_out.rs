//! `POST /api/auth/logout`, `POST /api/auth/logout-all`

use axum::{
    extract::State,
    http::{Extensions, HeaderMap, StatusCode},
    response::IntoResponse,
};

use crate::{
    Principal,
    auth::{Actor, clear_refresh, read_refresh},
    problem::{ApiError, ApiResult},
    services::App,
};

/// Log out: ends the session that the cookie, or the access token, belongs to.
#[utoipa::path(
    post, path = "/api/auth/logout", tag = "accounts", operation_id = "log_out",
    security(()),
    responses(
        (status = 204, description = "Nobody is logged in here any more"),
        (status = 401, description = "A token is shown that is not valid", body = crate::problem::Problem),
    )
)]
pub(super) async fn log_out(
    State(app): State<App>,
    extensions: Extensions,
    headers: HeaderMap,
    caller: Option<Principal>,
) -> ApiResult<impl IntoResponse> {
    let sessions = app.store().sessions();
    if let Some(token) = read_refresh(&headers)
        && let Some(user) = sessions.end_by_token(&token).await?
        && let Some(actor) = extensions.get::<Actor>()
    {
        actor.is(user.to_string());
    }
    if let Some(session) = caller.and_then(|caller| caller.session()) {
        sessions.end(session).await?;
    }
    Ok((StatusCode::NO_CONTENT, clear_refresh(app.config.is_secure())))
}

/// Log out everywhere: ends all of one's sessions.
#[utoipa::path(
    post, path = "/api/auth/logout-all", tag = "accounts", operation_id = "log_out_everywhere",
    responses((status = 204, description = "Nobody is logged in with this account any more"))
)]
pub(super) async fn log_out_everywhere(State(app): State<App>, caller: Principal) -> ApiResult<impl IntoResponse> {
    let Principal::User { user, .. } = &caller else {
        return Err(ApiError::forbidden());
    };
    app.store().sessions().end_all(user.id).await?;
    Ok((StatusCode::NO_CONTENT, clear_refresh(app.config.is_secure())))
}
