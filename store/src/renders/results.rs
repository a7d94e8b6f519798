//! What a render came to: files that count once all of them are in place and on the disk.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use greffier_media::{
    ids::{RecordingId, RenderId},
    lifecycle::RenderStep,
    time::Arrival,
};
use sea_orm::{ActiveValue::Set, EntityTrait as _};
use serde_json::Value;

use super::{RenderClaim, RenderError, Renders, end, entity::files, find};
use crate::{
    DatabaseError, DiskError,
    database::column::{Row, from_count, storable, to_json},
    disk::{self, RENDERS_FOLDER},
    files::{FilePart, StoredFile},
    jobs,
    webhooks::NewDelivery,
};

/// How long a file's name may be, in bytes: file systems allow 255, and others put something before it.
const MAX_NAME: usize = 200;

/// A file that a render has made.
#[derive(Debug, Clone)]
pub struct RenderResult {
    /// Anywhere in the claim's work folder. Its last part is the name people will see: at most 200 bytes of UTF-8
    /// without slashes, backslashes and control characters.
    pub path: PathBuf,
    /// `video/webm`
    pub media_type: String,
    /// What was found in it, as the prober has it.
    pub probe: Value,
}

/// One file of a ready render.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderFile {
    /// No other file of the render has the same.
    pub name: String,
    /// `video/webm`
    pub media_type: String,
    pub bytes: u64,
    /// In lower-case hexadecimal.
    pub sha256: String,
    /// What was found in it, as the prober has it.
    pub probe: Value,
    pub on_disk: bool,
    pub uploaded: Option<Arrival>,
    /// Which attempt made it, and so which folder has it.
    pub(crate) attempt: u32,
    /// Among its render's files.
    position: i64,
}

/// A file in its place, and not in its row yet.
struct Placed {
    name: String,
    bytes: u64,
    sha256: String,
}

impl Renders<'_> {
    /// Publishes what a render came to, at least one file: they are synced and moved to their place, then the render is
    /// ready. A claim that was lost publishes nothing.
    pub async fn publish(
        &self,
        claim: &RenderClaim,
        results: &[RenderResult],
        tell: impl FnOnce(&super::Render) -> Vec<NewDelivery> + Send,
    ) -> Result<super::Render, RenderError> {
        let moves = named(results)?;
        find(self.0.database.read(), claim.render.id).await?;
        let folder = self.0.data.renders(claim.render.recording);
        // Each attempt has a folder of its own: one that comes back late cannot replace another's results.
        let place = folder.join(folder_name(claim.render.id, claim.attempt));
        let to = place.clone();
        let published = match disk::blocking(move || move_into_place(moves, &folder, &to)).await {
            Ok(placed) => self.finish(claim, results, placed, tell).await,
            Err(error) => Err(error.into()),
        };
        if published.is_err() {
            let removed = disk::blocking(move || disk::remove_dir_all(&place)).await;
            if let Err(error) = removed {
                tracing::warn!(render = %claim.render.id, %error, "unpublished results stay until the next check");
            }
        }
        self.empty_work(claim).await;
        published
    }

    async fn finish(
        &self,
        claim: &RenderClaim,
        results: &[RenderResult],
        placed: Vec<Placed>,
        tell: impl FnOnce(&super::Render) -> Vec<NewDelivery> + Send,
    ) -> Result<super::Render, RenderError> {
        let now = self.0.now();
        let transaction = self.0.database.begin().await?;
        jobs::complete(&transaction, &claim.lease, now).await?;
        let model = find(&transaction, claim.render.id).await?;
        let state = super::state_of(&model)?.advance(RenderStep::Finish)?;
        let rows = (0..)
            .zip(results.iter().zip(placed))
            .map(|(position, (result, placed))| files::ActiveModel {
                render_id: Set(model.id.clone()),
                name: Set(placed.name),
                recording_id: Set(model.recording_id.clone()),
                position: Set(position),
                attempt: Set(i64::from(claim.attempt)),
                media_type: Set(storable(&result.media_type)),
                bytes: Set(from_count(placed.bytes)),
                sha256: Set(placed.sha256),
                probe: Set(to_json(&result.probe)),
                on_disk: Set(true),
                uploaded_ns: Set(None),
            });
        files::Entity::insert_many(rows)
            .exec_without_returning(&transaction)
            .await?;
        let mut model: super::ActiveModel = model.into();
        model.progress = Set(1.0);
        end(transaction, model, state, None, now, tell).await
    }
}

