//! Who asks, once it is known.

use std::{collections::BTreeSet, sync::Arc};

use greffier_media::ids::RecordingId;
use greffier_store::{
    SessionId, UserId,
    accounts::{User, UserRole},
};

use crate::config::Scope;

/// Who asks, and what they showed for it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Principal {
    /// A person with an account.
    User {
        user: Arc<User>,
        /// Their log-in; `None` if another application vouches for them.
        session: Option<SessionId>,
    },
    /// A machine.
    Key {
        name: String,
        scopes: BTreeSet<Scope>,
        /// Whose key it is: it may do no more than they. `None`: the operator's.
        user: Option<Arc<User>>,
    },
    /// Whoever holds a token for the `LiveKit` server.
    LiveKit(LiveKitGrants),
    /// Whoever holds a link to one recording's files.
    Link(RecordingId),
}

/// What of a `LiveKit` token's grants matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent grants, as the token lists them"
)]
pub struct LiveKitGrants {
    pub identity: String,
    /// The one room it is for; `None`: it names none.
    pub room: Option<String>,
    pub room_record: bool,
    pub room_admin: bool,
    pub room_join: bool,
    pub room_create: bool,
    pub room_list: bool,
}

impl Principal {
    /// For logs, and for what they asked for: `usr_01J…`, `key:ci`, `livekit:ana`.
    pub fn name(&self) -> String {
        match self {
            Self::User { user, .. } => user.id.to_string(),
            Self::Key { name, .. } => format!("key:{name}"),
            Self::LiveKit(grants) => format!("livekit:{}", grants.identity),
            Self::Link(recording) => format!("link:{recording}"),
        }
    }

    /// Whose account it is that asks, by themselves or by a key of theirs.
    pub fn user(&self) -> Option<&Arc<User>> {
        match self {
            Self::User { user, .. } => Some(user),
            Self::Key { user, .. } => user.as_ref(),
            Self::LiveKit(_) | Self::Link(_) => None,
        }
    }

    pub fn user_id(&self) -> Option<UserId> {
        self.user().map(|user| user.id)
    }

    /// The log-in that asks.
    pub fn session(&self) -> Option<SessionId> {
        match self {
            Self::User { session, .. } => *session,
            _ => None,
        }
    }

    /// A person who administers the installation; not a key of theirs.
    pub fn is_admin(&self) -> bool {
        matches!(self, Self::User { user, .. } if user.role == UserRole::Admin)
    }
}
