//! `GET /api/admin/overview`

use axum::{Json, extract::State};
use greffier_media::lifecycle::RecordingState;
use greffier_store::{
    jobs::JobState,
    meetings::{RoomFilter, RoomState},
    recordings::RecordingFilter,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::must_administer;
use crate::{Principal, problem::ApiResult, services::App};

/// The installation at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OverviewView {
    rooms_live: u64,
    participants_now: u64,
    recordings_running: u64,
    recordings_total: u64,
    jobs_queued: u64,
    jobs_running: u64,
    jobs_failed: u64,
    users: u64,
    /// Journals and renders on this disk.
    bytes_used: u64,
    /// On the disk of the data directory.
    bytes_free: u64,
    /// Since the process was started.
    uptime_seconds: u64,
    version: &'static str,
    livekit_reachable: bool,
}

/// Show the installation at a glance.
#[utoipa::path(
    get, path = "/api/admin/overview", tag = "administration", operation_id = "get_overview",
    responses((status = 200, description = "The installation", body = OverviewView))
)]
pub(super) async fn overview(State(app): State<App>, caller: Principal) -> ApiResult<Json<OverviewView>> {
    must_administer(&caller)?;
    let store = app.store();
    let used = store.recordings().storage_used().await?;
    let running = RecordingFilter {
        states: vec![
            RecordingState::Requested,
            RecordingState::Joining,
            RecordingState::Capturing,
            RecordingState::Sealing,
        ],
        ..RecordingFilter::default()
    };
    let running = store.recordings().list(&running, None, 1).await?.total;
    let jobs = store.jobs().count_by_state().await?;
    let of = |state: JobState| jobs.get(&state).copied().unwrap_or_default();
    let live = RoomFilter {
        state: Some(RoomState::Live),
        ..RoomFilter::default()
    };
    let (rooms, _) = store.rooms().list(&live, None, 10_000).await?;
    let present = rooms
        .iter()
        .filter_map(|room| room.call.as_ref())
        .map(|call| call.present.len() as u64);
    Ok(Json(OverviewView {
        rooms_live: rooms.len() as u64,
        participants_now: present.sum(),
        recordings_running: running,
        recordings_total: used.recordings,
        jobs_queued: of(JobState::Queued),
        jobs_running: of(JobState::Running),
        jobs_failed: of(JobState::Failed),
        users: store.users().count().await?,
        bytes_used: used.journals_on_disk + used.renders_on_disk,
        bytes_free: store.disk_space()?.available,
        uptime_seconds: app.uptime().as_secs(),
        version: env!("CARGO_PKG_VERSION"),
        livekit_reachable: app.services.livekit.rooms(Vec::new()).await.is_ok(),
    }))
}
