//! `GET /readyz`

use axum::{Json, extract::State, http::StatusCode};
use greffier_store::recordings::RecordingFilter;
use serde::Serialize;
use utoipa::ToSchema;

use crate::services::App;

/// What is needed, and whether it is there.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Readiness {
    /// Requests can be answered.
    ready: bool,
    database: Check,
    /// There is room for recordings. Without it everything but recording works.
    disk: Check,
    /// The `LiveKit` server answers. Without it everything but what happens in rooms works.
    livekit: Check,
    /// Recordings that run now.
    recordings_running: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Check {
    Ok,
    Failing,
}

impl Check {
    fn of(holds: bool) -> Self {
        if holds { Self::Ok } else { Self::Failing }
    }
}

/// Whether requests can be answered.
#[utoipa::path(
    get, path = "/readyz", tag = "server", operation_id = "ready", security(()),
    responses(
        (status = 200, description = "They can", body = Readiness),
        (status = 503, description = "The database does not answer", body = Readiness),
    )
)]
pub(super) async fn ready(State(app): State<App>) -> (StatusCode, Json<Readiness>) {
    let services = &app.services;
    let nothing = RecordingFilter::default();
    let recordings = services.store.recordings();
    let database = async { recordings.list(&nothing, None, 1).await.is_ok() };
    // A name that nobody gives a room: the answer is short.
    let livekit = async { services.livekit.rooms(vec!["\u{1}".to_owned()]).await.is_ok() };
    let (database, livekit) = tokio::join!(database, livekit);
    let readiness = Readiness {
        ready: database,
        database: Check::of(database),
        disk: Check::of(
            services
                .store
                .disk_space()
                .is_ok_and(greffier_store::DiskSpace::is_enough),
        ),
        livekit: Check::of(livekit),
        recordings_running: services.recorder.running(),
    };
    let status = if database {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(readiness))
}
