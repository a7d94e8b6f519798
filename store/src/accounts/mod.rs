//! People: who they are, how they prove it, and what machines may do for them.
//!
//! | file | |
//! |---|---|
//! | `users` | accounts: made by set-up, by invitation, or for people another application vouches for |
//! | `sessions` | log-ins, whose refresh tokens rotate |
//! | `joining` | the one-time set-up token and invitations |
//! | `keys` | API keys |
//! | `password` | hashing |

pub(crate) mod entity;
mod joining;
mod keys;
mod password;
mod sessions;
mod users;

#[cfg(test)]
mod tests;

use sea_orm::DbErr;

pub(crate) use self::password::Passwords;
pub(crate) use self::users::find as find_user;
pub use self::{
    joining::{Joining, NewUserInvitation, UserInvitation},
    keys::{ApiKey, ApiKeys, NewApiKey},
    sessions::{Rotated, Session, Sessions},
    users::{Foreign, NewUser, User, UserChange, UserFilter, UserRole, Users},
};
use crate::{ApiKeyId, DatabaseError, ErrorKind, UserId, UserInvitationId};

/// Why an account is not as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    #[error("there is no user {0}")]
    NotFound(UserId),
    #[error("`{field}` must be {rule}")]
    Invalid { field: &'static str, rule: &'static str },
    #[error("somebody else has this e-mail address")]
    EmailTaken,
    /// Which of the two is wrong is nobody's business.
    #[error("e-mail address and password do not belong together")]
    WrongPassword,
    #[error("this account is disabled")]
    Disabled,
    #[error("the last administrator cannot go")]
    LastAdministrator,
    #[error("the set-up is done, or its link is another one")]
    SetupToken,
    #[error("the invitation does not exist, has expired, or has been used")]
    Invitation,
    #[error("there is no invitation {0}")]
    NoInvitation(UserInvitationId),
    #[error("there is no API key {0}")]
    NoKey(ApiKeyId),
    #[error("the session has ended")]
    SessionEnded,
    /// The session has been ended: one of the two who had the token stole it.
    #[error("the refresh token was used before")]
    TokenReused,
    #[error("the password cannot be hashed: {0}")]
    Hash(String),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl AccountError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_) | Self::NoInvitation(_) | Self::NoKey(_) | Self::Invitation => ErrorKind::NotFound,
            Self::Invalid { .. } | Self::WrongPassword => ErrorKind::Invalid,
            Self::EmailTaken
            | Self::Disabled
            | Self::LastAdministrator
            | Self::SetupToken
            | Self::SessionEnded
            | Self::TokenReused => ErrorKind::Conflict,
            Self::Hash(_) => ErrorKind::Internal,
            Self::Database(error) => error.kind(),
        }
    }
}

impl From<DbErr> for AccountError {
    fn from(error: DbErr) -> Self {
        Self::Database(error.into())
    }
}
