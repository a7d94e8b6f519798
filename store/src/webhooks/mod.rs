//! What is to be told to others: an outbox. A delivery is written in the same transaction as what it tells of, so it is
//! sent if and only if that happened, and at least once, whatever crashes. Receivers tell repetitions by its id.

pub(crate) mod entity;

#[cfg(test)]
mod tests;

use std::time::Duration;

use greffier_media::time::Arrival;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _,
    sea_query::{Expr, ExprTrait as _, LockBehavior, LockType},
};
use serde::{Deserialize, Serialize};

use self::entity::{ActiveModel, Column, Entity, Model};
use crate::{
    DatabaseError, DeliveryId, ErrorKind,
    database::column::{Row, from_time, from_time_after, storable, to_name},
    store::Inner,
};

/// How long to wait after each failed attempt; when they are used up, so is our patience. About two days in all: a
/// receiver may be down over a weekend day, and what is older is better asked for.
const RETRY_AFTER: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_mins(2),
    Duration::from_mins(10),
    Duration::from_hours(1),
    Duration::from_hours(3),
    Duration::from_hours(6),
    Duration::from_hours(12),
    Duration::from_hours(24),
];

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    Pending,
    Delivered,
    Failed,
}

/// Something to tell to one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    pub url: String,
    /// `recording.sealed`, `render.ready` …
    pub event: String,
    /// The request's body, to be sent and signed as it stands.
    pub body: String,
}

/// A delivery, as of when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub id: DeliveryId,
    pub url: String,
    pub event: String,
    pub body: String,
    pub state: DeliveryState,
    /// How often it was tried, the attempt under way included.
    pub attempts: u32,
    /// While it is pending: not before.
    pub next_attempt: Arrival,
    pub last_error: Option<String>,
    pub created: Arrival,
    pub ended: Option<Arrival>,
}

/// The outbox.
#[derive(Clone, Copy)]
pub struct Webhooks<'a>(pub(crate) &'a Inner);

