//! Load tests: how many meetings the server carries.

mod follow;
mod worker;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{Html, IntoResponse},
};
use garde::Validate;
use greffier_agent::{
    load::{Machine, Scenario},
    view::timestamp,
};
use greffier_store::{
    LoadTestId,
    loadtests::{LoadTest, LoadTestState},
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Principal,
    access::{Operation, Target},
    extract::{Body, Id, Page, PageQuery, Params, objects},
    loadtests::{Kept, Order},
    problem::{ApiError, ApiResult, Problem},
    services::App,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(start, list))
        .routes(routes!(get))
        .routes(routes!(stop))
        .routes(routes!(report))
        .routes(routes!(result))
        .routes(routes!(junit))
        .routes(routes!(follow::follow))
        .routes(routes!(worker::worker))
}

/// A load test.
#[derive(Debug, Serialize, ToSchema)]
struct LoadTestView {
    #[schema(example = "load_01J8Z6J9W2T4X5Y6Z7A8B9C0D1")]
    id: String,
    state: StateName,
    /// What is played.
    scenario: Value,
    /// Who asked.
    by: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// The verdict, the thresholds, and the figures they are about; `limit` of a search for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    /// There are a report and a result.
    has_report: bool,
}

/// Where a load test stands.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LoadTestState)]
enum StateName {
    Queued,
    Running,
    Finished,
    Failed,
    Stopped,
}

impl From<LoadTest> for LoadTestView {
    fn from(test: LoadTest) -> Self {
        Self {
            id: test.id.to_string(),
            state: match test.state {
                LoadTestState::Queued => StateName::Queued,
                LoadTestState::Running => StateName::Running,
                LoadTestState::Finished => StateName::Finished,
                LoadTestState::Failed => StateName::Failed,
                LoadTestState::Stopped => StateName::Stopped,
            },
            scenario: test.scenario,
            by: test.by,
            created_at: timestamp(test.created).to_string(),
            started_at: test.started.map(|at| timestamp(at).to_string()),
            ended_at: test.ended.map(|at| timestamp(at).to_string()),
            summary: test.end.summary,
            failure: test.end.failure,
            has_report: test.end.report.is_some(),
        }
    }
}

/// A load test to be started.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(as = StartLoadTest)]
#[schema(example = json!({"scenario": "classroom"}))]
struct Start {
    /// A scenario in YAML, or the name of a template.
    #[garde(length(bytes, min = 1, max = 100_000))]
    #[schema(example = "classroom")]
    scenario: String,
    /// Processes that play.
    #[serde(default = "one")]
    #[garde(range(min = 1, max = 16))]
    #[schema(minimum = 1, maximum = 16, default = 1)]
    workers: usize,
    /// A server that is not on this machine may be tested.
    #[serde(default)]
    i_own_this_server: bool,
    /// Add rooms until a threshold fails; the result is of the last number that held.
    #[serde(default)]
    find_limit: bool,
    /// Other machines that play, each with one process; this one then only watches. As many rooms are needed.
    #[serde(default, deserialize_with = "objects")]
    #[garde(length(max = 32))]
    machines: Vec<MachineOrder>,
}

/// Another Greffier, whose configuration says `worker = true` in `[load]`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LoadMachine)]
struct MachineOrder {
    #[schema(value_type = String, example = "https://load-2.example.org")]
    url: Url,
    /// One of its API keys, with the scope `admin`. It is not kept.
    #[schema(value_type = String, write_only)]
    api_key: SecretString,
}

impl From<MachineOrder> for Machine {
    fn from(order: MachineOrder) -> Self {
        Self {
            url: order.url,
            api_key: order.api_key,
        }
    }
}

fn one() -> usize {
    1
}

/// Start a load test.
///
/// It plays against the `LiveKit` server that Greffier belongs to. One runs at a time.
#[utoipa::path(
    post, path = "/api/loadtests", tag = "loadtests", operation_id = "start_load_test",
    request_body = Start,
    responses(
        (status = 201, description = "It runs", body = LoadTestView,
            headers(("location" = String, description = "Where the test is"))),
        (status = 409, description = "One runs already, or the server is not on this machine", body = Problem),
    )
)]
async fn start(State(app): State<App>, caller: Principal, Body(start): Body<Start>) -> ApiResult<impl IntoResponse> {
    caller.must(Operation::Administer, Target::EVERYTHING)?;
    let template = Scenario::templates()
        .find(|(name, _)| *name == start.scenario)
        .map(|(_, text)| text);
    let scenario = Scenario::parse(template.unwrap_or(&start.scenario), "scenario")
        .map_err(|error| ApiError::invalid_field("/scenario", error.to_string()))?;
    let order = Order {
        workers: start.workers,
        i_own_this_server: start.i_own_this_server,
        find_limit: start.find_limit,
        machines: start.machines.into_iter().map(Machine::from).collect(),
    };
    let test = app.start_load_test(scenario, order, &caller.name()).await?;
    let location = [(header::LOCATION, format!("/api/loadtests/{}", test.id))];
    Ok((StatusCode::CREATED, location, Json(LoadTestView::from(test))))
}

