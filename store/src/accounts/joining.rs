//! How people come to have an account: the first by the one-time set-up token, the others by invitation.

use std::time::Duration;

use greffier_media::time::Arrival;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use super::{
    AccountError, NewUser, User, UserRole,
    entity::{setup_token, user_invitations, users},
    users::{check_email, check_name, insert},
};
use crate::{
    DatabaseError, UserId, UserInvitationId,
    database::column::{Row, from_time, from_time_after, to_name},
    store::Inner,
    tokens,
};

/// An invitation to be made.
#[derive(Debug, Clone)]
pub struct NewUserInvitation {
    /// Whoever accepts may have another one.
    pub email: Option<String>,
    pub name: Option<String>,
    pub role: UserRole,
    pub lifetime: Duration,
    pub by: UserId,
}

/// An invitation to have an account, as of when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserInvitation {
    pub id: UserInvitationId,
    pub email: Option<String>,
    pub name: Option<String>,
    pub role: UserRole,
    pub by: UserId,
    pub created: Arrival,
    pub expires: Arrival,
    pub accepted: Option<Arrival>,
}

/// Set-up and invitations.
#[derive(Clone, Copy)]
pub struct Joining<'a>(pub(crate) &'a Inner);

impl Joining<'_> {
    /// A token that makes its holder the first administrator; `None` if there is one. It replaces the one before, since
    /// only its hash is kept.
    pub async fn setup_token(&self) -> Result<Option<String>, AccountError> {
        let transaction = self.0.database.begin().await?;
        if has_users(&transaction).await? {
            return Ok(None);
        }
        let token = tokens::generate();
        setup_token::Entity::delete_many().exec(&transaction).await?;
        let model = setup_token::ActiveModel {
            token_hash: Set(tokens::hash(&token)),
            created_ns: Set(from_time(self.0.now())),
        };
        setup_token::Entity::insert(model)
            .exec_without_returning(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(Some(token))
    }

    /// Whether nobody has an account yet.
    pub async fn is_set_up(&self) -> Result<bool, AccountError> {
        Ok(has_users(self.0.database.read()).await?)
    }

    /// Makes the first administrator, once.
    pub async fn set_up(&self, token: &str, new: &NewUser) -> Result<User, AccountError> {
        let right = setup_token::Entity::find_by_id(tokens::hash(token))
            .one(self.0.database.read())
            .await?;
        if right.is_none() {
            return Err(AccountError::SetupToken);
        }
        let hash = self.0.passwords.hash(&new.password).await?;
        let transaction = self.0.database.begin().await?;
        // Somebody may have been faster.
        let redeemed = setup_token::Entity::delete_by_id(tokens::hash(token))
            .exec(&transaction)
            .await?;
        if redeemed.rows_affected == 0 || has_users(&transaction).await? {
            return Err(AccountError::SetupToken);
        }
        let new = NewUser {
            role: UserRole::Admin,
            ..new.clone()
        };
        let user = insert(&transaction, self.0, &new, hash).await?;
        transaction.commit().await?;
        Ok(user)
    }

    /// Makes an account without any token: for the command line, which has the database anyway.
    pub async fn create(&self, new: &NewUser) -> Result<User, AccountError> {
        let hash = self.0.passwords.hash(&new.password).await?;
        insert(self.0.database.write(), self.0, new, hash).await
    }

    /// Invites somebody. The token is answered once, and kept as a hash.
    pub async fn invite(&self, new: &NewUserInvitation) -> Result<(UserInvitation, String), AccountError> {
        let now = self.0.now();
        let token = tokens::generate();
        let model = user_invitations::ActiveModel {
            id: Set(UserInvitationId::generate(now).to_string()),
            token_hash: Set(tokens::hash(&token)),
            email: Set(new.email.as_deref().map(check_email).transpose()?),
            name: Set(new.name.as_deref().map(check_name).transpose()?),
            role: Set(to_name(&new.role)),
            created_by: Set(new.by.to_string()),
            created_ns: Set(from_time(now)),
            expires_ns: Set(from_time_after(now, new.lifetime)),
            accepted_ns: Set(None),
            accepted_by: Set(None),
        };
        let model = user_invitations::Entity::insert(model)
            .exec_with_returning(self.0.database.write())
            .await?;
        Ok((UserInvitation::from_model(model)?, token))
    }

    /// Invitations that can still be accepted, the newest first, at most 200.
    pub async fn open_invitations(&self) -> Result<Vec<UserInvitation>, AccountError> {
        let models = user_invitations::Entity::find()
            .filter(can_be_accepted(self.0.now()))
            .order_by_desc(user_invitations::Column::Id)
            .limit(200)
            .all(self.0.database.read())
            .await?;
        Ok(models
            .into_iter()
            .map(UserInvitation::from_model)
            .collect::<Result<_, _>>()?)
    }

    /// The invitation that a token is for, if it can still be accepted.
    pub async fn invitation(&self, token: &str) -> Result<UserInvitation, AccountError> {
        let model = find(self.0.database.read(), token, self.0.now()).await?;
        Ok(UserInvitation::from_model(model)?)
    }

    /// Accepts an invitation, once: whoever does has an account with the role it names, whatever `new` says.
    pub async fn accept(&self, token: &str, new: &NewUser) -> Result<User, AccountError> {
        let now = self.0.now();
        find(self.0.database.read(), token, now).await?;
        let hash = self.0.passwords.hash(&new.password).await?;
        let transaction = self.0.database.begin().await?;
        let model = find(&transaction, token, now).await?;
        let invitation = UserInvitation::from_model(model.clone())?;
        let new = NewUser {
            role: invitation.role,
            ..new.clone()
        };
        let user = insert(&transaction, self.0, &new, hash).await?;
        let mut model: user_invitations::ActiveModel = model.into();
        model.accepted_ns = Set(Some(from_time(now)));
        model.accepted_by = Set(Some(user.id.to_string()));
        model.update(&transaction).await?;
        transaction.commit().await?;
        Ok(user)
    }

    /// Takes an invitation back.
    pub async fn withdraw(&self, id: UserInvitationId) -> Result<(), AccountError> {
        let gone = user_invitations::Entity::delete_many()
            .filter(user_invitations::Column::Id.eq(id.to_string()))
            .filter(user_invitations::Column::AcceptedNs.is_null())
            .exec(self.0.database.write())
            .await?;
        match gone.rows_affected {
            0 => Err(AccountError::NoInvitation(id)),
            _ => Ok(()),
        }
    }
}

