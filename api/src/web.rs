//! The web application: files built by Vite, embedded in the binary.

use std::fmt::Write as _;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{Html, IntoResponse as _, Response},
};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::problem::ApiError;

#[derive(RustEmbed)]
#[folder = "../web/dist"]
struct Dist;

/// Said in place of a web application that was not built.
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Greffier</title>\
    <h1>Greffier runs, without its web application</h1>\
    <p>This binary was built before the pages were. To have them: <code>npm ci &amp;&amp; npm run build</code> in \
    <code>web/</code>, then build Greffier again.</p>\
    <p>The API is here all the same: <a href=\"/docs/\">its documentation</a>.</p></html>";

/// What no route has: a file of the web application, its page for everything a person may open, or a problem.
pub(crate) async fn fallback(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path();
    let is_api = ["/api", "/webhooks", "/docs"].iter().any(|prefix| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    if is_api {
        return ApiError::not_found("resource").into_response();
    }
    if method != Method::GET && method != Method::HEAD {
        return method_not_allowed().await;
    }
    let name = path.trim_start_matches('/');
    if let Some(file) = Dist::get(name).filter(|_| !name.is_empty()) {
        return serve(name, &file, &headers);
    }
    // A file that is gone is not a page: a browser that gets one for a script shows a riddle.
    if name.starts_with("assets/") || name.rsplit('/').next().is_some_and(|last| last.contains('.')) {
        return ApiError::not_found("file").into_response();
    }
    match Dist::get("index.html") {
        Some(file) => serve("index.html", &file, &headers),
        None => (StatusCode::SERVICE_UNAVAILABLE, Html(NOT_BUILT)).into_response(),
    }
}

pub(crate) async fn method_not_allowed() -> Response {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this cannot be done to that",
    )
    .into_response()
}

fn serve(name: &str, file: &EmbeddedFile, headers: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", &hex(&file.metadata.sha256_hash()));
    // Names of assets hold their contents' hash: what has the same name is the same.
    let cache = if name.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|value| {
        let tags = value.to_str().unwrap_or_default();
        tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag)
    });
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(Body::from(file.data.clone().into_owned()));
        if let Ok(kind) = HeaderValue::from_str(file.metadata.mimetype()) {
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        response
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
