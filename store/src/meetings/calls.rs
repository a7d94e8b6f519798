//! What the server says took place. Its webhooks may come twice, late, or never; every function here may be repeated in
//! any order, and [`Calls::observe`] mends what was missed.

use std::{collections::HashSet, time::Duration};

use greffier_media::time::Arrival;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};
use serde_json::Value;

use super::{
    MeetingError, Stay,
    entity::{call_events, call_participants, calls, early_events, rooms},
};
use crate::{
    CallEventId, CallId, DatabaseError, RoomId, UserId,
    database::column::{Row, from_time, storable, to_json},
    store::Inner,
};

/// What was seen a moment ago may be older than what a webhook said since: only who came before it counts as gone.
const SETTLING: Duration = Duration::from_secs(5);
/// What happened in a room so long before its call belongs to the call: people ask to come in before they are there.
const SOON: Duration = Duration::from_mins(10);

/// Somebody who is in a call now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    pub identity: String,
    pub name: String,
    /// If they have an account.
    pub user: Option<UserId>,
    pub joined: Arrival,
}

/// A participant, as the server names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedParticipant {
    /// Another one each time they come.
    pub sid: String,
    pub identity: String,
    pub name: String,
    pub joined: Arrival,
}

/// A session of a room that exists on the server now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    pub room: String,
    pub sid: String,
    pub started: Arrival,
    /// Without those nobody sees. `None`: not asked for, nothing follows.
    pub participants: Option<Vec<ObservedParticipant>>,
}

/// What an observation changed: names of rooms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    pub started: Vec<String>,
    pub ended: Vec<String>,
    /// People who came or went unnoticed.
    pub corrected: u64,
}

/// All calls.
#[derive(Clone, Copy)]
pub struct Calls<'a>(pub(crate) &'a Inner);

