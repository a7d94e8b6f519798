//! Each request's id, span, log line and metrics.

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use greffier_media::time::Clock as _;
use tracing::Instrument as _;

use super::{ClientAddress, metric};
use crate::services::App;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Middleware: names the request in logs and in the answer, and counts it.
pub(crate) async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    // Paths may hold secrets (invitations), so only the route is told.
    let route = matched.as_ref().map_or("none", MatchedPath::as_str).to_owned();
    let address = ClientAddress::of(request.extensions());
    let span = tracing::info_span!(
        "request",
        id = id.to_str().unwrap_or_default(),
        %method,
        route,
        address = %address.ip,
        caller = tracing::field::Empty,
    );
    let began = app.services.clock.now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let took = app.services.clock.now().saturating_since(began);
    let status = response.status();
    span.in_scope(|| {
        if status.is_server_error() {
            tracing::warn!(status = status.as_u16(), ms = took.as_millis(), "answered");
        } else {
            tracing::debug!(status = status.as_u16(), ms = took.as_millis(), "answered");
        }
    });
    let method = method.as_str().to_owned();
    metrics::counter!(metric::REQUESTS, "method" => method.clone(), "route" => route.clone(), "status" => status.as_str().to_owned())
        .increment(1);
    metrics::histogram!(metric::DURATION, "method" => method, "route" => route).record(took);
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The caller's, if it has the shape of one; otherwise a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_plain = |value: &&HeaderValue| {
        (1..=64).contains(&value.len())
            && value
                .as_bytes()
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
    };
    let theirs = headers.get(REQUEST_ID).filter(is_plain).cloned();
    theirs.unwrap_or_else(|| {
        let id = format!("{:032x}", rand::random::<u128>());
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("none"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_others_are_kept_if_they_are_plain() {
        let with = |id: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(id).unwrap());
            request_id(&headers).to_str().unwrap().to_owned()
        };
        assert_eq!(with("abc-1.2_3"), "abc-1.2_3");
        for hostile in ["a b", "a\"b", &"x".repeat(65)] {
            assert_ne!(with(hostile), hostile);
        }
        assert_eq!(request_id(&HeaderMap::new()).len(), 32);
    }
}
