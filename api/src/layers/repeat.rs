//! `Idempotency-Key`: whoever does not know whether a creating call was done repeats it, and gets the answer of the first.

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use greffier_store::ledger::Repeated;

use crate::{
    auth::authenticate_request,
    problem::{ApiError, ApiResult},
    services::App,
};

pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Bytes of an answer that is kept; creating calls answer less.
const LARGEST: usize = 256 * 1024;

/// Middleware: does what has a key once.
pub(crate) async fn once(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_creating = request.method() == Method::POST && request.uri().path().starts_with("/api/");
    match request.headers().get(KEY).cloned() {
        Some(key) if is_creating => match do_once(&app, &key, request, next).await {
            Ok(response) => response,
            Err(error) => error.into_response(),
        },
        _ => next.run(request).await,
    }
}

async fn do_once(app: &App, key: &HeaderValue, request: Request, next: Next) -> ApiResult<Response> {
    let (mut parts, body) = request.into_parts();
    // Keys are somebody's: who asks without saying who they are is as if they had none.
    let Some(caller) = authenticate_request(&mut parts, app).await? else {
        return Ok(next.run(Request::from_parts(parts, body)).await);
    };
    let key = key.to_str().ok().filter(|key| (1..=255).contains(&key.len()));
    let key = key.ok_or_else(|| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "invalid_idempotency_key",
            "`Idempotency-Key` must be 1 to 255 printable characters",
        )
    })?;
    let owner = caller.name();
    let limit = app.config.limits.body_bytes;
    let body = to_bytes(body, limit).await.map_err(|_| {
        ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            "the body is larger than is taken",
        )
    })?;
    let asked = format!("{} {}\n{}", parts.method, parts.uri, String::from_utf8_lossy(&body));
    let ledger = app.store().ledger();
    match ledger.begin(&owner, key, &asked).await? {
        Repeated::New => {}
        Repeated::Answered { status, body } => return Ok(again(status, body)),
        Repeated::UnderWay => {
            let detail = "the first request with this key is not answered yet";
            return Err(ApiError::new(StatusCode::CONFLICT, "request_under_way", detail).retry_after(1));
        }
        Repeated::Another => {
            let detail = "this key was used for another request";
            return Err(ApiError::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                detail,
            ));
        }
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    let (parts, body) = response.into_parts();
    let kept = to_bytes(body, LARGEST).await.unwrap_or_default();
    // What was refused did nothing; it may be repeated and go well.
    if parts.status.is_success() {
        let text = String::from_utf8_lossy(&kept);
        ledger.answered(&owner, key, parts.status.as_u16(), &text).await?;
    } else {
        ledger.forget(&owner, key).await?;
    }
    Ok(Response::from_parts(parts, Body::from(kept)))
}

fn again(status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut response = (status, Bytes::from(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
