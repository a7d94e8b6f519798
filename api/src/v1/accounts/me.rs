//! `GET /api/me`, `PATCH /api/me`

use axum::{Json, extract::State, http::Extensions};
use garde::Validate;
use greffier_store::accounts::UserChange;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    Principal,
    extract::Body,
    layers::ClientAddress,
    problem::{ApiError, ApiResult},
    services::{App, LANGUAGES},
    v1::users::schema::UserView,
};

/// Who one is.
#[utoipa::path(
    get, path = "/api/me", tag = "accounts", operation_id = "get_me",
    responses((status = 200, description = "One's own account", body = UserView))
)]
pub(super) async fn get(State(app): State<App>, caller: Principal) -> ApiResult<Json<UserView>> {
    let user = caller.user_id().ok_or_else(ApiError::forbidden)?;
    Ok(Json(UserView::from(&app.store().users().get(user).await?)))
}

/// What is to change; what is left out stays.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(example = json!({"name": "Ana", "language": "fr"}))]
pub(super) struct ChangeMe {
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// `en` or `fr`.
    #[serde(default)]
    language: Option<String>,
    /// A new one; all other log-ins end.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password, min_length = 10, max_length = 1024)]
    password: Option<SecretString>,
    /// The one there is: needed to change it.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    current_password: Option<SecretString>,
}

/// Change one's own account.
#[utoipa::path(
    patch, path = "/api/me", tag = "accounts", operation_id = "update_me",
    request_body = ChangeMe,
    responses((status = 200, description = "The account as it is now", body = UserView))
)]
pub(super) async fn change(
    State(app): State<App>,
    extensions: Extensions,
    caller: Principal,
    Body(change): Body<ChangeMe>,
) -> ApiResult<Json<UserView>> {
    // A key is not a person: it changes no passwords.
    let Principal::User { user, session } = &caller else {
        return Err(ApiError::forbidden());
    };
    if change
        .language
        .as_deref()
        .is_some_and(|language| !LANGUAGES.contains(&language))
    {
        return Err(ApiError::invalid_field("/language", "must be `en` or `fr`"));
    }
    if change.password.is_some() && user.has_password {
        let address = ClientAddress::of(&extensions);
        app.limits.may_try(address)?;
        let current = change.current_password.unwrap_or_default();
        if !app.store().users().is_password(user.id, &current).await? {
            app.limits.failed(address);
            return Err(
                ApiError::invalid_field("/current_password", "is not the current password").with_code("wrong_password"),
            );
        }
    }
    let change = UserChange {
        name: change.name,
        language: change.language,
        password: change.password,
        ..UserChange::default()
    };
    let user = app.store().users().update(user.id, &change, *session).await?;
    Ok(Json(UserView::from(&user)))
}
