//! A render from beginning to end: what the child process of a render does.
//!
//! ```text
//! job ─▶ survey ─▶ copy | composite | audio | export ─▶ probe ─▶ files under their names, each with what was found in it
//! ```
//! A job that is started again after its process died makes all of it again: nothing half made is taken for a result.

use std::{
    io,
    path::{Path, PathBuf},
};

use greffier_media::{
    codec::MediaKind,
    ids::RecordingId,
    render::{RenderRequest, TracksRequest},
};
use serde_json::{Value, json};

use crate::{
    CancelFlag, Control, audio, composite,
    copy::{self, CopiedFile, SkipReason, Skipped, Subject},
    error::RenderError,
    export,
    probe::Facts,
    publish,
    source::Recording,
};

/// What is to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub recording: RecordingId,
    /// The journal, in order.
    pub segments: Vec<PathBuf>,
    pub request: RenderRequest,
    /// A folder of this job's own for the results. It is made if it is not there.
    pub folder: PathBuf,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rendered {
    /// At least one.
    pub files: Vec<RenderedFile>,
    /// What its reader may want to know: tracks that are in no file, damage of the journal.
    pub notes: Vec<String>,
}

/// A result that was looked at as a player would.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderedFile {
    /// In the job's folder.
    pub name: String,
    pub media_type: String,
    /// What it is of, and what was found in it: an object with `kind` (`participant`, `screen_share`, `composite`,
    /// `audio` or `export`) and, for media, `container`, `bytes`, `duration_ms`, `has_audio`, `has_video`, `width`, `height`,
    /// `offset_ms` (where its zero stands in the recording as it is shown, pauses cut out), `av_offset_ms`, `streams`.
    pub probe: Value,
}

/// Makes the files of a job. `on_progress` hears of thousandths done, in ascending order, on this thread.
///
/// # Errors
/// [`RenderError::failure`] has the word for the render's row. After an error, and after a cancellation, files that
/// were already complete may be in the folder; there are no others.
pub fn render(
    job: &Job,
    on_progress: impl Fn(u16) + Send + Sync,
    cancel: &CancelFlag,
) -> Result<Rendered, RenderError> {
    let control = Control::new(cancel.clone(), move |progress| on_progress(progress.permille));
    job.request.validate()?;
    prepare(&job.folder)?;
    let recording = Recording::survey(job.segments.clone(), &control)?;
    if let Some(found) = recording.id.filter(|found| *found != job.recording) {
        return Err(RenderError::Foreign {
            wanted: job.recording,
            found,
        });
    }
    let mut rendered = match &job.request {
        RenderRequest::Tracks(request) => tracks(&recording, request, &job.folder, &control)?,
        RenderRequest::Composite(request) => composite::render(&recording, request, &job.folder, &control)?,
        RenderRequest::Audio(request) => audio::render(&recording, request, &job.folder, &control)?,
        RenderRequest::Export(request) => export::render(&recording, request, &job.folder, &control)?,
        other => return Err(RenderError::Unsupported { what: other.kind() }),
    };
    rendered.notes.extend(damage(&recording));
    Ok(rendered)
}

/// Makes the folder, without what a run that died has left in it.
fn prepare(folder: &Path) -> Result<(), RenderError> {
    let failed = |source: io::Error| RenderError::Write {
        name: folder.display().to_string(),
        source,
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    publish::remove_drafts(folder).map_err(failed)
}

fn tracks(
    recording: &Recording,
    request: &TracksRequest,
    folder: &Path,
    control: &Control<'_>,
) -> Result<Rendered, RenderError> {
    let copied = copy::copy(recording, request, folder, control)?;
    let failed: Vec<_> = copied
        .failed
        .iter()
        .map(|failed| format!("{}: {}", failed.name, failed.reason))
        .collect();
    if copied.files.is_empty() {
        return Err(if failed.is_empty() {
            RenderError::Nothing
        } else {
            RenderError::AllFailed(failed.join("; "))
        });
    }
    let skipped = copied.skipped.iter().map(describe_skipped);
    Ok(Rendered {
        notes: skipped.chain(failed).collect(),
        files: copied.files.iter().map(of_copy).collect(),
    })
}

fn of_copy(file: &CopiedFile) -> RenderedFile {
    let kind = match file.subject {
        Subject::Participant => "participant",
        Subject::ScreenShare => "screen_share",
    };
    let about = json!({
        "kind": kind,
        "identity": file.identity,
        "name": file.participant_name,
        "tracks": file.tracks,
        "offset_ms": file.zero_ns / 1_000_000,
        "first_ms": file.first_ns / 1_000_000,
    });
    of_media(file.name.clone(), about, &file.facts)
}

/// A media file: what it is of, and what was found in it.
pub(crate) fn of_media(name: String, about: Value, facts: &Facts) -> RenderedFile {
    let has = |kind| facts.streams.iter().any(|stream| stream.kind == kind);
    let dims = facts.streams.iter().find_map(|stream| stream.dims);
    let found = json!({
        "container": facts.container,
        "bytes": facts.bytes,
        "duration_ms": facts.duration_ns / 1_000_000,
        "has_audio": has(MediaKind::Audio),
        "has_video": has(MediaKind::Video),
        "width": dims.map(|dims| dims.width),
        "height": dims.map(|dims| dims.height),
        "av_offset_ms": facts.av_offset_ns.map(|offset| offset / 1_000_000),
        "streams": facts.streams,
    });
    RenderedFile {
        name,
        media_type: facts.container.media_type(has(MediaKind::Video)).to_owned(),
        probe: merged(about, found),
    }
}

fn merged(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}

fn describe_skipped(skipped: &Skipped) -> String {
    let Skipped {
        track,
        identity,
        source,
        reason,
    } = skipped;
    let why = match reason {
        SkipReason::Encrypted => "it is end-to-end encrypted".to_owned(),
        SkipReason::Codec { mime } => format!("there is no way to make frames of {mime}"),
        SkipReason::NoFrames => "no whole frame came to start with".to_owned(),
    };
    format!("{track} ({} of {identity}) is in no file: {why}", source.as_str())
}

fn damage(recording: &Recording) -> impl Iterator<Item = String> {
    recording.damage.iter().map(|damage| {
        format!(
            "segment {} is used up to byte {} only: {}",
            damage.segment, damage.valid_bytes, damage.reason
        )
    })
}
