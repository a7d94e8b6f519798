//! Calls as the server tells of them. A webhook is believed at once; what webhooks missed is found by asking the server
//! itself, so that calls are true again within seconds of either side's restart.

use std::{convert::Infallible, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use greffier_agent::{
    livekit::{LiveKitError, LiveRoom, is_person},
    recorder::{RecorderError, StartRecording},
    supervisor::TaskKind,
};
use greffier_media::{ids::RoomSid, time::Arrival};
use greffier_store::{
    MeetingError, RecordingError,
    meetings::{Observed, ObservedParticipant, RecordingRule, Room},
    recordings::{Limits, RecordingFilter, RecordingName, RecordingRequest},
};
use livekit_protocol::{ParticipantInfo, WebhookEvent};
use serde_json::json;

use super::{door, presence, tell};
use crate::{bus::Audience, problem::ApiResult, services::App};

/// How often the server is asked what is there, and who is in each of its rooms: calls are true again within ten seconds,
/// whatever was not told.
const EVERY: Duration = Duration::from_secs(5);
/// Rooms that are asked for at a time.
const AT_A_TIME: usize = 8;

/// Asks the server now and then, for as long as the process runs.
pub(crate) fn start(app: &App) {
    let watched = app.clone();
    app.services
        .supervisor
        .spawn(TaskKind::Reconcile, "calls", |token| async move {
            let mut due = tokio::time::interval(EVERY);
            due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = token.cancelled() => return Ok::<(), Infallible>(()),
                    _ = due.tick() => {}
                }
                if let Err(error) = reconcile(&watched).await {
                    tracing::debug!(
                        code = error.code(),
                        "calls could not be compared with the server; trying again soon"
                    );
                }
            }
        });
}

/// Makes calls what the server says is there now.
pub(crate) async fn reconcile(app: &App) -> ApiResult<()> {
    // What is asked for now is true of now at the earliest.
    let at = app.now();
    let rooms = app.services.livekit.rooms(Vec::new()).await?;
    let asked = rooms.into_iter().map(|room| observed(app, room));
    let all: Vec<(Observed, Vec<ObservedParticipant>)> =
        stream::iter(asked).buffer_unordered(AT_A_TIME).try_collect().await?;
    let (all, people): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    let found = app.store().calls().observe(&all, at).await?;
    if found.corrected > 0 {
        tracing::info!(corrected = found.corrected, "people came or went unnoticed");
    }
    for room in &found.ended {
        app.bus
            .tell(Audience::Room(room.clone()), "room.ended", json!({ "room": room }));
    }
    for (observed, people) in all.iter().zip(&people) {
        look_at(app, &observed.room, people).await?;
        let has_people = observed.participants.as_ref().is_some_and(|people| !people.is_empty());
        if found.started.contains(&observed.room) || (has_people && found.corrected > 0) {
            began(
                app,
                &observed.room,
                &observed.sid,
                found.started.contains(&observed.room),
            )
            .await;
        }
    }
    Ok(())
}

