//! Copies: each participant's media as it was sent, nothing decoded.
//!
//! ```text
//! streams ─▶ lanes (one codec, one after the other) ─▶ files ─▶ frames in the order they are shown ─▶ container
//! ```
//! One file per participant, with camera and microphone; one per screen share, with its sound. All begin at the same moment,
//! the start of the recording, unless asked otherwise, so that they line up in an editor. Where nothing was sent there is
//! silence and the last picture.

mod blank;
mod plan;
mod writer;

use std::{
    num::NonZero,
    path::Path,
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use bytes::Bytes;
use greffier_media::{
    codec::{Codec, Dims},
    ids::{ParticipantIdentity, TrackSid},
    render::{TracksRequest, Zero},
    time::Position,
};
use plan::{FilePlan, Lane};
pub use plan::{SkipReason, Skipped, Subject};
use serde::{Deserialize, Serialize};
use writer::{AT_ONCE, FileWriter, Written};

use crate::{
    ErrorKind,
    container::{self, Format, OPUS_PRE_SKIP, ParameterSets, Tags, Track},
    control::{Control, Stage},
    engine::EngineError,
    error::RenderError,
    probe::{self, Expected, ExpectedStream, Facts},
    publish::Draft,
    source::{Recording, Stream},
};

/// A file that is ready.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CopiedFile {
    /// Its name in the output folder.
    pub name: String,
    pub subject: Subject,
    pub identity: ParticipantIdentity,
    /// What the participant is called; may be empty.
    pub participant_name: String,
    /// The tracks in it.
    pub tracks: Vec<TrackSid>,
    /// Where the file's zero stands in what is shown of the recording, in nanoseconds.
    pub zero_ns: u64,
    /// When its first real frame is shown, from the file's zero, in nanoseconds.
    pub first_ns: u64,
    pub facts: Facts,
}

/// What came of a copy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Copied {
    pub files: Vec<CopiedFile>,
    /// Tracks that are in no file, and why.
    pub skipped: Vec<Skipped>,
    /// Files that could not be made or are not as they must be, and why; the others are ready.
    pub failed: Vec<FailedFile>,
}

/// A file that did not come to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedFile {
    pub name: String,
    pub identity: ParticipantIdentity,
    pub reason: String,
}

/// Writes all copies of a recording into `folder`, each under its name once it is complete and looked at.
pub fn copy(
    recording: &Recording,
    request: &TracksRequest,
    folder: &Path,
    control: &Control<'_>,
) -> Result<Copied, RenderError> {
    let (mut plans, skipped) = plan::plan(recording);
    plans.retain(|plan| request.participants.is_empty() || request.participants.contains(&plan.identity));
    let mut copied = Copied {
        skipped,
        ..Copied::default()
    };
    let mut files = Vec::new();
    for plan in plans {
        let (name, identity) = (plan.name.clone(), plan.identity.clone());
        match begin(recording, plan, request.zero, folder) {
            Ok(file) => files.push(Some(file)),
            // Nothing will be better for the next file.
            Err(error) if error.kind() == ErrorKind::DiskFull => return Err(error),
            Err(error) => copied.failed.push(FailedFile {
                name,
                identity,
                reason: error.describe(),
            }),
        }
    }
    write_frames(recording, &mut files, &mut copied, control)?;
    complete_all(recording, files.into_iter().flatten().collect(), &mut copied, control)?;
    Ok(copied)
}

