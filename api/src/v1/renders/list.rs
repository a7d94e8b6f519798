//! `GET /api/recordings/{id}/renders`

use axum::{Json, extract::State};
use greffier_agent::view::RenderView;
use greffier_media::ids::RecordingId;

use super::schema::RenderSchema;
use crate::{
    Principal,
    access::Operation,
    extract::{Id, Page},
    problem::ApiResult,
    services::App,
    v1::recordings::find,
};

/// List a recording's renders, in the order they were asked for.
#[utoipa::path(
    get, path = "/api/recordings/{id}/renders", tag = "renders", operation_id = "list_renders",
    params(("id" = String, Path, description = "The recording")),
    responses(
        (status = 200, description = "All its renders", body = Page<RenderSchema>),
        (status = 404, description = "There is no such recording", body = crate::problem::Problem),
    )
)]
pub(super) async fn list(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<RecordingId>,
) -> ApiResult<Json<Page<RenderView>>> {
    find(&app, &caller, Operation::SeeRecording, id).await?;
    let renders = app.services.store.renders().list(id).await?;
    Ok(Json(Page::whole(renders.iter().map(RenderView::from).collect())))
}
