//! `POST /api/users`

use axum::{Json, extract::State, http::StatusCode};
use garde::Validate;
use greffier_store::accounts::NewUser;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::schema::{RoleName, UserView};
use crate::{
    Principal,
    access::{Operation, Target},
    extract::Body,
    problem::ApiResult,
    services::App,
};

/// An account to be made.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(example = json!({"email": "bea@example.org", "name": "Bea", "role": "member", "password": "correct horse battery"}))]
pub(super) struct CreateUser {
    #[schema(max_length = 254, example = "ana@example.org")]
    email: String,
    #[schema(min_length = 1, max_length = 200, example = "Ana")]
    name: String,
    role: RoleName,
    #[serde(default)]
    #[schema(example = "fr")]
    language: Option<String>,
    #[schema(value_type = String, format = Password, min_length = 10, max_length = 1024)]
    password: SecretString,
}

/// Make an account. Inviting somebody lets them choose their own password.
#[utoipa::path(
    post, path = "/api/users", tag = "people", operation_id = "create_user",
    request_body = CreateUser,
    responses(
        (status = 201, description = "The account", body = UserView),
        (status = 409, description = "Somebody has the e-mail address", body = crate::problem::Problem),
    )
)]
pub(super) async fn create(
    State(app): State<App>,
    caller: Principal,
    Body(new): Body<CreateUser>,
) -> ApiResult<(StatusCode, Json<UserView>)> {
    caller.must(Operation::Administer, Target::EVERYTHING)?;
    let new = NewUser {
        email: new.email,
        name: new.name,
        role: new.role.into(),
        language: new.language,
        password: new.password,
    };
    let user = app.store().joining().create(&new).await?;
    Ok((StatusCode::CREATED, Json(UserView::from(&user))))
}
