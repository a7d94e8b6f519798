//! Finding recordings.

use greffier_media::{
    ids::{RecordingId, RoomName},
    lifecycle::RecordingState,
    time::Arrival,
};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, FromQueryResult, PaginatorTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, QueryTrait as _,
    sea_query::{Expr, ExprTrait as _, Func},
};

use super::{
    LIVE_STATES, Recording, RecordingError, RecordingName, Recordings, assemble,
    entity::{labels, participants, recordings, segments},
};
use crate::{
    DatabaseError, UserId,
    database::column::{Row, contains, from_time},
    meetings::entity::{call_participants, calls, room_members, rooms},
    renders::entity::files as render_files,
};

/// Which recordings: those for which all that is given holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordingFilter {
    pub room: Option<RoomName>,
    pub name: Option<RecordingName>,
    /// In any of these, whatever the failure.
    pub states: Vec<RecordingState>,
    pub rule: Option<String>,
    /// Made at or after this …
    pub from: Option<Arrival>,
    /// … and before this.
    pub until: Option<Arrival>,
    /// With all of these labels and values.
    pub labels: Vec<(String, String)>,
    /// Somewhere in the room's name, the recording's name, a label's value, or the identity or name of somebody who was
    /// there. In any case.
    pub text: Option<String>,
    /// Of rooms that belong to this person, or made while they were in the room.
    pub visible_to: Option<UserId>,
}

/// One page of a list that may grow while it is read: nothing is shown twice or passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Of all pages.
    pub total: u64,
    /// There is more.
    pub more: bool,
}

/// How much is kept, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StorageUsed {
    pub recordings: u64,
    /// Journals in data directories.
    pub journals_on_disk: u64,
    pub renders_on_disk: u64,
    /// Journals and renders in the object store.
    pub uploaded: u64,
}

impl Recordings<'_> {
    /// Recordings, the newest first, up to `limit` after `after` (the last of the page before).
    pub async fn list(
        &self,
        filter: &RecordingFilter,
        after: Option<RecordingId>,
        limit: u64,
    ) -> Result<Page<Recording>, RecordingError> {
        let connection = self.0.database.read();
        let wanted = recordings::Entity::find().filter(condition(filter));
        let total = wanted.clone().count(connection).await?;
        let mut page = wanted;
        if let Some(after) = after {
            page = page.filter(recordings::Column::Id.lt(after.to_string()));
        }
        let mut models = page
            // An id begins with the time it was made.
            .order_by_desc(recordings::Column::Id)
            .limit(limit.saturating_add(1))
            .all(connection)
            .await?;
        let more = models.len() as u64 > limit;
        models.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let items = assemble(connection, models).await?;
        Ok(Page { items, total, more })
    }

    /// Room, name and id of what is requested, joining or capturing, sorted.
    pub(crate) async fn live_keys(&self) -> Result<Vec<(String, String, String)>, DatabaseError> {
        let mut keys: Vec<_> = recordings::Entity::find()
            .filter(recordings::Column::State.is_in(LIVE_STATES))
            .all(self.0.database.read())
            .await?
            .into_iter()
            .map(|model| (model.room_name, model.name, model.id))
            .collect();
        keys.sort();
        Ok(keys)
    }

    /// The recordings with the largest journals, the largest first.
    pub async fn largest(&self, limit: u64) -> Result<Vec<Recording>, RecordingError> {
        let connection = self.0.database.read();
        let models = recordings::Entity::find()
            .filter(recordings::Column::DeletingNs.is_null())
            .order_by_desc(recordings::Column::Bytes)
            .limit(limit)
            .all(connection)
            .await?;
        Ok(assemble(connection, models).await?)
    }

    /// What all recordings take, of all data directories that share the database.
    pub async fn storage_used(&self) -> Result<StorageUsed, RecordingError> {
        let connection = self.0.database.read();
        let recordings = recordings::Entity::find()
            .filter(recordings::Column::DeletingNs.is_null())
            .count(connection)
            .await?;
        let journals = |which: Condition| {
            let sum = sum(segments::Column::Bytes);
            segments::Entity::find()
                .select_only()
                .column_as(sum, "bytes")
                .filter(which)
        };
        let renders = |which: Condition| {
            let sum = sum(render_files::Column::Bytes);
            render_files::Entity::find()
                .select_only()
                .column_as(sum, "bytes")
                .filter(which)
        };
        let on_disk = journals(segments::Column::OnDisk.eq(true).into()).into_model::<Sum>();
        let renders_on_disk = renders(render_files::Column::OnDisk.eq(true).into()).into_model::<Sum>();
        let uploaded = journals(segments::Column::UploadedNs.is_not_null().into()).into_model::<Sum>();
        let renders_uploaded = renders(render_files::Column::UploadedNs.is_not_null().into()).into_model::<Sum>();
        Ok(StorageUsed {
            recordings,
            journals_on_disk: one(on_disk.one(connection).await)?,
            renders_on_disk: one(renders_on_disk.one(connection).await)?,
            uploaded: one(uploaded.one(connection).await)? + one(renders_uploaded.one(connection).await)?,
        })
    }
}

