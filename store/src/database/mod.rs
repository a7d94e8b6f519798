//! The database: connecting, transactions, and what its failures mean.
//!
//! One code path for SQLite and PostgreSQL: statements are built, types are `TEXT`, `BIGINT`, `BOOLEAN` and
//! `DOUBLE PRECISION`; times are nanoseconds (`_ns`) since the Unix epoch, structured values JSON text.
//!
//! SQLite has one writer at a time. So there is one connection for transactions, which waits its turn in the pool
//! rather than in SQLite's busy handler, and others for reading, which see a snapshot and never wait (WAL).

mod changes;
pub(crate) mod column;
mod error;
mod migrations;
mod schema;
mod table;

use std::{path::PathBuf, sync::Arc, time::Duration};

use sea_orm::{
    ConnectOptions, ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    SqliteTransactionMode, TransactionOptions, TransactionTrait as _,
    sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use sea_orm_migration::MigratorTrait as _;
use secrecy::{ExposeSecret as _, SecretString};

pub use changes::Version;
pub(crate) use changes::Watched;
pub use error::DatabaseError;
pub(crate) use error::NotUnique;
pub(crate) use schema::{Schema, SchemaDifference};
pub(crate) use table::table;

use self::{changes::Changes, migrations::Migrator};

/// How long a statement waits for another process's transaction, or a task for a connection.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Taken while migrating, so that two processes that start at once do not both do it. Any number that nothing else
/// in the database uses.
const MIGRATION_LOCK: i64 = 0x6772_6566_6669_6572;

/// Where the database is.
#[derive(Debug, Clone)]
pub(crate) enum Location {
    /// The file of a data directory: whoever has that writes to it, and nobody else.
    Own(PathBuf),
    SqliteFile(PathBuf),
    Postgres(SecretString),
}

impl Location {
    /// From a `sqlite:` or `postgres:` URL; without one, the file `default`.
    pub(crate) fn new(url: Option<SecretString>, default: PathBuf) -> Result<Self, DatabaseError> {
        let Some(url) = url else {
            return Ok(Self::Own(default));
        };
        let text = url.expose_secret();
        if let Some(path) = text.strip_prefix("sqlite://") {
            if path.is_empty() || path.starts_with('?') || path.contains(":memory:") {
                return Err(DatabaseError::Url("a `sqlite://` URL must name a file"));
            }
            return Ok(Self::SqliteFile(PathBuf::from(path)));
        }
        match url::Url::parse(text) {
            Ok(parsed) if matches!(parsed.scheme(), "postgres" | "postgresql") => Ok(Self::Postgres(url)),
            _ => Err(DatabaseError::Url(
                "the database must be a `postgres://` or `sqlite://` URL",
            )),
        }
    }
}

/// What a connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    ReadWrite,
    ReadOnly,
}

/// Connections to the database.
#[derive(Debug)]
pub(crate) struct Database {
    write: DatabaseConnection,
    read: DatabaseConnection,
    /// Only where nobody else writes.
    changes: Option<Arc<Changes>>,
}

impl Database {
    /// Connects. With [`Access::ReadOnly`] the database refuses every change.
    pub(crate) async fn connect(location: &Location, connections: u32, access: Access) -> Result<Self, DatabaseError> {
        match location {
            Location::Own(path) | Location::SqliteFile(path) => {
                let read = connect_sqlite(path.clone(), connections, Access::ReadOnly, None);
                if access == Access::ReadOnly {
                    let read = read.await?;
                    return Ok(Self {
                        write: read.clone(),
                        read,
                        changes: None,
                    });
                }
                let changes = matches!(location, Location::Own(_)).then(Changes::new);
                // The writer first: it makes the file.
                let write = connect_sqlite(path.clone(), 1, Access::ReadWrite, changes.clone()).await?;
                let read = read.await?;
                Ok(Self { write, read, changes })
            }
            Location::Postgres(url) => {
                let both = connect_postgres(url, connections, access).await?;
                Ok(Self {
                    write: both.clone(),
                    read: both,
                    changes: None,
                })
            }
        }
    }

