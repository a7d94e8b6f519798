//! Recordings: what was asked, where each stands, and what it holds.
//!
//! | file | |
//! |---|---|
//! | `request` | what somebody asked to be recorded |
//! | `lifecycle` | from `requested` to `sealed` or `failed`, one transaction per step |
//! | `contents` | segments, tracks, participants, the timeline: what the journal holds, as rows |
//! | `list` | finding recordings |
//! | `delete` | deletion in an order that a crash cannot spoil, and retention |

mod contents;
mod delete;
pub(crate) mod entity;
mod lifecycle;
mod list;
mod request;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use greffier_media::{
    ids::{ParticipantIdentity, RecordingId, RoomName, RoomSid},
    journal::event::StopReason,
    lifecycle::{RecordingState, StepRefused},
    time::Arrival,
};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, FromQueryResult, QueryFilter as _, QuerySelect as _,
};
use serde::{Deserialize, Serialize};

pub use self::{
    contents::{EventCursor, Participant, Segment, Track},
    lifecycle::{Advance, NewRecording},
    list::{Page, RecordingFilter, StorageUsed},
    request::{LayerPolicy, Limits, RecordingRequest, TrackFilter},
};
pub(crate) use contents::{
    TimelineSource, Totals, add_event, all_segments, put_totals, record_segment, segment_models,
};
use entity::{labels, participants, recordings};
pub(crate) use lifecycle::lock_row;

use crate::{
    DatabaseError, DiskError, DiskSpace, ErrorKind, JobError, NodeId, ObjectError, database::column::Row, store::Inner,
};

/// What tells recordings of one room apart that run at the same time: one of everything and one of the speaker, say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RecordingName(Box<str>);

impl RecordingName {
    /// In bytes.
    pub const MAX_LEN: usize = 128;

    pub fn new(text: &str) -> Result<Self, RecordingError> {
        let allowed = !text.is_empty() && text.len() <= Self::MAX_LEN && !text.contains(char::is_control);
        if allowed {
            Ok(Self(text.into()))
        } else {
            Err(RecordingError::Invalid {
                field: "name",
                rule: "1 to 128 bytes without control characters",
            })
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for RecordingName {
    fn default() -> Self {
        Self("default".into())
    }
}

impl fmt::Display for RecordingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RecordingName {
    type Err = RecordingError;

    fn from_str(text: &str) -> Result<Self, RecordingError> {
        Self::new(text)
    }
}

impl TryFrom<String> for RecordingName {
    type Error = RecordingError;

    fn try_from(text: String) -> Result<Self, RecordingError> {
        Self::new(&text)
    }
}

impl From<RecordingName> for String {
    fn from(name: RecordingName) -> String {
        name.0.into()
    }
}

/// A recording, as of when it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    pub id: RecordingId,
    /// The data directory that has its files.
    pub node: NodeId,
    pub room: RoomName,
    /// Known once the bot is in the room.
    pub room_sid: Option<RoomSid>,
    pub name: RecordingName,
    pub state: RecordingState,
    /// Nothing of the room is kept for now.
    pub paused: bool,
    pub stop_reason: Option<StopReason>,
    /// For people, beside the kind that a failed state has.
    pub failure_message: Option<String>,
    pub request: RecordingRequest,
    /// Who records, in the room's eyes.
    pub bot_identity: ParticipantIdentity,
    pub labels: BTreeMap<String, String>,
    pub created: Arrival,
    /// When capturing began.
    pub started: Option<Arrival>,
    /// When it was to end.
    pub stopped: Option<Arrival>,
    /// When it was sealed or had failed.
    pub ended: Option<Arrival>,
    /// Arrivals of the first and last message of its journal.
    pub span: Option<(Arrival, Arrival)>,
    /// Of its journal's files.
    pub bytes: u64,
    pub packets: u64,
    /// Packets that are missing between those that are there.
    pub lost_packets: u64,
    /// People, whether they published something or not.
    pub participants: u64,
}

impl Recording {
    /// From the first to the last message; pauses and absences are part of it.
    pub fn duration(&self) -> Duration {
        self.span
            .map_or(Duration::ZERO, |(first, last)| last.saturating_since(first))
    }
}

/// All recordings.
#[derive(Clone, Copy)]
pub struct Recordings<'a>(pub(crate) &'a Inner);

impl Recordings<'_> {
    /// One recording. One that is being deleted is gone.
    pub async fn get(&self, id: RecordingId) -> Result<Recording, RecordingError> {
        let connection = self.0.database.read();
        let model = recordings::Entity::find_by_id(id.to_string())
            .filter(recordings::Column::DeletingNs.is_null())
            .one(connection)
            .await?
            .ok_or(RecordingError::NotFound(id))?;
        Ok(assemble_one(connection, model).await?)
    }

    /// This data directory's recordings that are neither sealed nor failed.
    pub async fn unfinished(&self) -> Result<Vec<Recording>, RecordingError> {
        let connection = self.0.database.read();
        let models = recordings::Entity::find()
            .filter(recordings::Column::Node.eq(self.0.node.to_string()))
            .filter(recordings::Column::State.is_not_in(FINAL_STATES))
            .filter(recordings::Column::DeletingNs.is_null())
            .all(connection)
            .await?;
        Ok(assemble(connection, models).await?)
    }
}

