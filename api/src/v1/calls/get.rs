//! `GET /api/calls/{id}`

use std::time::Duration;

use axum::{Json, extract::State};
use greffier_media::ids::RoomName;
use greffier_store::{CallId, recordings::RecordingFilter};

use super::schema::CallView;
use crate::{
    Principal,
    access::{Operation, Target},
    extract::Id,
    problem::ApiResult,
    services::App,
};

/// A recording may be asked for a moment before the server says that the call began.
const BEFORE: Duration = Duration::from_secs(10);

/// Show a call: who was there from when to when, how well media arrived, what was recorded.
#[utoipa::path(
    get, path = "/api/calls/{id}", tag = "calls", operation_id = "get_call",
    params(("id" = String, Path, description = "The call")),
    responses(
        (status = 200, description = "The call", body = CallView),
        (status = 404, description = "There is no such call", body = crate::problem::Problem),
    )
)]
pub(super) async fn get(State(app): State<App>, caller: Principal, Id(id): Id<CallId>) -> ApiResult<Json<CallView>> {
    let call = app.store().calls().get(id).await?;
    let relation = app.relation(&caller, &call.room_name, Some(call.started)).await?;
    caller.must(Operation::SeeHistory, Target::room(&call.room_name, relation))?;
    let mut view = CallView::from(&call);
    if let Ok(room) = RoomName::new(&call.room_name) {
        let filter = RecordingFilter {
            room: Some(room),
            from: Some(call.started.saturating_sub(BEFORE)),
            until: call.ended,
            ..RecordingFilter::default()
        };
        let found = app.store().recordings().list(&filter, None, 100).await?;
        view.recordings = Some(found.items.iter().map(|recording| recording.id.to_string()).collect());
    }
    Ok(Json(view))
}
