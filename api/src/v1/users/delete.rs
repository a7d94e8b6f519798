//! `DELETE /api/users/{id}`

use axum::{extract::State, http::StatusCode};
use greffier_store::UserId;

use crate::{
    Principal,
    access::{Operation, Target},
    extract::Id,
    problem::ApiResult,
    services::App,
};

/// Delete an account: its log-ins and keys end, its address is free. History goes on naming the person.
#[utoipa::path(
    delete, path = "/api/users/{id}", tag = "people", operation_id = "delete_user",
    params(("id" = String, Path, description = "The person")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such person", body = crate::problem::Problem),
        (status = 409, description = "The last administrator cannot go", body = crate::problem::Problem),
    )
)]
pub(super) async fn delete(State(app): State<App>, caller: Principal, Id(id): Id<UserId>) -> ApiResult<StatusCode> {
    caller.must(Operation::Administer, Target::EVERYTHING)?;
    app.store().users().delete(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
