//! Recording a room, and what was recorded of it.

use axum::{Json, extract::State, http::StatusCode};
use greffier_agent::{
    recorder::{RecorderError, StartRecording},
    view::RecordingView,
};
use greffier_media::journal::event::StopReason;
use greffier_store::{
    RecordingError,
    meetings::RecordingRule,
    recordings::{Limits, Recording, RecordingFilter, RecordingName, RecordingRequest},
};

use super::{find, running};
use crate::{
    Principal,
    access::Operation,
    extract::{Id, Page, PageQuery, Params},
    problem::{ApiError, ApiResult},
    services::App,
    v1::recordings::{control::set_paused, schema::RecordingSchema},
};

/// Record the room. If it is being recorded already, that recording is answered with 200.
#[utoipa::path(
    post, path = "/api/livekit/rooms/{room_name}/recording/start", tag = "rooms", operation_id = "start_room_recording",
    params(("room_name" = String, Path, description = "The room")),
    responses(
        (status = 201, description = "The bot is on its way", body = RecordingSchema),
        (status = 200, description = "It runs already", body = RecordingSchema),
        (status = 404, description = "There is no such room", body = crate::problem::Problem),
        (status = 409, description = "The room is never to be recorded", body = crate::problem::Problem),
        (status = 507, description = "The disk is nearly full", body = crate::problem::Problem),
    )
)]
pub(super) async fn start(
    State(app): State<App>,
    caller: Principal,
    Id(name): Id<String>,
) -> ApiResult<(StatusCode, Json<RecordingView>)> {
    let room = find(&app, &caller, Operation::Record, &name).await?;
    if room.options.recording == RecordingRule::Never {
        let detail = "this room is never to be recorded; its owner can change that";
        return Err(ApiError::new(StatusCode::CONFLICT, "never_recorded", detail));
    }
    let recorder = &app.services.recorder;
    let start = StartRecording {
        room: room.name.clone(),
        room_sid: None,
        name: RecordingName::default(),
        request: RecordingRequest {
            requested_by: Some(caller.name()),
            limits: Limits {
                max_duration: None,
                empty_timeout: Some(recorder.config().empty_timeout),
            },
            ..RecordingRequest::default()
        },
        labels: [("title".to_owned(), room.title.clone())].into(),
    };
    match recorder.start(start).await {
        Ok(recording) => Ok((StatusCode::CREATED, Json(RecordingView::from(&recording)))),
        Err(RecorderError::Recording(RecordingError::AlreadyLive(id))) => {
            let recording = app.store().recordings().get(id).await?;
            Ok((StatusCode::OK, Json(RecordingView::from(&recording))))
        }
        Err(error) => Err(error.into()),
    }
}

/// Keep nothing of the room until it goes on.
#[utoipa::path(
    post, path = "/api/livekit/rooms/{room_name}/recording/pause", tag = "rooms", operation_id = "pause_room_recording",
    params(("room_name" = String, Path, description = "The room")),
    responses(
        (status = 200, description = "The recording", body = RecordingSchema),
        (status = 404, description = "There is no such room", body = crate::problem::Problem),
        (status = 409, description = "Nothing is being recorded", body = crate::problem::Problem),
    )
)]
pub(super) async fn pause(
    State(app): State<App>,
    caller: Principal,
    Id(name): Id<String>,
) -> ApiResult<Json<RecordingView>> {
    let recording = recorded(&app, &caller, &name).await?;
    set_paused(&app, &caller, recording.id, true).await
}

/// Go on recording.
#[utoipa::path(
    post, path = "/api/livekit/rooms/{room_name}/recording/resume", tag = "rooms", operation_id = "resume_room_recording",
    params(("room_name" = String, Path, description = "The room")),
    responses(
        (status = 200, description = "The recording", body = RecordingSchema),
        (status = 404, description = "There is no such room", body = crate::problem::Problem),
        (status = 409, description = "Nothing is being recorded", body = crate::problem::Problem),
    )
)]
pub(super) async fn resume(
    State(app): State<App>,
    caller: Principal,
    Id(name): Id<String>,
) -> ApiResult<Json<RecordingView>> {
    let recording = recorded(&app, &caller, &name).await?;
    set_paused(&app, &caller, recording.id, false).await
}

/// Stop recording; it is complete at once.
#[utoipa::path(
    post, path = "/api/livekit/rooms/{room_name}/recording/stop", tag = "rooms", operation_id = "stop_room_recording",
    params(("room_name" = String, Path, description = "The room")),
    responses(
        (status = 200, description = "The recording", body = RecordingSchema),
        (status = 404, description = "There is no such room", body = crate::problem::Problem),
        (status = 409, description = "Nothing is being recorded", body = crate::problem::Problem),
    )
)]
pub(super) async fn stop(
    State(app): State<App>,
    caller: Principal,
    Id(name): Id<String>,
) -> ApiResult<Json<RecordingView>> {
    let recording = recorded(&app, &caller, &name).await?;
    let recording = app.services.recorder.stop(recording.id, StopReason::Requested).await?;
    Ok(Json(RecordingView::from(&recording)))
}

async fn recorded(app: &App, caller: &Principal, name: &str) -> ApiResult<Recording> {
    let room = find(app, caller, Operation::Record, name).await?;
    let nothing = || ApiError::new(StatusCode::CONFLICT, "not_capturing", "nothing is being recorded");
    running(app, &room).await?.ok_or_else(nothing)
}

/// List what was recorded of the room, the newest first.
#[utoipa::path(
    get, path = "/api/livekit/rooms/{room_name}/recordings", tag = "rooms", operation_id = "list_room_recordings",
    params(("room_name" = String, Path, description = "The room"), PageQuery),
    responses(
        (status = 200, description = "A page of recordings", body = Page<RecordingSchema>),
        (status = 404, description = "There is no such room", body = crate::problem::Problem),
    )
)]
pub(super) async fn list(
    State(app): State<App>,
    caller: Principal,
    Id(name): Id<String>,
    Params(page): Params<PageQuery>,
) -> ApiResult<Json<Page<RecordingView>>> {
    let room = find(&app, &caller, Operation::SeeRecording, &name).await?;
    let filter = RecordingFilter {
        room: Some(room.name.clone()),
        // Whoever only was there once sees what was recorded then.
        visible_to: caller.user_id().filter(|_| room.role.is_none() && !caller.is_admin()),
        ..RecordingFilter::default()
    };
    let found = app
        .store()
        .recordings()
        .list(&filter, page.cursor()?, page.limit()?)
        .await?;
    let next_cursor = found
        .items
        .last()
        .filter(|_| found.more)
        .map(|last| last.id.to_string());
    Ok(Json(Page {
        items: found.items.iter().map(RecordingView::from).collect(),
        next_cursor,
    }))
}
