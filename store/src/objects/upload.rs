//! Getting a file into the object store, in parts that need not be sent twice.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path as FilePath,
    time::Duration,
};

use futures_util::TryStreamExt as _;
use object_store::{GetOptions, MultipartId, PutMultipartOptions, PutOptions, PutPayload, path::Path};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, sea_query::OnConflict,
};
use sha2::{Digest as _, Sha256};

use super::{
    ObjectError, Remote,
    backend::Resumable,
    entity::{ActiveModel, Column, Entity, Model},
};
use crate::{
    DatabaseError, Verify,
    database::column::{Row, from_count, from_time, to_json},
    disk::{self, DiskError},
    files::StoredFile,
    store::Inner,
};

/// An upload that was begun longer ago is begun anew: stores forget them, and not all of them say so.
const MAX_AGE: Duration = Duration::from_hours(24);

/// Uploads a file's bytes; whether they arrived is for [`verify`] to say.
pub(super) async fn upload(inner: &Inner, remote: &Remote, file: &StoredFile) -> Result<(), ObjectError> {
    let key = file.key();
    let path = remote.backend.path(&key);
    let local = file.path(&inner.data);
    remote.backend.sweep(&key).await?;
    match remote.backend.resumable() {
        _ if file.bytes <= remote.config.part_bytes => {
            let bytes = read_part(&local, 0, file.bytes).await?;
            let payload = PutPayload::from(bytes);
            let options = PutOptions::default();
            remote.backend.store().put_opts(&path, payload, options).await?;
            Ok(())
        }
        None => upload_at_once(remote, file, &local, &path).await,
        Some(resumable) => {
            let parts = Parts {
                inner,
                resumable,
                file,
                local: &local,
                path: &path,
                key: &key,
            };
            match parts.upload(remote.config.part_bytes).await {
                // The store forgot the upload that was begun: once more, from the start.
                Err(ObjectError::Store(object_store::Error::NotFound { .. })) => {
                    forget(inner, Column::ObjectKey.eq(key.as_str()).into()).await?;
                    parts.upload(remote.config.part_bytes).await
                }
                result => result,
            }
        }
    }
}

/// For stores that cannot go on with an upload: a folder on this machine.
async fn upload_at_once(remote: &Remote, file: &StoredFile, local: &FilePath, path: &Path) -> Result<(), ObjectError> {
    let options = PutMultipartOptions::default();
    let mut upload = remote.backend.store().put_multipart_opts(path, options).await?;
    let part_bytes = remote.config.part_bytes;
    let mut at = 0;
    while at < file.bytes {
        let part = read_part(local, at, part_bytes.min(file.bytes - at)).await?;
        at += part.len() as u64;
        if let Err(error) = upload.put_part(part.into()).await {
            upload.abort().await?;
            return Err(error.into());
        }
    }
    upload.complete().await?;
    Ok(())
}

/// An upload in parts, each noted in a row once the store has it.
struct Parts<'a> {
    inner: &'a Inner,
    resumable: Resumable<'a>,
    file: &'a StoredFile,
    local: &'a FilePath,
    path: &'a Path,
    key: &'a str,
}

