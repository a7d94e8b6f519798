//! Whether what must always be true is: `docs/design/durability.md` states it in numbered sentences, and each finding
//! names the one that does not hold.
//!
//! Nothing is ever deleted: what nobody knows is moved to `lost+found`.

mod invariant;
mod journals;
mod orphans;
mod renders;
mod rows;
mod stored;

#[cfg(test)]
mod tests;

use std::fmt;

use greffier_media::ids::RecordingId;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use serde::Serialize;

pub use self::invariant::Invariant;
use crate::{
    DatabaseError, DiskError, Error, ErrorKind, JournalError, LockError, ObjectError, RecordingError, Store,
    database::{Access, column::Row},
    disk::{self, DataLock},
    recordings::entity::recordings,
    store::Inner,
};

/// How to check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// Repair what can be. Needs a store that was opened for writing.
    pub repair: bool,
    /// Read every byte of every file, too: its length alone does not tell whether it is what it was.
    pub contents: bool,
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub recordings: u64,
    pub segments: u64,
    pub renders: u64,
    /// Bytes of files that were read from their first to their last.
    pub bytes_read: u64,
    /// Recordings that were left alone, because they are being written.
    pub live: u64,
    pub findings: Vec<Finding>,
}

impl Report {
    /// All is as it must be.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// All is as it must be, or is so now.
    pub fn is_repaired(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| matches!(finding.repair, Repair::Done(_)))
    }
}

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub invariant: Invariant,
    /// A path below the data directory, or an id.
    pub subject: String,
    pub problem: String,
    pub repair: Repair,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            invariant,
            subject,
            problem,
            repair,
        } = self;
        write!(f, "{}: {subject}: {problem} ({repair})", invariant.number())
    }
}

/// What was done about a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "what")]
pub enum Repair {
    /// Repairing was not asked for.
    NotAsked,
    Done(String),
    /// No program can; people may, with what this says.
    Impossible(String),
    /// It did not work this time.
    Failed(String),
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str("not repaired"),
            Self::Done(what) => write!(f, "repaired: {what}"),
            Self::Impossible(what) => write!(f, "cannot be repaired: {what}"),
            Self::Failed(why) => write!(f, "repair failed: {why}"),
        }
    }
}

impl Store {
    /// Checks this data directory and its rows; those of others that share the database are theirs to check.
    ///
    /// It may run while recordings are made: those are left alone, but for their sealed segments.
    pub async fn check(&self, options: CheckOptions) -> Result<Report, CheckError> {
        let inner = &self.inner;
        if options.repair && inner.access == Access::ReadOnly {
            return Err(CheckError::ReadOnly);
        }
        let lock = inner.data.lock();
        let mut check = Check {
            inner,
            options,
            report: Report::default(),
            // Beside the process that writes, all that is unfinished may be its.
            others_write: inner.access == Access::ReadOnly && disk::blocking(move || DataLock::is_held(&lock)).await?,
        };
        check.schema().await?;
        check.jobs().await?;
        check.deletions().await?;
        check.uploads().await?;
        for model in check.recordings().await? {
            check.recording(model).await?;
        }
        check.orphan_recordings().await?;
        Ok(check.report)
    }
}

/// One check under way.
struct Check<'a> {
    inner: &'a Inner,
    options: CheckOptions,
    report: Report,
    others_write: bool,
}

impl Check<'_> {
    async fn recordings(&self) -> Result<Vec<recordings::Model>, DatabaseError> {
        Ok(recordings::Entity::find()
            .filter(recordings::Column::Node.eq(self.inner.node.to_string()))
            .filter(recordings::Column::DeletingNs.is_null())
            .order_by_asc(recordings::Column::Id)
            .all(self.inner.database.read())
            .await?)
    }

    async fn recording(&mut self, model: recordings::Model) -> Result<(), CheckError> {
        let id: RecordingId = Row::new("recordings", &model.id).parse("id", &model.id)?;
        self.report.recordings += 1;
        let live = self.is_live(id, &model.state);
        if live {
            self.report.live += 1;
        }
        self.journal(id, live).await?;
        if !live {
            self.totals(id).await?;
        }
        self.renders(id).await?;
        self.orphans_of(id).await
    }

    fn is_live(&self, id: RecordingId, state: &str) -> bool {
        let ended = matches!(state, "sealed" | "failed");
        self.inner.live.contains(&id) || (self.others_write && !ended)
    }

    /// Notes what is not as it must be, with what was, or cannot be, done about it.
    fn note(&mut self, invariant: Invariant, subject: impl fmt::Display, problem: impl fmt::Display, repair: Repair) {
        let finding = Finding {
            invariant,
            subject: subject.to_string(),
            problem: problem.to_string(),
            repair,
        };
        tracing::warn!(%finding, "what must be true is not");
        self.report.findings.push(finding);
    }

    /// Repairs, if that was asked for. An attempt that fails is part of the report: the check goes on.
    async fn repair<E: Into<Error>>(&self, what: &str, attempt: impl Future<Output = Result<(), E>>) -> Repair {
        if !self.options.repair {
            return Repair::NotAsked;
        }
        match attempt.await {
            Ok(()) => Repair::Done(what.to_owned()),
            Err(error) => Repair::Failed(with_sources(&error.into())),
        }
    }
}

fn with_sources(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Why a check could not be made at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    #[error("the store was opened for reading only: nothing can be repaired")]
    ReadOnly,
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl CheckError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::ReadOnly => ErrorKind::Conflict,
            Self::Lock(error) => error.kind(),
            Self::Disk(error) => error.kind(),
            Self::Journal(error) => error.kind(),
            Self::Recording(error) => error.kind(),
            Self::Object(error) => error.kind(),
            Self::Database(error) => error.kind(),
        }
    }
}
