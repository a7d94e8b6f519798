//! `GET /api/users`

use axum::{Json, extract::State};
use greffier_store::{
    UserId,
    accounts::{User, UserFilter},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::schema::UserView;
use crate::{
    Principal,
    access::{Operation, Target},
    extract::{Page, PageQuery, Params},
    problem::{ApiError, ApiResult},
    services::App,
};

/// Which people.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Search {
    /// Somewhere in name or e-mail address.
    #[param(max_length = 200)]
    pub q: Option<String>,
}

impl Search {
    pub(crate) fn text(self) -> ApiResult<Option<String>> {
        match self.q {
            Some(text) if text.len() > 200 => Err(ApiError::invalid_field("?q", "must be at most 200 bytes")),
            text => Ok(text.filter(|text| !text.is_empty())),
        }
    }
}

/// List people, by name.
#[utoipa::path(
    get, path = "/api/users", tag = "people", operation_id = "list_users",
    params(Search, PageQuery),
    responses((status = 200, description = "A page of people", body = Page<UserView>))
)]
pub(super) async fn list(
    State(app): State<App>,
    caller: Principal,
    Params(search): Params<Search>,
    Params(page): Params<PageQuery>,
) -> ApiResult<Json<Page<UserView>>> {
    caller.must(Operation::Administer, Target::EVERYTHING)?;
    let filter = UserFilter {
        text: search.text()?,
        enabled: false,
    };
    let (users, more) = page_of_users(&app, &filter, &page).await?;
    Ok(Json(Page {
        next_cursor: users.last().filter(|_| more).map(cursor),
        items: users.iter().map(UserView::from).collect(),
    }))
}

/// People by name go on after a name and an id.
pub(crate) async fn page_of_users(app: &App, filter: &UserFilter, page: &PageQuery) -> ApiResult<(Vec<User>, bool)> {
    let limit = page.limit()?;
    let bad = || ApiError::invalid_field("?cursor", "must be what a page before gave");
    let after = match page.cursor.as_deref() {
        None => None,
        Some(cursor) => {
            let (id, name) = cursor.split_once(' ').ok_or_else(bad)?;
            Some((name, id.parse::<UserId>().map_err(|_| bad())?))
        }
    };
    Ok(app.store().users().list(filter, after, limit).await?)
}

pub(crate) fn cursor(last: &User) -> String {
    format!("{} {}", last.id, last.name)
}
