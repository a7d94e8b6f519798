//! A recording's finished files: sealed segments and ready renders, wherever they are.

use std::{io, ops::Range, path::PathBuf};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use greffier_media::{
    ids::{RecordingId, RenderId, SegmentIndex},
    time::Arrival,
};
use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use crate::{
    DataDir, DatabaseError, DiskError, ErrorKind, ObjectError, RecordingError, RenderError, disk, objects,
    recordings::{Segment, all_segments, entity::segments},
    renders::entity::files as render_files,
    store::Inner,
};

/// [MCAP's media type](https://mcap.dev) is not registered.
const SEGMENT_MEDIA_TYPE: &str = "application/x-mcap";

/// How much of a local file is read at a time, in bytes.
const READ_BYTES: usize = 128 * 1024;

/// Which part of a recording a file is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FilePart {
    Segment(SegmentIndex),
    /// One of a render's files, by its name.
    Render(RenderId, String),
}

/// A finished file. Its bytes never change, so its SHA-256 is a strong validator (`ETag`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    pub recording: RecordingId,
    pub part: FilePart,
    /// Below the recording's folder: `journal-00000.mcap`, `renders/rnd_…-1/alice.webm`.
    pub name: String,
    /// The same in the object store, where not every name is possible.
    pub(crate) object: String,
    pub media_type: String,
    pub bytes: u64,
    /// In lower-case hexadecimal.
    pub sha256: String,
    pub on_disk: bool,
    /// Since when the object store has it.
    pub uploaded: Option<Arrival>,
}

impl StoredFile {
    /// A sealed segment's.
    pub(crate) fn of_segment(recording: RecordingId, segment: &Segment) -> Option<Self> {
        Some(Self {
            recording,
            part: FilePart::Segment(segment.index),
            name: disk::segment_file_name(segment.index),
            object: disk::segment_file_name(segment.index),
            media_type: SEGMENT_MEDIA_TYPE.to_owned(),
            bytes: segment.bytes,
            sha256: segment.sha256.clone().filter(|_| segment.sealed)?,
            on_disk: segment.on_disk,
            uploaded: segment.uploaded,
        })
    }

    /// Where it is in the data directory, if it is there.
    pub fn path(&self, data: &DataDir) -> PathBuf {
        data.recording(self.recording).join(&self.name)
    }

    /// Where it is in the object store, below the configured prefix.
    pub(crate) fn key(&self) -> String {
        format!("recordings/{}/{}", self.recording, self.object)
    }
}

/// Bytes of a file, as they are read.
pub type FileStream = BoxStream<'static, Result<Bytes, FileError>>;

/// Finished files.
#[derive(Clone, Copy)]
pub struct Files<'a>(pub(crate) &'a Inner);

impl Files<'_> {
    /// A recording's finished files: its segments in order, then its renders.
    pub async fn list(&self, recording: RecordingId) -> Result<Vec<StoredFile>, FileError> {
        let recordings = crate::recordings::Recordings(self.0);
        recordings.get(recording).await?;
        let segments = all_segments(self.0.database.read(), recording).await?;
        let mut files: Vec<_> = segments
            .iter()
            .filter_map(|segment| StoredFile::of_segment(recording, segment))
            .collect();
        let renders = crate::renders::Renders(self.0).list(recording).await?;
        files.extend(renders.iter().flat_map(crate::renders::Render::stored_files));
        Ok(files)
    }

    /// One finished file.
    pub async fn get(&self, recording: RecordingId, part: FilePart) -> Result<StoredFile, FileError> {
        let files = self.list(recording).await?;
        let found = files.into_iter().find(|file| file.part == part);
        found.ok_or(FileError::NotFound(recording, part))
    }

    /// Whether the object store has anything of a recording, which may be being deleted.
    pub(crate) async fn any_uploaded(&self, recording: RecordingId) -> Result<bool, DatabaseError> {
        let connection = self.0.database.read();
        let segments = segments::Entity::find()
            .filter(segments::Column::RecordingId.eq(recording.to_string()))
            .filter(segments::Column::UploadedNs.is_not_null())
            .count(connection)
            .await?;
        let renders = render_files::Entity::find()
            .filter(render_files::Column::RecordingId.eq(recording.to_string()))
            .filter(render_files::Column::UploadedNs.is_not_null())
            .count(connection)
            .await?;
        Ok(segments + renders > 0)
    }

    /// Reads `range` of a file, from wherever it is; the end is exclusive. Nothing is read before the stream is polled
    /// but what tells that it can be.
    pub async fn open(&self, file: &StoredFile, range: Range<u64>) -> Result<FileStream, FileError> {
        if range.start > range.end || range.end > file.bytes {
            return Err(FileError::Range {
                range,
                bytes: file.bytes,
            });
        }
        if range.is_empty() {
            return Ok(futures_util::stream::empty().boxed());
        }
        match self.open_local(file, range.clone()).await {
            Ok(stream) => Ok(stream),
            // The local copy may have been removed since the row was read, or be lost.
            Err(error) if file.uploaded.is_some() && is_missing(&error) => {
                let stream = objects::read(self.0, file, range).await?;
                Ok(stream.map_err(FileError::from).boxed())
            }
            Err(error) => Err(error),
        }
    }

    async fn open_local(&self, file: &StoredFile, range: Range<u64>) -> Result<FileStream, FileError> {
        let path = file.path(&self.0.data);
        let mut local = tokio::fs::File::open(&path)
            .await
            .map_err(DiskError::during("open", &path))?;
        let metadata = local.metadata().await.map_err(DiskError::during("look at", &path))?;
        if metadata.len() != file.bytes {
            return Err(FileError::Damaged(file.name.clone()));
        }
        local
            .seek(io::SeekFrom::Start(range.start))
            .await
            .map_err(DiskError::during("read", &path))?;
        let part = local.take(range.end - range.start);
        let stream = ReaderStream::with_capacity(part, READ_BYTES)
            .map_err(move |error| FileError::Disk(DiskError::during("read", &path)(error)));
        Ok(stream.boxed())
    }
}

fn is_missing(error: &FileError) -> bool {
    matches!(error, FileError::Disk(error) if error.source.kind() == io::ErrorKind::NotFound)
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    #[error("{0} has no finished file {1:?}")]
    NotFound(RecordingId, FilePart),
    #[error("the file has {bytes} bytes: {range:?} is not a part of it")]
    Range { range: Range<u64>, bytes: u64 },
    #[error("{0} is not as long as it was")]
    Damaged(String),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl FileError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(..) => ErrorKind::NotFound,
            Self::Range { .. } => ErrorKind::Invalid,
            Self::Damaged(_) => ErrorKind::DataLoss,
            Self::Disk(error) => error.kind(),
            Self::Object(error) => error.kind(),
            Self::Recording(error) => error.kind(),
            Self::Render(error) => error.kind(),
            Self::Database(error) => error.kind(),
        }
    }
}
