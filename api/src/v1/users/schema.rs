//! How people look.

use greffier_agent::view::timestamp;
use greffier_store::accounts::{User, UserInvitation, UserRole};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What somebody is to the whole installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = UserRole)]
pub(crate) enum RoleName {
    Admin,
    Member,
}

impl From<RoleName> for UserRole {
    fn from(role: RoleName) -> Self {
        match role {
            RoleName::Admin => Self::Admin,
            RoleName::Member => Self::Member,
        }
    }
}

impl From<UserRole> for RoleName {
    fn from(role: UserRole) -> Self {
        match role {
            UserRole::Admin => Self::Admin,
            UserRole::Member => Self::Member,
        }
    }
}

/// A person.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserView {
    #[schema(example = "usr_01J8Z6J9W2T4X5Y6Z7A8B9C0D1")]
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "ana@example.org")]
    pub email: Option<String>,
    #[schema(example = "Ana")]
    pub name: String,
    pub role: RoleName,
    /// Of pages and messages; without it, the installation's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "fr")]
    pub language: Option<String>,
    /// They cannot log in.
    pub disabled: bool,
    /// They have a password here; others come from another application.
    pub has_password: bool,
    #[schema(format = DateTime)]
    pub created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub last_seen_at: Option<String>,
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.to_string(),
            email: user.email.clone(),
            name: user.name.clone(),
            role: user.role.into(),
            language: user.language.clone(),
            disabled: user.disabled.is_some(),
            has_password: user.has_password,
            created_at: timestamp(user.created).to_string(),
            last_seen_at: user.seen.map(|seen| timestamp(seen).to_string()),
        }
    }
}

/// An invitation to have an account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserInvitationView {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub role: RoleName,
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// What accepts it. Shown once, to whoever made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The page that accepts it. Shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl From<&UserInvitation> for UserInvitationView {
    fn from(invitation: &UserInvitation) -> Self {
        Self {
            id: invitation.id.to_string(),
            email: invitation.email.clone(),
            name: invitation.name.clone(),
            role: invitation.role.into(),
            expires_at: timestamp(invitation.expires).to_string(),
            token: None,
            url: None,
        }
    }
}
