//! What took place: calls, and how many.

mod events;
mod get;
mod list;
mod schema;
mod statistics;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) use self::statistics::{day, start};
use crate::services::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(get::get))
        .routes(routes!(events::list))
        .routes(routes!(statistics::statistics))
}

#[cfg(test)]
mod tests;