async fn has_users(connection: &impl ConnectionTrait) -> Result<bool, DatabaseError> {
    let anybody = users::Entity::find()
        .filter(users::Column::DeletedNs.is_null())
        .limit(1)
        .count(connection)
        .await?;
    Ok(anybody > 0)
}

fn can_be_accepted(now: Arrival) -> Condition {
    Condition::all()
        .add(user_invitations::Column::AcceptedNs.is_null())
        .add(user_invitations::Column::ExpiresNs.gt(from_time(now)))
}

async fn find(
    connection: &impl ConnectionTrait,
    token: &str,
    now: Arrival,
) -> Result<user_invitations::Model, AccountError> {
    let found = user_invitations::Entity::find()
        .filter(user_invitations::Column::TokenHash.eq(tokens::hash(token)))
        .filter(can_be_accepted(now))
        .lock_exclusive()
        .one(connection)
        .await?;
    found.ok_or(AccountError::Invitation)
}

impl UserInvitation {
    fn from_model(model: user_invitations::Model) -> Result<Self, DatabaseError> {
        let row = Row::new("user_invitations", &model.id);
        Ok(Self {
            id: row.parse("id", &model.id)?,
            role: row.name("role", &model.role)?,
            by: row.parse("created_by", &model.created_by)?,
            created: row.time("created_ns", model.created_ns)?,
            expires: row.time("expires_ns", model.expires_ns)?,
            accepted: row.time_opt("accepted_ns", model.accepted_ns)?,
            email: model.email,
            name: model.name,
        })
    }
}
