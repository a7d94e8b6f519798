//! What a job is, and what its holder has of it.

use greffier_media::{ids::JobId, time::Arrival};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::entity::Model;
use crate::{DatabaseError, ErrorKind, NodeId, database::column::Row, ids::LeaseToken};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    Queued,
    Running,
    Done,
    Failed,
    Cancelled,
}

impl JobState {
    /// Whether nothing follows.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// Work to be done.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// What has to be done: whoever claims names the kinds it can do.
    pub kind: String,
    /// To what, as the kind has it.
    pub payload: Value,
    /// The only data directory it can be done at; any, if `None`.
    pub node: Option<NodeId>,
    /// No two unfinished jobs have the same.
    pub unique_key: Option<String>,
    /// Not before; at once, if `None`.
    pub run_after: Option<Arrival>,
    /// How often it is tried before it has failed. At least 1.
    pub max_attempts: u32,
}

impl NewJob {
    /// Anywhere, at once, three times.
    pub fn new(kind: impl Into<String>, payload: Value) -> Self {
        Self {
            kind: kind.into(),
            payload,
            node: None,
            unique_key: None,
            run_after: None,
            max_attempts: 3,
        }
    }
}

/// A job, as of when it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub id: JobId,
    pub kind: String,
    pub payload: Value,
    pub node: Option<NodeId>,
    pub state: JobState,
    /// How often it has been claimed.
    pub attempts: u32,
    pub max_attempts: u32,
    pub run_after: Arrival,
    /// Until when its holder has it, while it is running.
    pub lease_until: Option<Arrival>,
    pub cancel_requested: bool,
    /// 0 to 1.
    pub progress: f64,
    /// Why it failed, last time.
    pub failure: Option<String>,
    pub created: Arrival,
    pub ended: Option<Arrival>,
}

/// A claimed job; nobody else has it until the lease ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    pub job: Job,
    pub lease: Lease,
}

/// What proves a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    pub job: JobId,
    pub token: LeaseToken,
}

/// What a holder learns from its heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Heartbeat {
    Continue,
    /// Somebody asked to stop: do so, then say [`cancelled`](super::Jobs::cancelled).
    Cancel,
}

/// Whether trying again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    Later,
    Never,
}

impl Job {
    pub(crate) fn from_model(model: Model) -> Result<Self, DatabaseError> {
        let row = Row::new("jobs", &model.id);
        Ok(Self {
            id: row.parse("id", &model.id)?,
            payload: row.json("payload", &model.payload)?,
            node: row.parse_opt("node", model.node.as_deref())?,
            state: row.name("state", &model.state)?,
            attempts: row.small("attempts", model.attempts)?,
            max_attempts: row.small("max_attempts", model.max_attempts)?,
            run_after: row.time("run_after_ns", model.run_after_ns)?,
            lease_until: row.time_opt("lease_until_ns", model.lease_until_ns)?,
            created: row.time("created_ns", model.created_ns)?,
            ended: row.time_opt("ended_ns", model.ended_ns)?,
            cancel_requested: model.cancel_requested,
            progress: model.progress,
            failure: model.failure,
            kind: model.kind,
        })
    }
}

/// Why a job is not as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    #[error("there is no job {0}")]
    NotFound(JobId),
    /// The lease ended and somebody else has it, or it ended otherwise: stop, and leave its result alone.
    #[error("the claim of job {0} is lost")]
    LeaseLost(JobId),
    #[error("jobs with this key come and go too fast")]
    Contended,
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl JobError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::LeaseLost(_) => ErrorKind::Conflict,
            Self::Contended => ErrorKind::Unavailable,
            Self::Database(error) => error.kind(),
        }
    }
}
