//! News of recordings, for those they concern: whoever made them happen, a person, a rule or a crash.

use std::{collections::HashMap, convert::Infallible, time::Duration};

use greffier_agent::supervisor::TaskKind;
use greffier_media::{ids::RecordingId, lifecycle::RecordingState};
use greffier_store::{MeetingError, RecordingError, recordings::Recording};
use serde_json::json;
use tokio::time::MissedTickBehavior;

use super::tell;
use crate::{bus::Audience, problem::ApiResult, services::App};

/// How often the rows of what goes on are looked at: they are few.
const EVERY: Duration = Duration::from_secs(1);

/// What was told of a recording last.
type Told = HashMap<RecordingId, (&'static str, bool)>;

/// Follows recordings, for as long as the process runs.
pub(crate) fn start(app: &App) {
    let app = app.clone();
    let supervisor = app.services.supervisor.clone();
    supervisor.spawn(TaskKind::Housekeeping, "recordings", |token| async move {
        let mut due = tokio::time::interval(EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told: Option<Told> = None;
        loop {
            tokio::select! {
                () = token.cancelled() => return Ok::<(), Infallible>(()),
                _ = due.tick() => {}
            }
            match look(&app, told.as_ref()).await {
                Ok(now) => told = Some(now),
                Err(error) => tracing::debug!(code = error.code(), "recordings cannot be followed; trying again"),
            }
        }
    });
}

/// Tells what changed since; nothing at the first look, since nobody knows what was before.
async fn look(app: &App, told: Option<&Told>) -> ApiResult<Told> {
    let unfinished = app.store().recordings().unfinished().await?;
    let mut now = Told::new();
    for recording in &unfinished {
        let state = (recording.state.name(), recording.paused);
        now.insert(recording.id, state);
        if told.is_some_and(|told| told.get(&recording.id) != Some(&state)) {
            changed(app, recording);
        }
    }
    let ended = told
        .into_iter()
        .flatten()
        .map(|(id, _)| *id)
        .filter(|id| !now.contains_key(id));
    for id in ended {
        match app.store().recordings().get(id).await {
            Ok(recording) => {
                changed(app, &recording);
                people(app, &recording).await?;
            }
            // It was deleted in the same second.
            Err(RecordingError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(now)
}

fn changed(app: &App, recording: &Recording) {
    let data = json!({
        "id": recording.id, "room": recording.room, "state": recording.state.name(), "paused": recording.paused,
    });
    app.bus
        .tell(Audience::Room(recording.room.to_string()), "recording", data);
}

/// Those whom the room belongs to are told that they can watch it; moderators, that there is nothing to watch.
async fn people(app: &App, recording: &Recording) -> ApiResult<()> {
    let (kind, everybody) = match recording.state {
        RecordingState::Sealed if recording.packets > 0 => ("recording_ready", true),
        RecordingState::Failed(_) => ("recording_failed", false),
        _ => return Ok(()),
    };
    let room = match app.store().rooms().get(recording.room.as_str(), None).await {
        Ok(room) => room,
        // It was never made here, so it belongs to nobody.
        Err(MeetingError::NoRoom(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let users: Vec<_> = app
        .store()
        .rooms()
        .members(room.id)
        .await?
        .into_iter()
        .filter(|member| everybody || member.role.moderates())
        .map(|member| member.user.id)
        .collect();
    let data = json!({ "recording": recording.id, "room": room.name, "title": room.title });
    tell::people(app, &users, kind, &data).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use greffier_media::lifecycle::RecordingStep;

    use super::*;
    use crate::testing::Api;

    #[tokio::test]
    async fn what_changes_is_told_once() {
        let api = Api::new().await;
        let app = App::new(crate::ApiConfig::default(), api.services.clone()).unwrap();
        let mut events = app.bus.listen();
        let id = api.requested("demo").await.id;
        let told = look(&app, None).await.unwrap();
        assert!(events.try_recv().is_err(), "what was before is no news");
        api.advance(id, RecordingStep::Join).await;
        let told = look(&app, Some(&told)).await.unwrap();
        let event = events.try_recv().unwrap();
        assert_eq!(
            (event.kind.as_str(), &event.data["state"]),
            ("recording", &json!("joining"))
        );
        let told = look(&app, Some(&told)).await.unwrap();
        assert!(events.try_recv().is_err(), "nothing changed");
        api.advance(
            id,
            RecordingStep::Fail(greffier_media::lifecycle::RecordingFailure::Refused),
        )
        .await;
        look(&app, Some(&told)).await.unwrap();
        assert_eq!(events.try_recv().unwrap().data["state"], "failed");
    }
}
