//! Finding rooms, a page at a time: a person's rooms are read along an index, however many there are.

use std::collections::HashMap;

use greffier_media::time::Arrival;
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, FromQueryResult, JoinType, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, QueryTrait as _, Select,
    sea_query::{Expr, ExprTrait as _, Func},
};
use serde::{Deserialize, Serialize};

use super::{
    CallType, LiveCall, MeetingError, Present, Room, Rooms,
    entity::{call_participants, calls, room_members, rooms},
};
use crate::{
    DatabaseError, RoomId, UserId, Version,
    accounts::entity::users,
    database::{
        Watched,
        column::{Row, contains, from_time, to_name},
    },
};

/// A planned meeting is still to come for so long after it should have begun, in hours.
const LATE_HOURS: u64 = 1;

/// What a [`Room`] is read from.
pub(super) const ROOM: [Watched; 5] = [
    Watched::Rooms,
    Watched::RoomMembers,
    Watched::Users,
    Watched::Calls,
    Watched::CallParticipants,
];

/// Where a room stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomState {
    /// Somebody is there.
    Live,
    /// Planned, and still to come.
    Upcoming,
    /// For good.
    Ended,
    /// None of these.
    Idle,
}

/// Which rooms: those for which all that is given holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct RoomFilter {
    /// Of this person: owned or shared.
    pub member: Option<UserId>,
    pub state: Option<RoomState>,
    /// Somewhere in name or title, in any case.
    pub text: Option<String>,
    pub call_type: Option<CallType>,
    pub owner: Option<UserId>,
    /// Of this person too: with `member`, rooms that both are in.
    pub with: Option<UserId>,
    /// Planned, or else made, at this time or later …
    pub from: Option<Arrival>,
    /// … and before this one.
    pub until: Option<Arrival>,
}

