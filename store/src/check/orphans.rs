//! Files that no row knows.

use std::collections::BTreeSet;

use greffier_media::ids::RecordingId;
use sea_orm::EntityTrait as _;

use super::{Check, CheckError, Invariant};
use crate::{
    disk::{self, RENDERS_FOLDER, segment_of_file_name},
    recordings::entity::recordings,
    renders::{Render, Renders},
};

impl Check<'_> {
    /// Folders of recordings that have no row.
    pub(super) async fn orphan_recordings(&mut self) -> Result<(), CheckError> {
        let folder = self.inner.data.recordings();
        let listed = disk::blocking(move || disk::list_dir(&folder)).await?;
        for (name, path) in listed {
            let known = match name.parse::<RecordingId>() {
                Ok(id) => recordings::Entity::find_by_id(id.to_string())
                    .one(self.inner.database.read())
                    .await?
                    .is_some(),
                Err(_) => false,
            };
            // It may have been deleted since it was listed, folder first.
            let still_there = path.clone();
            if known || disk::blocking(move || still_there.symlink_metadata().is_err()).await {
                continue;
            }
            let attempt = self.move_to_lost_and_found(path, name.clone());
            let repair = self.repair("moved to lost+found", attempt).await;
            self.note(
                Invariant::KnownFiles,
                format!("recordings/{name}"),
                "belongs to no row",
                repair,
            );
        }
        Ok(())
    }

    /// Files in a recording's folder that belong to none of its rows.
    pub(super) async fn orphans_of(&mut self, id: RecordingId) -> Result<(), CheckError> {
        let dir = self.inner.data.recording(id);
        let renders_dir = self.inner.data.renders(id);
        let (listed, listed_renders) = disk::blocking(move || {
            let listed = disk::list_dir(&dir)?;
            Ok::<_, crate::DiskError>((listed, disk::list_dir(&renders_dir)?))
        })
        .await?;
        for (name, path) in listed {
            // A segment without a row gets one: the journal is the recording.
            let known = segment_of_file_name(&name).is_some() || name == RENDERS_FOLDER;
            if !known {
                self.orphan(id, name, path).await;
            }
        }
        if listed_renders.is_empty() {
            return Ok(());
        }
        // A claim that is about to publish has its files in place before their rows.
        let renders = Renders(self.inner).of_recording(id).await?;
        let publishing = |folder: &str| {
            let mut unfinished = renders.iter().filter(|render| !render.state.is_final());
            unfinished.any(|render| folder.starts_with(&render.id.to_string()))
        };
        let known: BTreeSet<_> = renders
            .iter()
            .flat_map(Render::stored_files)
            .map(|file| self.inner.data.recording(id).join(file.name))
            .collect();
        for (folder, path) in listed_renders {
            if publishing(&folder) {
                continue;
            }
            let is_known = known.iter().any(|file| file.parent() == Some(path.as_path()));
            if !is_known {
                self.orphan(id, format!("{RENDERS_FOLDER}/{folder}"), path).await;
                continue;
            }
            for (name, path) in disk::blocking(move || disk::list_dir(&path)).await? {
                if !known.contains(&path) {
                    self.orphan(id, format!("{RENDERS_FOLDER}/{folder}/{name}"), path).await;
                }
            }
        }
        Ok(())
    }

    async fn orphan(&mut self, id: RecordingId, name: String, path: std::path::PathBuf) {
        let aside = format!("{id}-{}", name.replace('/', "-"));
        let attempt = self.move_to_lost_and_found(path, aside);
        let repair = self.repair("moved to lost+found", attempt).await;
        self.note(
            Invariant::KnownFiles,
            format!("recordings/{id}/{name}"),
            "belongs to no row",
            repair,
        );
    }
}
