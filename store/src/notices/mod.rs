//! What people are told: notifications, where to push them, and the key of their calendar.

pub(crate) mod entity;

#[cfg(test)]
mod tests;

use greffier_media::time::Arrival;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, DbErr, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
    sea_query::{Expr, OnConflict},
};
use serde_json::Value;

use self::entity::{calendar_keys, notifications, push_subscriptions};
use crate::{
    DatabaseError, ErrorKind, NotificationId, UserId,
    accounts::{User, entity::users},
    database::column::{Row, from_time, storable, to_json},
    store::Inner,
    tokens,
};

/// Of one person: the oldest makes room for the newest.
const MAX_SUBSCRIPTIONS: u64 = 20;

/// What one person is told, as of when it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    pub id: NotificationId,
    pub user: UserId,
    /// `room.invited`, `waiting`, `recording.ready` …
    pub kind: String,
    /// About what, as the kind has it.
    pub data: Value,
    pub created: Arrival,
    pub read: Option<Arrival>,
}

/// A browser that takes pushes ([RFC 8030](https://www.rfc-editor.org/rfc/rfc8030)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushSubscription {
    pub endpoint: String,
    pub user: UserId,
    /// The browser's public key, in base64url.
    pub p256dh: String,
    /// Its authentication secret, in base64url.
    pub auth: String,
}

/// All notifications.
#[derive(Clone, Copy)]
pub struct Notices<'a>(pub(crate) &'a Inner);

