//! Who did what, and which requests were answered already.
//!
//! The database itself refuses to change or delete a line of the audit log.

pub(crate) mod entity;

#[cfg(test)]
mod tests;

use std::time::Duration;

use greffier_media::time::Arrival;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, sea_query::OnConflict,
};
use serde_json::Value;

use self::entity::{audit, idempotency_keys};
use crate::{
    AuditId, DatabaseError, ErrorKind, SettingError,
    database::column::{Row, from_time, storable, to_json},
    store::Inner,
    tokens,
};

/// A request that was begun and not answered for so long was given up: the process died.
const GIVEN_UP: Duration = Duration::from_mins(2);

/// A line to be written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewAudit {
    /// `usr_…`, `key:ci`, `livekit:ana`, `guest:…`, `system`.
    pub actor: String,
    /// `room.create`, `recording.file.read` …
    pub action: String,
    /// What it was done to.
    pub target: Option<String>,
    pub address: Option<String>,
    /// `ok`, or the word for why not.
    pub outcome: String,
    pub data: Value,
}

/// A line of the audit log.
#[derive(Debug, Clone, PartialEq)]
pub struct Audit {
    pub id: AuditId,
    pub at: Arrival,
    pub actor: String,
    pub action: String,
    pub target: Option<String>,
    pub address: Option<String>,
    pub outcome: String,
    pub data: Value,
}

/// Which lines: those for which all that is given holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    pub actor: Option<String>,
    /// The action, or what it begins with: `room.`
    pub action: Option<String>,
    pub target: Option<String>,
    /// Somewhere in actor, action or target.
    pub text: Option<String>,
}

/// What is known of a request that may be repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repeated {
    /// It is the first: do it, then say [`answered`](Ledger::answered) or [`forget`](Ledger::forget).
    New,
    /// It was done: this was the answer.
    Answered { status: u16, body: String },
    /// It is being done.
    UnderWay,
    /// The key was used for another request.
    Another,
}

/// The audit log and the idempotency keys.
#[derive(Clone, Copy)]
pub struct Ledger<'a>(pub(crate) &'a Inner);

