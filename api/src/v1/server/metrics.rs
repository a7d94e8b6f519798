//! `GET /metrics`

use axum::{
    extract::{Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use greffier_agent::capture::metric;

use crate::{
    Principal,
    access::{Operation, Target},
    layers::ClientAddress,
    problem::{ApiError, ApiResult},
    services::App,
};

/// Metrics for Prometheus.
///
/// For this machine itself, for keys with the scope `admin`, and for everybody if `api.public_metrics` says so.
#[utoipa::path(
    get, path = "/metrics", tag = "server", operation_id = "metrics",
    security((), ("bearer" = [])),
    responses(
        (status = 200, description = "Metrics in Prometheus' text format", content_type = "text/plain", body = String),
        (status = 404, description = "Metrics are not collected", body = crate::problem::Problem),
    )
)]
pub(super) async fn metrics(State(app): State<App>, request: Request) -> ApiResult<Response> {
    let (mut parts, _) = request.into_parts();
    if !app.config.public_metrics && !ClientAddress::of(&parts.extensions).local {
        let caller = Principal::of(&mut parts, &app).await?;
        caller.must(Operation::Administer, Target::EVERYTHING)?;
    }
    let Some(handle) = &app.services.metrics else {
        return Err(ApiError::not_found("thing: metrics are not collected"));
    };
    metric::observe();
    handle.run_upkeep();
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((kind, handle.render()).into_response())
}