impl Calls<'_> {
    /// A session of a room began. Answers its call, and whether it was news.
    pub async fn room_started(&self, room: &str, sid: &str, at: Arrival) -> Result<(CallId, bool), MeetingError> {
        let transaction = self.0.database.begin().await?;
        let started = start(&transaction, room, sid, at).await?;
        transaction.commit().await?;
        Ok(started)
    }

    /// Somebody came. Answers the call, and whether it was news.
    pub async fn participant_joined(
        &self,
        room: &str,
        sid: &str,
        participant: &ObservedParticipant,
    ) -> Result<(CallId, bool), MeetingError> {
        let transaction = self.0.database.begin().await?;
        let (call, _) = start(&transaction, room, sid, participant.joined).await?;
        let news = join(&transaction, call, participant).await?;
        transaction.commit().await?;
        Ok((call, news))
    }

    /// Somebody went; that they had come may never have been said. Nobody goes before they came, though the server tells
    /// the one in whole seconds and the other in milliseconds.
    pub async fn participant_left(
        &self,
        room: &str,
        sid: &str,
        participant: &ObservedParticipant,
        at: Arrival,
    ) -> Result<CallId, MeetingError> {
        let at = at.max(participant.joined);
        let transaction = self.0.database.begin().await?;
        let (call, _) = start(&transaction, room, sid, participant.joined).await?;
        join(&transaction, call, participant).await?;
        call_participants::Entity::update_many()
            .col_expr(call_participants::Column::LeftNs, Expr::value(from_time(at)))
            .filter(call_participants::Column::CallId.eq(call.to_string()))
            .filter(call_participants::Column::ParticipantSid.eq(storable(&participant.sid)))
            .filter(call_participants::Column::LeftNs.is_null())
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(call)
    }

    /// A session of a room ended, and with it everybody's stay. Answers whether it was news.
    pub async fn room_finished(&self, room: &str, sid: &str, at: Arrival) -> Result<bool, MeetingError> {
        let transaction = self.0.database.begin().await?;
        let (call, _) = start(&transaction, room, sid, at).await?;
        let ended = end(&transaction, call, at).await?;
        transaction.commit().await?;
        Ok(ended)
    }

    /// Makes calls what the server says is there now: `all` of its sessions as of `at`. Sessions that began or ended
    /// unnoticed begin and end here, and so do people's stays.
    pub async fn observe(&self, all: &[Observed], at: Arrival) -> Result<Reconciled, MeetingError> {
        let mut found = Reconciled::default();
        let transaction = self.0.database.begin().await?;
        let before = from_time(at.saturating_sub(SETTLING));
        let there: HashSet<_> = all.iter().map(|observed| observed.sid.as_str()).collect();
        let open = calls::Entity::find()
            .filter(calls::Column::EndedNs.is_null())
            .all(&transaction)
            .await?;
        for call in open {
            if there.contains(call.sid.as_str()) || call.started_ns > before {
                continue;
            }
            let id = Row::new("calls", &call.id).parse("id", &call.id)?;
            if end(&transaction, id, at).await? {
                found.ended.push(call.room_name);
            }
        }
        for observed in all {
            let (call, news) = start(&transaction, &observed.room, &observed.sid, observed.started).await?;
            if news {
                found.started.push(observed.room.clone());
            }
            if let Some(participants) = &observed.participants {
                found.corrected += reconcile(&transaction, call, participants, before, at).await?;
            }
        }
        transaction.commit().await?;
        Ok(found)
    }

    /// Notes something that happened in a room: in the call that goes on there, or else in the next one, if it begins
    /// soon.
    pub async fn note_in(
        &self,
        room: RoomId,
        name: &str,
        at: Arrival,
        kind: &str,
        data: &Value,
    ) -> Result<(), MeetingError> {
        match self.live(name).await {
            Ok(call) => return self.note(call, at, kind, data).await,
            Err(MeetingError::NotLive) => {}
            Err(error) => return Err(error),
        }
        let transaction = self.0.database.begin().await?;
        early_events::Entity::delete_many()
            .filter(early_events::Column::RoomId.eq(room.to_string()))
            .filter(early_events::Column::AtNs.lt(from_time(at.saturating_sub(SOON))))
            .exec(&transaction)
            .await?;
        let model = early_events::ActiveModel {
            id: Set(CallEventId::generate(at).to_string()),
            room_id: Set(room.to_string()),
            at_ns: Set(from_time(at)),
            kind: Set(storable(kind)),
            data: Set(to_json(data)),
        };
        early_events::Entity::insert(model)
            .exec_without_returning(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// When somebody was in a call, in order.
    pub async fn stays(&self, call: CallId, identity: &str) -> Result<Vec<Stay>, MeetingError> {
        let models = call_participants::Entity::find()
            .filter(call_participants::Column::CallId.eq(call.to_string()))
            .filter(call_participants::Column::Identity.eq(storable(identity)))
            .order_by_asc(call_participants::Column::JoinedNs)
            .all(self.0.database.read())
            .await?;
        let stay = |model: call_participants::Model| {
            let row = Row::new("call_participants", &model.participant_sid);
            Ok(Stay {
                joined: row.time("joined_ns", model.joined_ns)?,
                left: row.time_opt("left_ns", model.left_ns)?,
            })
        };
        Ok(models.into_iter().map(stay).collect::<Result<_, DatabaseError>>()?)
    }

    /// Notes something that happened in a call.
    pub async fn note(&self, call: CallId, at: Arrival, kind: &str, data: &Value) -> Result<(), MeetingError> {
        let model = call_events::ActiveModel {
            id: Set(CallEventId::generate(at).to_string()),
            call_id: Set(call.to_string()),
            at_ns: Set(from_time(at)),
            kind: Set(storable(kind)),
            data: Set(to_json(data)),
        };
        call_events::Entity::insert(model)
            .exec_without_returning(self.0.database.write())
            .await?;
        Ok(())
    }

    /// The call that goes on in a room.
    pub async fn live(&self, room: &str) -> Result<CallId, MeetingError> {
        let model = calls::Entity::find()
            .filter(calls::Column::RoomName.eq(storable(room)))
            .filter(calls::Column::EndedNs.is_null())
            .one(self.0.database.read())
            .await?
            .ok_or(MeetingError::NotLive)?;
        Ok(Row::new("calls", &model.id).parse("id", &model.id)?)
    }
}

/// Finds the call of a session, or makes it. A room has one session at a time: others of it have ended.
async fn start(
    connection: &impl ConnectionTrait,
    room: &str,
    sid: &str,
    at: Arrival,
) -> Result<(CallId, bool), DatabaseError> {
    let (room, sid) = (storable(room), storable(sid));
    let id_of = |model: &calls::Model| Row::new("calls", &model.id).parse("id", &model.id);
    let known = calls::Entity::find()
        .filter(calls::Column::Sid.eq(sid.as_str()))
        .one(connection)
        .await?;
    if let Some(known) = known {
        if from_time(at) < known.started_ns {
            calls::Entity::update_many()
                .col_expr(calls::Column::StartedNs, Expr::value(from_time(at)))
                .filter(calls::Column::Id.eq(known.id.as_str()))
                .exec(connection)
                .await?;
        }
        return Ok((id_of(&known)?, false));
    }
    let others = calls::Entity::find()
        .filter(calls::Column::RoomName.eq(room.as_str()))
        .filter(calls::Column::EndedNs.is_null())
        .all(connection)
        .await?;
    let mut newer = false;
    for other in others {
        // What is said of an old session late does not end the new one.
        if other.started_ns > from_time(at) {
            newer = true;
        } else {
            end(connection, id_of(&other)?, at).await?;
        }
    }
    let of_ours = rooms::Entity::find()
        .filter(rooms::Column::Name.eq(room.as_str()))
        .one(connection)
        .await?;
    let id = CallId::generate(at);
    let model = calls::ActiveModel {
        id: Set(id.to_string()),
        sid: Set(sid.clone()),
        room_id: Set(of_ours.as_ref().map(|room| room.id.clone())),
        room_name: Set(room),
        started_ns: Set(from_time(at)),
        ended_ns: Set(newer.then_some(from_time(at))),
    };
    let same = OnConflict::column(calls::Column::Sid).do_nothing().to_owned();
    let added = calls::Entity::insert(model)
        .on_conflict(same)
        .exec_without_returning(connection)
        .await?;
    if added == 0 {
        // Another process was told as well, and was faster.
        let known = calls::Entity::find()
            .filter(calls::Column::Sid.eq(sid))
            .one(connection)
            .await?;
        let known = known.ok_or_else(|| Row::new("calls", "").inconsistent("sid", None))?;
        return Ok((id_of(&known)?, false));
    }
    if let Some(room) = of_ours {
        take_over(connection, &room.id, id, at).await?;
    }
    Ok((id, true))
}

/// What happened in a room just before belongs to the call that begins; what is older to none.
async fn take_over(
    connection: &impl ConnectionTrait,
    room: &str,
    call: CallId,
    at: Arrival,
) -> Result<(), DatabaseError> {
    let early = early_events::Entity::find()
        .filter(early_events::Column::RoomId.eq(room))
        .all(connection)
        .await?;
    if early.is_empty() {
        return Ok(());
    }
    let soon = from_time(at.saturating_sub(SOON));
    let events = early.into_iter().filter(|event| event.at_ns >= soon);
    let events: Vec<_> = events
        .map(|event| call_events::ActiveModel {
            id: Set(event.id),
            call_id: Set(call.to_string()),
            at_ns: Set(event.at_ns),
            kind: Set(event.kind),
            data: Set(event.data),
        })
        .collect();
    if !events.is_empty() {
        call_events::Entity::insert_many(events)
            .exec_without_returning(connection)
            .await?;
    }
    early_events::Entity::delete_many()
        .filter(early_events::Column::RoomId.eq(room))
        .exec(connection)
        .await?;
    Ok(())
}

async fn end(connection: &impl ConnectionTrait, call: CallId, at: Arrival) -> Result<bool, DatabaseError> {
    let at = from_time(at);
    call_participants::Entity::update_many()
        .col_expr(call_participants::Column::LeftNs, Expr::value(at))
        .filter(call_participants::Column::CallId.eq(call.to_string()))
        .filter(call_participants::Column::LeftNs.is_null())
        .exec(connection)
        .await?;
    let ended = calls::Entity::update_many()
        .col_expr(calls::Column::EndedNs, Expr::value(at))
        .filter(calls::Column::Id.eq(call.to_string()))
        .filter(calls::Column::EndedNs.is_null())
        .exec(connection)
        .await?;
    Ok(ended.rows_affected > 0)
}

/// Notes that somebody came, if it is not known; answers whether it was not.
async fn join(
    connection: &impl ConnectionTrait,
    call: CallId,
    participant: &ObservedParticipant,
) -> Result<bool, DatabaseError> {
    let identity = storable(&participant.identity);
    let user: Option<UserId> = identity.parse().ok();
    let model = call_participants::ActiveModel {
        call_id: Set(call.to_string()),
        participant_sid: Set(storable(&participant.sid)),
        identity: Set(identity),
        name: Set(storable(&participant.name)),
        user_id: Set(user.map(|user| user.to_string())),
        joined_ns: Set(from_time(participant.joined)),
        left_ns: Set(None),
    };
    let known = OnConflict::columns([
        call_participants::Column::CallId,
        call_participants::Column::ParticipantSid,
    ])
    .do_nothing()
    .to_owned();
    let added = call_participants::Entity::insert(model)
        .on_conflict(known)
        .exec_without_returning(connection)
        .await?;
    Ok(added > 0)
}

/// Makes a call's open stays what was seen; answers how many were wrong.
async fn reconcile(
    connection: &impl ConnectionTrait,
    call: CallId,
    seen: &[ObservedParticipant],
    before: i64,
    at: Arrival,
) -> Result<u64, DatabaseError> {
    let mut wrong = 0;
    for participant in seen {
        let news = join(connection, call, participant).await?;
        // Whoever is there has not gone, whatever was said.
        let back = call_participants::Entity::update_many()
            .col_expr(call_participants::Column::LeftNs, Expr::value(None::<i64>))
            .filter(call_participants::Column::CallId.eq(call.to_string()))
            .filter(call_participants::Column::ParticipantSid.eq(storable(&participant.sid)))
            .filter(call_participants::Column::LeftNs.lt(before))
            .exec(connection)
            .await?;
        wrong += u64::from(news) + back.rows_affected;
    }
    let gone = call_participants::Entity::update_many()
        .col_expr(call_participants::Column::LeftNs, Expr::value(from_time(at)))
        .filter(call_participants::Column::CallId.eq(call.to_string()))
        .filter(call_participants::Column::LeftNs.is_null())
        .filter(Expr::col(call_participants::Column::JoinedNs).lte(before))
        .filter(call_participants::Column::ParticipantSid.is_not_in(seen.iter().map(|one| storable(&one.sid))))
        .exec(connection)
        .await?;
    Ok(wrong + gone.rows_affected)
}