    /// Brings the schema up to date, wholly or not at all.
    pub(crate) async fn migrate(&self) -> Result<(), DatabaseError> {
        let transaction = self.begin().await?;
        if transaction.get_database_backend() == DbBackend::Postgres {
            let lock = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
            transaction.execute_unprepared(&lock).await?;
        }
        Migrator::up(&transaction, None)
            .await
            .map_err(DatabaseError::of_migration)?;
        transaction.commit().await?;
        Ok(())
    }

    /// Whether the schema is this version's.
    pub(crate) async fn is_migrated(&self) -> Result<bool, DatabaseError> {
        let pending = Migrator::get_pending_migrations_read_only(&self.read)
            .await
            .map_err(DatabaseError::of_migration)?;
        Ok(pending.is_empty())
    }

    /// For reading what is committed.
    pub(crate) fn read(&self) -> &DatabaseConnection {
        &self.read
    }

    /// The version of what these tables hold now. `None` if it cannot be told: others write too, or somebody does just now.
    pub(crate) fn version(&self, tables: impl IntoIterator<Item = Watched>) -> Option<Version> {
        self.changes.as_ref()?.version(tables)
    }

    /// Begins a transaction that will write. Dropped without a commit, it leaves nothing.
    ///
    /// SQLite takes the write lock at once: a transaction that reads first and then finds it cannot write would have to
    /// be repeated.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction, DatabaseError> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        Ok(self.write.begin_with_options(options).await?)
    }

    /// The connection to write with, for single statements.
    pub(crate) fn write(&self) -> &DatabaseConnection {
        &self.write
    }

    /// Closes all connections; SQLite moves its log into the database file.
    pub(crate) async fn close(&self) -> Result<(), DatabaseError> {
        self.read.close_by_ref().await?;
        self.write.close_by_ref().await?;
        Ok(())
    }
}

fn options(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(BUSY_TIMEOUT)
        // Statements are spans of ours where they matter; their text may hold names of people.
        .sqlx_logging(false)
        .record_stmt_in_spans(false);
    options
}

async fn connect_sqlite(
    path: PathBuf,
    connections: u32,
    access: Access,
    changes: Option<Arc<Changes>>,
) -> Result<DatabaseConnection, DbErr> {
    let mut options = options("sqlite://unused", connections);
    if let Some(changes) = changes {
        options.map_sqlx_sqlite_pool_opts(move |pool| changes.watch(pool));
    }
    options
        // A local file does not go away: connections are made once.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .map_sqlx_sqlite_opts(move |_| {
            let options = SqliteConnectOptions::new()
                .filename(&path)
                .foreign_keys(true)
                // Rows that the connection's thread hands over before it waits: a page of 50 and the one that says there is more
                // must fit, or each list costs two more changes of thread.
                .row_buffer_size(256)
                .busy_timeout(BUSY_TIMEOUT);
            match access {
                Access::ReadWrite => options
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    // A committed transaction survives a power failure. NORMAL would lose the last ones.
                    .synchronous(SqliteSynchronous::Full),
                // Not opened read-only: after a crash even the first reader must be able to recover the log.
                Access::ReadOnly => options.pragma("query_only", "ON"),
            }
        });
    sea_orm::Database::connect(options).await
}

async fn connect_postgres(
    url: &SecretString,
    connections: u32,
    access: Access,
) -> Result<DatabaseConnection, DatabaseError> {
    let mut options = options(url.expose_secret(), connections);
    options
        .set_application_name("greffier")
        .map_sqlx_postgres_opts(move |options| match access {
            Access::ReadWrite => options,
            Access::ReadOnly => options.options([("default_transaction_read_only", "on")]),
        });
    Ok(sea_orm::Database::connect(options).await?)
}