impl Rooms<'_> {
    /// The version of what rooms and the recordings that run in them are read from. `None`: it cannot be told.
    pub fn version(&self) -> Option<Version> {
        let recorded = [Watched::Recordings, Watched::RecordingLabels, Watched::Participants];
        self.0.database.version(ROOM.into_iter().chain(recorded))
    }

    /// Rooms, the newest first, up to `limit` after `after` (the last of the page before). Answers whether there is
    /// more.
    pub async fn list(
        &self,
        filter: &RoomFilter,
        after: Option<RoomId>,
        limit: u64,
    ) -> Result<(Vec<Room>, bool), MeetingError> {
        let wanted = self.wanted(filter, after).limit(limit.saturating_add(1));
        let mut rooms = read(self.0.database.read(), wanted, filter.member).await?;
        let more = rooms.len() as u64 > limit;
        rooms.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok((rooms, more))
    }

    /// A person's rooms in the order of the index that has them, so that a page of many costs no more than one of few.
    fn wanted(self, filter: &RoomFilter, after: Option<RoomId>) -> Select<rooms::Entity> {
        let wanted = rooms::Entity::find().filter(self.condition(filter));
        let after = after.map(|after| after.to_string());
        let Some(user) = filter.member else {
            let wanted = wanted.order_by_desc(rooms::Column::Id);
            return match after {
                Some(after) => wanted.filter(rooms::Column::Id.lt(after)),
                None => wanted,
            };
        };
        let membership = rooms::Entity::belongs_to(room_members::Entity)
            .from(rooms::Column::Id)
            .to(room_members::Column::RoomId);
        let wanted = wanted
            .join(JoinType::InnerJoin, membership.into())
            .filter(room_members::Column::UserId.eq(user.to_string()))
            .order_by_desc(room_members::Column::RoomId);
        match after {
            Some(after) => wanted.filter(room_members::Column::RoomId.lt(after)),
            None => wanted,
        }
    }

    fn condition(self, filter: &RoomFilter) -> Condition {
        let mut all = Condition::all();
        if let Some(text) = filter.text.as_deref().filter(|text| !text.is_empty()) {
            all = all.add(rooms::Column::SearchText.into_expr().like(contains(text)));
        }
        if let Some(call_type) = &filter.call_type {
            all = all.add(rooms::Column::CallType.eq(to_name(call_type)));
        }
        if let Some(owner) = filter.owner {
            all = all.add(rooms::Column::OwnerId.eq(owner.to_string()));
        }
        if let Some(with) = filter.with {
            let theirs = room_members::Entity::find()
                .select_only()
                .column(room_members::Column::RoomId)
                .filter(room_members::Column::UserId.eq(with.to_string()))
                .into_query();
            all = all.add(rooms::Column::Id.in_subquery(theirs));
        }
        let takes_place = || {
            Func::coalesce([
                rooms::Column::ScheduledNs.into_expr(),
                rooms::Column::CreatedNs.into_expr(),
            ])
        };
        if let Some(from) = filter.from {
            all = all.add(Expr::expr(takes_place()).gte(from_time(from)));
        }
        if let Some(until) = filter.until {
            all = all.add(Expr::expr(takes_place()).lt(from_time(until)));
        }
        let live = calls::Entity::find()
            .select_only()
            .column(calls::Column::RoomId)
            .filter(calls::Column::EndedNs.is_null())
            .filter(calls::Column::RoomId.is_not_null())
            .into_query();
        let late = std::time::Duration::from_secs(LATE_HOURS * 3600);
        let to_come = rooms::Column::ScheduledNs.gte(from_time(self.0.now().saturating_sub(late)));
        match filter.state {
            None => all,
            Some(RoomState::Ended) => all.add(rooms::Column::EndedNs.is_not_null()),
            Some(RoomState::Live) => all
                .add(rooms::Column::EndedNs.is_null())
                .add(rooms::Column::Id.in_subquery(live)),
            Some(RoomState::Upcoming) => all.add(rooms::Column::EndedNs.is_null()).add(to_come),
            Some(RoomState::Idle) => all
                .add(rooms::Column::EndedNs.is_null())
                .add(rooms::Column::Id.not_in_subquery(live))
                .add(to_come.not().or(rooms::Column::ScheduledNs.is_null())),
        }
    }

    /// Planned rooms of a person from now on, and what was planned in the last month, at most 1000: for a calendar.
    pub async fn planned(&self, user: UserId) -> Result<Vec<Room>, MeetingError> {
        let month = std::time::Duration::from_hours(31 * 24);
        let filter = RoomFilter {
            member: Some(user),
            ..RoomFilter::default()
        };
        let wanted = self
            .wanted(&filter, None)
            .filter(rooms::Column::ScheduledNs.gte(from_time(self.0.now().saturating_sub(month))))
            .filter(rooms::Column::EndedNs.is_null())
            .limit(1000);
        let mut planned = read(self.0.database.read(), wanted, Some(user)).await?;
        planned.sort_by_key(|room| room.scheduled);
        Ok(planned)
    }
}

/// A room, with what other tables say of it.
#[derive(FromQueryResult)]
struct Found {
    #[sea_orm(nested)]
    room: rooms::Model,
    owner_name: Option<String>,
    /// What whoever asks is to it.
    viewer_role: Option<String>,
    /// The call that goes on.
    live_call: Option<String>,
}

/// Rooms, with who owns them, what `viewer` is to them, and what goes on in them: one question, and two more if something does.
pub(super) async fn read(
    connection: &impl ConnectionTrait,
    wanted: Select<rooms::Entity>,
    viewer: Option<UserId>,
) -> Result<Vec<Room>, DatabaseError> {
    let found = with_details(wanted, viewer)
        .into_model::<Found>()
        .all(connection)
        .await?;
    let ids = found.iter().filter_map(|found| found.live_call.clone()).collect();
    let mut live = live_calls(connection, ids).await?;
    found
        .into_iter()
        .map(|found| {
            let row = Row::new("room_members", &found.room.id);
            let role = row.name_opt("role", found.viewer_role.as_deref())?;
            let call = found.live_call.and_then(|call| live.remove(&call));
            Room::from_model(found.room, found.owner_name, call, role)
        })
        .collect()
}

