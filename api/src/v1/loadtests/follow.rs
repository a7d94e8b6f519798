//! `GET /api/loadtests/{id}/events`

use std::convert::Infallible;

use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, stream};
use greffier_agent::load::{Progress, measure::Times};
use greffier_store::LoadTestId;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::LoadTestView;
use crate::{
    Principal,
    access::{Operation, Target},
    auth::Shown,
    extract::Id,
    loadtests::Seen,
    problem::{ApiResult, Problem},
    services::{App, StreamPermit},
};

/// Follow a load test.
///
/// Server-sent events, each with JSON: `preparing`, `tick` (the newest second, of how many), `steps` (those of a search for
/// the limit that have ended), `ending`, and `end` with the load test as it stays; then the stream ends.
#[utoipa::path(
    get, path = "/api/loadtests/{id}/events", tag = "loadtests", operation_id = "follow_load_test",
    params(("id" = String, Path, description = "The load test")),
    responses(
        (status = 200, description = "Events, until it ends", content_type = "text/event-stream", body = String),
        (status = 404, description = "There is no such load test", body = Problem),
    )
)]
pub(super) async fn follow(
    State(app): State<App>,
    caller: Principal,
    shown: Shown,
    Id(id): Id<LoadTestId>,
) -> ApiResult<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    caller.must(Operation::Administer, Target::EVERYTHING)?;
    app.store().load_tests().get(id).await?;
    let permit = app.stream_permit(&caller)?;
    let seen = app.load_tests.seen(id);
    let following = Following {
        app,
        caller,
        shown,
        id,
        seen,
        is_first: true,
        told: 0,
        ended: false,
        _permit: permit,
    };
    let events = stream::unfold(following, |mut following| async move {
        let event = following.next().await?;
        Some((Ok(event), following))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

struct Following {
    app: App,
    caller: Principal,
    shown: Shown,
    id: LoadTestId,
    /// `None` once it does not run.
    seen: Option<watch::Receiver<Seen>>,
    is_first: bool,
    /// How many steps of a search have been told.
    told: usize,
    ended: bool,
    _permit: StreamPermit,
}

impl Following {
    async fn next(&mut self) -> Option<Event> {
        if self.ended || !self.app.goes_on(&self.caller, &self.shown).await {
            return None;
        }
        while let Some(seen) = &mut self.seen {
            if !std::mem::take(&mut self.is_first) && seen.changed().await.is_err() {
                self.seen = None;
                break;
            }
            let now = seen.borrow_and_update().clone();
            if now.steps.len() > self.told {
                self.told = now.steps.len();
                return Event::default().event("steps").json_data(&*now.steps).ok();
            }
            if let Some((kind, data)) = described(&now.progress) {
                return Event::default().event(kind).json_data(data).ok();
            }
        }
        if std::mem::replace(&mut self.ended, true) {
            return None;
        }
        let test = self.app.store().load_tests().get(self.id).await.ok()?;
        Event::default().event("end").json_data(LoadTestView::from(test)).ok()
    }
}

/// `None` if it is nothing to be told: the end is, once the row says so.
fn described(progress: &Progress) -> Option<(&'static str, Value)> {
    match progress {
        Progress::Preparing => Some(("preparing", json!({}))),
        Progress::Running { tick, seconds } => {
            let data = json!({
                "second": tick.second, "seconds": seconds, "participants": tick.participants, "tracks": tick.tracks,
                "received": tick.received, "lost": tick.lost, "bytes": tick.bytes, "sent": tick.sent,
                "freezes": tick.freezes, "joins": tick.joins,
                "audio_latency": latency(&tick.audio_latency), "video_latency": latency(&tick.video_latency),
                "tester": tick.tester,
            });
            Some(("tick", data))
        }
        Progress::Ending => Some(("ending", json!({}))),
        Progress::Ended => None,
    }
}

/// Milliseconds.
fn latency(times: &Times) -> Value {
    json!({ "p50": times.quantile_ms(0.5), "p95": times.quantile_ms(0.95) })
}
