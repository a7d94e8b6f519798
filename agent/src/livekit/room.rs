//! Being in a room, and leaving it so that nothing of it stays behind.
//!
//! In the SDK (livekit 0.10) a participant and its publications hold each other, and the room's connection with them; only the
//! news that the participant has gone parts them. Whoever leaves while others stay, or is put out with them, would keep all
//! of it in memory for good. So everybody is said to have gone before we go ourselves.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use livekit::prelude::{ConnectionState, Room, RoomError, RoomEvent, RoomOptions};
use tokio::sync::mpsc::UnboundedReceiver;

use super::signalling::Company;

/// The SDK forgets everybody in milliseconds; a task that is late by this much is not worth waiting for.
const FAREWELL_TIMEOUT: Duration = Duration::from_millis(500);

/// A room that we are in.
pub struct Joined {
    room: Room,
    company: Arc<Company>,
}

impl Joined {
    /// Joins; the receiver tells what happens in the room.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses the token.
    pub async fn join(
        url: &str,
        token: &str,
        options: RoomOptions,
    ) -> Result<(Self, UnboundedReceiver<RoomEvent>), RoomError> {
        let company = Company::of(url, token);
        let (room, events) = Room::connect(url, token, options).await?;
        Ok((Self { room, company }, events))
    }

    /// Leaves. Whoever still listens to the room's events sees everybody else go first.
    ///
    /// # Errors
    /// When it was left before.
    pub async fn leave(&self) -> Result<(), RoomError> {
        let in_company = || !self.room.remote_participants().is_empty();
        if in_company() && self.room.connection_state() == ConnectionState::Connected {
            let mut events = self.room.subscribe();
            self.company.say_farewell();
            let parted = async { while in_company() && events.recv().await.is_some() {} };
            if tokio::time::timeout(FAREWELL_TIMEOUT, parted).await.is_err() {
                tracing::debug!(room = self.room.name(), "the SDK has not forgotten everybody");
            }
        }
        self.room.close().await
    }
}

impl Deref for Joined {
    type Target = Room;

    fn deref(&self) -> &Room {
        &self.room
    }
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.room.fmt(f)
    }
}
