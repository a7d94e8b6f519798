//! Log-ins. A session has one refresh token at a time: using it gives the next. One that is used again was stolen from
//! somebody, so the session ends ([RFC 9700 §4.14.2](https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2)).

use std::time::Duration;

use greffier_media::time::Arrival;
use sea_orm::{
    ActiveModelTrait as _,
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, ExprTrait as _},
};

use super::{
    AccountError, User,
    entity::{refresh_tokens, sessions, users},
};
use crate::{
    DatabaseError, SessionId, UserId,
    database::column::{Row, from_time, from_time_after, storable},
    store::Inner,
    tokens,
};

/// A session that is not used for so long ends.
const LIFETIME: Duration = Duration::from_hours(30 * 24);

/// Two pages of one browser may refresh at the same moment, and the answer to the first may be lost: for so long a
/// replaced token gives another one rather than the end.
const GRACE: Duration = Duration::from_secs(10);

/// A log-in, as of when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub user: UserId,
    /// What the browser calls itself.
    pub user_agent: String,
    pub address: String,
    pub created: Arrival,
    pub used: Arrival,
    pub expires: Arrival,
}

/// What using a refresh token gives.
#[derive(Debug, Clone)]
pub struct Rotated {
    pub session: Session,
    pub user: User,
    /// To be used next time.
    pub refresh_token: String,
}

/// All log-ins.
#[derive(Clone, Copy)]
pub struct Sessions<'a>(pub(crate) &'a Inner);

impl Sessions<'_> {
    /// Begins a session. The refresh token is answered once, and kept as a hash.
    pub async fn start(
        &self,
        user: UserId,
        user_agent: &str,
        address: &str,
    ) -> Result<(Session, String), AccountError> {
        let now = self.0.now();
        let shorten = |text: &str| storable(&text.chars().take(200).collect::<String>());
        let model = sessions::ActiveModel {
            id: Set(SessionId::generate(now).to_string()),
            user_id: Set(user.to_string()),
            user_agent: Set(shorten(user_agent)),
            address: Set(shorten(address)),
            created_ns: Set(from_time(now)),
            used_ns: Set(from_time(now)),
            expires_ns: Set(from_time_after(now, LIFETIME)),
            ended_ns: Set(None),
        };
        let transaction = self.0.database.begin().await?;
        let model = sessions::Entity::insert(model)
            .exec_with_returning(&transaction)
            .await?;
        let token = add_token(&transaction, &model.id, now).await?;
        transaction.commit().await?;
        Ok((Session::from_model(model)?, token))
    }

    /// Uses a refresh token: the session goes on, with another token.
    pub async fn rotate(&self, token: &str) -> Result<Rotated, AccountError> {
        let now = self.0.now();
        let transaction = self.0.database.begin().await?;
        let shown = refresh_tokens::Entity::find_by_id(tokens::hash(token))
            .lock_exclusive()
            .one(&transaction)
            .await?
            .ok_or(AccountError::SessionEnded)?;
        let model = sessions::Entity::find_by_id(shown.session_id.as_str())
            .one(&transaction)
            .await?
            .ok_or(AccountError::SessionEnded)?;
        if model.ended_ns.is_some() || model.expires_ns <= from_time(now) {
            return Err(AccountError::SessionEnded);
        }
        if let Some(replaced) = shown.replaced_ns {
            let row = Row::new("refresh_tokens", &shown.session_id);
            if now.saturating_since(row.time("replaced_ns", replaced)?) > GRACE {
                let mut model: sessions::ActiveModel = model.into();
                model.ended_ns = Set(Some(from_time(now)));
                model.update(&transaction).await?;
                transaction.commit().await?;
                return Err(AccountError::TokenReused);
            }
        } else {
            let mut shown: refresh_tokens::ActiveModel = shown.into();
            shown.replaced_ns = Set(Some(from_time(now)));
            shown.update(&transaction).await?;
        }
        let user = users::Entity::find_by_id(model.user_id.as_str())
            .one(&transaction)
            .await?;
        let user = User::from_model(user.ok_or(AccountError::SessionEnded)?)?;
        if user.disabled.is_some() {
            return Err(AccountError::Disabled);
        }
        let refresh_token = add_token(&transaction, &model.id, now).await?;
        let mut model: sessions::ActiveModel = model.into();
        model.used_ns = Set(from_time(now));
        model.expires_ns = Set(from_time_after(now, LIFETIME));
        let model = model.update(&transaction).await?;
        transaction.commit().await?;
        Ok(Rotated {
            session: Session::from_model(model)?,
            user,
            refresh_token,
        })
    }

    /// Whose session it is, if it has not ended and its user may log in.
    pub async fn alive(&self, id: SessionId) -> Result<Option<User>, AccountError> {
        let connection = self.0.database.read();
        let session = sessions::Entity::find_by_id(id.to_string())
            .filter(sessions::Column::EndedNs.is_null())
            .filter(sessions::Column::ExpiresNs.gt(from_time(self.0.now())))
            .one(connection)
            .await?;
        let Some(session) = session else { return Ok(None) };
        let user = users::Entity::find_by_id(session.user_id)
            .filter(users::Column::DeletedNs.is_null())
            .filter(users::Column::DisabledNs.is_null())
            .one(connection)
            .await?;
        Ok(user.map(User::from_model).transpose()?)
    }

    /// Whether somebody has logged in from this address before, and not been forgotten there.
    pub async fn began_at(&self, user: UserId, address: &str) -> Result<bool, AccountError> {
        let session = sessions::Entity::find()
            .filter(sessions::Column::UserId.eq(user.to_string()))
            .filter(sessions::Column::Address.eq(storable(address)))
            .one(self.0.database.read())
            .await?;
        Ok(session.is_some())
    }

    /// A user's sessions that go on, the last used first.
    pub async fn list(&self, user: UserId) -> Result<Vec<Session>, AccountError> {
        let models = sessions::Entity::find()
            .filter(sessions::Column::UserId.eq(user.to_string()))
            .filter(sessions::Column::EndedNs.is_null())
            .filter(sessions::Column::ExpiresNs.gt(from_time(self.0.now())))
            .order_by_desc(sessions::Column::UsedNs)
            .all(self.0.database.read())
            .await?;
        Ok(models.into_iter().map(Session::from_model).collect::<Result<_, _>>()?)
    }

    /// Ends the session that a refresh token belongs to. One that is unknown is nobody's.
    pub async fn end_by_token(&self, token: &str) -> Result<Option<UserId>, AccountError> {
        let shown = refresh_tokens::Entity::find_by_id(tokens::hash(token))
            .one(self.0.database.read())
            .await?;
        let Some(shown) = shown else { return Ok(None) };
        let session = sessions::Entity::find_by_id(shown.session_id)
            .one(self.0.database.read())
            .await?;
        let Some(session) = session else { return Ok(None) };
        let session = Session::from_model(session)?;
        self.end(session.id).await?;
        Ok(Some(session.user))
    }

    pub async fn end(&self, id: SessionId) -> Result<(), AccountError> {
        sessions::Entity::update_many()
            .col_expr(sessions::Column::EndedNs, Expr::value(from_time(self.0.now())))
            .filter(sessions::Column::Id.eq(id.to_string()))
            .filter(sessions::Column::EndedNs.is_null())
            .exec(self.0.database.write())
            .await?;
        Ok(())
    }

    /// Ends all of a user's sessions; answers how many.
    pub async fn end_all(&self, user: UserId) -> Result<u64, AccountError> {
        Ok(end_of_user(self.0.database.write(), user, None, self.0.now()).await?)
    }

    /// Forgets sessions that ended or expired before `before`, with their tokens; answers how many.
    pub async fn purge(&self, before: Arrival) -> Result<u64, AccountError> {
        let before = from_time(before);
        let old = sessions::Column::ExpiresNs
            .lt(before)
            .or(sessions::Column::EndedNs.lt(before));
        let purged = sessions::Entity::delete_many()
            .filter(old)
            .exec(self.0.database.write())
            .await?;
        Ok(purged.rows_affected)
    }
}

