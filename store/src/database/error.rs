//! What a database's failures mean.

use sea_orm::{DbErr, RuntimeErr, SqlErr, sqlx};

use crate::{CheckError, DeliveryError, ErrorKind, FileError, JobError, ObjectError, RecordingError, RenderError};

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The message never shows the URL: it may hold a password.
    #[error("{0}")]
    Url(&'static str),
    #[error("the database does not answer")]
    Unreachable(#[source] DbErr),
    #[error("the database is busy with other transactions")]
    Busy(#[source] DbErr),
    #[error("the database's disk is full")]
    Full(#[source] DbErr),
    #[error("the database is damaged")]
    Damaged(#[source] DbErr),
    #[error("the database was opened for reading only")]
    ReadOnly(#[source] DbErr),
    #[error("the database was written by a later version: {0}")]
    Later(String),
    #[error("the database failed")]
    Failed(#[source] DbErr),
    /// A row that no version of ours writes.
    #[error("`{column}` of `{table}` {row} makes no sense")]
    Inconsistent {
        table: &'static str,
        column: &'static str,
        row: String,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl DatabaseError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Url(_) => ErrorKind::Invalid,
            Self::Unreachable(_) | Self::Busy(_) => ErrorKind::Unavailable,
            Self::Full(_) => ErrorKind::DiskFull,
            Self::Damaged(_) | Self::Inconsistent { .. } => ErrorKind::DataLoss,
            Self::Later(_) => ErrorKind::Unsupported,
            Self::ReadOnly(_) => ErrorKind::Conflict,
            Self::Failed(_) => ErrorKind::Internal,
        }
    }

    /// sea-orm has no variant of its own for a migration that is applied and unknown.
    pub(super) fn of_migration(error: DbErr) -> Self {
        match error {
            DbErr::Custom(text) => Self::Later(text),
            error => error.into(),
        }
    }
}

impl From<DbErr> for DatabaseError {
    fn from(error: DbErr) -> Self {
        match classify(&error) {
            Class::Unreachable => Self::Unreachable(error),
            Class::Busy => Self::Busy(error),
            Class::Full => Self::Full(error),
            Class::Damaged => Self::Damaged(error),
            Class::ReadOnly => Self::ReadOnly(error),
            Class::Other => Self::Failed(error),
        }
    }
}

/// Lets `?` turn what the ORM says into errors that have a variant for it.
macro_rules! from_database {
    ($($error:ty),+ $(,)?) => {
        $(impl From<DbErr> for $error {
            fn from(error: DbErr) -> Self {
                Self::Database(error.into())
            }
        })+
    };
}

from_database!(
    CheckError,
    DeliveryError,
    FileError,
    JobError,
    ObjectError,
    RecordingError,
    RenderError
);

/// Asks whether a statement failed because a row with the same key is there.
pub(crate) trait NotUnique {
    fn is_not_unique(&self) -> bool;
}

impl NotUnique for DbErr {
    fn is_not_unique(&self) -> bool {
        matches!(self.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
    }
}

enum Class {
    Unreachable,
    Busy,
    Full,
    Damaged,
    ReadOnly,
    Other,
}

fn classify(error: &DbErr) -> Class {
    let source = match error {
        DbErr::Conn(RuntimeErr::SqlxError(source))
        | DbErr::Exec(RuntimeErr::SqlxError(source))
        | DbErr::Query(RuntimeErr::SqlxError(source)) => source,
        DbErr::Conn(_) | DbErr::ConnectionAcquire(_) => return Class::Unreachable,
        _ => return Class::Other,
    };
    match source.as_ref() {
        sqlx::Error::Database(database) => match database.code().as_deref() {
            Some(code) if database.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() => of_sqlite(code),
            Some(code) => of_postgres(code),
            None => Class::Other,
        },
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Class::Unreachable,
        _ => Class::Other,
    }
}

/// [Result codes](https://www.sqlite.org/rescode.html); the lowest byte of an extended code is its primary code.
fn of_sqlite(code: &str) -> Class {
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const READONLY: i32 = 8;
    const CORRUPT: i32 = 11;
    const FULL: i32 = 13;
    const CANTOPEN: i32 = 14;
    const NOTADB: i32 = 26;
    match code.parse::<i32>().map(|code| code & 0xFF) {
        Ok(BUSY | LOCKED) => Class::Busy,
        Ok(READONLY) => Class::ReadOnly,
        Ok(CORRUPT | NOTADB) => Class::Damaged,
        Ok(FULL) => Class::Full,
        Ok(CANTOPEN) => Class::Unreachable,
        _ => Class::Other,
    }
}

/// [SQLSTATE](https://www.postgresql.org/docs/current/errcodes-appendix.html): two characters name the class.
fn of_postgres(code: &str) -> Class {
    match code {
        // serialization_failure, deadlock_detected, lock_not_available
        "40001" | "40P01" | "55P03" => Class::Busy,
        "53100" => Class::Full,
        "25006" => Class::ReadOnly,
        // data_corrupted, index_corrupted
        "XX001" | "XX002" => Class::Damaged,
        // Connection exceptions, insufficient resources, operator intervention.
        code if code.starts_with("08") || code.starts_with("53") || code.starts_with("57P") => Class::Unreachable,
        _ => Class::Other,
    }
}
