//! Work that is done once, by whoever is free, even after a crash.
//!
//! ```text
//! queued ─claim─▶ running ─complete─▶ done
//!    ▲               ├─fail(retry)──▶ queued again, later   (failed, once the attempts are used up)
//!    │               ├─fail(final)──▶ failed
//!    └──lease ends───┴─cancel───────▶ cancelled
//! ```
//!
//! A claim is a lease: it ends unless its holder sends heartbeats, and then the job is claimed again. Each claim has a
//! token of its own, so a holder that comes back late cannot end what another is doing by now.

pub(crate) mod entity;
mod job;

#[cfg(test)]
mod tests;

use std::{collections::HashMap, time::Duration};

use greffier_media::{ids::JobId, time::Arrival};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _,
    sea_query::{Expr, ExprTrait as _, LockBehavior, LockType},
};

use self::entity::{ActiveModel, Column, Entity};
pub use self::job::{Claim, Heartbeat, Job, JobError, JobState, Lease, NewJob, Retry};
use crate::{
    DatabaseError,
    database::{
        NotUnique as _,
        column::{Row, from_time, from_time_after, storable, to_json, to_name},
    },
    ids::{LeaseToken, random},
    store::Inner,
};

/// How long a job waits after its first failure; each further failure makes it four times as long …
const FIRST_RETRY: Duration = Duration::from_secs(5);
/// … up to this: what is broken for longer is looked at often enough.
const LAST_RETRY: Duration = Duration::from_mins(10);

/// Jobs of all kinds.
#[derive(Clone, Copy)]
pub struct Jobs<'a>(pub(crate) &'a Inner);