/// Ends a user's sessions but for one, with whatever else a transaction does.
pub(super) async fn end_of_user(
    connection: &impl ConnectionTrait,
    user: UserId,
    keep: Option<SessionId>,
    now: Arrival,
) -> Result<u64, DatabaseError> {
    let ended = sessions::Entity::update_many()
        .col_expr(sessions::Column::EndedNs, Expr::value(from_time(now)))
        .filter(sessions::Column::UserId.eq(user.to_string()))
        .filter(sessions::Column::EndedNs.is_null())
        .filter(sessions::Column::Id.is_not_in(keep.map(|id| id.to_string())))
        .exec(connection)
        .await?;
    Ok(ended.rows_affected)
}

async fn add_token(connection: &impl ConnectionTrait, session: &str, now: Arrival) -> Result<String, DatabaseError> {
    let token = tokens::generate();
    let model = refresh_tokens::ActiveModel {
        token_hash: Set(tokens::hash(&token)),
        session_id: Set(session.to_owned()),
        created_ns: Set(from_time(now)),
        replaced_ns: Set(None),
    };
    refresh_tokens::Entity::insert(model)
        .exec_without_returning(connection)
        .await?;
    Ok(token)
}

impl Session {
    fn from_model(model: sessions::Model) -> Result<Self, DatabaseError> {
        let row = Row::new("sessions", &model.id);
        Ok(Self {
            id: row.parse("id", &model.id)?,
            user: row.parse("user_id", &model.user_id)?,
            created: row.time("created_ns", model.created_ns)?,
            used: row.time("used_ns", model.used_ns)?,
            expires: row.time("expires_ns", model.expires_ns)?,
            user_agent: model.user_agent,
            address: model.address,
        })
    }
}
