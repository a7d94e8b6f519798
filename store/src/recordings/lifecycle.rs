//! From `requested` to `sealed` or `failed`. Each step is one transaction: the state, the times that go with it, the
//! timeline's entry, and the webhooks that tell of it.

use std::collections::BTreeMap;

use greffier_media::{
    ids::{ParticipantIdentity, RecordingId, RoomName, RoomSid},
    journal::event::StopReason,
    lifecycle::{RecordingState, RecordingStep},
    time::Arrival,
};
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, DatabaseTransaction, EntityTrait as _,
    PaginatorTrait as _, QueryFilter as _, QuerySelect as _,
};
use serde_json::json;

use super::{
    LIVE_STATES, Recording, RecordingError, RecordingName, RecordingRequest, Recordings, TimelineSource, add_event,
    assemble_one,
    entity::{labels, recordings, segments},
};
use crate::{
    DatabaseError, DiskSpace,
    database::{
        NotUnique as _,
        column::{from_time, storable, to_json, to_name},
    },
    disk,
    ids::random,
    journal::TimelineEvent,
    webhooks::{self, NewDelivery},
};

/// A recording to be made.
#[derive(Debug, Clone)]
pub struct NewRecording {
    pub room: RoomName,
    pub room_sid: Option<RoomSid>,
    pub name: RecordingName,
    pub request: RecordingRequest,
    pub bot_identity: ParticipantIdentity,
    /// At most 64, with keys of 1 to 64 and values of at most 256 bytes, none with control characters.
    pub labels: BTreeMap<String, String>,
}

/// A step, and what is known about it.
#[derive(Debug, Clone)]
pub struct Advance {
    pub step: RecordingStep,
    /// With the step that ends the recording: why.
    pub stop_reason: Option<StopReason>,
    /// For people: why it failed.
    pub message: Option<String>,
    /// Once it is known.
    pub room_sid: Option<RoomSid>,
}

impl From<RecordingStep> for Advance {
    fn from(step: RecordingStep) -> Self {
        Self {
            step,
            stop_reason: None,
            message: None,
            room_sid: None,
        }
    }
}

impl Recordings<'_> {
    /// Makes a recording in state `requested`.
    ///
    /// Of all that ask at once for the same room and name, one gets it; the others get
    /// [`AlreadyLive`](RecordingError::AlreadyLive) with its id. Refused when the disk is nearly full.
    pub async fn create(
        &self,
        new: &NewRecording,
        tell: impl FnOnce(&Recording) -> Vec<NewDelivery> + Send,
    ) -> Result<Recording, RecordingError> {
        check_labels(&new.labels)?;
        let (root, floor) = (self.0.data.root().to_owned(), self.0.floor);
        let space = disk::blocking(move || DiskSpace::of(&root, floor)).await?;
        if !space.is_enough() {
            return Err(RecordingError::DiskFull(space));
        }
        let now = self.0.now();
        let id = RecordingId::from_parts(now.as_millis(), random());
        let transaction = self.0.database.begin().await?;
        let model = match recordings::Entity::insert(new_model(id, self.0.node.to_string(), new, now))
            .exec_with_returning(&transaction)
            .await
        {
            Ok(model) => model,
            Err(error) if error.is_not_unique() => {
                transaction.rollback().await?;
                return Err(self.live(new).await?);
            }
            Err(error) => return Err(DatabaseError::from(error).into()),
        };
        let rows = new.labels.iter().map(|(label, value)| labels::ActiveModel {
            recording_id: Set(id.to_string()),
            label: Set(label.clone()),
            value: Set(value.clone()),
        });
        labels::Entity::insert_many(rows)
            .exec_without_returning(&transaction)
            .await?;
        let recording = finish_step(transaction, model, None, None, now, tell).await?;
        Ok(recording)
    }

    /// The recording that stands in the way of a new one.
    async fn live(&self, new: &NewRecording) -> Result<RecordingError, RecordingError> {
        let live = recordings::Entity::find()
            .filter(recordings::Column::RoomName.eq(new.room.as_str()))
            .filter(recordings::Column::Name.eq(new.name.as_str()))
            .filter(recordings::Column::State.is_in(LIVE_STATES))
            .one(self.0.database.write())
            .await?;
        match live {
            Some(model) => Ok(RecordingError::AlreadyLive(
                assemble_one(self.0.database.write(), model).await?.id,
            )),
            // It ended between the two statements.
            None => Ok(RecordingError::Contended),
        }
    }

    /// Takes a recording one step on, with the webhooks that tell of it: all of it happens, or none.
    ///
    /// It is sealed only once all its segments are.
    pub async fn advance(
        &self,
        id: RecordingId,
        advance: impl Into<Advance>,
        tell: impl FnOnce(&Recording) -> Vec<NewDelivery> + Send,
    ) -> Result<Recording, RecordingError> {
        let advance = advance.into();
        let now = self.0.now();
        let transaction = self.0.database.begin().await?;
        let model = lock_row(&transaction, id).await?;
        let before = assemble_one(&transaction, model.clone()).await?.state;
        let after = before.advance(advance.step)?;
        if after == RecordingState::Sealed {
            let open = segments::Entity::find()
                .filter(segments::Column::RecordingId.eq(id.to_string()))
                .filter(segments::Column::Sealed.eq(false))
                .count(&transaction)
                .await?;
            if open > 0 {
                return Err(RecordingError::SegmentsOpen {
                    recording: id,
                    segments: open,
                });
            }
        }
        let model = changes(model, after, &advance, now).update(&transaction).await?;
        finish_step(transaction, model, Some(before), Some(&advance), now, tell).await
    }

    /// Pauses or resumes; the journal says so too, and for its readers that is what counts.
    pub async fn set_paused(
        &self,
        id: RecordingId,
        paused: bool,
        tell: impl FnOnce(&Recording) -> Vec<NewDelivery> + Send,
    ) -> Result<Recording, RecordingError> {
        let transaction = self.0.database.begin().await?;
        let model = lock_row(&transaction, id).await?;
        let recording = assemble_one(&transaction, model.clone()).await?;
        if !recording.state.may_pause() {
            return Err(RecordingError::NotCapturing(id, recording.state));
        }
        let mut model: recordings::ActiveModel = model.into();
        model.paused = Set(paused);
        let model = model.update(&transaction).await?;
        let recording = assemble_one(&transaction, model).await?;
        webhooks::enqueue(&transaction, &tell(&recording), self.0.now()).await?;
        transaction.commit().await?;
        Ok(recording)
    }
}

