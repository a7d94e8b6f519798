//! Calls as they are shown, and counted by day.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use greffier_media::time::Arrival;
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _, sea_query::ExprTrait as _,
};
use serde_json::Value;

use super::{
    Calls, MeetingError, Quality,
    entity::{call_events, call_participants, calls, room_members, rooms},
    quality,
};
use crate::{
    CallId, DatabaseError, RoomId, UserId,
    database::column::{Row, from_time, storable},
};

const DAY_NS: u64 = 24 * 60 * 60 * 1_000_000_000;

/// A call, as of when it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub id: CallId,
    /// The session's id on the server.
    pub sid: String,
    /// `None`: nobody made the room here.
    pub room: Option<RoomId>,
    pub room_name: String,
    /// The room's title now.
    pub title: Option<String>,
    pub started: Arrival,
    pub ended: Option<Arrival>,
    /// In the order they came.
    pub participants: Vec<CallParticipant>,
}

/// Somebody who was in a call.
#[derive(Debug, Clone, PartialEq)]
pub struct CallParticipant {
    pub identity: String,
    /// The last one they had.
    pub name: String,
    pub user: Option<UserId>,
    pub stays: Vec<Stay>,
    /// What their own client measured.
    pub quality: Vec<Quality>,
}

/// From when to when somebody was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay {
    pub joined: Arrival,
    /// `None`: they still are.
    pub left: Option<Arrival>,
}

/// One day in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayStatistics {
    /// Its first moment.
    pub day: Arrival,
    /// Calls that began on it.
    pub calls: u64,
    /// How long they took, in whole minutes.
    pub minutes: u64,
    /// Different people in them.
    pub participants: u64,
}

impl Calls<'_> {
    /// Calls, the newest first, up to `limit` after `after` (the last of the page before): of one room, and only those
    /// that `viewer` was in or whose room is theirs. Answers whether there is more.
    pub async fn list(
        &self,
        viewer: Option<UserId>,
        room: Option<&str>,
        after: Option<CallId>,
        limit: u64,
    ) -> Result<(Vec<Call>, bool), MeetingError> {
        let connection = self.0.database.read();
        let mut wanted = calls::Entity::find()
            .filter(visible_to(viewer))
            .order_by_desc(calls::Column::Id);
        if let Some(room) = room {
            wanted = wanted.filter(calls::Column::RoomName.eq(storable(room)));
        }
        if let Some(after) = after {
            wanted = wanted.filter(calls::Column::Id.lt(after.to_string()));
        }
        let mut models = wanted.limit(limit.saturating_add(1)).all(connection).await?;
        let more = models.len() as u64 > limit;
        models.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok((assemble(connection, models).await?, more))
    }

    pub async fn get(&self, id: CallId) -> Result<Call, MeetingError> {
        let connection = self.0.database.read();
        let model = calls::Entity::find_by_id(id.to_string()).one(connection).await?;
        let mut calls = assemble(connection, vec![model.ok_or(MeetingError::NoCall(id))?]).await?;
        Ok(calls.remove(0))
    }

    /// All calls that go on, whoever made the room, the newest first.
    pub async fn all_live(&self) -> Result<Vec<Call>, MeetingError> {
        let connection = self.0.database.read();
        let models = calls::Entity::find()
            .filter(calls::Column::EndedNs.is_null())
            .order_by_desc(calls::Column::Id)
            .all(connection)
            .await?;
        Ok(assemble(connection, models).await?)
    }

    /// Whether somebody was in a call.
    pub async fn took_part(&self, id: CallId, user: UserId) -> Result<bool, MeetingError> {
        let stay = call_participants::Entity::find()
            .filter(call_participants::Column::CallId.eq(id.to_string()))
            .filter(call_participants::Column::UserId.eq(user.to_string()))
            .one(self.0.database.read())
            .await?;
        Ok(stay.is_some())
    }

    /// Whether somebody was ever in a room of this name while it was, at `at`: who may see what was recorded then.
    pub async fn was_in_room(&self, room: &str, user: UserId, at: Arrival) -> Result<bool, MeetingError> {
        let at = from_time(at);
        let then = calls::Entity::find()
            .select_only()
            .column(calls::Column::Id)
            .filter(calls::Column::RoomName.eq(storable(room)))
            .filter(calls::Column::StartedNs.lte(at))
            .filter(calls::Column::EndedNs.is_null().or(calls::Column::EndedNs.gte(at)))
            .into_query();
        let stay = call_participants::Entity::find()
            .filter(call_participants::Column::UserId.eq(user.to_string()))
            .filter(call_participants::Column::CallId.in_subquery(then))
            .one(self.0.database.read())
            .await?;
        Ok(stay.is_some())
    }

    /// What happened in a call, in order, at most 1000.
    pub async fn events(&self, id: CallId) -> Result<Vec<(Arrival, String, Value)>, MeetingError> {
        let models = call_events::Entity::find()
            .filter(call_events::Column::CallId.eq(id.to_string()))
            .order_by_asc(call_events::Column::AtNs)
            .order_by_asc(call_events::Column::Id)
            .limit(1000)
            .all(self.0.database.read())
            .await?;
        let event = |model: call_events::Model| {
            let row = Row::new("call_events", &model.id);
            let (at, data) = (row.time("at_ns", model.at_ns)?, row.json("data", &model.data)?);
            Ok((at, model.kind, data))
        };
        models
            .into_iter()
            .map(event)
            .collect::<Result<_, DatabaseError>>()
            .map_err(Into::into)
    }

    /// Calls that began from `from` until before `until`, by day; days without any are left out.
    pub async fn statistics(
        &self,
        viewer: Option<UserId>,
        from: Arrival,
        until: Arrival,
    ) -> Result<Vec<DayStatistics>, MeetingError> {
        let connection = self.0.database.read();
        let wanted = Condition::all()
            .add(visible_to(viewer))
            .add(calls::Column::StartedNs.gte(from_time(from)))
            .add(calls::Column::StartedNs.lt(from_time(until)));
        let models = calls::Entity::find().filter(wanted.clone()).all(connection).await?;
        let ids = calls::Entity::find()
            .select_only()
            .column(calls::Column::Id)
            .filter(wanted)
            .into_query();
        let people: Vec<(String, String)> = call_participants::Entity::find()
            .select_only()
            .column(call_participants::Column::CallId)
            .column(call_participants::Column::Identity)
            .distinct()
            .filter(call_participants::Column::CallId.in_subquery(ids))
            .into_tuple()
            .all(connection)
            .await?;
        let mut in_call: HashMap<String, Vec<String>> = HashMap::new();
        for (call, identity) in people {
            in_call.entry(call).or_default().push(identity);
        }
        let now = self.0.now();
        let mut days: BTreeMap<u64, (u64, u64, BTreeSet<String>)> = BTreeMap::new();
        for model in models {
            let row = Row::new("calls", &model.id);
            let started = row.time("started_ns", model.started_ns)?;
            let ended = row.time_opt("ended_ns", model.ended_ns)?.unwrap_or(now);
            let (calls, seconds, people) = days.entry(started.as_nanos() / DAY_NS).or_default();
            *calls += 1;
            *seconds += ended.saturating_since(started).as_secs();
            people.extend(in_call.remove(&model.id).unwrap_or_default());
        }
        let day = |(day, (calls, seconds, people)): (u64, (u64, u64, BTreeSet<String>))| DayStatistics {
            day: Arrival::from_nanos(day * DAY_NS),
            calls,
            minutes: seconds / 60,
            participants: people.len() as u64,
        };
        Ok(days.into_iter().map(day).collect())
    }
}

