//! `GET /api/recordings/{id}/files`

use axum::{Json, extract::State};
use greffier_media::{
    ids::{RecordingId, RenderId},
    time::Clock as _,
};
use greffier_store::files::{FilePart, StoredFile};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Principal,
    access::Operation,
    extract::{Id, Page},
    problem::ApiResult,
    services::App,
    v1::recordings::find,
};

/// A finished file.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PartView {
    part: PartName,
    /// The segment's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    segment: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    render: Option<RenderId>,
    name: String,
    #[schema(example = "video/webm")]
    media_type: String,
    bytes: u64,
    /// In lower-case hexadecimal; also its `ETag`.
    sha256: String,
    /// Where it is; works for a while without a header.
    url: String,
}

/// What a file is part of.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum PartName {
    Segment,
    Render,
}

impl PartView {
    fn new(file: StoredFile, key: &str) -> Self {
        let url = super::url(file.recording, &file.part, key);
        let (part, segment, render, name) = match file.part {
            FilePart::Segment(index) => (PartName::Segment, Some(index.0), None, file.name),
            FilePart::Render(render, name) => (PartName::Render, None, Some(render), name),
        };
        Self {
            part,
            segment,
            render,
            name,
            media_type: file.media_type,
            bytes: file.bytes,
            sha256: file.sha256,
            url,
        }
    }
}

/// List a recording's finished files: its segments in order, then what was rendered.
#[utoipa::path(
    get, path = "/api/recordings/{id}/files", tag = "files", operation_id = "list_files",
    params(("id" = String, Path, description = "The recording")),
    responses(
        (status = 200, description = "All its finished files", body = Page<PartView>),
        (status = 404, description = "There is no such recording", body = crate::problem::Problem),
    )
)]
pub(super) async fn list(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<RecordingId>,
) -> ApiResult<Json<Page<PartView>>> {
    find(&app, &caller, Operation::ReadFiles, id).await?;
    let key = app.links.sign(id, app.services.clock.now());
    let files = app.services.store.files().list(id).await?;
    let files = files.into_iter().map(|file| PartView::new(file, &key)).collect();
    Ok(Json(Page::whole::<PartView>(files)))
}
