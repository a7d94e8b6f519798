//! `GET /api/admin/storage`

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::must_administer;
use crate::{Principal, problem::ApiResult, services::App};

/// How many of the largest recordings are named.
const LARGEST: u64 = 20;

/// What is kept, in bytes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StorageView {
    /// The disk of the data directory.
    total_bytes: u64,
    free_bytes: u64,
    /// No recording begins when less than this is free.
    floor_bytes: u64,
    journals_bytes: u64,
    renders_bytes: u64,
    /// In the object store.
    uploaded_bytes: u64,
    /// The largest journals.
    recordings: Vec<LargeRecordingView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LargeRecordingView {
    id: String,
    room: String,
    bytes: u64,
}

/// Show what is kept.
#[utoipa::path(
    get, path = "/api/admin/storage", tag = "administration", operation_id = "get_storage",
    responses((status = 200, description = "What is kept", body = StorageView))
)]
pub(super) async fn storage(State(app): State<App>, caller: Principal) -> ApiResult<Json<StorageView>> {
    must_administer(&caller)?;
    let used = app.store().recordings().storage_used().await?;
    let space = app.store().disk_space()?;
    let largest = app.store().recordings().largest(LARGEST).await?;
    Ok(Json(StorageView {
        total_bytes: space.total,
        free_bytes: space.available,
        floor_bytes: space.floor,
        journals_bytes: used.journals_on_disk,
        renders_bytes: used.renders_on_disk,
        uploaded_bytes: used.uploaded,
        recordings: largest
            .into_iter()
            .map(|recording| LargeRecordingView {
                id: recording.id.to_string(),
                room: recording.room.to_string(),
                bytes: recording.bytes,
            })
            .collect(),
    }))
}
