//! What the `LiveKit` server tells.

mod livekit;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::services::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(livekit::livekit))
}

#[cfg(test)]
pub(super) mod tests;
