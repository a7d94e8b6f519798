//! `PATCH /api/users/{id}`

use axum::{Json, extract::State};
use garde::Validate;
use greffier_store::{UserId, accounts::UserChange};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::schema::{RoleName, UserView};
use crate::{
    Principal,
    access::{Operation, Target},
    extract::{Body, Id},
    problem::ApiResult,
    services::App,
};

/// What is to change; what is left out stays.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(example = json!({"role": "admin"}))]
pub(super) struct ChangeUser {
    #[serde(default)]
    #[schema(max_length = 254)]
    email: Option<String>,
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    #[serde(default)]
    role: Option<RoleName>,
    #[serde(default)]
    language: Option<String>,
    /// Ends all their log-ins.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password, min_length = 10, max_length = 1024)]
    password: Option<SecretString>,
    /// They cannot log in, and their log-ins end.
    #[serde(default)]
    disabled: Option<bool>,
}

/// Change an account.
#[utoipa::path(
    patch, path = "/api/users/{id}", tag = "people", operation_id = "update_user",
    params(("id" = String, Path, description = "The person")),
    request_body = ChangeUser,
    responses(
        (status = 200, description = "The account as it is now", body = UserView),
        (status = 404, description = "There is no such person", body = crate::problem::Problem),
        (status = 409, description = "Somebody has the e-mail address, or the last administrator would go",
            body = crate::problem::Problem),
    )
)]
pub(super) async fn change(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<UserId>,
    Body(change): Body<ChangeUser>,
) -> ApiResult<Json<UserView>> {
    caller.must(Operation::Administer, Target::EVERYTHING)?;
    let change = UserChange {
        email: change.email,
        name: change.name,
        role: change.role.map(Into::into),
        language: change.language,
        password: change.password,
        disabled: change.disabled,
    };
    let keep = caller.session().filter(|_| caller.user_id() == Some(id));
    let user = app.store().users().update(id, &change, keep).await?;
    Ok(Json(UserView::from(&user)))
}