impl Notices<'_> {
    /// Tells people something, each of them once.
    pub async fn tell(&self, users: &[UserId], kind: &str, data: &Value) -> Result<Vec<Notification>, NoticeError> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.0.now();
        let told: Vec<_> = users
            .iter()
            .map(|user| Notification {
                id: NotificationId::generate(now),
                user: *user,
                kind: storable(kind),
                data: data.clone(),
                created: now,
                read: None,
            })
            .collect();
        let models = told.iter().map(|notification| notifications::ActiveModel {
            id: Set(notification.id.to_string()),
            user_id: Set(notification.user.to_string()),
            kind: Set(notification.kind.clone()),
            data: Set(to_json(data)),
            created_ns: Set(from_time(now)),
            read_ns: Set(None),
        });
        notifications::Entity::insert_many(models)
            .exec_without_returning(self.0.database.write())
            .await?;
        Ok(told)
    }

    /// What somebody was told, the newest first, up to `limit` after `after`. Answers whether there is more.
    pub async fn list(
        &self,
        user: UserId,
        after: Option<NotificationId>,
        limit: u64,
    ) -> Result<(Vec<Notification>, bool), NoticeError> {
        let mut wanted = notifications::Entity::find()
            .filter(notifications::Column::UserId.eq(user.to_string()))
            .order_by_desc(notifications::Column::Id);
        if let Some(after) = after {
            wanted = wanted.filter(notifications::Column::Id.lt(after.to_string()));
        }
        let mut models = wanted
            .limit(limit.saturating_add(1))
            .all(self.0.database.read())
            .await?;
        let more = models.len() as u64 > limit;
        models.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let told = models
            .into_iter()
            .map(Notification::from_model)
            .collect::<Result<_, _>>()?;
        Ok((told, more))
    }

    pub async fn unread(&self, user: UserId) -> Result<u64, NoticeError> {
        let unread = notifications::Entity::find()
            .filter(notifications::Column::UserId.eq(user.to_string()))
            .filter(notifications::Column::ReadNs.is_null());
        Ok(unread.count(self.0.database.read()).await?)
    }

    /// Marks somebody's notifications as read: these, or all. Answers how many were not.
    pub async fn mark_read(&self, user: UserId, which: Option<&[NotificationId]>) -> Result<u64, NoticeError> {
        let mut unread = notifications::Entity::update_many()
            .col_expr(notifications::Column::ReadNs, Expr::value(from_time(self.0.now())))
            .filter(notifications::Column::UserId.eq(user.to_string()))
            .filter(notifications::Column::ReadNs.is_null());
        if let Some(which) = which {
            unread = unread.filter(notifications::Column::Id.is_in(which.iter().map(ToString::to_string)));
        }
        Ok(unread.exec(self.0.database.write()).await?.rows_affected)
    }

    /// Forgets notifications made before `before`; answers how many.
    pub async fn purge(&self, before: Arrival) -> Result<u64, NoticeError> {
        let purged = notifications::Entity::delete_many()
            .filter(notifications::Column::CreatedNs.lt(from_time(before)))
            .exec(self.0.database.write())
            .await?;
        Ok(purged.rows_affected)
    }

    /// Pushes to this browser too. One that somebody else used before is now this person's.
    pub async fn subscribe(&self, new: &PushSubscription) -> Result<(), NoticeError> {
        let now = from_time(self.0.now());
        let transaction = self.0.database.begin().await?;
        let model = push_subscriptions::ActiveModel {
            endpoint: Set(storable(&new.endpoint)),
            user_id: Set(new.user.to_string()),
            p256dh: Set(storable(&new.p256dh)),
            auth: Set(storable(&new.auth)),
            created_ns: Set(now),
        };
        let same = OnConflict::column(push_subscriptions::Column::Endpoint)
            .update_columns([
                push_subscriptions::Column::UserId,
                push_subscriptions::Column::P256dh,
                push_subscriptions::Column::Auth,
                push_subscriptions::Column::CreatedNs,
            ])
            .to_owned();
        push_subscriptions::Entity::insert(model)
            .on_conflict(same)
            .exec_without_returning(&transaction)
            .await?;
        let surplus: Vec<String> = push_subscriptions::Entity::find()
            .filter(push_subscriptions::Column::UserId.eq(new.user.to_string()))
            .order_by_desc(push_subscriptions::Column::CreatedNs)
            .offset(MAX_SUBSCRIPTIONS)
            .limit(1000)
            .all(&transaction)
            .await?
            .into_iter()
            .map(|model| model.endpoint)
            .collect();
        push_subscriptions::Entity::delete_many()
            .filter(push_subscriptions::Column::Endpoint.is_in(surplus))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Pushes no more to this browser of somebody's; anybody's, if `user` is not given.
    pub async fn unsubscribe(&self, user: Option<UserId>, endpoint: &str) -> Result<(), NoticeError> {
        let mut gone = push_subscriptions::Entity::delete_many()
            .filter(push_subscriptions::Column::Endpoint.eq(storable(endpoint)));
        if let Some(user) = user {
            gone = gone.filter(push_subscriptions::Column::UserId.eq(user.to_string()));
        }
        gone.exec(self.0.database.write()).await?;
        Ok(())
    }

    pub async fn subscriptions(&self, user: UserId) -> Result<Vec<PushSubscription>, NoticeError> {
        let models = push_subscriptions::Entity::find()
            .filter(push_subscriptions::Column::UserId.eq(user.to_string()))
            .all(self.0.database.read())
            .await?;
        Ok(models
            .into_iter()
            .map(PushSubscription::from_model)
            .collect::<Result<_, _>>()?)
    }

    /// Makes the key of somebody's calendar; the one before is void. It is answered once, and kept as a hash.
    pub async fn calendar_key(&self, user: UserId) -> Result<String, NoticeError> {
        let key = tokens::generate();
        let model = calendar_keys::ActiveModel {
            user_id: Set(user.to_string()),
            key_hash: Set(tokens::hash(&key)),
            created_ns: Set(from_time(self.0.now())),
        };
        let replace = OnConflict::column(calendar_keys::Column::UserId)
            .update_columns([calendar_keys::Column::KeyHash, calendar_keys::Column::CreatedNs])
            .to_owned();
        calendar_keys::Entity::insert(model)
            .on_conflict(replace)
            .exec_without_returning(self.0.database.write())
            .await?;
        Ok(key)
    }

    /// Whose calendar a key is for, if they may still log in.
    pub async fn calendar_user(&self, key: &str) -> Result<Option<User>, NoticeError> {
        let connection = self.0.database.read();
        let found = calendar_keys::Entity::find()
            .filter(calendar_keys::Column::KeyHash.eq(tokens::hash(key)))
            .one(connection)
            .await?;
        let Some(found) = found else { return Ok(None) };
        let user = users::Entity::find_by_id(found.user_id)
            .filter(users::Column::DeletedNs.is_null())
            .filter(users::Column::DisabledNs.is_null())
            .one(connection)
            .await?;
        Ok(user.map(User::from_model).transpose()?)
    }
}

impl Notification {
    fn from_model(model: notifications::Model) -> Result<Self, DatabaseError> {
        let row = Row::new("notifications", &model.id);
        Ok(Self {
            id: row.parse("id", &model.id)?,
            user: row.parse("user_id", &model.user_id)?,
            data: row.json("data", &model.data)?,
            created: row.time("created_ns", model.created_ns)?,
            read: row.time_opt("read_ns", model.read_ns)?,
            kind: model.kind,
        })
    }
}

impl PushSubscription {
    fn from_model(model: push_subscriptions::Model) -> Result<Self, DatabaseError> {
        Ok(Self {
            user: Row::new("push_subscriptions", &model.endpoint).parse("user_id", &model.user_id)?,
            endpoint: model.endpoint,
            p256dh: model.p256dh,
            auth: model.auth,
        })
    }
}

/// Why a notification is not as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoticeError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl NoticeError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Database(error) => error.kind(),
        }
    }
}

impl From<DbErr> for NoticeError {
    fn from(error: DbErr) -> Self {
        Self::Database(error.into())
    }
}
