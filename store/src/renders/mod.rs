//! Renders: files derived from a recording. Each has a job, and they change together, in one transaction; a result
//! counts once its file is in place and on the disk.

pub(crate) mod entity;

#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use greffier_media::{
    ids::{JobId, RecordingId, RenderId},
    lifecycle::{RenderFailure, RenderState, RenderStep, StepRefused},
    time::Arrival,
};
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DatabaseTransaction, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _,
};
use serde_json::{Value, json};

use self::entity::{ActiveModel, Column, Entity, Model};
use crate::{
    DatabaseError, DiskError, ErrorKind, JobError, RecordingError,
    database::column::{Row, from_count, from_time, storable, to_json, to_name},
    disk::{self, RENDERS_FOLDER},
    files::{FilePart, StoredFile},
    ids::random,
    jobs,
    jobs::{Claim, Heartbeat, Job, JobState, Jobs, Lease, NewJob, Retry},
    journal::TimelineEvent,
    objects,
    recordings::{TimelineSource, add_event, entity::recordings},
    store::Inner,
    webhooks::{self, NewDelivery},
};

/// The kind of all renders' jobs.
pub const RENDER_JOB: &str = "render";

/// A render to be made.
#[derive(Debug, Clone)]
pub struct NewRender {
    pub recording: RecordingId,
    /// `participant`, `composite` … : whoever runs it knows them.
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
    /// Present once it is ready.
    pub file: Option<RenderFile>,
    /// What was found in the result, as the prober has it.
    pub probe: Option<Value>,
    /// For people, beside the kind that a failed state has.
    pub failure_message: Option<String>,
    pub created: Arrival,
    pub started: Option<Arrival>,
    pub ended: Option<Arrival>,
}

/// A render's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderFile {
    /// In the folder of the recording's renders.
    pub name: String,
    /// `video/webm`
    pub media_type: String,
    pub bytes: u64,
    /// In lower-case hexadecimal.
    pub sha256: String,
    pub on_disk: bool,
    pub uploaded: Option<Arrival>,
}

/// A render to be worked on.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderClaim {
    pub render: Render,
    pub lease: Lease,
    /// Counts from 1.
    pub attempt: u32,
    /// An empty folder to work in, on the file system where the result will be.
    pub work: PathBuf,
}

/// What a render came to.
#[derive(Debug, Clone)]
pub struct RenderResult {
    /// Anywhere in the claim's work folder.
    pub path: PathBuf,
    /// Without the dot: `webm`. At most 8 letters and digits.
    pub extension: String,
    pub media_type: String,
    pub probe: Value,
}

/// All renders.
#[derive(Clone, Copy)]
pub struct Renders<'a>(pub(crate) &'a Inner);