/// By name, as rows have them.
const FINAL_STATES: [&str; 2] = ["sealed", "failed"];
/// States in which no other recording of the same room and name may be; the index `recordings_live` says the same.
const LIVE_STATES: [&str; 3] = ["requested", "joining", "capturing"];

/// Puts rows of the side tables to recordings, in the order given.
async fn assemble(
    connection: &impl ConnectionTrait,
    models: Vec<recordings::Model>,
) -> Result<Vec<Recording>, DatabaseError> {
    #[derive(FromQueryResult)]
    struct Count {
        recording_id: String,
        participants: i64,
    }
    // Of none nothing need be asked, and a list of rooms has none most of the time.
    if models.is_empty() {
        return Ok(Vec::new());
    }
    let ids = || models.iter().map(|model| model.id.clone());
    let mut labels_of: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for row in labels::Entity::find()
        .filter(labels::Column::RecordingId.is_in(ids()))
        .all(connection)
        .await?
    {
        labels_of
            .entry(row.recording_id)
            .or_default()
            .insert(row.label, row.value);
    }
    let counts: BTreeMap<_, _> = participants::Entity::find()
        .select_only()
        .column(participants::Column::RecordingId)
        .column_as(participants::Column::Identity.count(), "participants")
        .filter(participants::Column::RecordingId.is_in(ids()))
        .group_by(participants::Column::RecordingId)
        .into_model::<Count>()
        .all(connection)
        .await?
        .into_iter()
        .map(|count| (count.recording_id, count.participants))
        .collect();
    models
        .into_iter()
        .map(|model| {
            let labels = labels_of.remove(&model.id).unwrap_or_default();
            let participants = counts.get(&model.id).copied().unwrap_or_default();
            from_model(model, labels, participants)
        })
        .collect()
}

async fn assemble_one(connection: &impl ConnectionTrait, model: recordings::Model) -> Result<Recording, DatabaseError> {
    let mut assembled = assemble(connection, vec![model]).await?;
    Ok(assembled.remove(0))
}

fn from_model(
    model: recordings::Model,
    labels: BTreeMap<String, String>,
    participants: i64,
) -> Result<Recording, DatabaseError> {
    let row = Row::new("recordings", &model.id);
    let failure = row.name_opt("failure_kind", model.failure_kind.as_deref())?;
    let first = row.time_opt("first_arrival_ns", model.first_arrival_ns)?;
    let last = row.time_opt("last_arrival_ns", model.last_arrival_ns)?;
    Ok(Recording {
        id: row.parse("id", &model.id)?,
        node: row.parse("node", &model.node)?,
        room: row.parse("room_name", &model.room_name)?,
        room_sid: row.parse_opt("room_sid", model.room_sid.as_deref())?,
        name: row.parse("name", &model.name)?,
        state: RecordingState::from_parts(&model.state, failure).ok_or_else(|| row.inconsistent("state", None))?,
        paused: model.paused,
        stop_reason: row.name_opt("stop_reason", model.stop_reason.as_deref())?,
        request: row.json("request", &model.request)?,
        bot_identity: row.parse("bot_identity", &model.bot_identity)?,
        labels,
        created: row.time("created_ns", model.created_ns)?,
        started: row.time_opt("started_ns", model.started_ns)?,
        stopped: row.time_opt("stopped_ns", model.stopped_ns)?,
        ended: row.time_opt("ended_ns", model.ended_ns)?,
        span: first.zip(last),
        bytes: row.count("bytes", model.bytes)?,
        packets: row.count("packets", model.packets)?,
        lost_packets: row.count("lost_packets", model.lost_packets)?,
        participants: row.count("participants", participants)?,
        failure_message: model.failure_message,
    })
}

/// Why a recording is not as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    #[error("there is no recording {0}")]
    NotFound(RecordingId),
    #[error("`{field}` must be {rule}")]
    Invalid { field: &'static str, rule: &'static str },
    /// However many triggers arrive, one recording comes of them: this one.
    #[error("the room is being recorded already, as {0}")]
    AlreadyLive(RecordingId),
    #[error("there is not enough room on the disk: {} bytes are free, {} must stay so", .0.available, .0.floor)]
    DiskFull(DiskSpace),
    #[error(transparent)]
    StepRefused(#[from] StepRefused),
    #[error("{0} is {1}; only what is being captured can be paused or resumed")]
    NotCapturing(RecordingId, RecordingState),
    #[error("{recording} cannot be sealed: {segments} of its segments are not")]
    SegmentsOpen { recording: RecordingId, segments: u64 },
    #[error("{0} is {1}; stop it before deleting it")]
    NotEnded(RecordingId, RecordingState),
    #[error("recordings come and go too fast")]
    Contended,
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Job(#[from] JobError),
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl RecordingError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Invalid { .. } => ErrorKind::Invalid,
            Self::AlreadyLive(_)
            | Self::StepRefused(_)
            | Self::NotCapturing(..)
            | Self::SegmentsOpen { .. }
            | Self::NotEnded(..) => ErrorKind::Conflict,
            Self::DiskFull(_) => ErrorKind::DiskFull,
            Self::Contended => ErrorKind::Unavailable,
            Self::Disk(error) => error.kind(),
            Self::Job(error) => error.kind(),
            Self::Object(error) => error.kind(),
            Self::Database(error) => error.kind(),
        }
    }
}
