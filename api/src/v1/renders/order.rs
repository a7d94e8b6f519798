//! `POST /api/recordings/{id}/renders`

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use garde::Validate;
use greffier_agent::view::RenderView;
use greffier_media::{ids::RecordingId, render::RenderRequest};
use serde::Deserialize;

use super::schema::{RenderRequestSchema, RenderSchema};
use crate::{
    Principal,
    access::Operation,
    extract::{Body, Id},
    problem::ApiResult,
    services::App,
    v1::recordings::find,
};

/// Its rules are its own: [`RenderRequest::validate`].
#[derive(Debug, Deserialize, Validate)]
#[serde(transparent)]
#[garde(allow_unvalidated)]
pub(super) struct Order(RenderRequest);

/// Have files made from a sealed recording.
///
/// It answers at once; `…/events` tells how far it is.
#[utoipa::path(
    post, path = "/api/recordings/{id}/renders", tag = "renders", operation_id = "order_render",
    params(("id" = String, Path, description = "The recording")),
    request_body = RenderRequestSchema,
    responses(
        (status = 202, description = "It is queued", body = RenderSchema,
            headers(("location" = String, description = "Where the render is"))),
        (status = 404, description = "There is no such recording", body = crate::problem::Problem),
        (status = 409, description = "The recording is not sealed yet", body = crate::problem::Problem),
    )
)]
pub(super) async fn order(
    State(app): State<App>,
    caller: Principal,
    Id(id): Id<RecordingId>,
    Body(Order(request)): Body<Order>,
) -> ApiResult<impl IntoResponse> {
    find(&app, &caller, Operation::Render, id).await?;
    let render = app.services.renders.order(id, &request).await?;
    let location = [(header::LOCATION, format!("/api/renders/{}", render.id))];
    Ok((StatusCode::ACCEPTED, location, Json(RenderView::from(&render))))
}
