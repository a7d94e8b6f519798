//! Renders: files derived from a recording. Each has a job, and they change together, in one transaction; its results
//! count once they are in place and on the disk.

pub(crate) mod entity;
mod render;
pub(crate) mod results;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use greffier_media::{
    ids::{RecordingId, RenderId},
    lifecycle::{RenderFailure, RenderState, RenderStep},
    time::Arrival,
};
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DatabaseTransaction, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _,
};
use serde_json::json;

use self::entity::{ActiveModel, Column, Entity, Model, files};
use self::render::state_of;
pub use self::render::{Lane, NewRender, Render, RenderClaim, RenderError};
pub use self::results::{RenderFile, RenderResult};
use crate::{
    DatabaseError,
    database::column::{Row, from_time, storable, to_json, to_name},
    disk,
    ids::random,
    jobs,
    jobs::{Claim, Heartbeat, Job, JobState, Jobs, NewJob, Retry},
    journal::TimelineEvent,
    objects,
    recordings::{TimelineSource, add_event, entity::recordings},
    store::Inner,
    webhooks::{self, NewDelivery},
};

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
            ..NewJob::new(new.lane.job_kind(), json!({ "render": id }))
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
            failure_kind: Set(None),
            failure_message: Set(None),
            created_ns: Set(from_time(now)),
            started_ns: Set(None),
            ended_ns: Set(None),
            deleting_ns: Set(None),
        };
        let model = Entity::insert(model).exec_with_returning(&transaction).await?;
        transaction.commit().await?;
        Ok(Render::from_model(model, Vec::new())?)
    }

    pub async fn get(&self, id: RenderId) -> Result<Render, RenderError> {
        let connection = self.0.database.read();
        Ok(with_files(connection, find(connection, id).await?).await?)
    }

    /// A recording's renders, in the order they were asked for.
    pub async fn list(&self, recording: RecordingId) -> Result<Vec<Render>, RenderError> {
        let models = Entity::find()
            .filter(Column::RecordingId.eq(recording.to_string()))
            .filter(Column::DeletingNs.is_null())
            .order_by_asc(Column::Id)
            .all(self.0.database.read())
            .await?;
        Ok(all_with_files(self.0.database.read(), recording, models).await?)
    }

    /// The same with those that are being deleted.
    pub(crate) async fn of_recording(&self, recording: RecordingId) -> Result<Vec<Render>, DatabaseError> {
        let models = Entity::find()
            .filter(Column::RecordingId.eq(recording.to_string()))
            .all(self.0.database.read())
            .await?;
        all_with_files(self.0.database.read(), recording, models).await
    }

    /// Takes the render that has waited longest in a lane, for `lease` from now, and makes an empty folder to work in.
    /// `None` if there is nothing to do here.
    pub async fn claim(&self, lane: Lane, lease: Duration) -> Result<Option<RenderClaim>, RenderError> {
        loop {
            let Some(Claim { job, lease }) = Jobs(self.0).claim(&[lane.job_kind()], lease).await? else {
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
        let Ok(state) = state_of(&model)?.advance(RenderStep::Start) else {
            return Ok(None);
        };
        let mut model: ActiveModel = model.into();
        model.state = Set(state.name().to_owned());
        model.progress = Set(0.0);
        model.started_ns = Set(started.or(Some(from_time(self.0.now()))));
        let model = model.update(&transaction).await?;
        transaction.commit().await?;
        Ok(Some(Render::from_model(model, Vec::new())?))
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
        let state = state_of(&model)?;
        let render = match job {
            JobState::Failed => {
                let state = state.advance(RenderStep::Fail(failure))?;
                end(transaction, model.into(), state, Some(message), now, tell).await?
            }
            JobState::Cancelled => {
                let state = state.advance(RenderStep::Cancel)?;
                end(transaction, model.into(), state, None, now, tell).await?
            }
            _ => {
                transaction.commit().await?;
                Render::from_model(model, Vec::new())?
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
        let state = state_of(&model)?.advance(RenderStep::Cancel)?;
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
        let state = state_of(&model)?.advance(RenderStep::Cancel)?;
        let its_job = jobs::entity::Column::Id.eq(model.job_id.clone());
        jobs::cancel(&transaction, its_job.into(), now).await?;
        if model.state == RenderState::Queued.name() {
            return end(transaction, model.into(), state, None, now, tell).await;
        }
        transaction.commit().await?;
        Ok(Render::from_model(model, Vec::new())?)
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
                if let Ok(state) = state_of(&model)?.advance(step) {
                    let message = state
                        .failure()
                        .map(|_| "the process that was doing it ended, each time");
                    settled.push(end(transaction, model.into(), state, message, now, &tell).await?);
                }
            }
        }
        Ok(settled)
    }

    /// Deletes a render that has ended: it is marked, then its objects go, then its files, then its rows. A crash is
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
            let render = with_files(self.0.database.read(), model).await?;
            self.finish_deletion(&render).await?;
            deleted.push(render.id);
        }
        Ok(deleted)
    }

    /// Step 1: nobody sees it any more.
    pub(crate) async fn mark_deleted(&self, id: RenderId) -> Result<Render, RenderError> {
        let transaction = self.0.database.begin().await?;
        let model = find(&transaction, id).await?;
        let render = with_files(&transaction, model.clone()).await?;
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
        for file in render.stored_files() {
            objects::remove(self.0, &file).await?;
        }
        let folder = self.0.data.renders(render.recording);
        let attempts: BTreeSet<_> = render.files.iter().map(|file| file.attempt).collect();
        for attempt in attempts {
            let place = folder.join(results::folder_name(render.id, attempt));
            disk::blocking(move || disk::remove_dir_all(&place)).await?;
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

async fn with_files(connection: &impl ConnectionTrait, model: Model) -> Result<Render, DatabaseError> {
    let files = files::Entity::find()
        .filter(files::Column::RenderId.eq(model.id.as_str()))
        .order_by_asc(files::Column::Position)
        .all(connection)
        .await?;
    Render::from_model(model, files)
}

/// Renders of one recording, each with its files.
pub(crate) async fn all_with_files(
    connection: &impl ConnectionTrait,
    recording: RecordingId,
    models: Vec<Model>,
) -> Result<Vec<Render>, DatabaseError> {
    let rows = files::Entity::find()
        .filter(files::Column::RecordingId.eq(recording.to_string()))
        .order_by_asc(files::Column::Position)
        .all(connection)
        .await?;
    let mut files: HashMap<String, Vec<files::Model>> = HashMap::new();
    for row in rows {
        files.entry(row.render_id.clone()).or_default().push(row);
    }
    models
        .into_iter()
        .map(|model| {
            let its_own = files.remove(&model.id).unwrap_or_default();
            Render::from_model(model, its_own)
        })
        .collect()
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
    let render = with_files(&transaction, model).await?;
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
