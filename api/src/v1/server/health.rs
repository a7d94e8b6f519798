//! `GET /healthz`

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

/// The process answers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    #[schema(example = "ok")]
    status: &'static str,
    version: &'static str,
}

/// Whether the process answers.
#[utoipa::path(
    get, path = "/healthz", tag = "server", operation_id = "health", security(()),
    responses((status = 200, description = "It does", body = Health))
)]
pub(super) async fn health() -> Json<Health> {
    Json(Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
    })
}