#[derive(FromQueryResult)]
struct Sum {
    bytes: i64,
}

/// PostgreSQL's sum of integers is a decimal.
fn sum(column: impl sea_orm::ColumnTrait) -> sea_orm::sea_query::SimpleExpr {
    Expr::expr(Func::coalesce([column.sum(), Expr::value(0)])).cast_as("BIGINT")
}

fn one(sum: Result<Option<Sum>, sea_orm::DbErr>) -> Result<u64, DatabaseError> {
    let sum = sum?.map_or(0, |sum| sum.bytes);
    Row::new("recordings", "all").count("bytes", sum)
}

fn condition(filter: &RecordingFilter) -> Condition {
    use recordings::Column;
    let mut all = Condition::all().add(Column::DeletingNs.is_null());
    if let Some(room) = &filter.room {
        all = all.add(Column::RoomName.eq(room.as_str()));
    }
    if let Some(name) = &filter.name {
        all = all.add(Column::Name.eq(name.as_str()));
    }
    if !filter.states.is_empty() {
        all = all.add(Column::State.is_in(filter.states.iter().map(|state| state.name())));
    }
    if let Some(rule) = &filter.rule {
        all = all.add(Column::Rule.eq(rule.as_str()));
    }
    if let Some(from) = filter.from {
        all = all.add(Column::CreatedNs.gte(from_time(from)));
    }
    if let Some(until) = filter.until {
        all = all.add(Column::CreatedNs.lt(from_time(until)));
    }
    for (label, value) in &filter.labels {
        let labelled = labels::Entity::find()
            .select_only()
            .column(labels::Column::RecordingId)
            .filter(labels::Column::Label.eq(label.as_str()))
            .filter(labels::Column::Value.eq(value.as_str()))
            .into_query();
        all = all.add(Column::Id.in_subquery(labelled));
    }
    if let Some(user) = filter.visible_to {
        all = all.add(visible_to(user));
    }
    if let Some(text) = &filter.text {
        let somebody = participants::Entity::find()
            .select_only()
            .column(participants::Column::RecordingId)
            .filter(Expr::col(participants::Column::SearchText).like(contains(text)))
            .into_query();
        all = all.add(
            Condition::any()
                .add(Expr::col(Column::SearchText).like(contains(text)))
                .add(Column::Id.in_subquery(somebody)),
        );
    }
    all
}

/// Recordings of rooms that belong to somebody, and those made while they were in the room.
fn visible_to(user: UserId) -> Condition {
    use recordings::{Column, Entity};
    let user = user.to_string();
    let belong = room_members::Entity::find()
        .select_only()
        .column(room_members::Column::RoomId)
        .filter(room_members::Column::UserId.eq(user.as_str()))
        .into_query();
    let theirs = rooms::Entity::find()
        .select_only()
        .column(rooms::Column::Name)
        .filter(rooms::Column::Id.in_subquery(belong))
        .into_query();
    let attended = call_participants::Entity::find()
        .select_only()
        .column(call_participants::Column::CallId)
        .filter(call_participants::Column::UserId.eq(user))
        .into_query();
    let made = Expr::col((Entity, Column::CreatedNs));
    let then = calls::Entity::find()
        .select_only()
        .column(calls::Column::Id)
        .filter(calls::Column::Id.in_subquery(attended))
        .filter(Expr::col((calls::Entity, calls::Column::RoomName)).equals((Entity, Column::RoomName)))
        .filter(Expr::col((calls::Entity, calls::Column::StartedNs)).lte(made.clone()))
        .filter(
            calls::Column::EndedNs
                .is_null()
                .or(Expr::col((calls::Entity, calls::Column::EndedNs)).gte(made)),
        )
        .into_query();
    Condition::any()
        .add(Column::RoomName.in_subquery(theirs))
        .add(Expr::exists(then))
}