impl Renders<'_> {
    /// Makes a render and queues its job, which only the data directory that has the recording can do.
    pub async fn create(&self, new: &NewRender) -> Result<Render, RenderError> {
        let now = self.0.now();
        let id = RenderId::from_parts(now.as_millis(), random());
        let transaction = self.0.database.begin().await?;
        let recording = crate::recordings::lock_row(&transaction, new.recording).await?;
        let row = Row::new("recordings", &recording.id);
        let job = NewJob {
            node: Some(row.parse("node", &recording.node)?),
            max_attempts: new.max_attempts,
            ..NewJob::new(RENDER_JOB, json!({ "render": id }))
        };
        let job = jobs::enqueue(&transaction, self.0, &job).await?;
        let model = ActiveModel {
            id: Set(id.to_string()),
            recording_id: Set(new.recording.to_string()),
            job_id: Set(job.to_string()),
            kind: Set(new.kind.clone()),
            request: Set(to_json(&new.request)),
            state: Set(RenderState::Queued.name().to_owned()),
            progress: Set(0.0),
            file: Set(None),
            media_type: Set(None),
            bytes: Set(None),
            sha256: Set(None),
            probe: Set(None),
            failure_kind: Set(None),
            failure_message: Set(None),
            created_ns: Set(from_time(now)),
            started_ns: Set(None),
            ended_ns: Set(None),
            deleting_ns: Set(None),
            on_disk: Set(false),
            uploaded_ns: Set(None),
        };
        let model = Entity::insert(model).exec_with_returning(&transaction).await?;
        transaction.commit().await?;
        Ok(Render::from_model(model)?)
    }

    pub async fn get(&self, id: RenderId) -> Result<Render, RenderError> {
        Ok(Render::from_model(find(self.0.database.read(), id).await?)?)
    }

    /// A recording's renders, in the order they were asked for.
    pub async fn list(&self, recording: RecordingId) -> Result<Vec<Render>, RenderError> {
        let models = Entity::find()
            .filter(Column::RecordingId.eq(recording.to_string()))
            .filter(Column::DeletingNs.is_null())
            .order_by_asc(Column::Id)
            .all(self.0.database.read())
            .await?;
        Ok(models.into_iter().map(Render::from_model).collect::<Result<_, _>>()?)
    }

    /// The same with those that are being deleted.
    pub(crate) async fn of_recording(&self, recording: RecordingId) -> Result<Vec<Render>, DatabaseError> {
        let models = Entity::find()
            .filter(Column::RecordingId.eq(recording.to_string()))
            .all(self.0.database.read())
            .await?;
        models.into_iter().map(Render::from_model).collect()
    }

    /// Takes the render that has waited longest, for `lease` from now, and makes an empty folder to work in. `None` if
    /// there is nothing to do here.
    pub async fn claim(&self, lease: Duration) -> Result<Option<RenderClaim>, RenderError> {
        loop {
            let Some(Claim { job, lease }) = Jobs(self.0).claim(&[RENDER_JOB], lease).await? else {
                return Ok(None);
            };
            let Some(render) = self.start(&job).await? else {
                // Its render is gone.
                Jobs(self.0).cancelled(&lease).await?;
                continue;
            };
            let work = self.0.data.render_work(render.id);
            let made = work.clone();
            disk::blocking(move || {
                disk::remove_dir_all(&made)?;
                disk::create_dir(&made)
            })
            .await?;
            return Ok(Some(RenderClaim {
                render,
                lease,
                attempt: job.attempts,
                work,
            }));
        }
    }

    async fn start(&self, job: &Job) -> Result<Option<Render>, RenderError> {
        let transaction = self.0.database.begin().await?;
        let model = Entity::find()
            .filter(Column::JobId.eq(job.id.to_string()))
            .lock_exclusive()
            .one(&transaction)
            .await?;
        let Some(model) = model else { return Ok(None) };
        let started = model.started_ns;
        // It may have ended meanwhile.
        let Ok(state) = Render::from_model(model.clone())?.state.advance(RenderStep::Start) else {
            return Ok(None);
        };
        let mut model: ActiveModel = model.into();
        model.state = Set(state.name().to_owned());
        model.progress = Set(0.0);
        model.started_ns = Set(started.or(Some(from_time(self.0.now()))));
        let model = model.update(&transaction).await?;
        transaction.commit().await?;
        Ok(Some(Render::from_model(model)?))
    }

    /// Keeps a claim for `keep` from now, and says how far the work is (0 to 1).
    pub async fn heartbeat(
        &self,
        claim: &RenderClaim,
        progress: f64,
        keep: Duration,
    ) -> Result<Heartbeat, RenderError> {
        let heartbeat = Jobs(self.0).heartbeat(&claim.lease, progress, keep).await?;
        let update = ActiveModel {
            progress: Set(progress.clamp(0.0, 1.0)),
            ..Default::default()
        };
        Entity::update_many()
            .set(update)
            .filter(Column::Id.eq(claim.render.id.to_string()))
            .filter(Column::State.eq(RenderState::Running.name()))
            .exec(self.0.database.write())
            .await?;
        Ok(heartbeat)
    }

    /// Publishes a result: the file is synced and moved to its place, then the render is ready. A claim that was lost
    /// publishes nothing.
    pub async fn publish(
        &self,
        claim: &RenderClaim,
        result: &RenderResult,
        tell: impl FnOnce(&Render) -> Vec<NewDelivery> + Send,
    ) -> Result<Render, RenderError> {
        check_extension(&result.extension)?;
        find(self.0.database.read(), claim.render.id).await?;
        // Each attempt has a name of its own: one that comes back late cannot replace another's result.
        let name = format!("{}-{}.{}", claim.render.id, claim.attempt, result.extension);
        let folder = self.0.data.renders(claim.render.recording);
        let place = folder.join(&name);
        let (from, to) = (result.path.clone(), place.clone());
        let (bytes, sha256) = disk::blocking(move || move_into_place(&from, &to)).await?;
        let published = self.finish(claim, result, name, bytes, sha256, tell).await;
        if published.is_err() {
            let removed = disk::blocking(move || disk::remove_file(&place)).await;
            if let Err(error) = removed {
                tracing::warn!(render = %claim.render.id, %error, "an unpublished result stays until the next check");
            }
        }
        self.empty_work(claim).await;
        published
    }

    async fn finish(
        &self,
        claim: &RenderClaim,
        result: &RenderResult,
        name: String,
        bytes: u64,
        sha256: String,
        tell: impl FnOnce(&Render) -> Vec<NewDelivery> + Send,
    ) -> Result<Render, RenderError> {
        let now = self.0.now();
        let transaction = self.0.database.begin().await?;
        jobs::complete(&transaction, &claim.lease, now).await?;
        let model = find(&transaction, claim.render.id).await?;
        let state = Render::from_model(model.clone())?.state.advance(RenderStep::Finish)?;
        let mut model: ActiveModel = model.into();
        model.file = Set(Some(name));
        model.media_type = Set(Some(storable(&result.media_type)));
        model.bytes = Set(Some(from_count(bytes)));
        model.sha256 = Set(Some(sha256));
        model.probe = Set(Some(to_json(&result.probe)));
        model.on_disk = Set(true);
        model.progress = Set(1.0);
        end(transaction, model, state, None, now, tell).await
    }

    /// The work failed. Tried again if `retry` says so and attempts are left; then it stays `running`.
    pub async fn fail(
        &self,
        claim: &RenderClaim,
        failure: RenderFailure,
        message: &str,
        retry: Retry,
        tell: impl FnOnce(&Render) -> Vec<NewDelivery> + Send,
    ) -> Result<Render, RenderError> {
        let now = self.0.now();
        let transaction = self.0.database.begin().await?;
        let job = jobs::fail(&transaction, &claim.lease, message, retry, now).await?;
        let model = find(&transaction, claim.render.id).await?;
        let render = Render::from_model(model.clone())?;
        let render = match job {
            JobState::Failed => {
                let state = render.state.advance(RenderStep::Fail(failure))?;
                end(transaction, model.into(), state, Some(message), now, tell).await?
            }
            JobState::Cancelled => {
                let state = render.state.advance(RenderStep::Cancel)?;
                end(transaction, model.into(), state, None, now, tell).await?
            }
            _ => {
                transaction.commit().await?;
                render
            }
        };
        self.empty_work(claim).await;
        Ok(render)
    }

    /// The work stopped because somebody asked.
    pub async fn cancelled(
        &self,
        claim: &RenderClaim,
        tell: impl FnOnce(&Render) -> Vec<NewDelivery> + Send,
    ) -> Result<Render, RenderError> {
        let now = self.0.now();
        let transaction = self.0.database.begin().await?;
        jobs::cancelled(&transaction, &claim.lease, now).await?;
        let model = find(&transaction, claim.render.id).await?;
        let state = Render::from_model(model.clone())?.state.advance(RenderStep::Cancel)?;
        let render = end(transaction, model.into(), state, None, now, tell).await?;
        self.empty_work(claim).await;
        Ok(render)
    }

    /// Asks for a render to end: one that waits is cancelled at once, one that runs is told with its next heartbeat.
    pub async fn cancel(
        &self,
        id: RenderId,
        tell: impl FnOnce(&Render) -> Vec<NewDelivery> + Send,
    ) -> Result<Render, RenderError> {
        let now = self.0.now();
        let transaction = self.0.database.begin().await?;
        let model = find(&transaction, id).await?;
        let state = Render::from_model(model.clone())?.state.advance(RenderStep::Cancel)?;
        let its_job = jobs::entity::Column::Id.eq(model.job_id.clone());
        jobs::cancel(&transaction, its_job.into(), now).await?;
        if model.state == RenderState::Queued.name() {
            return end(transaction, model.into(), state, None, now, tell).await;
        }
        transaction.commit().await?;
        Ok(Render::from_model(model)?)
    }

    /// Ends renders whose job ended without them: the process that was doing it died too often, or died while it was
    /// being cancelled. To be called now and then. Answers which.
    pub async fn settle(
        &self,
        tell: impl Fn(&Render) -> Vec<NewDelivery> + Send + Sync,
    ) -> Result<Vec<Render>, RenderError> {
        let now = self.0.now();
        let ended_jobs = |state: JobState| {
            jobs::entity::Entity::find()
                .select_only()
                .column(jobs::entity::Column::Id)
                .filter(jobs::entity::Column::State.eq(to_name(&state)))
                .into_query()
        };
        let mut settled = Vec::new();
        for (job, step) in [
            (JobState::Cancelled, RenderStep::Cancel),
            (JobState::Failed, RenderStep::Fail(RenderFailure::Crashed)),
        ] {
            let models = Entity::find()
                .filter(Column::State.is_in([RenderState::Queued.name(), RenderState::Running.name()]))
                .filter(Column::JobId.in_subquery(ended_jobs(job)))
                .all(self.0.database.read())
                .await?;
            for model in models {
                let id = Row::new("renders", &model.id).parse("id", &model.id)?;
                let transaction = self.0.database.begin().await?;
                let model = find(&transaction, id).await?;
                // Somebody may have been faster.
                if let Ok(state) = Render::from_model(model.clone())?.state.advance(step) {
                    let message = state
                        .failure()
                        .map(|_| "the process that was doing it ended, each time");
                    settled.push(end(transaction, model.into(), state, message, now, &tell).await?);
                }
            }
        }
        Ok(settled)
    }

    /// Deletes a render that has ended: it is marked, then its object goes, then its file, then its row. A crash is
    /// finished by the next start.
    pub async fn delete(&self, id: RenderId) -> Result<(), RenderError> {
        let render = self.mark_deleted(id).await?;
        self.finish_deletion(&render).await
    }

    /// Finishes what was marked. Answers what is gone.
    pub async fn finish_deletions(&self) -> Result<Vec<RenderId>, RenderError> {
        let its_own = recordings::Entity::find()
            .select_only()
            .column(recordings::Column::Id)
            .filter(recordings::Column::Node.eq(self.0.node.to_string()))
            .into_query();
        let marked = Entity::find()
            .filter(Column::DeletingNs.is_not_null())
            .filter(Column::RecordingId.in_subquery(its_own))
            .all(self.0.database.read())
            .await?;
        let mut deleted = Vec::new();
        for model in marked {
            let render = Render::from_model(model)?;
            self.finish_deletion(&render).await?;
            deleted.push(render.id);
        }
        Ok(deleted)
    }

    /// Step 1: nobody sees it any more.
    pub(crate) async fn mark_deleted(&self, id: RenderId) -> Result<Render, RenderError> {
        let transaction = self.0.database.begin().await?;
        let model = find(&transaction, id).await?;
        let render = Render::from_model(model.clone())?;
        if !render.state.is_final() {
            return Err(RenderError::NotEnded(id, render.state));
        }
        let mut model: ActiveModel = model.into();
        model.deleting_ns = Set(Some(from_time(self.0.now())));
        model.update(&transaction).await?;
        transaction.commit().await?;
        Ok(render)
    }

    async fn finish_deletion(&self, render: &Render) -> Result<(), RenderError> {
        if let Some(file) = render.stored_file() {
            objects::remove(self.0, &file).await?;
            let path = file.path(&self.0.data);
            disk::blocking(move || disk::remove_file(&path)).await?;
        }
        Entity::delete_by_id(render.id.to_string())
            .exec(self.0.database.write())
            .await?;
        Ok(())
    }

    /// What a crash would leave behind is emptied at the next claim or start, so this is no error.
    async fn empty_work(&self, claim: &RenderClaim) {
        let work = claim.work.clone();
        if let Err(error) = disk::blocking(move || disk::remove_dir_all(&work)).await {
            tracing::warn!(render = %claim.render.id, %error, "the work folder could not be emptied");
        }
    }
}

