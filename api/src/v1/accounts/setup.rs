//! `POST /api/setup`

use axum::{
    extract::State,
    http::{Extensions, HeaderMap, StatusCode},
    response::IntoResponse,
};
use garde::Validate;
use greffier_store::{
    AccountError,
    accounts::{NewUser, UserRole},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{LogIn, logged_in};
use crate::{extract::Body, layers::ClientAddress, problem::ApiResult, services::App};

/// Who the first administrator is.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(example = json!({
    "token": "6tHPq0cU1n3cYJ6r0l2mZ8x4vK5bW7dQ9sT1aE3gI0o", "email": "ana@example.org", "name": "Ana",
    "password": "correct horse battery", "language": "en",
}))]
pub(super) struct SetUp {
    /// From the link that is printed at the first start.
    #[schema(value_type = String)]
    token: SecretString,
    #[schema(max_length = 254, example = "ana@example.org")]
    email: String,
    #[schema(min_length = 1, max_length = 200, example = "Ana")]
    name: String,
    #[schema(value_type = String, format = Password, min_length = 10, max_length = 1024)]
    password: SecretString,
    #[serde(default)]
    language: Option<String>,
}

/// Make the first administrator, once, and log in.
#[utoipa::path(
    post, path = "/api/setup", tag = "accounts", operation_id = "set_up",
    request_body = SetUp,
    security(()),
    responses(
        (status = 201, description = "The log-in; the refresh token is in a cookie", body = LogIn),
        (status = 409, description = "There is an administrator, or the token is another", body = crate::problem::Problem),
    )
)]
pub(super) async fn setup(
    State(app): State<App>,
    extensions: Extensions,
    headers: HeaderMap,
    Body(new): Body<SetUp>,
) -> ApiResult<impl IntoResponse> {
    let address = ClientAddress::of(&extensions);
    let first = NewUser {
        email: new.email,
        name: new.name,
        role: UserRole::Admin,
        language: new.language,
        password: new.password,
    };
    let user = match app.store().joining().set_up(new.token.expose_secret(), &first).await {
        Ok(user) => user,
        Err(error) => {
            // A weak password or a strange address is no guess at the token.
            if matches!(error, AccountError::SetupToken) {
                app.limits.wrong(address)?;
            }
            return Err(error.into());
        }
    };
    let (cookie, answer) = logged_in(&app, &extensions, &headers, &user).await?;
    Ok((StatusCode::CREATED, cookie, answer))
}
