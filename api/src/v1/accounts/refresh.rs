//! `POST /api/auth/refresh`

use axum::{
    Json,
    extract::State,
    http::{Extensions, HeaderMap},
    response::{IntoResponse, Response},
};
use greffier_store::AccountError;

use super::LogIn;
use crate::{
    auth::{Actor, clear_refresh, read_refresh, set_refresh},
    layers::ClientAddress,
    problem::{ApiError, ApiResult},
    services::App,
    v1::users::schema::UserView,
};

/// Prolong a log-in, by the refresh token in the cookie; the cookie gets the next one.
///
/// A token that was used before ends the session: somebody stole it.
#[utoipa::path(
    post, path = "/api/auth/refresh", tag = "accounts", operation_id = "refresh_session",
    security(()),
    responses(
        (status = 200, description = "A new access token", body = LogIn),
        (status = 401, description = "There is no session, or it has ended", body = crate::problem::Problem),
        (status = 403, description = "The account is disabled", body = crate::problem::Problem),
    )
)]
pub(super) async fn refresh(State(app): State<App>, extensions: Extensions, headers: HeaderMap) -> ApiResult<Response> {
    let Some(token) = read_refresh(&headers) else {
        return Err(ApiError::unauthenticated("unauthenticated", "nobody is logged in here"));
    };
    let address = ClientAddress::of(&extensions);
    let secure = app.config.is_secure();
    let rotated = match app.store().sessions().rotate(&token).await {
        Ok(rotated) => rotated,
        Err(error @ (AccountError::SessionEnded | AccountError::TokenReused | AccountError::Disabled)) => {
            // Good cookies cannot be guessed: whatever others at the same address do, they are taken.
            app.limits.wrong(address)?;
            return Ok((clear_refresh(secure), ApiError::from(error)).into_response());
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(actor) = extensions.get::<Actor>() {
        actor.is(rotated.user.id.to_string());
    }
    app.store().users().seen(&rotated.user).await?;
    let (access_token, expires_in) = app.access_token(&rotated.user, rotated.session.id)?;
    let answer = LogIn {
        access_token,
        expires_in,
        user: UserView::from(&rotated.user),
    };
    Ok((set_refresh(&rotated.refresh_token, secure), Json(answer)).into_response())
}
