//! Finding rooms, a page at a time: a person's rooms are read along an index, however many there are.

use std::collections::HashMap;

use greffier_media::time::Arrival;
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, JoinType, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _, Select,
    sea_query::{Expr, ExprTrait as _, Func},
};
use serde::{Deserialize, Serialize};

use super::{
    CallType, LiveCall, MeetingError, Present, Room, RoomRole, Rooms,
    entity::{call_participants, calls, room_members, rooms},
};
use crate::{
    DatabaseError, RoomId, UserId, Version,
    accounts::names_of,
    database::Watched,
    database::column::{Row, contains, from_time, to_name},
};

/// A planned meeting is still to come for so long after it should have begun, in hours.
const LATE_HOURS: u64 = 1;

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
        self.0.database.version(&[
            Watched::Rooms,
            Watched::RoomMembers,
            Watched::Users,
            Watched::Calls,
            Watched::CallParticipants,
            Watched::Recordings,
            Watched::RecordingLabels,
            Watched::Participants,
        ])
    }

    /// Rooms, the newest first, up to `limit` after `after` (the last of the page before). Answers whether there is
    /// more.
    pub async fn list(
        &self,
        filter: &RoomFilter,
        after: Option<RoomId>,
        limit: u64,
    ) -> Result<(Vec<Room>, bool), MeetingError> {
        let connection = self.0.database.read();
        let wanted = self.wanted(filter, after);
        let mut models = wanted.limit(limit.saturating_add(1)).all(connection).await?;
        let more = models.len() as u64 > limit;
        models.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok((assemble(connection, models, filter.member).await?, more))
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
        let models = self
            .wanted(&filter, None)
            .filter(rooms::Column::ScheduledNs.gte(from_time(self.0.now().saturating_sub(month))))
            .filter(rooms::Column::EndedNs.is_null())
            .limit(1000)
            .all(self.0.database.read())
            .await?;
        let mut planned = assemble(self.0.database.read(), models, Some(user)).await?;
        planned.sort_by_key(|room| room.scheduled);
        Ok(planned)
    }
}

/// Puts to rooms who owns them, what `viewer` is to them, and what goes on in them.
pub(super) async fn assemble(
    connection: &impl ConnectionTrait,
    models: Vec<rooms::Model>,
    viewer: Option<UserId>,
) -> Result<Vec<Room>, DatabaseError> {
    let ids = || models.iter().map(|model| &model.id);
    let (Some(first), Some(last)) = (ids().min(), ids().max()) else {
        return Ok(Vec::new());
    };
    // Along an index from the first to the last, rather than one by one: what lies between and is not asked for is little.
    let between = |column: Expr| column.between(first.as_str(), last.as_str());
    let names = names_of(connection, models.iter().filter_map(|model| model.owner_id.clone())).await?;
    let mut roles = HashMap::new();
    if let Some(viewer) = viewer {
        let rows = room_members::Entity::find()
            .filter(room_members::Column::UserId.eq(viewer.to_string()))
            .filter(between(room_members::Column::RoomId.into_expr()))
            .all(connection)
            .await?;
        for row in rows {
            let role: RoomRole = Row::new("room_members", &row.user_id).name("role", &row.role)?;
            roles.insert(row.room_id, role);
        }
    }
    let mut live = live_calls(connection, between(calls::Column::RoomId.into_expr())).await?;
    models
        .into_iter()
        .map(|model| {
            let owner = model.owner_id.as_ref().and_then(|owner| names.get(owner).cloned());
            let (call, role) = (live.remove(&model.id), roles.get(&model.id).copied());
            Room::from_model(model, owner, call, role)
        })
        .collect()
}

/// What goes on now in `rooms`, by room.
async fn live_calls(
    connection: &impl ConnectionTrait,
    rooms: Expr,
) -> Result<HashMap<String, LiveCall>, DatabaseError> {
    let models = calls::Entity::find()
        .filter(rooms)
        .filter(calls::Column::EndedNs.is_null())
        .all(connection)
        .await?;
    if models.is_empty() {
        return Ok(HashMap::new());
    }
    let mut present = present(connection, models.iter().map(|call| call.id.clone())).await?;
    let mut live = HashMap::new();
    for model in models {
        let row = Row::new("calls", &model.id);
        let call = LiveCall {
            id: row.parse("id", &model.id)?,
            started: row.time("started_ns", model.started_ns)?,
            present: present.remove(&model.id).unwrap_or_default(),
        };
        live.extend(model.room_id.map(|room| (room, call)));
    }
    Ok(live)
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
    use sea_orm::{DbBackend, FromQueryResult, Statement};

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
        let query = store.rooms().wanted(&filter, None).limit(50).build(DbBackend::Sqlite);
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
