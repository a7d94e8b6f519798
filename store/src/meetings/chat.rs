//! What was written in a call.

use greffier_media::time::Arrival;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::OnConflict,
};

use super::{
    Calls, MeetingError,
    entity::{calls, chat_messages},
};
use crate::{
    CallId, DatabaseError,
    database::column::{Row, from_time, storable},
};

/// In bytes.
const MAX_BODY: usize = 16 * 1024;

/// In bytes: an identity, which may take 1024, and what its client numbers the message by.
const MAX_ID: usize = 2048;

/// Of one call; more is not a conversation.
const MAX_MESSAGES: u64 = 10_000;

/// A message, as of when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatMessage {
    /// As its sender numbers it; no two of a call have the same.
    pub id: String,
    pub at: Arrival,
    pub identity: String,
    pub name: String,
    pub body: String,
}

impl Calls<'_> {
    /// Keeps a message; one that is kept already stays as it is.
    pub async fn add_message(&self, call: CallId, message: &ChatMessage) -> Result<(), MeetingError> {
        let fits = |text: &str, max: usize| !text.is_empty() && text.len() <= max;
        if !fits(&message.body, MAX_BODY) {
            return Err(MeetingError::Invalid {
                field: "body",
                rule: "1 byte to 16 KiB long",
            });
        }
        if !fits(&message.id, MAX_ID) {
            return Err(MeetingError::Invalid {
                field: "id",
                rule: "1 to 2048 bytes long",
            });
        }
        let model = chat_messages::ActiveModel {
            call_id: Set(call.to_string()),
            id: Set(storable(&message.id)),
            at_ns: Set(from_time(message.at)),
            identity: Set(storable(&message.identity)),
            name: Set(storable(&message.name)),
            body: Set(storable(&message.body)),
        };
        let known = OnConflict::columns([chat_messages::Column::CallId, chat_messages::Column::Id])
            .do_nothing()
            .to_owned();
        chat_messages::Entity::insert(model)
            .on_conflict(known)
            .exec_without_returning(self.0.database.write())
            .await?;
        Ok(())
    }

    /// What was written in a call, in order.
    pub async fn messages(&self, call: CallId) -> Result<Vec<ChatMessage>, MeetingError> {
        let models = chat_messages::Entity::find()
            .filter(chat_messages::Column::CallId.eq(call.to_string()))
            .order_by_asc(chat_messages::Column::AtNs)
            .order_by_asc(chat_messages::Column::Id)
            .limit(MAX_MESSAGES)
            .all(self.0.database.read())
            .await?;
        Ok(models
            .into_iter()
            .map(ChatMessage::from_model)
            .collect::<Result<_, _>>()?)
    }

    /// The last call of a room, whether it goes on or not.
    pub async fn last(&self, room: &str) -> Result<Option<CallId>, MeetingError> {
        let model = calls::Entity::find()
            .filter(calls::Column::RoomName.eq(storable(room)))
            .order_by_desc(calls::Column::Id)
            .one(self.0.database.read())
            .await?;
        Ok(model
            .map(|call| Row::new("calls", &call.id).parse("id", &call.id))
            .transpose()?)
    }
}

impl ChatMessage {
    fn from_model(model: chat_messages::Model) -> Result<Self, DatabaseError> {
        let row = Row::new("chat_messages", &model.id);
        Ok(Self {
            at: row.time("at_ns", model.at_ns)?,
            id: model.id,
            identity: model.identity,
            name: model.name,
            body: model.body,
        })
    }
}