impl Ledger<'_> {
    /// Writes a line.
    pub async fn record(&self, new: &NewAudit) -> Result<(), LedgerError> {
        let now = self.0.now();
        let model = audit::ActiveModel {
            id: Set(AuditId::generate(now).to_string()),
            at_ns: Set(from_time(now)),
            actor: Set(storable(&new.actor)),
            action: Set(storable(&new.action)),
            target: Set(new.target.as_deref().map(storable)),
            address: Set(new.address.as_deref().map(storable)),
            outcome: Set(storable(&new.outcome)),
            data: Set(to_json(&new.data)),
        };
        audit::Entity::insert(model)
            .exec_without_returning(self.0.database.write())
            .await?;
        Ok(())
    }

    /// Lines, the newest first, up to `limit` after `after`. Answers whether there is more.
    pub async fn list(
        &self,
        filter: &AuditFilter,
        after: Option<AuditId>,
        limit: u64,
    ) -> Result<(Vec<Audit>, bool), LedgerError> {
        let mut wanted = audit::Entity::find().order_by_desc(audit::Column::Id);
        if let Some(actor) = &filter.actor {
            wanted = wanted.filter(audit::Column::Actor.eq(storable(actor)));
        }
        if let Some(action) = &filter.action {
            wanted = wanted.filter(audit::Column::Action.starts_with(storable(action)));
        }
        if let Some(target) = &filter.target {
            wanted = wanted.filter(audit::Column::Target.eq(storable(target)));
        }
        if let Some(text) = &filter.text {
            let text = storable(text);
            wanted = wanted.filter(
                Condition::any()
                    .add(audit::Column::Actor.contains(text.as_str()))
                    .add(audit::Column::Action.contains(text.as_str()))
                    .add(audit::Column::Target.contains(text)),
            );
        }
        if let Some(after) = after {
            wanted = wanted.filter(audit::Column::Id.lt(after.to_string()));
        }
        let mut models = wanted
            .limit(limit.saturating_add(1))
            .all(self.0.database.read())
            .await?;
        let more = models.len() as u64 > limit;
        models.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok((
            models.into_iter().map(Audit::from_model).collect::<Result<_, _>>()?,
            more,
        ))
    }

    /// Begins a request that its sender may repeat under the same key. `request` is all that makes it what it is.
    pub async fn begin(&self, owner: &str, key: &str, request: &str) -> Result<Repeated, LedgerError> {
        let now = self.0.now();
        let (owner, key, hash) = (storable(owner), storable(key), tokens::hash(request));
        let transaction = self.0.database.begin().await?;
        let abandoned = from_time(now.saturating_sub(GIVEN_UP));
        idempotency_keys::Entity::delete_many()
            .filter(idempotency_keys::Column::Owner.eq(owner.as_str()))
            .filter(idempotency_keys::Column::IdempotencyKey.eq(key.as_str()))
            .filter(idempotency_keys::Column::Status.is_null())
            .filter(idempotency_keys::Column::CreatedNs.lt(abandoned))
            .exec(&transaction)
            .await?;
        let model = idempotency_keys::ActiveModel {
            owner: Set(owner.clone()),
            idempotency_key: Set(key.clone()),
            request_hash: Set(hash.clone()),
            status: Set(None),
            body: Set(None),
            created_ns: Set(from_time(now)),
        };
        let same = OnConflict::columns([
            idempotency_keys::Column::Owner,
            idempotency_keys::Column::IdempotencyKey,
        ])
        .do_nothing()
        .to_owned();
        let added = idempotency_keys::Entity::insert(model)
            .on_conflict(same)
            .exec_without_returning(&transaction)
            .await?;
        let known = idempotency_keys::Entity::find_by_id((owner, key))
            .one(&transaction)
            .await?;
        transaction.commit().await?;
        if added > 0 {
            return Ok(Repeated::New);
        }
        let Some(known) = known else {
            return Ok(Repeated::UnderWay);
        };
        if known.request_hash != hash {
            return Ok(Repeated::Another);
        }
        let Some((status, body)) = known.status.zip(known.body) else {
            return Ok(Repeated::UnderWay);
        };
        let status = Row::new("idempotency_keys", &known.idempotency_key).small("status", status)?;
        let name = sealed_as(&known.owner, &known.idempotency_key);
        let body = String::from_utf8_lossy(&self.0.seal_key.open(&name, &body)?).into_owned();
        Ok(Repeated::Answered { status, body })
    }

    /// The request was done: whoever repeats it gets this answer. It may hold keys and tokens, so it is kept sealed.
    pub async fn answered(&self, owner: &str, key: &str, status: u16, body: &str) -> Result<(), LedgerError> {
        let (owner, key) = (storable(owner), storable(key));
        let sealed = self.0.seal_key.seal(&sealed_as(&owner, &key), body.as_bytes())?;
        let update = idempotency_keys::ActiveModel {
            status: Set(Some(i64::from(status))),
            body: Set(Some(sealed)),
            ..Default::default()
        };
        idempotency_keys::Entity::update_many()
            .set(update)
            .filter(idempotency_keys::Column::Owner.eq(owner))
            .filter(idempotency_keys::Column::IdempotencyKey.eq(key))
            .exec(self.0.database.write())
            .await?;
        Ok(())
    }

    /// The request did nothing: whoever repeats it tries again.
    pub async fn forget(&self, owner: &str, key: &str) -> Result<(), LedgerError> {
        idempotency_keys::Entity::delete_many()
            .filter(idempotency_keys::Column::Owner.eq(storable(owner)))
            .filter(idempotency_keys::Column::IdempotencyKey.eq(storable(key)))
            .exec(self.0.database.write())
            .await?;
        Ok(())
    }

    /// Forgets keys first used before `before`; answers how many.
    pub async fn purge_keys(&self, before: Arrival) -> Result<u64, LedgerError> {
        let purged = idempotency_keys::Entity::delete_many()
            .filter(idempotency_keys::Column::CreatedNs.lt(from_time(before)))
            .exec(self.0.database.write())
            .await?;
        Ok(purged.rows_affected)
    }
}

/// What an answer is sealed for: it opens in its own place only.
fn sealed_as(owner: &str, key: &str) -> String {
    format!("answer {}:{owner}:{key}", owner.len())
}

impl Audit {
    fn from_model(model: audit::Model) -> Result<Self, DatabaseError> {
        let row = Row::new("audit", &model.id);
        Ok(Self {
            id: row.parse("id", &model.id)?,
            at: row.time("at_ns", model.at_ns)?,
            data: row.json("data", &model.data)?,
            actor: model.actor,
            action: model.action,
            target: model.target,
            address: model.address,
            outcome: model.outcome,
        })
    }
}

/// Why the ledger does not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    #[error(transparent)]
    Sealed(#[from] SettingError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl LedgerError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Sealed(error) => error.kind(),
            Self::Database(error) => error.kind(),
        }
    }
}

impl From<DbErr> for LedgerError {
    fn from(error: DbErr) -> Self {
        Self::Database(error.into())
    }
}
