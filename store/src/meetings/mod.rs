//! Rooms, who may enter them, and the calls that take place in them.
//!
//! | file | |
//! |---|---|
//! | `rooms` | what people make, change and end |
//! | `list` | finding rooms, a page at a time |
//! | `invitations` | links into a room |
//! | `guests` | people without an account, who are known again |
//! | `removals` | who was put out of a call |
//! | `waiting` | people before the door |
//! | `calls` | what the server says took place: webhooks as they come, and what they missed |
//! | `history` | calls as they are shown, and counted by day |
//! | `quality`, `chat` | what belongs to a call |

mod calls;
mod chat;
pub(crate) mod entity;
mod guests;
mod history;
mod invitations;
mod list;
mod quality;
mod removals;
mod rooms;
mod waiting;

#[cfg(test)]
mod door_tests;
#[cfg(test)]
mod memo_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use greffier_media::{ids::RoomName, time::Clock};
use sea_orm::DbErr;

pub use self::{
    calls::{Calls, Observed, ObservedParticipant, Present, Reconciled},
    chat::ChatMessage,
    guests::{Guest, Guests},
    history::{Call, CallParticipant, DayStatistics, Stay},
    invitations::{NewRoomInvitation, RoomInvitation, RoomInvitations},
    list::{RoomFilter, RoomState},
    quality::{Direction, Quality, QualityKind, QualitySample},
    removals::Removed,
    rooms::{CallType, LiveCall, Member, NewRoom, RecordingRule, Room, RoomChange, RoomOptions, RoomRole, Rooms},
    waiting::{Waiting, WaitingRoom, WaitingState},
};
use crate::{AccountError, CallId, DatabaseError, ErrorKind, Memo, RoomInvitationId, UserId, WaitingId};

/// How many are remembered: some hundred bytes each, and as much for each person in a room.
const REMEMBERED: usize = 20_000;

/// What each request asks for that wants to enter a room.
#[derive(Debug)]
pub(crate) struct Memos {
    /// By name, and for whom.
    rooms: Memo<(String, Option<UserId>), Arc<Room>>,
    /// Identities, by room.
    kept_out: Memo<String, Arc<[String]>>,
}

impl Memos {
    pub(crate) fn new(clock: &Arc<dyn Clock>) -> Self {
        Self {
            rooms: Memo::new(Arc::clone(clock), REMEMBERED, |room| {
                1 + room.call.as_ref().map_or(0, |call| call.present.len() as u64)
            }),
            kept_out: Memo::new(Arc::clone(clock), REMEMBERED, |kept_out| 1 + kept_out.len() as u64),
        }
    }
}

/// Why a room or call is not as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeetingError {
    #[error("there is no room {0}")]
    NoRoom(String),
    #[error("`{field}` must be {rule}")]
    Invalid { field: &'static str, rule: &'static str },
    #[error("there is a room {0} already")]
    NameTaken(RoomName),
    #[error("the room has ended")]
    RoomEnded,
    #[error("there is no user {0}")]
    NoUser(UserId),
    #[error("the invitation does not exist, has expired, or has been used up")]
    Invitation,
    #[error("there is no invitation {0}")]
    NoInvitation(RoomInvitationId),
    #[error("nobody waits as {0}")]
    NotWaiting(WaitingId),
    #[error("too many wait already")]
    TooManyWait,
    #[error("there is no call {0}")]
    NoCall(CallId),
    #[error("nobody is in the room")]
    NotLive,
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl MeetingError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoRoom(_)
            | Self::NoUser(_)
            | Self::NoInvitation(_)
            | Self::NotWaiting(_)
            | Self::NoCall(_)
            | Self::Invitation => ErrorKind::NotFound,
            Self::Invalid { .. } => ErrorKind::Invalid,
            Self::NameTaken(_) | Self::RoomEnded | Self::NotLive => ErrorKind::Conflict,
            Self::TooManyWait => ErrorKind::Unavailable,
            Self::Account(error) => error.kind(),
            Self::Database(error) => error.kind(),
        }
    }
}

impl From<DbErr> for MeetingError {
    fn from(error: DbErr) -> Self {
        Self::Database(error.into())
    }
}
