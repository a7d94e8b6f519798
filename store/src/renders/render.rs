//! What a render is, and what whoever works on it has of it.

use std::path::PathBuf;

use greffier_media::{
    ids::{JobId, RecordingId, RenderId},
    lifecycle::{RenderState, StepRefused},
    time::Arrival,
};
use serde_json::Value;

use super::{
    entity::{Model, files},
    results::RenderFile,
};
use crate::{
    DatabaseError, DiskError, ErrorKind, JobError, RecordingError, database::column::Row, files::StoredFile,
    jobs::Lease,
};

/// Renders that wait for different things do not wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Bound by the disk: packets are copied as they are.
    Copy,
    /// Bound by the processor: pictures or sound are encoded.
    Encode,
}

impl Lane {
    /// In the order of their numbers (`as usize`).
    pub const ALL: [Self; 2] = [Self::Copy, Self::Encode];

    pub fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Encode => "encode",
        }
    }

    /// The kind of its jobs.
    pub fn job_kind(self) -> &'static str {
        match self {
            Self::Copy => "render.copy",
            Self::Encode => "render.encode",
        }
    }
}

/// A render to be made.
#[derive(Debug, Clone)]
pub struct NewRender {
    pub recording: RecordingId,
    pub lane: Lane,
    /// `tracks`, `composite` … : whoever runs it knows them.
    pub kind: String,
    /// What exactly, as the kind has it.
    pub request: Value,
    /// How often it is tried before it has failed. At least 1.
    pub max_attempts: u32,
}

/// A render, as of when it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Render {
    pub id: RenderId,
    pub recording: RecordingId,
    pub job: JobId,
    pub kind: String,
    pub request: Value,
    pub state: RenderState,
    /// 0 to 1.
    pub progress: f64,
    /// At least one, once it is ready; none before.
    pub files: Vec<RenderFile>,
    /// For people, beside the kind that a failed state has.
    pub failure_message: Option<String>,
    pub created: Arrival,
    pub started: Option<Arrival>,
    pub ended: Option<Arrival>,
}

/// A render to be worked on.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderClaim {
    pub render: Render,
    pub lease: Lease,
    /// Counts from 1.
    pub attempt: u32,
    /// An empty folder to work in, on the file system where the results will be.
    pub work: PathBuf,
}

pub(super) fn state_of(model: &Model) -> Result<RenderState, DatabaseError> {
    let row = Row::new("renders", &model.id);
    let failure = row.name_opt("failure_kind", model.failure_kind.as_deref())?;
    RenderState::from_parts(&model.state, failure).ok_or_else(|| row.inconsistent("state", None))
}

impl Render {
    /// Its results, among the recording's files.
    pub fn stored_files(&self) -> Vec<StoredFile> {
        let files = self.files.iter();
        files.map(|file| file.stored(self.recording, self.id)).collect()
    }

    pub(crate) fn from_model(model: Model, files: Vec<files::Model>) -> Result<Self, DatabaseError> {
        let state = state_of(&model)?;
        let row = Row::new("renders", &model.id);
        Ok(Self {
            id: row.parse("id", &model.id)?,
            recording: row.parse("recording_id", &model.recording_id)?,
            job: row.parse("job_id", &model.job_id)?,
            request: row.json("request", &model.request)?,
            state,
            progress: model.progress,
            files: files
                .into_iter()
                .map(RenderFile::from_model)
                .collect::<Result<_, _>>()?,
            created: row.time("created_ns", model.created_ns)?,
            started: row.time_opt("started_ns", model.started_ns)?,
            ended: row.time_opt("ended_ns", model.ended_ns)?,
            failure_message: model.failure_message,
            kind: model.kind,
        })
    }
}

/// Why a render is not as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    #[error("there is no render {0}")]
    NotFound(RenderId),
    #[error("{0} is {1}; cancel it before deleting it")]
    NotEnded(RenderId, RenderState),
    #[error("a render without a single file is not ready")]
    NoFiles,
    #[error("`{0}` cannot be the name of a render's file, or another one has it")]
    Name(String),
    #[error(transparent)]
    StepRefused(#[from] StepRefused),
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error(transparent)]
    Job(#[from] JobError),
    #[error(transparent)]
    Object(#[from] crate::ObjectError),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl RenderError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::NotEnded(..) | Self::StepRefused(_) => ErrorKind::Conflict,
            Self::NoFiles | Self::Name(_) => ErrorKind::Invalid,
            Self::Recording(error) => error.kind(),
            Self::Job(error) => error.kind(),
            Self::Object(error) => error.kind(),
            Self::Disk(error) => error.kind(),
            Self::Database(error) => error.kind(),
        }
    }
}