/// List load tests, the newest first.
#[utoipa::path(
    get, path = "/api/loadtests", tag = "loadtests", operation_id = "list_load_tests",
    params(PageQuery),
    responses((status = 200, description = "A page of load tests", body = Page<LoadTestView>))
)]
async fn list(
    State(app): State<App>,
    caller: Principal,
    Params(page): Params<PageQuery>,
) -> ApiResult<Json<Page<LoadTestView>>> {
    caller.must(Operation::Administer, Target::EVERYTHING)?;
    let (tests, more) = app.store().load_tests().list(page.cursor()?, page.limit()?).await?;
    let next_cursor = tests.last().filter(|_| more).map(|last| last.id.to_string());
    Ok(Json(Page {
        next_cursor,
        ..Page::whole(tests)
    }))
}

/// Get one load test.
#[utoipa::path(
    get, path = "/api/loadtests/{id}", tag = "loadtests", operation_id = "get_load_test",
    params(("id" = String, Path, description = "The load test")),
    responses(
        (status = 200, description = "The load test", body = LoadTestView),
        (status = 404, description = "There is no such load test", body = Problem),
    )
)]
async fn get(State(app): State<App>, caller: Principal, Id(id): Id<LoadTestId>) -> ApiResult<Json<LoadTestView>> {
    caller.must(Operation::Administer, Target::EVERYTHING)?;
    Ok(Json(app.store().load_tests().get(id).await?.into()))
}

/// End a load test.
///
/// Everybody leaves; what was measured until then is kept.
#[utoipa::path(
    post, path = "/api/loadtests/{id}/stop", tag = "loadtests", operation_id = "stop_load_test",
    params(("id" = String, Path, description = "The load test")),
    responses(
        (status = 202, description = "It ends", body = LoadTestView),
        (status = 404, description = "There is no such load test", body = Problem),
        (status = 409, description = "It does not run", body = Problem),
    )
)]
async fn stop(State(app): State<App>, caller: Principal, Id(id): Id<LoadTestId>) -> ApiResult<impl IntoResponse> {
    caller.must(Operation::Administer, Target::EVERYTHING)?;
    let test = app.store().load_tests().get(id).await?;
    if !app.load_tests.stop(id) {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "load_test_ended",
            "this load test does not run",
        ));
    }
    Ok((StatusCode::ACCEPTED, Json(LoadTestView::from(test))))
}

/// Read a load test's report, a page that needs nothing else.
#[utoipa::path(
    get, path = "/api/loadtests/{id}/report.html", tag = "loadtests", operation_id = "read_load_test_report",
    params(("id" = String, Path, description = "The load test")),
    responses(
        (status = 200, description = "The report", content_type = "text/html", body = String),
        (status = 404, description = "There is no such load test, or it has no report", body = Problem),
    )
)]
async fn report(State(app): State<App>, caller: Principal, Id(id): Id<LoadTestId>) -> ApiResult<Html<String>> {
    caller.must(Operation::Administer, Target::EVERYTHING)?;
    Ok(Html(app.load_test_file(id, Kept::Page).await?))
}

/// Read a load test's whole result, which `greffier load compare` reads too.
#[utoipa::path(
    get, path = "/api/loadtests/{id}/result.json", tag = "loadtests", operation_id = "read_load_test_result",
    params(("id" = String, Path, description = "The load test")),
    responses(
        (status = 200, description = "The result", content_type = "application/json", body = Value),
        (status = 404, description = "There is no such load test, or it has no result", body = Problem),
    )
)]
async fn result(State(app): State<App>, caller: Principal, Id(id): Id<LoadTestId>) -> ApiResult<impl IntoResponse> {
    caller.must(Operation::Administer, Target::EVERYTHING)?;
    let result = app.load_test_file(id, Kept::Result).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], result))
}

/// Read a load test's verdict as a build server reads it.
#[utoipa::path(
    get, path = "/api/loadtests/{id}/junit.xml", tag = "loadtests", operation_id = "read_load_test_junit",
    params(("id" = String, Path, description = "The load test")),
    responses(
        (status = 200, description = "`JUnit` XML", content_type = "application/xml", body = String),
        (status = 404, description = "There is no such load test, or it has no report", body = Problem),
    )
)]
async fn junit(State(app): State<App>, caller: Principal, Id(id): Id<LoadTestId>) -> ApiResult<impl IntoResponse> {
    caller.must(Operation::Administer, Target::EVERYTHING)?;
    let junit = app.load_test_file(id, Kept::Junit).await?;
    Ok(([(header::CONTENT_TYPE, "application/xml")], junit))
}

#[cfg(test)]
mod tests;
