//! Whom one may invite: everybody with an account.

use axum::{Json, extract::State};
use greffier_store::accounts::UserFilter;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    rooms::schema::ContactView,
    users::{Search, cursor, page_of_users},
};
use crate::{
    Principal,
    access::{Operation, Target},
    extract::{Page, PageQuery, Params},
    problem::{ApiError, ApiResult},
    services::App,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// List people to invite, by name; without oneself.
#[utoipa::path(
    get, path = "/api/contacts", tag = "people", operation_id = "list_contacts",
    params(Search, PageQuery),
    responses((status = 200, description = "A page of people", body = Page<ContactView>))
)]
async fn list(
    State(app): State<App>,
    caller: Principal,
    Params(search): Params<Search>,
    Params(page): Params<PageQuery>,
) -> ApiResult<Json<Page<ContactView>>> {
    // Whoever may make a room may see whom to invite into it.
    caller.must(Operation::CreateRoom, Target::EVERYTHING)?;
    if matches!(caller, Principal::LiveKit(_)) {
        return Err(ApiError::forbidden());
    }
    let filter = UserFilter {
        text: search.text()?,
        enabled: true,
    };
    let (users, more) = page_of_users(&app, &filter, &page).await?;
    Ok(Json(Page {
        next_cursor: users.last().filter(|_| more).map(cursor),
        items: users
            .iter()
            .filter(|user| Some(user.id) != caller.user_id())
            .map(ContactView::from)
            .collect(),
    }))
}
