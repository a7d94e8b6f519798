//! `GET /api/events`: what happens, for whoever it concerns.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, stream};
use greffier_media::time::Arrival;
use serde_json::json;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Principal,
    access::{Operation, Target},
    auth::Shown,
    bus::{Audience, BusEvent},
    problem::ApiResult,
    services::{App, StreamPermit},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(events))
}

/// A log-in that ended meanwhile is noticed after this, even if nothing happens.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// Follow what happens.
///
/// Server-sent events, each with JSON: `notification` (one is told something), `room.live`, `room.ended` and
/// `room.changed` (of rooms one may see), `waiting` (somebody wants to be let in), `recording` (one began, went on or
/// ended), and `missed`: the listener was too slow and should ask for everything again. The stream ends with the log-in, the key or the token.
#[utoipa::path(
    get, path = "/api/events", tag = "notifications", operation_id = "follow_events",
    responses((status = 200, description = "Events, until somebody hangs up", content_type = "text/event-stream", body = String))
)]
async fn events(
    State(app): State<App>,
    caller: Principal,
    shown: Shown,
) -> ApiResult<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let permit = app.stream_permit(&caller)?;
    let listening = Listening {
        events: app.bus.listen(),
        looked: app.now(),
        shown,
        app,
        caller,
        _permit: permit,
    };
    let events = stream::unfold(listening, |mut listening| async move {
        let event = listening.next().await?;
        Some((Ok(event), listening))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

struct Listening {
    app: App,
    caller: Principal,
    shown: Shown,
    /// When it was looked last whether they may still listen.
    looked: Arrival,
    events: Receiver<BusEvent>,
    _permit: StreamPermit,
}

impl Listening {
    /// The next event that concerns the caller; `None` once their log-in has ended, or the server ends.
    async fn next(&mut self) -> Option<Event> {
        loop {
            let received = tokio::time::timeout(LOOK_EVERY, self.events.recv()).await;
            let (concerns, is_theirs) = match &received {
                Ok(Ok(event)) => (
                    self.concerns(&event.audience).await,
                    self.is_of_their_room(&event.audience),
                ),
                _ => (false, false),
            };
            let now = self.app.now();
            if concerns
                || is_theirs
                || now.saturating_since(self.looked) >= LOOK_EVERY
                || !matches!(received, Ok(Ok(_)))
            {
                if !self.app.goes_on(&self.caller, &self.shown).await {
                    return None;
                }
                self.looked = now;
            }
            match received {
                Ok(Ok(event)) if concerns => {
                    return Event::default().event(&event.kind).json_data(&event.data).ok();
                }
                Ok(Ok(_)) | Err(_) => {}
                Ok(Err(RecvError::Lagged(events))) => {
                    return Event::default()
                        .event("missed")
                        .json_data(json!({ "events": events }))
                        .ok();
                }
                Ok(Err(RecvError::Closed)) => return None,
            }
        }
    }

    /// Whether it is about the room that a guest is in, which they may have been put out of.
    fn is_of_their_room(&self, audience: &Audience) -> bool {
        matches!((&self.caller, audience), (Principal::LiveKit(grants), Audience::Room(room)) if grants.room.as_ref() == Some(room))
    }

    async fn concerns(&self, audience: &Audience) -> bool {
        match audience {
            Audience::Users(users) => self.caller.user_id().is_some_and(|user| users.contains(&user)),
            Audience::Room(room) => match self.app.relation(&self.caller, room, None).await {
                Ok(relation) => self.caller.may(Operation::SeeRoom, Target::room(room, relation)),
                Err(_) => false,
            },
        }
    }
}

#[cfg(test)]
mod tests;
