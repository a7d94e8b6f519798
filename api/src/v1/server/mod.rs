//! How the server is.

mod health;
mod metrics;
mod ready;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::services::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(health::health))
        .routes(routes!(ready::ready))
        .routes(routes!(metrics::metrics))
}

#[cfg(test)]
mod tests;
