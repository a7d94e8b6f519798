//! Who was put out of a call. They stay out of it, by whatever way they come, until they are let back in or it ends.

use std::sync::Arc;

use greffier_media::time::Arrival;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, JoinType, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, sea_query::OnConflict,
};

use super::{
    Calls, MeetingError,
    entity::{call_removals, calls},
};
use crate::{
    CallId, DatabaseError,
    database::{
        Watched,
        column::{Row, from_time, storable},
    },
};

/// Somebody who was put out, as of when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    pub identity: String,
    pub name: String,
    /// Who did it, as the audit log names them.
    pub by: String,
    pub at: Arrival,
}

impl Calls<'_> {
    /// Keeps somebody out of a call from now on.
    pub async fn keep_out(&self, call: CallId, identity: &str, name: &str, by: &str) -> Result<(), MeetingError> {
        let model = call_removals::ActiveModel {
            call_id: Set(call.to_string()),
            identity: Set(storable(identity)),
            name: Set(storable(name)),
            removed_by: Set(storable(by)),
            removed_ns: Set(from_time(self.0.now())),
        };
        let again = OnConflict::columns([call_removals::Column::CallId, call_removals::Column::Identity])
            .update_columns([call_removals::Column::RemovedBy, call_removals::Column::RemovedNs])
            .to_owned();
        call_removals::Entity::insert(model)
            .on_conflict(again)
            .exec_without_returning(self.0.database.write())
            .await?;
        Ok(())
    }

    /// Lets somebody back in; answers whether they were kept out.
    pub async fn let_back(&self, call: CallId, identity: &str) -> Result<bool, MeetingError> {
        let lifted = call_removals::Entity::delete_by_id((call.to_string(), storable(identity)))
            .exec(self.0.database.write())
            .await?;
        Ok(lifted.rows_affected > 0)
    }

    /// Who is kept out of a call, the last first.
    pub async fn kept_out(&self, call: CallId) -> Result<Vec<Removed>, MeetingError> {
        let models = call_removals::Entity::find()
            .filter(call_removals::Column::CallId.eq(call.to_string()))
            .order_by_desc(call_removals::Column::RemovedNs)
            .all(self.0.database.read())
            .await?;
        Ok(models.into_iter().map(Removed::from_model).collect::<Result<_, _>>()?)
    }

    /// Whether somebody is kept out of the call that goes on in a room.
    pub async fn is_kept_out(&self, room: &str, identity: &str) -> Result<bool, MeetingError> {
        let version = self.0.database.version([Watched::Calls, Watched::CallRemovals]);
        let read = async || {
            let of_call = call_removals::Entity::belongs_to(calls::Entity)
                .from(call_removals::Column::CallId)
                .to(calls::Column::Id);
            let models = call_removals::Entity::find()
                .join(JoinType::InnerJoin, of_call.into())
                .filter(calls::Column::RoomName.eq(storable(room)))
                .filter(calls::Column::EndedNs.is_null())
                .all(self.0.database.read())
                .await?;
            Ok::<_, MeetingError>(models.into_iter().map(|model| model.identity).collect())
        };
        let kept_out: Arc<[String]> = self.0.memos.kept_out.or_read(version, room.to_owned(), read).await?;
        Ok(kept_out.contains(&storable(identity)))
    }
}

impl Removed {
    fn from_model(model: call_removals::Model) -> Result<Self, DatabaseError> {
        Ok(Self {
            at: Row::new("call_removals", &model.call_id).time("removed_ns", model.removed_ns)?,
            identity: model.identity,
            name: model.name,
            by: model.removed_by,
        })
    }
}
