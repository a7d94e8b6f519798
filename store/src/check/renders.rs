//! Whether each ready render has its files, and no other has any.

use greffier_media::{ids::RecordingId, lifecycle::RenderState};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use super::{Check, CheckError, Invariant, Repair};
use crate::renders::{
    Render, all_with_files,
    entity::{Column, Entity},
};

impl Check<'_> {
    pub(super) async fn renders(&mut self, id: RecordingId) -> Result<(), CheckError> {
        let models = Entity::find()
            .filter(Column::RecordingId.eq(id.to_string()))
            .filter(Column::DeletingNs.is_null())
            .all(self.inner.database.read())
            .await?;
        let renders = all_with_files(self.inner.database.read(), id, models).await?;
        let files: Vec<_> = renders.iter().flat_map(Render::stored_files).collect();
        let remote = self.remote(id, &files).await;
        for render in &renders {
            self.report.renders += 1;
            if render.files.is_empty() == (render.state == RenderState::Ready) {
                let problem = format!("is {}, with {} files", render.state, render.files.len());
                let advice = "delete it, and render again";
                self.note(
                    Invariant::RenderFile,
                    render.id,
                    problem,
                    Repair::Impossible(advice.into()),
                );
            }
        }
        for file in &files {
            self.stored_file(Invariant::RenderFile, file, &remote).await?;
        }
        Ok(())
    }
}
