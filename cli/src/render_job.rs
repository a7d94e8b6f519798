//! The child process of a render: a job on standard input, lines of JSON on standard output.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use greffier_agent::renders::protocol::{RenderJob, RenderMessage, RenderedFile};
use greffier_pipelines::{CancelFlag, Job, render};

/// Jobs are a few kilobytes: paths, one for each five minutes.
const MAX_JOB_BYTES: u64 = 16 << 20;

pub fn run() -> anyhow::Result<ExitCode> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(MAX_JOB_BYTES)
        .read_to_string(&mut text)
        .context("no job on standard input")?;
    let job: RenderJob = serde_json::from_str(&text).context("what came on standard input is no job")?;
    let job = Job {
        recording: job.recording,
        segments: job.segments,
        request: job.request,
        folder: job.folder,
    };
    let progress = |permille| say(&RenderMessage::Progress { permille });
    // Cancelling is killing: drafts are removed with the folder.
    let last = match render(&job, progress, &CancelFlag::default()) {
        Ok(rendered) => RenderMessage::Done {
            files: rendered
                .files
                .into_iter()
                .map(|file| RenderedFile {
                    name: file.name,
                    media_type: file.media_type,
                    probe: file.probe,
                })
                .collect(),
            notes: rendered.notes,
        },
        Err(error) => RenderMessage::Failed {
            failure: error.failure(),
            message: error.describe(),
        },
    };
    say(&last);
    Ok(ExitCode::SUCCESS)
}

/// If nobody listens any more, the parent is gone, and so should we be.
fn say(message: &RenderMessage) {
    let mut out = std::io::stdout().lock();
    if out
        .write_all(message.to_line().as_bytes())
        .and_then(|()| out.flush())
        .is_err()
    {
        std::process::exit(1);
    }
}