async fn find(connection: &impl ConnectionTrait, id: RenderId) -> Result<Model, RenderError> {
    let model = Entity::find_by_id(id.to_string())
        .filter(Column::DeletingNs.is_null())
        .one(connection)
        .await?;
    model.ok_or(RenderError::NotFound(id))
}

/// What all ways to end have in common: the state, the timeline's entry, the webhooks, the commit.
async fn end(
    transaction: DatabaseTransaction,
    mut model: ActiveModel,
    state: RenderState,
    message: Option<&str>,
    now: Arrival,
    tell: impl FnOnce(&Render) -> Vec<NewDelivery> + Send,
) -> Result<Render, RenderError> {
    model.state = Set(state.name().to_owned());
    model.failure_kind = Set(state.failure().as_ref().map(to_name));
    model.failure_message = Set(message.map(storable));
    model.ended_ns = Set(Some(from_time(now)));
    let model = model.update(&transaction).await?;
    let render = Render::from_model(model)?;
    let event = TimelineEvent {
        at: now,
        kind: "render_state".to_owned(),
        data: json!({
            "type": "render_state",
            "render": render.id,
            "kind": render.kind,
            "to": state.name(),
            "failure": state.failure(),
        }),
    };
    add_event(&transaction, render.recording, TimelineSource::Rows, &event).await?;
    webhooks::enqueue(&transaction, &tell(&render), now).await?;
    transaction.commit().await?;
    Ok(render)
}

