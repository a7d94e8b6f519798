//! Names of the API's metrics.

/// Counter: requests, by `method`, `route` and `status`.
pub(crate) const REQUESTS: &str = "greffier_http_requests_total";
/// Histogram, in seconds: until an answer's headers were ready, by `method` and `route`.
pub(crate) const DURATION: &str = "greffier_http_request_duration_seconds";
/// Counter: keys, tokens, links and passwords that were wrong.
pub(crate) const AUTH_FAILURES: &str = "greffier_http_auth_failures_total";
/// Counter: `LiveKit`'s webhooks, by `event`; `refused` for those that were not its.
pub(crate) const WEBHOOKS: &str = "greffier_livekit_webhooks_total";
/// Gauge: event streams that are open.
pub(crate) const EVENT_STREAMS: &str = "greffier_http_event_streams";