impl Jobs<'_> {
    /// Adds a job; if an unfinished one has its `unique_key`, answers that one instead.
    pub async fn enqueue(&self, new: &NewJob) -> Result<Job, JobError> {
        // Between finding the key taken and reading who has it, that job may end: then ours can be added.
        for _ in 0..3 {
            let (id, model) = new_model(self.0, new);
            match Entity::insert(model)
                .exec_without_returning(self.0.database.write())
                .await
            {
                Ok(_) => return self.get(id).await,
                Err(error) if error.is_not_unique() => {}
                Err(error) => return Err(DatabaseError::from(error).into()),
            }
            let live = Entity::find()
                .filter(Column::UniqueKey.eq(new.unique_key.as_deref().map(storable)))
                .filter(is_unfinished())
                .one(self.0.database.write())
                .await?;
            if let Some(live) = live {
                return Ok(Job::from_model(live)?);
            }
        }
        Err(JobError::Contended)
    }

    pub async fn get(&self, id: JobId) -> Result<Job, JobError> {
        let model = Entity::find_by_id(id.to_string()).one(self.0.database.read()).await?;
        Ok(Job::from_model(model.ok_or(JobError::NotFound(id))?)?)
    }

    /// Jobs in one state, or all, the newest first, up to `limit` after `after`. Answers whether there is more.
    pub async fn list(
        &self,
        state: Option<JobState>,
        after: Option<JobId>,
        limit: u64,
    ) -> Result<(Vec<Job>, bool), JobError> {
        let mut wanted = Entity::find().order_by_desc(Column::Id);
        if let Some(state) = state {
            wanted = wanted.filter(Column::State.eq(to_name(&state)));
        }
        if let Some(after) = after {
            wanted = wanted.filter(Column::Id.lt(after.to_string()));
        }
        let mut models = wanted
            .limit(limit.saturating_add(1))
            .all(self.0.database.read())
            .await?;
        let more = models.len() as u64 > limit;
        models.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok((models.into_iter().map(Job::from_model).collect::<Result<_, _>>()?, more))
    }

    /// How many there are in each state; those that were purged do not count.
    pub async fn count_by_state(&self) -> Result<HashMap<JobState, u64>, JobError> {
        let counts: Vec<(String, i64)> = Entity::find()
            .select_only()
            .column(Column::State)
            .column_as(Column::Id.count(), "jobs")
            .group_by(Column::State)
            .into_tuple()
            .all(self.0.database.read())
            .await?;
        let count = |(state, count): (String, i64)| {
            let row = Row::new("jobs", &state);
            Ok((row.name("state", &state)?, row.count("id", count)?))
        };
        Ok(counts.into_iter().map(count).collect::<Result<_, DatabaseError>>()?)
    }

    /// Unfinished jobs of a kind, the oldest first.
    pub async fn unfinished(&self, kind: &str) -> Result<Vec<Job>, JobError> {
        let models = Entity::find()
            .filter(Column::Kind.eq(kind))
            .filter(is_unfinished())
            .order_by_asc(Column::Id)
            .all(self.0.database.read())
            .await?;
        Ok(models.into_iter().map(Job::from_model).collect::<Result<_, _>>()?)
    }

    /// Takes the job of one of these kinds that has waited longest, for `lease` from now. `None` if nothing is due here.
    ///
    /// Of all processes that ask at once, one gets it. A job whose lease ended is due again, unless its attempts are
    /// used up or somebody asked to cancel it: then it ends here.
    pub async fn claim(&self, kinds: &[&str], lease: Duration) -> Result<Option<Claim>, JobError> {
        let now = self.0.now();
        let transaction = self.0.database.begin().await?;
        end_expired(&transaction, now).await?;
        let due = Condition::any()
            .add(
                Condition::all()
                    .add(Column::State.eq(to_name(&JobState::Queued)))
                    .add(Column::RunAfterNs.lte(from_time(now))),
            )
            .add(has_expired(now));
        let here = Condition::any()
            .add(Column::Node.is_null())
            .add(Column::Node.eq(self.0.node.to_string()));
        let next = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::Kind.is_in(kinds.iter().copied()))
            .filter(due)
            .filter(here)
            .order_by_asc(Column::RunAfterNs)
            .order_by_asc(Column::Id)
            .limit(1)
            // PostgreSQL: rows that others are about to take are passed over. SQLite has one writer.
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .into_query();
        let token = LeaseToken::generate(now);
        let claimed = Entity::update_many()
            .col_expr(Column::State, Expr::value(to_name(&JobState::Running)))
            .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
            .col_expr(Column::LeaseOwner, Expr::value(self.0.node.to_string()))
            .col_expr(Column::LeaseToken, Expr::value(token.to_string()))
            .col_expr(Column::LeaseUntilNs, Expr::value(from_time_after(now, lease)))
            .filter(Column::Id.in_subquery(next))
            .exec_with_returning(&transaction)
            .await?;
        let claim = match claimed.into_iter().next() {
            Some(model) => {
                let job = Job::from_model(model)?;
                let lease = Lease { job: job.id, token };
                Some(Claim { job, lease })
            }
            None => None,
        };
        transaction.commit().await?;
        Ok(claim)
    }

    /// Keeps a claim for `lease` from now, and says how far the work is (0 to 1).
    pub async fn heartbeat(&self, lease: &Lease, progress: f64, keep: Duration) -> Result<Heartbeat, JobError> {
        let until = from_time_after(self.0.now(), keep);
        let kept = Entity::update_many()
            .col_expr(Column::LeaseUntilNs, Expr::value(until))
            .col_expr(Column::Progress, Expr::value(progress.clamp(0.0, 1.0)))
            .filter(is_held(lease))
            .exec_with_returning(self.0.database.write())
            .await?;
        match kept.first() {
            Some(model) if model.cancel_requested => Ok(Heartbeat::Cancel),
            Some(_) => Ok(Heartbeat::Continue),
            None => Err(JobError::LeaseLost(lease.job)),
        }
    }

    /// The work is done.
    pub async fn complete(&self, lease: &Lease) -> Result<(), JobError> {
        let transaction = self.0.database.begin().await?;
        complete(&transaction, lease, self.0.now()).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The work failed. Answers where the job stands now: queued again, or failed.
    pub async fn fail(&self, lease: &Lease, failure: &str, retry: Retry) -> Result<JobState, JobError> {
        let transaction = self.0.database.begin().await?;
        let state = fail(&transaction, lease, failure, retry, self.0.now()).await?;
        transaction.commit().await?;
        Ok(state)
    }

    /// The work stopped because somebody asked.
    pub async fn cancelled(&self, lease: &Lease) -> Result<(), JobError> {
        let transaction = self.0.database.begin().await?;
        cancelled(&transaction, lease, self.0.now()).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Asks for a job to end: one that waits ends at once, one that runs is told with its next heartbeat. One that has
    /// ended stays as it is.
    pub async fn cancel(&self, id: JobId) -> Result<Job, JobError> {
        let transaction = self.0.database.begin().await?;
        cancel(&transaction, Column::Id.eq(id.to_string()).into(), self.0.now()).await?;
        transaction.commit().await?;
        self.get(id).await
    }

    /// Queues again what this data directory's last process was doing when it ended; answers how many. To be called
    /// once, at start: the lock says that nobody here is doing it any more.
    pub async fn reclaim(&self) -> Result<u64, JobError> {
        let now = self.0.now();
        let transaction = self.0.database.begin().await?;
        // As if their leases had ended now.
        let reclaimed = Entity::update_many()
            .col_expr(Column::LeaseUntilNs, Expr::value(from_time(now)))
            .filter(Column::State.eq(to_name(&JobState::Running)))
            .filter(Column::LeaseOwner.eq(self.0.node.to_string()))
            .exec(&transaction)
            .await?;
        end_expired(&transaction, now).await?;
        transaction.commit().await?;
        Ok(reclaimed.rows_affected)
    }

    /// Forgets jobs that ended before `before`; answers how many.
    pub async fn purge(&self, before: Arrival) -> Result<u64, JobError> {
        let purged = Entity::delete_many()
            .filter(Column::EndedNs.lt(from_time(before)))
            .exec(self.0.database.write())
            .await?;
        Ok(purged.rows_affected)
    }
}

/// Adds a job to what a transaction does.
pub(crate) async fn enqueue(
    transaction: &DatabaseTransaction,
    inner: &Inner,
    new: &NewJob,
) -> Result<JobId, DatabaseError> {
    let (id, model) = new_model(inner, new);
    Entity::insert(model).exec_without_returning(transaction).await?;
    Ok(id)
}

/// Ends a claim with success, with whatever else a transaction does.
pub(crate) async fn complete(transaction: &DatabaseTransaction, lease: &Lease, now: Arrival) -> Result<(), JobError> {
    let update = ActiveModel {
        progress: Set(1.0),
        ..ended(JobState::Done, now)
    };
    match end(transaction, is_held(lease), update).await? {
        0 => Err(JobError::LeaseLost(lease.job)),
        _ => Ok(()),
    }
}

/// Ends a claim with failure, with whatever else a transaction does.
pub(crate) async fn fail(
    transaction: &DatabaseTransaction,
    lease: &Lease,
    failure: &str,
    retry: Retry,
    now: Arrival,
) -> Result<JobState, JobError> {
    let held = Entity::find().filter(is_held(lease)).one(transaction).await?;
    let job = Job::from_model(held.ok_or(JobError::LeaseLost(lease.job))?)?;
    let state = if job.cancel_requested {
        JobState::Cancelled
    } else if retry == Retry::Later && job.attempts < job.max_attempts {
        JobState::Queued
    } else {
        JobState::Failed
    };
    let mut update = ActiveModel {
        failure: Set(Some(storable(failure))),
        ..ended(state, now)
    };
    if state == JobState::Queued {
        update.ended_ns = Set(None);
        update.run_after_ns = Set(from_time_after(now, retry_delay(job.attempts)));
        update.progress = Set(0.0);
    }
    end(transaction, is_held(lease), update).await?;
    Ok(state)
}

/// Ends a claim because somebody asked, with whatever else a transaction does.
pub(crate) async fn cancelled(transaction: &DatabaseTransaction, lease: &Lease, now: Arrival) -> Result<(), JobError> {
    match end(transaction, is_held(lease), ended(JobState::Cancelled, now)).await? {
        0 => Err(JobError::LeaseLost(lease.job)),
        _ => Ok(()),
    }
}

/// Asks for jobs to end, with whatever else a transaction does.
pub(crate) async fn cancel(
    transaction: &DatabaseTransaction,
    which: Condition,
    now: Arrival,
) -> Result<(), DatabaseError> {
    let queued = Condition::all()
        .add(which.clone())
        .add(Column::State.eq(to_name(&JobState::Queued)));
    end(transaction, queued, ended(JobState::Cancelled, now)).await?;
    Entity::update_many()
        .col_expr(Column::CancelRequested, Expr::value(true))
        .filter(which)
        .filter(Column::State.eq(to_name(&JobState::Running)))
        .exec(transaction)
        .await?;
    Ok(())
}

/// Ends jobs whose lease ended for the last time.
async fn end_expired(transaction: &DatabaseTransaction, now: Arrival) -> Result<(), DatabaseError> {
    let cancelled = Condition::all()
        .add(has_expired(now))
        .add(Column::CancelRequested.eq(true));
    end(transaction, cancelled, ended(JobState::Cancelled, now)).await?;
    let used_up = Condition::all()
        .add(has_expired(now))
        .add(Expr::col(Column::Attempts).gte(Expr::col(Column::MaxAttempts)));
    let update = ActiveModel {
        failure: Set(Some("the process that was doing it ended, each time".to_owned())),
        ..ended(JobState::Failed, now)
    };
    end(transaction, used_up, update).await?;
    Ok(())
}

/// What changes in every job that is no longer running.
fn ended(state: JobState, now: Arrival) -> ActiveModel {
    ActiveModel {
        state: Set(to_name(&state)),
        lease_owner: Set(None),
        lease_token: Set(None),
        lease_until_ns: Set(None),
        ended_ns: Set(Some(from_time(now))),
        ..Default::default()
    }
}

async fn end(transaction: &DatabaseTransaction, which: Condition, update: ActiveModel) -> Result<u64, DatabaseError> {
    let ended = Entity::update_many()
        .set(update)
        .filter(which)
        .exec(transaction)
        .await?;
    Ok(ended.rows_affected)
}

fn is_unfinished() -> Condition {
    [JobState::Queued, JobState::Running]
        .iter()
        .fold(Condition::any(), |any, state| any.add(Column::State.eq(to_name(state))))
}

fn is_held(lease: &Lease) -> Condition {
    Condition::all()
        .add(Column::Id.eq(lease.job.to_string()))
        .add(Column::State.eq(to_name(&JobState::Running)))
        .add(Column::LeaseToken.eq(lease.token.to_string()))
}

fn has_expired(now: Arrival) -> Condition {
    Condition::all()
        .add(Column::State.eq(to_name(&JobState::Running)))
        .add(Column::LeaseUntilNs.lte(from_time(now)))
}

/// 5 s, 20 s, 80 s, 320 s, then every 10 min.
fn retry_delay(attempts: u32) -> Duration {
    let factor = 4_u32.saturating_pow(attempts.saturating_sub(1));
    FIRST_RETRY.saturating_mul(factor).min(LAST_RETRY)
}

fn new_model(inner: &Inner, new: &NewJob) -> (JobId, ActiveModel) {
    let now = inner.now();
    let id = JobId::from_parts(now.as_millis(), random());
    let model = ActiveModel {
        id: Set(id.to_string()),
        kind: Set(storable(&new.kind)),
        payload: Set(to_json(&new.payload)),
        node: Set(new.node.map(String::from)),
        unique_key: Set(new.unique_key.as_deref().map(storable)),
        state: Set(to_name(&JobState::Queued)),
        attempts: Set(0),
        max_attempts: Set(i64::from(Ord::max(new.max_attempts, 1))),
        run_after_ns: Set(from_time(new.run_after.unwrap_or(now))),
        lease_owner: Set(None),
        lease_token: Set(None),
        lease_until_ns: Set(None),
        cancel_requested: Set(false),
        progress: Set(0.0),
        failure: Set(None),
        created_ns: Set(from_time(now)),
        ended_ns: Set(None),
    };
    (id, model)
}
