//! A part in another machine's load test: what is told over a `WebSocket` is played by a process of ours.

use std::pin::pin;

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use greffier_agent::{
    load::{
        Helper,
        helper::{ALIVE_EVERY, MISSED_AT_MOST},
    },
    supervisor::TaskKind,
};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{Place, failed};
use crate::{
    problem::{ApiError, ApiResult},
    services::App,
};

/// The right to play a part, and what is needed for it.
pub(crate) struct Helping {
    app: App,
    helper: Helper,
    place: Place,
}

/// Orders are few and short; whoever sends more than are taken is not of ours.
const ORDERS: usize = 64;
const WORDS: usize = 16;

impl App {
    /// Lets another machine have participants played here, if the configuration does, and nothing else is played.
    pub(crate) fn help_load_test(&self) -> ApiResult<Helping> {
        let config = &self.services.load;
        if !config.worker {
            let detail = "this server does not play for other machines' load tests: set `worker = true` in `[load]` of its \
                          configuration";
            return Err(ApiError::new(
                axum::http::StatusCode::CONFLICT,
                "no_load_worker",
                detail,
            ));
        }
        Ok(Helping {
            helper: Helper {
                config: config.clone(),
                program: std::env::current_exe().map_err(|error| failed(&error))?,
                clips: self.store().data().root().join("clips"),
            },
            place: self.load_tests.take()?,
            app: self.clone(),
        })
    }
}

impl Helping {
    /// Plays what the other end tells.
    pub(crate) fn play(self, socket: WebSocket) {
        let supervisor = self.app.services.supervisor.clone();
        supervisor.spawn(TaskKind::Participant, "load-helper", |token| async move {
            carry(&self.helper, socket, token).await;
            drop(self.place);
            Ok::<(), std::convert::Infallible>(())
        });
    }
}

/// Carries lines there and back. The other end is gone when it hangs up, and when it has not been heard for a while: then
/// nobody is told anything any more, and the part ends in order.
async fn carry(helper: &Helper, mut socket: WebSocket, token: CancellationToken) {
    let (tell, told) = mpsc::channel(ORDERS);
    let (say, mut said) = mpsc::channel(WORDS);
    let mut helping = pin!(helper.help(told, say, token));
    let mut alive = interval(ALIVE_EVERY);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut missed = 0;
    let mut tell = Some(tell);
    loop {
        let is_there = tokio::select! {
            () = &mut helping => break,
            Some(line) = said.recv() => socket.send(Message::text(line)).await.is_ok(),
            message = socket.recv(), if tell.is_some() => {
                missed = 0;
                match (message, &tell) {
                    (Some(Ok(Message::Text(line))), Some(tell)) => tell.try_send(line.to_string()).is_ok(),
                    (Some(Ok(Message::Close(_)) | Err(_)) | None, _) => false,
                    _ => true,
                }
            }
            _ = alive.tick(), if tell.is_some() => {
                missed += 1;
                missed <= MISSED_AT_MOST && socket.send(Message::Ping(Bytes::new())).await.is_ok()
            }
        };
        if !is_there {
            tell = None;
        }
    }
    while let Ok(line) = said.try_recv() {
        if socket.send(Message::text(line)).await.is_err() {
            break;
        }
    }
    // It may be closed already.
    drop(socket.send(Message::Close(None)).await);
}
