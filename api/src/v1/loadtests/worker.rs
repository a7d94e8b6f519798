//! `GET /api/loadtests/worker`

use axum::{
    extract::{
        State,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::StatusCode,
    response::Response,
};
use greffier_agent::load::helper::LONGEST_LINE;

use crate::{
    Principal,
    access::{Operation, Target},
    problem::{ApiError, ApiResult, Problem},
    services::App,
};

/// Play a part in another machine's load test.
///
/// A `WebSocket` that `greffier load run --machine` speaks; off unless the configuration says `worker = true` in `[load]`.
#[utoipa::path(
    get, path = "/api/loadtests/worker", tag = "loadtests", operation_id = "play_load_test",
    responses(
        (status = 101, description = "It listens"),
        (status = 409, description = "It is not configured to, or something else is played", body = Problem),
        (status = 426, description = "This is no `WebSocket`", body = Problem),
    )
)]
pub(super) async fn worker(
    State(app): State<App>,
    caller: Principal,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> ApiResult<Response> {
    caller.must(Operation::Administer, Target::EVERYTHING)?;
    let upgrade = upgrade.map_err(|_| {
        let detail = "this is for `greffier load run --machine`, over a WebSocket";
        ApiError::new(StatusCode::UPGRADE_REQUIRED, "no_web_socket", detail)
    })?;
    let helping = app.help_load_test()?;
    let upgrade = upgrade.max_message_size(LONGEST_LINE).max_frame_size(LONGEST_LINE);
    Ok(upgrade.on_upgrade(move |socket| async move { helping.play(socket) }))
}