impl Parts<'_> {
    async fn upload(&self, part_bytes: u64) -> Result<(), ObjectError> {
        let (upload, part_bytes, mut parts) = match self.begun().await? {
            Some(begun) => begun,
            None => (self.begin(part_bytes).await?, part_bytes, Vec::new()),
        };
        loop {
            let at = part_bytes * parts.len() as u64;
            if at >= self.file.bytes {
                break;
            }
            let bytes = read_part(self.local, at, part_bytes.min(self.file.bytes - at)).await?;
            parts.push(self.resumable.put(self.path, &upload, parts.len(), bytes).await?);
            self.note(&parts).await?;
        }
        self.resumable.complete(self.path, &upload, parts).await?;
        forget(self.inner, Column::ObjectKey.eq(self.key).into()).await?;
        Ok(())
    }

    async fn begun(&self) -> Result<Option<(MultipartId, u64, Vec<String>)>, ObjectError> {
        let model = Entity::find_by_id(self.key).one(self.inner.database.read()).await?;
        let Some(model) = model else { return Ok(None) };
        let row = Row::new("uploads", &model.object_key);
        let age = self
            .inner
            .now()
            .saturating_since(row.time("started_ns", model.started_ns)?);
        if age > MAX_AGE {
            self.resumable.abort(self.path, &model.upload_id).await?;
            return Ok(None);
        }
        let part_bytes = row.count("part_bytes", model.part_bytes)?;
        let parts = row.json("parts", &model.parts)?;
        Ok((part_bytes > 0).then_some((model.upload_id, part_bytes, parts)))
    }

    async fn begin(&self, part_bytes: u64) -> Result<MultipartId, ObjectError> {
        let upload = self.resumable.begin(self.path).await?;
        let model = ActiveModel {
            object_key: Set(self.key.to_owned()),
            recording_id: Set(self.file.recording.to_string()),
            upload_id: Set(upload.clone()),
            part_bytes: Set(from_count(part_bytes)),
            parts: Set("[]".to_owned()),
            started_ns: Set(from_time(self.inner.now())),
        };
        let replace = OnConflict::column(Column::ObjectKey)
            .update_columns([Column::UploadId, Column::PartBytes, Column::Parts, Column::StartedNs])
            .to_owned();
        Entity::insert(model)
            .on_conflict(replace)
            .exec_without_returning(self.inner.database.write())
            .await?;
        Ok(upload)
    }

    async fn note(&self, parts: &[String]) -> Result<(), ObjectError> {
        let update = ActiveModel {
            parts: Set(to_json(&parts)),
            ..Default::default()
        };
        Entity::update_many()
            .set(update)
            .filter(Column::ObjectKey.eq(self.key))
            .exec(self.inner.database.write())
            .await?;
        Ok(())
    }
}

async fn forget(inner: &Inner, which: Condition) -> Result<(), DatabaseError> {
    Entity::delete_many().filter(which).exec(inner.database.write()).await?;
    Ok(())
}

/// Takes back uploads that were begun and not ended, so that the store does not keep (and charge for) their parts.
pub(super) async fn abort(inner: &Inner, remote: &Remote, which: Condition) -> Result<(), ObjectError> {
    let begun: Vec<Model> = Entity::find().filter(which.clone()).all(inner.database.read()).await?;
    if let Some(resumable) = remote.backend.resumable() {
        for model in begun {
            let path = remote.backend.path(&model.object_key);
            resumable.abort(&path, &model.upload_id).await?;
        }
    }
    forget(inner, which).await?;
    Ok(())
}

/// Whether the object is what the row says. If it is not, it is removed, and the upload is to be repeated.
pub(super) async fn verify(inner: &Inner, remote: &Remote, file: &StoredFile) -> Result<(), ObjectError> {
    let path = remote.backend.path(&file.key());
    let same = match remote.config.verify {
        Verify::Size => {
            let head = GetOptions {
                head: true,
                ..GetOptions::default()
            };
            remote.backend.store().get_opts(&path, head).await?.meta.size == file.bytes
        }
        Verify::Contents => {
            let found = remote.backend.store().get_opts(&path, GetOptions::default()).await?;
            let mut bytes = found.into_stream();
            let (mut len, mut hash) = (0, Sha256::new());
            while let Some(part) = bytes.try_next().await? {
                len += part.len() as u64;
                hash.update(&part);
            }
            len == file.bytes && disk::hex(&hash.finalize()) == file.sha256
        }
    };
    if same {
        return Ok(());
    }
    super::remove(inner, file).await?;
    Err(ObjectError::Mismatch(path.to_string()))
}

/// So many bytes of a local file, exactly.
async fn read_part(path: &FilePath, at: u64, len: u64) -> Result<Vec<u8>, ObjectError> {
    let path = path.to_owned();
    disk::blocking(move || {
        let reading = |source| ObjectError::Disk(DiskError::during("read", &path)(source));
        let mut file = File::open(&path).map_err(reading)?;
        file.seek(SeekFrom::Start(at)).map_err(reading)?;
        let mut bytes = Vec::new();
        file.take(len).read_to_end(&mut bytes).map_err(reading)?;
        if bytes.len() as u64 == len {
            Ok(bytes)
        } else {
            Err(ObjectError::LocalChanged(path.display().to_string()))
        }
    })
    .await
}
