//! What the schema is, and what it should be.

use std::{collections::BTreeSet, path::Path};

use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseTransaction, DbBackend, FromQueryResult, Statement, TransactionTrait as _,
};
use sea_orm_migration::MigratorTrait as _;
use serde::Serialize;

use super::{Access, Database, DatabaseError, Location, migrations::Migrator};

/// Every table, column, index, constraint and trigger, as a line of text each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schema(BTreeSet<String>);

/// What differs between a schema and a fresh one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) enum SchemaDifference {
    Missing(String),
    Unexpected(String),
}

impl Schema {
    /// What the database has.
    pub(crate) async fn live(database: &Database) -> Result<Self, DatabaseError> {
        let connection = database.read();
        Self::dump(connection).await
    }

    /// What this version would make in an empty database of the same kind. Leaves nothing behind.
    pub(crate) async fn fresh(database: &Database) -> Result<Self, DatabaseError> {
        if database.write().get_database_backend() == DbBackend::Postgres {
            // It is rolled back, so it may write even where nothing else may.
            let write = Some(AccessMode::ReadWrite);
            let transaction = database.write().begin_with_config(None, write).await?;
            transaction.execute_unprepared("CREATE SCHEMA greffier_check").await?;
            transaction
                .execute_unprepared("SET LOCAL search_path TO greffier_check")
                .await?;
            let schema = Self::migrate_and_dump(&transaction).await;
            transaction.rollback().await?;
            schema
        } else {
            // An empty name is a private database that lives as long as its connection.
            let location = Location::SqliteFile(Path::new("").to_owned());
            let empty = Database::connect(&location, 1, Access::ReadWrite).await?;
            let transaction = empty.begin().await?;
            Self::migrate_and_dump(&transaction).await
        }
    }

    async fn migrate_and_dump(transaction: &DatabaseTransaction) -> Result<Self, DatabaseError> {
        Migrator::up(transaction, None).await?;
        Self::dump(transaction).await
    }

    async fn dump(connection: &impl ConnectionTrait) -> Result<Self, DatabaseError> {
        #[derive(FromQueryResult)]
        struct Line {
            line: String,
        }
        let backend = connection.get_database_backend();
        let sql = match backend {
            DbBackend::Postgres => POSTGRES_SCHEMA,
            _ => SQLITE_SCHEMA,
        };
        let lines = Line::find_by_statement(Statement::from_string(backend, sql))
            .all(connection)
            .await?;
        Ok(Self(lines.into_iter().map(|line| line.line).collect()))
    }

    /// What makes `self` differ from what it should be.
    pub(crate) fn differences(&self, expected: &Self) -> Vec<SchemaDifference> {
        let missing = expected.0.difference(&self.0).cloned().map(SchemaDifference::Missing);
        let unexpected = self
            .0
            .difference(&expected.0)
            .cloned()
            .map(SchemaDifference::Unexpected);
        missing.chain(unexpected).collect()
    }
}

/// SQLite keeps the text of every definition. The names it makes itself begin with `sqlite_`.
const SQLITE_SCHEMA: &str = "
    SELECT type || ' ' || name || ': ' || COALESCE(sql, '') AS line
    FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";

const POSTGRES_SCHEMA: &str = "
    SELECT 'column ' || table_name || '.' || column_name || ': ' || data_type || ' ' || is_nullable || ' '
        || COALESCE(column_default, '') AS line
    FROM information_schema.columns WHERE table_schema = current_schema()
    UNION ALL
    SELECT 'index ' || indexname || ': ' || REPLACE(indexdef, quote_ident(schemaname) || '.', '')
    FROM pg_indexes WHERE schemaname = current_schema()
    UNION ALL
    SELECT 'constraint ' || conname || ': '
        || REPLACE(pg_get_constraintdef(pg_constraint.oid), quote_ident(nspname) || '.', '')
    FROM pg_constraint JOIN pg_namespace ON pg_namespace.oid = connamespace
    WHERE nspname = current_schema()
    UNION ALL
    SELECT 'trigger ' || tgname || ' of ' || relname
    FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE NOT tgisinternal AND nspname = current_schema()";
