//! People who have an account, and invitations to have one: for administrators.

mod change;
mod create;
mod delete;
mod invitations;
mod list;
pub(crate) mod schema;

pub(super) use list::{Search, cursor, page_of_users};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::services::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(change::change, delete::delete))
        .routes(routes!(invitations::invite, invitations::list))
        .routes(routes!(invitations::show, invitations::withdraw))
        .routes(routes!(invitations::accept))
}

#[cfg(test)]
mod tests;
