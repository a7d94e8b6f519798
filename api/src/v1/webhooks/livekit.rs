//! `POST /webhooks/livekit`

use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
};
use greffier_agent::auto::RoomHint;

use crate::{
    extract::body_refused,
    layers::metric,
    meetings::watch,
    problem::{ApiError, ApiResult},
    services::App,
};

/// Tell what happened on the `LiveKit` server.
///
/// For the server itself: `Authorization` is a token of its that holds the body's SHA-256. What a webhook says is only a
/// hint to look, so one that comes twice or late does no harm.
#[utoipa::path(
    post, path = "/webhooks/livekit", tag = "server", operation_id = "livekit_webhook",
    request_body(
        content = String, content_type = "application/webhook+json",
        example = r#"{"event":"room_started","room":{"name":"team-monday","sid":"RM_x"},"id":"EV_x","createdAt":"1769850000"}"#,
    ),
    security(()),
    responses(
        (status = 204, description = "It is taken"),
        (status = 401, description = "It is not signed by our server, or too old", body = crate::problem::Problem),
        (status = 422, description = "It is signed and makes no sense", body = crate::problem::Problem),
    )
)]
pub(super) async fn livekit(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> ApiResult<StatusCode> {
    let body = body.map_err(body_refused)?;
    let event = match verified(&app, &headers, &body) {
        Ok(event) => event,
        Err(error) => {
            metrics::counter!(metric::WEBHOOKS, "event" => "refused").increment(1);
            return Err(error);
        }
    };
    metrics::counter!(metric::WEBHOOKS, "event" => known(&event.event)).increment(1);
    watch::told(&app, &event).await;
    if let Some(room) = event.room {
        app.services.hints.room(RoomHint {
            name: room.name,
            sid: room.sid,
        });
    }
    Ok(StatusCode::NO_CONTENT)
}

fn verified(app: &App, headers: &HeaderMap, body: &[u8]) -> ApiResult<livekit_protocol::WebhookEvent> {
    use livekit_api::webhooks::WebhookError;
    let unsigned = || ApiError::unauthenticated("webhook_unsigned", "webhooks are signed by the LiveKit server");
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(unsigned)?;
    let token = token.strip_prefix("Bearer ").unwrap_or(token);
    let body = std::str::from_utf8(body).map_err(|_| unsigned())?;
    app.livekit_tokens.webhook(body, token).map_err(|error| match error {
        WebhookError::InvalidData(error) => {
            tracing::warn!(%error, "a webhook of our server makes no sense");
            ApiError::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid",
                "the body is not an event of the LiveKit server",
            )
        }
        error => {
            tracing::warn!(%error, "a webhook is not of our server");
            unsigned()
        }
    })
}

/// Names that metrics may have: whoever holds the secret could send any, but not so many.
fn known(event: &str) -> &'static str {
    const EVENTS: [&str; 12] = [
        "room_started",
        "room_finished",
        "participant_joined",
        "participant_left",
        "participant_connection_aborted",
        "track_published",
        "track_unpublished",
        "egress_started",
        "egress_updated",
        "egress_ended",
        "ingress_started",
        "ingress_ended",
    ];
    EVENTS.into_iter().find(|known| *known == event).unwrap_or("other")
}
