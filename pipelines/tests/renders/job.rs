//! One render as its child process makes it, and what holds for all kinds.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU16, Ordering},
};

use anyhow::{Context as _, Result};
use greffier_media::{
    codec::Codec,
    ids::RecordingId,
    lifecycle::RenderFailure,
    render::{CompositeRequest, RenderRequest, TracksRequest},
};
use greffier_pipelines::{CancelFlag, ErrorKind, Job, RenderError, RenderedFile, render};
use greffier_tests::{Folder, need};
use serde_json::json;

use crate::tape::{Publication, Tape, Written, recording};

/// A render that was made.
pub struct Made {
    pub files: Vec<RenderedFile>,
    pub tape: Written,
    output: PathBuf,
}

impl Made {
    /// Where the only file is.
    #[track_caller]
    pub fn path(&self) -> PathBuf {
        let [file] = &self.files[..] else {
            panic!("{:?}", self.files)
        };
        self.output.join(&file.name)
    }

    pub fn paths(&self) -> Vec<PathBuf> {
        self.files.iter().map(|file| self.output.join(&file.name)).collect()
    }
}

/// Writes a tape in two segments and renders it.
pub fn make(tape: Tape, request: RenderRequest) -> Result<Made> {
    let folder = Folder::of_test()?;
    let tape = tape.write(folder.path(), 2)?;
    let job = job(&tape, request, folder.path().join("output"));
    if job.folder.try_exists()? {
        std::fs::remove_dir_all(&job.folder)?;
    }
    let heard = AtomicU16::new(0);
    let rendered = render(
        &job,
        |permille| assert!(heard.swap(permille, Ordering::Relaxed) < permille),
        &CancelFlag::default(),
    )?;
    assert_eq!(heard.into_inner(), 1000);
    assert_eq!(names(&job)?.len(), rendered.files.len(), "nothing else is left behind");
    for file in &rendered.files {
        println!("{} {} {}", file.name, file.media_type, file.probe);
    }
    Ok(Made {
        files: rendered.files,
        tape,
        output: job.folder,
    })
}

fn job(tape: &Written, request: RenderRequest, folder: PathBuf) -> Job {
    Job {
        recording: recording(),
        segments: tape.segments.clone(),
        request,
        folder,
    }
}

fn names(job: &Job) -> Result<Vec<String>> {
    let mut names: Vec<_> = std::fs::read_dir(&job.folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    names.sort();
    Ok(names)
}

fn short() -> Result<Tape> {
    let mut tape = Tape::new();
    let ana = tape.join(0.0, "Ana", 0);
    tape.publish(&ana, &Publication::camera(Codec::Vp8, 0.5, 4.5))?;
    tape.publish(&ana, &Publication::microphone(0.5, 4.5))?;
    tape.stop(5.0);
    Ok(tape)
}

fn small() -> RenderRequest {
    RenderRequest::Composite(CompositeRequest {
        width: 320,
        height: 180,
        fps: 10,
        labels: false,
        ..CompositeRequest::default()
    })
}

#[test]
fn a_copy_s_probe_says_what_a_player_needs() {
    need((|| -> Result<()> {
        let made = make(short()?, RenderRequest::Tracks(TracksRequest::default()))?;
        let [file] = &made.files[..] else {
            panic!("{:?}", made.files)
        };
        assert_eq!((&*file.name, &*file.media_type), ("ana.webm", "video/webm"));
        let probe = &file.probe;
        for (field, value) in [
            ("kind", json!("participant")),
            ("identity", json!("ana")),
            ("name", json!("Ana")),
            ("offset_ms", json!(0)),
            ("has_audio", json!(true)),
            ("has_video", json!(true)),
            ("width", json!(320)),
            ("height", json!(180)),
        ] {
            assert_eq!(probe[field], value, "{field} of {probe:#}");
        }
        let duration = probe["duration_ms"].as_u64().context("a duration")?;
        assert!((4400..=4600).contains(&duration), "{duration}");
        assert_eq!(probe["tracks"].as_array().map(Vec::len), Some(2));
        Ok(())
    })());
}

#[test]
fn a_cancelled_render_leaves_nothing_and_can_be_made_again() {
    need((|| -> Result<()> {
        let folder = Folder::of_test()?;
        let tape = short()?.write(folder.path(), 1)?;
        let job = job(&tape, small(), folder.path().join("output"));
        let cancel = CancelFlag::default();
        let result = render(
            &job,
            |permille| {
                if permille > 300 {
                    cancel.cancel();
                }
            },
            &cancel,
        );
        assert!(
            matches!(result, Err(ref error) if error.kind() == ErrorKind::Cancelled),
            "{result:?}"
        );
        assert!(names(&job)?.is_empty());
        // As a process that was killed leaves it.
        std::fs::write(job.folder.join(".part-composite-speaker.mp4"), "half a film")?;
        std::fs::write(job.folder.join(".part-composite-speaker.mp4.media"), "half its media")?;
        let first = render(&job, |_| (), &CancelFlag::default())?;
        assert_eq!(names(&job)?, [&*first.files[0].name]);
        let path = job.folder.join(&first.files[0].name);
        let bytes = std::fs::read(&path)?;
        // And once more over a complete one: the same journal gives the same film.
        assert_eq!(
            render(&job, |_| (), &CancelFlag::default())?.files[0].name,
            first.files[0].name
        );
        assert!(std::fs::read(&path)? == bytes, "another film");
        Ok(())
    })());
}

#[test]
fn what_cannot_be_made_is_refused_by_name() {
    need((|| -> Result<()> {
        let folder = Folder::of_test()?;
        let tape = short()?.write(folder.path(), 1)?;
        let output = folder.path().join("output");
        let failure = |job: &Job| match render(job, |_| (), &CancelFlag::default()) {
            Err(error) => error,
            Ok(rendered) => panic!("{rendered:?}"),
        };
        let foreign = Job {
            recording: RecordingId::from_parts(1, 1),
            ..job(&tape, small(), output.clone())
        };
        let error = failure(&foreign);
        assert!(matches!(error, RenderError::Foreign { .. }), "{error}");
        assert_eq!(error.failure(), RenderFailure::Input);
        let RenderRequest::Composite(asked) = small() else {
            unreachable!()
        };
        let after = RenderRequest::Composite(CompositeRequest {
            from_ms: Some(60_000),
            ..asked.clone()
        });
        assert_eq!(
            failure(&job(&tape, after, output.clone())).failure(),
            RenderFailure::NothingToRender
        );
        let odd = RenderRequest::Composite(CompositeRequest { width: 321, ..asked });
        assert_eq!(
            failure(&job(&tape, odd, output.clone())).failure(),
            RenderFailure::Unsupported
        );
        let gone = Job {
            segments: vec![folder.path().join("gone.mcap")],
            ..job(&tape, small(), output.clone())
        };
        assert_eq!(failure(&gone).failure(), RenderFailure::Input);
        let mut empty = Tape::new();
        empty.join(0.0, "Ana", 0);
        empty.stop(9.0);
        let empty = empty.write(folder.sub("empty")?.path(), 1)?;
        assert_eq!(
            failure(&job(&empty, small(), output)).failure(),
            RenderFailure::NothingToRender
        );
        Ok(())
    })());
}
