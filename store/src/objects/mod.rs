//! Finished files in an object store, beside the data directory or instead of it.
//!
//! What has to be uploaded follows from the rows, so no trigger can be lost: a sealed segment or ready render that is on
//! the disk and not uploaded. An upload counts once the object was found to be what the row says; only then may the
//! local copy go.

mod backend;
pub(crate) mod entity;
mod upload;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, ops::Range};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use greffier_media::ids::RecordingId;
use object_store::{GetOptions, GetRange, path::Path};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    QueryTrait as _, sea_query::Expr,
};

pub(crate) use self::backend::Backend;
use crate::{
    ConfigError, DatabaseError, DiskError, ErrorKind, ObjectsConfig,
    claims::Claims,
    database::column::from_time,
    disk,
    files::{FilePart, StoredFile},
    recordings::{
        Segment,
        entity::{recordings, segments},
    },
    renders::{self, entity::files as render_files},
    store::Inner,
};

/// The object store, if one is configured, and what of it is being done.
pub(crate) struct Remote {
    backend: Backend,
    config: ObjectsConfig,
    uploading: Claims<String>,
}

impl Remote {
    pub(crate) fn new(backend: Backend, config: ObjectsConfig) -> Self {
        Self {
            backend,
            config,
            uploading: Claims::default(),
        }
    }
}

/// Uploads and local copies.
#[derive(Clone, Copy)]
pub struct Objects<'a>(pub(crate) &'a Inner);

