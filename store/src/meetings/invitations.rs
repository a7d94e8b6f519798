//! Links into a room.

use std::time::Duration;

use greffier_media::time::Arrival;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    sea_query::{Expr, ExprTrait as _},
};

use super::{MeetingError, entity::room_invitations, rooms::find_open};
use crate::{
    DatabaseError, RoomId, RoomInvitationId, UserId,
    database::column::{Row, from_time, from_time_after},
    store::Inner,
    tokens,
};

/// An invitation to be made.
#[derive(Debug, Clone)]
pub struct NewRoomInvitation {
    /// For people without an account too.
    pub guest: bool,
    /// Without it, as long as the room.
    pub lifetime: Option<Duration>,
    pub max_uses: Option<u32>,
    pub by: Option<UserId>,
}

/// An invitation into a room, as of when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomInvitation {
    pub id: RoomInvitationId,
    pub room: RoomId,
    pub guest: bool,
    pub by: Option<UserId>,
    pub created: Arrival,
    pub expires: Option<Arrival>,
    pub max_uses: Option<u32>,
    pub uses: u32,
}

/// All invitations.
#[derive(Clone, Copy)]
pub struct RoomInvitations<'a>(pub(crate) &'a Inner);

impl RoomInvitations<'_> {
    /// Makes an invitation into a room that has not ended. The token is answered once, and kept as a hash.
    pub async fn create(&self, room: &str, new: &NewRoomInvitation) -> Result<(RoomInvitation, String), MeetingError> {
        if new.max_uses == Some(0) {
            return Err(MeetingError::Invalid {
                field: "max_uses",
                rule: "at least 1",
            });
        }
        let now = self.0.now();
        let token = tokens::generate();
        let transaction = self.0.database.begin().await?;
        let room = find_open(&transaction, room).await?;
        let model = room_invitations::ActiveModel {
            id: Set(RoomInvitationId::generate(now).to_string()),
            room_id: Set(room.id),
            token_hash: Set(tokens::hash(&token)),
            guest: Set(new.guest),
            created_by: Set(new.by.map(|by| by.to_string())),
            created_ns: Set(from_time(now)),
            expires_ns: Set(new.lifetime.map(|lifetime| from_time_after(now, lifetime))),
            max_uses: Set(new.max_uses.map(i64::from)),
            uses: Set(0),
            revoked_ns: Set(None),
        };
        let model = room_invitations::Entity::insert(model)
            .exec_with_returning(&transaction)
            .await?;
        transaction.commit().await?;
        Ok((RoomInvitation::from_model(&model)?, token))
    }

    /// The invitation that a token is for, if it can still be used.
    pub async fn open(&self, token: &str) -> Result<RoomInvitation, MeetingError> {
        let found = self.shown(token).await?;
        if found.is_used_up() {
            Err(MeetingError::Invitation)
        } else {
            Ok(found)
        }
    }

    /// The same, also if it is used up: those who used it come back by it.
    pub async fn shown(&self, token: &str) -> Result<RoomInvitation, MeetingError> {
        let model = room_invitations::Entity::find()
            .filter(room_invitations::Column::TokenHash.eq(tokens::hash(token)))
            .filter(is_valid(self.0.now()))
            .one(self.0.database.read())
            .await?;
        Ok(RoomInvitation::from_model(&model.ok_or(MeetingError::Invitation)?)?)
    }

    /// A room's invitations that were not taken back, the newest first.
    pub async fn list(&self, room: RoomId) -> Result<Vec<RoomInvitation>, MeetingError> {
        let models = room_invitations::Entity::find()
            .filter(room_invitations::Column::RoomId.eq(room.to_string()))
            .filter(room_invitations::Column::RevokedNs.is_null())
            .order_by_desc(room_invitations::Column::Id)
            .all(self.0.database.read())
            .await?;
        Ok(models
            .iter()
            .map(RoomInvitation::from_model)
            .collect::<Result<_, _>>()?)
    }

    /// Takes an invitation back.
    pub async fn revoke(&self, room: RoomId, id: RoomInvitationId) -> Result<(), MeetingError> {
        let revoked = room_invitations::Entity::update_many()
            .col_expr(
                room_invitations::Column::RevokedNs,
                Expr::value(from_time(self.0.now())),
            )
            .filter(room_invitations::Column::Id.eq(id.to_string()))
            .filter(room_invitations::Column::RoomId.eq(room.to_string()))
            .filter(room_invitations::Column::RevokedNs.is_null())
            .exec(self.0.database.write())
            .await?;
        match revoked.rows_affected {
            0 => Err(MeetingError::NoInvitation(id)),
            _ => Ok(()),
        }
    }
}

/// Neither taken back nor expired.
fn is_valid(now: Arrival) -> Condition {
    let not_expired = Condition::any()
        .add(room_invitations::Column::ExpiresNs.is_null())
        .add(room_invitations::Column::ExpiresNs.gt(from_time(now)));
    Condition::all()
        .add(room_invitations::Column::RevokedNs.is_null())
        .add(not_expired)
}

/// Uses an invitation into `room` once; of all who do so at the same time, no more than `max_uses` can.
pub(super) async fn use_once(
    connection: &impl ConnectionTrait,
    room: RoomId,
    id: RoomInvitationId,
    now: Arrival,
) -> Result<(), MeetingError> {
    let not_used_up = Condition::any()
        .add(room_invitations::Column::MaxUses.is_null())
        .add(Expr::col(room_invitations::Column::Uses).lt(Expr::col(room_invitations::Column::MaxUses)));
    let used = room_invitations::Entity::update_many()
        .col_expr(
            room_invitations::Column::Uses,
            Expr::col(room_invitations::Column::Uses).add(1),
        )
        .filter(room_invitations::Column::Id.eq(id.to_string()))
        .filter(room_invitations::Column::RoomId.eq(room.to_string()))
        .filter(is_valid(now))
        .filter(not_used_up)
        .exec(connection)
        .await?;
    match used.rows_affected {
        0 => Err(MeetingError::Invitation),
        _ => Ok(()),
    }
}

impl RoomInvitation {
    /// Nobody new comes in by it.
    pub fn is_used_up(&self) -> bool {
        self.max_uses.is_some_and(|most| self.uses >= most)
    }

    fn from_model(model: &room_invitations::Model) -> Result<Self, DatabaseError> {
        let row = Row::new("room_invitations", &model.id);
        let max_uses = model.max_uses.map(|uses| row.small("max_uses", uses));
        Ok(Self {
            id: row.parse("id", &model.id)?,
            room: row.parse("room_id", &model.room_id)?,
            guest: model.guest,
            by: row.parse_opt("created_by", model.created_by.as_deref())?,
            created: row.time("created_ns", model.created_ns)?,
            expires: row.time_opt("expires_ns", model.expires_ns)?,
            max_uses: max_uses.transpose()?,
            uses: row.small("uses", model.uses)?,
        })
    }
}
