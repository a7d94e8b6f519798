//! `POST /api/renders/{render}/cancel`

use axum::{Json, extract::State};
use greffier_agent::view::RenderView;
use greffier_media::ids::RenderId;

use super::{find, schema::RenderSchema};
use crate::{Principal, access::Operation, extract::Id, problem::ApiResult, services::App};

/// End a render.
///
/// One that waits ends at once, one that runs within seconds.
#[utoipa::path(
    post, path = "/api/renders/{render}/cancel", tag = "renders", operation_id = "cancel_render",
    params(("render" = String, Path, description = "The render")),
    responses(
        (status = 200, description = "It ends", body = RenderSchema),
        (status = 404, description = "There is no such render", body = crate::problem::Problem),
        (status = 409, description = "It has ended", body = crate::problem::Problem),
    )
)]
pub(super) async fn cancel(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<RenderId>,
) -> ApiResult<Json<RenderView>> {
    find(&app, &caller, Operation::Render, id).await?;
    let render = app.services.renders.cancel(id).await?;
    Ok(Json(RenderView::from(&render)))
}
