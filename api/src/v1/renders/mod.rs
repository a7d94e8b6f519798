//! Files made from recordings.

mod cancel;
mod events;
mod get;
mod list;
mod order;
pub(crate) mod schema;

use greffier_media::ids::RenderId;
use greffier_store::renders::Render;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::recordings;
use crate::{Principal, access::Operation, problem::ApiResult, services::App};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(order::order, list::list))
        .routes(routes!(get::get))
        .routes(routes!(cancel::cancel))
        .routes(routes!(events::events))
}

/// The render, if the caller may do this to its recording.
async fn find(app: &App, caller: &Principal, operation: Operation, id: RenderId) -> ApiResult<Render> {
    let render = app.services.store.renders().get(id).await?;
    recordings::find(app, caller, operation, render.recording).await?;
    Ok(render)
}

#[cfg(test)]
mod tests;