/// Puts out who came in while nobody was told, and may not be there.
async fn look_at(app: &App, room: &str, people: &[ObservedParticipant]) -> ApiResult<()> {
    if people.is_empty() {
        return Ok(());
    }
    let call = match app.store().calls().live(room).await {
        Ok(call) => call,
        Err(MeetingError::NotLive) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for person in people {
        door::turn_away(app, room, call, person).await;
    }
    Ok(())
}

/// A room with everybody who is seen in it, and those of them who are people.
async fn observed(app: &App, room: LiveRoom) -> ApiResult<(Observed, Vec<ObservedParticipant>)> {
    let (participants, people) = match app.services.livekit.participants(&room.name).await {
        Ok(there) => {
            let seen = || there.iter().filter(|one| presence::is_seen(one));
            let named = |one: &ParticipantInfo| presence::observed(one, app.now());
            let people = seen().filter(|one| is_person(one)).map(named).collect();
            (Some(seen().map(named).collect()), people)
        }
        // It ended since it was listed.
        Err(LiveKitError::NotFound { .. }) => (None, Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let observed = Observed {
        started: presence::began(room.created),
        room: room.name,
        sid: room.sid,
        participants,
    };
    Ok((observed, people))
}

/// Takes what the server tells. That it cannot be kept is in the log; asking the server mends it.
pub(crate) async fn told(app: &App, event: &WebhookEvent) {
    let Some(room) = &event.room else { return };
    if room.sid.is_empty() {
        return;
    }
    let at = match u64::try_from(event.created_at) {
        Ok(seconds @ 1..) => Arrival::from_millis(seconds.saturating_mul(1000)),
        _ => app.now(),
    };
    let calls = app.store().calls();
    let seen = event
        .participant
        .as_ref()
        .filter(|one| presence::is_seen(one))
        .map(|one| presence::observed(one, at));
    let taken = match (event.event.as_str(), seen) {
        ("room_started", _) => {
            let started = Arrival::from_millis(u64::try_from(room.creation_time_ms).unwrap_or_default());
            let started = if room.creation_time_ms > 0 { started } else { at };
            calls.room_started(&room.name, &room.sid, started).await.map(drop)
        }
        ("participant_joined", Some(participant)) => {
            let joined = calls.participant_joined(&room.name, &room.sid, &participant).await;
            if let Ok((call, is_news)) = joined {
                let is_person = event.participant.as_ref().is_some_and(is_person);
                let is_out = is_person && door::turn_away(app, &room.name, call, &participant).await;
                if is_news && !is_out {
                    began(app, &room.name, &room.sid, true).await;
                }
            }
            joined.map(drop)
        }
        ("participant_left", Some(participant)) => {
            let left = calls.participant_left(&room.name, &room.sid, &participant, at).await;
            changed(app, &room.name);
            left.map(drop)
        }
        ("room_finished", _) => {
            let ended = calls.room_finished(&room.name, &room.sid, at).await;
            if matches!(ended, Ok(true)) {
                app.bus.tell(
                    Audience::Room(room.name.clone()),
                    "room.ended",
                    json!({ "room": room.name }),
                );
            }
            ended.map(drop)
        }
        _ => Ok(()),
    };
    if let Err(error) = taken {
        tracing::error!(%error, event = event.event, room = room.name, "what the server tells could not be kept");
    }
}

fn changed(app: &App, room: &str) {
    app.bus
        .tell(Audience::Room(room.to_owned()), "room.live", json!({ "room": room }));
}

/// Somebody is in a room: those it belongs to are told if they are the first, and it is recorded if it is to be.
async fn began(app: &App, room: &str, sid: &str, is_news: bool) {
    changed(app, room);
    let room = match app.store().rooms().get(room, None).await {
        Ok(room) => room,
        // Nobody made it here.
        Err(MeetingError::NoRoom(_)) => return,
        Err(error) => {
            tracing::error!(%error, room, "the room cannot be read");
            return;
        }
    };
    let Some(call) = &room.call else { return };
    if is_news && call.present.len() == 1 {
        tell::room_began(app, &room).await;
    }
    if room.options.recording == RecordingRule::Auto
        && let Err(error) = record(app, &room, sid, call.started).await
    {
        tracing::error!(room = %room.name, code = error.code(), "the room could not be recorded as it wants");
    }
}

/// Records a session of a room, once: who ends that wants it ended.
async fn record(app: &App, room: &Room, sid: &str, since: Arrival) -> ApiResult<()> {
    let sid = RoomSid::new(sid)?;
    let filter = RecordingFilter {
        room: Some(room.name.clone()),
        from: Some(since.saturating_sub(Duration::from_mins(1))),
        ..RecordingFilter::default()
    };
    let before = app.store().recordings().list(&filter, None, 50).await?;
    let same =
        |recording: &greffier_store::recordings::Recording| recording.room_sid.as_ref().is_none_or(|own| *own == sid);
    if before.items.iter().any(same) {
        return Ok(());
    }
    let recorder = &app.services.recorder;
    let start = StartRecording {
        room: room.name.clone(),
        room_sid: Some(sid),
        name: RecordingName::default(),
        request: RecordingRequest {
            requested_by: room.owner.as_ref().map(|(owner, _)| owner.to_string()),
            limits: Limits {
                max_duration: None,
                empty_timeout: Some(recorder.config().empty_timeout),
            },
            ..RecordingRequest::default()
        },
        labels: [("title".to_owned(), room.title.clone())].into(),
    };
    match recorder.start(start).await {
        Ok(_) | Err(RecorderError::Recording(RecordingError::AlreadyLive(_))) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
