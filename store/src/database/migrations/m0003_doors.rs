//! Who was put out of a call, guests that are known again, and what was said before a call began.

#![expect(
    elided_lifetimes_in_paths,
    reason = "`async_trait` makes other methods of `SchemaManager<'_>` than the trait has"
)]

use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0003_doors"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        connection.execute_unprepared(TABLES).await?;
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("what people wrote is not thrown away".into()))
    }
}

const TABLES: &str = "
ALTER TABLE rooms ADD COLUMN locked_ns BIGINT;

ALTER TABLE waiting ADD COLUMN invitation_id TEXT;

-- Whoever comes without an account: their browser shows the secret, and they are the same guest again.
CREATE TABLE room_guests (
    id TEXT NOT NULL PRIMARY KEY,
    room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    secret_hash TEXT NOT NULL,
    invitation_id TEXT NOT NULL,
    identity TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT,
    seen_ns BIGINT NOT NULL,
    admitted_ns BIGINT
);
CREATE UNIQUE INDEX room_guests_by_secret ON room_guests (room_id, secret_hash);
CREATE UNIQUE INDEX room_guests_by_identity ON room_guests (room_id, identity);
CREATE INDEX room_guests_by_age ON room_guests (seen_ns);

-- Who was put out of a call, until they are let back in.
CREATE TABLE call_removals (
    call_id TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    identity TEXT NOT NULL,
    name TEXT NOT NULL,
    removed_by TEXT NOT NULL,
    removed_ns BIGINT NOT NULL,
    PRIMARY KEY (call_id, identity)
);

-- What happened in a room before its call began; the call takes it over.
CREATE TABLE early_events (
    id TEXT NOT NULL PRIMARY KEY,
    room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    at_ns BIGINT NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX early_events_by_room ON early_events (room_id, at_ns);

-- Answers were kept in clear until now, and some hold keys.
DELETE FROM idempotency_keys;
";
