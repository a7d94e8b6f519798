//! Recordings and what belongs to them, jobs, and outgoing webhooks.

#![expect(
    elided_lifetimes_in_paths,
    reason = "`async_trait` makes other methods of `SchemaManager<'_>` than the trait has"
)]

use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0001_recordings"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(TABLES).await?;
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("the first schema has none before it".into()))
    }
}

const TABLES: &str = "
-- One row per recording. Totals are those of its segments.
CREATE TABLE recordings (
    id TEXT NOT NULL PRIMARY KEY,
    node TEXT NOT NULL,
    room_name TEXT NOT NULL,
    room_sid TEXT,
    name TEXT NOT NULL,
    rule TEXT,
    request TEXT NOT NULL,
    bot_identity TEXT NOT NULL,
    search_text TEXT NOT NULL,
    state TEXT NOT NULL,
    paused BOOLEAN NOT NULL,
    stop_reason TEXT,
    failure_kind TEXT,
    failure_message TEXT,
    created_ns BIGINT NOT NULL,
    started_ns BIGINT,
    stopped_ns BIGINT,
    ended_ns BIGINT,
    deleting_ns BIGINT,
    first_arrival_ns BIGINT,
    last_arrival_ns BIGINT,
    bytes BIGINT NOT NULL,
    packets BIGINT NOT NULL,
    lost_packets BIGINT NOT NULL,
    next_event BIGINT NOT NULL
);
-- Two triggers cannot start the same recording twice.
CREATE UNIQUE INDEX recordings_live ON recordings (room_name, name)
    WHERE state IN ('requested', 'joining', 'capturing');
CREATE INDEX recordings_by_room ON recordings (room_name, id);
CREATE INDEX recordings_by_node ON recordings (node, state);

CREATE TABLE recording_labels (
    recording_id TEXT NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    label TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (recording_id, label)
);
CREATE INDEX recording_labels_by_value ON recording_labels (label, value);

CREATE TABLE participants (
    recording_id TEXT NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    identity TEXT NOT NULL,
    name TEXT NOT NULL,
    search_text TEXT NOT NULL,
    PRIMARY KEY (recording_id, identity)
);

CREATE TABLE segments (
    recording_id TEXT NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    idx BIGINT NOT NULL,
    sealed BOOLEAN NOT NULL,
    bytes BIGINT NOT NULL,
    sha256 TEXT,
    messages BIGINT NOT NULL,
    packets BIGINT NOT NULL,
    lost_packets BIGINT NOT NULL,
    first_arrival_ns BIGINT,
    last_arrival_ns BIGINT,
    torn_at BIGINT,
    torn_bytes BIGINT,
    on_disk BOOLEAN NOT NULL,
    uploaded_ns BIGINT,
    PRIMARY KEY (recording_id, idx)
);

CREATE TABLE tracks (
    recording_id TEXT NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    track_sid TEXT NOT NULL,
    name TEXT NOT NULL,
    participant_sid TEXT NOT NULL,
    participant_identity TEXT NOT NULL,
    participant_name TEXT NOT NULL,
    source TEXT NOT NULL,
    kind TEXT NOT NULL,
    mime TEXT NOT NULL,
    PRIMARY KEY (recording_id, track_sid)
);

-- What one segment holds of one track.
CREATE TABLE segment_tracks (
    recording_id TEXT NOT NULL,
    idx BIGINT NOT NULL,
    track_sid TEXT NOT NULL,
    ssrcs TEXT NOT NULL,
    packets BIGINT NOT NULL,
    lost_packets BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    first_arrival_ns BIGINT NOT NULL,
    last_arrival_ns BIGINT NOT NULL,
    PRIMARY KEY (recording_id, idx, track_sid),
    FOREIGN KEY (recording_id, idx) REFERENCES segments (recording_id, idx) ON DELETE CASCADE,
    FOREIGN KEY (recording_id, track_sid) REFERENCES tracks (recording_id, track_sid) ON DELETE CASCADE
);

-- The timeline. `source` is the segment an event was read from, or -1 for what no journal holds.
CREATE TABLE events (
    recording_id TEXT NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    source BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    at_ns BIGINT NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (recording_id, source, seq)
);
CREATE INDEX events_by_time ON events (recording_id, at_ns, source, seq);

CREATE TABLE jobs (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    node TEXT,
    unique_key TEXT,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    max_attempts BIGINT NOT NULL,
    run_after_ns BIGINT NOT NULL,
    lease_owner TEXT,
    lease_token TEXT,
    lease_until_ns BIGINT,
    cancel_requested BOOLEAN NOT NULL,
    progress DOUBLE PRECISION NOT NULL,
    failure TEXT,
    created_ns BIGINT NOT NULL,
    ended_ns BIGINT
);
CREATE UNIQUE INDEX jobs_unique ON jobs (unique_key) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_due ON jobs (state, run_after_ns);

CREATE TABLE renders (
    id TEXT NOT NULL PRIMARY KEY,
    recording_id TEXT NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    job_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    request TEXT NOT NULL,
    state TEXT NOT NULL,
    progress DOUBLE PRECISION NOT NULL,
    failure_kind TEXT,
    failure_message TEXT,
    created_ns BIGINT NOT NULL,
    started_ns BIGINT,
    ended_ns BIGINT,
    deleting_ns BIGINT
);
CREATE INDEX renders_by_recording ON renders (recording_id, id);
CREATE INDEX renders_by_job ON renders (job_id);

-- What a ready render came to.
CREATE TABLE render_files (
    render_id TEXT NOT NULL REFERENCES renders (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    recording_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    media_type TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    probe TEXT NOT NULL,
    on_disk BOOLEAN NOT NULL,
    uploaded_ns BIGINT,
    PRIMARY KEY (render_id, name)
);
CREATE INDEX render_files_by_recording ON render_files (recording_id);

-- Uploads in parts that have begun and not ended.
CREATE TABLE uploads (
    object_key TEXT NOT NULL PRIMARY KEY,
    recording_id TEXT NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    upload_id TEXT NOT NULL,
    part_bytes BIGINT NOT NULL,
    parts TEXT NOT NULL,
    started_ns BIGINT NOT NULL
);

CREATE TABLE deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    url TEXT NOT NULL,
    event TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    next_attempt_ns BIGINT NOT NULL,
    last_error TEXT,
    created_ns BIGINT NOT NULL,
    ended_ns BIGINT
);
CREATE INDEX deliveries_due ON deliveries (state, next_attempt_ns);
";
