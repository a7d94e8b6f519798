//! What happens, for whoever listens now: event streams, and pushes. Whoever was away asks the API when they are back.

use greffier_store::UserId;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::broadcast;

/// Events that wait for a slow listener; one that falls behind further misses some, and is told so.
const WAITING: usize = 1024;

/// Who an event is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Audience {
    Users(Vec<UserId>),
    /// Everybody who may see this room; administrators may.
    Room(String),
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct BusEvent {
    #[serde(skip)]
    pub audience: Audience,
    /// `notification`, `room.live`, `room.ended`, `room.changed`, `waiting`, `recording` …
    pub kind: String,
    pub data: Value,
}

/// Carries events from whoever causes them to whoever listens.
#[derive(Debug, Clone)]
pub(crate) struct Bus(broadcast::Sender<BusEvent>);

impl Default for Bus {
    fn default() -> Self {
        Self(broadcast::Sender::new(WAITING))
    }
}

impl Bus {
    pub(crate) fn tell(&self, audience: Audience, kind: &str, data: Value) {
        // Nobody may be listening.
        let _ = self.0.send(BusEvent {
            audience,
            kind: kind.to_owned(),
            data,
        });
    }

    pub(crate) fn listen(&self) -> broadcast::Receiver<BusEvent> {
        self.0.subscribe()
    }
}