fn with_details(wanted: Select<rooms::Entity>, viewer: Option<UserId>) -> Select<rooms::Entity> {
    let room = || rooms::Column::Id.into_expr();
    let owner = users::Entity::find()
        .select_only()
        .column(users::Column::Name)
        .filter(users::Column::Id.into_expr().eq(rooms::Column::OwnerId.into_expr()));
    // There is one at most; that a table could hold more must not make one room two.
    let call = calls::Entity::find()
        .select_only()
        .expr(calls::Column::Id.max())
        .filter(calls::Column::RoomId.into_expr().eq(room()))
        .filter(calls::Column::EndedNs.is_null());
    let role = match viewer {
        Some(viewer) => room_members::Entity::find()
            .select_only()
            .column(room_members::Column::Role)
            .filter(room_members::Column::RoomId.into_expr().eq(room()))
            .filter(room_members::Column::UserId.eq(viewer.to_string()))
            .into_query()
            .into(),
        None => Expr::value(None::<String>),
    };
    wanted
        .expr_as(owner.into_query(), "owner_name")
        .expr_as(call.into_query(), "live_call")
        .expr_as(role, "viewer_role")
}

/// Calls that go on, by their id.
async fn live_calls(
    connection: &impl ConnectionTrait,
    ids: Vec<String>,
) -> Result<HashMap<String, LiveCall>, DatabaseError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let models = calls::Entity::find()
        .filter(calls::Column::Id.is_in(ids.clone()))
        .all(connection)
        .await?;
    let mut present = present(connection, ids.into_iter()).await?;
    models
        .into_iter()
        .map(|model| {
            let row = Row::new("calls", &model.id);
            let call = LiveCall {
                id: row.parse("id", &model.id)?,
                started: row.time("started_ns", model.started_ns)?,
                present: present.remove(&model.id).unwrap_or_default(),
            };
            Ok((model.id, call))
        })
        .collect()
}

/// Who is there now, by call, in the order they came.
pub(super) async fn present(
    connection: &impl ConnectionTrait,
    calls: impl Iterator<Item = String>,
) -> Result<HashMap<String, Vec<Present>>, DatabaseError> {
    let rows = call_participants::Entity::find()
        .filter(call_participants::Column::CallId.is_in(calls))
        .filter(call_participants::Column::LeftNs.is_null())
        .order_by_asc(call_participants::Column::JoinedNs)
        .all(connection)
        .await?;
    let mut present: HashMap<String, Vec<Present>> = HashMap::new();
    for row in rows {
        let named = Row::new("call_participants", &row.participant_sid);
        let person = Present {
            user: named.parse_opt("user_id", row.user_id.as_deref())?,
            joined: named.time("joined_ns", row.joined_ns)?,
            identity: row.identity,
            name: row.name,
        };
        present.entry(row.call_id).or_default().push(person);
    }
    Ok(present)
}

#[cfg(test)]
mod tests {
    use sea_orm::{DbBackend, Statement};

    use super::*;
    use crate::testing::Data;

    #[tokio::test]
    async fn a_page_is_read_along_the_index() {
        #[derive(FromQueryResult)]
        struct Step {
            detail: String,
        }
        let data = Data::new();
        let store = data.open().await;
        let filter = RoomFilter {
            member: Some("usr_01K742SGZ8G9ZPSZRE24HRSYRN".parse().unwrap()),
            ..RoomFilter::default()
        };
        let wanted = store.rooms().wanted(&filter, None).limit(50);
        let query = with_details(wanted, filter.member).build(DbBackend::Sqlite);
        let explain = format!("EXPLAIN QUERY PLAN {query}");
        let steps = Step::find_by_statement(Statement::from_string(DbBackend::Sqlite, explain))
            .all(store.inner.database.read())
            .await
            .unwrap();
        let plan: Vec<_> = steps.into_iter().map(|step| step.detail).collect();
        assert!(plan[0].contains("room_members_by_user"), "{plan:?}");
        assert!(
            !plan
                .iter()
                .any(|step| step.contains("TEMP B-TREE") || step.contains("SCAN")),
            "{plan:?}"
        );
    }
}
