//! Oneself: the first administrator, logging in and out, one's own account.

mod log_in;
mod log_out;
mod me;
mod refresh;
mod setup;

use axum::{
    Json,
    http::{Extensions, HeaderMap, HeaderName, header},
};
use greffier_store::accounts::User;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::users::schema::UserView;
use crate::{
    auth::{Actor, set_refresh},
    layers::ClientAddress,
    problem::ApiResult,
    services::App,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(setup::setup))
        .routes(routes!(log_in::log_in))
        .routes(routes!(refresh::refresh))
        .routes(routes!(log_out::log_out))
        .routes(routes!(log_out::log_out_everywhere))
        .routes(routes!(me::get, me::change))
}

/// A log-in. The refresh token that prolongs it is in a cookie that no script reads.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogIn {
    /// To be sent as `Authorization: Bearer`.
    pub access_token: String,
    /// Seconds the access token is good for.
    #[schema(example = 600)]
    pub expires_in: u64,
    pub user: UserView,
}

/// Logs somebody in who has proved who they are.
pub(crate) async fn logged_in(
    app: &App,
    extensions: &Extensions,
    headers: &HeaderMap,
    user: &User,
) -> ApiResult<([(HeaderName, String); 1], Json<LogIn>)> {
    if let Some(actor) = extensions.get::<Actor>() {
        actor.is(user.id.to_string());
    }
    let agent = headers
        .get(header::USER_AGENT)
        .and_then(|agent| agent.to_str().ok())
        .unwrap_or_default();
    let address = ClientAddress::of(extensions).ip.to_string();
    let (session, refresh) = app.store().sessions().start(user.id, agent, &address).await?;
    app.store().users().seen(user).await?;
    let (access_token, expires_in) = app.access_token(user, session.id)?;
    let answer = LogIn {
        access_token,
        expires_in,
        user: UserView::from(user),
    };
    Ok((set_refresh(&refresh, app.config.is_secure()), Json(answer)))
}

#[cfg(test)]
pub(crate) mod tests;
