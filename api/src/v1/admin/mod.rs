//! What concerns the whole installation: for administrators.

mod audit;
mod jobs;
mod overview;
mod rooms;
mod settings;
mod storage;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Principal,
    access::{Operation, Target},
    problem::ApiResult,
    services::App,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(overview::overview))
        .routes(routes!(rooms::rooms))
        .routes(routes!(jobs::jobs))
        .routes(routes!(storage::storage))
        .routes(routes!(audit::audit))
        .routes(routes!(settings::get, settings::change))
}

fn must_administer(caller: &Principal) -> ApiResult<()> {
    caller.must(Operation::Administer, Target::EVERYTHING)
}

#[cfg(test)]
mod tests;
