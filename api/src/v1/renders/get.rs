//! `GET /api/renders/{render}`

use axum::{Json, extract::State};
use greffier_agent::view::RenderView;
use greffier_media::ids::RenderId;

use super::{find, schema::RenderSchema};
use crate::{Principal, access::Operation, extract::Id, problem::ApiResult, services::App};

/// Get one render.
#[utoipa::path(
    get, path = "/api/renders/{render}", tag = "renders", operation_id = "get_render",
    params(("render" = String, Path, description = "The render")),
    responses(
        (status = 200, description = "The render", body = RenderSchema),
        (status = 404, description = "There is no such render", body = crate::problem::Problem),
    )
)]
pub(super) async fn get(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<RenderId>,
) -> ApiResult<Json<RenderView>> {
    let render = find(&app, &caller, Operation::SeeRecording, id).await?;
    Ok(Json(RenderView::from(&render)))
}
