//! Whether each ready render has its file, and no other has one.

use greffier_media::{ids::RecordingId, lifecycle::RenderState};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use super::{Check, CheckError, Invariant, Repair};
use crate::renders::{
    Render,
    entity::{Column, Entity},
};

impl Check<'_> {
    pub(super) async fn renders(&mut self, id: RecordingId) -> Result<(), CheckError> {
        let models = Entity::find()
            .filter(Column::RecordingId.eq(id.to_string()))
            .filter(Column::DeletingNs.is_null())
            .all(self.inner.database.read())
            .await?;
        let renders = models
            .into_iter()
            .map(Render::from_model)
            .collect::<Result<Vec<_>, _>>()?;
        let files: Vec<_> = renders.iter().filter_map(Render::stored_file).collect();
        let remote = self.remote(id, &files).await;
        for render in &renders {
            self.report.renders += 1;
            let file = render.stored_file();
            if file.is_some() != (render.state == RenderState::Ready) {
                let problem = format!(
                    "is {}, {} a file",
                    render.state,
                    if file.is_some() { "with" } else { "without" }
                );
                let advice = "delete it, and render again";
                self.note(
                    Invariant::RenderFile,
                    render.id,
                    problem,
                    Repair::Impossible(advice.into()),
                );
            }
            if let Some(file) = file {
                self.stored_file(Invariant::RenderFile, &file, &remote).await?;
            }
        }
        Ok(())
    }
}
