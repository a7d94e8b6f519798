//! `GET /api/recordings/{id}/segments/{number}/file`

use axum::{
    extract::State,
    http::{HeaderMap, Method},
    response::Response,
};
use greffier_media::ids::{RecordingId, SegmentIndex};
use greffier_store::files::FilePart;

use super::{FileQuery, answer};
use crate::{
    access::Operation,
    auth::LinkOr,
    extract::{Id, Params},
    problem::ApiResult,
    services::App,
    v1::recordings::find,
};

/// Read a sealed segment of the journal (MCAP).
#[utoipa::path(
    get, path = "/api/recordings/{id}/segments/{number}/file", tag = "files", operation_id = "read_segment",
    params(
        ("id" = String, Path, description = "The recording"),
        ("number" = u32, Path, description = "The segment's number"),
        FileQuery,
    ),
    responses(
        (status = 200, description = "The file", content_type = "application/x-mcap", body = super::Bytes),
        (status = 206, description = "A part of it", content_type = "application/x-mcap", body = super::Bytes),
        (status = 304, description = "It is as it was"),
        (status = 404, description = "There is no such recording or sealed segment", body = crate::problem::Problem),
        (status = 412, description = "It is not the file that `If-Match` names", body = crate::problem::Problem),
        (status = 416, description = "There is no such part", body = crate::problem::Problem),
    )
)]
pub(super) async fn segment(
    State(app): State<App>,
    LinkOr(caller): LinkOr,
    Id((id, number)): Id<(RecordingId, u32)>,
    Params(query): Params<FileQuery>,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    find(&app, &caller, Operation::ReadFiles, id).await?;
    answer(
        &app,
        id,
        FilePart::Segment(SegmentIndex(number)),
        &query,
        &method,
        &headers,
    )
    .await
}