impl Objects<'_> {
    pub fn is_configured(&self) -> bool {
        self.0.remote.is_some()
    }

    /// Up to `limit` finished files of this data directory that are still to be uploaded, the oldest recordings first;
    /// none, if no object store is configured.
    pub async fn pending(&self, limit: u64) -> Result<Vec<StoredFile>, ObjectError> {
        if !self.is_configured() {
            return Ok(Vec::new());
        }
        let segments = Condition::all()
            .add(segments::Column::Sealed.eq(true))
            .add(segments::Column::OnDisk.eq(true))
            .add(segments::Column::UploadedNs.is_null());
        let renders = Condition::all()
            .add(render_files::Column::OnDisk.eq(true))
            .add(render_files::Column::UploadedNs.is_null());
        self.files(segments, renders, Condition::all(), limit).await
    }

    /// Uploads a file and verifies it. What was uploaded before is not again; an interrupted upload is gone on with,
    /// where the store allows it.
    pub async fn upload(&self, file: &StoredFile) -> Result<(), ObjectError> {
        let remote = self.0.remote.as_ref().ok_or(ObjectError::NotConfigured)?;
        let key = file.key();
        let Some(_claim) = remote.uploading.claim(key.clone()) else {
            return Err(ObjectError::InProgress(key));
        };
        upload::upload(self.0, remote, file).await?;
        upload::verify(self.0, remote, file).await?;
        self.mark_uploaded(file).await
    }

    pub(crate) async fn mark_uploaded(&self, file: &StoredFile) -> Result<(), ObjectError> {
        let marked = self.set_uploaded(file, Some(from_time(self.0.now()))).await?;
        if marked == 0 {
            // It was deleted meanwhile, and its objects before this one was there.
            remove(self.0, file).await?;
        }
        Ok(())
    }

    async fn set_uploaded(&self, file: &StoredFile, uploaded_ns: Option<i64>) -> Result<u64, DatabaseError> {
        let connection = self.0.database.write();
        let set = match &file.part {
            FilePart::Segment(index) => {
                segments::Entity::update_many()
                    .col_expr(segments::Column::UploadedNs, Expr::value(uploaded_ns))
                    .filter(segments::Column::RecordingId.eq(file.recording.to_string()))
                    .filter(segments::Column::Idx.eq(i64::from(index.0)))
                    .exec(connection)
                    .await?
            }
            FilePart::Render(render, name) => {
                render_files::Entity::update_many()
                    .col_expr(render_files::Column::UploadedNs, Expr::value(uploaded_ns))
                    .filter(render_files::Column::RenderId.eq(render.to_string()))
                    .filter(render_files::Column::Name.eq(name.as_str()))
                    .exec(connection)
                    .await?
            }
        };
        Ok(set.rows_affected)
    }

    /// The object is not there after all: what is in the data directory is the file.
    pub(crate) async fn count_local_copy(&self, file: &StoredFile) -> Result<(), ObjectError> {
        self.set_on_disk(file, true).await?;
        self.set_uploaded(file, None).await?;
        Ok(())
    }

    /// Removes local copies that the configuration does not want any more: of files that were uploaded, of recordings
    /// that ended long enough ago. Answers which.
    pub async fn remove_local_copies(&self) -> Result<Vec<StoredFile>, ObjectError> {
        let keep = self.0.remote.as_ref().and_then(|remote| remote.config.local_copy);
        let Some(keep) = keep else {
            return Ok(Vec::new());
        };
        let before = from_time(self.0.now().saturating_sub(keep));
        let segments = Condition::all()
            .add(segments::Column::OnDisk.eq(true))
            .add(segments::Column::UploadedNs.lte(before));
        let renders = Condition::all()
            .add(render_files::Column::OnDisk.eq(true))
            .add(render_files::Column::UploadedNs.lte(before));
        let ended = Condition::all().add(recordings::Column::EndedNs.lte(before));
        let files = self.files(segments, renders, ended, u64::MAX).await?;
        for file in &files {
            self.forget_local_copy(file).await?;
            self.remove_local_copy(file).await?;
        }
        Ok(files)
    }

    /// Step 1: nobody looks for it there any more.
    pub(crate) async fn forget_local_copy(&self, file: &StoredFile) -> Result<(), ObjectError> {
        self.set_on_disk(file, false).await?;
        Ok(())
    }

    /// Only what was uploaded may say that it is not in the data directory.
    async fn set_on_disk(&self, file: &StoredFile, on_disk: bool) -> Result<(), DatabaseError> {
        let connection = self.0.database.write();
        match &file.part {
            FilePart::Segment(index) => {
                segments::Entity::update_many()
                    .col_expr(segments::Column::OnDisk, Expr::value(on_disk))
                    .filter(segments::Column::RecordingId.eq(file.recording.to_string()))
                    .filter(segments::Column::Idx.eq(i64::from(index.0)))
                    .filter(segments::Column::UploadedNs.is_not_null())
                    .exec(connection)
                    .await?;
            }
            FilePart::Render(render, name) => {
                render_files::Entity::update_many()
                    .col_expr(render_files::Column::OnDisk, Expr::value(on_disk))
                    .filter(render_files::Column::RenderId.eq(render.to_string()))
                    .filter(render_files::Column::Name.eq(name.as_str()))
                    .filter(render_files::Column::UploadedNs.is_not_null())
                    .exec(connection)
                    .await?;
            }
        }
        Ok(())
    }

    /// Step 2.
    pub(crate) async fn remove_local_copy(&self, file: &StoredFile) -> Result<(), ObjectError> {
        let path = file.path(&self.0.data);
        Ok(disk::blocking(move || disk::remove_file(&path)).await?)
    }

    /// Files of this data directory's recordings that are not being deleted.
    async fn files(
        &self,
        which_segments: Condition,
        which_renders: Condition,
        which_recordings: Condition,
        limit: u64,
    ) -> Result<Vec<StoredFile>, ObjectError> {
        let connection = self.0.database.read();
        let ours = recordings::Entity::find()
            .select_only()
            .column(recordings::Column::Id)
            .filter(recordings::Column::Node.eq(self.0.node.to_string()))
            .filter(recordings::Column::DeletingNs.is_null())
            .filter(which_recordings)
            .into_query();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX).cast_unsigned();
        let segments = segments::Entity::find()
            .filter(which_segments)
            .filter(segments::Column::RecordingId.in_subquery(ours.clone()))
            .order_by_asc(segments::Column::RecordingId)
            .order_by_asc(segments::Column::Idx)
            .limit(limit)
            .all(connection)
            .await?;
        let wanted = renders::entity::Entity::find()
            .select_only()
            .column(renders::entity::Column::Id)
            .filter(renders::entity::Column::DeletingNs.is_null())
            .filter(renders::entity::Column::RecordingId.in_subquery(ours))
            .into_query();
        let renders = render_files::Entity::find()
            .filter(which_renders)
            .filter(render_files::Column::RenderId.in_subquery(wanted))
            .order_by_asc(render_files::Column::RenderId)
            .order_by_asc(render_files::Column::Position)
            .limit(limit)
            .all(connection)
            .await?;
        let mut files = Vec::new();
        for model in segments {
            let recording = crate::database::column::Row::new("segments", &model.recording_id)
                .parse("recording_id", &model.recording_id)?;
            files.extend(StoredFile::of_segment(recording, &Segment::from_model(model)?));
        }
        for model in renders {
            files.push(renders::results::stored_file(model)?);
        }
        files.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(files)
    }
}

/// What the object store has of a recording: lengths in bytes, by key.
pub(crate) async fn list_recording(
    inner: &Inner,
    recording: RecordingId,
) -> Result<BTreeMap<String, u64>, ObjectError> {
    let remote = inner.remote.as_ref().ok_or(ObjectError::NotConfigured)?;
    let prefix = remote.backend.path(&format!("recordings/{recording}"));
    let objects = remote.backend.store().list(Some(&prefix)).map_err(ObjectError::from);
    objects
        .map_ok(|object| (remote.backend.key(&object.location), object.size))
        .try_collect()
        .await
}

