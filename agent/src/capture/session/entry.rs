//! Into the room: at first, after a restart, and again after an outage.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use greffier_media::journal::event::StopReason;
use greffier_media::time::Clock;
use livekit::prelude::{self as lk, RoomEvent as SdkEvent, RoomOptions};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::layers::Layers;
use super::outage::Outage;
use super::{Command, JoinError, Session, Stay};
use crate::livekit::{BotGrants, Joined, LiveKitError, Presence};
use crate::supervisor::{Supervisor, TaskKind};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Between attempts to join at first; the server that asked us in may be a moment ahead of itself.
const JOIN_ATTEMPTS: u32 = 5;
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);
const RETRY_AFTER: Duration = Duration::from_millis(500);
const RETRY_AFTER_AT_MOST: Duration = Duration::from_secs(3);

/// A connection to the room. Dropped, it is ended: a bot that nobody listens with must not stay in the room.
pub(super) struct Seat {
    pub room: Arc<Joined>,
    supervisor: Supervisor,
    left: bool,
}

/// What a connection begins with.
struct Connection {
    seat: Seat,
    events: mpsc::UnboundedReceiver<SdkEvent>,
    sid: lk::RoomSid,
}

impl Session {
    pub(super) async fn join_first(
        &self,
        commands: &mut mpsc::Receiver<Command>,
        token: &CancellationToken,
    ) -> Result<Stay, JoinError> {
        tokio::select! {
            biased;
            reason = told_to_end(commands, token) => Err(cancelled_by(reason)),
            joined = self.join() => joined,
        }
    }

    /// Tries again to join a room that the process before this one never reached, if it is still there: joining a room
    /// that has ended would make another one.
    pub(super) async fn join_after_restart(
        &self,
        commands: &mut mpsc::Receiver<Command>,
        token: &CancellationToken,
    ) -> Result<Stay, JoinError> {
        let find_and_join = async {
            self.find_room().await?;
            self.join().await
        };
        tokio::select! {
            biased;
            reason = told_to_end(commands, token) => Err(cancelled_by(reason)),
            joined = find_and_join => joined,
        }
    }