/// The row of a recording that is not being deleted; nobody else changes it until the transaction ends.
pub(crate) async fn lock_row(
    transaction: &DatabaseTransaction,
    id: RecordingId,
) -> Result<recordings::Model, RecordingError> {
    recordings::Entity::find_by_id(id.to_string())
        .filter(recordings::Column::DeletingNs.is_null())
        .lock_exclusive()
        .one(transaction)
        .await?
        .ok_or(RecordingError::NotFound(id))
}

/// What all steps end with: the timeline's entry, the webhooks, the commit.
async fn finish_step(
    transaction: DatabaseTransaction,
    model: recordings::Model,
    before: Option<RecordingState>,
    advance: Option<&Advance>,
    now: Arrival,
    tell: impl FnOnce(&Recording) -> Vec<NewDelivery> + Send,
) -> Result<Recording, RecordingError> {
    let recording = assemble_one(&transaction, model).await?;
    let event = TimelineEvent {
        at: now,
        kind: "recording_state".to_owned(),
        data: json!({
            "type": "recording_state",
            "from": before.map(RecordingState::name),
            "to": recording.state.name(),
            "failure": recording.state.failure(),
            "reason": advance.and_then(|advance| advance.stop_reason),
            "message": advance.and_then(|advance| advance.message.as_deref()),
        }),
    };
    add_event(&transaction, recording.id, TimelineSource::Rows, &event).await?;
    webhooks::enqueue(&transaction, &tell(&recording), now).await?;
    transaction.commit().await?;
    Ok(recording)
}

fn changes(
    model: recordings::Model,
    after: RecordingState,
    advance: &Advance,
    now: Arrival,
) -> recordings::ActiveModel {
    let (stop_reason, room_sid, message) = (
        model.stop_reason.clone(),
        model.room_sid.clone(),
        model.failure_message.clone(),
    );
    let (started, stopped) = (model.started_ns, model.stopped_ns);
    let now = Some(from_time(now));
    let mut model: recordings::ActiveModel = model.into();
    model.state = Set(after.name().to_owned());
    model.failure_kind = Set(after.failure().as_ref().map(to_name));
    model.failure_message = Set(advance.message.as_deref().map(storable).or(message));
    model.stop_reason = Set(advance.stop_reason.as_ref().map(to_name).or(stop_reason));
    model.room_sid = Set(advance.room_sid.clone().map(String::from).or(room_sid));
    match after {
        RecordingState::Capturing => model.started_ns = Set(started.or(now)),
        RecordingState::Sealing => {
            model.stopped_ns = Set(now);
            model.paused = Set(false);
        }
        RecordingState::Sealed | RecordingState::Failed(_) => {
            model.stopped_ns = Set(stopped.or(now));
            model.ended_ns = Set(now);
            model.paused = Set(false);
        }
        RecordingState::Requested | RecordingState::Joining => {}
    }
    model
}

fn new_model(id: RecordingId, node: String, new: &NewRecording, now: Arrival) -> recordings::ActiveModel {
    recordings::ActiveModel {
        id: Set(id.to_string()),
        node: Set(node),
        room_name: Set(new.room.to_string()),
        room_sid: Set(new.room_sid.clone().map(String::from)),
        name: Set(new.name.to_string()),
        rule: Set(new.request.rule.as_deref().map(storable)),
        request: Set(to_json(&new.request)),
        bot_identity: Set(new.bot_identity.to_string()),
        search_text: Set(search_text(new)),
        state: Set(RecordingState::Requested.name().to_owned()),
        paused: Set(false),
        stop_reason: Set(None),
        failure_kind: Set(None),
        failure_message: Set(None),
        created_ns: Set(from_time(now)),
        started_ns: Set(None),
        stopped_ns: Set(None),
        ended_ns: Set(None),
        deleting_ns: Set(None),
        first_arrival_ns: Set(None),
        last_arrival_ns: Set(None),
        bytes: Set(0),
        packets: Set(0),
        lost_packets: Set(0),
        next_event: Set(0),
    }
}

/// What a search for text looks at: room, name and labels, in lower case.
fn search_text(new: &NewRecording) -> String {
    [new.room.as_str(), new.name.as_str()]
        .into_iter()
        .chain(new.labels.values().map(String::as_str))
        .map(str::to_lowercase)
        .collect::<Vec<_>>()
        .join("\n")
}

fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), RecordingError> {
    let fits = |text: &str, max| text.len() <= max && !text.contains(char::is_control);
    let all_fit = labels
        .iter()
        .all(|(label, value)| !label.is_empty() && fits(label, 64) && fits(value, 256));
    if labels.len() <= 64 && all_fit {
        Ok(())
    } else {
        Err(RecordingError::Invalid {
            field: "labels",
            rule: "at most 64, with keys of 1 to 64 and values of at most 256 bytes, without control characters",
        })
    }
}
