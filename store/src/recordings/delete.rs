//! Deletion, in an order that a crash cannot spoil: the row is marked, then the objects go, then the files, then the
//! row. Whatever is marked is finished by the next start; the row goes last, so nothing is ever left without one.

use std::time::Duration;

use greffier_media::ids::RecordingId;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _,
    QuerySelect as _, QueryTrait as _,
};

use super::{
    FINAL_STATES, RecordingError, Recordings, assemble_one,
    entity::recordings::{ActiveModel, Column, Entity, Model},
    lifecycle::lock_row,
};
use crate::{
    database::column::{Row, from_time},
    disk, jobs,
    renders::entity as render,
};

impl Recordings<'_> {
    /// Deletes a recording that has ended, with all that belongs to it. Once this returns, nothing is left; once it has
    /// begun, nothing can be seen, and a crash is finished by the next start.
    ///
    /// One that another data directory has is marked here, and deleted there.
    pub async fn delete(&self, id: RecordingId) -> Result<(), RecordingError> {
        let model = self.mark_deleted(id).await?;
        if model.node == self.0.node.to_string() {
            self.finish_deletion(id).await?;
        }
        Ok(())
    }

    /// Finishes what was marked, by us or by others, and is ours to delete. Answers what is gone.
    ///
    /// The one that fails is tried again next time, and stops no other; its error is answered if none went well.
    pub async fn finish_deletions(&self) -> Result<Vec<RecordingId>, RecordingError> {
        let marked = Entity::find()
            .filter(Column::Node.eq(self.0.node.to_string()))
            .filter(Column::DeletingNs.is_not_null())
            .all(self.0.database.read())
            .await?;
        let (mut deleted, mut failure) = (Vec::new(), None);
        for model in marked {
            let id = Row::new("recordings", &model.id).parse("id", &model.id)?;
            match self.finish_deletion(id).await {
                Ok(()) => deleted.push(id),
                Err(error) => {
                    tracing::warn!(recording = %id, %error, "the recording could not be deleted yet");
                    failure = Some(error);
                }
            }
        }
        match failure {
            Some(error) if deleted.is_empty() => Err(error),
            _ => Ok(deleted),
        }
    }

    /// Deletes this data directory's recordings that are older than their rule allows. Answers which.
    pub async fn sweep_retention(&self) -> Result<Vec<RecordingId>, RecordingError> {
        let retention = &self.0.retention;
        let now = self.0.now();
        let older_than = |age: Duration| Column::EndedNs.lt(from_time(now.saturating_sub(age)));
        let mut too_old = Condition::any();
        for (rule, retention) in &retention.rules {
            if let Some(age) = retention.max_age {
                let of_rule = Condition::all()
                    .add(Column::Rule.eq(rule.as_str()))
                    .add(older_than(age));
                too_old = too_old.add(of_rule);
            }
        }
        if let Some(age) = retention.max_age {
            let without_rule = Condition::any()
                .add(Column::Rule.is_null())
                .add(Column::Rule.is_not_in(retention.rules.keys().map(String::as_str)));
            too_old = too_old.add(Condition::all().add(without_rule).add(older_than(age)));
        }
        if too_old.is_empty() {
            return Ok(Vec::new());
        }
        let models = Entity::find()
            .filter(Column::Node.eq(self.0.node.to_string()))
            .filter(Column::State.is_in(FINAL_STATES))
            .filter(Column::DeletingNs.is_null())
            .filter(too_old)
            .all(self.0.database.read())
            .await?;
        for model in models {
            let id = Row::new("recordings", &model.id).parse("id", &model.id)?;
            match self.mark_deleted(id).await {
                // Somebody else was faster.
                Ok(_) | Err(RecordingError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        self.finish_deletions().await
    }

    /// Step 1: nobody sees it any more, and no render of it begins.
    pub(crate) async fn mark_deleted(&self, id: RecordingId) -> Result<Model, RecordingError> {
        let now = self.0.now();
        let transaction = self.0.database.begin().await?;
        let model = lock_row(&transaction, id).await?;
        let state = assemble_one(&transaction, model.clone()).await?.state;
        if !state.is_final() {
            return Err(RecordingError::NotEnded(id, state));
        }
        let its_jobs = render::Entity::find()
            .select_only()
            .column(render::Column::JobId)
            .filter(render::Column::RecordingId.eq(id.to_string()))
            .into_query();
        jobs::cancel(&transaction, jobs::entity::Column::Id.in_subquery(its_jobs).into(), now).await?;
        let mut model: ActiveModel = model.into();
        model.deleting_ns = Set(Some(from_time(now)));
        let model = model.update(&transaction).await?;
        transaction.commit().await?;
        Ok(model)
    }

    /// Steps 2 to 4, each of which may be repeated.
    async fn finish_deletion(&self, id: RecordingId) -> Result<(), RecordingError> {
        self.remove_objects(id).await?;
        self.remove_files(id).await?;
        self.remove_rows(id).await
    }

    /// Step 2. If nothing was ever uploaded, there is nothing to do, whatever the object store says.
    pub(crate) async fn remove_objects(&self, id: RecordingId) -> Result<(), RecordingError> {
        Ok(crate::objects::remove_recording(self.0, id).await?)
    }

    /// Step 3.
    pub(crate) async fn remove_files(&self, id: RecordingId) -> Result<(), RecordingError> {
        let dir = self.0.data.recording(id);
        Ok(disk::blocking(move || disk::remove_dir_all(&dir)).await?)
    }

    /// Step 4. All that belongs to the recording goes with its row.
    pub(crate) async fn remove_rows(&self, id: RecordingId) -> Result<(), RecordingError> {
        Entity::delete_by_id(id.to_string())
            .exec(self.0.database.write())
            .await?;
        Ok(())
    }
}
