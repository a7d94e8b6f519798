//! Log-ins and accounts that were changed are looked up anew.

use axum::{
    extract::{Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};

use crate::services::App;

/// Middleware: whatever changes log-ins or accounts makes what was found of them before count no more.
pub(crate) async fn forget_sessions(State(app): State<App>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let path = request.uri().path();
    let changes = !reads
        && ["/api/auth", "/api/me", "/api/users"]
            .iter()
            .any(|prefix| path.starts_with(prefix));
    let response = next.run(request).await;
    if changes {
        app.sessions.forget();
    }
    response
}
