//! What a handler cannot do: hang, or take the process with it.

use std::any::Any;

use axum::{
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::{problem::ApiError, services::App};

/// Middleware: gives a request up after a while. Bodies that are streamed take as long as they take.
pub(crate) async fn within_time(State(app): State<App>, request: Request, next: Next) -> Response {
    let limit = app.config.limits.timeout;
    if limit.is_zero() {
        return next.run(request).await;
    }
    let Ok(response) = tokio::time::timeout(limit, next.run(request)).await else {
        tracing::warn!(seconds = limit.as_secs(), "given up");
        let error = ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "timeout",
            "this took too long; try again",
        );
        return error.retry_after(5).into_response();
    };
    response
}

/// What a panic in a handler comes to.
#[expect(clippy::needless_pass_by_value, reason = "it is what the layer gives")]
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(message, "a handler panicked");
    ApiError::internal().into_response()
}
