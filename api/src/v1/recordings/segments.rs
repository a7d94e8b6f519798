//! `GET /api/recordings/{id}/segments`

use axum::{Json, extract::State};
use greffier_agent::view::timestamp;
use greffier_media::ids::RecordingId;
use greffier_store::recordings::Segment;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::find;
use crate::{
    Principal,
    access::Operation,
    extract::{Id, Page},
    problem::ApiResult,
    services::App,
};

/// One segment of a recording's journal.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SegmentView {
    /// They count from 0, without holes.
    number: u32,
    /// It gets no more messages.
    sealed: bool,
    bytes: u64,
    /// In lower-case hexadecimal, once it is sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    messages: u64,
    packets: u64,
    lost_packets: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    first_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_at: Option<Timestamp>,
    /// If it was mended after a crash: how many bytes were lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    torn_bytes: Option<u64>,
    /// The data directory has it.
    on_disk: bool,
    /// Since when the object store has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    uploaded_at: Option<Timestamp>,
}

impl From<Segment> for SegmentView {
    fn from(segment: Segment) -> Self {
        Self {
            number: segment.index.0,
            sealed: segment.sealed,
            bytes: segment.bytes,
            sha256: segment.sha256,
            messages: segment.messages,
            packets: segment.packets,
            lost_packets: segment.lost_packets,
            first_at: segment.span.map(|(first, _)| timestamp(first)),
            last_at: segment.span.map(|(_, last)| timestamp(last)),
            torn_bytes: segment.torn.map(|torn| torn.lost_bytes),
            on_disk: segment.on_disk,
            uploaded_at: segment.uploaded.map(timestamp),
        }
    }
}

/// List the segments of a recording's journal, in order.
#[utoipa::path(
    get, path = "/api/recordings/{id}/segments", tag = "recordings", operation_id = "list_segments",
    params(("id" = String, Path, description = "The recording")),
    responses(
        (status = 200, description = "All segments", body = Page<SegmentView>),
        (status = 404, description = "There is no such recording", body = crate::problem::Problem),
    )
)]
pub(super) async fn segments(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<RecordingId>,
) -> ApiResult<Json<Page<SegmentView>>> {
    find(&app, &caller, Operation::SeeRecording, id).await?;
    let segments = app.services.store.recordings().segments(id).await?;
    Ok(Json(Page::whole(segments)))
}
