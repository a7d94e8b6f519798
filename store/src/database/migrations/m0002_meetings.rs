//! People, rooms, calls, and what the meeting application needs besides.

#![expect(
    elided_lifetimes_in_paths,
    reason = "`async_trait` makes other methods of `SchemaManager<'_>` than the trait has"
)]

use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0002_meetings"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        for tables in [ACCOUNTS, MEETINGS, REST] {
            connection.execute_unprepared(tables).await?;
        }
        let append_only = match manager.get_database_backend() {
            DbBackend::Postgres => APPEND_ONLY_POSTGRES,
            _ => APPEND_ONLY_SQLITE,
        };
        connection.execute_unprepared(append_only).await?;
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("what people wrote is not thrown away".into()))
    }
}

const ACCOUNTS: &str = "
-- A deleted person keeps a row: history names them.
CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    email TEXT,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    language TEXT,
    password_hash TEXT,
    foreign_issuer TEXT,
    foreign_subject TEXT,
    search_text TEXT NOT NULL,
    created_ns BIGINT NOT NULL,
    seen_ns BIGINT,
    disabled_ns BIGINT,
    deleted_ns BIGINT
);
CREATE UNIQUE INDEX users_by_email ON users (email);
CREATE UNIQUE INDEX users_by_subject ON users (foreign_issuer, foreign_subject);
CREATE INDEX users_by_name ON users (name, id);

CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    user_agent TEXT NOT NULL,
    address TEXT NOT NULL,
    created_ns BIGINT NOT NULL,
    used_ns BIGINT NOT NULL,
    expires_ns BIGINT NOT NULL,
    ended_ns BIGINT
);
CREATE INDEX sessions_by_user ON sessions (user_id, ended_ns);
CREATE INDEX sessions_by_expiry ON sessions (expires_ns);

-- Every refresh token a session ever had: one that comes back was stolen.
CREATE TABLE refresh_tokens (
    token_hash TEXT NOT NULL PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    created_ns BIGINT NOT NULL,
    replaced_ns BIGINT
);
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);

-- At most one row: what makes its holder the first administrator.
CREATE TABLE setup_token (
    token_hash TEXT NOT NULL PRIMARY KEY,
    created_ns BIGINT NOT NULL
);

CREATE TABLE user_invitations (
    id TEXT NOT NULL PRIMARY KEY,
    token_hash TEXT NOT NULL,
    email TEXT,
    name TEXT,
    role TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_ns BIGINT NOT NULL,
    expires_ns BIGINT NOT NULL,
    accepted_ns BIGINT,
    accepted_by TEXT
);
CREATE UNIQUE INDEX user_invitations_by_token ON user_invitations (token_hash);

CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    secret_hash TEXT NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    user_id TEXT REFERENCES users (id) ON DELETE CASCADE,
    created_ns BIGINT NOT NULL,
    expires_ns BIGINT,
    used_ns BIGINT,
    revoked_ns BIGINT
);
CREATE INDEX api_keys_by_user ON api_keys (user_id);
";

const MEETINGS: &str = "
CREATE TABLE rooms (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    title TEXT NOT NULL,
    call_type TEXT NOT NULL,
    owner_id TEXT REFERENCES users (id),
    options TEXT NOT NULL,
    locked BOOLEAN NOT NULL,
    scheduled_ns BIGINT,
    duration_minutes BIGINT,
    search_text TEXT NOT NULL,
    created_ns BIGINT NOT NULL,
    updated_ns BIGINT NOT NULL,
    ended_ns BIGINT
);
CREATE UNIQUE INDEX rooms_by_name ON rooms (name);
CREATE INDEX rooms_by_schedule ON rooms (scheduled_ns) WHERE scheduled_ns IS NOT NULL;

CREATE TABLE room_members (
    room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    added_ns BIGINT NOT NULL,
    PRIMARY KEY (room_id, user_id)
);
-- A person's rooms, the newest first, a page at a time.
CREATE INDEX room_members_by_user ON room_members (user_id, room_id);

CREATE TABLE room_invitations (
    id TEXT NOT NULL PRIMARY KEY,
    room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    token_hash TEXT NOT NULL,
    guest BOOLEAN NOT NULL,
    created_by TEXT,
    created_ns BIGINT NOT NULL,
    expires_ns BIGINT,
    max_uses BIGINT,
    uses BIGINT NOT NULL,
    revoked_ns BIGINT
);
CREATE UNIQUE INDEX room_invitations_by_token ON room_invitations (token_hash);
CREATE INDEX room_invitations_by_room ON room_invitations (room_id, id);

CREATE TABLE waiting (
    id TEXT NOT NULL PRIMARY KEY,
    room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    secret_hash TEXT NOT NULL,
    identity TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    asked_ns BIGINT NOT NULL,
    seen_ns BIGINT NOT NULL,
    decided_ns BIGINT,
    decided_by TEXT
);
CREATE INDEX waiting_by_room ON waiting (room_id, state);

