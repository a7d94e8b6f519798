//! People before the door.

use axum::{Json, extract::State, http::StatusCode};
use greffier_agent::view::timestamp;
use greffier_store::{
    WaitingId,
    meetings::{Waiting, WaitingState},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Principal,
    access::Operation,
    extract::{Id, Page, Params},
    meetings::{polled, tell},
    problem::ApiResult,
    services::App,
    v1::rooms::find,
};

/// Somebody who waits to be let in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WaitingView {
    id: String,
    name: String,
    #[schema(format = DateTime)]
    since: String,
}

impl From<&Waiting> for WaitingView {
    fn from(waiting: &Waiting) -> Self {
        Self {
            id: waiting.id.to_string(),
            name: waiting.name.clone(),
            since: timestamp(waiting.asked).to_string(),
        }
    }
}

/// List who waits, in the order they asked.
#[utoipa::path(
    get, path = "/api/livekit/rooms/{room_name}/waiting", tag = "invitations", operation_id = "list_waiting",
    params(("room_name" = String, Path, description = "The room")),
    responses(
        (status = 200, description = "Who waits", body = Page<WaitingView>),
        (status = 404, description = "There is no such room", body = crate::problem::Problem),
    )
)]
pub(super) async fn list(
    State(app): State<App>,
    caller: Principal,
    Id(name): Id<String>,
) -> ApiResult<Json<Page<WaitingView>>> {
    let room = find(&app, &caller, Operation::Moderate, &name).await?;
    let waiting = app.store().waiting_room().list(room.id).await?;
    Ok(Json(Page {
        items: waiting.iter().map(WaitingView::from).collect(),
        next_cursor: None,
    }))
}

/// Let somebody in.
#[utoipa::path(
    post, path = "/api/livekit/rooms/{room_name}/waiting/{waiting_id}/admit", tag = "invitations",
    operation_id = "admit",
    params(
        ("room_name" = String, Path, description = "The room"),
        ("waiting_id" = String, Path, description = "Who waits"),
    ),
    responses(
        (status = 204, description = "They come in when they ask next"),
        (status = 404, description = "Nobody waits so", body = crate::problem::Problem),
    )
)]
pub(super) async fn admit(
    State(app): State<App>,
    caller: Principal,
    Id((name, id)): Id<(String, WaitingId)>,
) -> ApiResult<StatusCode> {
    decide(&app, &caller, &name, id, true).await
}

/// Do not let somebody in.
#[utoipa::path(
    post, path = "/api/livekit/rooms/{room_name}/waiting/{waiting_id}/deny", tag = "invitations",
    operation_id = "deny",
    params(
        ("room_name" = String, Path, description = "The room"),
        ("waiting_id" = String, Path, description = "Who waits"),
    ),
    responses(
        (status = 204, description = "They are told when they ask next"),
        (status = 404, description = "Nobody waits so", body = crate::problem::Problem),
    )
)]
pub(super) async fn deny(
    State(app): State<App>,
    caller: Principal,
    Id((name, id)): Id<(String, WaitingId)>,
) -> ApiResult<StatusCode> {
    decide(&app, &caller, &name, id, false).await
}

async fn decide(app: &App, caller: &Principal, name: &str, id: WaitingId, admit: bool) -> ApiResult<StatusCode> {
    let room = find(app, caller, Operation::Moderate, name).await?;
    app.store()
        .waiting_room()
        .decide(room.id, id, admit, &caller.name())
        .await?;
    tell::waiting_changed(app, name);
    Ok(StatusCode::NO_CONTENT)
}

/// How many came in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AdmittedView {
    admitted: u64,
}

/// Let everybody in who waits.
#[utoipa::path(
    post, path = "/api/livekit/rooms/{room_name}/waiting/admit-all", tag = "invitations", operation_id = "admit_all",
    params(("room_name" = String, Path, description = "The room")),
    responses(
        (status = 200, description = "How many", body = AdmittedView),
        (status = 404, description = "There is no such room", body = crate::problem::Problem),
    )
)]
pub(super) async fn admit_all(
    State(app): State<App>,
    caller: Principal,
    Id(name): Id<String>,
) -> ApiResult<Json<AdmittedView>> {
    let room = find(&app, &caller, Operation::Moderate, &name).await?;
    let admitted = app.store().waiting_room().admit_all(room.id, &caller.name()).await?;
    tell::waiting_changed(&app, &name);
    Ok(Json(AdmittedView { admitted }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Secret {
    /// From the answer to joining.
    secret: String,
}

/// Where whoever waits stands.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum PollStatus {
    Waiting,
    Admitted,
    Denied,
}

/// What was decided; once admitted, with what a client needs to connect.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"status": "waiting"}))]
pub(super) struct PollView {
    status: PollStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<String>,
}

/// Ask what was decided. Who does not ask for a minute has gone.
#[utoipa::path(
    get, path = "/api/waiting/{waiting_id}", tag = "invitations", operation_id = "poll_waiting",
    params(("waiting_id" = String, Path, description = "Who waits"), Secret),
    security(()),
    responses(
        (status = 200, description = "What was decided", body = PollView),
        (status = 404, description = "Nobody waits so", body = crate::problem::Problem),
        (status = 409, description = "The room has ended", body = crate::problem::Problem),
    )
)]
pub(super) async fn poll(
    State(app): State<App>,
    Id(id): Id<WaitingId>,
    Params(Secret { secret }): Params<Secret>,
) -> ApiResult<Json<PollView>> {
    let (state, admission) = polled(&app, id, &secret).await?;
    let (mut token, mut url, mut identity, mut room) = (None, None, None, None);
    if let Some(admission) = admission {
        token = Some(admission.token);
        url = Some(admission.url);
        identity = Some(admission.identity);
        room = Some(admission.room);
    }
    let status = match state {
        WaitingState::Waiting => PollStatus::Waiting,
        WaitingState::Admitted => PollStatus::Admitted,
        WaitingState::Denied => PollStatus::Denied,
    };
    Ok(Json(PollView {
        status,
        token,
        url,
        identity,
        room,
    }))
}
