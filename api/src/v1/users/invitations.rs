//! `/api/users/invitations`

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{Extensions, HeaderMap, StatusCode},
    response::IntoResponse,
};
use garde::Validate;
use greffier_store::{
    AccountError, UserInvitationId,
    accounts::{NewUser, NewUserInvitation, UserRole},
};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::schema::{RoleName, UserInvitationView};
use crate::{
    Principal,
    access::{Operation, Target},
    extract::{Body, Id, Page},
    layers::{BaseUrl, ClientAddress},
    problem::{ApiError, ApiResult},
    services::App,
    v1::accounts::{LogIn, logged_in},
};

/// An invitation to be made.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(example = json!({"email": "bea@example.org", "role": "member", "expires_in_hours": 168}))]
pub(super) struct InviteUser {
    /// Whoever accepts may give another.
    #[serde(default)]
    #[schema(max_length = 254)]
    email: Option<String>,
    #[serde(default)]
    #[schema(max_length = 200)]
    name: Option<String>,
    role: RoleName,
    #[serde(default)]
    #[garde(range(min = 1, max = 24 * 365))]
    #[schema(minimum = 1, maximum = 8760, default = 168)]
    expires_in_hours: Option<u64>,
}

/// Invite somebody to have an account. Token and link are shown this once.
#[utoipa::path(
    post, path = "/api/users/invitations", tag = "people", operation_id = "invite_user",
    request_body = InviteUser,
    responses((status = 201, description = "The invitation", body = UserInvitationView))
)]
pub(super) async fn invite(
    State(app): State<App>,
    caller: Principal,
    BaseUrl(base): BaseUrl,
    Body(new): Body<InviteUser>,
) -> ApiResult<(StatusCode, Json<UserInvitationView>)> {
    caller.must(Operation::Administer, Target::EVERYTHING)?;
    // Keys of the operator's own belong to nobody who could have invited.
    let by = caller.user_id().ok_or_else(ApiError::forbidden)?;
    let new = NewUserInvitation {
        email: new.email,
        name: new.name,
        role: new.role.into(),
        lifetime: Duration::from_hours(new.expires_in_hours.unwrap_or(7 * 24)),
        by,
    };
    let (invitation, token) = app.store().joining().invite(&new).await?;
    let view = UserInvitationView {
        url: Some(format!("{base}/accept/{token}")),
        token: Some(token),
        ..UserInvitationView::from(&invitation)
    };
    Ok((StatusCode::CREATED, Json(view)))
}

/// List invitations that can still be accepted, the newest first.
#[utoipa::path(
    get, path = "/api/users/invitations", tag = "people", operation_id = "list_user_invitations",
    responses((status = 200, description = "The invitations, at most 200", body = Page<UserInvitationView>))
)]
pub(super) async fn list(State(app): State<App>, caller: Principal) -> ApiResult<Json<Page<UserInvitationView>>> {
    caller.must(Operation::Administer, Target::EVERYTHING)?;
    let open = app.store().joining().open_invitations().await?;
    Ok(Json(Page {
        items: open.iter().map(UserInvitationView::from).collect(),
        next_cursor: None,
    }))
}

/// Show an invitation to whoever holds it.
#[utoipa::path(
    get, path = "/api/users/invitations/{token}", tag = "people", operation_id = "get_user_invitation",
    params(("token" = String, Path, description = "The invitation's token")),
    security(()),
    responses(
        (status = 200, description = "The invitation", body = UserInvitationView),
        (status = 404, description = "It does not exist, has expired, or has been used", body = crate::problem::Problem),
    )
)]
pub(super) async fn show(
    State(app): State<App>,
    extensions: Extensions,
    Id(token): Id<String>,
) -> ApiResult<Json<UserInvitationView>> {
    let address = ClientAddress::of(&extensions);
    match app.store().joining().invitation(&token).await {
        Ok(invitation) => Ok(Json(UserInvitationView::from(&invitation))),
        Err(error) => {
            app.limits.wrong(address)?;
            Err(error.into())
        }
    }
}

/// Take an invitation back.
#[utoipa::path(
    delete, path = "/api/users/invitations/{token}", tag = "people", operation_id = "withdraw_user_invitation",
    params(("token" = String, Path, description = "The invitation's id")),
    responses(
        (status = 204, description = "Nobody can accept it any more"),
        (status = 404, description = "There is no such invitation", body = crate::problem::Problem),
    )
)]
pub(super) async fn withdraw(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<UserInvitationId>,
) -> ApiResult<StatusCode> {
    caller.must(Operation::Administer, Target::EVERYTHING)?;
    app.store().joining().withdraw(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who somebody will be.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(example = json!({"name": "Bea", "email": "bea@example.org", "password": "correct horse battery", "language": "fr"}))]
pub(super) struct AcceptInvitation {
    #[schema(min_length = 1, max_length = 200, example = "Bea")]
    name: String,
    #[schema(max_length = 254, example = "bea@example.org")]
    email: String,
    #[schema(value_type = String, format = Password, min_length = 10, max_length = 1024)]
    password: SecretString,
    #[serde(default)]
    language: Option<String>,
}

/// Accept an invitation: makes the account, and logs in.
#[utoipa::path(
    post, path = "/api/users/invitations/{token}/accept", tag = "people", operation_id = "accept_user_invitation",
    params(("token" = String, Path, description = "The invitation's token")),
    request_body = AcceptInvitation,
    security(()),
    responses(
        (status = 201, description = "The log-in; the refresh token is in a cookie", body = LogIn),
        (status = 404, description = "It does not exist, has expired, or has been used", body = crate::problem::Problem),
        (status = 409, description = "Somebody has the e-mail address", body = crate::problem::Problem),
    )
)]
pub(super) async fn accept(
    State(app): State<App>,
    extensions: Extensions,
    headers: HeaderMap,
    Id(token): Id<String>,
    Body(accepted): Body<AcceptInvitation>,
) -> ApiResult<impl IntoResponse> {
    let address = ClientAddress::of(&extensions);
    let new = NewUser {
        email: accepted.email,
        name: accepted.name,
        // The invitation says which.
        role: UserRole::Member,
        language: accepted.language,
        password: accepted.password,
    };
    let user = match app.store().joining().accept(&token, &new).await {
        Ok(user) => user,
        Err(error) => {
            // A weak password or an address that is taken is no guess at the token.
            if matches!(error, AccountError::Invitation) {
                app.limits.wrong(address)?;
            }
            return Err(error.into());
        }
    };
    let (cookie, answer) = logged_in(&app, &extensions, &headers, &user).await?;
    Ok((StatusCode::CREATED, cookie, answer))
}
