//! Whether a finished file is where its row says, and what it was: the same for segments and renders.

use std::collections::BTreeMap;

use greffier_media::ids::RecordingId;

use super::{Check, CheckError, Invariant, Repair};
use crate::{
    ObjectError,
    disk::{self, DiskError},
    files::StoredFile,
    objects::{self, Objects},
};

/// What the object store has of one recording: lengths in bytes, by key.
pub(super) enum Remote {
    /// None is configured.
    None,
    Unreachable(ObjectError),
    Objects(BTreeMap<String, u64>),
}

impl Remote {
    fn has(&self, file: &StoredFile) -> bool {
        matches!(self, Self::Objects(objects) if objects.get(&file.key()) == Some(&file.bytes))
    }
}

/// How the local copy is.
enum Local {
    Sound,
    Missing,
    Wrong(String),
}

impl Check<'_> {
    /// Asked once per recording, and only if some file of it is said to be there.
    pub(super) async fn remote(&self, id: RecordingId, files: &[StoredFile]) -> Remote {
        if files.iter().all(|file| file.uploaded.is_none()) {
            return Remote::Objects(BTreeMap::new());
        }
        match objects::list_recording(self.inner, id).await {
            Ok(objects) => Remote::Objects(objects),
            Err(ObjectError::NotConfigured) => Remote::None,
            Err(error) => Remote::Unreachable(error),
        }
    }

    /// Answers whether the local copy can be read on.
    pub(super) async fn stored_file(
        &mut self,
        invariant: Invariant,
        file: &StoredFile,
        remote: &Remote,
    ) -> Result<bool, CheckError> {
        let subject = format!("recordings/{}/{}", file.recording, file.name);
        let remote_ok = file.uploaded.is_some() && remote.has(file);
        let local = self.local_copy(file, remote_ok).await?;
        if file.uploaded.is_some() && !remote_ok {
            let (problem, repair) = match remote {
                Remote::None => (
                    "is said to be in an object store, and none is configured".to_owned(),
                    Repair::Impossible("configure the object store again".into()),
                ),
                Remote::Unreachable(error) => (
                    format!("cannot be looked for in the object store: {error}"),
                    Repair::Impossible("check again when it answers".into()),
                ),
                Remote::Objects(_) if matches!(local, Local::Sound) => {
                    let objects = Objects(self.inner);
                    let attempt = objects.count_local_copy(file);
                    let repair = self.repair("it will be uploaded again", attempt).await;
                    self.note(
                        invariant,
                        &subject,
                        "is not in the object store as it should be",
                        repair,
                    );
                    return Ok(true);
                }
                Remote::Objects(_) => (
                    "is not in the object store as it should be".to_owned(),
                    Repair::Impossible("restore it from a backup".into()),
                ),
            };
            self.note(invariant, &subject, problem, repair);
        }
        match (local, file.on_disk) {
            (Local::Sound, true) => return Ok(true),
            (Local::Missing, false) => {}
            // A crash between saying that the copy is gone and removing it.
            (Local::Sound | Local::Wrong(_), false) => {
                let repair = if remote_ok {
                    self.repair(
                        "removed: the object store has it",
                        Objects(self.inner).remove_local_copy(file),
                    )
                    .await
                } else {
                    Repair::Impossible("it may be the only copy left".into())
                };
                self.note(
                    invariant,
                    &subject,
                    "should not be in the data directory any more",
                    repair,
                );
            }
            (Local::Missing, true) => {
                let repair = self.fall_back(file, remote_ok, false).await;
                self.note(invariant, &subject, "is missing", repair);
            }
            (Local::Wrong(problem), true) => {
                let repair = self.fall_back(file, remote_ok, true).await;
                self.note(invariant, &subject, problem, repair);
            }
        }
        Ok(false)
    }

    async fn local_copy(&mut self, file: &StoredFile, remote_ok: bool) -> Result<Local, CheckError> {
        let path = file.path(&self.inner.data);
        let looked_at = path.clone();
        let Some(len) = disk::blocking(move || disk::file_len(&looked_at)).await? else {
            return Ok(Local::Missing);
        };
        if len != file.bytes {
            return Ok(Local::Wrong(format!("has {len} bytes instead of {}", file.bytes)));
        }
        if self.options.contents && (file.on_disk || !remote_ok) {
            let (_, sha256) = disk::blocking(move || disk::sha256_of(&path)).await?;
            self.report.bytes_read += len;
            if sha256 != file.sha256 {
                return Ok(Local::Wrong("does not have the SHA-256 it had".into()));
            }
        }
        Ok(Local::Sound)
    }

    /// Without a sound local copy, the object is the file.
    async fn fall_back(&self, file: &StoredFile, remote_ok: bool, move_aside: bool) -> Repair {
        if !remote_ok {
            return Repair::Impossible("restore it from a backup".into());
        }
        let attempt = async {
            Objects(self.inner).forget_local_copy(file).await?;
            if move_aside {
                let (path, lost_and_found) = (file.path(&self.inner.data), self.inner.data.lost_and_found());
                let name = format!("{}-{}", file.recording, file.name.replace('/', "-"));
                disk::blocking(move || disk::move_aside(&path, &lost_and_found, &name)).await?;
            }
            Ok::<_, ObjectError>(())
        };
        self.repair("it is read from the object store from now on", attempt)
            .await
    }

    pub(super) async fn move_to_lost_and_found(&self, path: std::path::PathBuf, name: String) -> Result<(), DiskError> {
        let lost_and_found = self.inner.data.lost_and_found();
        disk::blocking(move || disk::move_aside(&path, &lost_and_found, &name)).await?;
        Ok(())
    }
}
