//! `GET /api/recordings/{id}/tracks`

use axum::{Json, extract::State};
use greffier_agent::view::timestamp;
use greffier_media::{codec::MediaKind, ids::RecordingId, journal::TrackSource};
use greffier_store::recordings::Track;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    find,
    schema::{KindName, SourceName},
};
use crate::{
    Principal,
    access::Operation,
    extract::{Id, Page},
    problem::ApiResult,
    services::App,
};

/// A track that was recorded.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TrackView {
    #[schema(example = "TR_AMxyz123")]
    sid: String,
    name: String,
    /// The server's id of the publisher's presence.
    participant: String,
    identity: String,
    participant_name: String,
    #[schema(value_type = SourceName)]
    source: TrackSource,
    #[schema(value_type = KindName)]
    kind: MediaKind,
    #[schema(example = "video/VP8")]
    mime: String,
    packets: u64,
    lost_packets: u64,
    bytes: u64,
    /// When its first packet arrived.
    #[schema(value_type = String, format = DateTime)]
    first_at: Timestamp,
    /// When its last packet arrived.
    #[schema(value_type = String, format = DateTime)]
    last_at: Timestamp,
}

impl From<Track> for TrackView {
    fn from(track: Track) -> Self {
        Self {
            sid: track.sid.into(),
            name: track.name,
            participant: track.participant.into(),
            identity: track.identity.into(),
            participant_name: track.participant_name,
            source: track.source,
            kind: track.kind,
            mime: track.mime,
            packets: track.packets,
            lost_packets: track.lost_packets,
            bytes: track.bytes,
            first_at: timestamp(track.first),
            last_at: timestamp(track.last),
        }
    }
}

/// List a recording's tracks, in the order they began.
#[utoipa::path(
    get, path = "/api/recordings/{id}/tracks", tag = "recordings", operation_id = "list_tracks",
    params(("id" = String, Path, description = "The recording")),
    responses(
        (status = 200, description = "All tracks of which something was kept", body = Page<TrackView>),
        (status = 404, description = "There is no such recording", body = crate::problem::Problem),
    )
)]
pub(super) async fn tracks(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<RecordingId>,
) -> ApiResult<Json<Page<TrackView>>> {
    find(&app, &caller, Operation::SeeRecording, id).await?;
    let tracks = app.services.store.recordings().tracks(id).await?;
    Ok(Json(Page::whole(tracks)))
}
