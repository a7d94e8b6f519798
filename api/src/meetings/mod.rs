//! Meetings: who comes in and how, what moderators do, and what the server tells.
//!
//! | file | |
//! |---|---|
//! | `entry` | coming in: by membership, by invitation, through the waiting room |
//! | `presence` | who is in a room, by the server itself or by what was told last |
//! | `door` | putting out again who has come in and may not be there |
//! | `seat` | the token that lets somebody in, and what it allows |
//! | `moderation` | what moderators do to those who are in, through the server |
//! | `watch` | calls as the server tells of them: webhooks, and what they missed |
//! | `recorded` | news of recordings |
//! | `tell` | news for people: notifications and events |

mod door;
mod entry;
pub(crate) mod moderation;
pub(crate) mod presence;
pub(crate) mod recorded;
mod seat;
pub(crate) mod tell;
pub(crate) mod watch;

pub(crate) use entry::{Entry, Knock, enter, has_place, not_locked, not_put_out, polled, was_there};
pub(crate) use seat::{Admission, LIFETIME, Seat, admit, prepare};