    /// Waits for a server that is down; one that answers tells whether there is such a room.
    async fn find_room(&self) -> Result<(), LiveKitError> {
        let began = self.clock.now();
        let name = self.room_name();
        let mut server_was_down = false;
        loop {
            let is_over = self.clock.now().saturating_since(began) >= self.rejoin_window;
            match self.livekit.presence(name.as_str()).await {
                Ok(Presence::People | Presence::Nobody) => return Ok(()),
                // A server that was restarted knows its rooms once people are back.
                Ok(Presence::NoRoom) if is_over || !server_was_down => {
                    let what = format!("room {name}");
                    return Err(LiveKitError::NotFound { what });
                }
                Ok(Presence::NoRoom) => {}
                Err(error) if is_over => return Err(error),
                Err(error) => {
                    server_was_down = true;
                    tracing::warn!(%error, "the server does not answer");
                }
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    async fn join(&self) -> Result<Stay, JoinError> {
        let mut attempt = 1;
        loop {
            match self.connect(None).await {
                Ok(stay) => return Ok(stay),
                Err(error) if attempt >= JOIN_ATTEMPTS => return Err(error),
                Err(error) => tracing::warn!(attempt, %error, "joining failed, trying again"),
            }
            attempt += 1;
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    async fn connect(&self, after: Option<&Outage>) -> Result<Stay, JoinError> {
        let Connection { seat, events, sid } = self.connection().await?;
        let stay = Stay {
            seat,
            events,
            tracks: HashMap::new(),
            layers: Layers::default(),
        };
        if let Some(outage) = after {
            let now = self.clock.now();
            self.mark(now, outage.gap(now));
        }
        self.entered(&stay, &sid);
        Ok(stay)
    }

    /// Connects in a task of its own. Whoever waits for it may be told to end meanwhile; the SDK has no way to stop half-way
    /// that leaves nothing behind, so what comes of it then is ended as soon as it is there.
    async fn connection(&self) -> Result<Connection, JoinError> {
        let name = self.room_name();
        let jwt = self
            .livekit
            .bot_token(name.as_str(), self.identity.as_str(), "Greffier", BotGrants::Recorder)?;
        let mut options = RoomOptions::default();
        options.auto_subscribe = false;
        options.adaptive_stream = false;
        options.dynacast = false;
        options.connect_timeout = CONNECT_TIMEOUT;
        let url = self.livekit.websocket_url();
        let supervisor = self.supervisor.clone();
        let connect = async move {
            let (room, events) = Joined::join(&url, &jwt, options)
                .await
                .map_err(|error| JoinError::Connect(error.to_string()))?;
            let seat = Seat {
                room: Arc::new(room),
                supervisor,
                left: false,
            };
            let sid = seat.room.sid().await;
            Ok(Connection { seat, events, sid })
        };
        let (tell, told) = oneshot::channel();
        self.supervisor
            .spawn(TaskKind::RecordingHelper, "connect", |token| async move {
                tokio::select! {
                    biased;
                    // The connection ends with the process.
                    () = token.cancelled() => {}
                    // If nobody waits any more, dropping it ends it.
                    made = connect => drop(tell.send(made)),
                }
                Ok::<(), std::convert::Infallible>(())
            });
        told.await.map_err(|_| JoinError::Shutdown)?
    }

    /// Waits for the room to be there again, and joins it. A room that the server does not know any more has ended; but
    /// a server that has just been restarted knows none of its rooms until somebody comes back, so if it was seen to be
    /// down, that is waited for.
    pub(super) async fn come_back(
        &self,
        commands: &mut mpsc::Receiver<Command>,
        token: &CancellationToken,
        outage: Outage,
    ) -> Result<Stay, StopReason> {
        tokio::select! {
            biased;
            reason = told_to_end(commands, token) => Err(reason),
            back = self.find_way_back(outage) => back,
        }
    }

    async fn find_way_back(&self, mut outage: Outage) -> Result<Stay, StopReason> {
        let began = self.clock.now();
        let mut wait = Duration::ZERO;
        let name = self.room_name();
        while self.clock.now().saturating_since(began) < self.rejoin_window {
            tokio::time::sleep(wait).await;
            wait = (wait * 3 / 2).clamp(RETRY_AFTER, RETRY_AFTER_AT_MOST);
            match self.livekit.presence(name.as_str()).await {
                Ok(Presence::People) => match self.connect(Some(&outage)).await {
                    Ok(stay) => return Ok(stay),
                    Err(error) => tracing::warn!(%error, "the room is there, joining it failed"),
                },
                Ok(seen) => {
                    if let Some(reason) = outage.nobody_there(seen, self.clock.now()) {
                        return Err(reason);
                    }
                    tracing::debug!(?seen, "nobody is in the room yet");
                }
                Err(error) => {
                    outage.server_was_down();
                    tracing::warn!(%error, "the server does not answer");
                }
            }
        }
        Err(outage.in_the_end())
    }
}

/// Waits to be told to end, while there is no room to listen to. There is nothing to pause then, and whoever asks for that is
/// told so.
async fn told_to_end(commands: &mut mpsc::Receiver<Command>, token: &CancellationToken) -> StopReason {
    loop {
        tokio::select! {
            biased;
            () = token.cancelled() => return StopReason::Shutdown,
            command = commands.recv() => match command {
                Some(Command::Stop(reason)) => return reason,
                Some(Command::SetPaused { done, .. }) => drop(done),
                None => return StopReason::Requested,
            },
        }
    }
}

fn cancelled_by(reason: StopReason) -> JoinError {
    match reason {
        StopReason::Shutdown => JoinError::Shutdown,
        StopReason::DiskFull => JoinError::DiskFull,
        _ => JoinError::Cancelled,
    }
}

impl Stay {
    /// Who is there, us apart.
    pub(super) fn room(&self) -> &lk::Room {
        &self.seat.room
    }

    /// The server learns that we left; whether it answers changes nothing.
    pub(super) async fn leave(mut self) {
        self.seat.left = true;
        leave(&self.seat.room).await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.left {
            let room = Arc::clone(&self.room);
            self.supervisor
                .spawn(TaskKind::RecordingHelper, "leave", |_| async move {
                    leave(&room).await;
                    Ok::<(), std::convert::Infallible>(())
                });
        }
    }
}

async fn leave(room: &Joined) {
    match tokio::time::timeout(LEAVE_TIMEOUT, room.leave()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "leaving failed"),
        Err(_) => tracing::debug!("leaving took too long"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn while_out_of_the_room_one_can_be_told_to_end_and_not_to_pause() {
        let (tell, mut told) = mpsc::channel(2);
        let (done, answer) = oneshot::channel();
        let pause = Command::SetPaused {
            paused: true,
            by: None,
            done,
        };
        tell.send(pause).await.expect("room for two");
        tell.send(Command::Stop(StopReason::MaxDuration))
            .await
            .expect("room for two");
        let token = CancellationToken::new();
        assert_eq!(told_to_end(&mut told, &token).await, StopReason::MaxDuration);
        assert!(answer.await.is_err(), "it is not paused, and says so");
        token.cancel();
        assert_eq!(told_to_end(&mut told, &token).await, StopReason::Shutdown);
    }
}
