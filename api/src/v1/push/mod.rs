//! Browsers that take pushes.

use axum::{extract::State, http::StatusCode};
use garde::Validate;
use greffier_store::notices::PushSubscription;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Principal,
    extract::{Body, object},
    problem::{ApiError, ApiResult, Problem},
    services::App,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(subscribe, unsubscribe))
}

/// What a browser's `PushSubscription.toJSON()` gives.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
#[schema(as = PushSubscription, example = json!({
    "endpoint": "https://push.example.org/send/abc",
    "keys": {"p256dh": "BNcRdreALRFXTkOOUHK1EtK2wtaz5Ry4YfYCA_0QTpQtUbVlUls0VJXg7A8u-Ts1XbjhazAkj7I99e8QcYP7DkM", "auth": "tBHItJI5svbpez7KI4CCXg"},
}))]
struct Subscription {
    #[garde(length(bytes, min = 1, max = 2048))]
    #[schema(max_length = 2048, example = "https://fcm.googleapis.com/fcm/send/abc")]
    endpoint: String,
    #[garde(dive)]
    #[serde(deserialize_with = "object")]
    keys: Keys,
    /// Browsers say so; the push service tells when it is over.
    #[serde(default, rename = "expirationTime")]
    #[expect(dead_code, reason = "it is taken because browsers send it")]
    expiration_time: Option<Value>,
}

/// The browser's keys, in base64url.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[schema(as = PushKeys)]
struct Keys {
    #[garde(length(bytes, min = 1, max = 200))]
    p256dh: String,
    #[garde(length(bytes, min = 1, max = 100))]
    auth: String,
}

/// Be told things while no page is open.
#[utoipa::path(
    post, path = "/api/push/subscriptions", tag = "notifications", operation_id = "subscribe_push",
    request_body = Subscription,
    responses(
        (status = 204, description = "Notifications are pushed there from now on"),
        (status = 409, description = "This server pushes nothing", body = Problem),
    )
)]
async fn subscribe(
    State(app): State<App>,
    caller: Principal,
    Body(subscription): Body<Subscription>,
) -> ApiResult<StatusCode> {
    let user = caller.user_id().ok_or_else(ApiError::forbidden)?;
    let subscription = PushSubscription {
        endpoint: subscription.endpoint,
        user,
        p256dh: subscription.keys.p256dh,
        auth: subscription.keys.auth,
    };
    app.subscribe(&subscription).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A subscription that is to end.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"endpoint": "https://push.example.org/send/abc"}))]
struct Unsubscribe {
    #[garde(length(bytes, min = 1, max = 2048))]
    endpoint: String,
}

/// Be told nothing there any more.
#[utoipa::path(
    delete, path = "/api/push/subscriptions", tag = "notifications", operation_id = "unsubscribe_push",
    request_body = Unsubscribe,
    responses((status = 204, description = "Nothing is pushed there"))
)]
async fn unsubscribe(
    State(app): State<App>,
    caller: Principal,
    Body(subscription): Body<Unsubscribe>,
) -> ApiResult<StatusCode> {
    let user = caller.user_id().ok_or_else(ApiError::forbidden)?;
    app.store()
        .notices()
        .unsubscribe(Some(user), &subscription.endpoint)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests;
