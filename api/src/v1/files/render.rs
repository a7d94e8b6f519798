//! `GET /api/recordings/{id}/renders/{render}/files/{name}`

use axum::{
    extract::State,
    http::{HeaderMap, Method},
    response::Response,
};
use greffier_media::ids::{RecordingId, RenderId};
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

/// Read a file that was rendered.
#[utoipa::path(
    get, path = "/api/recordings/{id}/renders/{render}/files/{name}", tag = "files", operation_id = "read_rendered",
    params(
        ("id" = String, Path, description = "The recording"),
        ("render" = String, Path, description = "The render"),
        ("name" = String, Path, description = "The file's name"),
        FileQuery,
    ),
    responses(
        (status = 200, description = "The file", content_type = "application/octet-stream", body = super::Bytes),
        (status = 206, description = "A part of it", content_type = "application/octet-stream", body = super::Bytes),
        (status = 304, description = "It is as it was"),
        (status = 404, description = "There is no such file", body = crate::problem::Problem),
        (status = 412, description = "It is not the file that `If-Match` names", body = crate::problem::Problem),
        (status = 416, description = "There is no such part", body = crate::problem::Problem),
    )
)]
pub(super) async fn render(
    State(app): State<App>,
    LinkOr(caller): LinkOr,
    Id((id, render, name)): Id<(RecordingId, RenderId, String)>,
    Params(query): Params<FileQuery>,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    find(&app, &caller, Operation::ReadFiles, id).await?;
    answer(&app, id, FilePart::Render(render, name), &query, &method, &headers).await
}
