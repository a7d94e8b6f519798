//! People without an account. A browser that shows its secret is the same guest again: with the same identity, and
//! without using the invitation once more.

use greffier_media::time::Arrival;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, EntityTrait as _, QueryFilter as _,
    sea_query::{Expr, OnConflict},
};
use ulid::Ulid;

use super::{MeetingError, RoomRole, entity::room_guests, invitations};
use crate::{
    DatabaseError, RoomId, RoomInvitationId,
    database::column::{Row, from_time, storable, to_name},
    store::Inner,
    tokens,
};

/// A guest of a room, as of when they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// Who they are in the room.
    pub identity: String,
    pub name: String,
    pub invitation: RoomInvitationId,
    /// What a moderator made them.
    pub role: Option<RoomRole>,
    /// When they were let in last. `None`: never, so the invitation is not used yet.
    pub admitted: Option<Arrival>,
}

/// All guests.
#[derive(Clone, Copy)]
pub struct Guests<'a>(pub(crate) &'a Inner);

impl Guests<'_> {
    /// Whoever shows this secret before this room.
    pub async fn known(&self, room: RoomId, secret: &str) -> Result<Option<Guest>, MeetingError> {
        let model = room_guests::Entity::find()
            .filter(room_guests::Column::RoomId.eq(room.to_string()))
            .filter(room_guests::Column::SecretHash.eq(tokens::hash(secret)))
            .one(self.0.database.read())
            .await?;
        Ok(model.map(Guest::from_model).transpose()?)
    }

    /// The guest whom the room knows so.
    pub async fn find(&self, room: RoomId, identity: &str) -> Result<Option<Guest>, MeetingError> {
        let model = room_guests::Entity::find()
            .filter(room_guests::Column::RoomId.eq(room.to_string()))
            .filter(room_guests::Column::Identity.eq(storable(identity)))
            .one(self.0.database.read())
            .await?;
        Ok(model.map(Guest::from_model).transpose()?)
    }

    /// Somebody comes by an invitation, under this name. Who shows the secret of a guest is that guest; everybody else is
    /// new, and has the secret that is answered: the one shown, if it has the shape of one.
    pub async fn come(
        &self,
        room: RoomId,
        invitation: RoomInvitationId,
        name: &str,
        shown: Option<&str>,
    ) -> Result<(Guest, String), MeetingError> {
        let now = self.0.now();
        let secret = match shown.filter(|secret| tokens::is_one(secret)) {
            Some(secret) => secret.to_owned(),
            None => tokens::generate(),
        };
        let id = Ulid::from_parts(now.as_millis(), rand::random());
        let model = room_guests::ActiveModel {
            id: Set(id.to_string()),
            room_id: Set(room.to_string()),
            secret_hash: Set(tokens::hash(&secret)),
            invitation_id: Set(invitation.to_string()),
            identity: Set(format!("guest_{id}")),
            name: Set(storable(name)),
            role: Set(None),
            seen_ns: Set(from_time(now)),
            admitted_ns: Set(None),
        };
        let again = OnConflict::columns([room_guests::Column::RoomId, room_guests::Column::SecretHash])
            .update_columns([
                room_guests::Column::InvitationId,
                room_guests::Column::Name,
                room_guests::Column::SeenNs,
            ])
            .to_owned();
        room_guests::Entity::insert(model)
            .on_conflict(again)
            .exec_without_returning(self.0.database.write())
            .await?;
        let guest = room_guests::Entity::find()
            .filter(room_guests::Column::RoomId.eq(room.to_string()))
            .filter(room_guests::Column::SecretHash.eq(tokens::hash(&secret)))
            .one(self.0.database.write())
            .await?
            .ok_or_else(|| MeetingError::NoRoom(room.to_string()))?;
        Ok((Guest::from_model(guest)?, secret))
    }

    /// Lets a guest in. The first time, that uses their invitation once; if it is used up meanwhile, they stay outside.
    pub async fn let_in(&self, room: RoomId, identity: &str) -> Result<(), MeetingError> {
        let now = self.0.now();
        let transaction = self.0.database.begin().await?;
        let model = room_guests::Entity::find()
            .filter(room_guests::Column::RoomId.eq(room.to_string()))
            .filter(room_guests::Column::Identity.eq(storable(identity)))
            .one(&transaction)
            .await?
            .ok_or(MeetingError::Invitation)?;
        let guest = Guest::from_model(model)?;
        if guest.admitted.is_none() {
            invitations::use_once(&transaction, room, guest.invitation, now).await?;
        }
        room_guests::Entity::update_many()
            .col_expr(room_guests::Column::AdmittedNs, Expr::value(from_time(now)))
            .filter(room_guests::Column::RoomId.eq(room.to_string()))
            .filter(room_guests::Column::Identity.eq(storable(identity)))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Makes a guest something to the room; answers whether there is such a guest.
    pub async fn set_role(&self, room: RoomId, identity: &str, role: RoomRole) -> Result<bool, MeetingError> {
        let changed = room_guests::Entity::update_many()
            .col_expr(room_guests::Column::Role, Expr::value(to_name(&role)))
            .filter(room_guests::Column::RoomId.eq(room.to_string()))
            .filter(room_guests::Column::Identity.eq(storable(identity)))
            .exec(self.0.database.write())
            .await?;
        Ok(changed.rows_affected > 0)
    }

    /// Forgets who came last before `before`; answers how many.
    pub async fn purge(&self, before: Arrival) -> Result<u64, MeetingError> {
        let purged = room_guests::Entity::delete_many()
            .filter(room_guests::Column::SeenNs.lt(from_time(before)))
            .exec(self.0.database.write())
            .await?;
        Ok(purged.rows_affected)
    }
}

impl Guest {
    fn from_model(model: room_guests::Model) -> Result<Self, DatabaseError> {
        let row = Row::new("room_guests", &model.id);
        Ok(Self {
            invitation: row.parse("invitation_id", &model.invitation_id)?,
            role: row.name_opt("role", model.role.as_deref())?,
            admitted: row.time_opt("admitted_ns", model.admitted_ns)?,
            identity: model.identity,
            name: model.name,
        })
    }
}
