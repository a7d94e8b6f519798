//! Headers that tell browsers what not to do.

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};
use url::Url;

use crate::{config::ApiConfig, services::App};

/// Content security policies and what else goes with every answer, made once.
#[derive(Debug)]
pub(crate) struct Policy {
    /// For answers that are no pages.
    data: HeaderValue,
    pages: HeaderValue,
    /// For pages that other sites may show.
    embedded: HeaderValue,
    docs: HeaderValue,
    over_tls: bool,
}

impl Policy {
    /// `livekit` is where browsers connect to for media.
    pub(crate) fn new(config: &ApiConfig, livekit: &Url) -> Self {
        let connect = connect_sources(livekit);
        let page = |ancestors: &str| {
            // Styles of single elements are how the player places people; media come from memory as well.
            let text = format!(
                "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; \
                 img-src 'self' data: blob:; media-src 'self' blob: mediastream:; font-src 'self' data:; \
                 connect-src 'self' {connect}; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; \
                 form-action 'self'; frame-ancestors {ancestors}"
            );
            HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("default-src 'none'"))
        };
        let embedders = match config.embed_origins.as_slice() {
            [] => "'self'".to_owned(),
            origins => format!("'self' {}", origins.join(" ")),
        };
        Self {
            data: HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox"),
            pages: page("'none'"),
            embedded: page(&embedders),
            docs: HeaderValue::from_static(
                "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                 object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
            ),
            over_tls: config.tls.is_some()
                || config
                    .public_url
                    .as_ref()
                    .is_some_and(|public| public.scheme() == "https"),
        }
    }

    fn of(&self, path: &str, is_html: bool) -> &HeaderValue {
        if path.starts_with("/docs") {
            &self.docs
        } else if !is_html {
            &self.data
        } else if path.starts_with("/embed/") {
            &self.embedded
        } else {
            &self.pages
        }
    }
}

/// The server answers on `WebSocket`s and, for validation of tokens, over HTTP at the same place.
fn connect_sources(livekit: &Url) -> String {
    let Some(host) = livekit.host_str() else {
        return String::new();
    };
    let place = match livekit.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    match livekit.scheme() {
        "wss" | "https" => format!("wss://{place} https://{place}"),
        _ => format!("ws://{place} http://{place}"),
    }
}

/// Middleware: adds them.
pub(crate) async fn security_headers(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    let is_known = response.status() == StatusCode::NOT_MODIFIED;
    let headers = response.headers_mut();
    let is_html = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    // What is as it was keeps its policy: a browser puts the headers of a 304 over those it has kept, and this one does
    // not say what it is of.
    if !is_known {
        headers.insert(header::CONTENT_SECURITY_POLICY, app.policy.of(&path, is_html).clone());
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(self), microphone=(self), display-capture=(self), geolocation=(), payment=(), usb=()",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if app.policy.over_tls {
        let a_year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, a_year);
    }
    if path.starts_with("/api") && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
