//! Load tests: what was asked, where each stands, what it came to.

pub(crate) mod entity;

#[cfg(test)]
mod tests;

use greffier_media::time::Arrival;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, sea_query::Expr,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::entity::load_tests::{ActiveModel, Column, Entity, Model};
use crate::{
    DatabaseError, ErrorKind, LoadTestId,
    database::column::{Row, from_time, storable, to_json, to_name},
    store::Inner,
};

/// Where a load test stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadTestState {
    Queued,
    Running,
    Finished,
    Failed,
    /// Somebody asked, or the process ended.
    Stopped,
}

impl LoadTestState {
    /// Whether nothing follows.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Stopped)
    }
}

/// How a load test ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LoadTestEnd {
    /// Where its report is, in the data directory.
    pub report: Option<String>,
    pub summary: Option<Value>,
    /// For people.
    pub failure: Option<String>,
}

/// A load test, as of when it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadTest {
    pub id: LoadTestId,
    /// What was asked.
    pub scenario: Value,
    pub state: LoadTestState,
    pub by: String,
    pub created: Arrival,
    pub started: Option<Arrival>,
    pub ended: Option<Arrival>,
    pub end: LoadTestEnd,
}

/// All load tests.
#[derive(Clone, Copy)]
pub struct LoadTests<'a>(pub(crate) &'a Inner);

impl LoadTests<'_> {
    pub async fn create(&self, scenario: &Value, by: &str) -> Result<LoadTest, LoadTestError> {
        let now = self.0.now();
        let model = ActiveModel {
            id: Set(LoadTestId::generate(now).to_string()),
            scenario: Set(to_json(scenario)),
            state: Set(to_name(&LoadTestState::Queued)),
            created_by: Set(storable(by)),
            created_ns: Set(from_time(now)),
            started_ns: Set(None),
            ended_ns: Set(None),
            report: Set(None),
            summary: Set(None),
            failure: Set(None),
        };
        let model = Entity::insert(model)
            .exec_with_returning(self.0.database.write())
            .await?;
        Ok(LoadTest::from_model(model)?)
    }

    pub async fn get(&self, id: LoadTestId) -> Result<LoadTest, LoadTestError> {
        let model = Entity::find_by_id(id.to_string()).one(self.0.database.read()).await?;
        Ok(LoadTest::from_model(model.ok_or(LoadTestError::NotFound(id))?)?)
    }

    /// Load tests, the newest first, up to `limit` after `after`. Answers whether there is more.
    pub async fn list(&self, after: Option<LoadTestId>, limit: u64) -> Result<(Vec<LoadTest>, bool), LoadTestError> {
        let mut wanted = Entity::find().order_by_desc(Column::Id);
        if let Some(after) = after {
            wanted = wanted.filter(Column::Id.lt(after.to_string()));
        }
        let mut models = wanted
            .limit(limit.saturating_add(1))
            .all(self.0.database.read())
            .await?;
        let more = models.len() as u64 > limit;
        models.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok((
            models.into_iter().map(LoadTest::from_model).collect::<Result<_, _>>()?,
            more,
        ))
    }

    /// The load begins.
    pub async fn start(&self, id: LoadTestId) -> Result<LoadTest, LoadTestError> {
        self.step(id, LoadTestState::Running, LoadTestEnd::default()).await
    }

    /// It is over, one way or another.
    pub async fn finish(
        &self,
        id: LoadTestId,
        state: LoadTestState,
        end: LoadTestEnd,
    ) -> Result<LoadTest, LoadTestError> {
        self.step(id, state, end).await
    }

    async fn step(&self, id: LoadTestId, to: LoadTestState, end: LoadTestEnd) -> Result<LoadTest, LoadTestError> {
        let now = Some(from_time(self.0.now()));
        let transaction = self.0.database.begin().await?;
        let model = Entity::find_by_id(id.to_string())
            .lock_exclusive()
            .one(&transaction)
            .await?
            .ok_or(LoadTestError::NotFound(id))?;
        let from = LoadTest::from_model(model.clone())?.state;
        let goes_on = match to {
            LoadTestState::Queued => false,
            LoadTestState::Running => from == LoadTestState::Queued,
            _ => !from.is_final(),
        };
        if !goes_on {
            return Err(LoadTestError::Step { id, from, to });
        }
        let mut model: ActiveModel = model.into();
        model.state = Set(to_name(&to));
        if to == LoadTestState::Running {
            model.started_ns = Set(now);
        } else {
            model.ended_ns = Set(now);
            model.report = Set(end.report.as_deref().map(storable));
            model.summary = Set(end.summary.as_ref().map(to_json));
            model.failure = Set(end.failure.as_deref().map(storable));
        }
        let model = model.update(&transaction).await?;
        transaction.commit().await?;
        Ok(LoadTest::from_model(model)?)
    }

    /// Says of what was queued or ran when the process ended that it was stopped; answers how many. To be called once,
    /// at start.
    pub async fn settle(&self) -> Result<u64, LoadTestError> {
        let unfinished = [LoadTestState::Queued, LoadTestState::Running];
        let settled = Entity::update_many()
            .col_expr(Column::State, Expr::value(to_name(&LoadTestState::Stopped)))
            .col_expr(Column::EndedNs, Expr::value(from_time(self.0.now())))
            .col_expr(Column::Failure, Expr::value("the process that ran it ended"))
            .filter(Column::State.is_in(unfinished.map(|state| to_name(&state))))
            .exec(self.0.database.write())
            .await?;
        Ok(settled.rows_affected)
    }
}

impl LoadTest {
    fn from_model(model: Model) -> Result<Self, DatabaseError> {
        let row = Row::new("load_tests", &model.id);
        Ok(Self {
            id: row.parse("id", &model.id)?,
            scenario: row.json("scenario", &model.scenario)?,
            state: row.name("state", &model.state)?,
            created: row.time("created_ns", model.created_ns)?,
            started: row.time_opt("started_ns", model.started_ns)?,
            ended: row.time_opt("ended_ns", model.ended_ns)?,
            end: LoadTestEnd {
                summary: row.json_opt("summary", model.summary.as_deref())?,
                report: model.report,
                failure: model.failure,
            },
            by: model.created_by,
        })
    }
}

/// Why a load test is not as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadTestError {
    #[error("there is no load test {0}")]
    NotFound(LoadTestId),
    #[error("{id} is {from:?}, and cannot be {to:?}")]
    Step {
        id: LoadTestId,
        from: LoadTestState,
        to: LoadTestState,
    },
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl LoadTestError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Step { .. } => ErrorKind::Conflict,
            Self::Database(error) => error.kind(),
        }
    }
}

impl From<DbErr> for LoadTestError {
    fn from(error: DbErr) -> Self {
        Self::Database(error.into())
    }
}