/// Calls that somebody was in, or whose room is theirs; all, for nobody in particular.
fn visible_to(viewer: Option<UserId>) -> Condition {
    let Some(viewer) = viewer else { return Condition::all() };
    let was_in = call_participants::Entity::find()
        .select_only()
        .column(call_participants::Column::CallId)
        .filter(call_participants::Column::UserId.eq(viewer.to_string()))
        .into_query();
    let theirs = room_members::Entity::find()
        .select_only()
        .column(room_members::Column::RoomId)
        .filter(room_members::Column::UserId.eq(viewer.to_string()))
        .into_query();
    Condition::any()
        .add(calls::Column::Id.in_subquery(was_in))
        .add(calls::Column::RoomId.in_subquery(theirs))
}

async fn assemble(connection: &impl ConnectionTrait, models: Vec<calls::Model>) -> Result<Vec<Call>, DatabaseError> {
    if models.is_empty() {
        return Ok(Vec::new());
    }
    let ids = || models.iter().map(|model| model.id.clone());
    let titles: HashMap<_, _> = rooms::Entity::find()
        .filter(rooms::Column::Id.is_in(models.iter().filter_map(|model| model.room_id.clone())))
        .all(connection)
        .await?
        .into_iter()
        .map(|room| (room.id, room.title))
        .collect();
    let mut measured = quality::of_calls(connection, ids()).await?;
    let stays = call_participants::Entity::find()
        .filter(call_participants::Column::CallId.is_in(ids()))
        .order_by_asc(call_participants::Column::JoinedNs)
        .all(connection)
        .await?;
    let mut people: HashMap<String, Vec<CallParticipant>> = HashMap::new();
    for model in stays {
        let row = Row::new("call_participants", &model.participant_sid);
        let stay = Stay {
            joined: row.time("joined_ns", model.joined_ns)?,
            left: row.time_opt("left_ns", model.left_ns)?,
        };
        let user = row.parse_opt("user_id", model.user_id.as_deref())?;
        let key = (model.call_id.clone(), model.identity.clone());
        let present = people.entry(model.call_id).or_default();
        if let Some(known) = present.iter_mut().find(|known| known.identity == model.identity) {
            known.stays.push(stay);
            known.name = model.name;
        } else {
            present.push(CallParticipant {
                quality: measured.remove(&key).unwrap_or_default(),
                identity: model.identity,
                name: model.name,
                user,
                stays: vec![stay],
            });
        }
    }
    models
        .into_iter()
        .map(|model| {
            let row = Row::new("calls", &model.id);
            Ok(Call {
                id: row.parse("id", &model.id)?,
                room: row.parse_opt("room_id", model.room_id.as_deref())?,
                title: model.room_id.as_ref().and_then(|room| titles.get(room).cloned()),
                started: row.time("started_ns", model.started_ns)?,
                ended: row.time_opt("ended_ns", model.ended_ns)?,
                participants: people.remove(&model.id).unwrap_or_default(),
                sid: model.sid,
                room_name: model.room_name,
            })
        })
        .collect()
}