-- One session of a room on the server. Rooms that nobody made here have calls too, without `room_id`.
CREATE TABLE calls (
    id TEXT NOT NULL PRIMARY KEY,
    sid TEXT NOT NULL,
    room_id TEXT REFERENCES rooms (id) ON DELETE CASCADE,
    room_name TEXT NOT NULL,
    started_ns BIGINT NOT NULL,
    ended_ns BIGINT
);
CREATE UNIQUE INDEX calls_by_sid ON calls (sid);
CREATE INDEX calls_by_room ON calls (room_id, id);
CREATE INDEX calls_by_time ON calls (started_ns);
CREATE INDEX calls_live ON calls (room_id) WHERE ended_ns IS NULL;

-- One stay of a participant, as the server numbers them.
CREATE TABLE call_participants (
    call_id TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    participant_sid TEXT NOT NULL,
    identity TEXT NOT NULL,
    name TEXT NOT NULL,
    user_id TEXT,
    joined_ns BIGINT NOT NULL,
    left_ns BIGINT,
    PRIMARY KEY (call_id, participant_sid)
);
CREATE INDEX call_participants_by_user ON call_participants (user_id, call_id);

CREATE TABLE call_events (
    id TEXT NOT NULL PRIMARY KEY,
    call_id TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    at_ns BIGINT NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX call_events_by_call ON call_events (call_id, at_ns, id);

-- Sums of what a participant's client measured, by direction and kind of media.
CREATE TABLE call_quality (
    call_id TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    identity TEXT NOT NULL,
    direction TEXT NOT NULL,
    kind TEXT NOT NULL,
    samples BIGINT NOT NULL,
    packets BIGINT NOT NULL,
    packets_lost BIGINT NOT NULL,
    jitter_samples BIGINT NOT NULL,
    jitter_us BIGINT NOT NULL,
    jitter_max_us BIGINT NOT NULL,
    rtt_samples BIGINT NOT NULL,
    rtt_us BIGINT NOT NULL,
    rtt_max_us BIGINT NOT NULL,
    bitrate_samples BIGINT NOT NULL,
    bitrate_bps BIGINT NOT NULL,
    width BIGINT NOT NULL,
    height BIGINT NOT NULL,
    updated_ns BIGINT NOT NULL,
    PRIMARY KEY (call_id, identity, direction, kind)
);

CREATE TABLE chat_messages (
    call_id TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    at_ns BIGINT NOT NULL,
    identity TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (call_id, id)
);
CREATE INDEX chat_messages_by_time ON chat_messages (call_id, at_ns);
";

const REST: &str = "
CREATE TABLE notifications (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    created_ns BIGINT NOT NULL,
    read_ns BIGINT
);
CREATE INDEX notifications_by_user ON notifications (user_id, id);

CREATE TABLE push_subscriptions (
    endpoint TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    p256dh TEXT NOT NULL,
    auth TEXT NOT NULL,
    created_ns BIGINT NOT NULL
);
CREATE INDEX push_subscriptions_by_user ON push_subscriptions (user_id);

CREATE TABLE calendar_keys (
    user_id TEXT NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    key_hash TEXT NOT NULL,
    created_ns BIGINT NOT NULL
);
CREATE UNIQUE INDEX calendar_keys_by_key ON calendar_keys (key_hash);

-- Who did what. Rows are added and never change.
CREATE TABLE audit (
    id TEXT NOT NULL PRIMARY KEY,
    at_ns BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT,
    address TEXT,
    outcome TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX audit_by_actor ON audit (actor, id);
CREATE INDEX audit_by_target ON audit (target, id);

CREATE TABLE idempotency_keys (
    owner TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    status BIGINT,
    body TEXT,
    created_ns BIGINT NOT NULL,
    PRIMARY KEY (owner, idempotency_key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_ns);

CREATE TABLE settings (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL,
    updated_ns BIGINT NOT NULL
);

CREATE TABLE secrets (
    name TEXT NOT NULL PRIMARY KEY,
    sealed TEXT NOT NULL,
    updated_ns BIGINT NOT NULL
);

CREATE TABLE load_tests (
    id TEXT NOT NULL PRIMARY KEY,
    scenario TEXT NOT NULL,
    state TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_ns BIGINT NOT NULL,
    started_ns BIGINT,
    ended_ns BIGINT,
    report TEXT,
    summary TEXT,
    failure TEXT
);
";

const APPEND_ONLY_SQLITE: &str = "
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
";

const APPEND_ONLY_POSTGRES: &str = "
CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE OR DELETE ON audit
FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_is_not_truncated BEFORE TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
";