/// What goes where. At least one, each under a name of its own.
fn named(results: &[RenderResult]) -> Result<Vec<(PathBuf, String)>, RenderError> {
    if results.is_empty() {
        return Err(RenderError::NoFiles);
    }
    let mut names = BTreeSet::new();
    results
        .iter()
        .map(|result| {
            let name = result.path.file_name().map(|name| name.to_string_lossy().into_owned());
            let name = name.unwrap_or_default();
            let fits = !name.is_empty()
                && name.len() <= MAX_NAME
                && result.path.file_name().is_some_and(|own| own == name.as_str())
                && !name.contains(['/', '\\'])
                && !name.contains(char::is_control);
            if fits && names.insert(name.clone()) {
                Ok((result.path.clone(), name))
            } else {
                Err(RenderError::Name(name))
            }
        })
        .collect()
}

fn move_into_place(moves: Vec<(PathBuf, String)>, folder: &Path, place: &Path) -> Result<Vec<Placed>, DiskError> {
    // Not the folder above: if that is gone, so is the recording.
    disk::create_dir_below(folder)?;
    disk::create_dir_below(place)?;
    moves
        .into_iter()
        .map(|(from, name)| {
            let (bytes, sha256) = disk::sha256_of(&from)?;
            disk::sync_file(&from)?;
            disk::rename(&from, &place.join(&name))?;
            Ok(Placed { name, bytes, sha256 })
        })
        .collect()
}

/// In the recording's folder of renders.
pub(crate) fn folder_name(render: RenderId, attempt: u32) -> String {
    format!("{render}-{attempt}")
}

/// A name that every object store takes as it is, and a person recognises.
fn object_name(name: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_');
    name.chars()
        .map(|character| if plain(character) { character } else { '_' })
        .collect()
}

impl RenderFile {
    pub(super) fn from_model(model: files::Model) -> Result<Self, DatabaseError> {
        let row = Row::new("render_files", &model.render_id);
        Ok(Self {
            media_type: model.media_type,
            bytes: row.count("bytes", model.bytes)?,
            sha256: model.sha256,
            probe: row.json("probe", &model.probe)?,
            on_disk: model.on_disk,
            uploaded: row.time_opt("uploaded_ns", model.uploaded_ns)?,
            attempt: row.small("attempt", model.attempt)?,
            position: model.position,
            name: model.name,
        })
    }

    pub(super) fn stored(&self, recording: RecordingId, render: RenderId) -> StoredFile {
        let folder = folder_name(render, self.attempt);
        StoredFile {
            recording,
            part: FilePart::Render(render, self.name.clone()),
            name: format!("{RENDERS_FOLDER}/{folder}/{}", self.name),
            // Two names may become the same one, two positions cannot.
            object: format!(
                "{RENDERS_FOLDER}/{folder}/{:03}-{}",
                self.position,
                object_name(&self.name)
            ),
            media_type: self.media_type.clone(),
            bytes: self.bytes,
            sha256: self.sha256.clone(),
            on_disk: self.on_disk,
            uploaded: self.uploaded,
        }
    }
}

/// One row of `render_files`, among its recording's files.
pub(crate) fn stored_file(model: files::Model) -> Result<StoredFile, DatabaseError> {
    let row = Row::new("render_files", &model.render_id);
    let (recording, render) = (
        row.parse("recording_id", &model.recording_id)?,
        row.parse("render_id", &model.render_id)?,
    );
    Ok(RenderFile::from_model(model)?.stored(recording, render))
}