fn move_into_place(from: &Path, to: &Path) -> Result<(u64, String), DiskError> {
    let (bytes, sha256) = disk::sha256_of(from)?;
    disk::sync_file(from)?;
    if let Some(folder) = to.parent() {
        // Not the folder above: if that is gone, so is the recording.
        disk::create_dir_below(folder)?;
    }
    disk::rename(from, to)?;
    Ok((bytes, sha256))
}

/// It becomes part of a file name.
fn check_extension(extension: &str) -> Result<(), RenderError> {
    let fits = (1..=8).contains(&extension.len()) && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if fits { Ok(()) } else { Err(RenderError::Extension) }
}

impl Render {
    /// Its result, among the recording's files.
    pub fn stored_file(&self) -> Option<StoredFile> {
        let file = self.file.clone()?;
        Some(StoredFile {
            recording: self.recording,
            part: FilePart::Render(self.id),
            name: format!("{RENDERS_FOLDER}/{}", file.name),
            media_type: file.media_type,
            bytes: file.bytes,
            sha256: file.sha256,
            on_disk: file.on_disk,
            uploaded: file.uploaded,
        })
    }

    pub(crate) fn from_model(model: Model) -> Result<Self, DatabaseError> {
        let row = Row::new("renders", &model.id);
        let failure = row.name_opt("failure_kind", model.failure_kind.as_deref())?;
        let file = match (model.file, model.media_type, model.bytes, model.sha256) {
            (Some(name), Some(media_type), Some(bytes), Some(sha256)) => Some(RenderFile {
                name,
                media_type,
                bytes: row.count("bytes", bytes)?,
                sha256,
                on_disk: model.on_disk,
                uploaded: row.time_opt("uploaded_ns", model.uploaded_ns)?,
            }),
            (None, None, None, None) => None,
            _ => return Err(row.inconsistent("file", None)),
        };
        Ok(Self {
            id: row.parse("id", &model.id)?,
            recording: row.parse("recording_id", &model.recording_id)?,
            job: row.parse("job_id", &model.job_id)?,
            request: row.json("request", &model.request)?,
            state: RenderState::from_parts(&model.state, failure).ok_or_else(|| row.inconsistent("state", None))?,
            progress: model.progress,
            file,
            probe: row.json_opt("probe", model.probe.as_deref())?,
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
    #[error("a file's extension must be 1 to 8 letters and digits")]
    Extension,
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
            Self::Extension => ErrorKind::Invalid,
            Self::Recording(error) => error.kind(),
            Self::Job(error) => error.kind(),
            Self::Object(error) => error.kind(),
            Self::Disk(error) => error.kind(),
            Self::Database(error) => error.kind(),
        }
    }
}
