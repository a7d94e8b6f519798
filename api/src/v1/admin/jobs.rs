//! `GET /api/admin/jobs`

use axum::{Json, extract::State};
use greffier_agent::view::timestamp;
use greffier_store::jobs::{Job, JobState};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::must_administer;
use crate::{
    Principal,
    extract::{Page, PageQuery, Params, given},
    problem::ApiResult,
    services::App,
};

/// Where a job stands.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = JobState)]
pub(super) enum JobStateName {
    Queued,
    Running,
    Done,
    Failed,
    Cancelled,
}

/// Work that is done in the background.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JobView {
    id: String,
    #[schema(example = "render.copy")]
    kind: String,
    state: JobStateName,
    attempts: u32,
    /// 0 to 1.
    progress: f64,
    /// Why it failed, last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    ended_at: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<JobStateName>)]
    state: Option<JobStateName>,
}

impl From<&Job> for JobView {
    fn from(job: &Job) -> Self {
        Self {
            id: job.id.to_string(),
            kind: job.kind.clone(),
            state: match job.state {
                JobState::Queued => JobStateName::Queued,
                JobState::Running => JobStateName::Running,
                JobState::Done => JobStateName::Done,
                JobState::Failed => JobStateName::Failed,
                JobState::Cancelled => JobStateName::Cancelled,
            },
            attempts: job.attempts,
            progress: job.progress,
            error: job.failure.clone(),
            created_at: timestamp(job.created).to_string(),
            ended_at: job.ended.map(|at| timestamp(at).to_string()),
        }
    }
}

/// List jobs, the newest first.
#[utoipa::path(
    get, path = "/api/admin/jobs", tag = "administration", operation_id = "list_jobs",
    params(Filter, PageQuery),
    responses((status = 200, description = "A page of jobs", body = Page<JobView>))
)]
pub(super) async fn jobs(
    State(app): State<App>,
    caller: Principal,
    Params(filter): Params<Filter>,
    Params(page): Params<PageQuery>,
) -> ApiResult<Json<Page<JobView>>> {
    must_administer(&caller)?;
    let state = filter.state.map(|state| match state {
        JobStateName::Queued => JobState::Queued,
        JobStateName::Running => JobState::Running,
        JobStateName::Done => JobState::Done,
        JobStateName::Failed => JobState::Failed,
        JobStateName::Cancelled => JobState::Cancelled,
    });
    let (jobs, more) = app.store().jobs().list(state, page.cursor()?, page.limit()?).await?;
    Ok(Json(Page {
        next_cursor: jobs.last().filter(|_| more).map(|last| last.id.to_string()),
        items: jobs.iter().map(JobView::from).collect(),
    }))
}
