//! `greffier bench render`: how fast renders are, beside ffmpeg on the same media.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use greffier_agent::clock::SystemClock;
use greffier_media::ids::RecordingId;
use greffier_media::render::{RenderRequest, TracksRequest};
use greffier_pipelines::Job;
use greffier_pipelines::bench::{self, RenderBench, Speed};
use greffier_store::Store;

use crate::config::Config;
use crate::{export, show};

/// Render a sealed recording by copy and as a 1280x720 composite, and have ffmpeg do the same work on the same media.
///
/// Nothing is kept of what is made.
#[derive(Debug, Args)]
pub struct Render {
    recording: RecordingId,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Render {
    pub async fn run(self, config: Config) -> anyhow::Result<ExitCode> {
        let clock = SystemClock::start();
        let store = Store::open_read_only(&config.store, Arc::new(clock)).await?;
        let segments = export::segments(&store, self.recording).await?;
        let folder = tempfile::tempdir()?;
        let job = Job {
            recording: self.recording,
            segments,
            request: RenderRequest::Tracks(TracksRequest::default()),
            folder: folder.path().to_owned(),
        };
        show::note("copying and composing; a composite takes about half as long as the meeting did");
        let measured = tokio::task::spawn_blocking(move || bench::renders(&job, &clock)).await??;
        if self.json {
            show::line(serde_json::to_string_pretty(&measured)?);
        } else {
            show::line(table(&measured));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn table(measured: &[RenderBench]) -> comfy_table::Table {
    let mut table = show::table(&[
        "render",
        "media s",
        "wall s",
        "CPU s",
        "× real time",
        "media s / CPU s",
        "ours : ffmpeg",
    ]);
    for RenderBench { kind, ours, ffmpeg, .. } in measured {
        let mut row = |who: &str, speed: &Speed, ratio: String| {
            let figure = |value: f64| format!("{value:.1}");
            table.add_row([
                format!("{kind}, {who}"),
                figure(speed.media_s),
                format!("{:.2}", speed.wall_s),
                format!("{:.2}", speed.cpu_s),
                figure(speed.times_real_time),
                figure(speed.media_per_cpu_s),
                ratio,
            ]);
        };
        let ratio = ffmpeg
            .as_ref()
            .map(|theirs| format!("{:.2}", ours.media_per_cpu_s / theirs.media_per_cpu_s));
        row("ours", ours, ratio.unwrap_or_default());
        match ffmpeg {
            Some(theirs) => row("ffmpeg", theirs, String::new()),
            None => show::note(format_args!("{kind}: there is no ffmpeg to compare with")),
        }
    }
    table
}