impl Webhooks<'_> {
    /// Adds deliveries that go with no other change.
    pub async fn enqueue(&self, deliveries: &[NewDelivery]) -> Result<Vec<DeliveryId>, DeliveryError> {
        let transaction = self.0.database.begin().await?;
        let ids = enqueue(&transaction, deliveries, self.0.now()).await?;
        transaction.commit().await?;
        Ok(ids)
    }

    /// Takes up to `limit` deliveries that are due, those first that have waited longest. If nothing is heard of one
    /// for `lease`, it is due again.
    pub async fn claim_due(&self, limit: u64, lease: Duration) -> Result<Vec<Delivery>, DeliveryError> {
        let now = self.0.now();
        let due = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::State.eq(to_name(&DeliveryState::Pending)))
            .filter(Column::NextAttemptNs.lte(from_time(now)))
            .order_by_asc(Column::NextAttemptNs)
            .order_by_asc(Column::Id)
            .limit(limit)
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .into_query();
        let claimed = Entity::update_many()
            .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
            .col_expr(Column::NextAttemptNs, Expr::value(from_time_after(now, lease)))
            .filter(Column::Id.in_subquery(due))
            .exec_with_returning(self.0.database.write())
            .await?;
        let mut claimed = claimed
            .into_iter()
            .map(Delivery::from_model)
            .collect::<Result<Vec<_>, _>>()?;
        // RETURNING has no order.
        claimed.sort_by_key(|delivery| delivery.id);
        Ok(claimed)
    }

    /// The receiver took it.
    pub async fn delivered(&self, id: DeliveryId) -> Result<(), DeliveryError> {
        let update = ActiveModel {
            state: Set(to_name(&DeliveryState::Delivered)),
            last_error: Set(None),
            ended_ns: Set(Some(from_time(self.0.now()))),
            ..Default::default()
        };
        self.update(id, update).await
    }

    /// The receiver did not take it. Answers where the delivery stands now: pending until its next attempt, or failed.
    pub async fn failed(&self, id: DeliveryId, error: &str) -> Result<DeliveryState, DeliveryError> {
        let attempts = self.get(id).await?.attempts;
        let now = self.0.now();
        let retry_after = RETRY_AFTER.get(attempts.saturating_sub(1) as usize);
        let mut update = ActiveModel {
            last_error: Set(Some(storable(error))),
            ..Default::default()
        };
        let state = if let Some(delay) = retry_after {
            update.next_attempt_ns = Set(from_time_after(now, *delay));
            DeliveryState::Pending
        } else {
            update.state = Set(to_name(&DeliveryState::Failed));
            update.ended_ns = Set(Some(from_time(now)));
            DeliveryState::Failed
        };
        self.update(id, update).await?;
        Ok(state)
    }

    /// Tries again, from the first attempt on, what failed.
    pub async fn retry(&self, id: DeliveryId) -> Result<(), DeliveryError> {
        let update = ActiveModel {
            state: Set(to_name(&DeliveryState::Pending)),
            attempts: Set(0),
            next_attempt_ns: Set(from_time(self.0.now())),
            ended_ns: Set(None),
            ..Default::default()
        };
        let retried = Entity::update_many()
            .set(update)
            .filter(Column::Id.eq(id.to_string()))
            .filter(Column::State.eq(to_name(&DeliveryState::Failed)))
            .exec(self.0.database.write())
            .await?;
        match retried.rows_affected {
            0 => Err(DeliveryError::NotFound(id)),
            _ => Ok(()),
        }
    }

    pub async fn get(&self, id: DeliveryId) -> Result<Delivery, DeliveryError> {
        let model = Entity::find_by_id(id.to_string()).one(self.0.database.read()).await?;
        Ok(Delivery::from_model(model.ok_or(DeliveryError::NotFound(id))?)?)
    }

    /// Deliveries in one state, the newest first, those before `before` if it is given.
    pub async fn list(
        &self,
        state: DeliveryState,
        before: Option<DeliveryId>,
        limit: u64,
    ) -> Result<Vec<Delivery>, DeliveryError> {
        let mut wanted = Condition::all().add(Column::State.eq(to_name(&state)));
        if let Some(before) = before {
            wanted = wanted.add(Column::Id.lt(before.to_string()));
        }
        let models = Entity::find()
            .filter(wanted)
            .order_by_desc(Column::Id)
            .limit(limit)
            .all(self.0.database.read())
            .await?;
        Ok(models.into_iter().map(Delivery::from_model).collect::<Result<_, _>>()?)
    }

    /// Forgets deliveries that ended before `before`; answers how many.
    pub async fn purge(&self, before: Arrival) -> Result<u64, DeliveryError> {
        let purged = Entity::delete_many()
            .filter(Column::EndedNs.lt(from_time(before)))
            .exec(self.0.database.write())
            .await?;
        Ok(purged.rows_affected)
    }

    /// One that ended meanwhile stays as it is.
    async fn update(&self, id: DeliveryId, update: ActiveModel) -> Result<(), DeliveryError> {
        Entity::update_many()
            .set(update)
            .filter(Column::Id.eq(id.to_string()))
            .filter(Column::State.eq(to_name(&DeliveryState::Pending)))
            .exec(self.0.database.write())
            .await?;
        Ok(())
    }
}

/// Adds deliveries to what a transaction does.
pub(crate) async fn enqueue(
    transaction: &impl ConnectionTrait,
    deliveries: &[NewDelivery],
    now: Arrival,
) -> Result<Vec<DeliveryId>, DatabaseError> {
    let ids: Vec<_> = deliveries.iter().map(|_| DeliveryId::generate(now)).collect();
    if ids.is_empty() {
        return Ok(ids);
    }
    let models = ids.iter().zip(deliveries).map(|(id, new)| ActiveModel {
        id: Set(id.to_string()),
        url: Set(storable(&new.url)),
        event: Set(storable(&new.event)),
        body: Set(storable(&new.body)),
        state: Set(to_name(&DeliveryState::Pending)),
        attempts: Set(0),
        next_attempt_ns: Set(from_time(now)),
        last_error: Set(None),
        created_ns: Set(from_time(now)),
        ended_ns: Set(None),
    });
    Entity::insert_many(models).exec_without_returning(transaction).await?;
    Ok(ids)
}

impl Delivery {
    fn from_model(model: Model) -> Result<Self, DatabaseError> {
        let row = Row::new("deliveries", &model.id);
        Ok(Self {
            id: row.parse("id", &model.id)?,
            state: row.name("state", &model.state)?,
            attempts: row.small("attempts", model.attempts)?,
            next_attempt: row.time("next_attempt_ns", model.next_attempt_ns)?,
            created: row.time("created_ns", model.created_ns)?,
            ended: row.time_opt("ended_ns", model.ended_ns)?,
            last_error: model.last_error,
            url: model.url,
            event: model.event,
            body: model.body,
        })
    }
}

/// Why a delivery is not as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    #[error("there is no such delivery: {0}")]
    NotFound(DeliveryId),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl DeliveryError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Database(error) => error.kind(),
        }
    }
}