/// Takes back an upload that was begun and not ended.
pub(crate) async fn abort_upload(inner: &Inner, key: &str) -> Result<(), ObjectError> {
    let remote = inner.remote.as_ref().ok_or(ObjectError::NotConfigured)?;
    upload::abort(inner, remote, entity::Column::ObjectKey.eq(key).into()).await
}

/// Reads a part of an object.
pub(crate) async fn read(
    inner: &Inner,
    file: &StoredFile,
    range: Range<u64>,
) -> Result<BoxStream<'static, Result<Bytes, ObjectError>>, ObjectError> {
    let remote = inner.remote.as_ref().ok_or(ObjectError::NotConfigured)?;
    let path = remote.backend.path(&file.key());
    let options = GetOptions {
        range: Some(GetRange::Bounded(range)),
        ..GetOptions::default()
    };
    let found = remote.backend.store().get_opts(&path, options).await?;
    if found.meta.size != file.bytes {
        return Err(ObjectError::Mismatch(path.to_string()));
    }
    Ok(found.into_stream().map_err(ObjectError::from).boxed())
}

/// Removes one file's object, and what there is of an unfinished upload. What is gone already is fine.
pub(crate) async fn remove(inner: &Inner, file: &StoredFile) -> Result<(), ObjectError> {
    let Some(remote) = &inner.remote else {
        return not_left_behind(file.uploaded.is_some());
    };
    let key = file.key();
    let unfinished = entity::Column::ObjectKey.eq(key.as_str());
    upload::abort(inner, remote, unfinished.into()).await?;
    remove_objects(remote, vec![remote.backend.path(&key)]).await
}

/// Removes all objects of a recording, and what there is of unfinished uploads. What is gone already is fine.
pub(crate) async fn remove_recording(inner: &Inner, recording: RecordingId) -> Result<(), ObjectError> {
    let Some(remote) = &inner.remote else {
        let files = crate::files::Files(inner);
        return not_left_behind(files.any_uploaded(recording).await?);
    };
    let unfinished = entity::Column::RecordingId.eq(recording.to_string());
    upload::abort(inner, remote, unfinished.into()).await?;
    let prefix = remote.backend.path(&format!("recordings/{recording}"));
    let objects: Vec<_> = remote
        .backend
        .store()
        .list(Some(&prefix))
        .map_ok(|object| object.location)
        .try_collect()
        .await?;
    remove_objects(remote, objects).await
}

/// Without a configuration nothing can be removed; so whoever takes the object store out of it keeps the rows that say
/// what is there.
fn not_left_behind(uploaded: bool) -> Result<(), ObjectError> {
    if uploaded {
        Err(ObjectError::NotConfigured)
    } else {
        Ok(())
    }
}

async fn remove_objects(remote: &Remote, objects: Vec<Path>) -> Result<(), ObjectError> {
    let objects = futures_util::stream::iter(objects.into_iter().map(Ok)).boxed();
    let mut removed = remote.backend.store().delete_stream(objects);
    while let Some(result) = removed.next().await {
        match result {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Why the object store did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    #[error("no object store is configured")]
    NotConfigured,
    #[error("an object store's URL must be `s3://`, `gs://`, `az://` or `file:///`")]
    Url,
    #[error("the object store's configuration is wrong")]
    Config(#[from] ConfigError),
    #[error("`{0}` is being uploaded already")]
    InProgress(String),
    /// The upload does not count, and is repeated.
    #[error("what the object store has as `{0}` is not what was uploaded")]
    Mismatch(String),
    #[error("the local file `{0}` changed while it was uploaded")]
    LocalChanged(String),
    #[error("the object store failed")]
    Store(#[source] object_store::Error),
    #[error(transparent)]
    Disk(DiskError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl From<object_store::Error> for ObjectError {
    fn from(error: object_store::Error) -> Self {
        Self::Store(error)
    }
}

impl ObjectError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotConfigured | Self::InProgress(_) => ErrorKind::Conflict,
            Self::Url => ErrorKind::Invalid,
            Self::Config(error) => error.kind(),
            Self::Mismatch(_) | Self::LocalChanged(_) => ErrorKind::DataLoss,
            Self::Store(error) => match error {
                object_store::Error::NotFound { .. } => ErrorKind::DataLoss,
                object_store::Error::NotSupported { .. } | object_store::Error::NotImplemented { .. } => {
                    ErrorKind::Unsupported
                }
                object_store::Error::InvalidPath { .. }
                | object_store::Error::PermissionDenied { .. }
                | object_store::Error::UnknownConfigurationKey { .. }
                | object_store::Error::Unauthenticated { .. } => ErrorKind::Invalid,
                // The network, and what a server says when it is busy.
                _ => ErrorKind::Unavailable,
            },
            Self::Disk(error) => error.kind(),
            Self::Database(error) => error.kind(),
        }
    }
}