/// Completes the files, several at a time: decoding what the probe looks at and waiting for the disk take longer than writing.
fn complete_all(
    recording: &Recording,
    files: Vec<FileWriter>,
    copied: &mut Copied,
    control: &Control<'_>,
) -> Result<(), RenderError> {
    let count = files.len();
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(count);
    let queue = Mutex::new(files.into_iter().enumerate());
    let mut results: Vec<Option<Result<CopiedFile, FailedFile>>> = vec![None; count];
    thread::scope(|scope| {
        let (send, completed) = mpsc::sync_channel(count);
        for _ in 0..workers {
            let (queue, send) = (&queue, send.clone());
            scope.spawn(move || {
                let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                while let Some((index, file)) = next() {
                    let (name, identity) = (file.draft.name().to_owned(), file.plan.identity.clone());
                    let result = complete(recording, file, control);
                    // Nobody listens any more if the render has failed.
                    if send.send((index, name, identity, result)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        for (done, (index, name, identity, result)) in (1..).zip(completed) {
            results[index] = Some(match result {
                Ok(file) => Ok(file),
                Err(error) if matches!(error.kind(), ErrorKind::DiskFull | ErrorKind::Cancelled) => return Err(error),
                Err(error) => Err(FailedFile {
                    name,
                    identity,
                    reason: error.describe(),
                }),
            });
            control.progress(Stage::Checking, done, count as u64)?;
        }
        Ok(())
    })?;
    for result in results.into_iter().flatten() {
        match result {
            Ok(file) => copied.files.push(file),
            Err(failed) => copied.failed.push(failed),
        }
    }
    Ok(())
}

/// Opens a file with its tracks described.
fn begin(recording: &Recording, plan: FilePlan, zero: Zero, folder: &Path) -> Result<FileWriter, RenderError> {
    let first = plan.lanes.iter().map(Lane::first).min().unwrap_or_default();
    let zero = match zero {
        Zero::Recording => Position::ZERO,
        Zero::FirstMedia => first,
    };
    let draft = Draft::new(folder, &format!("{}.{}", plan.name, plan.container.extension()));
    let mut tracks = Vec::new();
    let mut black = Vec::new();
    for lane in &plan.lanes {
        let is_late = lane.first().saturating_since(zero) > AT_ONCE;
        let dims = lane
            .streams
            .iter()
            .find_map(|stream| recording.streams[*stream].keyframes.first()?.dims);
        let first = match dims.filter(|_| is_late) {
            Some(dims) => blank::black(lane.codec, dims)?,
            None => None,
        };
        tracks.push(Track {
            format: format_of(recording, lane, first.as_ref())?,
            name: lane.source.as_str().replace('_', " "),
        });
        black.push(first);
    }
    let cues = plan
        .lanes
        .iter()
        .flat_map(|lane| &lane.streams)
        .map(|stream| recording.streams[*stream].keyframes.len())
        .sum();
    let tags = tags(recording, &plan, zero);
    let name = draft.name().to_owned();
    container::create(plan.container, draft.path(), tracks, &tags, cues)
        .and_then(|muxer| FileWriter::new(plan, zero, draft, muxer, black))
        .map_err(|source| RenderError::Write { name, source })
}

/// Reads the recording once, and hands each frame to its file.
fn write_frames(
    recording: &Recording,
    files: &mut [Option<FileWriter>],
    copied: &mut Copied,
    control: &Control<'_>,
) -> Result<(), RenderError> {
    let mut routes = vec![None; recording.streams.len()];
    for (index, file) in files.iter().enumerate() {
        let lanes = file.iter().flat_map(|file| file.plan.lanes.iter().enumerate());
        for (lane, stream) in lanes.flat_map(|(lane, plan)| plan.streams.iter().map(move |stream| (lane, *stream))) {
            routes[stream] = Some((index, lane));
        }
    }
    let wanted: Vec<_> = routes.iter().map(Option::is_some).collect();
    let mut frames = recording.frames(&wanted);
    let end = recording.shown_length();
    while let Some(frame) = frames.next()? {
        control.rendered(frame.shown, end)?;
        let Some((index, lane)) = routes[frame.stream] else {
            continue;
        };
        let Some(file) = &mut files[index] else { continue };
        if let Err(source) = file.write(lane, frame) {
            let error = RenderError::Write {
                name: file.draft.name().to_owned(),
                source,
            };
            if error.kind() == ErrorKind::DiskFull {
                return Err(error);
            }
            let (name, identity) = (file.draft.name().to_owned(), file.plan.identity.clone());
            copied.failed.push(FailedFile {
                name,
                identity,
                reason: error.describe(),
            });
            files[index] = None;
        }
    }
    Ok(())
}

/// Closes a file, looks at it, and gives it its name.
fn complete(recording: &Recording, file: FileWriter, control: &Control<'_>) -> Result<CopiedFile, RenderError> {
    let name = file.draft.name().to_owned();
    let io = |source| RenderError::Write {
        name: name.clone(),
        source,
    };
    let (plan, zero, draft, written) = file.finish().map_err(io)?;
    let facts =
        probe::probe(draft.path(), &expected(&plan, &written), control).map_err(|source| RenderError::Probe {
            name: name.clone(),
            source,
        })?;
    draft.publish().map_err(io)?;
    let mut tracks: Vec<_> = plan
        .lanes
        .iter()
        .flat_map(|lane| &lane.streams)
        .map(|stream| recording.streams[*stream].channel.track.clone())
        .collect();
    tracks.sort();
    tracks.dedup();
    let first = written
        .tracks
        .iter()
        .filter_map(|track| track.first)
        .min()
        .unwrap_or_default();
    Ok(CopiedFile {
        name,
        subject: plan.subject,
        identity: plan.identity,
        participant_name: plan.participant_name,
        tracks,
        zero_ns: zero.as_nanos(),
        first_ns: u64::try_from(first.as_nanos()).unwrap_or(u64::MAX),
        facts,
    })
}

/// What the file should be found to be.
fn expected(plan: &FilePlan, written: &Written) -> Expected {
    let streams = plan
        .lanes
        .iter()
        .zip(&written.tracks)
        .filter(|(_, track)| track.frames > 0)
        // Whatever begins late begins with silence or a black picture.
        .map(|(lane, _)| ExpectedStream {
            kind: lane.codec.kind(),
            first: Duration::ZERO,
        });
    Expected {
        container: plan.container,
        duration: written.end,
        streams: streams.collect(),
    }
}

/// `black` is what the lane begins with, if not with its own first key frame.
fn format_of(recording: &Recording, lane: &Lane, black: Option<&Bytes>) -> Result<Format, EngineError> {
    let streams = || lane.streams.iter().map(|stream| &recording.streams[*stream]);
    let dims = || {
        let largest = streams().filter_map(Stream::largest_dims);
        largest
            .reduce(|a, b| Dims::new(a.width.max(b.width), a.height.max(b.height)))
            .unwrap_or(Dims::new(2, 2))
    };
    let first_keyframe = || {
        streams()
            .find_map(|stream| stream.first_keyframe.clone())
            .unwrap_or_default()
    };
    Ok(match lane.codec {
        Codec::Opus => Format::Opus {
            channels: if streams().any(|stream| stream.stereo) { 2 } else { 1 },
            pre_skip: OPUS_PRE_SKIP,
        },
        Codec::Vp8 => Format::Vp8 { dims: dims() },
        Codec::Vp9 => Format::Vp9 { dims: dims() },
        Codec::Av1 => Format::Av1 {
            dims: dims(),
            config: container::av1::configuration(&first_keyframe()).unwrap_or_default(),
        },
        Codec::H264 => Format::H264 {
            dims: dims(),
            first: ParameterSets::of(black.unwrap_or(&first_keyframe())).unwrap_or_default(),
        },
        _ => {
            return Err(EngineError::Output {
                what: "a codec of a later version",
            });
        }
    })
}

fn tags(recording: &Recording, plan: &FilePlan, zero: Position) -> Tags {
    let artist = if plan.participant_name.is_empty() {
        plan.identity.to_string()
    } else {
        plan.participant_name.clone()
    };
    let what = match plan.subject {
        Subject::Participant => artist.clone(),
        Subject::ScreenShare => format!("{artist}, screen"),
    };
    let mut tags = Tags::of(recording, &what, artist, zero);
    tags.facts.push(("PARTICIPANT_IDENTITY", plan.identity.to_string()));
    tags
}
