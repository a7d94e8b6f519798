//! People before the door. Whoever waits asks again and again; who has not for a while has gone.

use std::time::Duration;

use greffier_media::time::Arrival;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
    QueryOrder as _, sea_query::Expr,
};
use serde::{Deserialize, Serialize};

use super::{MeetingError, entity::waiting};
use crate::{
    DatabaseError, RoomId, RoomInvitationId, WaitingId,
    database::column::{Row, from_time, storable, to_name},
    store::Inner,
    tokens,
};

/// Who has not asked for so long has gone.
const GONE_AFTER: Duration = Duration::from_mins(1);

/// Before one door: nobody looks through more, and strangers can make them.
const MAX_WAITING: u64 = 200;

/// Where somebody who asked to come in stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitingState {
    Waiting,
    Admitted,
    Denied,
}

/// Somebody who asked to come in, as of when they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub id: WaitingId,
    pub room: RoomId,
    /// Who they will be in the room.
    pub identity: String,
    pub name: String,
    pub state: WaitingState,
    pub asked: Arrival,
    /// What they came by.
    pub invitation: Option<RoomInvitationId>,
}

/// All doors.
#[derive(Clone, Copy)]
pub struct WaitingRoom<'a>(pub(crate) &'a Inner);

impl WaitingRoom<'_> {
    /// Asks to come in. The secret, which is answered once, proves who asks again. Whoever waits already waits on under
    /// the new secret, and their place stays theirs. Answers whether they are new.
    pub async fn ask(
        &self,
        room: RoomId,
        identity: &str,
        name: &str,
        invitation: Option<RoomInvitationId>,
    ) -> Result<(Waiting, String, bool), MeetingError> {
        let secret = tokens::generate();
        let again = waiting::Entity::update_many()
            .col_expr(waiting::Column::SeenNs, Expr::value(from_time(self.0.now())))
            .col_expr(waiting::Column::SecretHash, Expr::value(tokens::hash(&secret)))
            .col_expr(waiting::Column::Name, Expr::value(storable(name)))
            .filter(self.present(room))
            .filter(waiting::Column::Identity.eq(storable(identity)))
            .exec_with_returning(self.0.database.write())
            .await?;
        if let Some(model) = again.into_iter().next() {
            return Ok((Waiting::from_model(model)?, secret, false));
        }
        if self.waiting(room).await? >= MAX_WAITING {
            return Err(MeetingError::TooManyWait);
        }
        let now = self.0.now();
        let model = waiting::ActiveModel {
            id: Set(WaitingId::generate(now).to_string()),
            room_id: Set(room.to_string()),
            secret_hash: Set(tokens::hash(&secret)),
            identity: Set(storable(identity)),
            name: Set(storable(name)),
            state: Set(to_name(&WaitingState::Waiting)),
            asked_ns: Set(from_time(now)),
            seen_ns: Set(from_time(now)),
            decided_ns: Set(None),
            decided_by: Set(None),
            invitation_id: Set(invitation.map(|id| id.to_string())),
        };
        let model = waiting::Entity::insert(model)
            .exec_with_returning(self.0.database.write())
            .await?;
        Ok((Waiting::from_model(model)?, secret, true))
    }

    /// Asks again.
    pub async fn poll(&self, id: WaitingId, secret: &str) -> Result<Waiting, MeetingError> {
        let seen = waiting::Entity::update_many()
            .col_expr(waiting::Column::SeenNs, Expr::value(from_time(self.0.now())))
            .filter(waiting::Column::Id.eq(id.to_string()))
            .filter(waiting::Column::SecretHash.eq(tokens::hash(secret)))
            .exec_with_returning(self.0.database.write())
            .await?;
        let model = seen.into_iter().next().ok_or(MeetingError::NotWaiting(id))?;
        Ok(Waiting::from_model(model)?)
    }

    /// Who waits before a door, in the order they asked.
    pub async fn list(&self, room: RoomId) -> Result<Vec<Waiting>, MeetingError> {
        let models = waiting::Entity::find()
            .filter(self.present(room))
            .order_by_asc(waiting::Column::Id)
            .all(self.0.database.read())
            .await?;
        Ok(models.into_iter().map(Waiting::from_model).collect::<Result<_, _>>()?)
    }

    /// Whether somebody was let in after `since`.
    pub async fn was_admitted(&self, room: RoomId, identity: &str, since: Arrival) -> Result<bool, MeetingError> {
        let admitted = waiting::Entity::find()
            .filter(waiting::Column::RoomId.eq(room.to_string()))
            .filter(waiting::Column::Identity.eq(storable(identity)))
            .filter(waiting::Column::State.eq(to_name(&WaitingState::Admitted)))
            .filter(waiting::Column::DecidedNs.gte(from_time(since)))
            .one(self.0.database.read())
            .await?;
        Ok(admitted.is_some())
    }

    async fn waiting(&self, room: RoomId) -> Result<u64, MeetingError> {
        let waiting = waiting::Entity::find().filter(self.present(room));
        Ok(waiting.count(self.0.database.read()).await?)
    }

    fn present(self, room: RoomId) -> Condition {
        Condition::all()
            .add(waiting::Column::RoomId.eq(room.to_string()))
            .add(waiting::Column::State.eq(to_name(&WaitingState::Waiting)))
            .add(waiting::Column::SeenNs.gt(from_time(self.0.now().saturating_sub(GONE_AFTER))))
    }

    /// Decides about one person; deciding the same again changes nothing.
    pub async fn decide(&self, room: RoomId, id: WaitingId, admit: bool, by: &str) -> Result<Waiting, MeetingError> {
        let which = Condition::all()
            .add(waiting::Column::Id.eq(id.to_string()))
            .add(waiting::Column::RoomId.eq(room.to_string()));
        self.set(which.clone(), admit, by).await?;
        let model = waiting::Entity::find()
            .filter(which)
            .one(self.0.database.write())
            .await?;
        Ok(Waiting::from_model(model.ok_or(MeetingError::NotWaiting(id))?)?)
    }

    /// Lets all in; answers how many.
    pub async fn admit_all(&self, room: RoomId, by: &str) -> Result<u64, MeetingError> {
        self.set(self.present(room), true, by).await
    }

    /// Does not let somebody in who waits; answers whether they did.
    pub async fn turn_away(&self, room: RoomId, identity: &str, by: &str) -> Result<bool, MeetingError> {
        let which = self.present(room).add(waiting::Column::Identity.eq(storable(identity)));
        Ok(self.set(which, false, by).await? > 0)
    }

    async fn set(&self, which: Condition, admit: bool, by: &str) -> Result<u64, MeetingError> {
        let state = if admit {
            WaitingState::Admitted
        } else {
            WaitingState::Denied
        };
        let decided = waiting::Entity::update_many()
            .col_expr(waiting::Column::State, Expr::value(to_name(&state)))
            .col_expr(waiting::Column::DecidedNs, Expr::value(from_time(self.0.now())))
            .col_expr(waiting::Column::DecidedBy, Expr::value(storable(by)))
            .filter(which)
            .filter(waiting::Column::State.eq(to_name(&WaitingState::Waiting)))
            .exec(self.0.database.write())
            .await?;
        Ok(decided.rows_affected)
    }

    /// Forgets who asked last before `before`; answers how many.
    pub async fn purge(&self, before: Arrival) -> Result<u64, MeetingError> {
        let purged = waiting::Entity::delete_many()
            .filter(waiting::Column::SeenNs.lt(from_time(before)))
            .exec(self.0.database.write())
            .await?;
        Ok(purged.rows_affected)
    }
}

impl Waiting {
    fn from_model(model: waiting::Model) -> Result<Self, DatabaseError> {
        let row = Row::new("waiting", &model.id);
        Ok(Self {
            id: row.parse("id", &model.id)?,
            room: row.parse("room_id", &model.room_id)?,
            state: row.name("state", &model.state)?,
            asked: row.time("asked_ns", model.asked_ns)?,
            invitation: row.parse_opt("invitation_id", model.invitation_id.as_deref())?,
            identity: model.identity,
            name: model.name,
        })
    }
}
