//! What the rows say of each other.

use greffier_media::ids::RecordingId;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QuerySelect as _, QueryTrait as _,
    sea_query::{Expr, ExprTrait as _},
};

use super::{Check, CheckError, Invariant, Repair};
use crate::{
    DatabaseError, RecordingError, RenderError,
    database::{
        Schema, SchemaDifference,
        column::{Row, to_name},
    },
    jobs::{JobState, entity as job},
    objects::{self, entity as upload},
    recordings::{Recordings, Totals, entity::recordings, put_totals},
    renders::{Renders, entity as render},
};

impl Check<'_> {
    pub(super) async fn schema(&mut self) -> Result<(), CheckError> {
        let live = Schema::live(&self.inner.database).await?;
        let fresh = Schema::fresh(&self.inner.database).await?;
        for difference in live.differences(&fresh) {
            let (subject, problem) = match difference {
                SchemaDifference::Missing(what) => (what, "is missing"),
                SchemaDifference::Unexpected(what) => (what, "should not be there"),
            };
            let advice = "restore the database, or undo what was changed by hand";
            self.note(Invariant::Schema, subject, problem, Repair::Impossible(advice.into()));
        }
        self.live_recordings().await
    }

    async fn live_recordings(&mut self) -> Result<(), CheckError> {
        let live = Recordings(self.inner).live_keys().await?;
        for pair in live.windows(2) {
            let [(room, name, first), (other_room, other_name, second)] = pair else {
                continue;
            };
            if (room, name) == (other_room, other_name) {
                let problem = format!("records the same as {first}: room {room:?}, name {name:?}");
                let advice = "stop one of them";
                self.note(
                    Invariant::OneLiveRecording,
                    second,
                    problem,
                    Repair::Impossible(advice.into()),
                );
            }
        }
        Ok(())
    }

    pub(super) async fn totals(&mut self, id: RecordingId) -> Result<(), CheckError> {
        let connection = self.inner.database.read();
        let expected = Totals::of(connection, id).await?;
        let found = recordings::Entity::find_by_id(id.to_string()).one(connection).await?;
        let Some(found) = found else {
            return Ok(());
        };
        if Totals::from(&found) != expected {
            let repair = async {
                let transaction = self.inner.database.begin().await?;
                put_totals(&transaction, id).await?;
                transaction.commit().await?;
                Ok::<_, DatabaseError>(())
            };
            let repair = self.repair("counted again", repair).await;
            self.note(Invariant::Totals, id, "the totals are not the segments' sums", repair);
        }
        Ok(())
    }

    pub(super) async fn jobs(&mut self) -> Result<(), CheckError> {
        let running = job::Column::State.eq(to_name(&JobState::Running));
        let leased = Condition::all()
            .add(job::Column::LeaseOwner.is_not_null())
            .add(job::Column::LeaseToken.is_not_null())
            .add(job::Column::LeaseUntilNs.is_not_null());
        let partly_leased = Condition::any()
            .add(job::Column::LeaseOwner.is_not_null())
            .add(job::Column::LeaseToken.is_not_null())
            .add(job::Column::LeaseUntilNs.is_not_null());
        let wrong = Condition::any()
            .add(Condition::all().add(running.clone()).add(leased.not()))
            .add(Condition::all().add(running.not()).add(partly_leased))
            .add(Expr::col(job::Column::Attempts).gt(Expr::col(job::Column::MaxAttempts)));
        let wrong = job::Entity::find()
            .filter(wrong)
            .all(self.inner.database.read())
            .await?;
        for job in wrong {
            let problem = format!(
                "is {}, with {} of {} attempts and {} lease",
                job.state,
                job.attempts,
                job.max_attempts,
                if job.lease_token.is_some() { "a" } else { "no" }
            );
            let repair = self.repair("its lease has ended now", self.end_lease(&job)).await;
            self.note(Invariant::Jobs, &job.id, problem, repair);
        }
        Ok(())
    }

    /// As if its holder had died.
    async fn end_lease(&self, job: &job::Model) -> Result<(), DatabaseError> {
        let state = if job.state == to_name(&JobState::Running) {
            to_name(&JobState::Queued)
        } else {
            job.state.clone()
        };
        let update = job::ActiveModel {
            state: Set(state),
            attempts: Set(Ord::min(job.attempts, job.max_attempts)),
            lease_owner: Set(None),
            lease_token: Set(None),
            lease_until_ns: Set(None),
            ..Default::default()
        };
        job::Entity::update_many()
            .set(update)
            .filter(job::Column::Id.eq(job.id.as_str()))
            .exec(self.inner.database.write())
            .await?;
        Ok(())
    }

    pub(super) async fn deletions(&mut self) -> Result<(), CheckError> {
        let connection = self.inner.database.read();
        let ours = recordings::Column::Node.eq(self.inner.node.to_string());
        let marked = recordings::Entity::find()
            .filter(ours.clone())
            .filter(recordings::Column::DeletingNs.is_not_null())
            .all(connection)
            .await?;
        for model in marked {
            let repair = async {
                Recordings(self.inner).finish_deletions().await?;
                Ok::<_, RecordingError>(())
            };
            let repair = self.repair("deleted", repair).await;
            self.note(Invariant::Deletions, model.id, "is marked as deleted", repair);
        }
        let its_own = recordings::Entity::find()
            .select_only()
            .column(recordings::Column::Id)
            .filter(ours)
            .into_query();
        let marked = render::Entity::find()
            .filter(render::Column::DeletingNs.is_not_null())
            .filter(render::Column::RecordingId.in_subquery(its_own))
            .all(connection)
            .await?;
        for model in marked {
            let repair = async {
                Renders(self.inner).finish_deletions().await?;
                Ok::<_, RenderError>(())
            };
            let repair = self.repair("deleted", repair).await;
            self.note(Invariant::Deletions, model.id, "is marked as deleted", repair);
        }
        Ok(())
    }

    pub(super) async fn uploads(&mut self) -> Result<(), CheckError> {
        let begun = upload::Entity::find().all(self.inner.database.read()).await?;
        for upload in begun {
            let id = Row::new("uploads", &upload.object_key).parse("recording_id", &upload.recording_id)?;
            let Ok(recording) = Recordings(self.inner).get(id).await else {
                continue;
            };
            if recording.node != self.inner.node {
                continue;
            }
            let files = crate::files::Files(self.inner).list(id).await;
            let pending = files.map_err(crate::Error::from).map(|files| {
                files
                    .iter()
                    .any(|file| file.key() == upload.object_key && file.uploaded.is_none())
            });
            if matches!(pending, Ok(false)) {
                let attempt = objects::abort_upload(self.inner, &upload.object_key);
                let repair = self.repair("taken back", attempt).await;
                self.note(
                    Invariant::Uploads,
                    upload.object_key,
                    "an upload was begun that nothing waits for",
                    repair,
                );
            }
        }
        Ok(())
    }
}

impl From<&recordings::Model> for Totals {
    fn from(model: &recordings::Model) -> Self {
        Self {
            bytes: model.bytes,
            packets: model.packets,
            lost_packets: model.lost_packets,
            first_arrival_ns: model.first_arrival_ns,
            last_arrival_ns: model.last_arrival_ns,
        }
    }
}
