//! `POST /api/auth/login`

use axum::{
    extract::State,
    http::{Extensions, HeaderMap, StatusCode},
    response::IntoResponse,
};
use garde::Validate;
use greffier_store::AccountError;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{LogIn, logged_in};
use crate::{
    extract::Body,
    layers::ClientAddress,
    problem::{ApiError, ApiResult},
    services::App,
};

/// What proves who somebody is.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(example = json!({"email": "ana@example.org", "password": "correct horse battery"}))]
pub(super) struct Credentials {
    #[schema(example = "ana@example.org")]
    email: String,
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// Log in.
#[utoipa::path(
    post, path = "/api/auth/login", tag = "accounts", operation_id = "log_in",
    request_body = Credentials,
    security(()),
    responses(
        (status = 200, description = "The log-in; the refresh token is in a cookie", body = LogIn),
        (status = 401, description = "Address and password do not belong together", body = crate::problem::Problem),
        (status = 403, description = "The account is disabled, or nobody has one here", body = crate::problem::Problem),
    )
)]
pub(super) async fn log_in(
    State(app): State<App>,
    extensions: Extensions,
    headers: HeaderMap,
    Body(shown): Body<Credentials>,
) -> ApiResult<impl IntoResponse> {
    if !app.config.own_accounts {
        let detail = "people come here from another application, and log in there";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "no_own_accounts", detail));
    }
    let address = ClientAddress::of(&extensions);
    app.limits.may_try(address)?;
    if let Some(wait) = app.limits.account_put_off(&shown.email)
        && !has_logged_in(&app, &shown.email, address).await?
    {
        return Err(ApiError::too_many("too_many_failures", wait));
    }
    let user = match app.store().users().sign_in(&shown.email, &shown.password).await {
        Ok(user) => user,
        Err(error @ AccountError::WrongPassword) => {
            app.limits.failed(address);
            app.limits.account_failed(&shown.email);
            return Err(ApiError::new(
                StatusCode::UNAUTHORIZED,
                "wrong_credentials",
                error.to_string(),
            ));
        }
        Err(error) => return Err(error.into()),
    };
    logged_in(&app, &extensions, &headers, &user).await
}

/// Whether somebody comes from where they have logged in before: others who guess do not keep them out.
async fn has_logged_in(app: &App, email: &str, address: ClientAddress) -> ApiResult<bool> {
    let Some(user) = app.store().users().by_email(email).await? else {
        return Ok(false);
    };
    let address = address.ip.to_string();
    Ok(app.store().sessions().began_at(user.id, &address).await?)
}
