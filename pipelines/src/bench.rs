//! How fast renders are, beside a plain ffmpeg command that does the same work on the same media.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use greffier_media::{
    layout::LayoutKind,
    render::{CompositeRequest, RenderRequest, TracksRequest},
    time::Clock,
};
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

use crate::{CancelFlag, Control, Job, RenderError, Rendered, render, source::Recording};

/// What was measured of one kind of render.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RenderBench {
    /// `copy` or `composite`.
    pub kind: String,
    pub ours: Speed,
    /// `None` if there is no ffmpeg.
    pub ffmpeg: Option<Speed>,
    /// The command that was run for comparison.
    pub command: Vec<String>,
}

/// How fast something was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// How long the recording is, in seconds.
    pub media_s: f64,
    pub wall_s: f64,
    /// Of all threads, user and system.
    pub cpu_s: f64,
    /// Media seconds for each second on the wall clock.
    pub times_real_time: f64,
    /// Media seconds for each second of one core.
    pub media_per_cpu_s: f64,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error("{command} cannot be run")]
    Command {
        command: String,
        #[source]
        source: io::Error,
    },
    #[error("{command} failed: {message}")]
    Failed { command: String, message: String },
    #[error("what this process used cannot be told")]
    Usage(#[source] nix::Error),
}

/// Renders a recording by copy and as a composite of 1280x720 at 30 pictures a second, probes included, and has ffmpeg copy
/// the copies, and put them side by side. `job` says which recording, and has an empty folder; its request is not looked at.
pub fn renders(job: &Job, clock: &dyn Clock) -> Result<Vec<RenderBench>, BenchError> {
    let media = Recording::survey(job.segments.clone(), &Control::detached())
        .map_err(RenderError::from)?
        .shown_length();
    let media = Duration::from_nanos(media.as_nanos());
    let bench = |name: &str, request| -> Result<(Speed, Vec<PathBuf>), BenchError> {
        let job = Job {
            request,
            folder: job.folder.join(name),
            ..job.clone()
        };
        let mut rendered = Rendered::default();
        let speed = measure(media, clock, UsageWho::RUSAGE_SELF, || {
            rendered = render(&job, |_| (), &CancelFlag::default())?;
            Ok(())
        })?;
        Ok((
            speed,
            rendered.files.iter().map(|file| job.folder.join(&file.name)).collect(),
        ))
    };
    let (copy, copies) = bench("copy", RenderRequest::Tracks(TracksRequest::default()))?;
    let composite = CompositeRequest {
        layout: LayoutKind::Grid,
        ..CompositeRequest::default()
    };
    let (composed, _) = bench("composite", RenderRequest::Composite(composite))?;
    let compare = |kind: &str, ours, command: Vec<String>| -> Result<RenderBench, BenchError> {
        Ok(RenderBench {
            kind: kind.to_owned(),
            ours,
            ffmpeg: run(&command, media, clock)?,
            command,
        })
    };
    Ok(vec![
        compare("copy", copy, copy_command(&copies, &job.folder))?,
        compare("composite", composed, composite_command(&copies, &job.folder))?,
    ])
}

/// What ffmpeg copies packet by packet, from container to container.
fn copy_command(copies: &[PathBuf], folder: &Path) -> Vec<String> {
    let mut command = ffmpeg(copies);
    for (index, copy) in copies.iter().enumerate() {
        let ending = copy.extension().unwrap_or_default().to_string_lossy();
        command.extend(words(&format!("-map {index} -c copy")));
        command.push(folder.join(format!("ffmpeg-{index}.{ending}")).display().to_string());
    }
    command
}

/// What ffmpeg decodes, scales, puts side by side, mixes and encodes, with the settings that our composite has.
fn composite_command(copies: &[PathBuf], folder: &Path) -> Vec<String> {
    let count = copies.len();
    let mut command = ffmpeg(copies);
    let mut graph: Vec<String> = (0..count)
        .map(|index| {
            format!("[{index}:v]fps=30,scale=628:470:force_original_aspect_ratio=increase,crop=628:470[v{index}]")
        })
        .collect();
    let all = |stream: &dyn Fn(usize) -> String| (0..count).map(stream).collect::<Vec<_>>().concat();
    let sounds = all(&|index| format!("[{index}:a]"));
    // Two fill the picture as our grid does; more are made smaller.
    let row = match count {
        1 => "[v0]".to_owned(),
        2 => "[v0][v1]hstack=inputs=2,".to_owned(),
        _ => format!(
            "{}hstack=inputs={count},scale=1280:-2,",
            all(&|index| format!("[v{index}]"))
        ),
    };
    graph.push(format!("{row}pad=1280:720:(ow-iw)/2:(oh-ih)/2[v]"));
    graph.push(format!("{sounds}amix=inputs={count}:normalize=0[a]"));
    command.extend(["-filter_complex".to_owned(), graph.join(";")]);
    command.extend(words(
        "-map [v] -map [a] -c:v libx264 -preset superfast -crf 23 -bf 0 -g 60 -c:a aac -b:a 128k -ac 2",
    ));
    command.push(folder.join("ffmpeg-composite.mp4").display().to_string());
    command
}

fn ffmpeg(inputs: &[PathBuf]) -> Vec<String> {
    let mut command = words("ffmpeg -v error -nostdin -y");
    for input in inputs {
        command.extend(["-i".to_owned(), input.display().to_string()]);
    }
    command
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn run(command: &[String], media: Duration, clock: &dyn Clock) -> Result<Option<Speed>, BenchError> {
    let [program, arguments @ ..] = command else {
        return Ok(None);
    };
    let text = || command.join(" ");
    let mut missing = false;
    let speed = measure(media, clock, UsageWho::RUSAGE_CHILDREN, || {
        let output = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .output();
        let output = match output {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                missing = true;
                return Ok(());
            }
            output => output.map_err(|source| BenchError::Command {
                command: text(),
                source,
            })?,
        };
        if output.status.success() {
            return Ok(());
        }
        Err(BenchError::Failed {
            command: text(),
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    })?;
    Ok((!missing).then_some(speed))
}

/// Runs something that deals with so much media.
fn measure(
    media: Duration,
    clock: &dyn Clock,
    whose: UsageWho,
    work: impl FnOnce() -> Result<(), BenchError>,
) -> Result<Speed, BenchError> {
    let cpu = || -> Result<f64, BenchError> {
        let used = getrusage(whose).map_err(BenchError::Usage)?;
        let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        Ok(seconds(used.user_time()) + seconds(used.system_time()))
    };
    let (cpu_before, began) = (cpu()?, clock.now());
    work()?;
    let (cpu_s, wall_s) = (cpu()? - cpu_before, clock.now().saturating_since(began).as_secs_f64());
    let media_s = media.as_secs_f64();
    Ok(Speed {
        media_s,
        wall_s,
        cpu_s,
        times_real_time: media_s / wall_s.max(1e-6),
        media_per_cpu_s: media_s / cpu_s.max(1e-6),
    })
}
