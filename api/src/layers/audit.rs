//! The audit log: every change, and every access to what was recorded, whoever handles it.

use std::{
    collections::{HashMap, hash_map::Entry},
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::FutureExt as _;
use greffier_agent::supervisor::TaskKind;
use greffier_media::time::Arrival;
use greffier_store::ledger::NewAudit;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, oneshot};
use tracing::Instrument as _;

use super::{ClientAddress, repeat};
use crate::{
    auth::Actor,
    openapi,
    problem::{ApiError, Code},
    services::App,
};

/// Reading one file takes a player hundreds of requests: for so long they are one access.
const SAME_ACCESS: Duration = Duration::from_mins(10);
const MOST: usize = 20_000;

/// Changes that are none worth keeping: they repeat by themselves, or only give the caller what they have.
const UNTOLD: [&str; 5] = [
    "refresh_session",
    "mark_notifications_read",
    "add_quality",
    "livekit_token",
    "livekit_webhook",
];

/// Where a `POST` changes nothing, unless its answer is to be kept.
const TOKEN: &str = "/api/livekit/token";

/// Accesses that were written down a moment ago.
#[derive(Default)]
pub(crate) struct Audited(Mutex<HashMap<(String, String), Arrival>>);

impl Audited {
    /// Whether this access is another one than those before.
    fn is_news(&self, actor: &str, target: &str, now: Arrival) -> bool {
        let mut seen = self.0.lock();
        if seen.len() >= MOST {
            seen.retain(|_, at| now.saturating_since(*at) < SAME_ACCESS);
        }
        match seen.entry((actor.to_owned(), target.to_owned())) {
            Entry::Occupied(mut before) => {
                let is_news = now.saturating_since(*before.get()) >= SAME_ACCESS;
                if is_news {
                    before.insert(now);
                }
                is_news
            }
            Entry::Vacant(place) => {
                place.insert(now);
                true
            }
        }
    }
}

/// Changes that are under way at a time; more are refused.
const CHANGES: usize = 1024;

/// One permit for each change that may be under way.
pub(crate) struct Changes(Arc<Semaphore>);

impl Default for Changes {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(CHANGES)))
    }
}

/// Middleware: writes down what was done, once it was. A change is a task of its own: it is done to its end and written
/// down, whether whoever asked for it waits for the answer or not.
pub(crate) async fn audit(State(app): State<App>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if reads || (request.uri().path() == TOKEN && !request.headers().contains_key(repeat::KEY)) {
        return noted(app, request, next).await;
    }
    let Ok(permit) = Arc::clone(&app.changes.0).try_acquire_owned() else {
        return ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "too many changes are under way; try again",
        )
        .retry_after(1)
        .into_response();
    };
    let (answer, answered) = oneshot::channel();
    let supervisor = app.services.supervisor.clone();
    let span = tracing::Span::current();
    supervisor.spawn(TaskKind::Change, "change", |_| {
        async move {
            let _permit = permit;
            // Nobody may be waiting any more.
            let _ = answer.send(noted(app, request, next).await);
            Ok::<(), Infallible>(())
        }
        .instrument(span)
    });
    answered.await.unwrap_or_else(|_| ApiError::internal().into_response())
}

async fn noted(app: App, mut request: Request, next: Next) -> Response {
    let actor = Actor::default();
    request.extensions_mut().insert(actor.clone());
    let method = request.method().clone();
    let matched = request
        .extensions()
        .get::<MatchedPath>()
        .map(|matched| matched.as_str().to_owned());
    let path = request.uri().path().to_owned();
    let address = ClientAddress::of(request.extensions());
    // What a handler did before it panicked is done.
    let response = AssertUnwindSafe(next.run(request))
        .catch_unwind()
        .await
        .unwrap_or_else(super::panicked);
    let Some(route) = matched else { return response };
    let Some(action) = openapi::operation_id(&method, &route) else {
        return response;
    };
    let reads = matches!(method, Method::GET | Method::HEAD);
    let is_told = if reads {
        route.starts_with("/api/recordings/{id}")
    } else {
        !UNTOLD.contains(&action)
    };
    if !is_told {
        return response;
    }
    let actor = actor.name().unwrap_or("nobody");
    let target = target(&route, &path);
    if reads && !app.audited.is_news(actor, &format!("{action} {path}"), app.now()) {
        return response;
    }
    let outcome = match response.extensions().get::<Code>() {
        Some(Code(code)) => (*code).to_owned(),
        None if response.status().is_client_error() || response.status().is_server_error() => {
            response.status().as_u16().to_string()
        }
        None => "ok".to_owned(),
    };
    app.audit(NewAudit {
        actor: actor.to_owned(),
        action: action.to_owned(),
        target,
        address: Some(address.ip.to_string()),
        outcome,
        data: data(&route, &path),
    })
    .await;
    response
}

/// Each part of the path that a route leaves open, with its name.
fn open_parts<'a>(route: &'a str, path: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let parts = route.split('/').zip(path.split('/'));
    parts.filter_map(|(name, value)| Some((name.strip_prefix('{')?.strip_suffix('}')?, value)))
}

/// The first thing that the path names.
fn target(route: &str, path: &str) -> Option<String> {
    open_parts(route, path)
        .find(|(name, _)| *name != "token")
        .map(|(_, value)| value.to_owned())
}

/// All that the path names; tokens are secrets.
fn data(route: &str, path: &str) -> Value {
    let parts = open_parts(route, path).filter(|(name, _)| *name != "token");
    json!(parts.collect::<HashMap<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_named_and_secrets_are_not() {
        let route = "/api/livekit/rooms/{room_name}/participants/{identity}/mute";
        let path = "/api/livekit/rooms/demo/participants/ana/mute";
        assert_eq!(target(route, path).as_deref(), Some("demo"));
        assert_eq!(data(route, path), json!({"room_name": "demo", "identity": "ana"}));
        let route = "/api/users/invitations/{token}/accept";
        assert_eq!(target(route, "/api/users/invitations/s3cret/accept"), None);
        assert_eq!(data(route, "/api/users/invitations/s3cret/accept"), json!({}));
    }

    #[test]
    fn one_access_is_told_once_for_a_while() {
        let audited = Audited::default();
        let now = Arrival::from_millis(1_760_000_000_000);
        assert!(audited.is_news("ana", "file", now));
        assert!(!audited.is_news("ana", "file", now.saturating_add(Duration::from_secs(599))));
        assert!(audited.is_news("ben", "file", now));
        assert!(audited.is_news("ana", "file", now.saturating_add(SAME_ACCESS)));
    }
}
