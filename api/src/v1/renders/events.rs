//! `GET /api/renders/{render}/events`

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, stream};
use greffier_agent::view::RenderView;
use greffier_media::ids::RenderId;
use greffier_store::renders::Render;
use tokio::time::MissedTickBehavior;

use super::find;
use crate::{
    Principal,
    access::Operation,
    auth::Shown,
    extract::Id,
    problem::ApiResult,
    services::{App, StreamPermit},
};

/// How often the row is looked at: the child's progress is written there about once a second.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Follow a render.
///
/// Server-sent events: `progress` whenever it got further, and `end` once, each with the render as JSON; then the stream
/// ends.
#[utoipa::path(
    get, path = "/api/renders/{render}/events", tag = "renders", operation_id = "follow_render",
    params(("render" = String, Path, description = "The render")),
    responses(
        (status = 200, description = "Events, until it ends", content_type = "text/event-stream", body = String),
        (status = 404, description = "There is no such render", body = crate::problem::Problem),
    )
)]
pub(super) async fn events(
    State(app): State<App>,
    caller: Principal,
    shown: Shown,
    Id(id): Id<RenderId>,
) -> ApiResult<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    find(&app, &caller, Operation::SeeRecording, id).await?;
    let permit = app.stream_permit(&caller)?;
    let following = Following::new(app, caller, shown, id, permit);
    Ok(Sse::new(follow(following)).keep_alive(KeepAlive::default()))
}

/// What a stream remembers between looks.
struct Following {
    app: App,
    caller: Principal,
    shown: Shown,
    id: RenderId,
    look: tokio::time::Interval,
    told: Option<Render>,
    ended: bool,
    _permit: StreamPermit,
}

fn follow(following: Following) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(following, |mut following| async move {
        let event = following.next().await?;
        Some((Ok(event), following))
    })
}

impl Following {
    fn new(app: App, caller: Principal, shown: Shown, id: RenderId, permit: StreamPermit) -> Self {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            app,
            caller,
            shown,
            id,
            look,
            told: None,
            ended: false,
            _permit: permit,
        }
    }

    async fn next(&mut self) -> Option<Event> {
        if self.ended {
            return None;
        }
        loop {
            self.look.tick().await;
            let render = match self.app.services.store.renders().get(self.id).await {
                Ok(render) => render,
                // It was deleted, or the database is away: whoever follows asks again and is told.
                Err(error) => {
                    tracing::debug!(render = %self.id, %error, "no longer followed");
                    return None;
                }
            };
            if self.told.as_ref() == Some(&render) {
                continue;
            }
            if !self.app.goes_on(&self.caller, &self.shown).await {
                return None;
            }
            self.ended = render.state.is_final();
            let event = Event::default()
                .event(if self.ended { "end" } else { "progress" })
                .json_data(RenderView::from(&render));
            self.told = Some(render);
            return event.ok();
        }
    }
}
