//! All routes, and what every request passes on its way to one.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderName, HeaderValue, Method, header},
    middleware::from_fn_with_state,
};
use greffier_agent::supervisor::TaskKind;
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer, Predicate as _,
        predicate::{DefaultPredicate, NotForContentType},
    },
    cors::{AllowOrigin, CorsLayer},
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::{ApiConfig, Services, SetupError, layers, meetings, openapi, services::App, v1, web};

/// Those who have not asked for so long are forgotten by the limits.
const TIDY_EVERY: Duration = Duration::from_mins(1);

/// The whole API and the web application, ready to be [served](crate::serve).
///
/// # Errors
/// When the configuration makes no sense, or the secret that links are signed with cannot be read or made.
pub fn router(config: ApiConfig, services: Services) -> Result<Router, SetupError> {
    let app = App::new(config, services)?;
    tidy(&app);
    app.start_pushing();
    app.settle_load_tests();
    meetings::watch::start(&app);
    meetings::recorded::start(&app);
    let (routes, document) = openapi::with_document(v1::routes());
    let docs = SwaggerUi::new("/docs")
        .url("/api/openapi.json", document)
        .config(Config::default().validator_url("none").persist_authorization(true));
    let with = || app.clone();
    // One stack, from the outside in: layers put on a router one by one are each a service of their own, which a request
    // copies with all that are below it.
    let passed = ServiceBuilder::new()
        .layer(from_fn_with_state(with(), layers::find_address))
        .layer(from_fn_with_state(with(), layers::observe))
        .layer(from_fn_with_state(with(), layers::security_headers))
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(cors(&app.config))
        .layer(compression())
        .layer(from_fn_with_state(with(), layers::limit_addresses))
        .layer(from_fn_with_state(with(), layers::within_time))
        .layer(from_fn_with_state(with(), layers::audit))
        .layer(from_fn_with_state(with(), layers::forget_sessions))
        .layer(from_fn_with_state(with(), layers::once))
        .layer(DefaultBodyLimit::max(app.config.limits.body_bytes));
    Ok(routes
        .with_state(app.clone())
        .merge(docs)
        .method_not_allowed_fallback(web::method_not_allowed)
        .fallback(web::fallback)
        .layer(passed))
}

fn tidy(app: &App) {
    let limits = app.clone();
    app.services
        .supervisor
        .spawn(TaskKind::Housekeeping, "limits", |token| async move {
            let mut due = tokio::time::interval(TIDY_EVERY);
            loop {
                tokio::select! {
                    () = token.cancelled() => return Ok::<(), Infallible>(()),
                    _ = due.tick() => limits.limits.tidy(),
                }
            }
        });
}

/// Media are compressed already, and ranges of them are of the bytes as they are.
fn compression() -> CompressionLayer<impl tower_http::compression::Predicate> {
    CompressionLayer::new().compress_when(
        DefaultPredicate::new()
            .and(NotForContentType::const_new("video/"))
            .and(NotForContentType::const_new("audio/"))
            .and(NotForContentType::const_new("application/x-mcap"))
            .and(NotForContentType::const_new("application/vnd.tcpdump.pcap"))
            .and(NotForContentType::const_new("application/octet-stream")),
    )
}

fn cors(config: &ApiConfig) -> CorsLayer {
    let origins = config
        .cors_origins
        .iter()
        .filter_map(|origin| HeaderValue::from_str(origin).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PATCH,
            Method::PUT,
            Method::DELETE,
        ])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::RANGE,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("x-request-id"),
        ])
        .expose_headers([
            header::ETAG,
            header::LOCATION,
            header::CONTENT_RANGE,
            header::RETRY_AFTER,
            HeaderName::from_static("x-request-id"),
        ])
        .max_age(Duration::from_hours(1))
}
