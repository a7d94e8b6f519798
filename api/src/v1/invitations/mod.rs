//! Links into rooms, and people before the door.

mod links;
mod public;
mod waiting;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::services::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(links::invite, links::list))
        .routes(routes!(links::revoke))
        .routes(routes!(public::show))
        .routes(routes!(waiting::list))
        .routes(routes!(waiting::admit_all))
        .routes(routes!(waiting::admit))
        .routes(routes!(waiting::deny))
        .routes(routes!(waiting::poll))
}

#[cfg(test)]
mod tests;
